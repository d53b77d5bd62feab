"""Every odd request has its answer: docs/reference/http.md says which, and here is each of them on a real socket.

The expected answers are read from the page's table, so neither can change without the other.
"""

from __future__ import annotations

import math
import re
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
import trio

from hawser_transports import (
    HttpListener,
    HttpRequest,
    HttpResponse,
    ListenerSettings,
    MountSettings,
    PollSettings,
    WebSocketTransport,
    WireSettings,
)
from tests.engine.bindings.peers import request
from tests.transports.sockets import dial, settled

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PAGE: Final = Path(__file__).parents[2] / "docs/reference/http.md"
SECOND: Final = b"GET /healthz HTTP/1.1\r\nHost: second\r\n\r\n"
TARGETS: Final = ("/chat", "/api", "/healthz")


def a(line: str = "GET {} HTTP/1.1", *lines: str, host: str = "Host: x", behind: str = "") -> str:
    return "\r\n".join([line, *([host] if host else []), *lines, "", ""]) + behind


CHUNKS: Final = "3\r\nabc\r\n0\r\n\r\n"
REQUESTS: Final[dict[str, str]] = {
    "GET": a(),
    "HEAD": a("HEAD {} HTTP/1.1"),
    "POST with a body": a("POST {} HTTP/1.1", "Content-Length: 3", behind="abc"),
    "GET with a body": a("GET {} HTTP/1.1", "Content-Length: 3", behind="abc"),
    "a method that nobody knows": a("BREW {} HTTP/1.1"),
    "`Connection: close`": a("GET {} HTTP/1.1", "Connection: close"),
    "HTTP/1.0": a("GET {} HTTP/1.0"),
    "HTTP/1.0 with `Connection: keep-alive`": a("GET {} HTTP/1.0", "Connection: keep-alive"),
    "HTTP/0.9": "GET {}\r\n\r\n",
    "HTTP/2 with prior knowledge": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS where none is spoken": "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n",
    "absolute-form": a("GET http://x{} HTTP/1.1"),
    "authority-form: CONNECT": a("CONNECT x:80 HTTP/1.1"),
    "asterisk-form: OPTIONS *": a("OPTIONS * HTTP/1.1"),
    "a target with a byte above 0x7F": a("GET {}\xe4 HTTP/1.1"),
    "no Host": a(host=""),
    "two Hosts": a("GET {} HTTP/1.1", "Host: y"),
    "Content-Length and Transfer-Encoding": a(
        "POST {} HTTP/1.1", "Content-Length: 3", "Transfer-Encoding: chunked", behind=CHUNKS
    ),
    "Transfer-Encoding and Content-Length": a(
        "POST {} HTTP/1.1", "Transfer-Encoding: chunked", "Content-Length: 3", behind=CHUNKS
    ),
    "a chunked body": a("POST {} HTTP/1.1", "Transfer-Encoding: chunked", behind=CHUNKS),
    "a chunked body, spelled oddly": a("POST {} HTTP/1.1", "Transfer-Encoding:\t ChunKed ", behind=CHUNKS),
    "a coding that nobody knows": a("POST {} HTTP/1.1", "Transfer-Encoding: xchunked", behind=CHUNKS),
    "two Transfer-Encodings": a(
        "POST {} HTTP/1.1", "Transfer-Encoding: chunked", "Transfer-Encoding: identity", behind=CHUNKS
    ),
    "two Content-Lengths, the same": a("POST {} HTTP/1.1", "Content-Length: 3", "Content-Length: 3", behind="abc"),
    "two Content-Lengths, different": a("POST {} HTTP/1.1", "Content-Length: 3", "Content-Length: 0", behind="abc"),
    "`Content-Length: 3, 3`": a("POST {} HTTP/1.1", "Content-Length: 3, 3", behind="abc"),
    "`Content-Length: +3`": a("POST {} HTTP/1.1", "Content-Length: +3", behind="abc"),
    "`Content-Length: 0x3`": a("POST {} HTTP/1.1", "Content-Length: 0x3", behind="abc"),
    "`Content-Length: -1`": a("POST {} HTTP/1.1", "Content-Length: -1"),
    "an empty Content-Length": a("POST {} HTTP/1.1", "Content-Length:"),
    "a Content-Length of 16 digits": a("POST {} HTTP/1.1", "Content-Length: 1000000000000000"),
    "a body longer than the limit": a("POST {} HTTP/1.1", "Content-Length: 999999999"),
    "a blank before the colon": a("POST {} HTTP/1.1", "Content-Length : 3", behind="abc"),
    "a header without a name": a("GET {} HTTP/1.1", ": x"),
    "a header without a colon": a("GET {} HTTP/1.1", "x"),
    "a name that is no token": a("GET {} HTTP/1.1", "x(y: z"),
    "a folded header": a("GET {} HTTP/1.1", "X: y", " folded"),
    "a folded header before the first": a("GET {} HTTP/1.1", host=" Host: x"),
    "lines that end in LF alone": a().replace("\r\n", "\n"),
    "one line that ends in LF alone": a("GET {} HTTP/1.1\nX: y"),
    "a CR inside a value": a("GET {} HTTP/1.1", "X: y\rZ: z"),
    "a NUL inside a value": a("GET {} HTTP/1.1", "X: y\0z"),
    "a value with a byte above 0x7F": a("GET {} HTTP/1.1", "X: \xe4"),
    "an empty line before the request": "\r\n" + a(),
    "two blanks in the request line": a("GET  {} HTTP/1.1"),
    "a tab in the request line": a("GET\t{} HTTP/1.1"),
    "a request line of 9,000 bytes": a("GET {}?" + "x" * 9_000 + " HTTP/1.1"),
    "a header of 9,000 bytes": a("GET {} HTTP/1.1", "X: " + "y" * 9_000),
    "70 headers": a("GET {} HTTP/1.1", *["X: y"] * 70),
    "a head of 20,000 bytes": a("GET {} HTTP/1.1", *["X: " + "y" * 4_000] * 5),
    "`Expect: 100-continue` with a body": a(
        "POST {} HTTP/1.1", "Expect: 100-continue", "Content-Length: 3", behind="abc"
    ),
    "another expectation": a("GET {} HTTP/1.1", "Expect: a-miracle"),
    "an upgrade to WebSocket": request(start="GET {} HTTP/1.1").decode(),
    "an upgrade with a body": request(start="GET {} HTTP/1.1", extra="Content-Length: 3\r\n").decode() + "abc",
    "an upgrade by POST": request(start="POST {} HTTP/1.1").decode(),
    "an upgrade to h2c": a("GET {} HTTP/1.1", "Upgrade: h2c", "Connection: Upgrade"),
}
NEVER_WHOLE: Final[dict[str, str]] = {
    "a head that comes too slowly": "GET {} HTTP/1.1\r\nHost: x\r\nX",
    "a body that comes too slowly": a("POST {} HTTP/1.1", "Content-Length: 3", behind="a"),
    "nothing at all": "",
}


