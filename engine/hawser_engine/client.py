"""The client side of the engine: one session after another, one connection after another (SPEC 5, 9).

A ``Client`` outlives its connections and its sessions. Each ``connect`` is one attempt: OPEN, or RESUME with the next
number. What the application sends while there is no session waits in the one that OPEN will make.
"""

from collections import deque
from collections.abc import Mapping
from typing import Any

from .client_connection import ClientConnection
from .codes import CloseCode, ResetReason
from .config import EngineConfig
from .connection import local_error
from .events import Event
from .session import ClientSession, Session
from .states import State

__all__ = ["Client"]


class Client:
    """One client's side of the protocol, as pure state."""

    def __init__(
        self,
        config: EngineConfig,
        now: float,
        *,
        credentials: Mapping[str, Any] | None = None,
        features: tuple[str, ...] = (),
        resume_period_seconds: float | None = None,
    ) -> None:
        """Start without a session.

        Args:
            config: This side's limits and times.
            now: Seconds.
            credentials: What each attach proves the client with; assign ``credentials`` to change them.
            features: Names of the extensions that this client speaks.
            resume_period_seconds: The wanted resume period; None leaves it to the server.
        """
        self.config = config
        self.credentials: dict[str, Any] = dict(credentials or {})
        self.features = features
        self.resume_period_seconds = resume_period_seconds
        self.session: ClientSession = self._new_session(now)
        """The present session; before the first OPENED, and after a loss, one that is yet to be opened."""
        self.connection: ClientConnection | None = None
        """The newest connection, as long as it lives."""
        self._events: deque[Event] = deque()

    def connect(self, now: float, *, attach: bool = True) -> ClientConnection:
        """Take a new link and, unless told to wait, attach on it at once; it replaces the connection before it.

        Args:
            now: Seconds.
            attach: False leaves the link unattached, to be probed first; ``ClientConnection.attach`` goes on.

        Spec: ATT-4, ATT-15.
        """
        connection = ClientConnection(self, now)
        if attach:
            connection.attach(now)
        return connection

    def close(self, now: float, reason: str = "") -> None:
        """End the session with a goodbye if a connection is there to carry it.

        Args:
            now: Seconds on the caller's monotonic clock.
            reason: For people; cut to 123 bytes.

        Spec: EXP-2.
        """
        if self.connection is not None:
            self.connection.close(CloseCode.NORMAL, reason, now)

    def authenticate(self, credentials: Mapping[str, Any], now: float) -> None:
        """Use new credentials from now on, and tell them to the server if a session is attached.

        Args:
            credentials: What the server's authenticator reads.
            now: Seconds on the caller's monotonic clock.

        Raises:
            LocalProtocolError: The credentials before them are still being judged.

        Spec: AUT-2, AUT-5.
        """
        if self.connection is not None and self.connection.state is State.ATTACHED:
            self.connection.authenticate(dict(credentials), now)
        self.credentials = dict(credentials)

    def next_event(self) -> Event | None:
        """Return the next event of the client or its session; None if there is none now."""
        return self._events.popleft() if self._events else self.session.next_event()

    def export(self, now: float) -> dict[str, Any]:
        """Return the record of the session, for another ``Client`` to go on with (SPEC EXP-3, EXP-4)."""
        return self.session.export(now)

    def restore(self, record: dict[str, Any], now: float) -> None:
        """Go on with the session of a record instead of the present one, which must be unused.

        Args:
            record: What `export` returned, all of it.
            now: Seconds on the caller's monotonic clock.

        Raises:
            LocalProtocolError: This client has a session or has accepted messages.

        Spec: EXP-3, EXP-4.
        """
        if self.session.opened or self.session.outbox.accepted:
            raise local_error("EXP-4", "saw a client in use, expected one that has done nothing", "restore")
        self.session = ClientSession.restore(record, self.config, now)
        self.session.owner = self

    # For connections

    def tell(self, event: Event) -> None:
        """Queue an event of the client."""
        self._events.append(event)

    def lose(self, reason: ResetReason | int, delivered: int | None, now: float) -> None:
        """Report the end of the session and get ready for a new one (SPEC RST-6, RST-7)."""
        self._events.append(self.session.finish(reason, delivered))
        self.session = self._new_session(now)

    def end(self, session: Session, reason: ResetReason | int, now: float) -> None:
        """Give up a session that is not attached; use ``Session.end``."""
        assert session is self.session, "the one before it has ended"
        connection = self.connection
        self.lose(reason, None, now)
        if connection is not None and connection.state is State.RESUMING:
            # Its answer would be about a session that is over, and what follows it a protocol error.
            connection.close(CloseCode.GOING_AWAY, "the session was given up", now)

    def _new_session(self, now: float) -> ClientSession:
        session = ClientSession(self.config, now)
        session.owner = self
        return session
