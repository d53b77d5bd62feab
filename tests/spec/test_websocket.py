"""The vectors of the WebSocket carriage against the engine's binding; in tests/transports they meet real links."""

import itertools
from collections.abc import Iterator
from typing import Any

import pytest
from wsproto.frame_protocol import Opcode
from wsproto.utilities import generate_accept_token

from hawser_engine.bindings.head import HeadGate, HeadLimits, HeadRefused
from hawser_engine.bindings.websocket import (
    CLOSE_CODES,
    ClientHandshake,
    FrameLimits,
    MaskedFrames,
    SharedFrames,
    UpgradeRefused,
    WebSocket,
    accept_upgrade,
)
from hawser_transports.urls import parse_url
from tests.spec.vector_files import data_of, head_of
from tests.spec.websocket_cases import CASES, check_headers, frames_of, named, outcome, wanted

LIMITS = HeadLimits()
SCHEMES = ("ws", "wss")
NEVER_SENT = (1_005, 1_006, 1_015)


def pieces(data: bytes) -> Iterator[list[bytes]]:
    """Whole, in two pieces, one by one; of long ones the places near the ends and some between."""
    yield [data]
    points = [each for each in range(1, len(data)) if len(data) < 200 or each < 8 or each > len(data) - 8]
    points += range(8, len(data) - 8, 9_973)
    for point in points:
        yield [data[:point], data[point:]]
    edges = [0, *sorted({*points, *range(0, len(data), 997)}), len(data)]
    yield [data[start:end] for start, end in itertools.pairwise(edges)]


def test_there_are_enough_and_they_say_what_they_prove() -> None:
    assert len(CASES) > 200
    assert {clause for _, case in CASES for clause in case["spec"]} >= {f"CAR-{number}" for number in range(3, 10)}


@named("response", "server")
def test_a_server_makes_the_upgrades_it_has_to_and_no_others(case: dict[str, Any]) -> None:
    """SPEC CAR-3, CAR-7, CAR-8, CAR-33."""
    request = head_of(case["request"])
    for step in (len(request), 1_000, 7):
        gate = HeadGate(request=True, limits=LIMITS)
        answer, clause = None, None
        try:
            for at in range(0, len(request), step):
                head = gate.receive_data(request[at : at + step])
                if head is not None:
                    answer = accept_upgrade(head, origins=case["origins"])
                    break
        except HeadRefused as refused:
            clause = refused.clause
        assert clause == case.get("refused")
        if clause is None:
            assert answer is not None
            response = HeadGate(request=False, limits=LIMITS).receive_data(answer)
            assert response is not None
            assert int(response.start[1]) == case["response"]["status"]
            check_headers(response, case["response"]["headers"])
            assert not any(response.values(name.encode()) for name in case["response"]["absent"])


@named("url", "client")
def test_a_client_asks_as_it_has_to_and_believes_no_other_answer(case: dict[str, Any]) -> None:
    """SPEC CAR-3, CAR-9."""
    if "request" not in case:
        with pytest.raises(ValueError, match="SEC-5"):
            parse_url(case["url"], SCHEMES)
        return
    place = parse_url(case["url"], SCHEMES)
    for step in (100_000, 7, 1):
        ours = ClientHandshake(place.authority, place.target, random_bytes=bytes, limits=LIMITS)
        request = HeadGate(request=True, limits=LIMITS).receive_data(ours.request)
        assert request is not None
        assert request.start == (b"GET", case["request"]["target"].encode(), b"HTTP/1.1")
        check_headers(request, case["request"]["headers"])
        assert b"t0p" not in ours.request
        (key,) = request.values(b"sec-websocket-key")
        response = head_of(case["response"], generate_accept_token(key))
        rest, refused = None, False
        try:
            for at in range(0, len(response), step):
                rest = ours.receive_data(response[at : at + step])
        except UpgradeRefused:
            refused = True
        assert refused == ("refused" in case)
        assert refused or rest == b""


def play(case: dict[str, Any], stream: list[bytes]) -> dict[str, Any]:
    """Feed a stream in pieces; return what came of it, in the form of a case."""
    framer = SharedFrames() if case["role"] == "server" else MaskedFrames(lambda size: b"\xa5" * size)
    ours = WebSocket(framer, FrameLimits())
    batches: list[bytes] = []
    sent = b""
    for piece in stream:
        batches += ours.receive_data(piece)
        sent += ours.data_to_send()
    if "say" in case:
        ours.close(CLOSE_CODES + case["say"])
        batches += ours.receive_data(stream[0])
        sent += ours.data_to_send()
    return outcome(batches, sent, case, over=ours.ended is not None)


@pytest.mark.parametrize("role", ["server", "client"])
def test_the_writer_of_closing_frames_never_writes_what_must_not_be_sent(role: str) -> None:
    """SPEC CAR-5: the reader of `frames_of` would refuse it."""
    for code in NEVER_SENT:
        ours = WebSocket(SharedFrames() if role == "server" else MaskedFrames(bytes), FrameLimits())
        ours.close(code)
        assert list(frames_of(ours.data_to_send(), role)) == [(Opcode.CLOSE, (1_005, ""))]


@named("frames", "server")
def test_a_stream_at_a_server(case: dict[str, Any]) -> None:
    """SPEC CAR-3, CAR-4, CAR-5, CAR-6, CAR-32."""
    check_stream(case)


@named("frames", "client")
def test_a_stream_at_a_client(case: dict[str, Any]) -> None:
    """SPEC CAR-3, CAR-4, CAR-5, CAR-6, CAR-32."""
    check_stream(case)


def check_stream(case: dict[str, Any]) -> None:
    data = data_of(case["hex"])
    for stream in pieces(data):
        assert play(case, stream) == wanted(case), [len(piece) for piece in stream[:3]]
    if "end" in case:
        behind = b"\x82\x84\x11\x22\x33\x44late" if case["role"] == "server" else b"\x82\x04late"
        assert play(case, [data, behind]) == play(case, [data + behind]) == wanted(case)
