"""What an onlooker writes down about sessions: accepted, dropped, numbered, handed out, delivered.

Rule: nothing here asks the engine. The books are filled from what applications called and from the bytes on the wire.
"""

from bisect import bisect_right
from collections import deque
from math import inf

from hawser_engine.session import ClientSession, ServerSession

__all__ = ["Direction", "Pair", "Violation"]


class Violation(Exception):
    """An invariant does not hold."""

    def __init__(self, name: str, text: str) -> None:
        super().__init__(f"{name}: {text}")
        self.name = name


class Direction:
    """One direction of one session."""

    __slots__ = (
        "accepted",
        "acked",
        "cursor",
        "droppable",
        "dropped",
        "ended_at",
        "ends",
        "handed",
        "last_number",
        "parts",
        "parts_open",
        "reading",
        "reported",
        "stated",
        "stated_received",
        "still",
        "taken",
        "taken_ordinal",
        "unstated_mark",
        "unstated_since",
    )

    def __init__(self) -> None:
        self.accepted: list[bytes] = []
        self.droppable: set[int] = set()  # ordinals whose policy allows it; only looked up, never iterated
        self.dropped: set[int] = set()
        self.parts: list[bytes] = []  # by number, from 1
        self.ends: list[int] = []  # numbers that end a message
        self.parts_open = False  # the last part has more to come
        self.cursor = 0  # ordinal of the last message handed to the receiving application
        self.last_number = 0
        self.handed: deque[tuple[int, int]] = deque()  # (number, ordinal) handed out and not taken
        self.taken = 0  # messages that the receiving application has taken
        self.taken_ordinal = 0
        self.stated = 0  # highest `delivered` that the receiver has put on any wire
        self.stated_received = 0
        self.acked = 0  # highest `delivered` that the sender has taken
        self.reading = False  # a slow reader will come for what was handed out
        self.unstated_since: float | None = None
        self.unstated_mark: tuple[int, int] = (0, 0)  # (stated, attempt) then: the clock begins anew when either moves
        self.ended_at: int | None = None  # the sender's last numbered ordinal, once its end is told
        self.reported = False
        self.still: tuple[bytes | int, int] | None = None  # the last attach and the highest number, once detached

    def accept(self, body: bytes, ordinal: int, *, droppable: bool) -> None:
        """Note that the sender's engine took a message over."""
        self.accepted.append(body)
        if ordinal != len(self.accepted):
            raise Violation("I1", f"ordinal {ordinal} for message {len(self.accepted)}")
        if droppable:
            self.droppable.add(ordinal)

    def drop(self, ordinal: int, reason: str) -> None:
        """Note that the sender was told that a message is gone (SPEC NUM-4)."""
        if reason != "no room" and ordinal not in self.droppable:
            raise Violation("I1", f"message {ordinal} was dropped ({reason}) and has no policy that allows it")
        if ordinal <= self.cursor or ordinal in self.dropped:
            raise Violation("I1", f"message {ordinal} was dropped ({reason}) after it was delivered or dropped")
        self.dropped.add(ordinal)

    def number(self, number: int, body: bytes, more: bool) -> None:
        """Note a numbered part on a wire (I7)."""
        parts = self.parts
        if number <= len(parts):
            if parts[number - 1] != body:
                raise Violation("I7", f"number {number} names two payloads: {parts[number - 1][:8]!r}, {body[:8]!r}")
            return
        if number != len(parts) + 1:
            raise Violation("I7", f"number {number} on a wire after {len(parts)}")
        parts.append(body)
        self.parts_open = more
        if not more:
            self.ends.append(number)

    def hand(self, body: bytes, number: int) -> None:
        """Note that the receiving application was given a message (I1)."""
        ordinal = self.cursor + 1
        while ordinal in self.dropped:
            ordinal += 1
        if ordinal > len(self.accepted):
            raise Violation("I1", f"message {ordinal} was handed out, {len(self.accepted)} were accepted")
        if self.accepted[ordinal - 1] != body:
            raise Violation("I1", f"message {ordinal} is {body[:8]!r}, accepted was {self.accepted[ordinal - 1][:8]!r}")
        if number <= self.last_number:
            raise Violation("I1", f"number {number} was handed out after {self.last_number}")
        if self.ended_at is not None and ordinal > self.ended_at:
            raise Violation("I8", f"message {ordinal} was handed out; the sender was told that it was not sent")
        self.cursor = ordinal
        self.last_number = number
        self.handed.append((number, ordinal))

    def take(self, number: int) -> None:
        """Note that the receiving application has taken everything up to ``number``."""
        handed = self.handed
        while handed and handed[0][0] <= number:
            self.taken += 1
            self.taken_ordinal = handed.popleft()[1]

    def rewind(self) -> None:
        """Note that the receiver was restored: what was handed out and not taken comes again."""
        if self.handed:
            self.handed.clear()
        self.reading = False
        self.cursor = self.taken_ordinal
        number = self.ends[self.taken - 1] if self.taken else 0
        self.last_number = number

    @property
    def messages_begun(self) -> int:
        """How many messages have had a part on a wire."""
        return len(self.ends) + self.parts_open

    def messages_up_to(self, number: int) -> int:
        """Return how many messages end at or before a number."""
        ends = self.ends
        if number <= len(ends) and (not number or ends[number - 1] == number):
            return number
        return bisect_right(ends, number)


