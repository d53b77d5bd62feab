"""Channels as plain lists: what was published, what is kept of it, and what of it is for whom.

The list is what was published, in order. What follows from it, and from how the channel is declared, is computed anew
whenever it is asked for, by CHN-7, CHN-14, LAT-1 and LAT-4. Nothing here knows how the server comes to it.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Final, Literal

import attrs

from hawser import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

FILTERS: Final[Mapping[str, Callable[[str], bool]]] = {
    'tag == "a"': lambda tag: tag == "a",
    'tag in ("b", "c")': lambda tag: tag in "bc",
    'not tag == "a"': lambda tag: tag != "a",
    "tag == 1": lambda tag: False,
}
"""By their text, what they say of the tag."""

BESIDE: Final = 100
"""Bytes that a publication has at most beside its payload: none of the lists comes nearer to a limit than that."""


@attrs.frozen
class Item:
    """One publication."""

    number: int
    """Of all that was ever published; the payload says it."""
    tag: str
    latest_key: str | None
    spared: int | None
    """Which session does not get it."""
    size: int
    """Bytes of the payload."""
    time_ms: int
    """When it got its offset."""
    reported: bool = True
    """Whether the server was told of it."""


@attrs.frozen
class Declared:
    """How a channel is declared."""

    history: int = 0
    overflow: Literal["drop-oldest", "keep-latest"] | None = None
    bytes: int = 16 * 1024 * 1024
    seconds: float = inf
    ring: int = 0
    """What waits for those who are behind, where the oldest are dropped."""
    ring_bytes: int = 65_536

    @property
    def keeps_latest(self) -> bool:
        return self.overflow == "keep-latest"

    @property
    def drops_oldest(self) -> bool:
        return self.overflow == "drop-oldest" or not self.history


@attrs.frozen
class Taste:
    """What of a channel one subscription of one session gets."""

    session: int
    filter: str | None
    longest: int = 1_048_576
    """The longest message that its client takes, in bytes."""

    def passes(self, tag: str) -> bool:
        return self.filter is None or FILTERS[self.filter](tag)

    def wants(self, item: Item) -> bool:
        """Whether it is for it, also if it is too long."""
        return self.passes(item.tag) and item.spared != self.session

    def takes(self, item: Item) -> bool:
        """Whether it is not too long (CHN-12)."""
        return self.has_room(item.size)

    def has_room(self, size: int) -> bool:
        """Whether a publication with so many bytes of payload is not too long."""
        return size + BESIDE <= self.longest


@attrs.frozen
class Rewind:
    """How far a subscription goes back that begins: no further than either says."""

    count: int | None = None
    ago_ms: float = inf


EVERYTHING: Final = Rewind()
"""To whoever does not go back it is given where the channel declares so (LAT-6)."""


class Era:
    """A channel in one epoch."""

    def __init__(self, declared: Declared) -> None:
        self.items: list[Item] = []
        self.floor = 0
        """Up to here everything was lost to whoever has not had it, or replaced."""
        self.replaced: set[int] = set()
        self._declared = declared
        self._kept: list[int] = []

    @property
    def top(self) -> int:
        return len(self.items)

    def item(self, offset: int) -> Item:
        return self.items[offset - 1]

    @property
    def floor_of_slow(self) -> int:
        """The same for those who only get what waits for them (CHN-7): what was never reported is not among it."""
        declared = self._declared
        if not declared.drops_oldest:
            return self.floor
        count = size = 0
        for item in reversed(self.items):
            size += item.size
            if not item.reported or (count and (count == declared.ring or size > declared.ring_bytes)):
                break
            count += 1
        lost = self.top - count
        return max(self.floor, lost) if declared.history else lost

    def add(self, item: Item) -> None:
        if self._declared.keeps_latest:
            self.forget(item.time_ms)  # what was too old is lost, and not replaced
            if item.latest_key is not None:
                same = [each for each in self._kept if self.item(each).latest_key == item.latest_key]
                self.replaced.update(same)
                self._kept = [each for each in self._kept if each not in same]
        self.items.append(item)
        self._kept.append(self.top)
        self.forget(item.time_ms)

    def forget(self, now_ms: float) -> None:
        """Lose what exceeds the bounds, the oldest first."""
        while self._kept and self._exceeds(now_ms):
            self.floor = self._kept.pop(0)

    def _exceeds(self, now_ms: float) -> bool:
        declared = self._declared
        size = sum(self.item(each).size for each in self._kept)
        age_ms = now_ms - self.item(self._kept[0]).time_ms
        return len(self._kept) > declared.history or size > declared.bytes or age_ms > declared.seconds * 1_000

    def rewound(self, rewind: Rewind, now_ms: float) -> int:
        """The offset behind which a subscription begins that goes back so far (SUB-10, LAT-6)."""
        young = [each for each in self._kept if now_ms - self.item(each).time_ms <= rewind.ago_ms]
        begin = young[0] - 1 if young else self.top
        return begin if rewind.count is None else max(begin, self.top - rewind.count)

    def page(self, since: int | None, before: int | None, limit: int) -> list[int]:
        """The offsets that a page of history has: the first ones behind one, or the last ones (PGE-2)."""
        found = [each for each in self._kept if (since or 0) < each and (before is None or each < before)]
        return found[:limit] if since is not None else found[max(0, len(found) - limit) :]

    def wanted(self, taste: Taste, after: int, until: int) -> list[int]:
        """The offsets behind one, up to another, of what is for somebody; a client may claim to be beyond the end."""
        return [offset for offset in range(after + 1, min(until, self.top) + 1) if taste.wants(self.item(offset))]


class Log:
    """A channel: what was published in each of its epochs.

    Args:
        name: Its name.
        declared: How it is declared.
        clock: The time, in seconds.
    """

    def __init__(self, name: str, declared: Declared, clock: Callable[[], float]) -> None:
        self.name = name
        self.declared = declared
        self.eras: dict[bytes, Era] = {}
        """The last one is that of now."""
        self.troubles = 0
        """How often something happened for which even those who keep up may fall behind."""
        self._clock = clock

    @property
    def now_ms(self) -> int:
        return int(self._clock() * 1_000)

    @property
    def end(self) -> Position:
        epoch = list(self.eras)[-1]
        return Position(epoch, self.eras[epoch].top)

    @property
    def heard(self) -> Position:
        """Behind this the server was told of nothing."""
        for epoch, era in reversed(self.eras.items()):
            for offset in range(era.top, 0, -1):
                if era.item(offset).reported:
                    return Position(epoch, offset)
        return Position(next(iter(self.eras)), 0)

    @property
    def era(self) -> Era:
        """The present one, with what is too old by now forgotten."""
        era = self.eras[self.end.epoch]
        era.forget(self.now_ms)
        return era

    def begin(self, epoch: bytes) -> None:
        """It begins anew, with nothing."""
        self.eras[epoch] = Era(self.declared)

    def place(self, epoch: bytes) -> int:
        """Which of the epochs it is, -1 if none."""
        eras = list(self.eras)
        return eras.index(epoch) if epoch in eras else -1
