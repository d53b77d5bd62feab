"""Plain HTTP that an application answers itself: what its handler sees, what is written, and that the limits hold."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser_transports import (
    HttpListener,
    HttpRequest,
    HttpResponse,
    ListenerSettings,
    MountSettings,
    WebSocketTransport,
    WireSettings,
)
from tests.transports.sockets import dial, settled
from tests.transports.test_longpoll import read

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hawser_transports import HttpHandler


async def echo(request: HttpRequest) -> HttpResponse:
    """What was asked, as text."""
    lines = [request.method, request.path, request.query, request.address, request.header("x-one") or "-"]
    body = "\n".join(lines).encode() + b"\n" + request.body
    return HttpResponse(headers=(("Content-Type", "text/plain"), ("Set-Cookie", "a"), ("Set-Cookie", "b")), body=body)


@asynccontextmanager
async def mounted(handler: HttpHandler = echo, **limits: Any) -> AsyncGenerator[HttpListener, None]:
    settings = ListenerSettings(
        accepts_per_second=math.inf,
        connections_per_address=math.inf,
        wire=WireSettings(close_seconds=0.5),
        mounts=MountSettings(**limits),
    )
    with trio.fail_after(60):
        async with await WebSocketTransport(settings=settings).listen("http://127.0.0.1:0/chat") as listener:
            assert isinstance(listener, HttpListener)
            listener.mount("/api", handler)
            yield listener
            await settled(listener)


async def ask(listener: HttpListener, *requests: bytes) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers to some requests on one connection, which are all sent at once."""
    async with await dial(listener) as stream:
        await stream.send_all(b"".join(requests))
        return await read(stream, len(requests))


def get(path: str, *lines: str, method: str = "GET", body: bytes = b"") -> bytes:
    length = [f"Content-Length: {len(body)}"] if body else []
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", *lines, *length, "", ""]).encode() + body


async def test_a_handler_sees_the_request_and_its_answer_is_written_whole() -> None:
    async with mounted() as listener:
        first, second = await ask(
            listener,
            get("/api/a%20b?c=d", "X-One: 1", "X-One: 2"),
            get("/api", method="PUT", body=b"whole"),
        )
        assert (first[0], first[2]) == (200, b"GET\n/api/a%20b\nc=d\n127.0.0.1\n1\n")
        assert first[1]["content-type"] == "text/plain"
        assert "connection" not in first[1]
        assert second[2] == b"PUT\n/api\n\n127.0.0.1\n-\nwhole"


async def test_the_longest_prefix_of_whole_segments_decides() -> None:
    async def inner(_: HttpRequest) -> HttpResponse:
        return HttpResponse(status=204, body=b"left out")

    async with mounted() as listener:
        listener.mount("/api/v2", inner)
        answers = [await ask(listener, get(path)) for path in ("/api/v2/x", "/api/v2", "/api/v", "/apis", "/api/")]
        assert [answer[0][0] for answer in answers] == [204, 204, 200, 404, 200]
        assert answers[0][0][2] == b""


@pytest.mark.parametrize("prefix", ["/chat", "/healthz", "/api", "/", "", "api", "/a/", "/a b", "/ä", "/a?b"])
async def test_a_prefix_that_is_none_or_taken_is_refused(prefix: str) -> None:
    async with mounted() as listener:
        with pytest.raises(ValueError, match="nothing can be mounted at"):
            listener.mount(prefix, echo)


async def test_an_answer_to_head_has_the_length_and_no_body() -> None:
    async with mounted() as listener, await dial(listener) as stream:
        await stream.send_all(get("/api", method="HEAD") + get("/api", "Connection: close"))
        received = b"".join([piece async for piece in stream])
        head, rest = received.split(b"\r\n\r\n", 1)
        assert b"content-length: 23" in head
        assert rest.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"connection: close" in rest


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/api", "Transfer-Encoding: chunked", method="POST"), 400),
        (get("/api", "Content-Length: 1", "Content-Length: 1"), 400),
        (get("/api", "Content-Length: 11", method="POST"), 413),
        (get("/api", "Expect: something"), 417),
        (b"GET /api HTTP/1.1\r\n\r\n", 400),
    ],
)
async def test_what_cannot_be_framed_or_is_too_long_never_reaches_a_handler(request_: bytes, status: int) -> None:
    async with mounted(body_bytes=10) as listener:
        answers = await ask(listener, request_)
        assert (answers[0][0], answers[0][1]["connection"]) == (status, "close")


