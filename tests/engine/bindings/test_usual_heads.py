"""The quick way through the gate: it says what the gate says line by line, or nothing; and h11 agrees with it.

Heads are whole, broken and built to be read in two ways, so that what is quick is never what is lenient.
"""

import random

import h11
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.bindings.head import Head, HeadGate, HeadLimits, HeadRefused, usual_head

LIMITS = HeadLimits()
SMALL = HeadLimits(line_bytes=64, headers=3, total_bytes=96)

CLIENT = (
    b"POST /hawser HTTP/1.1\r\nhost: 127.0.0.1:8000\r\nhawser-session: bjHA_-4\r\nhawser-secret: AAECAw\r\n"
    b"hawser-generation: 0\r\nhawser-number: 7\r\nhawser-counts: 1,2,3\r\nhawser-first: 4\r\n"
    b"content-type: application/cbor-seq\r\ncontent-length: 3\r\n\r\nabc"
)
BROWSER = (
    b"GET /hawser?a=b HTTP/1.1\r\nHost: example.org\r\nConnection: keep-alive\r\n"
    b'sec-ch-ua: "Chromium";v="142", "Not_A Brand";v="99"\r\nUser-Agent: Mozilla/5.0 (X11; Linux x86_64)\r\n'
    b"Accept: */*\r\nOrigin: https://app.example.org\r\nSec-Fetch-Site: same-site\r\nX-Own: odd\r\n"
    b"Accept-Language: en-GB,en;q=0.9\r\nCookie: a=b; c=d\r\n\r\n"
)

BLANKS = [
    b"GET / HTTP/1.1\r\nHost: x\r\nX:a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX:  a\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX:\t odd \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a \r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: a\tb\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX:\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: \r\n\r\n",
]
"""Right, but for the blanks not as they are usually written."""

AMBIGUOUS = [
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-encoding: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n Transfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\n\tb\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\rTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\nTransfer-Encoding: chunked\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\n\r\nContent-Length: 5\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\rb\n\nc\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\x0bb\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: \xc3\xa4\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX\x7f: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nX: a\r\nx: b\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\n: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nhost\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: x\r\nno-colon\r\n\r\n",
    b"POST / HTTP/1.1\nHost: x\n\n",
    b"\r\nPOST / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"\r\n\r\nPOST / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.0\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1 \r\nHost: x\r\n\r\n",
    b"POST  / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /\ta HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\nHost: x\r\n\r\n",
    b"POST http://y/ HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST  HTTP/1.1\r\nHost: x\r\n\r\n",
    b"post / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"PROPFIND / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 8_200 + b"\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % at for at in range(64)) + b"\r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\nX: %s\r\nY: %s\r\nZ: %s\r\n\r\n" % (b"a" * 8_000, b"a" * 8_000, b"a" * 500),
]  # fmt: skip
"""Heads that two programs behind each other have been seen to read differently, and heads beyond the limits."""


def line_by_line(data: bytes, limits: HeadLimits) -> Head | str | None:
    """What the gate says when the quick way is closed: a head that comes in pieces is not usual."""
    gate = HeadGate(request=True, limits=limits)
    try:
        head = gate.receive_data(data[:1])
        return gate.receive_data(data[1:]) if head is None else head
    except HeadRefused as refused:
        return str(refused)


def check(data: bytes, limits: HeadLimits = LIMITS) -> Head | None:
    """Compare the two ways, and what the quick one takes with what h11 reads."""
    quick, slow = usual_head(data, limits), line_by_line(data, limits)
    if quick is None:
        return None
    assert quick == slow
    assert isinstance(slow, Head)
    names = {name for name, _ in quick.headers}
    assert {name: quick.value(name) for name in names} == {name: slow.value(name) for name in names}
    if b"host" in names:
        judge(quick, data)
    return quick


