"""Packets to bytes and back: the packed heads of what moves all the time, beside cbor2 for everything."""

from collections.abc import Callable
from io import BytesIO
from itertools import repeat
from typing import Any

import cbor2

from hawser_engine.codec import ack_at, encode, encode_ack, encode_message, message_at, next_packet
from hawser_engine.messages import decode_message, encode_publication
from hawser_engine.packets import Counts, Message, Ping

from .measure import Case, Plan, Round, Timed

__all__ = ["CASES"]

BODY = bytes(range(256))
PACKETS = 30
BATCH = encode_message(BODY, more=False) * PACKETS
ACK = encode_ack(1_000, 990, 70_000)
PING = Ping(7, Counts(1_000, 990, 70_000))
PING_BYTES = encode(PING)
EPOCH = b"12345678"
PUBLICATION = encode_publication("room:lobby", EPOCH, 70_000, BODY)


def _each(step: Callable[..., Any], *arguments: Any) -> Callable[[Plan], Round]:
    def start(plan: Plan) -> Round:
        def run() -> int:
            for _ in repeat(None, plan.loops):
                step(*arguments)
            return plan.loops

        return Round(run)

    return start


def _bodies(read: Callable[[bytes], list[bytes]]) -> Callable[[Plan], Round]:
    """Take the bodies out of a batch, which is what a receiver has to do; a loop is worth one figure per packet."""
    assert read(BATCH) == [BODY] * PACKETS

    def start(plan: Plan) -> Round:
        def run() -> int:
            for _ in repeat(None, max(1, plan.loops // PACKETS)):
                read(BATCH)
            return max(1, plan.loops // PACKETS) * PACKETS

        return Round(run)

    return start


def _read_heads(data: bytes) -> list[bytes]:
    bodies: list[bytes] = []
    position = 0
    while (found := message_at(data, position)) is not None:
        start, position, _ = found
        bodies.append(data[start:position])
    return bodies


def _read_objects(data: bytes) -> list[bytes]:
    bodies: list[bytes] = []
    position = 0
    while (found := next_packet(data, position)) is not None:
        packet, position = found
        assert isinstance(packet, Message)
        bodies.append(packet.body)
    return bodies


def _read_cbor2(data: bytes) -> list[bytes]:
    stream = BytesIO(data)
    decoder = cbor2.CBORDecoder(stream)
    return [decoder.decode()[2] for _ in range(PACKETS)]


CASES: list[Case] = [
    Timed("codec: encode MESSAGE", "packet", _each(encode_message, BODY, False)),
    Timed("codec: encode MESSAGE, cbor2", "packet", _each(cbor2.dumps, [6, False, BODY])),
    Timed("codec: recognise MESSAGE", "packet", _bodies(_read_heads)),
    Timed("codec: recognise MESSAGE, as an object", "packet", _bodies(_read_objects)),
    Timed("codec: recognise MESSAGE, cbor2", "packet", _bodies(_read_cbor2)),
    Timed("codec: encode ACK", "packet", _each(encode_ack, 1_000, 990, 70_000)),
    Timed("codec: recognise ACK", "packet", _each(ack_at, ACK, 0)),
    Timed("codec: encode PING", "packet", _each(encode, PING)),
    Timed("codec: decode PING", "packet", _each(next_packet, PING_BYTES, 0)),
    Timed("codec: encode PUBLICATION", "message", _each(encode_publication, "room:lobby", EPOCH, 70_000, BODY)),
    Timed("codec: decode PUBLICATION", "message", _each(decode_message, PUBLICATION)),
]
