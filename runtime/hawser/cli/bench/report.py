"""What a run has found: for people, as JSON, as a picture."""

# pyright: reportUnknownMemberType=false
# (matplotlib leaves its keywords open)

from __future__ import annotations

import platform
from importlib.metadata import version
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from hawser.cli import FAILED, WRONG_USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from .meter import Meter

QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99}


def progress_line(name: str, unit: str, meter: Meter) -> str:
    """How far a run is."""
    if not meter.seconds:
        return f"{name}: {meter.doing}"
    p50 = meter.latencies.quantile(0.5) * 1_000
    return (
        f"{name}: {meter.seconds:.1f} of {meter.bounds.seconds:g} s, {meter.count} {unit}, "
        f"{meter.per_second:.0f} a second, p50 {p50:.2f} ms"
    )


def figures(name: str, load: Mapping[str, Any], meter: Meter) -> dict[str, Any]:
    """The outcome as plain data, with its units in the names.

    Args:
        name: Which load it was.
        load: What it was told to do.
        meter: What it counted.
    """
    latencies = {quantile: _ms(meter.latencies.quantile(part)) for quantile, part in QUANTILES.items()}
    return {
        "benchmark": name,
        **load,
        "count": meter.count,
        "seconds": round(meter.seconds, 4),
        "per_second": round(meter.per_second, 1),
        "latency_ms": {**latencies, "max": _ms(meter.latencies.longest)},
        "server_cpu_us_each": _us(meter.cpu_us(meter.server_cpu_seconds)),
        "generator_cpu_us_each": _us(meter.cpu_us(meter.generator_cpu_seconds)),
        **meter.notes,
        "generator": f"hawser {version('hawser')}, {platform.python_implementation()} {platform.python_version()}",
    }


def text(found: Mapping[str, Any]) -> str:
    """The outcome in three lines."""
    latency = ", ".join(f"{name} {value:g}" for name, value in found["latency_ms"].items())
    server = found["server_cpu_us_each"]
    server_text = "not measured, give --server-pid" if server is None else f"{server:g}"
    notes = "".join(f", {found[name]} {name}" for name in ("publications", "rounds", "resets") if name in found)
    return (
        f"{found['benchmark']}: {found['count']} {found['unit']} in {found['seconds']:g} s, "
        f"{found['per_second']:g} a second{notes}\n"
        f"latency in ms: {latency}\n"
        f"CPU time in µs for each: server {server_text}; this generator {found['generator_cpu_us_each'] or 0:g}"
    )


def check_plot(path: Path) -> None:
    """Refuse, before a run and not after it, what could not be drawn.

    Raises:
        CommandFailed: The file cannot be written there, or matplotlib is missing.
    """
    if path.suffix != ".png":
        raise CommandFailed(f"--plot {path}: a picture is a .png file", WRONG_USAGE)
    if not path.absolute().parent.is_dir():
        raise CommandFailed(f"--plot {path}: there is no folder {path.absolute().parent}", WRONG_USAGE)
    if find_spec("matplotlib") is None:
        raise CommandFailed("--plot needs 'matplotlib', which is not installed: pip install matplotlib", FAILED)


def plot(path: Path, found: Mapping[str, Any], meter: Meter) -> None:
    """Draw how many operations took how long, and how the rate went."""
    from matplotlib.figure import Figure  # only needed here, and slow to import

    figure = Figure(figsize=(9, 6), layout="constrained")
    latency, rate = figure.subplots(2, 1)
    points = meter.latencies.distribution()
    latency.step([seconds * 1_000 for seconds, _ in points], [below / meter.count for _, below in points], where="post")
    latency.set(xscale="log", xlabel="latency, ms", ylabel="part of all", ylim=(0, 1.02))
    latency.grid(visible=True, alpha=0.3)
    rates = meter.rates()
    rate.plot([index * meter.slice_seconds for index in range(len(rates))], rates)
    rate.set(xlabel="seconds", ylabel=f"{found['unit']} a second", ylim=(0, None))
    rate.grid(visible=True, alpha=0.3)
    figure.suptitle(text(found), fontsize=9)
    figure.savefig(path, dpi=120)


def _ms(seconds: float) -> float:
    return round(seconds * 1_000, 4)


def _us(microseconds: float | None) -> float | None:
    return None if microseconds is None else round(microseconds, 2)
