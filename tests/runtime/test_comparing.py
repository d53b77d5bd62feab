"""Reports that get lost on the way from the broker: subscribers are caught up, and never left with a hole."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from math import inf
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import ASK, EVERYONE, App, Gap, Position, connect
from hawser.brokers import BrokerUnavailable, History, LossSink, MemoryBroker, Sink
from hawser_engine.codes import GapReason
from hawser_engine.messages import WILDCARDS, ChannelRequest, Continue, Pause, Subscribe, Subscribed, Unsubscribe
from tests.runtime.helpers import FAST, PATIENCE, URL, RawClient, serving, told
from tests.runtime.stepping import at_once

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from trio.testing import MockClock

    from hawser import Message, Session
    from hawser.brokers import Entry
    from hawser.server.hub import Hub


ENOUGH = 1_000
"""Whoever asks for history more often than this does nothing else."""


class Lossy(MemoryBroker):
    """Loses every report as long as it is told to."""

    compare_seconds = 10.0

    enough: float = ENOUGH

    def __init__(self, random_bytes: Callable[[int], bytes] = token_bytes) -> None:
        super().__init__(clock=trio.current_time, random_bytes=random_bytes)
        self.losing = False
        self.away = False
        self.asked = 0
        """How often for history."""
        self.answer_seconds = 0.0
        """How long what was read then is under way."""
        self._lossy: dict[Sink, Sink] = {}
        self._told: dict[str, LossSink] = {}  # of losses, by pattern

    def _sink(self, sink: Sink) -> Sink:
        def lose(channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
            if not self.losing:
                sink(channel, epoch, entries)

        return self._lossy.setdefault(sink, lose)

    async def join(self, channel: str, sink: Sink) -> Position:
        return await super().join(channel, self._sink(sink))

    async def leave(self, channel: str, sink: Sink) -> None:
        await super().leave(channel, self._sink(sink))

    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        self._told[pattern] = lost
        await super().watch(pattern, self._sink(sink), lost)

    async def unwatch(self, pattern: str, sink: Sink) -> None:
        await super().unwatch(pattern, self._sink(sink))

    def say_so(self) -> None:
        """Nothing is lost any more, and what may have been is told."""
        self.losing = False
        for pattern, lost in self._told.items():
            lost(pattern)

    def forget(self, channel: str) -> None:
        """Lose a channel: it begins anew, under another epoch, also for those who have joined it."""
        sinks = self._stream(channel).sinks
        del self._streams[channel]
        self._stream(channel).sinks = sinks

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        self.asked += 1
        if self.away or self.asked > self.enough:
            raise BrokerUnavailable("away")
        history = await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        if self.answer_seconds:
            await trio.sleep(self.answer_seconds)
        return history


def rooms() -> tuple[Lossy, App]:
    """Channels that keep enough, and may be had by a pattern."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room:*", history=100, wildcard=EVERYONE, open=True)
    return broker, app


async def publish_or_lose(broker: Lossy, app: App, name: str, *numbers: int, lost: bool = False) -> None:
    """Publish them, and lose the reports or not."""
    broker.losing = lost
    for number in numbers:
        await app.publish(name, number)
    broker.losing = False


async def collect(messages: Any, count: int) -> list[Any]:
    items: list[Any] = []
    with trio.fail_after(PATIENCE):
        while len(items) < count:
            try:
                items.append((await messages.receive()).data)
            except Gap as gap:
                items.append((gap.since and gap.since.offset, gap.position.offset))
    return items


