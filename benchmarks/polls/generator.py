"""The command: ``python -m benchmarks.polls.generator KIND PORT …``; prints the outcome of each load as JSON.

A client is a *talker*: it says which requests are due and takes their replies; one loop over a selector carries them,
each on a kept connection. A plain talker has one request under way. One of Hawser is a session of the engine with its
GET and its POST, as the client library has them: a call leaves in a POST, its reply comes with the GET that waits.
"""

from __future__ import annotations

import argparse
import gc
import json
import re
import socket
import sys
import time
from abc import ABC, abstractmethod
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Final

from attrs import asdict, define, frozen

from benchmarks.peers.generator import SIZE
from hawser.cli.bench.meter import process_cpu_seconds
from hawser_engine import Client, ConnectionTerminated, EngineConfig, MessageReceived, SessionReset, encode_value
from hawser_engine.bindings.http import Reply, Request, write_request
from hawser_engine.bindings.longpoll import ClientPoll
from hawser_engine.calls import Call
from hawser_engine.calls import Reply as Answer
from hawser_engine.messages import decode_message, encode_body

if TYPE_CHECKING:
    from collections.abc import Sequence

PATIENCE_SECONDS: Final = 20.0
READ_BYTES: Final = 65_536
LOADED: Final = 16
WARM_UP: Final = 20
LENGTH: Final = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")
PAYLOAD: Final = b"-" * SIZE


class Lost(Exception):
    """A server has not answered as expected."""


class Talker(ABC):
    """One client."""

    @abstractmethod
    def say(self, messages: int) -> None:
        """Have so many messages to bring."""

    @abstractmethod
    def due(self) -> list[tuple[Request, bytes]]:
        """Requests that are to be made now, and their bytes."""

    @abstractmethod
    def take(self, request: Request, reply: Reply) -> int:
        """Take a reply; return how many messages are answered with it."""


class Plain(Talker):
    """Posts bytes, which come back."""

    request: Final = Request("POST", (("content-type", "application/octet-stream"),), PAYLOAD)

    def __init__(self, authority: str) -> None:
        self._bytes = write_request(self.request, authority, "/")
        self._due: list[tuple[Request, bytes]] = []

    def say(self, messages: int) -> None:
        """See `Talker.say`; one request is one message here."""
        assert messages == 1
        self._due = [(self.request, self._bytes)]

    def due(self) -> list[tuple[Request, bytes]]:
        """See `Talker.due`."""
        due, self._due = self._due, []
        return due

    def take(self, request: Request, reply: Reply) -> int:
        """See `Talker.take`."""
        if reply.status != 200 or reply.body != PAYLOAD:
            raise Lost(f"saw {reply}")
        return 1


class Session(Talker):
    """A session of Hawser over long-poll, which calls a procedure that returns what it is given."""

    def __init__(self, authority: str) -> None:
        self._authority = authority
        self._client = Client(EngineConfig(), time.monotonic())
        self._connection = self._client.connect(time.monotonic())
        self._poll = ClientPoll()
        self._next_id = 0

    @property
    def opened(self) -> bool:
        """Whether the server has answered the attach."""
        return self._client.session.opened

    def say(self, messages: int) -> None:
        """See `Talker.say`."""
        for _ in range(messages):
            self._next_id += 1
            call = encode_body(Call(self._next_id, "echo", encode_value([PAYLOAD]), None))
            self._client.session.send(call, time.monotonic())

    def due(self) -> list[tuple[Request, bytes]]:
        """See `Talker.due`."""
        self._speak()
        return [(request, write_request(request, self._authority, "/")) for request in self._poll.requests()]

    def take(self, request: Request, reply: Reply) -> int:
        """See `Talker.take`."""
        if self._poll.receive(request, reply) is not None or self._poll.ended is not None:
            raise Lost(f"saw {reply}")
        answered = 0
        now = time.monotonic()
        for batch in self._poll.batches():
            self._connection.receive_batch(batch, now)
            while (event := self._connection.next_event()) is not None:
                if isinstance(event, MessageReceived):
                    if not isinstance(decode_message(event.body), Answer):
                        raise Lost("saw another message than a reply")
                    self._client.session.delivered(event.number, now)
                    answered += 1
                elif isinstance(event, ConnectionTerminated | SessionReset):
                    raise Lost(f"the session has ended: {event!r}")
            self._speak()
        self._poll.taken()
        return answered

    def _speak(self) -> None:
        batches = self._connection.data_to_send()
        self._connection.written(time.monotonic())
        self._poll.send(batches)


