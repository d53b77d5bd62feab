"""What is due to whoever keeps up: everything, in its place, and nothing of it told as lost or replaced.

One that keeps up has window for whatever is published, a link, and had everything not long ago. It never becomes
behind (CHN-6), so no policy for those who are behind touches it (OVF-1, LAT-2), and it gets what is volatile (VOL-4).
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.runtime.channel_lists import Item, Log, Taste


class Dues:
    """What is due to one subscription in one channel.

    Args:
        log: The channel.
        taste: What of it is for it.
    """

    def __init__(self, log: Log, taste: Taste) -> None:
        self.log = log
        self.taste = taste
        self.until: float = 0
        """Everything up to this offset is due to it; infinite as long as it keeps up."""
        self.volatile: list[int] = []
        """The volatile ones that it took, by their numbers."""
        self._awaited: list[int] = []

    @property
    def keeps_up(self) -> bool:
        return self.until == inf

    @property
    def served(self) -> bool:
        """Whether it gets anything at all."""
        return True

    def begin(self) -> None:
        """It has everything, and keeps up from here on."""
        self.until = inf

    def end(self, until: int = 0) -> None:
        """It may be behind, but for what stands up to an offset."""
        self.until = min(self.until, until)
        self._awaited.clear()

    def published(self, item: Item, *, in_parts: bool) -> None:
        """Something was published, the last of the list."""
        if in_parts or not self.taste.takes(item):
            self.end()  # and what comes together with it, too
        elif not item.reported:
            self.end(self.log.end.offset - 1)

    def passed(self, number: int, tag: str, size: int) -> None:
        """Something volatile was published."""
        if self.keeps_up and self.taste.passes(tag) and self.taste.has_room(size):
            self._awaited.append(number)

    def took(self, number: int) -> None:
        """It took something volatile."""
        assert number not in self.volatile
        self.volatile.append(number)

    def check(self) -> None:
        """Nothing is under way any more."""
        missing = [number for number in self._awaited if number not in self.volatile]
        assert not missing, f"volatile, and not given to one that keeps up: {missing}"
        assert self.volatile == sorted(self.volatile), "what is volatile comes in order (VOL-5)"
        self._awaited.clear()

    def check_lost(self, offsets: list[int]) -> None:
        """These will not come, or as something newer only."""
        due = [offset for offset in offsets if offset <= self.until]
        assert not due, f"left out, though the subscription keeps up: {due}"
