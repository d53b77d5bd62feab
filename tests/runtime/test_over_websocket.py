"""The runtime over real WebSockets: a whole program, links that are cut, and what a close says."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, ConnectFailed, Principal, connect
from hawser_engine import CloseCode
from hawser_engine.bindings.websocket import FrameLimits, SharedFrames, WebSocket
from hawser_engine.codec import encode
from hawser_engine.packets import Ack, Counts, Limits, Open, Ping
from hawser_transports import (
    Link,
    Listener,
    ListenerSettings,
    StreamWire,
    Transport,
    WebSocketLink,
    WebSocketTransport,
    WireSettings,
)
from tests.engine.bindings.peers import frame, request
from tests.runtime.helpers import FAST, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from hawser import Server, Session

SETTINGS = ListenerSettings(
    accepts_per_second=math.inf, connections_per_address=math.inf, wire=WireSettings(close_seconds=0.5)
)
TRANSPORT = WebSocketTransport(settings=SETTINGS)


def make_app() -> App:
    app = App()
    rooms = app.channel("room:*", history=1_000)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, object]) -> Principal | None:
        return Principal("anna") if credentials.get("token") == "good" else None

    @rooms.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return True

    @app.procedure("math.add")
    async def add(session: Session, a: int, b: int) -> int:
        return a + b

    return app


@asynccontextmanager
async def serving_websockets() -> AsyncGenerator[Server, None]:
    with trio.fail_after(60):
        async with serving(make_app(), config=FAST, transport=TRANSPORT, url="ws://127.0.0.1:0") as server:
            yield server


class Relay:
    """A TCP relay that can cut everything that goes through it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.cuts = 0
        self.open: set[trio.CancelScope] = set()

    async def serve(self, near: trio.SocketStream) -> None:
        with trio.CancelScope() as scope:
            self.open.add(scope)
            async with await trio.open_tcp_stream("127.0.0.1", self.port) as far, trio.open_nursery() as nursery:
                nursery.start_soon(self.copy, near, far)
                nursery.start_soon(self.copy, far, near)
        self.open.discard(scope)

    async def copy(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            async for data in source:
                await target.send_all(data)
            await target.send_eof()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass

    def cut(self) -> None:
        for scope in self.open:
            self.cuts += 1
            scope.cancel()


async def test_a_whole_program_over_a_real_network() -> None:
    async with serving_websockets() as server, connect(server.url, transport=TRANSPORT, token="good") as client:
        assert await client.call("math.add", 2, 3) == 5
        async with client.subscribe("room:lobby") as messages:
            await client.publish("room:lobby", {"text": "hello" * 30_000})
            async for message in messages:
                assert message.data == {"text": "hello" * 30_000}
                break


@pytest.mark.slow
async def test_every_message_arrives_once_and_in_order_though_the_links_are_cut() -> None:
    """SPEC CAR-1, and sentence 1 of the guarantee, over TCP."""
    async with serving_websockets() as server, trio.open_nursery() as nursery:
        relay = Relay(int(server.url.rpartition(":")[2].strip("/")))
        (place,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), relay.serve, 0)
        url = f"ws://127.0.0.1:{place.socket.getsockname()[1]}/"
        async with (
            connect(url, transport=TRANSPORT, token="good", config=FAST) as sender,
            connect(url, transport=TRANSPORT, token="good", config=FAST) as receiver,
            receiver.subscribe("room:lobby") as messages,
        ):

            async def publish() -> None:
                for number in range(300):
                    await sender.publish("room:lobby", number)
                    if number % 60 == 30:
                        relay.cut()

            nursery.start_soon(publish)
            got = [(await messages.receive()).data for _ in range(300)]
        assert got == list(range(300))
        assert relay.cuts >= 5  # the sender was connected at each cut, for its publication had been answered
        assert server.resumes >= 5
        nursery.cancel_scope.cancel()


