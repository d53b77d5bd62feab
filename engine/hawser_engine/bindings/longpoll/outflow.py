"""What one end of a long-poll connection has to bring to the other.

A MESSAGE is kept until the other end has stated that it is received, whatever bodies have carried it; any other packet
until it has left once. Packets are kept by reference, as the session hands them over; several that came as one piece
stay one piece, with a table of where each ends.
"""

from collections.abc import Sequence
from typing import Final

from attrs import define, field, frozen

from hawser_engine.packets import Packet, Volatile

__all__ = ["Body", "Outflow"]

VOLATILE_BYTES: Final = 65_600
"""Uncounted messages that wait for a body, at least one; the oldest are dropped first (SPEC CNT-7, PKT-7)."""


@define(eq=False)
class _Entry:
    """Packets that came as one piece: MESSAGEs from number ``first`` on, or one packet without a number."""

    data: bytes
    first: int
    """Number of the first MESSAGE; 0 for another packet."""
    ends: tuple[int, ...] = ()
    """Where each MESSAGE ends."""
    volatile: bool = False

    @property
    def last(self) -> int:
        return self.first + len(self.ends) - 1


@frozen
class Body:
    """What one request or reply carries."""

    data: bytes
    first: int
    """Number of its first MESSAGE; 0 if it holds none."""
    last: int
    """Number of its last MESSAGE; 0 if it holds none."""
    complete: bool
    """Whether nothing is left that has still to be sent."""
    others: tuple[_Entry, ...] = field(repr=False)
    """What is not counted in it."""


class Outflow:
    """Packets in order, from the first that the other end has not stated to be received."""

    __slots__ = ("_entries", "_received", "held_bytes", "last", "volatile_bytes", "volatile_dropped")

    def __init__(self, received: int) -> None:
        """Start behind number ``received``: what the other end stated at the attach."""
        self._entries: list[_Entry] = []
        self._received = received
        self.last: int = received
        """Number of the last MESSAGE that was pushed."""
        self.held_bytes: int = 0
        self.volatile_bytes: int = 0
        self.volatile_dropped: int = 0

    def push_messages(self, data: bytes, ends: Sequence[int]) -> None:
        """Keep MESSAGEs, each of which ends at one of ``ends``."""
        self._entries.append(_Entry(data, self.last + 1, tuple(ends)))
        self.last += len(ends)
        self.held_bytes += len(data)

    def push(self, data: bytes, packet: Packet | None) -> None:
        """Keep another packet; of VOLATILEs that find no room the oldest are dropped (SPEC CNT-7)."""
        volatile = isinstance(packet, Volatile)
        self._entries.append(_Entry(data, 0, volatile=volatile))
        self.held_bytes += len(data)
        if volatile:
            self.volatile_bytes += len(data)
            while self.volatile_bytes > VOLATILE_BYTES:
                self._remove(next(entry for entry in self._entries if entry.volatile))
                self.volatile_dropped += 1

    def received(self, count: int) -> None:
        """Let go of the MESSAGEs up to a number, by maximum (SPEC CAR-15)."""
        if count > self._received:
            self._received = count
            kept = [entry for entry in self._entries if not entry.first or entry.last > count]
            self._entries = kept
            self.held_bytes = sum(len(entry.data) for entry in kept)

    def body(self, limit: int) -> Body | None:
        """Join what the other end has not stated to be received, as much as fits; None if there is nothing.

        Args:
            limit: Bytes.
        """
        parts: list[bytes] = []
        others: list[_Entry] = []
        size = first = last = 0
        for entry in self._entries:
            data, count = entry.data, len(entry.ends)
            if entry.first:
                skipped = max(0, self._received + 1 - entry.first)
                start = entry.ends[skipped - 1] if skipped else 0
                while count > skipped and entry.ends[count - 1] - start > limit - size:
                    count -= 1
                if count == skipped:
                    break
                data = data[start : entry.ends[count - 1]]
                first = first or entry.first + skipped
                last = entry.first + count - 1
            elif len(data) > limit - size:
                break
            else:
                others.append(entry)
            parts.append(data)
            size += len(data)
            if count < len(entry.ends):
                break
        else:
            return Body(b"".join(parts), first, last, True, tuple(others)) if parts else None
        return Body(b"".join(parts), first, last, False, tuple(others)) if parts else None

    def left(self, body: Body) -> None:
        """Note that a body has left: what is not counted in it never leaves again."""
        for entry in body.others:
            if entry in self._entries:
                self._remove(entry)

    def clear(self) -> None:
        """Let go of everything (SPEC ATT-7, RST-4)."""
        self._entries.clear()
        self.held_bytes = self.volatile_bytes = 0

    def _remove(self, entry: _Entry) -> None:
        self._entries.remove(entry)
        self.held_bytes -= len(entry.data)
        if entry.volatile:
            self.volatile_bytes -= len(entry.data)
