"""One session: what a direct message costs from ``send`` to its ACK, and what a replay costs."""

from hawser_engine.outbox import Outbox

from .measure import Case, Plan, Round, Timed
from .pair import attached, clear, new_server, server_session

__all__ = ["CASES"]

BODY = bytes(256)
RUN = 900
"""Messages per turn: they fit into the window of 1,000 messages and 256 KiB together."""


def _turns(plan: Plan) -> int:
    return max(1, plan.loops // RUN)


def _open_outbox() -> Outbox:
    box = Outbox()
    box.open(1_000, 262_144, 1_048_576)
    box.replay_from(0, 0.0)
    return box


def _accept(box: Outbox, count: int) -> None:
    for _ in range(count):
        box.accept(BODY, messages_max=RUN, bytes_max=262_144)


def _send(plan: Plan) -> Round:
    server = new_server()
    connections = [attached(server)[1] for _ in range(_turns(plan))]
    sessions = [server_session(connection) for connection in connections]

    def reset() -> None:
        for connection in connections:
            clear(connection)

    def run() -> int:
        for session in sessions:
            for _ in range(RUN):
                session.send(BODY, 0.0)
        return RUN * len(sessions)

    return Round(run, reset)


def _queue(plan: Plan) -> Round:
    boxes: list[Outbox] = []

    def reset() -> None:
        boxes[:] = [_open_outbox() for _ in range(_turns(plan))]

    def run() -> int:
        for box in boxes:
            _accept(box, RUN)
        return RUN * len(boxes)

    return Round(run, reset)


def _number(plan: Plan) -> Round:
    boxes: list[Outbox] = []

    def reset() -> None:
        boxes[:] = [_open_outbox() for _ in range(_turns(plan))]
        for box in boxes:
            _accept(box, RUN)

    def run() -> int:
        return sum(len(box.admit(0.0)) for box in boxes)

    return Round(run, reset)


def _acknowledge(plan: Plan, messages: int) -> Round:
    boxes: list[Outbox] = []

    def reset() -> None:
        boxes[:] = [_open_outbox() for _ in range(_turns(plan))]
        for box in boxes:
            _accept(box, RUN)
            box.admit(0.0)

    def run() -> int:
        for box in boxes:
            for count in range(messages, RUN + 1, messages):
                box.acknowledge(count, count)
        return len(boxes) * RUN

    return Round(run, reset)


def _replay(plan: Plan) -> Round:
    boxes = [_open_outbox() for _ in range(_turns(plan))]
    for box in boxes:
        _accept(box, RUN)
        box.admit(0.0)

    def run() -> int:
        return sum(box.replay_from(0, 0.0)[1] for box in boxes)

    return Round(run)


CASES: list[Case] = [
    Timed("session: send, with the window open", "message", _send),
    Timed("session: queue, without a number", "message", _queue),
    Timed("session: number what is queued", "message", _number),
    Timed("session: trim, an ACK per message", "message", lambda plan: _acknowledge(plan, 1)),
    Timed("session: trim, an ACK per 30", "message", lambda plan: _acknowledge(plan, 30)),
    Timed("session: replay", "message", _replay),
]
