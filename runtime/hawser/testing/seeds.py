"""Runs that happen again: virtual time, Trio's order of tasks by a seed, random bytes by a seed.

Trio runs whatever is ready in no particular order, on purpose: no program may rely on one. A test that once found a
bug has to find it again, so here the order is drawn from a seed, as Trio itself does for hypothesis.
"""

from __future__ import annotations

import random
from contextlib import contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, TypeVar, cast

import trio
from trio.testing import MockClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

T = TypeVar("T")


def seeded_bytes(seed: int) -> Callable[[int], bytes]:
    """A source of bytes that is the same for the same seed; for the ``random_bytes`` of `serve`, `connect` and brokers.

    Never for anything but tests: whoever knows the seed knows every secret.
    """
    return random.Random(seed).randbytes


@contextmanager
def seeded_scheduling(seed: int) -> Generator[None]:
    """Let `trio.run` take tasks in an order that the seed decides, for the length of a block.

    It is for the whole process, so no other thread may run Trio meanwhile.
    """
    # Trio has this switch for hypothesis and gives it no public name.
    scheduler = cast("Any", trio)._core._run
    source: random.Random = scheduler._r
    allowed, state = scheduler._ALLOW_DETERMINISTIC_SCHEDULING, source.getstate()
    scheduler._ALLOW_DETERMINISTIC_SCHEDULING = True
    source.seed(seed)
    try:
        yield
    finally:
        scheduler._ALLOW_DETERMINISTIC_SCHEDULING = allowed
        source.setstate(state)


class _Rests:
    """What is looked at whenever nothing goes on but time; the first thing that is wrong ends the program.

    It is not a task: one more of them would tell another story by the same seed.
    """

    def __init__(self, look: Callable[[], None] | None) -> None:
        self._look = look
        self._scope = trio.CancelScope()
        self.error: Exception | None = None

    def look(self) -> bool:
        """Look, unless something was wrong before; whether time may go on."""
        if self._look is not None and self.error is None:
            try:
                self._look()
            except Exception as error:
                self.error = error
                self._scope.cancel()
                return False
        return True

    async def run(self, function: Callable[[], Awaitable[T]]) -> T | None:
        """The program; None where it was ended."""
        with self._scope:
            return await function()
        return None


def _jumping_clock(look: Callable[[], bool]) -> MockClock:
    """Time that stands still until every task waits, then is that of the next deadline.

    It says what a `MockClock` says that jumps at once, to the last bit, for less: a simulation asks for the time
    several times in each pass of the loop, and a quarter of the passes would do nothing but jump.

    Args:
        look: Called before each jump; whether to jump.
    """
    clock = cast("Any", MockClock(autojump_threshold=0))  # nobody may derive from it

    def current_time() -> float:
        time: float = clock._virtual_base
        return time

    def deadline_to_sleep_time(deadline: float) -> float:
        return 0 if deadline <= clock._virtual_base else inf

    def jump() -> None:
        if not look():
            return
        # Whoever waits for that deadline is woken in this pass: the next one would do nothing else.
        deadlines = cast("Any", trio)._core._run.GLOBAL_RUN_CONTEXT.runner.deadlines
        seconds = deadlines.next_deadline() - clock._virtual_base
        if 0 < seconds < inf:
            clock._virtual_base += seconds
            deadlines.expire(clock._virtual_base)

    clock.current_time, clock.deadline_to_sleep_time, clock._autojump = current_time, deadline_to_sleep_time, jump
    return cast("MockClock", clock)


def run_seeded(
    function: Callable[..., Awaitable[T]], *arguments: Any, seed: int, at_rest: Callable[[], None] | None = None
) -> T:
    """Run a Trio program in virtual time, so that the same seed gives the same run.

    Sleeping costs nothing: the clock jumps as soon as every task waits. That holds for whatever runs in this process
    only: sockets, threads and other processes neither keep its time nor repeat themselves. Give what draws random
    bytes a source of its own by `seeded_bytes`, and links a `FaultyNetwork` with a seed.

    Args:
        function: The async function, as for `trio.run`.
        arguments: Its positional arguments.
        seed: Decides the order in which tasks run.
        at_rest: Called whenever every task waits, before time goes on: what has to hold then, such as that nothing is
            left half done, is checked there.

    Returns:
        What the function returned.

    Raises:
        Exception: What the function raised, or what ``at_rest`` raised, which ended the program.
    """
    rests = _Rests(at_rest)
    try:
        with seeded_scheduling(seed):
            return cast("T", trio.run(rests.run, partial(function, *arguments), clock=_jumping_clock(rests.look)))
    finally:
        if rests.error is not None:
            raise rests.error
