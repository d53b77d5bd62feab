"""WebSocket links over real sockets, plain and with TLS: the contract, and what goes beyond it."""

from __future__ import annotations

import math
import os
from contextlib import asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser_engine.codec import decode_batch
from hawser_engine.packets import Close
from hawser_transports import (
    BATCH_BYTES_MAX,
    HttpListener,
    Link,
    Listener,
    ListenerSettings,
    LongPollTransport,
    WebSocketTransport,
    WireSettings,
    find_transport,
)
from hawser_transports.cancelling import cancel_at_checkpoint
from hawser_transports.check import check_transport
from tests.engine.bindings.peers import frame, request
from tests.transports.sockets import dial, settled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.transports.conftest import Contexts

QUICK = ListenerSettings(
    accepts_per_second=math.inf, connections_per_address=math.inf, wire=WireSettings(close_seconds=0.5)
)
"""Quick where the peer does not answer; real time passes here, so it is long enough for a machine under load."""

Transports = tuple[WebSocketTransport, WebSocketTransport]


@pytest.fixture(params=["ws", "wss"])
def scheme(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def transports(contexts: Contexts) -> Transports:
    """The server's transport and the client's."""
    server, client = contexts
    return (
        WebSocketTransport(ssl_context=server, settings=QUICK),
        WebSocketTransport(ssl_context=client, settings=QUICK),
    )


@asynccontextmanager
async def listening(transports: Transports, scheme: str) -> AsyncGenerator[Listener, None]:
    with trio.fail_after(120):
        async with await transports[0].listen(f"{scheme}://127.0.0.1:0") as listener:
            yield listener


@pytest.mark.slow
async def test_links_keep_the_contract(transports: Transports, scheme: str) -> None:
    async with listening(transports, scheme) as listener:

        async def make_pair() -> tuple[Link, Link]:
            near = await transports[1].connect(listener.url)
            return near, await listener.accept()

        await check_transport(make_pair, wait_seconds=30, quiet_seconds=0.1)


@pytest.mark.parametrize("name", ["ws", "wss", "http", "https"])
def test_the_schemes_are_registered(name: str) -> None:
    assert isinstance(find_transport(f"{name}://a"), WebSocketTransport)


@pytest.mark.parametrize("name", ["ws", "wss", "http", "https"])
def test_polls_are_what_is_left_where_a_url_allows_both(name: str) -> None:
    """Whoever writes ``ws`` means WebSocket, and nothing else."""
    url = f"{name}://a"
    sure = find_transport(url).fallback(url)
    assert isinstance(sure, LongPollTransport if name.startswith("http") else type(None))
    assert sure is None or sure.fallback(url) is None


@pytest.mark.parametrize(("asked", "also"), [("http", "ws"), ("https", "wss")])
async def test_a_service_named_by_http_is_reached_by_either_name(transports: Transports, asked: str, also: str) -> None:
    async with listening(transports, asked) as listener:
        assert listener.url.startswith(f"{asked}://127.0.0.1:")
        for url in (listener.url, listener.url.replace(asked, also, 1)):
            near = await transports[1].connect(url)
            far = await listener.accept()
            await near.send_batches([b"hello"])
            assert await far.receive_batches() == [b"hello"]
            for link in (near, far):
                await trio.aclose_forcefully(link)


async def connected(transports: Transports, listener: Listener) -> tuple[Link, Link]:
    near = await transports[1].connect(listener.url)
    return near, await listener.accept()


async def test_links_are_described_without_what_stands_in_a_query(transports: Transports, scheme: str) -> None:
    """SPEC SEC-5."""
    async with listening(transports, scheme) as listener:
        near = await transports[1].connect(f"{listener.url}?token=secret")
        far = await listener.accept()
        assert near.description == f"{listener.url} (client)"
        assert far.description.startswith(f"{listener.url} from 127.0.0.1:")
        await trio.aclose_forcefully(near)
        await trio.aclose_forcefully(far)


async def test_a_close_code_reaches_the_peer_as_the_packet_it_stands_for(transports: Transports, scheme: str) -> None:
    """SPEC CAR-5, CLS-2."""
    async with listening(transports, scheme) as listener:
        near, far = await connected(transports, listener)
        far.say_why(200)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(far.aclose)
            (batch,) = await near.receive_batches()
            assert decode_batch(batch) == [Close(200, "WebSocket close", True, False, 0, 0, None, None)]
            with pytest.raises(trio.EndOfChannel):
                await near.receive_batches()
            await near.aclose()


async def test_a_code_that_is_no_close_code_of_a_websocket_is_not_said(transports: Transports) -> None:
    """A peer's CLOSE may name any number, and the answer repeats it where it can (SPEC CLS-2, CAR-5)."""
    async with listening(transports, "ws") as listener, await dial(http(listener)) as stream:
        await stream.send_all(request())
        far = await listener.accept()
        far.say_why(1_000)
        await trio.aclose_forcefully(far)
        seen = b""
        async for piece in stream:
            seen += piece
        assert seen.endswith(b"\x88\x02\x03\xe8")


async def test_a_graceful_close_is_over_as_soon_as_the_peer_has_answered(transports: Transports) -> None:
    """Long before its deadline, which here is later than the test's."""
    patient = WebSocketTransport(settings=ListenerSettings(wire=WireSettings(close_seconds=1_000)))
    async with listening(transports, "ws") as listener:
        near, far = await connected((transports[0], patient), listener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(near.aclose)
            with pytest.raises(trio.EndOfChannel):
                await far.receive_batches()
        await far.aclose()


async def test_what_was_sent_before_a_close_arrives_though_the_peer_was_sending_too(transports: Transports) -> None:
    """A close with unread bytes is a TCP reset, and a reset takes from the peer what it has not read."""
    async with listening(transports, "ws") as listener:
        for _ in range(3):
            near, far = await connected(transports, listener)
            await far.send_batches([b"unread" * 1_000] * 10)
            batches = [bytes((number,)) * 3_000 for number in range(20)]
            await near.send_batches(batches)
            await near.aclose()
            got: list[bytes] = []
            while len(got) < len(batches):
                got += await far.receive_batches()
            assert got == batches
            with pytest.raises(trio.EndOfChannel):
                await far.receive_batches()
            await far.aclose()


@pytest.mark.parametrize("how", ["text", "unmasked", "too long", "fragments", "end without a closing frame"])
async def test_a_peer_that_breaks_a_rule_ends_its_link_and_nobody_elses(transports: Transports, how: str) -> None:
    """SPEC CAR-3, CAR-4."""
    wrong = {
        "text": (frame(0x81, b"hi"), 1_003),
        "unmasked": (frame(0x82, b"hi", client=True), 1_002),
        "too long": (frame(0x82, size=BATCH_BYTES_MAX + 1)[:14], 4_109),
        "fragments": (frame(0x02) + frame(0x00) * 64, 4_109),
        "end without a closing frame": (b"", None),
    }
    data, code = wrong[how]
    async with listening(transports, "ws") as listener:
        good = await connected(transports, listener)
        async with await dial(http(listener)) as stream:
            await stream.send_all(request() + frame(0x82, b"before"))
            far = await listener.accept()
            assert await far.receive_batches() == [b"before"]
            await stream.send_all(data)
            await stream.send_eof()
            for _ in range(2):
                with pytest.raises(trio.BrokenResourceError):
                    await far.receive_batches()
            with pytest.raises(trio.BrokenResourceError):
                await far.send_batches([b"x"])
            await far.aclose()
            answer = b""
            async for piece in stream:
                answer += piece
        closing = answer.partition(b"\r\n\r\n")[2]
        assert closing[2:4] == (b"\x03\xe8" if code is None else code.to_bytes(2, "big"))
        await good[0].send_batches([b"still here"])
        assert await good[1].receive_batches() == [b"still here"]
        for link in good:
            await trio.aclose_forcefully(link)


def http(listener: Listener) -> HttpListener:
    assert isinstance(listener, HttpListener)
    return listener


async def test_a_flood_of_control_frames_starts_no_task(transports: Transports) -> None:
    """SPEC CAR-32: pings are answered, the newest of those that came together; too many end the link."""
    async with listening(transports, "ws") as listener, await dial(http(listener)) as stream:
        await stream.send_all(request())
        async with await listener.accept() as far:
            answer = bytes(await stream.receive_some())
            tasks = trio.lowlevel.current_statistics().tasks_living
            await stream.send_all(frame(0x8A) * 400 + frame(0x89, b"a") * 100 + frame(0x89, b"z"))
            async with trio.open_nursery() as nursery:

                async def receive() -> None:
                    with pytest.raises(trio.BrokenResourceError):
                        await far.receive_batches()

                nursery.start_soon(receive)
                while not answer.endswith(b"\x8a\x01z"):
                    answer += await stream.receive_some()
                assert trio.lowlevel.current_statistics().tasks_living == tasks + 1
                await stream.send_all(frame(0x8A) * 1_000)
            async for piece in stream:
                answer += piece
                if piece[-2:]:
                    break
            assert (4_103).to_bytes(2, "big") in answer


async def test_a_peer_that_does_not_read_loses_its_link_and_nobody_else_does(contexts: Contexts, scheme: str) -> None:
    """SPEC LIM-6."""
    server, client = contexts
    hasty = ListenerSettings(wire=WireSettings(write_seconds=0.5, close_seconds=0.5))
    transports = (
        WebSocketTransport(ssl_context=server, settings=hasty),
        WebSocketTransport(ssl_context=client, settings=QUICK),
    )
    async with listening(transports, scheme) as listener:
        near, far = await connected(transports, listener)
        stuck, stalled = await connected(transports, listener)
        with pytest.raises(trio.BrokenResourceError):
            await stalled.send_batches([bytes(BATCH_BYTES_MAX)] * 1_000)
        assert stalled.description
        for _ in range(100):
            await far.send_batches([bytes(10_000)])
            assert await near.receive_batches() == [bytes(10_000)]
        for link in (near, far, stuck, stalled):
            await trio.aclose_forcefully(link)


async def test_cancelling_a_connect_at_any_checkpoint_leaves_nothing_open(transports: Transports, scheme: str) -> None:
    async with listening(transports, scheme) as listener:
        links: list[Link] = []

        async def connect() -> None:
            links.append(await transports[1].connect(listener.url))

        number = 0
        while await cancel_at_checkpoint(connect, number):
            number += 1
        assert number > 3
        assert len(links) == 1
        await trio.aclose_forcefully(links[0])
        await wait_all_tasks_blocked(0.02)
        while http(listener).door.attendance.sockets:
            with trio.move_on_after(0.01):
                await trio.aclose_forcefully(await listener.accept())
        await settled(http(listener))


async def test_connecting_fails_with_a_reason(transports: Transports, contexts: Contexts) -> None:
    async with listening(transports, "ws") as listener:
        with pytest.raises(ConnectionRefusedError, match=r"no WebSocket at .*: the server answered 404: Not Found"):
            await transports[1].connect(f"{listener.url}elsewhere")
        url = listener.url
    with pytest.raises(OSError, match="connect"):
        await transports[1].connect(url)
    with pytest.raises(ValueError, match="no URL of a service"):
        await transports[1].connect("ftp://127.0.0.1")
    with pytest.raises(ValueError, match="needs a certificate"):
        await WebSocketTransport().listen("wss://127.0.0.1:0")
    async with listening(transports, "wss") as listener:
        with pytest.raises(ConnectionError, match=r"no TLS with .*certificate verify failed"):
            await WebSocketTransport(settings=QUICK).connect(listener.url)
        await settled(http(listener))


@pytest.mark.parametrize("answer", [b"", b"HTTP/1.1 200 OK\r\n\r\n", b"SSH-2.0-x\r\n", None])
async def test_a_server_of_something_else_is_told_apart(answer: bytes | None) -> None:
    patience = 0.05 if answer is None else 30
    transport = WebSocketTransport(settings=ListenerSettings(handshake_seconds=patience))

    async def serve(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        if answer is None:
            await trio.sleep_forever()
        elif answer:
            await stream.send_all(answer)

    async with trio.open_nursery() as nursery:
        (place,) = await nursery.start(partial(trio.serve_tcp, host="127.0.0.1"), serve, 0)
        port = place.socket.getsockname()[1]
        with pytest.raises(TimeoutError if answer is None else ConnectionRefusedError, match="no WebSocket at"):
            await transport.connect(f"ws://127.0.0.1:{port}")
        nursery.cancel_scope.cancel()


@pytest.mark.slow
async def test_descriptors_come_back(transports: Transports, scheme: str) -> None:
    async with listening(transports, scheme) as listener:

        async def visit() -> None:
            near, far = await connected(transports, listener)
            await near.send_batches([b"ahoy"])
            await far.receive_batches()
            await trio.aclose_forcefully(near)
            await trio.aclose_forcefully(far)

        await visit()
        await settled(http(listener))
        await wait_all_tasks_blocked(0.01)
        before = len(os.listdir("/proc/self/fd"))
        for _ in range(100):
            await visit()
        await settled(http(listener))
        await wait_all_tasks_blocked(0.01)
        assert len(os.listdir("/proc/self/fd")) == before
