"""When a client comes back: full jitter, the progress rule, the server's spread, the circuit breaker.

Pure: it is told what became of an attempt and answers how long to wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hawser.randomness import uniform

from .breaker import Circuit, CircuitBreaker

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.config import Config


def draw_turn(random_bytes: Callable[[int], bytes], config: Config, spread_seconds: tuple[float, float]) -> float:
    """Draw in how many seconds to come back to a server that has asked to be left alone until then.

    Args:
        random_bytes: Where the draw comes from.
        config: What holds where no time is named, and how far a server can send anybody.
        spread_seconds: The earliest and the latest moment that it named; zeros if it named none.

    Spec: REC-2, REC-4.
    """
    low, high = spread_seconds if spread_seconds[1] else (0.0, config.spread_seconds)
    longest = config.spread_max_seconds
    if low >= longest:
        low = longest / 2  # or all who are sent so far would come back at the same instant
    return uniform(random_bytes, low, min(high, longest))


class ReconnectPolicy:
    """Decides the pause before the next attempt (SPEC REC-1 to REC-3).

    An attempt made *progress* if it attached and a count moved afterwards; only that resets the backoff, so a server
    that accepts and drops at once is not hammered. After some attempts in a row that did not even attach the breaker
    opens, and probes replace the backoff: rarer, and never at once.
    """

    def __init__(self, random_bytes: Callable[[int], bytes], config: Config) -> None:
        self._random_bytes = random_bytes
        self._config = config
        self._breaker = CircuitBreaker(config.breaker_attempts)
        self._idle_attempts = 0  # in a row, without progress

    @property
    def circuit(self) -> Circuit:
        """What the breaker lets through."""
        return self._breaker.circuit

    def begun(self) -> None:
        """An attempt begins."""
        self._breaker.begun()

    def reached(self) -> None:
        """The attempt has attached; told once at most."""
        self._breaker.reached()

    def withdrawn(self) -> float:
        """The attempt was not made, because this side had not what it needs for it.

        Returns:
            Seconds to wait, by the backoff.
        """
        self._idle_attempts += 1
        self._breaker.withdrawn()
        return self._probe() if self.circuit is Circuit.OPEN else self._backoff()

    def pause_after(
        self,
        *,
        attached: bool,
        progressed: bool,
        closed_by_server: bool = False,
        spread_seconds: tuple[float, float] = (0.0, 0.0),
    ) -> float:
        """Seconds to wait after an attempt has ended.

        Args:
            attached: Whether it reached OPENED or RESUMED; `reached` was told then.
            progressed: Whether, after that, a count moved.
            closed_by_server: Whether a CLOSE of the server ended it.
            spread_seconds: The time over which that CLOSE asked clients to come back; zeros if it named none.
        """
        self._idle_attempts = 0 if progressed else self._idle_attempts + 1
        if not attached:
            self._breaker.failed()
        if self.circuit is Circuit.OPEN:
            own = self._probe()
        elif closed_by_server and not self._idle_attempts:
            own = 0.0
        else:
            own = self._backoff()
        if not closed_by_server:
            return own
        # REC-2: the server's word is the least; who gets nowhere waits longer all the same.
        return max(own, draw_turn(self._random_bytes, self._config, spread_seconds))

    def _backoff(self) -> float:
        config = self._config
        longest = config.backoff_base_seconds * float(2 ** min(self._idle_attempts, 16))
        return self._uniform(0.0, min(config.backoff_cap_seconds, longest))

    def _probe(self) -> float:
        config = self._config
        first = self._uniform(config.probe_min_seconds, config.probe_max_seconds)
        return min(config.backoff_cap_seconds, first * float(2 ** min(self._breaker.probes, 16)))

    def _uniform(self, low: float, high: float) -> float:
        return uniform(self._random_bytes, low, high)
