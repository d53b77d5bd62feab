"""Machines with their clocks, and the driver of one connection: the drain rule, step by step."""

from typing import TYPE_CHECKING, Final

from hawser_engine.connection import Connection
from hawser_engine.events import ConnectionTerminated, Event
from hawser_engine.gaps import GapDetector
from hawser_engine.packets import Ack
from hawser_engine.states import State

from .books import Pair, Violation
from .coverage import AROUND, cell, following
from .deadlines import Watch, check_dead, check_ping

if TYPE_CHECKING:
    from hawser_engine.batch import Batch
    from hawser_engine.passage import Passage
    from hawser_engine.session import Session

    from .lines import Line
    from .world import World

__all__ = ["Actor", "End", "Host"]

_OVER: Final = (State.IDLE, State.CLOSING, State.CLOSED)
_ROUNDS: Final = 400
"""More rounds of one drain than this mean that it never ends."""
_NONE, _BROKEN, _HELD, _LATE, _RESTART, _PAUSE, _HOSTILE = range(len(AROUND))


class Host:
    """A machine: its monotonic clock may start anywhere and stop while it sleeps, its wall clock may jump."""

    __slots__ = ("asleep_until", "clock_trouble", "gaps", "label", "offset", "wall", "woke_at", "world")

    def __init__(self, world: "World", label: str, *, offset: float | None = None) -> None:
        self.world = world
        self.label = label
        self.wall = 0.0  # wall time minus world time
        self.asleep_until = 0.0
        self.boot(offset)
        self.woke_at = self.now
        self.clock_trouble = 0.0  # until when its clocks count as recently troubled

    def boot(self, offset: float | None = None) -> None:
        """Start a process: its monotonic clock begins anywhere, unless its offset is given."""
        self.offset = -1_000.0 * self.world.draw() if offset is None else offset  # world time minus monotonic time
        self.gaps = GapDetector(self.world.plan.server.gap_seconds, self.now, self.world.time + self.wall)

    @property
    def now(self) -> float:
        """The monotonic clock."""
        return self.world.time - self.offset


class Actor:
    """Who owns ends: a client, the server, something hostile; the methods are its side of the driver."""

    host: Host
    ends: "list[End]"
    slow_until: float = 0.0

    def event(self, end: "End", event: Event) -> None:
        """Take an event of a connection."""
        raise NotImplementedError

    def opened(self, pair: Pair) -> None:
        """Note that a client goes on with a session that was opened for it."""

    def drained(self, end: "End") -> None:
        """Do what has to be done when a connection is drained."""

    def gone(self, end: "End") -> None:
        """Note that an end is closed."""

    def fenced(self, end: "End") -> tuple[object, ...] | None:
        """Return what an older connection of a session must not change; None for the newest one."""
        return None

    def is_retired(self, end: "End") -> bool:
        """Say whether the engine has retired a connection in favour of a newer one."""
        return False

    def is_late(self, end: "End") -> bool:
        """Say whether a newer link of the same client exists."""
        return False


