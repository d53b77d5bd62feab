"""The guarantee, sentence by sentence, as the README states it. The simulator attacks the same sentences by seed."""

import random

import pytest

from hawser_engine import BacklogFull, CloseCode, EngineConfig, ResetReason, Server, State
from hawser_engine.packets import Limits
from tests.engine.pair import INCARNATION, Hands, Pair, a_resume, an_open, close_of, counting_bytes

SMALL = EngineConfig(
    window_messages=7, window_bytes=900, queue_messages=20, queue_bytes=4_000, resumes_per_minute=10**6
)


def cut_everywhere(pair: Pair, chance: random.Random, rounds: int) -> tuple[list[bytes], list[bytes]]:
    """Send both ways while links are cut after any byte, silently or not, and replaced while they still carry bytes."""
    up: list[bytes] = []
    down: list[bytes] = []
    pair.connect()
    for number in range(rounds):
        for session, sent in ((pair.client.session, up), (pair.session, down)):
            for _ in range(chance.randrange(4)):
                body = b"%d " % len(sent) + bytes(chance.randrange(300))
                if session.has_room(len(body)):
                    session.send(body, pair.now)
                    sent.append(body)
        pair.drain()
        for wire in list(pair.wires):
            for to_server in (True, False):
                if chance.random() < 0.6:
                    pair.deliver(wire, to_server=to_server, size=chance.randrange(1, 400))
        pair.now += 0.01
        if number % 3 == 0:
            wire = pair.wires[-1]
            if chance.random() < 0.5:
                pair.drop(wire)
            pair.connect(settle=chance.random() < 0.5)
        del pair.wires[:-3]  # older ones are forgotten without a word, with what they still carried
    pair.connect()
    pair.settle()
    pair.advance(2.0)
    return up, down


@pytest.mark.parametrize("seed", range(5))
def test_every_accepted_message_is_handed_over_once_and_in_order(seed: int) -> None:
    """Sentence 1: across disconnects, retried attaches and half-open links, both ways."""
    pair = Pair(SMALL)
    up, down = cut_everywhere(pair, random.Random(seed), 300)
    assert len(up) > 200
    assert len(down) > 200
    assert pair.server_got == up
    assert pair.client_got == down
    assert not pair.client_resets


def test_loss_is_never_silent() -> None:
    """Sentence 2: what cannot be proved is told, in numbers that add up, before any message of what comes next."""
    pair = Pair(EngineConfig(window_messages=3, queue_messages=10))
    wire = pair.connect()
    for number in range(8):
        pair.client.session.send(b"%d" % number, pair.now)
    pair.drain()
    pair.deliver(wire, to_server=True)
    pair.drop(wire)
    pair.server = Server(pair.config, random_bytes=pair.server_random, incarnation=b"another")
    seen: list[str] = []
    wire = pair.connect(settle=False)
    while not seen or seen[-1] != "message":
        pair.settle()
        if pair.client_resets and "reset" not in seen:
            seen.append("reset")
            pair.session.send(b"new", pair.now)
        if pair.client_got:
            seen.append("message")
    assert seen == ["reset", "message"]
    (report,) = pair.client_resets
    assert report.reason is ResetReason.RESTARTED
    assert report.known_delivered + report.unknown + report.not_sent == 8
    assert (report.known_delivered, report.not_sent) == (0, 5)
    assert pair.server_got == [b"0", b"1", b"2"], "what was told as unknown may have arrived"


def test_memory_is_bounded() -> None:
    """Sentence 3: a slow reader and a client that claims to take everything cost no more than configured."""
    pair = Pair(SMALL)
    pair.delivering = False
    pair.connect()
    refused = 0
    for _ in range(200):
        try:
            pair.client.session.send(bytes(100), pair.now)
        except BacklogFull:
            refused += 1
        pair.settle()
    box, inbox = pair.client.session.outbox, pair.session.inbox
    assert refused == 200 - SMALL.window_messages - SMALL.queue_messages
    assert (box.sent - box.delivered, inbox.held_bytes) == (SMALL.window_messages, 100 * SMALL.window_messages)

    hands = Hands(config=SMALL)
    opened = hands.open(an_open(Limits(2**53, 2**53, 2**53)))
    session = hands.server.sessions[opened.session]
    for _ in range(SMALL.window_messages + SMALL.queue_messages):
        session.send(bytes(50), 0.0)
    with pytest.raises(BacklogFull):
        session.send(bytes(50), 0.0)
    assert session.outbox.sent == SMALL.window_messages


def test_the_highest_authenticated_attempt_wins() -> None:
    """Sentence 4: whatever order attaches arrive in, and whoever asks without the right to it."""
    server = Server(EngineConfig(), random_bytes=counting_bytes(), incarnation=INCARNATION)
    opened = Hands(server).open()
    second, third, thief = Hands(server), Hands(server), Hands(server)
    third.say(a_resume(opened, 3))
    third.accept()
    second.say(a_resume(opened, 2))
    late = close_of(second.accept())
    thief.say(a_resume(opened, 9))
    thief.accept("somebody else")
    session = server.sessions[opened.session]
    assert (late.code, late.attempt) == (CloseCode.SUPERSEDED, 3)
    assert session.carrier is third.connection
    assert session.attempt == 3
    assert [hands.connection.session for hands in (second, third, thief)] == [None, session, None]


def test_both_sides_converge_once_faults_stop() -> None:
    """Sentence 6: a link that swallows everything is given up in time, and after one more attach nothing is left."""
    pair = Pair()
    wire = pair.connect()
    pair.client.session.send(b"up", 0.0)
    pair.session.send(b"down", 0.0)
    wire.to_server.clear()
    pair.wires.clear()  # silent: neither side learns of it
    config = pair.config
    for end in (wire.client, wire.server):
        now = 0.0
        while end.state is State.ATTACHED:
            end.data_to_send()
            end.written(now)
            due = end.next_timeout()
            assert due is not None
            now = max(now, due)
            end.handle_timeout(now)
        assert now <= config.ping_interval_seconds + config.pong_wait_seconds
        pair.now = max(pair.now, now)
    pair.now += config.handshake_seconds + config.backoff_cap_seconds
    assert pair.now <= 75.0
    pair.connect()
    pair.advance(1.0)
    assert (pair.server_got, pair.client_got) == ([b"up"], [b"down"])
    assert (pair.client.session.outbox.replay, pair.session.outbox.replay) == ([], [])
    with pytest.raises(ValueError, match="resume_period_seconds is 100"):
        EngineConfig(resume_period_seconds=100.0)
