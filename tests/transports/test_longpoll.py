"""Long-poll links on real sockets: the contract, and what HTTP asks of the server."""

from __future__ import annotations

import math
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser_engine.bindings.longpoll import CONTENT_TYPE, PollLimits
from hawser_engine.bindings.longpoll.fields import header_text
from hawser_engine.codec import encode, encode_message, next_packet
from hawser_engine.packets import Message, Opened, Packet, ServerLimits
from hawser_transports import (
    HttpListener,
    Link,
    ListenerSettings,
    LongPollTransport,
    PollSettings,
    WebSocketTransport,
    WireSettings,
)
from hawser_transports.check import check_transport
from hawser_transports.contract import check_batches
from tests.engine.pair import an_open
from tests.transports.sockets import dial, settled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence

    from tests.transports.conftest import Contexts

SETTINGS = ListenerSettings(
    accepts_per_second=math.inf, connections_per_address=math.inf, wire=WireSettings(close_seconds=0.5)
)
POLLS = PollSettings(retry_seconds=0.1, close_seconds=0.5)
SECRET = bytes(range(32))
PART = 60_000


def opened(session: int) -> Opened:
    limits = ServerLimits(1_000, 262_144, 1_048_576, 256, 1_048_576)
    return Opened(1, (), session.to_bytes(4, "big"), SECRET, b"\x01", 120_000, 25_000, 10_000, limits)


def packets(batches: Sequence[bytes]) -> list[Packet]:
    found: list[Packet] = []
    for batch in batches:
        position = 0
        while taken := next_packet(batch, position):
            packet, position = taken
            found += [] if packet is None else [packet]
    return found


class Carried(Link):
    """An attached long-poll link that carries any bytes: each batch as a message in parts.

    The contract is about batches of whatever bytes, a long-poll link about packets behind an attach.
    """

    def __init__(self, link: Link) -> None:
        self.link = link
        self.parts: list[bytes] = []
        self.owed: list[bytes] = []

    @property
    def description(self) -> str:
        return self.link.description

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        check_batches(batches)
        self.owed = self.owed[self.link.send_nowait(self.owed) :]
        for number, batch in enumerate(batches):
            if self.owed:
                return number
            parts = in_parts(batch)
            left = parts[self.link.send_nowait(parts) :]
            if len(left) == len(parts):
                return number
            self.owed = left
        return len(batches)

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        check_batches(batches)
        owed, self.owed = self.owed, []
        await self.link.send_batches([*owed, *(part for batch in batches for part in in_parts(batch))])

    async def receive_batches(self) -> list[bytes]:
        while True:
            whole: list[bytes] = []
            for packet in packets(await self.link.receive_batches()):
                if isinstance(packet, Message):
                    self.parts.append(packet.body)
                    if not packet.more:
                        whole.append(b"".join(self.parts))
                        self.parts.clear()
            if whole:
                return whole

    async def aclose(self) -> None:
        await self.link.aclose()


def in_parts(batch: bytes) -> list[bytes]:
    starts = range(0, len(batch), PART)
    return [encode_message(batch[start : start + PART], start + PART < len(batch)) for start in starts]


@asynccontextmanager
async def listening(
    transport: LongPollTransport | WebSocketTransport | None = None, scheme: str = "http"
) -> AsyncGenerator[HttpListener, None]:
    transport = transport or LongPollTransport(settings=SETTINGS, polls=POLLS)
    with trio.fail_after(120):
        async with await transport.listen(f"{scheme}://127.0.0.1:0/chat") as listener:
            assert isinstance(listener, HttpListener)
            yield listener


async def attached(transport: LongPollTransport, listener: HttpListener, session: int) -> tuple[Link, Link]:
    near = await transport.connect(listener.url)
    await near.send_batches([encode(an_open())])
    far = await listener.accept()
    assert packets(await far.receive_batches()) == [an_open()]
    await far.send_batches([encode(opened(session))])
    assert packets(await near.receive_batches()) == [opened(session)]
    return near, far


