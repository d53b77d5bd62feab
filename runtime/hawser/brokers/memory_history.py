"""History of channels in one process, and how much of it there is in all, as state without a clock.

Rule: beyond the bound of all together the oldest history of the channel used longest ago goes, as if it had left by the
bounds of its channel (SPEC CHN-14): who comes for it is told. A channel is used when something is published to it, or
its history is read.
"""

from __future__ import annotations

import logging
from collections import OrderedDict, deque
from itertools import islice
from math import inf
from typing import TYPE_CHECKING, ClassVar, Final, TypeAlias

from hawser_engine.channels.entries import spared
from hawser_engine.channels.latest import Latest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from hawser_engine.channels.entries import Entry, Retention

log: Final = logging.getLogger("hawser")

HISTORY_BYTES_MAX: Final = 512 * 1024 * 1024
"""32 channels that are full by their own bound, or a million publications of 256 bytes."""
ENTRY_BYTES: Final = 256
"""What a publication takes beside its payload: 160 bytes were measured, 290 where the latest by key is kept."""
QUIET_SECONDS: Final = 300.0
"""After so long without a cut the next one is news."""


def _carried(entry: Entry) -> int:
    """What a publication counts for by what it carries: 130 bytes were measured, 230 for a tag, 80 for a session."""
    about = entry.about
    return 0 if about is None else ENTRY_BYTES * (1 + len(about.tags or ()) + len(spared(entry)))


class Log:
    """What is kept of a channel that keeps its newest publications.

    Args:
        floor: Nothing up to this offset is kept, and everything behind it is appended.
    """

    __slots__ = ("_bytes", "_carried", "_entries", "_floor", "_retention", "counted")

    latest: ClassVar[bool] = False

    def __init__(self, floor: int) -> None:
        self.counted: int = 0
        """What the budget knows of ``charged``."""
        self._floor = floor
        self._entries: deque[Entry] = deque()
        self._bytes = 0
        self._carried = 0
        self._retention: Retention

    @property
    def charged(self) -> int:
        """What it counts for, in bytes."""
        return self._bytes + ENTRY_BYTES * len(self._entries) + self._carried

    @property
    def first(self) -> int:
        """From this offset on nothing is missing."""
        return self._floor + 1

    def append(self, entry: Entry, retention: Retention, now_ms: int) -> None:
        """Keep the next publication, and what is kept from now on of those before."""
        self._retention, entries = retention, self._entries
        entries.append(entry)
        self._bytes += len(entry.data)
        if entry.about is not None:
            self._carried += _carried(entry)
        while entries and (len(entries) > retention.messages or self._bytes > retention.bytes):
            self._drop()
        if retention.seconds != inf:
            self.forget(now_ms)

    def forget(self, now_ms: int) -> None:
        """Drop what is too old."""
        while self._entries and now_ms - self._entries[0].time_ms > self._retention.seconds * 1_000:
            self._drop()

    def lose(self, least: int) -> int:
        """Lose the oldest, until so many bytes are free or nothing is kept; how many publications that were."""
        before, left = len(self._entries), self.charged - least
        while self._entries and self.charged > left:
            self._drop()
        return before - len(self._entries)

    def after(self, offset: int) -> Iterator[Entry]:
        """What is kept behind an offset."""
        return islice(self._entries, max(0, offset - self._floor), None)

    def before(self, offset: int) -> Iterator[Entry]:
        """What is kept below an offset, the newest first."""
        return islice(reversed(self._entries), max(0, self._floor + len(self._entries) + 1 - offset), None)

    def _drop(self) -> None:
        entry = self._entries.popleft()
        self._floor = entry.offset
        self._bytes -= len(entry.data)
        if entry.about is not None:
            self._carried -= _carried(entry)


