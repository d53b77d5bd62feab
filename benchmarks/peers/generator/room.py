"""The connections of one run: brought up, then driven through one load after the other by one loop over a selector."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from selectors import EVENT_READ, DefaultSelector
from typing import TYPE_CHECKING, Final, Self

from attrs import frozen

from hawser.cli.bench.meter import process_cpu_seconds

from .wire import Counter, Frames, Lost, dial, masked

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable
    from types import TracebackType

    from .conversations import Conversation

__all__ = ["Member", "Outcome", "Room", "Subscriber", "Talker"]

AT_ONCE: Final = 64
"""Connections that are brought up side by side."""
PATIENCE_SECONDS: Final = 20.0
"""When nothing has arrived for so long, nothing will."""
READ_BYTES: Final = 65_536


@frozen
class Outcome:
    """What one load came to."""

    load: str
    count: int
    """Deliveries or echoes."""
    seconds: float
    server_cpu_us: float
    """For each of them."""
    generator_cpu_us: float


class Member(ABC):
    """One connection."""

    __slots__ = ("conversation", "socket")

    def __init__(self, connected: socket.socket, conversation: Conversation) -> None:
        self.socket = connected
        self.conversation = conversation

    def read(self) -> bytes:
        """What has arrived.

        Raises:
            Lost: The server has hung up.
        """
        data = self.socket.recv(READ_BYTES)
        if not data:
            raise Lost("the server has hung up")
        return data

    @abstractmethod
    def take(self) -> int:
        """Read and react; return how many deliveries or answers were new."""

    def write(self, data: bytes) -> None:
        """Send; never more is under way than a socket holds.

        Raises:
            Lost: It does not.
        """
        if data and self.socket.send(data) < len(data):
            raise Lost("the server does not read")


class Subscriber(Member):
    """Counts what is delivered."""

    __slots__ = ("_counter", "_every", "_stated", "count")

    def __init__(self, connected: socket.socket, conversation: Conversation) -> None:
        super().__init__(connected, conversation)
        self.count: int = 0
        """Deliveries so far."""
        self._counter = Counter()
        self._every = conversation.acknowledge_every
        self._stated = 0

    def take(self) -> int:
        """See `Member.take`."""
        new = self._counter.take(self.read())
        self.count += new
        if self._every is not None and self.count - self._stated >= self._every:
            self._stated = self.count
            self.write(self.conversation.acknowledgement(self.count))
        return new


class Talker(Member):
    """Publishes, or echoes."""

    __slots__ = ()

    def take(self) -> int:
        """See `Member.take`."""
        answered, reaction = self.conversation.answer(self.read())
        self.write(reaction)
        return answered


class Room:
    """A publisher, its subscribers, and some that echo; to be used as a context manager.

    Args:
        port: Of the server.
        make: Makes the conversation of one connection.
        server_pid: The process whose CPU time is the figure.
    """

    def __init__(self, port: int, make: Callable[[], Conversation], server_pid: int) -> None:
        self._port = port
        self._make = make
        self._pid = server_pid
        self._open = ExitStack()
        self._selector = self._open.enter_context(DefaultSelector())
        self.subscribers: list[Subscriber] = []
        self.echoers: list[Talker] = []
        self.publisher: Talker | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def fill(self, subscribers: int, echoers: int) -> None:
        """Bring all connections up."""
        for first in range(0, subscribers, AT_ONCE):
            entered = self._enter(min(AT_ONCE, subscribers - first), subscribe=True)
            self.subscribers += [Subscriber(*each) for each in entered]
        for first in range(0, echoers, AT_ONCE):
            self.echoers += [Talker(*each) for each in self._enter(min(AT_ONCE, echoers - first), subscribe=False)]
        (publisher,) = self._enter(1, subscribe=False)
        self.publisher = Talker(*publisher)
        for member in (*self.subscribers, *self.echoers, self.publisher):
            member.socket.setblocking(False)
            self._selector.register(member.socket, EVENT_READ, member)

    def _enter(self, count: int, *, subscribe: bool) -> list[tuple[socket.socket, Conversation]]:
        """Bring some connections up, side by side: each step of all before the next step of any."""
        begun: list[tuple[socket.socket, Conversation]] = []
        waiting: list[_Entry] = []
        for _ in range(count):
            conversation = self._make()
            connected, early = dial(self._port, conversation.path, conversation.subprotocol)
            self._open.callback(connected.close)
            begun.append((connected, conversation))
            entry = _Entry(connected, conversation, early, subscribe=subscribe)
            if entry.begin():
                waiting.append(entry)
        while waiting:
            waiting = [entry for entry in waiting if entry.go_on()]
        return begun

    def arrivals(self) -> list[Member]:
        """Wait until something arrives; return the connections where.

        Raises:
            Lost: Nothing does.
        """
        ready = self._selector.select(PATIENCE_SECONDS)
        if not ready:
            raise Lost(f"nothing has arrived for {PATIENCE_SECONDS:g} s")
        return [key.data for key, _ in ready]

    def measured(self, load: str, run: Callable[[], int]) -> Outcome:
        """Run something and return what it took.

        Args:
            load: Its name.
            run: Returns how many operations it was; when it returns, all of them are done.
        """
        clock, own, server = time.perf_counter(), time.process_time(), process_cpu_seconds(self._pid)
        count = run()
        seconds = time.perf_counter() - clock
        server_us = (process_cpu_seconds(self._pid) - server) * 1e6 / count
        return Outcome(load, count, seconds, server_us, (time.process_time() - own) * 1e6 / count)


class _Entry:
    """One connection that is being brought up, over its socket, which still blocks."""

    def __init__(self, connected: socket.socket, conversation: Conversation, early: bytes, *, subscribe: bool) -> None:
        self._socket = connected
        self._frame = conversation.frame
        self._entering = conversation.enter(subscribe=subscribe)
        self._frames = Frames()
        self._messages = self._frames.take(early)

    def begin(self) -> bool:
        """Say the first word; answer whether there is more to come."""
        return self._step(None)

    def go_on(self) -> bool:
        """Wait for the server's next message; answer whether there is more to come."""
        while not self._messages:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise Lost("the server hung up on somebody who came in")
            self._messages = self._frames.take(data)
        return self._step(self._messages.pop(0))

    def _step(self, message: bytes | None) -> bool:
        try:
            words = next(self._entering) if message is None else self._entering.send(message)
        except StopIteration as done:
            self._say(done.value)
            return False
        self._say(words)
        return True

    def _say(self, words: list[bytes]) -> None:
        if words:
            self._socket.sendall(b"".join([masked(self._frame, word) for word in words]))
