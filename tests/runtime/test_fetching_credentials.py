"""Credentials that a function fetches: when they are wanted, never twice at once, and what becomes of its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, CloseCode, Config, ConnectFailed, Credentials, Principal, connect, states
from hawser.testing import FaultyNetwork
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock


class Gate:
    """An app that lets in who shows a token that is good now, and the issuer of those tokens."""

    def __init__(self, *, expires_seconds: float | None = None, good_seconds: float | None = None) -> None:
        self.app = App()
        self.app.channel("*", history=100, open=True)
        self.issued = 0
        self.judged: list[int] = []
        self.oldest = 1
        """Tokens before this one are refused."""
        self.fails: Exception | None = None
        self.seconds = 0.0
        """How long it takes to get a token."""
        self.fetching = 0
        self.most_at_once = 0
        self._good_seconds = good_seconds

        @self.app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
            token = int(credentials["token"])
            self.judged.append(token)
            return Principal("ada", expires_seconds=expires_seconds) if token >= self.oldest else None

    async def fetch(self) -> Mapping[str, Any] | Credentials:
        """What `connect` is given."""
        self.fetching += 1
        self.most_at_once = max(self.most_at_once, self.fetching)
        try:
            await trio.sleep(self.seconds)
            if self.fails is not None:
                raise self.fails
            self.issued += 1
            values = {"token": str(self.issued)}
            return values if self._good_seconds is None else Credentials(values, self._good_seconds)
        finally:
            self.fetching -= 1


async def test_they_are_fetched_before_the_first_attempt_and_kept_while_they_are_good(
    autojump_clock: MockClock,
) -> None:
    gate = Gate()
    async with serving(gate.app), FaultyNetwork() as network:
        async with connect(URL, transport=network, credentials=gate.fetch) as client:
            for number in range(5):
                await client.publish("room", number)
                await network.cut()
            await client.publish("room", 5)
    assert gate.issued == 1
    assert gate.judged == [1] * 6


async def test_what_has_expired_is_fetched_anew_before_the_attempt(autojump_clock: MockClock) -> None:
    gate = Gate(good_seconds=60)
    async with serving(gate.app), FaultyNetwork() as network:
        async with connect(URL, transport=network, credentials=gate.fetch) as client:
            await trio.sleep(50)
            await network.cut()
            await client.publish("room", 1)
            assert gate.judged == [1, 1]
            await trio.sleep(50)
            await network.cut()
            await client.publish("room", 2)
            assert gate.judged == [1, 1, 2]


async def test_what_is_refused_is_fetched_anew_and_the_session_goes_on(autojump_clock: MockClock) -> None:
    gate = Gate()
    async with serving(gate.app) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network, credentials=gate.fetch) as client:
            await client.publish("room", 1)
            gate.oldest = 2
            await network.cut()
            await client.publish("room", 2)
            assert gate.judged == [1, 1, 2]
            assert (server.sessions, server.resumes) == (1, 1)


async def test_who_is_refused_whatever_is_fetched_gives_up(autojump_clock: MockClock) -> None:
    gate = Gate()
    gate.oldest = 1_000
    async with serving(gate.app):
        async with connect(URL, credentials=gate.fetch, wait=False) as client:
            async for _ in client.states:
                pass
            assert isinstance(client.state, states.Closed)
            assert client.state.code == CloseCode.UNAUTHORIZED
    assert gate.judged == [1, 2, 3]


async def test_the_same_ones_are_not_tried_again(autojump_clock: MockClock) -> None:
    gate = Gate()
    gate.oldest = 2
    token = "1"

    async def fetch() -> dict[str, str]:
        return {"token": token}

    async with serving(gate.app):
        async with connect(URL, credentials=fetch, wait=False) as client:
            await trio.sleep(100)
            assert gate.judged == [1]
            assert isinstance(client.state, states.Waiting)
            assert client.state.why == "the credentials are still those that the server has refused"
            token = "2"
            with trio.fail_after(PATIENCE):
                await client.publish("room", 1)
    assert gate.judged == [1, 2]


async def test_a_function_that_fails_is_asked_again_and_ends_nothing(autojump_clock: MockClock) -> None:
    gate = Gate()
    gate.fails = OSError("the issuer is down, and its password is secret")
    async with serving(gate.app) as server:
        async with connect(URL, credentials=gate.fetch, wait=False) as client:
            await trio.sleep(300)
            assert isinstance(client.state, states.Waiting)  # it says nothing about the server: no circuit opens
            assert client.state.why == "no credentials: OSError"
            assert server.sessions == 0
            gate.fails = None
            with trio.fail_after(PATIENCE):
                await client.publish("room", 1)


async def test_who_waits_for_the_first_session_learns_what_the_function_said(autojump_clock: MockClock) -> None:
    gate = Gate()
    gate.fails = OSError("the issuer is down")
    async with serving(gate.app):
        with pytest.raises(ConnectFailed, match="no session after 10 s; last: no credentials: OSError") as caught:
            await connect(URL, credentials=gate.fetch).__aenter__()
    assert caught.value.attempts is not None
    assert caught.value.attempts.exceptions[0].__cause__ is gate.fails


@pytest.mark.parametrize(
    "wrong", [None, "token", {1: 2}, {"token": object()}], ids=["nothing", "text", "keys", "values"]
)
async def test_a_function_that_returns_something_else_has_failed(autojump_clock: MockClock, wrong: Any) -> None:
    async def fetch() -> Any:
        return wrong

    async with serving(Gate().app), connect(URL, credentials=fetch, wait=False) as client:
        await trio.sleep(1)
        assert isinstance(client.state, states.Waiting)
        assert client.state.why.startswith("no credentials: ")


async def test_a_function_has_its_deadline(autojump_clock: MockClock) -> None:
    gate = Gate()
    gate.seconds = 3
    config = Config(credentials_seconds=2)
    async with serving(gate.app), connect(URL, credentials=gate.fetch, config=config, wait=False) as client:
        with trio.fail_after(PATIENCE):
            async for state in client.states:
                if isinstance(state, states.Waiting):
                    assert state.why == "no credentials within 2 s"
                    break
            gate.seconds = 1
            await client.publish("room", 1)


async def test_leaving_does_not_wait_for_it(autojump_clock: MockClock) -> None:
    gate = Gate()
    gate.seconds = 9
    began = trio.current_time()
    async with connect(URL, credentials=gate.fetch, wait=False):
        await trio.sleep(1)
    assert trio.current_time() == began + 1


async def test_a_server_that_asks_gets_others_and_a_long_session_lives_on(autojump_clock: MockClock) -> None:
    """SPEC AUT-1: nothing of it is the application's doing."""
    gate = Gate(expires_seconds=100)
    async with serving(gate.app) as server, connect(URL, credentials=gate.fetch) as client:
        for _ in range(10):
            await trio.sleep(70)
            gate.oldest = gate.issued + 1
            await trio.sleep(2)
        assert gate.judged == list(range(1, 1 + gate.issued))
        assert gate.issued >= 10
        assert client.state == states.Connected(False, 0, "memory")
        assert (server.sessions, server.resumes) == (1, 0)


