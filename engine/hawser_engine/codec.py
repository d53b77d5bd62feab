"""Packets to bytes and bytes to packets (SPEC PKT-1 to PKT-9).

Rare packets go through ``cbor.item_end`` and cbor2. MESSAGE, VOLATILE and ACK are nearly everything that moves, and
every long-poll request is a PING and a PONG to its session, so the heads that every encoder writes for them are packed
and recognised by hand; whatever else means the same takes the general path to the same result (a property test
compares the two).

Rule: the reading functions see only what has arrived. They say None when a packet is unfinished, and refuse one as
early as its heads show that it can never be right, so nobody buffers towards a packet that will be refused.
"""

import struct
from typing import Any, Final, cast

import cbor2

from .cbor import BYTES, MAX_INTEGER, UINT, broken, decode_value, encode_head, encode_value, item_end, load, read_head
from .codes import CloseCode
from .errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError
from .items import IGNORABLE, MAX_ITEMS, build, kind_at, wire_items
from .packets import MAX_BODY, PACKETS, Ack, Counts, Message, Packet, Ping, Pong, Volatile

__all__ = [
    "MAX_BATCH",
    "MAX_BODY",
    "MAX_BODY_PACKET",
    "MAX_PACKET",
    "TOKENS",
    "ack_at",
    "decode",
    "decode_batch",
    "decode_value",
    "encode",
    "encode_ack",
    "encode_message",
    "encode_probe",
    "encode_value",
    "encode_volatile",
    "message_at",
    "next_packet",
    "probe_at",
    "volatile_at",
]

MAX_PACKET: Final = 16_384
"""Longest packet in bytes, but for MESSAGE and VOLATILE; as much as node.js allows for a whole HTTP head."""

MAX_BODY_PACKET: Final = MAX_BODY + 64
"""Longest MESSAGE or VOLATILE in bytes: the body, heads of any length, and a small unknown tail."""

MAX_BATCH: Final = 131_072
"""Longest batch in bytes."""

_WITH_BODY: Final = frozenset((Message.KIND, Volatile.KIND))

# The usual MESSAGE is 83 06, f4 or f5, then the head of a byte string. By its first four bytes as one integer:
_TINY: Final = {
    0x8306F440 + (more << 8) + length: (more, length) for more in (False, True) for length in range(24)
}  # nothing more to read
_SHORT: Final = {0x8306F458: False, 0x8306F558: True}  # one byte of length follows
_LONG: Final = {0x8306F459: False, 0x8306F559: True}  # two bytes
_FULL: Final = {0x8306F45A: False, 0x8306F55A: True}  # four bytes, which only a body of 65,536 needs
_PROBES: Final = {Ping.KIND: b"\x83\x09", Pong.KIND: b"\x83\x0a"}
_PROBE_HEADS: Final[dict[bytes, type[Ping] | type[Pong]]] = {b"\x83\x09": Ping, b"\x83\x0a": Pong}
TOKENS: Final = 24
"""Tokens below are one byte."""
_WORDS: Final = struct.Struct(">IH")
_U32: Final = struct.Struct(">I")
_SMALL_HEADS: Final = tuple(
    tuple(start + encode_head(BYTES, length) for length in range(256)) for start in (b"\x83\x06\xf4", b"\x83\x06\xf5")
)


def encode(packet: Packet) -> bytes:
    """Encode any packet.

    Raises:
        MessageTooLarge: Its credentials make it longer than 16,384 bytes or 1,024 items.

    Spec: PKT-1, PKT-7, PKT-9.
    """
    if isinstance(packet, Message):
        return encode_message(packet.body, packet.more)
    if isinstance(packet, Volatile):
        return encode_volatile(packet.body)
    if isinstance(packet, Ping | Pong) and packet.counts is not None:
        received, delivered, sent = packet.counts.received, packet.counts.delivered, packet.counts.sent
        return _PROBES[packet.KIND] + encode_head(UINT, packet.token) + encode_ack(received, delivered, sent)[2:]
    data = cbor2.dumps([packet.KIND, *wire_items(packet)])
    if len(data) <= MAX_ITEMS:  # each item takes a byte, so it is within both limits
        return data
    try:
        item_end(data, 0, len(data), bound=MAX_PACKET, items=MAX_ITEMS)
    except RemoteProtocolError as error:
        raise MessageTooLarge(CloseCode.TOO_LARGE, error.clause, error.detail, packet.NAME) from None
    return data


def encode_message(body: bytes, more: bool) -> bytes:
    """Encode one MESSAGE.

    Args:
        body: The part, at most 65,536 bytes.
        more: Whether the next MESSAGE goes on with the same application message.

    Raises:
        MessageTooLarge: The part is longer than one packet carries.

    Spec: PKT-7, PKT-9.
    """
    length = len(body)
    # 0.2 µs for 256 bytes. Of the ways tried for long bodies one struct is the fastest: joining pieces of a head, or
    # int.to_bytes, takes a quarter to a half more.
    if length < 0x100:
        return _SMALL_HEADS[more][length] + body
    if length < 0x10000:
        return _WORDS.pack(0x8306F559 if more else 0x8306F459, length) + body
    if length == MAX_BODY:
        return (b"\x83\x06\xf5\x5a\x00\x01\x00\x00" if more else b"\x83\x06\xf4\x5a\x00\x01\x00\x00") + body
    raise _oversize(length, "MESSAGE")


