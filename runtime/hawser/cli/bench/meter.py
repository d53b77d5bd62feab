"""What a load measures: how many operations, how long each took, what they cost.

Rule: memory does not grow with the run. Latencies go into buckets that are two per cent wide, rates into slices of
time of which there are at most `SLICES_MAX`.
"""

from __future__ import annotations

import math
import time
from contextlib import suppress
from typing import Final

import attrs
import trio

from hawser.cli import WRONG_USAGE, CommandFailed

FIRST_SECONDS: Final = 1e-6
"""The upper end of the first bucket; the loop's clock is no finer."""
GROWTH: Final = 1.02
BUCKETS: Final = 1_048
"""So many reach beyond 1,000 s, longer than any run lets an operation take."""
SLICES_MAX: Final = 600
SCHEDULED_TIME: Final = 2
"""What Linux puts into the id of a process's clock that counts the time it was running (clock_getcpuclockid(3))."""
SETTLE_SECONDS: Final = 30.0
"""How long what is under way at the end may take to come; what does not come fails the run."""


class Latencies:
    """A histogram; quantiles are exact to two per cent."""

    def __init__(self) -> None:
        self.count: int = 0
        self.longest: float = 0.0
        self._buckets = [0] * BUCKETS

    def add(self, seconds: float) -> None:
        """Count one."""
        self.count += 1
        self.longest = max(self.longest, seconds)
        place = math.ceil(math.log(max(seconds, FIRST_SECONDS) / FIRST_SECONDS, GROWTH))
        self._buckets[min(place, BUCKETS - 1)] += 1

    def quantile(self, part: float) -> float:
        """The seconds that this part of all did not exceed; 0 if there are none."""
        rank = max(1, math.ceil(part * self.count))
        for seconds, below in self.distribution():
            if below >= rank:
                return self.longest if below == self.count else seconds
        return 0.0

    def distribution(self) -> list[tuple[float, int]]:
        """For each bucket that holds any: its upper end in seconds, and how many are in it or before it."""
        points: list[tuple[float, int]] = []
        below = 0
        for place, held in enumerate(self._buckets):
            if held:
                below += held
                points.append((FIRST_SECONDS * GROWTH**place, below))
        return points


@attrs.frozen
class Bounds:
    """When a load ends, whichever comes first."""

    seconds: float
    count: int


class Meter:
    """Counts the operations of one run, between `start` and `stop`.

    Args:
        bounds: When to stop.
        server_pid: The server's process, if its CPU time is to be measured too.
    """

    def __init__(self, bounds: Bounds, server_pid: int | None = None) -> None:
        self.bounds = bounds
        self.latencies: Latencies = Latencies()
        self.doing: str = "connecting"
        """What goes on, for whoever watches."""
        self.notes: dict[str, int] = {}
        """What else the load has counted, by name."""
        self.seconds: float = 0.0
        """From start to stop, or to now."""
        self.patience: trio.CancelScope = trio.CancelScope()
        """Runs out when the load should long have ended."""
        self.server_cpu_seconds: float | None = None
        self.generator_cpu_seconds: float = 0.0
        self._server_pid = server_pid
        self._began: float | None = None
        self._over = False
        self._cpu_before = 0.0, 0.0
        self._slices = [0] * SLICES_MAX

    def start(self) -> None:
        """Everything is set up: measure from here on."""
        self.doing = "running"
        self._cpu_before = self._server_cpu(), time.process_time()
        self._began = trio.current_time()
        self.patience.deadline = self._began + self.bounds.seconds + SETTLE_SECONDS

    def stop(self) -> None:
        """The last operation is done."""
        self.doing = "leaving"
        self.update()
        self._over = True
        self.generator_cpu_seconds = time.process_time() - self._cpu_before[1]
        if self._server_pid is not None:
            self.server_cpu_seconds = self._server_cpu() - self._cpu_before[0]

    def add(self, seconds: float) -> None:
        """One operation is done, and took so long."""
        self.latencies.add(seconds)
        self.update()
        self._slices[min(SLICES_MAX - 1, int(self.seconds / self.slice_seconds))] += 1

    def update(self) -> None:
        """Let `seconds` be up to date."""
        if self._began is not None and not self._over:
            self.seconds = trio.current_time() - self._began

    @property
    def count(self) -> int:
        """How many operations are done."""
        return self.latencies.count

    @property
    def per_second(self) -> float:
        """How many were done in a second, on average."""
        return self.count / self.seconds if self.seconds else 0.0

    @property
    def slice_seconds(self) -> float:
        """How long one slice of `rates` is."""
        return max(0.1, self.bounds.seconds / SLICES_MAX)

    def rates(self) -> list[float]:
        """Operations a second, slice by slice, up to the last whole one."""
        whole = min(SLICES_MAX, int(self.seconds / self.slice_seconds))
        return [count / self.slice_seconds for count in self._slices[:whole]]

    def goes_on(self) -> bool:
        """Whether there is time and count left for another operation."""
        self.update()
        return self.seconds < self.bounds.seconds and self.count < self.bounds.count

    def cpu_us(self, seconds: float | None) -> float | None:
        """CPU time for each operation, in microseconds."""
        return None if seconds is None or not self.count else seconds / self.count * 1e6

    def _server_cpu(self) -> float:
        return 0.0 if self._server_pid is None else process_cpu_seconds(self._server_pid)


def process_cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used, in user and system mode and all its threads together.

    Linux has a clock of each process, in nanoseconds; ``/proc`` tells hundredths of a second, too few for a storm.

    Raises:
        CommandFailed: There is no such process, or this system does not tell.
    """
    if pid > 0:  # 0 would be this process
        with suppress(OSError):
            return time.clock_gettime((~pid << 3) | SCHEDULED_TIME)
    raise CommandFailed(
        f"--server-pid {pid}: there is no such process on this machine, or the system does not tell its CPU time",
        WRONG_USAGE,
    )
