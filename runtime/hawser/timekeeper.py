"""The one timer task of a server or client: all deadlines in one heap, and an eye on jumps of time.

Whoever is called early says so by arming itself again, so moving a deadline later costs nothing. Moving it earlier
leaves the entry that there was behind: it is stale from then on, and calls nobody.
"""

from __future__ import annotations

import sys
import time
from heapq import heapify, heappop, heappush
from itertools import count
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

import trio

from hawser_engine.gaps import Gap, GapDetector

if TYPE_CHECKING:
    from collections.abc import Callable

STALE_MAX: Final = 1_000
"""So many stale entries may lie about beside as many as there are others, 120 bytes each; Trio does so with its own."""


class Timed(Protocol):
    """Something with deadlines."""

    armed: float
    """When it will be called at the latest; kept by the timekeeper, infinite at first."""

    def handle_timeout(self, now: float) -> None:
        """A deadline has come, or had come once: do what is due, and arm again for what is to come."""


def simulated() -> bool:
    """Whether Trio's clock is its mock; who set that has imported its module, which would load pytest here."""
    testing = sys.modules.get("trio.testing")
    return testing is not None and isinstance(trio.lowlevel.current_clock(), testing.MockClock)


def wall_time() -> float:
    """Seconds of the wall clock; where time is simulated, of that."""
    return trio.current_time() if simulated() else time.time()


class Age:
    """How long ago something was, by the clock that says more: while a machine sleeps the monotonic one may stand."""

    __slots__ = ("_now", "_wall")

    def __init__(self) -> None:
        self._now = trio.current_time()
        self._wall = wall_time()

    @property
    def seconds(self) -> float:
        """That many."""
        return max(trio.current_time() - self._now, wall_time() - self._wall)


class Timekeeper:
    """Calls back when deadlines have come.

    Args:
        gap_seconds: A pass that starts so late, or a wall clock that moved so far against it, is a gap (SPEC LIV-5).
        gap: Called at a gap, before any timeout, with the time and what was found.
        wall_clock: Seconds of the wall clock; the system's if not given.
        look_seconds: It looks at the clocks at least so often, if they can move apart: where a machine sleeps, that of
            the deadlines may stand still, and nothing else would tell for long that it woke.
    """

    def __init__(
        self,
        gap_seconds: float,
        gap: Callable[[float, Gap], None],
        wall_clock: Callable[[], float] | None = None,
        look_seconds: float = inf,
    ) -> None:
        self._gap_seconds = gap_seconds
        self._gap = gap
        self._wall_clock = wall_clock or wall_time
        self._look_seconds = look_seconds
        self._heap: list[tuple[float, int, Timed]] = []
        self._count = count()
        self._live = 0  # entries that are not stale
        self._scope: trio.CancelScope | None = None

    def arm(self, timed: Timed, deadline: float | None) -> None:
        """See that something is called at its deadline, or earlier; None asks for nothing.

        A deadline that has passed is now: else the pass that follows would be taken for one that comes too late.
        """
        if deadline is None or deadline >= timed.armed:
            return
        deadline = max(deadline, trio.current_time())
        if timed.armed == inf:
            self._live += 1
        elif len(self._heap) > 2 * self._live + STALE_MAX:
            self._prune()
        timed.armed = deadline
        heappush(self._heap, (deadline, next(self._count), timed))
        if self._scope is not None and deadline < self._scope.deadline:
            self._scope.deadline = deadline

    async def run(self) -> None:
        """Keep time until cancelled."""
        wall_clock = self._wall_clock
        look_seconds = inf if simulated() else self._look_seconds
        detector = GapDetector(self._gap_seconds, trio.current_time(), wall_clock())
        while True:
            deadline = min(self._heap[0][0] if self._heap else inf, trio.current_time() + look_seconds)
            with trio.CancelScope(deadline=deadline) as self._scope:
                await trio.sleep_forever()
            wanted = self._scope.deadline
            self._scope = None
            found = detector.check(trio.current_time(), wall_clock(), wanted)
            # LIV-6: whatever arrived in the same pass of the loop is processed before any timeout.
            await trio.lowlevel.checkpoint()
            now = trio.current_time()
            if found is not Gap.NONE:
                self._gap(now, found)
            while self._heap and self._heap[0][0] <= now:
                deadline, _, timed = heappop(self._heap)
                if deadline == timed.armed:  # not stale
                    timed.armed = inf
                    self._live -= 1
                    timed.handle_timeout(now)

    def _prune(self) -> None:
        """Drop what is stale, and all but one entry of whatever has several that are not."""
        live = {id(entry[2]): entry for entry in reversed(self._heap) if entry[0] == entry[2].armed}
        self._heap = list(live.values())
        heapify(self._heap)
