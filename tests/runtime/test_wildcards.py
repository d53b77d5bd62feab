"""Subscriptions to patterns of channels: live, in shared bytes, with every gap told, and rights of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import ASK, EVERYONE, App, Config, Gap, Position, RequestFailed, Session, connect, granted
from hawser.brokers import MemoryBroker
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.codes import ErrorCode
from hawser_engine.messages import (
    WILDCARDS,
    ChannelRequest,
    GapNotice,
    Publication,
    Subscribe,
    Subscribed,
    Unsubscribe,
)
from tests.runtime.helpers import FAST, PATIENCE, URL, RawClient, serving
from tests.runtime.over_brokers import each_broker, its_own, prompt, unserved
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Server
    from hawser.server.hub import Hub

pytestmark = each_broker

NOWHERE = Position(bytes(8), 0)


def app_of_rooms(*, history: int = 100) -> App:
    app = App()
    app.channel("room:*", history=history, about=["tags"], wildcard=EVERYONE, open=True)
    return app


def hub_of(server: Server) -> Hub:
    node: Any = server._node  # pyright: ignore[reportPrivateUsage]
    hub: Hub = node.hub
    return hub


async def collect(messages: Any, count: int) -> list[Any]:
    """The next items: (channel, data) of messages, and gaps as (channel, since, position) offsets."""
    items: list[Any] = []
    with trio.fail_after(PATIENCE):
        while len(items) < count:
            try:
                message = await messages.receive()
                items.append((message.channel, message.data))
            except Gap as gap:
                items.append((gap.channel, gap.since and gap.since.offset, gap.position.offset))
    return items


async def test_a_pattern_brings_what_is_published_from_then_on_in_all_its_channels(autojump_clock: MockClock) -> None:
    """SPEC WLD-1, WLD-2, WLD-5."""
    app = app_of_rooms()
    async with serving(app) as server, connect(URL) as client, connect(URL) as other:
        await app.publish("room:1", "before")
        async with client.subscribe("room:*") as messages, other.subscribe("room:1") as plain:
            for name, data in (("room:1", "a"), ("room:2", "b"), ("room:1:2", "c"), ("room:1", "d"), ("room:3", "e")):
                await app.publish(name, data)
            expected = [("room:1", "a"), ("room:2", "b"), ("room:1", "d"), ("room:3", "e")]
            assert sorted(await collect(messages, 4)) == sorted(expected)
            assert await collect(plain, 2) == [("room:1", "a"), ("room:1", "d")]
        await trio.sleep(1)
        assert not hub_of(server).wildcards
        assert not hub_of(server)._channels  # pyright: ignore[reportPrivateUsage]


async def test_a_channel_that_only_a_pattern_has_open_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    app = app_of_rooms()
    async with serving(app) as server, connect(URL) as client, client.subscribe("room:*") as messages:
        async with client.subscribe("room:1") as plain:
            await app.publish("room:1", 1)
            assert await collect(plain, 1) == [("room:1", 1)]
            await app.publish("room:1", 2)
        assert await collect(messages, 1) == [("room:1", 2)]
        await trio.sleep(1)
        hub: Any = hub_of(server)
        assert (hub._channels, hub._locks, hub._pins) == ({}, {}, {})


async def test_a_pattern_behind_in_a_channel_is_fed_from_history(autojump_clock: MockClock) -> None:
    """SPEC WLD-5, CHN-6: detached, it misses nothing that history has, and is told what it has not."""
    app, client = app_of_rooms(history=20), RawClient(features=(WILDCARDS,))
    async with serving(app) as server:
        async with client.connected():
            client.say(Subscribe(1, (ChannelRequest("room:*", None),)))
            answer = await client.hear()
            assert isinstance(answer, Subscribed)
            assert (answer.channels[0].status, answer.channels[0].position) == (0, NOWHERE)
        for number in range(30):
            await app.publish("room:1", number)
            if number < 10:
                await app.publish("room:2", number)
        await trio.sleep(1)
        async with client.connected():
            await trio.sleep(1)
            heard = list(client.messages)
        ones = [one.offset for one in heard if isinstance(one, Publication) and one.channel == "room:1"]
        twos = [one.offset for one in heard if isinstance(one, Publication) and one.channel == "room:2"]
        gaps = [one for one in heard if isinstance(one, GapNotice)]
        assert ones == list(range(11, 31))
        assert twos == list(range(1, 11))
        told = [(gap.channel, gap.since and gap.since.offset, gap.position.offset) for gap in gaps]
        assert told == [("room:1", 0, 10)]
        assert not hub_of(server).wildcards._strays  # pyright: ignore[reportPrivateUsage]


async def test_a_channel_that_one_subscribes_to_goes_back_to_the_pattern_where_it_was_left(
    autojump_clock: MockClock,
) -> None:
    """SPEC WLD-4, WLD-8: what was not taken of it comes to the pattern, once and in order."""
    app = app_of_rooms()
    async with serving(app), connect(URL) as client, client.subscribe("room:*") as wide:
        await app.publish("room:1", 1)
        assert await collect(wide, 1) == [("room:1", 1)]
        async with client.subscribe("room:1") as plain:
            for number in (2, 3, 4):
                await app.publish("room:1", number)
            await app.publish("room:2", "b")
            assert await collect(plain, 1) == [("room:1", 2)]
            assert await collect(wide, 1) == [("room:2", "b")]
            await trio.sleep(1)
        for number in (5, 6):
            await app.publish("room:1", number)
        assert await collect(wide, 4) == [("room:1", number) for number in (3, 4, 5, 6)]


async def test_what_comes_right_behind_the_answer_to_leaving_is_for_the_pattern(autojump_clock: MockClock) -> None:
    """SPEC WLD-4: the subscription that was left is paused, and what it has not had is fed at once."""
    app = app_of_rooms()
    config = Config(subscription_messages=2)
    network = FaultyNetwork(delay_seconds=(0.5, 0.5))
    async with serving(app), network, connect(URL, transport=network, config=config) as client:
        async with client.subscribe("room:*") as wide:
            async with client.subscribe("room:1"):
                for number in range(1, 5):
                    await app.publish("room:1", number)
                await trio.sleep(3)
            await trio.sleep(0.75)
            await network.cut()  # the answer is under way, and comes again together with what is behind it
            numbers: list[int] = []
            while len(numbers) < 4:
                [item] = await collect(wide, 1)
                numbers += [item[1]] if len(item) == 2 else range(item[1] + 1, item[2] + 1)
            assert numbers == [1, 2, 3, 4]


async def test_what_the_pattern_took_over_is_not_fed_to_it_again(autojump_clock: MockClock) -> None:
    """SPEC CHN-9, WLD-4: the server goes on from the CONTINUE, but what was under way had come meanwhile."""
    app = app_of_rooms()
    network = FaultyNetwork(delay_seconds=(0.5, 0.5))
    async with serving(app), network, connect(URL, transport=network, config=Config(subscription_messages=4)) as client:
        async with client.subscribe("room:*") as wide:
            async with client.subscribe("room:1") as plain:
                await trio.sleep(1)
                for number in range(1, 5):
                    await app.publish("room:1", number)  # they fill the queue
                await trio.sleep(0.6)
                await app.publish("room:1", 5)  # before the PAUSE is there
                await trio.sleep(0.1)
                assert await collect(plain, 2) == [("room:1", 1), ("room:1", 2)]  # CONTINUE, before it has come
                await trio.sleep(0.45)
            await network.cut()  # it and the UNSUBSCRIBE are sent again, and come together
            await app.publish("room:1", 6)
            assert await collect(wide, 4) == [("room:1", number) for number in (3, 4, 5, 6)]


async def test_what_comes_while_it_is_being_left_is_for_the_pattern(autojump_clock: MockClock) -> None:
    """SPEC WLD-8: however much it is, for a queue that is emptied at once is never full."""
    app = app_of_rooms()
    network = FaultyNetwork(delay_seconds=(2, 2))
    async with serving(app), network, connect(URL, transport=network, config=Config(subscription_messages=1)) as client:
        async with client.subscribe("room:*") as wide:
            async with client.subscribe("room:1"):
                pass
            for number in (1, 2):
                await app.publish("room:1", number)
                await trio.sleep(1)
            assert await collect(wide, 2) == [("room:1", number) for number in (1, 2)]


@pytest.mark.parametrize("seconds", [0.75, 3.0], ids=["before it stood", "unread"])
async def test_a_subscription_that_went_back_in_history_leaves_nothing_twice(
    autojump_clock: MockClock, seconds: float
) -> None:
    """SPEC WLD-4, WLD-8: the pattern had it already."""
    app = app_of_rooms()
    network = FaultyNetwork(delay_seconds=(0.5, 0.5))
    async with serving(app), network, connect(URL, transport=network) as client, client.subscribe("room:*") as wide:
        for number in (1, 2, 3):
            await app.publish("room:1", number)
        assert await collect(wide, 3) == [("room:1", number) for number in (1, 2, 3)]
        with trio.move_on_after(seconds):
            async with client.subscribe("room:1", rewind=3):
                await trio.sleep(2)
        await app.publish("room:1", 4)
        assert await collect(wide, 1) == [("room:1", 4)]


async def test_a_channel_whose_right_was_withdrawn_goes_back_to_the_pattern(autojump_clock: MockClock) -> None:
    """SPEC WLD-4, WLD-8: what was not taken of it, and then what follows."""
    app = App()
    rule = app.channel("room:*", history=100, wildcard=EVERYONE)
    lost: set[str] = set()

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return action != "subscribe" or channel not in lost

    async with serving(app), FaultyNetwork() as network, connect(URL, transport=network) as client:
        async with client.subscribe("room:*") as wide, client.subscribe("room:1") as plain:
            for number in (1, 2):
                await app.publish("room:1", number)
            assert await collect(plain, 1) == [("room:1", 1)]
            lost.add("room:1")
            await network.cut()
            await trio.sleep(5)
            for number in (3, 4):
                await app.publish("room:1", number)
            assert await collect(wide, 3) == [("room:1", number) for number in (2, 3, 4)]
            with pytest.raises(RequestFailed, match="DENIED"):
                await plain.receive()


class Holding(MemoryBroker):
    """Holds back the reports of the channel that it is told: its history is ahead of them then."""

    def __init__(self) -> None:
        super().__init__(clock=trio.current_time)
        self.holds = ""
        self._held: list[Any] = []
        self._sink: Any = None

    async def join(self, channel: str, sink: Any) -> Position:
        self._sink = sink
        return await super().join(channel, self._report)

    async def watch(self, pattern: str, sink: Any, lost: Any) -> None:
        self._sink = sink
        await super().watch(pattern, self._report, lost)

    def _report(self, *what: Any) -> None:
        if what[0] == self.holds:
            self._held.append(what)
        else:
            self._sink(*what)

    def let_go(self) -> None:
        """Report what was held back."""
        self.holds = ""
        held, self._held = self._held, []
        for what in held:
            self._sink(*what)


@its_own
async def test_who_subscribes_to_a_channel_of_its_pattern_begins_behind_what_that_was_given(
    autojump_clock: MockClock,
) -> None:
    """SPEC WLD-4: it was fed from history, which is ahead of the reports."""
    broker = Holding()
    app = App(broker=broker)
    app.channel("room:*", history=100, wildcard=EVERYONE, open=True)
    config = Config(window_messages=1)
    async with serving(app), connect(URL) as other, connect(URL, config=config) as client:
        async with other.subscribe("room:1"), client.subscribe("room:*") as wide:
            for number in (1, 2):
                await app.publish("room:1", number)
            broker.holds = "room:1"
            await app.publish("room:1", 3)
            assert await collect(wide, 3) == [("room:1", number) for number in (1, 2, 3)]
            async with client.subscribe("room:1") as plain:
                broker.let_go()
                await app.publish("room:1", 4)
                assert await collect(plain, 1) == [("room:1", 4)]


@its_own
@pytest.mark.parametrize("open", [False, True], ids=["closed", "open for another pattern"])
async def test_what_was_not_reported_before_a_subscription_beside_its_pattern_is_told_to_be_missing(
    autojump_clock: MockClock, open: bool
) -> None:
    """SPEC WLD-4, CHN-3: the broker says how far the channel goes before it has reported all of that."""
    broker = Holding()
    app = App(broker=broker)
    app.channel("room:*", history=100, wildcard=EVERYONE, open=True)
    stuck = RawClient(EngineConfig(window_messages=1), features=(WILDCARDS,))
    stuck.deliver = False
    async with serving(app), stuck.connected(), connect(URL) as client, client.subscribe("room:*") as wide:
        if open:
            stuck.say(Subscribe(1, (ChannelRequest("room:*", None),)))
            await stuck.hear()
        await app.publish("room:1", 1)
        assert await collect(wide, 1) == [("room:1", 1)]
        broker.holds = "room:1"
        await app.publish("room:1", 2)
        async with client.subscribe("room:1") as plain:
            assert await collect(wide, 1) == [("room:1", 1, 2)]
            broker.let_go()
            await app.publish("room:1", 3)
            assert await collect(plain, 1) == [("room:1", 3)]


async def test_so_many_channels_are_known_that_only_patterns_have(autojump_clock: MockClock) -> None:
    """SPEC WLD-4, CHN-15: as long as somebody has a pattern."""
    app = App()
    app.channel("room:*", wildcard=EVERYONE, open=True)
    async with serving(app, config=Config(wildcards_known=2)) as server, connect(URL) as client:
        async with client.subscribe("room:*") as messages:
            for number in range(5):
                await app.publish(f"room:{number}", number)
                await collect(messages, 1)
            await trio.sleep(1)
            known: Any = hub_of(server).wildcards
            assert list(known._known) == ["room:3", "room:4"]
        await trio.sleep(1)
        assert not known._known


async def test_a_paused_channel_goes_back_to_the_pattern_where_its_queue_ends(autojump_clock: MockClock) -> None:
    """SPEC WLD-4, CHN-8."""
    app = app_of_rooms()
    config = Config(subscription_messages=4)
    async with serving(app), connect(URL, config=config) as client, client.subscribe("room:*") as wide:
        async with client.subscribe("room:1") as plain:
            for number in range(1, 31):
                await app.publish("room:1", number)
            await trio.sleep(1)
            assert await collect(plain, 1) == [("room:1", 1)]
        numbers: list[int] = []
        while len(numbers) < 29:
            [item] = await collect(wide, 1)
            numbers += [item[1]] if len(item) == 2 else range(item[1] + 1, item[2] + 1)
            await trio.sleep(0.1)
    assert numbers == list(range(2, 31))


@prompt
async def test_a_pattern_behind_in_a_channel_that_is_subscribed_to_is_told_what_it_misses(
    autojump_clock: MockClock,
) -> None:
    """SPEC WLD-4, CHN-3."""
    app, client = app_of_rooms(), RawClient(EngineConfig(window_messages=2), features=(WILDCARDS,))
    async with serving(app), client.connected():
        client.deliver = False
        client.say(Subscribe(1, (ChannelRequest("room:*", None),)))
        await trio.sleep(1)
        for number in range(1, 6):
            await app.publish("room:1", number)
        client.say(Subscribe(2, (ChannelRequest("room:1", None),)))
        await trio.sleep(1)
        client.deliver = True
        client.engine.session.delivered(2, trio.current_time())
        client.flush()
        await trio.sleep(1)
        await app.publish("room:1", 6)
        await trio.sleep(1)
        heard = [told(message) for message in client.messages]
    answers = [heard.index("SUBSCRIBED"), heard.index("SUBSCRIBED", 1)]
    before, after = heard[: answers[1]], heard[answers[1] + 1 :]
    given = sum(isinstance(item, int) for item in before)
    assert before[-1] == ("room:1", given, 5)
    assert after == [6]


def told(message: Any) -> Any:
    """What a client heard, in short."""
    match message:
        case Publication():
            return message.offset
        case GapNotice():
            return message.channel, message.since and message.since.offset, message.position.offset
        case _:
            return message.NAME


async def test_a_reader_of_a_pattern_that_does_not_keep_up_is_told_what_it_missed_where(
    autojump_clock: MockClock,
) -> None:
    """SPEC WLD-8: nobody waits for it."""
    app = app_of_rooms()
    config = Config(subscription_messages=4)
    async with serving(app), connect(URL, config=config) as client, client.subscribe("room:*") as wide:
        for number in range(1, 9):
            for name in ("room:1", "room:2"):
                await app.publish(name, number)
                await trio.sleep(1)
        items = await collect(wide, 6)
        assert items[:4] == [("room:1", 1), ("room:2", 1), ("room:1", 2), ("room:2", 2)]
        assert sorted(items[4:]) == [("room:1", 2, 8), ("room:2", 2, 8)]
        await app.publish("room:1", 9)
        assert await collect(wide, 1) == [("room:1", 9)]


@unserved
async def test_after_a_reset_a_pattern_tells_that_anything_may_be_missing(autojump_clock: MockClock) -> None:
    """SPEC WLD-2, RST-10."""
    app = app_of_rooms()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL) as client, client.subscribe("room:*") as wide, client.subscribe("room:1") as plain:
            await app.publish("room:2", 1)
            assert await collect(wide, 1) == [("room:2", 1)]
            await restarts.end()
            for name in ("room:1", "room:2"):
                await app.publish(name, "missed")
            await restarts.start(app)
            assert await collect(wide, 1) == [("room:*", None, 0)]
            assert await collect(plain, 1) == [("room:1", "missed")]
            await app.publish("room:2", 3)
            assert await collect(wide, 1) == [("room:2", 3)]
        await restarts.end()


async def test_too_many_channels_to_be_fed_are_one_gap_of_the_pattern(autojump_clock: MockClock) -> None:
    """SPEC WLD-6; the other pattern of the session goes on."""
    app, client = app_of_rooms(), RawClient(features=(WILDCARDS,))
    app.channel("side:*", history=10, wildcard=EVERYONE, open=True)
    async with serving(app, config=Config(wildcards_behind=3)) as server:
        async with client.connected():
            client.say(Subscribe(1, (ChannelRequest("room:*", None), ChannelRequest("side:*", None))))
            await client.hear()
        await app.publish("side:1", 1)
        for number in range(5):
            await app.publish(f"room:{number}", 1)
        await trio.sleep(1)
        async with client.connected():
            await trio.sleep(1)
            assert sorted(map(repr, map(told, client.messages))) == ["('room:*', None, 0)", "1"]
            client.messages.clear()
            await app.publish("room:0", 2)
            await trio.sleep(1)
            assert list(map(told, client.messages)) == [2]
            client.say(Unsubscribe(2, ("room:*",)))
            await trio.sleep(1)
        assert not hub_of(server).wildcards._strays  # pyright: ignore[reportPrivateUsage]


@its_own
async def test_who_loses_track_of_a_pattern_is_given_nothing_again(autojump_clock: MockClock) -> None:
    """SPEC WLD-6, CHN-1: what it was fed before that was ahead of the reports, which come only now."""
    broker, client = Holding(), RawClient(features=(WILDCARDS,))
    app = App(broker=broker)
    app.channel("room:*", history=100, wildcard=EVERYONE, open=True)
    async with serving(app, config=Config(wildcards_behind=1)) as server:
        async with client.connected():
            client.say(Subscribe(1, (ChannelRequest("room:*", None),)))
            await client.hear()
        await app.publish("room:1", 1)
        broker.holds = "room:1"
        await app.publish("room:1", 2)
        async with client.connected():
            await trio.sleep(1)
            assert list(map(told, client.messages)) == [1, 2]
        client.messages.clear()
        await app.publish("room:2", 1)
        async with client.connected():
            await trio.sleep(1)
            broker.let_go()
            await app.publish("room:1", 3)
            await trio.sleep(1)
            assert list(map(told, client.messages)) == [("room:*", None, 0), 3]
        assert not hub_of(server).wildcards._strays  # pyright: ignore[reportPrivateUsage]


async def test_rights_to_patterns_are_declared_for_themselves(autojump_clock: MockClock) -> None:
    """SPEC WLD-3: what lets somebody into a channel lets nobody at all of them."""
    app = App()
    app.channel("open:*", open=True)
    app.channel("granted:*", subscribe=EVERYONE, wildcard=granted())
    app.channel("closed:*", open=True, subscribe=granted())
    asked: list[tuple[str, str]] = []
    hooked = app.channel("hooked:*", wildcard=ASK)
    handled = app.channel("handled:*", open=True)

    @hooked.authorize
    @handled.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        asked.append((action, channel))
        return True

    async def outcome(client: Any, pattern: str) -> str:
        try:
            async with client.subscribe(pattern):
                return "in"
        except RequestFailed as error:
            return ErrorCode(error.code).name

    async with serving(app), connect(URL) as client:
        patterns = ("open:*", "granted:*", "closed:*", "hooked:*:1", "handled:*", "nothing:*", "*:1")
        outcomes = [await outcome(client, pattern) for pattern in patterns]
    assert outcomes == ["in", "DENIED", "DENIED", "in", "DENIED", "NOT_FOUND", "NOT_FOUND"]
    assert asked == [("wildcard", "hooked:*:1")]


async def test_a_server_without_the_feature_is_asked_for_no_pattern(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC VER-6: there it would be the name of a channel."""
    monkeypatch.setattr("hawser.server.node.FEATURES", ())
    async with serving(app_of_rooms()), connect(URL) as client:
        with pytest.raises(RequestFailed, match="no patterns"):
            async with client.subscribe("room:*"):
                pass


