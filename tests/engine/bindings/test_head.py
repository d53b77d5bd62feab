"""The gate for HTTP heads: what passes, what is refused with which status, and that chunking decides nothing."""

from itertools import pairwise

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.bindings.head import REASONS, Head, HeadGate, HeadLimits, HeadRefused, response

LIMITS = HeadLimits()
SMALL = HeadLimits(line_bytes=64, headers=4, total_bytes=160)
GOOD = b"GET /a?b=c HTTP/1.1\r\nHost: x\r\nX-Odd:\t two words \r\nx-empty:\r\n\r\n"


def feed(pieces: list[bytes], limits: HeadLimits = LIMITS, *, request: bool = True) -> Head | str | None:
    """Return the head, the refusal as text, or None if neither is there yet; check that the gate stays small."""
    gate = HeadGate(request=request, limits=limits)
    for index, piece in enumerate(pieces):
        try:
            head = gate.receive_data(piece)
        except HeadRefused as refused:
            assert gate.held_bytes == 0
            return str(refused)
        assert gate.held_bytes <= limits.total_bytes
        if head is not None:
            rest = head.rest + b"".join(pieces[index + 1 :])
            return attrs.evolve(head, rest=rest)
    return None


def bytewise(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def test_a_good_head_passes_with_its_parts_its_bytes_and_what_follows() -> None:
    head = feed([GOOD + b"\x82\x80"])
    assert isinstance(head, Head)
    assert head.start == (b"GET", b"/a?b=c", b"HTTP/1.1")
    assert head.headers == ((b"host", b"x"), (b"x-odd", b"two words"), (b"x-empty", b""))
    assert (head.raw, head.rest) == (GOOD, b"\x82\x80")
    assert head.path == b"/a"
    assert head.values(b"host") == [b"x"]
    assert head.values(b"none") == []
    assert (head.value(b"host"), head.value(b"none")) == (b"x", None)


@pytest.mark.parametrize("data", [b"", GOOD[:-1], GOOD[:-2], b"G"])
def test_an_unfinished_head_waits(data: bytes) -> None:
    assert feed([data]) is None


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET / HTTP/1.0\r\nHost: x\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\n\r\n", 505),
        (b"GET / http/1.1\r\n\r\n", 505),
        (b"GET /\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1 \r\n\r\n", 400),
        (b"\r\nGET / HTTP/1.1\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\n\r\n", 400),
        (b" / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://x/ HTTP/1.1\r\n\r\n", 400),
        (b"GET /\xff HTTP/1.1\r\n\r\n", 400),
        (b"GET /\t HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\nHost: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n\n", 400),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\n: x\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\rb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\x00b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: \xc3\xa4\r\n\r\n", 400),
    ],
)
def test_what_is_not_plain_is_refused(data: bytes, status: int) -> None:
    """SPEC CAR-8, CAR-33; each of these is read in more than one way by the servers of this world."""
    for pieces in ([data], bytewise(data)):
        refusal = feed(pieces)
        assert isinstance(refusal, str)
        assert refusal.startswith(f"{status} {REASONS[status]} (remote): saw ")
        assert refusal.endswith(f"(SPEC {'CAR-8' if status == 505 else 'CAR-33'})")


@pytest.mark.parametrize("name", [b"Host", b"Content-Length", b"Transfer-Encoding", b"Origin", b"Sec-WebSocket-Key"])
def test_two_of_a_header_that_means_something_are_refused_for_every_route(name: bytes) -> None:
    """SPEC CAR-8: of two, one reader takes the first and its neighbour the last."""
    data = b"GET /healthz HTTP/1.1\r\n" + name + b": 1\r\nX: y\r\n" + name.swapcase() + b": 1\r\n\r\n"
    for pieces in ([data], bytewise(data)):
        assert str(feed(pieces)).startswith(f"400 Bad Request (remote): saw {name.decode().lower()} more than once")
    assert isinstance(feed([b"GET / HTTP/1.1\r\n" + b"Cookie: a\r\n" * 2 + b"\r\n"]), Head)


def line(size: int) -> bytes:
    return b"x: " + b"v" * (size - 3) + b"\r\n"