def judge(head: Head, data: bytes) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(data)
    try:
        request = connection.next_event()
    except h11.RemoteProtocolError:
        # It judges what the gate leaves to `framing`: the number of a Content-Length, and what codings there are.
        assert head.value(b"content-length") is not None or head.value(b"transfer-encoding") is not None
        return
    assert isinstance(request, h11.Request)
    assert (request.method, request.target, request.http_version) == (head.start[0], head.start[1], b"1.1")
    assert list(request.headers) == list(head.headers)


@pytest.mark.parametrize("data", [CLIENT, BROWSER])
def test_what_clients_and_browsers_send_takes_the_quick_way(data: bytes) -> None:
    head = check(data)
    assert head is not None
    assert head.raw + head.rest == data
    assert HeadGate(request=True, limits=LIMITS).receive_data(data) == head


@pytest.mark.parametrize("data", BLANKS, ids=range(len(BLANKS)))
def test_other_blanks_around_a_value_take_the_slow_way(data: bytes) -> None:
    assert usual_head(data, LIMITS) is None
    assert isinstance(line_by_line(data, LIMITS), Head)


@pytest.mark.parametrize("data", AMBIGUOUS, ids=range(len(AMBIGUOUS)))
def test_what_could_be_read_in_two_ways_is_read_in_one(data: bytes) -> None:
    """SPEC CAR-33."""
    check(data)
    check(data, SMALL)


@pytest.mark.parametrize("data", [each for each in AMBIGUOUS if not isinstance(line_by_line(each, LIMITS), Head)])
def test_what_is_refused_never_takes_the_quick_way(data: bytes) -> None:
    assert usual_head(data, LIMITS) is None


@pytest.mark.parametrize("data", [CLIENT, BROWSER])
def test_an_unfinished_head_is_not_usual(data: bytes) -> None:
    end = data.index(b"\r\n\r\n") + 4
    assert all(usual_head(data[:size], LIMITS) is None for size in range(end))


def test_a_head_at_the_limits_is_taken_and_one_beyond_them_is_judged_by_its_lines() -> None:
    for size in range(40, 70):
        check(b"GET / HTTP/1.1\r\nHost: x\r\nX: ".ljust(size, b"a") + b"\r\n\r\n", SMALL)
    assert usual_head(b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\nY: b\r\n\r\n", SMALL) is not None
    assert usual_head(b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\nY: b\r\nZ: c\r\n\r\n", SMALL) is None


PIECES = st.sampled_from(
    [
        *(b"\r", b"\n", b"\r\n", b"\r\n\r\n", b" ", b"\t", b":", b": ", b"\x00", b"\x0b", b"\x7f", b"\x80", b"\xff"),
        *(b"", b"a", b"Host: y", b"host:z\r\n", b"Content-Length: 5\r\n", b"transfer-encoding: chunked\r\n"),
        *(b"HTTP/1.1", b"GET /", b"X: " + b"a" * 70),
    ]
)


@given(st.sampled_from([CLIENT, BROWSER, *AMBIGUOUS[:32]]), st.randoms(use_true_random=False), st.data())
def test_the_quick_way_never_says_anything_else_than_the_slow_one(
    head: bytes, rng: random.Random, data: st.DataObject
) -> None:
    changed = bytearray(head)
    for _ in range(rng.randint(0, 4)):
        at = rng.randrange(len(changed) + 1)
        changed[at : at + rng.choice((0, 0, 1, 2, 9))] = data.draw(PIECES)
    check(bytes(changed))
    check(bytes(changed), SMALL)


@given(
    st.lists(
        st.tuples(st.binary(max_size=6), st.sampled_from([b":", b": ", b" :", b"", b"::"]), st.binary(max_size=6))
    ),
    st.sampled_from([b"GET / HTTP/1.1", b"POST /a HTTP/1.1", b"GET /", b"HEAD /\xff HTTP/1.1", b"OPTIONS * HTTP/1.1"]),
)
def test_nor_of_heads_made_of_any_bytes(lines: list[tuple[bytes, bytes, bytes]], start: bytes) -> None:
    check(b"\r\n".join([start, b"Host: x", *map(b"".join, lines)]) + b"\r\n\r\n")
