"""Sessions that take what they are told to take, for the state of channels, which asks no more of them."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from attrs import field, frozen

from hawser_engine import codec
from hawser_engine.batch import Batch
from hawser_engine.channels.chunks import Chunk
from hawser_engine.channels.entries import Entry, Retention
from hawser_engine.channels.memberships import Outlet
from hawser_engine.channels.overflow import Overflow
from hawser_engine.messages import AnyMessage, decode_message
from hawser_engine.packets import Message

if TYPE_CHECKING:
    from hawser_engine.channels.channel import Channel

EPOCH, OTHER = b"epoch..1", b"epoch..2"


@frozen
class Declared:
    """What a channel is declared to be."""

    retention: Retention = field(factory=Retention)
    overflow: Overflow = Overflow.CATCH_UP
    about: frozenset[str] = frozenset()


class Reader(Outlet):
    """A session that takes so many messages, and remembers them.

    Args:
        room: How many messages it takes.
        message_bytes: The longest that it takes.
        name: What names it to others.
        served: Told of each attempt to deliver something at once, in order.
    """

    def __init__(
        self,
        *,
        room: float = inf,
        message_bytes: int = 1_000,
        name: str | None = None,
        served: list[Reader] | None = None,
    ) -> None:
        self.room = room
        self.taken: list[Batch | bytes] = []
        self.volatile = 0
        self.fed = 0
        self.flushes = 0
        self.waits = 0
        """Of what was taken, how much was not flushed yet."""
        self._message_bytes = message_bytes
        self._name = name
        self._served = [] if served is None else served

    @property
    def message_bytes(self) -> int:
        return self._message_bytes

    @property
    def name(self) -> str | None:
        return self._name

    def deliver(self, batch: Batch, now: float) -> bool:
        self._served.append(self)
        taken = self.offer(batch, now)
        if taken:
            self.waits = 0
        return taken

    def offer(self, batch: Batch, now: float) -> bool:
        taken = batch.count <= self.room and batch.longest <= self._message_bytes
        if taken:
            self.room -= batch.count
            self.waits += 1
            self.taken.append(batch)
        return taken

    def queue(self, body: bytes) -> bool:
        taken = self.room > 0
        if taken:
            self.room -= 1
            self.taken.append(body)
        return taken

    def flush(self, now: float) -> None:
        self.flushes += 1
        self.waits = 0

    def deliver_volatile(self, packet: bytes, now: float) -> bool:
        self.volatile += self.room > 0
        return self.room > 0

    def feed(self) -> None:
        self.fed += 1

    @property
    def told(self) -> list[AnyMessage]:
        """All that it took, in order."""
        bodies: list[bytes] = []
        for each in self.taken:
            bodies += bodies_of(each) if isinstance(each, Batch) else [each]
        return [message for body in bodies if (message := decode_message(body)) is not None]


def bodies_of(batch: Batch) -> list[bytes]:
    """The messages of a batch."""
    bodies: list[bytes] = []
    position = 0
    while position < len(batch.data):
        taken = codec.next_packet(batch.data, position)
        assert taken is not None
        packet, position = taken
        assert isinstance(packet, Message)
        bodies.append(packet.body)
    return bodies


def entries(first: int, last: int, size: int = 1) -> list[Entry]:
    """Publications from one offset to another."""
    return [Entry(offset, bytes(size), 0) for offset in range(first, last + 1)]


def next_chunk(channel: Channel) -> Chunk:
    """Take the chunk that is to be delivered next."""
    chunk = channel.chunks[0]
    channel.delivered()
    assert isinstance(chunk, Chunk)
    return chunk
