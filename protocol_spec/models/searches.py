"""What is searched: the sizes in which everything must hold, and the wrong variants, each of which must fail.

Every variant breaks one rule of the protocol, and names what follows from that: so a search that finds nothing, or
something else, is a failure too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HOLDS: Final = "HOLDS"
"""The verdict of a search that found nothing wrong."""

CYCLE: Final = "NEVER_CONVERGES"
"""The verdict of a search that found a fair run on which the claimed formula is false."""

INVARIANTS: Final = {
    "EXACTLY_ONCE_IN_ORDER": 1,
    "TRIMMED_UNDELIVERED": 2,
    "DISHONEST_ACK": 4,
    "INBOX_OVERFLOW": 8,
    "TWO_LIVE_CONNECTIONS": 16,
    "NUMBER_REUSED": 32,
    "LOCKED_OUT": 64,
    "DRIFT": 128,
    "TAKEN_OVER": 256,
    "STUCK": 512,
}
"""The invariants and their bits in WATCH: the same in every model."""


@dataclass(frozen=True)
class Search:
    """One run of the verifier."""

    name: str
    model: str
    defines: dict[str, int]
    expected: str = HOLDS
    """HOLDS, CYCLE or the invariant that must fail; then no other invariant is watched."""
    optimise: str = "-O2"
    """For the C compiler. In a short search compiling takes longest, so that one asks for less."""
    witnesses: int = 0
    """How many of the model's situations must have occurred, so that the search was not vacuous; 0 = not asked."""

    @property
    def liveness(self) -> bool:
        """Whether a formula is claimed, under weak fairness."""
        return "LIVENESS" in self.defines

    def arguments(self) -> list[str]:
        """The -D options for Spin."""
        defines = dict(self.defines)
        if self.witnesses:
            defines["WITNESS"] = 1
        if self.expected in INVARIANTS:
            defines["WATCH"] = INVARIANTS[self.expected]
        elif self.expected == CYCLE:
            defines["WATCH"] = 0
        return [f"-D{name}={value}" for name, value in defines.items()]


def _small(name: str, witnesses: int = 0, /, **defines: int) -> Search:
    return Search(name, "attach.pml", defines, optimise="-O0", witnesses=witnesses)


def _large(name: str, /, **defines: int) -> Search:
    return Search(name, "attach.pml", defines)


def _holders(name: str, optimise: str, witnesses: int = 0, /, **defines: int) -> Search:
    return Search(name, "holders.pml", defines, optimise=optimise, witnesses=witnesses)


def _wrong(name: str, expected: str, model: str = "attach.pml", /, **defines: int) -> Search:
    return Search(f"{name}: {expected}", model, {name: 1, **defines}, expected, optimise="-O0")


SIZES: Final[dict[str, tuple[Search, ...]]] = {
    "small": (
        _small("both directions, sessions end", 11, UP=2, DOWN=2, WINDOW=1, ENDS=1),
        _small("receivers forget their inbox", FORGETS_INBOX=1, UP=2, DOWN=1, WINDOW=2),
        _small("converges, sessions end", DOWN=0, ENDS=1, LATE_ANSWERS=0, LIVENESS=1),
        _small("converges with heartbeat", CONNECTIONS=2, UP=0, HEARTBEAT=1, LIVENESS=1),
        _holders("two holders", "-O0", 7, CONNECTIONS=6, MOVES=1),
    ),
    "large": (
        _large("both directions", CONNECTIONS=4, UP=2, DOWN=2, WINDOW=2),
        _large("sessions end", CONNECTIONS=4, UP=2, DOWN=2, WINDOW=2, ENDS=1),
        _large("longer, fewer cuts", CONNECTIONS=3, UP=3, DOWN=3, WINDOW=3, ROOM=4),
        _large("many cuts", CONNECTIONS=5, UP=1, DOWN=1, ENDS=1),
        _large("receivers forget their inbox", CONNECTIONS=4, UP=2, DOWN=2, WINDOW=2, FORGETS_INBOX=1),
        _holders("two holders", "-O2", CONNECTIONS=7, MOVES=1, LOSSES=1, UP=2),
        _holders("two holders, more moves", "-O2", CONNECTIONS=8, MOVES=2),
        _large("converges with heartbeat", HEARTBEAT=1, LIVENESS=1),
        _large("converges without an ACK timer, by heartbeat alone", NO_ACK_TIMER=1, HEARTBEAT=1, LIVENESS=1),
        _large("converges, sessions end", UP=2, WINDOW=2, ENDS=1, LIVENESS=1),
    ),
}
"""The searches in which everything must hold."""