class Pair:
    """One session, as both sides know it."""

    __slots__ = (
        "attempt",
        "believed",
        "causes",
        "client",
        "detached_at",
        "detached_attempt",
        "down",
        "expiry_floor",
        "expiry_moved",
        "generation",
        "hostile",
        "opened",
        "owner",
        "principal",
        "proved",
        "secrets",
        "server",
        "server_over",
        "session_id",
        "up",
    )

    def __init__(self, session_id: bytes, server: ServerSession, principal: str) -> None:
        self.session_id = session_id
        self.server: ServerSession | None = server
        self.client: ClientSession | None = None
        self.principal = principal
        self.owner: object | None = None
        self.up: Direction | None = None  # known once the client has taken OPENED
        self.down = Direction()
        self.hostile = False
        self.believed: int | None = None  # the highest true `delivered` of a peer that else states what it likes
        self.opened = 0  # times that the server's application was told that the session is open
        self.causes: set[str] = set()  # reasons for which it may end: the world did something that entails them
        self.detached_at: float | None = None  # on the server's clock
        self.detached_attempt = 0  # that of the connection it lost then
        self.expiry_floor = 0.0  # on the server's clock: where a late pass has moved the end of the resume period to
        self.expiry_moved = False  # one has done so since the session was detached (SPEC LIV-5)
        self.server_over = False  # ended there: it must never come back
        self.attempt = 0
        self.generation = 0
        self.secrets: list[bytes] = []  # in the order in which they were issued
        self.proved = -1  # index of the one proved last

    def live_secrets(self) -> list[bytes]:
        """Return the secrets that open the session: the one proved last, and the one issued last (SPEC SEC-2)."""
        return self.secrets[self.proved : self.proved + 1] + self.secrets[-1:]

    def dead_secrets(self) -> list[bytes]:
        """Return the secrets before the one proved last (SPEC SEC-3)."""
        return self.secrets[: max(0, self.proved)]

    def lost_connection(self, now: float) -> None:
        """Note that no connection has the session: its resume period runs (SPEC EXP-1)."""
        if self.detached_at is None or self.detached_attempt != self.attempt:
            self.detached_at = self.expiry_floor = now
            self.detached_attempt = self.attempt
            self.expiry_moved = False

    def late_pass(self, period: float, pong_wait: float, now: float) -> None:
        """Note that the server's pass came too late: it gives a detached session one pong wait more (SPEC LIV-5)."""
        due = self.expires_at(period)
        if not self.expiry_moved and due < now + pong_wait:
            self.expiry_floor = now + pong_wait
            self.expiry_moved = True

    def expires_at(self, period: float) -> float:
        """Return when the detached session is over; infinity while it is attached."""
        return inf if self.detached_at is None else max(self.detached_at + period, self.expiry_floor)

    def shift(self, seconds: float) -> None:
        """Move what is on the server's clock to the clock of its next process."""
        if self.detached_at is not None:
            self.detached_at += seconds
            self.expiry_floor += seconds
