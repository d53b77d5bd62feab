"""What both roles share: counts, acknowledgement, window, heartbeat, the end of a connection."""

import attrs
import pytest

from hawser_engine import BacklogFull, Batch, CloseCode, ConnectionTerminated, EngineConfig, ResetReason, State
from hawser_engine.codec import MAX_BODY, encode
from hawser_engine.packets import Ack, Auth, Close, Counts, Message, Packet, Ping, Pong, Reset, Volatile
from tests.engine.pair import Hands, Pair, Way, Wire, a_resume, close_of, kinds, reset_of, state_of

ZERO = Counts(0, 0, 0)
FIRST = Ack(ZERO)
SMALL = EngineConfig(window_messages=8, window_bytes=800, message_bytes=10_000)


def attached(config: EngineConfig | None = None) -> Hands:
    hands = Hands(config=config)
    hands.open()
    hands.say(FIRST)
    hands.events()
    return hands


def messages(*bodies: bytes) -> list[Packet]:
    return [Message(False, body) for body in bodies]


# Counts


def test_messages_are_counted_and_not_numbered_on_the_wire() -> None:
    """SPEC CNT-1, CNT-2, CNT-3."""
    hands = attached()
    hands.say(*messages(b"a", b"b", b"c"))
    assert [(event.number, event.body) for event in hands.events()] == [(1, b"a"), (2, b"b"), (3, b"c")]
    assert (hands.session.inbox.received, hands.session.inbox.delivered) == (3, 0)


def carrying(kind: str, counts: Counts) -> bytes:
    """Encode a packet that states counts."""
    ack = encode(Ack(counts))
    long_head = bytes.fromhex("821808") + ack[2:]
    probes = {f"PING {token}": encode(Ping(token, counts)) for token in (1, 255)}
    return {"ACK": ack, "long": long_head, "PONG": encode(Pong(1, counts)), **probes}[kind]


@pytest.mark.parametrize("kind", ["ACK", "long", "PING 1", "PING 255", "PONG"])
@pytest.mark.parametrize(
    "counts",
    [
        pytest.param(Counts(0, 0, 2), id="sent differs from what arrived"),
        pytest.param(Counts(3, 0, 1), id="received above what was ever sent"),
        pytest.param(Counts(1, 2, 1), id="delivered above received"),
    ],
)
def test_counts_that_contradict_end_the_session(kind: str, counts: Counts) -> None:
    """SPEC CNT-4, CNT-5, CNT-8, ACK-4."""
    hands = attached()
    hands.session.send(b"x", 0.0)
    hands.session.send(b"y", 0.0)
    hands.hear()
    hands.say(*messages(b"a"))
    hands.connection.receive_data(carrying(kind, counts), 0.0)
    assert reset_of(hands.hear()) == Reset(ResetReason.DRIFT, Counts(1, 0, 2))
    assert hands.server.sessions == {}


def test_lower_counts_are_stale_and_change_nothing() -> None:
    """SPEC CNT-6, CNT-3."""
    hands = attached()
    for _ in range(3):
        hands.session.send(b"x", 0.0)
    hands.say(Ack(Counts(3, 2, 0)))
    hands.say(Ack(Counts(1, 1, 0)))
    assert (hands.session.outbox.received, hands.session.outbox.delivered) == (3, 2)


def test_uncounted_messages_move_no_count() -> None:
    """SPEC CNT-7."""
    hands = attached()
    hands.say(Volatile(b"v"), FIRST)
    assert kinds(hands.events()) == ["VolatileReceived"]
    hands.session.send_volatile(b"w", 0.0)
    assert hands.hear() == [Volatile(b"w")]
    assert hands.session.outbox.sent == 0


def test_an_uncounted_message_is_dropped_while_the_link_lags() -> None:
    """SPEC CNT-7, LIM-4."""
    hands = attached(EngineConfig(volatile_backlog_bytes=100))
    hands.session.send(bytes(200), 0.0)
    assert hands.session.send_volatile(b"w", 0.0) is False
    hands.hear()
    assert hands.session.send_volatile(b"w", 0.0) is True


