"""The deadlines of one connection, each at most once.

After quinn: an enum with a sentence per member, a table with set, stop, next_timeout and pop_expired. Whoever owns the
table does what a timer means; nothing here does.
"""

from enum import IntEnum
from math import inf

__all__ = ["Timer", "Timers"]


class Timer(IntEnum):
    """What a deadline is for; members expire in this order when they expire together."""

    HANDSHAKE = 0
    """The connection has to be attached (SPEC ATT-13, ATT-20)."""
    REAUTH_ASK = 1
    """The server asks for new credentials (SPEC AUT-1)."""
    REAUTH = 2
    """New credentials have to be accepted (SPEC AUT-3)."""
    WRITE = 3
    """The network has to take some of the bytes handed over (SPEC LIM-6)."""
    PONG = 4
    """A byte has to arrive after a PING (SPEC LIV-2)."""
    SILENCE = 5
    """A byte has to arrive from the server (SPEC LIV-4)."""
    PING = 6
    """The link has been idle: ask for life (SPEC LIV-1)."""
    ACK = 7
    """Deliveries have to be stated (SPEC ACK-2)."""
    CLOSE = 8
    """The peer has to end the link after our CLOSE (SPEC CLS-3)."""


class Timers:
    """Deadlines in seconds of the caller's monotonic clock.

    They stand in a list by timer, infinity for one that is not set: 120 bytes, and a third of the time of a dict, which
    asks an enum for its hash.
    """

    __slots__ = ("_deadlines",)

    def __init__(self) -> None:
        """Start with no deadline."""
        self._deadlines = [inf] * len(Timer)

    def set(self, timer: Timer, deadline: float) -> None:
        """Let the timer expire at ``deadline``, whatever it was set to."""
        self._deadlines[timer] = deadline

    def stop(self, timer: Timer) -> None:
        """Forget the timer; it need not be set."""
        self._deadlines[timer] = inf

    def clear(self) -> None:
        """Forget every timer."""
        self._deadlines = [inf] * len(Timer)

    def get(self, timer: Timer) -> float | None:
        """Return the deadline of a timer, None if it is not set."""
        deadline = self._deadlines[timer]
        return None if deadline == inf else deadline

    def next_timeout(self) -> float | None:
        """Return the earliest deadline, None if there is none."""
        earliest = min(self._deadlines)
        return None if earliest == inf else earliest

    def pop_expired(self, now: float) -> Timer | None:
        """Take one timer whose deadline has come out of the table, None if there is none."""
        if min(self._deadlines) > now:
            return None
        timer = next(timer for timer in Timer if self._deadlines[timer] <= now)
        self._deadlines[timer] = inf
        return timer
