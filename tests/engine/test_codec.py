"""codec.py: packets to bytes and back, in any pieces, and nothing but RemoteProtocolError for any bytes."""

import itertools
import tracemalloc
from typing import Any

import pytest
from hawser_vectors.encoding import Wide
from hawser_vectors.encoding import encode as encode_wide
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine import cbor, codec, items
from hawser_engine.codec import (
    MAX_BATCH,
    MAX_BODY,
    ack_at,
    decode,
    decode_batch,
    encode,
    encode_ack,
    encode_message,
    encode_volatile,
    message_at,
    next_packet,
    volatile_at,
)
from hawser_engine.errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError
from hawser_engine.packets import Ack, Auth, Counts, Message, Packet, Ping, Pong, Reauth, Volatile
from tests.engine.shapes import SIZES, integers, packets

LENGTHS = (*SIZES, 65_535, 65_536)
PING = Ping(5, Counts(1, 2, 3))


def take_all(pieces: list[bytes]) -> list[Packet | None]:
    """Take every packet out of a stream that arrives in pieces, keeping only what is unfinished."""
    packets: list[Packet | None] = []
    rest = b""
    for piece in pieces:
        rest += piece
        position = 0
        while (taken := next_packet(rest, position)) is not None:
            packet, position = taken
            packets.append(packet)
        rest = rest[position:]
    assert rest == b""
    return packets


@given(packets())
def test_a_packet_comes_back(packet: Packet) -> None:
    data = encode(packet)
    assert decode(data) == packet
    assert next_packet(data, 0) == (packet, len(data))
    assert len(data) <= (codec.MAX_BODY_PACKET if isinstance(packet, (Message, Volatile)) else codec.MAX_PACKET)


@given(packets(), st.integers(0, 2**20))
def test_every_beginning_of_a_packet_is_unfinished(packet: Packet, cut: int) -> None:
    data = encode(packet)
    cut %= len(data)
    assert next_packet(data[:cut], 0) is None
    assert next_packet(data, 0, end=cut) is None
    assert next_packet(b"\xff" + data + b"\xff", 1, end=1 + cut) is None


@given(st.lists(packets(), min_size=1, max_size=5), st.lists(st.integers(0, 2**20), max_size=6))
def test_any_split_of_a_stream_gives_the_same_packets(sent: list[Packet], cuts: list[int]) -> None:
    """SPEC CAR-30."""
    data = b"".join(encode(packet) for packet in sent)
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
    assert take_all(pieces) == sent
    if len(data) <= MAX_BATCH:
        assert decode_batch(data) == sent


@given(st.lists(packets().filter(lambda packet: not isinstance(packet, (Message, Volatile))), min_size=1, max_size=2))
def test_a_stream_may_come_byte_by_byte(sent: list[Packet]) -> None:
    data = b"".join(encode(packet) for packet in sent)
    assert take_all([data[point : point + 1] for point in range(len(data))]) == sent


widths = st.sampled_from([None, 1, 2, 4, 8])


@given(st.booleans(), st.sampled_from(LENGTHS), widths, widths, widths, st.lists(st.integers(0, 9), max_size=2))
def test_a_message_is_the_same_however_it_is_written(
    more: bool, length: int, outer: int | None, kind: int | None, inner: int | None, tail: list[int]
) -> None:
    """The hand-made path and the general one agree (SPEC PKT-6, PKT-9)."""
    body = b"\x83" * length
    fits = inner is None or length < 1 << 8 * inner
    parts: list[Any] = [
        6 if kind is None else Wide(6, kind),
        more,
        Wide(body, inner) if inner and fits else body,
        *tail,
    ]
    data = encode_wide(parts if outer is None else Wide(parts, outer))
    assert next_packet(data, 0) == (Message(more, body), len(data))
    parts = [7 if kind is None else Wide(7, kind), *parts[2:]]
    data = encode_wide(parts if outer is None else Wide(parts, outer))
    assert next_packet(data, 0) == (Volatile(body), len(data))