@pytest.mark.parametrize("history", [100, 2, 0])
async def test_who_missed_a_report_is_caught_up_while_connected(autojump_clock: MockClock, history: int) -> None:
    """SPEC CHN-15: also if nothing is published afterwards, with a filter, and by a pattern; else a gap is told."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room:*", history=history, about=["tags"], wildcard=EVERYONE, open=True)
    async with serving(app), connect(URL) as client, connect(URL) as other:
        async with (
            client.subscribe("room:1") as plain,
            other.subscribe("room:*") as wide,
            connect(URL) as third,
            third.subscribe("room:1", filter="not odd") as filtered,
        ):
            await app.publish("room:1", 1)
            for messages in (plain, wide, filtered):
                assert await collect(messages, 1) == [1]
            broker.losing = broker.away = True
            for number in (2, 3, 4):
                await app.publish("room:1", number)
            await trio.sleep(15)
            broker.away = False
            await trio.sleep(60)
            broker.losing = False
            expected: dict[int, list[Any]] = {100: [2, 3, 4], 2: [(1, 2), 3, 4], 0: [(1, 4)]}
            missed = expected[history]
            for messages in (plain, wide, filtered):
                assert await collect(messages, len(missed)) == missed
            await app.publish("room:1", 5)
            for messages in (plain, wide, filtered):
                assert await collect(messages, 1) == [5]


async def test_a_report_that_is_missed_is_noticed_with_the_next_one(autojump_clock: MockClock) -> None:
    """SPEC CHN-3: without waiting for the comparison."""
    broker, app = rooms()
    async with serving(app), connect(URL) as client, connect(URL) as other:
        async with client.subscribe("room:1") as plain, other.subscribe("room:*") as wide:
            await app.publish("room:1", 1)
            await trio.sleep(0.1)
            broker.losing = True
            await app.publish("room:1", 2)
            broker.losing = False
            await app.publish("room:1", 3)
            with trio.fail_after(1):
                assert await collect(plain, 3) == [1, 2, 3]
                assert await collect(wide, 3) == [1, 2, 3]


@pytest.mark.parametrize("history", [100, 0])
async def test_what_was_missed_before_somebody_subscribes_comes_to_a_pattern_then(
    autojump_clock: MockClock, history: int
) -> None:
    """SPEC CHN-15: the broker's answer to the one who subscribes says that there was more."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room:*", history=history, wildcard=EVERYONE, open=True)
    async with serving(app), connect(URL) as client, connect(URL) as other:
        async with other.subscribe("room:*") as wide:
            await app.publish("room:1", 1)
            assert await collect(wide, 1) == [1]
            broker.losing = True
            await app.publish("room:1", 2)
            broker.losing = False
            async with client.subscribe("room:1") as plain:
                assert await collect(wide, 1) == [2 if history else (1, 2)]
                await app.publish("room:1", 3)
                assert await collect(wide, 1) == await collect(plain, 1) == [3]


async def test_who_has_a_pattern_and_subscribes_is_told_what_was_missed_before(autojump_clock: MockClock) -> None:
    """SPEC WLD-4: it begins where the channel is, and what was not reported to its pattern is not passed over."""
    broker, app = rooms()
    async with serving(app), connect(URL) as client, client.subscribe("room:*") as wide:
        await app.publish("room:1", 1)
        assert await collect(wide, 1) == [1]
        broker.losing = True
        await app.publish("room:1", 2)
        broker.losing = False
        async with client.subscribe("room:1") as plain:
            assert await collect(wide, 1) == [(1, 2)]
            await app.publish("room:1", 3)
            assert await collect(plain, 1) == [3]


