"""A client and a server joined by long-poll requests, each of which the test delivers, doubles or loses."""

import attrs

from hawser_engine import ClientConnection, EngineConfig, ServerConnection, State
from hawser_engine.bindings.http import Reply, Request
from hawser_engine.bindings.longpoll import ClientPoll, Exchange, Fields, PollLimits, PollService, ServerPoll
from tests.engine.pair import Pair

_OVER = (State.CLOSING, State.CLOSED)


@attrs.define(eq=False)
class ClientHalf:
    connection: ClientConnection
    poll: ClientPoll = attrs.Factory(ClientPoll)


class PollPair(Pair):
    """A pair whose links are chains of requests."""

    def __init__(self, config: EngineConfig | None = None, limits: PollLimits | None = None) -> None:
        super().__init__(config)
        self.service = PollService(limits)
        self.half: ClientHalf | None = None
        self.polls: dict[ServerPoll, ServerConnection] = {}
        self.requests: list[Request] = []
        """Under way to the server."""
        self.replies: list[tuple[Request, Reply]] = []
        """Under way to the client."""
        self.answered: list[tuple[Request, Reply]] = []
        """Every reply there ever was."""
        self._waiting: dict[Exchange, Request] = {}

    # Links

    def attach(self, *, settle: bool = True) -> ClientHalf:
        """Begin a connection with an attach; what was under way of the one before goes on."""
        self.half = ClientHalf(self.client.connect(self.now))
        self.drain()
        if settle:
            self.settle()
        return self.half

    def arrive(self, index: int = 0, *, again: bool = False) -> None:
        """Bring a request to the server; with ``again`` a copy of it stays under way."""
        request = self.requests[index] if again else self.requests.pop(index)
        exchange = self.service.begin(request.method, Fields.written(request.headers), len(request.body))
        self._waiting[exchange] = request
        if exchange.reply is None:
            self.service.receive(exchange, request.body)
        if exchange.reply is not None:
            self._answer(exchange)
        for poll in self.service.arrivals():
            self.polls[poll] = self.server.connect(self.now)
        self.drain()

    def answer(self, index: int = 0, *, again: bool = False) -> None:
        """Bring a reply to the client."""
        request, reply = self.replies[index] if again else self.replies.pop(index)
        if self.half is not None:
            self.half.poll.receive(request, reply)
        self.drain()

    def lose_request(self, index: int = 0) -> None:
        """Lose a request; the client is told that it has failed, and makes it again."""
        self._failed(self.requests.pop(index))

    def lose_reply(self, index: int = 0) -> None:
        """Lose a reply, likewise."""
        self._failed(self.replies.pop(index)[0])

    def _failed(self, request: Request) -> None:
        assert self.half is not None
        poll = self.half.poll
        if poll.fail(request) is not None:
            made = poll.again(request)
            if made is not None:
                self.requests.append(made)
        self.drain()

    def settle(self, size: int | None = None) -> None:
        """Deliver requests and replies until nothing is under way but a parked GET."""
        self.drain()
        while self.requests or self.replies:
            if self.requests:
                self.arrive()
            else:
                self.answer()

    def statuses(self) -> list[int]:
        """The statuses of all replies so far."""
        return [reply.status for _, reply in self.answered]

    # The two ends

    def tick(self) -> None:
        for connection in self.polls.values():
            connection.handle_timeout(self.now)
        if self.half is not None:
            self.half.connection.handle_timeout(self.now)
        super().tick()

    def next_timeout(self) -> float | None:
        ends = [*self.polls.values(), *([] if self.half is None else [self.half.connection])]
        due = [end.next_timeout() for end in ends] + [super().next_timeout()]
        return min((each for each in due if each is not None), default=None)

    def drain(self) -> None:
        busy = True
        while busy:
            super().drain()
            busy = self._drain_client()
            for poll, connection in list(self.polls.items()):
                busy |= self._drain_server(poll, connection)

    def _drain_client(self) -> bool:
        half = self.half
        if half is None:
            return False
        connection, poll = half.connection, half.poll
        busy = self._speak_client(half)
        for batch in poll.batches():
            busy = True
            connection.receive_batch(batch, self.now)
            self._speak_client(half)
        poll.taken()
        self.requests += poll.requests()
        if poll.ended is not None:
            connection.receive_eof(self.now)
            self._events_of(connection, connection)
            self.half = None
            busy = True
        return busy

    def _speak_client(self, half: ClientHalf) -> bool:
        busy = self._events_of(half.connection, half.connection)
        batches = half.connection.data_to_send()
        half.connection.written(self.now)
        half.poll.send(batches)
        return busy or bool(batches)

    def _drain_server(self, poll: ServerPoll, connection: ServerConnection) -> bool:
        busy = self._speak_server(poll, connection)
        for batch in poll.batches():
            busy = True
            connection.receive_batch(batch, self.now)
            self._speak_server(poll, connection)
        poll.taken()
        if poll.over or connection.state in _OVER:
            connection.receive_eof(self.now)
            self._events_of(connection, connection)
            poll.close()
            if not poll.lingering:
                self.service.end(poll)
                del self.polls[poll]
        for exchange in poll.answered():
            busy = True
            self._answer(exchange)
        return busy

    def _speak_server(self, poll: ServerPoll, connection: ServerConnection) -> bool:
        busy = self._events_of(connection, connection)
        batches = connection.data_to_send()
        connection.written(self.now)
        poll.send(batches)
        return busy or bool(batches)

    def _answer(self, exchange: Exchange) -> None:
        request = self._waiting.pop(exchange, None)
        assert exchange.reply is not None
        if request is None:
            return  # it had its reply at once
        self.replies.append((request, exchange.reply))
        self.answered.append((request, exchange.reply))