@pytest.mark.parametrize(("packet", "attach"), [(Ping(1, ZERO), False), (Ping(1, None), True), (Pong(1, None), True)])
def test_counts_stand_in_ping_and_pong_exactly_while_attached(packet: Packet, attach: bool) -> None:
    """SPEC CNT-9."""
    hands = attached() if attach else Hands()
    close_of(hands.say(packet))
    error = next(event.error for event in hands.events() if isinstance(event, ConnectionTerminated))
    assert error is not None
    assert error.clause == "CNT-9"


def test_a_ping_is_answered_with_its_token_and_own_counts() -> None:
    """SPEC LIV-3, CNT-5, ACK-3."""
    hands = attached()
    hands.session.send(b"x", 0.0)
    hands.hear()
    assert hands.say(*messages(b"a"), Ping(77, Counts(1, 1, 1))) == [Pong(77, Counts(1, 0, 1))]
    assert hands.session.outbox.delivered == 1


def test_a_ping_whose_counts_contradict_is_not_answered() -> None:
    """SPEC CNT-5, RST-4."""
    assert kinds(attached().say(Ping(1, Counts(0, 0, 5)))) == ["Reset"]


def test_a_pong_nobody_asked_for_states_counts_all_the_same() -> None:
    """SPEC LIV-8."""
    hands = attached()
    hands.session.send(b"x", 0.0)
    assert hands.say(Pong(99, Counts(1, 1, 0))) == [Message(False, b"x")]
    assert hands.session.outbox.delivered == 1


# Acknowledgement


@pytest.mark.parametrize(
    ("config", "sizes", "at_once"),
    [
        pytest.param(EngineConfig(), [1] * 63, False, id="fewer than 64"),
        pytest.param(EngineConfig(), [1] * 64, True, id="64"),
        pytest.param(SMALL, [1], False, id="less than a quarter of the window"),
        pytest.param(SMALL, [1, 1], True, id="a quarter of the window in parts"),
        pytest.param(SMALL, [199], False, id="less than a quarter in bytes"),
        pytest.param(SMALL, [200], True, id="a quarter in bytes"),
    ],
)
def test_an_ack_leaves_once_enough_is_delivered(config: EngineConfig, sizes: list[int], at_once: bool) -> None:
    """SPEC ACK-1."""
    hands = attached(config)
    hands.say(*messages(*[bytes(size) for size in sizes]))
    hands.events()
    hands.session.delivered(len(sizes), 0.0)
    assert hands.hear() == ([Ack(Counts(len(sizes), len(sizes), 0))] if at_once else [])


@pytest.mark.parametrize(
    ("config", "sizes", "after"),
    [
        pytest.param(EngineConfig(), [1], 1.0, id="less than an eighth of the window"),
        pytest.param(SMALL, [1], 0.25, id="an eighth in parts"),
        pytest.param(attrs.evolve(SMALL, window_messages=100), [99], 1.0, id="less than an eighth in bytes"),
        pytest.param(attrs.evolve(SMALL, window_messages=100), [100], 0.25, id="an eighth in bytes"),
    ],
)
def test_an_ack_leaves_in_time(config: EngineConfig, sizes: list[int], after: float) -> None:
    """SPEC ACK-2."""
    hands = attached(config)
    hands.say(*messages(*[bytes(size) for size in sizes]))
    hands.events()
    hands.session.delivered(len(sizes), 0.0)
    assert hands.wait(after - 0.01) == []
    assert kinds(hands.wait(0.01)) == ["Ack"]


def test_an_ack_leaves_at_once_where_that_is_wanted() -> None:
    """SPEC MBX-17, ACK-5: and none beside it, nor for what has been stated already."""
    hands = attached()
    hands.say(*messages(b"a", b"b"))
    hands.events()
    hands.session.delivered(1, 0.0)
    hands.session.delivered(2, 0.0, at_once=True)
    assert hands.hear() == [Ack(Counts(2, 2, 0))]
    hands.session.delivered(2, 0.0, at_once=True)
    assert hands.wait(2.0) == []


def test_the_time_runs_from_the_first_delivery_that_is_not_stated() -> None:
    """SPEC ACK-2."""
    hands = attached(attrs.evolve(SMALL, window_messages=32))
    hands.say(*messages(*[b""] * 4))
    hands.events()
    hands.session.delivered(1, 0.0)
    assert hands.wait(0.2) == []
    hands.session.delivered(4, 0.2)
    assert kinds(hands.wait(0.05)) == ["Ack"]


