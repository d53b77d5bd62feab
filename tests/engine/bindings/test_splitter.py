"""The frame splitter against wsproto alone, and its limits."""

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol

from hawser_engine.bindings.websocket.splitter import (
    Closed,
    Failed,
    FrameEvent,
    FrameLimits,
    FrameSplitter,
    Ping,
    Pong,
)
from tests.engine.bindings.oracle import RATE, TEXT, TOO_LARGE, expected
from tests.engine.bindings.peers import bytewise, frame, streams

SMALL = FrameLimits(message_bytes=300, fragments=4, controls=5)
HEAD_BYTES = 14


def split(pieces: list[bytes], limits: FrameLimits, *, client: bool = False) -> list[FrameEvent]:
    """Feed pieces; check after each that no more is held than the limits allow (SPEC LIM-4)."""
    splitter = FrameSplitter(limits, client=client)
    events: list[FrameEvent] = []
    for piece in pieces:
        events += splitter.receive_data(piece)
        assert splitter.held_bytes <= limits.message_bytes + HEAD_BYTES
        if events and isinstance(events[-1], Closed | Failed):
            assert splitter.held_bytes == 0
    return events


@pytest.mark.parametrize("client", [False, True])
@settings(max_examples=settings().max_examples * 4)
@given(chosen=st.data())
def test_the_events_are_those_of_wsproto_alone_and_every_chunking_means_the_same(
    client: bool, chosen: st.DataObject
) -> None:
    """Within the limits equal to wsproto's, its errors included; beyond them the same refusal behind the same events.

    SPEC CAR-3, CAR-4.
    """
    data = chosen.draw(streams(client=client))
    whole = split([data], SMALL, client=client)
    events, code = expected(data, SMALL, client=client)
    if code is None:
        assert whole == events
    else:
        assert whole[:-1] == events
        assert isinstance(whole[-1], Failed)
        assert whole[-1].code == code
    cuts = chosen.draw(st.sets(st.integers(0, len(data)), max_size=6))
    edges = [0, *sorted(cuts), len(data)]
    assert split([data[start:end] for start, end in pairwise(edges)], SMALL, client=client) == whole
    if len(data) < 3_000:
        assert split(bytewise(data), SMALL, client=client) == whole


@pytest.mark.parametrize("client", [False, True])
@pytest.mark.parametrize("size", [0, 1, 125, 126, 65_535, 65_536, 131_072])
def test_a_whole_message_of_any_size_is_one_event_in_any_pieces(client: bool, size: int) -> None:
    """SPEC CAR-3, PKT-5."""
    payload = bytes(at % 253 for at in range(size))
    data = frame(0x82, payload, client=client) * 2
    for step in (len(data), 65_536, 1_000):
        pieces = [data[at : at + step] for at in range(0, len(data), step)]
        assert split(pieces, FrameLimits(), client=client) == [payload, payload]


@pytest.mark.parametrize("size", [131_073, 2**16 + 131_072, 2**31, 2**32, 2**62, 2**63 - 1])
@pytest.mark.parametrize("first", [0x82, 0x02, 0x00])
def test_a_frame_that_announces_too_much_is_refused_before_any_of_it_is_held(first: int, size: int) -> None:
    """SPEC CAR-4: judged by its head, whole or byte by byte, whatever follows."""
    data = frame(first, b"x" * 5_000, size=size)
    for pieces in ([data], bytewise(data[:20]), [data[:10]]):
        (failed,) = split(pieces, FrameLimits())
        assert isinstance(failed, Failed)
        assert failed.code == TOO_LARGE


@pytest.mark.parametrize("size", [2**63, 2**64 - 1])
def test_a_length_with_its_highest_bit_set_is_wsprotos_to_refuse(size: int) -> None:
    data = b"\x82\xff" + size.to_bytes(8, "big")
    assert split([data], FrameLimits()) == [Failed(1_002, "8-byte payload length with non-zero MSB")]


