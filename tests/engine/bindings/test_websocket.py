"""The two ends of a WebSocket: batches across, pings, closing, faults; every chunking alike."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine import Client, ClientConnection, CloseCode, EngineConfig
from hawser_engine.bindings.websocket import Ended, FrameLimits, MaskedFrames, SharedFrames, WebSocket
from hawser_engine.bindings.websocket.frames import CLOSE, PONG, close_payload
from hawser_engine.codec import decode_batch, encode
from hawser_engine.packets import Close
from tests.engine.bindings.peers import frame, streams

LIMITS = FrameLimits()


def server() -> WebSocket:
    return WebSocket(SharedFrames(), LIMITS)


def client() -> WebSocket:
    return WebSocket(MaskedFrames(lambda size: b"\x0f\xf0\x55\xaa"[:size]), LIMITS)


PAIRS = {"client to server": (client, server), "server to client": (server, client)}


@pytest.mark.parametrize("way", PAIRS)
def test_batches_arrive_as_they_were_sent(way: str) -> None:
    """SPEC CAR-3, CAR-1."""
    sender, receiver = (make() for make in PAIRS[way])
    batches = [b"a", b"b" * 126, b"c" * 70_000, b"d" * 131_072]
    data = sender.framer.batches(batches)
    got = [batch for at in range(0, len(data), 999) for batch in receiver.receive_data(data[at : at + 999])]
    assert got == batches
    assert receiver.data_to_send() == b""
    assert receiver.held_bytes == 0
    assert receiver.ended is None


def test_a_bound_holds_for_the_heads_that_come_while_it_stands() -> None:
    """SPEC PKT-14: of a peer that nobody knows yet nothing long is held, not even its beginning."""
    ours = server()
    ours.bound(8_192)
    assert ours.receive_data(frame(0x82, bytes(8_192)))[0] == bytes(8_192)
    ours.bound(None)
    assert ours.receive_data(frame(0x82, bytes(131_072)))[0] == bytes(131_072)
    ours.bound(10**9)
    ours.receive_data(frame(0x82, size=131_073)[:14])
    assert ours.ended is not None
    for data in (frame(0x82, size=8_193)[:4], frame(0x02, bytes(8_000)) + frame(0x00, size=193)[:4]):
        ours = server()
        ours.bound(8_192)
        assert ours.receive_data(data) == []
        assert ours.ended is not None
        assert ours.ended.code == 4_109
        assert ours.held_bytes == 0


def test_an_empty_batch_does_nothing() -> None:
    """SPEC PKT-5."""
    assert server().receive_data(frame(0x82) + frame(0x82, b"x") + frame(0x02) + frame(0x80)) == [b"x"]


@pytest.mark.parametrize("way", PAIRS)
def test_a_ping_is_answered_with_its_payload_and_of_many_the_newest(way: str) -> None:
    """SPEC CAR-6, CAR-32."""
    asker, answerer = (make() for make in PAIRS[way])
    to_client = answerer.framer.batches([b"x"])[1] < 0x80  # a server answers, and frames without masks
    pings = b"".join(frame(0x89, bytes((number,)), client=not to_client) for number in range(200))
    assert answerer.receive_data(pings) == []
    pong = answerer.data_to_send()
    assert pong[0] == PONG
    assert len(pong) == (3 if to_client else 7)
    assert asker.receive_data(pong) == []
    assert asker.ended is None
    assert answerer.data_to_send() == b""
    if to_client:
        assert pong == b"\x8a\x01\xc7"


@pytest.mark.parametrize("way", PAIRS)
def test_closing_is_answered_once_and_both_know(way: str) -> None:
    closer, other = (make() for make in PAIRS[way])
    closer.close(1_000, "done")
    closer.close(4_108, "never said")
    ended = other.receive_data(closer.data_to_send())
    assert ended == []
    assert other.ended == Ended(1_000, "done", by_peer=True)
    assert closer.receive_data(other.data_to_send()) == []
    assert closer.ended == Ended(1_000, "", by_peer=True)
    assert closer.data_to_send() == other.data_to_send() == b""
    other.receive_eof()
    assert other.ended == Ended(1_000, "done", by_peer=True)


def test_what_arrives_after_we_began_to_close_is_not_delivered_and_a_fault_changes_nothing() -> None:
    """SPEC CLS-3."""
    ours = server()
    ours.close(1_000)
    assert ours.receive_data(frame(0x82, b"late") + frame(0x89, b"late") + frame(0x82, b"later")) == []
    sent = ours.data_to_send()
    assert sent.startswith(b"\x88\x02\x03\xe8")
    assert ours.receive_data(frame(0x88, close_payload(4_302, ""))) == []
    assert ours.ended == Ended(4_302, "", by_peer=True)
    assert ours.receive_data(b"\xff\xff\xff") == []


def test_a_fault_is_answered_with_its_code_and_ends_it() -> None:
    """SPEC CAR-3, CAR-4."""
    ours = server()
    assert ours.receive_data(frame(0x82, b"good") + frame(0x81, b"text")) == [b"good"]
    assert ours.ended is not None
    assert (ours.ended.code, ours.ended.by_peer) == (1_003, False)
    answer = ours.data_to_send()
    assert answer[0] == CLOSE
    assert answer[2:4] == (1_003).to_bytes(2, "big")
    assert ours.receive_data(frame(0x82, b"late")) == []
    closing = client()
    closing.close(1_000)
    closing.receive_data(b"\xff\xff")
    assert closing.ended is not None
    assert closing.ended.code == 1_002
    assert closing.data_to_send().count(b"\x88\x82") == 1


@pytest.mark.parametrize("code", [None, 1_005, 1_006, 1_015])
def test_codes_that_must_not_be_sent_never_are(code: int | None) -> None:
    """A peer that sends one breaks RFC 6455; one that sends none is answered with none."""
    ours = server()
    ours.receive_data(frame(0x88, b"" if code is None else code.to_bytes(2, "big")))
    assert ours.ended is not None
    assert ours.ended.code == (1_005 if code is None else 1_002)
    answer = ours.data_to_send()
    assert answer == b"\x88\x00" if code is None else answer[2:4] == (1_002).to_bytes(2, "big")
    other = server()
    other.close(1_006 if code is None else code)
    assert other.data_to_send() == b"\x88\x00"


def test_a_link_that_ends_without_a_closing_frame_is_abnormal() -> None:
    ours = server()
    ours.receive_eof()
    assert ours.ended == Ended(1_006, "the link ended without a closing frame", by_peer=False)
    assert ours.data_to_send() == b""


@pytest.mark.parametrize(
    ("code", "reconnect", "resume"),
    [(4_100, True, True), (4_109, True, True), (4_200, True, False), (4_300, False, False), (4_399, False, False)],
)
def test_a_close_code_without_a_packet_is_read_as_one(code: int, reconnect: bool, resume: bool) -> None:
    """SPEC CAR-5, CLS-2."""
    (batch,) = client().receive_data(frame(0x88, close_payload(code, "x"), client=True))
    (packet,) = decode_batch(batch)
    assert packet == Close(code - 4_000, "WebSocket close", reconnect, resume, 0, 0, None, None)


@pytest.mark.parametrize("code", [1_000, 1_001, 3_000, 4_000, 4_099, 4_301, 4_400, 4_999])
def test_any_other_close_is_a_dead_link(code: int) -> None:
    """SPEC CAR-5; 4301 names no attempt, and without one SUPERSEDED says nothing (SPEC CLS-7)."""
    assert client().receive_data(frame(0x88, close_payload(code, ""), client=True)) == []


def test_a_session_that_has_the_packet_reads_no_code_after_it() -> None:
    """SPEC CAR-5: the packet says more, and it came first."""
    told: list[str] = []
    connection: ClientConnection = a_client_connection()
    link = client()
    packet = encode(Close(CloseCode.GOING_AWAY, "deploy", True, True, 5, 9, "ws://b", None))
    for batch in link.receive_data(
        frame(0x82, packet, client=True) + frame(0x88, close_payload(4_100, ""), client=True)
    ):
        connection.receive_batch(batch, 0.0)
    while (event := connection.next_event()) is not None:
        told.append(type(event).__name__)
    assert told == ["ConnectionTerminated"]


def a_client_connection() -> ClientConnection:
    return Client(EngineConfig(), 0.0).connect(0.0)


@given(chosen=st.data(), of_client=st.booleans())
def test_every_chunking_ends_alike(chosen: st.DataObject, of_client: bool) -> None:
    """The same batches, then the same end; only how many pings are answered may differ."""
    data = chosen.draw(streams(client=of_client))
    cuts = sorted(chosen.draw(st.sets(st.integers(0, len(data)), max_size=5)))
    outcomes: list[tuple[list[bytes], Ended | None]] = []
    for edges in ([0, len(data)], [0, *cuts, len(data)]):
        ours = client() if of_client else server()
        batches = [batch for start, end in pairwise(edges) for batch in ours.receive_data(data[start:end])]
        ours.receive_eof()
        outcomes.append((batches, ours.ended))
    assert outcomes[0] == outcomes[1]