async def test_a_peer_that_nobody_knows_yet_cannot_fill_memory() -> None:
    """SPEC PKT-14: refused by the head of its frame, also where that came together with the upgrade."""
    async with serving_websockets() as server:
        place = server.url.removeprefix("ws://").rstrip("/").rpartition(":")
        head = frame(0x82, size=100_000)[:10]
        for pieces in ([request() + head], [request(), head]):
            async with await trio.open_tcp_stream(place[0], int(place[2])) as stream:
                seen = b""
                for piece in pieces:
                    await stream.send_all(piece)
                    seen += await stream.receive_some()
                async for data in stream:
                    seen += data
            closing = seen.partition(b"\r\n\r\n")[2]
            assert closing[2:4] == (4_000 + CloseCode.TOO_LARGE).to_bytes(2, "big")
        async with connect(server.url, transport=TRANSPORT, token="good") as client:
            text = "known" * 12_000
            async with client.subscribe("room:lobby") as messages:
                await client.publish("room:lobby", text)
                assert (await messages.receive()).data == text


async def test_refused_credentials_are_said_by_packet_and_by_close_code() -> None:
    """SPEC CAR-5."""
    async with serving_websockets() as server:
        with pytest.raises(ConnectFailed, match="refused with code 302"):
            async with connect(server.url, transport=TRANSPORT, token="bad"):
                pass
        place = server.url.removeprefix("ws://").rstrip("/").rpartition(":")
        async with await trio.open_tcp_stream(place[0], int(place[2])) as stream:
            opening = encode(Open((1,), (), {"token": "bad"}, None, Limits(100, 100_000, 100_000)))
            await stream.send_all(request() + frame(0x82, opening))
            seen = b""
            async for data in stream:
                seen += data
        code = (4_000 + CloseCode.UNAUTHORIZED).to_bytes(2, "big")
        assert seen.endswith(b"\x88\x02" + code)


class Pipes(Transport, Listener):
    """WebSocket links to a server without a network, so on a virtual clock; the test writes the frames itself."""

    def __init__(self) -> None:
        self.waiting, self.arriving = trio.open_memory_channel[Link](1)

    @property
    def url(self) -> str:
        return "ws://pipes"

    async def listen(self, url: str) -> Listener:
        await trio.lowlevel.checkpoint()
        return self

    async def connect(self, url: str) -> Link:
        raise NotImplementedError

    async def accept(self) -> Link:
        return await self.arriving.receive()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    async def dial(self) -> trio.abc.Stream:
        near, far = trio.testing.memory_stream_pair()
        await self.waiting.send(
            WebSocketLink(StreamWire(far, "pipe", WireSettings()), WebSocket(SharedFrames(), FrameLimits()))
        )
        return near


@pytest.mark.parametrize("sign", ["a ping", "a batch in small pieces", "nothing"])
async def test_a_peer_that_sends_no_packet_and_yet_something_is_alive(
    autojump_clock: trio.testing.MockClock, sign: str
) -> None:
    """SPEC LIV-2, CAR-6: any byte is life. One that sends nothing is dead after ping interval and pong wait."""
    pipes = Pipes()
    long = iter(frame(0x82, encode(Ping(1, None)) * 100))
    async with serving(make_app(), transport=pipes, url=pipes.url) as server:
        stream = await pipes.dial()
        await stream.send_all(frame(0x82, encode(Open((1,), (), {"token": "good"}, None, Limits(10, 10_000, 10_000)))))
        await stream.receive_some()
        await stream.send_all(frame(0x82, encode(Ack(Counts(0, 0, 0)))))
        answer = b""
        with trio.move_on_after(90):
            async with trio.open_nursery() as nursery:

                async def live() -> None:
                    while sign != "nothing":
                        await stream.send_all(frame(0x89) if sign == "a ping" else bytes((next(long),)))
                        await trio.sleep(5)

                nursery.start_soon(live)
                while data := await stream.receive_some():
                    answer += data
                nursery.cancel_scope.cancel()
        assert server.sessions == 1
        timeout = (4_000 + CloseCode.TIMEOUT).to_bytes(2, "big")
        assert answer.endswith(timeout) == (sign == "nothing")
