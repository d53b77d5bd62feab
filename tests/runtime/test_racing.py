"""Two carriages of one client: which one it takes, and how the session moves between them (SPEC ATT-18)."""

from __future__ import annotations

import random
from contextlib import asynccontextmanager
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from hawser import App, Client, Config, ConnectFailed, Principal, Server, Session, connect, states
from hawser.testing import CutKind
from tests.runtime.helpers import URL, counting_bytes, open_app, serving
from tests.runtime.roads import Roads

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trio.testing import MockClock

    from hawser.testing.network import Wire

FAST = Config(messages_per_second=1e6, messages_burst=1_000_000, resumes_per_minute=100_000, backoff_cap_seconds=1)


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
            assert 3 <= roads.better.dials <= 4  # at 0, and after pauses of at most 30, 60 and 120 s


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
            await trio.sleep(FAST.upgrade_steady_seconds + 1)
            roads.better.dial_seconds = 0.0
            await roads.better.network.cut()  # it had stood for a while, so this does not speak against it
            await trio.sleep(5)
            assert client.state == states.Connected(True, 0, "better")
            assert (roads.better.dials, roads.sure.dials) == (5, 4)
            assert server.resumes == 8


async def test_the_better_one_is_not_waited_for_when_the_sure_one_fails(autojump_clock: MockClock) -> None:
    """What a client has learned of one network says nothing of the next."""
    async with Roads() as roads:
        roads.better.network.refuse()
        async with driving(roads) as (_, client):
            await trio.sleep(1)
            assert client.state == states.Connected(False, 0, "sure")
            roads.better.network.refuse(False)
            roads.sure.network.refuse()
            await roads.sure.network.cut()
            with trio.fail_after(2):
                assert await client.call("double", 1) == 2
            assert kinds([client.state]) == ["better"]


async def test_a_sure_one_that_dies_unattached_leaves_it_to_the_better_one(autojump_clock: MockClock) -> None:
    async def cut(wire: Wire) -> None:
        await wire.cut()

    async with Roads() as roads:
        roads.better.dial_seconds = 1.0
        roads.sure.met = cut
        async with driving(roads) as (server, client):
            assert client.state == states.Connected(False, 0, "better")
            assert (roads.better.dials, roads.sure.dials, server.resumes) == (1, 1, 0)


async def test_a_place_where_nobody_is_gets_no_strikes(autojump_clock: MockClock) -> None:
    """Whether the better carriage is blocked shows only where the sure one gets through."""
    async with Roads() as roads:
        roads.better.network.refuse()
        roads.sure.network.refuse()
        with pytest.raises(ConnectFailed) as failed:
            async with connect(URL, transport=roads.better, config=FAST):
                pass
        assert failed.value.attempts is not None
        assert len(str(failed.value.attempts.exceptions[0]).split("; ")) == 2
        roads.better.network.refuse(False)
        roads.sure.network.refuse(False)
        async with driving(roads) as (_, client):
            assert client.state == states.Connected(False, 0, "better")


async def test_who_is_refused_is_told_so_whatever_else_is_under_way(autojump_clock: MockClock) -> None:
    app = App()

    @app.authenticate
    async def authenticate(_credentials: Mapping[str, object]) -> Principal | None:
        return None

    for seconds in (0.5, 20.0):  # the better one has answered and waits, or is still being opened
        async with Roads(sure_seconds=1.0) as roads, serving(app):
            roads.better.dial_seconds = seconds
            with pytest.raises(ConnectFailed, match="refused with code 302"):
                async with connect(URL, transport=roads.better):
                    pass
            assert trio.current_time() < 100


async def test_one_open_leaves_and_no_second_before_its_answer(autojump_clock: MockClock) -> None:
    """SPEC ATT-18: otherwise the server would keep a session that nobody has."""
    async with Roads(sure_seconds=1.0) as roads:
        roads.better.dial_seconds = 0.5
        async with driving(roads) as (server, client):
            assert kinds(await until(client, "better")) == ["sure", "better"]
            await client.call("double", 1)
            assert (server.sessions, server.resumes) == (1, 1)