VARIANTS: Final[dict[str, tuple[Search, ...]]] = {
    "NO_FENCE": (
        _wrong("NO_FENCE", "TWO_LIVE_CONNECTIONS"),
        _wrong("NO_FENCE", "EXACTLY_ONCE_IN_ORDER"),
    ),
    "NO_CLIENT_FENCE": (_wrong("NO_CLIENT_FENCE", "NUMBER_REUSED"),),
    "ORDER_BY_ARRIVAL": (_wrong("ORDER_BY_ARRIVAL", "LOCKED_OUT"),),
    "NO_RECHECK": (
        _wrong("NO_RECHECK", "LOCKED_OUT"),
        _wrong("NO_RECHECK", "EXACTLY_ONCE_IN_ORDER"),
    ),
    "COUNTS_BEFORE_AUTHENTICATION": (_wrong("COUNTS_BEFORE_AUTHENTICATION", "EXACTLY_ONCE_IN_ORDER"),),
    "PREVIOUS_IS_LAST_ISSUED": (_wrong("PREVIOUS_IS_LAST_ISSUED", "LOCKED_OUT"),),
    "ONLY_THE_NEWEST_SECRET": (_wrong("ONLY_THE_NEWEST_SECRET", "LOCKED_OUT"),),
    "ACCEPT_ANY_RESUMED": (_wrong("ACCEPT_ANY_RESUMED", "LOCKED_OUT"),),
    "CLOSE_OF_ANY_SESSION": (_wrong("CLOSE_OF_ANY_SESSION", "TAKEN_OVER", ENDS=1),),
    "ACK_BEFORE_DELIVERED": (
        _wrong("ACK_BEFORE_DELIVERED", "TRIMMED_UNDELIVERED"),
        _wrong("ACK_BEFORE_DELIVERED", "DISHONEST_ACK"),
        _wrong("ACK_BEFORE_DELIVERED", "INBOX_OVERFLOW", UP=2),
        _wrong("ACK_BEFORE_DELIVERED", "DRIFT", FORGETS_INBOX=1),
    ),
    "ONE_COUNT": (_wrong("ONE_COUNT", "EXACTLY_ONCE_IN_ORDER"),),
    "AMBIGUOUS_RESUME_POSITION": (
        _wrong("AMBIGUOUS_RESUME_POSITION", "EXACTLY_ONCE_IN_ORDER", UP=2, WINDOW=2),
        _wrong("AMBIGUOUS_RESUME_POSITION", CYCLE, CONNECTIONS=2, LIVENESS=1),
    ),
    "REPLAY_FROM_TRIMMED": (_wrong("REPLAY_FROM_TRIMMED", "EXACTLY_ONCE_IN_ORDER"),),
    "ACK_STATES_NUMBERED": (_wrong("ACK_STATES_NUMBERED", "DRIFT"),),
    "NO_ACK_TIMER": (
        _wrong("NO_ACK_TIMER", "STUCK"),
        _wrong("NO_ACK_TIMER", CYCLE, CONNECTIONS=2, LIVENESS=1),
    ),
    "ONE_SECRET_FOR_EVER": (
        _wrong("ONE_SECRET_FOR_EVER", "TRIMMED_UNDELIVERED", "holders.pml", CONNECTIONS=6, MOVES=1),
        _wrong("ONE_SECRET_FOR_EVER", "EXACTLY_ONCE_IN_ORDER", "holders.pml", CONNECTIONS=6, MOVES=1, UP=2, DOWN=0),
    ),
    "FIRST_PACKET_IS_ANY": (
        _wrong("FIRST_PACKET_IS_ANY", "TRIMMED_UNDELIVERED", "holders.pml", CONNECTIONS=6, MOVES=1),
    ),
}
"""The wrong variants; each breaks one rule, and each of its searches must find what follows from that.

The quickest search of each rule stands first: it is the one that `make test` runs.
"""
