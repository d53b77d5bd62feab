"""A client at an http URL, over real sockets, through boxes that let WebSockets through, or do not (SPEC ATT-18)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser import connect, states
from hawser_transports import WebSocketTransport
from hawser_transports.longpoll import Asking
from tests.faults.proxy.middlebox import Habit, Middlebox
from tests.runtime.helpers import FAST, serving
from tests.runtime.test_over_longpoll import MESSAGES, port, publish_and_receive, serving_http
from tests.runtime.test_over_websocket import SETTINGS, make_app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hawser import Client, Server
    from hawser_engine.bindings.http import Reply, Request

pytestmark = pytest.mark.slow

EAGER = attrs.evolve(
    FAST,
    upgrade_head_start_seconds=0.1,
    upgrade_probe_seconds=0.3,
    upgrade_pause_seconds=0.5,
    upgrade_pause_cap_seconds=0.5,
    backoff_cap_seconds=0.2,
    resumes_per_minute=100_000,
)
PATIENT = attrs.evolve(EAGER, upgrade_pause_seconds=600, upgrade_pause_cap_seconds=600)
TRUSTING = attrs.evolve(PATIENT, upgrade_head_start_seconds=20, upgrade_probe_seconds=20)


@asynccontextmanager
async def behind(habit: Habit, *, cut_after: int = 0) -> AsyncGenerator[tuple[Server, Middlebox, str], None]:
    async with serving_http(config=EAGER) as server, trio.open_nursery() as nursery:
        box: Middlebox = await nursery.start(Middlebox(port(server.url), habit, cut_after=cut_after).run)
        yield server, box, f"http://127.0.0.1:{box.port}/"
        nursery.cancel_scope.cancel()


def carriage(client: Client) -> str:
    return client.state.carriage if isinstance(client.state, states.Connected) else type(client.state).__name__


async def until(client: Client, wanted: str) -> None:
    async for state in client.states:
        if isinstance(state, states.Connected) and state.carriage == wanted:
            return


async def test_an_open_way_is_taken_by_websocket_and_nothing_else() -> None:
    patient = attrs.evolve(PATIENT, upgrade_head_start_seconds=20)
    async with behind(Habit.PASS) as (server, box, url), connect(url, token="good", config=patient) as client:
        assert carriage(client) == "websocket"
        assert await client.call("math.add", 2, 3) == 5
        assert (box.upgrades, server.resumes) == (1, 0)


async def test_without_a_head_start_it_begins_on_polls_and_moves() -> None:
    at_once = attrs.evolve(PATIENT, upgrade_head_start_seconds=0)
    async with behind(Habit.PASS) as (_, box, url), connect(url, token="good", config=at_once) as client:
        await until(client, "websocket")
        assert await client.call("math.add", 2, 3) == 5
        assert box.upgrades == 1


async def test_once_the_session_has_moved_nothing_more_is_polled(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC ATT-15: not even a goodbye; and the GET that was parked is not waited for."""
    asked: list[str] = []

    class Recording(Asking):
        async def ask(self, request: Request) -> Reply:
            asked.append(request.method)
            try:
                return await super().ask(request)
            finally:
                asked.append("over")

    monkeypatch.setattr("hawser_transports.web.Asking", Recording)
    at_once = attrs.evolve(PATIENT, upgrade_head_start_seconds=0)
    async with behind(Habit.PASS) as (_, _, url):
        async with connect(url, token="good", config=at_once) as client:
            await until(client, "websocket")
            polled = list(asked)
            assert polled.count("over") == len(polled) / 2 >= 2
            assert await client.call("math.add", 2, 3) == 5
        assert asked == polled


@asynccontextmanager
async def full(habit: Habit) -> AsyncGenerator[tuple[Client, Middlebox, str], None]:
    """A server that has room for one connection, the client that has it, and a box before the server."""
    transport = WebSocketTransport(settings=attrs.evolve(SETTINGS, connections=1))
    async with (
        serving(make_app(), config=EAGER, transport=transport, url="http://127.0.0.1:0") as server,
        trio.open_nursery() as nursery,
    ):
        box: Middlebox = await nursery.start(Middlebox(port(server.url), habit).run)
        async with connect(server.url, token="good", config=TRUSTING) as inside:
            assert carriage(inside) == "websocket"
            yield inside, box, f"http://127.0.0.1:{box.port}/"
        nursery.cancel_scope.cancel()


async def waiting(client: Client) -> states.Waiting:
    async for state in client.states:
        if isinstance(state, states.Waiting):
            return state
    raise AssertionError("it never does")


