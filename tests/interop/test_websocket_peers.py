"""Strangers' WebSocket clients against our server, with packets from the specification's own bytes.

Nothing of Hawser's codec or client is used here: packets are those of appendix A, or arrays written with cbor2.
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from contextlib import asynccontextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cbor2
import pytest
import trio
import trio_websocket
import websockets.exceptions
import websockets.trio.client

from hawser import App, Principal, Server, serve
from hawser_transports import ListenerSettings, WebSocketTransport, WireSettings
from hawser_transports.urls import parse_url

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping
    from contextlib import AbstractAsyncContextManager
    from typing import TypeAlias

    from hawser import Session

    Connect: TypeAlias = Callable[[str, list[str]], AbstractAsyncContextManager["Stranger"]]

SPEC = Path(__file__).parents[2] / "protocol_spec/SPEC.md"
SUBPROTOCOL = "hawser.v1"


def from_appendix(who: str, packet: str) -> bytes:
    """The bytes of the first packet of a kind in the exchange of appendix A."""
    row = re.search(rf"^\| {who} \| {packet}.*`([0-9a-f ]+)` \|$", SPEC.read_text(), re.MULTILINE)
    assert row is not None
    return bytes.fromhex(row[1])


PING = from_appendix("client", "PING")
PONG = from_appendix("server", "PONG")
OPEN = from_appendix("client", "OPEN")
ACK = from_appendix("client", "ACK")
CLOSE = from_appendix("client", "CLOSE")


class Stranger(ABC):
    """A WebSocket client that knows nothing of us."""

    @abstractmethod
    async def send(self, data: bytes | str) -> None:
        """Send one message."""

    @abstractmethod
    async def receive(self) -> bytes:
        """Receive one message; EOFError once the peer has closed."""

    @abstractmethod
    async def ping(self) -> None:
        """Send a ping of WebSocket's and wait for its pong."""

    @abstractmethod
    def close_code(self) -> int | None:
        """What the server closed with."""


class OfTrioWebsocket(Stranger):
    def __init__(self, connection: trio_websocket.WebSocketConnection) -> None:
        self.connection = connection

    async def send(self, data: bytes | str) -> None:
        await self.connection.send_message(data)

    async def receive(self) -> bytes:
        try:
            data = await self.connection.get_message()
        except trio_websocket.ConnectionClosed:
            raise EOFError from None
        assert isinstance(data, bytes)
        return data

    async def ping(self) -> None:
        await self.connection.ping(b"hello")

    def close_code(self) -> int | None:
        closed = self.connection.closed
        return None if closed is None else closed.code


class OfWebsockets(Stranger):
    """Offers permessage-deflate, as it does by default."""

    def __init__(self, connection: websockets.trio.client.ClientConnection) -> None:
        self.connection = connection

    async def send(self, data: bytes | str) -> None:
        await self.connection.send(data)

    async def receive(self) -> bytes:
        try:
            return await self.connection.recv(decode=False)
        except websockets.exceptions.ConnectionClosed:
            raise EOFError from None

    async def ping(self) -> None:
        await (await self.connection.ping(b"hello")).wait()

    def close_code(self) -> int | None:
        return self.connection.close_code


@asynccontextmanager
async def trio_websocket_client(url: str, subprotocols: list[str]) -> AsyncGenerator[Stranger, None]:
    place = parse_url(url, ["ws"])
    # On a stream of our own: the library leaves the sockets that it opens to the garbage collector.
    stream = await trio.open_tcp_stream(place.host, place.port)
    async with stream, trio.open_nursery() as nursery:
        connection = await trio_websocket.wrap_client_stream(
            nursery, stream, place.authority, place.target, subprotocols=subprotocols
        )
        assert connection.subprotocol == SUBPROTOCOL
        yield OfTrioWebsocket(connection)
        await connection.aclose()
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def websockets_client(url: str, subprotocols: list[str]) -> AsyncGenerator[Stranger, None]:
    offered = [websockets.Subprotocol(each) for each in subprotocols]
    async with websockets.trio.client.connect(url, subprotocols=offered) as connection:
        assert connection.subprotocol == SUBPROTOCOL
        assert connection.protocol.extensions == []
        yield OfWebsockets(connection)


CLIENTS = {"trio-websocket": trio_websocket_client, "websockets": websockets_client}


@pytest.fixture(params=CLIENTS)
def client(request: pytest.FixtureRequest) -> Connect:
    return CLIENTS[str(request.param)]


@asynccontextmanager
async def serving() -> AsyncGenerator[str, None]:
    app = App()
    rooms = app.channel("room:*", history=100)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, object]) -> Principal | None:
        return Principal("stranger") if credentials == {"token": "t0p"} else None

    @rooms.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return True

    settings = ListenerSettings(
        accepts_per_second=math.inf, connections_per_address=math.inf, wire=WireSettings(close_seconds=0.5)
    )
    transport = WebSocketTransport(settings=settings)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(partial(serve, app, "ws://127.0.0.1:0", transport=transport))
            yield server.url
            nursery.cancel_scope.cancel()


