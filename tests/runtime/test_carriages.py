"""The policy between two carriages, as a table: what happened, and what is decided then."""

from __future__ import annotations

from functools import partial
from math import inf

import attrs
import pytest

from hawser import Config
from hawser.client.carriages import CarriagePolicy

CONFIG = Config(upgrade_pause_seconds=30, upgrade_pause_cap_seconds=100, upgrade_strikes=3, upgrade_steady_seconds=60)

LEAST = bytes.fromhex("00000000000000")
MOST = bytes.fromhex("ffffffffffffff")


def drawing(number: bytes, count: int) -> bytes:
    """The source of bytes that always gives the same."""
    return number[:count]


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
        policy = CarriagePolicy(CONFIG, partial(drawing, draw))
        for event in story:
            if event is None:
                policy.blocked(1_000.0)
            else:
                policy.ended(1_000.0, **event)  # type: ignore[arg-type]
        assert policy.due == (-inf if pause is None else pytest.approx(1_000 + pause * share))
        assert policy.head_start == head_start


def test_every_number_is_the_configurations() -> None:
    policy = CarriagePolicy(
        attrs.evolve(CONFIG, upgrade_strikes=1, upgrade_head_start_seconds=2, upgrade_pause_seconds=5),
        partial(drawing, MOST),
    )
    assert policy.head_start == 2
    policy.ended(0.0, lasted=0.0, parted=False)
    assert policy.due == pytest.approx(5)