def test_what_leaves_anyway_carries_the_deliveries() -> None:
    """SPEC ACK-3."""
    hands = attached()
    hands.say(*messages(b"a"))
    hands.events()
    hands.session.delivered(1, 0.0)
    hands.session.send(b"x", 0.0)
    assert hands.hear() == [Message(False, b"x"), Ack(Counts(1, 1, 1))]
    assert hands.wait(2.0) == []


def test_a_packet_that_carries_counts_is_followed_by_no_ack() -> None:
    """SPEC ACK-3, ACK-5."""
    hands = attached()
    hands.say(*messages(b"a"))
    hands.events()
    hands.session.delivered(1, 0.0)
    assert hands.say(Ping(1, Counts(0, 0, 1))) == [Pong(1, Counts(1, 1, 0))]
    assert hands.wait(2.0) == []


def test_an_ack_never_answers_an_ack() -> None:
    """SPEC ACK-5."""
    hands = attached()
    assert hands.say(FIRST, FIRST, FIRST) == []
    assert all(isinstance(packet, Ping) for packet in hands.wait(5.0))


def test_a_delivery_stated_before_its_timer_leaves_no_second_ack() -> None:
    """SPEC ACK-5."""
    hands = attached()
    hands.say(*messages(b"a"))
    hands.events()
    hands.session.delivered(1, 0.0)
    hands.now = 1.0
    hands.connection.handle_timeout(1.0)
    hands.connection.probe(1.0)
    assert kinds(hands.hear()) == ["Ping"]


# Window and parts


def test_a_part_beyond_the_window_is_not_taken_and_the_third_time_ends_the_session() -> None:
    """SPEC WIN-3."""
    hands = attached(SMALL)
    session = hands.session
    opened = hands.server
    assert close_of(hands.say(*messages(*[b""] * 9))).code == CloseCode.FLOW
    assert session.inbox.received == 8
    secret = session.confirmed
    assert secret is not None
    answer: list[Packet] = []
    for violations in (1, 2):
        assert session.flow_violations == violations
        hands = Hands(opened)
        opened.fence(session, session.attempt + 1, 0.0)
        hands.connection._attach(session)  # pyright: ignore[reportPrivateUsage]  # the secret is known to a client only
        hands.connection._state.current = State.ATTACHED  # pyright: ignore[reportPrivateUsage]
        answer = hands.say(*messages(b""))
    assert reset_of(answer).reason == ResetReason.FLOW


def test_any_other_end_of_a_connection_begins_the_row_of_violations_anew() -> None:
    """SPEC WIN-3."""
    first = Hands(config=SMALL)
    answer = first.open()
    first.say(FIRST)
    session = first.session
    assert close_of(first.say(*messages(*[b""] * 9))).code == CloseCode.FLOW
    second = first.again()
    second.resume(a_resume(answer, 1, (0, 0, 9)))
    assert session.flow_violations == 1
    third = first.again()
    third.resume(a_resume(answer, 2, (0, 0, 9)))
    assert session.flow_violations == 0
    third.connection.receive_eof(0.0)
    assert session.flow_violations == 0


def test_a_message_above_the_stated_length_ends_the_session() -> None:
    """SPEC PRT-5, EXP-3: a bound behind which nothing can be kept."""
    hands = attached(attrs.evolve(SMALL, message_bytes=5))
    assert reset_of(hands.say(*messages(b"123456"))).reason == ResetReason.OVERFLOW


def test_between_the_parts_of_a_run_stand_other_packets_but_no_other_message() -> None:
    """SPEC PRT-2, PRT-3."""
    pair = Pair(EngineConfig(window_messages=2))
    pair.connect()
    body = bytes(range(256)) * 1_000
    pair.client.session.send(body, 0.0)
    pair.client.session.send(b"behind", 0.0)
    pair.drain()
    pair.client.session.send_volatile(b"between", 0.0)
    pair.settle()
    assert pair.server_got == [body, b"behind"]
    assert pair.server_volatile == [b"between"]
    parts = [packet for packet in pair.wires[0].by_client if isinstance(packet, Message)]
    assert [part.more for part in parts] == [True, True, True, False, False]


