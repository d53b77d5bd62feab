"""A store of presence that is right but in no hurry, and now and then out of reach: one far away, as a node sees it."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from hawser.brokers import PresenceStore

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hawser.brokers import PresenceSink
    from hawser_engine.channels.attendance import Writing
    from hawser_engine.presence import Member

T = TypeVar("T")


class _LateSink:
    """Holds reports of one channel for a while, and passes on several at once."""

    def __init__(self, channel: str, sink: PresenceSink, news: Callable[[], None]) -> None:
        self.left = False
        self._channel = channel
        self._sink = sink
        self._news = news
        self._held: list[Writing] = []

    def __call__(self, channel: str, changes: Sequence[Writing]) -> None:
        assert channel == self._channel
        self._held += changes
        self._news()

    @property
    def holds(self) -> bool:
        return bool(self._held)

    def let_go(self) -> None:
        """Report what is held."""
        held, self._held = self._held, []
        if held and not self.left:
            self._sink(self._channel, held)


class SlowPresence(PresenceStore):
    """Another store, from afar: each method takes a while before it does its work, and another one before it says so.

    Reports take longer still, or overtake the answer to the `watch` that they follow.

    Args:
        store: Where everything really is.
        seed: Decides how long everything takes.
    """

    def __init__(self, store: PresenceStore, seed: int) -> None:
        self.away: bool = False
        """Whether it is out of reach: of what it is asked to, the least is done, and nothing answered."""
        self._gone = False
        self._store = store
        self._dice = random.Random(seed)
        self._late: dict[tuple[str, PresenceSink], _LateSink] = {}
        self._news = trio.Event()

    async def vanish(self) -> None:
        """Whoever uses it is no more: nothing is done, and nobody told."""
        self._gone = True
        for (channel, _), late in self._late.items():
            late.left = True
            await self._store.unwatch(channel, late)

    async def run(self) -> None:
        """See `PresenceStore.run`."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._store.run)
            while True:
                await self._news.wait()
                await self._dawdle()
                for late in list(self._late.values()):
                    if self._dice.random() < 0.5:
                        late.let_go()
                if not any(late.holds for late in self._late.values()):
                    self._news = trio.Event()

    async def begin(self, seconds: float) -> bytes:
        """See `PresenceStore.begin`."""
        return await self._slowly(partial(self._store.begin, seconds))

    async def renew(self, lease: bytes, seconds: float) -> bool:
        """See `PresenceStore.renew`."""
        return await self._slowly(partial(self._store.renew, lease, seconds))

    async def end(self, lease: bytes) -> None:
        """See `PresenceStore.end`."""
        await self._slowly(partial(self._store.end, lease))

    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        """See `PresenceStore.write`."""
        return await self._slowly(partial(self._store.write, lease, writings))

    async def members(self, channel: str) -> tuple[Member, ...]:
        """See `PresenceStore.members`."""
        return await self._slowly(partial(self._store.members, channel))

    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Member, ...]:
        """See `PresenceStore.watch`."""
        return await self._slowly(partial(self._watch, channel, sink))

    async def _watch(self, channel: str, sink: PresenceSink) -> tuple[Member, ...]:
        late = _LateSink(channel, sink, self._heard)
        members = await self._store.watch(channel, late)
        self._late[channel, sink] = late
        await trio.sleep(self._dice.choice([0, 0.5, 1]))  # long enough for something to be reported
        return members

    async def unwatch(self, channel: str, sink: PresenceSink) -> None:
        """See `PresenceStore.unwatch`."""
        await self._slowly(partial(self._unwatch, channel, sink))

    async def _unwatch(self, channel: str, sink: PresenceSink) -> None:
        late = self._late.get((channel, sink))
        if late is not None:
            await self._store.unwatch(channel, late)
            late.left = True
            del self._late[channel, sink]

    def _heard(self) -> None:
        self._news.set()

    async def _slowly(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._dawdle()
        self._reach(self._dice.random() < 0.8)
        result = await work()
        await self._dawdle()
        self._reach(True)
        return result

    def _reach(self, likely: bool) -> None:
        if self._gone or (self.away and likely):
            raise OSError("out of reach")

    async def _dawdle(self) -> None:
        await trio.sleep(self._dice.choice([0, 0.001, 0.01, 0.1]))
