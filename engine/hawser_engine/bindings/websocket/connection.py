"""One end of a WebSocket behind its handshake: bytes in, batches out; batches in, bytes out.

Client and server are one machine: they differ in masks alone, that is in the `Framer` that each is given.

Rule 1: a peer's fault never raises. It becomes a closing frame and ``ended``, and ends this one connection.
Rule 2: after a closing frame of either side no batch is delivered.
"""

from attrs import frozen

from hawser_engine.codec import encode
from hawser_engine.codes import CloseCode, close_advice
from hawser_engine.packets import Close

from .frames import CLOSE, PONG, Framer, MaskedFrames, close_payload
from .splitter import CLOSE_CODES, Closed, Failed, FrameLimits, FrameSplitter, Ping

__all__ = ["Ended", "WebSocket"]

_ABNORMAL = 1_006
_FIRST_CODE = CLOSE_CODES + 100
_LAST_CODE = CLOSE_CODES + 399


@frozen
class Ended:
    """How a WebSocket ended, as seen from this end."""

    code: int
    """The close code: of the peer's closing frame, or of the one that answered its fault; 1006 if there was neither."""
    reason: str
    """For people and logs. Data of the peer if it closed."""
    by_peer: bool
    """Whether the peer closed, rightly; otherwise it broke a rule, or the link broke."""


class WebSocket:
    """One end of one WebSocket; see the module for the rules."""

    __slots__ = ("_closing", "_message_bytes", "_out", "_pong", "_splitter", "ended", "framer")

    def __init__(self, framer: Framer, limits: FrameLimits) -> None:
        """Start behind the handshake.

        Args:
            framer: `MaskedFrames` makes this a client, `SharedFrames` a server; the latter may be shared.
            limits: What the peer may send.
        """
        self.framer: Framer = framer
        """Makes the frames of batches, to be sent as they are; not to be asked after ``close``."""
        self._message_bytes = limits.message_bytes
        self._splitter = FrameSplitter(limits, client=isinstance(framer, MaskedFrames))
        self._out: list[bytes] = []
        self._pong: bytes | None = None
        self._closing = False
        self.ended: Ended | None = None
        """How it ended; None as long as it has not."""

    @property
    def held_bytes(self) -> int:
        """Bytes of the peer's that are kept now."""
        return self._splitter.held_bytes

    def bound(self, bytes_max: int | None) -> None:
        """Take no batch longer than this until told otherwise; None takes what the limits allow (SPEC PKT-14)."""
        most = self._message_bytes
        self._splitter.message_bytes = most if bytes_max is None else min(most, bytes_max)

    def receive_data(self, data: bytes) -> list[bytes]:
        """Take bytes, split anywhere; then write what ``data_to_send`` returns and look at ``ended``.

        Returns:
            The batches that are complete with them.

        Spec: CAR-3, CAR-4, CAR-5, CAR-6, CAR-32.
        """
        batches: list[bytes] = []
        for event in self._splitter.receive_data(data):
            if isinstance(event, bytes):
                if event and not self._closing:  # an empty batch does nothing (SPEC PKT-5)
                    batches.append(event)
            elif isinstance(event, Ping):
                self._pong = event.payload  # of the newest only: a flood of pings makes no flood of pongs (SPEC CAR-32)
            elif isinstance(event, Closed):
                if not self._closing:
                    batches += _as_packet(event.code)
                self._answer_close(event)
            elif isinstance(event, Failed):
                self._fail(event)
        return batches

    def receive_eof(self) -> None:
        """Note that the link is gone."""
        if self.ended is None:
            self.ended = Ended(_ABNORMAL, "the link ended without a closing frame", by_peer=False)

    def close(self, code: int, reason: str = "") -> None:
        """Begin to close; a second call does nothing.

        Args:
            code: 1000, or 4000 and the code of the CLOSE packet that went before.
            reason: For people.

        Spec: CAR-5.
        """
        if not self._closing:
            self._closing = True
            self._pong = None
            self._out.append(self.framer.frame(CLOSE, close_payload(code, reason)))

    def data_to_send(self) -> bytes:
        """Return what is to be sent besides batches: a pong, a closing frame."""
        if self._pong is not None:
            self._out.append(self.framer.frame(PONG, self._pong))
            self._pong = None
        if not self._out:
            return b""
        data = b"".join(self._out)
        self._out.clear()
        return data

    def _answer_close(self, event: Closed) -> None:
        self.ended = Ended(event.code, event.reason, by_peer=True)
        self.close(event.code)

    def _fail(self, event: Failed) -> None:
        self.ended = Ended(event.code, event.reason, by_peer=False)
        self.close(event.code, event.reason)


def _as_packet(code: int) -> list[bytes]:
    """Say a close code as the packet that a peer with more to say would have sent before it (SPEC CAR-5, CLS-2).

    If it has sent one, the session has ended its connection already and reads nothing more.
    """
    if not _FIRST_CODE <= code <= _LAST_CODE or code == CLOSE_CODES + CloseCode.SUPERSEDED:
        return []
    reconnect, resume = close_advice(code - CLOSE_CODES)
    return [encode(Close(code - CLOSE_CODES, "WebSocket close", reconnect, resume, 0, 0, None, None))]
