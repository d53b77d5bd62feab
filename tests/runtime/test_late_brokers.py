"""A broker that is right but in no hurry: answers out of order, reports later still. Nobody misses anything."""

from __future__ import annotations

import random
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Config, Position, Principal, connect, to
from hawser.brokers import BrokerUnavailable, MemoryBroker, MemoryMailboxes, News, Published
from hawser.brokers.check import check_broker
from hawser.testing import seeded_bytes
from tests.runtime.helpers import FAST, PATIENCE, URL, collect, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence

    from trio.testing import MockClock

    from hawser import Client
    from hawser.brokers import Entry, History, Keeping, Letter, LossSink, MailSink, Posting, Sink, Submission
    from hawser_engine.messages import About


class _LateSink:
    """Holds reports to one sink for a while, and passes on several of a channel at once."""

    def __init__(self, sink: Sink, news: Callable[[], None]) -> None:
        self.sink = sink
        self._news = news
        self._held: dict[tuple[str, bytes], list[Entry]] = {}

    def __call__(self, channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
        self._held.setdefault((channel, epoch), []).extend(entries)
        self._news()

    @property
    def holds(self) -> bool:
        """Whether there is anything to report."""
        return bool(self._held)

    def left(self, channel: str) -> None:
        """Forget what is held of a channel."""
        self._held = {key: held for key, held in self._held.items() if key[0] != channel}

    def let_go(self) -> None:
        """Report what is held."""
        everything, self._held = self._held, {}
        for (channel, epoch), held in everything.items():
            self.sink(channel, epoch, held)


class LateBroker(MemoryBroker):
    """Each method takes a while before it does its work, and another one before it says so; so does each report."""

    at_once = 8

    def __init__(self, seed: int, clock: Callable[[], float] = trio.current_time) -> None:
        super().__init__(random_bytes=seeded_bytes(seed), clock=clock)
        self._dice = random.Random(seed)
        self._late: dict[Sink, _LateSink] = {}
        self._news = trio.Event()

    def _sink(self, sink: Sink) -> _LateSink:
        return self._late.setdefault(sink, _LateSink(sink, self._heard))

    def _heard(self) -> None:
        self._news.set()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await self.dawdle()
        task_status.started()
        while True:
            await self._news.wait()
            await self.dawdle()
            for late in self._late.values():
                if self._dice.random() < 0.5:
                    late.let_go()
            if not any(late.holds for late in self._late.values()):
                self._news = trio.Event()

    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        await self.dawdle()
        published = await super().publish(channel, data, **options)
        await self.dawdle()
        return published

    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        await self.dawdle()
        position = await super().publish_volatile(channel, data, about=about)
        await self.dawdle()
        return position

    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        await self.dawdle()
        outcomes = await super().publish_all(submissions)
        await self.dawdle()
        return outcomes

    async def join(self, channel: str, sink: Sink) -> Position:
        await self.dawdle()
        position = await super().join(channel, self._sink(sink))
        await self.dawdle()
        return position

    async def leave(self, channel: str, sink: Sink) -> None:
        await self.dawdle()
        late = self._sink(sink)
        await super().leave(channel, late)
        if late not in self._watchers.sinks(channel, ()):
            late.left(channel)

    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        await self.dawdle()
        await super().watch(pattern, self._sink(sink), lost)
        await self.dawdle()

    async def unwatch(self, pattern: str, sink: Sink) -> None:
        await self.dawdle()
        await super().unwatch(pattern, self._sink(sink))

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        await self.dawdle()
        page = await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        await self.dawdle()
        return page

    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        await self.dawdle()
        page = await super().history_before(channel, before, limit=limit, limit_bytes=limit_bytes)
        await self.dawdle()
        return page

    @cached_property
    def mailboxes(self) -> LateMailboxes:
        return LateMailboxes(self, self.dawdle, random_bytes=self._random_bytes, clock=self._clock)

    async def dawdle(self) -> None:
        await trio.sleep(self._dice.choice([0, 0.001, 0.01, 0.1]))


class LateMailboxes(MemoryMailboxes):
    """Likewise; and what sinks are told comes later still, and more often than it has to."""

    def __init__(
        self,
        broker: LateBroker,
        dawdle: Callable[[], Awaitable[None]],
        *,
        random_bytes: Callable[[int], bytes],
        clock: Callable[[], float],
    ) -> None:
        super().__init__(broker, random_bytes=random_bytes, clock=clock)
        self._dawdle = dawdle
        self._told: list[tuple[MailSink, str, News]] = []
        self._news = trio.Event()
        self._sinks: dict[MailSink, MailSink] = {}

    async def run(self) -> None:
        while True:
            await self._news.wait()
            self._news = trio.Event()
            await self._dawdle()
            told, self._told = self._told, []
            for sink, mailbox, news in told:
                if sink in self._sinks:
                    sink(mailbox, news)
                    sink(mailbox, News.POSTED)

    async def post(self, posting: Posting) -> Published:
        await self._dawdle()
        published = await super().post(posting)
        await self._dawdle()
        return published

    async def known(self, mailbox: str, key: bytes) -> Position | None:
        await self._dawdle()
        position = await super().known(mailbox, key)
        await self._dawdle()
        return position

    async def hold(self, mailbox: str, sink: MailSink) -> bool:
        await self._dawdle()

        def report(mailbox: str, news: News) -> None:
            self._told.append((sink, mailbox, news))
            self._news.set()

        held = await super().hold(mailbox, self._sinks.setdefault(sink, report))
        await self._dawdle()
        return held

    async def release(self, mailbox: str, sink: MailSink) -> None:
        await self._dawdle()
        if sink in self._sinks:
            await super().release(mailbox, self._sinks.pop(sink))

    async def read(self, mailbox: str, after: int, *, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        await self._dawdle()
        letters = await super().read(mailbox, after, limit=limit, limit_bytes=limit_bytes)
        await self._dawdle()
        return letters

    async def remove(self, mailbox: str, sink: MailSink, letters: Collection[Position]) -> bool:
        await self._dawdle()
        removed = await super().remove(mailbox, self._sinks.get(sink, sink), letters)
        await self._dawdle()
        return removed

    async def fail(self, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping) -> int | None:
        await self._dawdle()
        buried = await super().fail(mailbox, self._sinks.get(sink, sink), letters, keeping)
        await self._dawdle()
        return buried


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


@pytest.mark.parametrize("seed", range(5))
async def test_holders_that_come_and_go_are_given_every_letter_in_order(autojump_clock: MockClock, seed: int) -> None:
    app = App(broker=LateBroker(seed))
    app.mailbox("agent:*", open=True)
    dice, seen = random.Random(seed), list[int]()

    async def post_all(client: Client) -> None:
        for number in range(40):
            await client.post("agent:a", number)

    async def take_some(client: Client) -> None:
        while len(seen) < 40:
            wanted = dice.randrange(1, 8)
            async with client.mailbox("agent:a") as letters:
                with trio.move_on_after(1):
                    while wanted and len(seen) < 40:
                        seen.append((await letters.receive()).data)
                        letters.done()
                        wanted -= 1

    with trio.fail_after(PATIENCE):
        async with serving(app, config=FAST), connect(URL) as bob, connect(URL) as one, connect(URL) as two:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(post_all, bob)
                nursery.start_soon(take_some, one)
                nursery.start_soon(take_some, two)
    assert seen == list(range(40))


@pytest.mark.parametrize("seed", range(5))
async def test_what_is_sent_comes_once_be_it_at_once_or_as_a_letter(autojump_clock: MockClock, seed: int) -> None:
    """SPEC ADR-10, ADR-13: to a session that is often full, and whose mailbox is held now and then."""
    app = App(broker=LateBroker(seed))
    app.mailbox("user:*", open=True)
    app.user("*", open=True)
    dice = random.Random(seed)
    direct, letters, told = list[int](), list[int](), list[str]()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"])

    async def send(client: Client) -> None:
        for number in range(60):
            key = b"%d" % number
            outcome = (await client.send(to.user("bob"), number, key=key)).outcome
            told.append(outcome.status)
            if outcome.status == "queued" and dice.random() < 0.5:
                assert (await client.send(to.user("bob"), number, key=key)).outcome.status == "duplicate"

    async def listen(client: Client) -> None:
        async with client.directs() as directs:
            while True:
                direct.append((await directs.receive()).data)
                await trio.sleep(dice.choice([0, 0.3]))

    async def hold(client: Client) -> None:
        while True:
            async with client.mailbox() as mailbox:
                with trio.move_on_after(1):
                    while True:
                        letters.append((await mailbox.receive()).data)
                        mailbox.done()

    few = Config(direct_messages=2)
    with trio.fail_after(PATIENCE):
        async with (
            serving(app, config=FAST),
            connect(URL, token="ada") as ada,
            connect(URL, token="bob", config=few) as bob,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(listen, bob)
            nursery.start_soon(hold, bob)
            await send(ada)
            while len(direct) + len(letters) < 60:
                await trio.sleep(1)
            await trio.sleep(5)
            nursery.cancel_scope.cancel()
    assert sorted(direct + letters) == [*range(60)]
    assert (direct, letters) == (sorted(direct), sorted(letters))
    assert (told.count("delivered"), told.count("queued")) == (len(direct), len(letters))
    assert letters
    assert direct
