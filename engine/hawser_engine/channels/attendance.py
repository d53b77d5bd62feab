"""Who of a node's sessions is a member of which channel, and what the broker has to be told of it (SPEC PRS-9, PRS-11).

Rule: this holds what is wanted, and which of it may not be written yet. Whoever writes takes the newest of everything
that is due, so what has changed back meanwhile is never written, and a write that failed is taken again.
"""

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeAlias

from attrs import field, frozen

from hawser_engine.presence import Member

Place: TypeAlias = tuple[str, bytes]
"""A channel, and the id of a member."""


@frozen
class Writing:
    """What the broker has to be told of one member of one channel."""

    channel: str
    """The channel."""
    member: bytes
    """Its id."""
    entry: Member | None = field(repr=False)
    """It is there and says this of itself; None: it is not there."""


class Attendance:
    """The members that one node has.

    Args:
        grace_seconds: How long a member may be detached before it has left (SPEC PRS-9).
    """

    def __init__(self, grace_seconds: float) -> None:
        self._grace = grace_seconds
        self._wanted: dict[bytes, dict[str, Member]] = {}
        # Taken from at the front, where a dict would look for its first among all that were ever there.
        self._detached: OrderedDict[bytes, float] = OrderedDict()  # until when they are still there; the earliest first
        self._absent: dict[bytes, None] = {}  # detached for longer
        self._due: OrderedDict[Place, None] = OrderedDict()
        self._written: dict[Place, None] = {}  # what may stand at the broker

    def enter(self, channel: str, entry: Member) -> None:
        """A session is a member of a channel from now on, or says something else of itself."""
        channels = self._wanted.setdefault(entry.member, {})
        if channels.get(channel) != entry:
            channels[channel] = entry
            self._due[channel, entry.member] = None

    def leave(self, channel: str, member: bytes) -> None:
        """A session is no member of a channel any more."""
        channels = self._wanted.get(member, {})
        if channels.pop(channel, None) is not None:
            self._due[channel, member] = None
            if not channels:
                del self._wanted[member]

    def entry(self, channel: str, member: bytes) -> Member | None:
        """What a session says of itself in a channel; None: it is no member."""
        return self._wanted.get(member, {}).get(channel)

    def ended(self, member: bytes) -> None:
        """A session is over."""
        for channel in list(self._wanted.get(member, ())):
            self.leave(channel, member)
        self._detached.pop(member, None)
        self._absent.pop(member, None)

    def detached(self, member: bytes, now: float) -> None:
        """The link of a session is gone."""
        if member not in self._absent:
            self._detached.setdefault(member, now + self._grace)

    def attached(self, member: bytes) -> None:
        """A session has a link again."""
        self._detached.pop(member, None)
        if member in self._absent:
            del self._absent[member]
            self._mark(member)

    def handle_timeout(self, now: float) -> None:
        """Those have left whose grace is over; extra calls are harmless."""
        while self._detached:
            member = next(iter(self._detached))
            if self._detached[member] > now:
                break
            del self._detached[member]
            self._absent[member] = None
            self._mark(member)

    def next_timeout(self) -> float | None:
        """When to call `handle_timeout`; None: not before something else happens."""
        return next(iter(self._detached.values()), None)

    # ------------------------------------------------------------ what is to be written

    @property
    def due(self) -> bool:
        """Whether there is anything to be written."""
        return bool(self._due)

    def take(self, limit: int) -> list[Writing]:
        """What is to be written now, at most so much; it is no longer due."""
        writings: list[Writing] = []
        while self._due and len(writings) < limit:
            place, _ = self._due.popitem(last=False)
            channel, member = place
            entry = None if member in self._absent else self.entry(channel, member)
            if entry is not None:
                self._written[place] = None
            elif self._written.pop(place, False) is False:
                continue  # it came and went without anybody having heard of it
            writings.append(Writing(channel, member, entry))
        return writings

    def failed(self, writings: Iterable[Writing]) -> None:
        """Nobody knows whether this was written: it is due again."""
        for writing in writings:
            place = writing.channel, writing.member
            self._due[place] = self._written[place] = None

    def expired(self) -> None:
        """Nothing stands at the broker any more: whatever is wanted is due."""
        self._written.clear()
        places = [(channel, member) for member, channels in self._wanted.items() for channel in channels]
        self._due = OrderedDict.fromkeys(places)

    def _mark(self, member: bytes) -> None:
        for channel in self._wanted.get(member, ()):
            self._due[channel, member] = None
