"""Who asks for too much over real sockets is told so, and when to come back; everybody else is served (SPEC LIM-3)."""

from __future__ import annotations

from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import trio

from hawser import App, Config, Principal, connect
from hawser_engine import CloseCode
from hawser_engine.codec import decode_batch, encode
from hawser_engine.packets import Close, Limits, Open
from hawser_transports import ListenerSettings, WebSocketTransport, WireSettings
from tests.engine.bindings.peers import frame, request
from tests.runtime.helpers import serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from hawser import Server

QUICK = WireSettings(close_seconds=0.5)


def make_app() -> App:
    """An app whose users are called by their tokens."""
    app = App()
    app.channel("*", history=100, open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"]) if credentials else None

    return app


@asynccontextmanager
async def guarded(config: Config | None = None, *, per_address: float = 100) -> AsyncGenerator[Server, None]:
    """A server on a socket; nothing there may take a minute."""
    settings = ListenerSettings(connections_per_address=per_address, wire=QUICK)
    transport = WebSocketTransport(settings=settings)
    with trio.fail_after(60):
        async with serving(make_app(), config=config, transport=transport, url="ws://127.0.0.1:0") as server:
            yield server


async def answer_to(server: Server, data: bytes) -> bytes:
    """Everything that is answered to some bytes, until the server ends the connection."""
    port = int(server.url.rpartition(":")[2].strip("/"))
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        seen = b""
        try:
            await stream.send_all(data)
            async for piece in stream:
                seen += piece
        except trio.BrokenResourceError:
            pass
        return seen


def opening(token: str) -> bytes:
    """An upgrade, and an OPEN right behind it."""
    packet = Open((1,), (), {"token": token}, None, Limits(100, 100_000, 100_000))
    return request() + frame(0x82, encode(packet))


def last_words(seen: bytes) -> tuple[Close, int]:
    """The CLOSE of the session, and the code of the WebSocket's."""
    frames = seen.partition(b"\r\n\r\n")[2]
    assert frames[0] == 0x82
    size = frames[1]
    assert size < 126
    (packet,) = decode_batch(frames[2 : 2 + size])
    assert isinstance(packet, Close)
    return packet, int.from_bytes(frames[4 + size : 6 + size], "big")


async def assert_served(server: Server, token: str = "grace") -> None:
    """A client with manners gets what it asks for."""
    async with connect(server.url, transport=WebSocketTransport(), token=token) as client:
        async with client.subscribe("room") as messages:
            await client.publish("room", token)
            assert (await messages.receive()).data == token


async def test_an_address_with_too_many_connections_is_told_when_to_come_back() -> None:
    async with guarded(per_address=2) as server:
        async with connect(server.url, token="ada"), connect(server.url, token="ada"):
            answer = await answer_to(server, opening("ada"))
            assert answer.startswith(b"HTTP/1.1 429 Too Many Requests\r\n")
            assert b"\r\nRetry-After: " in answer
        await assert_served(server)


async def test_a_user_with_too_many_connections_is_sent_back_by_packet_and_close_code() -> None:
    async with guarded(Config(connections_per_user=2)) as server:
        async with connect(server.url, token="ada"), connect(server.url, token="ada"):
            close, code = last_words(await answer_to(server, opening("ada")))
            assert (close.code, close.reconnect) == (CloseCode.OVERLOADED, True)
            assert (close.after_min_ms, close.after_max_ms) == (1_000, 5_000)
            assert code == 4_000 + CloseCode.OVERLOADED
            await assert_served(server)
        await assert_served(server, "ada")


async def test_a_connection_that_says_nothing_is_ended_at_the_deadline() -> None:
    async with guarded(Config(handshake_seconds=0.2)) as server:
        close, code = last_words(await answer_to(server, request()))
        assert (close.code, code) == (CloseCode.TIMEOUT, 4_000 + CloseCode.TIMEOUT)
        await assert_served(server)


async def test_one_deadline_holds_for_all_of_a_handshake() -> None:
    """Who takes its time over the head of its request has less of it for what follows (SPEC ATT-13)."""
    ended: list[str] = []
    async with guarded(Config(handshake_seconds=1)) as server, trio.open_nursery() as nursery:
        port = int(server.url.rpartition(":")[2].strip("/"))

        async def knock(name: str, dawdling_seconds: float) -> None:
            async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
                await trio.sleep(dawdling_seconds)
                await stream.send_all(request())
                async for _ in stream:
                    pass
            ended.append(name)

        nursery.start_soon(knock, "came first, dawdled", 0.7)
        await trio.sleep(0.35)
        nursery.start_soon(knock, "came later", 0)
    assert ended == ["came first, dawdled", "came later"]


async def test_a_hundred_hostile_connections_at_once_cost_nobody_else_a_message() -> None:
    """Silent ones, babblers, ones that hang up: within the bounds of a node they change nothing for the others."""
    async with guarded(Config(handshake_seconds=5), per_address=1_000) as server:
        async with trio.open_nursery() as nursery:
            babble = (
                b"",
                request(),
                request() + frame(0x82, b"\xff" * 50),
                request() + frame(0x81, b"text"),
                b"\0" * 99,
            )
            for number in range(100):
                nursery.start_soon(partial(answer_to, server, babble[number % len(babble)]))
            for number in range(10):
                await assert_served(server, f"user {number}")
            nursery.cancel_scope.cancel()
        await assert_served(server)
