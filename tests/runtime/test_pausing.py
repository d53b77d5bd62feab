"""Full queues: PAUSE and CONTINUE, whatever was under way, whoever claims what (SPEC CHN-8 to CHN-10)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import NOBODY, App, Config, Position, connect
from hawser.brokers import Broker, History, MemoryBroker
from hawser.testing import FaultyNetwork
from hawser_engine.codes import GapReason
from hawser_engine.messages import (
    ChannelRequest,
    Continue,
    GapNotice,
    Pause,
    PositionNotice,
    Publication,
    Subscribe,
    Subscribed,
    SubscribeOptions,
)
from tests.runtime.helpers import FAST, URL, RawClient, collect, open_app, serving, told
from tests.runtime.over_brokers import each_broker, inside, its_own

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Published

pytestmark = each_broker

OTHER = b"epoch..2"


# ---------------------------------------------------------------- what the server makes of it


async def subscriber(client: RawClient, app: App) -> bytes:
    """Subscribe, and be given ten publications. Returns the epoch."""
    await client.opened.wait()
    client.say(Subscribe(1, (ChannelRequest("room", None),)))
    await client.hear()
    epoch = (await publish(app, range(10))).position.epoch
    assert told(client) == list(range(1, 11))
    client.messages.clear()
    return epoch


async def publish(app: App, numbers: range) -> Published:
    last = [await app.publish("room", number) for number in numbers][-1]
    await trio.sleep(1)
    return last


def renew(broker: Broker) -> None:
    """The channel begins anew."""
    assert isinstance(broker, MemoryBroker)
    stream: Any = broker._stream("room")  # pyright: ignore[reportPrivateUsage]
    stream.epoch, stream.top, stream.past = OTHER, 0, None


async def test_a_paused_channel_is_fed_on_from_where_the_client_stands(autojump_clock: MockClock) -> None:
    app = open_app(history=1_000)
    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        await client.hear()
        positions = [(await app.publish("room", number)).position for number in range(10)]
        await trio.sleep(1)
        assert told(client) == list(range(1, 11))
        client.messages.clear()
        client.say(Pause("room", positions[3].epoch, 4))
        await trio.sleep(1)
        for number in range(10, 20):
            await app.publish("room", number)
        await trio.sleep(1)
        assert told(client) == []
        client.say(Continue("room", positions[3].epoch, 4))
        await trio.sleep(1)
        assert told(client) == [PositionNotice("room", positions[3].epoch, 4), *range(5, 21)]


async def test_history_that_is_too_short_after_a_pause_leaves_a_gap(autojump_clock: MockClock) -> None:
    app = open_app(history=5)
    config = Config(subscription_messages=10)
    async with serving(app), connect(URL, config=config) as client, client.subscribe("room") as messages:
        for number in range(1, 101):
            await app.publish("room", number)
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert messages.feed.paused
        items = await collect(messages, 16)
        assert items == [*range(1, 11), (10, 95, 1), *range(96, 101)]
        await app.publish("room", 101)
        assert await collect(messages, 1) == [101]


async def test_a_full_queue_misses_nothing_whatever_is_under_way(autojump_clock: MockClock) -> None:
    app = open_app(history=10_000)
    config = Config(subscription_messages=7)
    async with (
        serving(app, config=FAST),
        FaultyNetwork(delay_seconds=(0.0, 0.2)) as network,
        connect(URL, transport=network, config=config) as client,
        client.subscribe("room") as messages,
        trio.open_nursery() as nursery,
    ):

        async def talk() -> None:
            for number in range(500):
                await app.publish("room", number)
                await trio.sleep(0.01)

        nursery.start_soon(talk)
        for number in range(500):
            assert (await messages.receive()).data == number
            if number % 3 == 0:
                await trio.sleep(0.05)


async def test_a_client_may_pause_again_ahead_of_where_it_went_on(autojump_clock: MockClock) -> None:
    """After the CONTINUE it may queue what was under way from before the PAUSE, and be full again."""
    app = open_app(history=1_000)
    async with serving(app), RawClient().connected() as client:
        epoch = await subscriber(client, app)
        client.say(Pause("room", epoch, 4), Continue("room", epoch, 4), Pause("room", epoch, 8))
        await publish(app, range(10, 12))
        assert told(client) == [PositionNotice("room", epoch, 4)]
        client.messages.clear()
        client.say(Continue("room", epoch, 8))
        await trio.sleep(1)
        assert told(client) == [PositionNotice("room", epoch, 8), 9, 10, 11, 12]


@pytest.mark.parametrize(("paused", "continued"), [(99, 99), (4, 99), (99, 10)])
async def test_a_client_that_claims_more_than_it_was_given_goes_on_from_there(
    autojump_clock: MockClock, paused: int, continued: int
) -> None:
    app = open_app(history=1_000)
    async with serving(app), RawClient().connected() as client:
        epoch = await subscriber(client, app)
        client.say(Pause("room", epoch, paused), Continue("room", epoch, continued))
        await publish(app, range(10, 12))
        assert told(client) == [PositionNotice("room", epoch, 10), 11, 12]


@inside
async def test_a_pause_that_crosses_the_news_of_another_epoch_has_it_told_again(autojump_clock: MockClock) -> None:
    app = open_app(history=1_000)
    async with serving(app), RawClient().connected() as client:
        epoch = await subscriber(client, app)
        renew(app.broker)
        await publish(app, range(3))
        assert told(client) == [(10, 0, 2), 1, 2, 3]
        client.messages.clear()
        client.say(Pause("room", epoch, 10), Continue("room", epoch, 10))
        await publish(app, range(3, 5))
        assert told(client) == [PositionNotice("room", epoch, 10), (10, 0, 2), 1, 2, 3, 4, 5]


@inside
@pytest.mark.parametrize("claim", [0, 10, 99, None])
async def test_after_a_new_epoch_whatever_is_said_of_another_one_is_answered_with_a_gap(
    autojump_clock: MockClock, claim: int | None
) -> None:
    """SPEC CHN-9: all of the new one was published after the subscription began, so SUB-14 has nothing to guard."""
    app = App()
    app.channel("room", history=1_000, read_history=NOBODY, open=True)
    async with serving(app), RawClient().connected() as client:
        await publish(app, range(5))
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        await client.hear()
        epoch = (await publish(app, range(5, 10))).position.epoch
        renew(app.broker)
        await publish(app, range(3))
        assert told(client) == [6, 7, 8, 9, 10, (10, 0, 2), 1, 2, 3]
        client.messages.clear()
        place = Position(epoch, claim) if claim is not None else Position(b"made up.", 7)
        client.say(Pause("room", *attrs.astuple(place)), Continue("room", *attrs.astuple(place)))
        await trio.sleep(1)
        marker, gap, *rest = client.messages
        assert marker == PositionNotice("room", place.epoch, place.offset)
        assert gap == GapNotice("room", place, Position(OTHER, 0), GapReason.EPOCH_CHANGED)
        assert [one.offset for one in rest if isinstance(one, Publication)] == [1, 2, 3]


async def test_pauses_of_what_is_not_subscribed_or_not_paused_change_nothing(autojump_clock: MockClock) -> None:
    app = open_app(history=1_000)
    async with serving(app), RawClient().connected() as client:
        epoch = await subscriber(client, app)
        client.say(Pause("hall", epoch, 1), Continue("hall", epoch, 1), Continue("room", epoch, 4))
        await publish(app, range(10, 12))
        assert told(client) == [11, 12]


class Waiting(MemoryBroker):
    """Lets nobody read history before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = trio.Event()
        self.go = trio.Event()

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        page = await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        if limit > 1:
            self.asked.set()
            await self.go.wait()
        return page