@given(integers(0, 2**53), integers(0, 2**53), integers(0, 2**53), st.tuples(widths, widths, widths))
def test_an_ack_is_the_same_however_it_is_written(
    received: int, delivered: int, sent: int, heads: tuple[int | None, int | None, int | None]
) -> None:
    counts = (received, delivered, sent)
    usual = encode_ack(*counts)
    assert usual == encode_wide([8, counts]) == encode(Ack(Counts(*counts)))
    assert next_packet(usual, 0) == (Ack(Counts(*counts)), len(usual))
    wide = [
        Wide(count, width) if width and count < 1 << 8 * width else count
        for count, width in zip(counts, heads, strict=True)
    ]
    data = encode_wide([8, wide])
    assert next_packet(data, 0) == (Ack(Counts(*counts)), len(data))


@given(st.sampled_from([Ping, Pong]), integers(0, 2**53), st.tuples(*[integers(0, 2**53)] * 3))
def test_a_ping_and_a_pong_are_the_same_however_they_are_written(
    cls: type[Ping] | type[Pong], token: int, counts: tuple[int, int, int]
) -> None:
    packet = cls(token, Counts(*counts))
    data = encode(packet)
    assert data == encode_wide([cls.KIND, token, counts])
    for written in (data, encode_wide([cls.KIND, Wide(token, 8), counts])):
        assert next_packet(b"pad" + written + b"behind", 3) == (packet, 3 + len(written))
        assert next_packet(written, 0) == codec._any_packet(written, 0, len(written))  # pyright: ignore[reportPrivateUsage]
    assert encode(cls(token, None)) == encode_wide([cls.KIND, token, None])


@given(
    st.binary(max_size=3),
    st.sampled_from(
        [b"\x83\x06\xf4", b"\x83\x06\xf5", b"\x82\x07", b"\x82\x08\x83", b"\x83\x09\x00\x83", b"\x83\x0a\x17\x83"]
    ),
    st.binary(max_size=40),
)
def test_what_is_recognised_by_hand_is_what_the_general_path_finds(before: bytes, start: bytes, rest: bytes) -> None:
    data = before + start + rest
    position = len(before)
    try:
        general = codec._any_packet(data, position, len(data))  # pyright: ignore[reportPrivateUsage]
    except RemoteProtocolError:
        general = None
    try:
        assert next_packet(data, position) == general
    except RemoteProtocolError:
        assert general is None
    message, ack, volatile = message_at(data, position), ack_at(data, position), volatile_at(data, position)
    if message is not None:
        assert general == (Message(message[2], data[message[0] : message[1]]), message[1])
    if ack is not None:
        assert general == (Ack(Counts(*ack[:3])), ack[3])
    if volatile is not None:
        assert general == (Volatile(data[volatile[0] : volatile[1]]), volatile[1])


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize("more", [False, True])
def test_a_usual_message_is_recognised_in_place(length: int, more: bool) -> None:
    data = encode_message(b"\x61" * length, more)
    behind = b"pad" + data + b"behind"
    found = message_at(behind, 3)
    assert found is not None
    start, end, flag = found
    assert (behind[start:end], end, flag) == (b"\x61" * length, 3 + len(data), more)
    for cut in (*range(1, min(len(data), 9)), len(data) - 1):
        assert message_at(data[:cut], 0) is None


