"""Writing WebSocket frames (RFC 6455 section 5): batches, pongs and the closing frame.

Every batch is one unfragmented binary message (SPEC CAR-3). What a server sends is unmasked and so the same bytes for
every subscriber: ``SharedFrames`` builds the frame of a batch once, however many connections it goes to.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Final

from wsproto.frame_protocol import XorMaskerSimple

__all__ = [
    "BINARY",
    "CLOSE",
    "MASKED",
    "PONG",
    "REASON_BYTES_MAX",
    "Framer",
    "MaskedFrames",
    "SharedFrames",
    "close_payload",
    "mask",
]

BINARY: Final = 0x82
"""First byte of a whole binary message: final, opcode 2."""
CLOSE: Final = 0x88
"""First byte of a closing frame."""
PONG: Final = 0x8A
"""First byte of a pong."""
MASKED: Final = 0x80
"""The bit of the second byte that says that a masking key follows."""

REASON_BYTES_MAX: Final = 123
"""What a closing frame has room for beside its code (SPEC CLS-4)."""

_LENGTH_7: Final = 125
_LENGTH_16: Final = 65_535
_LOCAL_ONLY: Final = (1_005, 1_006, 1_015)

# Below it one big-integer XOR is quickest, above it four strided translations are; measured in benchmarks/micro.
_XOR_BYTES_MAX: Final = 700


def mask(payload: bytes, key: bytes) -> bytes:
    """Mask or unmask; the two are one operation (RFC 6455 section 5.3)."""
    size = len(payload)
    if size > _XOR_BYTES_MAX:
        return bytes(XorMaskerSimple(key).process(bytearray(payload)))
    pattern = (key * (size // 4 + 1))[:size]
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pattern, "little")).to_bytes(size, "little")


def close_payload(code: int, reason: str) -> bytes:
    """Write what a closing frame carries.

    Args:
        code: From 1000 to 4999. A code that only says what was never sent (1005, 1006, 1015) is written as none.
        reason: For people; cut to ``REASON_BYTES_MAX`` bytes between two characters.

    Spec: CLS-4.
    """
    if code in _LOCAL_ONLY:
        return b""
    text = reason.encode("utf-8", "replace")[:REASON_BYTES_MAX].decode("utf-8", "ignore")
    return code.to_bytes(2, "big") + text.encode()


def _head(first: int, masked: int, size: int) -> bytes:
    if size <= _LENGTH_7:
        return bytes((first, masked | size))
    if size <= _LENGTH_16:
        return bytes((first, masked | 126, size >> 8, size & 0xFF))
    return bytes((first, masked | 127)) + size.to_bytes(8, "big")


class Framer(ABC):
    """Makes frames for one role; the two kinds below have the same shape."""

    __slots__ = ()

    newest: bytes | None = None
    """The batch that was framed last, by a framer that keeps what it made of it; otherwise None."""
    newest_frame: bytes = b""
    """Its frame."""

    @abstractmethod
    def frame(self, first: int, payload: bytes) -> bytes:
        """Return one frame.

        Args:
            first: ``BINARY``, ``CLOSE`` or ``PONG``.
            payload: For the last two at most 125 bytes.
        """

    def batch(self, batch: bytes) -> bytes:
        """Return the frame of one batch."""
        return self.frame(BINARY, batch)

    def batches(self, batches: Sequence[bytes]) -> bytes:
        """Return the frames of several batches, joined: one write, however many they are."""
        if len(batches) == 1:
            return self.batch(batches[0])
        return b"".join([self.batch(batch) for batch in batches])


class SharedFrames(Framer):
    """Frames of a server.

    The frame of the newest batch is kept, and is recognised by the identity of the batch: in a fan-out every
    subscriber is given the same object, so a thousand of them cost one header and one join.
    """

    __slots__ = ("newest", "newest_frame")

    def __init__(self) -> None:
        self.newest: bytes | None = None
        self.newest_frame: bytes = b""

    def frame(self, first: int, payload: bytes) -> bytes:
        """See ``Framer.frame``."""
        return _head(first, 0, len(payload)) + payload

    def batch(self, batch: bytes) -> bytes:
        """See ``Framer.batch``; the same object for the same batch as last time."""
        if batch is not self.newest:
            self.newest_frame = self.frame(BINARY, batch)
            self.newest = batch
        return self.newest_frame


class MaskedFrames(Framer):
    """Frames of a client: each masked with a key of its own."""

    __slots__ = ("_random_bytes",)

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        """Frame for a client.

        Args:
            random_bytes: Where keys come from. They must not be predictable (RFC 6455 section 10.3).
        """
        self._random_bytes = random_bytes

    def frame(self, first: int, payload: bytes) -> bytes:
        """See ``Framer.frame``."""
        key = self._random_bytes(4)
        return _head(first, MASKED, len(payload)) + key + mask(payload, key)
