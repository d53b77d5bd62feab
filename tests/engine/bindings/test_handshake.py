"""The upgrade: what a server takes and refuses, what a client asks and believes, and that nothing escapes."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection, Request
from wsproto.events import Event as WsEvent
from wsproto.handshake import H11Handshake

from hawser_engine.bindings.head import Head, HeadGate, HeadLimits, HeadRefused
from hawser_engine.bindings.websocket import (
    SUBPROTOCOL,
    ClientHandshake,
    FrameLimits,
    MaskedFrames,
    SharedFrames,
    UpgradeRefused,
    WebSocket,
    accept_upgrade,
    is_upgrade,
)
from tests.engine.bindings.peers import GOOD, KEY, LINES, bytewise, mutated, request, zeros

LIMITS = HeadLimits()


def head_of(data: bytes) -> Head:
    head = HeadGate(request=True, limits=LIMITS).receive_data(data)
    assert head is not None
    return head


def test_a_good_request_is_accepted_under_our_subprotocol_and_nothing_else() -> None:
    """SPEC CAR-3, CAR-8."""
    answer = HeadGate(request=False, limits=LIMITS).receive_data(accept_upgrade(head_of(request())))
    assert answer is not None
    assert answer.start[1] == b"101"
    assert answer.values(b"sec-websocket-protocol") == [b"hawser.v1"]
    assert answer.values(b"sec-websocket-extensions") == []
    assert answer.rest == b""


def test_compression_is_offered_in_vain() -> None:
    """SPEC CAR-3: permessage-deflate is not negotiated, not even with a parameter that crashes wsproto's."""
    offer = "permessage-deflate; client_max_window_bits=abc"
    assert b"deflate" not in accept_upgrade(head_of(request({"Sec-WebSocket-Extensions": offer})))


@pytest.mark.parametrize(
    ("data", "status", "clause"),
    [
        (request(start="POST / HTTP/1.1"), 405, "CAR-8"),
        (request(start="get / HTTP/1.1"), 405, "CAR-8"),
        (request({"Content-Length": "0"}), 400, "CAR-8"),
        (request({"Content-Length": "5"}), 400, "CAR-8"),
        (request({"Transfer-Encoding": "chunked"}), 400, "CAR-8"),
        (request({"Host": None}), 400, "CAR-8"),
        (request({"Host": "xn--0"}), 400, "CAR-8"),
        (request({"Upgrade": None}), 400, "CAR-8"),
        (request({"Upgrade": "h2c"}), 400, "CAR-8"),
        (request({"Upgrade": "websocket, h2c"}), 400, "CAR-8"),
        (request({"Connection": "close"}), 400, "CAR-8"),
        (request({"Sec-WebSocket-Version": "12"}), 426, "CAR-8"),
        (request({"Sec-WebSocket-Version": None}), 426, "CAR-8"),
        (request({"Sec-WebSocket-Key": None}), 400, "CAR-8"),
        (request({"Sec-WebSocket-Key": "c2hvcnQ="}), 400, "CAR-8"),
        (request({"Sec-WebSocket-Key": KEY[:-2] + "!="}), 400, "CAR-8"),
        (request({"Sec-WebSocket-Protocol": None}), 400, "CAR-3"),
        (request({"Sec-WebSocket-Protocol": "hawser.v2"}), 400, "CAR-3"),
        (request({"Sec-WebSocket-Protocol": "Hawser.v1"}), 400, "CAR-3"),
        *((request(extra=f"{name}: {value}\r\n"), 400, "CAR-8") for name, value in LINES.items()),
        (request({"Sec-WebSocket-Extensions": "a"}, extra="sec-websocket-extensions: b\r\n"), 400, "CAR-8"),
        (request({"Origin": "https://a"}, extra="ORIGIN: https://a\r\n"), 400, "CAR-8"),
    ],
)
def test_anything_else_is_refused_with_its_status(data: bytes, status: int, clause: str) -> None:
    """SPEC CAR-3, CAR-8."""
    with pytest.raises(HeadRefused) as caught:
        accept_upgrade(head_of(data), origins=["https://a"])
    assert (caught.value.status, caught.value.clause) == (status, clause)


def test_an_upgrade_is_known_by_its_header() -> None:
    assert is_upgrade(head_of(request({"Upgrade": "WebSocket"})))
    assert is_upgrade(head_of(request(start="POST / HTTP/1.1")))
    assert not is_upgrade(head_of(request({"Upgrade": None})))


