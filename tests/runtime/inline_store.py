"""A store in a file whose work is done in the event loop: it takes a while, as a thread would, and the same each time.

What a thread does ends at a moment that no seed decides; here it ends when virtual time says so. Everything else is the
real thing: the file, its transactions, what is kept and what is found again.
"""

from __future__ import annotations

import random
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import trio

from hawser.brokers.sqlite import SqliteBroker
from hawser.brokers.sqlite import broker as module

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from hawser.brokers.sqlite.book import Change

WORK_SECONDS: Final = (0.0, 0.001, 0.01, 0.1)
"""How long it takes to write or to read."""


class _InlineWriter:
    """In the place of the thread that writes."""

    def __init__(self, write: Callable[[Change], None], dice: random.Random) -> None:
        self._write = write
        self._dice = dice
        self._stopped = trio.Event()

    async def run(self) -> None:
        with trio.CancelScope(shield=True):
            await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def write(self, change: Change) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(self._dice.choice(WORK_SECONDS))
        self._write(change)


@contextmanager
def inline_store(path: Path, seed: int) -> Generator[SqliteBroker]:
    """A broker in a file, for the length of a block in which nothing else may use threads.

    Args:
        path: Where the file is to be.
        seed: Decides epochs, and how long everything takes.
    """
    dice = random.Random(seed)

    async def run_inline(
        function: Callable[..., Any], *arguments: Any, limiter: trio.CapacityLimiter | None = None
    ) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            if limiter is None:
                await trio.sleep(dice.choice(WORK_SECONDS))
                return function(*arguments)
            async with limiter:
                await trio.sleep(dice.choice(WORK_SECONDS))
                return function(*arguments)

    def make_writer(write: Callable[[Change], None]) -> _InlineWriter:
        return _InlineWriter(write, dice)

    with ExitStack() as stack:
        stack.enter_context(patch.object(module, "Writer", make_writer))
        stack.enter_context(patch.object(trio.to_thread, "run_sync", run_inline))
        yield SqliteBroker(path, random_bytes=dice.randbytes, clock=trio.current_time)
