"""A session: the record that survives connections (SPEC EXP-3).

It joins an outbox and an inbox, and the events that the application has not seen. It knows its connection only as the
place where packets go. Server and client add what each alone keeps: ``ServerSession`` and ``ClientSession``.
"""

from math import inf, nextafter
from typing import TYPE_CHECKING, Any, Final, Protocol

from .batch import Batch
from .codec import encode_volatile
from .codes import CloseCode, ResetReason
from .config import EngineConfig
from .errors import BacklogFull, LocalProtocolError
from .events import Event, MessageDropped, MessageReceived, RoomAvailable, SessionReset, VolatileReceived
from .inbox import Inbox
from .outbox import Outbox

if TYPE_CHECKING:
    from typing import Self

__all__ = ["Carrier", "ClientSession", "Owner", "ServerSession", "Session"]


_TOKEN: Final = 1.0 - 1e-6
"""What a message needs of the rate; a little less than 1, for rounding."""


class Carrier(Protocol):
    """What a session needs of the connection it is attached to."""

    def push(self, packet: bytes, now: float) -> None:
        """Queue one packet, or shared packets, for the peer."""
        ...

    def push_volatile(self, packet: bytes, now: float) -> bool:
        """Queue a VOLATILE, or drop it."""
        ...

    def settle(self, now: float, *, at_once: bool = False) -> None:
        """Decide what the new state of the session asks for: an ACK, at once or in time, a timer."""
        ...

    def abandon(self, reason: ResetReason | int, now: float) -> None:
        """End the session with RESET."""
        ...


class Owner(Protocol):
    """What a session needs of the endpoint that keeps it."""

    def end(self, session: Any, reason: ResetReason | int, now: float) -> None:
        """End a session that is not attached."""
        ...


