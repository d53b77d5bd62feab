"""A client: it connects, comes back after every end, gives up on links, and has an application that talks."""

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import cbor2

from hawser_engine.client import Client
from hawser_engine.client_connection import ClientConnection
from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.errors import LocalProtocolError
from hawser_engine.events import (
    CredentialsRequested,
    Event,
    MessageDropped,
    MessageReceived,
    SessionOpened,
    SessionReset,
    SessionResumed,
)
from hawser_engine.session import ClientSession
from hawser_engine.states import State

from .apps import Application
from .books import Direction, Pair, Violation
from .collisions import cut_late, trouble
from .ends import Actor, End, Host
from .habits import Carriage
from .invariants import check_ack_age, check_cause, check_codes, check_pair, check_report, check_superseded
from .wires import Wire

if TYPE_CHECKING:
    from .lines import Line
    from .world import World

__all__ = ["ClientActor"]

_ASKS: Final = 0.05
"""Share of the bursts with new credentials."""
_HASTY: Final = 0.06
"""Share of the links that a client closes before anything has come of them."""
_IMPATIENT: Final = 0.25
"""Share of the clients that want a short resume period."""
_OLD_LINKS: Final = 4
"""Links that one client may have under way at once."""


class ClientActor(Actor):
    """One client and its machine."""

    def __init__(self, world: "World", number: int) -> None:
        self.world = world
        self.label = f"client{number}"
        self.principal = f"user{number}"
        self.host = Host(world, self.label)
        # Some want a resume period that is shorter than any server would choose.
        self.period = 2.0 + 6.0 * world.draw() if world.draw() < _IMPATIENT else None
        self.ends: list[End] = []
        self.client = self._new_client()
        self.up = Direction()
        self.pair: Pair | None = None
        self.application = Application(world, 1)
        self.newest: End | None = None
        self.retry_at = 0.0  # world time of the planned attempt; 0 for none
        self.failures = 0
        self.refused_until = 0.0
        self.slow_until = 0.0
        self.wires = 0
        self.attempts = 0
        self.attempts_quiet = 0
        self.not_before = 0.0  # the server has named a time
        self.goodbye_said = False

    def _new_client(self) -> Client:
        world = self.world
        return Client(
            world.plan.client,
            self.host.now,
            credentials={"who": self.principal},
            resume_period_seconds=self.period,
        )

    @property
    def session(self) -> ClientSession:
        """The present session."""
        return self.client.session

    def fenced(self, end: End) -> tuple[object, ...] | None:
        session = self.session
        if end.connection is self.client.connection or session.carrier is end.connection:
            return None
        if end.wire.superseded > session.attempt:
            return None  # news of another holder counts on an older connection too (SPEC ATT-15)
        return (session.session_id, session.ended, session.attempt, session.secret, *session.progress())

    def is_retired(self, end: End) -> bool:
        over = (State.IDLE, State.CLOSING)
        return end.connection is not self.client.connection and end.connection.state not in over

    def is_late(self, end: End) -> bool:
        return self.newest is not None and end is not self.newest

    # Coming and going

    def retry(self) -> None:
        """Plan the next attempt (SPEC REC-1, REC-2)."""
        world = self.world
        cap = world.plan.client.backoff_cap_seconds
        wait = world.draw() * min(cap, 0.5 * 2 ** min(self.failures, 10))
        due = max(world.time + wait, self.not_before)
        self.failures += 1
        self.retry_at = due
        world.at(due, self.try_planned, due)

    def try_planned(self, due: float) -> None:
        """Attempt what was planned, unless something came before."""
        if self.retry_at != due:
            return
        if self.host.asleep_until > self.world.time:
            self.world.at(self.host.asleep_until, self.try_planned, due)
            return
        self.retry_at = 0.0
        self.connect()

    def connect(
        self, *, hold_seconds: float = 0.0, carriage: Carriage | None = None, probe_seconds: float | None = None
    ) -> None:
        """Open a link and attach, whatever other links there are.

        Args:
            hold_seconds: For so long nothing of it arrives.
            carriage: Of which kind it is; None leaves that to the habits of the client.
            probe_seconds: For so long it is only looked at, and the one before goes on; None leaves it to chance.
        """
        world = self.world
        self.retry_at = 0.0
        self.attempts += 1
        self.attempts_quiet += world.quiet
        if world.time < max(self.refused_until, world.server.down_until):
            if world.transcript.wanted:
                self.say("is refused")
            self.retry()
            return
        self.wires += 1
        wire = self._line(carriage)
        probe = world.draw() < 0.1 if probe_seconds is None else probe_seconds > 0.0
        old = [end for end in self.ends if not end.closed]
        if len(old) >= _OLD_LINKS:
            old[0].close()
        connection = self.client.connect(self.host.now, attach=not probe)
        end = End(self, wire, 0, connection)
        before, self.newest = self.newest, end if not probe else self.newest
        if hold_seconds:
            wire.stall(world.time + hold_seconds, (0,))
            wire.faulty_until = world.time + hold_seconds
        wire.dial()
        if not probe and world.draw() < _HASTY:
            world.at(world.time + 2.0 * world.plan.delay[1] * world.draw(), self.drop, end)
        if probe:
            connection.ping(self.host.now)
            end.drain()
            if world.draw() < 2 * _HASTY:
                world.at(world.time + 2.0 * world.plan.delay[1] * world.draw(), cut_late, world, wire)
            if world.draw() < _HASTY:
                trouble(world, wire)
                world.at(world.time + 0.1 * world.draw(), self.drop, end)
                if self.newest is None and not self.retry_at:
                    self.retry()
                return
            if probe_seconds is not None:
                world.at(world.time + probe_seconds, self.attach, end)
            elif world.draw() < 0.7:
                end.drain()
                world.at(world.time + 0.1 * world.draw(), self.attach, end)
                self.retry_at = 0.0
            else:
                self.attach(end)
            return
        end.drain()
        if before is not None:
            before.drain()

    def _line(self, carriage: Carriage | None) -> "Line":
        polling = self.world.polling
        if carriage is None:
            carriage = polling.carriage_of(self)
        label = f"{self.label}/{self.wires}"
        return Wire(self.world, label) if carriage is Carriage.STREAM else polling.chain(label)

    def attach(self, end: End) -> None:
        """Attach on a link that was probed first."""
        connection = end.connection
        assert isinstance(connection, ClientConnection)
        if end.closed or connection.state is not State.IDLE:
            if self.newest is None and not self.retry_at:
                self.retry()
            return
        if self.host.asleep_until > self.world.time:
            self.world.at(self.host.asleep_until, self.attach, end)
            return
        before, self.newest = self.newest, end
        connection.attach(self.host.now)
        end.drain()
        if before is not None:
            before.drain()

    def drop(self, end: End) -> None:
        """Close a link before anything has come of it."""
        if not end.closed and self.host.asleep_until <= self.world.time:
            trouble(self.world, end.wire)
            end.connection.close(CloseCode.GOING_AWAY, "in haste", self.host.now)
            end.drain()

    def gone(self, end: End) -> None:
        if end is not self.newest:
            if self.newest is None and not self.retry_at:
                self.retry()
            return
        self.newest = None
        told = end.terminated
        if told is not None and told.initiator == "remote":
            low, high = told.after_seconds
            self.not_before = self.world.time + low + (high - low) * self.world.draw()
        if not self.retry_at:
            self.retry()

    def drained(self, end: End) -> None:
        check_codes(end)
        check_superseded(end, self.session)
        told = end.terminated
        if told is not None and told.initiator == "local" and end is self.newest:
            # The side that sent CLOSE waits for the other or for the deadline; the next attempt waits for neither.
            self.newest = None
            self.retry()
        if end is not self.newest:
            self.drain()
        elif self.pair is not None:
            check_pair(self.pair, self.world, 0)
            host = self.host
            check_ack_age(self.session, self.pair.down, self.world.plan.client, host.now, host.woke_at)
        check_client_bounds(self, end)

    # Events

    def event(self, end: End | None, event: Event) -> None:
        match event:
            case MessageReceived():
                self._received(event)
            case SessionOpened():
                self.failures = 0
            case SessionResumed():
                self.failures = 0
            case SessionReset():
                self._reset(event)
            case MessageDropped(ordinal=ordinal, reason=reason):
                self.up.drop(ordinal, reason)
            case CredentialsRequested():
                if self.world.draw() < 0.8:
                    self.authenticate()
            case _:
                pass

    def _received(self, event: MessageReceived) -> None:
        session = self.session
        pair = self.pair
        due = self.application.received(session, None if pair is None else pair.down, event, self.host.now)
        if due is not None and pair is not None:
            self.world.at(due + self.host.offset, self.deliver, session, pair.down)

    def deliver(self, session: ClientSession, into: Direction) -> None:
        """Take a message late."""
        if self.host.asleep_until > self.world.time:
            self.world.at(self.host.asleep_until, self.deliver, session, into)
        elif session is self.session:
            self.application.take_all(session, into, self.host.now)
            self.drain()

    def opened(self, pair: Pair) -> None:
        if pair.principal != self.principal:
            raise Violation("I10", f"{self.principal} got a session of {pair.principal}")
        pair.up = self.up
        pair.client = self.session
        pair.owner = self
        self.pair = pair

    def _reset(self, event: SessionReset) -> None:
        world = self.world
        pair = self.pair
        while (last := event.session.next_event()) is not None:
            if isinstance(last, MessageDropped):
                self.up.drop(last.ordinal, last.reason)
            elif isinstance(last, MessageReceived) and pair is not None:
                pair.down.hand(last.body, last.number)  # what came before a goodbye (SPEC EXP-2)
        if pair is not None:
            check_cause(event.reason, pair, server=False)
            if isinstance(event.reason, ResetReason):
                pair.causes.add(event.reason.name)  # the server may learn it by RESET
        check_report(event, self.up, None if pair is None else pair)
        world.resets += 1
        if pair is not None:
            pair.client = None
        self.pair = None
        self.up = Direction()

    # What the application and the person before the screen do

    def tick(self) -> None:
        """Send a burst, and plan the next."""
        world = self.world
        if world.sending:
            if self.host.asleep_until <= world.time and not world.is_ahead(0):
                self.application.send_some(self.session, self.up, self.host.now)
                if world.draw() < _ASKS:
                    self.authenticate()
                self.drain()
            world.at(world.time + 2 * world.plan.tick_every * world.draw(), self.tick)

    def drain(self) -> None:
        """Drain the newest connection; without one there are only the client's own events."""
        if self.newest is not None and not self.newest.closed:
            self.newest.drain()
            return
        while (event := self.client.next_event()) is not None:
            self.event(None, event)
        if self.pair is not None:
            check_pair(self.pair, self.world, 0)

    def authenticate(self) -> None:
        """Send new credentials, unless the last are being judged."""
        with suppress(LocalProtocolError):  # one thing is judged at a time (SPEC AUT-5)
            self.client.authenticate({"who": self.principal}, self.host.now)

    def goodbye(self) -> None:
        """End the session in order."""
        if self.pair is not None:
            self.pair.causes.add("CLOSED")
        self.client.close(self.host.now, "bye")
        self.drain()

    def move(self) -> None:
        """Restart the client from a complete export (SPEC EXP-4)."""
        if not self.session.opened:
            return
        self.drain()
        record = cbor2.loads(cbor2.dumps(self.client.export(self.host.now)))
        for end in list(self.ends):
            end.wire.cut((None, self.world.time + 3 * self.world.draw() if self.world.draw() < 0.6 else None))
            end.closed = True
            end.wire.ends[0] = None
        self.ends.clear()
        self.newest = None
        self.host.boot()
        self.client = self._new_client()
        self.client.restore(record, self.host.now)
        if self.pair is not None:
            self.pair.client = self.session
            self.pair.down.rewind()
        if self.world.transcript.wanted:
            self.say("restarts from its export")
        self.retry()

    def say(self, text: str) -> None:
        """Write a line of the transcript."""
        self.world.transcript.add(self.world.time, self.label, text)


def check_client_bounds(actor: ClientActor, end: End) -> None:
    """I4 for what one connection of a client holds."""
    held = end.connection.unwritten_bytes
    if held > actor.world.plan.client.outbound_bytes:
        raise Violation("I4", f"{actor.label} holds {held} bytes for the network")
