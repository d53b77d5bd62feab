"""Peers that have a session by right, keep exact books of it, and then break a rule.

I17: whoever breaks a rule is answered exactly as SPEC says. Such a peer knows that answer from its books and insists
on it. Behind what is false it sends an honest PING: a PONG to that one shows that the false thing was swallowed.
"""

from typing import Final

from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.packets import Ack, Close, Counts, Limits, Message, Packet, Ping, Pong, Reset, ServerLimits

from .books import Violation
from .puppets import Puppet, Step

__all__ = ["BODY", "FAR", "IN_A_ROW", "PATIENCE", "Liar"]

BODY: Final = b"true"
"""What honest messages of such a peer, or to it, say."""
FAR: Final = 1_000_000
"""Further than any count ever gets."""
IN_A_ROW: Final = 3
"""Connections that end by a part beyond the window, until the session does (SPEC WIN-3)."""
PATIENCE: Final = 25.0
"""Seconds; longer than any sleep."""
_BREACHES: Final = (CloseCode.PROTOCOL_ERROR, CloseCode.FLOW, CloseCode.TOO_LARGE)
_WIDE: Final = 60_000  # bodies of parts stay below 64 KiB
_LONGEST: Final = 300_000  # a longer message takes too long for one script


class Liar(Puppet):
    """A peer with a session; ``liars`` and ``crooks`` add how it gets one."""

    label = "liar"

    received = 0
    """Parts that it has taken."""
    delivered = 0
    """What it has stated of them, or is about to."""
    sent = 0
    """Parts that the other side has taken, or will."""
    limits: Limits | ServerLimits
    """What the other side accepts."""

    _token = 0

    def counts(self) -> Counts:
        """Return its counts as they are."""
        return Counts(self.received, self.delivered, self.sent)

    def hear(self, packet: Packet | None) -> bool:
        """Do what an honest peer would; False if the session or the connection is over."""
        if isinstance(packet, Message):
            self.received += 1
        elif isinstance(packet, Ping):
            self.say(Pong(packet.token, self.counts()))
        return packet is not None and not isinstance(packet, Close | Reset)

    def may_reset(self, reason: int) -> bool:
        """Say whether the other side may end the session for a reason that is none of this peer's."""
        return False

    def violation(self, clause: str, text: str) -> Violation:
        """Say that the other side did not answer as SPEC says."""
        return Violation("I17", f"{self.label}: {text} (SPEC {clause})")

    # What an honest peer does

    def listen(self, seconds: float, *, parts: int = FAR) -> Step[bool]:
        """Take what comes for a while, or until so many parts have come; False if the session is out of reach."""
        end = self.world.time + seconds
        while self.received < parts and (left := end - self.world.time) > 0:
            packet = yield left
            if packet is not None and not self.hear(packet):
                return False
            if not self.linked:
                return False
        return self.linked

    def pause(self, seconds: float) -> Step[None]:
        """Take no notice of anything for a while."""
        end = self.world.time + seconds
        while (left := end - self.world.time) > 0:
            yield left

    def send_some(self, most: int) -> None:
        """Send a few short messages, within the window if nothing else is undelivered."""
        for _ in range(min(1 + int(most * self.draw()), self.limits.window_messages)):
            self.sent += 1
            self.say(Message(False, BODY))

    def sync(self) -> Step[bool]:
        """State the counts, and wait for the proof that the other side has them."""
        token = self._probe()
        self.say(Ping(token, self.counts()))
        while True:
            packet = yield PATIENCE
            if isinstance(packet, Pong) and packet.token == token:
                told = packet.counts
                if told is None or told.received != self.sent or told.delivered > told.received:
                    raise self.violation("CNT-2", f"{self.sent} parts were sent, the answer is {told}")
                return True
            if not self.hear(packet):
                return False

    # What must be answered, and how

    def must_be_reset(self, reason: ResetReason, clause: str, what: str, token: int) -> Step[bool]:
        """Insist on a RESET; False if something else came between that may."""
        packet = yield from self._verdict(clause, what, token)
        if isinstance(packet, Close) and packet.code in _BREACHES:
            raise self.violation(clause, f"{what} was answered {packet}")
        if not isinstance(packet, Reset) or (packet.reason != reason and self.may_reset(packet.reason)):
            return False
        if packet.reason != reason:
            raise self.violation(clause, f"{what} was answered {packet}, not RESET({reason.name})")
        if packet.counts is None or packet.counts.received != self.sent:
            raise self.violation("RST-1", f"{self.sent} parts were sent that could be taken, it says {packet}")
        return True

    def _verdict(self, clause: str, what: str, token: int) -> Step[Packet | None]:
        """Wait for the RESET or the CLOSE that something calls for."""
        while True:
            packet = yield PATIENCE
            if isinstance(packet, Pong) and packet.token == token:
                raise self.violation(clause, f"{what} was swallowed")
            if not self.hear(packet):
                return packet

    def _probe(self) -> int:
        self._token += 1
        return self._token

    # Ways to break a rule

    def lie(self) -> Step[bool]:
        """State counts that cannot be true, in ACK, PING or PONG."""
        if self.draw() < 0.6:
            self.send_some(3)
        true = self.counts()
        received, delivered, sent = true.received, true.delivered, true.sent
        lies = (
            (Counts(received + FAR, delivered, sent), "ACK-4"),
            (Counts(received + FAR, received + FAR, sent), "ACK-4"),
            (Counts(received, received + 1, sent), "CNT-8"),
            (Counts(delivered, received + FAR, sent), "CNT-8"),
            (Counts(received, delivered, sent + 1), "CNT-5"),
            (Counts(received, delivered, sent - 1 if sent else FAR), "CNT-5"),
        )
        false, clause = lies[int(self.draw() * len(lies))]
        carriers = Ack(false), Ping(self._probe(), false), Pong(FAR, false)
        carrier = carriers[int(self.draw() * len(carriers))]
        token = carrier.token if isinstance(carrier, Ping) else self._probe()
        self.say(carrier, Ping(token, true))
        return (yield from self.must_be_reset(ResetReason.DRIFT, clause, f"{carrier}, true is {true},", token))

    def false_attach(self) -> tuple[Counts, str]:
        """Return counts that an attach must not state, once ``sync`` was."""
        received, delivered, sent = self.received, self.delivered, self.sent
        lies = [
            Counts(received + FAR, delivered, sent),
            Counts(received + FAR, received + FAR, sent),
            Counts(received, received + 1, sent),
        ]
        if delivered:
            lies += Counts(delivered - 1, delivered - 1, sent), Counts(received, delivered - 1, sent)
            lies += (Counts(0, 0, sent),)
        if sent:
            lies += (Counts(received, delivered, sent - 1),) * 2
        false = lies[int(self.draw() * len(lies))]
        return false, f"an attach with {false}, true is {self.counts()},"

    def exceed(self, *, last: bool) -> Step[bool]:
        """Send what fills the window and a part more; False if something else came between that may.

        Nothing of what is sent may be delivered meanwhile. ``last``: it is the third time in a row.
        """
        free = self._free_parts()
        half = self.limits.window_bytes // 2 + 1
        size = 1
        if not self.sent and half <= min(_WIDE, self.limits.message_bytes) and self.draw() < 0.5:
            size, free = half, 1
        token = self._probe()
        self.say(*(Message(False, bytes(size)) for _ in range(free + 1)))
        self.sent += free
        self._held_bytes += free * size
        self.say(Ping(token, Counts(self.received, self.delivered, self.sent + 1)))
        if last:
            return (yield from self.must_be_reset(ResetReason.FLOW, "WIN-3", "a third part beyond the window", token))
        packet = yield from self._verdict("WIN-3", "a part beyond the window", token)
        if isinstance(packet, Close) and packet.code == CloseCode.FLOW:
            return True
        if (isinstance(packet, Close) and packet.code in _BREACHES) or (
            isinstance(packet, Reset) and not self.may_reset(packet.reason)
        ):
            raise self.violation("WIN-3", f"a part beyond the window was answered {packet}")
        return False

    _held_bytes = 0

    def _free_parts(self) -> int:
        """Return how many parts of one byte the window still takes (SPEC WIN-1, WIN-2)."""
        held, limits = self.sent, self.limits
        if not held:
            return max(1, min(limits.window_messages, limits.window_bytes))
        return max(0, min(limits.window_messages - held, limits.window_bytes - self._held_bytes))

    def ramble(self) -> Step[bool]:
        """Send a message that is longer than the other side takes."""
        longest = self.limits.message_bytes
        if longest > _LONGEST:
            return False
        size = min(longest // 4 + 1, _WIDE)
        fitting = longest // size
        token = self._probe()
        for _ in range(fitting + 1):
            self.say(Message(True, bytes(size)))
        self.sent += fitting
        self.say(Ping(token, Counts(self.received, self.delivered, self.sent + 1)))
        what = f"a message of {(fitting + 1) * size} bytes"
        return (yield from self.must_be_reset(ResetReason.OVERFLOW, "PRT-5", what, token))
