"""The client's queue of one subscription: order, bounds, pause and gap (SPEC CHN-1, CHN-3, CHN-8 to CHN-10)."""

from __future__ import annotations

import pytest

from hawser import Gap, Message, Position
from hawser.client.feed import Feed, Flow

EPOCH, OTHER = b"epoch..1", b"epoch..2"


def joined_feed(offset: int = 0, *, messages_max: int = 1_000, bytes_max: int = 10_000) -> Feed:
    feed = Feed("room", None, messages_max=messages_max, bytes_max=bytes_max)
    feed.joined(Position(EPOCH, offset), None)
    return feed


def arrive(feed: Feed, *offsets: int, epoch: bytes = EPOCH, size: int = 1) -> list[Flow]:
    return [feed.publication(epoch, offset, b"x" * size) for offset in offsets]


def drain(feed: Feed) -> list[int | tuple[Position | None, Position, int]]:
    """Everything queued: offsets of messages, and gaps as they are."""
    items: list[int | tuple[Position | None, Position, int]] = []
    while True:
        item, _ = feed.take()
        if item is None:
            return items
        items.append(item.offset if isinstance(item, Message) else (item.since, item.position, item.reason))


def test_publications_come_out_in_order_and_each_once() -> None:
    feed = joined_feed()
    arrive(feed, 1, 2, 2, 1, 3)
    assert drain(feed) == [1, 2, 3]
    assert feed.position == Position(EPOCH, 3)


def test_nothing_is_taken_before_the_subscription_is_answered() -> None:
    feed = Feed("room", Position(EPOCH, 7), messages_max=9, bytes_max=999)
    assert arrive(feed, 4) == [Flow.NOTHING]
    feed.considered(EPOCH, 9)
    feed.gap(Position(EPOCH, 9), Position(EPOCH, 12), 1)
    assert feed.position == Position(EPOCH, 7)  # what the server will be asked for
    feed.joined(Position(EPOCH, 7), None)
    arrive(feed, 8)
    assert drain(feed) == [8]


def test_a_hole_that_nobody_announced_is_told_all_the_same() -> None:
    feed = joined_feed()
    arrive(feed, 1, 4)
    assert drain(feed) == [1, (Position(EPOCH, 1), Position(EPOCH, 3), 3), 4]


def test_another_epoch_that_nobody_announced_is_told_all_the_same() -> None:
    feed = joined_feed(5)
    arrive(feed, 3, epoch=OTHER)
    assert drain(feed) == [(Position(EPOCH, 5), Position(OTHER, 2), 3), 3]


@pytest.mark.parametrize(("messages_max", "bytes_max"), [(4, 10_000), (1_000, 4)])
def test_a_full_queue_asks_for_a_pause_and_a_half_empty_one_to_go_on(messages_max: int, bytes_max: int) -> None:
    feed = joined_feed(messages_max=messages_max, bytes_max=bytes_max)
    assert arrive(feed, 1, 2, 3, 4, 5, 6) == [Flow.NOTHING] * 3 + [Flow.PAUSE, Flow.NOTHING, Flow.NOTHING]
    assert feed.position == Position(EPOCH, 4)
    assert [feed.take()[1] for _ in range(4)] == [Flow.NOTHING, Flow.CONTINUE, Flow.NOTHING, Flow.NOTHING]


def test_what_was_under_way_before_the_pause_is_taken_only_where_it_comes_next() -> None:
    feed = joined_feed(messages_max=4)
    arrive(feed, 1, 2, 3, 4, 5, 6)
    assert drain(feed) == [1, 2, 3, 4]
    arrive(feed, 7, 8)  # from before the PAUSE; 5 and 6 come again
    assert drain(feed) == []
    arrive(feed, 5, 6, 7)
    assert drain(feed) == [5, 6, 7]
    arrive(feed, 9)
    assert drain(feed) == [(Position(EPOCH, 7), Position(EPOCH, 8), 3), 9]


def test_one_message_of_any_size_is_taken_into_an_empty_queue() -> None:
    feed = joined_feed(bytes_max=4)
    assert arrive(feed, 1, size=100) == [Flow.PAUSE]
    assert drain(feed) == [1]
    assert not feed.paused


def test_a_gap_comes_before_anything_later() -> None:
    feed = joined_feed(3)
    feed.gap(Position(EPOCH, 3), Position(EPOCH, 9), 1)
    arrive(feed, 10)
    assert drain(feed) == [(Position(EPOCH, 3), Position(EPOCH, 9), 1), 10]


def test_a_gap_that_is_known_already_is_not_told_again() -> None:
    feed = joined_feed(3)
    feed.gap(Position(EPOCH, 1), Position(EPOCH, 3), 1)
    assert drain(feed) == []


