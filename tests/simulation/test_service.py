"""Would the worlds of several servers notice if the runtime were wrong? Planted bugs say so."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final

import pytest

from hawser.server import canvassing
from hawser.server.canvassing import Errands
from hawser.server.leased import Leased
from hawser.server.polls import Poll
from hawser.server.reaching import Abroad, Count
from tests.runtime.planting import Planted, each_planted
from tests.runtime.service_world import run_world

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.answers import Answer

# ---------------------------------------------------------------- where the sessions are


def enter_nobody_anew(leased: Leased) -> None:
    """Where a lease has expired, those who are there are not entered under the next one."""
    leased.lease, leased._renew_at = None, inf  # pyright: ignore[reportPrivateUsage]


async def find_nothing_but_oneself(abroad: Abroad, meant: Any) -> tuple[bytes, ...]:
    """What is sent reaches the sessions of its own server (ADR-12)."""
    return ()


def count_nobody(count: Count, other: Count) -> None:
    """What other servers have reached is not counted (ADR-3)."""


# ---------------------------------------------------------------- what members are asked

listed: Final = canvassing._listed  # pyright: ignore[reportPrivateUsage]
begin: Final = Errands._begin  # pyright: ignore[reportPrivateUsage]
take: Final = Poll.take


def list_the_first(members: Sequence[Any], most: int, unasked: int) -> bytes:
    """A server says of no more than one member that it answers there."""
    return listed(members[:1], most, unasked)


def ask_twice(errands: Any, id: bytes, question: Any, until: float, sessions: Sequence[str]) -> None:
    """A server asks twice whom it is told to ask once."""
    begin(errands, id, question, until, sessions)
    begin(errands, id, question, until, sessions)


def count_who_is_gone_twice(poll: Poll, answer: Answer) -> None:
    """Whoever is gone is told of twice."""
    take(poll, answer)
    if answer.status == "gone":
        poll.expect(1)
        take(poll, answer)


PLANTED: Final = (
    Planted(Leased, "_expired", enter_nobody_anew, "in calm", 4),
    Planted(Abroad, "_nodes", find_nothing_but_oneself, "reaches nobody", 0),
    Planted(Count, "add", count_nobody, "reaches nobody", 1),
    Planted(canvassing, "_listed", list_the_first, "is there", 1),
    Planted(Errands, "_begin", ask_twice, "twice", 0),
    Planted(Poll, "take", count_who_is_gone_twice, "is answered twice", 2),
)


@pytest.mark.slow
@each_planted(PLANTED)
def test_a_planted_bug_of_several_servers_is_caught(planted: Planted, monkeypatch: pytest.MonkeyPatch) -> None:
    planted.check_caught(monkeypatch, run_world)
