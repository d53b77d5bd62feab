"""Long-poll: everything arrives once and in order, whatever becomes of single requests and replies."""

import random

import pytest

from hawser_engine import EngineConfig, ServerSession, Session, SessionResumed
from tests.engine.bindings.polls import PollPair


def test_a_conversation_over_requests() -> None:
    pair = PollPair()
    pair.attach()
    pair.client.session.send(b"hello", pair.now)
    pair.settle()
    assert pair.server_got == [b"hello"]
    pair.session.send(b"hi", pair.now)
    pair.settle()
    assert pair.client_got == [b"hi"]
    assert pair.statuses() == [200, 204, 200]


class Storm:
    """Both applications send while single requests and replies are lost, doubled and overtaken."""

    def __init__(self, seed: int, *, cuts: bool) -> None:
        self.random = random.Random(seed)
        self.cuts = cuts
        small = EngineConfig(window_messages=self.random.choice([2, 5, 1_000]), queue_messages=500)
        self.pair = PollPair(self.random.choice([small, EngineConfig()]))
        self.sent_up: list[bytes] = []
        self.sent_down: list[bytes] = []

    @property
    def served(self) -> ServerSession:
        """The client's session at the server; a doubled OPEN has made others."""
        return self.pair.server.sessions[self.pair.client.session.session_id]

    def run(self, steps: int) -> None:
        self.pair.attach(settle=False)
        for _ in range(steps):
            self.step()
        self.calm()
        assert self.pair.server_got == self.sent_up
        assert self.pair.client_got == self.sent_down
        assert self.pair.client_resets == []
        for session in (self.pair.client.session, self.served):
            assert session.outbox.delivered == session.outbox.sent
        resumed = [event for event in self.pair.client_events if isinstance(event, SessionResumed)]
        assert bool(resumed) == self.cuts
        assert [poll.held_bytes for poll in self.pair.polls if not poll.lingering] == [0]

    def step(self) -> None:
        pair, draw = self.pair, self.random
        match draw.randrange(9):
            case 0:
                self.send(pair.client.session, self.sent_up)
            case 1 if pair.client.session.opened:
                self.send(self.served, self.sent_down)
            case 2 | 3 if pair.requests:
                pair.arrive(draw.randrange(len(pair.requests)), again=draw.random() < 0.3)
            case 4 | 5 if pair.replies:
                pair.answer(draw.randrange(len(pair.replies)), again=draw.random() < 0.3)
            case 6 if pair.requests:
                pair.lose_request(draw.randrange(len(pair.requests)))
            case 7 if pair.replies:
                pair.lose_reply(draw.randrange(len(pair.replies)))
            case 8 if self.cuts and pair.client.session.opened and pair.half is not None and draw.random() < 0.2:
                pair.half.connection.receive_eof(pair.now)
                pair.half = None
            case _:
                pair.advance(draw.choice([0.01, 0.3]), settle=False)
        pair.drain()
        if pair.half is None:
            pair.attach(settle=False)

    def send(self, session: Session, sent: list[bytes]) -> None:
        body = self.random.randbytes(self.random.choice([0, 5, 300, 70_000]))
        if session.has_room(len(body)):
            session.send(body, self.pair.now)
            sent.append(body)

    def calm(self) -> None:
        pair = self.pair
        for _ in range(200):
            pair.settle()
            if pair.half is None:
                pair.attach()
            pair.advance(1.0)


@pytest.mark.parametrize("seed", range(30))
def test_lost_doubled_and_late_requests_cost_a_retransmission_only(seed: int) -> None:
    """SPEC CAR-15, CAR-16, CAR-19, CAR-21: no connection ends, but one whose attach is lost."""
    Storm(seed, cuts=False).run(300)


@pytest.mark.parametrize("seed", range(30))
def test_connections_that_end_while_their_requests_go_on(seed: int) -> None:
    """SPEC CAR-10, CAR-14, CAR-25: what is late from an older connection changes nothing."""
    Storm(seed, cuts=True).run(400)