def test_what_has_another_head_is_left_to_the_general_path() -> None:
    for data in (
        b"\x84\x06\xf4\x41a\xf6",
        b"\x83\x06\xf6\x41a\x00",
        b"\x83\x07\xf4\x41a\x00",
        b"\x83\x06\xf4\x5a\x00\x00\x00\x01a",
        b"\x83\x06\xf4\x5a\x00\x01\x00\x01",
        b"\x83\x06\xf4\x5b\x00\x00\x00\x00\x00\x00\x00\x01a",
        encode(PING) + b"\x00" * 4,
    ):
        assert message_at(data, 0) is None
    for data in (
        b"\x82\x07\x5f\xff",
        b"\x82\x07\x61a",
        b"\x83\x07\x41a\xf6",
        b"\x82\x07",
        b"\x82\x07\x58",
        b"\x82\x07\x42a",
    ):
        assert volatile_at(data, 0) is None
    assert volatile_at(b"\x82\x07\x5a\x00\x01\x00\x01" + b"a" * 65_537, 0) is None
    for data in (
        b"\x82\x08\x84\x00\x00\x00\x00",
        b"\x82\x08\x83\x00\x00",
        b"\x82\x08\x83\x00\x20\x00",
        b"\x82\x08\x83\x1a\x00\x00",
    ):
        assert ack_at(data, 0) is None


def test_counts_of_any_usual_width_are_recognised_in_place() -> None:
    for counts in ((0, 23, 24), (255, 256, 65_535), (65_536, 2**32 - 1, 0)):
        data = b"pad" + encode_ack(*counts)
        assert ack_at(data, 3) == (*counts, len(data))
        assert ack_at(data[:-1], 3) is None
    assert ack_at(encode_ack(0, 0, 2**32), 0) is None


def test_a_body_too_long_for_one_packet_is_refused_before_anything_is_made() -> None:
    """SPEC PKT-7."""
    assert len(encode_message(b"x" * MAX_BODY, True)) == MAX_BODY + 8
    assert len(encode_volatile(b"x" * MAX_BODY)) == MAX_BODY + 7
    with pytest.raises(MessageTooLarge, match="MESSAGE: saw a body of 65537 bytes, expected at most 65536"):
        encode_message(b"x" * (MAX_BODY + 1), True)
    with pytest.raises(MessageTooLarge, match="VOLATILE: saw a body of 65537 bytes, expected at most 65536"):
        encode_volatile(b"x" * (MAX_BODY + 1))


@pytest.mark.parametrize(
    "counts", [(-1, 0, 0), (0, -1, 0), (0, 0, -1), (2**53 + 1, 0, 0), (0, 2**53 + 1, 0), (0, 0, 2**53 + 1)]
)
def test_counts_out_of_range_are_not_encoded(counts: tuple[int, int, int]) -> None:
    with pytest.raises(LocalProtocolError, match="expected counts from 0"):
        encode_ack(*counts)


@pytest.mark.parametrize(
    ("credentials", "text"),
    [({"k": b"x" * 16_384}, "AUTH: saw a length beyond"), ({"k": [0] * 1020}, "AUTH: saw more than 1024 items")],
)
def test_credentials_too_long_for_a_packet_are_refused_before_they_leave(
    credentials: dict[str, Any], text: str
) -> None:
    with pytest.raises(MessageTooLarge, match=text):
        encode(Auth(credentials))


def test_exactly_one_packet_is_wanted() -> None:
    data = encode(PING)
    assert decode(data) == PING
    for wrong, text in (
        (data[:-1], "goes on behind the last byte"),
        (data + b"\x00", "1 bytes behind the packet"),
        (b"", "goes on behind"),
        (b"\x81\x18\xc8", "unknown packet"),
    ):
        with pytest.raises(RemoteProtocolError, match=text):
            decode(wrong)


def test_a_batch_gives_the_packets_that_are_known() -> None:
    """SPEC PKT-3, PKT-5."""
    known: list[Packet] = [
        PING,
        Message(True, b"a"),
        Message(False, b""),
        Ack(Counts(1, 1, 2)),
        Volatile(b"x"),
        Reauth(None),
    ]
    data = b"\x81\x18\xc8".join(encode(packet) for packet in known)
    assert decode_batch(data) == known
    assert decode_batch(b"") == []
    with pytest.raises(RemoteProtocolError, match="in batch: saw the end of the batch inside a packet"):
        decode_batch(data[:-1])
    with pytest.raises(RemoteProtocolError, match="saw 131073 bytes, expected at most 131072"):
        decode_batch(b"\x00" * (MAX_BATCH + 1))


