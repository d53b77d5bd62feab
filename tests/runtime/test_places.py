"""Where a client lets its server send it (SPEC CLS-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import CloseCode, Config, Server, connect, states
from hawser.client.places import Places
from hawser.testing import FaultyNetwork
from tests.runtime.helpers import PATIENCE, URL, open_app, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from trio.testing import MockClock

ELSEWHERE = "memory://elsewhere"


@pytest.mark.parametrize(
    ("home", "url"),
    [
        ("http://a.example", "http://a.example:81/other?x=1"),
        ("http://a.example", "https://A.Example"),
        ("ws://a.example", "wss://a.example"),
        ("wss://a.example", "wss://b.example/x"),
        ("http://[::1]:80", "http://[::1]:81"),
        ("http://bücher.example", "http://xn--bcher-kva.example"),
        ("memory://a", "memory://a/2"),
    ],
)
def test_it_goes_to_the_same_or_a_safer_scheme_on_a_host_it_may_follow_to(home: str, url: str) -> None:
    places = Places(home, ["B.example"], 5)
    assert places.here == home
    assert places.advised(url) is None
    assert places.here == url


@pytest.mark.parametrize(
    ("home", "url", "why"),
    [
        ("https://a.example", "http://a.example", "another scheme"),
        ("wss://a.example", "ws://a.example", "another scheme"),
        ("wss://a.example", "https://a.example", "another scheme"),
        ("memory://a", "http://a", "another scheme"),
        ("http://a.example", "", "another scheme"),
        ("http://a.example", "http://[", "no URL"),
        ("http://a.example", "http://a.example:port", "no URL"),
        ("http://a.example", "http://user@a.example", "more than a place"),
        ("http://a.example", "http://:secret@a.example", "more than a place"),
        ("http://a.example", "http://a.example#part", "more than a place"),
        ("http://a.example", "http://c.example", "its host"),
        ("http://a.example", "http://a.example.c.example", "its host"),
        ("http://a.example", "http://" + "ü" * 200, "its host"),
        ("http://a.example", "http:///path", "its host"),
    ],
)
def test_it_goes_nowhere_else(home: str, url: str, why: str) -> None:
    places = Places(home, ["b.example"], 5)
    refusal = places.advised(url)
    assert refusal is not None
    assert why in refusal
    assert places.here == home


def test_it_is_sent_on_only_so_often_without_progress() -> None:
    places = Places("memory://a", [], 2)
    assert places.advised("memory://a/1") is None
    assert places.advised("memory://a/2") is None
    for _ in range(3):
        assert places.advised("memory://a/3") == "sent on 2 times without progress"
        assert places.here == "memory://a"
    places.ended(attached=True, progressed=True)
    assert places.advised("memory://a/3") is None


def test_a_place_that_lets_nobody_in_is_left() -> None:
    places = Places("memory://a", [], 2)
    places.advised("memory://a/1")
    places.ended(attached=True, progressed=False)
    assert places.here == "memory://a/1"
    places.ended(attached=False, progressed=False)
    assert places.here == "memory://a"


def send_on(server: Server, url: str, after: tuple[float, float] = (0.0, 0.0)) -> None:
    """Close every connection, as a server does that knows a better place."""
    node: Any = server._node  # pyright: ignore[reportPrivateUsage]
    for driver in list(node._drivers.values()):
        driver.connection.close(CloseCode.GOING_AWAY, "go there", trio.current_time(), after_seconds=after, url=url)
        node.touch(driver)


async def until_waiting(stream: AsyncIterator[states.State]) -> states.Waiting:
    with trio.fail_after(PATIENCE):
        async for state in stream:
            if isinstance(state, states.Waiting):
                return state
    raise AssertionError("the client has ended")


async def test_a_client_goes_where_its_server_sends_it_when_it_says_so(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as here, serving(open_app(), url=ELSEWHERE) as there:
        async with connect(URL, hosts=["elsewhere"]) as client:
            stream = client.states
            await client.publish("room", 1)
            began = trio.current_time()
            send_on(here, ELSEWHERE, (20.0, 40.0))
            state = await until_waiting(stream)
            assert state.why == "go there"
            while not isinstance(client.state, states.Connected):
                await trio.sleep(0.1)
            assert 20 <= trio.current_time() - began <= 41
            assert state.until == pytest.approx(began + state.seconds)
            assert there.sessions == 1


async def test_what_it_does_not_follow_it_says(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as here, serving(open_app(), url=ELSEWHERE) as there:
        async with connect(URL) as client:
            stream = client.states
            send_on(here, ELSEWHERE)
            state = await until_waiting(stream)
            assert state.why.startswith("go there (it names another place, which is not followed: its host")
            await client.publish("room", 1)
            assert (here.resumes, there.sessions) == (1, 0)


async def test_who_finds_nobody_there_comes_home(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as here, FaultyNetwork() as network:
        async with connect(URL, transport=network, hosts=["elsewhere"]) as client:
            stream = client.states
            send_on(here, ELSEWHERE)
            assert (await until_waiting(stream)).why == "go there"
            assert "refused" in (await until_waiting(stream)).why
            await client.publish("room", 1)
            assert here.resumes == 1


async def test_two_servers_that_send_each_other_their_clients_do_not_keep_one_going(
    autojump_clock: MockClock,
) -> None:
    async with serving(open_app()) as here, serving(open_app(), url=ELSEWHERE) as there:
        async with connect(URL, hosts=["elsewhere"], config=Config(redirects=3)) as client:
            stream = client.states
            refused = 0
            while not refused:
                send_on(here, ELSEWHERE)
                send_on(there, URL)
                refused += "sent on 3 times" in (await until_waiting(stream)).why
                while not isinstance(client.state, states.Connected):
                    await trio.sleep(0.1)
            assert here.sessions + there.sessions >= 1