@pytest.mark.slow
@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
async def test_long_poll_links_keep_the_contract(contexts: Contexts, secure: bool) -> None:
    """SPEC CAR-1."""
    server, client = contexts
    made = 0
    transport = LongPollTransport(ssl_context=client if secure else None, settings=SETTINGS, polls=POLLS)

    async def make_pair() -> tuple[Link, Link]:
        nonlocal made
        made += 1
        near, far = await attached(transport, listener, made)
        pair = Carried(near), Carried(far)
        return pair if made % 2 else (pair[1], pair[0])

    serving = LongPollTransport(ssl_context=server if secure else None, settings=SETTINGS, polls=POLLS)
    async with listening(serving, "https" if secure else "http") as listener:
        await check_transport(make_pair)


# What HTTP asks of the server


HEADERS = {
    "Hawser-Session": header_text((1).to_bytes(4, "big")),
    "Hawser-Secret": header_text(SECRET),
    "Hawser-Generation": "0",
    "Hawser-Counts": "0,0,0",
}


def request(method: str, number: int, body: bytes = b"", *lines: str, **changed: str) -> bytes:
    """A request of the connection that session 1 has made."""
    headers = {"Host": "x", **HEADERS, "Hawser-Number": str(number), **changed}
    if body:
        headers |= {"Content-Type": CONTENT_TYPE, "Content-Length": str(len(body))}
    text = [f"{method} /chat HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), *lines]
    return "\r\n".join([*text, "", ""]).encode() + body


ATTACH = encode(an_open())
OPENING = (
    f"POST /chat HTTP/1.1\r\nHost: x\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len(ATTACH)}\r\n\r\n"
).encode() + ATTACH


async def read(stream: trio.SocketStream, count: int = 1) -> list[tuple[int, dict[str, str], bytes]]:
    """Read replies; fewer if the connection ends."""
    data = b""
    found: list[tuple[int, dict[str, str], bytes]] = []
    while len(found) < count:
        head, end, rest = data.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines[1:])}
        length = int(headers.get("content-length", "0"))
        if end and len(rest) >= length:
            found.append((int(lines[0].split()[1]), headers, rest[:length]))
            data = rest[length:]
            continue
        piece = await stream.receive_some()
        if not piece:
            break
        data += piece
    assert not data or len(found) == count, data
    return found


async def open_by_hand(listener: HttpListener, stream: trio.SocketStream) -> Link:
    """Attach as session 1; return the server's end."""
    await stream.send_all(OPENING)
    far = await listener.accept()
    await far.receive_batches()
    await far.send_batches([encode(opened(1))])
    ((status, headers, body),) = await read(stream)
    assert (status, headers["content-type"], body) == (200, CONTENT_TYPE, encode(opened(1)))
    return far


async def ask(listener: HttpListener, data: bytes, count: int = 1) -> list[tuple[int, dict[str, str], bytes]]:
    """Everything that is answered to some bytes."""
    async with await dial(listener) as stream:
        await stream.send_all(data)
        return await read(stream, count)


