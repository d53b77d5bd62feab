"""Where requests and replies end: what is refused, and that every chunking reads alike."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.bindings.head import Head, HeadGate, HeadLimits, HeadRefused
from hawser_engine.bindings.http import Framing, Reply, Request, framing, write_reply, write_request
from hawser_engine.bindings.replies import ReplyReader, ReplyRefused


def head(*lines: str, start: str = "POST / HTTP/1.1", host: str | None = "x") -> Head:
    hosts = [] if host is None else [f"Host: {host}"]
    text = "\r\n".join([start, *hosts, *lines]) + "\r\n\r\n"
    found = HeadGate(request=True, limits=HeadLimits()).receive_data(text.encode())
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ([], Framing(0, waits=False, persists=True)),
        (["Content-Length: 12"], Framing(12, waits=False, persists=True)),
        (["Content-Length: 0012", "Expect: 100-Continue"], Framing(12, waits=True, persists=True)),
        (["Connection: Close"], Framing(0, waits=False, persists=False)),
        (["Connection: keep-alive, x, close"], Framing(0, waits=False, persists=False)),
    ],
)
def test_a_head_says_where_its_request_ends(lines: list[str], expected: Framing) -> None:
    assert framing(head(*lines)) == expected


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        (["Content-Length: 1", "Content-Length: 1"], 400),
        (["Content-Length: 1, 1"], 400),
        (["Content-Length: -1"], 400),
        (["Content-Length: +1"], 400),
        (["Content-Length: 1_0"], 400),
        (["Content-Length: 0x1"], 400),
        (["Content-Length:"], 400),
        (["Content-Length: 1111111111111111"], 400),
        (["Transfer-Encoding: chunked"], 400),
        (["Transfer-Encoding: identity"], 400),
        (["Transfer-Encoding: chunked", "Content-Length: 1"], 400),
        (["Expect: 100-continue", "Expect: 100-continue"], 417),
        (["Expect: 200-ok"], 417),
        (["Host: y"], 400),
        (["Connection: close", "Connection: keep-alive"], 400),
    ],
)
def test_what_two_readers_could_read_differently_is_refused(lines: list[str], status: int) -> None:
    """SPEC CAR-12, CAR-33."""
    with pytest.raises(HeadRefused) as refused:
        framing(head(*lines))
    assert refused.value.status == status


def test_a_request_names_its_host() -> None:
    with pytest.raises(HeadRefused):
        framing(head(host=None))


def test_replies_are_complete_and_never_stored() -> None:
    """SPEC CAR-12."""
    whole = write_reply(Reply(200, (("hawser-first", "1"),), b"body"), persists=True)
    assert whole == (b"HTTP/1.1 200 OK\r\ncache-control: no-store\r\ncontent-length: 4\r\nhawser-first: 1\r\n\r\nbody")
    last = write_reply(Reply(204), persists=False)
    assert last == b"HTTP/1.1 204 No Content\r\ncache-control: no-store\r\nconnection: close\r\n\r\n"
    assert write_reply(Reply(401), "vary: origin\r\n", persists=True) == (
        b"HTTP/1.1 401 Unauthorized\r\ncache-control: no-store\r\ncontent-length: 0\r\nvary: origin\r\n\r\n"
    )


def test_requests_are_written_as_the_gate_takes_them() -> None:
    for method, body in (("GET", b""), ("POST", b""), ("POST", b"body")):
        request = Request(method, (("hawser-number", "1"),), body)
        found = HeadGate(request=True, limits=HeadLimits()).receive_data(write_request(request, "x:1", "/a?b"))
        assert found is not None
        assert (found.start, found.rest) == ((method.encode(), b"/a?b", b"HTTP/1.1"), body)
        assert framing(found) == Framing(len(body), waits=False, persists=True)


REPLIES = {
    b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nA: b\r\n\r\nbody": (Reply(200, (), b"body"), True),
    b"HTTP/1.1 204 No Content\r\nHawser-Counts: 1,1,1\r\n\r\n": (Reply(204, (), b""), True),
    b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n": (Reply(401, (), b""), True),
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nbo\r\n2\r\ndy\r\n0\r\n\r\n": (
        Reply(200, (), b"body"),
        True,
    ),
    b"HTTP/1.1 503 No\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx": (Reply(503, (), b"x"), False),
    b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx": (Reply(200, (), b"x"), False),
}


@pytest.mark.parametrize("data", REPLIES)
def test_replies_are_read_however_they_come(data: bytes) -> None:
    """A proxy may answer in other ways than our server: in chunks, in HTTP/1.0, with a 100 before it."""
    expected, persists = REPLIES[data]
    for size in (len(data), 1, 7):
        reader = ReplyReader("GET", 100)
        found = None
        for start in range(0, len(data), size):
            assert found is None
            found = reader.receive_data(data[start : start + size])
        assert found is not None
        assert (found.status, found.body) == (expected.status, expected.body)
        assert reader.persists == persists
        assert all(name == name.lower() for name, _ in found.headers)


def test_a_reply_may_end_with_its_connection() -> None:
    reader = ReplyReader("GET", 100)
    assert reader.receive_data(b"HTTP/1.1 200 OK\r\n\r\nbo") is None
    assert reader.receive_data(b"dy") is None
    found = reader.receive_data(b"")
    assert found is not None
    assert (found.body, reader.persists) == (b"body", False)


def test_what_comes_behind_a_reply_ends_its_connection() -> None:
    reader = ReplyReader("GET", 100)
    assert reader.receive_data(b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 ") is not None
    assert not reader.persists


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n" + bytes(101),
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n" + bytes(255),
        b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5_000,
        b"HTTP/1.1 200 OK\r\nA: \xff\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    ],
)
def test_what_is_no_reply_or_too_long_is_refused(data: bytes) -> None:
    reader = ReplyReader("POST", 100)
    with pytest.raises(ReplyRefused):
        reader.receive_data(data)


def test_a_reply_that_breaks_off_is_refused() -> None:
    reader = ReplyReader("POST", 100)
    assert reader.receive_data(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo") is None
    with pytest.raises(ReplyRefused):
        reader.receive_data(b"")


@given(st.randoms(use_true_random=False))
def test_no_reply_raises_anything_else(rng: random.Random) -> None:
    data = bytearray(rng.choice(list(REPLIES)))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(data))
        data[at : at + rng.randint(0, 3)] = rng.randbytes(rng.randint(0, 3))
    reader = ReplyReader("GET", 100)
    try:
        if reader.receive_data(bytes(data)) is None:
            reader.receive_data(b"")
    except ReplyRefused:
        pass