class End:
    """One engine connection on one side of a wire."""

    __slots__ = (
        "actor",
        "carried",
        "closed",
        "connection",
        "drain_again",
        "draining",
        "retired",
        "side",
        "terminated",
        "wake",
        "watch",
        "way",
        "wire",
    )

    def __init__(self, actor: Actor, wire: "Line", side: int, connection: Connection) -> None:
        self.actor = actor
        self.wire = wire
        self.side = side
        self.connection = connection
        self.closed = False
        self.terminated: ConnectionTerminated | None = None
        self.watch = Watch(actor.host.now)
        self.wake = 0.0  # world time of the planned pass; 0 for none
        self.draining = self.drain_again = False
        self.retired = False  # a newer link has the session (SPEC ATT-15)
        self.way: tuple[Session, Passage] | None = None  # laid for this session
        self.carried: list[bytes] = []  # what has passed the queue, written by the next step of the drain
        wire.ends[side] = self
        actor.ends.append(self)

    # Inputs

    def arrives(self, chunks: list[bytes], ended: bool) -> None:
        """Hand over what the link brought, then drain."""
        connection, wire = self.connection, self.wire
        host = self.actor.host
        now = host.now
        state = connection.state
        fenced = self.actor.fenced(self)
        if any(chunks):
            self.watch.heard(now)
        for chunk in chunks:
            kinds = wire.kinds(1 - self.side, chunk)
            self._count(state, kinds)
            if state is State.PROVING and kinds and kinds[0] == Ack.KIND:
                wire.prove()
            if wire.world.transcript.wanted:
                wire.say(self.side, f"gets {len(chunk)} bytes while {state.name}")
            if wire.whole:
                connection.receive_batch(chunk, now)
            else:
                connection.receive_data(chunk, now)
            state = connection.state
        if ended:
            if wire.world.transcript.wanted:
                wire.say(self.side, "learns that the link is gone")
            connection.receive_eof(now)
        if fenced is not None and fenced != self.actor.fenced(self):
            raise Violation("I5", f"{wire.label} is fenced and has changed {fenced} to {self.actor.fenced(self)}")
        self.drain()

    def pass_time(self) -> None:
        """Let time pass, if this pass was not overtaken by another."""
        world = self.wire.world
        if self.closed or self.wake != world.time:
            return
        self.wake = 0.0
        if self.actor.host.asleep_until > world.time:
            return  # it is drained when it wakes up
        self.connection.handle_timeout(self.actor.host.now)
        self.drain()

    def network_took(self, left: int) -> None:
        """Tell the engine that the peer has read (SPEC LIV-2, LIM-6)."""
        if self.connection.unwritten_bytes:
            self._written(left)
            self.drain()

    def go_on(self, *, late: bool, moved: bool) -> None:
        """Go on after a sleep, once what has arrived is taken: the gap, then timeouts (SPEC LIV-5, LIV-6)."""
        if self.closed:
            return
        connection, now = self.connection, self.actor.host.now
        if late:
            self.watch.late_pass(self.pong_wait, now)
            self.watch.probed = True
            connection.handle_gap(now)
        elif moved:
            self.probe()
        connection.handle_timeout(now)
        self.wake = 0.0
        if connection.unwritten_bytes and not self.wire.left(self.side):
            self._written(0)
        self.drain()

    def probe(self) -> None:
        """Ask for life, idle or not (SPEC LIV-5)."""
        self.watch.probed = True
        self.connection.probe(self.actor.host.now)

    @property
    def pong_wait(self) -> float:
        """Seconds for which this side waits for life."""
        return self.connection.pong_wait

    # The passage

    def pass_batch(self, session: "Session", batch: "Batch") -> bool:
        """Send shared bytes of a session through the passage that was laid for it here, as long as it lets them."""
        if self.connection.session is session and (self.way is None or self.way[0] is not session):
            self.way = session, self.connection.lay_passage(self.carry, self)
        return self.way is not None and self.way[0] is session and self.way[1].send(batch, self.actor.host.now)

    def carry(self, data: bytes) -> bool:
        """Take bytes for the link, unless some wait for it; now and then it has no room without telling why."""
        if self.wire.left(self.side) or not self.wire.world.steps % 5:
            return False
        self.carried.append(data)
        return True

    def refused(self, data: bytes, now: float) -> None:
        """Queue what the link does not take."""
        self.connection.push(data, now)

    # The drain rule

    def drain(self) -> None:
        """Write what there is, take every event, read the next timeout; again as long as commands were given."""
        if self.closed:
            return
        if self.draining:
            self.drain_again = True
            return
        self.draining = True
        connection, actor, wire = self.connection, self.actor, self.wire
        rounds = 0
        busy = True
        while busy:
            rounds += 1
            if rounds > _ROUNDS:
                raise Violation("L3", "a drain never ends")
            busy = self.drain_again = False
            carried, self.carried = self.carried, []
            batches = carried + connection.data_to_send()
            if batches:
                busy = True
                self._write(batches)
            while (event := connection.next_event()) is not None:
                busy = True
                if wire.world.transcript.wanted:
                    wire.say(self.side, f"event {event!r}")
                if isinstance(event, ConnectionTerminated):
                    self.terminated = event
                    check_dead(self)
                actor.event(self, event)
            busy = busy or self.drain_again
        self.draining = False
        self.retired = self.retired or (connection.state not in _OVER and actor.is_retired(self))
        self.watch.settled(connection.session, actor.host.now)
        actor.drained(self)
        if connection.state is State.CLOSED:
            self.close()
        else:
            self.plan_pass()
        wire.settle(self.side)

    def plan_pass(self) -> None:
        """Plan the next pass (``next_timeout`` is on the clock of the machine)."""
        due = self.connection.next_timeout()
        if due is None:
            return
        world = self.wire.world
        due = max(due + self.actor.host.offset + 1e-9, world.time)
        if not self.wake or due < self.wake:
            self.wake = due
            world.at(due, self.pass_time)

    def close(self) -> None:
        """End the link and forget this end."""
        if not self.closed:
            self.closed = True
            self.wire.close(self.side)
            self.actor.ends.remove(self)
            self.actor.gone(self)

    def _write(self, batches: list[bytes]) -> None:
        wire = self.wire
        tap, watch, now = wire.taps[self.side], self.watch, self.actor.host.now
        if self.retired:
            raise Violation("I5", f"{wire.label} writes, and a newer link has the session (SPEC ATT-15)")
        full = left = wire.left(self.side)
        pings = tap.pings
        earliest = watch.ping_at_the_earliest(wire.world.plan.server.ping_interval_seconds)
        for batch in batches:
            tap.sees(batch)
            left = wire.write(self.side, batch)
            wire.world.steps += 1
        watch.last_out = now
        if tap.pings != pings:
            if self.side:
                check_ping(self, earliest)
            watch.pinged(now)
        if not full:
            self._written(left)

    def _written(self, left: int) -> None:
        """Tell the engine how many of the written bytes still wait for the network."""
        now = self.actor.host.now
        self.connection.written(now, left)
        if not left:
            self.watch.left(now)

    # Coverage

    def _count(self, state: State, kinds: list[int]) -> None:
        if not kinds or self.actor.is_retired(self):
            return  # a retired connection takes nothing, whatever its state was (SPEC ATT-15)
        wire = self.wire
        world = wire.world
        faults = self._faults()
        cells = world.cells
        server = self.side == 1
        meets: State | None = state
        for kind in kinds:
            if meets is None or meets is State.CLOSED:
                return
            for fault in faults:
                index = cell(meets, kind, fault)
                cells[index] = cells.get(index, 0) + 1
            meets = following(meets, kind, server=server)

    def _faults(self) -> list[int]:
        wire = self.wire
        world = wire.world
        time = world.time
        if wire.hostile:
            return [_HOSTILE]
        faults: list[int] = []
        if wire.was_cut or wire.ends[1 - self.side] is None:
            faults.append(_BROKEN)
        if wire.faulty_until > time or wire.is_torn(1 - self.side):
            faults.append(_HELD)
        if self.actor.is_late(self):
            faults.append(_LATE)
        if world.server.fresh_until > time:
            faults.append(_RESTART)
        if max(self.actor.host.clock_trouble, self.actor.slow_until) > time:
            faults.append(_PAUSE)
        return faults or [_NONE]
