"""Channels: rights, history and positions, what is behind and how it is fed, and what comes and goes."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Client, ClientPool, Gap, Position, RequestFailed, Session, connect, to
from hawser.brokers import History, MemoryBroker, Retention
from hawser.testing import FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.channels.chunks import CHUNK_MESSAGES
from hawser_engine.messages import (
    ChannelRequest,
    Publication,
    Publish,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
)
from tests.runtime.helpers import FAST, URL, RawClient, collect, only_session, open_app, serving, told
from tests.runtime.over_brokers import each_broker, inside, its_own, only_over, prompt

if TYPE_CHECKING:
    from trio.testing import MockClock

pytestmark = each_broker

# ---------------------------------------------------------------- rights


@pytest.mark.parametrize("action", ["publish", "subscribe"])
async def test_who_may_not_is_told_so_and_the_session_goes_on(autojump_clock: MockClock, action: str) -> None:
    app = App()
    rule = app.channel("room:*")
    asked: list[tuple[str, str]] = []

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        asked.append((action, channel))
        return channel != "room:secret"

    async def act(client: Client, channel: str) -> None:
        if action == "publish":
            await client.publish(channel, 1)
        else:
            async with client.subscribe(channel):
                pass

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed, match="DENIED"):
            await act(client, "room:secret")
        with pytest.raises(RequestFailed, match="NOT_FOUND"):
            await act(client, "hall")
        await act(client, "room:open")
        assert asked == [(action, "room:secret"), (action, "room:open")]


async def test_a_channel_without_an_authorizer_is_closed_unless_it_is_declared_open(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("closed")
    app.channel("open", open=True)
    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed, match="DENIED"):
            await client.publish("closed", 1)
        await client.publish("open", 1)


async def test_rights_are_checked_again_at_every_resume(autojump_clock: MockClock) -> None:
    app = App()
    rule = app.channel("*")
    lost: set[str] = set()

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return channel not in lost

    async with serving(app), FaultyNetwork() as network, connect(URL, transport=network) as client:
        async with client.subscribe("kept") as kept, client.subscribe("lost") as gone:
            await client.publish("lost", 1)
            await client.publish("kept", 1)
            await trio.sleep(1)
            lost.add("lost")
            await network.cut()
            await trio.sleep(5)
            await app.publish("lost", 2)
            await app.publish("kept", 2)
            assert await collect(kept, 2) == [1, 2]
            assert await collect(gone, 1) == [1]
            with pytest.raises(RequestFailed, match="DENIED: the right to it was withdrawn"):
                await gone.receive()


# ---------------------------------------------------------------- history and positions


async def test_a_subscription_since_a_position_is_told_everything_after_it(autojump_clock: MockClock) -> None:
    app = open_app(history=100)
    async with serving(app), connect(URL) as client:
        positions = [(await client.publish("room", number)).position for number in range(10)]
        async with client.subscribe("room", since=positions[3]) as messages:
            await client.publish("room", 10)
            assert await collect(messages, 7) == [4, 5, 6, 7, 8, 9, 10]
        async with client.subscribe("room", since=(await client.publish("room", 11)).position) as messages:
            await client.publish("room", 12)
            assert await collect(messages, 1) == [12]
        async with client.subscribe("room", since=Position(positions[0].epoch, 0)) as messages:
            assert await collect(messages, 13) == list(range(13))


@pytest.mark.parametrize(
    ("since", "expected"),
    [
        ((True, 0), [(0, 5, 1), 6, 7, 8]),
        ((True, 4), [(4, 5, 1), 6, 7, 8]),
        ((True, 5), [6, 7, 8]),
        ((True, 9), [(9, 5, 2), 6, 7, 8]),
        ((False, 3), [(3, 5, 2), 6, 7, 8]),
    ],
    ids=["the beginning", "one short", "just reached", "above the end", "another epoch"],
)
async def test_what_history_no_longer_reaches_is_a_gap_and_the_rest_follows(
    autojump_clock: MockClock, since: tuple[bool, int], expected: list[Any]
) -> None:
    app = open_app(history=3)
    async with serving(app), connect(URL) as client:
        last = [await client.publish("room", number) for number in range(1, 9)][-1]
        same_epoch, offset = since
        epoch = last.position.epoch if same_epoch else b"another!"
        async with client.subscribe("room", since=Position(epoch, offset)) as messages:
            assert messages.position == Position(epoch, offset) or messages.feed
            assert await collect(messages, len(expected)) == expected
            await client.publish("room", 9)
            assert await collect(messages, 1) == [9]


@pytest.mark.slow
async def test_what_is_no_position_is_refused_where_it_is_given(autojump_clock: MockClock) -> None:
    """A tuple worked until something was missing, and then ended the client in its read loop."""
    app = open_app(history=2)
    async with serving(app), connect(URL) as client, ClientPool() as pool, pool.client(URL) as shared:
        since = (await app.publish("room", 1)).position
        for number in range(5):
            await app.publish("room", number)
        wrong: Any = (since.epoch, since.offset)
        for each in (client, shared):
            with pytest.raises(TypeError, match=r"since is a Position, as message\.position is one, not tuple"):
                each.subscribe("room", since=wrong)
            async with each.subscribe("room", since=since) as messages:
                with pytest.raises(Gap):
                    await messages.receive()
        with pytest.raises(TypeError, match="since is a Position"):
            await app.subscribe(to.user("ada"), "room", since=wrong)
        none: Any = 7
        with pytest.raises(TypeError, match="filter is a text, such as"):
            client.subscribe("room", filter=none)


async def test_nothing_is_lost_or_doubled_between_history_and_what_is_published_meanwhile(
    autojump_clock: MockClock,
) -> None:
    app = open_app(history=10_000)
    async with (
        serving(app, config=FAST),
        connect(URL) as talker,
        connect(URL) as client,
        trio.open_nursery() as nursery,
    ):
        first = await talker.publish("room", 0)

        async def talk() -> None:
            for number in range(1, 1_000):
                await talker.submit("room", number)
                if number % 10 == 0:
                    await trio.sleep(0.01)

        nursery.start_soon(talk)
        for _ in range(20):
            await trio.sleep(0.03)
            async with client.subscribe("room", since=Position(first.position.epoch, 0)) as messages:
                for number in range(200):
                    assert (await messages.receive()).data == number


async def test_the_answer_to_a_subscribe_says_where_the_channel_stands(autojump_clock: MockClock) -> None:
    app = open_app(history=3)
    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        last = [await app.publish("room", number) for number in range(5)][-1]
        epoch = last.position.epoch
        wanted = [None, Position(epoch, 3), Position(epoch, 1), Position(epoch, 7), Position(b"another!", 4)]
        for id, since in enumerate(wanted):
            client.say(Subscribe(2 * id + 1, (ChannelRequest("room", since),)))
            answer = await client.hear()
            assert isinstance(answer, Subscribed)
            [outcome] = answer.channels
            assert outcome.position is not None
            expected = [(0, 5, ""), (1, 3, ""), (2, 2, "HISTORY_TOO_SHORT"), (2, 2, "EPOCH_CHANGED")]
            assert (outcome.status, outcome.position.offset, outcome.reason) == [*expected, expected[-1]][id]
            client.say(Unsubscribe(2 * id + 2, ("room",)))
            while not isinstance(await client.hear(), Unsubscribed):
                pass


# ---------------------------------------------------------------- together


@prompt
@pytest.mark.parametrize("count", [1, 2, 16, 32])
async def test_what_is_published_together_is_delivered_together(autojump_clock: MockClock, count: int) -> None:
    subscriber, publisher = RawClient(), RawClient()
    async with serving(open_app(), config=FAST), subscriber.connected(), publisher.connected():
        await subscriber.opened.wait()
        await publisher.opened.wait()
        subscriber.say(Subscribe(1, (ChannelRequest("room", None),)))
        assert isinstance(await subscriber.hear(), Subscribed)
        subscriber.brought.clear()
        for first in range(1, 20 * count, count):
            publisher.say(*(Publish(first + number, "room", b"\x00", None) for number in range(count)))
            await subscriber.until(lambda: len(subscriber.messages) == count)
            await trio.sleep(2)
            assert told(subscriber) == list(range(first, first + count))
            assert subscriber.brought == [count]
            subscriber.messages.clear()
            subscriber.brought.clear()


async def test_publications_without_end_hold_back_no_delivery(autojump_clock: MockClock) -> None:
    app = open_app()
    client = RawClient()
    async with serving(app, config=FAST), client.connected():
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        assert isinstance(await client.hear(), Subscribed)
        published = 0
        while not client.messages:
            await app.publish("room", published)
            published += 1
        assert published < 2 * CHUNK_MESSAGES


# ---------------------------------------------------------------- behind


async def slow_reader(client: RawClient, since: Position | None = None) -> None:
    await client.opened.wait()
    client.deliver = False
    client.say(Subscribe(1, (ChannelRequest("room", since),)))
    assert isinstance(await client.hear(), Subscribed)


async def catch_up(client: RawClient) -> None:
    await trio.sleep(1)  # all is reported by then
    client.deliver = True
    client.engine.session.delivered(client.engine.session.inbox.received, trio.current_time())
    client.flush()
    await trio.sleep(10)


@pytest.mark.parametrize("window", [1, 2, 7, 33, 1_000])
async def test_a_subscriber_without_window_is_fed_from_history_when_it_has_some(
    autojump_clock: MockClock, window: int
) -> None:
    app = open_app(history=1_000)
    raw = RawClient(EngineConfig(window_messages=window))
    async with serving(app, config=FAST), raw.connected() as client:
        await slow_reader(client)
        for number in range(500):
            await app.publish("room", number)
        await trio.sleep(10)
        assert len(client.messages) <= window
        client.deliver = True
        await catch_up(client)
        await client.until(lambda: len(client.messages) == 500)
        assert told(client) == list(range(1, 501))


async def test_history_that_is_too_short_by_then_leaves_a_gap(autojump_clock: MockClock) -> None:
    app = open_app(history=20)
    raw = RawClient(EngineConfig(window_messages=5))
    async with serving(app, config=FAST), raw.connected() as client:
        await slow_reader(client)
        for number in range(200):
            await app.publish("room", number)
            await trio.sleep(0.01)
        await catch_up(client)
        await client.until(lambda: len(client.messages) == 25)
        assert told(client) == [1, 2, 3, 4, (4, 180, 1), *range(181, 201)]  # the fifth place holds the answer


async def test_a_channel_without_history_keeps_a_hundred_for_whoever_is_behind(autojump_clock: MockClock) -> None:
    app = open_app(history=0)
    raw = RawClient(EngineConfig(window_messages=5))
    async with serving(app, config=FAST), raw.connected() as client:
        await slow_reader(client)
        for number in range(80):
            await app.publish("room", number)
            await trio.sleep(0.01)
        await catch_up(client)
        assert told(client) == list(range(1, 81))
        client.messages.clear()
        client.deliver = False
        for number in range(300):
            await app.publish("room", number)
            await trio.sleep(0.01)
        received = len(client.messages)
        await catch_up(client)
        assert told(client)[:received] == list(range(81, 81 + received))
        assert told(client)[received:] == [(80 + received, 280, 3), *range(281, 381)]


async def test_what_a_channel_without_history_keeps_is_bounded_by_bytes_too(autojump_clock: MockClock) -> None:
    app = open_app(history=0)
    raw = RawClient(EngineConfig(window_messages=1))
    async with serving(app, config=FAST), raw.connected() as client:
        await slow_reader(client)
        for _ in range(20):
            await app.publish("room", bytes(10_000))
            await trio.sleep(0.01)
        await catch_up(client)
        assert told(client) == [(0, 14, 3), *range(15, 21)]


async def test_long_publications_reach_a_subscriber_that_is_behind_in_order_with_short_ones(
    autojump_clock: MockClock,
) -> None:
    app = open_app(history=100)
    sizes = [10, 300_000, 10, 70_000, 65_000, 65_536, 10, 1_000_000, 10]
    raw = RawClient(EngineConfig(window_messages=3))
    async with serving(app, config=FAST), raw.connected() as client, connect(URL) as other:
        async with other.subscribe("room") as messages:
            await slow_reader(client)
            for size in sizes:
                await app.publish("room", bytes(size))
            await catch_up(client)
            await client.until(lambda: len(client.messages) == len(sizes))
            assert told(client) == list(range(1, len(sizes) + 1))
            assert [len(message) for message in await collect(messages, len(sizes))] == sizes


@only_over("memory")  # of others 5,000 publications take longer than a session lives
@pytest.mark.slow
async def test_a_detached_subscriber_costs_nothing_and_is_fed_when_it_comes_back(autojump_clock: MockClock) -> None:
    app = open_app(history=5_000)
    async with serving(app, config=FAST) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network) as client, client.subscribe("room") as messages:
            network.refuse()
            await network.cut()
            for number in range(5_000):
                await app.publish("room", number)
            session = await only_session(server)
            assert session.engine.outbox.inflight_bytes < 1_000
            network.refuse(False)
            assert await collect(messages, 5_000) == list(range(5_000))


async def test_members_that_are_behind_share_the_bytes_they_are_fed(autojump_clock: MockClock) -> None:
    app = open_app(history=1_000)
    async with serving(app, config=FAST) as server, connect(URL) as one, connect(URL) as other:
        last = [await app.publish("room", number) for number in range(100)][-1]
        since = Position(last.position.epoch, 0)
        async with one.subscribe("room", since=since) as first, other.subscribe("room", since=since) as second:
            assert await collect(first, 100) == await collect(second, 100) == list(range(100))
            node = server._node  # pyright: ignore[reportPrivateUsage]
            pages = node.hub._feeder._pages  # pyright: ignore[reportPrivateUsage]
            assert len(pages) == 7  # 16 a page: shared, not one set for each


@inside
async def test_a_new_epoch_while_subscribed_is_told_before_its_first_publication(autojump_clock: MockClock) -> None:
    """A broker that lost its history begins anew under another epoch."""
    app = open_app(history=10)
    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        await app.publish("room", "old")
        assert await collect(messages, 1) == ["old"]
        broker = app.broker
        assert isinstance(broker, MemoryBroker)
        stream: Any = broker._stream("room")  # pyright: ignore[reportPrivateUsage]
        stream.epoch, stream.top, stream.past = b"another!", 0, None
        for number in range(3):
            await app.publish("room", number)
        assert await collect(messages, 4) == [(1, 0, 2), 0, 1, 2]


@its_own
async def test_reports_that_come_before_the_join_is_answered_move_the_channel_on(autojump_clock: MockClock) -> None:
    class Eager(MemoryBroker):
        async def join(self, channel: str, sink: Any) -> Position:
            position = await super().join(channel, sink)
            await self.publish(channel, b"\x01", retention=Retention(10))
            await trio.sleep(1)
            await self.publish(channel, b"\x02", retention=Retention(10))
            return position

    app = App(broker=Eager())
    app.channel("room", history=10, open=True)
    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        assert messages.position is not None
        assert messages.position.offset == 2
        await client.publish("room", 3)
        assert await collect(messages, 1) == [3]


@its_own
async def test_a_join_that_fails_is_an_error_and_can_be_tried_again(autojump_clock: MockClock) -> None:
    class Moody(MemoryBroker):
        mood = "bad"

        async def join(self, channel: str, sink: Any) -> Position:
            if self.mood == "bad":
                raise ConnectionError
            return await super().join(channel, sink)

    broker = Moody()
    app = App(broker=broker)
    app.channel("room", open=True)
    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed, match="INTERNAL"):
            await client.subscribe("room").__aenter__()
        broker.mood = "good"
        async with client.subscribe("room") as messages:
            await client.publish("room", 1)
            assert await collect(messages, 1) == [1]


@its_own
async def test_a_leave_that_fails_is_an_incident_and_the_channel_can_be_joined_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Moody(MemoryBroker):
        async def leave(self, channel: str, sink: Any) -> None:
            await super().leave(channel, sink)
            raise ConnectionError("the broker is away")

    app = App(broker=Moody())
    app.channel("room", history=10, open=True)
    async with serving(app) as server, connect(URL) as client:
        for number in range(3):
            async with client.subscribe("room") as messages:
                await client.publish("room", number)
                assert await collect(messages, 1) == [number]
            await trio.sleep(1)
        hub: Any = server._node.hub  # pyright: ignore[reportPrivateUsage]
        assert (hub._channels, hub._locks, hub._pins) == ({}, {}, {})
    assert len(caplog.records) == 3


@its_own
async def test_a_history_that_is_ahead_of_the_reports_delivers_nothing_twice(autojump_clock: MockClock) -> None:
    """A subscriber fed from history gets what the broker has not reported yet; the report is then old news."""

    class Late(MemoryBroker):
        async def join(self, channel: str, sink: Any) -> Position:
            held: list[Any] = []

            def late(channel: str, epoch: bytes, entries: Any) -> None:
                held.append((channel, epoch, tuple(entries)))

            async def tell() -> None:
                while True:
                    await trio.sleep(1)
                    while held:
                        sink(*held.pop(0))

            nursery.start_soon(tell)
            return await super().join(channel, late)

    async with trio.open_nursery() as nursery:
        app = App(broker=Late())
        app.channel("room", history=100, open=True)
        async with serving(app), connect(URL) as client, connect(URL) as other:
            async with client.subscribe("room") as live:
                positions = [(await app.publish("room", number)).position for number in range(10)]
                async with other.subscribe("room", since=positions[2]) as fed:
                    await app.publish("room", 10)
                    assert await collect(fed, 8) == [3, 4, 5, 6, 7, 8, 9, 10]
                    await trio.sleep(3)
                    await app.publish("room", 11)
                    assert await collect(fed, 1) == [11]
                    assert await collect(live, 12) == list(range(12))
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- coming and going


@its_own
async def test_a_channel_is_left_when_its_last_subscriber_is_gone(autojump_clock: MockClock) -> None:
    left: list[str] = []

    class Noting(MemoryBroker):
        async def leave(self, channel: str, sink: Any) -> None:
            await super().leave(channel, sink)
            left.append(channel)

    app = App(broker=Noting())
    app.channel("*", history=10, open=True)
    async with serving(app), connect(URL) as one, connect(URL) as other:
        async with one.subscribe("room"):
            async with other.subscribe("room"):
                await trio.sleep(1)
            await trio.sleep(1)
            assert left == []
        await trio.sleep(1)
        assert left == ["room"]


@its_own
async def test_a_channel_may_be_left_and_joined_at_once_by_many(autojump_clock: MockClock) -> None:
    class Slow(MemoryBroker):
        async def join(self, channel: str, sink: Any) -> Position:
            await trio.sleep(0.05)
            return await super().join(channel, sink)

        async def leave(self, channel: str, sink: Any) -> None:
            await trio.sleep(0.05)
            await super().leave(channel, sink)

        async def history(
            self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf
        ) -> History:
            await trio.sleep(0.02)
            return await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)

    app = App(broker=Slow())
    app.channel("*", history=10, open=True)
    async with serving(app) as server, trio.open_nursery() as nursery:

        async def come_and_go(number: int) -> None:
            async with connect(URL) as client:
                for count in range(20):
                    await trio.sleep(0.013 * (number + 1))
                    async with client.subscribe("room") as messages:
                        await client.publish("room", [number, count])
                        while (await messages.receive()).data != [number, count]:
                            pass

        for number in range(5):
            nursery.start_soon(come_and_go, number)
        nursery.start_soon(come_and_go, 0)
        await trio.sleep(60)
        hub: Any = server._node.hub  # pyright: ignore[reportPrivateUsage]
        assert (hub._channels, hub._locks, hub._pins) == ({}, {}, {})


async def test_channels_that_were_refused_leave_nothing_behind(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("closed:*")
    async with serving(app) as server, connect(URL) as client:
        for number in range(50):
            with pytest.raises(RequestFailed):
                await client.subscribe(f"closed:{number}").__aenter__()
        hub: Any = server._node.hub  # pyright: ignore[reportPrivateUsage]
        assert (hub._channels, hub._locks, hub._pins) == ({}, {}, {})


@pytest.mark.slow
async def test_more_members_than_one_pass_serves_all_get_everything(autojump_clock: MockClock) -> None:
    app = open_app(history=10)
    async with serving(app, config=FAST) as server, trio.open_nursery() as nursery:
        seen: list[int] = []
        ready = 0

        async def listen() -> None:
            nonlocal ready
            async with RawClient().connected() as client:
                await client.opened.wait()
                client.say(Subscribe(1, (ChannelRequest("room", None),)))
                await client.hear()
                ready += 1
                for _ in range(3):
                    message = await client.hear()
                    assert isinstance(message, Publication)
                    seen.append(message.offset)

        for _ in range(600):
            nursery.start_soon(listen)
        while ready < 600:
            await trio.sleep(0.1)
        for number in range(3):
            await app.publish("room", number)
            await trio.sleep(1)
        assert sorted(seen) == sorted([1, 2, 3] * 600)
        assert server.sessions == 600
