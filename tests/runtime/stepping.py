"""Trio, driven from a program that is not async: as far as the next thing is done, and no further.

For hypothesis, whose rules are plain functions. What is under way when a step has come to its end stays there until
the next one; time passes only within steps. What `at_once` does in a step happens in one pass of the loop, so that
nobody else has a turn in between.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, TypeVar

import trio
import trio.lowlevel
from outcome import Value
from trio.testing import MockClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from outcome import Outcome

ResultT = TypeVar("ResultT")

PASSES_MAX = 100_000
"""After so many passes of the loop a step will never be done."""


CHECKPOINT: Final = trio.lowlevel.cancel_shielded_checkpoint().send(None)  # noqa: ASYNC105 - nobody awaits it
"""What a coroutine asks of Trio at a checkpoint: to go on after the others have had a turn."""


def at_once(coroutine: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run a coroutine to its end within a step, here and now: at its checkpoints nobody else has a turn.

    Raises:
        AssertionError: It waits for something else.
    """
    answer = None
    while True:
        try:
            asked = coroutine.send(answer)
        except StopIteration as over:
            result: ResultT = over.value
            return result
        assert asked is CHECKPOINT, f"{coroutine} waits"
        answer = Value(None)


class Stepper:
    """A run of Trio, as the guest of whoever calls `do`, by a clock that jumps to where somebody wakes up."""

    def __init__(self) -> None:
        self._due: deque[Callable[[], object]] = deque()
        self._ended: Outcome[None] | None = None
        self._nursery: trio.Nursery | None = None
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._due.append,
            run_sync_soon_not_threadsafe=self._due.append,
            done_callback=self._end,
            host_uses_signal_set_wakeup_fd=True,
            clock=MockClock(autojump_threshold=0),
        )
        self._pass_until(lambda: self._nursery is not None)

    def do(self, function: Callable[..., Awaitable[ResultT]], *arguments: object) -> ResultT:
        """Run an async function to its end; whatever else is to be done meanwhile is done as far as it comes."""
        assert self._nursery is not None
        results: list[ResultT] = []
        errors: list[Exception] = []

        async def job() -> None:
            try:
                results.append(await function(*arguments))
            except Exception as error:
                errors.append(error)

        self._token.run_sync_soon(self._nursery.start_soon, job)
        self._pass_until(lambda: bool(results or errors))
        if errors:
            raise errors[0]
        return results[0]

    def start(self, function: Callable[..., Awaitable[object]]) -> None:
        """Begin something that goes on until the end, as `trio.Nursery.start` does."""
        assert self._nursery is not None
        self.do(self._nursery.start, function)

    def close(self) -> None:
        """End the run, and everything that was begun in it."""
        assert self._nursery is not None
        if self._ended is None:
            self._token.run_sync_soon(self._nursery.cancel_scope.cancel)
            self._pass_until(lambda: self._ended is not None)

    async def _main(self) -> None:
        self._token = trio.lowlevel.current_trio_token()
        async with trio.open_nursery() as self._nursery:
            await trio.sleep_forever()

    def _end(self, ended: Outcome[None]) -> None:
        self._ended = ended

    def _pass_until(self, done: Callable[[], bool]) -> None:
        for _ in range(PASSES_MAX):
            if done():
                return
            if self._ended is not None:
                self._ended.unwrap()
            self._due.popleft()()
        raise AssertionError("a step is never done")
