"""One channel on this node, as pure state: who is where in it, and what waits to be delivered.

Publications arrive in offset order from the broker and wait in chunks, each prepared once for all. A member is
*live* (gets every chunk), *behind* (only its position is kept; the feeder brings it up from history) or *paused*.

Rule 1: a member's position says what its session has been given; nothing is given that does not follow it (SUB-9).
Rule 2: membership changes only between chunks: what waits is sealed first, so no chunk holds both what a member has
and what it has not.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from math import inf
from types import MappingProxyType
from typing import Final, Protocol

from hawser_engine.codec import encode_volatile
from hawser_engine.messages import About, Position, PositionNotice, encode_body, encode_publication
from hawser_engine.packets import MAX_BODY

from .chunks import Chunk, Fleeting, Waiting
from .entries import Entry, History, Retention, spared, tags_of, told
from .filtered import Group
from .filters import Filter
from .memberships import Membership, Mode, Outlet
from .overflow import Overflow, OverflowCounts
from .ring import Ring

POSITION_EVERY: Final = 100
"""Whoever is passed over hears of it after so many publications, or a quarter of what is kept (CHN-4)."""

_LIVE: Final = Mode.LIVE  # by names of their own, for they are asked for with every delivery (``hawser_engine.link``)
_BEHIND: Final = Mode.BEHIND


_NOWHERE: Final = Position(bytes(8), 0)
_NO_GROUPS: Final[Mapping[Filter, Group]] = MappingProxyType({})


class Policy(Protocol):
    """What is declared of a channel, as far as it decides how it is delivered."""

    @property
    def retention(self) -> Retention:
        """How much history is kept."""
        ...

    @property
    def overflow(self) -> Overflow:
        """What a subscriber gets that was behind."""
        ...

    @property
    def about(self) -> frozenset[str]:
        """What publications carry: ``publisher``, ``time``, ``tags``, ``latest_key``."""
        ...


class Channel:
    """One channel that somebody on this node subscribes to.

    There are many, and most have one member and nothing to do: what is not always there is not made before it is
    needed, and goes when it is not.
    """

    __slots__ = (
        "_accounted",
        "_early",
        "_groups",
        "_reported",
        "_ring",
        "_ring_limits",
        "_waiting",
        "counts",
        "members",
        "name",
        "policy",
        "position",
        "visiting",
    )

    def __init__(self, name: str, policy: Policy, ring: Retention, counts: OverflowCounts | None = None) -> None:
        self.name: str = name
        self.policy: Policy = policy
        self.counts: OverflowCounts = OverflowCounts() if counts is None else counts
        """What its members could not take, and those of other channels of its pattern."""
        self.members: list[Membership] = []
        """Those without a filter, in no order."""
        self._groups: dict[Filter, Group] | None = None
        self.position: Position = _NOWHERE
        """How far the broker has reported."""
        self._reported: Position | None = None  # the last one, which may be late behind the answer to the join
        self._accounted: Position | None = None  # how far there are chunks of it, or it is known what is missing
        self.visiting: bool = False
        """Whether it is open for patterns only, and not joined at the broker."""
        self._early: list[tuple[bytes, Sequence[Entry]]] | None = []  # reported before the join was answered
        self._waiting: Waiting | None = None  # to be delivered
        self._ring: Ring | None = None  # of a channel that drops the oldest
        self._ring_limits = ring

    @property
    def joined_at_broker(self) -> bool:
        """Whether the broker reports it by itself, and not only as a channel of a pattern."""
        return self._early is None and not self.visiting

    @property
    def accounted(self) -> Position | None:
        """How far it was told what there is: it is in chunks, or was found to be missing. None: nowhere yet."""
        return self._accounted

    @property
    def dirty(self) -> bool:
        """Whether something waits to be delivered."""
        return self._waiting is not None

    @property
    def chunks(self) -> Sequence[Chunk | Fleeting]:
        """What waits to be delivered, as far as it is sealed."""
        return () if self._waiting is None else self._waiting.chunks

    @property
    def groups(self) -> Mapping[Filter, Group]:
        """The members with a filter, by what it is."""
        return _NO_GROUPS if self._groups is None else self._groups

    @property
    def size(self) -> int:
        """How many are in it."""
        return len(self.members) + sum(len(group.members) for group in self.groups.values())

    @property
    def deserted(self) -> bool:
        """Whether nobody is in it."""
        return not (self.members or self._groups)

    def joined(self, position: Position) -> Position | None:
        """The broker reports from here on.

        Returns:
            See `missed`.
        """
        self.visiting = False
        early, self._early = self._early or [], None
        known = self._jump(position)
        for epoch, entries in early:
            self.report(epoch, entries)
        return known

    def visit(self, position: Position) -> None:
        """The broker reports it from here on, as a channel of a pattern."""
        self._early, self.visiting = None, True
        self.position = self._reported = self._accounted = position

    def reaches(self, position: Position) -> bool:
        """Whether it is known to go so far, in the same epoch."""
        return position.epoch == self.position.epoch and position.offset <= self.position.offset

    def missed(self, position: Position) -> Position | None:
        """Nobody has reported that it goes so far: whoever was up to date is given what waits, and then fed.

        Of a new epoch the feeder tells, at once (CHN-11).

        Returns:
            Where the first of what is missing follows; None if nothing is, or nothing was known of the channel before.
        """
        before = self.position.epoch
        known = self._jump(position)
        if self._waiting is not None and position.epoch == before:
            self._waiting.lacking = True
        else:
            self._have_all_catch_up()
        return known

    def _have_all_catch_up(self) -> None:
        for member in self._everybody():
            if member.mode is Mode.LIVE and not self._has_everything(member.position):
                member.fall_behind()

    def up_to_date(self, position: Position) -> bool:
        """Whether everything up to a position was reported and delivered, and nothing behind it."""
        return not self.dirty and position == self.position == self._reported

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
                    member.fall_behind()
            self._ring = None
        for entry in entries:
            if entry.volatile:
                self._pass(epoch, entry)
                continue
            reported = self._reported
            if reported is not None and reported.epoch == epoch and entry.offset != reported.offset + 1:
                if entry.offset <= reported.offset:
                    continue
                self._skip()
            body = self.encode(epoch, entry)
            spares = () if entry.about is None else spared(entry)
            waiting = self._to_deliver()
            if spares or not waiting.has_room(body):
                self.seal()
            waiting.add(body, tags_of(entry))
            self._reported = Position(epoch, entry.offset)
            self._reach(self._reported)
            if self._drops_oldest:
                self._keep(entry)
            if spares:
                self.seal(spares)

    def _pass(self, epoch: bytes, entry: Entry) -> None:
        """Take something volatile, which moves no position (VOL-2)."""
        self.seal()
        position = Position(epoch, entry.offset)
        if epoch != self.position.epoch:
            self.position = position
        body = self.encode(epoch, entry)
        if len(body) <= MAX_BODY:  # VOL-3: whoever has let it in, it fits into no other packet
            spares = () if entry.about is None else spared(entry)
            in_place = position == (self._accounted or self.position)
            fleeting = Fleeting(encode_volatile(body), len(body), position, in_place, tags_of(entry), spares)
            self._to_deliver().chunks.append(fleeting)

    def _to_deliver(self) -> Waiting:
        if self._waiting is None:
            self._waiting = Waiting(tagged="tags" in self.policy.about)
        return self._waiting

    def _reach(self, position: Position) -> None:
        """The channel goes at least to there."""
        if position.epoch != self.position.epoch or position.offset > self.position.offset:
            self.position = position

    def _jump(self, position: Position) -> Position | None:
        """The channel goes at least to there, without a report of it; returns how far it was known, if that is news."""
        if self.reaches(position):
            return None
        self._skip()
        known, self._accounted = self._accounted, position
        self.position = position
        return known

    def _skip(self) -> None:
        """Something was not reported: what comes now does not follow what came before."""
        self.seal()
        self._ring = None

    def about(self, entry: Entry) -> About | None:
        """What the publication carries beside its payload."""
        return told(self.policy.about, entry)

    def encode(self, epoch: bytes, entry: Entry) -> bytes:
        """The PUBLICATION, the same bytes for everyone (CHN-2)."""
        return encode_publication(self.name, epoch, entry.offset, entry.data, self.about(entry))

    def bodies(self, epoch: bytes, entries: Sequence[Entry], filter: Filter | None) -> list[bytes]:
        """PUBLICATIONs in a row, with POSITION where what lies between was replaced (LAT-3)."""
        bodies: list[bytes] = []
        before = entries[0].offset - 1
        for entry in entries:
            if filter is None and entry.offset != before + 1:
                bodies.append(encode_body(PositionNotice(self.name, epoch, entry.offset - 1)))
            bodies.append(self.encode(epoch, entry))
            before = entry.offset
        return bodies

    def seal(self, spared: tuple[str, ...] = ()) -> None:
        """Make a chunk of what has been reported since the last one.

        Args:
            spared: See `Chunk.spared`.
        """
        if self._waiting is not None and self._reported is not None and self._waiting.open:
            self._waiting.seal(self._reported, self._accounted, spared)
            self._accounted = self._reported

    def delivered(self) -> None:
        """The first chunk was given to everybody."""
        waiting = self._to_deliver()
        waiting.chunks.popleft()
        if waiting.empty:
            self._waiting = None
            if waiting.lacking:
                self._have_all_catch_up()

    def enter(
        self, outlet: Outlet, position: Position, filter: Filter | None = None, filters_max: int = 0
    ) -> Membership | None:
        """Add a member that has everything up to ``position``; None if there are too many filters for one more."""
        self.seal()
        mode = Mode.LIVE if self._has_everything(position) else Mode.BEHIND
        if filter is None:
            member = Membership(self, outlet, position, mode, len(self.members))
            self.members.append(member)
            return member
        group = self.groups.get(filter)
        if group is None:
            if len(self.groups) >= filters_max:
                return None
            group = Group(self, filter, self._position_every)
            self._groups = {} if self._groups is None else self._groups
            self._groups[filter] = group
        return group.enter(outlet, position, mode)

    def leave(self, member: Membership) -> None:
        """Take a member away; nothing more is delivered to it."""
        member.active = False
        if member.filter is None:
            last = self.members.pop()
            if last is not member:
                self.members[member.place] = last
                last.place = member.place
        else:
            assert self._groups is not None
            group = self._groups[member.filter]
            del group.members[member.outlet]
            if not group.members:
                del self._groups[member.filter]

    def catch_up(self, member: Membership) -> bool:
        """Make a member live again if it has everything that was reported."""
        if not self._has_everything(member.position):
            return False
        self.seal()
        member.mode = Mode.LIVE
        if member.recovers_to == inf:
            member.recovers_to = member.offset
        else:
            self.counts.caught_up += 1
        return True

    def fed_from_history(self, member: Membership) -> bool:
        """Whether what a member is behind with comes from history, and not from what waits here (OVF-1)."""
        return not self._drops_oldest or (member.recovering and bool(self.policy.retention.messages))

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

    def deliver_volatile(self, members: Sequence[Membership], fleeting: Fleeting, now: float) -> None:
        """Give something volatile to those who keep up; nobody becomes behind by it (VOL-4)."""
        packet, epoch, offset = fleeting.packet, fleeting.position.epoch, fleeting.position.offset
        sent = 0
        for member in members:
            if member.mode is not _LIVE or member.offset != offset or member.epoch != epoch or not member.active:
                continue
            if fleeting.length <= member.longest and member.outlet.deliver_volatile(packet, now):
                sent += 1
        self.counts.volatile_sent += sent
        self.counts.volatile_dropped += len(members) - sent

    def ring_history(self, after: int, limit: int) -> History:
        """What a channel that drops the oldest still has after an offset, in the shape of a broker's answer."""
        if self._ring is None:
            return History(self.position, self.position.offset + 1, ())
        return self._ring.history(self.position, after, limit)

    @property
    def _drops_oldest(self) -> bool:
        return self.policy.overflow is Overflow.DROP_OLDEST

    @property
    def _position_every(self) -> int:
        waiting = self._ring_limits.messages if self._drops_oldest else 0
        return max(1, min(POSITION_EVERY, max(self.policy.retention.messages, waiting) // 4))

    def _everybody(self) -> Iterator[Membership]:
        return chain(self.members, *(group.members.values() for group in self.groups.values()))

    def _has_everything(self, position: Position) -> bool:
        # A broker's history may be ahead of its reports: what is then reported again is skipped or fed (deliver).
        return position.epoch == self.position.epoch and position.offset >= self.position.offset

    def _keep(self, entry: Entry) -> None:
        if self._ring is None:
            self._ring = Ring(self._ring_limits, entry)
        else:
            self._ring.keep(entry)
