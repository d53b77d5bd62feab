"""What an idle session costs in memory: all the objects that it alone keeps alive."""

import gc
import tracemalloc
from collections.abc import Iterator
from itertools import count

from hawser_engine import AuthenticationRequested, Server, ServerConnection
from hawser_engine.codec import encode, encode_ack, encode_message
from hawser_engine.packets import Limits, Open

from .measure import Case, Plan, Size
from .pair import new_server, server_session

__all__ = ["CASES", "idle_connection"]

TARGET_RECORD = 1_536.0
TARGET_ATTACHED = 2_048.0
OPEN = encode(Open((1,), (), {}, None, Limits(1_000, 262_144, 1_048_576)))
FIRST_ACK = encode_ack(0, 0, 0)
BODY = bytes(256)


def _idle(plan: Plan, *, attached: bool, used: bool) -> float:
    """Open sessions and return bytes per session.

    Args:
        plan: How many.
        attached: With the connection, otherwise after it is gone.
        used: After a message each way, delivered and acknowledged.
    """
    server = new_server()
    clock = count(1)
    # Before the first measured one: whatever is made once, and tables that have grown.
    connections: list[ServerConnection] = [idle_connection(server, clock, used=used)]
    connections.clear()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for _ in range(plan.subscribers):
            connection = idle_connection(server, clock, used=used)
            if attached:
                connections.append(connection)
            else:
                session = server_session(connection)
                connection.receive_eof(float(next(clock)))
                while session.next_event() is not None:
                    pass
            del connection
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / plan.subscribers
    finally:
        tracemalloc.stop()


def idle_connection(server: Server, clock: Iterator[int], *, used: bool) -> ServerConnection:
    """Attach a client, which then says nothing; every input has a time of its own, as it has in life.

    Args:
        server: Whose client.
        clock: Gives the time of each input.
        used: Whether a message each way is delivered and acknowledged before.
    """
    connection = server.connect(float(next(clock)))
    connection.receive_batch(OPEN, float(next(clock)))
    assert isinstance(connection.next_event(), AuthenticationRequested)
    connection.accept("somebody", float(next(clock)))
    _write(connection, clock)
    connection.receive_batch(FIRST_ACK, float(next(clock)))
    if used:
        session = server_session(connection)
        session.send(BODY, float(next(clock)))
        _write(connection, clock)
        connection.receive_batch(encode_message(BODY, more=False) + encode_ack(1, 1, 1), float(next(clock)))
        while connection.next_event() is not None:
            pass
        session.delivered(1, float(next(clock)))
        connection.handle_timeout(float(next(clock)))  # the ACK for it is due
    while connection.next_event() is not None:
        pass
    _write(connection, clock)
    return connection


def _write(connection: ServerConnection, clock: Iterator[int]) -> None:
    connection.data_to_send()
    connection.written(float(next(clock)))


CASES: list[Case] = [
    Size("idle: record, detached", "session", lambda plan: _idle(plan, attached=False, used=False), TARGET_RECORD),
    Size("idle: record, detached, used", "session", lambda plan: _idle(plan, attached=False, used=True), TARGET_RECORD),
    Size(
        "idle: record and connection", "session", lambda plan: _idle(plan, attached=True, used=False), TARGET_ATTACHED
    ),
    Size(
        "idle: record and connection, used",
        "session",
        lambda plan: _idle(plan, attached=True, used=True),
        TARGET_ATTACHED,
    ),
]
