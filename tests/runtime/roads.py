"""Two carriages to one server of which each breaks, hesitates and swallows as it is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.testing import FaultyNetwork
from hawser_transports import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from hawser.testing.network import Wire
    from hawser_transports import Link, Listener


class Road(Transport):
    """One carriage, over memory; `met` is called with each of its links as it comes up."""

    def __init__(self, name: str, *, sure: Road | None = None) -> None:
        self.name = name
        self.network = FaultyNetwork()
        self.dials = 0
        """How often somebody tried to open a link."""
        self.dial_seconds = 0.0
        self.met: Callable[[Wire], Awaitable[None]] | None = None
        self._sure = sure

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`."""
        return await self.network.listen(url)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`."""
        self.dials += 1
        await trio.sleep(self.dial_seconds)
        link = await self.network.connect(url)
        link.carriage = self.name
        if self.met is not None:
            await self.met(self.network.wires[-1])
        return link

    def fallback(self, url: str) -> Transport | None:
        """See `Transport.fallback`."""
        return self._sure


class Roads:
    """A better carriage and a sure one, as an async context manager; `better` is what a client is given."""

    def __init__(self) -> None:
        self.sure = Road("sure")
        self.better = Road("better", sure=self.sure)

    async def __aenter__(self) -> Roads:
        await self.sure.network.__aenter__()
        await self.better.network.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.better.network.__aexit__(kind, error, traceback)
        await self.sure.network.__aexit__(kind, error, traceback)