@define(eq=False)
class Way:
    """One connection, and what is under way on it."""

    socket: socket.socket
    talker: Talker
    request: Request
    held: bytes = b""

    def read(self) -> Reply | None:
        """What has come, if it is whole.

        Raises:
            Lost: The server has hung up.
        """
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise Lost("the server has hung up")
        self.held += data
        head, found, body = self.held.partition(b"\r\n\r\n")
        if not found:
            return None
        length = LENGTH.search(head)
        if len(body) < (0 if length is None else int(length[1])):
            return None
        self.held = b""
        headers = [line.decode("ascii").split(": ", 1) for line in head.split(b"\r\n")[1:]]
        return Reply(int(head[9:12]), tuple((name.lower(), value) for name, value in headers), body)


@frozen
class Outcome:
    """What one load came to."""

    load: str
    count: int
    """Messages that were answered."""
    requests: int
    """For which so many requests were made."""
    seconds: float
    server_cpu_us: float
    """For each request."""
    server_cpu_us_message: float
    """For each message."""
    generator_cpu_us: float
    """For each request."""


class Crowd:
    """Some talkers and their connections."""

    def __init__(self, port: int, server_pid: int) -> None:
        self._port = port
        self._pid = server_pid
        self._selector = DefaultSelector()
        self._idle: dict[Talker, list[Way]] = {}

    def ask(self, talker: Talker) -> None:
        """Make the requests that are due."""
        for request, data in talker.due():
            idle = self._idle.setdefault(talker, [])
            if idle:
                way = idle.pop()
                way.request = request
            else:
                connected = socket.create_connection(("127.0.0.1", self._port), PATIENCE_SECONDS)
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                way = Way(connected, talker, request)
                self._selector.register(connected, EVENT_READ, way)
            way.socket.sendall(data)

    def replies(self) -> list[tuple[Talker, int]]:
        """Wait until something comes; return which talkers got a reply, and how many messages it answers.

        Raises:
            Lost: Nothing comes.
        """
        ready = self._selector.select(PATIENCE_SECONDS)
        if not ready:
            raise Lost(f"nothing has come for {PATIENCE_SECONDS:g} s")
        found: list[tuple[Talker, int]] = []
        for key, _ in ready:
            way: Way = key.data
            reply = way.read()
            if reply is not None:
                self._idle[way.talker].append(way)
                found.append((way.talker, way.talker.take(way.request, reply)))
        return found

    def measured(self, load: str, talkers: Sequence[Talker], together: int, seconds: float) -> Outcome:
        """Let each talker have so many messages under way for so long."""
        clock, own, server = time.perf_counter(), time.process_time(), process_cpu_seconds(self._pid)
        requests, count = self.run(talkers, together, seconds)
        spent = (process_cpu_seconds(self._pid) - server) * 1e6
        generator = (time.process_time() - own) * 1e6
        return Outcome(
            load, count, requests, time.perf_counter() - clock, spent / requests, spent / count, generator / requests
        )

    def run(self, talkers: Sequence[Talker], together: int, seconds: float) -> tuple[int, int]:
        """See `measured`; return how many requests and how many messages were answered."""
        waiting = dict.fromkeys(talkers, together)
        requests = count = 0
        until = time.perf_counter() + seconds
        for talker in talkers:
            talker.say(together)
            self.ask(talker)
        while waiting:
            for talker, answered in self.replies():
                requests += 1
                count += answered
                if talker in waiting:
                    waiting[talker] -= answered
                    if not waiting[talker]:
                        if time.perf_counter() < until:
                            waiting[talker] = together
                            talker.say(together)
                        else:
                            del waiting[talker]
                self.ask(talker)
        return requests, count


def main(arguments: Sequence[str] | None = None) -> int:
    """Bring the clients up, run the loads, print what each came to; 0, or 1 if the server did not play along."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.polls.generator", description=__doc__)
    parser.add_argument("kind", choices=("plain", "hawser"), help="what is asked")
    parser.add_argument("port", type=int, help="where the server listens, on 127.0.0.1")
    parser.add_argument("--server-pid", type=int, required=True, help="its process, whose CPU time is measured")
    parser.add_argument("--clients", type=int, default=16, help="how many ask at the same time (16)")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long each load lasts (2)")
    options = parser.parse_args(arguments)
    authority = f"127.0.0.1:{options.port}"
    try:
        crowd = Crowd(options.port, options.server_pid)
        talkers: list[Talker] = []
        for _ in range(options.clients):
            talker = Session(authority) if options.kind == "hawser" else Plain(authority)
            talkers.append(talker)
            crowd.ask(talker)
            while isinstance(talker, Session) and not talker.opened:
                for each, _ in crowd.replies():
                    crowd.ask(each)
        crowd.run(talkers, 1, options.seconds / WARM_UP)
        gc.freeze()
        print(json.dumps(asdict(crowd.measured("one message", talkers, 1, options.seconds))), flush=True)
        if options.kind == "hawser":
            outcome = crowd.measured(f"{LOADED} messages at once", talkers, LOADED, options.seconds)
            print(json.dumps(asdict(outcome)), flush=True)
    except (Lost, OSError) as error:
        print(f"{options.kind}: {type(error).__name__}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
