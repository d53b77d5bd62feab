"""Results as a table, as JSON, and as a picture."""

import json
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from .measure import Plan, Result

__all__ = ["as_json", "as_table", "plot"]


def as_table(results: Sequence[Result]) -> str:
    """Lay the results out as a Markdown table, which also reads well on a terminal."""
    rows = [("case", "per", "median", "best", "target")]
    for result in results:
        target = "" if result.target is None else f"≤ {_figure(result.target, result.unit)}"
        if result.missed:
            target += " MISSED"
        rows.append(
            (
                result.name,
                result.per,
                f"{_figure(result.median, result.unit)} {result.unit}",
                _figure(result.best, result.unit),
                target,
            )
        )
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def as_json(results: Sequence[Result], plan: Plan) -> str:
    """Write the results with what is needed to compare them with others."""
    record = {
        "date": datetime.now(UTC).date().isoformat(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "rounds": plan.rounds,
        "subscribers": plan.subscribers,
        "results": [
            {
                "case": result.name,
                "per": result.per,
                "unit": result.unit,
                "median": round(result.median, 4),
                "best": round(result.best, 4),
                "worst": round(result.worst, 4),
                "target": result.target,
            }
            for result in results
        ],
    }
    return json.dumps(record, indent=2, ensure_ascii=False) + "\n"


def plot(results: Sequence[Result], path: Path) -> None:
    """Draw medians as bars from best to worst, targets as marks; times and sizes each in their own frame."""
    import matplotlib  # only needed here, and slow to import

    matplotlib.use("agg")
    from matplotlib import pyplot as plt

    frames = [chosen for unit in ("µs", "bytes") if (chosen := [r for r in results if r.unit == unit])]
    figure, axes = plt.subplots(
        len(frames),
        1,
        figsize=(11, 1.6 + 0.3 * len(results)),
        height_ratios=[len(frame) + 1 for frame in frames],
        squeeze=False,
        layout="constrained",
    )
    for axis, frame in zip(axes[:, 0], frames, strict=True):
        unit = frame[0].unit
        names = [result.name for result in frame]
        medians = [result.median for result in frame]
        spread = [
            [result.median - result.best for result in frame],
            [result.worst - result.median for result in frame],
        ]
        colours = ["#b0b0b0" if "naive" in name or "cbor2" in name else "#2f6f9f" for name in names]
        axis.barh(names, medians, xerr=spread, color=colours, ecolor="#606060", capsize=2)
        for row, result in enumerate(frame):
            axis.text(result.worst, row, f"  {_figure(result.median, unit)}", va="center", fontsize=8)
            if result.target is not None:
                axis.plot([result.target] * 2, [row - 0.45, row + 0.45], color="#c0392b", linewidth=2)
        axis.invert_yaxis()
        axis.set_xlabel("CPU µs per operation" if unit == "µs" else unit)
        if unit == "µs":
            axis.set_xscale("log")
        axis.margins(x=0.15)
        axis.tick_params(axis="y", labelsize=8)
    figure.suptitle(  # pyright: ignore[reportUnknownMemberType]  # matplotlib leaves its keywords open
        f"Hawser micro benchmarks, {platform.python_implementation()} {platform.python_version()}: "
        "median, best to worst round, target in red",
        fontsize=10,
    )
    figure.savefig(path, dpi=120)  # pyright: ignore[reportUnknownMemberType]
    plt.close(figure)


def _figure(value: float, unit: str) -> str:
    if unit == "bytes":
        return f"{value:.0f}"
    return f"{value:.3f}" if value < 1 else f"{value:.2f}" if value < 10 else f"{value:.1f}"