@pytest.mark.parametrize(
    ("data", "status", "persists"),
    [
        (b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, False),
        (b"HEAD /healthz HTTP/1.1\r\nHost: x\r\n\r\n", 200, False),
        (b"GET /nowhere HTTP/1.1\r\nHost: x\r\n\r\n", 404, False),
        (request("HEAD", 1), 405, True),
        (request("PUT", 1), 405, True),
        (request("PUT", 1, b"xyz"), 405, False),
        (request("GET", 1), 401, True),
        (request("POST", 1, b"x" * 100), 401, False),
        (request("GET", 1, b"", "Connection: close"), 401, False),
        (request("GET", 1).replace(b"HTTP/1.1", b"HTTP/1.0"), 505, False),
        (request("GET", 1).replace(b"Host: x\r\n", b""), 400, False),
        (request("POST", 1, b"", "Transfer-Encoding: chunked") + b"1\r\nx\r\n0\r\n\r\n", 400, False),
        (request("POST", 1, b"x", "Transfer-Encoding: chunked"), 400, False),
        (request("POST", 1, b"x", "Content-Length: 2"), 400, False),
        (request("POST", 1, b"", "Expect: a-miracle"), 417, False),
        (request("GET", 1, b"", " folded"), 400, False),
        (request("GET", 1).replace(b"\r\n", b"\n"), 400, False),
        (b"GET /chat HTTP/1.1\r\nHost: x\r\n\r\n", 400, True),
        (OPENING.replace(str(len(ATTACH)).encode(), b"8193"), 413, False),
    ],
)
async def test_each_request_has_its_answer(data: bytes, status: int, persists: bool) -> None:
    """SPEC CAR-12, CAR-24, CAR-33: whatever leaves open where a request ends is refused, and ends the connection."""
    async with listening() as listener:
        async with await dial(listener) as stream:
            await stream.send_all(data + b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            if data.startswith(b"HEAD /healthz"):
                assert (await stream.receive_some()).endswith(b"\r\n\r\n")
                return
            answers = await read(stream, 2)
        assert answers[0][0] == status
        assert len(answers) == 1 + persists
        assert (answers[0][1].get("connection") == "close") != persists
        await settled(listener)


async def test_one_connection_carries_all_requests_also_pipelined() -> None:
    """SPEC CAR-10: in their order, with each other or one by one."""
    async with listening() as listener, await dial(listener) as stream:
        far = await open_by_hand(listener, stream)
        await far.send_batches([encode_message(b"down", more=False)])
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.receive_batches)
            await stream.send_all(
                request("POST", 1, encode_message(b"up", more=False), **{"Hawser-First": "1"})
                + request("GET", 1)
                + request("GET", 1)
            )
            posted, got, late = await read(stream, 3)
        assert (posted[0], posted[1]["hawser-counts"]) == (204, "1,0,1")
        assert (got[0], got[1]["hawser-first"], got[2]) == (200, "1", encode_message(b"down", more=False))
        assert got[1]["cache-control"] == "no-store"
        assert (late[0], late[2]) == (204, b"")
        assert (listener.door.attendance.connections, listener.door.attendance.sockets) == (1, 1)
        await trio.aclose_forcefully(far)


async def test_whoever_waits_for_it_is_told_to_continue() -> None:
    async with listening() as listener, await dial(listener) as stream:
        head, body = OPENING.split(b"\r\n\r\n", 1)
        await stream.send_all(head + b"\r\nExpect: 100-continue\r\n\r\n")
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(body)
        far = await listener.accept()
        await trio.aclose_forcefully(far)
        ((status, _, _),) = await read(stream)
        assert status == 503


@pytest.mark.parametrize("begin", [OPENING[:-5], OPENING[:20]])
async def test_a_request_that_does_not_get_on_is_given_up(begin: bytes) -> None:
    transport = LongPollTransport(
        settings=ListenerSettings(handshake_seconds=0.02, wire=WireSettings(close_seconds=0.1)),
        polls=PollSettings(body_seconds=0.02),
    )
    async with listening(transport) as listener:
        assert await ask(listener, begin) == []
        await settled(listener)


async def test_a_request_that_breaks_off_makes_nothing() -> None:
    async with listening() as listener:
        async with await dial(listener) as stream:
            await stream.send_all(OPENING[:-5])
        await settled(listener)


@pytest.mark.slow
async def test_spoiled_requests_leave_nothing_behind() -> None:
    """Each is answered or hung up on, and no connection or link is left."""
    rng = random.Random(7)
    good = [OPENING, request("GET", 1), request("POST", 1, encode_message(b"up", more=False), **{"Hawser-First": "1"})]
    async with listening() as listener, trio.open_nursery() as nursery:

        async def turn_away() -> None:
            while True:
                await trio.aclose_forcefully(await listener.accept())

        nursery.start_soon(turn_away)
        for _ in range(300):
            data = bytearray(rng.choice(good))
            for _ in range(rng.randint(0, 3)):
                at = rng.randrange(len(data))
                data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
            async with await dial(listener) as stream:
                try:
                    await stream.send_all(bytes(data))
                    await stream.send_eof()
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
        await settled(listener)
        nursery.cancel_scope.cancel()