async def test_who_has_a_pattern_and_begins_where_the_broker_is_is_told_what_was_missed_before(
    autojump_clock: MockClock,
) -> None:
    """SPEC WLD-4, CHN-3: where the broker is ahead of what it has reported."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room:*", history=100, history_seconds=1, wildcard=EVERYONE, open=True)
    async with serving(app), connect(URL) as client, connect(URL) as other:
        async with client.subscribe("room:*") as wide, other.subscribe("room:1"):
            await app.publish("room:1", 1)
            assert await collect(wide, 1) == [1]
            broker.losing = True
            await app.publish("room:1", 2)
            broker.losing = False
            await trio.sleep(2)
            async with client.subscribe("room:1", rewind=9) as plain:
                assert await collect(wide, 1) == [(1, 2)]
                await app.publish("room:1", 3)
                assert await collect(plain, 1) == [3]


@pytest.mark.parametrize("joined", [True, False])
async def test_who_came_before_it_is_noticed_is_given_what_was_missed(autojump_clock: MockClock, joined: bool) -> None:
    """SPEC WLD-2, CHN-15: nobody can know whether that was before or after. Nothing is missing for who comes then."""
    broker, app = rooms()
    async with serving(app), connect(URL) as client, connect(URL) as other, client.subscribe("room:*") as wide:
        async with connect(URL) as fourth:
            await app.publish("room:1", 1)
            assert await collect(wide, 1) == [1]
            if joined:
                await fourth.subscribe("room:1").__aenter__()
            broker.losing = True
            await app.publish("room:1", 2)
            broker.losing = False
            async with other.subscribe("room:*") as later, connect(URL) as third:
                if joined:
                    await trio.sleep(25)
                async with connect(URL) as fifth, third.subscribe("room:1") as plain, fifth.subscribe("room:*") as last:
                    await app.publish("room:1", 3)
                    assert await collect(wide, 2) == await collect(later, 2) == [2, 3]
                    assert await collect(plain, 1) == await collect(last, 1) == [3]


@pytest.mark.parametrize("pattern", [False, True])
async def test_what_was_reported_and_waits_is_not_lost_with_what_was_not(
    autojump_clock: MockClock, pattern: bool
) -> None:
    """SPEC CHN-5: also where nothing is kept, and the channel is compared before the report is flushed."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room:*", history=0, wildcard=EVERYONE, open=True)
    async with serving(app) as server, connect(URL) as client, connect(URL) as other, other.subscribe("room:1"):
        async with client.subscribe("room:*" if pattern else "room:1") as messages:
            await app.publish("room:1", 1)
            assert await collect(messages, 1) == [1]
            at_once(app.publish("room:1", 2))
            broker.losing = True
            at_once(app.publish("room:1", 3))
            broker.losing = False
            [channel] = server._node.hub.joined_channels()  # pyright: ignore[reportPrivateUsage]
            server._node.hub.missed(channel, Position(channel.position.epoch, 3))  # pyright: ignore[reportPrivateUsage]
            assert await collect(messages, 2) == [2, (2, 3)]
            await app.publish("room:1", 4)
            assert await collect(messages, 1) == [4]


ROOMS = ("room:1", "room:2", "room:3")


