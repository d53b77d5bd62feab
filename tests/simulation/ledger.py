"""What an onlooker writes down about a long-poll link, and what comes out of it at either end.

Rule: as in ``books``, nothing here asks the engine; it is filled from requests, replies and what sessions are given.

C1: a MESSAGE comes out of a link under the number and with the body under which it went in, once and in order; what is
not counted comes out at most once. C2 is about requests (``asking``), C3, C4 and C6 about replies (``answering``), C5:
a request reaches the connection that it names as long as that lives, and no other.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from hawser_engine.codec import message_at, next_packet
from hawser_engine.packets import Message, Packet, Ping

from .books import Direction, Pair, Violation

if TYPE_CHECKING:
    from .chains import Chain

__all__ = ["Arrivals", "Page", "check_body", "counts_of", "walk"]

_PING: Final = b"\x83\x09\x00"
_LONGEST_PING: Final = 31


class Page:
    """What the books of a link have in common; it holds those of what comes out."""

    def __init__(self, chain: "Chain") -> None:
        self._chain = chain

    def _pair(self, side: int) -> Pair | None:
        """Return the session that a side takes part in, as long as its books hold."""
        pair = self._chain.taps[side].pair
        return None if pair is None or pair.hostile else pair

    def _wrong(self, name: str, text: str, clause: str) -> Violation:
        return Violation(name, f"{self._chain.label}: {text} (SPEC {clause})")


class Arrivals(Page):
    """What comes out of a link (C1)."""

    def __init__(self, chain: "Chain") -> None:
        super().__init__(chain)
        self.numbers: list[int | None] = [None, None]
        """Of the last MESSAGE of each side that came out."""
        self._singles = [0, 0]

    def begins(self) -> None:
        """Begin with another connection."""
        self.numbers = [None, None]

    def brings(self, side: int, body: bytes) -> None:
        """Note a MESSAGE of ``side`` that the binding hands to the other one's session."""
        pair = self._pair(1 - side)
        books = None if pair is None else pair.down if side else pair.up
        if books is None:
            return
        before = self.numbers[side]
        number = self.numbers[side] = (self._chain.taps[side].base if before is None else before) + 1
        if number > len(books.parts) or books.parts[number - 1] != body:
            raise self._wrong("C1", f"part {number} comes out as {body[:8]!r}", "CAR-19, CAR-21")

    def brings_single(self, side: int, packet: Packet) -> None:
        """Note a packet that is not counted, and that the binding hands over."""
        self._singles[side] += 1
        if self._singles[side] > self._chain.taps[side].singles:
            raise self._wrong("C1", f"{packet.NAME} comes out twice", "CAR-21")


def check_body(body: bytes, first: str | None, books: Direction, sent: int) -> tuple[int, bytes | None]:
    """Compare the MESSAGEs of a body with the books.

    Returns:
        The number of the last one; and its payload if it is not what the books say, else None.
    """
    number = int(first or 0) - 1
    for _, part, _ in walk(body):
        if part is not None:
            number += 1
            if not 1 <= number <= min(len(books.parts), sent) or books.parts[number - 1] != part:
                return number, part
    return number, None


def counts_of(values: dict[str, str]) -> tuple[int, int, int]:
    """Return received, delivered and sent, as headers state them."""
    received, delivered, sent = (int(text) for text in values["hawser-counts"].split(","))
    return received, delivered, sent


def walk(data: bytes) -> Iterator[tuple[int, bytes | None, Packet | None]]:
    """Go through packets: the kind, the body if it is a MESSAGE, the packet if it is another."""
    position = 0
    while position < len(data):
        message = message_at(data, position)
        if message is not None:
            begin, position, _ = message
            yield Message.KIND, data[begin:position], None
            continue
        if data.startswith(_PING) and len(data) <= _LONGEST_PING:  # the counts of a header: nearly half of all
            yield Ping.KIND, None, None
            return
        packet, position = next_packet(data, position) or (None, len(data))
        if isinstance(packet, Message):
            yield Message.KIND, packet.body, None
        elif packet is not None:
            yield packet.KIND, None, packet
