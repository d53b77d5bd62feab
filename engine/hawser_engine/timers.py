"""The deadlines of one connection, each at most once.

After quinn: an enum with a sentence per member, a table with set, stop, next_timeout and pop_expired. Whoever owns the
table does what a timer means; nothing here does.
"""

from enum import Enum

__all__ = ["Timer", "Timers"]


class Timer(Enum):
    """What a deadline is for; members expire in this order when they expire together."""

    HANDSHAKE = "handshake"
    """The connection has to be attached (SPEC ATT-13, ATT-20)."""
    REAUTH_ASK = "reauth-ask"
    """The server asks for new credentials (SPEC AUT-1)."""
    REAUTH = "reauth"
    """New credentials have to be accepted (SPEC AUT-3)."""
    WRITE = "write"
    """The network has to take some of the bytes handed over (SPEC LIM-6)."""
    PONG = "pong"
    """A byte has to arrive after a PING (SPEC LIV-2)."""
    SILENCE = "silence"
    """A byte has to arrive from the server (SPEC LIV-4)."""
    PING = "ping"
    """The link has been idle: ask for life (SPEC LIV-1)."""
    ACK = "ack"
    """Deliveries have to be stated (SPEC ACK-2)."""
    CLOSE = "close"
    """The peer has to end the link after our CLOSE (SPEC CLS-3)."""


class Timers:
    """Deadlines by timer, in seconds of the caller's monotonic clock."""

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        """Start with no deadline."""
        self._deadlines: dict[Timer, float] = {}

    def set(self, timer: Timer, deadline: float) -> None:
        """Let the timer expire at ``deadline``, whatever it was set to."""
        self._deadlines[timer] = deadline

    def stop(self, timer: Timer) -> None:
        """Forget the timer; it need not be set."""
        self._deadlines.pop(timer, None)

    def clear(self) -> None:
        """Forget every timer."""
        self._deadlines.clear()

    def get(self, timer: Timer) -> float | None:
        """Return the deadline of a timer, None if it is not set."""
        return self._deadlines.get(timer)

    def next_timeout(self) -> float | None:
        """Return the earliest deadline, None if there is none."""
        return min(self._deadlines.values(), default=None)

    def pop_expired(self, now: float) -> Timer | None:
        """Take one timer whose deadline has come out of the table, None if there is none."""
        if not self._deadlines or min(self._deadlines.values()) > now:
            return None
        for timer in Timer:
            deadline = self._deadlines.get(timer)
            if deadline is not None and deadline <= now:
                del self._deadlines[timer]
                return timer
        raise AssertionError("a deadline without a timer")  # pragma: no cover
