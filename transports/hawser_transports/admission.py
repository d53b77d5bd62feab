"""Who comes in now, and when the others try again: what keeps a crowd from trampling a server that has just started.

Pure: it is told the time and answers at once. A listener asks it about every new link, a server about every attach.

To make newcomers wait in the kernel's queue would be worse than to turn them away: whoever is let in after his own
deadline has gone already, so a server that is behind works for nobody. Here everybody gets an answer in a round trip.

Rule 1: in no second more come in than the rate says. So the bound is exact, and no burst stands above it.
Rule 2: whoever is refused gets a turn of his own, behind those that were refused before. Turns follow each other at a
part of the rate, so that those who come back on time find room beside those who come unasked.
"""

from __future__ import annotations

from collections import deque
from math import ceil, inf
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

RETURN_SHARE: Final = 0.8
"""Of the rate: how fast turns follow each other, and how much newcomers may have of it where others come first."""

SOONEST_SECONDS: Final = 1.0
"""Nobody is asked back before the second is over in which there was no room."""

LONGEST_SECONDS: Final = 60.0
"""Half the resume period, so that nobody who obeys comes too late for his session. Beyond so many turns they are drawn
from the second half of it: an estimate so far off is none."""


def draw(random_bytes: Callable[[int], bytes]) -> float:
    """A number from 0 to 1, the 1 left out."""
    return int.from_bytes(random_bytes(4), "big") / 2**32


class Admission:
    """Lets in so many in any second, and gives everybody else a turn.

    Args:
        per_second: How many; `math.inf` lets everybody in.
        random_bytes: Where jitter comes from.
        longest_seconds: The longest that somebody is asked to stay away.
    """

    def __init__(
        self, per_second: float, random_bytes: Callable[[int], bytes], longest_seconds: float = LONGEST_SECONDS
    ) -> None:
        self._unlimited = per_second == inf
        self._count = 1 if self._unlimited else max(1, int(per_second))
        self._span = self._count / per_second
        self._apart = self._span / (self._count * RETURN_SHARE)
        self._longest = max(longest_seconds, SOONEST_SECONDS)
        self._random_bytes = random_bytes
        self._entered: deque[float] = deque()  # at most `_count`, none older than `_span`
        self._next_turn = -inf

    def enters(self, now: float, *, last: bool = False) -> bool:
        """Let somebody in if there is room.

        Args:
            now: Seconds; they never go back.
            last: Whether others come first: he gets none of the last fifth.
        """
        if self._unlimited:
            return True
        entered = self._entered
        while entered and entered[0] <= now - self._span:
            entered.popleft()
        if len(entered) >= (ceil(self._count * RETURN_SHARE) if last else self._count):
            return False
        entered.append(now)
        return True

    def turn(self, now: float) -> float:
        """Give somebody who was refused his turn; returns in how many seconds it is."""
        turn = max(self._next_turn, now + SOONEST_SECONDS)
        if turn > now + self._longest:
            return self._longest * (1 + draw(self._random_bytes)) / 2
        self._next_turn = turn + self._apart
        return turn - now

    def whole_turn(self, now: float) -> int:
        """The same in whole seconds, rounded up or down by chance, so that turns stay spread: for ``Retry-After``."""
        return max(1, int(self.turn(now) + draw(self._random_bytes)))
