"""Two carriages to one server of which each breaks, hesitates and swallows as it is told."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import trio

from hawser.testing import FaultyNetwork
from hawser_transports import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from hawser.testing import CutKind
    from hawser.testing.network import Wire
    from hawser_transports import Link, Listener


class Road(Transport):
    """One carriage, over memory; `met` is called with each of its links as it comes up."""

    def __init__(self, name: str, seed: int, delay_seconds: tuple[float, float], sure: Road | None = None) -> None:
        self.name = name
        self.network = FaultyNetwork(seed=seed, delay_seconds=delay_seconds)
        self.dials = 0
        """How often somebody tried to open a link."""
        self.dial_seconds = 0.0
        self.refusal: OSError | None = None
        """What whoever wants to open a link is told after that time."""
        self.met: Callable[[Wire], Awaitable[None]] | None = None
        self._sure = sure

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`."""
        return await self.network.listen(url)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`."""
        self.dials += 1
        await trio.sleep(self.dial_seconds)
        if self.refusal is not None:
            raise self.refusal
        link = await self.network.connect(url)
        link.carriage = self.name
        if self.met is not None:
            await self.met(self.network.wires[-1])
        return link

    def fallback(self, url: str) -> Transport | None:
        """See `Transport.fallback`."""
        return self._sure


class Roads:
    """A better carriage and a sure one, as an async context manager; `better` is what a client is given.

    Args:
        seed: Decides which links break.
        better_seconds: How long a batch is under way on the one, at least.
        sure_seconds: And on the other.
        jitter_seconds: How much longer at most.
    """

    def __init__(
        self,
        seed: int = 0,
        *,
        better_seconds: float = 0.0,
        sure_seconds: float = 0.0,
        jitter_seconds: float = 0.0,
    ) -> None:
        self.sure = Road("sure", seed, (sure_seconds, sure_seconds + jitter_seconds))
        self.better = Road("better", seed + 1, (better_seconds, better_seconds + jitter_seconds), self.sure)

    @property
    def cuts(self) -> int:
        """How many links were broken on purpose."""
        return self.better.network.cuts + self.sure.network.cuts

    async def storm(self, *, every_seconds: float, kinds: tuple[CutKind, ...]) -> None:
        """Break links of both now and then until cancelled; see `FaultyNetwork.storm`."""
        async with trio.open_nursery() as nursery:
            for road in (self.better, self.sure):
                nursery.start_soon(partial(road.network.storm, every_seconds=2 * every_seconds, kinds=kinds))

    async def __aenter__(self) -> Roads:
        await self.sure.network.__aenter__()
        await self.better.network.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self.better.network.__aexit__(kind, error, traceback)
        finally:
            await self.sure.network.__aexit__(kind, error, traceback)
