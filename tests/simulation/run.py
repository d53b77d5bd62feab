"""One seed to its outcome, and many of them over several processes.

``run_seed`` is what others build on: it never raises for a fault of the engine, it reports it.
"""

import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from attrs import Factory, define, frozen

from .books import Violation
from .coverage import Cells
from .sittings import seeds_in, spread, stretches
from .world import World

__all__ = ["CHUNK", "TRANSCRIPTS", "Outcome", "Totals", "run_many", "run_seed", "transcript_of"]

CHUNK: Final = 25
"""So many seeds are given to a process at a time."""

TRANSCRIPTS: Final = Path(__file__).with_name("transcripts.json")
"""Hashes of the transcripts of a few seeds: the same on every Python (I16)."""


@frozen
class Outcome:
    """What became of one seed."""

    seed: int
    violation: str | None
    """Name of the invariant and what was seen; None if all hold."""
    up: int
    """Messages delivered from clients to the server."""
    down: int
    faults: int
    resets: int
    steps: int
    seconds: float
    """Virtual ones."""
    cells: Cells = Factory(dict[int, int])


@define
class Totals:
    """Sums over many seeds."""

    done: set[int] = Factory(set[int])
    up: int = 0
    down: int = 0
    faults: int = 0
    resets: int = 0
    seconds: float = 0.0
    violations: list[tuple[int, str]] = Factory(list[tuple[int, str]])
    cells: Cells = Factory(dict[int, int])

    def add(self, outcome: Outcome) -> None:
        """Take one more outcome in."""
        self.done.add(outcome.seed)
        self.up += outcome.up
        self.down += outcome.down
        self.faults += outcome.faults
        self.resets += outcome.resets
        self.seconds += outcome.seconds
        if outcome.violation is not None:
            self.violations.append((outcome.seed, outcome.violation))
        for index, count in outcome.cells.items():
            self.cells[index] = self.cells.get(index, 0) + count

    def record(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "done": stretches(self.done),
            "seeds": len(self.done),
            "up": self.up,
            "down": self.down,
            "faults": self.faults,
            "resets": self.resets,
            "seconds": round(self.seconds, 3),
            "violations": self.violations,
            "cells": {str(index): self.cells[index] for index in sorted(self.cells)},
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Totals":
        """Read what `record` has written, or wrote when seeds were done in a row."""
        return cls(
            done=seeds_in(record.get("done") or [(record["start"], record["end"])]),
            violations=[(seed, text) for seed, text in record["violations"]],
            cells={int(index): count for index, count in record["cells"].items()},
            **{name: record[name] for name in ("up", "down", "faults", "resets", "seconds")},
        )


def run_seed(seed: int) -> Outcome:
    """Run the world of a seed to its end."""
    world = World(seed)
    return _outcome(seed, world, _violation(world))


def transcript_of(seed: int) -> tuple[Outcome, list[str], str]:
    """Run a seed and return its outcome, the lines of its transcript and their hash."""
    world = World(seed, transcript=True)
    violation = _violation(world)
    if violation is not None:
        world.transcript.add(world.time, "violation", violation.splitlines()[0])
    return _outcome(seed, world, violation), world.transcript.lines, world.transcript.digest()


def run_many(seeds: Iterable[int], jobs: int = 1) -> Iterator[Outcome]:
    """Run many seeds; outcomes come as they are ready, with several jobs in any order."""
    return spread(run_seed, seeds, jobs, chunk=CHUNK)


def _violation(world: World) -> str | None:
    try:
        world.run()
    except Violation as violation:
        return str(violation)
    except Exception as error:  # whatever comes out of the engine is the finding (I13)
        place = "".join(traceback.format_exception(error)[-4:])
        return f"I13: {type(error).__name__}: {error}\n{place}"
    return None


def _outcome(seed: int, world: World, violation: str | None) -> Outcome:
    up, down = world.taken
    return Outcome(seed, violation, up, down, world.faults.count, world.resets, world.steps, world.time, world.cells)