def test_a_run_cut_anywhere_goes_on_at_the_next_part() -> None:
    """SPEC PRT-3, NUM-2, NUM-5."""
    for taken in range(4):
        pair = Pair()
        wire = pair.connect()
        body = bytes(range(256)) * 1_000
        pair.client.session.send(body, 0.0)
        pair.drain()
        data = b"".join(wire.to_server)
        wire.server.receive_data(data[: 70_000 * taken], 0.0)
        pair.drop(wire)
        pair.connect()
        assert pair.server_got == [body]


def test_shared_batches_wait_for_nobody() -> None:
    """SPEC CHN-6, PKT-9."""
    pair = Pair(SMALL)
    pair.delivering = False
    pair.connect()
    batch = Batch.of([b"x"] * 5)
    assert pair.session.send_batch(batch, 0.0) is True
    assert pair.session.send_batch(batch, 0.0) is False
    pair.settle()
    assert pair.client_got == [b"x"] * 5
    pair.client.session.delivered(5, 0.0)
    pair.settle()
    assert "RoomAvailable" in kinds(pair.server_events)


def test_a_shared_batch_may_pass_the_queue() -> None:
    """SPEC CHN-6, PRT-7."""
    batch = Batch.of([b"x"] * 5)
    passing, queueing = Pair(), Pair()
    for pair in (passing, queueing):
        pair.connect()
    wire = passing.wires[0]
    way = Way(wire.server)
    assert way.passage.send(batch, 1.0) is True
    assert way.carried == [batch.data]
    assert wire.server.data_to_send() == []
    assert wire.server.unwritten_bytes == 0
    assert queueing.session.send_batch(batch, 1.0) is True
    assert queueing.wires[0].server.data_to_send() == [batch.data]
    assert passing.session.export(1.0) == queueing.session.export(1.0)


def test_what_the_link_refuses_is_queued_and_closes_the_passage_until_it_is_written() -> None:
    """SPEC CHN-6."""
    first, second, third = (Batch.of([body]) for body in (b"first", b"second", b"third"))
    pair = Pair()
    connection = pair.connect().server
    way = Way(connection)
    way.takes = False
    assert way.passage.send(first, 1.0) is True
    assert not way.passage.is_open
    assert connection.data_to_send() == [first.data]
    way.takes = True
    assert way.passage.send(second, 1.0) is False  # it would overtake the first
    connection.written(1.0, left=1)
    assert way.passage.send(second, 1.0) is False
    connection.written(1.0)
    assert way.passage.send(third, 1.0) is True
    assert way.carried == [third.data]
    assert pair.session.outbox.replay == [first, third]


def test_nothing_passes_what_has_to_go_first_or_along() -> None:
    """SPEC ACK-3, CHN-6."""
    batch = Batch.of([b"x"] * 5)
    hands = Hands(config=SMALL)
    hands.open()
    hands.say(FIRST)
    hands.hear()
    passage = Way(hands.connection).passage
    assert passage.is_open
    hands.session.send(b"first", 0.0)
    assert passage.send(batch, 0.0) is False  # something is queued
    hands.connection.data_to_send()
    assert passage.send(batch, 0.0) is False  # something is not written yet
    passage = Way(hands.connection).passage
    assert not passage.is_open  # one that is laid now begins no better
    hands.connection.written(0.0)
    assert passage.is_open
    hands.say(Message(False, b"up"))
    hands.events()
    assert passage.is_open  # what was only received is not stated
    hands.session.delivered(1, 0.0)
    assert passage.send(batch, 0.0) is False  # an ACK goes along
    hands.connection.written(0.0)
    assert passage.send(batch, 0.0) is False
    assert hands.session.send_batch(batch, 0.0) is True
    assert kinds(hands.hear()) == ["Message"] * 5 + ["Ack"]
    assert passage.is_open
    before = hands.session.export(0.0)
    assert passage.send(batch, 0.0) is False  # there is no window
    assert hands.session.export(0.0) == before


