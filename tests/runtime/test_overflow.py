"""What a subscriber gets that could not take what was published (SPEC OVF-1, LAT-1 to LAT-6)."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import App, Config, Gap, Position, connect
from hawser.testing import FaultyNetwork
from hawser_engine import EngineConfig
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
from tests.runtime.helpers import FAST, URL, RawClient, collect, serving
from tests.runtime.over_brokers import each_broker, its_own, prompt

if TYPE_CHECKING:
    from trio.testing import MockClock

pytestmark = each_broker


def board(*, history: int = 100, **more: Any) -> App:
    app = App()
    app.channel("board", overflow="keep-latest", history=history, open=True, **more)
    return app


async def stalled(client: RawClient, since: Position | None = None) -> None:
    """Subscribe, and take nothing from then on."""
    await client.opened.wait()
    client.deliver = False
    client.say(Subscribe(1, (ChannelRequest("board", since),)))
    assert isinstance(await client.hear(), Subscribed)


async def taking(client: RawClient) -> None:
    """Take everything again, once all of it was reported."""
    await trio.sleep(1)
    client.deliver = True
    client.engine.session.delivered(client.engine.session.inbox.received, trio.current_time())
    client.flush()
    await trio.sleep(10)


def heard(client: RawClient) -> list[Any]:
    """What came: offsets of publications, POSITIONs as ``("to", offset)``, gaps as (since, position, reason)."""
    items: list[Any] = []
    for message in client.messages:
        match message:
            case Publication():
                items.append(message.offset)
            case PositionNotice():
                items.append(("to", message.offset))
            case GapNotice():
                items.append((message.since and message.since.offset, message.position.offset, message.reason))
            case _:
                items.append(message)
    return items


async def post(app: App, *keys: str | None, size: int = 10) -> None:
    """Publish once for each key, in passes of their own, so that each is delivered by itself."""
    for key in keys:
        await app.publish("board", bytes(size), latest_key=key)
        await trio.sleep(0.01)


# ---------------------------------------------------------------- the latest by key


@prompt
@pytest.mark.parametrize("window", [1, 2, 3, 1_000])
async def test_a_slow_subscriber_gets_the_newest_of_each_key_in_order(autojump_clock: MockClock, window: int) -> None:
    app = board()
    raw = RawClient(EngineConfig(window_messages=window, window_bytes=100))
    async with serving(app, config=FAST) as server, raw.connected() as client:
        await stalled(client)
        await post(app, "a")
        client.messages.clear()  # one at most, for the answer to the subscription holds a place of the window
        await post(app, *"bcabcabcab", size=100)
        await taking(client)
        assert heard(client)[-4:] == [("to", 8), 9, 10, 11]
        assert heard(client)[:-4] in ([], [1])
        counts = server.overflow["board"]
        assert (counts.behind, counts.caught_up, counts.gaps, counts.lost) == (1, 1, 0, 0)
        assert counts.replaced in (11 - 3, 11 - 3 - 1)  # the first one, too, or it had come before the window was full
        await post(app, "a")
        assert heard(client)[-1] == 12


async def test_nothing_is_left_out_without_a_word(autojump_clock: MockClock) -> None:
    """SPEC LAT-3: POSITION goes right before what follows; between neighbours there is none."""
    app = board()
    async with serving(app, config=FAST), RawClient().connected() as client:
        await post(app, *"abcdaa", None, None, "b", "a")
        await client.opened.wait()
        options = SubscribeOptions(rewind=10)
        client.say(Subscribe(1, (ChannelRequest("board", None, options),)))
        answer = await client.hear()
        assert isinstance(answer, Subscribed)
        assert answer.channels[0].position == Position(last_epoch(answer), 2)
        await trio.sleep(1)
        assert heard(client) == [3, 4, ("to", 6), 7, 8, 9, 10]


def last_epoch(answer: Subscribed) -> bytes:
    [outcome] = answer.channels
    assert outcome.position is not None
    return outcome.position.epoch


async def test_after_a_pause_it_begins_with_where_the_client_stands(autojump_clock: MockClock) -> None:
    """SPEC CHN-9: the client cannot tell from offsets what was under way from before the PAUSE."""
    app = board()
    async with serving(app, config=FAST) as server, RawClient().connected() as client:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("board", None),)))
        answer = await client.hear()
        assert isinstance(answer, Subscribed)
        epoch = last_epoch(answer)
        await post(app, *"ab")
        await trio.sleep(1)
        client.say(Pause("board", epoch, 2), Pause("board", epoch, 2))
        await post(app, *"abab")
        assert heard(client) == [1, 2]
        client.messages.clear()
        client.say(Continue("board", epoch, 2))
        await trio.sleep(1)
        assert heard(client) == [("to", 2), ("to", 4), 5, 6]
        counts = server.overflow["board"]
        assert (counts.behind, counts.paused, counts.caught_up, counts.replaced) == (0, 1, 1, 2)


@pytest.mark.slow
async def test_a_reader_that_is_slow_by_itself_sees_no_gap(autojump_clock: MockClock) -> None:
    """Its queue fills, it pauses and goes on: over what was replaced meanwhile."""
    app = board()
    async with serving(app) as server, connect(URL, config=Config(subscription_messages=4)) as client:
        async with client.subscribe("board") as messages:
            last = 0
            seen: dict[str | None, int] = {}
            for number in range(200):
                await client.publish("board", number, latest_key=f"{number % 7}")
                if number % 20 == 0:
                    message = await messages.receive()
                    seen[message.latest_key] = message.data
                    assert message.offset > last
                    last = message.offset
            with trio.move_on_after(5):
                while True:
                    message = await messages.receive()
                    seen[message.latest_key] = message.data
        assert sorted(seen.values()) == list(range(193, 200))
        counts = server.overflow["board"]
        assert 0 < counts.caught_up <= counts.paused  # it may pause again before it has caught up
        assert counts.replaced > 50
        assert counts.gaps == 0


@pytest.mark.parametrize("reset", [False, True], ids=["resumed", "after a reset"])
async def test_who_was_away_gets_what_still_holds(autojump_clock: MockClock, reset: bool) -> None:
    app = board()
    async with serving(app) as server, FaultyNetwork() as network, connect(URL, transport=network) as client:
        async with client.subscribe("board") as messages:
            await post(app, *"abc")
            assert [(await messages.receive()).latest_key for _ in range(3)] == list("abc")
            network.refuse()
            await network.cut()
            await post(app, *"abababab")
            if reset:
                await trio.sleep(500)  # longer than a session lives
            network.refuse(False)
            seen = [await messages.receive() for _ in range(2)]
            assert [(message.latest_key, message.offset) for message in seen] == [("a", 10), ("b", 11)]
            await post(app, "c")
            assert (await messages.receive()).offset == 12
            assert messages.position is not None
            assert messages.position.offset == 12
            assert server.overflow["board"].gaps == 0


async def test_whoever_joins_begins_with_the_latest_of_every_key(autojump_clock: MockClock) -> None:
    app = board(last_value=True)
    async with serving(app) as server, connect(URL) as client:
        async with client.subscribe("board") as empty:
            await post(app, "a")
            assert await collect(empty, 1) == [bytes(10)]
        await post(app, *"bacab")
        async with client.subscribe("board") as messages:
            seen = [await messages.receive() for _ in range(3)]
            assert [(message.latest_key, message.offset) for message in seen] == [("c", 4), ("a", 5), ("b", 6)]
            await post(app, "b")
            assert (await messages.receive()).offset == 7
        async with client.subscribe("board", rewind=0) as messages:
            await post(app, "c")
            assert (await messages.receive()).offset == 8
        counts = server.overflow["board"]  # to begin in the past is no overflow
        assert (counts.behind, counts.caught_up, counts.gaps) == (0, 0, 0)


async def test_more_keys_than_are_kept_leave_a_gap(autojump_clock: MockClock) -> None:
    app = board(history=3)
    raw = RawClient(EngineConfig(window_messages=1))
    async with serving(app, config=FAST) as server, raw.connected() as client:
        await stalled(client)
        await post(app, *"abacad")  # b, c, a and d: b is lost, and nobody may think that it was replaced
        await taking(client)
        assert heard(client) == [(0, 2, 1), ("to", 3), 4, 5, 6]
        counts = server.overflow["board"]
        assert (counts.gaps, counts.lost, counts.replaced) == (1, 2, 1)


async def test_one_with_a_filter_is_passed_over_with_what_was_replaced(autojump_clock: MockClock) -> None:
    app = board(about=["tags"])
    async with serving(app) as server, connect(URL) as client:
        for number in range(30):
            tags = {"odd": ""} if number % 2 else None
            await app.publish("board", number, latest_key=f"{number % 6}", tags=tags)
        async with client.subscribe("board", filter="odd", rewind=100) as messages:
            assert await collect(messages, 3) == [25, 27, 29]
            await app.publish("board", 30, latest_key="0", tags={"odd": ""})
            assert await collect(messages, 1) == [30]
        assert server.overflow["board"].replaced == 0  # its rewind begins with what is kept


async def test_members_that_are_behind_share_the_bytes_they_are_fed(autojump_clock: MockClock) -> None:
    app = board()
    async with serving(app, config=FAST) as server, connect(URL) as one, connect(URL) as other:
        await post(app, *(f"{number % 40}" for number in range(90)))
        async with one.subscribe("board", rewind=90) as first, other.subscribe("board", rewind=90) as second:
            assert await collect(first, 40) == await collect(second, 40)
            node = server._node  # pyright: ignore[reportPrivateUsage]
            assert len(node.hub._feeder._pages) == 3  # pyright: ignore[reportPrivateUsage]


async def test_one_too_long_for_a_subscriber_is_left_out_with_a_gap(autojump_clock: MockClock) -> None:
    app = board()
    raw = RawClient(EngineConfig(message_bytes=1_000))
    async with serving(app, config=FAST), raw.connected() as client:
        await post(app, *"aba")
        await post(app, "c", size=2_000)
        await post(app, "b")
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("board", None, SubscribeOptions(rewind=9)),)))
        assert isinstance(await client.hear(), Subscribed)
        await trio.sleep(1)
        assert heard(client) == [3, (3, 4, 3), 5]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_is_left_out_has_a_newer_one(autojump_clock: MockClock, seed: int) -> None:
    """For readers that stall, pause and lose their link."""
    dice = random.Random(seed)
    app = board(history=12)
    keys: dict[int, str | None] = {}
    seen: list[int] = []
    lost: set[int] = set()

    async def talk() -> None:
        for _ in range(120):
            key = dice.choice([None, *"abcdefgh"])
            published = await app.publish("board", 0, latest_key=key)
            keys[published.position.offset] = key
            await trio.sleep(dice.choice([0, 0, 0.05]))

    async def read(messages: Any) -> None:
        while 120 not in seen:
            try:
                seen.append((await messages.receive()).offset)
            except Gap as gap:
                assert gap.since is not None
                lost.update(range(gap.since.offset + 1, gap.position.offset + 1))
            await trio.sleep(dice.choice([0, 0, 0.3]))

    async def disturb(network: FaultyNetwork) -> None:
        while 120 not in seen:
            await trio.sleep(1)
            await network.cut()

    small = Config(subscription_messages=4, resume_period_seconds=500)
    async with (
        serving(app, config=FAST),
        FaultyNetwork() as network,
        connect(URL, transport=network, config=small) as client,
    ):
        async with client.subscribe("board", since=Position(bytes(8), 0)) as messages, trio.open_nursery() as nursery:
            with pytest.raises(Gap):  # of another epoch: so it has heard of this one
                await messages.receive()
            nursery.start_soon(talk)
            nursery.start_soon(disturb, network)
            with trio.fail_after(1_000):
                await read(messages)
    assert seen == sorted(set(seen))
    assert lost.isdisjoint(seen)
    for offset in set(keys) - set(seen) - lost:
        assert keys[offset] is not None
        assert any(later > offset and keys[later] == keys[offset] for later in (*seen, *lost))


# ---------------------------------------------------------------- dropping the oldest


def newest(**more: Any) -> App:
    app = App()
    app.channel("board", overflow="drop-oldest", open=True, **more)
    return app


async def test_with_history_the_slow_lose_the_oldest_and_those_who_come_do_not(autojump_clock: MockClock) -> None:
    app = newest(history=1_000)
    raw = RawClient(EngineConfig(window_messages=1))
    async with serving(app, config=FAST) as server, raw.connected() as client, connect(URL) as other:
        await stalled(client)
        await post(app, *([None] * 250))
        await taking(client)
        assert heard(client) == [(0, 150, 3), *range(151, 251)]
        counts = server.overflow["board"]
        assert (counts.behind, counts.caught_up, counts.gaps, counts.lost, counts.replaced) == (1, 1, 1, 150, 0)
        async with other.subscribe("board", rewind=250) as messages:
            assert len(await collect(messages, 250)) == 250
            assert messages.position is not None
            assert messages.position.offset == 250
        assert server.overflow["board"] == counts


async def test_one_that_recovers_from_history_gets_all_of_it_before_it_may_lose_any(autojump_clock: MockClock) -> None:
    """SPEC OVF-1, SUB-2: status 1 says that everything after `since` follows."""
    app = newest(history=1_000)
    raw = RawClient(EngineConfig(window_messages=1))
    async with serving(app, config=FAST), raw.connected() as client:
        await post(app, *([None] * 50))
        epoch = (await app.publish("board", 0)).position.epoch
        await stalled(client, since=Position(epoch, 0))
        await post(app, *([None] * 250))
        await taking(client)
        await client.until(lambda: len(client.messages) == 301)
        assert heard(client) == list(range(1, 302))
        client.messages.clear()
        client.deliver = False
        await post(app, *([None] * 150))
        await taking(client)
        assert heard(client) == [302, (302, 351, 3), *range(352, 452)]


async def test_whoever_reads_slowly_what_it_recovers_gets_all_of_it(autojump_clock: MockClock) -> None:
    """SPEC OVF-1: it had been given everything, and asks for it again from where its queue was full."""
    app = newest(history=1_000)
    config = attrs.evolve(FAST, subscription_messages=10)
    async with serving(app, config=FAST), connect(URL, config=config) as client:
        await post(app, *([None] * 250))
        async with client.subscribe("board", rewind=200) as messages:
            for offset in range(51, 251):
                await trio.sleep(0.1)
                assert (await messages.receive()).offset == offset
            await post(app, *([None] * 250))  # of what is new it gets the newest
            assert any(isinstance(item, tuple) for item in await collect(messages, 40))


# ---------------------------------------------------------------- declaring


@its_own
@pytest.mark.parametrize("overflow", ["catch-up", "keep-latest"])
def test_what_is_taken_from_history_needs_some(overflow: Any) -> None:
    with pytest.raises(ValueError, match="takes what it gives from history; history is 0"):
        App().channel("room", overflow=overflow)


@its_own
def test_there_is_no_other_policy() -> None:
    with pytest.raises(ValueError, match="'drop-newest' is not a valid Overflow"):
        App().channel("room", overflow="drop-newest")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


@its_own
@pytest.mark.parametrize(
    ("declared", "policy"),
    [
        ({}, "drop-oldest"),
        ({"history": 1}, "catch-up"),
        ({"last_value": True}, "drop-oldest"),  # one that is kept is less than what waits
        ({"history": 1, "last_value": True}, "catch-up"),
        ({"history": 1, "overflow": "catch-up"}, "catch-up"),
        ({"history": 1, "overflow": "drop-oldest"}, "drop-oldest"),
        ({"history": 1, "overflow": "keep-latest"}, "keep-latest"),
    ],
)
def test_what_is_not_declared_follows_history(declared: Any, policy: str) -> None:
    rule = App().channel("room", **declared)
    assert rule.overflow.value == policy
    assert rule.retention.latest == ("latest_key" in rule.about) == (policy == "keep-latest")


async def test_counts_are_by_pattern_and_copies(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("room:*", history=9, open=True)
    async with serving(app) as server, connect(URL) as client:
        assert server.overflow == {}
        async with client.subscribe("room:1"), client.subscribe("room:2"):
            assert list(server.overflow) == ["room:*"]
            server.overflow["room:*"].behind = 9
            assert server.overflow["room:*"].behind == 0
