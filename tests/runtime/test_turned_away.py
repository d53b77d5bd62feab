"""A server that asks on one carriage to be left alone is left alone on all of them (SPEC REC-4)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser import Client, Config, Server, connect, states
from hawser_engine import CloseCode
from hawser_transports import TurnedAway
from tests.runtime.helpers import URL, RawClient, open_app, serving
from tests.runtime.roads import Roads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from hawser.testing.network import Wire

CONFIG = Config(backoff_cap_seconds=1, connect_seconds=500)
BUSY = TurnedAway("no room", 20)


@asynccontextmanager
async def coming(roads: Roads, config: Config = CONFIG) -> AsyncGenerator[tuple[Server, Client]]:
    """A client that has just begun, and its server."""
    async with (
        serving(open_app(), config=config) as server,
        connect(URL, transport=roads.better, config=config, wait=False) as client,
    ):
        yield server, client


async def waiting(client: Client) -> states.Waiting:
    """Wait until the attempt has ended."""
    with trio.fail_after(500):
        async for state in client.states:
            if isinstance(state, states.Waiting):
                return state
    raise AssertionError("it never does")


async def on(client: Client, carriage: str) -> states.Connected:
    """Wait until the session is on a carriage."""
    with trio.fail_after(500):
        async for state in client.states:
            if isinstance(state, states.Connected) and state.carriage == carriage:
                return state
    raise AssertionError("it never is")


def dials(roads: Roads) -> tuple[int, int]:
    return roads.better.dials, roads.sure.dials


async def test_nothing_else_is_tried_before_the_time_that_the_server_asks_for(autojump_clock: MockClock) -> None:
    """Nor has anything been learned then: the better one has its head start as before."""
    async with Roads() as roads:
        roads.better.dial_seconds = 0.2
        roads.better.refusal = BUSY
        async with coming(roads) as (server, client):
            ended = await waiting(client)
            assert (ended.why, dials(roads)) == ("no room", (1, 0))
            assert 20 <= ended.seconds <= 21
            roads.better.refusal = None
            assert await on(client, "better") == states.Connected(False, 0, "better")
            assert 20.3 <= trio.current_time() <= 21.5
            assert dials(roads) == (2, 0)
            assert server.resumes == 0


async def test_what_is_being_opened_then_is_given_up(autojump_clock: MockClock) -> None:
    async with Roads() as roads:
        roads.better.dial_seconds = 1.0
        roads.better.refusal = BUSY
        roads.sure.dial_seconds = 5.0
        async with coming(roads) as (server, client):
            await waiting(client)
            assert trio.current_time() == pytest.approx(1)
            await trio.sleep(15)
            assert dials(roads) == (1, 1)
            assert (server.sessions, roads.sure.network.wires) == (0, [])


async def test_an_attach_that_is_under_way_is_answered_and_the_session_stays_there(autojump_clock: MockClock) -> None:
    """The better one is tried again when its time has come, and takes the session over as ever."""
    async with Roads(sure_seconds=1.0) as roads:
        roads.better.dial_seconds = 0.5
        roads.better.refusal = BUSY
        async with coming(roads) as (server, client):
            assert await on(client, "sure") == states.Connected(False, 0, "sure")
            assert trio.current_time() == pytest.approx(2.25)
            roads.better.refusal = None
            await trio.sleep(19.9)
            assert roads.better.dials == 1
            assert await on(client, "better") == states.Connected(True, 0, "better")
            assert 22.75 <= trio.current_time() <= 23.8
            await trio.sleep(CONFIG.upgrade_steady_seconds + 1)  # so that the end of this link is no strike
            roads.better.dial_seconds = 0.2
            await roads.better.network.cut()
            await trio.sleep(2)
            assert client.state == states.Connected(True, 0, "better")
            assert dials(roads) == (3, 1)  # its head start is what it was
            assert (server.sessions, server.resumes) == (1, 2)


async def test_if_that_attach_has_no_answer_the_time_holds(autojump_clock: MockClock) -> None:
    async def cut(wire: Wire) -> None:
        nursery.start_soon(cut_later, wire)

    async def cut_later(wire: Wire) -> None:
        await trio.sleep(1)
        await wire.cut()

    async with Roads(sure_seconds=1.0) as roads, trio.open_nursery() as nursery:
        roads.better.dial_seconds = 0.5
        roads.better.refusal = BUSY
        roads.sure.met = cut
        async with coming(roads) as (_, client):
            ended = await waiting(client)
            assert trio.current_time() == pytest.approx(1.25)
            assert ended.why == "no room"
            assert 20 <= ended.seconds <= 21
            assert dials(roads) == (1, 1)


@pytest.mark.parametrize("dial_seconds", [2.0, 0.0], ids=["while it is opened", "while it is probed"])
async def test_a_sure_one_that_is_turned_away_ends_it_for_the_better_one_too(
    autojump_clock: MockClock, dial_seconds: float
) -> None:
    async with Roads(better_seconds=1.0) as roads:
        roads.better.dial_seconds = dial_seconds
        roads.sure.refusal = BUSY
        async with coming(roads) as (server, client):
            ended = await waiting(client)
            assert trio.current_time() == pytest.approx(CONFIG.upgrade_head_start_seconds)
            assert ended.why == "no room"
            assert 20 <= ended.seconds <= 21
            await trio.sleep(15)
            assert dials(roads) == (1, 1)
            assert (server.sessions, roads.better.network.wires) == (0, [])
            roads.sure.refusal = None
            await on(client, "better")


async def test_an_attach_that_is_turned_away_ends_it_for_the_better_one_too(autojump_clock: MockClock) -> None:
    """SPEC LIM-3: by CLOSE, with a turn; so 503 answers the attach of long-poll."""
    config = attrs.evolve(CONFIG, attaches_per_second=1)
    async with Roads() as roads, serving(open_app(), config=config) as server, RawClient().connected():
        await trio.sleep(0.5)
        roads.better.dial_seconds = 3.0
        async with connect(URL, transport=roads.better, config=config, wait=False) as client:
            ended = await waiting(client)
            assert trio.current_time() == pytest.approx(0.75)
            assert 1 <= ended.seconds <= 2
            assert (dials(roads), server.sessions) == ((1, 1), 1)
            roads.better.dial_seconds = 0.2
            await on(client, "better")
            assert dials(roads) == (2, 1)


async def test_a_close_that_names_a_time_is_obeyed_on_a_link_that_is_only_probed(autojump_clock: MockClock) -> None:
    """A server that drains, and that has a session of somebody else to send away."""
    config = attrs.evolve(CONFIG, upgrade_head_start_seconds=5, returns_per_second=0.05)
    async with Roads(better_seconds=1.0) as roads, serving(open_app(), config=config) as server:
        async with RawClient().connected(), connect(URL, transport=roads.better, config=config, wait=False) as client:
            await trio.sleep(0.5)
            await server.drain()
            ended = await waiting(client)
            assert ended.why == "the server is drained"
            assert trio.current_time() == pytest.approx(1.6, abs=0.2)
            assert dials(roads) == (1, 0)


async def test_and_on_one_that_has_answered_and_waits_for_the_attach_on_the_other(autojump_clock: MockClock) -> None:
    async with Roads(sure_seconds=1.0) as roads:
        roads.better.dial_seconds = 0.5
        async with coming(roads) as (server, client):
            await trio.sleep(1)
            node = server._node  # pyright: ignore[reportPrivateUsage]
            tried = [*node._drivers.values()][-1]  # pyright: ignore[reportPrivateUsage]
            tried.connection.close(CloseCode.OVERLOADED, "no room", trio.current_time(), after_seconds=(20.0, 30.0))
            node.touch(tried)
            await on(client, "sure")
            assert trio.current_time() == pytest.approx(2.25)
            await trio.sleep(19.9)
            assert dials(roads) == (1, 1)
            await on(client, "better")
            assert 22.75 <= trio.current_time() <= 33
            assert dials(roads) == (2, 1)


async def test_until_then_a_session_resumes_where_it_was_and_only_there(autojump_clock: MockClock) -> None:
    """Neither is the better one waited for, nor is it tried where the sure one fails."""
    async with Roads() as roads:
        roads.better.network.refuse()
        async with coming(roads) as (server, client):
            await on(client, "sure")
            roads.better.network.refuse(False)
            roads.better.refusal = TurnedAway("no room", 200)
            await trio.sleep(CONFIG.upgrade_pause_seconds)
            assert dials(roads) == (2, 1)
            await roads.sure.network.cut()
            ended = await waiting(client)
            assert ended.seconds <= CONFIG.backoff_cap_seconds
            await trio.sleep(ended.seconds + 0.01)
            assert client.state == states.Connected(True, 0, "sure")
            roads.sure.network.refuse()
            await roads.sure.network.cut()
            await trio.sleep(30)
            assert roads.sure.dials > 3
            roads.sure.network.refuse(False)
            roads.better.refusal = None
            await trio.sleep(100)
            assert client.state == states.Connected(True, 0, "sure")
            assert roads.better.dials == 2
            await on(client, "better")
            assert roads.better.dials == 3
            assert 200 <= trio.current_time() <= 235
            assert server.sessions == 1