@given(st.binary(max_size=300))
def test_any_bytes_are_packets_or_unfinished_or_refused(data: bytes) -> None:
    position = 0
    clause = None
    try:
        while (taken := next_packet(data, position)) is not None:
            packet, end = taken
            assert position < end <= len(data)
            if packet is not None:
                assert repr(decode(encode(packet))) == repr(packet)
            position = end
    except RemoteProtocolError as error:
        clause = error.clause
    assert clause in {None, "PKT-1", "PKT-2", "PKT-6", "PKT-7", "PKT-8", "PKT-12", "PKT-13", "CLS-7"}


@given(st.lists(packets(), min_size=1, max_size=3), st.data())
def test_damaged_packets_are_packets_or_unfinished_or_refused(sent: list[Packet], draw: st.DataObject) -> None:
    data = bytearray(b"".join(encode(packet) for packet in sent))
    for _ in range(draw.draw(st.integers(1, 4))):
        place = draw.draw(st.integers(0, min(len(data) - 1, 120)))
        data[place] = draw.draw(st.integers(0, 255))
    whole = bytes(data)
    position = 0
    try:
        while (taken := next_packet(whole, position)) is not None:
            assert taken[1] > position
            position = taken[1]
    except RemoteProtocolError:
        pass


HOSTILE = {
    "arrays in arrays": b"\x83\x09\x05" + b"\x81" * 16_000,
    "empty arrays": b"\x99\x3f\xf0\x09\x05\xf6" + b"\x80" * 16_376,
    "empty maps": b"\x99\x3f\xf0\x09\x05\xf6" + b"\xa0" * 16_376,
    "small integers": b"\x82\x0b\xa1\x61k\x99\x3f\xf0" + b"\x00" * 16_376,
    "an array that is said to be huge": b"\x9b\x00\x1f\xff\xff\xff\xff\xff\xff\x09" + b"\x00" * 16_000,
    "a string that is said to be huge": b"\x82\x0b\xa1\x61k\x5b\x7f\xff\xff\xff\xff\xff\xff\xff" + b"\x00" * 16_000,
    "many keys": b"\x82\x0b\xb9\x07\xd0" + b"".join(b"\x64%04d\x00" % key for key in range(2000)),
    "as many items as there may be": encode(Auth({"k": [[]] * 1019})),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes_cost_little(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No more heads are read than a packet may have items, and next to nothing is kept: SPEC PKT-7."""
    data = HOSTILE[name]
    heads = 0
    read_head = cbor.read_head

    def counted(data: bytes, position: int, stop: int) -> tuple[int, int, int] | None:
        nonlocal heads
        heads += 1
        return read_head(data, position, stop)

    monkeypatch.setattr(cbor, "read_head", counted)
    monkeypatch.setattr(items, "read_head", counted)
    tracemalloc.start()
    try:
        next_packet(data, 0)
    except RemoteProtocolError:
        pass
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert heads <= items.MAX_ITEMS + 2
    assert peak < 300_000


def test_error_texts_name_the_packet() -> None:
    for data, text in (
        (b"\x82\x0b\xc1", "PROTOCOL_ERROR (remote) in AUTH: saw first byte 0xc1, expected no tag (SPEC PKT-6)"),
        (b"\x81\x0e", "in packet: saw the unknown kind 14, which may not be ignored (SPEC PKT-2)"),
        (b"\x00", "in packet: saw something else than an array with a kind in front (SPEC PKT-1)"),
        (b"\x82\x39", "in packet: saw a kind that is no integer from 0 to 255 (SPEC PKT-1)"),
        (b"\x82\x09\x05", "in PING: saw 2 items, expected at least 3 (SPEC PKT-8)"),
        (
            b"\x83\x09\x05\x82\x00\x00",
            "in PING: saw counts = list of length 2, expected an array of exactly 3 items (SPEC PKT-12)",
        ),
    ):
        with pytest.raises(RemoteProtocolError) as caught:
            next_packet(data + b"\x00" * 10, 0)
        assert text in str(caught.value)
