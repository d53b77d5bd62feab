"""What runs of whole servers came to: medians over rounds, as a table in the README, as JSON, as a picture.

Used by `benchmarks.macro` and `benchmarks.peers`; the micro benchmarks have units and targets of their own.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from .processes import placement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["HERE", "Places", "Spread", "about", "record", "show_table", "table"]

HERE: Final = Path(__file__).parent

MEASURED: Final = ("engine", "transports", "runtime", "benchmarks/*.py", "benchmarks/*/*.py", "benchmarks/*/*/*.py")
"""What decides a figure; when none of it is changed, a commit names everything that was measured."""


@frozen
class Spread:
    """One figure over all rounds."""

    median: float
    best: float
    worst: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of the rounds, the smallest being the best."""
        return cls(statistics.median(values), min(values), max(values))

    def rounded(self) -> dict[str, float]:
        """As it is written into JSON."""
        return {"median": round(self.median, 4), "best": round(self.best, 4), "worst": round(self.worst, 4)}


@frozen
class Places:
    """Where the outcome of one suite is kept."""

    json: Path
    picture: Path
    readme: Path
    section: str
    """The README has its table between two comments with this name."""

    @classmethod
    def of(cls, suite: str, folder: Path = HERE) -> Places:
        """The places of a suite, below a folder that is laid out as this one is."""
        results = folder / "results"
        return cls(results / f"{suite}.json", results / f"{suite}.png", folder / "README.md", suite)


def about(rounds: int) -> dict[str, Any]:
    """What has to be known of a run to compare it with another one."""
    return {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": _commit(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.machine()}",
        "machine": f"{os.cpu_count()} cores, {_processor()}",
        "placement": placement(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
        "rounds": rounds,
    }


def table(rows: Sequence[Sequence[str]]) -> str:
    """Lay rows out as a Markdown table, the first one as its head; it also reads well on a terminal."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    lines.insert(1, "|" + "|".join("-" * (width + 2) for width in widths) + "|")
    return "\n".join(lines)


def record(places: Places, found: Mapping[str, Any], text: str) -> None:
    """Write the JSON, and the table into its section of the README.

    Args:
        places: Where.
        found: What `about` told, and the results.
        text: The table, and whatever else belongs to it.
    """
    places.json.write_text(json.dumps(found, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    show_table(places, found, text)


def show_table(places: Places, found: Mapping[str, Any], text: str) -> None:
    """Put a table into its section of the README.

    Raises:
        ValueError: The README has no such section.
    """
    begin, end = f"<!-- {places.section}: written by the benchmark -->", f"<!-- end of {places.section} -->"
    before, found_begin, rest = places.readme.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{places.readme.name} has no section {begin} … {end}")
    head = (
        f"{found['date']}, commit {found['commit']}, {found['python']}, {found['system']}, {found['machine']}; "
        f"{found['placement']}; {found['rounds']} round(s), load average {found['load_average'][0]:g} at the end "
        f"([JSON](results/{places.json.name}))."
    )
    section = f"{begin}\n{head}\n\n{text}\n{end}"
    places.readme.write_text(before + section + after, encoding="utf-8")


def _commit() -> str:
    """The commit that was measured, marked where something that decides a figure is not in it."""
    try:
        name = _git("rev-parse", "--short=10", "HEAD").strip()
        changed = _git("status", "--porcelain", "--", *MEASURED).strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{name} with changes" if changed else name


def _git(*arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=HERE.parent, check=True, capture_output=True, text=True, timeout=30
    ).stdout


def _processor() -> str:
    """What kind of processor it is, as far as the system tells."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or "of an unknown kind"
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
