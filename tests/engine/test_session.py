"""A session between its connections: commands, events, the report of its end, its record."""

from typing import Any

import attrs
import pytest

from hawser_engine import (
    BacklogFull,
    Batch,
    ClientSession,
    EngineConfig,
    LocalProtocolError,
    MessageDropped,
    MessageReceived,
    MessageTooLarge,
    ResetReason,
    ServerSession,
    SessionOpened,
    VolatileReceived,
)
from hawser_engine.codec import MAX_BODY, encode_volatile
from hawser_engine.session import Session
from tests.engine.pair import Pair, kinds

SMALL = EngineConfig(queue_messages=3, queue_bytes=100, reserve_bytes=50, messages_burst=2, messages_per_second=10.0)


@attrs.define
class Paper:
    """A carrier that writes down what it is given."""

    packets: list[bytes] = attrs.Factory(list[bytes])
    volatile: list[bytes] = attrs.Factory(list[bytes])
    room: bool = True
    settled: int = 0
    abandoned: ResetReason | int | None = None

    def push(self, packet: bytes, now: float) -> None:
        self.packets.append(packet)

    def push_volatile(self, packet: bytes, now: float) -> bool:
        self.volatile += [packet] if self.room else []
        return self.room

    def settle(self, now: float, *, at_once: bool = False) -> None:
        self.settled += 1

    def abandon(self, reason: ResetReason | int, now: float) -> None:
        self.abandoned = reason


def attached(config: EngineConfig = SMALL, window: int = 2) -> tuple[ServerSession, Paper]:
    session, paper = ServerSession(config, 0.0), Paper()
    session.carrier = paper
    session.outbox.open(window, 1_000, 1_000)
    session.outbox.replay_from(0, 0.0)
    return session, paper


def drain(session: Session) -> list[Any]:
    found: list[Any] = []
    while (event := session.next_event()) is not None:
        found.append(event)
    return found


def test_messages_leave_at_once_while_the_window_admits_them_and_then_wait() -> None:
    """SPEC NUM-1, WIN-1."""
    session, paper = attached()
    assert [session.send(b"a", 0.0) for _ in range(4)] == [1, 2, 3, 4]
    assert len(paper.packets) == session.outbox.sent == 2
    session.outbox.acknowledge(1, 1)
    session.pump(0.0)
    assert len(paper.packets) == session.outbox.sent == 3


def test_what_a_detached_session_accepts_waits_without_a_number() -> None:
    """SPEC NUM-1."""
    session = Session(SMALL, 0.0)
    assert session.send(b"a", 0.0) == 1
    assert session.outbox.sent == 0
    session.pump(0.0)
    assert session.outbox.sent == 0


def test_without_room_a_message_is_refused_and_room_is_told_once() -> None:
    """SPEC NUM-4, LIM-4."""
    session, _ = attached(window=1)
    for _ in range(4):
        session.send(b"a", 0.0)
    assert not session.has_room(1)
    for _ in range(2):
        with pytest.raises(BacklogFull):
            session.send(b"b", 0.0)
    session.offer_room()
    assert drain(session) == []
    session.outbox.acknowledge(1, 1)
    session.pump(0.0)
    session.offer_room()
    session.offer_room()
    assert kinds(drain(session)) == ["RoomAvailable"]


def test_a_refused_batch_is_told_of_room_too() -> None:
    """SPEC CHN-6."""
    session, paper = attached(window=1)
    batch = Batch.of([b"a"])
    assert session.send_batch(batch, 0.0) is True
    assert paper.packets == [batch.data]
    assert session.send_batch(batch, 0.0) is False
    session.outbox.acknowledge(1, 1)
    session.offer_room()
    assert kinds(drain(session)) == ["RoomAvailable"]
    session.carrier = None
    assert session.send_batch(batch, 0.0) is False


def test_what_cannot_wait_uses_the_reserve() -> None:
    """SPEC LIM-4."""
    session, paper = attached(window=1)
    session.send(b"a", 0.0)
    session.send(bytes(100), 0.0)
    with pytest.raises(BacklogFull):
        session.send(b"b", 0.0)
    assert session.send(bytes(50), 0.0, urgent=True) == 3
    assert paper.abandoned is None