async def test_a_pattern_has_neither_since_nor_a_rewind(autojump_clock: MockClock) -> None:
    async with serving(app_of_rooms()), connect(URL) as client:
        wrongs: list[dict[str, Any]] = [{"since": NOWHERE}, {"rewind": 1}, {"rewind_seconds": 1.0}]
        for wrong in wrongs:
            with pytest.raises(ValueError, match="live"):
                client.subscribe("room:*", **wrong)
        with pytest.raises(ValueError, match="is none"):
            client.subscribe("room:*", answers=_echo)


@pytest.mark.parametrize("filter", [None, 'even == "True"'])
async def test_a_pattern_leaves_out_what_its_session_published_without_itself(
    autojump_clock: MockClock, filter: str | None
) -> None:
    """SPEC ADR-8, WLD-5: live, and fed from history when more is under way than the session takes."""
    async with serving(app_of_rooms(history=1_000)), connect(URL) as client, connect(URL) as other:
        async with client.subscribe("room:*", filter=filter) as mine, other.subscribe("room:*", filter=filter) as all:
            receipts = [
                await client.submit("room:1", number, except_me=bool(number % 3), tags={"even": str(number % 2 == 0)})
                for number in range(600)
            ]
            await receipts[-1].wait()
            wanted = [number for number in range(600) if filter is None or number % 2 == 0]
            assert await collect(all, len(wanted)) == [("room:1", number) for number in wanted]
            kept = [number for number in wanted if number % 3 == 0]
            assert await collect(mine, len(kept)) == [("room:1", number) for number in kept]
            await client.publish("room:2", "last", tags={"even": "True"})
            assert await collect(mine, 1) == [("room:2", "last")]


