"""One channel on this node, as pure state: who is where in it, and what waits to be delivered.

Publications arrive in offset order from the broker and wait in chunks, each prepared once for all. A member is
*live* (gets every chunk), *behind* (only its position is kept; the feeder brings it up from history) or *paused*.

Rule 1: a member's position says what its session has been given; nothing is given that does not follow it (SUB-9).
Rule 2: membership changes only between chunks: what waits is sealed first, so no chunk holds both what a member has
and what it has not.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from enum import Enum, auto
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING, Final

import attrs

from hawser.about import spared, told
from hawser.brokers import History
from hawser_engine.batch import Batch
from hawser_engine.messages import Position, PositionNotice, encode_body, encode_publication

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from hawser.brokers import Entry, Retention
    from hawser.rules import ChannelRule
    from hawser_engine.channels.filters import Filter
    from hawser_engine.messages import About
    from hawser_engine.passage import Passage

CHUNK_MESSAGES: Final = 64
CHUNK_BYTES: Final = 65_536
"""A chunk is small enough that a member with most of its window free can take it whole."""

POSITION_EVERY: Final = 100
"""Whoever is passed over hears of it after so many publications, or a quarter of what is kept (CHN-4)."""


class Outlet(ABC):
    """What a channel needs of a session."""

    __slots__ = ()

    passage: Passage | None = None
    """The short way to its client, once something was delivered on its present connection."""

    @property
    @abstractmethod
    def message_bytes(self) -> int:
        """The longest message that its client takes."""

    @abstractmethod
    def deliver(self, batch: Batch, now: float) -> bool:
        """Send a prepared batch at once; False if there is no window, and nothing was taken."""

    @abstractmethod
    def feed(self) -> None:
        """Begin to bring up what is behind, as soon as it can be."""


class Mode(Enum):
    """How a member is served."""

    LIVE = auto()
    """It gets what is published, as it is published."""
    BEHIND = auto()
    """It is fed from history when its session has window."""
    PAUSED = auto()
    """Its client asked for nothing more for now."""


_LIVE: Final = Mode.LIVE  # by names of their own, for they are asked for with every delivery (``hawser_engine.link``)
_BEHIND: Final = Mode.BEHIND


class Membership:
    """One session in one channel."""

    __slots__ = ("_rewound_from", "active", "channel", "epoch", "longest", "marker", "mode", "offset", "outlet")

    def __init__(self, channel: Channel, outlet: Outlet, position: Position, mode: Mode) -> None:
        self.channel: Channel = channel
        self.outlet: Outlet = outlet
        self.longest: int = outlet.message_bytes  # which its session was told once for all when it was opened
        self.epoch: bytes = position.epoch
        self.offset: int = position.offset
        self.mode: Mode = mode
        self.active: bool = True
        self.marker: bool = False
        """Whether POSITION has to come before anything that is told by a POSITION alone, and with a filter before
        anything else: the client discards what does not follow it (CHN-9)."""
        self._rewound_from: Position | None = None

    @property
    def position(self) -> Position:
        """What the session has been given of this channel, and has not thrown away."""
        return Position(self.epoch, self.offset)

    def rewind(self, claim: Position) -> None:
        """Go on from where the client says it stands: it throws away what comes while its queue is full (CHN-8).

        Nobody stands ahead of what was given. But that may be ahead of `position`: what was under way from before a
        PAUSE is queued after the CONTINUE if it happens to come next. An epoch that is not the present one is an
        earlier one, whose news has not arrived yet; the feeder answers it with a gap.
        """
        reached = self.position
        before = self._rewound_from
        if before is not None and (before.epoch != reached.epoch or before.offset > reached.offset):
            reached = before
        self._rewound_from = reached
        if claim.epoch == reached.epoch and claim.offset > reached.offset:
            claim = reached
        self.epoch, self.offset = claim.epoch, claim.offset

    def moved(self, position: Position) -> None:
        """The session was told to go on from here, over a gap."""
        if self._rewound_from is not None and self._rewound_from.epoch != position.epoch:
            self._rewound_from = None
        self.epoch, self.offset = position.epoch, position.offset

    def fall_behind(self) -> None:
        """It cannot be given what comes now: from here on it is fed."""
        self.mode = _BEHIND
        self.outlet.feed()

    @property
    def filter(self) -> Filter | None:
        """What has to hold for a publication to be given to it; None: nothing."""
        return None

    def passing(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """Those that are for it."""
        return entries

    def notice(self) -> Batch:
        """POSITION, with where it stands (CHN-4)."""
        return Batch.of([encode_body(PositionNotice(self.channel.name, self.epoch, self.offset))])

    def spare(self, offset: int, send: Callable[[Batch], bool]) -> bool:
        """Pass it over with a publication that is not for it, and say so (ADR-8).

        Args:
            offset: Of the publication, which is the next one for it.
            send: Sends a batch, if the session takes that now.

        Returns:
            Whether it did; else nothing has changed.
        """
        if self.marker and not send(self.notice()):
            return False
        self.marker = False
        before, self.offset = self.offset, offset
        if not send(self.notice()):
            self.offset = before
            return False
        return True


class FilteredMembership(Membership):
    """One session that gets only what passes a filter; its position counts what it was passed over for, too."""

    __slots__ = ("_filter", "told")

    def __init__(self, channel: Channel, outlet: Outlet, position: Position, mode: Mode, filter: Filter) -> None:
        super().__init__(channel, outlet, position, mode)
        self._filter = filter
        self.told: int = position.offset
        """The last offset that its client knows to be considered, but for what was given to its whole group."""

    @property
    def filter(self) -> Filter:
        """See `Membership.filter`."""
        return self._filter

    def passing(self, entries: Sequence[Entry]) -> Sequence[Entry]:
        """See `Membership.passing`."""
        return [entry for entry in entries if self._filter.matches(_tags(entry))]

    def spare(self, offset: int, send: Callable[[Batch], bool]) -> bool:
        """See `Membership.spare`."""
        told = super().spare(offset, send)
        if told:
            self.told = offset
        return told

    def rewind(self, claim: Position) -> None:
        """See `Membership.rewind`."""
        super().rewind(claim)
        self.told = self.offset

    def moved(self, position: Position) -> None:
        """See `Membership.moved`."""
        super().moved(position)
        self.told = self.offset


class Group:
    """The members of a channel that share a filter, and so share bytes (FLT-5)."""

    def __init__(self, filter: Filter, position_every: int) -> None:
        self.filter = filter
        self.members: dict[Outlet, FilteredMembership] = {}
        self.matched: Position | None = None
        """The last publication that passed."""
        self._position_every = position_every

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


@attrs.frozen
class Chunk:
    """Publications that are delivered together."""

    batch: Batch | None
    """Prepared once, shared by all; None if it is one publication of several parts, which only the feeder gives."""
    epoch: bytes
    """The epoch of all of them."""
    first: int
    """The lowest offset in it."""
    last: int
    """The highest."""
    longest: int
    """The length of the longest message in it."""
    bodies: tuple[bytes, ...] = ()
    """Each of them, where they carry tags."""
    tags: tuple[Mapping[str, str] | None, ...] = ()
    """What each carries; as many as ``bodies``."""
    last_body: int = 0
    """The offset of the last message in it."""
    spared: tuple[str, ...] = ()
    """The names of sessions that do not get it, which then is one publication."""

    def passing(self, filter: Filter) -> Chunk | None:
        """The chunk as those get it who have a filter; None if nothing passes."""
        places = [place for place, tags in enumerate(self.tags) if filter.matches(tags)]
        if not places:
            return None
        if len(places) == len(self.bodies):
            return self
        bodies = [self.bodies[place] for place in places]
        last_body = self.first + places[-1]
        return attrs.evolve(self, batch=Batch.of(bodies), longest=max(map(len, bodies)), last_body=last_body)


class Channel:
    """One channel that somebody on this node subscribes to."""

    def __init__(self, name: str, rule: ChannelRule, ring: Retention) -> None:
        self.name = name
        self.rule = rule
        self._ring_limits = ring
        self.members: dict[Outlet, Membership] = {}
        """Those without a filter."""
        self.groups: dict[Filter, Group] = {}
        """Those with one, by what it is."""
        self.position: Position = Position(bytes(8), 0)
        """How far the broker has reported."""
        self.chunks: deque[Chunk] = deque()
        self._early: list[tuple[bytes, Sequence[Entry]]] | None = []  # reported before the join was answered
        self.ring: deque[Entry] = deque()
        """The newest publications of a channel without history, for members that are behind: the queue of one
        subscriber, shared by all. The oldest go first (CHN-7)."""
        self._ring_bytes = 0
        self._bodies: list[bytes] = []
        self._bytes = 0
        self._tagged = "tags" in rule.about
        self._tags: list[Mapping[str, str] | None] = []  # of each body, where they carry any
        kept = rule.retention.messages or ring.messages
        self._position_every = max(1, min(POSITION_EVERY, kept // 4))

    @property
    def dirty(self) -> bool:
        """Whether something waits to be delivered."""
        return bool(self.chunks or self._bodies)

    @property
    def deserted(self) -> bool:
        """Whether nobody is in it."""
        return not (self.members or self.groups)

    def joined(self, position: Position) -> None:
        """The broker reports from here on."""
        self.position = position
        early, self._early = self._early or [], None
        for epoch, entries in early:
            known = position.offset if epoch == position.epoch else 0
            self.report(epoch, [entry for entry in entries if entry.offset > known])

    def report(self, epoch: bytes, entries: Sequence[Entry]) -> None:
        """Take what the broker reports; it waits until it is delivered."""
        if self._early is not None:
            self._early.append((epoch, entries))
            return
        if epoch != self.position.epoch:
            # CHN-11: the feeder tells everyone of the new epoch before its first publication.
            self.seal()
            for member in self._everybody():
                if member.mode is Mode.LIVE:
                    member.mode = Mode.BEHIND
            self.ring.clear()
            self._ring_bytes = 0
        for entry in entries:
            body = self.encode(epoch, entry)
            spares = () if entry.about is None else spared(entry)
            if spares or len(self._bodies) >= CHUNK_MESSAGES or self._bytes + len(body) > CHUNK_BYTES:
                self.seal()
            self._bodies.append(body)
            self._bytes += len(body)
            if self._tagged:
                self._tags.append(_tags(entry))
            self.position = Position(epoch, entry.offset)
            if not self.rule.retention.messages:
                self._keep(entry)
            if spares:
                self.seal(spares)

    def about(self, entry: Entry) -> About | None:
        """What the publication carries beside its payload."""
        return told(self.rule.about, entry) if self.rule.about else None

    def encode(self, epoch: bytes, entry: Entry) -> bytes:
        """The PUBLICATION, the same bytes for everyone (CHN-2)."""
        return encode_publication(self.name, epoch, entry.offset, entry.data, self.about(entry))

    def seal(self, spared: tuple[str, ...] = ()) -> None:
        """Make a chunk of what has been reported since the last one.

        Args:
            spared: See `Chunk.spared`.
        """
        if not self._bodies:
            return
        epoch, last = self.position.epoch, self.position.offset
        batch = None if self._bytes > CHUNK_BYTES else Batch.of(self._bodies)
        first, longest = last - len(self._bodies) + 1, max(map(len, self._bodies))
        bodies = tuple(self._bodies) if self._tagged else ()
        self.chunks.append(Chunk(batch, epoch, first, last, longest, bodies, tuple(self._tags), last, spared))
        self._bodies = []
        self._tags = []
        self._bytes = 0

    def enter(
        self, outlet: Outlet, position: Position, filter: Filter | None = None, filters_max: int = 0
    ) -> Membership | None:
        """Add a member that has everything up to ``position``; None if there are too many filters for one more."""
        self.seal()
        mode = Mode.LIVE if self._has_everything(position) else Mode.BEHIND
        if filter is None:
            member = self.members[outlet] = Membership(self, outlet, position, mode)
            return member
        group = self.groups.get(filter)
        if group is None:
            if len(self.groups) >= filters_max:
                return None
            group = self.groups[filter] = Group(filter, self._position_every)
        filtered = group.members[outlet] = FilteredMembership(self, outlet, position, mode, group.filter)
        return filtered

    def leave(self, member: Membership) -> None:
        """Take a member away; nothing more is delivered to it."""
        member.active = False
        if member.filter is None:
            del self.members[member.outlet]
            return
        group = self.groups[member.filter]
        del group.members[member.outlet]
        if not group.members:
            del self.groups[member.filter]

    def catch_up(self, member: Membership) -> bool:
        """Make a member live again if it has everything that was reported."""
        if not self._has_everything(member.position):
            return False
        self.seal()
        member.mode = Mode.LIVE
        return True

    def deliver(self, members: Sequence[Membership], chunk: Chunk, now: float) -> None:
        """Give a chunk to members; whoever cannot take it becomes behind, and is fed.

        The hottest loop of a server: what is the same for all is asked for once, the time among it.
        """
        batch, epoch, last, longest = chunk.batch, chunk.epoch, chunk.last, chunk.longest
        before = chunk.first - 1
        for member in members:
            if member.mode is not _LIVE or not member.active:
                if member.mode is _BEHIND:
                    member.outlet.feed()
                continue
            offset = member.offset
            if member.epoch != epoch or offset >= last:
                continue
            if offset == before and longest <= member.longest and batch is not None:
                outlet = member.outlet
                passage = outlet.passage
                if (passage is not None and passage.send(batch, now)) or outlet.deliver(batch, now):
                    member.offset = last
                    continue
            member.fall_behind()

    def spare(self, member: Membership, chunk: Chunk, now: float) -> None:
        """Pass a member over with a publication that is not for it, and say so (ADR-8)."""
        in_turn = member.epoch == chunk.epoch and member.offset == chunk.first - 1
        if member.mode is _LIVE and in_turn and not member.spare(chunk.last, partial(member.outlet.deliver, now=now)):
            member.fall_behind()  # the feeder tells it when there is window

    def ring_history(self, after: int, limit: int) -> History:
        """What a channel without history still has after an offset, in the shape of a broker's answer."""
        first = self.ring[0].offset if self.ring else self.position.offset + 1
        return History(self.position, first, tuple(islice(self.ring, max(0, after + 1 - first), None))[:limit])

    def _everybody(self) -> Iterator[Membership]:
        return chain(self.members.values(), *(group.members.values() for group in self.groups.values()))

    def _has_everything(self, position: Position) -> bool:
        # A broker's history may be ahead of its reports: what is then reported again is skipped or fed (deliver).
        return position.epoch == self.position.epoch and position.offset >= self.position.offset

    def _keep(self, entry: Entry) -> None:
        self.ring.append(entry)
        self._ring_bytes += len(entry.data)
        limits = self._ring_limits
        while len(self.ring) > limits.messages or (self._ring_bytes > limits.bytes and len(self.ring) > 1):
            self._ring_bytes -= len(self.ring.popleft().data)


def _tags(entry: Entry) -> Mapping[str, str] | None:
    return None if entry.about is None else entry.about.tags
