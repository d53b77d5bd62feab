"""The server's end of one link: OPEN, RESUME, AUTH and what the authenticator says of them (SPEC 5, 12).

Who owns which session is decided in ``server``; this module asks it. Between the arrival of credentials and the
driver's verdict anything may happen, so everything is checked again in the one step that attaches (SPEC ATT-5).
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from attrs import frozen

from .codes import CloseCode, ResetReason
from .config import PROTOCOL_VERSION
from .connection import Connection, local_error, refuse_role
from .errors import RemoteProtocolError
from .events import AuthenticationRequested, SessionOpened, SessionResumed
from .packets import Ack, Auth, Close, Counts, Open, Opened, Packet, Pong, Reauth, Reset, Resume, Resumed, ServerLimits
from .session import ServerSession, Session
from .states import State
from .timers import Timer

if TYPE_CHECKING:
    from .server import Server

__all__ = ["ServerConnection"]

_FOREIGN: Final = (Opened, Resumed, Reauth)


@frozen
class _Claim:
    """A RESUME, and the digest of the secret in it."""

    packet: Resume
    digest: bytes


class ServerConnection(Connection):
    """One link as the server sees it; made by ``Server.connect``."""

    __slots__ = (
        "_accepted",
        "_asked",
        "_control_at",
        "_controls",
        "_draw",
        "_pre_bytes",
        "_proof",
        "_question",
        "_server",
        "_void",
        "_waiting",
    )

    def __init__(self, server: "Server", draw: Callable[[], float], now: float) -> None:
        """Start unattached; use ``Server.connect``."""
        super().__init__(server.config, now)
        self._server = server
        self._draw = draw
        self._waiting: Open | _Claim | Auth | None = None  # whose credentials the driver is judging
        self._question: AuthenticationRequested | None = None
        self._asked = False  # the driver owes a verdict
        self._void = False  # and it will be about something that is over
        self._accepted = False  # some credentials, once
        self._pre_bytes = 0  # what came until then
        self._proof = b""  # digest of the secret that this connection's attach issued
        self._controls = float(server.config.controls_burst)
        self._control_at = now

    # The driver's verdict

    def accept(self, principal: str, now: float, expires_in: float | None = None) -> None:
        """Answer AuthenticationRequested: these credentials belong to ``principal``.

        Args:
            principal: Whom they belong to.
            now: Seconds.
            expires_in: Seconds until they expire; None: never. Wall time has been turned into this by the caller.

        Raises:
            LocalProtocolError: Nothing is being judged.

        Spec: ATT-5, AUT-2, AUT-4, SEC-4.
        """
        waiting = self._verdict()
        self._accepted = True
        if isinstance(waiting, Open):
            self._open(waiting, principal, now)
        elif isinstance(waiting, _Claim):
            self._resume(waiting, principal, now)
        elif waiting is not None:
            session = self.session
            assert isinstance(session, ServerSession), "a verdict about a session that is over is void"
            if session.principal != principal:
                self._close(CloseCode.UNAUTHORIZED, "another principal (SPEC AUT-4)", now)
                return
            self._send(Reauth(None), now)
        if self.session is not None:
            self._watch_credentials(expires_in, now)

    def refuse(self, now: float, reason: str = "credentials refused") -> None:
        """Answer AuthenticationRequested: these credentials are no good.

        Args:
            now: Seconds on the caller's monotonic clock.
            reason: For people; cut to 123 bytes.

        Raises:
            LocalProtocolError: Nothing is being judged.

        Spec: ATT-16, AUT-2.
        """
        if self._verdict() is not None:
            self._close(CloseCode.UNAUTHORIZED, reason, now)

    def unavailable(self, now: float, after_seconds: tuple[float, float] = (1.0, 5.0)) -> None:
        """Answer AuthenticationRequested: nobody can say now; the client tries again later.

        Args:
            now: Seconds on the caller's monotonic clock.
            after_seconds: The client comes back between these, from now.

        Raises:
            LocalProtocolError: Nothing is being judged.

        Spec: ATT-16, AUT-2.
        """
        if self._verdict() is not None:
            self._close(CloseCode.UNAVAILABLE, "credentials cannot be checked now", now, after_seconds=after_seconds)

    def fence(self, attempt: int, now: float) -> None:
        """Lose every effect: a newer connection has the session (SPEC ATT-7)."""
        self._let_go()
        self._out.clear()
        self._close(CloseCode.SUPERSEDED, "another connection has the session", now, attempt=attempt)

    def _ask(self, waiting: "Open | _Claim | Auth", credentials: dict[str, Any], principal: str | None) -> None:
        """Have credentials judged; one judgement at a time, so that a verdict can only mean what was asked."""
        self._waiting = waiting
        self._question = AuthenticationRequested(credentials, principal)
        if not self._asked:
            self._asked = True
            self._tell(self._question)

    def _verdict(self) -> "Open | _Claim | Auth | None":
        """Take what was judged; None if it is of no interest any more."""
        if not self._asked:
            raise local_error("ATT-5", "saw a verdict, but no credentials are waiting for one", "accept")
        self._asked = False
        void, self._void = self._void, False
        if self._state.current in (State.CLOSING, State.CLOSED):
            return None
        if void:
            if self._waiting is not None and self._question is not None:
                self._asked = True  # what came after the judged one was void
                self._tell(self._question)
            return None
        waiting, self._waiting = self._waiting, None
        self._question = None
        return waiting

    # Receiving

    def _hears(self, size: int, now: float) -> bool:
        if not self._accepted:
            self._pre_bytes += size
        return super()._hears(size, now)

    def _consume(self, data: bytes, now: float, *, whole: bool) -> None:
        excess = 0 if self._accepted else self._pre_bytes - self._config.preattach_bytes
        if excess <= 0:
            super()._consume(data, now, whole=whole)
            return
        # What is within the limit is judged first, so that no split of the bytes changes the outcome (SPEC CAR-30).
        super()._consume(data[:-excess], now, whole=False)
        self._close(CloseCode.TOO_LARGE, "too much before the credentials (SPEC PKT-14)", now)

    def _check_role(self, packet: Packet) -> None:
        if self._state.current is not State.DISCARDING:
            refuse_role(packet, _FOREIGN)
            if self.session is None:
                refuse_role(packet, (Pong, Reset), "ATT-1")

    def _take(self, packet: Packet, now: float) -> None:
        if isinstance(packet, Open):
            self._take_open(packet, now)
        elif isinstance(packet, Resume):
            self._take_resume(packet, now)
        elif isinstance(packet, Auth):
            self._take_auth(packet, now)
        else:  # the first ACK: PROVING has become ATTACHED (SPEC ATT-3, SEC-3)
            assert isinstance(packet, Ack), "the table allows nothing else here"
            counts = packet.counts
            self._take_proof()
            self._take_counts(counts.received, counts.delivered, counts.sent, now)

    def _take_open(self, packet: Open, now: float) -> None:
        if PROTOCOL_VERSION not in packet.versions:
            self._close(CloseCode.VERSION, f"this server speaks version {PROTOCOL_VERSION} (SPEC VER-3)", now)
            return
        self._ask(packet, packet.credentials, None)

    def _take_resume(self, packet: Resume, now: float) -> None:
        # Whether the secret is good is kept until the authenticator has spoken, so that no answer and no time tells
        # which sessions exist to somebody whose credentials are not good (SPEC ATT-5, SEC-6).
        digest = self._server.digest(packet.secret)
        found = self._server.claim(packet, digest, now)
        self._ask(_Claim(packet, digest), packet.credentials, None if found is None else found.principal)

    def _take_auth(self, packet: Auth, now: float) -> None:
        if self._waiting is not None:
            detail = "saw a second AUTH before the first was answered"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "AUT-5", detail, "AUTH")
        session = self.session
        assert isinstance(session, ServerSession)
        if self._allows_control(now):  # SPEC LIM-2: a judgement may cost the application a look into its database
            self._ask(packet, packet.credentials, session.principal)

    def _take_proof(self) -> None:
        """The client has shown that it holds the secret of this attach (SPEC SEC-3, UNC-1)."""
        session = self.session
        assert isinstance(session, ServerSession)
        if session.pending == self._proof:  # else it is a later ACK, in an unusual encoding
            session.confirmed, session.pending = session.pending, None
        if not session.proved:
            self._server.proved(session)
            session.tell(SessionOpened(session))

    # Attaching

    def _open(self, packet: Open, principal: str, now: float) -> None:
        server, config = self._server, self._config
        session = server.open(principal, packet, now)
        if session is None:
            self._close(CloseCode.OVERLOADED, "no room for another session (SPEC LIM-4)", now, after_seconds=(1.0, 5.0))
            return
        secret = server.new_secret()
        self._proof = session.pending = server.digest(secret)
        self._send(
            Opened(
                version=PROTOCOL_VERSION,
                features=session.features,
                session=session.session_id,
                secret=secret,
                incarnation=session.incarnation,
                resume_period_ms=round(session.resume_period * 1000),
                ping_interval_ms=round(config.ping_interval_seconds * 1000),
                pong_wait_ms=round(config.pong_wait_seconds * 1000),
                limits=ServerLimits(
                    config.window_messages,
                    config.window_bytes,
                    config.message_bytes,
                    config.operations,
                    config.operation_bytes,
                ),
            ),
            now,
        )
        self._attach(session)
        self._begin(session, 0, now)  # nothing is there to be sent again

    def _resume(self, claim: _Claim, principal: str, now: float) -> None:
        """Re-check, fence, take the counts and answer: one step (SPEC ATT-5, ATT-7, ATT-11)."""
        packet, server = claim.packet, self._server
        found = server.claim(packet, claim.digest, now)
        if found is None or found.principal != principal:
            self._refuse_claim(packet, now)
            return
        if packet.incarnation != found.incarnation:
            self._send(Reset(ResetReason.RESTARTED, None), now)  # SPEC ATT-14
            self._rearm(now)
            return
        if not isinstance(found, ServerSession):
            self._send(Reset(found.reason, found.counts), now)  # its tombstone (SPEC ATT-14)
            self._rearm(now)
            return
        session = found
        if packet.attempt <= session.attempt:
            self._close(CloseCode.SUPERSEDED, "a later attempt has attached", now, attempt=session.attempt)
            return
        wait = server.too_many_resumes(session, packet.counts, now)
        if wait is not None:
            self._close(CloseCode.RATE, "too many resumes (SPEC LIM-5)", now, after_seconds=(wait, wait + 5.0))
            return
        server.fence(session, packet.attempt, now)
        if claim.digest == session.pending:
            session.confirmed, session.pending = session.pending, None
        counts = packet.counts
        if not self._check_attach(session, counts):
            self._send(Reset(ResetReason.DRIFT, _own_counts(session)), now)
            self._rearm(now)
            server.end(session, ResetReason.DRIFT, now)
            return
        session.outbox.acknowledge(counts.received, counts.delivered)
        secret = server.new_secret()
        self._proof = session.pending = server.digest(secret)
        self._send(Resumed(packet.attempt, _own_counts(session), secret), now)
        session.inbox.stated()
        newly_proved = not session.proved
        if newly_proved:
            server.proved(session)  # SPEC UNC-3
        self._attach(session)
        replayed = self._begin(session, counts.received, now)
        if newly_proved:
            session.tell(SessionOpened(session))
        session.tell(SessionResumed(session, replayed))

    def _begin(self, session: ServerSession, received: int, now: float) -> int:
        """Start what an attached connection does: heartbeat and transmission (SPEC LIV-1, ATT-12)."""
        self._server.attached(session)
        self._liveness.watch_by_ping(self._config.ping_interval_seconds, self._draw, now)
        return self._replay(received, now)

    def _refuse_claim(self, packet: Resume, now: float) -> None:
        """Answer as to a session that never was, whatever the fault is (SPEC ATT-14, SEC-6)."""
        known = packet.incarnation == self._server.incarnation
        self._send(Reset(ResetReason.UNKNOWN_SESSION if known else ResetReason.RESTARTED, None), now)
        self._rearm(now)

    def _rearm(self, now: float) -> None:
        """Wait for the OPEN that follows a RESET (SPEC ATT-13, RST-5)."""
        if self._waiting is not None:
            self._waiting = self._question = None
            self._void = True  # the verdict that is still owed will mean nothing
        self._timers.set(Timer.HANDSHAKE, now + self._config.handshake_seconds)

    def _ends_session(self, packet: Close) -> bool:
        return not packet.resume  # whatever the code is (SPEC EXP-2); the exception is for servers

    def _session_over(self, session: Session, reason: ResetReason | int, delivered: int | None, now: float) -> None:
        assert isinstance(session, ServerSession)
        self._let_go()
        self._rearm(now)
        self._server.end(session, reason, now, delivered)

    def _session_detached(self, session: Session, now: float) -> None:
        assert isinstance(session, ServerSession)
        self._server.detached(session, now)

    # Credentials in time

    def _watch_credentials(self, expires_in: float | None, now: float) -> None:
        self._timers.stop(Timer.REAUTH)
        self._timers.stop(Timer.REAUTH_ASK)
        if expires_in is not None:
            lead = min(self._config.reauth_seconds, expires_in / 2)
            self._timers.set(Timer.REAUTH_ASK, now + expires_in - lead)
            self._timers.set(Timer.REAUTH, now + expires_in)

    def request_credentials(self, within_seconds: float, now: float) -> None:
        """Ask the client for new credentials, as when its rights may have changed.

        Args:
            within_seconds: How long it has; then the connection ends, and the session stays.
            now: Seconds on the caller's monotonic clock.

        Raises:
            LocalProtocolError: The connection is not attached.

        Spec: AUT-1, AUT-3.
        """
        self._send(Reauth(round(within_seconds * 1000)), now)
        due = self._timers.get(Timer.REAUTH)  # what was good until then is not good for longer
        self._timers.set(Timer.REAUTH, now + within_seconds if due is None else min(due, now + within_seconds))

    def _credentials_expire(self, timer: Timer, now: float) -> None:
        if timer is Timer.REAUTH_ASK:
            due = self._timers.get(Timer.REAUTH)
            assert due is not None, "both are set together"
            if due > now:  # else it is too late to ask; they expire in this same pass
                self.request_credentials(due - now, now)
        else:
            self._close(CloseCode.UNAUTHORIZED, "credentials have expired (SPEC AUT-3)", now)

    # Limits

    def _allows_control(self, now: float) -> bool:
        config = self._config
        self._controls = min(
            float(config.controls_burst), self._controls + (now - self._control_at) * config.controls_per_second
        )
        self._control_at = now
        if self._controls < 1.0:
            self._close(CloseCode.RATE, "too many packets (SPEC LIM-2)", now, after_seconds=(1.0, 5.0))
            return False
        self._controls -= 1.0
        return True


def _own_counts(session: Session) -> Counts:
    return Counts(session.inbox.received, session.inbox.delivered, session.outbox.sent)
