"""A real server that is told to go: clients hear when to come back, what was begun is answered, it ends in time."""

from __future__ import annotations

import signal
import sys
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final

import pytest
import trio

from hawser import Client, RequestLost, connect, states
from hawser_engine.bindings.http import Request, write_request
from hawser_transports import LongPollTransport, WebSocketTransport
from hawser_transports.urls import parse_url
from tests.faults.processes import PATIENCE, hawser, running, serving
from tests.transports.test_longpoll import read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hawser_transports import Transport
    from tests.faults.processes import Program

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform == "win32", reason="a signal ends a program there at once"),
]

APP: Final = """
import trio
from hawser import App

app = App()
app.channel("*", history=1000, open=True)

@app.procedure("work")
async def work(session, seconds):
    print("begun", flush=True)
    await trio.sleep(seconds)
    return seconds
"""
CONFIG: Final = """
[limits]
returns_per_second = 1
drain_seconds = {drain}
cleanup_seconds = 0.5
[listener]
accepts_per_second = 1_000
connections_per_address = 1_000
"""
TRANSPORTS: Final[dict[str, type[Transport]]] = {"ws": WebSocketTransport, "poll": LongPollTransport}


@asynccontextmanager
async def served(folder: Path, *, drain: float) -> AsyncGenerator[tuple[Program, str]]:
    (folder / "drained_app.py").write_text(APP)
    (folder / "serve.toml").write_text(CONFIG.format(drain=drain))
    environment = {"PYTHONPATH": ":".join([str(folder), *(entry for entry in sys.path if entry)])}
    given = ("--config", "serve.toml", "--app", "drained_app:app")
    async with serving(*given, cwd=folder, environment=environment) as (server, url):
        yield server, url


async def health(url: str) -> tuple[int, bytes]:
    """What a balancer is told."""
    place = parse_url(url, ["http"])
    async with await trio.open_tcp_stream(place.host, place.port) as stream:
        await stream.send_all(write_request(Request("GET", (("connection", "close"),), b""), "x", "/healthz"))
        [(status, _, body)] = await read(stream, 1)
        return status, body


async def sent_away(client: Client) -> states.Waiting:
    """How a client learned that it has to go."""
    async for state in client.states:
        if isinstance(state, states.Waiting):
            return state
    raise AssertionError("it never had to")


@pytest.mark.parametrize("carriage", TRANSPORTS)
async def test_everybody_is_told_when_to_come_back_and_what_was_begun_is_answered(
    carriage: str, tmp_path: Path
) -> None:
    clients, told, results = 40, list[states.Waiting](), list[object]()

    async def wait(client: Client) -> None:
        told.append(await sent_away(client))

    async def work(client: Client) -> None:
        results.append(await client.call("work", 2))

    with trio.fail_after(PATIENCE):
        async with served(tmp_path, drain=30) as (server, url), AsyncExitStack() as stack:
            transport = TRANSPORTS[carriage]()
            several = [await stack.enter_async_context(connect(url, transport=transport)) for _ in range(clients)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(work, several[0])
                await server.out.until("^begun$")
                for client in several:
                    nursery.start_soon(wait, client)
                assert await health(url) == (200, b"ok\n")
                server.send(signal.SIGTERM)
                await server.err.until("^draining, with 40 sessions")
                assert await health(url) == (503, b"draining\n")
            assert await server.wait() == 0
    assert results == [2]
    assert {state.why for state in told} == {"the server is drained"}
    # 40 sessions at one a second: 40 s, of which each client has drawn its moment.
    pauses = sorted(state.seconds for state in told)
    assert len(pauses) == clients
    assert 0 <= pauses[0] < 20 < pauses[-1] <= 40


async def test_who_does_not_read_is_not_waited_for(tmp_path: Path) -> None:
    """It owes acknowledgements, its own last words cannot leave: the server ends all the same."""
    with trio.fail_after(PATIENCE):
        async with served(tmp_path, drain=6) as (server, url), running(*hawser("sub", url, "c")) as deaf:
            await deaf.err.until("^subscribed c$")
            async with connect(url) as client:
                deaf.freeze()
                for number in range(50):
                    await client.publish("c", [number, "x" * 10_000])
                server.send(signal.SIGTERM)
                assert (await sent_away(client)).why == "the server is drained"
            assert await server.wait() == 0
            deaf.thaw()


async def test_a_second_signal_ends_it_at_once(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with served(tmp_path, drain=100_000) as (server, url), connect(url) as client:
            async with trio.open_nursery() as nursery:

                async def work() -> None:
                    with pytest.raises(RequestLost):
                        await client.call("work", 90_000)

                nursery.start_soon(work)
                await server.out.until("^begun$")
                server.send(signal.SIGTERM)
                await server.err.until("^draining, with 1 session")
                server.send(signal.SIGTERM)
                assert await server.wait() == 0
                nursery.cancel_scope.cancel()
