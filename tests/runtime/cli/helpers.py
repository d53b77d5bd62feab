"""What the command line's tests share: lines from a list, lines into a list, a server that can be replaced."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import trio

from hawser import App, Config, Server, serve
from hawser.cli.streams import Line

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable

URL = "memory://cli"
PATIENCE = 500
"""Virtual seconds after which what has not happened never will."""


class Lines:
    """Input lines from a list; with ``pause`` seconds before each."""

    def __init__(self, texts: Iterable[str], *, pause: float = 0) -> None:
        self.taken = 0
        self._texts = iter(texts)
        self._pause = pause

    def __aiter__(self) -> Lines:
        return self

    async def __anext__(self) -> Line:
        await trio.sleep(self._pause)
        for text in self._texts:
            self.taken += 1
            return Line(self.taken, text)
        raise StopAsyncIteration


class Written:
    """Output lines into a list."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.more = trio.Event()

    async def write(self, line: str) -> None:
        await trio.lowlevel.checkpoint()
        self.lines.append(line)
        self.more.set()
        self.more = trio.Event()

    async def until(self, count: int) -> None:
        """Wait until so many lines are written."""
        with trio.fail_after(PATIENCE):
            while len(self.lines) < count:
                await self.more.wait()


class Replaceable:
    """A server that can be killed, with every session, and started again at the same URL."""

    def __init__(self, app: App, nursery: trio.Nursery, config: Config | None) -> None:
        self.app = app
        self.server: Server | None = None
        self._nursery = nursery
        self._config = config
        self._scope = trio.CancelScope()
        self._ended = trio.Event()

    async def start(self) -> None:
        """Listen."""
        self._scope, self._ended = trio.CancelScope(), trio.Event()
        self.server = await self._nursery.start(self._run)

    async def kill(self) -> None:
        """End without a word."""
        self._scope.cancel()
        await self._ended.wait()

    async def _run(self, *, task_status: trio.TaskStatus[Server]) -> None:
        with self._scope:
            await partial(serve, config=self._config)(self.app, URL, task_status=task_status)
        self._ended.set()


@asynccontextmanager
async def replaceable(app: App, *, config: Config | None = None) -> AsyncGenerator[Replaceable, None]:
    """A started server for the length of a block."""
    async with trio.open_nursery() as nursery:
        server = Replaceable(app, nursery, config)
        await server.start()
        yield server
        nursery.cancel_scope.cancel()


async def stored(app: App, channel: str) -> list[bytes]:
    """Everything that the app's broker keeps of a channel, in its order."""
    kept: list[bytes] = []
    while entries := (await app.broker.history(channel, len(kept), limit=100, limit_bytes=2**20)).entries:
        kept += [entry.data for entry in entries]
    return kept
