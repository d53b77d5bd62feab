"""What a channel that drops the oldest keeps for members that are behind (SPEC CHN-7)."""

from hawser_engine.messages import Position

from .entries import Entry, History, Retention


class Ring:
    """The newest publications of a channel: the queue of one subscriber, shared by all. It is never empty.

    Args:
        limits: How much it keeps; the newest always.
        entry: The first.
    """

    __slots__ = ("_bytes", "_entries", "_limits")

    def __init__(self, limits: Retention, entry: Entry) -> None:
        self._limits = limits
        self._entries = [entry]  # no deque: that takes more than most channels ever have in it
        self._bytes = len(entry.data)

    def keep(self, entry: Entry) -> None:
        """Keep one more."""
        entries, limits = self._entries, self._limits
        entries.append(entry)
        self._bytes += len(entry.data)
        while len(entries) > limits.messages or (self._bytes > limits.bytes and len(entries) > 1):
            self._bytes -= len(entries.pop(0).data)

    def history(self, top: Position, after: int, limit: int) -> History:
        """What is kept after an offset, in the shape of a broker's answer."""
        first = self._entries[0].offset
        begin = max(0, after + 1 - first)
        return History(top, first, tuple(self._entries[begin : begin + limit]))
