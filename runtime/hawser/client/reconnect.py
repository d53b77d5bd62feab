"""When a client comes back: full jitter, the progress rule, the server's spread, the circuit breaker.

Pure: it is told how an attempt ended and answers how long to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hawser.randomness import uniform

if TYPE_CHECKING:
    from collections.abc import Callable

BASE_SECONDS: Final = 0.5
CAP_SECONDS: Final = 30.0
SERVER_CLOSE_SECONDS: Final = 5.0
"""The spread after a close by the server that names none."""
BREAKER_ATTEMPTS: Final = 5
BREAKER_SECONDS: Final = (1.0, 5.0)


class ReconnectPolicy:
    """Decides the pause before the next attempt.

    An attempt made *progress* if it attached and a count moved afterwards; only that resets the backoff, so a server
    that accepts and drops at once is not hammered. After five attempts in a row that did not even attach, probes
    replace the backoff: rarer, and never at once.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], cap_seconds: float = CAP_SECONDS) -> None:
        self._random_bytes = random_bytes
        self._cap_seconds = cap_seconds
        self._idle_attempts = 0  # in a row, without progress
        self._lost_attempts = 0  # in a row, without OPENED or RESUMED

    @property
    def breaker_open(self) -> bool:
        """Whether attempts are only probes."""
        return self._lost_attempts >= BREAKER_ATTEMPTS

    def pause_after(
        self,
        *,
        attached: bool,
        progressed: bool,
        closed_by_server: bool = False,
        spread_seconds: tuple[float, float] | None = None,
    ) -> float:
        """Seconds to wait after an attempt has ended.

        Args:
            attached: Whether it reached OPENED or RESUMED.
            progressed: Whether, after that, a count moved.
            closed_by_server: Whether a CLOSE of the server ended it.
            spread_seconds: The time over which that CLOSE asked clients to come back, if it named one.
        """
        self._idle_attempts = 0 if progressed else self._idle_attempts + 1
        self._lost_attempts = 0 if attached else self._lost_attempts + 1
        if closed_by_server:
            low, high = spread_seconds or (0.0, SERVER_CLOSE_SECONDS)
            asked = self._uniform(low, high)
            return asked if self._idle_attempts == 0 else max(asked, self._backoff())
        if self.breaker_open:
            doublings = self._lost_attempts - BREAKER_ATTEMPTS
            return min(self._cap_seconds, self._uniform(*BREAKER_SECONDS) * float(2 ** min(doublings, 16)))
        return self._backoff()

    def _backoff(self) -> float:
        return self._uniform(0.0, min(self._cap_seconds, BASE_SECONDS * float(2 ** min(self._idle_attempts, 16))))

    def _uniform(self, low: float, high: float) -> float:
        return uniform(self._random_bytes, low, high)
