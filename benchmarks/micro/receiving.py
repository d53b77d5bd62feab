"""The receive path of an attached connection, from bytes to the session."""

from hawser_engine import MessageReceived
from hawser_engine.codec import encode_ack, encode_message

from .measure import Case, Plan, Round, Timed
from .pair import attached, new_server, server_session

__all__ = ["CASES"]

BODY = bytes(256)
RUN = 900
"""Messages per turn: they fit into the window."""


def _ack(plan: Plan) -> Round:
    """An ACK that trims one message, alone in its batch, as it usually comes."""
    server = new_server()
    ends = [attached(server)[1] for _ in range(max(1, plan.loops // RUN))]
    acks: list[bytes] = []

    def reset() -> None:
        for connection in ends:
            session = server_session(connection)
            for _ in range(RUN):
                session.send(BODY, 0.0)
            connection.data_to_send()
            connection.written(0.0)
        sent = server_session(ends[0]).outbox.sent
        acks[:] = [encode_ack(count, count, 0) for count in range(sent - RUN + 1, sent + 1)]

    def run() -> int:
        for connection in ends:
            for ack in acks:
                connection.receive_batch(ack, 0.0)
        return len(acks) * len(ends)

    return Round(run, reset)


def _messages(plan: Plan, together: int) -> Round:
    """MESSAGE from bytes to its event and to ``delivered``, with the ACKs that leave in return."""
    server = new_server()
    connections = [attached(server)[1] for _ in range(max(1, plan.loops // RUN))]
    data = encode_message(BODY, more=False) * together
    clock = [0.0]

    def reset() -> None:
        clock[0] += 10.0  # the rate at which a server hands out messages has refilled

    def run() -> int:
        now = clock[0]
        for connection in connections:
            session = server_session(connection)
            for _ in range(RUN // together):
                connection.receive_batch(data, now)
                while (event := connection.next_event()) is not None:
                    assert isinstance(event, MessageReceived)
                    session.delivered(event.number, now)
                if connection.data_to_send():
                    connection.written(now)
        return len(connections) * (RUN // together) * together

    return Round(run, reset)


CASES: list[Case] = [
    Timed("receive: an ACK, alone in its batch", "packet", _ack),
    Timed("receive: MESSAGE to delivered, one a batch", "message", lambda plan: _messages(plan, 1)),
    Timed("receive: MESSAGE to delivered, 30 a batch", "message", lambda plan: _messages(plan, 30)),
]
