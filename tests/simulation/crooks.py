"""Servers that open a session by right and then state what is not so, and the client that believed them.

That client has a machine, links and books of its own, which nothing else in the world touches. So whatever a crooked
server does, SPEC says exactly what this client has to answer, and what its application has to be told.
"""

from random import Random
from typing import TYPE_CHECKING, Final

from hawser_engine.client import Client
from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.events import Event, MessageReceived, SessionReset
from hawser_engine.packets import Ack, Close, Counts, Open, Opened, Packet, Reset, Resume, Resumed, ServerLimits

from .ends import Actor, End, Host
from .lies import BODY, FAR, IN_A_ROW, PATIENCE, Liar
from .puppets import Step
from .wires import Wire

if TYPE_CHECKING:
    from .world import World

__all__ = ["CrookedServer"]

_ARRIVED: Final = 3.0
"""Seconds after which the client has what was said, and the delay: torn reads never add up to more."""
_MANY: Final = 4
"""Messages that the client sends at a time at most."""


class _Believer(Actor):
    """The client that is lied to."""

    def __init__(self, world: "World", draw: float) -> None:
        self.world = world
        self.host = Host(world, "believer", offset=-1_000.0 * draw)
        self.ends: list[End] = []
        self.client = Client(world.plan.client, self.host.now, credentials={"who": "believer"})
        self.reads = True
        self.accepted = 0  # of the present session
        self.reports: list[tuple[SessionReset, int]] = []  # and what was accepted until then

    def connect(self, wire: Wire) -> None:
        """Attach on a link; the one before it is retired."""
        before = list(self.ends)
        end = End(self, wire, 0, self.client.connect(self.host.now))
        end.drain()
        for older in before:
            older.drain()

    def send_some(self, most: int, draw: float) -> None:
        """Send a few messages, as far as there is room."""
        session = self.client.session
        for _ in range(1 + int(most * draw)):
            if session.has_room(len(BODY)):
                session.send(BODY, self.host.now)
                self.accepted += 1
        for end in list(self.ends):
            end.drain()

    def event(self, end: End, event: Event) -> None:
        if isinstance(event, MessageReceived) and self.reads:
            self.client.session.delivered(event.number, self.host.now)
        elif isinstance(event, SessionReset):
            self.reports.append((event, self.accepted))
            self.accepted = 0

    def is_retired(self, end: End) -> bool:
        return end.connection is not self.client.connection


