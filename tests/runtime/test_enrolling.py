"""The application subscribes sessions wherever they are: `App.subscribe` and `App.unsubscribe` (SPEC ASG-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import Config, Reach, Session, Subscription, to
from hawser.brokers import BrokerUnavailable, MemorySessions
from hawser_engine import EngineConfig
from hawser_engine.cbor import encode_value
from hawser_engine.messages import ASSIGNED, Publish, Subscribed, encode_body
from tests.runtime.helpers import PATIENCE, RawClient, told
from tests.runtime.many import Dead, Service, url
from tests.runtime.slow_sessions import SlowSessions
from tests.runtime.test_assigning import Reader

if TYPE_CHECKING:
    from trio.testing import MockClock

FOUND_SECONDS = 30
"""After which every server is found, also in a slow directory."""


@pytest.fixture(params=["one", "two", "two, far away"])
def service(request: pytest.FixtureRequest) -> Service:
    directory = SlowSessions(MemorySessions(), 1) if "far" in request.param else None
    return Service(1 if request.param == "one" else 2, directory)


def reading(service: Service, name: str, at: int, reader: Reader, **options: Any) -> Any:
    """A client that takes what it is subscribed to."""
    return service.connect(name, at, assigned=reader, **options)


async def test_all_devices_of_a_user_are_subscribed_and_taken_out_again(
    service: Service, autojump_clock: MockClock
) -> None:
    phone, desk, other = Reader(), Reader(), Reader()
    async with (
        service.up(),
        reading(service, "bob", 0, phone),
        reading(service, "bob", 1, desk),
        reading(service, "ann", 1, other),
    ):
        await trio.sleep(FOUND_SECONDS)
        for number, app in enumerate(service.apps):
            channel = f"room:{number}"
            await app.publish(channel, "before")
            await app.publish(channel, "last")
            assert await app.subscribe(to.user("bob"), channel, rewind=1) == Reach(2)
            assert await app.subscribe([to.user("bob"), to.user("eve")], channel) == Reach(2)
            await app.publish(channel, "hello")
            for reader in (phone, desk):
                await reader.until(("begin", channel), "last", "hello")
            assert await app.unsubscribe(to.user("bob"), channel) == Reach(2)
            await app.publish(channel, "after")
            for reader in (phone, desk):
                await reader.until(("end", channel))
            assert await app.unsubscribe(to.user("bob"), channel) == Reach()
        assert await service.apps[0].subscribe([to.user("bob"), to.user("ann")], "lobby") == Reach(3)
        for reader in (phone, desk, other):
            await reader.until(("begin", "lobby"))


async def test_a_session_is_found_by_its_name(service: Service, autojump_clock: MockClock) -> None:
    reader, named = Reader(), list[str]()

    async def name(session: Session) -> None:
        named.append(session.id)

    service.apps[-1].on_connect(name)
    async with service.up(), reading(service, "bob", 1, reader), reading(service, "bob", 0, Reader()):
        await trio.sleep(FOUND_SECONDS)
        app = service.apps[0]
        target = to.session(named[0])
        assert await app.subscribe([target, target], "room") == Reach(1)
        await reader.until(("begin", "room"))
        assert await app.subscribe(to.session("ab" * 8), "room") == Reach()
        assert await app.unsubscribe(target, "room") == Reach(1)
        await reader.until(("end", "room"))


async def test_what_a_client_has_asked_for_is_ended_too(service: Service, autojump_clock: MockClock) -> None:
    async with service.up(), reading(service, "bob", 1, Reader()) as client:
        await trio.sleep(FOUND_SECONDS)
        for channel in ("room", "room:*"):
            async with client.subscribe(channel) as messages:
                assert await service.apps[0].unsubscribe(to.user("bob"), channel) == Reach(1)
                with trio.fail_after(PATIENCE), pytest.raises(trio.EndOfChannel):
                    await messages.receive()


async def test_a_session_without_a_link_is_subscribed_at_once_and_told_when_it_is_back(
    service: Service, autojump_clock: MockClock
) -> None:
    bob = RawClient(credentials={"token": "bob"}, features=(ASSIGNED,))
    async with service.up():
        async with bob.connected(url(len(service.apps) - 1)):
            await bob.opened.wait()
            await trio.sleep(FOUND_SECONDS)
        app = service.apps[0]
        assert await app.subscribe(to.user("bob"), "room") == Reach(1, away=1)
        await app.publish("room", "meanwhile")
        async with bob.connected(url(len(service.apps) - 1)):
            await bob.until(lambda: len(bob.messages) >= 2)
        assert isinstance(bob.messages[0], Subscribed)
        assert told(bob)[1:] == [1]


async def test_a_session_without_room_holds_nobody_up_and_is_told_when_it_has_some(
    service: Service, autojump_clock: MockClock
) -> None:
    config, reader = Config(queue_messages=2), Reader()
    full = RawClient(EngineConfig(window_messages=2), {"token": "bob"}, (ASSIGNED,))
    async with (
        service.up(config),
        full.connected(url(len(service.apps) - 1)) as raw,
        reading(service, "bob", 0, reader),
    ):
        await raw.opened.wait()
        await trio.sleep(FOUND_SECONDS)
        raw.deliver = False
        for number in range(1, 7):
            raw.say(Publish(number, "elsewhere", b"\x01", None))
        await raw.until(lambda: len(raw.messages) == 2)
        began = trio.current_time()
        assert await service.apps[0].subscribe(to.user("bob"), "room") == Reach(2)
        assert 1 < trio.current_time() - began < 10
        await reader.until(("begin", "room"))
        assert not any(isinstance(message, Subscribed) for message in raw.messages)
        raw.deliver = True
        raw.engine.session.delivered(2, trio.current_time())
        raw.flush()
        await raw.until(lambda: any(isinstance(message, Subscribed) for message in raw.messages))


async def test_who_takes_none_or_has_too_many_is_counted_as_refused(
    service: Service, autojump_clock: MockClock
) -> None:
    async def idle(subscription: Subscription) -> None:
        await trio.sleep_forever()

    config = Config(channels_per_session=1)
    async with (
        service.up(config),
        service.connect("bob", 1),
        service.connect("bob", 0, assigned=idle),
        service.connect("bob", 1, assigned=idle) as full,
        full.subscribe("mine"),
    ):
        await trio.sleep(FOUND_SECONDS)
        assert await service.apps[0].subscribe(to.user("bob"), "room") == Reach(1, refused=2)


async def test_of_a_dead_server_it_is_said_that_nobody_knows(autojump_clock: MockClock) -> None:
    reader = Reader()
    async with Service(2).up() as service, reading(service, "bob", 0, reader):
        app, dead = service.apps[0], Dead()
        await dead.enter(service.broker.sessions, "bob")
        began = trio.current_time()
        assert await app.subscribe(to.user("bob"), "room") == Reach(1, unreached=1)
        assert trio.current_time() - began == pytest.approx(5, abs=0.5)
        await reader.until(("begin", "room"))


class Unknowing(MemorySessions):
    """It does not know which servers there are."""

    async def nodes(self) -> tuple[bytes, ...]:
        """See `SessionDirectory.nodes`."""
        raise BrokerUnavailable("out of reach")


async def test_where_nobody_knows_which_servers_there_are_that_is_said(autojump_clock: MockClock) -> None:
    async with Service(2, Unknowing()).up() as service, reading(service, "bob", 0, Reader()):
        await Dead().enter(service.broker.sessions)
        assert await service.apps[0].subscribe(to.user("bob"), "room") == Reach(1, unreached=1)


async def test_where_the_channel_cannot_be_opened_that_is_told_or_nothing_is_known(autojump_clock: MockClock) -> None:
    service = Service(2)
    cables = service.by_cable()
    async with (
        service.up(),
        reading(service, "bob", 0, Reader()),
        reading(service, "bob", 1, Reader()),
    ):
        await trio.sleep(FOUND_SECONDS)
        assert len(cables) == 2

        async def fail(channel: str, sink: object) -> Any:
            raise BrokerUnavailable("out of reach")

        service.apps[1].broker.join = fail  # type: ignore[method-assign]
        assert await service.apps[0].subscribe(to.user("bob"), "room") == Reach(1, unreached=1)
        with pytest.raises(BrokerUnavailable):
            await service.apps[1].subscribe(to.user("bob"), "room")


async def test_a_channel_that_another_server_does_not_have_is_refused_there(autojump_clock: MockClock) -> None:
    service = Service(2)
    service.apps[1].rules.clear()
    async with service.up(), reading(service, "bob", 0, Reader()), reading(service, "bob", 1, Reader()):
        await trio.sleep(FOUND_SECONDS)
        assert await service.apps[0].subscribe(to.user("bob"), "room") == Reach(1, refused=1)


@pytest.mark.parametrize("body", [b"", b"\x80", encode_body(Publish(1, "room", b"", None))])
async def test_a_server_that_is_asked_nonsense_says_nothing_and_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, body: bytes
) -> None:
    async with Service(2).up() as service, reading(service, "bob", 1, Reader()):
        await trio.sleep(FOUND_SECONDS)
        [node] = await service.broker.sessions.nodes()
        question = encode_value([6, [], [[1, "bob"]], body], limit=1_000)
        assert await service.broker.sessions.ask(node, question, 5.0) == b""
        assert "incident" in caplog.text
        assert await service.apps[0].subscribe(to.user("bob"), "room") == Reach(1)


@pytest.mark.parametrize("target", [to.everybody, to.agent("clerk"), to.channel("room"), [], [to.user("bob")] * 65])
async def test_only_sessions_and_users_have_subscriptions(autojump_clock: MockClock, target: Any) -> None:
    async with Service(1).up() as service:
        for done in (service.apps[0].subscribe, service.apps[0].unsubscribe):
            with pytest.raises(ValueError, match=r"sessions and users|1 to 64 targets"):
                await done(target, "room")


async def test_what_cannot_be_subscribed_to_is_refused_at_once(autojump_clock: MockClock) -> None:
    async with Service(1).up() as service:
        app = service.apps[0]
        with pytest.raises(ValueError, match="is a pattern"):
            await app.subscribe(to.user("bob"), "room:*")
        app.rules.clear()
        with pytest.raises(LookupError, match="declare it"):
            await app.subscribe(to.user("bob"), "room")
