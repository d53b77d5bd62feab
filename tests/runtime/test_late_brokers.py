"""A broker that is right but in no hurry: answers out of order, reports later still. Nobody misses anything."""

from __future__ import annotations

import random
from functools import partial
from math import inf
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, Position, connect
from hawser.brokers import BrokerUnavailable, MemoryBroker, Published, Retention
from hawser.brokers.check import check_broker
from tests.runtime.helpers import FAST, URL, collect, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from hawser import Client
    from hawser.brokers import Entry, History, Sink, Submission
    from hawser_engine.messages import About


class _LateSink:
    """Holds reports of one channel for a while, and passes on several at once."""

    def __init__(self, sink: Sink) -> None:
        self.sink = sink
        self.left = False
        self._from = "", b""
        self._held: list[Entry] = []

    def __call__(self, channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
        self._from = channel, epoch
        self._held += entries

    def let_go(self) -> None:
        """Report what is held."""
        held, self._held = self._held, []
        if held and not self.left:
            self.sink(*self._from, held)


class LateBroker(MemoryBroker):
    """Each method takes a while before it does its work, and another one before it says so; so does each report."""

    at_once = 8

    def __init__(self, seed: int) -> None:
        super().__init__(clock=trio.current_time)
        self._dice = random.Random(seed)
        self._late: dict[tuple[str, Sink], _LateSink] = {}

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self._dawdle()
        task_status.started()
        while True:
            await self._dawdle()
            for late in self._late.values():
                if self._dice.random() < 0.5:
                    late.let_go()

    async def publish(
        self, channel: str, data: bytes, *, retention: Retention, key: bytes | None = None, about: About | None = None
    ) -> Published:
        await self._dawdle()
        published = await super().publish(channel, data, retention=retention, key=key, about=about)
        await self._dawdle()
        return published

    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        await self._dawdle()
        outcomes = await super().publish_all(submissions)
        await self._dawdle()
        return outcomes

    async def join(self, channel: str, sink: Sink) -> Position:
        await self._dawdle()
        late = self._late[channel, sink] = _LateSink(sink)
        position = await super().join(channel, late)
        await self._dawdle()
        return position

    async def leave(self, channel: str, sink: Sink) -> None:
        await self._dawdle()
        late = self._late.pop((channel, sink), None)
        if late is not None:
            late.left = True
            await super().leave(channel, late)

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        await self._dawdle()
        page = await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        await self._dawdle()
        return page

    async def _dawdle(self) -> None:
        await trio.sleep(self._dice.choice([0, 0.001, 0.01, 0.1]))


@pytest.mark.parametrize("seed", range(3))
async def test_it_keeps_the_contract(autojump_clock: MockClock, seed: int) -> None:
    await check_broker(LateBroker(seed))


async def publish(client: Client, name: str, count: int) -> None:
    receipts = [await client.submit("room", f"{name}{number}") for number in range(count)]
    for receipt in receipts:
        await receipt.wait()


@pytest.mark.parametrize("seed", range(5))
async def test_subscribers_old_and_new_see_one_order_and_that_of_each_publisher(
    autojump_clock: MockClock, seed: int
) -> None:
    app = App(broker=LateBroker(seed))
    app.channel("room", history=1_000, open=True)
    async with serving(app, config=FAST), connect(URL) as one, connect(URL) as two, connect(URL) as reader:
        first = await one.publish("room", "first")
        async with reader.subscribe("room") as live, trio.open_nursery() as nursery:
            nursery.start_soon(partial(publish, one, "a", 40))
            nursery.start_soon(partial(publish, two, "b", 40))
            begun = await collect(live, 20)
            async with two.subscribe("room", since=Position(first.position.epoch, 0)) as late:
                everything = await collect(late, 81)
            seen = [*begun, *await collect(live, 60)]
    assert everything == ["first", *seen]
    for name in "ab":
        assert [text for text in seen if text.startswith(name)] == [f"{name}{number}" for number in range(40)]
