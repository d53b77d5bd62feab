"""Shared bytes: the same for every subscriber, with the table that trimming and replay need."""

import pytest

from hawser_engine.batch import Batch
from hawser_engine.codec import MAX_BODY, decode_batch
from hawser_engine.errors import MessageTooLarge
from hawser_engine.packets import Message


def parts(data: bytes) -> list[tuple[bool, bytes]]:
    return [(packet.more, packet.body) for packet in decode_batch(data) if isinstance(packet, Message)]


def test_one_message_is_one_packet_with_the_hot_head() -> None:
    """SPEC PKT-9."""
    batch = Batch.of([b"hello"])
    assert batch.data == bytes.fromhex("8306f445") + b"hello" == Batch.single(b"hello", more=False).data
    assert (batch.count, batch.payload, batch.messages, batch.longest, batch.ends) == (1, 5, 1, 5, ())


def test_a_part_with_more_to_come_ends_no_message() -> None:
    """SPEC PRT-1."""
    assert Batch.single(b"a", more=True).messages == 0


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        pytest.param([0], [(False, 0)], id="empty"),
        pytest.param([1, 2], [(False, 1), (False, 2)], id="two"),
        pytest.param([MAX_BODY], [(False, MAX_BODY)], id="as long as a part"),
        pytest.param([MAX_BODY + 1], [(True, MAX_BODY), (False, 1)], id="longer than a part"),
        pytest.param([3, MAX_BODY + 2, 4], [(False, 3), (True, MAX_BODY), (False, 2), (False, 4)], id="mixed"),
    ],
)
def test_messages_become_parts(sizes: list[int], expected: list[tuple[bool, int]]) -> None:
    """SPEC PRT-1, PRT-2: one message after the other, each in its own run."""
    bodies = [bytes([65 + index]) * size for index, size in enumerate(sizes)]
    batch = Batch.of(bodies)
    assert [(more, len(body)) for more, body in parts(batch.data)] == expected
    assert b"".join(body for _, body in parts(batch.data)) == b"".join(bodies)
    assert (batch.count, batch.payload, batch.messages) == (len(expected), sum(sizes), len(sizes))
    assert batch.longest == max(sizes)


@pytest.mark.parametrize("index", range(5))
def test_the_table_of_a_batch_agrees_with_its_packets(index: int) -> None:
    batch = Batch.of([b"a", b"b" * (MAX_BODY + 1), b""])
    before, behind = parts(batch.data)[:index], parts(batch.data)[index:]
    assert parts(batch.cut(index)) == behind
    assert batch.payload_before(index) == sum(len(body) for _, body in before)
    assert batch.messages_before(index) == sum(not more for more, _ in before)


def test_nothing_cut_is_nothing_copied() -> None:
    batch = Batch.of([b"a", b"b"])
    assert batch.cut(0) is batch.data


@pytest.mark.parametrize("bodies", [[], [b"x" * MAX_BODY] * 2, [b"x" * 200_000]], ids=["none", "two long", "one"])
def test_what_fits_no_batch_is_refused(bodies: list[bytes]) -> None:
    """SPEC PKT-5."""
    with pytest.raises(MessageTooLarge, match="PKT-5"):
        Batch.of(bodies)
