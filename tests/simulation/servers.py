"""The server: its driver, its authenticator, its application, and how it restarts."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import cbor2

from hawser_engine.batch import Batch
from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.errors import LocalProtocolError
from hawser_engine.events import (
    AuthenticationRequested,
    Event,
    MessageDropped,
    MessageReceived,
    SessionOpened,
    SessionReset,
)
from hawser_engine.server import Server
from hawser_engine.server_connection import ServerConnection
from hawser_engine.session import ServerSession
from hawser_engine.states import State

from .apps import Application, body_of
from .books import Direction, Pair, Violation
from .ends import Actor, End, Host
from .hostile import check_before_attach
from .invariants import check_ack_age, check_cause, check_codes, check_goodbye, check_pair, check_report
from .wires import Wire

if TYPE_CHECKING:
    from .liars import LyingClient
    from .lines import Line
    from .world import World

_LATE_SECONDS = 0.01
"""By so much a session may outlive its deadline, for rounding."""

__all__ = ["ServerActor"]


class ServerActor(Actor):
    """The one server and its machine."""

    def __init__(self, world: "World") -> None:
        self.world = world
        self.label = "server"
        self.host = Host(world, "server")
        self.ends: list[End] = []
        self.engine = Server(world.plan.server, random_bytes=world.random_bytes)
        self.application = Application(world, 0)
        self.down_until = 0.0
        self.fresh_until = 0.0
        self.auth_out_until = 0.0
        self.auth_slow_until = 0.0
        self.slow_until = 0.0
        self.blame: Line | None = None  # whose input is being processed, if it is hostile
        self.wake = 0.0

    # Driver

    def accept(self, wire: Wire) -> None:
        """Take a new link."""
        world = self.world
        if world.time < self.down_until:
            wire.close(1)
            return
        if self.host.asleep_until > world.time:
            world.at(self.host.asleep_until, self.accept, wire)
            return
        End(self, wire, 1, self.engine.connect(self.host.now)).drain()
        wire.plan_read(0)

    def drained(self, end: End) -> None:
        connection = end.connection
        check_codes(end)
        told = end.terminated
        if (
            told is not None
            and told.initiator != "link"  # one without a session any more (SPEC UNC-2) goes with it (SPEC CAR-27)
            and self.blame is not None
            and not end.wire.is_of(self.blame)
        ):
            raise Violation("I13", f"{self.blame.label} has ended the connection of {end.wire.label}")
        if end.wire.hostile:
            check_before_attach(end.wire, end)
        self.drain_server()
        check_goodbye(end)
        session = connection.session
        if session is None:
            return
        pair = self.world.pairs[session.session_id]
        if pair.opened != 1 and (connection.state is State.ATTACHED or session.attempt):
            raise Violation("I10", f"a session that is proved was opened {pair.opened} times (SPEC UNC-1, UNC-3)")
        if session.carrier is not connection:
            raise Violation("I5", f"two connections have session {session.session_id.hex()[:8]}")
        check_pair(pair, self.world, 1)
        if pair.up is not None:
            check_ack_age(session, pair.up, self.world.plan.server, self.host.now, self.host.woke_at)
        if connection.unwritten_bytes > self.world.plan.server.outbound_bytes:
            raise Violation("I4", f"{connection.unwritten_bytes} bytes wait for the network")

    def drain_server(self) -> None:
        """Take what the server itself has to say: reports, connections written to by others, its timeout."""
        engine, world = self.engine, self.world
        while (report := engine.next_event()) is not None:
            session = report.session
            pair = world.pairs[session.session_id]
            if world.transcript.wanted:
                world.transcript.add(world.time, "server", f"event {report!r}")
            while (event := session.next_event()) is not None:
                if isinstance(event, MessageDropped):
                    pair.down.drop(event.ordinal, event.reason)
                elif isinstance(event, MessageReceived) and pair.up is not None and not pair.hostile:
                    pair.up.hand(event.body, event.number)  # what came before a goodbye (SPEC EXP-2)
            self._check_end(report, pair)
            check_report(report, pair.down, pair)
            pair.server_over = True
            pair.server = None
        for session in list(engine.sessions.values()):
            known = world.pairs.get(session.session_id)
            if known is None:
                continue
            if session.carrier is not None:
                known.detached_at = None
            else:
                known.lost_connection(self.host.now)
                if not known.hostile:
                    self._take_leftovers(session, known)
        for connection in engine.dirty():
            for end in self.ends:
                if end.connection is connection:
                    end.drain()
                    break
        config = world.plan.server
        if len(engine.sessions) > config.sessions:
            raise Violation("I4", f"the server has {len(engine.sessions)} sessions, {config.sessions} are allowed")
        unproved, tombstones = _table_sizes(engine)
        if unproved > config.unconfirmed_sessions or tombstones > config.tombstones:
            raise Violation("I4", f"{unproved} unproved sessions, {tombstones} tombstones")
        due = engine.next_timeout()
        if due is not None:
            due = max(due + self.host.offset + 1e-9, world.time)
            if not self.wake or due < self.wake:
                self.wake = due
                world.at(due, self.pass_time, due)

    def _check_end(self, report: SessionReset, pair: Pair) -> None:
        """Judge the reason; what is judged true is one for the client as well."""
        engine, config, reason = self.engine, self.world.plan.server, report.reason
        if reason is ResetReason.EXPIRED:
            if self.host.now >= pair.expires_at(report.session.resume_period) - 1e-6:
                pair.causes.add("EXPIRED")  # not a moment before, a late pass included (SPEC EXP-1, LIV-5)
        elif reason is ResetReason.EVICTED:
            unproved, _ = _table_sizes(engine)
            if len(engine.sessions) >= config.sessions - 1 or unproved >= config.unconfirmed_sessions - 1:
                pair.causes.add("EVICTED")
        elif reason is ResetReason.CLOSED and pair.up is None:
            pair.causes.add("CLOSED")  # a goodbye that was said before OPENED arrived
        check_cause(reason, pair, server=True)

    def check_expiry(self) -> None:
        """L4: no detached session outlives its resume period and what a late pass gives it (SPEC EXP-1, LIV-5)."""
        for session in self.engine.sessions.values():
            known = self.world.pairs.get(session.session_id)
            if known is not None and session.carrier is None:
                due = known.expires_at(session.resume_period)
                if self.host.now > due + _LATE_SECONDS:
                    raise Violation("L4", f"a session was over at {due:.3f}, and is still there at {self.host.now:.3f}")

    def handle_gap(self) -> None:
        """Take a late pass."""
        now, pong_wait = self.host.now, self.world.plan.server.pong_wait_seconds
        for session in self.engine.sessions.values():
            known = self.world.pairs.get(session.session_id)
            if known is not None and session.carrier is None:
                known.late_pass(session.resume_period, pong_wait, now)
        self.engine.handle_gap(now)

    def pass_time(self, due: float) -> None:
        """Let the server's own deadlines pass."""
        if self.wake != due:
            return
        self.wake = 0.0
        if self.host.asleep_until <= self.world.time:
            self.engine.handle_timeout(self.host.now)
            self.drain_server()

    # Events

    def fenced(self, end: End) -> tuple[object, ...] | None:
        pair = end.wire.taps[0].pair
        if pair is None or pair.server is None or pair.server.carrier is end.connection:
            return None
        session = pair.server
        return (session.ended, session.attempt, session.confirmed, session.pending, *session.progress())

    def is_late(self, end: End) -> bool:
        """Say whether the client of a link has a newer one: only the simulator can know."""
        other = end.wire.ends[0]
        return other is not None and other.actor.is_late(other)

    def event(self, end: End, event: Event) -> None:
        match event:
            case SessionOpened(session=opened):
                self._opened(self.world.pairs[opened.session_id])
            case AuthenticationRequested(credentials=credentials):
                self._authenticate(end, credentials.get("who"))
            case MessageReceived():
                session = end.connection.session
                assert isinstance(session, ServerSession)
                self._take(session, event, end.wire.puppet)
            case MessageDropped(ordinal=ordinal, reason=reason):
                session = end.connection.session
                assert session is not None
                self.world.pairs[session.session_id].down.drop(ordinal, reason)
            case _:
                pass

    def _opened(self, pair: Pair) -> None:
        pair.opened += 1
        if pair.opened > 1 or (pair.up is None and not pair.hostile):
            raise Violation("I10", f"a session is opened {pair.opened} times, or before its proof (SPEC UNC-1)")

    def _take_leftovers(self, session: ServerSession, pair: Pair) -> None:
        """Take what a session still has to say that lost its connection in the step that made it say it.

        It would say it to its next connection as well; but the books would be wrong until then.
        """
        while (event := session.next_event()) is not None:
            match event:
                case SessionOpened():
                    self._opened(pair)
                case MessageDropped(ordinal=ordinal, reason=reason):
                    pair.down.drop(ordinal, reason)
                case MessageReceived():
                    self._take(session, event, None)
                case _:
                    pass

    def _take(self, session: ServerSession, event: MessageReceived, puppet: "LyingClient | None") -> None:
        pair = self.world.pairs[session.session_id]
        if pair.server_over:
            raise Violation("I9", "a message of a session that is over was handed out")
        if pair.hostile:
            if puppet is not None:
                puppet.handed(session, event, self.host.now)
            else:
                session.delivered(event.number, self.host.now)
            return
        due = self.application.received(session, pair.up, event, self.host.now)
        if due is not None and pair.up is not None:
            self.world.at(due + self.host.offset, self.deliver, session, pair.up)

    def deliver(self, session: ServerSession, into: Direction) -> None:
        """Take a message late."""
        if self.host.asleep_until > self.world.time:
            self.world.at(self.host.asleep_until, self.deliver, session, into)
        elif self.engine.sessions.get(session.session_id) is session:
            self.application.take_all(session, into, self.host.now)
            self.drain_session(session)

    def drain_session(self, session: ServerSession) -> None:
        """Drain the connection of a session; without one, see to what the server has to say."""
        self._drain(self._end_of(session))

    def command(self, session: ServerSession, send: Callable[[ServerSession, Direction, float], None]) -> None:
        """Let an application send, then drain the connection, even if that has ended the session (SPEC LIM-4)."""
        end = self._end_of(session)
        send(session, self.world.pairs[session.session_id].down, self.host.now)
        self._drain(end)

    def _end_of(self, session: ServerSession) -> End | None:
        return next((end for end in self.ends if end.connection is session.carrier), None)

    def _drain(self, end: End | None) -> None:
        if end is None:
            self.drain_server()
        else:
            end.drain()

    # Authentication

    def _authenticate(self, end: End, who: object) -> None:
        world = self.world
        seconds = world.plan.auth_seconds * world.draw()
        if self.auth_slow_until > world.time:
            seconds += 3.0 * world.draw()
        if seconds:
            world.at(world.time + seconds, self.verdict, end, who)
        else:
            self.verdict(end, who)

    def verdict(self, end: End, who: object) -> None:
        """Judge credentials; much may have happened since they came."""
        world = self.world
        if end.closed:
            return
        if self.host.asleep_until > world.time:
            world.at(self.host.asleep_until, self.verdict, end, who)
            return
        connection = end.connection
        assert isinstance(connection, ServerConnection)
        now = self.host.now
        before = connection.session
        if not isinstance(who, str) or who == "nobody":
            connection.refuse(now)
        elif self.auth_out_until > world.time and world.draw() < 0.7:
            connection.unavailable(now, (0.1, 1.0))
        else:
            lifetime = 3.0 + 6.0 * world.draw() if world.plan.expiring else None
            connection.accept(who, now, lifetime)
        session = connection.session
        if isinstance(session, ServerSession) and session is not before and session.session_id not in world.pairs:
            pair = Pair(session.session_id, session, session.principal)
            pair.hostile = end.wire.hostile or end.wire.copy is not None
            world.pairs[session.session_id] = pair
        end.drain()

    # What the application does

    def tick(self) -> None:
        """Send a burst to one session or to several, and plan the next."""
        world, plan = self.world, self.world.plan
        if not world.sending:
            return
        world.at(world.time + 2 * plan.tick_every * world.draw() / plan.clients, self.tick)
        if self.host.asleep_until > world.time or not self.engine.sessions or world.is_ahead(1):
            return
        sessions = list(self.engine.sessions.values())
        if world.draw() < plan.shared:
            self.broadcast(1 + int(5 * world.draw()), plan.longest)
            return
        session = sessions[int(world.draw() * len(sessions))]
        self.command(session, self.application.send_some)

    def broadcast(self, count: int, longest: int) -> list[ServerSession]:
        """Send messages to every session, in shared bytes; return the sessions to which they went."""
        world, now = self.world, self.host.now
        bodies: list[bytes] = []
        for _ in range(count):
            world.serial += 1
            bodies.append(body_of(world.serial, int(longest * world.draw())))
        batch = Batch.of(bodies)
        reached: list[ServerSession] = []
        for session in list(self.engine.sessions.values()):
            # Older connections of the session are tried, too: nothing may pass there any more.
            end = next((end for end in self.ends if end.pass_batch(session, batch)), None)
            if end is not None or session.send_batch(batch, now):
                out = world.pairs[session.session_id].down
                for body in bodies:
                    out.accept(body, len(out.accepted) + 1, droppable=False)
                reached.append(session)
                self._drain(end or self._end_of(session))
        return reached

    def end_some(self) -> None:
        """Withdraw a session."""
        sessions = list(self.engine.sessions.values())
        if sessions:
            session = sessions[int(self.world.draw() * len(sessions))]
            self.world.pairs[session.session_id].causes.add("REVOKED")
            self.engine.end(session, ResetReason.REVOKED, self.host.now)
            self.drain_server()

    def close_some(self) -> None:
        """Send a client away for a moment, as a drain does, or ask it for credentials."""
        world = self.world
        if not self.ends:
            return
        end = self.ends[int(world.draw() * len(self.ends))]
        connection = end.connection
        assert isinstance(connection, ServerConnection)
        if connection.state in (State.ATTACHED, State.PROVING) and world.draw() < 0.5:
            try:
                connection.request_credentials(0.2 + 2.0 * world.draw(), self.host.now)
            except LocalProtocolError as error:
                raise Violation("I13", f"request_credentials: {error}") from error
        else:
            code = (CloseCode.GOING_AWAY, CloseCode.OVERLOADED, CloseCode.SESSION_ENDED)[int(2.3 * world.draw())]
            if code is CloseCode.SESSION_ENDED and connection.session is not None:
                world.pairs[connection.session.session_id].causes.add("CLOSED")
            connection.close(code, "the simulator", self.host.now, after_seconds=(0.0, 2.0 * world.draw()))
        end.drain()

    # Restart

    def restart(self, *, kept: bool) -> None:
        """Stop, and come back with or without the sessions."""
        world = self.world
        for end in list(self.ends):
            end.drain()
        self.drain_server()
        now = self.host.now
        records = [cbor2.dumps(session.export(now)) for session in self.engine.sessions.values()] if kept else []
        for pair in world.pairs.values():
            pair.server_over = pair.server_over or not kept
            if not kept:
                pair.causes.add("RESTARTED")
                pair.server = None
        for end in list(self.ends):
            learnt = world.time + 2.0 * world.draw() if world.draw() < 0.7 else None
            end.wire.cut((learnt, None))
            end.closed = True
            end.wire.ends[1] = None
        self.ends.clear()
        world.polling.restart()
        before = self.host.now
        self.host.boot()
        for pair in world.pairs.values():
            if pair.server is not None:
                pair.shift(self.host.now - before)
        self.down_until = world.time + 2.0 * world.draw()
        self.fresh_until = self.down_until + 5.0
        incarnation = self.engine.incarnation if kept else None
        self.engine = Server(world.plan.server, random_bytes=world.random_bytes, incarnation=incarnation)
        for record in records:
            session = self.engine.restore(cbor2.loads(record), self.host.now)
            pair = world.pairs[session.session_id]
            pair.server = session
            if pair.up is not None:
                pair.up.rewind()
        self.wake = 0.0
        self.drain_server()


def _table_sizes(engine: Server) -> tuple[int, int]:
    """Return how many unproved sessions and tombstones are kept; no caller has another use for them."""
    return len(engine._unproved), len(engine._tombstones)  # pyright: ignore[reportPrivateUsage]
