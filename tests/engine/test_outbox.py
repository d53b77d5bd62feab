"""The sending half: late numbers, the window, replay, policies."""

from typing import Any

import pytest

from hawser_engine.batch import Batch
from hawser_engine.codec import MAX_BODY, decode_batch
from hawser_engine.errors import BacklogFull, MessageTooLarge
from hawser_engine.outbox import Outbox
from hawser_engine.packets import Message


def opened(messages: int = 100, size: int = 200_000, message: int = 1_000_000) -> Outbox:
    """Return an outbox whose session is attached."""
    box = Outbox()
    box.open(messages, size, message)
    box.replay_from(0, 0.0)
    return box


def accept(box: Outbox, body: bytes, **policy: Any) -> int:
    return box.accept(body, messages_max=5, bytes_max=100, **policy)


def bodies(packets: list[bytes]) -> list[bytes]:
    return [packet.body for data in packets for packet in decode_batch(data) if isinstance(packet, Message)]


def test_nothing_has_a_number_before_the_attach() -> None:
    """SPEC NUM-1."""
    box = Outbox()
    assert [accept(box, b"a"), accept(box, b"b")] == [1, 2]
    assert (box.sent, box.waiting_messages, box.numbered_messages) == (0, 2, 0)
    assert box.pass_through(b"c") is None
    assert box.take(Batch.of([b"c"])) is False
    box.open(10, 10, 10)
    assert bodies(box.replay_from(0, 0.0)[0]) == [b"a", b"b"]
    assert (box.sent, box.numbered_messages) == (2, 2)


def test_nothing_gets_a_number_while_the_session_is_detached() -> None:
    """SPEC NUM-1."""
    box = opened()
    box.detach()
    assert box.pass_through(b"a") is None
    assert box.take(Batch.of([b"a"])) is False


@pytest.mark.parametrize(
    ("window", "sizes", "sent"),
    [
        pytest.param((3, 100), [1] * 5, 3, id="parts"),
        pytest.param((10, 10), [4] * 5, 2, id="bytes"),
        pytest.param((10, 12), [4] * 5, 3, id="exactly"),
        pytest.param((10, 10), [50, 1], 1, id="one is always admitted"),
        pytest.param((0, 0), [1, 1], 1, id="even by no window at all"),
    ],
)
def test_the_window_admits(window: tuple[int, int], sizes: list[int], sent: int) -> None:
    """SPEC WIN-1, WIN-2."""
    box = opened(*window)
    for size in sizes:
        accept(box, bytes(size))
    assert len(box.admit(0.0)) == box.sent == sent
    box.acknowledge(sent, sent)
    assert len(box.admit(0.0)) > 0


@pytest.mark.parametrize("size", [0, 1, MAX_BODY - 1, MAX_BODY])
def test_a_short_message_passes_through_when_nothing_waits(size: int) -> None:
    """SPEC NUM-6, PRT-1."""
    box = opened()
    packet = box.pass_through(bytes(size))
    assert packet is not None
    assert bodies([packet]) == [bytes(size)]
    assert (box.sent, box.accepted) == (1, 1)


@pytest.mark.parametrize("size", [MAX_BODY + 1, 101], ids=["longer than a part", "longer than the window"])
def test_other_messages_do_not_pass_through(size: int) -> None:
    box = opened(size=100)
    assert box.pass_through(b"a") is not None
    assert box.pass_through(bytes(size)) is None


def test_what_waits_is_not_overtaken() -> None:
    """SPEC NUM-3."""
    box = opened(messages=1)
    box.pass_through(b"a")
    accept(box, b"b")
    box.admit(0.0)
    box.acknowledge(1, 1)
    assert box.pass_through(b"c") is None
    assert box.take(Batch.of([b"c"])) is False
    assert bodies(box.admit(0.0)) == [b"b"]


def test_a_long_message_is_a_run_of_parts_and_the_others_wait() -> None:
    """SPEC PRT-1, PRT-2."""
    box = opened(messages=2)
    body = bytes(range(256)) * 700
    for each in (body, b"next"):
        box.accept(each, messages_max=5, bytes_max=200_000)
    first = box.admit(0.0)
    assert len(first) == 2
    assert (box.waiting_messages, box.numbered_messages, box.queue_bytes) == (1, 1, len(body) - 2 * MAX_BODY + 4)
    box.acknowledge(2, 2)
    second = box.admit(0.0)
    assert b"".join(bodies(first + second)) == body + b"next"
    assert box.delivered_messages == 0
    box.acknowledge(4, 4)
    assert (box.delivered_messages, box.inflight_bytes) == (2, 0)


def test_counts_act_by_maximum() -> None:
    """SPEC CNT-6."""
    box = opened()
    for _ in range(3):
        box.pass_through(b"a")
    assert box.acknowledge(2, 1) is True
    assert box.acknowledge(1, 0) is False
    assert (box.received, box.delivered, len(box.replay)) == (2, 1, 2)


