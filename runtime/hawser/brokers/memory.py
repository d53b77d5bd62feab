"""The memory broker: one process, nothing survives it.

Everything happens synchronously in one step, so a cancelled call has done nothing. Each channel gets an epoch of
its own when it is first heard of; a channel that had to make room begins anew under another epoch, so a position
from before is recognised as lost, never mistaken.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict, deque
from functools import cached_property
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from hawser_engine.channels.entries import Entry, History, Retention
from hawser_engine.channels.latest import Latest
from hawser_engine.messages import Position

from .base import Broker, Published, Sink
from .keys import KEYS_MAX
from .memory_keys import MemoryKeys
from .memory_mailboxes import MemoryMailboxes
from .watching import Watchers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hawser_engine.messages import About


class _Newest:
    """What is kept of a channel that keeps the latest by key (SPEC LAT-1)."""

    __slots__ = ("_entries", "_latest")

    def __init__(self, floor: int) -> None:
        self._latest = Latest(floor)
        self._entries: dict[int, Entry] = {}

    @property
    def first(self) -> int:
        return self._latest.floor + 1

    def append(self, entry: Entry) -> None:
        key = None if entry.about is None else entry.about.latest_key
        replaced = self._latest.add(entry.offset, key, len(entry.data), entry.time_ms)
        if replaced is not None:
            del self._entries[replaced]
        self._entries[entry.offset] = entry

    def forget(self, retention: Retention, now_ms: int) -> None:
        since = now_ms - retention.seconds * 1_000
        for offset in self._latest.trim(retention.messages, retention.bytes, since):
            del self._entries[offset]

    def after(self, offset: int) -> Iterator[Entry]:
        return map(self._entries.__getitem__, self._latest.after(offset))

    def before(self, offset: int) -> Iterator[Entry]:
        return map(self._entries.__getitem__, self._latest.before(offset))


_NOTHING: Final = Retention()


class _Stream:
    """One channel; of the many of which nothing is kept there is no more than where they stand."""

    __slots__ = ("bytes_held", "entries", "epoch", "newest", "retention", "sinks", "time_ms", "top")

    def __init__(self, epoch: bytes) -> None:
        self.epoch = epoch
        self.top = 0
        self.entries: deque[Entry] | None = None
        self.bytes_held = 0
        self.time_ms = 0
        self.retention = _NOTHING
        self.sinks: tuple[Sink, ...] = ()
        self.newest: _Newest | None = None
        """In place of ``entries``, where only the latest by key is kept."""

    def append(self, data: bytes, about: About | None, retention: Retention, now_ms: int) -> Entry:
        self.top += 1
        self.time_ms = max(self.time_ms, now_ms)  # a clock that was set back does not turn the order around
        entry = Entry(self.top, data, self.time_ms, about)
        if retention.latest != self.retention.latest:
            self._begin_anew(retention)
        self.retention = retention
        if self.newest is not None:
            self.forget(now_ms)  # what was too old is lost, and not replaced: readers were told so
            self.newest.append(entry)
            self.forget(now_ms)
            return entry
        if self.entries is None:
            if not retention.messages:
                return entry
            self.entries = deque()
        self.entries.append(entry)
        self.bytes_held += len(data)
        while self.entries and (len(self.entries) > retention.messages or self.bytes_held > retention.bytes):
            self.bytes_held -= len(self.entries.popleft().data)
        self.forget(now_ms)
        return entry

    def forget(self, now_ms: int) -> None:
        """Drop what is too old; of the latest by key, whatever exceeds a bound."""
        if self.newest is not None:
            self.newest.forget(self.retention, now_ms)
        while self.entries and now_ms - self.entries[0].time_ms > self.retention.seconds * 1_000:
            self.bytes_held -= len(self.entries.popleft().data)

    @property
    def first(self) -> int:
        """From this offset on nothing is missing."""
        return self.top - len(self.entries or ()) + 1 if self.newest is None else self.newest.first

    def after(self, offset: int) -> Iterator[Entry]:
        """What is kept behind an offset."""
        if self.newest is not None:
            return self.newest.after(offset)
        return islice(self.entries or (), max(0, offset + 1 - self.first), None)

    def before(self, offset: int) -> Iterator[Entry]:
        """What is kept below an offset, the newest first."""
        if self.newest is not None:
            return self.newest.before(offset)
        return islice(reversed(self.entries or ()), max(0, self.top + 1 - offset), None)

    def position(self) -> Position:
        return Position(self.epoch, self.top)

    def _begin_anew(self, retention: Retention) -> None:
        self.entries = None
        self.bytes_held = 0
        self.newest = _Newest(self.top - 1) if retention.latest else None


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
    """

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], float] = time.time,
        channels_max: int = 100_000,
        keys_max: int = KEYS_MAX,
    ) -> None:
        self._random_bytes = random_bytes
        self._clock = clock
        self._channels_max = channels_max
        self._streams: dict[str, _Stream] = {}
        self._watchers = Watchers()
        self._idle: OrderedDict[str, None] = OrderedDict()  # channels nobody has joined, longest unused first
        self._keys = MemoryKeys(keys_max)

    @cached_property
    def mailboxes(self) -> MemoryMailboxes:
        """See `Broker.mailboxes`."""
        return MemoryMailboxes(self, random_bytes=self._random_bytes, clock=self._clock, keys=self._keys)

    @property
    def keys_max(self) -> int:
        """Idempotency keys kept at once; may be changed while it is used."""
        return self._keys.keys_max

    @keys_max.setter
    def keys_max(self, keys_max: int) -> None:
        self._keys.keys_max = keys_max

    async def publish(
        self, channel: str, data: bytes, *, retention: Retention, key: bytes | None = None, about: About | None = None
    ) -> Published:
        """See `Broker.publish`."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        known = self._keys.known(channel, key, now)
        if known is not None:
            return Published(known, True)
        stream = self._stream(channel)
        entry = stream.append(data, about, retention, self._now_ms())
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

    async def watch(self, pattern: str, sink: Sink) -> None:
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
        stream.forget(now_ms)
        young = (entry for entry in stream.after(after) if now_ms - entry.time_ms <= seconds * 1_000)
        return History(stream.position(), stream.first, tuple(_bounded(young, limit, limit_bytes)))

    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        """See `Broker.history_before`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        stream.forget(self._now_ms())
        newest = _bounded(stream.before(before), limit, limit_bytes)
        return History(stream.position(), stream.first, tuple(reversed(newest)))

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)

    def _stream(self, channel: str) -> _Stream:
        stream = self._streams.get(channel)
        if stream is None:
            if len(self._streams) >= self._channels_max and self._idle:
                oldest, _ = self._idle.popitem(last=False)
                del self._streams[oldest]
            stream = self._streams[channel] = _Stream(self._random_bytes(8))
        self._touch(channel, stream)
        return stream

    def _touch(self, channel: str, stream: _Stream) -> None:
        if not stream.sinks:
            self._idle.pop(channel, None)
            self._idle[channel] = None