def encode_volatile(body: bytes) -> bytes:
    """Encode one VOLATILE of at most 65,536 bytes.

    Raises:
        MessageTooLarge: The body is longer than one packet carries.

    Spec: PKT-7, CNT-7.
    """
    if len(body) > MAX_BODY:
        raise _oversize(len(body), "VOLATILE")
    return b"\x82\x07" + encode_head(BYTES, len(body)) + body


def encode_ack(received: int, delivered: int, sent: int) -> bytes:
    """Encode one ACK with the sender's counts.

    Raises:
        LocalProtocolError: A count is negative or beyond 2^53.

    Spec: ACK-1, CNT-5.
    """
    if not (0 <= received <= MAX_INTEGER and 0 <= delivered <= MAX_INTEGER and 0 <= sent <= MAX_INTEGER):
        detail = f"saw {received}, {delivered}, {sent}, expected counts from 0 to 2^53"
        raise LocalProtocolError(CloseCode.PROTOCOL_ERROR, "PKT-8", detail, "ACK")
    return b"\x82\x08\x83" + encode_head(UINT, received) + encode_head(UINT, delivered) + encode_head(UINT, sent)


def message_at(data: bytes, position: int) -> tuple[int, int, bool] | None:
    """Recognise a whole MESSAGE with its usual head, without building anything.

    Args:
        data: The bytes; ``bytes`` itself, for slices of it are bodies.
        position: Where a packet starts.

    Returns:
        (start of the body, end of the body and of the packet, more); None if ``next_packet`` has to look.

    Spec: PKT-9.
    """
    # 0.4 to 0.5 µs together with cutting out 256 bytes. Four bytes as one integer against dicts is the fastest way
    # tried: a dict of slices takes half as long again, byte by byte twice as long, finding the end for cbor2 more.
    try:
        word, length = _WORDS.unpack_from(data, position)
    except struct.error:
        return None
    more = _LONG.get(word)
    if more is not None:
        start = position + 6
    elif word in _TINY:
        more, length = _TINY[word]
        start = position + 4
    elif word in _SHORT:
        more = _SHORT[word]
        length >>= 8
        start = position + 5
    elif word in _FULL and data[position + 4 : position + 8] == b"\x00\x01\x00\x00":
        more = _FULL[word]
        length = MAX_BODY
        start = position + 8
    else:
        return None
    end = start + length
    return (start, end, more) if end <= len(data) else None


def volatile_at(data: bytes, position: int) -> tuple[int, int] | None:
    """Recognise a whole VOLATILE with its usual head, without building anything.

    Args:
        data: The bytes.
        position: Where a packet starts.

    Returns:
        (start of the body, end of the body and of the packet); None if ``next_packet`` has to look.

    Spec: PKT-9.
    """
    position += 2
    # 0x40 to 0x5b begin a byte string of definite length.
    if not data.startswith(b"\x82\x07", position - 2) or not b"\x40" <= data[position : position + 1] <= b"\x5b":
        return None
    head = read_head(data, position, len(data))
    if head is None or head[1] > MAX_BODY:
        return None
    end = head[2] + head[1]
    return (head[2], end) if end <= len(data) else None


def ack_at(data: bytes, position: int) -> tuple[int, int, int, int] | None:
    """Recognise a whole ACK with its usual head, without building anything.

    Args:
        data: The bytes.
        position: Where a packet starts.

    Returns:
        (received, delivered, sent, end of the packet); None if ``next_packet`` has to look.

    Spec: PKT-9.
    """
    return _counts_at(data, position + 3) if data.startswith(b"\x82\x08\x83", position) else None


def probe_at(data: bytes, position: int, cls: type[Ping] | type[Pong]) -> tuple[int, int, int, int, int] | None:
    """Recognise a whole PING or PONG with counts, a token below 24 and its usual head, without building anything.

    Args:
        data: The bytes.
        position: Where a packet starts.
        cls: Which of the two.

    Returns:
        (token, received, delivered, sent, end of the packet); None if ``next_packet`` has to look.

    Spec: PKT-9.
    """
    if (
        _PROBE_HEADS.get(data[position : position + 2]) is not cls
        or data[position + 2 : position + 3] >= b"\x18"
        or not data.startswith(b"\x83", position + 3)
    ):
        return None
    counts = _counts_at(data, position + 4)
    return None if counts is None else (data[position + 2], *counts)


def encode_probe(cls: type[Ping] | type[Pong], token: int, received: int, delivered: int, sent: int) -> bytes:
    """Encode one PING or PONG with counts and a token below 24: it is the ACK of these counts but for the head.

    Raises:
        LocalProtocolError: A count is negative or beyond 2^53.

    Spec: PKT-9.
    """
    assert token < TOKENS, "others take more than a byte"
    return bytes((0x83, cls.KIND, token)) + encode_ack(received, delivered, sent)[2:]


