"""A client that does not wait for its server: ``connect(url, wait=False)``."""

from __future__ import annotations

import math
import socket
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, CloseCode, Config, Principal, Session, SessionClosed, connect, serve, states
from hawser.testing import FaultyNetwork
from hawser_transports import Link, ListenerSettings, MemoryTransport, WebSocketTransport
from tests.runtime.helpers import PATIENCE, URL, collect, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trio.testing import MockClock

    from hawser.client import StateStream

A_DAY = 86_400


def app_with_add() -> App:
    app = open_app()

    @app.procedure("math.add")
    async def add(session: Session, a: int, b: int) -> int:
        return a + b

    return app


async def watch(stream: StateStream, seen: list[states.State]) -> None:
    async for state in stream:
        seen.append(state)  # noqa: PERF401 - each as it comes


@pytest.mark.slow
async def test_everything_waits_for_the_server_and_is_carried_out_in_order_when_it_comes(
    autojump_clock: MockClock,
) -> None:
    seen: list[states.State] = []
    results: dict[str, Any] = {}
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        network.refuse()
        began = trio.current_time()
        async with connect(URL, transport=network, wait=False) as client:
            assert trio.current_time() == began
            assert client.state == states.Connecting(1)
            nursery.start_soon(watch, client.states, seen)

            async def listen() -> None:
                async with client.subscribe("room") as messages:
                    results["heard"] = await collect(messages, 3)

            async def publish() -> None:
                receipts = [await client.submit("room", number) for number in range(3)]
                results["offsets"] = [(await receipt.wait()).position.offset for receipt in receipts]

            async def add() -> None:
                results["sum"] = await client.call("math.add", 2, 3)

            async with trio.open_nursery() as operations:
                for operation in (listen, publish, add):
                    operations.start_soon(operation)
                    await trio.testing.wait_all_tasks_blocked()
                await trio.sleep(A_DAY)
                assert results == {}
                async with serving(app_with_add()) as server:
                    await trio.sleep(60)  # the server is there, the network still is not
                    assert results == {}
                    network.refuse(False)
                    with trio.fail_after(PATIENCE):
                        while len(results) < 3:
                            await trio.sleep(1)
                    assert results == {"heard": [0, 1, 2], "offsets": [1, 2, 3], "sum": 5}
                    assert server.sessions == 1
                    await client.aclose()
        names = [type(state).__name__ for state in seen]
        attempts = names.count("Connecting") + names.count("HalfOpen")
        series = ["Connecting", "Waiting"] * 4 + ["Connecting", "CircuitOpen"]
        assert names == [*series, *["HalfOpen", "CircuitOpen"] * (attempts - 6), "HalfOpen", "Connected", "Closed"]
        numbers = [state.attempt for state in seen if isinstance(state, (states.Connecting, states.HalfOpen))]
        assert numbers == list(range(1, attempts + 1))
        assert states.Connected(False, 0, "memory") in seen
        pauses = [state.seconds for state in seen if isinstance(state, (states.Waiting, states.CircuitOpen))]
        assert len(pauses) > A_DAY / 30
        assert max(pauses) <= 30


async def test_a_session_that_starts_offline_is_one_like_any_other(autojump_clock: MockClock) -> None:
    async with FaultyNetwork(seed=3, delay_seconds=(0.0, 0.05)) as network, trio.open_nursery() as nursery:
        network.refuse()
        async with connect(URL, transport=network, wait=False, config=Config(backoff_cap_seconds=1)) as client:
            await trio.sleep(100)
            await nursery.start(partial(serve, open_app(), URL))
            network.refuse(False)
            async with client.subscribe("room") as messages:
                nursery.start_soon(lambda: network.storm(every_seconds=0.3))
                for number in range(100):
                    await client.publish("room", number)
                assert await collect(messages, 100) == list(range(100))
        assert network.cuts > 0
        nursery.cancel_scope.cancel()


async def test_more_than_the_server_takes_at_once_waits_its_turn(autojump_clock: MockClock) -> None:
    """What was asked for offline keeps within the limits that the server tells at last; nothing is answered BUSY."""
    config = Config(operations=3, window_messages=5)
    offsets: list[int] = []
    async with connect(URL, wait=False) as client, trio.open_nursery() as nursery:

        async def publish(number: int) -> None:
            offsets.append((await client.publish("room", number)).position.offset)

        for number in range(300):
            nursery.start_soon(publish, number)
        await trio.sleep(10)
        async with serving(open_app(), config=config):
            with trio.fail_after(PATIENCE):
                while len(offsets) < 300:
                    await trio.sleep(1)
    assert sorted(offsets) == list(range(1, 301))


async def test_what_is_given_up_offline_never_leaves(autojump_clock: MockClock) -> None:
    app = app_with_add()
    called: list[str] = []

    @app.procedure("note")
    async def note(session: Session) -> None:
        called.append("note")

    async with connect(URL, wait=False) as client:
        for operation in (
            partial(client.publish, "room", "given up"),
            partial(client.submit, "room", "given up"),
            partial(client.call, "note"),
            client.subscribe("room").__aenter__,
        ):
            with trio.move_on_after(5) as scope:
                await operation()
            assert scope.cancelled_caught
        async with serving(app) as server, client.subscribe("room") as messages:
            assert (await client.publish("room", "kept")).position.offset == 1
            assert await collect(messages, 1) == ["kept"]
            assert await client.call("math.add", 2, 3) == 5
            assert called == []
            assert server.sessions == 1


