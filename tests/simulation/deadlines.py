"""When a connection has to be asked for life, when it may be held dead, and when it must be (SPEC LIV-1 to LIV-5).

Rule: deadlines are reckoned from what the driver did and what was on the wire, never from the engine's own timers.
L5: a connection is held dead only if no byte came in time, and is asked for life only if a way was idle. L6: one that
is silent is asked for life, and one that stays so is found out. All allow for a late pass what LIV-5 gives.
"""

from math import inf
from typing import TYPE_CHECKING, Final

from hawser_engine.codes import CloseCode
from hawser_engine.liveness import JITTER
from hawser_engine.states import State

from .books import Violation

if TYPE_CHECKING:
    from .ends import End
    from .world import World

__all__ = ["AUDIT_SECONDS", "Watch", "audit"]

AUDIT_SECONDS: Final = 0.5
"""How often everybody is looked at who gives no sign by himself."""
_EARLY: Final = 1e-6
_LATE: Final = 0.01


class Watch:
    """What an onlooker knows of the life of one connection; all times are on the clock of its machine."""

    __slots__ = (
        "answered_at",
        "asked",
        "attached_at",
        "last_in",
        "last_out",
        "ping_at",
        "ping_left_at",
        "pong_floor",
        "probed",
        "session",
        "silence_floor",
        "silence_moved",
    )

    def __init__(self, now: float) -> None:
        self.last_in = self.last_out = now
        self.attached_at = now
        self.answered_at = -inf  # when a byte came for a PING
        self.ping_at: float | None = None  # of the PING for which no byte has come yet
        self.ping_left_at: float | None = None
        self.pong_floor = -inf  # where a late pass has moved the end of the pong wait to
        self.silence_floor = -inf  # and the end of the silence
        self.silence_moved = False  # and no byte has come since
        self.session: object | None = None  # attached after the last step
        self.asked = False  # for life, since then, because the link was idle
        self.probed = False  # a PING may come for another reason than that the link was idle

    def heard(self, now: float) -> None:
        """Note that bytes have arrived."""
        self.last_in = now
        self.silence_moved = False
        if self.ping_at is not None:
            self.ping_at = self.ping_left_at = None
            self.answered_at = now

    def pinged(self, now: float) -> None:
        """Note that a PING was written."""
        self.ping_at = now
        self.ping_left_at = None
        self.pong_floor = -inf
        self.asked = self.asked or not self.probed
        self.probed = False

    def left(self, now: float) -> None:
        """Note that the network has taken every byte."""
        if self.ping_at is not None and self.ping_left_at is None:
            self.ping_left_at = now

    def late_pass(self, pong_wait: float, now: float) -> None:
        """Note a pass that came too late: each deadline moves, once until a byte arrives for it (SPEC LIV-5)."""
        if self.session is None:
            return
        if not self.silence_moved:
            self.silence_moved = True
            self.silence_floor = now + pong_wait
        if self.ping_left_at is not None and self.pong_floor == -inf:
            self.pong_floor = now + pong_wait

    def settled(self, session: object | None, now: float) -> None:
        """Note which session is attached after a step."""
        if session is not self.session:
            self.session = session
            self.attached_at = now
            self.ping_at = self.ping_left_at = None
            self.silence_moved = False
            self.asked = False

    def dead_at(self, pong_wait: float, silence: float | None, *, at_the_latest: bool = False) -> float:
        """Return when the connection is dead unless a byte comes; infinity while nothing is waited for.

        ``at_the_latest`` lets a silence that began anew last as long as a late pass before it allowed.
        """
        due = inf
        if self.ping_left_at is not None:
            due = max(self.ping_left_at + pong_wait, self.pong_floor)
        if silence is not None:
            moved = self.silence_moved or at_the_latest
            due = min(due, max(self.last_in + silence, self.silence_floor if moved else -inf))
        return due

    def ping_due(self, interval: float) -> float:
        """Return by when a server has to ask for life."""
        if self.ping_at is not None:
            return inf
        return max(min(self.last_in, self.last_out), self.attached_at, self.answered_at - interval) + interval

    def ping_at_the_earliest(self, interval: float) -> float:
        """Return when a server may ask for life again; the first time after an attach is drawn from the whole."""
        if not self.asked or self.probed:
            return -inf
        return min(self.last_in, self.last_out) + (1.0 - JITTER) * interval


def check_ping(end: "End", earliest: float) -> None:
    """L5: judge a PING that is being written (SPEC LIV-1)."""
    now = end.actor.host.now
    if now < earliest - _EARLY:
        raise Violation(
            "L5", f"{end.wire.label} is asked for life at {now:.3f}, not idle before {earliest:.3f} (SPEC LIV-1)"
        )


def check_dead(end: "End") -> None:
    """L5: judge a connection that its own side has just ended with TIMEOUT (SPEC LIV-2, LIV-4, LIV-5)."""
    told, watch = end.terminated, end.watch
    if told is None or told.code != CloseCode.TIMEOUT or told.initiator != "local" or end.wire.victim is not None:
        return
    if watch.session is None:
        return  # it was not attached in time (SPEC ATT-13)
    now = end.actor.host.now
    due = watch.dead_at(*_waits(end))
    if now < due - _EARLY:
        raise Violation(
            "L5",
            f"{end.wire.label} is held dead at {now:.3f}; the last byte came at {watch.last_in:.3f}, a PING left at "
            f"{watch.ping_left_at}, and the peer had until {due:.3f} (SPEC LIV-2, LIV-4, LIV-5)",
        )


def audit(world: "World") -> None:
    """Look at everybody who is awake: L4 and L6."""
    for actor in (world.server, *world.clients):
        if actor.host.asleep_until <= world.time:
            for end in actor.ends:
                _check_alive(end)
    if world.server.host.asleep_until <= world.time:
        world.server.check_expiry()


def _check_alive(end: "End") -> None:
    connection, watch = end.connection, end.watch
    if connection.state not in (State.ATTACHED, State.PROVING) or end.wire.victim is not None:
        return
    if connection.session is None or watch.session is not connection.session:
        return
    now = end.actor.host.now
    due = watch.dead_at(*_waits(end), at_the_latest=True)
    if now > due + _LATE:
        raise Violation(
            "L6", f"{end.wire.label} is dead since {due:.3f}, not found out by {now:.3f} (SPEC LIV-2, LIV-4)"
        )
    if end.side:
        due = watch.ping_due(end.wire.world.plan.server.ping_interval_seconds)
        if now > due + _LATE:
            raise Violation(
                "L6", f"{end.wire.label} was to be asked for life at {due:.3f}, it is {now:.3f} (SPEC LIV-1)"
            )


def _waits(end: "End") -> tuple[float, float | None]:
    """Return the pong wait of a side, and the silence after which it holds the other dead if it does."""
    if end.side:
        return end.pong_wait, None
    server = end.wire.world.plan.server
    told = round(1000 * server.ping_interval_seconds) + round(1000 * server.pong_wait_seconds)
    return end.pong_wait, told / 1000
