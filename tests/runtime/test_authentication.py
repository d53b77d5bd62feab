"""Who is who: asked at every attach (SPEC ATT-16, SEC-4)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    ANONYMOUS,
    App,
    CloseCode,
    Config,
    ConnectFailed,
    Principal,
    RequestLost,
    ResetReason,
    Session,
    SessionClosed,
    connect,
    states,
)
from hawser.server.node import ServerDriver
from hawser.testing import FaultyNetwork
from tests.runtime.helpers import URL, RawClient, only_session, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock


def app_with(answers: dict[str, Principal | None]) -> App:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        await trio.sleep(0.1)
        return answers[credentials["token"]]

    return app


async def test_without_an_authenticator_everyone_is_anonymous(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL, token="whatever"):
        assert (await only_session(server)).handle.principal == ANONYMOUS


async def test_credentials_reach_the_authenticator_as_they_are(autojump_clock: MockClock) -> None:
    app = open_app()
    seen: list[Mapping[str, Any]] = []

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        seen.append(credentials)
        return Principal("ada", {"role": "admin"})

    async with serving(app) as server:
        async with connect(URL, credentials={"user": "ada", "proof": [1, 2]}):
            session = await only_session(server)
            assert session.handle.principal.attributes == {"role": "admin"}
        async with connect(URL):
            pass
    assert seen == [{"user": "ada", "proof": [1, 2]}, {}]


async def test_who_is_refused_is_told_at_once_and_does_not_try_again(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    async with serving(app_with({"bad": None})):
        with pytest.raises(ConnectFailed, match="refused with code 302") as caught:
            await connect(URL, token="bad").__aenter__()
    assert caught.value.code == CloseCode.UNAUTHORIZED
    assert trio.current_time() - began < 1


@pytest.mark.parametrize("answer", ["ada", True, 0])
async def test_an_authenticator_that_answers_anything_else_lets_nobody_in(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    async with serving(app_with({"x": answer})):
        with pytest.raises(ConnectFailed, match="no session after"):
            await connect(URL, token="x").__aenter__()
    assert "authenticate failed" in caplog.text


async def test_who_is_refused_at_a_resume_is_out_for_good(autojump_clock: MockClock) -> None:
    answers: dict[str, Principal | None] = {"ada": Principal("ada")}
    async with serving(app_with(answers)) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network, token="ada") as client, client.subscribe("room") as messages:
            await client.publish("room", 1)
            await trio.sleep(1)
            answers["ada"] = None
            await network.cut()
            with pytest.raises((RequestLost, SessionClosed)):
                await client.publish("room", 2)
            state = client.state
            assert isinstance(state, states.Closed)
            assert state.code == CloseCode.UNAUTHORIZED
            assert (await messages.receive()).data == 1
            with pytest.raises(SessionClosed, match="UNAUTHORIZED"):
                await messages.receive()
            with pytest.raises(SessionClosed, match="UNAUTHORIZED"):
                async for _ in messages:
                    pass
        assert server.sessions == 1  # kept for its resume period, in case it comes back with better credentials


async def test_another_principal_cannot_resume_the_session_and_gets_its_own(autojump_clock: MockClock) -> None:
    answers: dict[str, Principal | None] = {"x": Principal("ada")}
    async with serving(app_with(answers)) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network, token="x") as client:
            await trio.sleep(1)
            answers["x"] = Principal("bob")
            await network.cut()
            async for state in client.states:
                if isinstance(state, states.Reset):
                    assert state.reason == ResetReason.UNKNOWN_SESSION
                    break
            await client.publish("room", 1)
            assert server.sessions == 2


async def test_a_principal_may_come_back_with_other_attributes(autojump_clock: MockClock) -> None:
    app, version = open_app(), 0

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        nonlocal version
        version += 1
        return Principal("ada", {"version": version})

    @app.procedure("version")
    async def tell(session: Session) -> int:
        return int(session.principal.attributes["version"])

    async with serving(app), FaultyNetwork() as network, connect(URL, transport=network) as client:
        assert await client.call("version") == 1
        await network.cut()
        assert await client.call("version") == 2


async def test_a_verdict_that_comes_too_late_changes_nothing(autojump_clock: MockClock) -> None:
    app = open_app()
    go = trio.Event()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        await go.wait()
        return Principal("ada")

    async with serving(app) as server:
        async with RawClient().connected():
            await trio.sleep(1)
        go.set()
        await trio.sleep(1)
        assert server.sessions == 0


async def test_an_authenticator_that_takes_too_long_is_a_failed_attempt(autojump_clock: MockClock) -> None:
    app = open_app()
    calls = 0

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        nonlocal calls
        calls += 1
        if calls == 1:
            await trio.sleep_forever()
        return Principal("ada")

    async with serving(app) as server, connect(URL, config=Config(connect_seconds=60)) as client:
        assert (await client.publish("room", 1)).position.offset == 1
        node: Any = server._node  # pyright: ignore[reportPrivateUsage]
        await trio.testing.wait_all_tasks_blocked()
        names = [task.name for task in node._connections.child_tasks]
        assert not any("_authenticate" in name for name in names)  # nobody waits for a verdict nobody wants
    assert calls == 2


async def test_a_session_that_is_never_proved_fires_no_hook(autojump_clock: MockClock) -> None:
    """The client dies between OPEN and its first ACK (SPEC UNC-1)."""
    app = open_app()
    hooks: list[str] = []

    @app.on_connect
    async def arrived(session: Session) -> None:
        hooks.append("connect")

    @app.on_disconnect
    async def left(session: Session) -> None:
        hooks.append("disconnect")

    async with serving(app) as server:
        raw = RawClient()
        async with raw.connected() as client:
            client.link.cut()  # OPEN has left, its answer will not arrive
        assert server.sessions == 0
        await trio.sleep(200)
        assert hooks == []


async def test_a_fault_of_the_node_itself_ends_one_connection_and_is_an_incident(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever fails inside the node while it handles one connection ends that connection, and only it."""
    async with serving(open_app()) as server, connect(URL) as other:
        async with RawClient().connected() as client:
            await trio.sleep(1)
            node = server._node  # pyright: ignore[reportPrivateUsage]
            sessions: Any = node.sessions
            spoiled = max(sessions.values(), key=lambda session: session.handle.number)
            spoiled._requests = "spoiled"  # whatever is called next fails
            client.say(b"\x80")
            await client.until(lambda: bool(client.terminations))
            assert client.terminations[0].code == CloseCode.INTERNAL
            assert client.terminations[0].reason.startswith("incident ")
            [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
            assert client.terminations[0].reason.removeprefix("incident ") in record.getMessage()
            assert (await other.publish("room", 1)).position.offset == 1


async def test_a_connection_that_cannot_even_be_closed_is_dropped(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    flush = ServerDriver.flush
    spoiled: list[ServerDriver] = []

    def fail(driver: ServerDriver) -> bool:
        if driver in spoiled:
            raise ValueError("spoiled")
        return flush(driver)

    monkeypatch.setattr(ServerDriver, "flush", fail)
    async with serving(open_app()) as server, connect(URL) as other:
        async with RawClient().connected() as client:
            await trio.sleep(1)
            node: Any = server._node  # pyright: ignore[reportPrivateUsage]
            spoiled += [driver for driver in node._drivers.values() if "#2" in driver.link.description]
            client.say(b"\x80")
            await client.until(lambda: bool(client.terminations))
            assert client.terminations[0].initiator == "link"
            assert len([record for record in caplog.records if record.levelno >= logging.ERROR]) == 2
            assert (await other.publish("room", 1)).position.offset == 1
            assert len(node._drivers) == 1
