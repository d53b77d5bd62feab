"""The memory broker: one process, nothing survives it.

Everything happens synchronously in one step, so a cancelled call has done nothing. Each channel gets an epoch of
its own when it is first heard of; a channel that had to make room begins anew under another epoch, so a position
from before is recognised as lost, never mistaken.
"""

from __future__ import annotations

import secrets
import time
from collections import deque
from functools import cached_property
from itertools import dropwhile, islice
from math import inf
from typing import TYPE_CHECKING

import trio

from hawser_engine.messages import Position

from .base import KEY_WINDOW_SECONDS, Broker, Entry, History, Published, Retention, Sink
from .memory_mailboxes import MemoryMailboxes

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser_engine.messages import About


class _Stream:
    """One channel."""

    __slots__ = ("bytes_held", "entries", "epoch", "seconds", "sinks", "time_ms", "top")

    def __init__(self, epoch: bytes) -> None:
        self.epoch = epoch
        self.top = 0
        self.entries: deque[Entry] = deque()
        self.bytes_held = 0
        self.time_ms = 0
        self.seconds = inf
        self.sinks: list[Sink] = []

    def append(self, data: bytes, about: About | None, retention: Retention, now_ms: int) -> Entry:
        self.top += 1
        self.time_ms = max(self.time_ms, now_ms)  # a clock that was set back does not turn the order around
        self.seconds = retention.seconds
        entry = Entry(self.top, data, self.time_ms, about)
        self.entries.append(entry)
        self.bytes_held += len(data)
        while self.entries and (len(self.entries) > retention.messages or self.bytes_held > retention.bytes):
            self.bytes_held -= len(self.entries.popleft().data)
        self.forget(now_ms)
        return entry

    def forget(self, now_ms: int) -> None:
        """Drop what is too old."""
        while self.entries and now_ms - self.entries[0].time_ms > self.seconds * 1_000:
            self.bytes_held -= len(self.entries.popleft().data)

    def position(self) -> Position:
        return Position(self.epoch, self.top)


class MemoryBroker(Broker):
    """Keeps everything in this process.

    Args:
        random_bytes: Where epochs come from.
        clock: Seconds since the beginning of 1970 (UTC): what publications are dated and become old by.
        channels_max: Channels kept at once; beyond, the one unused for longest that nobody has joined makes room.
        keys_max: Idempotency keys kept at once; beyond, the oldest is forgotten before its time.
    """

    def __init__(
        self,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], float] = time.time,
        channels_max: int = 100_000,
        keys_max: int = 100_000,
    ) -> None:
        self._random_bytes = random_bytes
        self._clock = clock
        self._channels_max = channels_max
        self._keys_max = keys_max
        self._streams: dict[str, _Stream] = {}
        self._idle: dict[str, None] = {}  # channels nobody has joined, longest unused first
        self._keys: dict[tuple[str, bytes], tuple[Position, float]] = {}  # oldest first

    @cached_property
    def mailboxes(self) -> MemoryMailboxes:
        """See `Broker.mailboxes`."""
        return MemoryMailboxes(self, random_bytes=self._random_bytes, clock=self._clock)

    async def publish(
        self, channel: str, data: bytes, *, retention: Retention, key: bytes | None = None, about: About | None = None
    ) -> Published:
        """See `Broker.publish`."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        self._forget_keys(now)
        known = None if key is None else self._keys.get((channel, key))
        if known is not None:
            return Published(known[0], True)
        stream = self._stream(channel)
        entry = stream.append(data, about, retention, self._now_ms())
        position = Position(stream.epoch, entry.offset)
        if key is not None:
            if len(self._keys) >= self._keys_max:
                del self._keys[next(iter(self._keys))]
            self._keys[channel, key] = position, now + KEY_WINDOW_SECONDS
        for sink in stream.sinks:
            sink(channel, stream.epoch, (entry,))
        return Published(position, False)

    async def join(self, channel: str, sink: Sink) -> Position:
        """See `Broker.join`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        stream.sinks = [*stream.sinks, sink]
        self._idle.pop(channel, None)
        return stream.position()

    async def leave(self, channel: str, sink: Sink) -> None:
        """See `Broker.leave`."""
        await trio.lowlevel.checkpoint()
        stream = self._stream(channel)
        stream.sinks = [other for other in stream.sinks if other != sink]
        self._touch(channel, stream)

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        """See `Broker.history`."""
        await trio.lowlevel.checkpoint()
        stream, now_ms = self._stream(channel), self._now_ms()
        stream.forget(now_ms)
        first = stream.top - len(stream.entries) + 1
        wanted = islice(stream.entries, max(0, after + 1 - first), None)
        entries: list[Entry] = []
        size = 0
        for entry in dropwhile(lambda entry: now_ms - entry.time_ms > seconds * 1_000, wanted):
            size += len(entry.data)
            if len(entries) == limit or (entries and size > limit_bytes):
                break
            entries.append(entry)
        return History(stream.position(), first, tuple(entries))

    def _now_ms(self) -> int:
        return int(self._clock() * 1_000)

    def _stream(self, channel: str) -> _Stream:
        stream = self._streams.get(channel)
        if stream is None:
            if len(self._streams) >= self._channels_max and self._idle:
                oldest = next(iter(self._idle))
                del self._idle[oldest], self._streams[oldest]
            stream = self._streams[channel] = _Stream(self._random_bytes(8))
        self._touch(channel, stream)
        return stream

    def _touch(self, channel: str, stream: _Stream) -> None:
        if not stream.sinks:
            self._idle.pop(channel, None)
            self._idle[channel] = None

    def _forget_keys(self, now: float) -> None:
        while self._keys:
            oldest = next(iter(self._keys))
            if self._keys[oldest][1] > now:
                break
            del self._keys[oldest]
