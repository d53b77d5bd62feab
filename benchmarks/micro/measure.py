"""Cases, and how they are timed: CPU time, in interleaved rounds, reported as the median over the rounds.

Every round runs every case once, so a minute in which the machine is busy touches all of them, and the ratio of two
cases means something even where neither figure does.
"""

import gc
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, TypeAlias

from attrs import frozen

__all__ = ["FULL", "QUICK", "Case", "Plan", "Result", "Round", "Size", "Timed", "measure"]


@frozen
class Plan:
    """How much is done."""

    rounds: int
    """How many times each case is timed."""
    loops: int
    """How often a case repeats a small step in one round."""
    subscribers: int
    """How many sessions a broadcast goes to."""


FULL = Plan(rounds=15, loops=10_000, subscribers=1_000)
QUICK = Plan(rounds=1, loops=50, subscribers=20)


def _nothing() -> None:
    """Leave everything as it is."""


class Round(NamedTuple):
    """One case, ready to be timed."""

    run: Callable[[], int]
    """Does the work and returns how many operations it was."""
    reset: Callable[[], None] = _nothing
    """Restores what ``run`` needs; not timed."""


@frozen
class Timed:
    """A case whose figure is CPU microseconds per operation."""

    name: str
    per: str
    """What one operation is."""
    start: Callable[[Plan], Round]
    target: float | None = None
    """The figure should not be above this."""


@frozen
class Size:
    """A case whose figure is bytes."""

    name: str
    per: str
    count: Callable[[Plan], float]
    target: float | None = None


Case: TypeAlias = Timed | Size


@frozen
class Result:
    """What a case came to."""

    name: str
    per: str
    unit: str
    """µs or bytes."""
    median: float
    best: float
    worst: float
    target: float | None

    @property
    def missed(self) -> bool:
        """Whether there is a target and the median is above it."""
        return self.target is not None and self.median > self.target


def measure(cases: Sequence[Case], plan: Plan, report: Callable[[str], None]) -> Iterator[Result]:
    """Run the cases; yield their results in the order of ``cases``.

    Args:
        cases: What to measure.
        plan: How much of it.
        report: Is told what is going on, for people who wait.
    """
    ready: dict[str, Round] = {}
    figures: dict[str, list[float]] = {case.name: [] for case in cases}
    for case in cases:
        report(f"preparing {case.name}")
        if isinstance(case, Timed):
            ready[case.name] = case.start(plan)
        else:
            figures[case.name].append(case.count(plan))
    gc.collect()
    gc.freeze()  # what the cases keep is not looked at again and again
    for turn in range(plan.rounds):
        report(f"round {turn + 1} of {plan.rounds}")
        for name, work in ready.items():
            figures[name].append(_microseconds(work))
    gc.unfreeze()
    for case in cases:
        seen = figures[case.name]
        unit = "µs" if isinstance(case, Timed) else "bytes"
        yield Result(case.name, case.per, unit, statistics.median(seen), min(seen), max(seen), case.target)


def _microseconds(work: Round) -> float:
    work.reset()
    gc.collect()
    gc.disable()  # a collection belongs to whoever made the garbage, and would fall on anyone
    try:
        start = time.process_time()
        operations = work.run()
        spent = time.process_time() - start
    finally:
        gc.enable()
    return spent * 1e6 / operations