def answers() -> dict[str, tuple[str, ...]]:
    """The table of the page: what is answered at each of the targets."""
    rows = re.findall(r"^\| (.+?) \| (.+?) \| (.+?) \| (.+?) \|$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    return {row[0]: row[1:] for row in rows[1:]}


async def api(request: HttpRequest) -> HttpResponse:
    return HttpResponse(body=request.body)


@asynccontextmanager
async def listening(patience: float = 30.0) -> AsyncGenerator[HttpListener, None]:
    settings = ListenerSettings(
        accepts_per_second=math.inf,
        connections_per_address=math.inf,
        handshake_seconds=patience,
        wire=WireSettings(close_seconds=0.2),
        mounts=MountSettings(body_seconds=patience),
    )
    with trio.fail_after(60):
        transport = WebSocketTransport(settings=settings, polls=PollSettings(body_seconds=patience))
        async with await transport.listen("http://127.0.0.1:0/chat") as listener:
            assert isinstance(listener, HttpListener)
            listener.mount("/api", api)
            yield listener


async def said(listener: HttpListener, text: str) -> str:
    """What is answered to a request that another one stands behind, in the words of the page."""
    async with await dial(listener) as stream:
        received = b""
        try:
            await stream.send_all(text.encode("latin-1") + SECOND)
            while piece := await stream.receive_some():
                received += piece
                if received.startswith(b"HTTP/1.1 101"):
                    return "101"
        except trio.BrokenResourceError:
            pass
    found = re.findall(rb"HTTP/1\.1 (\d{3}) ", received)
    statuses = [int(status) for status in found]
    if not statuses:
        return "closed"
    interim = "100, " if statuses[0] == 100 else ""
    status, *behind = statuses[bool(interim) :]
    assert behind in ([], [200]), "one request has had more than one answer"
    return f"{interim}{status}" + ("" if behind else ", closed")


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", REQUESTS)
async def test_each_request_has_the_answer_of_the_page(name: str, target: str) -> None:
    """SPEC CAR-8, CAR-12, CAR-33."""
    async with listening() as listener:
        told = await said(listener, REQUESTS[name].replace("{}", target))
        assert told == answers()[name][TARGETS.index(target)]
        assert await said(listener, a("GET /healthz HTTP/1.1")) == "200, closed"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("name", NEVER_WHOLE)
async def test_what_never_comes_whole_is_not_waited_for(name: str, target: str) -> None:
    async with listening(0.03) as listener:
        async with await dial(listener) as stream:
            await stream.send_all(NEVER_WHOLE[name].replace("{}", target).encode())
            received = b""
            while piece := await stream.receive_some():
                received += piece
        found = re.match(rb"HTTP/1\.1 (\d{3}) ", received)
        told = f"{found[1].decode()}, closed" if found else "closed"
        assert told == answers()[name][TARGETS.index(target)]
        await settled(listener)


def test_the_page_has_these_rows_and_no_others() -> None:
    assert list(answers()) == [*REQUESTS, *NEVER_WHOLE]