@asynccontextmanager
async def entering(behind: int) -> AsyncGenerator[tuple[App, Lossy, Hub, AsyncIterator[Message]]]:
    """Somebody has just entered a pattern while something waits in all its channels."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("busy", open=True)
    rule = app.channel("room:*", history=100, wildcard=ASK, open=True)

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        for name in ROOMS if action == "wildcard" else ():
            at_once(app.publish(name, "before"))
        return True

    async def keep_busy() -> None:
        for number in range(100):  # as long as more comes, nothing is flushed
            await app.publish("busy", number)

    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        server = await enter(serving(app, config=attrs.evolve(FAST, wildcards_behind=behind)))
        other = await enter(connect(URL))
        for name in (*ROOMS, "busy"):
            await enter(other.subscribe(name))
        client = await enter(connect(URL))
        nursery = await enter(trio.open_nursery())
        nursery.start_soon(keep_busy)
        wide = await enter(client.subscribe("room:*"))
        yield app, broker, server._node.hub, wide  # pyright: ignore[reportPrivateUsage]


async def test_who_has_a_pattern_is_told_where_anything_of_it_may_have_been_lost(autojump_clock: MockClock) -> None:
    """SPEC WLD-9: also the first of a channel, of which nobody would ever know; then it goes on."""
    broker, app = rooms()
    app.channel("other:*", history=100, wildcard=EVERYONE, open=True)
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        await enter(serving(app))
        client, other, plain = await enter(connect(URL)), await enter(connect(URL)), await enter(connect(URL))
        wide = [await enter(client.subscribe("room:*")), await enter(other.subscribe("room:*"))]
        aside, alone = await enter(other.subscribe("other:*")), await enter(plain.subscribe("room:1"))
        broker.losing = True
        for name in ("room:1", "room:2"):
            await app.publish(name, "lost")
        broker.say_so()
        for messages in (*wide, aside):
            assert await collect(messages, 1) == [(None, 0)]
        for messages in (alone, *wide):
            assert await collect(messages, 1) == ["lost"]  # of a channel that is subscribed to it is found (CHN-15)
        for name in ("room:2", "other:1"):
            await app.publish(name, name)
        for messages in wide:
            assert await collect(messages, 1) == ["room:2"]
        assert await collect(aside, 1) == ["other:1"]
        await trio.sleep(60)
        broker.say_so()
        await app.publish("room:3", "afterwards")
        assert await collect(wide[0], 2) == [(None, 0), "afterwards"]


async def test_who_enters_a_pattern_while_something_waits_in_its_channels_is_behind_in_none(
    autojump_clock: MockClock,
) -> None:
    """SPEC WLD-6, WLD-2: what waits is not for it, in however many channels; it loses nothing of the pattern."""
    async with entering(behind=1) as (app, _, _, wide):
        for name in ROOMS:
            await app.publish(name, name)
        assert sorted(await collect(wide, 3)) == sorted(ROOMS)


@pytest.mark.parametrize(("behind", "expected"), [(2, [(None, 0)]), (3, ["lost"] * 3)])
async def test_who_is_left_behind_in_what_waited_as_it_entered_a_pattern(
    autojump_clock: MockClock, behind: int, expected: list[object]
) -> None:
    """SPEC WLD-6: in one channel more than it may, it loses the pattern."""
    async with entering(behind=behind) as (app, broker, hub, wide):
        rooms = [channel for channel in hub.joined_channels() if channel.name in ROOMS]
        assert all(channel.dirty for channel in rooms)
        broker.losing = True
        for room in rooms:
            at_once(app.publish(room.name, "lost"))
        broker.losing = False
        for room in rooms:
            hub.missed(room, Position(room.position.epoch, 2))
        assert await collect(wide, len(expected)) == expected
        await trio.sleep(1)
        for name in ROOMS:
            await app.publish(name, name)
        assert sorted(await collect(wide, 3)) == sorted(ROOMS)


async def test_who_loses_a_pattern_gets_nothing_twice(autojump_clock: MockClock) -> None:
    """SPEC WLD-6, WLD-4: also what it was fed of which there was no report."""
    broker, app = rooms()
    config = attrs.evolve(FAST, wildcards_behind=1)
    publish = partial(publish_or_lose, broker, app)
    async with serving(app, config=config), connect(URL) as client, client.subscribe("room:*") as wide:
        for name in ("room:1", "room:2"):
            await publish(name, 1)
            assert await collect(wide, 1) == [1]
        await publish("room:1", 2, lost=True)
        await publish("room:1", 3)
        await publish("room:1", 4, lost=True)
        assert await collect(wide, 3) == [2, 3, 4]
        await publish("room:2", 2, lost=True)
        await publish("room:2", 3)
        assert await collect(wide, 1) == [(None, 0)]
        await publish("room:1", 5)
        assert await collect(wide, 1) == [5]


async def test_who_loses_a_pattern_with_what_it_was_just_given_gets_that_once(autojump_clock: MockClock) -> None:
    """SPEC WLD-6, CHN-1: what waits is given at once where something behind it was not reported, and not again."""
    broker, app = rooms()
    config = attrs.evolve(FAST, wildcards_behind=1)
    async with serving(app, config=config) as server, connect(URL) as client, connect(URL) as other:
        async with other.subscribe("room:1"), other.subscribe("room:2"), client.subscribe("room:*") as wide:
            hub = server._node.hub  # pyright: ignore[reportPrivateUsage]
            channels = {channel.name: channel for channel in hub.joined_channels()}
            for name in channels:
                await app.publish(name, 1)
                assert await collect(wide, 1) == [1]
            at_once(app.publish("room:1", 2))
            broker.losing = True
            at_once(app.publish("room:1", 3))
            at_once(app.publish("room:2", 2))
            broker.losing = False
            for name, offset in (("room:2", 2), ("room:1", 3)):
                hub.missed(channels[name], Position(channels[name].position.epoch, offset))
            for number in range(4, 12):  # as long as more comes, nothing is flushed
                await app.publish("room:1", number)
            assert await collect(wide, 2) == [2, (None, 0)]
            assert await collect(wide, 8) == list(range(4, 12))


async def test_who_is_told_late_that_it_loses_a_pattern_goes_on_from_there(autojump_clock: MockClock) -> None:
    """SPEC WLD-6: what the loss is about, what was published before it was told among it, does not come behind it."""
    broker, app = rooms()
    config = attrs.evolve(FAST, wildcards_behind=1)
    slow = RawClient(features=(WILDCARDS,))
    async with serving(app, config=config) as server, connect(URL) as other:
        async with other.subscribe("room:1"), other.subscribe("room:2"):
            async with slow.connected():
                slow.say(Subscribe(1, (ChannelRequest("room:*", None),)))
                await slow.hear()
            hub = server._node.hub  # pyright: ignore[reportPrivateUsage]
            channels = {channel.name: channel for channel in hub.joined_channels()}
            await app.publish("room:2", 1)
            await trio.sleep(0.1)
            at_once(app.publish("room:1", 1))
            broker.losing = True
            at_once(app.publish("room:1", 2))
            broker.losing = False
            hub.missed(channels["room:1"], Position(channels["room:1"].position.epoch, 2))
            for number in range(3, 9):
                await app.publish("room:1", number)
            await trio.sleep(1)
            async with slow.connected():
                await trio.sleep(1)
                await app.publish("room:1", 9)
                await trio.sleep(1)
            assert told(slow) == [(None, 0, GapReason.OVERFLOW), 9]
            assert not hub.wildcards._strays  # pyright: ignore[reportPrivateUsage]


async def test_who_loses_a_pattern_closes_no_channel_under_those_who_are_to_be_fed(autojump_clock: MockClock) -> None:
    """SPEC WLD-5, WLD-6: it was the last that kept the channel open, for whoever is where the reports are does not."""
    broker, app = rooms()
    config, leaving = attrs.evolve(FAST, wildcards_behind=1), RawClient(features=(WILDCARDS,))
    publish = partial(publish_or_lose, broker, app, "room:1")
    async with serving(app, config=config) as server, connect(URL) as client, connect(URL) as other:
        async with client.subscribe("room:*") as ahead:
            async with leaving.connected():
                leaving.say(Subscribe(1, (ChannelRequest("room:*", None),)))
                await leaving.hear()
            await publish(1)
            await publish(2, lost=True)
            await publish(3)
            await publish(4, lost=True)
            assert await collect(ahead, 4) == [1, 2, 3, 4]
            async with other.subscribe("room:*") as there:
                broker.forget("room:1")
                await publish(1, lost=True)
                asked, broker.answer_seconds = broker.asked, 1.0
                async with leaving.connected():
                    await trio.sleep(0.5)
                    assert broker.asked == asked + 1  # and that it begins anew is on its way
                    leaving.say(Unsubscribe(2, ("room:*",)))
                    await leaving.hear()
                    await publish(2, lost=True)
                    assert await collect(ahead, 1) == [(None, 0)]
                    assert await collect(there, 3) == [(3, 0), 1, 2]
                await publish(3)
                assert await collect(there, 1) == [3]
                assert await collect(ahead, 2) == [2, 3]
        await trio.sleep(1)
        hub: Any = server._node.hub  # pyright: ignore[reportPrivateUsage]
        assert (hub._channels, hub._pins, hub.wildcards._strays) == ({}, {}, {})


async def test_who_is_behind_in_an_epoch_that_is_over_subscribes_in_the_new_one(autojump_clock: MockClock) -> None:
    """SPEC WLD-4, SUB-2: that its pattern stands elsewhere does not mean that it is ahead."""
    broker, app = rooms()
    async with serving(app), connect(URL) as client, client.subscribe("room:*") as wide:
        await app.publish("room:1", 1)
        assert await collect(wide, 1) == [1]
        broker.losing = broker.away = True
        await app.publish("room:1", 2)
        broker.losing = False
        await app.publish("room:1", 3)
        broker.forget("room:1")
        await app.publish("room:1", "anew")
        await trio.sleep(0.1)
        async with client.subscribe("room:1") as plain:
            broker.away = False
            assert await collect(wide, 1) == [(1, 1)]
            await app.publish("room:1", "more")
            assert await collect(plain, 1) == ["more"]


async def test_who_comes_to_a_pattern_that_nobody_had_is_given_nothing_from_before(autojump_clock: MockClock) -> None:
    """SPEC WLD-2: what was published while nobody had it was not missed by anybody."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("*", history=100, wildcard=EVERYONE, open=True)
    async with serving(app), connect(URL) as client, client.subscribe("other:*"):
        async with client.subscribe("room:*") as wide:
            await app.publish("room:1", 1)
            assert await collect(wide, 1) == [1]
        await trio.sleep(1)
        await app.publish("room:1", 2)
        async with client.subscribe("room:*") as wide:
            await app.publish("room:1", 3)
            assert await collect(wide, 1) == [3]