async def test_an_idle_connection_is_closed_in_time() -> None:
    settings = ListenerSettings(idle_seconds=0.02, wire=WireSettings(close_seconds=0.1))
    async with listening(LongPollTransport(settings=settings)) as listener, await dial(listener) as stream:
        await stream.send_all(request("GET", 1))
        assert [answer[0] for answer in await read(stream, 2)] == [401]
        await settled(listener)


async def test_a_listener_that_is_closed_lets_its_links_live_and_nobody_in() -> None:
    """SPEC CLS-9: what drains is still heard."""
    async with listening() as listener, await dial(listener) as stream:
        far = await open_by_hand(listener, stream)
        await listener.aclose()
        await far.send_batches([encode_message(b"still here", more=False)])
        await stream.send_all(request("GET", 1))
        assert [answer[0] for answer in await read(stream)] == [200]
        await stream.send_all(OPENING)
        assert [answer[0] for answer in await read(stream)] == [503]
        await trio.aclose_forcefully(far)


async def test_pages_of_listed_origins_are_served_and_no_others() -> None:
    """SPEC CAR-7, CAR-29."""
    transport = LongPollTransport(settings=SETTINGS, origins=["https://good.example"])
    ask_first = b"OPTIONS /chat HTTP/1.1\r\nHost: x\r\nOrigin: %s\r\nAccess-Control-Request-Method: POST\r\n\r\n"
    async with listening(transport) as listener:
        for origin, preflight, answered in ((b"https://good.example", 204, 401), (b"https://evil.example", 403, 403)):
            ((status, headers, _),) = await ask(listener, ask_first % origin)
            assert status == preflight
            assert ("access-control-max-age" in headers) == (preflight == 204)
            ((status, headers, _),) = await ask(listener, request("GET", 1, Origin=origin.decode()))
            assert status == answered
            assert headers.get("access-control-allow-origin") == (origin.decode() if answered == 401 else None)
        assert (await ask(listener, request("GET", 1, b"", "Origin: a", "Origin: a")))[0][0] == 400
        assert (await ask(listener, b"OPTIONS /chat HTTP/1.1\r\nHost: x\r\n\r\n"))[0][0] == 403


async def test_one_url_serves_websocket_and_long_poll() -> None:
    """SPEC CAR-11."""
    transport = WebSocketTransport(settings=SETTINGS, polls=POLLS)
    async with listening(transport) as listener:
        near, far = await attached(LongPollTransport(settings=SETTINGS, polls=POLLS), listener, 1)
        async with await transport.connect(listener.url) as other:
            await other.send_batches([b"ahoy"])
            theirs = await listener.accept()
            assert await theirs.receive_batches() == [b"ahoy"]
            await trio.aclose_forcefully(theirs)
        assert (await ask(listener, b"GET /chat HTTP/1.1\r\nHost: x\r\n\r\n"))[0][0] == 426
        await near.aclose()
        assert packets(await far.receive_batches())
        await trio.aclose_forcefully(far)
    async with listening(transport, "ws") as listener:
        assert (await ask(listener, OPENING))[0][0] == 426


async def test_more_connections_than_allowed_are_sent_away() -> None:
    transport = LongPollTransport(settings=SETTINGS, polls=PollSettings(limits=PollLimits(connections=1)))
    async with listening(transport) as listener, await dial(listener) as stream:
        far = await open_by_hand(listener, stream)
        assert (await ask(listener, OPENING))[0][0] == 503
        await trio.aclose_forcefully(far)


@pytest.mark.parametrize("url", ["ws://localhost", "http://", "http://localhost/#a", "https://127.0.0.1:0/"])
async def test_an_url_of_another_shape_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match=r"looks like http://host:port/path|needs a certificate"):
        await LongPollTransport().listen(url)


async def test_connecting_where_nobody_listens_is_refused() -> None:
    async with listening() as listener:
        url = listener.url
    with trio.fail_after(30), pytest.raises(OSError, match="failed"):
        await LongPollTransport().connect(url)


def test_a_wrong_setting_is_refused_by_name() -> None:
    wrong: dict[str, Any] = {"post_seconds": 0}
    with pytest.raises(ValueError, match="post_seconds"):
        PollSettings(**wrong)
