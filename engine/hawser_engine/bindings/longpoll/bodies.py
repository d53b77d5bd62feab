"""Bodies and batches, packet by packet: cutting what the session sends, and the receiver rule for what arrives."""

from collections.abc import Iterator
from typing import Final, NamedTuple

from hawser_engine.codec import MAX_BATCH, message_at, next_packet
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.packets import Ack, Message, Packet, Ping, Pong

from .fields import FIRST, fault

__all__ = ["Arrival", "Piece", "arrive", "pieces"]

_ABSENT: Final = (Ping, Pong, Ack)
"""What headers take the place of (SPEC CAR-26)."""


class Piece(NamedTuple):
    """One packet in a row of them."""

    start: int
    end: int
    counted: bool
    """Whether it is a MESSAGE."""
    packet: Packet | None
    """Any other packet; None for a MESSAGE, and for one of a kind that is unknown and may be ignored."""


class Arrival(NamedTuple):
    """What a body brings to its receiver."""

    batches: list[bytes]
    """What the session is to be given."""
    new: int
    """How many new MESSAGEs are in them."""
    packets: list[Packet]
    """The other packets in them, those that are faulty not among them."""
    ahead: bool
    """Whether the first MESSAGE has a number that is not the next one: then nothing is taken."""


def pieces(data: bytes) -> Iterator[Piece]:
    """Go through packets; stops before one that is unfinished or faulty."""
    position = 0
    while position < len(data):
        message = message_at(data, position)  # the path of nearly every packet builds nothing
        if message is not None:
            yield Piece(position, message[1], True, None)
            position = message[1]
            continue
        try:
            taken = next_packet(data, position)
        except RemoteProtocolError:
            return
        if taken is None:
            return
        packet, end = taken
        counted = isinstance(packet, Message)
        yield Piece(position, end, counted, None if counted else packet)
        position = end


def arrive(body: bytes, first: int | None, received: int) -> Arrival:
    """Apply the receiver rule to a body (SPEC CNT-4, CAR-19, CAR-21).

    What begins with a faulty or unfinished packet is a batch of its own, for the session to judge.

    Args:
        body: Its packets.
        first: The number of its first MESSAGE, as the header states it.
        received: The number of the last MESSAGE that the receiver has.

    Raises:
        RemoteProtocolError: It holds a MESSAGE and no number is stated, or a packet that headers take the place of.
    """
    usual = message_at(body, 0)
    if usual is not None and usual[1] == len(body) and first == received + 1:  # most bodies hold one message
        return Arrival([body], 1, [], ahead=False)
    spans: list[tuple[int, int]] = []
    packets: list[Packet] = []
    number = (first or 0) - 1
    count = end = 0
    for piece in pieces(body):
        end = piece.end
        if not piece.counted:
            if isinstance(piece.packet, _ABSENT):
                raise fault("CAR-26", "saw it in a body, expected its counts in a header", piece.packet.NAME)
            if piece.packet is not None:
                packets.append(piece.packet)
        elif first is None:
            raise fault("CAR-21", "saw a MESSAGE in the body, expected the number of the first one", FIRST)
        else:
            number += 1
            if number <= received:
                continue
            if number > received + 1 + count:
                return Arrival([], 0, [], ahead=True)
            count += 1
        if spans and spans[-1][1] == piece.start and end - spans[-1][0] <= MAX_BATCH:
            spans[-1] = spans[-1][0], end
        else:
            spans.append((piece.start, end))
    batches = [body[start:stop] for start, stop in spans]
    if end < len(body):
        batches.append(body[end : end + MAX_BATCH])
    return Arrival(batches, count, packets, ahead=False)
