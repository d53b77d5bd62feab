"""What the generator says to each kind of server: one object for each connection, without a socket.

A conversation begins with `enter`: a generator that yields what to send and is sent the next message of the server,
until it returns what is still to be sent. Then the connection subscribes, or publishes, or echoes, and does only that.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar, TypeAlias

from benchmarks.peers.servers import ECHO, JOIN, PUBLISH

from . import MARKER, SIZE
from .wire import BINARY, TEXT, Counter, Lost, masked

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["Conversation", "Entering", "Plain", "SocketIO", "Subprotocol"]

Entering: TypeAlias = "Generator[list[bytes], bytes, list[bytes]]"
"""Yields messages to send, is sent the server's next one, and returns those that need no answer."""


class Conversation(ABC):
    """One connection's part."""

    path: ClassVar[str] = "/"
    subprotocol: ClassVar[str | None] = None
    frame: ClassVar[int] = BINARY
    """The kind of frame that messages travel in."""
    acknowledge_every: ClassVar[int | None] = None
    """After how many deliveries a subscriber has to say something; None: never."""

    def __init__(self) -> None:
        self._counter = Counter()

    @abstractmethod
    def enter(self, *, subscribe: bool) -> Entering:
        """Begin, and enter the room if that is wanted."""

    @abstractmethod
    def publication(self) -> bytes:
        """The next publication, framed."""

    @abstractmethod
    def request(self) -> bytes:
        """The next request, framed; its answer holds the marker once."""

    def answer(self, data: bytes) -> tuple[int, bytes]:
        """Take what has come to a connection that publishes or echoes.

        Returns:
            How many requests are answered with it, and what to send because of it.
        """
        return self._counter.take(data), b""

    def acknowledgement(self, delivered: int) -> bytes:
        """What a subscriber says after so many deliveries in all, framed."""
        raise NotImplementedError


class Plain(Conversation):
    """The servers whose messages are bytes, the first of which says what they are; see `benchmarks.peers.servers`."""

    _publication: ClassVar[bytes] = masked(BINARY, bytes((PUBLISH,)).ljust(SIZE - len(MARKER), b"-") + MARKER)
    _request: ClassVar[bytes] = masked(BINARY, bytes((ECHO,)).ljust(SIZE - len(MARKER), b"-") + MARKER)

    def enter(self, *, subscribe: bool) -> Entering:
        """See `Conversation.enter`."""
        if subscribe:
            answer = yield [bytes((JOIN,))]
            if answer != bytes((JOIN,)):
                raise Lost(f"joining was answered {answer!r}")
        return []

    def publication(self) -> bytes:
        """See `Conversation.publication`."""
        return self._publication

    def request(self) -> bytes:
        """See `Conversation.request`."""
        return self._request


class Subprotocol(Plain):
    """The same for a server that asks for Hawser's subprotocol."""

    subprotocol = "hawser.v1"


class SocketIO(Conversation):
    """Socket.IO 5 over Engine.IO 4, WebSocket from the start (https://socket.io/docs/v4/engine-io-protocol/).

    A packet is text: 0 opens, 40 connects, 42 is an event, 43 its acknowledgement; a number behind 42 asks for one.
    """

    path = "/socket.io/?EIO=4&transport=websocket"
    frame = TEXT

    _text: ClassVar[str] = "-" * (SIZE - len(MARKER)) + MARKER.decode()
    _publication: ClassVar[bytes] = masked(TEXT, b"42" + json.dumps(["publish", _text]).encode())
    _request: ClassVar[bytes] = masked(TEXT, b"420" + json.dumps(["echo", _text]).encode())

    def enter(self, *, subscribe: bool) -> Entering:
        """See `Conversation.enter`."""
        _expect(b"0{", (yield []))
        _expect(b"40", (yield [b"40"]))
        if subscribe:
            _expect(b"430", (yield [b'420["join",""]']))
        return []

    def publication(self) -> bytes:
        """See `Conversation.publication`."""
        return self._publication

    def request(self) -> bytes:
        """See `Conversation.request`."""
        return self._request


def _expect(beginning: bytes, message: bytes) -> None:
    if not message.startswith(beginning):
        raise Lost(f"saw {message!r}, expected {beginning!r}…")
