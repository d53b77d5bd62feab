"""The frame splitter: frame heads are judged, before anything they announce is held (SPEC CAR-4).

Nearly every frame of this carriage is a whole binary message: the splitter delivers those itself. The bytes of every
other frame go to wsproto, which alone decides what is right and wrong with them (masks, reserved bits, lengths,
fragmentation, closing); the splitter only counts along. wsproto has no limit of its own: a frame of 2^62 bytes and
empty fragments without end are fine by it.

Rule 1: a head goes to wsproto before our limits are looked at, byte for byte as it arrives, so what wsproto refuses
is refused for wsproto's reason, and any chunking ends alike.
Rule 2: of a message at most ``FrameLimits.message_bytes`` are held, of anything else at most one frame head and the
125 bytes of a control frame.
"""

from typing import Final

from attrs import field, frozen, validators
from wsproto.frame_protocol import CloseReason, Frame, FrameProtocol, Opcode, ParseFailed

from hawser_engine.codec import MAX_BATCH
from hawser_engine.codes import CloseCode

from .frames import BINARY, MASKED, mask

__all__ = ["CLOSE_CODES", "Closed", "Failed", "FrameEvent", "FrameLimits", "FrameSplitter", "Ping", "Pong"]

CLOSE_CODES: Final = 4_000
"""What stands before a close code of SPEC section 10 in a WebSocket closing frame (SPEC CAR-5)."""

_HEAD_BYTES: Final = 2
_LENGTH_7: Final = 125
_LENGTH_16: Final = 126
_LENGTH_16_MAX: Final = 65_535
_OPCODE: Final = 0x0F
_CONTROL: Final = 0x08
_KEY_BYTES: Final = 4


@frozen(kw_only=True)
class FrameLimits:
    """What a peer may send."""

    message_bytes: int = field(default=MAX_BATCH, validator=validators.ge(1))
    """Bytes of one message, all its fragments together (SPEC PKT-5)."""
    fragments: int = field(default=64, validator=validators.ge(1))
    """Frames of one message, empty ones counted (SPEC CAR-4)."""
    controls: int = field(default=1_000, validator=validators.ge(1))
    """Control frames between two messages; a peer that is alive sends a message every half minute (SPEC CAR-32). Empty
    messages count among them (SPEC CAR-34)."""


@frozen
class Ping:
    """The peer asks for a pong."""

    payload: bytes
    """What the pong repeats; at most 125 bytes."""


@frozen
class Pong:
    """The peer has answered a ping, or just says that it is there."""

    payload: bytes
    """At most 125 bytes."""


@frozen
class Closed:
    """The peer has sent its closing frame; nothing follows it."""

    code: int
    """Its close code, 1005 if it named none."""
    reason: str
    """Its text for people."""


@frozen
class Failed:
    """The peer broke a rule; nothing behind it is read."""

    code: int
    """The close code that answers it."""
    reason: str
    """What was wrong."""


FrameEvent = bytes | Ping | Pong | Closed | Failed
"""A whole message is its bytes: the path of nearly every frame makes no other object."""


