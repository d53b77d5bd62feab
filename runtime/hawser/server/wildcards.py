"""Subscriptions to patterns of channels: live, and without a table of who stands where (SPEC WLD-1 to WLD-7).

Rule: nothing is kept for a session and a channel as long as the session takes what is published there. Where it does
not, it has a *stray* in that channel: a membership that is fed from history like any other, until it has everything.
So a pattern costs what it brings, and a publication looks for its patterns once, however many sessions have them.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from hawser.calls import Refused
from hawser_engine.batch import Batch
from hawser_engine.channels.segments import PatternIndex, is_pattern, overlap
from hawser_engine.codes import ErrorCode, GapReason, SubscribeStatus
from hawser_engine.messages import ChannelOutcome, GapNotice, Position, encode_body

from .chunks import Chunk
from .memberships import Membership, Mode, tags_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence

    from hawser.brokers import Entry
    from hawser.rules import ChannelRule
    from hawser_engine.channels.filters import Filter

    from .channels import Channel
    from .chunks import Fleeting
    from .hub import Hub
    from .node import Node
    from .planning import Plan
    from .sessions import ServerSession

NOWHERE: Final = Position(bytes(8), 0)
"""Where a pattern stands: it is no channel (WLD-2)."""

FLUSH_SOCKETS: Final = 500
"""Members served between two checkpoints."""


class PatternGroup:
    """The sessions that have one pattern with one filter, and so share bytes."""

    __slots__ = ("filter", "members", "pattern", "rule")

    def __init__(self, pattern: str, rule: ChannelRule, filter: Filter | None) -> None:
        self.pattern: str = pattern
        self.rule: ChannelRule = rule
        """The declaration of the pattern; it brings the channels for which that holds as well (WLD-3)."""
        self.filter: Filter | None = filter
        self.members: dict[ServerSession, PatternMember] = {}


class PatternMember:
    """One session that has a pattern."""

    __slots__ = ("active", "given", "group", "lost", "number", "session")

    def __init__(self, session: ServerSession, group: PatternGroup, number: int) -> None:
        self.session: ServerSession = session
        self.group: PatternGroup = group
        self.number: int = number
        """How many had entered a pattern before it."""
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

    def __init__(self, channel: Channel, of: PatternMember, position: Position, mode: Mode) -> None:
        super().__init__(channel, of.session, position, mode)
        self.recovering = False  # it had begun long before
        self.of: PatternMember = of

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

    @property
    def behind(self) -> bool:
        """Whether there is something to be fed."""
        return any(stray.mode is Mode.BEHIND for stray in self.strays.values()) or any(
            member.lost for member in self.members.values()
        )


class _Watch:
    """One pattern that sessions of this node have, or are about to."""

    def __init__(self, pattern: str) -> None:
        self.pattern: str = pattern
        self.groups: dict[Filter | None, PatternGroup] = {}
        self.lock: trio.Lock = trio.Lock()
        self.pins: int = 0
        self.open: bool = False
        """Whether the broker reports it."""

    @property
    def deserted(self) -> bool:
        return not (self.pins or self.groups)


class Wildcards:
    """All patterns of one node."""

    def __init__(self, node: Node, hub: Hub) -> None:
        self._node = node
        self._hub = hub
        self._index = PatternIndex()
        self._watches: dict[str, _Watch] = {}
        self._strays: dict[Channel, dict[ServerSession, Stray]] = {}
        self._entered = 0  # so many have entered a pattern
        self._known: OrderedDict[str, tuple[Position, int]] = OrderedDict()  # of channels that are not open
        self._reopened: dict[Channel, int] = {}  # how many had entered when it was closed

    def __bool__(self) -> bool:
        return bool(self._index)

    # ------------------------------------------------------------ entering and leaving

    @contextmanager
    def pinned(self, names: Iterable[str]) -> Generator[None]:
        """Keep patterns open while somebody is about to enter them."""
        watches = [self._watches.setdefault(name, _Watch(name)) for name in names if is_pattern(name)]
        for watch in watches:
            watch.pins += 1
        try:
            yield
        finally:
            for watch in watches:
                watch.pins -= 1
                self._release(watch)

    async def open(self, pattern: str) -> None:
        """Have the broker report a pattern. The caller has pinned it."""
        watch = self._watches[pattern]
        async with watch.lock:
            if not watch.open:
                await self._node.app.broker.watch(pattern, self._hub.report)
                watch.open = True

    def _release(self, watch: _Watch) -> None:
        if watch.deserted:
            if watch.open:
                self._node.start_service(self._close, watch)
            elif not watch.lock.locked():
                self._watches.pop(watch.pattern, None)

    async def _close(self, watch: _Watch) -> None:
        async with watch.lock:
            if watch.open and watch.deserted:
                watch.open = False
                await self._node.app.broker.unwatch(watch.pattern, self._hub.report)
        if watch.deserted and not watch.open:
            self._watches.pop(watch.pattern, None)

    def enter(self, session: ServerSession, plan: Plan, rule: ChannelRule) -> ChannelOutcome:
        """Add a session to a pattern; the answer to that (WLD-2, WLD-4, WLD-7)."""
        config, own = self._node.config, session.wildcards
        watch = self._watches[plan.name]
        if own is not None and any(overlap(plan.name, other) for other in own.members):
            return ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, ErrorCode.BAD_REQUEST.name)
        many = own is not None and len(own.members) >= config.wildcards_per_session
        if many or (plan.filter not in watch.groups and len(watch.groups) > config.filters_per_channel):
            return ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, ErrorCode.LIMIT.name)
        if own is None:
            own = session.wildcards = SessionPatterns()
        group = watch.groups.get(plan.filter)
        if group is None:
            group = watch.groups[plan.filter] = PatternGroup(plan.name, rule, plan.filter)
            self._index.add(plan.name)
        member = own.members[plan.name] = group.members[session] = PatternMember(session, group, self._entered)
        self._entered += 1
        for channel in self._hub.unflushed():  # what waits was published before
            if channel.rule is rule and channel.name not in session.memberships and overlap(plan.name, channel.name):
                channel.seal()
                self._stray(member, channel, channel.position, Mode.LIVE)
        return ChannelOutcome(plan.name, plan.status, NOWHERE, plan.reason)

    def leave(self, session: ServerSession, pattern: str) -> None:
        """Take a session out of a pattern, if it has it."""
        own = session.wildcards
        member = None if own is None else own.members.pop(pattern, None)
        if own is None or member is None:
            return
        member.active = False
        for stray in [stray for stray in own.strays.values() if stray.of is member]:
            self._drop(stray)
        if not own.members:
            session.wildcards = None
        group, watch = member.group, self._watches[pattern]
        del group.members[session]
        if not group.members:
            del watch.groups[group.filter]
        if not watch.groups:
            self._index.remove(pattern)
            self._release(watch)
        if not self._index:
            self._known.clear()

    def ended(self, session: ServerSession) -> None:
        """The session is over."""
        for pattern in [] if session.wildcards is None else list(session.wildcards.members):
            self.leave(session, pattern)

    async def recheck(self, session: ServerSession) -> list[str]:
        """Ask again for the rights to all patterns of a session; returns those that it has lost (WLD-3)."""
        lost: list[str] = []
        for pattern in [] if session.wildcards is None else list(session.wildcards.members):
            try:
                await self._node.allow(session, "wildcard", pattern)
            except Refused:
                lost.append(pattern)
        return lost

    # ------------------------------------------------------------ beside subscriptions to channels

    def given(self, session: ServerSession, channel: Channel) -> Position:
        """Where a session begins that subscribes to a channel now: it has not had anything behind that (WLD-4).

        What it was fed from history may be ahead of what was reported.
        """
        stray = self._strays.get(channel, {}).get(session)
        return stray.position if stray is not None and not channel.reaches(stray.position) else channel.position

    def taken(self, session: ServerSession, channel: Channel, start: Position) -> None:
        """A session subscribes to a channel itself: that is none of its patterns any more (WLD-4)."""
        member = self._member(session, channel)
        if member is None:
            return
        if member.lost:  # told before what comes of the channel, which may go to the pattern once it is left
            session.tell(encode_body(member.loss))
            self._told(member)
        now = trio.current_time()
        for chunk in channel.chunks:
            if isinstance(chunk, Chunk) and member.given is not chunk:
                self._give(member, channel, chunk, self._passing(member.group, chunk), now)
        stray = self._strays.get(channel, {}).get(session)
        if stray is not None:
            before = stray.position
            if before.epoch != start.epoch or before.offset < start.offset:
                session.tell(encode_body(GapNotice(channel.name, before, start, GapReason.OVERFLOW)))
            self._drop(stray)

    def returned(self, session: ServerSession, former: Membership) -> None:
        """A session does not subscribe to a channel itself any more: the pattern goes on from there (WLD-4)."""
        channel = former.channel
        member = self._member(session, channel)
        if member is None or member.lost:
            return
        live = former.mode is Mode.LIVE
        if not live or not channel.up_to_date(former.position):
            self._stray(member, channel, former.position, Mode.LIVE if live else Mode.BEHIND)

    def _member(self, session: ServerSession, channel: Channel) -> PatternMember | None:
        """Which of the patterns of a session a channel is of; there is never more than one."""
        own = session.wildcards
        for member in () if own is None else own.members.values():
            if member.group.rule is channel.rule and overlap(member.group.pattern, channel.name):
                return member
        return None

    # ------------------------------------------------------------ delivering

    def covers(self, name: str, rule: ChannelRule) -> bool:
        """Whether anybody has a pattern that brings a channel."""
        return any(True for _ in self._groups(name, rule))

    def closed(self, channel: Channel) -> None:
        """Nobody has a channel open any more: remember how far it was reported, if reports may get lost (CHN-15)."""
        may_lose = self._node.app.broker.compare_seconds < inf
        if may_lose and self.covers(channel.name, channel.rule):
            self._known[channel.name] = channel.position, self._entered
            if len(self._known) > self._node.config.wildcards_known:
                self._known.popitem(last=False)

    def opened(self, channel: Channel, position: Position) -> None:
        """It is opened again, before what comes after a position is reported."""
        known, entered = self._known.pop(channel.name, (position, self._entered))
        if known.epoch == position.epoch and known.offset < position.offset:
            position = known
            self._reopened[channel] = entered
        channel.visit(position)

    def _groups(self, name: str, rule: ChannelRule) -> Iterable[PatternGroup]:
        for pattern in self._index.find(name):
            for group in list(self._watches[pattern].groups.values()):
                if group.rule is rule:
                    yield group

    async def flush(self, channel: Channel, chunk: Chunk) -> None:
        """Give a chunk to whoever has a pattern of its channel."""
        served, now = 0, trio.current_time()
        for group in self._groups(channel.name, channel.rule):
            passing = self._passing(group, chunk)
            for member in list(group.members.values()):
                served += 1
                if served % FLUSH_SOCKETS == 0:
                    await trio.lowlevel.checkpoint()
                    now = trio.current_time()
                self._give(member, channel, chunk, passing, now)

    async def flush_volatile(self, channel: Channel, fleeting: Fleeting) -> None:
        """Give something volatile to whoever has a pattern of its channel and is not behind in it (WLD-5)."""
        served = sent = 0
        now = trio.current_time()
        for group in self._groups(channel.name, channel.rule):
            if group.filter is not None and not group.filter.matches(fleeting.tags):
                continue
            for member in list(group.members.values()):
                served += 1
                if served % FLUSH_SOCKETS == 0:
                    await trio.lowlevel.checkpoint()
                    now = trio.current_time()
                if self._in_place(member, channel, fleeting):
                    sent += member.session.deliver_volatile(fleeting.packet, now)
        channel.counts.volatile_sent += sent
        channel.counts.volatile_dropped += served - sent

    def _in_place(self, member: PatternMember, channel: Channel, fleeting: Fleeting) -> bool:
        session = member.session
        if not member.active or member.lost or channel.name in session.memberships:
            return False
        if self._node.addressing.known(session) in fleeting.spared or fleeting.length > session.message_bytes:
            return False
        stray = self._strays.get(channel, {}).get(session)
        if stray is None:
            return fleeting.in_place
        return stray.mode is Mode.LIVE and stray.position == fleeting.position

    def flushed(self, channel: Channel) -> None:
        """Nothing of a channel waits any more: whoever has everything is where the others are."""
        self._reopened.pop(channel, None)
        for stray in list(self._strays.get(channel, {}).values()):
            self._settle(stray)

    def _passing(self, group: PatternGroup, chunk: Chunk) -> Chunk | None:
        return chunk if group.filter is None else chunk.passing(group.filter)

    def _give(self, member: PatternMember, channel: Channel, chunk: Chunk, passing: Chunk | None, now: float) -> None:
        session = member.session
        if not member.active or member.lost or channel.name in session.memberships:
            return
        strays = self._strays.get(channel)
        stray = None if strays is None else strays.get(session)
        if stray is not None and not self._follows(stray, chunk):
            return
        missing = chunk.before < chunk.first - 1 and member.number < self._reopened.get(channel, self._entered)
        if stray is None and missing:  # something was not reported (CHN-3)
            self._stray(member, channel, Position(chunk.epoch, chunk.before), Mode.BEHIND)
            return
        member.given = chunk
        if chunk.spared and self._node.addressing.known(session) in chunk.spared:
            passing = None  # ADR-8
        if passing is None or self._send(session, passing, now):
            if stray is not None:
                stray.epoch, stray.offset = chunk.epoch, chunk.last
        elif stray is not None:
            stray.fall_behind()
        else:
            self._stray(member, channel, Position(chunk.epoch, chunk.first - 1), Mode.BEHIND)

    def _follows(self, stray: Stray, chunk: Chunk) -> bool:
        """Whether a chunk is the next for a stray; one that it does not reach to is fed."""
        if stray.mode is Mode.BEHIND:
            stray.outlet.feed()
            return False
        if stray.epoch == chunk.epoch and stray.offset >= chunk.last:
            return False
        if stray.epoch != chunk.epoch or stray.offset != chunk.first - 1:
            stray.fall_behind()
            return False
        return True

    def _send(self, session: ServerSession, chunk: Chunk, now: float) -> bool:
        batch = chunk.batch
        if batch is None or chunk.longest > session.message_bytes:
            return False
        passage = session.passage
        return (passage is not None and passage.send(batch, now)) or session.deliver(batch, now)

    def missed(self, channel: Channel) -> None:
        """Something was not reported: whoever was where the others are is fed from there (CHN-15)."""
        reported = channel.reported
        for group in () if reported is None else self._groups(channel.name, channel.rule):
            for member in list(group.members.values()):
                if member.lost or channel.name in member.session.memberships or reported is None:
                    continue
                stray = self._strays.get(channel, {}).get(member.session)
                if stray is None:
                    self._stray(member, channel, self._stood(member, channel, reported), Mode.BEHIND)
                elif stray.mode is Mode.LIVE:
                    stray.fall_behind()

    def _stood(self, member: PatternMember, channel: Channel, reported: Position) -> Position:
        """Where one without a stray stands: before what waits, but for what it was given already."""
        for chunk in channel.chunks:
            if isinstance(chunk, Chunk) and member.given is not chunk:
                return Position(chunk.epoch, chunk.before)
        return reported

    # ------------------------------------------------------------ strays

    def _stray(self, member: PatternMember, channel: Channel, position: Position, mode: Mode) -> None:
        session, own = member.session, member.session.wildcards
        assert own is not None
        if channel.name not in own.strays and len(own.strays) >= self._node.config.wildcards_behind:
            self._lose(member, own)
            return
        stray = own.strays[channel.name] = Stray(channel, member, position, mode)
        self._strays.setdefault(channel, {})[session] = stray
        self._hub.pin(channel.name)
        if mode is Mode.BEHIND:
            channel.counts.behind += 1
            session.feed()

    def _lose(self, member: PatternMember, own: SessionPatterns) -> None:
        """Too much to go on from: it will be told that anything may be missing (WLD-6)."""
        member.lost = True
        for stray in [stray for stray in own.strays.values() if stray.of is member]:
            if stray.channel.dirty:  # of what waits it may have had some, so that must not come again
                stray.moved(stray.channel.position)
                stray.mode = Mode.LIVE
            else:
                self._drop(stray)
        member.session.feed()

    def _settle(self, stray: Stray) -> None:
        """Forget a stray that is where the others are."""
        if stray.mode is Mode.LIVE and stray.channel.up_to_date(stray.position):
            self._drop(stray)

    def _drop(self, stray: Stray) -> None:
        channel = stray.channel
        session = stray.of.session
        stray.active = False
        strays = self._strays[channel]
        del strays[session]
        if not strays:
            del self._strays[channel]
        if session.wildcards is not None:
            session.wildcards.strays.pop(channel.name, None)
        self._hub.unpin(channel.name)

    def fed(self, session: ServerSession) -> None:
        """A session was fed: forget its strays that have everything, and tell what it lost, if it takes that now."""
        own = session.wildcards
        if own is None:
            return
        for stray in list(own.strays.values()):
            self._settle(stray)
        now = trio.current_time()
        for member in own.members.values():
            if member.lost and session.offer(Batch.of([encode_body(member.loss)]), now):
                self._told(member)
        session.flush(now)

    def _told(self, member: PatternMember) -> None:
        """It was told what it lost: it goes on."""
        member.lost = False
        self._hub.counts_of(member.group.rule).gaps += 1