class Session:
    """One conversation with one peer; commands go here, whether a connection is attached or not."""

    __slots__ = (
        "_events",
        "_starved",
        "_tokens",
        "_tokens_at",
        "attempt",
        "carrier",
        "config",
        "context",
        "ended",
        "features",
        "flow_violations",
        "inbox",
        "incarnation",
        "opened_at",
        "outbox",
        "owner",
        "paused",
        "replayed",
        "resume_period",
        "session_id",
        "throttled",
        "volatile_dropped",
    )

    def __init__(self, config: EngineConfig, now: float) -> None:
        """Start with nothing sent or received."""
        self.config: EngineConfig = config
        self.session_id: bytes = b""
        self.incarnation: bytes = b""
        self.features: tuple[str, ...] = ()  # in force from OPENED to the end (SPEC VER-2)
        self.attempt: int = 0  # the highest: used by a client, taken by a server (SPEC ATT-4)
        self.resume_period: float = config.resume_period_seconds
        self.opened_at: float = now  # session time is seconds since (SPEC CAL-5)
        self.outbox: Outbox = Outbox()
        self.inbox: Inbox = Inbox(config.window_messages, config.window_bytes, config.message_bytes)
        self.carrier: Carrier | None = None
        self.owner: Owner | None = None
        self.ended: ResetReason | int | None = None
        self.context: object | None = None  # for the driver alone
        self._starved = False  # something was refused for want of room, and nobody has been told of room since
        self.paused: bool = False  # the driver takes no message events now
        self.throttled: bool = False  # a server hands out at a rate (SPEC LIM-1)
        self.replayed: int = 0
        self.flow_violations: int = 0  # connections in a row that ended so (SPEC WIN-3)
        self.volatile_dropped: int = 0
        self._events: list[Event] | None = None  # made on first use, and not kept: most sessions have none to tell
        self._tokens = float(config.messages_burst)
        self._tokens_at = now

    # Commands

    def send(
        self, body: bytes, now: float, *, ttl_seconds: float | None = None, key: str | None = None, urgent: bool = False
    ) -> int:
        """Accept a message for the peer.

        Afterwards drain the connection, if there is one.

        Args:
            body: The whole message, already encoded; long ones travel in parts.
            now: Seconds on the caller's monotonic clock.
            ttl_seconds: It may be dropped if it has no number after this long.
            key: A later message with the same key replaces it while it has no number.
            urgent: It cannot wait for room: it may use the reserve, and if that is full the session ends.

        Returns:
            The ordinal of the message: 1, 2, 3 … over all messages that this session ever accepted.

        Raises:
            BacklogFull: There is no room now; nothing was accepted.
            MessageTooLarge: The peer does not accept so long a message.
            LocalProtocolError: The session has ended.

        Spec: NUM-1, NUM-3, NUM-4, PRT-5, LIM-4.
        """
        self._check_alive("send")
        if self.carrier is not None and ttl_seconds is None and key is None:
            packet = self.outbox.pass_through(body)
            if packet is not None:
                self.carrier.push(packet, now)
                return self.outbox.accepted
        reserve = self.config.reserve_bytes if urgent else 0
        expires_at = None if ttl_seconds is None else now + ttl_seconds
        try:
            ordinal = self.outbox.accept(
                body,
                messages_max=self.config.queue_messages * (2 if urgent else 1),
                bytes_max=self.config.queue_bytes + reserve,
                expires_at=expires_at,
                key=key,
            )
        except BacklogFull:
            self._starved = True
            if urgent:
                self.end(ResetReason.OVERFLOW, now)
            raise
        self.pump(now)
        return ordinal

    def send_batch(self, batch: Batch, now: float) -> bool:
        """Send shared bytes if they can leave at once.

        Args:
            batch: Whole messages that other sessions get, too.
            now: Seconds on the caller's monotonic clock.

        Returns:
            Whether they were sent; False leaves the subscriber *behind*: nothing was accepted.

        Spec: CHN-6, PRT-7.
        """
        if self.carrier is None or not self.outbox.take(batch):
            self._starved = True
            return False
        self.carrier.push(batch.data, now)
        return True

    def send_volatile(self, body: bytes, now: float) -> bool:
        """Send an uncounted message, or drop and count it.

        Args:
            body: At most 65,536 bytes.
            now: Seconds on the caller's monotonic clock.

        Returns:
            Whether it was sent.

        Raises:
            MessageTooLarge: It is longer than one packet carries.

        Spec: CNT-7.
        """
        return self.send_volatile_packet(encode_volatile(body), now)

    def send_volatile_packet(self, packet: bytes, now: float) -> bool:
        """Send a VOLATILE that other sessions get, too, and that ``codec.encode_volatile`` has made once for all.

        Args:
            packet: The packet.
            now: Seconds on the caller's monotonic clock.

        Returns:
            Whether it was sent; else it is dropped and counted.

        Spec: CNT-7.
        """
        if self.carrier is not None and self.carrier.push_volatile(packet, now):
            return True
        self.volatile_dropped += 1
        return False

    def time_ms(self, now: float) -> int:
        """Return session time: whole milliseconds since the session was opened (SPEC CAL-3)."""
        return int((now - self.opened_at) * 1000)

    def has_room(self, length: int) -> bool:
        """Say whether ``send`` would accept a message of that many bytes now."""
        return self.outbox.has_room(length, self.config.queue_messages, self.config.queue_bytes)

    def delivered(self, count: int, now: float, *, at_once: bool = False) -> None:
        """Say that the application's queues have taken every message up to number ``count``.

        On a session that has ended it changes nothing.

        Args:
            count: The ``number`` of a `MessageReceived`, and with it every one before.
            now: Seconds on the caller's monotonic clock.
            at_once: The peer is told with what leaves next, an ACK if it is nothing else; without a connection, when it
                is attached again, as ever.

        Raises:
            LocalProtocolError: That message was not handed out yet.

        Spec: CNT-3, ACK-1, MBX-17.
        """
        if self.ended is not None:
            return
        self.inbox.deliver(count)
        if self.carrier is not None:
            self.carrier.settle(now, at_once=at_once)

    def end(self, reason: ResetReason, now: float) -> None:
        """End the session, with RESET if it is attached; what is accepted and not delivered is lost and reported.

        Args:
            reason: Why; the peer is told.
            now: Seconds on the caller's monotonic clock.

        Spec: RST-1, RST-6.
        """
        if self.carrier is not None:
            self.carrier.abandon(reason, now)
        elif self.owner is not None and self.ended is None:
            self.owner.end(self, reason, now)

    def pump(self, now: float) -> None:
        """Give numbers to what waits, as far as the window admits it."""
        if self.carrier is not None and self.outbox.queue:
            for packet in self.outbox.admit(now):
                self.carrier.push(packet, now)

    # Outputs

    def next_event(self) -> Event | None:
        """Return the next thing that the application has to know, None if there is nothing now.

        Messages are held back while ``paused`` is set or the rate is used up (SPEC LIM-1).
        """
        if self.outbox.dropped:
            ordinal, reason = self.outbox.dropped.pop(0)
            return MessageDropped(ordinal, reason)
        events = self._events
        if events:
            if len(events) == 1:
                self._events = None
            return events.pop(0)
        if self.ended is None:
            if self.paused or (self.throttled and self._tokens < _TOKEN):
                return None
        elif self.ended is not ResetReason.CLOSED:
            return None  # SPEC RST-4; after a goodbye what was taken is still handed out (SPEC EXP-2)
        drawn = self.inbox.draw()
        if drawn is None:
            return None
        self._tokens -= 1.0
        number, body = drawn
        return MessageReceived(body, number) if number else VolatileReceived(body)

    def next_timeout(self) -> float | None:
        """Return when this session, not its connection, next needs ``handle_timeout``; None if never."""
        due = self.outbox.next_expiry()
        if self.throttled and self._tokens < _TOKEN and self.inbox.undrawn:
            wait = (1.0 - self._tokens) / self.config.messages_per_second
            refill = nextafter(self._tokens_at + wait, inf)  # by then, however the sum was rounded
            due = refill if due is None else min(due, refill)
        return due

    def handle_timeout(self, now: float) -> None:
        """Let time pass: messages expire, the rate refills."""
        self.refill(now)
        if self.outbox.queue:
            self.outbox.expire(now)
            self.pump(now)
            self.offer_room()

    def refill(self, now: float) -> None:
        """Give the inbox what the rate allows up to ``now`` (SPEC LIM-1)."""
        config = self.config
        self._tokens = min(
            float(config.messages_burst), self._tokens + (now - self._tokens_at) * config.messages_per_second
        )
        self._tokens_at = now

    # For the endpoints

    def offer_room(self) -> None:
        """Tell the driver that there is room again, once after something was refused."""
        if self._starved and (self.outbox.admitting or self.has_room(1)):
            self._starved = False
            self.tell(RoomAvailable(self))

    def progress(self) -> tuple[int, int, int, int]:
        """Return the counts whose movement is progress (SPEC REC-1, LIM-5)."""
        return self.outbox.received, self.outbox.delivered, self.inbox.received, self.inbox.delivered

    def tell(self, event: Event) -> None:
        """Queue an event for the application."""
        if self._events is None:
            self._events = [event]
        else:
            self._events.append(event)

    def finish(self, reason: ResetReason | int, delivered_by_peer: int | None = None) -> SessionReset:
        """End the record, and return the report of what it had accepted (SPEC RST-6).

        Args:
            reason: Why.
            delivered_by_peer: The ``delivered`` of the peer's RESET, if it named one.
        """
        box = self.outbox
        if delivered_by_peer is not None and box.delivered < delivered_by_peer <= box.sent:
            box.acknowledge(delivered_by_peer, delivered_by_peer)
        not_sent = box.waiting_messages
        known = box.delivered_messages
        report = SessionReset(
            session=self,
            reason=reason,
            known_delivered=known,
            unknown=box.accepted - box.dropped_messages - known - not_sent,
            not_sent=not_sent,
            numbered=box.numbered_messages,
        )
        self.ended = reason
        self.carrier = None
        box.detach()
        return report

    def _check_alive(self, where: str) -> None:
        if self.ended is not None:
            raise LocalProtocolError(CloseCode.SESSION_ENDED, "RST-8", f"saw it after RESET({self.ended!r})", where)

    # Records

    def _export(self, now: float) -> dict[str, Any]:
        return {
            "session": self.session_id,
            "incarnation": self.incarnation,
            "features": list(self.features),
            "attempt": self.attempt,
            "resume_period": self.resume_period,
            "session_time": now - self.opened_at,
            "rate": [self._tokens, now - self._tokens_at],
            "flow_violations": self.flow_violations if self.carrier is None else 0,
            "outbox": self.outbox.export(now),
            "inbox": self.inbox.export(),
        }

    @classmethod
    def _restore(cls, record: dict[str, Any], config: EngineConfig, now: float) -> "Self":
        session = cls(config, now)
        session.session_id = record["session"]
        session.incarnation = record["incarnation"]
        session.features = tuple(record["features"])
        session.attempt = record["attempt"]
        session.resume_period = record["resume_period"]
        session.opened_at = now - record["session_time"]
        session._tokens, age = record["rate"]
        session._tokens_at = now - age
        session.flow_violations = record["flow_violations"]
        session.outbox = Outbox.restore(record["outbox"], now)
        session.inbox = Inbox.restore(record["inbox"])
        return session


