"""The receiving half of a session: receiver rule, window, reassembly (SPEC CNT-2 to CNT-4, WIN-3, PRT-4, PRT-5).

A part is in ``pending`` until it is delivered: parts of an unfinished message count as delivered as soon as everything
before them is, a whole message when the application says so. An event alone acknowledges nothing.
"""

from enum import Enum
from typing import Any, Final, NamedTuple

from .codes import CloseCode
from .errors import LocalProtocolError

__all__ = ["Inbox", "Pending", "Taken"]


class Taken(Enum):
    """What became of a part."""

    TAKEN = "taken"
    BEYOND_WINDOW = "beyond the window"
    """Not taken; the peer broke WIN-1."""
    TOO_LARGE = "too large"
    """The message is longer than this side accepts (SPEC PRT-5)."""


class Pending(NamedTuple):
    """A part that is received and not delivered."""

    number: int
    size: int
    message: bytes | None
    """The whole message that this part ends; None for a part with more to come."""


_TAKEN: Final = Taken.TAKEN


class Inbox:
    """What one side of a session has received and its application not yet taken."""

    __slots__ = (
        "assembled_bytes",
        "delivered",
        "held_bytes",
        "message_bytes",
        "parts",
        "pending",
        "received",
        "stated_delivered",
        "undrawn",
        "unstated_bytes",
        "volatile_bytes",
        "volatile_dropped",
        "volatile_held",
        "window_bytes",
        "window_messages",
    )

    def __init__(self, window_messages: int, window_bytes: int, message_bytes: int) -> None:
        """Start with nothing received, and the limits that this side states to its peer."""
        self.window_messages: int = window_messages
        self.window_bytes: int = window_bytes
        self.message_bytes: int = message_bytes
        self.received: int = 0
        self.delivered: int = 0
        self.stated_delivered: int = 0  # what the peer has been told
        self.unstated_bytes: int = 0  # bodies in (stated_delivered, delivered]
        self.held_bytes: int = 0  # bodies in (delivered, received]
        # Lists: empty they hold 56 bytes each, deques 760, and a window is short enough to take from the front of.
        self.pending: list[Pending] = []
        self.undrawn: list[tuple[int, bytes]] = []  # (number, message); 0 for an uncounted one
        self.parts: list[bytes] = []
        self.assembled_bytes: int = 0
        self.volatile_held: int = 0
        self.volatile_bytes: int = 0
        self.volatile_dropped: int = 0

    def take(self, body: bytes, more: bool) -> Taken:
        """Take the next part in order, or refuse it and change nothing.

        Spec: CNT-2, CNT-4, WIN-3, PRT-4, PRT-5.
        """
        size = len(body)
        undelivered = self.received - self.delivered
        if undelivered and (undelivered >= self.window_messages or self.held_bytes + size > self.window_bytes):
            return Taken.BEYOND_WINDOW
        if self.assembled_bytes + size > self.message_bytes:
            return Taken.TOO_LARGE
        self.received += 1
        self.held_bytes += size
        message: bytes | None = body
        if more:
            self.parts.append(body)
            self.assembled_bytes += size
            message = None
        elif self.parts:
            self.parts.append(body)
            message = b"".join(self.parts)
            self.parts.clear()
            self.assembled_bytes = 0
        self.pending.append(Pending(self.received, size, message))
        if message is not None:
            self.undrawn.append((self.received, message))
        elif not undelivered:
            self._advance(self.delivered)
        return _TAKEN

    def take_volatile(self, body: bytes, limit: int) -> None:
        """Keep an uncounted message; past ``limit``, or a window of bytes, the oldest goes (SPEC CNT-7)."""
        while self.volatile_held and (
            self.volatile_held >= limit or self.volatile_bytes + len(body) > self.window_bytes
        ):
            oldest = next(index for index, (number, _) in enumerate(self.undrawn) if not number)
            self.volatile_bytes -= len(self.undrawn[oldest][1])
            del self.undrawn[oldest]
            self.volatile_held -= 1
            self.volatile_dropped += 1
        self.undrawn.append((0, body))
        self.volatile_held += 1
        self.volatile_bytes += len(body)

    def draw(self) -> tuple[int, bytes] | None:
        """Hand out the next message: (number of its last part, or 0 for an uncounted one; message)."""
        if not self.undrawn:
            return None
        drawn = self.undrawn.pop(0)
        if not drawn[0]:
            self.volatile_held -= 1
            self.volatile_bytes -= len(drawn[1])
        return drawn

    def deliver(self, count: int) -> None:
        """Note that the application has taken everything up to number ``count``; a lower one changes nothing.

        Raises:
            LocalProtocolError: ``count`` is beyond what was handed out.

        Spec: CNT-3, PRT-4.
        """
        first_undrawn = next((number for number, _ in self.undrawn if number), self.received + 1)
        if count >= first_undrawn:
            detail = f"saw {count}, expected at most {first_undrawn - 1}"
            raise LocalProtocolError(CloseCode.INTERNAL, "CNT-3", detail, "delivered")
        self._advance(count)

    def stated(self) -> None:
        """Note that the peer is being told the present counts."""
        self.stated_delivered = self.delivered
        self.unstated_bytes = 0

    def _advance(self, count: int) -> None:
        taken = 0
        for number, size, message in self.pending:
            if number > count and message is not None:
                break
            taken += 1
            self.delivered = number
            self.held_bytes -= size
            self.unstated_bytes += size
        del self.pending[:taken]

    def export(self) -> dict[str, Any]:
        """Return the record of this half: plain values only (SPEC EXP-3)."""
        return {
            "window": [self.window_messages, self.window_bytes, self.message_bytes],
            "counts": [self.received, self.delivered, self.stated_delivered, self.unstated_bytes],
            "pending": [list(item) for item in self.pending],
            "parts": list(self.parts),
        }

    @classmethod
    def restore(cls, record: dict[str, Any]) -> "Inbox":
        """Build the half that ``export`` described; what is not delivered will be handed out again."""
        box = cls(*record["window"])
        box.received, box.delivered, box.stated_delivered, box.unstated_bytes = record["counts"]
        for number, size, message in record["pending"]:
            box.pending.append(Pending(number, size, message))
            box.held_bytes += size
            if message is not None:
                box.undrawn.append((number, message))
        box.parts = list(record["parts"])
        box.assembled_bytes = sum(map(len, box.parts))
        return box
