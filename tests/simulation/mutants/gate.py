"""Runs mutants, each in a process of its own, and says what noticed them."""

import json
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from attrs import frozen

__all__ = ["NONE", "RECORD", "Finding", "hunt", "read_record", "seeds_of", "write_record"]

NONE: Final = "none"
"""In place of a name: the engine as it is."""

RECORD: Final = Path(__file__).with_name("caught.toml")
"""Which seed has noticed which mutant, and by which invariant."""

_ROOT: Final = Path(__file__).parents[3]


@frozen
class Finding:
    """What became of one mutant."""

    name: str
    seeds: int = 0
    """How many were run."""
    reached: bool = False
    """All of its mutated code was run."""
    seconds: float = 0.0
    seed: int | None = None
    """The one that noticed it."""
    violation: str = ""
    """Which begins with the name of the invariant."""
    fault: str = ""
    """Why it could not be run at all."""

    @property
    def caught(self) -> bool:
        """Whether the mutant was run, and noticed."""
        return self.seed is not None and self.reached

    @property
    def invariant(self) -> str:
        """Return the name of the invariant that noticed it."""
        return self.violation.partition(":")[0]

    @property
    def verdict(self) -> str:
        """Return one line."""
        first = self.violation.partition("\n")[0]
        if self.fault:
            return self.fault
        if self.seed is None:
            reached = "" if self.reached else " and never run"
            return f"not noticed{reached} in {self.seeds} seeds"
        return f"seed {self.seed}: {first}" if self.reached else f"never run, and yet seed {self.seed} says {first}"


def hunt(
    name: str, seeds: Iterable[int], *, then_to: int = 0, progress: Callable[[int], None] | None = None
) -> Finding:
    """Run seeds with one mutant until something is noticed.

    Args:
        name: Of the mutant, or NONE.
        seeds: These first, in this order.
        then_to: Then all from 0 to below this.
        progress: Called with each seed that noticed nothing.
    """
    wanted = [str(seed) for seed in seeds]
    command = [sys.executable, "-m", "tests.simulation.mutants.worker", name, *wanted, "--then-to", str(then_to)]
    last = ""
    with subprocess.Popen(
        command, cwd=_ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        for line in process.stdout:
            last = line
            if progress is not None and line.strip().isdecimal():
                progress(int(line))
        complaint = process.stderr.read()
    if process.returncode or not last.startswith("{"):
        return Finding(name, fault=f"the process ended with {process.returncode}: {complaint.strip()[-2000:]}")
    told = json.loads(last)
    if "stale" in told:
        return Finding(name, fault=told["stale"])
    return Finding(
        name=name,
        seeds=told["seeds"],
        reached=all(told["reached"]),
        seconds=told["seconds"],
        seed=told.get("seed"),
        violation=told.get("violation", ""),
    )


def read_record() -> dict[str, tuple[int, str]]:
    """Return seed and invariant by mutant."""
    if not RECORD.exists():
        return {}
    table = tomllib.loads(RECORD.read_text(encoding="utf-8"))
    return {name: (row["seed"], row["by"]) for name, row in table.items()}


def write_record(findings: Iterable[Finding], names: Iterable[str]) -> None:
    """Take what was noticed into the record; what was not, and what is no mutant any more, goes out of it."""
    record = read_record()
    for finding in findings:
        if finding.caught and finding.seed is not None:
            record[finding.name] = finding.seed, finding.invariant
        else:
            record.pop(finding.name, None)
    lines = [
        "# Which seed noticed which planted bug first, and by which invariant; the short form begins there.",
        "# Written by: python -m tests.simulation.mutants --all --record",
        "",
    ]
    for name in names:
        if name in record:
            seed, by = record[name]
            lines.append(f'{name} = {{ seed = {seed}, by = "{by}" }}')
    RECORD.write_text("\n".join(lines) + "\n", encoding="utf-8")


def seeds_of(name: str) -> list[int]:
    """Return the seed that is known to notice a mutant, if there is one."""
    record = read_record()
    return [record[name][0]] if name in record else []
