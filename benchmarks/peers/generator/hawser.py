"""The conversation with a whole Hawser server: a session of the engine, which a subscriber then only counts on.

A session that publishes or calls is the engine's from beginning to end. A subscriber is until it has subscribed; from
then on it would decode a publication only to count it, so it is counted here, and acknowledged as the engine does.
"""

from __future__ import annotations

import time
from typing import ClassVar, Final

from hawser_engine import Client, ConnectionTerminated, EngineConfig, MessageReceived, SessionReset, encode_value
from hawser_engine.calls import Call, Reply
from hawser_engine.codec import encode_ack
from hawser_engine.codes import SubscribeStatus
from hawser_engine.messages import (
    ChannelRequest,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    decode_message,
    encode_body,
)

from . import MARKER, SIZE
from .conversations import Conversation, Entering
from .wire import BINARY, Frames, Lost, masked

__all__ = ["Hawser"]

CHANNEL: Final = "room:peers"
CONFIG: Final = EngineConfig()
PAYLOAD: Final = b"-" * (SIZE - len(MARKER)) + MARKER


class Hawser(Conversation):
    """One session; see the module.

    Args:
        channels: What a subscriber subscribes to; a publisher publishes to the first.
    """

    subprotocol = "hawser.v1"
    acknowledge_every: ClassVar[int | None] = CONFIG.ack_messages

    def __init__(self, channels: tuple[str, ...] = (CHANNEL,)) -> None:
        super().__init__()
        self.channel: str = channels[0]
        """Where the next publication goes."""
        self._channels = channels
        self._frames = Frames()
        self._client = Client(CONFIG, time.monotonic())
        self._connection = self._client.connect(time.monotonic())
        self._next_id = 0
        self._before = 0, 0  # received and sent when the counting of deliveries began

    def enter(self, *, subscribe: bool) -> Entering:
        """See `Conversation.enter`."""
        while not self._client.session.opened:
            self._take((yield self._connection.data_to_send()))
        if not subscribe:
            return self._connection.data_to_send()
        self._next_id += 1
        answers: list[object] = []
        self._send(encode_body(Subscribe(self._next_id, tuple(ChannelRequest(name, None) for name in self._channels))))
        while not answers:
            answers = self._take((yield self._connection.data_to_send()))
        (answer,) = answers
        if not isinstance(answer, Subscribed) or any(one.status != SubscribeStatus.LIVE for one in answer.channels):
            raise Lost(f"subscribing was answered {answer!r}")
        session = self._client.session
        self._before = session.inbox.delivered, session.outbox.sent
        return self._connection.data_to_send()

    def publication(self) -> bytes:
        """See `Conversation.publication`."""
        self._next_id += 1
        return self._framed(encode_body(Publish(self._next_id, self.channel, encode_value(PAYLOAD), None)))

    def request(self) -> bytes:
        """See `Conversation.request`."""
        self._next_id += 1
        return self._framed(encode_body(Call(self._next_id, "echo", encode_value([PAYLOAD]), None)))

    def answer(self, data: bytes) -> tuple[int, bytes]:
        """See `Conversation.answer`."""
        answered = 0
        for batch in self._frames.take(data):
            for message in self._take(batch):
                if not isinstance(message, Reply | Published):
                    raise Lost(f"saw {message!r}, expected an answer")
                answered += 1
        return answered, self._leaving()

    def acknowledgement(self, delivered: int) -> bytes:
        """See `Conversation.acknowledgement`."""
        received, sent = self._before
        return masked(BINARY, encode_ack(received + delivered, received + delivered, sent))

    def _take(self, batch: bytes) -> list[object]:
        """Give the engine a batch; return the messages in it."""
        now = time.monotonic()
        messages: list[object] = []
        self._connection.receive_batch(batch, now)
        while (event := self._connection.next_event()) is not None:
            if isinstance(event, MessageReceived):
                messages.append(decode_message(event.body))
                self._client.session.delivered(event.number, now)
            elif isinstance(event, ConnectionTerminated | SessionReset):
                raise Lost(f"the session has ended: {event!r}")
        return messages

    def _send(self, body: bytes) -> None:
        self._client.session.send(body, time.monotonic())

    def _framed(self, body: bytes) -> bytes:
        self._send(body)
        return self._leaving()

    def _leaving(self) -> bytes:
        batches = self._connection.data_to_send()
        self._connection.written(time.monotonic())
        return b"".join([masked(BINARY, batch) for batch in batches])
