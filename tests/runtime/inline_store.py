"""A store in a file whose work is done in the event loop: it takes a while, as a thread would, and the same each time.

What a thread does ends at a moment that no seed decides; here it ends when virtual time says so. Everything else is the
real thing: the file, its transactions, what is kept and what is found again.
"""

from __future__ import annotations

import random
import shutil
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import trio

from hawser.brokers.sqlite import SqliteBroker
from hawser.brokers.sqlite import broker as module
from hawser.brokers.sqlite import file as file_module

if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from pathlib import Path

    from hawser.brokers.sqlite.book import Change

WORK_SECONDS: Final = (0.0, 0.001, 0.01, 0.1)
"""How long it takes to write or to read."""
QUIET_SECONDS: Final = 1.0
"""Where nothing is written for so long, a kill comes between two commits."""
FILES: Final = ("", "-wal", "-lock")
"""What a store is, by the ends of their names; all else SQLite makes anew."""


def this_century() -> float:
    """What wall time is while virtual time begins at 0."""
    return 1_700_000_000 + trio.current_time()


class InlineStore:
    """A store that one broker after another has, each as by a process of its own.

    Args:
        folder: Where its files are to be.
        seed: Decides epochs, and how long everything takes.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.dice = random.Random(seed)
        self.kills = 0
        """How often whoever had it was killed."""
        self.struck: trio.Event | None = None
        """That it was, or will be in its next commit."""
        self._folder = folder
        self._others = 0

    @property
    def _path(self) -> Path:
        return self._folder / (f"store-{self.kills}.db" if self.kills else "store.db")

    def open(self) -> SqliteBroker:
        """The next broker."""
        return SqliteBroker(self._path, random_bytes=self.dice.randbytes, clock=trio.current_time)

    def open_another(self) -> SqliteBroker:
        """One for an application of its own, in a file of its own."""
        self._others += 1
        path = self._folder / f"other-{self._others}.db"
        return SqliteBroker(path, random_bytes=self.dice.randbytes, clock=this_century)

    async def kill(self) -> None:
        """Let whoever has it write nothing any more: the next one finds what ``kill -9`` would leave.

        It comes with the next commit, before or behind it, but before anybody is told.
        """
        self.struck = trio.Event()
        with trio.move_on_after(QUIET_SECONDS):
            await self.struck.wait()
        if not self.struck.is_set():
            self.strike()

    def strike(self) -> None:
        """Do so at once."""
        assert self.struck is not None
        self.struck.set()
        left = self._path
        self.kills += 1
        for end in FILES:
            shutil.copyfile(f"{left}{end}", f"{self._path}{end}")

    def make_writer(self, write: Callable[[Change], None]) -> InlineWriter:
        """What stands in the place of the thread that writes."""
        return InlineWriter(write, self)


class InlineWriter:
    """In the place of the thread that writes."""

    def __init__(self, write: Callable[[Change], None], store: InlineStore) -> None:
        self._write = write
        self._store = store
        self._kills = store.kills
        self._stopped = trio.Event()

    async def run(self) -> None:
        with trio.CancelScope(shield=True):
            await self._stopped.wait()

    def stop(self) -> None:
        self._stopped.set()

    async def write(self, change: Change) -> None:
        struck = self._store.struck
        dies = struck is not None and not struck.is_set()
        with trio.CancelScope(shield=True):
            await trio.sleep(max(WORK_SECONDS) if dies else self._store.dice.choice(WORK_SECONDS))
        if dies and self._store.kills == self._kills:
            if self._store.dice.random() < 0.5:
                self._write(change)  # and nobody is told
            self._store.strike()
        if self._store.kills > self._kills:
            await trio.sleep_forever()
        self._write(change)


@contextmanager
def inline_store(folder: Path, seed: int) -> Generator[InlineStore]:
    """A store for the length of a block in which nothing else may use threads; see `InlineStore`."""
    store = InlineStore(folder, seed)

    async def run_inline(
        function: Callable[..., Any], *arguments: Any, limiter: trio.CapacityLimiter | None = None
    ) -> Any:
        await trio.lowlevel.checkpoint_if_cancelled()
        with trio.CancelScope(shield=True):
            if limiter is None:
                await trio.sleep(store.dice.choice(WORK_SECONDS))
                return function(*arguments)
            async with limiter:
                await trio.sleep(store.dice.choice(WORK_SECONDS))
                return function(*arguments)

    with ExitStack() as stack:
        stack.enter_context(patch.object(module, "Writer", store.make_writer))
        stack.enter_context(patch.object(trio.to_thread, "run_sync", run_inline))
        stack.enter_context(patch.object(file_module, "this_boot", lambda: "one boot"))  # also where none has a name
        yield store
