"""One end of one link, as pure state: what both roles share.

Bytes in, packets to the session; packets out, as batches; liveness; the end. What differs between the two roles, the
attach above all, is in ``server_connection`` and ``client``. States and their inputs are a table in ``states``.

**The drain rule: after each input or command, send what ``data_to_send`` returns, call ``next_event`` until it returns
None, then read ``next_timeout`` and call ``handle_timeout`` no earlier than that.** Time never goes back. Extra calls
of ``handle_timeout`` are harmless.

Methods come in four kinds (after quinn-proto):
    inputs    receive_data, receive_batch, receive_life, receive_eof, written, handle_timeout, handle_gap, probe
    commands  close, lay_passage, and those of the session: send, send_batch, delivered; a caller's fault raises and
              changes nothing
    outputs   data_to_send, next_event, next_timeout
    getters   state, session, unwritten_bytes
"""

from abc import abstractmethod
from collections.abc import Callable
from typing import Final, assert_never

from .codec import encode_ack, encode_probe
from .codes import CloseCode, ResetReason
from .config import EngineConfig
from .errors import LocalProtocolError, RemoteProtocolError
from .events import Event, SessionDetached
from .inbox import Taken
from .link import RCVD, Link
from .packets import Close, Counts, Message, Packet, Ping, Pong, Reset, Volatile
from .passage import Passage, Writer
from .session import Session
from .states import Input, State
from .timers import Timer

__all__ = ["Connection", "local_error", "refuse_role"]

_DISCARDING: Final = (State.DISCARDING, State.REOPENING)
_WITH_SESSION: Final = (State.PROVING, State.ATTACHED)
_ACK: Final = Timer.ACK  # by a name of its own, for it is asked for with every message (see ``link``)
_TAKEN: Final = Taken.TAKEN
_EIGHTHS: Final = 8
_FLOW_VIOLATIONS: Final = 3  # SPEC WIN-3


