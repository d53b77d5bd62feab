"""The HTTP listener on real sockets: its answers, its limits, and that one connection harms nobody else."""

from __future__ import annotations

import errno
import math
import random
import resource
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import MockClock, assert_checkpoints, wait_all_tasks_blocked

from hawser_transports import (
    HttpListener,
    Link,
    ListenerSettings,
    UnknownSchemeError,
    WebSocketTransport,
    Wire,
    WireSettings,
    find_transport,
)
from hawser_transports.door import Attendance
from hawser_transports.listener import listen_http
from hawser_transports.urls import parse_url
from hawser_transports.web import SCHEMES, upgrade_handler
from tests.engine.bindings.peers import GOOD, mutated
from tests.transports.sockets import dial, settled

if TYPE_CHECKING:
    import ssl
    from collections.abc import AsyncGenerator

    from hawser_engine.bindings.head import Head
    from hawser_transports.visits import Visit
    from tests.transports.conftest import Contexts

QUICK = WireSettings(close_seconds=0.5)
SETTINGS = ListenerSettings(accepts_per_second=math.inf, connections_per_address=math.inf, wire=QUICK)


async def fail(head: Head, wire: Wire, visit: Visit) -> None:
    raise RuntimeError("planted")


@asynccontextmanager
async def listening(
    settings: ListenerSettings = SETTINGS, context: ssl.SSLContext | None = None
) -> AsyncGenerator[HttpListener, None]:
    place = parse_url(f"ws{'s' if context else ''}://127.0.0.1:0/chat", SCHEMES)
    handlers = {b"/chat": upgrade_handler(), b"/fail": fail}
    with trio.fail_after(60):
        async with await listen_http(place, handlers, settings=settings, ssl_context=context) as listener:
            yield listener


async def ask(listener: HttpListener, request: bytes) -> bytes:
    """Everything that is answered to some bytes, until the end of the connection."""
    async with await dial(listener) as stream:
        try:
            await stream.send_all(request)
            answer = b""
            async for piece in stream:
                answer += piece
        except trio.BrokenResourceError:
            return b"reset"
        return answer


async def assert_a_good_client_is_served(listener: HttpListener) -> None:
    async with await WebSocketTransport(settings=SETTINGS).connect(listener.url) as near:
        far = await listener.accept()
        await near.send_batches([b"ahoy"])
        assert await far.receive_batches() == [b"ahoy"]
        await trio.aclose_forcefully(far)


@pytest.mark.parametrize(
    ("request_line", "headers", "status"),
    [
        ("GET /healthz HTTP/1.1", "Host: x", b"200 OK"),
        ("GET /healthz?full HTTP/1.1", "Host: x", b"200 OK"),
        ("POST /healthz HTTP/1.1", "Host: x", b"405 Method Not Allowed"),
        ("GET /healthz HTTP/1.1", "Host: x\r\nHost: y", b"400 Bad Request"),
        ("GET http://x/healthz HTTP/1.1", "Host: x", b"400 Bad Request"),
        ("GET /healthz HTTP/1.1", "Host: x\r\n folded", b"400 Bad Request"),
        ("GET /healthz HTTP/1.1", "Host: x\0", b"400 Bad Request"),
        ("GET /healthz HTTP/1.1", "X: y\nHost: x", b"400 Bad Request"),
        ("GET / HTTP/1.1", "Host: x", b"404 Not Found"),
        ("GET /chat/ HTTP/1.1", "Upgrade: websocket", b"404 Not Found"),
        ("GET /chat HTTP/1.1", "Host: x", b"426 Upgrade Required"),
        ("GET /chat HTTP/1.1", "Upgrade: websocket", b"400 Bad Request"),
        ("GET /healthz HTTP/1.0", "Host: x", b"505 HTTP Version Not Supported"),
        ("GET /healthz HTTP/1.1", "Host: \xff", b"400 Bad Request"),
        ("GET /" + "x" * 9_000 + " HTTP/1.1", "Host: x", b"414 URI Too Long"),
        ("GET /healthz HTTP/1.1", "X: y\r\n" * 70 + "Host: x", b"431 Request Header Fields Too Large"),
    ],
)
async def test_requests_get_the_answer_that_fits(request_line: str, headers: str, status: bytes) -> None:
    """SPEC CAR-8."""
    async with listening() as listener:
        answer = await ask(listener, f"{request_line}\r\n{headers}\r\n\r\n".encode("latin-1"))
        assert answer.startswith(b"HTTP/1.1 " + status + b"\r\n")
        assert b"Connection: close\r\n" in answer
        if status.startswith(b"200"):
            assert answer.endswith(b"\r\n\r\nok\n")
        await settled(listener)


