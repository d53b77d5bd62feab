"""One link: bytes in and out, the state table, deadlines, the end.

What the packets of a session mean is in ``connection``, built on this; what differs between the two roles is in
``server_connection`` and ``client_connection``.
"""

from abc import ABC, abstractmethod
from typing import Final

from .codec import MAX_BATCH, ack_at, encode, message_at, next_packet, probe_at
from .codes import CloseCode, close_advice
from .config import EngineConfig
from .errors import RemoteProtocolError
from .events import ConnectionTerminated, Event
from .liveness import Liveness
from .outgoing import Outgoing
from .packets import (
    Ack,
    Auth,
    Close,
    Message,
    Open,
    Opened,
    Packet,
    Ping,
    Pong,
    Reauth,
    Reset,
    Resume,
    Resumed,
    Volatile,
)
from .states import ConnectionState, Input, State
from .timers import Timer, Timers

__all__ = ["RCVD", "SENT", "Link"]

RCVD: Final[dict[type[Packet], Input]] = {
    Open: Input.RCVD_OPEN,
    Opened: Input.RCVD_OPENED,
    Resume: Input.RCVD_RESUME,
    Resumed: Input.RCVD_RESUMED,
    Reset: Input.RCVD_RESET,
    Message: Input.RCVD_MESSAGE,
    Volatile: Input.RCVD_VOLATILE,
    Ack: Input.RCVD_ACK,
    Ping: Input.RCVD_PING,
    Pong: Input.RCVD_PONG,
    Auth: Input.RCVD_AUTH,
    Reauth: Input.RCVD_REAUTH,
    Close: Input.RCVD_CLOSE,
}
SENT: Final[dict[type[Packet], Input]] = {cls: Input[event.name.replace("RCVD", "SENT")] for cls, event in RCVD.items()}

_OVER: Final = (State.CLOSING, State.CLOSED)
# Python 3.11 takes 0.1 µs to look an enum's member up; what every packet asks for has a name of its own.
_ATTACHED: Final = State.ATTACHED
_WRITE: Final = Timer.WRITE
_REASON_BYTES: Final = 123  # SPEC CLS-4


