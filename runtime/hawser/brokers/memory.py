"""The memory broker: one process, nothing survives it.

Everything happens synchronously in one step, so a cancelled call has done nothing. Each channel gets an epoch of
its own when it is first heard of; a channel that had to make room begins anew under another epoch, so a position
from before is recognised as lost, never mistaken.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from functools import cached_property
from math import inf
from typing import TYPE_CHECKING

import trio

from hawser.amounts import check_amounts
from hawser_engine.channels.entries import Entry, History, Retention
from hawser_engine.messages import Position

from .base import Broker, LossSink, PositionMoved, Published, Sink
from .keys import KEYS_MAX
from .memory_history import HISTORY_BYTES_MAX, HistoryBudget, Log, Newest
from .memory_keys import MemoryKeys
from .memory_mailboxes import MemoryMailboxes
from .watching import Watchers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hawser_engine.messages import About

    from .memory_history import Past


class _Stream:
    """One channel; of the many of which nothing is kept there is no more than where they stand."""

    __slots__ = ("epoch", "past", "sinks", "time_ms", "top")

    def __init__(self, epoch: bytes) -> None:
        self.epoch = epoch
        self.top = 0
        self.time_ms = 0
        self.sinks: tuple[Sink, ...] = ()
        self.past: Past | None = None

    def append(self, data: bytes, about: About | None, retention: Retention, now_ms: int) -> Entry:
        self.top += 1
        self.time_ms = max(self.time_ms, now_ms)  # a clock that was set back does not turn the order around
        entry = Entry(self.top, data, self.time_ms, about)
        past = self.past
        if past is None and not (retention.messages or retention.latest):
            return entry
        if past is None or past.latest != retention.latest:
            past = self.past = (Newest if retention.latest else Log)(self.top - 1)
        past.append(entry, retention, now_ms)
        return entry

    @property
    def first(self) -> int:
        """From this offset on nothing is missing."""
        return self.top + 1 if self.past is None else self.past.first

    def after(self, offset: int) -> Iterator[Entry]:
        """What is kept behind an offset."""
        return iter(()) if self.past is None else self.past.after(offset)

    def before(self, offset: int) -> Iterator[Entry]:
        """What is kept below an offset, the newest first."""
        return iter(()) if self.past is None else self.past.before(offset)

    def position(self) -> Position:
        return Position(self.epoch, self.top)


def _bounded(entries: Iterator[Entry], limit: int, limit_bytes: int) -> list[Entry]:
    """The first ones, within bounds, but always one."""
    taken: list[Entry] = []
    size = 0
    for entry in entries:
        size += len(entry.data)
        if len(taken) == limit or (taken and size > limit_bytes):
            break
        taken.append(entry)
    return taken


class MemoryBroker(Broker):
    """Keeps everything in this process.

    Args:
        random_bytes: Where epochs come from, and the names of nodes and of their leases.
        clock: Seconds since the beginning of 1970 (UTC): what publications are dated and become old by.
        channels_max: Channels kept at once; beyond, the one unused for longest that nobody has joined makes room.
        keys_max: Idempotency keys kept at once, of publications and letters; beyond, the oldest of whoever has the most
            is forgotten before its time, and the log says so.
        bytes_max: So much history all channels keep together; beyond, the oldest of the channel used longest ago goes
            before its time, who comes for it is told, and the log says so. A channel is used when something is
            published to it, or its history is read. What counts is payloads and 256 bytes for each publication, as
            much again where it carries something, and for each of its tags; not what a channel takes itself, about
            1 KiB. What is too old counts until its channel is used, or has its turn. And so much all mailboxes have
            of letters, counted likewise; beyond, letters are refused.

    Raises:
        ValueError: An amount is below 1.
    """

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], float] = time.time,
        channels_max: int = 100_000,
        keys_max: int = KEYS_MAX,
        bytes_max: int = HISTORY_BYTES_MAX,
    ) -> None:
        check_amounts(1, channels_max=channels_max, keys_max=keys_max, bytes_max=bytes_max)
        self._random_bytes = random_bytes
        self._clock = clock
        self._channels_max = channels_max
        self._streams: dict[str, _Stream] = {}
        self._watchers = Watchers()
        self._idle: OrderedDict[str, None] = OrderedDict()  # channels nobody has joined, longest unused first
        self._keys = MemoryKeys(keys_max)
        self._budget = HistoryBudget(bytes_max)

    @cached_property
    def mailboxes(self) -> MemoryMailboxes:
        """See `Broker.mailboxes`."""
        return MemoryMailboxes(
            self, random_bytes=self._random_bytes, clock=self._clock, keys=self._keys, bytes_max=self.bytes_max
        )

    @property
    def keys_max(self) -> int:
        """Idempotency keys kept at once; may be changed while it is used."""
        return self._keys.keys_max

    @keys_max.setter
    def keys_max(self, keys_max: int) -> None:
        self._keys.keys_max = keys_max

    @property
    def bytes_max(self) -> int:
        """How much all channels keep, and all mailboxes; may be changed while it is used."""
        return self._budget.bytes_max

    @bytes_max.setter
    def bytes_max(self, bytes_max: int) -> None:
        check_amounts(1, bytes_max=bytes_max)
        self._budget.bytes_max = self.mailboxes.bytes_max = bytes_max

    @property
    def history_cut(self) -> int:
        """See `Broker.history_cut`."""
        return self._budget.cut

    async def publish(
        self,
        channel: str,
        data: bytes,
        *,
        retention: Retention,
        key: bytes | None = None,
        about: About | None = None,
        expected: Position | None = None,
    ) -> Published:
        """See `Broker.publish`."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        known = self._keys.known(channel, key, now)
        if known is not None:
            return Published(known, True)
        stream = self._stream(channel)
        if expected is not None and stream.position() != expected:
            raise PositionMoved(channel, stream.position())
        now_ms = self._now_ms()
        entry = stream.append(data, about, retention, now_ms)
        if stream.past is not None:
            self._budget.use(channel, stream.past, now, now_ms)
        position = Position(stream.epoch, entry.offset)
        self._keys.remember(channel, key, position, now)
        for sink in self._watchers.sinks(channel, stream.sinks):
            sink(channel, stream.epoch, (entry,))
        return Published(position, False)

    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        """See `Broker.publish_volatile`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        entry = Entry(stream.top, data, self._now_ms(), about, volatile=True)
        for sink in self._watchers.sinks(channel, stream.sinks):
            sink(channel, stream.epoch, (entry,))
        return stream.position()

    async def join(self, channel: str, sink: Sink) -> Position:
        """See `Broker.join`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        stream.sinks = (*stream.sinks, sink)
        self._idle.pop(channel, None)
        return stream.position()

    async def leave(self, channel: str, sink: Sink) -> None:
        """See `Broker.leave`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        stream.sinks = tuple(other for other in stream.sinks if other != sink)
        self._touch(channel, stream)

    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        """See `Broker.watch`."""
        await trio.lowlevel.checkpoint()
        self._watchers.add(pattern, sink)

    async def unwatch(self, pattern: str, sink: Sink) -> None:
        """See `Broker.unwatch`."""
        await trio.lowlevel.checkpoint()
        self._watchers.remove(pattern, sink)

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        """See `Broker.history`."""
        await trio.lowlevel.checkpoint()
        stream, now_ms = self._stream(channel), self._now_ms()
        self._read(channel, stream, now_ms)
        young = (entry for entry in stream.after(after) if now_ms - entry.time_ms <= seconds * 1_000)
        return History(stream.position(), stream.first, tuple(_bounded(young, limit, limit_bytes)))

    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        """See `Broker.history_before`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        self._read(channel, stream, self._now_ms())
        newest = _bounded(stream.before(before), limit, limit_bytes)
        return History(stream.position(), stream.first, tuple(reversed(newest)))

    def _read(self, channel: str, stream: _Stream, now_ms: int) -> None:
        """History is about to be read: nothing of it is too old, and the channel is used."""
        if stream.past is not None:
            stream.past.forget(now_ms)
            self._budget.use(channel, stream.past, trio.current_time(), now_ms)

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)

    def _stream(self, channel: str) -> _Stream:
        stream = self._streams.get(channel)
        if stream is None:
            if len(self._streams) >= self._channels_max and self._idle:
                oldest, _ = self._idle.popitem(last=False)
                self._budget.remove(oldest)
                del self._streams[oldest]
            stream = self._streams[channel] = _Stream(self._random_bytes(8))
        self._touch(channel, stream)
        return stream

    def _touch(self, channel: str, stream: _Stream) -> None:
        if not stream.sinks:
            self._idle[channel] = None
            self._idle.move_to_end(channel)
