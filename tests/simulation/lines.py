"""A way between a client and the server, of whatever kind, and an onlooker at both of its mouths.

The onlooker reads every packet that an engine sends: it numbers the parts, notes what the counts claim, and remembers
where packets end, so that the arrival of each can be told.
"""

from abc import abstractmethod
from collections import deque
from typing import TYPE_CHECKING, Final

from hawser_engine.codec import ack_at, message_at, next_packet
from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.packets import (
    Ack,
    Auth,
    Close,
    Counts,
    Message,
    Opened,
    Packet,
    Ping,
    Pong,
    Reauth,
    Reset,
    Resume,
    Resumed,
    Volatile,
)

from .books import Direction, Pair, Violation
from .transcript import describe

if TYPE_CHECKING:
    from .copies import Copy
    from .crooks import CrookedServer
    from .ends import End
    from .hostile import Victim
    from .liars import LyingClient
    from .world import World

__all__ = ["SINGLE", "Line", "Tap"]

MESSAGE: Final = Message.KIND
ACK: Final = Ack.KIND
PONG: Final = Pong.KIND
_ACK: Final = b"\x82\x08"
_PONG: Final = b"\x83\x0a\x00"
_LONGEST_PONG: Final = 31
SINGLE: Final = (Auth, Volatile)
"""What is not counted, and yet may come out once only (SPEC CAR-21)."""


