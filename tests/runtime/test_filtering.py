"""Subscriptions that get only what passes a filter: shared bytes, positions, pauses, and no hole but what is told."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Config, Gap, Position, RequestFailed, connect
from hawser.client.feed import Feed, Flow
from hawser.testing import CutKind, FaultyNetwork, run_seeded
from hawser_engine.codes import ErrorCode, GapReason
from hawser_engine.messages import (
    ChannelRequest,
    PositionNotice,
    Publication,
    Subscribe,
    Subscribed,
    SubscribeOptions,
    Unsubscribe,
)
from tests.runtime.helpers import PATIENCE, URL, RawClient, collect, serving
from tests.runtime.over_brokers import each_broker, inside, its_own, unserved
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Server
    from hawser_engine.channels.channel import Channel

pytestmark = each_broker


def tagged_app(*, history: int = 100) -> App:
    app = App()
    app.channel("*", history=history, about=["tags"], open=True)
    return app


async def publish(app: App, *numbers: int, channel: str = "room") -> None:
    """Publications that say their number, and whether it is even."""
    for number in numbers:
        await app.publish(channel, number, tags={"n": str(number), "even": "yes" if number % 2 == 0 else "no"})


def channel_of(server: Server, name: str = "room") -> Channel:
    node: Any = server._node  # pyright: ignore[reportPrivateUsage]
    channel: Channel = node.hub._channels[name]
    return channel


def asks(filter: str, id: int = 1) -> Subscribe:
    return Subscribe(id, (ChannelRequest("room", None, SubscribeOptions(filter=filter)),))


async def test_only_what_passes_comes_live_and_from_history(autojump_clock: MockClock) -> None:
    """SPEC SUB-12."""
    app = tagged_app()
    async with serving(app), connect(URL) as client:
        async with client.subscribe("room", filter='even == "yes"') as messages:
            start = messages.position
            await publish(app, *range(1, 8))
            await app.publish("room", "untagged")
            await publish(app, 8)
            assert await collect(messages, 4) == [2, 4, 6, 8]
        async with client.subscribe("room", since=start, filter="n > 2 and n < 7") as messages:
            assert await collect(messages, 4) == [3, 4, 5, 6]
        async with client.subscribe("room", rewind=3, filter="not n") as messages:
            assert await collect(messages, 1) == ["untagged"]
        async with client.subscribe("room", since=start) as messages:
            assert await collect(messages, 9) == [1, 2, 3, 4, 5, 6, 7, "untagged", 8]


async def test_those_who_share_a_filter_share_bytes(autojump_clock: MockClock) -> None:
    """SPEC FLT-5, CHN-2: a group for each filter, and none when its last member has left."""
    app, clients = tagged_app(), [RawClient() for _ in range(4)]
    filters = ["n > 1", "n>1.0", "n > 2", None]
    async with serving(app) as server, trio.open_nursery() as nursery:
        async with clients[0].connected(), clients[1].connected(), clients[2].connected(), clients[3].connected():
            for client, filter in zip(clients, filters, strict=True):
                client.say(Subscribe(1, (ChannelRequest("room", None, SubscribeOptions(filter=filter)),)))
                assert isinstance(await client.hear(), Subscribed)
            channel = channel_of(server)
            assert sorted(len(group.members) for group in channel.groups.values()) == [1, 2]
            assert len(channel.members) == 1
            await publish(app, 1, 2, 3)
            for client, offsets in zip(clients, ([2, 3], [2, 3], [3], [1, 2, 3]), strict=True):
                heard = [await client.hear() for _ in offsets]
                assert [each.offset for each in heard if isinstance(each, Publication)] == offsets
            for client in clients[:3]:
                client.say(Unsubscribe(2, ("room",)))
                await client.hear()
            assert not channel.groups
            assert not channel.deserted
            nursery.cancel_scope.cancel()


async def test_who_is_passed_over_hears_of_it_now_and_then(autojump_clock: MockClock) -> None:
    """SPEC CHN-4: after a quarter of what is kept, and not with every publication."""
    app, client = tagged_app(history=40), RawClient()
    async with serving(app), client.connected():
        client.say(asks("n == 13"))
        assert isinstance(await client.hear(), Subscribed)
        heard: list[tuple[str, int]] = []
        for number in range(1, 36):
            await publish(app, number)
            await trio.sleep(1)
        while client.messages:
            message = client.messages.popleft()
            assert isinstance(message, (PositionNotice, Publication))
            heard.append((message.NAME, message.offset))
    assert heard == [("POSITION", 10), ("PUBLICATION", 13), ("POSITION", 23), ("POSITION", 33)]


@unserved
async def test_a_quiet_subscription_does_not_fall_out_of_history(autojump_clock: MockClock) -> None:
    """SPEC CHN-4, SUB-4: passed over with far more than is kept, it goes on after a reset without a gap."""
    app = tagged_app(history=20)
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL) as client, client.subscribe("room", filter="n >= 1000") as messages:
            for first in range(1, 200, 10):
                await publish(app, *range(first, first + 10))
                await trio.sleep(1)
            await restarts.end()
            await publish(app, 1_000)
            await restarts.start(app)
            assert await collect(messages, 1) == [1_000]
        await restarts.end()


async def test_one_that_was_away_is_told_where_it_stands_when_nothing_was_for_it(autojump_clock: MockClock) -> None:
    """SPEC CHN-4: also by the feeder, page by page."""
    app, client = tagged_app(), RawClient()
    async with serving(app):
        async with client.connected():
            client.say(asks("n == 1000"))
            assert isinstance(await client.hear(), Subscribed)
        await publish(app, *range(1, 41))
        async with client.connected():
            heard = [await client.hear()]
            await trio.sleep(5)
            heard += client.messages
    assert all(isinstance(each, PositionNotice) for each in heard)
    assert isinstance(heard[-1], PositionNotice)
    assert heard[-1].offset == 40


async def test_a_slow_reader_gets_everything_that_passes(autojump_clock: MockClock) -> None:
    """SPEC CHN-8, CHN-9: it pauses and goes on, and offsets do not tell it what is next."""
    app, config = tagged_app(history=1_000), Config(subscription_messages=3)
    async with serving(app), connect(URL, config=config) as client:
        async with client.subscribe("room", filter='even == "yes"') as messages, trio.open_nursery() as nursery:
            nursery.start_soon(partial(publish, app, *range(1, 201)))
            got: list[Any] = []
            while len(got) < 100:
                got += await collect(messages, 1)
                await trio.sleep(0.01)
    assert got == list(range(2, 201, 2))


async def test_there_are_only_so_many_filters(autojump_clock: MockClock) -> None:
    """SPEC SUB-13."""
    app, config = tagged_app(), Config(filters_per_channel=2)
    async with serving(app, config=config), connect(URL) as one, connect(URL) as two, connect(URL) as three:
        async with one.subscribe("room", filter="n > 1"), two.subscribe("room", filter="n > 2"):
            with pytest.raises(RequestFailed) as caught:
                async with three.subscribe("room", filter="n > 3"):
                    pass
            assert caught.value.code == ErrorCode.LIMIT
            async with three.subscribe("room", filter="(n > 2)"):
                pass
            async with three.subscribe("room") as messages:
                await publish(app, 1)
                assert await collect(messages, 1) == [1]


@pytest.mark.parametrize(
    ("filter", "complaint"),
    [
        ("n ==", "saw the end, expected a text in double quotes or a number"),
        ("n == true", "there are no booleans"),
        ("n == 'x'", "texts stand in double quotes"),
        ('n == "\ud800"', "half of a character at 6"),
    ],
)
async def test_a_filter_that_is_none_is_told_where_it_is_written(
    filter: str, complaint: str, autojump_clock: MockClock
) -> None:
    app = tagged_app()
    app.channel("plain", open=True)
    async with serving(app), connect(URL) as client:
        with pytest.raises(ValueError, match=complaint):
            client.subscribe("room", rewind=1, filter=filter)
        with pytest.raises(RequestFailed) as caught:
            async with client.subscribe("plain", filter="n"):
                pass
        assert caught.value.code == ErrorCode.BAD_REQUEST


@inside
async def test_a_channel_that_begins_anew_tells_it_to_those_with_filters(autojump_clock: MockClock) -> None:
    """SPEC CHN-11."""
    app = tagged_app()
    async with serving(app) as server, connect(URL) as client:
        async with client.subscribe("room", filter='even == "yes"') as messages:
            await publish(app, 1, 2)
            assert await collect(messages, 1) == [2]
            broker: Any = app.broker
            stream = broker._streams["room"]
            stream.epoch, stream.top, stream.past = b"another!", 0, None
            await publish(app, 3, 4, 6)
            gap, *rest = await collect(messages, 3)
            assert gap == (2, 0, GapReason.EPOCH_CHANGED)
            assert rest == [4, 6]
            await trio.sleep(1)
            [group] = channel_of(server).groups.values()
            assert group.matched == messages.position


async def test_what_is_too_long_for_a_batch_passes_or_not_like_everything(autojump_clock: MockClock) -> None:
    app = tagged_app()
    async with serving(app), connect(URL) as client:
        async with client.subscribe("room", filter='size == "long"') as messages:
            for size in ("long", "short", "long"):
                await app.publish("room", bytes(100_000), tags={"size": size})
            await app.publish("room", "end", tags={"size": "long"})
            assert [len(each) for each in await collect(messages, 3)] == [100_000, 100_000, 3]


EPOCH = b"epoch..1"


@its_own
def test_after_a_pause_a_filtered_queue_waits_to_be_told_where_it_stands() -> None:
    """SPEC CHN-9: offsets do not tell it what was under way from before the PAUSE."""
    feed = Feed("room", None, messages_max=2, bytes_max=1_000, filtered=True)
    assert feed.joined(Position(EPOCH, 0), None) is Flow.NOTHING
    assert feed.publication(EPOCH, 3, b"") is Flow.NOTHING
    assert feed.publication(EPOCH, 7, b"") is Flow.PAUSE
    assert feed.publication(EPOCH, 9, b"") is Flow.NOTHING
    assert feed.take()[1] is Flow.CONTINUE
    feed.publication(EPOCH, 10, b"")
    feed.considered(EPOCH, 10)
    assert feed.position == Position(EPOCH, 7)
    feed.considered(EPOCH, 7)
    feed.considered(EPOCH, 8)
    assert feed.position == Position(EPOCH, 8)
    feed.publication(EPOCH, 9, b"")
    items = [feed.take()[0] for _ in range(3)]
    assert [item and item.position.offset for item in items] == [7, 9, None]
    feed.considered(EPOCH, 9)
    # Another epoch that nobody has told of is a hole all the same.
    feed.publication(b"another!", 4, b"")
    assert isinstance(feed.take()[0], Gap)


async def _read(network: FaultyNetwork, config: Config, filter: str, last: int, pauses: random.Random) -> list[Any]:
    """Read until what passes last has come, or is told to be lost."""
    got: list[Any] = []
    async with connect(URL, transport=network, config=config) as client:
        async with client.subscribe("room", filter=filter, since=None) as messages:
            while True:
                try:
                    message = await messages.receive()
                except Gap as gap:
                    got.append((gap.since.offset if gap.since else 0, gap.position.offset))
                    if gap.position.offset >= last:
                        return got
                else:
                    got.append(message.offset)
                    if message.offset >= last:
                        return got
                await trio.sleep(pauses.choice([0, 0, 0.05, 0.5]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_under_every_weather_what_passes_comes_or_is_told_to_be_missing(seed: int) -> None:
    """SPEC SUB-9, SUB-12, CHN-3: rising offsets, only what passes, and each one or a gap over it."""
    dice = random.Random(seed)
    history = dice.choice([0, 12, 1_000])
    config = Config(
        window_messages=dice.choice([2, 7, 100]),
        subscription_messages=dice.choice([2, 5, 100]),
        ring_messages=dice.choice([3, 30]),
        ping_interval_seconds=1,
        pong_wait_seconds=1,
        backoff_cap_seconds=1,
        connect_seconds=100,
    )
    count, filters = 150, ["n > 0", 'even == "yes"', "n in (3, 40, 41, 42, 149, 150)"]
    passing = [list(range(1, 151)), list(range(2, 151, 2)), [3, 40, 41, 42, 149, 150]]
    results: list[list[Any]] = [[], [], []]

    async def live() -> None:
        app = tagged_app(history=history)
        async with serving(app, config=config), FaultyNetwork(seed=seed) as network:
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(weather, network)
                    for place, filter in enumerate(filters):
                        nursery.start_soon(note, place, network, filter)
                    await trio.sleep(2)
                    for number in range(1, count + 1):
                        await publish(app, number)
                        await trio.sleep(dice.choice([0, 0, 0.2]))

    async def weather(network: FaultyNetwork) -> None:
        with trio.move_on_after(15):
            await network.storm(every_seconds=dice.choice([0.2, 1]), kinds=tuple(CutKind))

    async def note(place: int, network: FaultyNetwork, filter: str) -> None:
        results[place] = await _read(network, config, filter, count, dice)

    run_seeded(live, seed=seed)
    for got, wanted in zip(results, passing, strict=True):
        offsets = [each for each in got if isinstance(each, int)]
        gaps = [each for each in got if not isinstance(each, int)]
        assert offsets == sorted(set(offsets))
        assert set(offsets) <= set(wanted)
        missing = set(wanted) - set(offsets)
        assert all(any(since < each <= until for since, until in gaps) for each in missing), (got, missing)
        assert history < 1_000 or not gaps