@pytest.mark.parametrize("known", ["subscribed", "patterned", "of another epoch", "subscribed in another epoch"])
async def test_a_loss_is_noticed_with_the_next_report_wherever_the_channel_is_known(
    autojump_clock: MockClock, known: str
) -> None:
    """SPEC CHN-3, WLD-5: also if nothing was reported since somebody subscribed, and at the start of an epoch."""
    broker, app = rooms()
    async with serving(app), connect(URL) as client, connect(URL) as other, client.subscribe("room:*") as wide:
        await app.publish("room:1", 0)
        assert await collect(wide, 1) == [0]
        async with AsyncExitStack() as stack:
            if known.startswith("subscribed"):
                await stack.enter_async_context(other.subscribe("room:1"))
            if known.endswith("epoch"):
                broker.forget("room:1")
            broker.losing = True
            await app.publish("room:1", 1)
            broker.losing = False
            await app.publish("room:1", 2)
            assert await collect(wide, 2) == [1, 2]


async def test_what_was_missed_of_an_epoch_that_is_over_holds_nobody_up(autojump_clock: MockClock) -> None:
    """The server once went back to it, and fed its subscribers again and again what there was not."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room", history=100, open=True)
    async with serving(app) as server, connect(URL) as client, client.subscribe("room") as messages:
        await app.publish("room", 1)
        broker.losing = True
        await app.publish("room", 2)
        broker.losing = False
        await trio.sleep(15)  # it was noticed that there is something
        broker.forget("room")
        await app.publish("room", "anew")
        assert await collect(messages, 3) == [1, (1, 0), "anew"]
        behind = server.overflow["room"].behind
        await trio.sleep(60)
        assert broker.asked < ENOUGH
        assert server.overflow["room"].behind == behind
        await app.publish("room", "more")
        assert await collect(messages, 1) == ["more"]


@pytest.mark.parametrize("lost", [1, 20])
async def test_who_is_fed_of_a_new_epoch_before_the_server_is_told_of_it_waits_for_what_comes(
    autojump_clock: MockClock, lost: int
) -> None:
    """There is nothing to feed any more, and the server once looked for it again and again until it was told."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room", history=100, open=True)
    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        assert isinstance(await client.hear(), Subscribed)
        old = (await app.publish("room", 0)).position
        await trio.sleep(1)
        client.say(Pause("room", old.epoch, 1))
        await trio.sleep(1)
        client.messages.clear()
        broker.forget("room")
        broker.losing = True
        for number in range(lost):
            await app.publish("room", number)
        broker.losing = False
        client.say(Continue("room", old.epoch, 1))
        await trio.sleep(1)
        assert told(client)[1:] == [(1, 0, 2), *range(1, lost + 1)]
        asked = broker.asked
        await trio.sleep(0.1)
        assert broker.asked == asked < ENOUGH
        await app.publish("room", "more")
        await trio.sleep(1)
        assert told(client)[-1] == lost + 1