class Newest:
    """What is kept of a channel that keeps the latest by key (SPEC LAT-1).

    Args:
        floor: Nothing up to this offset is kept.
    """

    __slots__ = ("_entries", "_latest", "_retention", "charged", "counted")

    latest: ClassVar[bool] = True

    def __init__(self, floor: int) -> None:
        self.charged: int = 0
        """What it counts for, in bytes."""
        self.counted: int = 0
        """What the budget knows of that."""
        self._latest = Latest(floor)
        self._entries: dict[int, Entry] = {}
        self._retention: Retention

    @property
    def first(self) -> int:
        """From this offset on nothing is missing."""
        return self._latest.floor + 1

    def append(self, entry: Entry, retention: Retention, now_ms: int) -> None:
        """Keep the next publication, and what is kept from now on of those before."""
        self._retention = retention
        self.forget(now_ms)  # what was too old is lost, and not replaced: readers were told so
        key = None if entry.about is None else entry.about.latest_key
        replaced = self._latest.add(entry.offset, key, len(entry.data), entry.time_ms)
        if replaced is not None:
            self._drop(replaced)
        self._entries[entry.offset] = entry
        self.charged += _charge(entry)
        self.forget(now_ms)

    def forget(self, now_ms: int) -> None:
        """Drop whatever exceeds a bound of the channel."""
        retention = self._retention
        self._trim(retention.messages, retention.bytes, now_ms - retention.seconds * 1_000)

    def lose(self, least: int) -> int:
        """Lose the lowest offsets (SPEC LAT-4); else as `Log.lose`."""
        freed = count = 0
        for offset in self._latest:
            if freed >= least:
                break
            freed += _charge(self._entries[offset])
            count += 1
        self._trim(len(self._latest) - count, self._latest.bytes_held, -inf)
        return count

    def after(self, offset: int) -> Iterator[Entry]:
        """What is kept behind an offset."""
        return map(self._entries.__getitem__, self._latest.after(offset))

    def before(self, offset: int) -> Iterator[Entry]:
        """What is kept below an offset, the newest first."""
        return map(self._entries.__getitem__, self._latest.before(offset))

    def _trim(self, messages_max: int, bytes_max: int, since_ms: float) -> None:
        for offset in self._latest.trim(messages_max, bytes_max, since_ms):
            self._drop(offset)

    def _drop(self, offset: int) -> None:
        self.charged -= _charge(self._entries.pop(offset))


def _charge(entry: Entry) -> int:
    return len(entry.data) + ENTRY_BYTES + _carried(entry)


Past: TypeAlias = Log | Newest
"""What is kept of one channel."""


class HistoryBudget:
    """Which channels keep history, and how much it is in all.

    Args:
        bytes_max: So much of it is kept.
    """

    __slots__ = ("_held", "_pasts", "_quiet", "bytes_max", "cut")

    def __init__(self, bytes_max: int) -> None:
        self.bytes_max: int = bytes_max
        """May be changed at any time; it holds from the next use of a channel on."""
        self.cut: int = 0
        """Publications that left history before their time."""
        self._held = 0
        self._pasts: OrderedDict[str, Past] = OrderedDict()  # used longest ago first
        self._quiet = -inf  # what is cut before this is no news

    def use(self, channel: str, past: Past, now: float, now_ms: int) -> None:
        """A channel is used: what is kept of it may have become more, or less. Cut what is too much now.

        Args:
            channel: Its name.
            past: What is kept of it.
            now: Seconds on a monotonic clock.
            now_ms: What history becomes old by.
        """
        if self._pasts.get(channel) is not past:
            self.remove(channel)  # it keeps otherwise now, and began anew
            self._pasts[channel] = past
        self._pasts.move_to_end(channel)
        self._count(past)
        while self._held > self.bytes_max:
            self._shorten(now, now_ms)

    def remove(self, channel: str) -> None:
        """What was kept of a channel is gone, if anything was."""
        past = self._pasts.pop(channel, None)
        if past is not None:
            self._held -= past.counted

    def _shorten(self, now: float, now_ms: int) -> None:
        """Cut what there is of one channel, as far as it has to be, and tell the log when that begins."""
        channel, past = next(iter(self._pasts.items()))
        past.forget(now_ms)  # that would have gone anyway
        self._count(past)
        lost = past.lose(self._held - self.bytes_max)
        self._count(past)
        if lost:
            if now >= self._quiet:
                self._warn(channel)
            self._quiet = now + QUIET_SECONDS
            self.cut += lost
        if not past.counted:
            del self._pasts[channel]

    def _count(self, past: Past) -> None:
        charged = past.charged
        self._held += charged - past.counted
        past.counted = charged

    def _warn(self, channel: str) -> None:
        log.warning(
            "history is cut before its time, and whoever comes for it is told a gap: all channels together have more "
            "than bytes_max = %d; first it is that of channel %r, used longest ago. Raise bytes_max of the broker; for "
            "hawser serve that is [store] memory_bytes",
            self.bytes_max,
            channel,
        )
