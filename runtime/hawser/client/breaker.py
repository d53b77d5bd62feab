"""The circuit breaker of a client, as data: when a series of attempts is stopped and only probes are made (SPEC REC-3).

Rule: every transition lives in TRANSITIONS; only ``CircuitBreaker`` changes the state. An attempt *reaches* the server
if it attaches; a link that opens and carries no session is a failure like one that does not open.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


class Circuit(Enum):
    """What the breaker lets through."""

    CLOSED = "closed"
    """Every attempt."""
    OPEN = "open"
    """Nothing: the next attempt is a probe, and its time has not come."""
    HALF_OPEN = "half-open"
    """One attempt, which decides."""


class Outcome(Enum):
    """What the breaker is told."""

    BEGUN = "an attempt begins"
    REACHED = "it attached"
    FAILED = "it ended and had not attached"
    TRIPPED = "it failed like too many in a row before it"
    WITHDRAWN = "it was not made after all"


TRANSITIONS: Final[Mapping[Circuit, Mapping[Outcome, Circuit]]] = {
    Circuit.CLOSED: {
        Outcome.BEGUN: Circuit.CLOSED,
        Outcome.REACHED: Circuit.CLOSED,
        Outcome.FAILED: Circuit.CLOSED,
        Outcome.TRIPPED: Circuit.OPEN,
        Outcome.WITHDRAWN: Circuit.CLOSED,
    },
    Circuit.OPEN: {
        Outcome.BEGUN: Circuit.HALF_OPEN,
    },
    Circuit.HALF_OPEN: {
        Outcome.REACHED: Circuit.CLOSED,
        Outcome.TRIPPED: Circuit.OPEN,
        Outcome.WITHDRAWN: Circuit.OPEN,
    },
}
"""A pair that is not here cannot happen: nothing ends where nothing was begun."""


class CircuitBreaker:
    """Counts attempts in a row that never attached.

    Args:
        failures_max: At so many of them it opens.
    """

    def __init__(self, failures_max: int) -> None:
        self.circuit: Circuit = Circuit.CLOSED
        self.failures: int = 0
        """Attempts in a row that did not attach."""
        self._failures_max = failures_max

    @property
    def probes(self) -> int:
        """How many attempts in a row have failed with the breaker open; 0 when it has just opened."""
        return max(0, self.failures - self._failures_max)

    def begun(self) -> None:
        """An attempt begins."""
        self._fire(Outcome.BEGUN)

    def reached(self) -> None:
        """The attempt attached."""
        self.failures = 0
        self._fire(Outcome.REACHED)

    def failed(self) -> None:
        """The attempt ended without."""
        self.failures += 1
        self._fire(Outcome.TRIPPED if self.failures >= self._failures_max else Outcome.FAILED)

    def withdrawn(self) -> None:
        """The attempt was not made: it says nothing about the server."""
        self._fire(Outcome.WITHDRAWN)

    def _fire(self, outcome: Outcome) -> None:
        after = TRANSITIONS[self.circuit].get(outcome)
        assert after is not None, f"{outcome.name} is not possible while {self.circuit.name}"
        self.circuit = after