async def test_a_link_that_dies_while_it_waits_for_that_costs_nothing(autojump_clock: MockClock) -> None:
    async with Roads(sure_seconds=1.0) as roads:
        roads.better.dial_seconds = 0.5

        async def cut(wire: Wire) -> None:
            if roads.better.dials == 1:
                nursery.start_soon(cut_later, wire)

        async def cut_later(wire: Wire) -> None:
            await trio.sleep(0.5)
            await wire.cut()

        roads.better.met = cut
        async with trio.open_nursery() as nursery, driving(roads) as (server, client):
            assert client.state == states.Connected(False, 0, "sure")
            await until(client, "better")
            assert (roads.better.dials, server.resumes) == (2, 1)


@pytest.mark.parametrize(
    ("dial_seconds", "cut"),
    [(2.5, False), (0.5, False), (0.5, True)],
    ids=["while it is opened there", "before that", "and the sure one dies at it"],
)
async def test_a_session_that_is_lost_on_the_sure_one_is_opened_there_before_it_moves(
    autojump_clock: MockClock, dial_seconds: float, cut: bool
) -> None:
    """SPEC RST-5, ATT-18: between RESET and OPENED nothing is attached elsewhere, whenever the better one answers."""

    async def serve_until(over: trio.Event, task_status: trio.TaskStatus[Server]) -> None:
        async with serving(app_with_calls(), config=FAST) as server:
            task_status.started(server)
            await over.wait()

    async with Roads(sure_seconds=1.0) as roads, trio.open_nursery() as nursery:
        first, second = trio.Event(), trio.Event()
        await nursery.start(serve_until, first)
        roads.better.dial_seconds = dial_seconds  # RESET comes after 2 s, OPENED after 4
        async with connect(URL, transport=roads.better, config=FAST) as client:
            assert kinds(await until(client, "better")) == ["sure", "better"]
            await trio.sleep(FAST.upgrade_steady_seconds + 1)  # so that the end of this link is no strike
            seen = client.states
            first.set()
            await trio.testing.wait_all_tasks_blocked()
            server: Server = await nursery.start(serve_until, second)
            told: list[states.State] = []
            with trio.fail_after(500):
                async for state in seen:
                    told.append(state)
                    if cut and isinstance(state, states.Reset):
                        await roads.sure.network.cut()
                    if len(told) > 1 and isinstance(state, states.Connected) and state.carriage == "better":
                        break
            assert kinds(told) == ["better", "Waiting", "Resuming", "Reset", *["sure"] * (not cut), "better"]
            assert await client.call("double", 1) == 2
            assert (server.sessions, server.resumes) == (1, 0 if cut else 1)
        second.set()


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4, 1.0, 1.6, 2.2, 3.0])
async def test_a_client_may_leave_at_any_moment(autojump_clock: MockClock, seconds: float) -> None:
    """The better one is opened for half a second, probed for one, and attached on for another.

    The server's PING is drawn late: one that is under way as the link is closed takes the goodbye with it, as TCP does.
    """
    async with Roads(better_seconds=0.5, sure_seconds=0.1) as roads:
        roads.better.dial_seconds = 0.5
        async with serving(open_app(), random_bytes=counting_bytes()) as server:
            async with connect(URL, transport=roads.better, config=FAST, wait=False):
                await trio.sleep(seconds)
            await trio.sleep(20)
            assert server.sessions == 0
        assert not roads.better.network.wires
        assert not roads.sure.network.wires


MESSAGES = 600


async def weather(roads: Roads, dice: random.Random) -> None:
    """Let both carriages break, hesitate, refuse and swallow, the better one more often."""
    while True:
        await trio.sleep(dice.uniform(0.05, 1.0))
        road = dice.choice([roads.better, roads.better, roads.sure])
        match dice.randrange(4):
            case 0:
                roads.better.network.refuse(dice.random() < 0.5)
            case 1:
                road.dial_seconds = dice.choice([0.0, 0.3, 0.5, 1.0])
            case _:
                await road.network.cut_one(dice.choice([*CutKind, CutKind.BOTH, CutKind.CLIENT]))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
