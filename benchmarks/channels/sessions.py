"""Sessions of the engine over sockets that block: each asks one thing at a time and waits for the answer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final, TypeVar

from benchmarks.peers.generator.wire import BINARY, Frames, Lost, dial, masked
from hawser_engine import (
    Client,
    ConnectionTerminated,
    EngineConfig,
    MessageReceived,
    SessionReset,
    decode_value,
    encode_value,
)
from hawser_engine.calls import Call, Reply
from hawser_engine.codes import SubscribeStatus
from hawser_engine.messages import (
    PRESENCE,
    ChannelRequest,
    Publication,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    decode_message,
    encode_body,
)
from hawser_engine.presence import Presence, Present

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Session"]

AnswerT = TypeVar("AnswerT", Subscribed, Present, Reply)

READ_BYTES: Final = 65_536
PATIENCE_SECONDS: Final = 120.0
"""A server that looks at every allocation takes its time over the last of many channels."""
CONFIG: Final = EngineConfig()


class Session:
    """One session, attached; it ends with the process.

    Args:
        port: Where the server listens, on 127.0.0.1.
    """

    def __init__(self, port: int) -> None:
        self._socket, early = dial(port, "/", "hawser.v1")
        self._socket.settimeout(PATIENCE_SECONDS)
        self._frames = Frames()
        self._batches = self._frames.take(early)
        self._client = Client(CONFIG, time.monotonic(), features=(PRESENCE,))
        self._connection = self._client.connect(time.monotonic())
        self._last_id = self._unanswered = self._received = 0
        self._write()
        while not self._client.session.opened:
            self._read()
            self._write()

    def subscribe(self, names: Sequence[str]) -> None:
        """Subscribe to channels from now on."""
        wanted = tuple(ChannelRequest(name, None) for name in names)
        answer = self._ask(Subscribe(self._next_id(), wanted), Subscribed)
        if any(one.status != SubscribeStatus.LIVE for one in answer.channels):
            raise Lost(f"subscribing was answered {answer!r}")

    def publish(self, names: Sequence[str]) -> None:
        """Publish an empty payload to channels that it has subscribed to, and take what comes of that."""
        for name in names:
            self._client.session.send(encode_body(Publish(self._next_id(), name, b"", None)), time.monotonic())
        self._write()
        missing = {Published: len(names), Publication: len(names)}
        while any(missing.values()):
            for message in self._read():
                if isinstance(message, Published | Publication):
                    missing[type(message)] -= 1
            self._write()

    def appear(self, name: str, *, watch: bool) -> None:
        """Be a member of a channel, and perhaps watch who else is."""
        answer = self._ask(Presence(self._next_id(), name, int(watch), b""), Present)
        if answer.member is None:
            raise Lost(f"appearing was answered {answer!r}")

    def watch(self, name: str) -> None:
        """Watch who is a member of a channel, and be none."""
        self._ask(Presence(self._next_id(), name, 1, None), Present)

    def flap(self, name: str, *, here: bool) -> None:
        """Come to a channel as a member, or leave it, without waiting for the answer; see `answered`."""
        self._unanswered += 1
        request = Presence(self._next_id(), name, 0, b"" if here else None)
        self._client.session.send(encode_body(request), time.monotonic())
        self._write()

    def answered(self) -> None:
        """Wait until everything that was asked is answered."""
        while self._unanswered:
            self._unanswered -= sum(isinstance(message, Present) for message in self._read())
            self._write()

    def take(self) -> int:
        """Take what has come by now; how many bytes that is."""
        before = self._received
        self._socket.setblocking(False)
        try:
            while True:
                self._read()
        except BlockingIOError:
            self._socket.settimeout(PATIENCE_SECONDS)
        self._write()
        return self._received - before

    def call(self, procedure: str, *arguments: object) -> Any:
        """Call a procedure."""
        return decode_value(self._ask(Call(self._next_id(), procedure, encode_value([*arguments]), None), Reply).data)

    def _next_id(self) -> int:
        self._last_id += 1
        return self._last_id

    def _ask(self, request: Subscribe | Presence | Call, kind: type[AnswerT]) -> AnswerT:
        self._client.session.send(encode_body(request), time.monotonic())
        self._write()
        while True:
            for message in self._read():
                if isinstance(message, kind):
                    return message

    def _read(self) -> list[object]:
        """Wait for the server's next batch; return the messages in it.

        Raises:
            Lost: The session is over.
        """
        while not self._batches:
            data = self._socket.recv(READ_BYTES)
            if not data:
                raise Lost("the server has hung up")
            self._received += len(data)
            self._batches = self._frames.take(data)
        now = time.monotonic()
        messages: list[object] = []
        self._connection.receive_batch(self._batches.pop(0), now)
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, MessageReceived):
                messages.append(decode_message(event.body))
                self._client.session.delivered(event.number, now)
            elif isinstance(event, ConnectionTerminated | SessionReset):
                raise Lost(f"the session has ended: {event!r}")
        return messages

    def _write(self) -> None:
        batches = self._connection.data_to_send()
        if batches:
            self._socket.sendall(b"".join([masked(BINARY, batch) for batch in batches]))
            self._connection.written(time.monotonic())