def test_only_delivered_trims() -> None:
    """SPEC CNT-3."""
    box = opened()
    for _ in range(3):
        box.pass_through(b"a")
    box.acknowledge(3, 0)
    assert (len(box.replay), box.inflight_bytes) == (3, 3)


@pytest.mark.parametrize("received", range(5))
def test_replay_goes_on_behind_what_the_peer_has(received: int) -> None:
    """SPEC ATT-12, PRT-3, NUM-5: the same bodies, from the next one on, batches cut where they have to be."""
    box = opened()
    assert box.take(Batch.of([b"a", b"b", b"c"])) is True
    box.pass_through(b"d")
    box.detach()
    accept(box, b"new")
    packets, replayed = box.replay_from(received, 0.0)
    assert bodies(packets) == [b"a", b"b", b"c", b"d", b"new"][received:]
    assert replayed == 4 - received


@pytest.mark.parametrize("step", [1, 2, 3])
def test_a_batch_is_trimmed_inside_without_being_copied(step: int) -> None:
    """SPEC CNT-3."""
    box = opened()
    batch = Batch.of([b"a" * 10, b"b" * MAX_BODY + b"c", b"d"])
    assert box.take(batch) is True
    for delivered in range(step, batch.count + 1, step):
        box.acknowledge(delivered, delivered)
        assert box.inflight_bytes == batch.payload - batch.payload_before(delivered)
        assert box.delivered_messages == batch.messages_before(delivered)
    box.acknowledge(batch.count, batch.count)
    assert (box.inflight_bytes, box.delivered_messages, len(box.replay)) == (0, 3, 0)


def test_an_acknowledgement_behind_the_head_of_the_replay_leaves_it_whole() -> None:
    box = opened()
    box.pass_through(b"a")
    box.take(Batch.of([b"b", b"c"]))
    box.acknowledge(1, 1)
    assert [(before, batch.count) for before, batch in box.held()] == [(1, 2)]
    assert box.inflight_bytes == 2


@pytest.mark.parametrize(
    ("before", "batch", "taken"),
    [
        pytest.param([], [b"aa"], True, id="one, when nothing is undelivered"),
        pytest.param([], [b"aaaaaaaaaaaaaaaa"], True, id="even above the window"),
        pytest.param([], [b"a"] * 4, False, id="more than the window at once"),
        pytest.param([b"a"], [b"a", b"a"], True, id="what fits"),
        pytest.param([b"a"], [b"a"] * 3, False, id="a part too many"),
        pytest.param([b"a"], [b"a" * 10], False, id="a byte too many"),
        pytest.param([], [b"a" * 17], False, id="longer than the peer accepts"),
    ],
)
def test_shared_bytes_leave_at_once_or_not_at_all(before: list[bytes], batch: list[bytes], taken: bool) -> None:
    """SPEC WIN-1, WIN-2, PRT-5, CHN-6."""
    box = opened(messages=3, size=10, message=16)
    for body in before:
        assert box.pass_through(body) is not None
    assert box.take(Batch.of(batch)) is taken
    assert box.accepted == len(before) + (len(batch) if taken else 0)


def test_an_unfinished_run_admits_no_shared_bytes() -> None:
    """SPEC PRT-7."""
    box = opened(messages=1)
    box.accept(bytes(MAX_BODY + 1), messages_max=5, bytes_max=200_000)
    box.admit(0.0)
    box.acknowledge(1, 1)
    assert box.take(Batch.of([b"a"])) is False


def test_a_full_queue_refuses_and_changes_nothing() -> None:
    """SPEC NUM-4, LIM-4."""
    box = Outbox()
    for _ in range(5):
        accept(box, b"a")
    with pytest.raises(BacklogFull, match="LIM-4"):
        accept(box, b"b")
    assert (box.accepted, box.waiting_messages) == (5, 5)


def test_one_message_is_taken_when_none_waits_however_long() -> None:
    box = Outbox()
    assert box.has_room(500, 5, 100)
    assert accept(box, bytes(500)) == 1
    assert not box.has_room(1, 5, 100)
    with pytest.raises(BacklogFull):
        accept(box, b"a")


def test_a_message_the_peer_does_not_accept_is_refused_before_it_has_a_number() -> None:
    """SPEC PRT-5."""
    box = opened(message=10)
    with pytest.raises(MessageTooLarge, match="PRT-5"):
        accept(box, bytes(11))
    assert accept(box, bytes(10)) == 1


def test_what_turns_out_too_long_for_the_peer_is_dropped_and_told() -> None:
    """SPEC PRT-5."""
    box = Outbox()
    for size in (5, 11, 6):
        accept(box, bytes(size))
    assert [waiting.ordinal for waiting in box.open(10, 100, 10)] == [2]
    assert (box.dropped, box.dropped_messages, box.waiting_messages) == ([(2, "no room")], 1, 2)