def test_a_gap_from_before_a_pause_is_judged_anew_after_it() -> None:
    feed = joined_feed(messages_max=2)
    arrive(feed, 1, 2)
    feed.gap(Position(EPOCH, 5), Position(EPOCH, 9), 1)
    assert drain(feed) == [1, 2]
    feed.gap(Position(EPOCH, 5), Position(EPOCH, 9), 1)  # still from before: it does not begin where we stand
    assert drain(feed) == []
    feed.gap(Position(EPOCH, 2), Position(EPOCH, 9), 1)
    arrive(feed, 10)
    assert drain(feed) == [(Position(EPOCH, 2), Position(EPOCH, 9), 1), 10]


def test_a_gap_begins_behind_what_came_all_the_same() -> None:
    """The server judges from the CONTINUE; what was under way from before the PAUSE is there and is not missing."""
    feed = joined_feed(messages_max=4)
    arrive(feed, 1, 2, 3, 4)
    assert drain(feed) == [1, 2, 3, 4]
    arrive(feed, 5)
    feed.gap(Position(EPOCH, 4), Position(EPOCH, 9), 1)
    arrive(feed, 10)
    assert drain(feed) == [5, (Position(EPOCH, 5), Position(EPOCH, 9), 1), 10]


def test_a_position_moves_on_only_when_nothing_is_missing_before_it() -> None:
    feed = joined_feed(3, messages_max=1)
    feed.considered(EPOCH, 7)
    feed.considered(EPOCH, 2)
    feed.considered(OTHER, 9)
    assert feed.position == Position(EPOCH, 7)
    arrive(feed, 8)
    feed.considered(EPOCH, 12)
    assert feed.position == Position(EPOCH, 8)


@pytest.mark.parametrize(
    ("position", "reason"), [(Position(EPOCH, 9), 1), (Position(OTHER, 0), 2)], ids=["too short", "another epoch"]
)
def test_joining_again_behind_a_hole_raises_the_gap_first(position: Position, reason: int) -> None:
    feed = joined_feed(3)
    arrive(feed, 4)
    feed.joined(position, reason)
    arrive(feed, position.offset + 1, epoch=position.epoch)
    assert drain(feed) == [4, (Position(EPOCH, 4), position, reason), position.offset + 1]


def test_joining_again_without_a_hole_goes_on_and_ends_a_pause() -> None:
    feed = joined_feed(messages_max=2)
    arrive(feed, 1, 2)
    assert drain(feed) == [1, 2]
    arrive(feed, 3)
    assert feed.joined(Position(EPOCH, 3), None) is Flow.NOTHING
    assert not feed.paused
    arrive(feed, 4)
    assert drain(feed) == [3, 4]


def test_a_queue_that_is_full_when_joining_again_pauses_again() -> None:
    """However often the session is reset, nothing is taken beyond the bound."""
    feed = joined_feed(messages_max=4)
    arrive(feed, 1, 2, 3, 4)
    for _ in range(10):
        assert feed.joined(Position(EPOCH, 4), None) is Flow.PAUSE
        assert arrive(feed, 5) == [Flow.NOTHING]
    assert len(feed) == 4
    assert [feed.take()[1] for _ in range(2)] == [Flow.NOTHING, Flow.CONTINUE]
    arrive(feed, 5)
    assert drain(feed) == [3, 4, 5]


def test_holes_with_nothing_between_them_are_one_gap() -> None:
    """However often a subscriber that reads nothing is told of another epoch, it costs one place."""
    feed = joined_feed(3, messages_max=4)
    arrive(feed, 4, 5, 6, 7)
    for number in range(1, 10):
        feed.joined(Position(bytes(7) + bytes([number]), 0), 2)
    feed.joined(Position(bytes(7) + bytes([9]), 20), 1)
    assert len(feed) == 5
    gap = (Position(EPOCH, 7), Position(bytes(7) + bytes([9]), 20), 2)
    assert drain(feed) == [4, 5, 6, 7, gap]
    feed.gap(Position(bytes(7) + bytes([9]), 20), Position(bytes(7) + bytes([9]), 30), 1)
    feed.gap(Position(bytes(7) + bytes([9]), 30), Position(bytes(7) + bytes([9]), 40), 3)
    assert drain(feed) == [(gap[1], Position(bytes(7) + bytes([9]), 40), 3)]


def test_a_gap_says_what_is_missing() -> None:
    epoch = EPOCH.hex()
    expected = f"messages of 'room' are missing from offset 3 of epoch {epoch} to offset 9 of epoch {epoch}: "
    assert str(Gap("room", Position(EPOCH, 3), Position(EPOCH, 9), 1)) == expected + "HISTORY_TOO_SHORT"
    assert (
        str(Gap("room", None, Position(EPOCH, 9), 77))
        == expected.replace(f"offset 3 of epoch {epoch}", "the beginning") + "77"
    )