class ServerSession(Session):
    """A session as the server keeps it."""

    __slots__ = (
        "barren_resumes",
        "barren_since",
        "confirmed",
        "counts_at_attach",
        "expires_at",
        "expiry_moved",
        "pending",
        "principal",
        "proved",
    )

    def __init__(self, config: EngineConfig, now: float) -> None:
        """Start without a secret."""
        super().__init__(config, now)
        self.principal: str = ""
        self.confirmed: bytes | None = None  # SHA-256 of the proved secret (SPEC SEC-2)
        self.pending: bytes | None = None  # SHA-256 of the one issued last and not proved
        self.proved: bool = False  # SPEC UNC-1
        self.expires_at: float | None = None  # while detached (SPEC EXP-1)
        self.expiry_moved: bool = False  # by a gap, once (SPEC LIV-5)
        self.barren_resumes: int = 0  # resumes without progress since barren_since (SPEC LIM-5)
        self.barren_since: float = now
        self.counts_at_attach: int = sum(self.progress())  # of the last attach (SPEC LIM-5)
        self.throttled: bool = True

    def export(self, now: float) -> dict[str, Any]:
        """Return the record of the session: plain values that CBOR can carry (SPEC EXP-3)."""
        return {
            **self._export(now),
            "format": 1,
            "principal": self.principal,
            "confirmed": self.confirmed,
            "pending": self.pending,
            "proved": self.proved,
            "expires_in": None if self.expires_at is None else self.expires_at - now,
            "expiry_moved": self.expiry_moved,
            "resumes": [self.barren_resumes, now - self.barren_since, self.counts_at_attach],
        }

    @classmethod
    def restore(cls, record: dict[str, Any], config: EngineConfig, now: float) -> "ServerSession":
        """Build the session that ``export`` described, detached."""
        session = cls._restore(record, config, now)
        session.principal = record["principal"]
        session.confirmed = record["confirmed"]
        session.pending = record["pending"]
        session.proved = record["proved"]
        left = session.resume_period if record["expires_in"] is None else record["expires_in"]
        session.expires_at = now + left
        session.expiry_moved = record["expiry_moved"]
        session.barren_resumes, age, session.counts_at_attach = record["resumes"]
        session.barren_since = now - age
        return session