def test_when_the_reserve_is_full_the_session_ends() -> None:
    """SPEC LIM-4, the reasons of SPEC 9."""
    session, paper = attached(window=1)
    session.send(b"a", 0.0)
    session.send(bytes(120), 0.0)
    with pytest.raises(BacklogFull):
        session.send(bytes(50), 0.0, urgent=True)
    assert paper.abandoned is ResetReason.OVERFLOW


def test_a_message_above_what_the_peer_accepts_is_refused() -> None:
    """SPEC PRT-5."""
    session, _ = attached()
    with pytest.raises(MessageTooLarge):
        session.send(bytes(1_001), 0.0)


def test_uncounted_messages_are_sent_or_dropped_and_counted() -> None:
    """SPEC CNT-7."""
    session, paper = attached()
    assert session.send_volatile(b"a", 0.0) is True
    assert session.send_volatile_packet(encode_volatile(b"all"), 0.0) is True
    paper.room = False
    assert session.send_volatile(b"b", 0.0) is False
    session.carrier = None
    assert session.send_volatile(b"c", 0.0) is False
    sent = [encode_volatile(body) for body in (b"a", b"all")]
    assert (paper.volatile, session.volatile_dropped, session.outbox.sent) == (sent, 2, 0)


def test_a_pause_holds_messages_back_and_nothing_else() -> None:
    """SPEC CNT-3."""
    session, _ = attached()
    session.inbox.take(b"a", more=False)
    session.paused = True
    session.tell(SessionOpened(session))
    assert kinds(drain(session)) == ["SessionOpened"]
    session.paused = False
    assert drain(session) == [MessageReceived(b"a", 1)]


def test_a_server_hands_out_at_its_rate() -> None:
    """SPEC LIM-1."""
    session, _ = attached()
    for _ in range(4):
        session.inbox.take(b"a", more=False)
    assert len(drain(session)) == 2
    assert session.next_timeout() == pytest.approx(0.1)
    session.handle_timeout(0.1)
    assert len(drain(session)) == 1
    session.handle_timeout(60.0)
    assert len(drain(session)) == 1
    assert session.next_timeout() is None


def test_the_rate_always_names_an_instant_at_which_it_goes_on() -> None:
    """SPEC LIM-1: at any time of day, whatever rounding does."""
    session, _ = attached(attrs.evolve(SMALL, messages_per_second=333.3, messages_burst=1))
    now = 1e9
    session.handle_timeout(now)
    for _ in range(2):
        session.inbox.take(b"a", more=False)
    got = len(drain(session))
    for _ in range(3):
        due = session.next_timeout()
        if due is None:
            break
        now = max(now, due)
        session.handle_timeout(now)
        got += len(drain(session))
    assert got == 2


def test_a_client_hands_out_at_once() -> None:
    session = ClientSession(SMALL, 0.0)
    for _ in range(9):
        session.inbox.take(b"a", more=False)
    session.inbox.take_volatile(b"v", 5)
    assert kinds(drain(session)) == ["MessageReceived"] * 9 + ["VolatileReceived"]
    assert VolatileReceived(b"v") == VolatileReceived(b"v")


def test_a_delivery_is_settled_with_the_connection() -> None:
    """SPEC CNT-3, ACK-1."""
    session, paper = attached()
    session.inbox.take(b"a", more=False)
    with pytest.raises(LocalProtocolError):
        session.delivered(1, 0.0)
    drain(session)
    session.delivered(1, 0.0)
    assert (session.inbox.delivered, paper.settled) == (1, 1)
    session.carrier = None
    session.delivered(1, 0.0)
    assert paper.settled == 1


def test_policies_are_told_to_the_sender() -> None:
    """SPEC NUM-4."""
    session = Session(SMALL, 0.0)
    session.send(b"a", 0.0, ttl_seconds=2.0)
    session.send(b"b", 0.0, key="k")
    session.send(b"c", 0.0, key="k")
    assert session.next_timeout() == 2.0
    session.handle_timeout(2.0)
    assert drain(session) == [MessageDropped(2, "replaced"), MessageDropped(1, "expired")]
    assert session.outbox.waiting_messages == 1


