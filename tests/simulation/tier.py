"""The worlds of the second tier by name, one of them to its result, and what many of them add up to.

Like ``run`` for the engine: `run_one` never raises for a fault of the runtime, it reports it.
"""

import gc
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeAlias

from attrs import Factory, define, frozen

from hawser.answers import STATUSES
from hawser_engine.codes import SendStatus
from tests.runtime import agents_world, channels_world, letters_world, presence_world, service_world, world
from tests.runtime.frame import Outcome
from tests.runtime.reading import Broken

from .patience import Endless, limited
from .sittings import seeds_in, stretches

__all__ = ["CHUNK", "KINDS", "Item", "Kind", "Result", "Sum", "Totals", "run_one"]

CHUNK: Final = 10
"""So many worlds are given to a process at a time."""
CPU_SECONDS_MAX: Final = 120.0
"""No world needs a tenth of it."""


@frozen
class Kind:
    """One sort of world."""

    run: Callable[[int], Outcome]
    quick: int
    """So many seeds are part of `make test`."""
    sometimes: tuple[str, ...] = ()
    """What has to have happened in some of those, by the names of `Outcome.counts`."""

    def replay(self, seed: int) -> str:
        """The command that runs a seed again."""
        return f"python -m {self.run.__module__} {seed}"


KINDS: Final = {
    "runtime": Kind(world.run_world, 300, ("moves", "shared", "gaps")),
    "channels": Kind(channels_world.run_world, 15, ("volatile", "gaps", "kept", "kills")),
    "agents": Kind(agents_world.run_world, 30, ("calls answered",)),
    "presence": Kind(presence_world.run_world, 9, ("states",)),
    "letters": Kind(letters_world.run_world, 6, ("dead", *(f"statuses {status.name}" for status in SendStatus))),
    "service": Kind(service_world.run_world, 6, ("sent nobody", *(f"answers {status}" for status in STATUSES))),
}
"""All there are, by name."""

Item: TypeAlias = tuple[str, int]
"""The name of a sort of world, and a seed."""


@frozen
class Result:
    """What became of one seed, without its story."""

    kind: str
    seed: int
    violation: str | None
    """What did not hold, and how to run it again; None if all does."""
    cpu_seconds: float
    seconds: float = 0.0
    """Virtual ones."""
    eventful: bool = True
    counts: dict[str, int] = Factory(dict[str, int])


def run_one(item: Item, *, cpu_seconds_max: float = CPU_SECONDS_MAX) -> Result:
    """Run one world to its end."""
    name, seed = item
    kind = KINDS[name]
    began = time.process_time()
    gc.disable()  # cycles are looked for between two worlds
    try:
        with limited(cpu_seconds_max):
            told = kind.run(seed)
    except Broken as broken:  # it says how to run it again
        return Result(name, seed, str(broken), time.process_time() - began)
    except (Exception, Endless, BaseExceptionGroup) as error:
        text = "".join(traceback.format_exception(error)[-4:])
        return Result(name, seed, f"{error!r}\n{text}replay: {kind.replay(seed)}", time.process_time() - began)
    finally:
        gc.enable()
    return Result(name, seed, None, time.process_time() - began, told.seconds, told.eventful, told.counts)


# ---------------------------------------------------------------- sums


@define
class Sum:
    """What worlds of one sort add up to."""

    done: set[int] = Factory(set[int])
    uneventful: int = 0
    """In which nothing broke."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    counts: Counter[str] = Factory(Counter[str])
    violations: list[tuple[int, str]] = Factory(list[tuple[int, str]])

    def add(self, result: Result) -> None:
        """Take one more in."""
        self.done.add(result.seed)
        self.uneventful += not result.eventful
        self.seconds += result.seconds
        self.cpu_seconds += result.cpu_seconds
        self.counts.update(result.counts)
        if result.violation is not None:
            self.violations.append((result.seed, result.violation))

    def merge(self, other: "Sum") -> None:
        """Take in what another run has done.

        Raises:
            ValueError: Both have done the same seeds.
        """
        both = stretches(self.done & other.done)
        if both:
            raise ValueError(f"the seeds {both} are in both, and would count twice")
        self.done |= other.done
        self.uneventful += other.uneventful
        self.seconds += other.seconds
        self.cpu_seconds += other.cpu_seconds
        self.counts.update(other.counts)
        self.violations += other.violations

    def record(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "done": stretches(self.done),
            "worlds": len(self.done),
            "uneventful": self.uneventful,
            "seconds": round(self.seconds, 3),
            "cpu_seconds": round(self.cpu_seconds, 3),
            "counts": {name: self.counts[name] for name in sorted(self.counts)},
            "violations": sorted(self.violations),
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Sum":
        """Read what `record` has written."""
        return cls(
            seeds_in(record["done"]),
            record["uneventful"],
            record["seconds"],
            record["cpu_seconds"],
            Counter(record["counts"]),
            [(seed, text) for seed, text in record["violations"]],
        )


@define
class Totals:
    """What worlds of all sorts add up to."""

    sums: dict[str, Sum] = Factory(dict[str, Sum])
    commits: Counter[str] = Factory(Counter[str])
    """So many worlds were run at each."""

    @property
    def worlds(self) -> int:
        """How many there were."""
        return sum(len(each.done) for each in self.sums.values())

    @property
    def violations(self) -> list[tuple[str, int, str]]:
        """What was found: the sort of world, the seed, and what it says."""
        return [(name, seed, text) for name, each in self.sums.items() for seed, text in sorted(each.violations)]

    def left(self, kinds: Iterable[str], seeds: range) -> list[Item]:
        """What has not been done of these, one sort after another for each seed."""
        done = {name: self.sums[name].done if name in self.sums else set[int]() for name in kinds}
        return [(name, seed) for seed in seeds for name in done if seed not in done[name]]

    def add(self, result: Result, commit: str) -> None:
        """Take one more in."""
        self.sums.setdefault(result.kind, Sum()).add(result)
        self.commits[commit] += 1

    def merge(self, other: "Totals") -> None:
        """Take in what another run has done.

        Raises:
            ValueError: Both have done the same seeds of the same world.
        """
        for name, each in other.sums.items():
            self.sums.setdefault(name, Sum()).merge(each)
        self.commits.update(other.commits)

    def record(self) -> dict[str, Any]:
        """All of it, as JSON can hold it."""
        return {
            "commits": dict(self.commits),
            "total": {
                "worlds": self.worlds,
                "faults": sum(each.counts["faults"] for each in self.sums.values()),
                "virtual_hours": round(sum(each.seconds for each in self.sums.values()) / 3600, 1),
                "cpu_hours": round(sum(each.cpu_seconds for each in self.sums.values()) / 3600, 2),
                "violations": len(self.violations),
            },
            "worlds": {name: self.sums[name].record() for name in sorted(self.sums)},
        }

    @classmethod
    def of(cls, record: dict[str, Any]) -> "Totals":
        """Read what `record` has written."""
        return cls({name: Sum.of(each) for name, each in record["worlds"].items()}, Counter(record["commits"]))
