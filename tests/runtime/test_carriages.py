"""The policy between two carriages, as a table: what happened, and what is decided then."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

import attrs
import pytest

from hawser import Config
from hawser.client.carriages import CarriagePolicy

if TYPE_CHECKING:
    from collections.abc import Callable

CONFIG = Config(upgrade_pause_seconds=30, upgrade_pause_cap_seconds=100, upgrade_strikes=3, upgrade_steady_seconds=60)

LEAST = bytes.fromhex("00000000000000")
MOST = bytes.fromhex("ffffffffffffff")


def drawing(number: bytes, count: int) -> bytes:
    """The source of bytes that always gives the same."""
    return number[:count]


def told(story: list[dict[str, float | bool] | None], random_bytes: Callable[[int], bytes]) -> CarriagePolicy:
    """A policy that has been told all of this."""
    policy = CarriagePolicy(CONFIG, random_bytes)
    for event in story:
        if event is None:
            policy.blocked(1_000.0)
        else:
            policy.ended(1_000.0, **event)  # type: ignore[arg-type]
    return policy


BLOCKED = None
DIED = {"lasted": 59.9, "parted": False}
LASTED = {**DIED, "lasted": 60.0}
PARTED = {**DIED, "parted": True}


@pytest.mark.parametrize(
    ("story", "pause", "head_start"),
    [
        ([], None, 0.25),
        ([DIED], None, 0.0),
        ([DIED, DIED], None, 0.0),
        ([DIED, DIED, DIED], 30, 0.0),
        ([DIED, DIED, DIED, DIED], 60, 0.0),
        ([DIED] * 5, 100, 0.0),
        ([DIED] * 5_000, 100, 0.0),
        ([BLOCKED], 30, 0.0),
        ([BLOCKED, BLOCKED], 60, 0.0),
        ([BLOCKED, DIED], 60, 0.0),
        ([DIED, BLOCKED], 30, 0.0),
        ([DIED, DIED, BLOCKED], 30, 0.0),
        ([DIED, DIED, LASTED], None, 0.25),
        ([DIED, DIED, LASTED, DIED, DIED], None, 0.0),
        ([BLOCKED, PARTED], None, 0.25),
        ([BLOCKED, LASTED], None, 0.25),
        ([BLOCKED, LASTED, BLOCKED], 30, 0.0),
    ],
)
def test_what_is_decided(story: list[dict[str, float | bool] | None], pause: float | None, head_start: float) -> None:
    for draw, share in ((LEAST, 0.5), (MOST, 1.0)):
        policy = told(story, partial(drawing, draw))
        assert policy.due == (-inf if pause is None else pytest.approx(1_000 + pause * share))
        assert policy.head_start(1_000.0) == head_start


@pytest.mark.parametrize(
    ("story", "head_start"),
    [([], 0.25), ([BLOCKED], 0.0), ([DIED, DIED], 0.0), ([BLOCKED, LASTED], 0.25)],
)
def test_a_server_that_asks_to_be_left_alone_says_nothing_of_carriages(
    story: list[dict[str, float | bool] | None], head_start: float
) -> None:
    """SPEC REC-4: the next try waits, and everything else is decided as before."""
    policy, before = (told(story, partial(drawing, MOST)) for _ in range(2))
    policy.turned_away(1_000.0, (7.0, 9.0))
    assert policy.turn == pytest.approx(1_009)
    assert policy.due == before.due
    assert policy.head_start(1_008.9) == 0  # nobody waits for what is not tried
    assert policy.head_start(1_009.1) == head_start
    policy.blocked(1_010.0)
    before.blocked(1_010.0)
    assert policy.due == before.due


@pytest.mark.parametrize(
    ("draw", "away_seconds", "turn"), [(LEAST, (7.0, 9.0), 7), (LEAST, (0.0, 0.0), 0), (MOST, (0.0, 0.0), 5)]
)
def test_the_turn_is_drawn_from_what_the_server_has_named(
    draw: bytes, away_seconds: tuple[float, float], turn: float
) -> None:
    """SPEC REC-2, REC-4."""
    policy = CarriagePolicy(CONFIG, partial(drawing, draw))
    policy.turned_away(1_000.0, away_seconds)
    assert policy.turn == pytest.approx(1_000 + turn)


def test_every_number_is_the_configurations() -> None:
    policy = CarriagePolicy(
        attrs.evolve(CONFIG, upgrade_strikes=1, upgrade_head_start_seconds=2, upgrade_pause_seconds=5),
        partial(drawing, MOST),
    )
    assert policy.head_start(0.0) == 2
    policy.ended(0.0, lasted=0.0, parted=False)
    assert policy.due == pytest.approx(5)