class Link(ABC):
    """One end of one link, before anything is known of sessions."""

    __slots__ = (
        "__weakref__",
        "_config",
        "_events",
        "_liveness",
        "_now",
        "_out",
        "_state",
        "_tail",
        "_timers",
        "context",
        "pong_wait",
    )

    def __init__(self, config: EngineConfig, now: float) -> None:
        """Start unattached.

        Args:
            config: This side's limits.
            now: Seconds.
        """
        self._config = config
        self._state = ConnectionState()
        self._timers = Timers()
        self._liveness = Liveness(self._timers, now)
        self._events: list[Event] | None = None  # made on first use; a list, for it holds one or two
        self._out = Outgoing()
        self._tail = b""  # the beginning of a packet
        self._now = now  # of the last input or command that could call for an ACK
        self.context: object | None = None
        """For the driver alone: what leads from here to its own objects."""
        self.pong_wait: float = config.pong_wait_seconds
        """Seconds that a PING may stay without life in return; a carriage may need more of them (SPEC CAR-26)."""
        self._timers.set(Timer.HANDSHAKE, now + config.handshake_seconds)

    # Getters

    @property
    def state(self) -> State:
        """Where the connection stands."""
        return self._state.current

    @property
    def unwritten_bytes(self) -> int:
        """Bytes that were queued and that the network has not taken yet, as far as ``written`` told."""
        return self._out.unwritten

    # Inputs

    def receive_data(self, data: bytes, now: float) -> None:
        """Take bytes of a byte-stream carriage, split anywhere; empty ones do nothing.

        A peer's fault does not raise: the connection queues CLOSE or RESET and tells it as an event.

        Args:
            data: The bytes.
            now: Seconds; never less than any earlier ``now``.

        Spec: PKT-5, PKT-11, CAR-30.
        """
        if data and self._hears(len(data), now):
            self._consume(self._tail + data if self._tail else data, now, whole=False)

    def receive_batch(self, data: bytes, now: float) -> None:
        """Take one batch of a carriage that keeps batches whole; otherwise like ``receive_data``.

        Spec: PKT-5, CAR-1.
        """
        if data and self._hears(len(data), now):
            self._consume(data, now, whole=True)

    def receive_life(self, now: float) -> None:
        """Note that something has arrived that is no packet, or not yet: the carriage's own ping, a part of a batch.

        Spec: LIV-2, CAR-6.
        """
        self._hears(0, now)

    def receive_eof(self, now: float) -> None:
        """Note that the link is gone, however it went; calling it again does nothing."""
        if self._state.current is State.CLOSED:
            return
        silent = self._state.current is State.CLOSING
        self._state.fire(Input.LINK_LOST)
        self._over(now)
        if not silent:
            self._tell_end(CloseCode.TIMEOUT, "the link is gone", "link")

    def written(self, now: float, left: int = 0) -> None:
        """Note that the network has taken bytes that ``data_to_send`` returned.

        Args:
            now: Seconds.
            left: How many of all returned bytes still wait.

        Spec: LIV-2, LIM-6.
        """
        self._out.written(left)
        if self._out.unwritten:
            self._timers.set(_WRITE, now + self._config.write_seconds)
        else:
            self._timers.stop(_WRITE)
            self._liveness.left(self.pong_wait, now)

    def handle_timeout(self, now: float) -> None:
        """Let time pass up to ``now``. What has arrived must have been given first (SPEC LIV-6)."""
        while (timer := self._timers.pop_expired(now)) is not None:
            self._expired(timer, now)

    # Commands

    def close(
        self,
        code: CloseCode,
        reason: str,
        now: float,
        *,
        after_seconds: tuple[float, float] = (0.0, 0.0),
        url: str | None = None,
    ) -> None:
        """End the connection with CLOSE; whether the session lives on is the code's advice.

        Args:
            code: Why, and with it whether the peer may come back and resume.
            reason: For people; cut to 123 bytes.
            now: Seconds.
            after_seconds: The peer comes back between these, from now.
            url: Where it comes back; None for the same place.

        Spec: CLS-1, CLS-3, CLS-6, EXP-2.
        """
        self._close(code, reason, now, after_seconds=after_seconds, url=url)

    def push(self, packet: bytes, now: float) -> None:
        """Queue one packet, or shared packets, for the peer."""
        if not self._out.unwritten:
            self._timers.set(_WRITE, now + self._config.write_seconds)
        self._out.push(packet)
        self._liveness.last_out = now
        self._now = now

    # For the classes built on this

    @abstractmethod
    def _receive(self, packet: Packet, now: float) -> None:
        """Do what a packet means; the path of MESSAGE and ACK on an attached connection does not come here."""

    @abstractmethod
    def _take_message(self, body: bytes, more: bool, now: float) -> None:
        """Take a part."""

    @abstractmethod
    def _answer_ping(self, token: int, now: float) -> None:
        """Send the PONG for a PING with a token below 24, if this state sends one."""

    @abstractmethod
    def _take_counts(self, received: int, delivered: int, sent: int, now: float) -> None:
        """Take the counts of an ACK."""

    def _allows_control(self, now: float) -> bool:
        """Say whether one more packet that no window slows is welcome; close the connection if not (SPEC LIM-2)."""
        return True

    @abstractmethod
    def settle(self, now: float, *, at_once: bool = False) -> None:
        """Decide what is due after what has arrived; ``at_once``: deliveries are stated with what leaves next."""

    @abstractmethod
    def _over(self, now: float, *, ends: bool = False) -> None:
        """Let go of the session, if there is one: keep it, or end it."""

    @abstractmethod
    def _expired(self, timer: Timer, now: float) -> None:
        """Do what an expired timer means."""

    def _send(self, packet: Packet, now: float) -> None:
        """Fire the state table, then queue a packet."""
        data = encode(packet)  # it may be too long, and then nothing has changed
        self._state.fire(SENT[type(packet)])
        self.push(data, now)

    def _tell(self, event: Event) -> None:
        if self._events is None:
            self._events = [event]
        else:
            self._events.append(event)

    def _own_event(self) -> Event:
        """Take out the next event of the link itself; there is one."""
        events = self._events
        assert events is not None
        if len(events) == 1:
            self._events = None
        return events.pop(0)

    def _close(
        self,
        code: CloseCode,
        reason: str,
        now: float,
        *,
        after_seconds: tuple[float, float] = (0.0, 0.0),
        url: str | None = None,
        attempt: int | None = None,
        error: RemoteProtocolError | None = None,
    ) -> None:
        if self._state.current in _OVER:
            return
        text = reason.encode("utf-8", "replace")[:_REASON_BYTES].decode("utf-8", "ignore")
        reconnect, resume = (False, True) if code is CloseCode.UNAUTHORIZED else close_advice(code)
        low, high = (round(1000 * seconds) for seconds in after_seconds)
        self._send(Close(code, text, reconnect, resume, low, high, url, attempt), now)
        self._over(now, ends=not resume and code is not CloseCode.SUPERSEDED)
        self._timers.set(Timer.CLOSE, now + self._config.write_seconds)
        self._tell_end(code, text, "local", (reconnect, resume), after_seconds, url, error)

    def _silence(self) -> None:
        """Stop everything that belongs to a living connection."""
        self._timers.clear()
        self._liveness.stop()
        self._tail = b""

    def _tell_end(
        self,
        code: int,
        reason: str,
        initiator: str,
        advice: tuple[bool, bool] = (True, True),
        after_seconds: tuple[float, float] = (0.0, 0.0),
        url: str | None = None,
        error: RemoteProtocolError | None = None,
    ) -> None:
        self._tell(ConnectionTerminated(code, reason, initiator, *advice, after_seconds, url, error))

    # Receiving

    def _hears(self, size: int, now: float) -> bool:
        """Note that bytes have arrived; return whether they matter (SPEC CLS-3, LIV-2)."""
        if self._state.current in _OVER:
            return False
        self._liveness.heard(now)
        return True

    def _consume(self, data: bytes, now: float, *, whole: bool) -> None:
        position, end = 0, len(data)
        state = self._state
        try:
            if whole and end > MAX_BATCH:
                detail = f"saw {end} bytes, expected at most {MAX_BATCH}"
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "PKT-5", detail, "batch")
            while position < end:
                if state.current is _ATTACHED:
                    # The path of nearly every packet: no object is made for it.
                    message = message_at(data, position)
                    if message is not None:
                        start, position, more = message
                        self._take_message(data[start:position], more, now)
                        continue
                    ack = ack_at(data, position)
                    if ack is not None:
                        position = ack[3]
                        self._take_counts(ack[0], ack[1], ack[2], now)
                        continue
                    ping = probe_at(data, position, Ping)
                    if ping is not None:
                        token, received, delivered, sent, position = ping
                        self._take_counts(received, delivered, sent, now)
                        self._answer_ping(token, now)
                        continue
                    pong = probe_at(data, position, Pong)
                    if pong is not None:  # LIV-8: whatever its token
                        _, received, delivered, sent, position = pong
                        self._take_counts(received, delivered, sent, now)
                        continue
                taken = next_packet(data, position)
                if taken is None:
                    if whole:
                        detail = "saw the end of the batch inside a packet"
                        raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "PKT-5", detail, "batch")
                    break
                packet, position = taken
                if packet is not None:
                    self._receive(packet, now)
                else:  # SPEC PKT-3
                    self._allows_control(now)
                if state.current in _OVER:
                    return
            self._tail = data[position:]
        except RemoteProtocolError as error:
            self._close(error.code, str(error), now, error=error)
            return
        self.settle(now)
