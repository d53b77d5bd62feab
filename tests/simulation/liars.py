"""Clients that open a session of their own by right, and then state what is not so or take no notice of a limit.

The server they lie to is the one that the honest clients use, so restarts, sleeps and refusals hit them too.
"""

from random import Random
from typing import TYPE_CHECKING, Final

from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.events import MessageReceived
from hawser_engine.packets import (
    Ack,
    Auth,
    Close,
    Counts,
    Limits,
    Open,
    Opened,
    Packet,
    Reauth,
    Reset,
    Resume,
    Resumed,
)
from hawser_engine.session import ServerSession

from .lies import FAR, IN_A_ROW, PATIENCE, Liar
from .puppets import Step
from .wires import Wire

if TYPE_CHECKING:
    from .books import Pair
    from .world import World

__all__ = ["LyingClient"]

_LIMITS: Final = Limits(20, 5_000, 5_000)
_ANY_TIME: Final = frozenset(("UNKNOWN_SESSION", "RESTARTED", "EVICTED", "EXPIRED"))
"""Reasons that need nothing but a full table, a restart or time."""


class LyingClient(Liar):
    """One such client, and what it does this time."""

    def __init__(self, world: "World", random: Random, number: int) -> None:
        super().__init__(world, random, 0)
        self.label = f"liar{number}"
        self.who = {"who": self.label}
        self.pair: Pair | None = None
        self.reads = True  # whether the server's application takes what this client sends
        self._opened: Opened | None = None
        self._secret = b""
        self._attempt = 0
        self._auth_open = False
        plots = (
            self._lies,
            self._lies,
            self._lies_at_attach,
            self._lies_at_attach,
            self._lies_at_attach,
            self._lies_in_reset,
            self._floods,
            self._rambles,
            self._proves_late,
            self._proves_late,
            self._pretends,
        )
        self.follow(plots[int(self.draw() * len(plots))]())

    def hear(self, packet: Packet | None) -> bool:
        if isinstance(packet, Reauth):
            self._auth_open = self._auth_open and packet.within_ms is not None
            if packet.within_ms is not None and not self._auth_open:
                self._auth_open = True
                self.say(Auth(self.who))
        return super().hear(packet)

    def counts(self) -> Counts:
        """Return its counts; what they say is delivered may be believed from now on."""
        if self.pair is not None and self.pair.believed is not None:
            self.pair.believed = max(self.pair.believed, self.delivered)
        return super().counts()

    def may_reset(self, reason: int) -> bool:
        names = _ANY_TIME if self.pair is None else _ANY_TIME | self.pair.causes
        return any(known.name in names for known in ResetReason if known == reason)

    def handed(self, session: ServerSession, event: MessageReceived, now: float) -> None:
        """Do what the server's application does with a message of this client."""
        if self.reads:
            session.delivered(event.number, now)

    # Attaching

    def _connect(self) -> None:
        world = self.world
        if self.wire is not None and self.draw() < 0.6:  # else the server finds two connections, and fences one
            self.hang_up()
        wire = Wire(world, self.label, hostile=True, random=self.random)
        wire.puppet = self
        self._auth_open = False
        self.take_up(wire)
        world.at(world.time + 0.01, world.server.accept, wire)

    def _open(self, *, prove: bool = True) -> Step[bool]:
        self._connect()
        self.say(Open((1,), (), self.who, None, _LIMITS))
        packet = yield PATIENCE
        if not isinstance(packet, Opened):
            return False
        self._opened, self._secret, self.limits = packet, packet.secret, packet.limits
        self.pair = self.world.pairs[packet.session]
        self.pair.believed = 0
        if prove:
            self.say(Ack(self.counts()))
        return True

    def _resume(self, counts: Counts) -> Step[Packet | None]:
        """Send RESUME with some counts, and return the answer."""
        opened = self._opened
        assert opened is not None
        self._connect()
        self._attempt += 1
        self.say(Resume(opened.session, self._secret, opened.incarnation, self._attempt, counts, self.who))
        packet = yield PATIENCE
        if isinstance(packet, Resumed):
            self._secret = packet.secret
        return packet

    def _goodbye(self) -> None:
        self.say(Close(CloseCode.NORMAL, "enough", False, False, 0, 0, None, None))

    def _stays_ended(self) -> Step[None]:
        """Come back, honest, to a session that was ended."""
        if self.draw() < 0.5:
            answer = yield from self._resume(Counts(self.received, self.delivered, self.sent))
            if isinstance(answer, Resumed):
                raise self.violation("RST-8", "a session that was ended by RESET is resumed")

    # Plots

    def _lies(self) -> Step[None]:
        """State false counts in the middle of a session."""
        if not (yield from self._open()) or not (yield from self.listen(1.5 * self.draw())):
            return
        if self.draw() < 0.5:
            self.delivered = self.received
        if (yield from self.lie()):
            yield from self._stays_ended()

    def _lies_at_attach(self) -> Step[None]:
        """State false counts in RESUME."""
        if not (yield from self._open()):
            return
        self.send_some(3)
        if not (yield from self.listen(3.0, parts=1 + int(3 * self.draw()))):
            return
        self.delivered = self.received
        if not (yield from self.sync()):
            return
        false, what = self.false_attach()
        answer = yield from self._resume(false)
        if isinstance(answer, Resumed):
            raise self.violation("ATT-11", f"{what} was answered {answer}")
        if isinstance(answer, Reset):
            if answer.reason != ResetReason.DRIFT and not self.may_reset(answer.reason):
                raise self.violation("ATT-11", f"{what} was answered {answer}")
            yield from self._stays_ended()

    def _lies_in_reset(self) -> Step[None]:
        """End the session, and claim to have had what never was sent; the report must not say so (SPEC RST-1)."""
        if not (yield from self._open()) or not (yield from self.listen(4.0, parts=2 + int(4 * self.draw()))):
            return
        self.delivered = self.received // 2
        if not (yield from self.sync()):
            return
        self.say(Reset(ResetReason.INTERNAL, Counts(FAR, FAR, self.sent)))
        self.say(Open((1,), (), self.who, None, _LIMITS))
        answer = yield PATIENCE
        while answer is not None and not isinstance(answer, Opened | Close):
            answer = yield PATIENCE  # what was under way
        if isinstance(answer, Opened):
            self.say(Ack(Counts(0, 0, 0)))
            self._goodbye()

    def _floods(self) -> Step[None]:
        """Send beyond the window, again and again."""
        self.reads = False
        if not (yield from self._open()):
            return
        for breach in range(1, IN_A_ROW + 1):
            answered = yield from self.exceed(last=breach == IN_A_ROW)
            if not answered:
                return
            if breach == IN_A_ROW:
                yield from self._stays_ended()
                return
            answer = yield from self._resume(Counts(self.received, self.delivered, self.sent + 1))
            if not isinstance(answer, Resumed):
                return
            if answer.counts.received != self.sent or answer.counts.delivered:
                raise self.violation("WIN-3", f"{self.sent} parts fitted the window, {answer} says otherwise")
            self.say(Ack(self.counts()))

    def _rambles(self) -> Step[None]:
        """Send a message without end."""
        if (yield from self._open()) and (yield from self.ramble()):
            yield from self._stays_ended()

    def _proves_late(self) -> Step[None]:
        """Open a session, and show only later that the secret has arrived (SPEC UNC-2, UNC-3)."""
        if not (yield from self._open(prove=False)):
            return
        if self.draw() < 0.5:
            self.hang_up()
        yield from self.pause(8.0 * self.draw())
        answer = yield from self._resume(Counts(0, 0, 0))
        if isinstance(answer, Resumed):
            self.say(Ack(self.counts()))
            if (yield from self.sync()):
                self._goodbye()

    def _pretends(self) -> Step[None]:
        """Give good credentials in the middle of a session, but somebody else's (SPEC AUT-4)."""
        if not (yield from self._open()):
            return
        self._auth_open = True
        self.say(Auth({"who": f"not {self.label}"}))
        packet = yield PATIENCE
        while self.hear(packet):
            if isinstance(packet, Reauth) and packet.within_ms is None:
                raise self.violation("AUT-4", "credentials of another principal were accepted")
            packet = yield PATIENCE