def test_the_limits_are_exact() -> None:
    """SPEC CAR-8: a line, the number of headers and the whole, one byte or line above and at the limit."""
    start = b"GET / HTTP/1.1\r\n"
    target = b"/" * (LIMITS.line_bytes - len(b"GET  HTTP/1.1"))
    whole = start + line(8_000) * 2 + line(LIMITS.total_bytes - len(start) - 2 * 8_002 - 4)
    cases = [
        (b"GET " + target + b" HTTP/1.1\r\n\r\n", None),
        (b"GET /" + target + b" HTTP/1.1\r\n\r\n", "414"),
        (start + line(LIMITS.line_bytes) + b"\r\n", None),
        (start + line(LIMITS.line_bytes + 1) + b"\r\n", "431"),
        (start + b"a: b\r\n" * LIMITS.headers + b"\r\n", None),
        (start + b"a: b\r\n" * (LIMITS.headers + 1) + b"\r\n", "431"),
        (whole + b"\r\n", None),
        (whole[:-2] + b"v\r\n\r\n", "431"),
        (b"x" * (LIMITS.line_bytes + 2), "414"),
        (start + b"x" * (LIMITS.line_bytes + 2), "431"),
    ]
    assert len(whole) + 2 == LIMITS.total_bytes
    for data, status in cases:
        for pieces in ([data], bytewise(data), [data[:5_000], data[5_000:]]):
            got = feed(pieces)
            assert isinstance(got, Head) if status is None else str(got).startswith(status), status


def test_a_head_of_any_size_is_never_held_beyond_the_limit() -> None:
    """The finding: h11 bounds only heads that arrive in pieces; one of a megabyte in one read is taken."""
    assert str(feed([b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200_000])).startswith("431")
    assert str(feed([b"GET / HTTP/1.1\r\na: " + b"b" * 1_000_000])).startswith("431")
    limits = HeadLimits(headers=1_000_000)
    assert str(feed([b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200_000], limits)).startswith("431")


SCRAPS = st.sampled_from(
    [b"GET ", b"/ ", b"HTTP/1.1", b"\r\n", b"\n", b"\r", b"Host: x", b": ", b"v" * 40, b"n: v", b"\xff", b"\x00", b" "]
)


@given(
    scraps=st.lists(SCRAPS, max_size=24),
    begin=st.sampled_from([b"GET / HTTP/1.1\r\n", b""]),
    cuts=st.sets(st.integers(0, 300), max_size=6),
)
def test_any_chunking_ends_in_the_same_head_or_the_same_refusal(
    scraps: list[bytes], begin: bytes, cuts: set[int]
) -> None:
    data = begin + b"".join(scraps)
    edges = [0, *sorted(cuts), len(data) + 300]
    whole = feed([data], SMALL)
    assert feed(bytewise(data), SMALL) == whole
    assert feed([data[start:end] for start, end in pairwise(edges)], SMALL) == whole


@pytest.mark.parametrize(
    ("data", "start"),
    [
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", (b"HTTP/1.1", b"101", b"Switching Protocols")),
        (b"HTTP/1.1 404 \r\n\r\n", (b"HTTP/1.1", b"404", b"")),
        (b"HTTP/1.0 101 x\r\n\r\n", None),
        (b"HTTP/1.1 1O1 x\r\n\r\n", None),
        (b"HTTP/1.1 1010 x\r\n\r\n", None),
        (b"HTTP/1.1 101\r\n\r\n", None),
        (b"HTTP/1.1 101 \xff\r\n\r\n", None),
    ],
)
def test_a_response_has_a_status_line(data: bytes, start: tuple[bytes, bytes, bytes] | None) -> None:
    head = feed([data], request=False)
    assert head.start == start if isinstance(head, Head) else start is None


def test_an_endless_line_of_a_response_is_no_uri_that_is_too_long() -> None:
    assert str(feed([b"x" * 9_000], request=False)).startswith("431")


def test_a_response_is_whole_and_ends_its_connection() -> None:
    data = response(426, "no", [("Sec-WebSocket-Version", "13")])
    head = feed([data], request=False)
    assert isinstance(head, Head)
    assert head.start == (b"HTTP/1.1", b"426", b"Upgrade Required")
    assert head.values(b"sec-websocket-version") == [b"13"]
    assert head.values(b"connection") == [b"close"]
    assert head.values(b"content-length") == [b"2"]
    assert head.rest == b"no"
    to_head = response(426, "no", [("Sec-WebSocket-Version", "13")], to_head=True)
    assert to_head == data.removesuffix(b"no")


@pytest.mark.parametrize("field", ["line_bytes", "headers", "total_bytes"])
def test_a_limit_that_is_none_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        HeadLimits(**{field: 0})