def test_an_expired_message_makes_way_for_the_next() -> None:
    """SPEC NUM-4, WIN-1."""
    session, paper = attached(window=1)
    session.send(b"a", 0.0)
    session.send(b"b", 0.0, ttl_seconds=1.0)
    session.handle_timeout(1.0)
    assert (len(paper.packets), session.outbox.waiting_messages) == (1, 0)


@pytest.mark.parametrize(
    ("acknowledged", "told", "expected"),
    [
        pytest.param(0, None, (0, 2, 2), id="nothing known"),
        pytest.param(1, None, (1, 1, 2), id="acknowledged"),
        pytest.param(0, 2, (2, 0, 2), id="the peer's RESET says more"),
        pytest.param(1, 0, (1, 1, 2), id="it says less, which cannot be"),
        pytest.param(0, 9, (0, 2, 2), id="it says more than was sent, which cannot be"),
    ],
)
def test_the_report_of_the_end_adds_up_to_all_that_was_accepted(
    acknowledged: int, told: int | None, expected: tuple[int, int, int]
) -> None:
    """SPEC RST-6, RST-1."""
    session, _ = attached(window=2)
    for _ in range(4):
        session.send(b"a", 0.0)
    session.send(b"gone", 0.0, ttl_seconds=0.0)
    session.outbox.acknowledge(acknowledged, acknowledged)
    session.handle_timeout(0.0)
    if acknowledged:
        session.outbox.detach()
        expected = (expected[0], expected[1] + 1, expected[2] - 1)
    report = session.finish(ResetReason.DRIFT, told)
    assert (report.known_delivered, report.unknown, report.not_sent) == expected
    assert report.numbered == report.known_delivered + report.unknown
    assert sum(expected) + session.outbox.dropped_messages == session.outbox.accepted == 5


def test_a_message_of_which_a_part_has_a_number_is_unknown() -> None:
    """SPEC RST-6, RST-9."""
    session, _ = attached(EngineConfig(), window=1)
    session.outbox.open(1, 10**6, 10**6)
    session.send(bytes(2 * MAX_BODY), 0.0)
    session.send(b"a", 0.0)
    report = session.finish(ResetReason.EXPIRED)
    assert (report.known_delivered, report.unknown, report.not_sent, report.numbered) == (0, 1, 1, 1)


def test_an_ended_session_accepts_nothing_and_forgives_late_deliveries() -> None:
    """SPEC RST-8."""
    session, _ = attached()
    session.inbox.take(b"a", more=False)
    drain(session)
    session.finish(ResetReason.EXPIRED)
    with pytest.raises(LocalProtocolError, match="RST-8"):
        session.send(b"a", 0.0)
    session.delivered(1, 0.0)
    assert session.inbox.delivered == 0


@pytest.mark.parametrize(("reason", "count"), [(ResetReason.CLOSED, 3), (ResetReason.DRIFT, 0)])
def test_after_a_goodbye_what_was_taken_is_still_handed_out(reason: ResetReason, count: int) -> None:
    """SPEC EXP-2, RST-4."""
    session, _ = attached()
    for _ in range(3):
        session.inbox.take(b"a", more=False)
    session.finish(reason)
    assert len(drain(session)) == count


def test_a_session_without_a_connection_cannot_say_that_it_ends() -> None:
    session = Session(SMALL, 0.0)
    session.end(ResetReason.REVOKED, 0.0)
    assert session.ended is None


def test_session_time_runs_from_the_opening() -> None:
    """SPEC CAL-3."""
    session = Session(SMALL, 10.0)
    assert session.time_ms(12.5) == 2_500


def test_the_records_of_both_sides_describe_them_completely() -> None:
    """SPEC EXP-3, EXP-4."""
    pair = Pair(features=(("x", "y"), ("y",)))
    pair.connect()
    pair.delivering = False
    for body in (b"a", b"b"):
        pair.client.session.send(body, pair.now)
        pair.session.send(body, pair.now)
    pair.settle()
    for session in (pair.session, pair.client.session):
        session.handle_timeout(3.0)
        record = session.export(3.0)
        twin = type(session).restore(record, pair.config, 103.0)
        again = twin.export(103.0)
        assert again["features"] == ["y"]
        for key in record.keys() - {"expires_in", "resumes", "rate", "session_time"}:
            assert again[key] == record[key], key
        assert again["session_time"] == pytest.approx(record["session_time"])
