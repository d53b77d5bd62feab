"""Members of a channel that have a filter: what they are passed over with, and what tells them so (SPEC SUB-12).

Those who share a filter are a group, and share bytes (FLT-5).
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from hawser_engine.messages import Position

from .chunks import Chunk
from .entries import Entry, tags_of
from .filters import Filter
from .memberships import Membership, Mode, Outlet

if TYPE_CHECKING:
    from hawser_engine.batch import Batch

    from .channel import Channel

_LIVE: Final = Mode.LIVE
_BEHIND: Final = Mode.BEHIND


class FilteredMembership(Membership):
    """One session that gets only what passes a filter; its position counts what it was passed over for, too."""

    __slots__ = ("_filter", "told")

    def __init__(self, channel: "Channel", outlet: Outlet, position: Position, mode: Mode, filter: Filter) -> None:
        super().__init__(channel, outlet, position, mode)
        self._filter = filter
        self.told: int = position.offset
        """The last offset that its client knows to be considered, but for what was given to its whole group."""

    @property
    def filter(self) -> Filter:
        """See `Membership.filter`."""
        return self._filter

    def passing(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """See `Membership.passing`: what has replaced an older one need not pass (LAT-5)."""
        return [entry for entry in entries if self._filter.matches(tags_of(entry))]

    def rewind(self, claim: Position) -> None:
        """See `Membership.rewind`."""
        super().rewind(claim)
        self.told = self.offset

    @property
    def uninformed(self) -> bool:
        """See `Membership.uninformed`."""
        return self.offset > self.told

    def informed(self) -> None:
        """See `Membership.informed`."""
        super().informed()
        self.told = self.offset

    def given(self, offset: int) -> None:
        """See `Membership.given`."""
        self.told = offset

    def moved(self, position: Position) -> None:
        """See `Membership.moved`."""
        super().moved(position)
        self.told = self.offset


class Group:
    """The members of a channel that share a filter, and so share bytes (FLT-5)."""

    def __init__(self, channel: "Channel", filter: Filter, position_every: int) -> None:
        self.filter = filter
        self._channel = channel
        self.members: dict[Outlet, FilteredMembership] = {}
        self.matched: Position | None = None
        """The last publication that passed."""
        self._position_every = position_every

    def enter(self, outlet: Outlet, position: Position, mode: Mode) -> FilteredMembership:
        """Add a member; see `Channel.enter`."""
        member = self.members[outlet] = FilteredMembership(self._channel, outlet, position, mode, self.filter)
        return member

    def pass_over(self, members: Sequence[FilteredMembership], chunk: Chunk, now: float) -> None:
        """Note that members were considered for a chunk of which nothing passes; tell them now and then (CHN-4)."""
        notice: Batch | None = None
        matched = 0 if self.matched is None or self.matched.epoch != chunk.epoch else self.matched.offset
        for member in members:
            if member.mode is not _LIVE or not member.active:
                if member.mode is _BEHIND:
                    member.outlet.feed()
            elif member.epoch != chunk.epoch or member.offset >= chunk.last:
                continue
            elif member.offset != chunk.first - 1:
                member.fall_behind()
            else:
                member.offset = chunk.last
                if chunk.last - max(member.told, matched) >= self._position_every:
                    notice = member.notice() if notice is None else notice
                    if member.outlet.deliver(notice, now):
                        member.told = chunk.last
                    else:  # the feeder tells it when there is window
                        member.fall_behind()
