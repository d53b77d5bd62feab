"""What a client's pattern takes of a channel: what it has not had, whichever way it comes (SPEC WLD-8)."""

from __future__ import annotations

from typing import Any, cast

import pytest

from hawser import Gap, Message, Position, Subscription
from hawser.client import wildcards
from hawser.client.feed import Feed
from hawser.client.wildcards import NOWHERE, PatternFeed, Patterns
from hawser_engine.codes import GapReason

EPOCH, OTHER = b"epoch 01", b"epoch 02"


class Arrivals:
    """A pattern, and what it takes."""

    def __init__(self) -> None:
        self.patterns = Patterns()
        self.feed = PatternFeed("room:*", messages_max=100, bytes_max=100_000)
        self.feed.joined(NOWHERE, None)
        self.patterns.add(Subscription(cast("Any", None), self.feed))

    def message(self, offset: int, *, epoch: bytes = EPOCH, channel: str = "room:1", volatile: bool = False) -> None:
        self.patterns.message(Message(channel, epoch, offset, b"", volatile=volatile))

    def gap(self, since: int, offset: int, *, epoch: bytes = EPOCH) -> None:
        self.patterns.gap(Gap("room:1", Position(EPOCH, since), Position(epoch, offset), GapReason.OVERFLOW))

    def left(self, *offsets: int, taken: int = 0) -> None:
        """A subscription to the channel was left that had these, and of which so many were taken."""
        former = Feed("room:1", None, messages_max=100, bytes_max=100_000)
        former.joined(Position(EPOCH, offsets[0] - 1), None)
        for offset in offsets:
            former.publication(EPOCH, offset, b"")
        for _ in range(taken):
            former.take()
        self.patterns.inherit(former)

    def took(self) -> list[Any]:
        """What was taken since the last time: offsets of messages, and where gaps begin and end."""
        told = list[Any]()
        while (item := self.feed.take()[0]) is not None:
            told.append(
                (item.since and item.since.offset, item.position.offset) if isinstance(item, Gap) else item.offset
            )
        return told


def test_what_was_had_does_not_come_again() -> None:
    arrivals = Arrivals()
    for offset in (1, 2, 2, 1, 3):
        arrivals.message(offset)
    arrivals.message(1, channel="room:2")
    assert arrivals.took() == [1, 2, 3, 1]


def test_a_new_epoch_begins_anew() -> None:
    arrivals = Arrivals()
    arrivals.message(5)
    arrivals.message(1, epoch=OTHER)
    assert arrivals.took() == [5, 1]


def test_what_was_left_counts_as_had_whether_it_was_taken_or_not() -> None:
    arrivals = Arrivals()
    arrivals.message(2)
    arrivals.left(1, 2, 3, 4, taken=3)
    for offset in (2, 3, 4, 5):
        arrivals.message(offset)
    assert arrivals.took() == [2, 4, 5]


@pytest.mark.parametrize(
    ("since", "offset", "told"), [(1, 2, []), (2, 4, []), (2, 6, [(4, 6)]), (4, 6, [(4, 6)]), (5, 6, [(5, 6)])]
)
def test_a_gap_begins_behind_what_was_had(since: int, offset: int, told: list[Any]) -> None:
    arrivals = Arrivals()
    arrivals.message(4)
    arrivals.gap(since, offset)
    arrivals.message(6)
    assert arrivals.took() == [4, *told, *([] if told else [6])]


def test_a_gap_to_a_new_epoch_is_told_as_it_comes_and_once() -> None:
    arrivals = Arrivals()
    arrivals.message(4)
    for since in (4, 5):
        arrivals.gap(since, 0, epoch=OTHER)
    assert arrivals.took() == [4, (4, 0)]


def test_what_is_volatile_comes_in_its_place_and_no_earlier() -> None:
    arrivals = Arrivals()
    arrivals.message(4, volatile=True)
    arrivals.message(5)
    for offset in (4, 5):
        arrivals.message(offset, volatile=True)
    assert arrivals.took() == [4, 5, 5]


def test_only_so_many_channels_are_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wildcards, "KNOWN_MAX", 2)
    arrivals = Arrivals()
    for channel, offset in (("1", 1), ("2", 1), ("1", 2), ("3", 1), ("1", 2), ("2", 1)):
        arrivals.message(offset, channel=f"room:{channel}")
    assert arrivals.took() == [1, 1, 2, 1, 1], "nothing had come of room:2 for longest"
