"""Two carriages of one client: which one it takes, and how the session moves between them (SPEC ATT-18)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Client, Config, Server, Session, connect, states
from hawser.testing import CutKind
from tests.runtime.helpers import URL, open_app, serving
from tests.runtime.roads import Roads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from hawser.testing.network import Wire

FAST = Config(messages_per_second=1e6, messages_burst=1_000_000, resumes_per_minute=100_000)


def app_with_calls() -> App:
    app = open_app()

    @app.procedure("double")
    async def double(session: Session, number: int) -> int:
        return 2 * number

    return app


@asynccontextmanager
async def driving(
    roads: Roads, *, app: App | None = None, config: Config = FAST
) -> AsyncGenerator[tuple[Server, Client], None]:
    async with serving(app or app_with_calls(), config=config) as server:
        async with connect(URL, transport=roads.better, config=config) as client:
            yield server, client


async def until(client: Client, carriage: str) -> list[states.State]:
    """Wait until the session is on a carriage; returns what came up to then."""
    seen: list[states.State] = []
    with trio.fail_after(500):
        async for state in client.states:
            seen.append(state)
            if isinstance(state, states.Connected) and state.carriage == carriage:
                break
    return seen


def kinds(seen: list[Any]) -> list[str]:
    return [getattr(state, "carriage", type(state).__name__) for state in seen]


async def test_the_better_carriage_alone_is_used_where_it_answers_at_once(autojump_clock: MockClock) -> None:
    """SPEC ATT-18: nothing but one OPEN is ever sent."""
    async with Roads() as roads, driving(roads) as (server, client):
        assert client.state == states.Connected(False, 0, "better")
        await trio.sleep(100)
        assert (roads.better.dials, roads.sure.dials, server.resumes) == (1, 0, 0)


async def test_the_session_begins_on_the_sure_one_and_moves(autojump_clock: MockClock) -> None:
    async with Roads() as roads:
        roads.better.dial_seconds = 2.0
        async with driving(roads) as (server, client):
            assert client.state == states.Connected(False, 0, "sure")
            assert trio.current_time() == pytest.approx(FAST.upgrade_head_start_seconds)
            assert kinds(await until(client, "better")) == ["sure", "better"]
            assert await client.call("double", 4) == 8
            assert server.resumes == 1
            assert not roads.sure.network.wires


async def test_the_sure_one_does_not_wait_for_one_that_is_refused(autojump_clock: MockClock) -> None:
    async with Roads() as roads:
        roads.better.network.refuse()
        async with driving(roads) as (server, client):
            assert client.state == states.Connected(False, 0, "sure")
            assert trio.current_time() == 0
            await trio.sleep(14)
            assert roads.better.dials == 1
            roads.better.network.refuse(False)
            assert kinds(await until(client, "better")) == ["sure", "better"]
            assert 15 <= trio.current_time() <= 30
            assert (roads.better.dials, roads.sure.dials, server.resumes) == (2, 1, 1)


async def test_a_link_that_swallows_is_never_attached_on(autojump_clock: MockClock) -> None:
    async def swallow(wire: Wire) -> None:
        await wire.cut(CutKind.SILENT)

    async with Roads() as roads:
        roads.better.met = swallow
        async with driving(roads) as (server, client):
            assert client.state == states.Connected(False, 0, "sure")
            for number in range(200):
                assert await client.call("double", number) == 2 * number
                await trio.sleep(1)
            assert server.resumes == 0
            assert roads.better.dials == 4  # at 0, and after pauses of at most 30, 60 and 120 s


async def test_one_that_dies_three_times_is_given_up_for_a_while(autojump_clock: MockClock) -> None:
    """It answers its probe each time, and is cut as soon as the session is on it."""
    async with Roads() as roads:
        roads.better.dial_seconds = 0.5
        async with driving(roads) as (server, client):
            for _ in range(FAST.upgrade_strikes):
                await until(client, "better")
                assert await roads.better.network.cut() == 1
                await until(client, "sure")
            assert roads.better.dials == 3
            await trio.sleep(10)
            assert client.state == states.Connected(True, 0, "sure")
            assert roads.better.dials == 3
            await until(client, "better")
            assert roads.better.dials == 4
            assert await client.call("double", 1) == 2
            roads.better.dial_seconds = 0.0
            await roads.better.network.cut()  # it had carried, so this does not speak against it
            await trio.sleep(1)
            assert client.state == states.Connected(True, 0, "better")
            assert (roads.better.dials, roads.sure.dials) == (5, 4)
            assert server.resumes == 8
