"""What an attach costs the server: from the first byte to the ACK that proves the secret."""

from hawser_engine import AuthenticationRequested, Client, ClientConnection, ServerConnection
from hawser_engine.codec import encode, encode_ack
from hawser_engine.packets import Limits, Open

from .measure import Case, Plan, Round, Timed
from .pair import CONFIG, new_server, settle

__all__ = ["CASES"]

CREDENTIALS = {"token": "a" * 200}
OPEN = encode(Open((1,), (), CREDENTIALS, None, Limits(1_000, 262_144, 1_048_576)))
FIRST_ACK = encode_ack(0, 0, 0)


def _attaches(plan: Plan) -> int:
    return max(5, plan.loops // 40)


def _attach(connection: ServerConnection, first: bytes, now: float) -> list[bytes]:
    connection.receive_batch(first, now)
    event = connection.next_event()
    assert isinstance(event, AuthenticationRequested)
    connection.accept("somebody", now)
    answer = connection.data_to_send()
    connection.written(now)
    connection.receive_batch(FIRST_ACK, now)
    while connection.next_event() is not None:
        pass
    return answer


def _open(plan: Plan) -> Round:
    servers = [new_server()]

    def reset() -> None:
        servers[0] = new_server()

    def run() -> int:
        for _ in range(_attaches(plan)):
            _attach(servers[0].connect(0.0), OPEN, 0.0)
        return _attaches(plan)

    return Round(run, reset)


def _resume(plan: Plan) -> Round:
    """Each session's link is lost, then comes back; only the server's work on the new one is timed."""
    server = new_server()
    clients: list[Client] = []
    ends: list[ServerConnection] = []
    for _ in range(_attaches(plan)):
        client = Client(CONFIG, 0.0, credentials=CREDENTIALS)
        ends.append(server.connect(0.0))
        settle(client.connect(0.0), ends[-1])
        clients.append(client)
    links: list[ClientConnection] = []
    requests: list[bytes] = []
    answers: list[list[bytes]] = []
    clock = [0.0]

    def reset() -> None:
        for link, answer in zip(links, answers, strict=True):
            link.receive_batch(b"".join(answer), clock[0])
            assert link.data_to_send() == [FIRST_ACK]
        clock[0] += 61.0  # further resumes without progress are allowed
        for end in ends:
            end.receive_eof(clock[0])
        ends.clear()
        links[:] = [client.connect(clock[0]) for client in clients]
        requests[:] = [b"".join(link.data_to_send()) for link in links]
        answers.clear()

    def run() -> int:
        for request in requests:
            ends.append(server.connect(clock[0]))
            answers.append(_attach(ends[-1], request, clock[0]))
        return len(requests)

    return Round(run, reset)


CASES: list[Case] = [
    Timed("attach: OPEN, the server's part", "attach", _open),
    Timed("attach: RESUME, the server's part", "attach", _resume),
]
