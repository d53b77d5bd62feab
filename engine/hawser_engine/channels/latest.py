"""What is kept of a channel of which only the newest of each key is kept (SPEC LAT-1, LAT-4).

Rule: what leaves because a newer one has its key is *replaced*, and nobody has lost it. What leaves by a bound is lost,
always the lowest offset first; so one number, the floor, says what is complete: whatever lies above it is there, or
was replaced by something above it that is there.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from typing import NamedTuple


class _Kept(NamedTuple):
    key: str | None
    size: int
    time_ms: int


class Latest:
    """Which offsets of one channel are kept; where their publications are is for somebody else to know.

    Args:
        floor: Nothing up to this offset is kept.
    """

    __slots__ = ("_by_key", "_kept", "_offsets", "bytes_held", "floor")

    def __init__(self, floor: int = 0) -> None:
        self.floor: int = floor
        """The highest offset that was lost: whoever has had less than this has missed something for good."""
        self.bytes_held: int = 0
        """The sum of what is kept."""
        self._offsets: list[int] = []  # rising
        self._kept: dict[int, _Kept] = {}
        self._by_key: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._offsets)

    def __iter__(self) -> Iterator[int]:
        """The offsets that are kept, rising."""
        return iter(self._offsets)

    def copy(self) -> "Latest":
        """Another one, in which something may be tried."""
        twin = Latest(self.floor)
        twin.bytes_held = self.bytes_held
        twin._offsets = self._offsets.copy()
        twin._kept = self._kept.copy()
        twin._by_key = self._by_key.copy()
        return twin

    def add(self, offset: int, key: str | None, size: int, time_ms: int) -> int | None:
        """Keep a publication, the newest of all.

        Args:
            offset: Its offset, above all before.
            key: What it is the newest about; None: nothing, so that it replaces nothing and is never replaced.
            size: Bytes of its payload.
            time_ms: When it got its offset; never below that of the one before.

        Returns:
            The offset of the one that it replaces, if there is one.
        """
        replaced = None if key is None else self._by_key.get(key)
        if replaced is not None:
            self._remove(replaced)
        if key is not None:
            self._by_key[key] = offset
        self._offsets.append(offset)
        self._kept[offset] = _Kept(key, size, time_ms)
        self.bytes_held += size
        return replaced

    def trim(self, messages_max: int, bytes_max: int, since_ms: float) -> list[int]:
        """Lose what exceeds the bounds, the lowest offsets first.

        Args:
            messages_max: At most so many are kept, …
            bytes_max: … with so many bytes, …
            since_ms: … and none from before this time.

        Returns:
            The offsets that are lost.
        """
        count = 0
        messages, size = len(self._offsets), self.bytes_held
        for offset in self._offsets:
            kept = self._kept[offset]
            if messages <= messages_max and size <= bytes_max and kept.time_ms >= since_ms:
                break
            count += 1
            messages -= 1
            size -= kept.size
        lost = self._offsets[:count]
        for offset in lost:
            key = self._kept.pop(offset).key
            if key is not None:
                del self._by_key[key]
        del self._offsets[:count]
        self.bytes_held = size
        self.floor = lost[-1] if lost else self.floor
        return lost

    def after(self, offset: int) -> list[int]:
        """The offsets above one that are kept, rising."""
        return self._offsets[bisect_right(self._offsets, offset) :]

    def before(self, offset: int) -> list[int]:
        """The offsets below one that are kept, falling."""
        return self._offsets[: bisect_left(self._offsets, offset)][::-1]

    def _remove(self, offset: int) -> None:
        del self._offsets[bisect_right(self._offsets, offset) - 1]
        self.bytes_held -= self._kept.pop(offset).size
