"""What is told of the offers of a node, and when: pure state (SPEC AGT-12, AGT-13).

Rule: an offer is due as long as it is not what was told of it, or a list has shown it otherwise. So what came and went
between two steps is never told, and whoever began with a list in between is put right by the next one.
"""

from __future__ import annotations

from collections import OrderedDict
from math import inf
from typing import TYPE_CHECKING, Final, Generic, TypeVar

import attrs

from .agents import Worker

if TYPE_CHECKING:
    from .agents import Offering

GONE: Final = 0
LIVE: Final = 1
AWAY: Final = 2

WorkerT = TypeVar("WorkerT", bound=Worker)


@attrs.frozen
class Change(Generic[WorkerT]):
    """What is told of one offer."""

    offering: Offering[WorkerT]
    state: int
    new: bool
    """Whether nothing was told of it before."""


class Bulletin(Generic[WorkerT]):
    """What watchers were told of offers, and what they are to be told.

    Args:
        step_seconds: At least so much between two steps.
        grace_seconds: How long a session is without a link before that is told.
    """

    def __init__(self, *, step_seconds: float, grace_seconds: float) -> None:
        self._step_seconds = step_seconds
        self._grace_seconds = grace_seconds
        self._step_at = -inf
        self._told: dict[Offering[WorkerT], int] = {}
        self._shown: dict[Offering[WorkerT], None] = {}  # by lists, otherwise than was told
        self._due: dict[Offering[WorkerT], None] = {}
        # When they will be due for that, the earliest first; a dict would look for its first among all that were there.
        self._away: OrderedDict[Offering[WorkerT], float] = OrderedDict()

    @property
    def load(self) -> int:
        """For how many offers it keeps something."""
        return len({**self._told, **self._shown, **self._due, **self._away})

    def changed(self, offering: Offering[WorkerT], now: float) -> None:
        """An offer was made, or its session came or went, or it has ended."""
        state, told = state_of(offering), self._told.get(offering, GONE)
        self._due.pop(offering, None)
        self._away.pop(offering, None)
        if state == AWAY and told == LIVE:
            self._away[offering] = now + self._grace_seconds
        elif state != told or offering in self._shown:
            self._due[offering] = None

    def listed(self, offering: Offering[WorkerT]) -> None:
        """A list shows an offer as it is."""
        if state_of(offering) != self._told.get(offering, GONE):
            self._shown[offering] = None

    def next_step(self) -> float | None:
        """When to call `step`, perhaps long ago; None: there is nothing to be told."""
        if self._due:
            return self._step_at
        return max(self._step_at, next(iter(self._away.values()))) if self._away else None

    def step(self, now: float) -> list[Change[WorkerT]]:
        """What is told now; nothing, if it is not yet time."""
        if now < self._step_at:
            return []
        while self._away and next(iter(self._away.values())) <= now:
            offering, _ = self._away.popitem(last=False)
            self._due[offering] = None
        changes = [self._tell(offering) for offering in self._due]
        if changes:
            self._due.clear()
            self._step_at = now + self._step_seconds
        return changes

    def _tell(self, offering: Offering[WorkerT]) -> Change[WorkerT]:
        state = state_of(offering)
        new = self._told.pop(offering, GONE) == GONE != state
        if state != GONE:
            self._told[offering] = state
        self._shown.pop(offering, None)
        return Change(offering, state, new)


def state_of(offering: Offering[WorkerT]) -> int:
    """What is so."""
    return GONE if offering.ended else LIVE if offering.worker.attached else AWAY
