"""What a session has of a pattern, and where it is not where the others of the pattern are (SPEC WLD-2 to WLD-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hawser_engine.channels.chunks import Chunk
from hawser_engine.channels.entries import tags_of
from hawser_engine.channels.memberships import Membership, Mode
from hawser_engine.codes import GapReason
from hawser_engine.messages import GapNotice, Position

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser.rules import ChannelRule
    from hawser_engine.batch import Batch
    from hawser_engine.channels.channel import Channel
    from hawser_engine.channels.entries import Entry
    from hawser_engine.channels.filters import Filter

    from .sessions import ServerSession

NOWHERE: Final = Position(bytes(8), 0)
"""Where a pattern stands: it is no channel (WLD-2)."""


class PatternGroup:
    """The sessions that have one pattern with one filter, and so share bytes."""

    __slots__ = ("filter", "members", "pattern", "rule")

    def __init__(self, pattern: str, rule: ChannelRule, filter: Filter | None) -> None:
        self.pattern: str = pattern
        self.rule: ChannelRule = rule
        """The declaration of the pattern; it brings the channels for which that holds as well (WLD-3)."""
        self.filter: Filter | None = filter
        self.members: dict[ServerSession, PatternMember] = {}

    def passing(self, chunk: Chunk) -> Chunk | None:
        """The chunk as these sessions get it; None if nothing of it passes."""
        return chunk if self.filter is None else chunk.passing(self.filter)

    def waiting(self, channel: Channel) -> list[tuple[Chunk, Chunk | None]]:
        """What waits in a channel to be given to all, and of each chunk what these sessions get."""
        return [(chunk, self.passing(chunk)) for chunk in channel.chunks if isinstance(chunk, Chunk)]


class PatternMember:
    """One session that has a pattern."""

    __slots__ = ("active", "given", "group", "lost", "session")

    def __init__(self, session: ServerSession, group: PatternGroup) -> None:
        self.session: ServerSession = session
        self.group: PatternGroup = group
        self.active: bool = True
        self.given: Chunk | None = None
        """What it was given last."""
        self.lost: bool = False
        """Whether it is to be told that anything of the pattern may be missing, and gets nothing before (WLD-6)."""

    @property
    def loss(self) -> GapNotice:
        """What tells it so."""
        return GapNotice(self.group.pattern, None, NOWHERE, GapReason.OVERFLOW)


class Stray(Membership):
    """A session that is not where the others of its pattern are, in one channel."""

    __slots__ = ("of",)

    def __init__(self, channel: Channel, of: PatternMember, position: Position) -> None:
        super().__init__(channel, of.session, position, Mode.LIVE)
        self.of: PatternMember = of

    @property
    def joins_in(self) -> bool:
        """Whether it is with the others once they have what waits."""
        return self.mode is Mode.LIVE and self.channel.dirty

    @property
    def ahead(self) -> bool:
        """Whether it was fed from a history that was ahead of what is known of the channel."""
        here, known = self.channel.position, self.channel.accounted
        begun = known is not None and known.epoch != here.epoch  # of the epoch nothing but volatile ones was reported
        return self.epoch == here.epoch and (begun or self.offset > here.offset)

    @property
    def filter(self) -> Filter | None:
        """See `Membership.filter`."""
        return self.of.group.filter

    def passing(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """See `Membership.passing`."""
        filter = self.filter
        return entries if filter is None else [entry for entry in entries if filter.matches(tags_of(entry))]

    def spare(self, offset: int, send: Callable[[Batch], bool]) -> bool:
        """See `Membership.spare`: a pattern has no position that could be told (WLD-2)."""
        self.offset = offset
        return True


class SessionPatterns:
    """What one session has of patterns."""

    __slots__ = ("members", "strays")

    def __init__(self) -> None:
        self.members: dict[str, PatternMember] = {}
        self.strays: dict[str, Stray] = {}
        """By channel."""

    def behind_in(self, channels: int) -> bool:
        """Whether it is behind in so many channels of its patterns, or was until it had what is not yet reported.

        Where it only lets pass what waits for the others, it is where they are as soon as they have it.
        """
        strays = self.strays
        return len(strays) >= channels and sum(not stray.joins_in for stray in strays.values()) >= channels

    @property
    def behind(self) -> bool:
        """Whether there is something to be fed."""
        return any(stray.mode is Mode.BEHIND for stray in self.strays.values()) or any(
            member.lost for member in self.members.values()
        )