class Tap:
    """The onlooker at one mouth: it sees what that side writes."""

    __slots__ = ("asking", "base", "marks", "number", "pair", "pings", "read", "side", "singles", "wire", "written")

    def __init__(self, wire: "Line", side: int) -> None:
        self.wire = wire
        self.side = side
        self.pair: Pair | None = None
        self.pings = 0  # PINGs of an attached connection
        self.number = 0  # of the last MESSAGE on this connection
        self.base = 0  # of the last one before it
        self.asking = False  # REAUTH with a number was sent, and not the one without
        self.singles = 0  # packets that nobody may get twice
        self.written = 0
        self.read = 0
        self.marks: deque[tuple[int, int]] = deque()  # (where a packet ends, its kind)

    def sees(self, batch: bytes) -> None:
        """Read what is being written."""
        position = 0
        start = self.written
        marks = self.marks
        if self.wire.victim is not None:
            self.written += len(batch)
            return  # what a victim says was told it by somebody hostile
        loud = self.wire.world.transcript.wanted
        while position < len(batch):
            message = message_at(batch, position)
            if message is not None:
                begin, position, more = message
                self._message(batch[begin:position], more)
                marks.append((start + position, MESSAGE))
                if loud:
                    self.wire.say(self.side, f"sends MESSAGE {self.number}, {position - begin} bytes")
                continue
            ack = ack_at(batch, position)
            if ack is not None:
                position = ack[3]
                self._counts(ack[0], ack[1], ack[2])
                marks.append((start + position, ACK))
                if loud:
                    self.wire.say(self.side, f"sends ACK received={ack[0]} delivered={ack[1]} sent={ack[2]}")
                continue
            if batch.startswith(_PONG, position):  # what a long-poll binding hears after every exchange
                counts = ack_at(_ACK + batch[position + len(_PONG) : position + _LONGEST_PONG], 0)
                if counts is not None and not loud:
                    position += counts[3] + len(_PONG) - len(_ACK)
                    self._counts(counts[0], counts[1], counts[2])
                    marks.append((start + position, PONG))
                    continue
            taken = next_packet(batch, position)
            packet, position = taken or (None, position)
            if packet is None:
                raise Violation("I13", "an engine sent something that is no packet")
            marks.append((start + position, packet.KIND))
            self._packet(packet)
            if loud:
                self.wire.say(self.side, f"sends {describe(packet)}")
        self.written = start + position

    def arrived(self, size: int) -> list[int]:
        """Return the kinds of the packets of which the last byte is among the next ``size`` bytes read."""
        self.read += size
        marks = self.marks
        kinds: list[int] = []
        while marks and marks[0][0] <= self.read:
            kinds.append(marks.popleft()[1])
        return kinds

    def _out(self) -> Direction | None:
        pair = self.pair
        if pair is None:
            return None
        return pair.down if self.side else self._up(pair)

    def _in(self) -> Direction | None:
        pair = self.pair
        if pair is None:
            return None
        return pair.up if self.side else pair.down

    def _up(self, pair: Pair) -> Direction | None:
        """Return the client's direction; it begins with the first packet behind OPENED."""
        end = self.wire.ends[0]
        if pair.up is None and end is not None:
            end.actor.opened(pair)
        return pair.up

    def _message(self, body: bytes, more: bool) -> None:
        if self._is_copy():
            return
        direction = self._out()
        if direction is None:
            raise Violation("I7", "a MESSAGE was sent without a session")
        self.number += 1
        direction.number(self.number, body, more)

    def _counts(self, received: int, delivered: int, sent: int) -> None:
        if self.pair is None:
            raise Violation("I3", "counts were sent without a session")
        if self._is_copy():
            return
        if self.side == 0 and self.pair.up is None:
            self._up(self.pair)
        if sent != self.number:
            raise Violation("I3", f"`sent` is {sent}, the last MESSAGE of this connection was {self.number}")
        self._honest(received, delivered)

    def _is_copy(self) -> bool:
        """Say whether a second holder speaks, of whom no books are kept."""
        return self.wire.copy is not None and self.side == 0

    def _honest(self, received: int, delivered: int) -> None:
        """Check what a receiver claims to have (I3)."""
        direction = self._in()
        pair = self.pair
        assert pair is not None
        if direction is None:
            if not pair.hostile and (received or delivered):
                raise Violation("I3", f"received {received}, delivered {delivered} of a client that sent nothing")
            return
        if delivered < direction.stated or received < direction.stated_received:
            raise Violation(
                "I3",
                f"counts went back: received {direction.stated_received} to {received}, "
                f"delivered {direction.stated} to {delivered}",
            )
        if not delivered <= received <= len(direction.parts) and not pair.hostile:
            raise Violation("I3", f"received {received}, delivered {delivered}; {len(direction.parts)} were sent")
        if delivered != direction.stated:
            if direction.messages_up_to(delivered) > direction.taken and not pair.hostile:
                raise Violation("I3", f"delivered {delivered} is stated; {direction.taken} messages were taken")
            direction.stated = delivered
        direction.stated_received = received

    def _packet(self, packet: Packet) -> None:
        wire = self.wire
        if isinstance(packet, Message):
            self._message(packet.body, packet.more)
        elif isinstance(packet, Ack | Ping | Pong):
            counts = packet.counts
            self.pings += counts is not None and isinstance(packet, Ping)
            if counts is not None:
                self._counts(counts.received, counts.delivered, counts.sent)
        elif isinstance(packet, SINGLE):
            self.singles += 1
        elif isinstance(packet, Resume):
            wire.resume = packet
        elif isinstance(packet, Resumed):
            self._resumed(packet)
        elif isinstance(packet, Opened):
            pair = wire.world.pairs[packet.session]
            pair.secrets.append(packet.secret)
            wire.expect_refusal = wire.expect_superseded = False  # another session has begun here
            wire.resume = None
            for tap in wire.taps:
                tap.pair = pair
                tap.number = tap.base = 0
                tap.asking = False
        elif isinstance(packet, Reauth):
            self.asking = packet.within_ms is not None
        elif isinstance(packet, Reset):
            if wire.expect_refusal and packet.counts is not None:
                raise Violation("I9", "a RESUME that had to be refused was answered with counts (SPEC SEC-6)")
            claimed = self._claimed()
            if self.side and packet.reason == ResetReason.DRIFT and wire.resume is not None and claimed is not None:
                claimed.attempt = max(claimed.attempt, wire.resume.attempt)  # it was taken, though its counts were not
            self.pair = None
        elif isinstance(packet, Close) and packet.code == CloseCode.SUPERSEDED:
            self._superseded(packet)

    def _superseded(self, packet: Close) -> None:
        """Check the attempt that a server names: the highest that it has taken (SPEC ATT-6, ATT-7)."""
        pair = self.pair or self._claimed()
        self.wire.superseded = packet.attempt or 0
        if pair is not None and packet.attempt != pair.attempt:
            raise Violation("I5", f"CLOSE(SUPERSEDED) names attempt {packet.attempt}, {pair.attempt} was taken last")

    def _claimed(self) -> Pair | None:
        """Return the session that a RESUME on this link names, as long as it is not answered RESUMED."""
        resume = self.wire.resume
        return None if resume is None or self.pair is not None else self.wire.world.pairs.get(resume.session)

    def _resumed(self, packet: Resumed) -> None:
        wire = self.wire
        resume = wire.resume
        if wire.expect_refusal or wire.expect_superseded:
            raise Violation("I9", "a RESUME that had to be refused was answered RESUMED")
        if resume is None or resume.attempt != packet.attempt:
            raise Violation("I5", f"RESUMED({packet.attempt}) answers {resume}")
        pair = wire.world.pairs[resume.session]
        if pair.server_over:
            raise Violation("I9", "a session that was over is resumed")
        if packet.attempt <= pair.attempt:
            raise Violation("I5", f"attempt {packet.attempt} was taken after {pair.attempt}")
        if resume.secret not in pair.live_secrets():
            raise Violation("I9", "a RESUME with a secret that is not live was taken (SPEC SEC-3)")
        if wire.copy is not None:
            wire.copy.taken(pair)
        pair.attempt = packet.attempt
        pair.proved = pair.secrets.index(resume.secret)
        pair.secrets.append(packet.secret)
        self.pair = pair
        self.number = self.base = resume.counts.received
        self._honest(packet.counts.received, packet.counts.delivered)
        other = wire.taps[0]
        other.pair = pair
        other.number = other.base = packet.counts.received
        other.resume_honest(resume.counts)

    def resume_honest(self, counts: Counts) -> None:
        """Check what the client claimed in its RESUME, now that it counts."""
        direction = self._in()
        assert direction is not None
        if counts.delivered < direction.stated and self.pair is not None and not self.pair.hostile:
            raise Violation("I3", f"RESUME states delivered {counts.delivered} after {direction.stated}")