def test_fragments_are_counted_and_empty_ones_too() -> None:
    """SPEC CAR-4: 64 are taken, the head of the 65th is refused, with a million more behind it."""
    start, more = frame(0x02), frame(0x00)
    assert split([start + more * 62 + frame(0x80, b"x")], FrameLimits()) == [b"x"]
    flood = start + more * 1_000_000
    (failed,) = split([flood], FrameLimits())
    assert isinstance(failed, Failed)
    assert failed.code == TOO_LARGE
    again = FrameSplitter(FrameLimits(), client=False)
    assert again.receive_data(start + more * 63) == []
    assert again.receive_data(more[:2])[0] == failed


def test_the_sizes_of_fragments_add_up() -> None:
    data = frame(0x02, b"a" * 200) + frame(0x00, b"b" * 100) + frame(0x80)
    assert split([data], SMALL) == [b"a" * 200 + b"b" * 100]
    (failed,) = split([frame(0x02, b"a" * 200) + frame(0x80, size=101)[:2]], SMALL)
    assert isinstance(failed, Failed)
    assert failed.code == TOO_LARGE


def test_the_counts_begin_anew_with_each_message() -> None:
    message = frame(0x02, b"a" * 150) + frame(0x89) * 5 + frame(0x80, b"b" * 150)
    events = split([message * 3 + frame(0x8A) * 5 + frame(0x82, b"x") + frame(0x8A) * 5], SMALL)
    assert [event for event in events if isinstance(event, bytes)] == [b"a" * 150 + b"b" * 150] * 3 + [b"x"]
    assert sum(isinstance(event, Ping) for event in events) == 15
    assert sum(isinstance(event, Pong) for event in events) == 10


@pytest.mark.parametrize("first", [0x89, 0x8A])
def test_a_flood_of_control_frames_ends_the_connection(first: int) -> None:
    """SPEC CAR-32."""
    events = split([frame(first) * 100_000], FrameLimits())
    assert len(events) == 1_001
    assert isinstance(events[-1], Failed)
    assert events[-1].code == RATE


@pytest.mark.parametrize("empty", [frame(0x82), frame(0x02) + frame(0x80)], ids=["whole", "in fragments"])
def test_a_flood_of_empty_messages_ends_the_connection_too(empty: bytes) -> None:
    """SPEC CAR-34: each costs its sender six bytes, and would let a thousand pings begin anew."""
    events = split([empty * 100_000], FrameLimits())
    assert events[:-1] == [b""] * 1_001
    assert isinstance(events[-1], Failed)
    assert events[-1].code == RATE
    mixed = (frame(0x89) * 4 + empty) * 2 + frame(0x82, b"late")
    events = split([mixed], SMALL)
    assert isinstance(events[-1], Failed)
    assert events[-1].code == RATE
    assert split([empty * 5 + frame(0x82, b"x") + empty * 5], SMALL) == [*[b""] * 5, b"x", *[b""] * 5]


@pytest.mark.parametrize("first", [0x81, 0x01])
def test_text_is_refused_by_its_head(first: int) -> None:
    """SPEC CAR-3."""
    (failed,) = split([frame(first, size=60_000)[:4]], FrameLimits())
    assert isinstance(failed, Failed)
    assert failed.code == TEXT


def test_nothing_is_read_behind_the_end() -> None:
    splitter = FrameSplitter(FrameLimits(), client=False)
    assert splitter.receive_data(frame(0x88, b"\x03\xe8bye") + frame(0x82, b"late")) == [Closed(1_000, "bye")]
    assert splitter.receive_data(frame(0x82, b"later")) == []
    assert splitter.held_bytes == 0


def test_an_exception_that_nobody_expects_ends_the_connection_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Containment: a fault planted into wsproto, for none is known that our heads let through."""

    def broken(self: FrameProtocol, data: bytes) -> None:
        raise UnicodeDecodeError("ascii", b"\xff", 0, 1, "planted")

    monkeypatch.setattr(FrameProtocol, "receive_bytes", broken)
    data = frame(0x82, b"good") + frame(0x89) + frame(0x82, b"lost")
    assert split([data], FrameLimits()) == [b"good", Failed(1_002, "unreadable frame (UnicodeDecodeError)")]


@pytest.mark.parametrize("field", ["message_bytes", "fragments", "controls"])
def test_a_limit_that_is_none_is_refused_by_name(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        FrameLimits(**{field: 0})