@pytest.mark.parametrize("before", [0, 3], ids=["at the first attempt", "at a later one"])
async def test_a_refusal_ends_the_client_and_all_that_waits_for_it(autojump_clock: MockClock, before: int) -> None:
    app = app_with_add()
    judged: list[Mapping[str, Any]] = []

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        judged.append(credentials)
        await trio.sleep(0.1)
        return None

    seen: list[states.State] = []
    errors: list[SessionClosed] = []

    async def expect(operation: Callable[[], Any]) -> None:
        with pytest.raises(SessionClosed) as caught:
            await operation()
        errors.append(caught.value)

    async with FaultyNetwork() as network, serving(app) as server:
        network.refuse(before > 0)
        async with connect(URL, transport=network, token="bad", wait=False) as client:
            operations = (
                partial(client.publish, "room", 1),
                partial(client.submit, "room", 1),
                partial(client.call, "math.add", 1, 2),
                client.subscribe("room").__aenter__,
            )
            async with trio.open_nursery() as nursery:
                nursery.start_soon(watch, client.states, seen)
                for operation in operations:
                    nursery.start_soon(expect, operation)
                await trio.sleep(before)
                network.refuse(False)
            assert [error.code for error in errors] == [CloseCode.UNAUTHORIZED] * 4
            assert isinstance(client.state, states.Closed)
            assert client.state.code == CloseCode.UNAUTHORIZED
            assert seen[0] == states.Connecting(1)
            assert seen[-1] == client.state
            for operation in operations[:3]:
                await expect(operation)
            await expect(client.subscribe("room").__aenter__)
            await expect(partial(client.authenticate, token="good"))
            await trio.sleep(100)  # and it does not try again
        assert judged == [{"token": "bad"}]
        assert server.sessions == 0


async def test_other_credentials_may_come_before_the_first_attempt_succeeds(autojump_clock: MockClock) -> None:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal("ada") if credentials.get("token") == "good" else None

    async with connect(URL, wait=False) as client, trio.open_nursery() as nursery:
        await trio.sleep(10)
        nursery.start_soon(partial(client.authenticate, token="good"))
        await trio.sleep(10)
        async with serving(app):
            with trio.fail_after(PATIENCE):
                assert (await client.publish("room", 1)).position.offset == 1


class Hanging(MemoryTransport):
    """Nobody ever answers."""

    connecting = 0

    async def connect(self, url: str) -> Any:
        self.connecting += 1
        try:
            await trio.sleep_forever()
        finally:
            self.connecting -= 1


class Late(MemoryTransport):
    """A link that comes whether somebody waits for it or not."""

    link: Link

    async def connect(self, url: str) -> Any:
        with trio.CancelScope(shield=True):
            await trio.sleep(0.5)
            self.link = await super().connect(url)
        return self.link


async def test_leaving_waits_for_no_server(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    hanging = Hanging()
    async with connect(URL, transport=hanging, wait=False):
        await trio.sleep(1)
        assert hanging.connecting == 1
    async with connect(URL, wait=False):
        await trio.sleep(1)  # resting between two attempts
    async with connect(URL, wait=False) as client:
        await client.aclose()
        assert isinstance(client.state, states.Closed)
    assert trio.current_time() == began + 2
    assert hanging.connecting == 0


async def test_a_link_that_comes_too_late_begins_no_session(autojump_clock: MockClock) -> None:
    late = Late()
    async with serving(open_app()) as server:
        async with connect(URL, transport=late, wait=False):
            await trio.sleep(0.1)
        with pytest.raises(trio.ClosedResourceError):
            await late.link.receive_batches()
        await trio.sleep(1)
        assert server.sessions == 0
        node: Any = server._node  # pyright: ignore[reportPrivateUsage]
        assert node._drivers == {}


async def test_an_address_that_cannot_be_comes_out_of_the_block(autojump_clock: MockClock) -> None:
    async def use() -> None:
        async with connect("memory://one/two", wait=False):
            await trio.sleep(100)
            raise AssertionError

    with pytest.raises(ValueError, match="is no memory address"):
        await use()


async def test_a_server_that_starts_later_is_found_over_a_real_socket() -> None:
    transport = WebSocketTransport(
        settings=ListenerSettings(accepts_per_second=math.inf, connections_per_address=math.inf)
    )
    quick = Config(backoff_cap_seconds=0.05)
    with trio.fail_after(60), socket.socket() as place:
        place.bind(("127.0.0.1", 0))  # it is taken, and nobody listens
        url = f"ws://127.0.0.1:{place.getsockname()[1]}/"
        async with (
            connect(url, transport=transport, config=quick, wait=False) as client,
            trio.open_nursery() as nursery,
        ):
            stream = client.states
            while not isinstance(await anext(stream), states.Waiting):
                pass
            results: list[int] = []

            async def add() -> None:
                results.append(await client.call("math.add", 2, 3))

            nursery.start_soon(add)
            place.close()
            async with serving(app_with_add(), transport=transport, url=url):
                async with client.subscribe("room") as messages:
                    await client.publish("room", "hello")
                    assert (await messages.receive()).data == "hello"
                assert results == [5]