@pytest.mark.parametrize(
    "origin",
    [
        "null",
        "https://good.example.evil.org",
        "https://evilgood.example",
        "https://good.example:8443",
        "https://good.example/",
        "http://good.example",
        "https://GOOD.example",
        "https://user@good.example",
        "good.example",
        "",
        "*",
    ],
)
def test_a_page_of_another_origin_is_refused(origin: str) -> None:
    """SPEC CAR-7: compared exactly; an empty value is an origin too."""
    with pytest.raises(HeadRefused) as caught:
        accept_upgrade(head_of(request({"Origin": origin})), origins=["https://good.example"])
    assert (caught.value.status, caught.value.clause) == (403, "CAR-7")


def test_null_is_in_no_list() -> None:
    """SPEC CAR-7: not even in one that names it; every sandboxed frame and every file says it."""
    with pytest.raises(HeadRefused, match="CAR-7"):
        accept_upgrade(head_of(request({"Origin": "null"})), origins=["null"])


def test_a_page_of_a_listed_origin_may_connect_and_so_may_programs() -> None:
    """SPEC CAR-7."""
    accept_upgrade(head_of(request({"Origin": "https://good.example"})), origins=["https://good.example"])
    accept_upgrade(head_of(request()), origins=["https://good.example"])


# Whatever comes, one connection ends, and a good client is served.


def serve(*pieces: bytes) -> str:
    """What a server does with a stream: its status, or how the WebSocket stands behind the upgrade."""
    gate = HeadGate(request=True, limits=LIMITS)
    websocket: WebSocket | None = None
    batches: list[bytes] = []
    try:
        for piece in pieces:
            if websocket is not None:
                batches += websocket.receive_data(piece)
                continue
            head = gate.receive_data(piece)
            if head is None:
                continue
            if not is_upgrade(head):
                return "404"
            accept_upgrade(head)
            websocket = WebSocket(SharedFrames(), FrameLimits())
            batches += websocket.receive_data(head.rest)
    except HeadRefused as refused:
        return str(refused.status)
    return "waits" if websocket is None else f"{batches} {websocket.ended}"


def assert_a_good_client_is_served() -> None:
    assert serve(GOOD) == "[b'ahoy'] None"


@pytest.mark.parametrize("name", [*LINES, "Sec-WebSocket-Extensions", "Origin", "Content-Length", "X-Other"])
def test_every_byte_in_every_header_ends_in_an_answer(name: str) -> None:
    """The finding: bytes from 0x80 in four of these end a whole server that feeds them to wsproto bare."""
    value = LINES.get(name, "x")
    for byte in map(chr, range(256)):
        for spoiled in (byte + value, value + byte, value[:1] + byte + value[1:], byte):
            seen = serve(request({name: spoiled}) + MaskedFrames(zeros).batch(b"ahoy"))
            assert seen in ("[b'ahoy'] None", "400", "403", "404", "426"), (name, spoiled)
            if ord(byte) >= 0x7F:
                assert seen == "400"
        spoiled_name = name[:3] + byte + name[3:]
        serve(request({name: None}, extra=f"{spoiled_name}: {value}\r\n"))
        assert_a_good_client_is_served()


def survive(count: int) -> None:
    rng = random.Random(5_2026)
    answers: set[str] = set()
    for _ in range(count):
        answers.add(serve(mutated(rng)))
        assert_a_good_client_is_served()
    assert {"400", "404", "405", "426", "505", "waits", "[b'ahoy'] None"} <= answers


@given(rng=st.randoms(use_true_random=False), cuts=st.sets(st.integers(0, len(GOOD)), max_size=6))
def test_every_chunking_of_a_connection_ends_alike(rng: random.Random, cuts: set[int]) -> None:
    """SPEC CAR-8, CAR-33: the head and the frames behind it as one stream, right or spoiled."""
    for data in (GOOD, mutated(rng), mutated(rng) + GOOD):
        edges = [0, *sorted(cuts), len(data)]
        assert serve(*(data[start:end] for start, end in pairwise(edges))) == serve(data)
        assert serve(*bytewise(data)) == serve(data)


@pytest.mark.slow
def test_mutated_heads_end_in_an_answer() -> None:
    survive(5_000)


@pytest.mark.verify
def test_a_hundred_thousand_mutated_heads_end_in_an_answer() -> None:
    survive(100_000)


# The client's side.


def client(host: str = "example.org", target: str = "/x?y=1") -> ClientHandshake:
    return ClientHandshake(host, target, random_bytes=lambda size: bytes(range(size)), limits=LIMITS)


