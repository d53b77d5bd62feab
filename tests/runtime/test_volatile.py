"""Publications that are given at once or not at all (SPEC VOL-1 to VOL-5, MSG-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser import EVERYONE, App, ClientPool, Outbox, PayloadError, RequestFailed, connect
from hawser.testing import FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.cbor import BYTES, encode_head
from hawser_engine.codec import encode_volatile
from hawser_engine.messages import (
    WILDCARDS,
    ChannelRequest,
    Publication,
    Publish,
    PublishOptions,
    Subscribe,
    Subscribed,
)
from tests.runtime.helpers import FAST, URL, RawClient, collect, only_session, serving, told
from tests.runtime.over_brokers import each_broker

if TYPE_CHECKING:
    from trio.testing import MockClock

pytestmark = each_broker


def moving(*, history: int = 100) -> App:
    app = App()
    app.channel("pad", history=history, about=["tags"], volatile=True, open=True)
    app.channel("plain", open=True)
    return app


async def test_those_who_keep_up_get_it_in_its_place(autojump_clock: MockClock) -> None:
    app = moving()
    async with serving(app) as server, connect(URL) as client, client.subscribe("pad") as messages:
        first = await client.publish("pad", 1)
        fleeting = await client.publish("pad", 2, volatile=True)
        assert (fleeting.position, fleeting.duplicate) == (first.position, False)
        assert (await app.publish("pad", 3, volatile=True)).position == first.position
        last = await client.publish("pad", 4)
        assert last.position.offset == first.position.offset + 1
        seen = [await messages.receive() for _ in range(4)]
        assert [(each.data, each.offset, each.volatile) for each in seen] == [
            (1, 1, False),
            (2, 1, True),
            (3, 1, True),
            (4, 2, False),
        ]
        assert messages.position == last.position
        counts = server.overflow["pad"]
        assert (counts.volatile_sent, counts.volatile_dropped) == (2, 0)
        async with connect(URL) as other, other.subscribe("pad", rewind=10) as past:
            assert await collect(past, 2) == [1, 4]  # it is in no history


async def test_who_is_behind_does_not_get_it_and_misses_nothing_else(autojump_clock: MockClock) -> None:
    app = moving()
    raw = RawClient(EngineConfig(window_messages=1))
    async with serving(app, config=FAST) as server, raw.connected() as client:
        await client.opened.wait()
        client.deliver = False
        client.say(Subscribe(1, (ChannelRequest("pad", None),)))
        assert isinstance(await client.hear(), Subscribed)
        await app.publish("pad", 0, volatile=True)  # it has nothing left to get, and needs no window for it
        await app.publish("pad", 1)
        await app.publish("pad", 2, volatile=True)
        await trio.sleep(1)
        client.deliver = True
        client.engine.session.delivered(client.engine.session.inbox.received, trio.current_time())
        client.flush()
        await client.until(lambda: bool(client.messages))
        await app.publish("pad", 3, volatile=True)
        await trio.sleep(1)
        assert told(client) == [1]
        fleeting = [(each.offset, each.data) for each in client.volatile if isinstance(each, Publication)]
        assert fleeting == [(0, b"\x00"), (1, b"\x03")]
        counts = server.overflow["pad"]
        assert (counts.volatile_sent, counts.volatile_dropped, counts.behind, counts.caught_up) == (2, 1, 1, 1)


async def test_one_that_is_away_does_not_get_it_later(autojump_clock: MockClock) -> None:
    app = moving()
    async with serving(app) as server, FaultyNetwork() as network, connect(URL, transport=network) as client:
        async with client.subscribe("pad") as messages:
            network.refuse()
            await network.cut()
            await app.publish("pad", 1, volatile=True)
            await app.publish("pad", 2)
            await app.publish("pad", 3, volatile=True)
            await trio.sleep(1)
            network.refuse(False)
            assert await collect(messages, 1) == [2]
            await app.publish("pad", 4, volatile=True)
            assert await collect(messages, 1) == [4]
            counts = server.overflow["pad"]
            assert (counts.volatile_sent, counts.volatile_dropped) == (1, 2)


async def test_a_filter_holds_for_it_too(autojump_clock: MockClock) -> None:
    app = moving()
    async with serving(app) as server, connect(URL) as client, client.subscribe("pad", filter="mine") as messages:
        await client.publish("pad", 1)
        await client.publish("pad", 2, volatile=True)
        await client.publish("pad", 3, volatile=True, tags={"mine": ""})
        await client.publish("pad", 4, tags={"mine": ""})
        assert await collect(messages, 2) == [3, 4]
        assert server.overflow["pad"].volatile_sent == 1


@pytest.mark.parametrize("who", ["client", "app"])
async def test_only_where_it_is_declared_and_without_a_key(autojump_clock: MockClock, who: str) -> None:
    app = moving()
    async with serving(app), connect(URL) as client:
        if who == "client":
            with pytest.raises(RequestFailed, match="BAD_REQUEST: this channel has no volatile publications"):
                await client.publish("plain", 1, volatile=True)
            with pytest.raises(ValueError, match="neither an idempotency key nor a time"):
                await client.publish("pad", 1, volatile=True, key=b"k")
        else:
            with pytest.raises(ValueError, match="no volatile publications"):
                await app.publish("plain", 1, volatile=True)
            with pytest.raises(ValueError, match="no idempotency key"):
                await app.publish("pad", 1, volatile=True, key=b"k")
        assert (await app.publish("plain", 1)).position.offset == 1


async def test_it_is_no_longer_than_a_packet(autojump_clock: MockClock) -> None:
    app = moving()
    async with serving(app), connect(URL) as client, client.subscribe("pad") as messages:
        with pytest.raises(RequestFailed, match="TOO_LARGE: a publication has at most 65536 bytes in all"):
            await client.publish("pad", bytes(65_536), volatile=True)
        await client.publish("pad", bytes(65_400), volatile=True)
        with pytest.raises(PayloadError, match="at most 65536 bytes"):
            await app.publish("pad", bytes(65_536), volatile=True)
        await app.broker.publish_volatile("pad", bytes(65_536))  # by another node, which should not have let it in
        await app.publish("pad", bytes(65_400), volatile=True)
        assert [len(each) for each in await collect(messages, 2)] == [65_400] * 2


async def test_a_key_that_comes_with_it_is_refused(autojump_clock: MockClock) -> None:
    async with serving(moving()), RawClient().connected() as client:
        await client.opened.wait()
        client.say(Publish(1, "pad", b"", b"key", PublishOptions(volatile=True)))
        assert "no idempotency key" in str(await client.hear())


async def test_an_outbox_does_not_hold_it(autojump_clock: MockClock) -> None:
    app = moving()
    async with serving(app), connect(URL, outbox=Outbox()) as client, client.subscribe("pad") as messages:
        receipt = await client.submit("pad", 1, volatile=True)
        assert receipt.key is None
        await receipt.wait()
        assert await collect(messages, 1) == [1]


async def test_readers_that_share_a_subscription_each_get_it(autojump_clock: MockClock) -> None:
    app = moving()
    async with serving(app), ClientPool() as pool, pool.client(URL) as one, pool.client(URL) as other:
        async with one.subscribe("pad") as first, other.subscribe("pad") as second:
            await app.publish("pad", 1, volatile=True)
            await app.publish("pad", 2)
            await app.publish("pad", 3, volatile=True)
            assert await collect(first, 3) == await collect(second, 3) == [1, 2, 3]


@pytest.mark.parametrize("seed", range(4))
async def test_of_what_one_client_publishes_it_keeps_its_place(autojump_clock: MockClock, seed: int) -> None:
    """SPEC PUB-1, VOL-5: though the others are handed to the broker together, and may be reported late."""
    app = App()
    app.channel("pad", history=100, volatile=True, open=True)
    async with serving(app), connect(URL) as client, connect(URL) as other, other.subscribe("pad") as messages:
        receipts = [await client.submit("pad", number, volatile=number % 5 == 0) for number in range(1, 31)]
        positions = [(await receipt.wait()).position.offset for receipt in receipts]
        assert positions == [number - number // 5 for number in range(1, 31)]
        seen = [await messages.receive() for _ in range(30)]
        assert [(each.data, each.offset, each.volatile) for each in seen] == [
            (number, number - number // 5, number % 5 == 0) for number in range(1, 31)
        ]


async def test_a_link_without_room_does_not_get_it(autojump_clock: MockClock) -> None:
    """SPEC VOL-4: what the network has not taken by then is more than such a publication waits for."""
    app = moving()
    raw = RawClient()
    async with (
        serving(app, config=attrs.evolve(FAST, volatile_backlog_bytes=1_000)) as server,
        raw.connected() as client,
    ):
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("pad", None),)))
        assert isinstance(await client.hear(), Subscribed)
        session = await only_session(server)
        carrier = session.engine.carrier
        assert carrier is not None
        carrier.push(b"\x82\x18\x80" + encode_head(BYTES, 2_000) + bytes(2_000), trio.current_time())  # not yet written
        assert not session.deliver_volatile(encode_volatile(b"x"), trio.current_time())
        session.flush(trio.current_time())
        await trio.sleep(1)
        await app.publish("pad", 1, volatile=True)
        await trio.sleep(1)
        assert len(client.volatile) == 1


@pytest.mark.parametrize("channel", ["pad", "*"])
async def test_it_does_not_pass_what_waits_for_window(autojump_clock: MockClock, channel: str) -> None:
    """SPEC VOL-4: it needs no window itself, and would come before the SUBSCRIBED (SUB-3, WLD-4)."""
    app = moving()
    app.channel("*", about=["tags"], volatile=True, wildcard=EVERYONE, open=True)
    name = "pad" if channel == "pad" else "ink"
    raw = RawClient(EngineConfig(window_messages=1), features=(WILDCARDS,))
    async with serving(app) as server, raw.connected() as client:
        await client.opened.wait()
        client.deliver = False
        client.say(Subscribe(1, (ChannelRequest("plain", None),)))
        client.say(Subscribe(2, (ChannelRequest(channel, None),)))
        await trio.sleep(1)
        await app.publish(name, 1, volatile=True)
        await trio.sleep(1)
        assert not client.volatile
        client.deliver = True
        client.engine.session.delivered(client.engine.session.inbox.received, trio.current_time())
        client.flush()
        await trio.sleep(1)
        await app.publish(name, 2, volatile=True)
        await trio.sleep(1)
        assert [each.data for each in client.volatile if isinstance(each, Publication)] == [b"\x02"]
        counts = server.overflow[channel]
        assert (counts.volatile_sent, counts.volatile_dropped) == (1, 1)


async def test_a_pattern_brings_it_to_who_is_not_behind(autojump_clock: MockClock) -> None:
    """SPEC WLD-5, VOL-4."""
    app = App()
    app.channel("pad:*", history=100, about=["tags"], volatile=True, wildcard=EVERYONE, open=True)
    async with serving(app) as server, FaultyNetwork() as network, connect(URL, transport=network) as client:
        async with client.subscribe("pad:*") as messages, client.subscribe("pad:*:own", filter="mine") as mine:
            await app.publish("pad:1", 1, volatile=True)  # nothing was ever published there
            await app.publish("pad:1", 2)
            await app.publish("pad:2", 3, volatile=True)
            await app.publish("pad:1", 4, volatile=True)
            seen = [await messages.receive() for _ in range(4)]
            assert [(each.offset, each.data, each.volatile) for each in seen if each.channel == "pad:1"] == [
                (0, 1, True),
                (1, 2, False),
                (1, 4, True),
            ]
            assert [(each.offset, each.data) for each in seen if each.channel == "pad:2"] == [(0, 3)]
            await app.publish("pad:1:own", 5, volatile=True)
            await app.publish("pad:1:own", 6, volatile=True, tags={"mine": ""})
            assert await collect(mine, 1) == [6]
            network.refuse()
            await network.cut()
            await app.publish("pad:1", 7, volatile=True)
            await app.publish("pad:1", 8)
            await trio.sleep(1)
            network.refuse(False)
            assert await collect(messages, 1) == [8]
        counts = server.overflow["pad:*"]
        assert (counts.volatile_sent, counts.volatile_dropped, counts.lost) == (4, 1, 0)


@pytest.mark.parametrize("channel", ["pad", "*"])
async def test_it_is_not_given_to_whom_it_leaves_out(autojump_clock: MockClock, channel: str) -> None:
    """SPEC ADR-8."""
    app = moving()
    app.channel("*", about=["tags"], volatile=True, wildcard=EVERYONE, open=True)
    name = "pad" if channel == "pad" else "ink"
    async with serving(app), connect(URL) as client, connect(URL) as other:
        async with client.subscribe(channel) as messages, other.subscribe(channel) as others:
            await client.publish(name, 1, volatile=True, except_me=True)
            await client.publish(name, 2, volatile=True)
            assert await collect(messages, 1) == [2]
            assert await collect(others, 2) == [1, 2]