@pytest.mark.parametrize(
    "smuggling",
    [
        "Content-Length: 43\r\n",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n",
        "Connection: keep-alive\r\n",
    ],
)
@pytest.mark.parametrize("path", ["/healthz", "/chat", "/elsewhere"])
async def test_whatever_stands_behind_a_request_is_no_second_one(path: str, smuggling: str) -> None:
    """One answer to one connection, so no two readers can disagree where the second request begins."""
    behind = b"GET /healthz HTTP/1.1\r\nHost: x\r\nX: y\r\n\r\n" * 3
    async with listening() as listener:
        answer = await ask(listener, f"GET {path} HTTP/1.1\r\nHost: x\r\n{smuggling}\r\n".encode() + behind)
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"Connection: close\r\n" in answer
        await settled(listener)


@pytest.mark.parametrize(
    ("path", "status"), [("/healthz", b"200"), ("/elsewhere", b"404"), ("/chat", b"426")], ids=lambda each: str(each)
)
async def test_an_answer_to_head_has_no_body(path: str, status: bytes) -> None:
    """A body there would be the beginning of the next answer to whoever keeps the connection."""
    async with listening() as listener:
        answer = await ask(listener, f"HEAD {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert answer.startswith(b"HTTP/1.1 " + status)
        head, _, body = answer.partition(b"\r\n\r\n")
        assert body == b""
        assert b"Content-Length: 0" not in head


async def echo(listener: HttpListener) -> None:
    """Accept links, and answer each of them with what it says until it ends."""

    async def serve(link: Link) -> None:
        try:
            while True:
                await link.send_batches(await link.receive_batches())
        except (trio.EndOfChannel, trio.BrokenResourceError):
            await trio.aclose_forcefully(link)

    async with trio.open_nursery() as nursery:
        while True:
            nursery.start_soon(serve, await listener.accept())


@pytest.mark.slow
async def test_a_good_client_is_served_after_every_spoiled_request() -> None:
    """Here over sockets; the many are in the engine's tests of the handshake."""
    rng = random.Random(7)
    async with listening() as listener, trio.open_nursery() as nursery:
        nursery.start_soon(echo, listener)
        for _ in range(200):
            async with await dial(listener) as stream:
                spoiled = mutated(rng).replace(b"GET / ", b"GET /chat ")
                await stream.send_all(spoiled if rng.random() < 0.9 else rng.randbytes(300))
                await stream.send_eof()
                try:
                    while await stream.receive_some():
                        pass
                except trio.BrokenResourceError:
                    pass
            async with await WebSocketTransport(settings=SETTINGS).connect(listener.url) as near:
                await near.send_batches([b"ahoy"])
                assert await near.receive_batches() == [b"ahoy"]
        await settled(listener)
        nursery.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("sent", [b"", b"\x16\x03\x01", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_tls_handshake_that_stalls_is_over_at_the_deadline(contexts: Contexts, sent: bytes) -> None:
    """Nothing, the beginning of a record, the beginning of a hello: and nobody else waits for it."""
    settings = ListenerSettings(handshake_seconds=1.5, wire=QUICK)
    async with listening(settings, contexts[0]) as listener, await dial(listener) as stalled:
        if sent:
            await stalled.send_all(sent)
        await settled(listener, 1)
        patient = WebSocketTransport(ssl_context=contexts[1], settings=SETTINGS)
        near = await patient.connect(listener.url.replace("127.0.0.1", "localhost"))
        await trio.aclose_forcefully(near)
        await trio.aclose_forcefully(await listener.accept())
        with suppress(trio.BrokenResourceError):
            while await stalled.receive_some():
                pass
        await settled(listener)


@pytest.mark.parametrize("begin", [b"", b"GET /chat", GOOD[:-30]])
async def test_a_peer_that_says_it_is_done_before_its_head_is_whole_is_gone(begin: bytes) -> None:
    """Half-closed: no answer can be meant, and nothing waits for the deadline."""
    settings = ListenerSettings(handshake_seconds=1_000, wire=QUICK)
    async with listening(settings) as listener, await dial(listener) as stream:
        if begin:
            await stream.send_all(begin)
        await stream.send_eof()
        assert await stream.receive_some() == b""
        await settled(listener)


@pytest.mark.parametrize("begin", [b"", b"GET /chat HTTP/1.1\r\n"])
async def test_a_connection_that_does_not_get_on_is_closed_at_the_deadline(begin: bytes) -> None:
    settings = ListenerSettings(handshake_seconds=0.02, wire=QUICK)
    async with listening(settings) as listener:
        assert await ask(listener, begin) in (b"", b"reset")
        await settled(listener)


async def test_a_head_in_small_pieces_has_one_deadline_for_all_of_them() -> None:
    settings = ListenerSettings(handshake_seconds=0.05, wire=QUICK)
    async with listening(settings) as listener, await dial(listener) as stream:
        async with trio.open_nursery() as nursery:

            async def drip() -> None:
                try:
                    for byte in GOOD:
                        await stream.send_all(bytes((byte,)))
                        await trio.sleep(0.005)
                except trio.BrokenResourceError:
                    pass

            nursery.start_soon(drip)
            with suppress(trio.BrokenResourceError):
                assert await stream.receive_some() == b""
        await settled(listener)


async def test_connections_are_accepted_at_a_bounded_rate(autojump_clock: MockClock) -> None:
    """Sockets, that is: ten times what is let in. The kernel keeps the others for a moment."""
    listener = HttpListener([], "ws://x", {}, Attendance(ListenerSettings(accepts_per_second=5)), None)
    began = trio.current_time()
    for _ in range(50):
        await listener.wait_for_allowance()
    assert trio.current_time() == began
    for _ in range(100):
        await listener.wait_for_allowance()
    assert trio.current_time() - began == pytest.approx(2, abs=0.05)
    await trio.sleep(60)
    resting = trio.current_time()
    for _ in range(50):
        await listener.wait_for_allowance()
    assert trio.current_time() == resting


class Gone(socket.socket):
    """A connection whose peer had left before it was accepted, as a BSD tells it."""

    def setsockopt(self, *arguments: Any) -> None:
        raise OSError(errno.EINVAL, "planted")


class Troubled(socket.socket):
    """A listening socket at which things go wrong first."""

    troubles: list[OSError | None]

    def accept(self) -> tuple[socket.socket, Any]:
        connected, address = super().accept()
        if self.troubles:
            trouble = self.troubles.pop()
            if trouble is None:
                return Gone(fileno=connected.detach()), address
            connected.close()
            raise trouble
        return connected, address


@asynccontextmanager
async def listening_on(each: socket.socket, settings: ListenerSettings) -> AsyncGenerator[HttpListener, None]:
    each.setblocking(False)
    each.bind(("127.0.0.1", 0))
    each.listen()
    url = f"ws://127.0.0.1:{each.getsockname()[1]}/chat"
    async with HttpListener([each], url, {b"/chat": upgrade_handler()}, Attendance(settings), None) as listener:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(listener.run)
            yield listener
            await listener.aclose()


TROUBLES = [errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.ENETDOWN, errno.EHOSTUNREACH, errno.EOPNOTSUPP]


@pytest.mark.parametrize("number", [*TROUBLES, None])
async def test_what_goes_wrong_with_one_connection_at_accept_ends_no_listener(
    number: int | None, caplog: pytest.LogCaptureFixture
) -> None:
    """Firewalls and resets are told by accept, or by the first call on what it returned."""
    with trio.fail_after(60), Troubled() as each:
        each.troubles = [None if number is None else OSError(number, "planted") for _ in range(3)]
        async with listening_on(each, SETTINGS) as listener:
            for _ in range(3):
                assert await ask(listener, b"") in (b"", b"reset")
            await assert_a_good_client_is_served(listener)
            await settled(listener)
    assert caplog.records == []


async def test_a_wake_up_costs_no_allowance(mock_clock: MockClock) -> None:
    """Time stands still: an allowance is for a socket, also where each of them is waited for."""
    with socket.socket() as each:
        async with listening_on(each, ListenerSettings(accepts_per_second=1.1)) as listener:
            kept = [socket.socket() for _ in range(10)]
            for number, client in enumerate(kept, 1):
                client.connect(each.getsockname())
                for _ in range(100):
                    await wait_all_tasks_blocked(0.01)
                    if listener.door.attendance.sockets == number:
                        break
                assert listener.door.attendance.sockets == number
            for client in kept:
                client.close()


async def test_a_program_without_descriptors_accepts_again_when_it_has_some(caplog: pytest.LogCaptureFixture) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with listening() as listener:
        kept = [socket.socket() for _ in range(3)]
        async with await dial(listener) as stream:
            await settled(listener, 1)
            resource.setrlimit(resource.RLIMIT_NOFILE, (max(each.fileno() for each in kept) + 1, hard))
            try:
                kept.pop().close()
                await trio.to_thread.run_sync(lambda: None)  # what Trio needs for threads, it opens now
                blocked = await dial(listener)
                with trio.fail_after(30):
                    while not caplog.records:
                        await trio.sleep(0.01)
            finally:
                resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
            await settled(listener, 2)
            await blocked.aclose()
            await stream.aclose()
        for each in kept:
            each.close()
        await settled(listener)
    assert "no connection can be accepted" in caplog.text


async def test_a_handler_that_fails_ends_its_connection_and_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async with listening() as listener:
        assert await ask(listener, b"GET /fail HTTP/1.1\r\n\r\n") in (b"", b"reset")
        await assert_a_good_client_is_served(listener)
        await settled(listener)
    assert "planted" in caplog.text
    assert "a connection failed: ws://127.0.0.1" in caplog.text


async def test_a_client_without_tls_is_no_matter_to_a_listener_with_it(contexts: Contexts) -> None:
    async with listening(context=contexts[0]) as listener:
        answer = await ask(listener, GOOD)
        assert not answer.startswith(b"HTTP")
        await settled(listener)
        transport = WebSocketTransport(ssl_context=contexts[1], settings=SETTINGS)
        near = await transport.connect(listener.url.replace("127.0.0.1", "localhost"))
        async with await listener.accept() as far:
            await near.send_batches([b"ahoy"])
            assert await far.receive_batches() == [b"ahoy"]
            await trio.aclose_forcefully(near)
        await settled(listener)


async def test_closing_a_listener_ends_accept_and_leaves_accepted_links_alone() -> None:
    async with listening() as listener:
        near = await WebSocketTransport(settings=SETTINGS).connect(listener.url)
        far = await listener.accept()
        async with trio.open_nursery() as nursery:

            async def accept() -> None:
                with pytest.raises(trio.ClosedResourceError):
                    await listener.accept()

            nursery.start_soon(accept)
            await wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await listener.accept()
            await listener.aclose()
        await listener.aclose()
        with pytest.raises(trio.ClosedResourceError):
            await listener.accept()
        with pytest.raises(OSError, match="connect"):
            await dial(listener)
        await near.send_batches([b"still here"])
        assert await far.receive_batches() == [b"still here"]
        await trio.aclose_forcefully(near)
        await trio.aclose_forcefully(far)
        await settled(listener)


async def test_closing_a_listener_closes_links_that_nobody_accepted_and_who_shakes_hands() -> None:
    async with listening() as listener:
        waiting = await WebSocketTransport(settings=SETTINGS).connect(listener.url)
        shaking = await dial(listener)
        await settled(listener, 2)
        await wait_all_tasks_blocked(0.01)
        await listener.aclose()
        with pytest.raises(trio.EndOfChannel):
            await waiting.receive_batches()
        assert await shaking.receive_some() == b""
        await trio.aclose_forcefully(waiting)
        await shaking.aclose()
        await settled(listener)


async def test_every_call_is_a_checkpoint() -> None:
    async with listening() as listener:
        async with await WebSocketTransport().connect(listener.url) as near:
            await settled(listener, 1)
            await wait_all_tasks_blocked(0.01)
            with assert_checkpoints():
                far: Link = await listener.accept()
            await trio.aclose_forcefully(far)
            await trio.aclose_forcefully(near)
        with assert_checkpoints():
            await listener.aclose()


async def test_a_name_listens_at_all_of_its_addresses_on_one_port() -> None:
    place = parse_url("ws://localhost:0", SCHEMES)
    async with await listen_http(place, {}, settings=SETTINGS) as listener:
        port = parse_url(listener.url, SCHEMES).port
        assert port
        for family, _, _, _, address in socket.getaddrinfo("localhost", port, type=socket.SOCK_STREAM):
            with socket.socket(family) as each:
                each.connect(address)
        with pytest.raises(OSError, match="ddress"):
            await listen_http(parse_url(f"ws://localhost:{port}", SCHEMES), {}, settings=SETTINGS)


@pytest.mark.parametrize(
    ("url", "text", "authority", "target"),
    [
        ("ws://a", "ws://a/", "a", "/"),
        ("ws://a:80/x", "ws://a/x", "a", "/x"),
        ("wss://a:443/x?q=1", "wss://a/x", "a", "/x?q=1"),
        ("ws://a:443/", "ws://a:443/", "a:443", "/"),
        ("ws://[::1]:8000/", "ws://[::1]:8000/", "[::1]:8000", "/"),
        ("ws://A/x y%20z?ä", "ws://a/x%20y%20z", "a", "/x%20y%20z?%C3%A4"),
        ("ws://bücher/", "ws://xn--bcher-kva/", "xn--bcher-kva", "/"),
    ],
)
def test_urls_are_taken_apart(url: str, text: str, authority: str, target: str) -> None:
    """SPEC CAR-9: a query is kept for the service and out of logs."""
    place = parse_url(url, SCHEMES)
    assert (str(place), place.authority, place.target) == (text, authority, target)


@pytest.mark.parametrize(
    "url",
    ["ftp://a", "ws:", "ws://a..b", f"ws://{'a' * 64}", "ws:///x", "ws://a/#x", "ws://a:x/", "ws://a:70000", "a", ""],
)
def test_what_is_no_url_of_a_service_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="one looks like ws://host:port/path"):
        parse_url(url, SCHEMES)


def test_credentials_in_a_url_are_refused() -> None:
    """SPEC SEC-5, CAR-9; the text does not repeat them."""
    with pytest.raises(ValueError, match="credentials do not stand in a URL") as caught:
        parse_url("ws://anna:secret@a/", SCHEMES)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/?token=s3cret",
        "ftp://anna:s3cret@a/",
        "ws://anna:s3cret@a:x/",
        "ws://anna:s3cret@/",
        "ws://a/?token=s3cret#x",
        "ws://a:x/#s3cret",
        "anna:s3cret@a",
        "ws://a..b/?token=s3cret",
    ],
)
def test_what_is_wrong_with_a_url_is_told_without_its_secrets(url: str) -> None:
    """SPEC SEC-5, CAR-9: errors end up in logs."""
    with pytest.raises(ValueError, match=r"one looks like|credentials do not stand") as caught:
        parse_url(url, SCHEMES)
    assert "s3cret" not in str(caught.value)