async def test_a_server_without_room_is_not_polled_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC REC-4, LIM-3: its 503 answers the upgrade, and the next thing that it hears is an upgrade, in its turn."""
    polled = 0

    class Counting(Asking):
        async def open(self) -> None:
            nonlocal polled
            polled += 1
            await super().open()

    monkeypatch.setattr("hawser_transports.web.Asking", Counting)
    with trio.fail_after(60):
        async with full(Habit.PASS) as (inside, box, url):
            async with connect(url, token="good", config=TRUSTING, wait=False) as client:
                ended = await waiting(client)
                assert "the server answered 503" in ended.why
                assert ended.seconds >= 1
                await inside.aclose()
                await until(client, "websocket")
                assert await client.call("math.add", 2, 3) == 5
                assert box.upgrades >= 2
    assert polled == 0


async def test_a_server_that_has_no_room_for_a_poll_is_not_upgraded_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """SPEC REC-4: its CLOSE(OVERLOADED) answers the attach while the upgrade is on its way, in a box that keeps it."""
    asked: list[str] = []

    class Recording(Asking):
        async def ask(self, request: Request) -> Reply:
            asked.append(request.method)
            return await super().ask(request)

    monkeypatch.setattr("hawser_transports.web.Asking", Recording)
    at_once = attrs.evolve(PATIENT, upgrade_head_start_seconds=0)
    with trio.fail_after(60):
        async with full(Habit.STALL) as (_, box, url):
            async with connect(url, token="good", config=at_once, wait=False) as client:
                ended = await waiting(client)
                assert "too many connections" in ended.why
                assert ended.seconds >= 1
                assert asked == ["POST"]
                assert box.upgrades <= 1


@pytest.mark.parametrize("habit", [Habit.REFUSE, Habit.STALL, Habit.SWALLOW])
async def test_where_websockets_are_blocked_polls_carry_everything(habit: Habit) -> None:
    async with behind(habit) as (server, box, url):
        async with connect(url, token="good", config=PATIENT) as sender:
            async with connect(url, token="good", config=EAGER) as receiver:
                assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
                assert [carriage(client) for client in (sender, receiver)] == ["long-poll", "long-poll"]
            assert server.resumes == 0
            assert box.upgrades >= 2


@pytest.mark.parametrize("habit", [Habit.REFUSE, Habit.SWALLOW])
async def test_a_way_that_opens_is_taken_in_the_middle_of_a_stream(habit: Habit) -> None:
    async with (
        behind(habit) as (server, box, url),
        connect(url, token="good", config=EAGER) as sender,
        connect(url, token="good", config=EAGER) as receiver,
    ):
        assert carriage(sender) == carriage(receiver) == "long-poll"
        box.habit = Habit.PASS
        while not carriage(sender) == carriage(receiver) == "websocket":
            assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
        assert server.resumes == 2
        assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))


async def test_a_way_that_closes_is_left_in_the_middle_of_a_stream() -> None:
    async with (
        behind(Habit.PASS) as (server, box, url),
        connect(url, token="good", config=PATIENT) as sender,
        connect(url, token="good", config=PATIENT) as receiver,
    ):
        for client in (sender, receiver):
            await until(client, "websocket")
        box.habit = Habit.REFUSE
        async with trio.open_nursery() as nursery:

            async def close() -> None:
                await trio.sleep(0.05)
                assert box.cut() == 2

            nursery.start_soon(close)
            while not carriage(sender) == carriage(receiver) == "long-poll":
                assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
        assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
        assert server.resumes >= 2


@pytest.mark.parametrize("cut_after", [200, 400, 700])
async def test_one_that_is_cut_soon_is_given_up(cut_after: int) -> None:
    """In its handshake, behind RESUMED, and behind a little more."""
    async with behind(Habit.CUT, cut_after=cut_after) as (_, box, url):
        async with connect(url, token="good", config=PATIENT) as client:
            async with connect(url, token="good", config=PATIENT) as other:
                while not carriage(client) == carriage(other) == "long-poll":
                    assert await publish_and_receive(client, other) == list(range(MESSAGES))
                assert box.upgrades >= 2 * PATIENT.upgrade_strikes - 2 or cut_after == 200
                assert await publish_and_receive(client, other) == list(range(MESSAGES))


async def test_both_ways_in_turn_under_load() -> None:
    """Up and down, again and again, and every message once and in order."""
    transport = WebSocketTransport(settings=SETTINGS)
    async with (
        behind(Habit.PASS) as (server, box, url),
        connect(url, token="good", config=EAGER, transport=transport) as sender,
        connect(url, token="good", config=EAGER, transport=transport) as receiver,
        trio.open_nursery() as nursery,
    ):
        seen: set[str] = set()

        async def change() -> None:
            while True:
                for habit in (Habit.REFUSE, Habit.PASS, Habit.SWALLOW, Habit.PASS):
                    box.habit = habit
                    box.cut()
                    await trio.sleep(0.7)

        nursery.start_soon(change)
        while server.resumes < 12 or not {"long-poll", "websocket"} <= seen:
            assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
            seen |= {carriage(sender), carriage(receiver)}
        nursery.cancel_scope.cancel()