def test_a_passage_ends_with_the_attach() -> None:
    """SPEC ATT-7, NUM-1: whatever takes the session away, nothing gets a number here any more."""
    batch = Batch.of([b"x"])

    def attached() -> tuple[Pair, Wire, Way]:
        pair = Pair()
        wire = pair.connect()
        return pair, wire, Way(wire.server)

    def cut(pair: Pair, wire: Wire) -> None:
        pair.drop(wire)

    def move(pair: Pair, wire: Wire) -> None:
        pair.connect()

    def close(pair: Pair, wire: Wire) -> None:
        wire.server.close(CloseCode.GOING_AWAY, "", pair.now)
        pair.drain()

    def end(pair: Pair, wire: Wire) -> None:
        pair.session.end(ResetReason.REVOKED, pair.now)
        pair.settle()

    def give_the_link_up(pair: Pair, wire: Wire) -> None:
        wire.server.bar_passage()

    for leave in (cut, move, close, end, give_the_link_up):
        pair, wire, way = attached()
        leave(pair, wire)
        wire.server.written(pair.now)  # which opens none that is barred
        sent = [session.outbox.sent for session in pair.server.sessions.values()]
        assert way.passage.send(batch, pair.now) is False, leave.__name__
        assert way.carried == []
        assert [session.outbox.sent for session in pair.server.sessions.values()] == sent


def test_what_passes_keeps_a_link_from_being_idle() -> None:
    """SPEC LIV-1."""
    config = EngineConfig(ping_interval_seconds=20.0)
    batch = Batch.of([b"x"])

    def first_ping(pass_at: float | None) -> float:
        hands = Hands(config=config)
        hands.open()
        hands.say(FIRST)
        hands.events()
        passage = Way(hands.connection).passage
        while "Ping" not in kinds(hands.hear()):
            due = hands.connection.next_timeout()
            assert due is not None
            if pass_at is not None and due > pass_at > hands.now:
                hands.now = pass_at
                hands.connection.receive_life(pass_at)
                assert passage.send(batch, pass_at)
            hands.now = due
            hands.connection.handle_timeout(due)
        return hands.now

    quiet = first_ping(None)
    assert first_ping(quiet / 2) == pytest.approx(1.5 * quiet)


# Heartbeat


def test_a_server_pings_an_idle_link_and_the_client_answers() -> None:
    """SPEC LIV-1, LIV-3."""
    pair = Pair()
    wire = pair.connect()
    pair.advance(100.0)
    pings = [packet for packet in wire.by_server if isinstance(packet, Ping)]
    pongs = [packet for packet in wire.by_client if isinstance(packet, Pong)]
    assert 4 <= len(pings) <= 6
    assert [ping.token for ping in pings] == [pong.token for pong in pongs] == list(range(1, len(pings) + 1))
    assert state_of(wire.server) is State.ATTACHED


def test_the_tokens_of_pings_stay_small() -> None:
    """SPEC LIV-3: they are the sender's to choose; the packets of a link that is idle for long take the short way."""
    pair = Pair()
    wire = pair.connect()
    pair.advance(2_000.0)
    tokens = [packet.token for packet in wire.by_server if isinstance(packet, Ping)]
    assert len(tokens) > 70
    assert set(tokens) == set(range(1, 24))
    assert tokens[:23] == tokens[23:46]
    assert [packet.token for packet in wire.by_client if isinstance(packet, Pong)] == tokens


@pytest.mark.parametrize("token", [0, 7, 23, 24, 2**32])
@pytest.mark.parametrize("received", [1, 2])
def test_the_counts_of_a_pong_act_whatever_its_token(token: int, received: int) -> None:
    """SPEC LIV-8, CNT-5."""
    pair = Pair()
    wire = pair.connect()
    session = pair.session
    session.send(b"a", pair.now)
    wire.server.data_to_send()
    wire.server.receive_batch(encode(Pong(token, Counts(received, received, 0))), pair.now)
    told = session.outbox.delivered, state_of(wire.server)
    assert told == ((1, State.ATTACHED) if received == 1 else (0, State.DISCARDING))


def test_a_busy_link_is_not_pinged() -> None:
    """SPEC LIV-1."""
    pair = Pair()
    wire = pair.connect()
    for _ in range(50):
        pair.client.session.send(b"a", pair.now)
        pair.session.send(b"b", pair.now)
        pair.settle()
        pair.advance(1.0)
    assert [packet for packet in wire.by_server[:-1] if isinstance(packet, Ping)] == []


