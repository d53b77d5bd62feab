"""New credentials on a live session: judged, and rights checked again (SPEC AUT-1 to AUT-6, SUB-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    Client,
    CloseCode,
    Config,
    ErrorCode,
    Principal,
    RequestFailed,
    Session,
    SessionClosed,
    connect,
    states,
)
from hawser.testing import FaultyNetwork
from hawser_engine.messages import ChannelRequest, Publication, Publish, Subscribe, Unsubscribed
from tests.runtime.helpers import PATIENCE, URL, RawClient, collect, only_session, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock


class Harbour:
    """An app whose credentials say who it is and which channels may be used."""

    def __init__(self, *, expires_seconds: float | None = None) -> None:
        self.app = App()
        self.judged: list[dict[str, Any]] = []
        self.broken = False
        self.refusing = False
        rule = self.app.channel("*", history=100)

        @self.app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
            self.judged.append(dict(credentials))
            await trio.sleep(0.1)
            if self.broken:
                raise ConnectionError
            if self.refusing:
                return None
            who = credentials.get("who", "ada")
            return Principal(who, {"may": credentials["may"]}, expires_seconds=expires_seconds)

        @rule.authorize
        async def authorize(session: Session, action: str, channel: str) -> bool:
            return channel in session.principal.attributes["may"]


def entrance(*may: str) -> dict[str, Any]:
    return {"may": list(may)}


async def renew(client: Client, *may: str) -> None:
    await client.authenticate(credentials=entrance(*may))


# ---------------------------------------------------------------- on the wire


async def test_a_subscription_that_new_credentials_do_not_allow_ends_and_the_rest_goes_on(
    autojump_clock: MockClock,
) -> None:
    harbour = Harbour()
    async with serving(harbour.app), RawClient(credentials=entrance("kept", "lost")).connected() as client:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("kept", None), ChannelRequest("lost", None))))
        await client.hear()
        client.engine.authenticate(entrance("kept"), trio.current_time())
        client.flush()
        ended = await client.hear()
        assert isinstance(ended, Unsubscribed)
        assert (ended.id, ended.channels, ended.code) == (None, ("lost",), ErrorCode.DENIED)
        await harbour.app.publish("lost", 1)
        await harbour.app.publish("kept", 2)
        client.say(Publish(2, "kept", b"\x03", None))
        heard = [await client.hear() for _ in range(3)]
        assert sorted(type(message).__name__ for message in heard) == ["Publication", "Publication", "Published"]
        assert {message.channel for message in heard if isinstance(message, Publication)} == {"kept"}


async def test_rights_are_checked_in_turn_with_the_operations(autojump_clock: MockClock) -> None:
    """A SUBSCRIBE that is still being looked at when the right is withdrawn does not slip through."""
    harbour = Harbour()
    [rule] = harbour.app.rules
    asked = rule.handler
    assert asked is not None

    async def slowly(session: Session, action: Any, channel: str) -> bool:
        verdict = await asked(session, action, channel)
        await trio.sleep(5)
        return verdict

    rule.handler = slowly
    async with serving(harbour.app), RawClient(credentials=entrance("room")).connected() as client:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        await trio.sleep(1)
        client.engine.authenticate(entrance(), trio.current_time())
        client.flush()
        assert [type(await client.hear()).__name__ for _ in range(2)] == ["Subscribed", "Unsubscribed"]


async def test_a_check_of_rights_takes_no_place_of_an_operation(autojump_clock: MockClock) -> None:
    """A client that waits at the limit is never told BUSY (OPS-2), whatever else the server has to do for it."""
    harbour = Harbour()
    [rule] = harbour.app.rules
    asked = rule.handler
    assert asked is not None

    async def slowly(session: Session, action: Any, channel: str) -> bool:
        await trio.sleep(5)
        return await asked(session, action, channel)

    rule.handler = slowly
    credentials = entrance("room")
    async with (
        serving(harbour.app, config=Config(operations=2)),
        RawClient(credentials=credentials).connected() as client,
    ):
        await client.opened.wait()
        client.say(Publish(1, "room", b"\x01", None))
        client.engine.authenticate(credentials, trio.current_time())
        client.flush()
        await trio.sleep(1)
        client.say(Publish(2, "room", b"\x02", None))
        assert [type(await client.hear()).__name__ for _ in range(2)] == ["Published", "Published"]


@pytest.mark.parametrize("wrong", [{"who": "bob", "may": ["vault"]}, {"may": ["vault"]}], ids=["another's", "refused"])
async def test_credentials_that_are_not_accepted_change_no_right(
    autojump_clock: MockClock, wrong: dict[str, Any]
) -> None:
    """Least of all those of another principal: they are good, but not for this session (AUT-4)."""
    harbour = Harbour()
    async with serving(harbour.app) as server:
        client = RawClient(credentials=entrance("room"))
        async with client.connected():
            await client.opened.wait()
            client.say(Subscribe(1, (ChannelRequest("room", None),)))
            await client.hear()
            session = (await only_session(server)).handle
            harbour.refusing = "who" not in wrong
            client.engine.authenticate(wrong, trio.current_time())
            client.flush()
            await client.until(lambda: bool(client.terminations))
            assert client.terminations[0].code == CloseCode.UNAUTHORIZED
        await trio.sleep(1)
        assert session.principal == Principal("ada")
        assert session.principal.attributes == {"may": ["room"]}
        assert server.sessions == 1  # the session waits for the credentials of its next attach (AUT-3)
        harbour.refusing = False
        client.engine.credentials = entrance("room")
        async with client.connected():
            await client.resumed.wait()
            await harbour.app.publish("room", 1)
            assert isinstance(await client.hear(), Publication)


# ---------------------------------------------------------------- with the library


async def test_a_client_with_new_credentials_loses_and_gains_what_they_say(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    app = harbour.app
    async with serving(app) as server, connect(URL, credentials=entrance("kept", "lost")) as client:
        async with client.subscribe("kept") as kept, client.subscribe("lost") as lost:
            await app.publish("lost", 1)
            await client.authenticate(credentials=entrance("kept", "gained"))
            await app.publish("lost", 2)
            await app.publish("kept", 1)
            assert await collect(lost, 1) == [1]
            with pytest.raises(RequestFailed, match="DENIED: the right to it was withdrawn"):
                await lost.receive()
            assert await collect(kept, 1) == [1]
            with pytest.raises(RequestFailed, match="DENIED"):
                await client.publish("lost", 3)
            async with client.subscribe("gained") as gained:
                await client.publish("gained", 1)
                assert await collect(gained, 1) == [1]
        assert client.state == states.Connected(resumed=False, replayed=0, carriage="memory")
        assert (server.sessions, server.resumes) == (1, 0)
    assert len(harbour.judged) == 2


async def test_credentials_may_be_renewed_without_a_link_and_again_and_again(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    async with (
        serving(harbour.app) as server,
        FaultyNetwork() as network,
        connect(URL, transport=network, credentials=entrance("a")) as client,
    ):
        network.refuse()
        await network.cut()
        await trio.sleep(1)
        async with trio.open_nursery() as nursery:
            for name in "bcd":
                nursery.start_soon(renew, client, name)
            await trio.sleep(1)
            assert len(harbour.judged) == 1
            network.refuse(False)
        assert len(harbour.judged) == 2  # the last ones, with the RESUME
        newest = (await only_session(server)).handle.principal.attributes["may"]
        assert harbour.judged[1] == {"may": newest}
        async with trio.open_nursery() as nursery:
            for name in "efgh":
                nursery.start_soon(renew, client, name)
        assert len(harbour.judged) == 4  # one at a time (AUT-5): the first of them, then the last
        assert (await only_session(server)).handle.principal.attributes == harbour.judged[3]


async def test_a_link_that_breaks_while_credentials_are_judged_takes_them_along(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    async with (
        serving(harbour.app) as server,
        FaultyNetwork() as network,
        connect(URL, transport=network, credentials=entrance("a")) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(renew, client, "b")
        await trio.sleep(0.05)
        await network.cut()
        await trio.sleep(30)
        assert not nursery.child_tasks
        assert (await only_session(server)).handle.principal.attributes == entrance("b")


async def test_new_credentials_that_are_refused_end_the_client(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    async with serving(harbour.app), connect(URL, credentials=entrance("room")) as client:
        harbour.refusing = True
        with pytest.raises(SessionClosed, match="UNAUTHORIZED"):
            await client.authenticate(credentials=entrance("vault"))
        with pytest.raises(SessionClosed, match="UNAUTHORIZED"):
            await client.authenticate(credentials=entrance("room"))


async def test_new_credentials_that_nobody_can_judge_now_are_judged_at_the_next_attach(
    autojump_clock: MockClock,
) -> None:
    harbour = Harbour()
    async with serving(harbour.app) as server, connect(URL, credentials=entrance("room")) as client:
        harbour.broken = True
        async with trio.open_nursery() as nursery:
            nursery.start_soon(renew, client, "vault")
            await trio.sleep(1)
            harbour.broken = False
        assert server.resumes == 1
        assert (await only_session(server)).handle.principal.attributes == entrance("vault")


async def test_the_new_credentials_are_those_of_the_next_session_too(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    async with FaultyNetwork() as network:
        async with trio.open_nursery() as nursery:
            clients: list[Client] = []

            async def talk() -> None:
                async with connect(URL, transport=network, credentials=entrance("room")) as client:
                    await client.authenticate(credentials=entrance("vault"))
                    clients.append(client)
                    await trio.sleep_forever()

            async with serving(harbour.app):
                nursery.start_soon(talk)
                await trio.sleep(5)
            async with serving(harbour.app):  # another incarnation: RESET, and OPEN on the same link
                await trio.sleep(60)
                with trio.fail_after(PATIENCE):
                    await clients[0].publish("vault", 1)
                nursery.cancel_scope.cancel()
    assert harbour.judged[-1] == entrance("vault")


async def test_who_gives_neither_or_both_is_told_so(autojump_clock: MockClock) -> None:
    async with serving(App()), connect(URL) as client:
        with pytest.raises(ValueError, match="token or credentials"):
            await client.authenticate()
        with pytest.raises(ValueError, match="token or credentials"):
            await client.authenticate(token="a", credentials={})
        await client.authenticate(token="a")


# ---------------------------------------------------------------- credentials that expire


async def test_a_client_is_asked_in_time_and_answers_with_what_it_has(autojump_clock: MockClock) -> None:
    harbour = Harbour(expires_seconds=100)
    async with serving(harbour.app) as server, connect(URL, credentials=entrance("room")) as client:
        await trio.sleep(69)
        assert len(harbour.judged) == 1
        await trio.sleep(2)
        assert len(harbour.judged) == 2  # 30 s before
        await client.publish("room", 1)
        harbour.refusing = True
        await trio.sleep(71)
        assert isinstance(client.state, states.Closed)
        assert client.state.code == CloseCode.UNAUTHORIZED
        assert server.sessions == 1


async def test_who_does_not_answer_loses_the_connection_and_not_the_session(autojump_clock: MockClock) -> None:
    harbour = Harbour(expires_seconds=100)
    async with serving(harbour.app) as server:
        client = RawClient(credentials=entrance("room"))
        async with client.connected():
            await client.until(lambda: bool(client.terminations))
            assert 99 <= trio.current_time() <= 102
            assert client.terminations[0].code == CloseCode.UNAUTHORIZED
        assert server.sessions == 1


@pytest.mark.parametrize("wrong", [0, -1, float("nan")])
def test_credentials_are_good_for_some_time(wrong: float) -> None:
    with pytest.raises(ValueError, match="expires_seconds"):
        Principal("ada", expires_seconds=wrong)