def packets(batch: bytes) -> list[list[Any]]:
    """A batch is a CBOR sequence of arrays (RFC 8742)."""
    found: list[list[Any]] = []
    stream = BytesIO(batch)
    while stream.tell() < len(batch):
        found.append(cbor2.load(stream))
    return found


def message(*items: Any) -> bytes:
    return cbor2.dumps([6, False, cbor2.dumps(list(items))])


async def hear(stranger: Stranger, kind: int) -> list[Any]:
    """Receive until a packet of a kind comes."""
    while True:
        for packet in packets(await stranger.receive()):
            if packet[0] == kind:
                return packet


async def hear_messages(stranger: Stranger, count: int) -> list[list[Any]]:
    found: list[list[Any]] = []
    while len(found) < count:
        found += [cbor2.loads(packet[2]) for packet in packets(await stranger.receive()) if packet[0] == 6]
    return found


async def test_a_stranger_opens_publishes_resumes_and_says_goodbye(client: Connect) -> None:
    """SPEC CAR-3, CAR-5, CAR-6, and the exchange of appendix A."""
    async with serving() as url:
        async with client(url, ["other.v9", SUBPROTOCOL]) as stranger:
            await stranger.send(PING)
            assert await stranger.receive() == PONG
            await stranger.send(OPEN)
            (opened,) = packets(await stranger.receive())
            assert opened[:3] == [2, 1, []]
            session, secret, incarnation = opened[3:6]
            await stranger.send(ACK)
            await stranger.ping()
            data = cbor2.dumps("ahoy")
            await stranger.send(message(1, 1, [["room:quay", None]]) + message(5, 2, "room:quay", data, None))
            told = {each[0]: each for each in await hear_messages(stranger, 3)}
            assert told[2][:2] == [2, 1]
            assert told[2][2][0][:2] == ["room:quay", 0]
            epoch = told[6][2][0]
            assert told[6] == [6, 2, [epoch, 1], False]
            assert told[7] == [7, "room:quay", epoch, 1, data]
        async with client(url, [SUBPROTOCOL]) as stranger:
            # What the server said is replayed to one that states it has none of it; what it heard is not asked for.
            await stranger.send(cbor2.dumps([3, session, secret, incarnation, 1, [0, 0, 2], {"token": "t0p"}]))
            batch = packets(await stranger.receive())
            assert batch[0][:2] == [4, 1]
            assert batch[0][2] == [2, 2, 3]
            replayed = [cbor2.loads(packet[2]) for packet in batch if packet[0] == 6]
            if len(replayed) < 3:
                replayed += await hear_messages(stranger, 3 - len(replayed))
            assert {each[0]: each for each in replayed} == told
            await stranger.send(cbor2.dumps([8, [0, 0, 2]]))
            await stranger.send(cbor2.dumps([8, [3, 3, 2]]) + CLOSE)
            with pytest.raises(EOFError):
                await hear(stranger, 13)
            assert stranger.close_code() == 4_300


async def test_a_stranger_with_wrong_credentials_is_told_by_packet_and_by_code(client: Connect) -> None:
    """SPEC ATT-16, CAR-5."""
    async with serving() as url:
        async with client(url, [SUBPROTOCOL]) as stranger:
            await stranger.send(OPEN.replace(b"t0p", b"bad"))
            assert (await hear(stranger, 13))[:2] == [13, 302]
            with pytest.raises(EOFError):
                await stranger.receive()
            assert stranger.close_code() == 4_302


@pytest.mark.parametrize(("sent", "code"), [("text", 1_003), (bytes(131_073), 4_109), (b"\xff", 4_108)])
async def test_a_stranger_that_breaks_a_rule_is_told_which(client: Connect, sent: bytes | str, code: int) -> None:
    """SPEC CAR-3, CLS-5: of the carriage at once, of the session by packet and code."""
    async with serving() as url:
        async with client(url, [SUBPROTOCOL]) as stranger:
            await stranger.send(sent)
            with pytest.raises(EOFError):
                await hear(stranger, 14)
            assert stranger.close_code() == code


async def test_a_stranger_of_another_protocol_is_not_let_in() -> None:
    """SPEC CAR-3."""
    async with serving() as url:
        with pytest.raises(websockets.exceptions.InvalidStatus, match="400"):
            async with websockets.trio.client.connect(url):
                pass
        with pytest.RaisesGroup(pytest.RaisesExc(trio_websocket.ConnectionRejected, match="400")):
            async with trio_websocket_client(url, ["mqtt"]):
                pass