async def test_it_asks_again_while_the_server_waits(autojump_clock: MockClock) -> None:
    gate = Gate(expires_seconds=100)
    async with serving(gate.app) as server, connect(URL, credentials=gate.fetch):
        await trio.sleep(65)
        gate.fails = OSError()
        await trio.sleep(15)
        assert gate.judged == [1]
        gate.fails = None
        await trio.sleep(15)
        assert gate.judged == [1, 2]
        assert (server.sessions, server.resumes) == (1, 0)


async def test_only_one_fetch_runs_at_a_time(autojump_clock: MockClock) -> None:
    """The server asks, and while the answer is fetched the link breaks: the attempt waits for the same answer."""
    gate = Gate(expires_seconds=100)
    async with serving(gate.app), FaultyNetwork() as network:
        async with connect(URL, transport=network, credentials=gate.fetch) as client:
            await trio.sleep(69)
            gate.seconds = 8
            await trio.sleep(2)
            assert gate.fetching == 1
            await network.cut()
            await trio.sleep(3)
            assert gate.fetching == 1
            await client.publish("room", 1)
            assert gate.judged[:2] == [1, 2]
    assert gate.most_at_once == 1


async def test_what_the_program_brings_itself_counts_too(autojump_clock: MockClock) -> None:
    gate = Gate()
    async with serving(gate.app), FaultyNetwork() as network:
        async with connect(URL, transport=network, credentials=gate.fetch) as client:
            await client.authenticate(token="7")
            await network.cut()
            await client.publish("room", 1)
    assert gate.judged == [1, 7, 7]