async def test_nothing_is_lost_doubled_or_reordered_however_it_moves(autojump_clock: MockClock, seed: int) -> None:
    """Both directions, without a pause, while the session moves up and down."""
    config = attrs.evolve(
        FAST,
        ping_interval_seconds=1,
        pong_wait_seconds=1,
        handshake_seconds=2,
        backoff_cap_seconds=1,
        upgrade_pause_seconds=1,
        upgrade_pause_cap_seconds=2,
        upgrade_probe_seconds=0.5,
    )
    dice = random.Random(seed)
    async with Roads(seed, better_seconds=0.01, sure_seconds=0.03) as roads, trio.open_nursery() as nursery:
        async with driving(roads, config=config) as (server, client):
            told: list[str] = []

            async def watch() -> None:
                async for state in client.states:
                    told.extend(kinds([state]))

            async def publish() -> None:
                async with trio.open_nursery() as publishing:
                    for number in range(MESSAGES):
                        publishing.start_soon(client.publish, "room", number)
                        await trio.sleep(dice.uniform(0, 0.2))

            nursery.start_soon(watch)
            nursery.start_soon(weather, roads, dice)
            async with client.subscribe("room") as messages:
                nursery.start_soon(publish)
                with trio.fail_after(500):
                    got = [(await messages.receive()).data for _ in range(MESSAGES)]
            assert got == list(range(MESSAGES))
            promotions = sum(pair == ("sure", "better") for pair in pairwise(told))
            assert promotions > 0
            assert told.count("sure") + told.count("better") - promotions > 0
            assert server.resumes > promotions
        nursery.cancel_scope.cancel()


def app_with_letters() -> App:
    app = open_app()
    app.mailbox("agent:*", open=True)
    return app


async def letters_left(roads: Roads) -> list[int]:
    """What another client finds in the mailbox."""
    left: list[int] = []
    async with connect(URL, transport=roads.sure) as client, client.mailbox("agent:clerk") as letters:
        with trio.move_on_after(1_000):
            while True:
                left.append((await letters.receive()).data)
    return left


@pytest.mark.parametrize("seconds", [0.0, 0.1, 0.4, 0.6, 0.8, 1.0, 1.2, 1.6, 2.2])
async def test_what_was_said_on_the_way_to_the_better_carriage_arrives_before_the_goodbye(
    autojump_clock: MockClock, seconds: float
) -> None:
    """SPEC EXP-7: the letter is not given again."""
    app = app_with_letters()
    async with Roads(better_seconds=0.5, sure_seconds=0.1) as roads, serving(app):
        await app.post("agent:clerk", 1)
        roads.better.dial_seconds = 0.5
        async with connect(URL, transport=roads.better, config=FAST) as client:
            async with client.mailbox("agent:clerk") as letters:
                await letters.receive()
                await trio.sleep(seconds)
                letters.done()
        assert await letters_left(roads) == []


async def test_what_waits_for_the_window_arrives_before_the_goodbye(autojump_clock: MockClock) -> None:
    """SPEC EXP-7: a message, and its ACK, take a tenth of a second each."""
    app = app_with_letters()
    async with Roads(sure_seconds=0.1) as roads, serving(app, config=attrs.evolve(FAST, window_messages=2)):
        for number in range(6):
            await app.post("agent:clerk", number)
        async with connect(URL, transport=roads.sure, config=FAST) as client:
            async with client.mailbox("agent:clerk") as letters:
                await trio.sleep(5)
                for _ in range(6):
                    await letters.receive()
                letters.done()
        assert await letters_left(roads) == []


async def test_nobody_waits_long_for_what_cannot_arrive(autojump_clock: MockClock) -> None:
    """SPEC EXP-7."""
    app = app_with_letters()
    async with Roads() as roads, serving(app):
        await app.post("agent:clerk", 1)
        async with connect(URL, transport=roads.sure, config=FAST) as client:
            async with client.mailbox("agent:clerk") as letters:
                await letters.receive()
                roads.sure.network.refuse()
                await roads.sure.network.cut()
                await trio.sleep(0.1)
                letters.done()
            left_at = trio.current_time()
        assert trio.current_time() - left_at == 1
        roads.sure.network.refuse(False)
        assert await letters_left(roads) == [1]