def test_no_byte_within_the_pong_wait_is_death_and_the_session_lives_on() -> None:
    """SPEC LIV-2, EXP-1."""
    hands = attached()
    pinged = [packet for packet in hands.wait(25.0) if isinstance(packet, Ping)]
    assert len(pinged) == 1
    assert all(not isinstance(packet, Close) for packet in hands.wait(9.9))
    close = close_of(hands.wait(0.1))
    assert (close.code, close.resume) == (CloseCode.TIMEOUT, True)
    assert len(hands.server.sessions) == 1


def test_the_pong_wait_runs_from_the_moment_the_ping_has_left() -> None:
    """SPEC LIV-2."""
    hands = attached()
    hands.connection.handle_timeout(25.0)
    size = sum(map(len, hands.connection.data_to_send()))
    hands.connection.written(30.0, left=size)
    hands.connection.handle_timeout(36.0)
    assert state_of(hands.connection) is State.ATTACHED
    hands.connection.written(36.0)
    hands.connection.handle_timeout(45.9)
    assert state_of(hands.connection) is State.ATTACHED
    hands.connection.handle_timeout(46.0)
    assert state_of(hands.connection) is State.CLOSING


def test_any_byte_answers_a_ping() -> None:
    """SPEC LIV-2."""
    hands = attached()
    hands.wait(25.0)
    hands.connection.receive_data(b"\x83", 34.0)
    hands.now = 30.0
    assert all(not isinstance(packet, Close) for packet in hands.wait(10.0))


def test_bytes_that_are_no_packet_answer_a_ping_too() -> None:
    """SPEC LIV-2, CAR-6: a ping of the carriage's own, or the beginning of a batch that is slow to come."""
    hands = attached()
    hands.wait(25.0)
    hands.connection.receive_life(34.0)
    hands.now = 30.0
    assert all(not isinstance(packet, Close) for packet in hands.wait(10.0))
    assert hands.connection.state is State.ATTACHED
    hands.connection.receive_eof(41.0)
    hands.connection.receive_life(42.0)
    assert hands.connection.next_timeout() is None


def test_a_late_answer_does_not_put_the_next_ping_off() -> None:
    """SPEC LIV-1: else an idle peer would hear nothing for two intervals, and hold this side dead (SPEC LIV-4)."""
    hands = attached(EngineConfig(ping_interval_seconds=10.0, pong_wait_seconds=9.9))
    assert kinds(hands.wait(10.0)) == ["Ping"]
    assert hands.wait(9.85) == []
    hands.connection.receive_data(b"\x83", hands.now)
    assert kinds(hands.wait(0.15)) == ["Ping"]


def test_a_late_pass_gives_a_live_link_one_pong_wait_more_once() -> None:
    """SPEC LIV-5, LIV-6."""
    hands = attached()
    hands.wait(25.0)
    hands.connection.handle_gap(34.0)
    hands.connection.handle_gap(40.0)
    hands.connection.handle_timeout(43.9)
    assert state_of(hands.connection) is State.ATTACHED
    hands.connection.handle_timeout(44.0)
    assert state_of(hands.connection) is State.CLOSING


def test_after_a_gap_a_live_link_is_probed() -> None:
    """SPEC LIV-5."""
    hands = attached()
    hands.now = 5.0
    hands.connection.handle_gap(5.0)
    assert kinds(hands.hear()) == ["Ping"]
    hands.connection.handle_gap(6.0)
    assert hands.hear() == []


@pytest.mark.parametrize("packets", [[], [Ping(1, None)]])
def test_an_unattached_link_is_not_probed(packets: list[Packet]) -> None:
    """SPEC LIV-7."""
    hands = Hands()
    hands.say(*packets)
    hands.connection.handle_gap(5.0)
    assert hands.hear() == []


def test_a_step_of_the_wall_clock_alone_moves_no_deadline() -> None:
    """SPEC LIV-5."""
    hands = attached()
    hands.wait(25.0)
    hands.connection.probe(34.0)
    assert close_of(hands.wait(10.0)).code == CloseCode.TIMEOUT


# Bytes that do not leave


def test_bytes_that_are_not_taken_end_the_connection() -> None:
    """SPEC LIM-6."""
    hands = attached()
    hands.session.send(b"a", 0.0)
    size = sum(map(len, hands.connection.data_to_send()))
    hands.connection.written(1.0, left=size)
    hands.connection.handle_timeout(10.9)
    assert state_of(hands.connection) is State.ATTACHED
    hands.connection.handle_timeout(11.0)
    assert state_of(hands.connection) is State.CLOSING