class CrookedServer(Liar):
    """A server of one client, and what it does this time."""

    label = "crook"

    def __init__(self, world: "World", random: Random) -> None:
        super().__init__(world, random, 1)
        self.believer = _Believer(world, self.draw())
        self._opened: Opened | None = None
        self._secret = b""
        self._attempt = 0
        self._known = 0  # parts of the client that it has truthfully called delivered
        plots = (
            self._lies,
            self._lies_at_attach,
            self._lies_at_attach,
            self._lies_in_reset,
            self._floods,
            self._rambles,
            self._gives_it_to_another,
            self._ends_it,
        )
        self.follow(plots[int(self.draw() * len(plots))]())

    def answer(self, wire: Wire) -> None:
        """Read what the client says."""
        self.hears(wire)

    def counts(self) -> Counts:
        """Return its counts; what they say is delivered may be believed from now on."""
        self._known = max(self._known, self.delivered)
        return super().counts()

    # Attaching

    def _connect(self) -> Step[Packet | None]:
        """Let the client come, and return how it attaches."""
        if self.wire is not None and self.draw() < 0.6:
            self.hang_up()
        wire = Wire(self.world, self.label, hostile=True, random=self.random)
        wire.victim = self
        self.take_up(wire)
        self.believer.connect(wire)
        return (yield PATIENCE)

    def _open(self) -> Step[bool]:
        packet = yield from self._connect()
        return (yield from self._welcome(packet))

    def _welcome(self, packet: Packet | None) -> Step[bool]:
        """Answer OPEN, and wait for the ACK."""
        if packet is None or isinstance(packet, Close):
            return False
        if not isinstance(packet, Open):
            raise self.violation("RST-5", f"{packet} came, where a session has to be opened")
        few = self.draw()
        limits = ServerLimits(1 + int(20 * few), 300 + int(3_000 * few), 4_096, 9, 999)
        self.limits = packet.limits
        self._secret = self.random_bytes(32)
        self._opened = Opened(
            1, (), self.random_bytes(16), self._secret, self.random_bytes(8), 60_000, 60_000, 2_000, limits
        )
        self.say(self._opened)
        return (yield from self._acknowledged())

    def _acknowledged(self) -> Step[bool]:
        packet = yield PATIENCE
        if packet is None or isinstance(packet, Close):
            return False
        if not isinstance(packet, Ack) or packet.counts.sent != self.received:
            raise self.violation(
                "ATT-3", f"{packet} is the first packet after an attach, {self.received} were received"
            )
        return True

    def _resumes(self) -> Step[bool]:
        """Let the client come back, as it has to: with the secret, the next attempt, its counts."""
        packet = yield from self._connect()
        opened = self._opened
        assert opened is not None
        self._attempt += 1
        if packet is None or isinstance(packet, Close):
            return False
        if (
            not isinstance(packet, Resume)
            or (packet.session, packet.secret, packet.attempt) != (opened.session, self._secret, self._attempt)
            or packet.counts.received != self.sent
            or packet.counts.sent < self.received
        ):
            raise self.violation("ATT-4", f"{packet} came, attempt {self._attempt} was due")
        return True

    def _told(self, reason: ResetReason, clause: str) -> None:
        """Check what the client's application was told of the loss, by now (SPEC RST-6)."""
        reports = self.believer.reports
        if len(reports) != 1 or reports[0][0].reason != reason:
            raise self.violation(clause, f"a session ended by {reason.name}, {reports} was reported")
        report, accepted = reports[0]
        if (
            report.known_delivered != self._known
            or report.known_delivered + report.unknown + report.not_sent != accepted
        ):
            raise self.violation("RST-1", f"{self._known} of {accepted} are known delivered, {report} was reported")

    def _opens_anew(self, reason: ResetReason) -> Step[None]:
        """Insist on an OPEN on the same connection, and on the report."""
        packet = yield PATIENCE
        if packet is None or isinstance(packet, Close):
            return
        self._told(reason, "RST-6")
        yield from self._welcome_anew(packet)

    def _welcome_anew(self, packet: Packet | None) -> Step[None]:
        self.received = self.delivered = self.sent = 0
        yield from self._welcome(packet)

    # Plots

    def _talk(self) -> Step[bool]:
        """Let both sides have said something."""
        if not (yield from self._open()):
            return False
        self.believer.send_some(_MANY, self.draw())
        self.send_some(3)
        if not (yield from self.listen(4.0 * self.world.plan.delay[1] * self.draw())):
            return False
        self.delivered = int((self.received + 1) * self.draw())
        return (yield from self.sync())

    def _lies(self) -> Step[None]:
        """State false counts in the middle of a session."""
        if (yield from self._talk()) and (yield from self.lie()):
            yield from self._opens_anew(ResetReason.DRIFT)

    def _lies_at_attach(self) -> Step[None]:
        """State false counts in RESUMED."""
        if not (yield from self._talk()):
            return
        self.believer.send_some(_MANY, self.draw())
        if not (yield from self._resumes()):
            return
        false, what = self.false_attach()
        self.say(Resumed(self._attempt, false, self.random_bytes(32)))
        packet = yield PATIENCE
        if packet is None or isinstance(packet, Close):
            return
        if not isinstance(packet, Reset) or packet.reason != ResetReason.DRIFT:
            raise self.violation("ATT-11", f"{what} was answered {packet}")
        yield from self._opens_anew(ResetReason.DRIFT)

    def _lies_in_reset(self) -> Step[None]:
        """End the session, and claim to have had what never was sent; the report must not say so (SPEC RST-1)."""
        if not (yield from self._talk()):
            return
        self.believer.send_some(_MANY, self.draw())
        reset = Reset(ResetReason.INTERNAL, Counts(FAR, FAR, self.sent))
        if self.draw() < 0.5 or (yield from self._resumes()):
            self.say(reset)
        else:
            return
        packet = yield PATIENCE
        while packet is not None and not isinstance(packet, Open | Close):
            packet = yield PATIENCE  # what was under way
        if isinstance(packet, Open):
            self._told(ResetReason.INTERNAL, "RST-6")
            yield from self._welcome_anew(packet)

    def _floods(self) -> Step[None]:
        """Send beyond the window, again and again."""
        self.believer.reads = False
        if not (yield from self._open()):
            return
        for breach in range(1, IN_A_ROW + 1):
            last = breach == IN_A_ROW
            if not (yield from self.exceed(last=last)):
                return
            if last:
                yield from self._opens_anew(ResetReason.FLOW)
            elif not (yield from self._comes_back()):
                return

    def _comes_back(self) -> Step[bool]:
        if not (yield from self._resumes()):
            return False
        self._secret = self.random_bytes(32)
        self.say(Resumed(self._attempt, self.counts(), self._secret))
        return (yield from self._acknowledged())

    def _rambles(self) -> Step[None]:
        """Send a message without end."""
        if (yield from self._open()) and (yield from self.ramble()):
            yield from self._opens_anew(ResetReason.OVERFLOW)

    def _gives_it_to_another(self) -> Step[None]:
        """Tell the client that another attempt has its session: one of its own, then one that it never made."""
        if not (yield from self._talk()):
            return
        for ahead in (0, 1 + int(3 * self.draw())):
            if not (yield from self._resumes()):
                return
            self.say(Close(CloseCode.SUPERSEDED, "", False, False, 0, 0, None, self._attempt + ahead))
            yield from self.pause(_ARRIVED + 4.0 * self.world.plan.delay[1])
        self._told(ResetReason.TAKEN_OVER, "ATT-9")
        packet = yield from self._connect()
        yield from self._welcome_anew(packet)

    def _ends_it(self) -> Step[None]:
        """End the session by CLOSE; the client must never come back to it (SPEC CLS-6)."""
        if not (yield from self._talk()):
            return
        code = (CloseCode.SESSION_ENDED, CloseCode.GOING_AWAY, CloseCode.NORMAL)[int(3 * self.draw())]
        self.say(Close(code, "enough", True, False, 0, 0, None, None))
        yield from self.pause(_ARRIVED + 4.0 * self.world.plan.delay[1])
        self._told(ResetReason.CLOSED, "CLS-6")
        packet = yield from self._connect()
        yield from self._welcome_anew(packet)
