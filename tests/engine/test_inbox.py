"""The receiving half: the receiver rule, the window, reassembly."""

import pytest

from hawser_engine.errors import LocalProtocolError
from hawser_engine.inbox import Inbox, Taken


def box(messages: int = 10, size: int = 100, message: int = 1_000) -> Inbox:
    return Inbox(messages, size, message)


def test_parts_are_counted_from_one() -> None:
    """SPEC CNT-1, CNT-2."""
    inbox = box()
    assert [inbox.take(b"a", more=False) for _ in range(3)] == [Taken.TAKEN] * 3
    assert (inbox.received, inbox.delivered) == (3, 0)
    assert [inbox.draw() for _ in range(4)] == [(1, b"a"), (2, b"a"), (3, b"a"), None]


def test_drawing_acknowledges_nothing() -> None:
    """SPEC CNT-3."""
    inbox = box()
    inbox.take(b"a", more=False)
    inbox.draw()
    assert inbox.delivered == 0
    inbox.deliver(1)
    assert (inbox.delivered, inbox.held_bytes, inbox.unstated_bytes) == (1, 0, 1)


def test_delivering_what_was_not_handed_out_is_refused_and_changes_nothing() -> None:
    """SPEC CNT-3."""
    inbox = box()
    for _ in range(2):
        inbox.take(b"a", more=False)
    inbox.draw()
    with pytest.raises(LocalProtocolError, match=r"expected at most 1.*CNT-3"):
        inbox.deliver(2)
    inbox.draw()
    with pytest.raises(LocalProtocolError, match="expected at most 2"):
        inbox.deliver(3)
    assert inbox.delivered == 0


def test_an_older_delivery_changes_nothing() -> None:
    inbox = box()
    for _ in range(2):
        inbox.take(b"a", more=False)
        inbox.draw()
    inbox.deliver(2)
    inbox.deliver(1)
    assert inbox.delivered == 2


@pytest.mark.parametrize(
    ("held", "next_size", "expected"),
    [
        pytest.param([], 101, Taken.TAKEN, id="one part always, when nothing is undelivered"),
        pytest.param([1, 1], 1, Taken.TAKEN, id="up to the last part"),
        pytest.param([1, 1, 1], 1, Taken.BEYOND_WINDOW, id="a part too many"),
        pytest.param([1, 1, 1], 0, Taken.BEYOND_WINDOW, id="even an empty one"),
        pytest.param([60], 40, Taken.TAKEN, id="up to the last byte"),
        pytest.param([60], 41, Taken.BEYOND_WINDOW, id="a byte too many"),
    ],
)
def test_a_part_beyond_the_window_is_not_taken(held: list[int], next_size: int, expected: Taken) -> None:
    """SPEC WIN-2, WIN-3."""
    inbox = box(messages=3)
    for size in held:
        assert inbox.take(bytes(size), more=False) is Taken.TAKEN
    assert inbox.take(bytes(next_size), more=False) is expected
    assert inbox.received == len(held) + (expected is Taken.TAKEN)


def test_the_window_is_measured_by_what_is_delivered() -> None:
    """SPEC WIN-3."""
    inbox = box(messages=1)
    for number in range(1, 5):
        assert inbox.take(b"a", more=False) is Taken.TAKEN
        assert inbox.take(b"a", more=False) is Taken.BEYOND_WINDOW
        inbox.draw()
        inbox.deliver(number)


def test_a_run_of_parts_is_one_message_with_the_number_of_its_last() -> None:
    """SPEC PRT-1."""
    inbox = box()
    for body, more in ((b"a", True), (b"b", True), (b"c", False), (b"d", False)):
        inbox.take(body, more)
    assert (inbox.draw(), inbox.draw()) == ((3, b"abc"), (4, b"d"))


def test_parts_of_an_unfinished_message_are_delivered_when_all_before_them_is() -> None:
    """SPEC PRT-4."""
    inbox = box()
    inbox.take(b"whole", more=False)
    inbox.take(b"part", more=True)
    assert inbox.delivered == 0
    inbox.draw()
    inbox.deliver(1)
    assert inbox.delivered == 2
    inbox.take(b"part", more=True)
    assert inbox.delivered == 3
    inbox.take(b"end", more=False)
    assert inbox.delivered == 3


def test_a_message_longer_than_the_window_passes_it() -> None:
    """SPEC PRT-4."""
    inbox = box(messages=2, size=10, message=10_000)
    for _ in range(99):
        assert inbox.take(bytes(10), more=True) is Taken.TAKEN
    assert inbox.take(bytes(10), more=False) is Taken.TAKEN
    assert inbox.draw() == (100, bytes(1_000))


@pytest.mark.parametrize("more", [True, False])
def test_a_message_above_the_stated_length_is_refused_at_the_first_part_that_exceeds_it(more: bool) -> None:
    """SPEC PRT-5."""
    inbox = box(message=20)
    assert inbox.take(bytes(15), more=True) is Taken.TAKEN
    assert inbox.take(bytes(6), more) is Taken.TOO_LARGE
    assert inbox.received == 1
    assert inbox.take(bytes(5), more) is Taken.TAKEN


def test_uncounted_messages_keep_their_place_and_have_no_number() -> None:
    """SPEC CNT-7."""
    inbox = box()
    inbox.take(b"a", more=False)
    inbox.take_volatile(b"v", 5)
    inbox.take(b"b", more=False)
    assert inbox.received == 2
    assert [inbox.draw() for _ in range(3)] == [(1, b"a"), (0, b"v"), (2, b"b")]
    assert (inbox.volatile_held, inbox.volatile_bytes) == (0, 0)


@pytest.mark.parametrize(
    ("sizes", "limit", "left"),
    [
        pytest.param([1, 2, 3], 2, [2, 3], id="too many"),
        pytest.param([40, 50, 60], 9, [60], id="too many bytes"),
        pytest.param([40, 500], 9, [500], id="one is always kept"),
    ],
)
def test_the_oldest_uncounted_messages_go_first_and_are_counted(sizes: list[int], limit: int, left: list[int]) -> None:
    """SPEC CNT-7, LIM-4."""
    inbox = box()
    inbox.take(b"counted", more=False)
    for size in sizes:
        inbox.take_volatile(bytes(size), limit)
    assert inbox.draw() == (1, b"counted")
    assert [inbox.draw() for _ in left] == [(0, bytes(size)) for size in left]
    assert inbox.volatile_dropped == len(sizes) - len(left)


def test_a_restored_inbox_hands_out_again_what_was_not_delivered() -> None:
    """SPEC EXP-3."""
    inbox = box()
    for body, more in ((b"a", False), (b"b", False), (b"c", True), (b"d", False), (b"e", True)):
        inbox.take(body, more)
    inbox.draw()
    inbox.deliver(1)
    inbox.draw()
    inbox.stated()
    twin = Inbox.restore(inbox.export())
    assert twin.export() == inbox.export()
    assert (twin.draw(), twin.draw(), twin.draw()) == ((2, b"b"), (4, b"cd"), None)
    twin.deliver(4)
    assert (twin.delivered, twin.held_bytes) == (5, 0)
    twin.take(b"f", more=False)
    assert twin.draw() == (6, b"ef")