class Line:
    """One link, with an engine or something hostile at each end; side 0 is the client's."""

    __slots__ = (
        "copy",
        "ends",
        "expect_refusal",
        "expect_superseded",
        "faulty_until",
        "hostile",
        "label",
        "puppet",
        "resume",
        "superseded",
        "taps",
        "victim",
        "was_cut",
        "whole",
        "world",
    )

    def __init__(self, world: "World", label: str, *, whole: bool, hostile: bool = False) -> None:
        self.world = world
        self.label = label
        self.whole = whole
        self.taps = (Tap(self, 0), Tap(self, 1))
        self.ends: list[End | None] = [None, None]
        self.resume: Resume | None = None
        self.hostile = hostile
        self.victim: Victim | CrookedServer | None = None  # whose hostile server this is
        self.copy: Copy | None = None  # whose client this is, if it is a second holder of a session
        self.superseded = 0  # the attempt that the server has named in CLOSE(SUPERSEDED)
        self.puppet: LyingClient | None = None  # who speaks for the client, if not an engine
        self.expect_refusal = False
        self.expect_superseded = False
        self.was_cut = False
        self.faulty_until = 0.0  # it was held up until then

    def is_of(self, other: "Line") -> bool:
        """Say whether both are links of one client."""
        return other is self or (other.puppet is not None and other.puppet is self.puppet)

    def prove(self) -> None:
        """Note that the server gets the ACK that proves the secret it has issued here (SPEC SEC-3)."""
        pair = self.taps[1].pair
        if pair is not None:
            pair.proved = len(pair.secrets) - 1

    def say(self, side: int, text: str) -> None:
        """Write a line of the transcript."""
        self.world.transcript.add(self.world.time, f"{self.label}.{'cs'[side]}", text)

    def hold_up(self, until: float, sides: tuple[int, ...] = (0, 1)) -> None:
        """Let nothing arrive of what the given sides write before ``until``."""
        self.stall(until, sides)
        self.faulty_until = max(self.faulty_until, until + 0.5)

    # What each kind of link does in its own way

    @abstractmethod
    def dial(self) -> None:
        """Let the server know of the link."""

    @abstractmethod
    def write(self, side: int, data: bytes) -> int:
        """Put bytes on their way; return how many of all written ones wait for the network."""

    @abstractmethod
    def left(self, side: int) -> int:
        """Return how many of the bytes that a side has written wait for the network."""

    @abstractmethod
    def read(self, side: int) -> None:
        """Hand over what has arrived of what ``side`` wrote."""

    @abstractmethod
    def kinds(self, side: int, chunk: bytes) -> list[int]:
        """Return the kinds of the packets that are complete with a chunk of what ``side`` wrote."""

    @abstractmethod
    def is_torn(self, side: int) -> bool:
        """Say whether the last that arrived of what ``side`` wrote came otherwise than it was written."""

    @abstractmethod
    def settle(self, side: int) -> None:
        """Do what is due once an end has been drained."""

    @abstractmethod
    def stall(self, until: float, sides: tuple[int, ...] = (0, 1)) -> None:
        """Let nothing arrive of what the given sides write before ``until``."""

    @abstractmethod
    def slow_down(self, seconds: float) -> None:
        """Let everything take up to so much longer."""

    @abstractmethod
    def calm_down(self) -> None:
        """Let nothing be late any more, and nothing be held up."""

    @abstractmethod
    def cut(self, learnt_at: tuple[float | None, float | None]) -> None:
        """Break the link; say when each side learns it, None for never (half-open)."""

    @abstractmethod
    def close(self, side: int) -> None:
        """End the link as one side does."""
