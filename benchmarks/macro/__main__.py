"""The command: ``python -m benchmarks.macro [--quick] [NAME …]``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.command import command
from benchmarks.picture import OURS, draw
from benchmarks.report import Places, Spread, about, record, table
from benchmarks.rounds import interleaved

from .loads import FULL, LOADS, QUICK, Found, Load, Plan, run

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

DESCRIPTION = """A whole server under the loads of `hawser bench`, each in interleaved rounds, some five minutes in all.
Writes results/macro.json, results/macro.png and the table in README.md, unless it is told to run only a part."""


def main(arguments: Sequence[str] | None = None, places: Places | None = None) -> int:
    """See `benchmarks.command.command`."""
    return command("macro", DESCRIPTION, "load", LOADS, (FULL, QUICK), measure, arguments, places)


def measure(loads: Sequence[Load], plan: Plan, places: Places | None) -> int:
    """Measure, print, and record if there is a place for it."""
    found: dict[str, list[Found]] = {load.name: [] for load in loads}

    def once(load: Load) -> None:
        found[load.name].append(run(load, plan))

    rounds = interleaved(loads, plan.rounds, plan.budget_seconds, once)
    text = table([HEAD, *(_row(load, found[load.name]) for load in loads)])
    print(text)
    if places is not None:
        results = [_result(load, found[load.name]) for load in loads]
        record(places, {**about(rounds), "clients": plan.clients, "results": results}, text)
        _draw(places, loads, found, rounds)
    return 0


HEAD = ("load", "server CPU per", "median", "best", "worst", "per second", "p50 ms", "p99 ms", "generator CPU")


def _row(load: Load, found: Sequence[Found]) -> tuple[str, ...]:
    server = _server(found)
    return (
        load.name,
        load.per,
        f"{server.median:.1f} µs",
        f"{server.best:.1f}",
        f"{server.worst:.1f}",
        f"{_median(found, lambda one: one['per_second']):.0f}",
        f"{_latency(found, 'p50').median:.1f}",
        f"{_latency(found, 'p99').median:.1f}",
        f"{_median(found, lambda one: one['generator_cpu_us_each']):.0f} µs",
    )


def _result(load: Load, found: Sequence[Found]) -> dict[str, object]:
    return {
        "load": load.name,
        "per": load.per,
        "count": sum(one["count"] for one in found),
        "server_cpu_us": _server(found).rounded(),
        "generator_cpu_us": round(_median(found, lambda one: one["generator_cpu_us_each"]), 2),
        "per_second": round(_median(found, lambda one: one["per_second"]), 1),
        "latency_ms": {name: round(_latency(found, name).median, 3) for name in ("p50", "p99")},
    }


def _server(found: Sequence[Found]) -> Spread:
    return Spread.of([one["server_cpu_us_each"] for one in found])


def _latency(found: Sequence[Found], quantile: str) -> Spread:
    return Spread.of([one["latency_ms"][quantile] for one in found])


def _median(found: Sequence[Found], pick: Callable[[Found], float]) -> float:
    return Spread.of([pick(one) for one in found]).median


def _draw(places: Places, loads: Sequence[Load], found: dict[str, list[Found]], rounds: int) -> None:
    cpu = [(f"{load.name}\nper {load.per}", _server(found[load.name]), OURS) for load in loads]
    latency = [
        (f"{load.name}\n{name}", _latency(found[load.name], name), OURS) for load in loads for name in ("p50", "p99")
    ]
    draw(
        places.picture,
        f"hawser serve under hawser bench: median, best and worst of {rounds} round(s)",
        [
            ("CPU time of the server", cpu, "µs"),
            (
                "latency; where there are many clients, theirs is the greater part: they are all in one Python process",
                latency,
                "ms",
            ),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