class Connection(Link):
    """One end of one link; see the module for the rule of its use."""

    __slots__ = ("_ack_wanted", "_before", "_unstated_since", "attached", "pings", "progressed", "session")

    def __init__(self, config: EngineConfig, now: float) -> None:
        """Start unattached; ``Server.connect`` and ``Client.connect`` make connections."""
        super().__init__(config, now)
        self._ack_wanted = False
        self._unstated_since = now  # the first delivery that the peer has not been told of
        self._before = 0  # the sum of the session's counts when it was attached: what moves changes it
        self.pings: int = 0
        """Probes taken before the attach."""
        self.attached: bool = False
        """Whether a session was ever attached here."""
        self.progressed: bool = False
        """Whether a count of the session has moved since; known when the connection is over (SPEC REC-1)."""
        self.session: Session | None = None
        """The session that this connection is attached to, as long as it is."""

    # Inputs

    def handle_timeout(self, now: float) -> None:
        """Let time pass up to ``now``. What has arrived must have been given first (SPEC LIV-6)."""
        super().handle_timeout(now)
        if self.session is not None:
            self.session.handle_timeout(now)

    def handle_gap(self, now: float) -> None:
        """Forgive a late pass: probe, and give the peer one pong wait more, once until it is heard.

        Spec: LIV-5.
        """
        self._liveness.forgive(self.pong_wait, now)
        self.probe(now)

    def probe(self, now: float) -> None:
        """Ask the peer for life now, as after a step of the wall clock (SPEC LIV-5)."""
        if self._state.current is State.ATTACHED and self.session is not None and not self._liveness.ping_open:
            self._send_ping(now)

    def written(self, now: float, left: int = 0) -> None:
        """See ``Link.written``; where everything has left, shared bytes may pass again."""
        super().written(now, left)
        if self._out.passage is not None:
            self._judge_passage()

    # Commands

    def lay_passage(self, carry: Callable[[bytes], bool], writer: Writer) -> Passage:
        """Return the way past the queue for shared bytes of the attached session, for as long as it is attached here.

        Args:
            carry: See `Passage`.
            writer: See `Passage`.

        Spec: CHN-6, PRT-7.
        """
        assert self.session is not None, "a passage leads from a session to its connection"
        self.bar_passage()
        passage = self._out.passage = Passage(carry, writer, self._liveness)
        self._judge_passage()
        return passage

    def bar_passage(self) -> None:
        """Close the passage for good, as when its link is given up."""
        if self._out.passage is not None:
            self._out.passage.close()
            self._out.passage = None

    # Outputs

    def data_to_send(self) -> list[bytes]:
        """Return the batches to send, in order; each is one unit of a carriage that keeps batches whole.

        Spec: PKT-5, ACK-3.
        """
        session = self.session
        if session is not None and self._state.current in _WITH_SESSION:
            inbox = session.inbox
            unstated = inbox.delivered > inbox.stated_delivered
            if self._ack_wanted or (unstated and self._out and not self._out.states_counts):
                self._ack_wanted = False
                if unstated:
                    self._send_ack(session.outbox.sent, self._now)
        return self._out.take()

    def next_event(self) -> Event | None:
        """Return the next event of the connection or its session; None if there is none now."""
        if self._events is not None:
            return self._own_event()
        return None if self.session is None else self.session.next_event()

    def next_timeout(self) -> float | None:
        """Return when ``handle_timeout`` has to be called at the latest, None if never."""
        due = self._timers.next_timeout()
        if self.session is None:
            return due
        other = self.session.next_timeout()
        return other if due is None else due if other is None else min(due, other)

    def push_volatile(self, packet: bytes, now: float) -> bool:
        """Queue a VOLATILE unless the link lags behind (SPEC CNT-7)."""
        if self._out.unwritten > self._config.volatile_backlog_bytes:
            return False
        self.push(packet, now)
        return True

    def settle(self, now: float, *, at_once: bool = False) -> None:
        """Decide whether deliveries are stated now, later, or not at all (SPEC ACK-1, ACK-2, MBX-17)."""
        self._now = now
        session = self.session
        if session is None:
            return
        if self._out.unwritten > self._config.outbound_bytes:
            self._close(CloseCode.SLOW, "too many bytes wait for the network (SPEC LIM-6)", now)
            return
        if session.throttled:
            session.refill(now)
        inbox = session.inbox
        count = inbox.delivered - inbox.stated_delivered
        if not count:
            return
        if self._out.passage is not None:
            self._out.passage.close()  # the next that leaves takes an ACK along (SPEC ACK-3)
        if self._ack_wanted:
            return
        config = self._config
        if (
            at_once
            or count >= config.ack_messages
            or count * 4 >= inbox.window_messages
            or inbox.unstated_bytes * 4 >= inbox.window_bytes
        ):
            self._ack_wanted = True
            self._timers.stop(_ACK)
            return
        if self._timers.get(_ACK) is None:
            self._unstated_since = now
        little = count * _EIGHTHS < inbox.window_messages and inbox.unstated_bytes * _EIGHTHS < inbox.window_bytes
        wait = config.ack_slow_seconds if little else config.ack_seconds
        self._timers.set(_ACK, self._unstated_since + wait)  # from the first delivery on (SPEC ACK-2)

    def abandon(self, reason: ResetReason | int, now: float) -> None:
        """End the session with RESET; the connection stays, for an OPEN (SPEC RST-1, RST-5)."""
        session = self.session
        assert session is not None, "only an attached session is abandoned by its connection"
        self._send(Reset(reason, _counts(session, session.outbox.sent)), now)
        self._quiet()
        self._session_over(session, reason, None, now)

    # For the two roles

    @abstractmethod
    def _take(self, packet: Packet, now: float) -> None:
        """Do what a packet of the attach or of authentication means; the table has allowed it."""

    @abstractmethod
    def _session_over(self, session: Session, reason: ResetReason | int, delivered: int | None, now: float) -> None:
        """Let go of a session that has ended; ``delivered`` is the peer's count in its RESET."""

    @abstractmethod
    def _session_detached(self, session: Session, now: float) -> None:
        """Keep a session that has lost this connection."""

    @abstractmethod
    def _check_role(self, packet: Packet) -> None:
        """Refuse a packet that only this side's role sends, before the table sees it."""

    def _attach(self, session: Session) -> None:
        """Tie a session to this connection; packets of it may be pushed from now on."""
        self.session = session
        session.carrier = self
        self.attached = True
        self._before = sum(session.progress())
        self._timers.stop(Timer.HANDSHAKE)

    def _let_go(self) -> None:
        """Tie no session to this connection any more."""
        self.bar_passage()
        self.session = None

    def _judge_passage(self) -> None:
        """Open the passage if nothing stands before a batch and nothing has to go along, else close it."""
        session, passage = self.session, self._out.passage
        assert session is not None, "a passage is barred with its session"
        assert passage is not None, "only one that was laid is judged"
        if self._out.unwritten or session.inbox.delivered > session.inbox.stated_delivered:
            passage.close()
        else:
            passage.open(session.outbox)

    def _replay(self, received: int, now: float) -> int:
        """Send what the peer lacks behind ``received``; return how many parts are sent again (SPEC ATT-12)."""
        assert self.session is not None
        packets, replayed = self.session.outbox.replay_from(received, now)
        for packet in packets:
            self.push(packet, now)
        self.session.replayed += replayed
        self.session.offer_room()
        return replayed

    def _check_attach(self, session: Session, counts: Counts) -> bool:
        """Say whether the peer's counts at an attach can be true (SPEC ATT-11)."""
        box = session.outbox
        return (
            box.delivered <= counts.delivered <= counts.received <= box.sent and counts.sent >= session.inbox.received
        )

    def _over(self, now: float, *, ends: bool = False) -> None:
        """Stop everything that belongs to a living connection; end or detach the session."""
        self._silence()
        self._ack_wanted = False
        session = self.session
        if session is None:
            return
        self.progressed = sum(session.progress()) != self._before
        session.flow_violations = 0
        if ends:
            self._session_over(session, ResetReason.CLOSED, None, now)
        else:
            self._let_go()
            session.carrier = None
            session.outbox.detach()
            session.tell(SessionDetached(session))
            self._session_detached(session, now)

    def _quiet(self) -> None:
        """Forget what an attached connection waits for."""
        self._liveness.stop()
        for timer in (Timer.ACK, Timer.REAUTH, Timer.REAUTH_ASK):
            self._timers.stop(timer)
        self._ack_wanted = False

    # Receiving

    def _receive(self, packet: Packet, now: float) -> None:
        """Do what a packet means. The path of MESSAGE and ACK on an attached connection does not come here."""
        discarding = self._state.current in _DISCARDING
        self._check_role(packet)
        self._state.fire(RCVD[type(packet)])
        if isinstance(packet, Close):
            self._closed_by_peer(packet, now)
        elif discarding and self._state.current in _DISCARDING:
            return  # SPEC RST-4
        elif isinstance(packet, Message):
            self._take_message(packet.body, packet.more, now)
        elif isinstance(packet, Volatile):
            assert self.session is not None
            if self._allows_control(now):
                self.session.inbox.take_volatile(packet.body, self._config.volatile_messages)
        elif isinstance(packet, Reset):
            self._reset_by_peer(packet, now)
        elif isinstance(packet, Ping):
            self._take_ping(packet, now)
        elif isinstance(packet, Pong):
            self._check_counts_given(packet.counts, "PONG")
            if packet.counts is not None:
                self._take_counts(packet.counts.received, packet.counts.delivered, packet.counts.sent, now)
        else:
            self._take(packet, now)

    def _take_message(self, body: bytes, more: bool, now: float) -> None:
        session = self.session
        assert session is not None
        taken = session.inbox.take(body, more)
        if taken is _TAKEN:
            return
        if taken is Taken.TOO_LARGE:
            self.abandon(ResetReason.OVERFLOW, now)  # SPEC PRT-5
            return
        violations = session.flow_violations + 1
        if violations >= _FLOW_VIOLATIONS:
            self.abandon(ResetReason.FLOW, now)
            return
        self._close(CloseCode.FLOW, "a part beyond the window (SPEC WIN-3)", now)
        session.flow_violations = violations  # in a row: any other end of a connection starts anew

    def _take_counts(self, received: int, delivered: int, sent: int, now: float) -> None:
        """Take the counts of ACK, PING or PONG (SPEC CNT-5, CNT-6, CNT-8, ACK-4)."""
        session = self.session
        assert session is not None
        box = session.outbox
        if delivered > received or received > box.sent or sent != session.inbox.received:
            self.abandon(ResetReason.DRIFT, now)
            return
        if box.acknowledge(received, delivered):
            session.pump(now)
            session.offer_room()
        else:
            self._allows_control(now)  # one that says something new is slowed by our own window (SPEC LIM-2)

    def _take_ping(self, packet: Ping, now: float) -> None:
        if self.session is None:
            self.pings += 1
            if self.pings > self._config.preattach_pings:
                detail = f"saw probe {self.pings}, expected at most {self._config.preattach_pings}"
                raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "LIV-7", detail, "PING")
        self._check_counts_given(packet.counts, "PING")
        if packet.counts is not None:
            self._take_counts(packet.counts.received, packet.counts.delivered, packet.counts.sent, now)
        session = self.session
        if self._state.allows(Input.SENT_PONG):
            # Before an attach it says nothing of any session (SPEC LIV-9).
            self._send(Pong(packet.token, None if session is None else _counts(session, session.outbox.sent)), now)
            self._stated(session)

    def _answer_ping(self, token: int, now: float) -> None:
        session = self.session
        if session is not None and self._state.current is State.ATTACHED:
            inbox = session.inbox
            self.push(encode_probe(Pong, token, inbox.received, inbox.delivered, session.outbox.sent), now)
            self._stated(session)

    def _check_counts_given(self, counts: Counts | None, where: str) -> None:
        if (counts is None) != (self.session is None):
            detail = f"saw {counts}, expected {'null' if self.session is None else 'counts'}"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "CNT-9", detail, where)

    def _closed_by_peer(self, packet: Close, now: float) -> None:
        self._over(now, ends=self._ends_session(packet))
        after = packet.after_min_ms / 1000, max(packet.after_min_ms, packet.after_max_ms) / 1000
        self._tell_end(packet.code, packet.reason, "remote", (packet.reconnect, packet.resume), after, packet.url)

    def _ends_session(self, packet: Close) -> bool:
        """Say whether the peer's CLOSE ends the session (SPEC EXP-2, CLS-6)."""
        return not packet.resume and packet.code != CloseCode.SUPERSEDED

    def _reset_by_peer(self, packet: Reset, now: float) -> None:
        session = self._session_at_stake()
        self._quiet()
        try:
            reason: ResetReason | int = ResetReason(packet.reason)
        except ValueError:
            reason = packet.reason  # SPEC RST-11
        self._session_over(session, reason, packet.counts.delivered if packet.counts else None, now)

    def _session_at_stake(self) -> Session:
        """Return the session that a RESET from the peer is about."""
        assert self.session is not None, "the table lets no RESET through before the attach"
        return self.session

    # Time

    def _expired(self, timer: Timer, now: float) -> None:
        match timer:
            case Timer.PING:
                if self._liveness.ping_due(now):
                    self._send_ping(now)
            case Timer.SILENCE:
                if self._liveness.is_dead(now):
                    self._close(CloseCode.TIMEOUT, "nothing was heard (SPEC LIV-4)", now)
            case Timer.PONG:
                self._close(CloseCode.TIMEOUT, "no life after PING (SPEC LIV-2)", now)
            case Timer.ACK:
                self._ack_wanted = True
                self._now = now
            case Timer.WRITE:
                self._close(CloseCode.SLOW, "bytes were not taken (SPEC LIM-6)", now)
            case Timer.CLOSE:
                self._state.fire(Input.LINK_LOST)
            case Timer.HANDSHAKE:
                self._close(CloseCode.TIMEOUT, "not attached in time (SPEC ATT-13)", now)
            case Timer.REAUTH_ASK | Timer.REAUTH:
                self._credentials_expire(timer, now)
            case _:
                assert_never(timer)

    def _credentials_expire(self, timer: Timer, now: float) -> None:
        """Do what a deadline of the credentials asks for; only a server sets them."""
        raise AssertionError("only a server watches credentials")  # pragma: no cover

    def _send_ping(self, now: float) -> None:
        session = self.session
        assert session is not None
        inbox, token = session.inbox, self._liveness.next_token()
        self._state.fire(Input.SENT_PING)
        self.push(encode_probe(Ping, token, inbox.received, inbox.delivered, session.outbox.sent), now)
        self._stated(session)
        self._liveness.ping_open = True

    def _send_ack(self, sent: int, now: float) -> None:
        """State the counts at the end of what leaves; the state table has been asked by the caller's state."""
        session = self.session
        assert session is not None
        self._state.fire(Input.SENT_ACK)
        self.push(encode_ack(session.inbox.received, session.inbox.delivered, sent), now)
        self._stated(session)

    def _stated(self, session: Session | None) -> None:
        if session is not None:
            session.inbox.stated()
            self._out.states_counts = True
            self._timers.stop(_ACK)


def _counts(session: Session, sent: int) -> Counts:
    return Counts(session.inbox.received, session.inbox.delivered, sent)


def refuse_role(packet: Packet, foreign: tuple[type[Packet], ...], clause: str = "PKT-15") -> None:
    """Raise if a peer sends a packet that only this side's role sends, here or at all (SPEC PKT-15)."""
    if isinstance(packet, foreign):
        detail = "saw it from the side that does not send it"
        raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail, packet.NAME)


def local_error(clause: str, detail: str, where: str) -> LocalProtocolError:
    """Build the error for a command that makes no sense now."""
    return LocalProtocolError(CloseCode.INTERNAL, clause, detail, where)
