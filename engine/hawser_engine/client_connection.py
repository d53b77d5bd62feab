"""The client's end of one link: what it sends to attach, and what it makes of the answer (SPEC 5, 9, 12).

Which session, which attempt and which credentials are the client's; this module asks it.
"""

from typing import TYPE_CHECKING, Any, Final

from attrs import evolve

from .codec import next_packet
from .codes import CloseCode, ResetReason, close_advice
from .config import PROTOCOL_VERSION
from .connection import Connection, local_error, refuse_role
from .errors import RemoteProtocolError
from .events import CredentialsAccepted, CredentialsRequested, Event, SessionOpened, SessionResumed
from .packets import Ack, Auth, Close, Counts, Limits, Open, Opened, Packet, Ping, Pong, Reauth, Resume, Resumed
from .session import ClientSession, Session
from .states import Input, State
from .timers import Timer

if TYPE_CHECKING:
    from .client import Client

__all__ = ["ClientConnection"]

_FOREIGN: Final = (Open, Resume, Auth)


class ClientConnection(Connection):
    """One link as the client sees it; made by ``Client.connect``."""

    __slots__ = ("_auth_open", "_client", "_retired", "_used_for", "answered")

    def __init__(self, client: "Client", now: float) -> None:
        """Start unattached; use ``Client.connect``."""
        super().__init__(client.config, now)
        self._client = client
        self._auth_open = False
        self._used_for: ClientSession | None = None  # the session of the newest OPEN or RESUME on it
        self._retired = False  # a newer connection has the session; only news of another holder counts
        self.answered: bool = False
        """Whether the newest probe came back: the link carries both ways, and may be attached on (SPEC ATT-18)."""

    def attach(self, now: float) -> None:
        """Attach: OPEN a session, or RESUME the one there is with the next attempt.

        Raises:
            LocalProtocolError: The connection has begun to attach, or has ended.

        Spec: ATT-1, ATT-4, ATT-15.
        """
        if self._state.current is not State.IDLE:
            raise local_error("ATT-17", f"saw a connection that is {self._state.current.name}", "attach")
        client = self._client
        session = self._used_for = client.session
        if session.opened:
            attempt = session.attempt + 1
            counts = Counts(session.inbox.received, session.inbox.delivered, session.outbox.sent)
            self._send(
                Resume(session.session_id, session.secret, session.incarnation, attempt, counts, client.credentials),
                now,
            )
            session.attempt = attempt  # stored before the RESUME leaves (SPEC ATT-4)
        else:
            self._open(now)
        if client.connection is not None:
            client.connection.retire(now)
        client.connection = self

    def ping(self, now: float) -> None:
        """Probe a link before the attach; ``answered`` tells when it came back (SPEC LIV-7, ATT-18)."""
        self._send(Ping(self._liveness.next_token(), None), now)
        self.answered = False

    def authenticate(self, credentials: dict[str, Any], now: float) -> None:
        """Send AUTH; use ``Client.authenticate``."""
        if self._auth_open:
            raise local_error("AUT-5", "saw a second AUTH before the first was answered", "authenticate")
        self._send(Auth(credentials), now)
        self._auth_open = True

    def retire(self, now: float) -> None:
        """Make way for a newer connection (SPEC ATT-15)."""
        self._quiet()
        self._timers.clear()
        self._out.clear()
        session = self.session
        self._let_go()
        if session is not None and session.carrier is self:
            session.carrier = None
            session.outbox.detach()
        self._retired = True
        self._timers.set(Timer.CLOSE, now + self._config.write_seconds)

    def close(
        self,
        code: CloseCode,
        reason: str,
        now: float,
        *,
        after_seconds: tuple[float, float] = (0.0, 0.0),
        url: str | None = None,
    ) -> None:
        """End the connection with CLOSE; one that has made way for a newer one ends without a word (SPEC ATT-15)."""
        if not self._retired:
            super().close(code, reason, now, after_seconds=after_seconds, url=url)
        elif self._state.current is not State.CLOSED:
            self._state.fire(Input.LINK_LOST)
            self._over(now)
            self._tell_end(code, reason, "local", close_advice(code), after_seconds, url)

    # Receiving

    def _consume(self, data: bytes, now: float, *, whole: bool) -> None:
        if self._retired:
            self._overhear(data, now)
        else:
            super()._consume(data, now, whole=whole)

    def _overhear(self, data: bytes, now: float) -> None:
        """Look on a connection that is retired for news of another holder, and for nothing else (SPEC ATT-15)."""
        position = 0
        try:
            while (taken := next_packet(data, position)) is not None:
                packet, position = taken
                if isinstance(packet, Close):
                    self._state.fire(Input.RCVD_CLOSE)
                    self._silence()
                    if self._is_taken_over(packet):
                        self._taken_over(now)
                    return
        except RemoteProtocolError:
            position = len(data)  # nothing is answered here, not even this
        self._tail = data[position:]

    def _check_role(self, packet: Packet) -> None:
        if self._state.current not in (State.DISCARDING, State.REOPENING):
            refuse_role(packet, _FOREIGN)
            if self.session is None:
                refuse_role(packet, (Ping,), "LIV-7")

    def _receive(self, packet: Packet, now: float) -> None:
        if isinstance(packet, Resumed) and packet.attempt != self._client.session.attempt:
            return  # SPEC ATT-8
        super()._receive(packet, now)
        if isinstance(packet, Pong) and 0 < self._liveness.token == packet.token:
            self.answered = True

    def _take(self, packet: Packet, now: float) -> None:
        if isinstance(packet, Opened):
            self._take_opened(packet, now)
        elif isinstance(packet, Resumed):
            self._take_resumed(packet, now)
        elif isinstance(packet, Reauth):
            self._take_reauth(packet)
        else:
            assert isinstance(packet, Ack)
            self._take_counts(packet.counts.received, packet.counts.delivered, packet.counts.sent, now)

    def _take_opened(self, packet: Opened, now: float) -> None:
        client = self._client
        if packet.version != PROTOCOL_VERSION or not set(packet.features) <= set(client.features):
            detail = f"saw version {packet.version} and features {list(packet.features)}, which were not offered"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "VER-4", detail, "OPENED")
        session = client.session
        session.session_id, session.secret, session.incarnation = packet.session, packet.secret, packet.incarnation
        session.resume_period = packet.resume_period_ms / 1000
        session.features = packet.features
        session.opened_at = now
        session.operations, session.operation_bytes = packet.limits.operations, packet.limits.operation_bytes
        session.opened = True
        limits, config = packet.limits, client.config
        session.outbox.open(
            min(config.window_messages, limits.window_messages),
            min(config.window_bytes, limits.window_bytes),
            limits.message_bytes,
        )
        session.silence_limit = (packet.ping_interval_ms + packet.pong_wait_ms) / 1000
        self._begin(session, 0, now)
        client.tell(SessionOpened(session))

    def _take_resumed(self, packet: Resumed, now: float) -> None:
        client = self._client
        session = client.session
        counts = packet.counts
        if not self._check_attach(session, counts):
            self._attach(session)
            self.abandon(ResetReason.DRIFT, now)
            return
        session.secret = packet.secret
        session.outbox.acknowledge(counts.received, counts.delivered)
        replayed = self._begin(session, counts.received, now)
        client.tell(SessionResumed(session, replayed))

    def _begin(self, session: ClientSession, received: int, now: float) -> int:
        """Send the ACK that proves the secret, then what the server lacks (SPEC ATT-3, ATT-12, ACK-5)."""
        self._attach(session)
        self._send_ack(received, now)
        self._liveness.watch_silence(session.silence_limit, now)
        return self._replay(received, now)

    def _take_reauth(self, packet: Reauth) -> None:
        if packet.within_ms is None:
            self._auth_open = False
            self._client.tell(CredentialsAccepted())
        elif not self._auth_open:
            self._client.tell(CredentialsRequested(packet.within_ms / 1000))

    def _session_at_stake(self) -> Session:
        return self._client.session  # also while its RESUME is not answered

    def _session_over(self, session: Session, reason: ResetReason | int, delivered: int | None, now: float) -> None:
        self._let_go()
        self._auth_open = False
        self._client.lose(reason, delivered, now)
        if self._state.current is State.DISCARDING:
            self._open(now)  # SPEC RST-5

    def _session_detached(self, session: Session, now: float) -> None:
        """Keep nothing: the client has the session anyway."""

    def _over(self, now: float, *, ends: bool = False) -> None:
        if self._client.connection is self:
            self._client.connection = None
        super()._over(now, ends=ends)

    def _closed_by_peer(self, packet: Close, now: float) -> None:
        taken_over = self._is_taken_over(packet)
        if taken_over:
            self._taken_over(now)
        if packet.code == CloseCode.SUPERSEDED:
            # To come back is right all the same: with the next attempt, or with a new session (SPEC ATT-9, ATT-10).
            packet = evolve(packet, reconnect=True, resume=not taken_over)
        super()._closed_by_peer(packet, now)

    def _is_taken_over(self, packet: Close) -> bool:
        """Say whether a CLOSE speaks of an attempt that this client never made (SPEC ATT-9)."""
        session = self._client.session
        return (
            packet.code == CloseCode.SUPERSEDED
            and packet.attempt is not None
            and session is self._used_for  # late news of a session that is over is no news (SPEC ATT-9)
            and session.opened
            and packet.attempt > session.attempt
        )

    def _taken_over(self, now: float) -> None:
        client = self._client
        other = client.connection
        self._let_go()
        client.lose(ResetReason.TAKEN_OVER, None, now)
        if other is not None and other is not self:
            other.close(CloseCode.GOING_AWAY, "the session was taken over", now)

    def _open(self, now: float) -> None:
        client = self._client
        self._used_for = client.session
        config = client.config
        period = client.resume_period_seconds
        self._send(
            Open(
                versions=(PROTOCOL_VERSION,),
                features=client.features,
                credentials=client.credentials,
                resume_period_ms=None if period is None else round(period * 1000),
                limits=Limits(config.window_messages, config.window_bytes, config.message_bytes),
            ),
            now,
        )
        self._timers.set(Timer.HANDSHAKE, now + config.handshake_seconds)

    def next_event(self) -> Event | None:
        """Return the next event of the connection, the client or its session; None if there is none now."""
        if self._events is not None:
            return self._own_event()
        # A link that is only tried beside another one has nothing to tell of the session (SPEC ATT-18).
        return None if self._retired or self._used_for is None else self._client.next_event()