async def _echo(question: Any) -> Any:
    return question.data


@pytest.mark.parametrize("seed", range(4))
async def test_each_publication_comes_once_and_in_order(autojump_clock: MockClock, seed: int) -> None:
    """SPEC WLD-5: channels are opened and closed by others meanwhile, and links break."""
    app = App()
    app.channel("room:*", history=1_000, wildcard=EVERYONE, open=True)
    rooms = [f"room:{number}" for number in range(3)]

    async def come_and_go(client: Any) -> None:
        while True:
            for name in rooms:
                async with client.subscribe(name):
                    await trio.sleep(0.3)

    async def speak(client: Any) -> None:
        for number in range(1, 41):
            for name in rooms:
                await client.publish(name, number)

    got: dict[str, list[int]] = {name: [] for name in rooms}
    async with FaultyNetwork(seed=seed) as network, serving(app, config=FAST, transport=network):
        async with (
            connect(URL, config=FAST, transport=network) as reader,
            connect(URL, config=FAST, transport=network) as other,
            connect(URL, config=FAST, transport=network) as speaker,
            reader.subscribe("room:*") as wide,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(come_and_go, other)
            nursery.start_soon(speak, speaker)
            with trio.move_on_after(PATIENCE):
                while sum(map(len, got.values())) < 120:
                    message = await wide.receive()
                    got[message.channel].append(message.data)
                    if len(got[message.channel]) % 15 == 7:
                        for wire in list(network.wires):
                            await wire.cut(CutKind.BOTH)
            nursery.cancel_scope.cancel()
    assert got == {name: list(range(1, 41)) for name in rooms}