@its_own
@pytest.mark.parametrize("declared", [{"about": ["tags"]}, {"overflow": "keep-latest"}], ids=["filter", "keep-latest"])
async def test_a_pause_that_comes_while_history_is_read_hides_nothing(
    autojump_clock: MockClock, declared: dict[str, Any]
) -> None:
    """SPEC CHN-9: what is read for the time before is given only behind the POSITION of the CONTINUE."""
    broker = Waiting()
    app = App(broker=broker)
    app.channel("room", history=100, open=True, **declared)
    said: dict[str, Any] = {"tags": {"x": ""}} if "about" in declared else {"latest_key": "x"}
    async with serving(app), RawClient().connected() as client:
        epoch = (await app.publish("room", 0, **said)).position.epoch
        await app.publish("room", 0, **said)
        await app.publish("room", 0, **said)
        await client.opened.wait()
        options = SubscribeOptions(filter="x") if "about" in declared else None
        client.say(Subscribe(1, (ChannelRequest("room", Position(epoch, 0), options),)))
        assert isinstance(await client.hear(), Subscribed)
        await broker.asked.wait()
        client.say(Pause("room", epoch, 0), Continue("room", epoch, 0))
        await trio.sleep(1)
        broker.go.set()
        assert await client.hear() == PositionNotice("room", epoch, 0)
        while not isinstance(message := await client.hear(), Publication) or message.offset < 3:
            pass
