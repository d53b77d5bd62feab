"""Presence as programs use it: members, watchers, rights, resets, and a store that fails or forgets."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    NOBODY,
    App,
    Config,
    ErrorCode,
    Member,
    PayloadError,
    Presence,
    PresenceChange,
    RequestFailed,
    connect,
)
from hawser.brokers import MemoryBroker, MemoryPresence, PresenceSink
from hawser.members import decode_member, encode_info
from hawser.testing import FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.channels.attendance import Writing
from hawser_engine.messages import PRESENCE, encode_body
from hawser_engine.presence import Changes, Members, Present
from hawser_engine.presence import Member as Entry
from hawser_engine.presence import Presence as PresenceMessage
from tests.runtime.helpers import URL, RawClient, counting_bytes, only_session, serving
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

ROOM = "room:lobby"


def presence_app(store: MemoryPresence | None = None) -> App:
    broker = MemoryBroker()
    if store is not None:
        broker.presence = store
    app = App(broker=broker)
    app.channel("room:*", presence=True, open=True)
    app.channel("quiet:*", presence=True, appear=NOBODY, open=True)
    app.channel("hidden:*", presence=True, watch_presence=NOBODY, open=True)
    app.channel("plain:*", open=True)
    return app


async def changes(presence: Presence, count: int) -> list[tuple[str, Any]]:
    seen: list[tuple[str, Any]] = []
    with trio.fail_after(100):
        while len(seen) < count:
            change = await presence.__anext__()
            seen.append((change.what, change.member and change.member.info))
    return seen


def infos(members: Sequence[Member]) -> list[Any]:
    return sorted(member.info for member in members)


async def test_a_view_follows_who_comes_changes_and_goes(autojump_clock: MockClock) -> None:
    app = presence_app()
    async with serving(app), connect(URL) as ada, connect(URL) as bob:
        async with ada.presence(ROOM, info="ada") as presence:
            assert presence.me == presence.members[0]
            assert presence.me is not None
            assert presence.me.info == "ada"
            async with bob.presence(ROOM, info={"name": "bob"}, watch=False) as other:
                assert other.members == []
                assert await changes(presence, 1) == [("join", {"name": "bob"})]
                assert presence.total == 2
                await other.update("away")
                assert await changes(presence, 1) == [("update", "away")]
                assert infos(await app.members(ROOM)) == ["ada", "away"]
            assert await changes(presence, 1) == [("leave", "away")]
            await presence.update(None)
            assert await changes(presence, 1) == [("leave", "ada")]
            assert presence.me is None
        async with ada.presence(ROOM, info="again") as presence:
            assert infos(presence.members) == ["again"]


async def test_what_changes_back_before_it_is_looked_at_is_no_change(autojump_clock: MockClock) -> None:
    async with serving(presence_app()), connect(URL) as ada, connect(URL) as bob:
        async with ada.presence(ROOM) as presence:
            for _ in range(3):
                async with bob.presence(ROOM, info=1, watch=False):
                    await trio.sleep(3)
                await trio.sleep(3)
            async with bob.presence(ROOM, info=2, watch=False):
                assert await changes(presence, 1) == [("join", 2)]


async def test_the_end_of_a_client_ends_the_iteration(autojump_clock: MockClock) -> None:
    async with serving(presence_app()), connect(URL) as ada:
        async with ada.presence(ROOM) as presence:
            await ada.aclose()
            assert [change async for change in presence] == []
        with pytest.raises(RuntimeError, match="entered only once"):
            await presence.__aenter__()


async def test_rights_and_channels_without_presence(autojump_clock: MockClock) -> None:
    app = presence_app()
    async with serving(app), connect(URL) as client:
        for channel, info, watch, code in (
            ("plain:x", None, True, ErrorCode.BAD_REQUEST),
            ("nowhere", None, True, ErrorCode.NOT_FOUND),
            ("quiet:x", "me", True, ErrorCode.DENIED),
            ("hidden:x", "me", True, ErrorCode.DENIED),
        ):
            with pytest.raises(RequestFailed) as caught:
                async with client.presence(channel, info=info, watch=watch):
                    pass
            assert caught.value.code == code
        async with client.presence("quiet:x") as presence:
            assert presence.members == []
            with pytest.raises(RequestFailed):
                await presence.update("me")
            await presence.update(None)
            with pytest.raises(RuntimeError, match="already"):
                await client.presence("quiet:x").__aenter__()
        async with client.presence("hidden:x", info="me", watch=False):
            assert infos(await app.members("hidden:x")) == ["me"]
    with pytest.raises(LookupError):
        await app.members("plain:x")


def test_info_is_bounded() -> None:
    assert encode_info("x" * 1_000) is not None
    with pytest.raises(PayloadError, match="at most"):
        encode_info("x" * 1_025)


async def test_after_a_reset_it_is_said_again_and_the_rest_looks_like_a_change(autojump_clock: MockClock) -> None:
    async with connect(URL, wait=False) as ada:
        presence = ada.presence(ROOM, info="ada")
        async with serving(presence_app()):
            await presence.__aenter__()
            async with connect(URL) as bob, bob.presence(ROOM, info="bob", watch=False):
                assert await changes(presence, 1) == [("join", "bob")]
                first = presence.me
        async with serving(presence_app()):
            seen = await changes(presence, 3)
            assert sorted(seen) == [("join", "ada"), ("leave", "ada"), ("leave", "bob")]
            assert presence.me is not None
            assert presence.me != first
            await presence.__aexit__(None, None, None)
            assert [change async for change in presence] == []


async def test_many_are_only_counted(autojump_clock: MockClock) -> None:
    config = Config(presence_listed=2)
    async with serving(presence_app(), config=config), connect(URL) as ada, ada.presence(ROOM) as presence:
        async with trio.open_nursery() as nursery:

            async def come(info: int) -> None:
                async with connect(URL) as client, client.presence(ROOM, info=info, watch=False):
                    await trio.sleep(50)

            for info in range(4):
                nursery.start_soon(come, info)
            seen: list[PresenceChange] = []
            with trio.move_on_after(20):
                while True:
                    seen.append(await presence.__anext__())
            assert (presence.listed, presence.total, presence.members) == (False, 4, [])
            assert seen[-1] == PresenceChange("count", None)
        await trio.sleep(5)
        assert (presence.listed, presence.total) == (True, 0)


class Unreliable(MemoryPresence):
    """A store that now and then fails, or has forgotten a lease."""

    def __init__(self) -> None:
        super().__init__(random_bytes=counting_bytes())
        self.failing = False
        self.leases: list[bytes] = []

    async def begin(self, seconds: float) -> bytes:
        self.leases.append(await super().begin(seconds))
        return self.leases[-1]

    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        if self.failing:
            raise OSError("out of reach")
        return await super().write(lease, writings)

    async def renew(self, lease: bytes, seconds: float) -> bool:
        if self.failing:
            raise OSError("out of reach")
        return await super().renew(lease, seconds)


async def test_a_node_whose_lease_is_gone_enters_its_members_anew(autojump_clock: MockClock) -> None:
    store = Unreliable()
    async with serving(presence_app(store)), connect(URL) as ada, connect(URL) as bob:
        async with ada.presence(ROOM, info="ada") as presence:
            await trio.sleep(305)  # between two renewals
            assert (len(store.leases), infos(presence.members)) == (1, ["ada"])
            await store.end(store.leases[0])  # found out when it is renewed
            assert await changes(presence, 2) == [("leave", "ada"), ("join", "ada")]
            await store.end(store.leases[1])  # found out when something is written
            async with bob.presence(ROOM, info="bob", watch=False):
                await trio.sleep(2)
                assert infos(presence.members) == ["ada", "bob"]
            assert len(store.leases) == 3
    assert await store.members(ROOM) == ()


async def test_what_a_store_could_not_take_is_written_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Unreliable()
    async with serving(presence_app(store)), connect(URL) as ada:
        async with ada.presence(ROOM) as presence:
            store.failing = True
            await presence.update("ada")
            assert presence.members == []
            store.failing = False
            assert await changes(presence, 1) == [("join", "ada")]
    assert "out of reach" in caplog.text


async def test_nobody_notices_a_store_that_is_away_for_less_than_is_left_of_a_lease(
    autojump_clock: MockClock,
) -> None:
    store = Unreliable()
    async with serving(presence_app(store)), connect(URL) as ada, ada.presence(ROOM, info="ada") as presence:
        with trio.move_on_after(400) as quiet:
            for _ in range(5):
                store.failing = True
                await trio.sleep(38)  # two thirds of a lease are left when it is renewed
                store.failing = False
                await trio.sleep(30)
            await presence.__anext__()
        assert quiet.cancelled_caught
        assert (len(store.leases), infos(presence.members)) == (1, ["ada"])


async def test_members_of_other_nodes_are_seen_and_vanish_with_their_lease(autojump_clock: MockClock) -> None:
    store = MemoryPresence()
    async with serving(presence_app(store)), connect(URL) as ada, ada.presence(ROOM) as presence:
        other = await store.begin(60)
        await store.write(other, [Writing(ROOM, b"x", Entry(b"x", "bob", b"\xff no payload"))])
        assert await changes(presence, 1) == [("join", b"\xff no payload")]
        before = trio.current_time()
        assert await changes(presence, 1) == [("leave", b"\xff no payload")]
        assert 59 < trio.current_time() - before < 62


async def test_a_step_that_does_not_follow_brings_a_new_list(autojump_clock: MockClock) -> None:
    """SPEC PRS-7."""
    async with serving(presence_app()) as server, connect(URL) as ada, ada.presence(ROOM, info="ada") as presence:
        session = await only_session(server)
        for version in (7, 8):
            session.put(encode_body(Changes(ROOM, version, 9, (), ())))
        await trio.sleep(2)
        assert (presence.total, infos(presence.members)) == (1, ["ada"])


async def test_who_comes_back_at_once_is_there_when_it_has_entered(autojump_clock: MockClock) -> None:
    app = presence_app()
    async with serving(app), connect(URL) as ada:
        for info in range(10):
            async with ada.presence(ROOM, info=info, watch=False):
                assert infos(await app.members(ROOM)) == [info]


class ReportsFirst(MemoryPresence):
    """A store that says who was there when everything is different already, as one far away does."""

    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Entry, ...]:
        members = await super().watch(channel, sink)
        lease = await self.begin(1_000)
        await self.write(lease, [Writing(channel, b"x", Entry(b"x", "bob", b"\x01"))])
        return members


async def test_what_is_reported_before_the_list_is_not_lost(autojump_clock: MockClock) -> None:
    async with serving(presence_app(ReportsFirst())), connect(URL) as ada, ada.presence(ROOM) as presence:
        assert infos(presence.members) == [1]


class Reluctant(MemoryPresence):
    """A store that does what it is asked to, and often says that it has not."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals = 0

    def refuse(self) -> None:
        if self.refusals:
            self.refusals -= 1
            raise OSError("out of reach")

    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Entry, ...]:
        members = await super().watch(channel, sink)
        self.refuse()
        return members

    async def unwatch(self, channel: str, sink: PresenceSink) -> None:
        self.refuse()
        await super().unwatch(channel, sink)

    async def end(self, lease: bytes) -> None:
        self.refuse()
        await super().end(lease)

    @property
    def watched(self) -> int:
        return sum(len(sinks) for sinks in self._sinks.values())


