"""What an idle session costs in memory: all the objects that it alone keeps alive."""

import gc
import tracemalloc

from hawser_engine import AuthenticationRequested, ServerConnection
from hawser_engine.codec import encode, encode_ack, encode_message
from hawser_engine.packets import Limits, Open

from .measure import Case, Plan, Size
from .pair import new_server, server_session

__all__ = ["CASES"]

TARGET_RECORD = 1_536.0
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
    # Before the first measured one: whatever is made once, and tables that have grown.
    connections: list[ServerConnection] = [server.connect(0.0)]
    connections.clear()
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        for index in range(plan.subscribers):
            now = float(index)
            connection = server.connect(now)
            connection.receive_batch(OPEN, now)
            assert isinstance(connection.next_event(), AuthenticationRequested)
            connection.accept("somebody", now)
            connection.data_to_send()
            connection.receive_batch(FIRST_ACK, now)
            if used:
                _use(connection, now)
            while connection.next_event() is not None:
                pass
            connection.data_to_send()
            connection.written(now)
            if attached:
                connections.append(connection)
            else:
                session = server_session(connection)
                connection.receive_eof(now)
                while session.next_event() is not None:
                    pass
            del connection
        gc.collect()
        return (tracemalloc.get_traced_memory()[0] - before) / plan.subscribers
    finally:
        tracemalloc.stop()


def _use(connection: ServerConnection, now: float) -> None:
    session = server_session(connection)
    session.send(BODY, now)
    connection.receive_batch(encode_message(BODY, more=False) + encode_ack(1, 1, 1), now)
    while connection.next_event() is not None:
        pass
    session.delivered(1, now)


CASES: list[Case] = [
    Size("idle: record, detached", "session", lambda plan: _idle(plan, attached=False, used=False), TARGET_RECORD),
    Size("idle: record, detached, used", "session", lambda plan: _idle(plan, attached=False, used=True), TARGET_RECORD),
    Size("idle: record and connection", "session", lambda plan: _idle(plan, attached=True, used=False)),
    Size("idle: record and connection, used", "session", lambda plan: _idle(plan, attached=True, used=True)),
]