async def test_whoever_waits_for_it_is_told_to_continue() -> None:
    async with mounted() as listener, await dial(listener) as stream:
        await stream.send_all(get("/api", "Expect: 100-continue", "Content-Length: 2", method="POST"))
        assert await stream.receive_some() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await stream.send_all(b"up")
        assert (await read(stream, 1))[0][2].endswith(b"\nup")


@pytest.mark.parametrize("kind", ["raises", "answers otherwise", "answers what cannot be written"])
async def test_what_goes_wrong_in_a_handler_is_one_answer_and_one_record(
    kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(request: HttpRequest) -> HttpResponse:
        if kind == "raises":
            raise RuntimeError("planted")
        if kind == "answers otherwise":
            return "hello"  # type: ignore[return-value]
        return HttpResponse(headers=(("X-A", "a\r\nSet-Cookie: b"),))

    async with mounted(fail) as listener:
        answers = await ask(listener, get("/api?token=s3cret"), get("/api"))
        assert [(status, body) for status, _, body in answers] == [(500, b"internal error\n")] * 2
    assert [record.getMessage() for record in caplog.records] == ["the handler of GET /api failed"] * 2
    assert "s3cret" not in caplog.text


async def test_a_handler_that_takes_too_long_is_cancelled() -> None:
    async def hang(request: HttpRequest) -> HttpResponse:
        await trio.sleep_forever()
        raise AssertionError

    async with mounted(hang, reply_seconds=0.02) as listener:
        answers = await ask(listener, get("/api"))
        assert answers[0][::2] == (503, b"the answer took too long\n")


async def test_so_many_requests_are_answered_at_once_and_no_more() -> None:
    leave = trio.Event()

    async def wait(request: HttpRequest) -> HttpResponse:
        await leave.wait()
        return HttpResponse(body=b"done")

    async with mounted(wait, requests=1) as listener, await dial(listener) as stream:
        await stream.send_all(get("/api", "Connection: close"))
        await settled(listener, 1)
        await wait_all_tasks_blocked(0.02)
        [(status, headers, text)] = await ask(listener, get("/api"))
        assert (status, headers["retry-after"], b"too many requests at once" in text) == (503, "1", True)
        leave.set()
        assert (await read(stream, 1))[0][2] == b"done"


async def test_a_body_that_does_not_come_is_not_waited_for_for_ever() -> None:
    async with mounted(body_seconds=0.02) as listener, await dial(listener) as stream:
        await stream.send_all(get("/api", "Content-Length: 5", method="POST") + b"12")
        assert await stream.receive_some() == b""


async def test_a_client_that_leaves_in_the_middle_of_its_body_harms_nobody() -> None:
    async with mounted() as listener:
        async with await dial(listener) as stream:
            await stream.send_all(get("/api", "Content-Length: 5", method="POST") + b"12")
        assert (await ask(listener, get("/api")))[0][0] == 200


async def test_a_long_answer_arrives_whole() -> None:
    async def much(request: HttpRequest) -> HttpResponse:
        return HttpResponse(body=bytes(5_000_000))

    async with mounted(much) as listener:
        assert (await ask(listener, get("/api")))[0][2] == bytes(5_000_000)


async def test_while_it_drains_each_answer_is_the_last_of_its_socket() -> None:
    async with mounted() as listener:
        await listener.drain()
        [(status, headers, _)] = await ask(listener, get("/api"))
        assert (status, headers["connection"]) == (200, "close")


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": 101},
        {"status": 99},
        {"status": 299},
        {"headers": (("", "a"),)},
        {"headers": (("a b", "a"),)},
        {"headers": (("Content-Length", "1"),)},
        {"headers": (("Connection", "close"),)},
        {"headers": (("Transfer-Encoding", "chunked"),)},
        {"headers": (("X-A", "a\nb"),)},
        {"headers": (("X-A", "a\0"),)},
        {"headers": (("X-A", "ä"),)},
        {"headers": (("X-A", "\u2028"),)},
    ],
)
def test_an_answer_that_would_say_something_else_is_none(wrong: dict[str, Any]) -> None:
    """Whatever a header is made of, it ends no line and frames no body."""
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HttpResponse(**wrong)