async def test_a_store_is_asked_to_stop_until_it_does(autojump_clock: MockClock) -> None:
    store = Reluctant()
    async with serving(presence_app(store)) as server, connect(URL) as ada:
        store.refusals = 3  # at watch, and twice when that is taken back
        with pytest.raises(RequestFailed):
            await ada.presence(ROOM).__aenter__()
        await trio.sleep(5)
        assert (store.refusals, store.watched) == (0, 0)
        store.refusals = 2
        with pytest.raises(RequestFailed):
            await ada.presence(ROOM).__aenter__()
        async with ada.presence(ROOM, info="ada") as presence:
            assert (infos(presence.members), store.watched) == (["ada"], 1)
        await trio.sleep(1)
        assert store.watched == 0
        assert not server._node.presence._watched  # pyright: ignore[reportPrivateUsage]


async def test_a_server_ends_in_peace_without_its_store_and_else_leaves_it(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    store = Reluctant()
    async with connect(URL, wait=False) as ada:
        for refusals, watched in ((2, 1), (0, 1)):
            async with serving(presence_app(store)):
                presence = ada.presence(ROOM, info="ada")
                await presence.__aenter__()
                store.refusals = refusals
            assert store.watched == watched
            await presence.__aexit__(None, None, None)
            store.refusals = 0
    assert "out of reach" in caplog.text


class Hesitant(MemoryPresence):
    """A store that waits to be let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = trio.Event()

    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Entry, ...]:
        await self.go_on.wait()
        return await super().watch(channel, sink)


async def test_who_loses_the_link_while_it_enters_has_the_grace_and_no_more(autojump_clock: MockClock) -> None:
    """SPEC PRS-9."""
    store = Hesitant()
    async with FaultyNetwork() as network, serving(presence_app(store)), trio.open_nursery() as nursery:

        async def enter() -> None:
            async with connect(URL, transport=network) as client, client.presence(ROOM, info="ada"):
                await trio.sleep_forever()

        nursery.start_soon(enter)
        await trio.sleep(1)
        network.refuse()
        await network.cut()
        await trio.sleep(1)
        store.go_on.set()
        await trio.sleep(8)
        assert len(await store.members(ROOM)) == 1
        await trio.sleep(4)
        assert await store.members(ROOM) == ()
        nursery.cancel_scope.cancel()


class Stuck(MemoryPresence):
    """A store that takes nobody out until it is let go on."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = trio.Event()

    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        if writings[0].entry is None:
            await self.go_on.wait()
        return await super().write(lease, writings)


async def test_a_session_that_ends_while_it_leaves_watches_no_more(autojump_clock: MockClock) -> None:
    store = Stuck()
    async with serving(presence_app(store)) as server:
        async with connect(URL) as client:
            async with client.presence(ROOM, info="ada"):
                session = await only_session(server)
            await trio.sleep(1)
            assert not session.requests.idle
        await trio.sleep(1)
        store.go_on.set()
        await trio.sleep(1)
        assert not server._node.presence._watched  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize(("missed", "kinds"), [(10, [Changes]), (100, [Members])])
async def test_a_watcher_without_window_holds_nobody_up_and_gets_what_it_missed(
    autojump_clock: MockClock, missed: int, kinds: list[type]
) -> None:
    """SPEC PRS-6: the steps, as long as they are kept, else a list."""
    slow = RawClient(EngineConfig(window_messages=2), features=(PRESENCE,))
    slow.deliver = False
    config = Config(joins_per_second=1_000, presence_step_seconds=0.5)
    async with serving(presence_app(), config=config) as server, slow.connected():
        slow.say(PresenceMessage(1, ROOM, 1, None))
        assert [type(await slow.hear()) for _ in range(2)] == [Present, Members]
        session = await only_session(server)
        async with connect(URL) as ada, ada.presence(ROOM, info=0) as presence:
            for info in range(1, missed):
                await presence.update(info)
                assert await changes(presence, 1) == [("update", info)]
            assert not slow.messages
            assert not session.engine.outbox.queue
            slow.deliver = True
            slow.engine.session.delivered(2, trio.current_time())
            slow.flush()
            await trio.sleep(1)
            heard: list[Any] = [await slow.hear() for _ in range(len(slow.messages))]
            assert list(dict.fromkeys(map(type, heard))) == kinds
            assert [message.version for message in heard] == list(range(heard[0].version, missed + 1))
            if kinds == [Members]:
                assert [decode_member(entry).info for entry in heard[-1].members] == [missed - 1]
            else:
                assert [decode_member(entry).info for message in heard for entry in message.here] == [*range(missed)]


async def test_a_list_that_a_reset_has_cut_off_is_no_part_of_the_next_one(autojump_clock: MockClock) -> None:
    """SPEC PRS-4, PRS-7: though both have the same version by chance."""
    ada, bob, eve = (Entry(bytes([number] * 16), "ada", encode_info(number) or b"") for number in range(3))
    async with serving(presence_app()), connect(URL) as client, client.presence(ROOM) as presence:
        presences = client._dialogue.presences  # pyright: ignore[reportPrivateUsage]
        presences.take(Members(ROOM, 7, 2, more=True, members=(ada,)))
        presences.opened()
        presences.take(Members(ROOM, 7, 2, more=True, members=(bob,)))
        presences.take(Members(ROOM, 7, 2, more=False, members=(eve,)))
        assert [member.info for member in presence.members] == [1, 2]


@pytest.mark.parametrize("slow", [0.0, 0.2])
async def test_a_server_that_ends_leaves_nothing_in_its_store_though_a_part_of_that_fails(
    slow: float, autojump_clock: MockClock
) -> None:
    """One channel does not wait for the others, nor for the lease."""

    class Store(MemoryPresence):
        def __init__(self) -> None:
            super().__init__()
            self.watched: set[str] = set()

        async def end(self, lease: bytes) -> None:
            await super().end(lease)
            raise ConnectionError("gone")

        async def watch(self, channel: str, sink: PresenceSink) -> tuple[Entry, ...]:
            self.watched.add(channel)
            return await super().watch(channel, sink)

        async def unwatch(self, channel: str, sink: PresenceSink) -> None:
            await trio.sleep(slow)
            await super().unwatch(channel, sink)
            self.watched.discard(channel)

    store, count = Store(), 60
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(presence_app(store))
        async with connect(URL) as client, AsyncExitStack() as stack:
            for number in range(count):
                await stack.enter_async_context(client.presence(f"room:{number}", info=1))
            assert len(store.watched) == count
            await restarts.end()
            assert store.watched == set()
