"""The one thread that writes: a change at a time, for as long as a store is open.

A thread of its own rather than one of the pool for each commit: handing over and back costs half as much.
"""

from __future__ import annotations

from queue import SimpleQueue
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

    from .book import Change


class _Call:
    """A change, and what became of it."""

    __slots__ = ("change", "error", "task")

    def __init__(self, change: Change) -> None:
        self.change = change
        self.task = trio.lowlevel.current_task()
        self.error: BaseException | None = None


class Writer:
    """Writes changes off the event loop.

    Args:
        write: Called in the thread.
    """

    def __init__(self, write: Callable[[Change], None]) -> None:
        self._write = write
        self._calls: SimpleQueue[_Call | None] = SimpleQueue()
        self._token = trio.lowlevel.current_trio_token()

    async def run(self) -> None:
        """Keep the thread until `stop`; a cancellation waits for that."""
        # Not one of the default limiter's places, which it would keep for good.
        await trio.to_thread.run_sync(self._work, limiter=trio.CapacityLimiter(1))

    def stop(self) -> None:
        """Let the thread end when it has written what it was given."""
        self._calls.put(None)

    async def write(self, change: Change) -> None:
        """Write a change. It cannot be cancelled: what has begun is carried out.

        Raises:
            BaseException: What writing it raised in the thread.
        """
        call = _Call(change)
        self._calls.put(call)
        await trio.lowlevel.wait_task_rescheduled(lambda _: trio.lowlevel.Abort.FAILED)
        if call.error is not None:
            raise call.error

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            try:
                self._write(call.change)
            except BaseException as error:
                call.error = error
            self._token.run_sync_soon(trio.lowlevel.reschedule, call.task)
