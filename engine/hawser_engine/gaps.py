"""Finding out that the process slept or that the wall clock moved (SPEC LIV-5).

The engine reads no clock: a driver tells both clocks at the start of each pass of its loop, and does what comes back,
with ``handle_gap`` or ``probe`` of its connections and ``handle_gap`` of its server.
"""

from enum import Enum

__all__ = ["Gap", "GapDetector"]


class Gap(Enum):
    """What a pass has found."""

    NONE = "none"
    """Nothing unusual."""
    CLOCK_STEP = "clock step"
    """Wall time and monotonic time have moved apart: probe, move no deadline. Some sleeps look like this too."""
    LATE_PASS = "late pass"
    """The loop ran later than it had asked to: ``handle_gap``."""


class GapDetector:
    """Compares each pass of a loop with what the loop had asked for."""

    __slots__ = ("_limit", "_offset")

    def __init__(self, limit_seconds: float, now: float, wall: float) -> None:
        """Remember how the two clocks stand to each other.

        Args:
            limit_seconds: ``EngineConfig.gap_seconds``.
            now: Seconds on the monotonic clock.
            wall: Seconds since the epoch.
        """
        self._limit = limit_seconds
        self._offset = wall - now

    def check(self, now: float, wall: float, wanted: float | None) -> Gap:
        """Judge a pass.

        Args:
            now: Seconds on the monotonic clock, at the start of the pass.
            wall: Seconds since the epoch, at the same instant.
            wanted: When the loop had asked to be woken at the latest; None if it had not.

        Spec: LIV-5.
        """
        offset = wall - now
        stepped = abs(offset - self._offset) > self._limit
        if stepped:
            self._offset = offset
        if wanted is not None and now - wanted > self._limit:
            return Gap.LATE_PASS
        return Gap.CLOCK_STEP if stepped else Gap.NONE