def test_a_later_message_with_the_same_key_replaces_one_without_a_number() -> None:
    """SPEC NUM-4."""
    box = Outbox()
    accept(box, b"old", key="k")
    accept(box, b"other", key="l")
    accept(box, b"new", key="k")
    assert box.dropped == [(1, "replaced")]
    box.open(10, 100, 10)
    assert bodies(box.replay_from(0, 0.0)[0]) == [b"other", b"new"]


def test_a_replacement_needs_no_room_of_its_own() -> None:
    """SPEC NUM-4."""
    box = Outbox()
    accept(box, bytes(50), key="k")
    accept(box, bytes(50))
    accept(box, bytes(40), key="k")
    assert box.queue_bytes == 90


def test_a_message_with_a_number_is_not_replaced() -> None:
    """SPEC NUM-2, NUM-4."""
    box = opened()
    accept(box, b"old", key="k")
    box.admit(0.0)
    accept(box, b"new", key="k")
    assert bodies(box.admit(0.0)) == [b"new"]
    assert not box.dropped


def test_time_to_live_ends_what_has_no_number() -> None:
    """SPEC NUM-4."""
    box = Outbox()
    accept(box, b"a", expires_at=2.0)
    accept(box, b"b", expires_at=1.0)
    accept(box, b"c")
    assert box.next_expiry() == 1.0
    box.expire(1.0)
    assert (box.dropped, box.next_expiry()) == ([(2, "expired")], 2.0)
    box.open(10, 100, 10)
    assert bodies(box.replay_from(0, 2.0)[0]) == [b"c"]
    assert box.next_expiry() is None


def test_from_its_first_number_a_message_cannot_expire() -> None:
    """SPEC PRT-6."""
    box = opened(messages=1)
    body = bytes(MAX_BODY + 1)
    box.accept(body, messages_max=5, bytes_max=200_000, expires_at=1.0, key="k")
    first = box.admit(0.0)
    accept(box, b"new", key="k", expires_at=5.0)
    assert box.next_expiry() == 5.0
    box.expire(2.0)
    box.acknowledge(1, 1)
    assert b"".join(bodies(first + box.admit(2.0))) == body
    assert not box.dropped


def test_a_restored_outbox_sends_what_the_original_would() -> None:
    """SPEC EXP-3."""
    box = opened(messages=4)
    box.take(Batch.of([b"a", b"b"]))
    box.acknowledge(1, 1)
    box.accept(bytes(3 * MAX_BODY), messages_max=9, bytes_max=300_000)
    box.admit(0.0)
    accept_more: dict[str, Any] = {"messages_max": 9, "bytes_max": 300_000}
    box.accept(b"ttl", expires_at=5.0, **accept_more)
    box.accept(b"key", key="k", **accept_more)
    box.accept(b"old", key="l", **accept_more)
    box.accept(b"key2", key="l", **accept_more)
    record = box.export(1.0)
    twin = Outbox.restore(record, 101.0)
    assert twin.export(101.0) == record
    assert twin.next_expiry() == 105.0
    sent: list[tuple[list[bytes], int]] = []
    for each, now in ((box, 3.0), (twin, 103.0)):
        each.detach()
        each.accept(b"newer", key="k", **accept_more)
        packets, replayed = each.replay_from(1, now)
        each.acknowledge(4, 4)
        sent.append((packets + each.admit(now), replayed))
    assert sent[0] == sent[1]
    assert twin.export(103.0) == box.export(3.0)


def test_a_record_holds_the_tail_only() -> None:
    """SPEC EXP-3."""
    box = opened()
    box.take(Batch.of([b"a", b"b", b"c"]))
    box.acknowledge(2, 2)
    assert box.tail() == [(False, b"c")]


def test_what_waits_without_a_policy_waits_again_after_a_restore() -> None:
    """SPEC EXP-3."""
    box = Outbox()
    accept(box, b"a")
    accept(box, b"b", key="k")
    accept(box, b"c")
    twin = Outbox.restore(box.export(0.0), 0.0)
    twin.open(10, 1_000, 1_000)
    assert bodies(twin.replay_from(0, 0.0)[0]) == [b"a", b"b", b"c"]


def test_a_run_goes_on_where_it_stood_after_a_restore() -> None:
    """SPEC EXP-3, PRT-3."""
    body = bytes(range(256)) * 1_000
    box = opened(messages=2)
    box.accept(body, messages_max=5, bytes_max=1_000_000)
    first = bodies(box.admit(0.0))
    twin = Outbox.restore(box.export(0.0), 0.0)
    twin.acknowledge(2, 2)
    assert b"".join([*first, *bodies(twin.replay_from(2, 0.0)[0])]) == body
