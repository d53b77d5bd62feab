"""Prepared bytes of MESSAGE packets, shared by everything that holds them (SPEC PKT-9, CNT-1).

Numbers are counted, not carried, so the bytes of a broadcast are the same for every subscriber: encoded once, joined
once, kept by reference in every replay buffer. A batch of one packet is what a direct send makes.
"""

from collections.abc import Sequence

from .codec import MAX_BATCH, MAX_BODY, encode_message
from .codes import CloseCode
from .errors import MessageTooLarge

__all__ = ["Batch"]


class Batch:
    """A run of encoded MESSAGE packets and the table that replay and trimming need.

    Immutable by convention: it is shared between sessions.
    """

    __slots__ = ("count", "data", "ends", "longest", "messages", "payload", "sizes", "wholes")

    data: bytes
    """The packets, one behind the other."""
    count: int
    """How many packets."""
    payload: int
    """Sum of their bodies in bytes; what the window counts (SPEC WIN-1)."""
    messages: int
    """How many of them end an application message."""
    longest: int
    """Length of the longest message in bytes; what ``message_bytes`` of the peer bounds (SPEC PRT-5)."""
    ends: tuple[int, ...]
    """Where each packet ends in ``data``; empty for a single packet."""
    sizes: tuple[int, ...]
    """Sum of the bodies up to and with each packet; empty for a single packet."""
    wholes: tuple[int, ...]
    """How many of the packets up to and with each one end a message; empty for a single packet."""

    def __init__(self, data: bytes, payload: int, messages: int) -> None:
        """Hold one packet; ``of`` and ``single`` are how others make batches."""
        self.data = data
        self.count = 1
        self.payload = self.longest = payload
        self.messages = messages
        self.ends = self.sizes = self.wholes = ()

    @classmethod
    def single(cls, body: bytes, more: bool) -> "Batch":
        """Prepare one part.

        Raises:
            MessageTooLarge: The part is longer than one packet carries.
        """
        return cls(encode_message(body, more), len(body), 0 if more else 1)

    @classmethod
    def of(cls, bodies: Sequence[bytes]) -> "Batch":
        """Prepare whole messages to be sent together; long ones become runs of parts.

        Args:
            bodies: At least one message, each already encoded.

        Raises:
            MessageTooLarge: Together they need more than one batch, 131,072 bytes.

        Spec: PKT-5, PKT-9, PRT-1.
        """
        pieces: list[bytes] = []
        ends: list[int] = []
        sizes: list[int] = []
        wholes: list[int] = []
        end = size = whole = 0
        for body in bodies:
            for start in range(0, len(body) or 1, MAX_BODY):
                part = body[start : start + MAX_BODY]
                more = start + MAX_BODY < len(body)
                pieces.append(encode_message(part, more))
                end += len(pieces[-1])
                size += len(part)
                whole += not more
                ends.append(end)
                sizes.append(size)
                wholes.append(whole)
        if not pieces or end > MAX_BATCH:
            detail = f"saw {len(bodies)} messages of {end} bytes, expected 1 to {MAX_BATCH} bytes of packets"
            raise MessageTooLarge(CloseCode.TOO_LARGE, "PKT-5", detail, "batch")
        batch = cls(b"".join(pieces), size, whole)
        if len(pieces) > 1:
            batch.count = len(pieces)
            batch.longest = max(map(len, bodies))
            batch.ends, batch.sizes, batch.wholes = tuple(ends), tuple(sizes), tuple(wholes)
        return batch

    def payload_before(self, index: int) -> int:
        """Return the sum of the bodies of the first ``index`` packets."""
        return self.sizes[index - 1] if index else 0

    def messages_before(self, index: int) -> int:
        """Return how many of the first ``index`` packets end a message."""
        return self.wholes[index - 1] if index else 0

    def cut(self, index: int) -> bytes:
        """Return the bytes behind the first ``index`` packets; the shared bytes themselves for 0."""
        return self.data[self.ends[index - 1] :] if index else self.data
