"""The server side of the engine: who owns which session (SPEC 5.2, 5.3, 9, 10).

Connections ask it to open, claim, fence and end sessions; it keeps the tables, each with its bound: sessions, those not
proved yet, tombstones, and the deadlines of detached sessions.
"""

import hashlib
import hmac
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from heapq import heappop, heappush
from math import inf
from typing import Any, Final

from attrs import frozen

from .codes import ResetReason
from .config import EngineConfig
from .events import SessionReset
from .packets import Counts, Open, Resume
from .server_connection import ServerConnection
from .session import ServerSession

__all__ = ["Server", "Tombstone"]

SECRET_BYTES: Final = 32
SESSION_ID_BYTES: Final = 16
INCARNATION_BYTES: Final = 8
_MINUTE: Final = 60.0


@frozen
class Tombstone:
    """What is remembered of an ended session (SPEC RST-2)."""

    reason: int
    counts: Counts
    digests: tuple[bytes | None, bytes | None]
    principal: str
    incarnation: bytes
    forget_at: float


class Server:
    """All sessions of one node, as pure state.

    After each input to a connection, also drain the connections that ``dirty`` returns: an attach writes to the
    connection that it fences.
    """

    def __init__(
        self,
        config: EngineConfig,
        *,
        random_bytes: Callable[[int], bytes],
        incarnation: bytes | None = None,
        features: Iterable[str] = (),
    ) -> None:
        """Start without sessions.

        Args:
            config: Limits and times.
            random_bytes: Returns so many bytes fit for secrets.
            incarnation: Names the store of sessions; None makes a new name, for a store that starts empty.
            features: Names of the extensions that this server speaks.

        Raises:
            TypeError: ``features`` is a string.
        """
        if isinstance(features, str):
            raise TypeError(f"features is a list of names, not a string; write [{features!r}]")
        self.config = config
        self.features: frozenset[str] = frozenset(features)
        self.incarnation: bytes = random_bytes(INCARNATION_BYTES) if incarnation is None else incarnation
        self.sessions: dict[bytes, ServerSession] = {}
        self._random = random_bytes
        self._drawn = self._draw  # one bound method for all connections
        self._unproved: OrderedDict[bytes, None] = OrderedDict()
        self._detached: OrderedDict[bytes, None] = OrderedDict()  # longest first
        self._tombstones: OrderedDict[bytes, Tombstone] = OrderedDict()
        # A heap with one entry a session, which may be earlier than the deadline that holds now but never later. Only
        # what a late pass had moved leaves a second, stale one behind, for one pong wait at most.
        self._deadlines: list[tuple[float, bytes]] = []
        self._awaited: dict[bytes, float] = {}  # the entry that counts, by session
        self._dirty: dict[ServerConnection, None] = {}
        self._events: deque[SessionReset] = deque()

    # Inputs

    def connect(self, now: float) -> ServerConnection:
        """Take a new link."""
        return ServerConnection(self, self._drawn, now)

    def handle_timeout(self, now: float) -> None:
        """End the sessions whose resume period has passed, forget old tombstones (SPEC EXP-1, RST-2)."""
        while self._deadlines and self._deadlines[0][0] <= now:
            deadline, name = heappop(self._deadlines)
            if self._awaited.get(name) != deadline:
                continue
            del self._awaited[name]
            session = self.sessions.get(name)
            if session is None or session.expires_at is None:
                continue
            if session.expires_at <= now:
                self.end(session, ResetReason.EXPIRED, now)
            else:
                self._wait_for(session)
        while self._tombstones and next(iter(self._tombstones.values())).forget_at <= now:
            self._tombstones.popitem(last=False)

    def handle_gap(self, now: float) -> None:
        """Give detached sessions one pong wait more, once, after a late pass (SPEC LIV-5)."""
        floor = now + self.config.pong_wait_seconds
        for name in self._detached:
            session = self.sessions[name]
            if session.expires_at is not None and session.expires_at < floor and not session.expiry_moved:
                session.expires_at = floor
                session.expiry_moved = True

    # Commands

    def end(
        self,
        session: ServerSession,
        reason: ResetReason | int,
        now: float,
        delivered: int | None = None,
    ) -> None:
        """End a session: tell an attached client, leave a tombstone, report what is lost.

        Args:
            session: A session of this server.
            reason: Why.
            now: Seconds.
            delivered: What the client's RESET said it had delivered, if that is how it ends.

        Spec: RST-1, RST-2, RST-6, RST-8.
        """
        if session.ended is not None:
            return
        connection = session.carrier
        if isinstance(connection, ServerConnection) and connection.session is session:
            self._touch(connection)
            connection.abandon(reason, now)  # comes back here, without the session
            return
        report = session.finish(reason, delivered)
        name = session.session_id
        del self.sessions[name]
        self._unproved.pop(name, None)
        self._detached.pop(name, None)
        counts = Counts(session.inbox.received, session.inbox.delivered, session.outbox.sent)
        digests = (session.confirmed, session.pending)
        forget_at = now + session.resume_period
        self._tombstones[name] = Tombstone(
            int(reason), counts, digests, session.principal, session.incarnation, forget_at
        )
        if len(self._tombstones) > self.config.tombstones:
            self._tombstones.popitem(last=False)
        self._events.append(report)

    def restore(self, record: dict[str, Any], now: float) -> ServerSession:
        """Take a session over; it starts detached.

        Args:
            record: What ``ServerSession.export`` returned, all of it.
            now: Seconds on the caller's monotonic clock.

        Returns:
            The session, which is this server's from now on.

        Spec: EXP-3.
        """
        session = ServerSession.restore(record, self.config, now)
        session.owner = self
        self.sessions[session.session_id] = session
        if not session.proved:
            self._unproved[session.session_id] = None
        self._wait_for(session)
        return session

    # Outputs

    def dirty(self) -> list[ServerConnection]:
        """Return the connections that were written to through another one, each once."""
        touched = list(self._dirty)
        self._dirty.clear()
        return touched

    def next_event(self) -> SessionReset | None:
        """Return the report of the next session that has ended, None if there is none."""
        return self._events.popleft() if self._events else None

    def next_timeout(self) -> float | None:
        """Return when ``handle_timeout`` has to be called at the latest; it may be earlier than needed."""
        return self._deadlines[0][0] if self._deadlines else None

    # For connections

    def digest(self, secret: bytes) -> bytes:
        """Return what is stored of a secret (SPEC SEC-1)."""
        return hashlib.sha256(secret).digest()

    def new_secret(self) -> bytes:
        """Return a new resume secret (SPEC SEC-1)."""
        return self._random(SECRET_BYTES)

    def claim(self, packet: Resume, digest: bytes, now: float) -> ServerSession | Tombstone | None:
        """Return the session, alive or ended, that a secret's digest opens; None for every kind of no (SPEC SEC-6)."""
        session = self.sessions.get(packet.session)
        found: ServerSession | Tombstone | None = session or self._tombstones.get(packet.session)
        if session is not None:
            digests = (session.confirmed, session.pending)
        else:
            digests = found.digests if isinstance(found, Tombstone) else (None, None)
        # Both are always compared, against something, so that the time tells nothing.
        good = [hmac.compare_digest(digest, known or bytes(len(digest))) and known is not None for known in digests]
        if isinstance(found, Tombstone) and found.forget_at <= now:
            return None  # SPEC RST-3
        return found if any(good) else None

    def open(self, principal: str, packet: Open, now: float) -> ServerSession | None:
        """Make a session (SPEC EXP-1, UNC-2); None if the table is full of attached ones (SPEC LIM-4)."""
        if len(self._unproved) >= self.config.unconfirmed_sessions:
            self._forget(next(iter(self._unproved)), now)
        if len(self.sessions) >= self.config.sessions:
            if not self._detached:
                return None
            self.end(self.sessions[next(iter(self._detached))], ResetReason.EVICTED, now)
        session = ServerSession(self.config, now)
        session.owner = self
        session.session_id = self._random(SESSION_ID_BYTES)
        session.incarnation = self.incarnation
        session.principal = principal
        session.features = tuple(dict.fromkeys(name for name in packet.features if name in self.features))
        if packet.resume_period_ms is not None:
            session.resume_period = min(session.resume_period, packet.resume_period_ms / 1000)
        # What a client claims to take is not what the server keeps for it: its own window bounds the replay buffer.
        limits, config = packet.limits, self.config
        session.outbox.open(
            min(config.window_messages, limits.window_messages),  # the first of equals: one object for all sessions
            min(config.window_bytes, limits.window_bytes),
            limits.message_bytes,
        )
        self.sessions[session.session_id] = session
        self._unproved[session.session_id] = None
        return session

    def proved(self, session: ServerSession) -> None:
        """Count a session as confirmed (SPEC UNC-1, UNC-3)."""
        session.proved = True
        self._unproved.pop(session.session_id, None)

    def fence(self, session: ServerSession, attempt: int, now: float) -> None:
        """Give the session to a new attempt; its older connection loses every effect (SPEC ATT-7)."""
        session.attempt = attempt
        older = session.carrier
        session.carrier = None
        session.outbox.detach()
        if isinstance(older, ServerConnection):
            self._touch(older)
            session.flow_violations = 0  # that connection has not ended by one (SPEC WIN-3)
            older.fence(attempt, now)

    def attached(self, session: ServerSession) -> None:
        """Stop the resume period (SPEC EXP-1)."""
        session.expires_at = None
        session.expiry_moved = False
        self._detached.pop(session.session_id, None)

    def detached(self, session: ServerSession, now: float) -> None:
        """Start the resume period (SPEC EXP-1)."""
        session.expires_at = now + session.resume_period
        self._wait_for(session)

    def too_many_resumes(self, session: ServerSession, counts: Counts, now: float) -> float | None:
        """Count a resume; return for how long the client should stay away if it is one too many (SPEC LIM-5)."""
        box = session.outbox
        moved = counts.received > box.received or counts.delivered > box.delivered
        if moved or sum(session.progress()) != session.counts_at_attach or now - session.barren_since >= _MINUTE:
            session.barren_resumes = 0
            session.barren_since = now
        session.counts_at_attach = sum(session.progress())
        session.barren_resumes += 1
        if session.barren_resumes <= self.config.resumes_per_minute:
            return None
        return _MINUTE - (now - session.barren_since)

    def _wait_for(self, session: ServerSession) -> None:
        assert session.expires_at is not None, "a detached session has a deadline"
        name = session.session_id
        self._detached[name] = None
        if session.expires_at < self._awaited.get(name, inf):
            self._awaited[name] = session.expires_at
            heappush(self._deadlines, (session.expires_at, name))

    def _touch(self, connection: ServerConnection) -> None:
        self._dirty[connection] = None

    def _forget(self, name: bytes, now: float) -> None:
        """Drop an unproved session without a tombstone (SPEC UNC-2)."""
        self.end(self.sessions[name], ResetReason.EVICTED, now)
        self._tombstones.pop(name, None)

    def _draw(self) -> float:
        return int.from_bytes(self._random(4), "big") / 2**32
