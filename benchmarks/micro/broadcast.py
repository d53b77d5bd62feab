"""One publication, or sixteen, to 1,000 sessions: what each delivery costs the server before the network.

A delivery is one message to one subscriber. The engine numbers, tests the window and keeps the bytes for a replay by
one reference per batch; the naive variant does what a protocol has to do that carries its numbers inside the packet.
"""

from collections import deque
from collections.abc import Callable
from functools import cache

from hawser_engine import Batch, ServerConnection, ServerSession
from hawser_engine.codec import encode_ack

from .measure import Case, Plan, Round, Timed
from .pair import attached, clear, new_server, server_session

__all__ = ["CASES"]

BODIES = [bytes([index]) * 256 for index in range(16)]
LOADED = 16
MESSAGES = 64
"""Messages to everybody per round: as many as go out to a subscriber between two of its ACKs (SPEC ACK-1)."""

TARGET_LOADED = 0.15
TARGET_SINGLE = 0.6


class Room:
    """Attached sessions with open windows and nothing to say."""

    def __init__(self, plan: Plan) -> None:
        server = new_server()
        self.connections: list[ServerConnection] = [attached(server)[1] for _ in range(plan.subscribers)]
        self.sessions: list[ServerSession] = [server_session(connection) for connection in self.connections]

    def clear(self) -> None:
        """Let every subscriber have taken everything."""
        for connection in self.connections:
            clear(connection)


@cache
def _room(plan: Plan) -> Room:
    """Return the one room of all cases: each clears it before its turn."""
    return Room(plan)


def _take(count: int) -> Callable[[Plan], Round]:
    """Count, window test, replay reference: ``Outbox.take`` alone."""

    def start(plan: Plan) -> Round:
        room = _room(plan)
        batch = Batch.of(BODIES[:count])

        def run() -> int:
            for _ in range(MESSAGES // count):
                for session in room.sessions:
                    session.outbox.take(batch)
            return MESSAGES * len(room.sessions)

        return Round(run, room.clear)

    return start


def _send_batch(count: int) -> Callable[[Plan], Round]:
    """The same, and the packets in the connection's hands."""

    def start(plan: Plan) -> Round:
        room = _room(plan)
        batch = Batch.of(BODIES[:count])

        def run() -> int:
            for _ in range(MESSAGES // count):
                for session in room.sessions:
                    session.send_batch(batch, 0.0)
            return MESSAGES * len(room.sessions)

        return Round(run, room.clear)

    return start


def _whole(count: int) -> Callable[[Plan], Round]:
    """The same, fetched for the network, which takes it at once: all that the engine does per delivery."""

    def start(plan: Plan) -> Round:
        room = _room(plan)
        batch = Batch.of(BODIES[:count])

        def run() -> int:
            for _ in range(MESSAGES // count):
                for connection, session in zip(room.connections, room.sessions, strict=True):
                    session.send_batch(batch, 0.0)
                    connection.data_to_send()
                    connection.written(0.0)
            return MESSAGES * len(room.sessions)

        return Round(run, room.clear)

    return start


def _trim(count: int) -> Callable[[Plan], Round]:
    """One ACK of each subscriber for everything: ``Outbox.acknowledge`` alone."""

    def start(plan: Plan) -> Round:
        room = _room(plan)
        batch = Batch.of(BODIES[:count])

        def reset() -> None:
            room.clear()
            for _ in range(MESSAGES // count):
                for session in room.sessions:
                    session.outbox.take(batch)

        def run() -> int:
            for session in room.sessions:
                session.outbox.acknowledge(session.outbox.sent, session.outbox.sent)
            return MESSAGES * len(room.sessions)

        return Round(run, reset)

    return start


def _acked(plan: Plan) -> Round:
    """The same through the whole receive path, from bytes."""
    room = _room(plan)
    batch = Batch.of(BODIES)

    def reset() -> None:
        room.clear()
        for _ in range(MESSAGES // LOADED):
            for session in room.sessions:
                session.outbox.take(batch)

    def run() -> int:
        for connection, session in zip(room.connections, room.sessions, strict=True):
            sent = session.outbox.sent
            connection.receive_batch(encode_ack(sent, sent, 0), 0.0)
        return MESSAGES * len(room.sessions)

    return Round(run, reset)


class Naive:
    """A subscriber whose packets carry their numbers: nothing can be shared."""

    def __init__(self) -> None:
        self.sent = 0
        self.held = 0
        self.unacked: deque[tuple[int, bytes]] = deque()

    def send(self, body: bytes) -> bytes | None:
        """Number, test the window, encode, keep."""
        if len(self.unacked) >= 1_000 or self.held + len(body) > 262_144:
            return None
        self.sent += 1
        self.held += len(body)
        packet = b"\x84\x06\xf4\x1a" + self.sent.to_bytes(4, "big") + b"\x59\x01\x00" + body
        self.unacked.append((self.sent, packet))
        return packet


def _naive(plan: Plan) -> Round:
    subscribers = [Naive() for _ in range(plan.subscribers)]

    def reset() -> None:
        for subscriber in subscribers:
            subscriber.unacked.clear()
            subscriber.held = 0

    def run() -> int:
        for _ in range(MESSAGES // LOADED):
            for subscriber in subscribers:
                for body in BODIES:
                    subscriber.send(body)
        return MESSAGES * len(subscribers)

    return Round(run, reset)


CASES: list[Case] = [
    Timed("broadcast of 16: count, window, replay", "delivery", _take(LOADED), TARGET_LOADED),
    Timed("broadcast of 16: and into the connection", "delivery", _send_batch(LOADED)),
    Timed("broadcast of 16: and out of it, written", "delivery", _whole(LOADED)),
    Timed("broadcast of 16: trim by ACK", "delivery", _trim(LOADED)),
    Timed("broadcast of 16: trim by ACK, from bytes", "delivery", _acked),
    Timed("broadcast of 16: naive, own number and copy", "delivery", _naive),
    Timed("broadcast of 1: count, window, replay", "delivery", _take(1), TARGET_SINGLE),
    Timed("broadcast of 1: and into the connection", "delivery", _send_batch(1)),
    Timed("broadcast of 1: and out of it, written", "delivery", _whole(1)),
    Timed("broadcast of 1: trim by ACK", "delivery", _trim(1)),
]