class FrameSplitter:
    """Takes the bytes of one direction of a WebSocket behind its handshake."""

    __slots__ = (
        "_client",
        "_controls",
        "_declared",
        "_fragments",
        "_head",
        "_held",
        "_limits",
        "_mask_bit",
        "_message",
        "_over",
        "_passing",
        "_rare",
        "_wanted",
        "message_bytes",
    )

    def __init__(self, limits: FrameLimits, *, client: bool) -> None:
        """Start at the first frame.

        Args:
            limits: What is taken.
            client: Whether this end is the client: it takes unmasked frames only, a server masked ones only.
        """
        self._limits = limits
        self._client = client
        self._mask_bit = 0 if client else MASKED
        self._held = bytearray()  # the beginning of a frame that will be delivered here
        self._wanted = 0  # how much of it must be there before looking again is worth it
        self._head = bytearray()  # of a frame that goes to wsproto; empty between frames
        self._passing = 0  # how much of its key and payload is still to come
        self._rare: FrameProtocol | None = None
        self._message: bytearray | None = None  # fragments so far
        self._fragments = 0
        self._declared = 0
        self._controls = 0
        self._over = False
        self.message_bytes: int = limits.message_bytes
        """The longest message that is taken; may be changed, and holds for heads that are judged from then on."""

    @property
    def held_bytes(self) -> int:
        """Bytes of the peer's that are kept now, but for a control frame's inside wsproto."""
        return len(self._held) + len(self._head) + (0 if self._message is None else len(self._message))

    def receive_data(self, data: bytes) -> list[FrameEvent]:
        """Take bytes, split anywhere.

        Returns:
            What is complete with them. After `Closed` or `Failed` there is nothing more, whatever comes.

        Spec: CAR-3, CAR-4, CAR-32, CAR-34, LIM-4.
        """
        events: list[FrameEvent] = []
        if self._over:
            return events
        held = self._held
        if held:
            held += data
            if len(held) < self._wanted:
                return events
            data = bytes(held)
            held.clear()
        position, end = 0, len(data)
        try:
            while position < end:
                if not self._head and end - position < _HEAD_BYTES:
                    self._hold(data, position, _HEAD_BYTES)
                    break
                if self._head or not self._is_plain(data, position):
                    position = self._take_rare(data, position, events)
                    continue
                # A whole binary message. Find its end.
                size = data[position + 1] & ~MASKED
                start = position + _HEAD_BYTES
                if size > _LENGTH_7:
                    start += 2 if size == _LENGTH_16 else 8
                    if start > end:
                        self._hold(data, position, start - position)
                        break
                    size = int.from_bytes(data[position + _HEAD_BYTES : start], "big")
                if size > self.message_bytes:
                    raise self._too_large(size)
                body = start if self._client else start + _KEY_BYTES
                stop = body + size
                if stop > end:
                    self._hold(data, position, stop - position)
                    break
                payload = data[body:stop]
                events.append(payload if self._client else mask(payload, data[start:body]))
                position = stop
                if size:
                    self._controls = 0
                else:
                    self._count_idle()
        except _Refused as refused:
            self._fail(events, refused.failed)
        except ParseFailed as error:
            self._fail(events, Failed(error.code, str(error)))
        except Exception as error:
            # Containment: whatever escapes a parser ends this one connection. Nothing is known to, today.
            self._fail(events, Failed(CloseReason.PROTOCOL_ERROR, f"unreadable frame ({type(error).__name__})"))
        return events

    def _is_plain(self, data: bytes, position: int) -> bool:
        """Whether a frame is a whole binary message with nothing wrong about it, as far as its head is there."""
        second = data[position + 1]
        if data[position] != BINARY or second & MASKED != self._mask_bit or self._fragments:
            return False
        short = second & ~MASKED
        if short <= _LENGTH_7:
            return True
        start = position + _HEAD_BYTES
        length = data[start : start + (2 if short == _LENGTH_16 else 8)]
        size = int.from_bytes(length, "big")
        if short == _LENGTH_16:
            return size > _LENGTH_7 or len(length) < 2
        return (size > _LENGTH_16_MAX and not size >> 63) or len(length) < 8

    def _hold(self, data: bytes, position: int, wanted: int) -> None:
        self._held += data[position:]
        self._wanted = wanted

    def _too_large(self, size: int) -> "_Refused":
        seen = f"a message of {size} bytes or more, expected at most {self.message_bytes} (SPEC CAR-3)"
        return _Refused(Failed(CLOSE_CODES + CloseCode.TOO_LARGE, seen))

    def _fail(self, events: list[FrameEvent], failed: Failed) -> None:
        events.append(failed)
        self._end()

    def _end(self) -> None:
        self._over = True
        self._held.clear()
        self._head.clear()
        self._message = self._rare = None

    # Frames that wsproto reads

    def _take_rare(self, data: bytes, position: int, events: list[FrameEvent]) -> int:
        """Pass a piece of such a frame on; return where the next one begins."""
        head = self._head
        if self._passing:
            stop = min(len(data), position + self._passing)
            frames = self._feed(data[position:stop])
            self._passing -= stop - position
        else:
            size = _head_size(head or data[position : position + _HEAD_BYTES])
            stop = min(len(data), position + size - len(head))
            head += data[position:stop]
            frames = self._feed(data[position:stop])
            if len(head) < size:
                return stop
            self._judge(head)
        for frame in frames:
            self._take_frame(frame, events)
        if self._over:
            return len(data)
        if not self._passing:
            head.clear()
            if not self._fragments:
                self._rare = None  # it stands between two messages like a new one, and a connection is lighter without
        return stop

    def _feed(self, piece: bytes) -> list[Frame]:
        if self._rare is None:
            self._rare = FrameProtocol(self._client, [])
        self._rare.receive_bytes(piece)
        return list(self._rare.received_frames())

    def _judge(self, head: bytearray) -> None:
        """Hold a head that is right against our limits."""
        limits = self._limits
        opcode = head[0] & _OPCODE
        size = int.from_bytes(head[_HEAD_BYTES:], "big") if len(head) > _HEAD_BYTES else head[1] & ~MASKED
        if opcode == Opcode.TEXT:
            raise _Refused(Failed(CloseReason.UNSUPPORTED_DATA, "a text message, expected binary ones (SPEC CAR-3)"))
        if opcode & _CONTROL:
            self._count_idle()
        else:
            self._fragments += 1
            self._declared += size
            if self._declared > self.message_bytes:
                raise self._too_large(self._declared)
            if self._fragments > limits.fragments:
                seen = f"more than {limits.fragments} fragments of one message (SPEC CAR-4)"
                raise _Refused(Failed(CLOSE_CODES + CloseCode.TOO_LARGE, seen))
        self._passing = size if self._client else size + _KEY_BYTES

    def _count_idle(self) -> None:
        """Count what costs its sender next to nothing and brings nothing: control frames, and empty messages."""
        self._controls += 1
        if self._controls > self._limits.controls:
            seen = f"more than {self._limits.controls} control frames without a message between them (SPEC CAR-32)"
            raise _Refused(Failed(CLOSE_CODES + CloseCode.RATE, seen))

    def _take_frame(self, frame: Frame, events: list[FrameEvent]) -> None:
        """Take what wsproto made of a piece: a whole control frame, or a part of a fragment."""
        payload = frame.payload
        if isinstance(payload, tuple):
            events.append(Closed(int(payload[0]), payload[1]))
            self._end()
            return
        assert not isinstance(payload, str), "a text frame was refused for its head"
        if frame.opcode is Opcode.PING:
            events.append(Ping(bytes(payload)))
        elif frame.opcode is Opcode.PONG:
            events.append(Pong(bytes(payload)))
        else:
            if self._message is None:
                self._message = bytearray()
            self._message += payload
            if frame.message_finished:
                events.append(bytes(self._message))
                empty = not self._message
                self._message = None
                self._fragments = self._declared = 0
                if empty:
                    self._count_idle()
                else:
                    self._controls = 0


def _head_size(head: bytes | bytearray) -> int:
    """How long a head is without its key, told by its first two bytes."""
    size = head[1] & ~MASKED
    return _HEAD_BYTES + (0 if size <= _LENGTH_7 else 2 if size == _LENGTH_16 else 8)


class _Refused(Exception):
    def __init__(self, failed: Failed) -> None:
        super().__init__(failed)
        self.failed = failed