class ClientSession(Session):
    """A session as the client keeps it."""

    __slots__ = ("opened", "operation_bytes", "operations", "secret", "silence_limit")

    def __init__(self, config: EngineConfig, now: float) -> None:
        """Start without a secret: messages wait until OPENED names the window."""
        super().__init__(config, now)
        self.secret: bytes = b""
        self.opened: bool = False
        self.operations: int = 0  # what the server accepts unanswered (SPEC OPS-1)
        self.operation_bytes: int = 0
        self.silence_limit: float = 0.0  # seconds without a byte after which the server is dead (SPEC LIV-4)

    def export(self, now: float) -> dict[str, Any]:
        """Return the record of the session: plain values that CBOR can carry (SPEC EXP-3, EXP-4)."""
        return {
            **self._export(now),
            "format": 1,
            "secret": self.secret,
            "silence_limit": self.silence_limit,
            "operations": [self.operations, self.operation_bytes],
        }

    @classmethod
    def restore(cls, record: dict[str, Any], config: EngineConfig, now: float) -> "ClientSession":
        """Build the session that ``export`` described, detached."""
        session = cls._restore(record, config, now)
        session.secret = record["secret"]
        session.silence_limit = record["silence_limit"]
        session.operations, session.operation_bytes = record["operations"]
        session.opened = bool(session.session_id)
        return session