async def test_neither_does_what_cannot_be_connected_or_listened_to() -> None:
    """SPEC SEC-5."""
    for url in ("wss://127.0.0.1:0/?token=s3cret", "ftp://a?s3cret"):
        with pytest.raises(ValueError, match=r"needs a certificate|no URL of a service") as caught:
            await WebSocketTransport().listen(url)
        assert "s3cret" not in str(caught.value)
    with pytest.raises(ValueError, match="no request can be made") as caught:
        await WebSocketTransport().connect("ws://a/" + "x" * 9_000 + "?token=s3cret")
    assert "s3cret" not in str(caught.value)
    with pytest.raises(UnknownSchemeError) as unknown:
        find_transport("//anna:s3cret@a/?token=s3cret")
    assert "s3cret" not in str(unknown.value)


@pytest.mark.parametrize(
    "origin",
    ["null", "*", "https://*.example", "https://a/", "https://A", "a.example", "https://u@a", "https://a?b", "", "//a"],
)
def test_an_origin_that_no_browser_names_is_refused_by_name(origin: str) -> None:
    """SPEC CAR-7: it would match nothing, or more than was meant."""
    for make in (lambda: WebSocketTransport(origins=[origin]), lambda: upgrade_handler(origins=[origin])):
        with pytest.raises(ValueError, match=r"is no origin.*like https://example\.org"):
            make()
    WebSocketTransport(origins=["https://a.example", "http://localhost:3000", "http://[::1]:8000"])


def test_origins_are_a_list_and_no_string() -> None:
    for make in (WebSocketTransport, upgrade_handler):
        with pytest.raises(TypeError, match=r"write \['https://a\.example'\]"):
            make(origins="https://a.example")


@pytest.mark.parametrize("field", ["handshake_seconds", "connections", "connections_per_address", "accepts_per_second"])
def test_a_wrong_setting_is_refused_by_name(field: str) -> None:
    wrong: dict[str, Any] = {field: 0}
    with pytest.raises(ValueError, match=field):
        ListenerSettings(**wrong)