def test_what_is_queued_meanwhile_keeps_its_deadline() -> None:
    """SPEC LIM-6."""
    hands = attached()
    hands.session.send(b"a", 0.0)
    hands.connection.data_to_send()
    hands.session.send(b"b", 0.0)
    hands.connection.written(1.0)
    assert hands.connection.unwritten_bytes == 5
    hands.connection.handle_timeout(11.0)
    assert state_of(hands.connection) is State.CLOSING


def test_a_connection_holds_no_more_than_its_bound() -> None:
    """SPEC LIM-6, LIM-4."""
    hands = attached(EngineConfig(outbound_bytes=131_072, window_bytes=65_536))
    assert hands.session.send_volatile(bytes(MAX_BODY), 0.0)
    hands.session.send(bytes(MAX_BODY), 0.0)
    hands.say(*messages(b"a"))
    assert state_of(hands.connection) is State.CLOSING


def test_a_full_queue_refuses_until_the_peer_takes_something() -> None:
    """SPEC NUM-4, LIM-4, WIN-1."""
    pair = Pair(attrs.evolve(SMALL, queue_messages=2))
    pair.delivering = False
    pair.connect()
    for _ in range(10):
        pair.client.session.send(b"a", 0.0)
    with pytest.raises(BacklogFull):
        pair.client.session.send(b"a", 0.0)
    pair.settle()
    pair.session.delivered(8, 0.0)
    pair.settle()
    pair.client.session.send(b"a", 0.0)
    pair.settle()
    assert len(pair.server_got) == 11


# The end of a connection


@pytest.mark.parametrize(
    ("code", "answers", "left"),
    [
        (CloseCode.GOING_AWAY, (True, True), 1),
        (CloseCode.TIMEOUT, (True, True), 1),
        (CloseCode.OVERLOADED, (True, True), 1),
        (CloseCode.UNAUTHORIZED, (False, True), 1),
        (CloseCode.SESSION_ENDED, (True, False), 0),
        (CloseCode.NORMAL, (False, False), 0),
        (CloseCode.FORBIDDEN, (False, False), 0),
    ],
)
def test_a_servers_close_says_whether_the_session_lives(code: CloseCode, answers: tuple[bool, bool], left: int) -> None:
    """SPEC CLS-1, CLS-6, EXP-2, the table of SPEC 10.1."""
    hands = attached()
    hands.connection.close(code, "why", 0.0, after_seconds=(1.0, 2.5), url="ws://b")
    close = close_of(hands.hear())
    assert ((close.reconnect, close.resume), len(hands.server.sessions)) == (answers, left)
    assert (close.reason, close.after_min_ms, close.after_max_ms, close.url) == ("why", 1_000, 2_500, "ws://b")
    assert close.attempt is None


def test_after_close_nothing_is_sent_and_nothing_processed() -> None:
    """SPEC CLS-3."""
    hands = attached()
    session = hands.session
    hands.connection.close(CloseCode.GOING_AWAY, "", 0.0)
    assert kinds(hands.hear()) == ["Close"]
    assert hands.say(*messages(b"a"), Ping(1, ZERO)) == []
    hands.connection.close(CloseCode.NORMAL, "", 0.0)
    hands.connection.handle_gap(0.0)
    assert hands.hear() == []
    assert (session.inbox.received, session.ended, kinds(hands.events())) == (0, None, ["ConnectionTerminated"])


@pytest.mark.parametrize("by_eof", [True, False])
def test_the_closing_side_waits_for_the_other_but_not_for_ever(by_eof: bool) -> None:
    """SPEC CLS-3."""
    hands = attached()
    hands.connection.close(CloseCode.GOING_AWAY, "", 0.0)
    hands.connection.written(0.0, left=5)
    hands.connection.handle_timeout(9.9)
    assert state_of(hands.connection) is State.CLOSING
    if by_eof:
        hands.connection.receive_eof(9.9)
    else:
        hands.connection.handle_timeout(20.0)
    assert state_of(hands.connection) is State.CLOSED
    assert hands.connection.next_timeout() is None
    assert kinds(hands.events()) == ["ConnectionTerminated"]