def test_a_clients_request_is_what_wsproto_would_accept() -> None:
    """SPEC CAR-3, CAR-9: the key comes from the injected source; no credentials have a place in it."""
    handshake = H11Handshake(ConnectionType.SERVER)
    handshake.receive_data(client().request)
    (event,) = handshake.events()
    seen: WsEvent = event
    assert isinstance(seen, Request)
    assert (seen.host, seen.target, seen.subprotocols) == ("example.org", "/x?y=1", [SUBPROTOCOL])
    assert f"Sec-WebSocket-Key: {KEY}".encode() in client().request
    assert client().receive_data(handshake.send(AcceptConnection(subprotocol=SUBPROTOCOL))) == b""


def test_client_and_server_meet_in_any_pieces() -> None:
    answer = accept_upgrade(head_of(client().request)) + SharedFrames().batch(b"early")
    for step in (1, 7, len(answer)):
        ours, rest, at = client(), None, 0
        while rest is None:
            rest = ours.receive_data(answer[at : at + step])
            at += step
        assert rest + answer[at:] == b"\x82\x05early"


@pytest.mark.parametrize(
    ("old", "new", "status"),
    [
        (b"101 Switching Protocols", b"404 Not Found", 404),
        (b"HTTP/1.1", b"HTTP/1.0", None),
        (b"websocket", b"h2c", 101),
        (b"Connection: Upgrade", b"Connection: close", 101),
        (b"Sec-WebSocket-Accept: ", b"Sec-WebSocket-Accept: x", 101),
        (b"hawser.v1", b"hawser.v2", 101),
        (b"Sec-WebSocket-Protocol", b"X-Other", 101),
        (b"Upgrade: w", b"Sec-WebSocket-Extensions: permessage-deflate\r\nUpgrade: w", 101),
        (b"Upgrade: w", b"Upgrade: websocket\r\nUpgrade: w", None),
        (b"Upgrade: w", b"X: \xff\r\nUpgrade: w", None),
    ],
)
def test_a_client_believes_no_other_answer(old: bytes, new: bytes, status: int | None) -> None:
    """SPEC CAR-3."""
    answer = accept_upgrade(head_of(client().request))
    lowered = answer.lower().find(old.lower())
    assert lowered >= 0
    changed = answer[:lowered] + new + answer[lowered + len(old) :]
    with pytest.raises(UpgradeRefused) as caught:
        client().receive_data(changed)
    assert caught.value.status == status
    assert str(caught.value).startswith("the answer is no head" if status is None else f"the server answered {status}")


@pytest.mark.parametrize(
    ("status", "lines", "seconds"),
    [
        (503, ["Retry-After: 7"], 7),
        (429, ["Retry-After: 007"], 7),
        (503, ["Retry-After: 1000"], 1_000),
        (503, ["Retry-After: 86400"], 3_600),
        (503, ["Retry-After: 0"], 0),
        (503, ["Retry-After: -1"], 0),
        (503, ["Retry-After: " + "9" * 5_000], 0),
        (503, ["Retry-After: Sat, 21 Nov 2026 11:00:00 GMT"], 0),
        (503, ["Retry-After: 7", "Retry-After: 8"], 0),
        (429, [], 0),
        (503, [], None),
        (404, ["Retry-After: 7"], None),
    ],
)
def test_a_server_that_asks_for_patience_is_told_from_one_that_refuses(
    status: int, lines: list[str], seconds: int | None
) -> None:
    """SPEC LIM-3."""
    with pytest.raises(UpgradeRefused) as caught:
        client().receive_data("\r\n".join([f"HTTP/1.1 {status} No", *lines, "", ""]).encode())
    assert caught.value.retry_seconds == seconds


def test_a_reason_of_a_server_is_not_told_at_any_length() -> None:
    """It ends up in errors and logs."""
    with pytest.raises(UpgradeRefused) as caught:
        client().receive_data(b"HTTP/1.1 404 " + b"x" * 8_000 + b"\r\n\r\n")
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("host", "target"),
    [("a\r\nX: y", "/"), ("a\r\n\r\n", "/"), ("a", "/ x"), ("a", "x"), ("ä", "/"), ("a", "/\r\n"), ("a", "/" * 9_000)],
)
def test_a_request_that_cannot_be_made_is_not_made(host: str, target: str) -> None:
    with pytest.raises(ValueError, match="no request can be made for"):
        client(host, target)
