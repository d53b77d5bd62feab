"""Sessions that several users share: how many there are, who gets which, and what becomes of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    ClientPool,
    CloseCode,
    Config,
    ConnectFailed,
    Gap,
    Message,
    PoolFull,
    Position,
    Principal,
    RequestFailed,
    SessionClosed,
    states,
)
from hawser.client.shares import Queue
from hawser.testing import FaultyNetwork
from tests.runtime.helpers import PATIENCE, URL, collect, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser import Server

ELSEWHERE = "memory://elsewhere"


def app_of_users() -> App:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"]) if credentials.get("token") else None

    return app


def end_sessions(server: Server, code: CloseCode) -> None:
    """The server closes every connection."""
    node: Any = server._node  # pyright: ignore[reportPrivateUsage]
    for driver in list(node._drivers.values()):
        driver.connection.close(code, "over", trio.current_time())
        node.touch(driver)


async def until_sessions(server: Server, count: int) -> None:
    with trio.fail_after(PATIENCE):
        while server.sessions != count:
            await trio.sleep(0.1)


# ---------------------------------------------------------------- sessions


async def test_users_of_one_server_and_principal_share_a_session_and_others_do_not(autojump_clock: MockClock) -> None:
    async with serving(app_of_users()) as server, serving(app_of_users(), url=ELSEWHERE) as other:
        async with ClientPool() as pool:
            async with (
                pool.client(URL, principal="ada", token="ada") as one,
                pool.client(URL, principal="ada", token="ada") as two,
                pool.client(URL, principal="bob", token="bob") as three,
                pool.client(ELSEWHERE, principal="ada", token="ada") as four,
            ):
                offsets = [(await client.publish("room", 1)).position.offset for client in (one, two, three, four)]
                assert offsets == [1, 2, 3, 1]
                assert (server.sessions, other.sessions, pool.sessions) == (2, 1, 3)
                assert one.state == states.Connected(False, 0, "memory")
                assert await anext(one.states) == one.state
            assert server.sessions == 2  # kept for the next user
        assert (server.sessions, other.sessions) == (0, 0)


async def test_many_users_at_once_open_one_session(autojump_clock: MockClock) -> None:
    offsets: list[int] = []
    async with serving(open_app()) as server, ClientPool() as pool:

        async def use() -> None:
            async with pool.client(URL) as client:
                offsets.append((await client.publish("room", 1)).position.offset)

        async with trio.open_nursery() as nursery:
            for _ in range(50):
                nursery.start_soon(use)
        assert sorted(offsets) == list(range(1, 51))
        assert (server.sessions, pool.sessions) == (1, 1)


async def test_who_leaves_ends_nothing_of_the_other(autojump_clock: MockClock) -> None:
    app = open_app()

    @app.procedure("wait")
    async def wait(session: Any, seconds: float) -> str:
        await trio.sleep(seconds)
        return "waited"

    answers: list[Any] = []
    async with serving(app), ClientPool() as pool, trio.open_nursery() as nursery:

        async def call() -> None:
            async with pool.client(URL) as client:
                answers.append(await client.call("wait", 5))

        nursery.start_soon(call)
        await trio.sleep(1)
        async with pool.client(URL) as client:
            await (await client.submit("room", 1)).wait()
        with pytest.raises(RuntimeError, match="given back to its pool"):
            await client.publish("room", 2)
        with pytest.raises(RuntimeError, match="given back"):
            _ = client.state
        await trio.sleep(5)
        assert answers == ["waited"]


async def test_one_that_nobody_uses_is_closed_in_time(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, ClientPool(idle_seconds=30) as pool:
        for _ in range(3):
            async with pool.client(URL) as client:
                await trio.sleep(100)
                await client.publish("room", 1)
            await trio.sleep(20)
            assert (server.sessions, pool.sessions) == (1, 1)
        await trio.sleep(11)
        assert (server.sessions, pool.sessions) == (0, 0)
        async with pool.client(URL) as client:
            await client.publish("room", 1)


async def test_a_full_pool_makes_room_by_closing_what_nobody_uses_longest(autojump_clock: MockClock) -> None:
    async with serving(app_of_users()) as server, ClientPool(max=2) as pool:
        for name in ("ada", "bob", "ada", "eve"):
            async with pool.client(URL, principal=name, token=name) as client:
                await client.publish("room", name)
        node: Any = server._node  # pyright: ignore[reportPrivateUsage]
        names = {session.handle.principal.id for session in node.sessions.values()}
        assert (names, pool.sessions) == ({"ada", "eve"}, 2)


async def test_where_all_are_in_use_one_waits_for_a_while_and_is_then_refused(autojump_clock: MockClock) -> None:
    async with serving(app_of_users()), ClientPool(max=1, wait_seconds=5) as pool:
        used: list[str] = []

        async def use(name: str, seconds: float) -> None:
            async with pool.client(URL, principal=name, token=name):
                used.append(name)
                await trio.sleep(seconds)

        async with trio.open_nursery() as nursery:
            for name, seconds in {"ada": 3, "bob": 0.5, "eve": 0.5}.items():
                nursery.start_soon(use, name, seconds)
                await trio.sleep(0.1)
        assert used == ["ada", "bob", "eve"]
        async with pool.client(URL, principal="ada", token="ada"):
            began = trio.current_time()
            with pytest.raises(PoolFull, match="all 1 sessions of the pool are in use"):
                await use("bob", 0)
            assert trio.current_time() - began == pytest.approx(5)
            await use("ada", 0)  # the session that is there needs no room


async def test_who_gives_up_waiting_takes_no_place(autojump_clock: MockClock) -> None:
    async with FaultyNetwork() as network, ClientPool(max=1, transport=network) as pool:
        network.refuse()
        with trio.move_on_after(1) as scope:
            await pool.client(URL).__aenter__()
        assert scope.cancelled_caught
        async with serving(open_app()):
            network.refuse(False)
            async with pool.client(URL) as client:
                await client.publish("room", 1)


async def test_a_server_that_is_not_there_fails_who_waits_and_not_who_comes_later(autojump_clock: MockClock) -> None:
    async with ClientPool() as pool:
        with pytest.raises(ConnectFailed, match="no session after 10 s"):
            await pool.client(URL).__aenter__()
        with pytest.raises(ValueError, match="scheme"):
            await pool.client("nothing").__aenter__()
        async with serving(open_app()), pool.client(URL) as client:
            await client.publish("room", 1)


async def test_one_that_the_server_has_closed_is_replaced(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, ClientPool() as pool:
        async with pool.client(URL) as one:
            end_sessions(server, CloseCode.FORBIDDEN)
            await trio.sleep(1)
            with pytest.raises(SessionClosed, match="FORBIDDEN"):
                await one.publish("room", 1)
            async with pool.client(URL) as two:
                await two.publish("room", 1)
                assert pool.sessions == 2
        await trio.sleep(1)
        assert pool.sessions == 1


async def test_one_that_loses_its_link_while_nobody_uses_it_is_given_up(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, FaultyNetwork() as network, ClientPool(transport=network) as pool:
        async with pool.client(URL) as client:
            await network.cut()
            await client.publish("room", 1)  # whoever uses it goes on
            assert server.resumes == 1
        await network.cut()
        await trio.sleep(5)
        assert pool.sessions == 0


async def test_a_link_that_died_in_silence_is_found_by_who_takes_it(autojump_clock: MockClock) -> None:
    config = Config(pong_wait_seconds=2)
    async with FaultyNetwork() as network, serving(open_app(), config=config):
        async with ClientPool(transport=network, config=config) as pool:
            async with pool.client(URL) as client:
                await client.publish("room", 1)
            network.wires[0].stall()
            began = trio.current_time()
            async with pool.client(URL) as client:
                await client.publish("room", 2)
            assert trio.current_time() - began < 4  # not the 27 s of silence


async def test_credentials_that_differ_share_no_session(autojump_clock: MockClock) -> None:
    async def fetch() -> dict[str, str]:
        return {"token": "ada"}

    async with serving(app_of_users()), ClientPool() as pool, pool.client(URL, principal="ada", token="ada"):
        with pytest.raises(ValueError, match="opened with other credentials"):
            await pool.client(URL, principal="ada", token="bob").__aenter__()
        async with pool.client(URL, principal="ada", credentials=fetch) as client:
            await client.publish("room", 1)
    with pytest.raises(ValueError, match="token or credentials"):
        pool.client(URL, token="a", credentials={})


async def test_a_pool_is_used_inside_its_block_and_each_client_once(autojump_clock: MockClock) -> None:
    async with serving(open_app()):
        pool = ClientPool()
        with pytest.raises(RuntimeError, match="entered with async with before"):
            await pool.client(URL).__aenter__()
        async with pool:
            taken = pool.client(URL)
            async with taken:
                pass
            with pytest.raises(RuntimeError, match="entered only once"):
                await taken.__aenter__()


@pytest.mark.parametrize("wrong", [{"max": 0}, {"idle_seconds": -1}, {"wait_seconds": float("nan")}])
def test_its_bounds_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="a pool holds one session or more"):
        ClientPool(**wrong)


# ---------------------------------------------------------------- subscriptions


def subscribers(server: Server) -> int:
    """Subscriptions on the wire."""
    node: Any = server._node  # pyright: ignore[reportPrivateUsage]
    return sum(len(session.memberships) for session in node.sessions.values())


async def test_readers_share_a_subscription_and_the_last_one_ends_it(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app) as server, ClientPool() as pool:
        async with pool.client(URL) as one, pool.client(URL) as two:
            async with one.subscribe("room") as first:
                async with two.subscribe("room") as second:
                    assert subscribers(server) == 1
                    await app.publish("room", 1)
                    assert await collect(first, 1) == await collect(second, 1) == [1]
                await app.publish("room", 2)
                assert await collect(first, 1) == [2]
                assert subscribers(server) == 1
            await trio.sleep(1)
            assert subscribers(server) == 0
            async with two.subscribe("room") as again:
                await app.publish("room", 3)
                assert await collect(again, 1) == [3]


async def test_one_may_begin_the_moment_the_last_one_leaves(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), ClientPool() as pool, pool.client(URL) as client:
        for number in range(5):
            async with client.subscribe("room") as messages:
                await app.publish("room", number)
                assert await collect(messages, 1) == [number]


async def test_each_reader_has_the_place_it_asks_for(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), ClientPool() as pool, pool.client(URL) as client:
        first, _, third, _, _ = [(await app.publish("room", number)).position for number in range(1, 6)]
        async with client.subscribe("room") as now:
            await app.publish("room", 6)
            async with client.subscribe("room", since=third) as late, client.subscribe("room", since=first) as early:
                await app.publish("room", 7)
                assert await collect(early, 6) == [2, 3, 4, 5, 6, 7]
                assert await collect(late, 4) == [4, 5, 6, 7]
                assert await collect(now, 2) == [6, 7]
                assert now.position == late.position == early.position
                async with client.subscribe("room") as last:
                    await app.publish("room", 8)
                    assert await collect(last, 1) == [8]


@pytest.mark.slow
async def test_places_are_kept_while_everything_happens_at_once(autojump_clock: MockClock) -> None:
    app = open_app(history=1_000)
    async with serving(app), FaultyNetwork(delay_seconds=(0.0, 0.05)) as network:
        async with ClientPool(transport=network) as pool, pool.client(URL) as client, trio.open_nursery() as nursery:
            origin = (await app.publish("room", 1)).position
            done = 0

            async def read(since: int) -> None:
                nonlocal done
                position = type(origin)(origin.epoch, since)
                async with client.subscribe("room", since=position) as messages:
                    assert await collect(messages, 200 - since) == list(range(since + 1, 201))
                done += 1

            nursery.start_soon(read, 0)
            for number in range(2, 201):
                await app.publish("room", number)
                if number % 20 == 0:
                    nursery.start_soon(read, number // 2)
                if number % 50 == 0:
                    await network.cut()
                await trio.sleep(0.02)
            with trio.fail_after(PATIENCE):
                while done < 11:
                    await trio.sleep(0.1)


async def test_who_does_not_keep_up_is_told_and_the_other_gets_everything(autojump_clock: MockClock) -> None:
    app = open_app()
    config = Config(subscription_messages=10)
    async with serving(app), ClientPool(config=config) as pool, pool.client(URL) as client:
        async with client.subscribe("room") as slow, client.subscribe("room") as quick:
            for number in range(1, 41):
                await app.publish("room", number)
                assert await collect(quick, 1) == [number]
            assert slow.position is not None
            assert slow.position.offset == 10
            assert await collect(slow, 6) == [1, 2, 3, 4, 5, 6]
            await app.publish("room", 41)
            assert await collect(slow, 6) == [7, 8, 9, 10, (10, 40, 3), 41]
            assert await collect(quick, 1) == [41]


def test_holes_that_follow_each_other_are_told_as_one() -> None:
    epoch, other = b"epoch  1", b"epoch  2"
    queue = Queue("room", None, messages_max=2, bytes_max=100)
    for offset in range(1, 5):
        queue.message(Message("room", epoch, offset, b"1"))
    queue.gap(Gap("room", Position(epoch, 2), Position(epoch, 3), 1))  # nothing new
    queue.gap(Gap("room", Position(epoch, 4), Position(other, 6), 2))
    queue.gap(Gap("room", Position(other, 6), Position(other, 9), 1))
    queue.message(Message("room", other, 10, b"1"))
    assert queue.position == Position(epoch, 2)
    taken = [queue.take() for _ in range(4)]
    assert [item.position.offset for item in taken if item is not None] == [1, 2, 10]
    hole = taken[2]
    assert isinstance(hole, Gap)
    assert (hole.since, hole.position, hole.reason) == (Position(epoch, 2), Position(other, 10), 2)
    assert taken[3] is None
    queue.message(Message("room", other, 10, b"1"))  # it was missed, and told
    assert queue.take() is None


async def test_a_refused_channel_is_refused_to_each(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("room", open=True)
    async with serving(app), ClientPool() as pool, pool.client(URL) as client:
        refused = 0

        async def read() -> None:
            nonlocal refused
            with pytest.raises(RequestFailed, match="NOT_FOUND"):
                await client.subscribe("elsewhere").__aenter__()
            refused += 1

        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(read)
        assert refused == 3
        async with client.subscribe("room"):
            pass


async def test_a_goodbye_ends_readers_quietly_and_a_refusal_does_not(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, ClientPool() as pool:
        async with pool.client(URL) as client, client.subscribe("room") as messages:
            end_sessions(server, CloseCode.FORBIDDEN)
            with pytest.raises(SessionClosed, match="FORBIDDEN"):
                await messages.receive()
        async with pool.client(URL) as client, client.subscribe("room") as messages:
            end_sessions(server, CloseCode.NORMAL)
            assert [message async for message in messages] == []
            with pytest.raises(RuntimeError, match="entered only once"):
                await messages.__aenter__()


async def test_a_new_epoch_is_told_to_each_reader(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), ClientPool() as pool, pool.client(URL) as client:
        place = (await app.publish("room", 1)).position
        old = type(place)(b"12345678", 99)
        async with client.subscribe("room") as now, client.subscribe("room", since=old) as stale:
            with pytest.raises(Gap, match="EPOCH_CHANGED"):
                await stale.receive()
            assert await collect(stale, 1) == [1]
            await app.publish("room", 2)
            assert await collect(stale, 1) == await collect(now, 1) == [2]