def test_what_follows_a_violation_in_the_same_batch_has_no_effect() -> None:
    """SPEC CLS-3, WIN-3."""
    hands = attached(SMALL)
    session = hands.session
    assert kinds(hands.say(*messages(*[b""] * 12), Auth({}), Reset(3, None))) == ["Close"]
    assert (session.inbox.received, session.ended) == (8, None)


def test_a_reason_is_cut_to_what_a_close_frame_holds() -> None:
    """SPEC CLS-4."""
    hands = attached()
    hands.connection.close(CloseCode.GOING_AWAY, "ü" * 100, 0.0)
    assert close_of(hands.hear()).reason == "ü" * 61


def test_a_protocol_error_ends_the_connection_and_keeps_what_was_taken_before() -> None:
    """SPEC CLS-5, PKT-5."""
    hands = attached()
    session = hands.session
    hands.connection.receive_batch(encode(Message(False, b"a")) + b"\x83\x06", 0.0)
    close = close_of(hands.hear())
    assert (close.code, "PKT-5" in close.reason) == (CloseCode.PROTOCOL_ERROR, True)
    assert (session.inbox.received, session.ended, session.carrier) == (1, None, None)


def test_a_link_that_dies_inside_a_packet_loses_only_that() -> None:
    """SPEC PKT-11, CAR-31, EXP-2."""
    hands = attached()
    session = hands.session
    hands.connection.receive_data(encode(Message(False, b"a")) + b"\x83\x06", 0.0)
    hands.connection.receive_eof(0.0)
    hands.connection.receive_eof(0.0)
    found = [event for event in hands.events() if isinstance(event, ConnectionTerminated)]
    assert [(event.initiator, event.resume) for event in found] == [("link", True)]
    assert (session.inbox.received, session.carrier) == (1, None)


def test_ignorable_packets_are_skipped_in_any_state() -> None:
    """SPEC PKT-3, PKT-4."""
    hands = Hands()
    skip = bytes.fromhex("8118ff")
    hands.connection.receive_data(skip, 0.0)
    hands.open()
    hands.connection.receive_data(skip + bytes.fromhex("8308830000006178") + skip, 0.0)
    assert state_of(hands.connection) is State.ATTACHED


def test_empty_input_does_nothing() -> None:
    """SPEC PKT-5."""
    hands = attached()
    before = hands.connection.next_timeout()
    hands.connection.receive_data(b"", 5.0)
    hands.connection.receive_batch(b"", 5.0)
    assert hands.connection.next_timeout() == before


def test_a_connection_knows_whether_it_got_anywhere() -> None:
    """SPEC REC-1."""
    pair = Pair()
    idle = pair.connect()
    pair.drop(idle)
    busy = pair.connect()
    pair.client.session.send(b"a", 0.0)
    pair.settle()
    pair.advance(1.0)
    pair.drop(busy)
    assert (idle.client.attached, idle.client.progressed, busy.client.progressed) == (True, False, True)


def test_long_output_is_cut_into_batches() -> None:
    """SPEC PKT-5."""
    pair = Pair()
    wire = pair.connect()
    pair.client.session.send(bytes(200_000), 0.0)
    pair.drain()
    assert len(wire.to_server) == 3
    assert all(len(batch) <= 131_072 for batch in wire.to_server)


def test_the_next_timeout_is_the_earliest_of_connection_and_session() -> None:
    """SPEC LIV-6, NUM-4."""
    hands = attached(SMALL)
    for _ in range(8):
        hands.session.send(b"a", 0.0)
    due = hands.connection.next_timeout()
    hands.session.send(b"b", 0.0, ttl_seconds=0.001)
    assert hands.connection.next_timeout() == 0.001 != due
    hands.wait(0.001)
    assert hands.session.outbox.dropped_messages == 1


def test_a_carriage_may_ask_for_a_longer_pong_wait() -> None:
    """SPEC CAR-26: of its own, in place of the session's."""
    hands = attached()
    hands.connection.pong_wait = 30.0
    while not hands.wait(1.0):
        pass
    assert hands.wait(29.9) == []
    assert close_of(hands.wait(0.2)).code == CloseCode.TIMEOUT
