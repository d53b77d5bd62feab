"""Medians as bars, drawn to a file: what the pictures of whole servers have in common."""

# pyright: reportUnknownMemberType=false
# (matplotlib leaves its keywords open)

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from matplotlib.axes import Axes

    from .report import Spread

__all__ = ["OTHERS", "OURS", "OURS_BARE", "OURS_MIXED", "bars", "draw"]

OURS: Final = "#2f6f9f"
OURS_BARE: Final = "#8fb8d4"
OURS_MIXED: Final = "#4f9f8f"
OTHERS: Final = "#b0b0b0"


def bars(axis: Axes, title: str, named: Sequence[tuple[str, Spread, str]], unit: str) -> None:
    """Draw one row for each: median as a bar, best to worst round as a line, the median in figures.

    Args:
        axis: Where.
        title: What it is about.
        named: Name, figure and colour of each row, from top to bottom.
        unit: What the figures are.
    """
    names = [name for name, _, _ in named]
    medians = [spread.median for _, spread, _ in named]
    below = [spread.median - spread.best for _, spread, _ in named]
    above = [spread.worst - spread.median for _, spread, _ in named]
    colours = [colour for _, _, colour in named]
    axis.barh(names, medians, xerr=[below, above], color=colours, ecolor="#606060", capsize=2)
    for row, (_, spread, _) in enumerate(named):
        text = f"{spread.median:.3g}" if spread.median < 1_000 else f"{spread.median:,.0f}"
        axis.text(spread.worst, row, f"  {text}", va="center", fontsize=8)
    axis.invert_yaxis()
    axis.set_xscale("log")
    axis.set_title(title, fontsize=9, loc="left")
    axis.set_xlabel(unit, fontsize=8)
    axis.margins(x=0.2)
    axis.tick_params(labelsize=8)


def draw(path: Path, title: str, frames: Sequence[tuple[str, Sequence[tuple[str, Spread, str]], str]]) -> None:
    """Write a picture of several frames, one below the other; the arguments of each are those of `bars`."""
    from matplotlib.figure import Figure  # only needed here, and slow to import

    heights = [len(named) + 1.5 for _, named, _ in frames]
    figure = Figure(figsize=(10, 1 + 0.36 * sum(heights)), layout="constrained")
    axes = figure.subplots(len(frames), 1, height_ratios=heights, squeeze=False)
    for axis, (about, named, unit) in zip(axes[:, 0], frames, strict=True):
        bars(axis, about, named, unit)
    figure.suptitle(title, fontsize=10)
    figure.savefig(path, dpi=120)
