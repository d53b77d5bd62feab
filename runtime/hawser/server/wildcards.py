"""Subscriptions to patterns of channels: live, and without a table of who stands where (SPEC WLD-1 to WLD-7).

Rule: nothing is kept for a session and a channel as long as the session takes what is published there. Where it does
not, it has a *stray* in that channel: a membership that is fed from history like any other, until it has everything.
So a pattern costs what it brings, and a publication looks for its patterns once, however many sessions have them.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

import attrs
import trio

from hawser.calls import Refused
from hawser_engine.batch import Batch
from hawser_engine.channels.memberships import Mode
from hawser_engine.channels.segments import PatternIndex, overlap
from hawser_engine.codes import ErrorCode, GapReason
from hawser_engine.messages import ChannelOutcome, GapNotice, Position, encode_body

from .flushing import in_batches, looking
from .strays import NOWHERE, PatternGroup, PatternMember, SessionPatterns, Stray
from .watches import Watches

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.rules import ChannelRule
    from hawser_engine.channels.channel import Channel, Policy
    from hawser_engine.channels.chunks import Chunk, Fleeting
    from hawser_engine.channels.memberships import Membership

    from .flushing import Turns
    from .hub import Hub
    from .node import Node
    from .planning import Plan
    from .sessions import ServerSession


@attrs.frozen
class Known:
    """What is remembered of a channel that is not open."""

    position: Position
    """How far it was accounted for."""
    begun: int
    """How many patterns had been entered that nobody had."""


class Wildcards:
    """All patterns of one node."""

    def __init__(self, node: Node, hub: Hub) -> None:
        self._node = node
        self._hub = hub
        self._index = PatternIndex()
        self.watches: Watches = Watches(node, hub.report, self.lost)
        """What the broker is asked to report."""
        self._strays: dict[Channel, dict[ServerSession, Stray]] = {}
        self._begun = 0  # so many patterns were entered that nobody had
        self._known: OrderedDict[str, Known] = OrderedDict()  # of channels that are not open

    def __bool__(self) -> bool:
        return bool(self._index)

    # ------------------------------------------------------------ entering and leaving

    def enter(self, session: ServerSession, plan: Plan, rule: ChannelRule) -> ChannelOutcome:
        """Add a session to a pattern; the answer to that (WLD-2, WLD-4, WLD-7).

        Raises:
            Refused: It does not get the pattern.
        """
        config, own = self._node.config, session.wildcards
        watch = self.watches[plan.name]
        for other in () if own is None else own.members:
            if overlap(plan.name, other):
                raise Refused(ErrorCode.BAD_REQUEST, f"{plan.name!r} has channels in common with {other!r}")
        if own is not None and len(own.members) >= config.wildcards_per_session:
            raise Refused(ErrorCode.LIMIT, f"a session has at most {config.wildcards_per_session} patterns")
        if plan.filter not in watch.groups and len(watch.groups) > config.filters_per_channel:
            many = f"{plan.name!r} has {config.filters_per_channel} different filters, and takes no more"
            raise Refused(ErrorCode.LIMIT, many)
        if own is None:
            own = session.wildcards = SessionPatterns()
        group = watch.groups.get(plan.filter)
        if not watch.groups:
            watch.began = self._begun = self._begun + 1
        if group is None:
            group = watch.groups[plan.filter] = PatternGroup(plan.name, rule, plan.filter)
            self._index.add(plan.name)
        member = own.members[plan.name] = group.members[session] = PatternMember(session, group)
        for channel in self._hub.flusher.unflushed():  # what waits was published before
            if channel.policy is rule and channel.name not in session.memberships and overlap(plan.name, channel.name):
                channel.seal()
                self._stray(member, channel, channel.position)
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
        group, watch = member.group, self.watches[pattern]
        del group.members[session]
        if not group.members:
            del watch.groups[group.filter]
        if not watch.groups:
            self._index.remove(pattern)
            self.watches.release(watch)
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
        return stray.position if stray is not None and stray.ahead else channel.position

    def taken(self, session: ServerSession, channel: Channel, start: Position) -> None:
        """A session subscribes to a channel itself: that is none of its patterns any more (WLD-4)."""
        member = self._member(session, channel)
        if member is None:
            return
        self._tell_loss(member)
        stray = self._give_what_waits(member, channel, member.group.waiting(channel))
        self._tell_loss(member)  # that may have been too much
        before = (channel.accounted or channel.position) if stray is None else stray.position
        if before.epoch != start.epoch or before.offset < start.offset:  # history may be ahead of what was reported
            session.tell(encode_body(GapNotice(channel.name, before, start, GapReason.OVERFLOW)))
        if stray is not None:
            self._drop(stray)

    def returned(self, session: ServerSession, former: Membership) -> None:
        """A session does not subscribe to a channel itself any more: the pattern goes on from there (WLD-4)."""
        channel = former.channel
        member = self._member(session, channel)
        if member is None or member.lost:
            return
        if former.mode is not Mode.LIVE:
            self._leave_behind(member, channel, former.position, recovers_to=former.recovers_to)
        elif not channel.up_to_date(former.position):
            self._stray(member, channel, former.position)

    def _member(self, session: ServerSession, channel: Channel) -> PatternMember | None:
        """Which of the patterns of a session a channel is of; there is never more than one."""
        own = session.wildcards
        for member in () if own is None else own.members.values():
            if member.group.rule is channel.policy and overlap(member.group.pattern, channel.name):
                return member
        return None

    # ------------------------------------------------------------ delivering

    def covers(self, name: str, policy: Policy) -> bool:
        """Whether anybody has a pattern that brings a channel."""
        return bool(self._groups(name, policy))

    def closed(self, channel: Channel) -> None:
        """Nobody has a channel open any more: remember how far it is known, for a report may come late or get lost."""
        if self.covers(channel.name, channel.policy):
            self._known[channel.name] = Known(channel.accounted or channel.position, self._begun)
            if len(self._known) > self._node.config.wildcards_known:
                self._known.popitem(last=False)

    def opened(self, channel: Channel, position: Position) -> None:
        """It is opened again, before what comes after a position is reported."""
        known = self._recall(channel)
        if known is not None and known.epoch != position.epoch:
            position = Position(position.epoch, 0)  # all of that epoch came later
        elif known is not None and known.offset < position.offset:
            position = known
        channel.visit(position)

    def recalled(self, channel: Channel) -> None:
        """It is opened again, for whoever subscribes to it: for those who have a pattern it is where it was."""
        known = self._recall(channel)
        if known is not None:
            channel.visit(known)

    def _recall(self, channel: Channel) -> Position | None:
        """How far a channel is known, if somebody has had a pattern of it since it was closed."""
        known = self._known.pop(channel.name, None)
        if known is None:
            return None
        groups = self._groups(channel.name, channel.policy)
        return known.position if any(self.watches[each.pattern].began <= known.begun for each in groups) else None

    def joined(self, channel: Channel, known: Position | None) -> None:
        """The broker reports it by itself from now on, and has said how far it goes: that may be news (WLD-4, CHN-15).

        What it has not reported by then may be late or lost: whoever has a pattern of it is fed from there, and is told
        what it misses if it subscribes to the channel before that.
        """
        if known is not None:
            self.missed(channel, known)

    def _groups(self, name: str, policy: Policy) -> Sequence[PatternGroup]:
        """Who has a pattern that brings a channel, now: while some are served, others may leave theirs."""
        groups = (group for pattern in self._index.find(name) for group in self.watches[pattern].groups.values())
        return [group for group in groups if group.rule is policy]

    async def flush(self, channel: Channel, chunk: Chunk, turns: Turns) -> None:
        """Give a chunk to whoever has a pattern of its channel."""
        for group in self._groups(channel.name, channel.policy):
            await turns.take(looking(len(chunk.tags), group.filter))
            passing = group.passing(chunk)
            for some in in_batches(group.members.values()):
                await turns.take(len(some))
                now = trio.current_time()
                for member in some:
                    self._give(member, channel, chunk, passing, now)

    async def flush_volatile(self, channel: Channel, fleeting: Fleeting, turns: Turns) -> None:
        """Give something volatile to whoever has a pattern of its channel and is not behind in it (WLD-5)."""
        served = sent = 0
        for group in self._groups(channel.name, channel.policy):
            await turns.take(looking(1, group.filter))
            if group.filter is not None and not group.filter.matches(fleeting.tags):
                continue
            for some in in_batches(group.members.values()):
                await turns.take(len(some))
                now = trio.current_time()
                for member in some:
                    if self._in_place(member, channel, fleeting):
                        sent += member.session.deliver_volatile(fleeting.packet, now)
                served += len(some)
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
        for stray in list(self._strays.get(channel, {}).values()):
            self._settle(stray)

    def _give(self, member: PatternMember, channel: Channel, chunk: Chunk, passing: Chunk | None, now: float) -> None:
        session = member.session
        if not member.active or channel.name in session.memberships:
            return
        strays = self._strays.get(channel)
        stray = None if strays is None else strays.get(session)
        if member.lost:
            self._pass(stray, Position(chunk.epoch, chunk.last))
            return
        if stray is not None and not self._follows(stray, chunk):
            return
        if stray is None and chunk.before < chunk.first - 1:  # something was not reported (CHN-3)
            self._leave_behind(member, channel, Position(chunk.epoch, chunk.before))
            return
        member.given = chunk
        if chunk.spared and self._node.addressing.known(session) in chunk.spared:
            passing = None  # ADR-8
        if passing is None or self._send(session, passing, now):
            if stray is not None:
                stray.epoch, stray.offset = chunk.epoch, chunk.last
        elif stray is not None:
            self._fall_behind(stray)
        else:
            self._leave_behind(member, channel, Position(chunk.epoch, chunk.first - 1))

    def _pass(self, stray: Stray | None, position: Position) -> None:
        """What goes up to a position is among what a session has lost: it does not come once that was told (WLD-6)."""
        if stray is None:
            return
        here = stray.channel.position
        ahead = stray.offset >= position.offset if stray.epoch == position.epoch else stray.epoch == here.epoch
        if not ahead:
            stray.moved(position)

    def _follows(self, stray: Stray, chunk: Chunk) -> bool:
        """Whether a chunk is the next for a stray; one that it does not reach to is fed."""
        if stray.mode is Mode.BEHIND:
            stray.outlet.feed()
            return False
        if stray.epoch == chunk.epoch and stray.offset >= chunk.last:
            return False
        if stray.epoch != chunk.epoch or stray.offset != chunk.first - 1:
            self._fall_behind(stray)
            return False
        return True

    def _send(self, session: ServerSession, chunk: Chunk, now: float) -> bool:
        batch = chunk.batch
        if batch is None or chunk.longest > session.message_bytes:
            return False
        passage = session.passage
        return (passage is not None and passage.send(batch, now)) or session.deliver(batch, now)

    def missed(self, channel: Channel, known: Position) -> None:
        """What follows a position was not reported: whoever was where the others are is fed from there (CHN-15)."""
        with self._hub.pinned([channel.name]):  # else it may be closed when one after the other has lost it
            for group in self._groups(channel.name, channel.policy):
                waiting = group.waiting(channel)
                for member in list(group.members.values()):
                    if channel.name not in member.session.memberships:
                        self._miss(member, channel, known, self._give_what_waits(member, channel, waiting))

    def lost(self, pattern: str) -> None:
        """Anything of a pattern may not have been reported, and nobody knows what: tell whoever has it (WLD-9)."""
        for group in self.watches.groups(pattern):
            for member in group.members.values():
                own = member.session.wildcards
                assert own is not None
                self._lose(member, own)

    def _miss(self, member: PatternMember, channel: Channel, known: Position, stray: Stray | None) -> None:
        if member.lost:
            self._pass(stray, channel.position)
        elif stray is None:
            self._leave_behind(member, channel, known)
        elif stray.mode is Mode.LIVE:
            self._fall_behind(stray)

    def _give_what_waits(
        self, member: PatternMember, channel: Channel, waiting: Sequence[tuple[Chunk, Chunk | None]]
    ) -> Stray | None:
        """Give a session what waits to be given to all, and return the stray that it has then."""
        now = trio.current_time()
        for chunk, passing in waiting:
            if member.given is not chunk:
                self._give(member, channel, chunk, passing, now)
        return self._strays.get(channel, {}).get(member.session)

    # ------------------------------------------------------------ strays

    def _stray(self, member: PatternMember, channel: Channel, position: Position) -> Stray:
        """A session is not where the others are: it gets what is reported from a position on, and nothing before."""
        session, own = member.session, member.session.wildcards
        assert own is not None
        stray = own.strays[channel.name] = Stray(channel, member, position)
        self._strays.setdefault(channel, {})[session] = stray
        self._hub.pin(channel.name)
        return stray

    def _leave_behind(
        self, member: PatternMember, channel: Channel, position: Position, *, recovers_to: float = 0
    ) -> None:
        """A session that was where the others are is fed from a position on, if it is not behind in too much."""
        if not self._loses_more(member):
            stray = self._stray(member, channel, position)
            stray.recovers_to = recovers_to
            stray.fall_behind()
        elif channel.dirty:
            self._stray(member, channel, channel.position)  # as with the others: what waits must not come again

    def _fall_behind(self, stray: Stray) -> None:
        """A session that was somewhere else is fed from there, if it is not behind in too much."""
        if not self._loses_more(stray.of):
            stray.fall_behind()

    def _loses_more(self, member: PatternMember) -> bool:
        """Whether a session that is to be fed one more channel of a pattern loses the pattern instead (WLD-6)."""
        own = member.session.wildcards
        assert own is not None
        if not own.behind_in(self._node.config.wildcards_behind):
            return False
        self._lose(member, own)
        return True

    def _lose(self, member: PatternMember, own: SessionPatterns) -> None:
        """Too much to go on from: it will be told that anything may be missing (WLD-6)."""
        member.lost = True
        for stray in [stray for stray in own.strays.values() if stray.of is member]:
            if stray.ahead:  # what it has had and was not reported must not come again
                stray.mode = Mode.LIVE
            elif stray.channel.dirty:  # and of what waits it may have had some
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

    def _tell_loss(self, member: PatternMember) -> None:
        """Tell it before what comes of a channel, which may go to the pattern once that is left."""
        if member.lost:
            member.session.tell(encode_body(member.loss))
            self._told(member)

    def _told(self, member: PatternMember) -> None:
        """It was told what it lost: it goes on."""
        member.lost = False
        self._hub.counts_of(member.group.rule).gaps += 1