def _counts_at(data: bytes, position: int) -> tuple[int, int, int, int] | None:
    """Read three counts with their usual heads, and where they end."""
    counts: list[int] = []
    try:
        # 0.6 to 0.9 µs. Written out three times it would be a quarter faster; cbor2 takes as long, without any check.
        for _ in range(3):
            byte = data[position]
            if byte < 24:
                counts.append(byte)
                position += 1
            elif byte == 0x19:
                counts.append(data[position + 1] << 8 | data[position + 2])
                position += 3
            elif byte == 0x18:
                counts.append(data[position + 1])
                position += 2
            elif byte == 0x1A:
                counts.append(_U32.unpack_from(data, position + 1)[0])
                position += 5
            else:
                return None
    except (IndexError, struct.error):
        return None
    return counts[0], counts[1], counts[2], position


def next_packet(data: bytes, position: int, *, end: int | None = None) -> tuple[Packet | None, int] | None:
    """Take the packet at ``position`` out of a stream of packets of which any prefix may be at hand.

    Args:
        data: The bytes.
        position: Where the packet starts.
        end: Where the bytes at hand end; None for the end of ``data``.

    Returns:
        (the packet, where the next one starts). The packet is None if its kind is unknown and may be ignored. Nothing
        but None if the packet is unfinished, or none has begun.

    Raises:
        RemoteProtocolError: The bytes can never become a packet, whatever follows.

    Spec: PKT-1, PKT-2, PKT-3, PKT-4, PKT-6, PKT-7, PKT-8.
    """
    stop = len(data) if end is None else end
    message = message_at(data, position)
    if message is not None and message[1] <= stop:
        return Message(message[2], data[message[0] : message[1]]), message[1]
    ack = ack_at(data, position)
    if ack is not None and ack[3] <= stop:
        return Ack(Counts(*ack[:3])), ack[3]
    volatile = volatile_at(data, position)
    if volatile is not None and volatile[1] <= stop:
        return Volatile(data[volatile[0] : volatile[1]]), volatile[1]
    cls = _PROBE_HEADS.get(data[position : position + 2])
    probe = None if cls is None else probe_at(data, position, cls)
    if cls is not None and probe is not None and probe[4] <= stop:
        return cls(probe[0], Counts(*probe[1:4])), probe[4]
    return _any_packet(data, position, stop)


def decode(data: bytes) -> Packet:
    """Decode bytes that must be exactly one known packet.

    Raises:
        RemoteProtocolError: They are not.

    Spec: PKT-1.
    """
    taken = next_packet(data, 0)
    if taken is None:
        raise broken("PKT-5", "saw a packet that goes on behind the last byte").at("packet")
    packet, end = taken
    if end < len(data):
        raise broken("PKT-5", f"saw {len(data) - end} bytes behind the packet, expected none").at("packet")
    if packet is None:
        raise broken("PKT-3", "saw an unknown packet, expected one that this side knows").at("packet")
    return packet


def decode_batch(data: bytes) -> list[Packet]:
    """Decode a batch: packets one behind the other, without those that are unknown and may be ignored.

    Raises:
        RemoteProtocolError: The batch is too long, a packet is wrong, or the last one is cut.

    Spec: PKT-3, PKT-5.
    """
    if len(data) > MAX_BATCH:
        raise broken("PKT-5", f"saw {len(data)} bytes, expected at most {MAX_BATCH}").at("batch")
    packets: list[Packet] = []
    position = 0
    while position < len(data):
        taken = next_packet(data, position)
        if taken is None:
            raise broken("PKT-5", "saw the end of the batch inside a packet").at("batch")
        packet, position = taken
        if packet is not None:
            packets.append(packet)
    return packets


def _any_packet(data: bytes, position: int, stop: int) -> tuple[Packet | None, int] | None:
    """Do what ``next_packet`` does, whatever the heads look like."""
    where = "packet"
    try:
        kind = kind_at(data, position, stop, "PKT-1")
        if kind is None:
            return None
        cls = PACKETS.get(kind)
        if cls is not None:
            where = cls.NAME
        elif kind not in IGNORABLE:
            raise broken("PKT-2", f"saw the unknown kind {kind}, which may not be ignored")
        bound = position + (MAX_BODY_PACKET if kind in _WITH_BODY else MAX_PACKET)
        end = item_end(data, position, stop, bound=bound, longest=MAX_BODY, items=MAX_ITEMS)
        if end is None:
            return None
        # What is ignored has to be sound all the same, or two implementations would differ.
        items = cast("list[Any]", load(data[position:end]))
        return (None if cls is None else build(cls, items)), end
    except RemoteProtocolError as error:
        raise error.at(where) from None


def _oversize(length: int, where: str) -> MessageTooLarge:
    return MessageTooLarge(
        CloseCode.TOO_LARGE, "PKT-7", f"saw a body of {length} bytes, expected at most {MAX_BODY}", where
    )