@pytest.mark.parametrize("lost", [0, 3])
async def test_what_is_volatile_may_be_the_first_that_is_heard_of_a_new_epoch(
    autojump_clock: MockClock, lost: int
) -> None:
    """SPEC CHN-11, CHN-15: who stood in the old one is told, and caught up, and not only with the next publication."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room", history=100, volatile=True, open=True)
    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        await app.publish("room", 1)
        assert await collect(messages, 1) == [1]
        broker.forget("room")
        broker.losing = True
        for number in range(lost):
            await app.publish("room", number)
        broker.losing = False
        await app.publish("room", "now", volatile=True)
        await trio.sleep(60)
        with trio.fail_after(1):
            assert await collect(messages, 1 + lost) == [(1, 0), *range(lost)]


@pytest.mark.parametrize("history", [100, 0])
async def test_who_subscribes_in_a_new_epoch_before_the_server_is_told_of_it_stays_in_it(
    autojump_clock: MockClock, history: int
) -> None:
    """SPEC CHN-1: it was once taken back to the old epoch, by a gap, and then to the new one by another."""
    broker = Lossy()
    app = App(broker=broker)
    app.channel("room", history=history, open=True)
    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        old = (await app.publish("room", 1)).position
        assert await collect(messages, 1) == [1]
        broker.forget("room")
        broker.losing = True
        new = (await app.publish("room", 2)).position
        broker.losing = False
        async with RawClient().connected() as late:
            await late.opened.wait()
            late.say(Subscribe(1, (ChannelRequest("room", old),)))
            answer = await late.hear()
            assert isinstance(answer, Subscribed)
            [outcome] = answer.channels
            assert outcome.position == Position(new.epoch, 0 if history else 1)
            await trio.sleep(1)
            await app.publish("room", 3)
            await trio.sleep(60)
            assert told(late) == ([1, 2] if history else [2])
        assert await collect(messages, 3 if history else 2) == ([(1, 0), 2, 3] if history else [(1, 1), 3])


async def test_what_waits_to_be_delivered_is_not_missed_with_what_was_not_reported(autojump_clock: MockClock) -> None:
    """A pattern was once taken to stand behind what it was still to be given."""
    broker, app = rooms()
    async with serving(app) as server, connect(URL) as client, connect(URL) as other:
        async with client.subscribe("room:1") as plain, other.subscribe("room:*") as wide:
            await app.publish("room:1", 1)
            for messages in (plain, wide):
                assert await collect(messages, 1) == [1]
            at_once(app.publish("room:1", 2))
            broker.losing = True
            top = at_once(app.publish("room:1", 3)).position
            broker.losing = False
            hub: Any = server._node.hub  # pyright: ignore[reportPrivateUsage]
            hub.missed(hub._channels["room:1"], top)
            for messages in (plain, wide):
                assert await collect(messages, 2) == [2, 3]
