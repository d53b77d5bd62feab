"""Whether the peer is still there: PING, PONG, silence and gaps (SPEC 8).

It sets the timers PING, PONG and SILENCE of one connection and says what to do when they expire; the connection does
it. Deadlines are lazy: a byte that arrives costs one store, and a timer that comes too early is set again.
"""

from collections.abc import Callable
from typing import Final

from .codec import TOKENS
from .timers import Timer, Timers

__all__ = ["Liveness"]

JITTER: Final = 0.2
"""The part of the ping interval that is drawn (SPEC LIV-1)."""


class Liveness:
    """The heartbeat of one connection."""

    __slots__ = (
        "_after",
        "_draw",
        "_floor",
        "_interval",
        "_last_in",
        "_limit",
        "_moved",
        "_pong_moved",
        "_timers",
        "last_out",
        "ping_open",
        "token",
    )

    def __init__(self, timers: Timers, now: float) -> None:
        """Start with nothing to watch.

        Args:
            timers: Those of the connection.
            now: Seconds.
        """
        self._timers = timers
        self._draw: Callable[[], float] | None = None
        self._last_in = now
        self.last_out: float = now
        """When bytes left last; written by the connection, for each of its packets."""
        self._interval = 0.0  # between pings; 0 on a client, which does not ping by itself
        self._after = 0.0  # of it, the part drawn for the next ping
        self._limit = 0.0  # silence after which the server is dead (SPEC LIV-4)
        self._floor = 0.0  # no silence ends before this, after a gap (SPEC LIV-5)
        self._moved = False  # a gap has moved SILENCE, and nothing has been heard since
        self._pong_moved = False  # and PONG, which each PING sets anew
        self.ping_open: bool = False
        """A PING waits for any byte."""
        self.token: int = 0
        """That of the newest PING."""

    def watch_by_ping(self, interval: float, draw: Callable[[], float], now: float) -> None:
        """Ping when idle, first after a random part of ``interval`` seconds (SPEC LIV-1).

        Args:
            interval: Seconds.
            draw: Returns a number drawn evenly from [0, 1).
            now: Seconds.
        """
        self._interval = interval
        self._draw = draw
        self._after = interval * draw()
        self._timers.set(Timer.PING, now + self._after)
        self._moved = False

    def watch_silence(self, limit: float, now: float) -> None:
        """Hold the peer dead after ``limit`` seconds without a byte (SPEC LIV-4)."""
        self._limit = limit
        self._timers.set(Timer.SILENCE, now + limit)
        self._moved = False

    def stop(self) -> None:
        """Watch nothing."""
        for timer in (Timer.PING, Timer.PONG, Timer.SILENCE):
            self._timers.stop(timer)
        self.ping_open = False

    def heard(self, now: float) -> None:
        """Note that bytes have arrived (SPEC LIV-2)."""
        self._last_in = now
        self._moved = False
        if self.ping_open:
            self.ping_open = False
            self._timers.stop(Timer.PONG)
            if self._interval and self._timers.get(Timer.PING) is None:
                self._timers.set(Timer.PING, self.last_out + self._after)  # it expired meanwhile

    def next_token(self) -> int:
        """Begin a PING; the pong wait starts when it has left.

        Tokens go round: those below 24 take one byte, and both sides read such a packet without building anything.
        """
        self.token = self.token % (TOKENS - 1) + 1
        return self.token

    def left(self, pong_wait: float, now: float) -> None:
        """Note that all bytes have left: an open PING among them waits from now (SPEC LIV-2)."""
        if self.ping_open and self._timers.get(Timer.PONG) is None:
            self._timers.set(Timer.PONG, now + pong_wait)
            self._pong_moved = False

    def ping_due(self, now: float) -> bool:
        """Timer PING has expired: say whether to ping, and set it again; while a PING waits, ``heard`` does that."""
        if self.ping_open:
            return False
        due = min(self._last_in, self.last_out) + self._after
        if due > now:
            self._timers.set(Timer.PING, due)
            return False
        assert self._draw is not None, "whoever pings was told to"
        self._after = self._interval * (1.0 - JITTER + JITTER * self._draw())
        self._timers.set(Timer.PING, now + self._after)
        return True

    def is_dead(self, now: float) -> bool:
        """Timer SILENCE has expired: say whether the peer is dead, else set it again."""
        due = max(self._last_in + self._limit, self._floor)
        if due > now:
            self._timers.set(Timer.SILENCE, due)
            return False
        return True

    def forgive(self, pong_wait: float, now: float) -> None:
        """Move the deadlines after a late pass, each once until something is heard (SPEC LIV-5)."""
        floor = now + pong_wait
        silence, pong = self._timers.get(Timer.SILENCE), self._timers.get(Timer.PONG)
        if silence is not None and not self._moved:
            self._moved = True
            self._floor = floor
            self._timers.set(Timer.SILENCE, max(silence, floor))
        if pong is not None and not self._pong_moved:
            self._pong_moved = True
            self._timers.set(Timer.PONG, max(pong, floor))
