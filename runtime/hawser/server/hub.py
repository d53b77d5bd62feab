"""The channels of a node: who joins and leaves, one flusher that delivers, feeders that bring up whoever is behind.

A publication never waits for a subscriber (CHN-6). The flusher hands each chunk, one shared piece of bytes, to every
live member; one without window becomes behind, costs nothing but its position, and is fed from history later.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from hawser.about import spared
from hawser.brokers import BrokerUnavailable, Retention
from hawser.calls import Refused
from hawser.errors import RequestFailed
from hawser_engine.batch import Batch
from hawser_engine.channels.overflow import Overflow, OverflowCounts, left_out
from hawser_engine.codes import ErrorCode, GapReason, SubscribeStatus
from hawser_engine.messages import (
    ADDRESSING,
    ChannelOutcome,
    GapNotice,
    Position,
    PositionNotice,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    encode_body,
)

from .channels import Channel
from .chunks import CHUNK_BYTES, CHUNK_MESSAGES, Chunk, Fleeting
from .memberships import Membership, Mode
from .planning import Plan, Planner
from .publishing import publication_bytes
from .wildcards import Wildcards

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Iterable, Sequence

    from hawser.brokers import Entry, History, Sink
    from hawser.rules import ChannelRule
    from hawser_engine.channels.filters import Filter
    from hawser_engine.messages import ChannelRequest

    from .node import Node
    from .sessions import ServerSession

FLUSH_SOCKETS: Final = 500
"""Members served between two checkpoints of the flusher."""

PAGE: Final = 16
"""History is read in pages that begin at multiples of this, so that members far behind share their bytes too."""
PAGE_BYTES: Final = 65_536
SHARED_PAGES: Final = 256

AGAIN_SECONDS: Final = 1.0
"""Where the broker does not answer, history is asked for again after this."""


class Hub:
    """All channels of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._channels: dict[str, Channel] = {}
        self._sink: Sink = self.report  # one for all channels
        self._locks: dict[str, trio.Lock] = {}  # of the channels that are being joined or left
        self._pins: dict[str, int] = {}
        self._dirty: dict[Channel, None] = {}
        self._wake = trio.Event()
        self._ring = Retention(node.config.ring_messages, node.config.ring_bytes)
        self._reported = 0  # publications, so that the flusher sees whether there are more
        self._pages: OrderedDict[tuple[str, bytes, int, int, Filter | None], Batch] = OrderedDict()
        self._flushing: dict[Channel, None] = {}
        self.wildcards: Wildcards = Wildcards(node, self)
        self._planner = Planner(node, self._open, self.read, self.wildcards)
        self.counts: dict[str, OverflowCounts] = {}
        """What subscribers could not take, by the pattern of their channels."""

    # ------------------------------------------------------------ joining and leaving

    async def subscribe(self, session: ServerSession, request: Subscribe) -> None:
        """Answer a SUBSCRIBE: look everything up, then answer and enter in one step (SUB-1 to SUB-5)."""
        names = [wanted.channel for wanted in request.channels]
        with self._pinned(names), self.wildcards.pinned(names):
            plans = [await self._planner.plan(session, wanted) for wanted in request.channels]
            await session.room()
            outcomes = [
                self._enter(session, plan, answers=_answers(session, wanted))
                for plan, wanted in zip(plans, request.channels, strict=True)
            ]
            session.put(encode_body(Subscribed(request.id, tuple(outcomes))))
        session.feed()

    def _enter(self, session: ServerSession, plan: Plan, *, answers: bool = False) -> ChannelOutcome:
        if plan.wildcard is not None:
            return self.wildcards.enter(session, plan, plan.wildcard)
        channel, refusal = plan.channel, plan.reason
        if plan.name in session.assigned:
            self.remove(session, plan.name)  # ASG-2
        if plan.name in session.memberships:
            channel, refusal = None, ErrorCode.BAD_REQUEST.name
        elif len(session.memberships) >= self._node.config.channels_per_session:
            channel, refusal = None, ErrorCode.LIMIT.name
        if channel is None:
            return ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, refusal)
        position = self.wildcards.given(session, channel) if plan.since is None else plan.since
        member = channel.enter(session, position, plan.filter, self._node.config.filters_per_channel)
        if member is None:
            return ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, ErrorCode.LIMIT.name)
        self.wildcards.taken(session, channel, position)
        session.memberships[plan.name] = member
        if answers:
            self._node.asking.enter(plan.name, session)
        return ChannelOutcome(plan.name, plan.status, position, plan.reason)

    async def unsubscribe(self, session: ServerSession, request: Unsubscribe) -> None:
        """Answer an UNSUBSCRIBE; nothing of the channels follows the answer (SUB-3, SUB-6)."""
        await session.room()
        for name in request.channels:
            self.remove(session, name)
        session.put(encode_body(Unsubscribed(request.id, request.channels, 0, "")))

    def remove(self, session: ServerSession, name: str) -> None:
        """Take a session out of a channel, or of a pattern."""
        session.assigned -= {name}
        member = session.memberships.pop(name, None)
        if member is not None:
            member.channel.leave(member)
            self._node.asking.leave(name, session)
            self.wildcards.returned(session, member)
            self._release(name)
        else:
            self.wildcards.leave(session, name)

    async def assign(self, session: ServerSession, name: str, rule: ChannelRule) -> None:
        """Subscribe a session to a channel that it has not asked for, unless it has it already (ASG-1, ASG-2).

        Raises:
            RequestFailed: It is in as many channels as it may be.
        """
        with self._pinned([name]):
            channel = await self._open(name, rule)
            await session.room()
            if session.ended or name in session.memberships:
                return
            outcome = self._enter(session, Plan(name, channel))
            if outcome.position is None:
                raise RequestFailed(ErrorCode.LIMIT, f"a session has at most {len(session.memberships)} channels")
            session.assigned |= {name}
            session.put(encode_body(Subscribed(None, (outcome,))))

    async def dismiss(self, session: ServerSession, name: str) -> None:
        """End a subscription of a session because the application wants it so (ASG-3)."""
        await session.room()
        own = session.wildcards
        if name in session.memberships or (own is not None and name in own.members):
            self.remove(session, name)
            session.put(encode_body(Unsubscribed(None, (name,), 0, "")))

    async def recheck(self, session: ServerSession) -> None:
        """Ask again for the rights to all channels; end the subscriptions that lost them (SUB-7, SUB-8)."""
        lost: list[str] = []
        for name in [name for name in session.memberships if name not in session.assigned]:
            try:
                await self._node.allow(session, "subscribe", name)
            except Refused:
                lost.append(name)
        lost += await self.wildcards.recheck(session)
        if lost:
            await session.room()
            for name in lost:
                self.remove(session, name)
            session.put(encode_body(Unsubscribed(None, tuple(lost), ErrorCode.DENIED, "the right to it was withdrawn")))

    async def _open(self, name: str, rule: ChannelRule) -> Channel:
        """The channel, joined at the broker. The caller has pinned it."""
        async with self._alone(name):
            channel = self._channels.get(name)
            if channel is None or channel.visiting:
                if channel is None:
                    channel = self._add(name, rule)
                try:
                    channel.joined(await self._node.app.broker.join(name, self._sink))
                    self._mark(channel)  # for what was reported before the join was answered
                except BaseException:
                    if not channel.visiting:
                        del self._channels[name]
                    raise
        return channel

    @contextmanager
    def _pinned(self, names: Sequence[str]) -> Generator[None]:
        """Keep channels open while somebody is about to enter them."""
        for name in names:
            self.pin(name)
        try:
            yield
        finally:
            for name in names:
                self.unpin(name)

    @asynccontextmanager
    async def _alone(self, name: str) -> AsyncGenerator[None]:
        """One at a time joins a channel at the broker, or leaves it; a lock is there only while somebody needs it."""
        lock = self._locks.setdefault(name, trio.Lock())
        try:
            async with lock:
                yield
        finally:
            if not lock.locked() and self._locks.get(name) is lock:  # else it is with the next one
                del self._locks[name]

    def pin(self, name: str) -> None:
        """Keep a channel open until `unpin`."""
        self._pins[name] = self._pins.get(name, 0) + 1

    def unpin(self, name: str) -> None:
        """One less who needs a channel to stay open."""
        self._pins[name] -= 1
        if not self._pins[name]:
            del self._pins[name]
            self._release(name)

    def _release(self, name: str) -> None:
        """Close a channel that nobody needs any more."""
        if name in self._pins:
            return
        channel = self._channels.get(name)
        if channel is not None and channel.visiting:
            channel = self._retire(channel)
        if channel is not None and channel.deserted and not channel.visiting:
            self._node.start_service(self._close, name)

    def _retire(self, channel: Channel) -> Channel | None:
        """Forget a channel that is there for patterns only, if nothing of it waits; returns what is left of it."""
        if self._channels.get(channel.name) is not channel:
            return None
        if channel.dirty or not channel.deserted or channel.name in self._pins:
            return channel
        del self._channels[channel.name]
        self.wildcards.closed(channel)
        return None

    async def _close(self, name: str) -> None:
        """Leave a channel at the broker if nobody needs it any more."""
        async with self._alone(name):
            channel = self._channels.get(name)
            if channel is not None and name not in self._pins and channel.deserted:
                if self.wildcards and self.wildcards.covers(name, channel.rule):
                    channel.visiting = True
                    self._mark(channel)  # what waits is still for them
                else:
                    del self._channels[name]
                    self._dirty.pop(channel, None)
                await self._node.app.broker.leave(name, self._sink)

    async def read(
        self, channel: Channel, after: int, *, limit: int, limit_bytes: int, seconds: float = inf
    ) -> History:
        """Read what the broker keeps of a channel, as `Broker.history`.

        That may be ahead of what was reported, by an epoch as well: then the channel goes there at once (CHN-11). Else
        whoever has it would wait for the report, and whoever subscribes there be taken back.
        """
        known = channel.position.epoch
        broker = self._node.app.broker
        history = await broker.history(channel.name, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        if known == channel.position.epoch != history.top.epoch:  # else a report has come meanwhile
            self.missed(channel, history.top)
        return history

    # ------------------------------------------------------------ delivering

    def report(self, channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
        """What the broker calls for every publication."""
        found = self._channels.get(channel)
        if found is None and self.wildcards:
            first = entries[0]
            found = self._visit(channel, Position(epoch, first.offset - (not first.volatile)))
        if found is not None:
            found.report(epoch, entries)
            self._reported += len(entries)
            self._mark(found)

    def _visit(self, name: str, position: Position) -> Channel | None:
        """Open a channel that nobody has subscribed to, for those who have a pattern of it."""
        rule = self._node.app.rule_for(name)
        if rule is None or not self.wildcards.covers(name, rule):
            return None
        channel = self._add(name, rule)
        self.wildcards.opened(channel, position)
        return channel

    def _add(self, name: str, rule: ChannelRule) -> Channel:
        channel = self._channels[name] = Channel(name, rule, self._ring, self.counts_of(rule))
        return channel

    def counts_of(self, rule: ChannelRule) -> OverflowCounts:
        """What subscribers to channels of a pattern could not take (OVF-2)."""
        return self.counts.setdefault(rule.pattern, OverflowCounts())

    def joined_channels(self) -> list[Channel]:
        """The channels that the broker reports by themselves."""
        return [channel for channel in self._channels.values() if channel.joined_at_broker]

    def missed(self, channel: Channel, position: Position) -> None:
        """What goes up to a position was not reported: tell whoever was to get it (CHN-15)."""
        if self._channels.get(channel.name) is channel:
            channel.missed(position)
            self.wildcards.missed(channel)

    def unflushed(self) -> Iterable[Channel]:
        """The channels of which something waits to be delivered."""
        return [channel for channel in (*self._flushing, *self._dirty) if channel.dirty]

    def _mark(self, channel: Channel) -> None:
        self._dirty[channel] = None
        self._wake.set()

    async def flush(self) -> None:
        """Deliver what is reported until cancelled: the one flusher of the node."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._dirty:
                await self._gather()
                self._flushing, self._dirty = self._dirty, {}
                for channel in self._flushing:
                    await self._flush_channel(channel)
                self._flushing = {}

    async def _gather(self) -> None:
        """Wait as long as each pass of the loop brings more publications, at most until there is a chunk of them.

        What arrived together is carried out one after the other, a pass of the loop for each; flushed one by one it
        would cost every member a system call for each. Two passes from look to look, for Trio draws lots over who
        runs first in a pass: whoever publishes has surely had a turn in between.
        """
        before, first = -1, self._reported
        while before < self._reported < first + CHUNK_MESSAGES:
            before = self._reported
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

    async def _flush_channel(self, channel: Channel) -> None:
        channel.seal()
        now = trio.current_time()
        while channel.chunks:
            chunk = channel.chunks[0]
            if isinstance(chunk, Fleeting):
                await self._flush_volatile(channel, chunk)
                channel.delivered()
                continue
            if chunk.spared:
                self._spare(channel, chunk, now)
            members = list(channel.members)
            for first in range(0, len(members), FLUSH_SOCKETS):
                if first:
                    await trio.lowlevel.checkpoint()
                    now = trio.current_time()
                channel.deliver(members[first : first + FLUSH_SOCKETS], chunk, now)
            if channel.groups:
                await self._flush_groups(channel, chunk)
            if self.wildcards:
                await self.wildcards.flush(channel, chunk)
            channel.delivered()
        if self.wildcards:
            self.wildcards.flushed(channel)
        if channel.visiting:
            self._retire(channel)

    def _spare(self, channel: Channel, chunk: Chunk, now: float) -> None:
        """Set apart those who do not get a publication, before all others are served (ADR-8)."""
        for name in chunk.spared:
            session = self._node.addressing.named(name)
            member = None if session is None else session.memberships.get(channel.name)
            if member is not None:
                channel.spare(member, chunk, now)

    async def _flush_volatile(self, channel: Channel, fleeting: Fleeting) -> None:
        """Give something volatile to all whose filter it passes, but to those it spares (ADR-8)."""
        members = list(channel.members)
        for group in channel.groups.values():
            if group.filter.matches(fleeting.tags):
                members += group.members.values()
        if fleeting.spared:
            left_out = [self._node.addressing.named(name) for name in fleeting.spared]
            members = [member for member in members if member.outlet not in left_out]
        for first in range(0, len(members), FLUSH_SOCKETS):
            if first:
                await trio.lowlevel.checkpoint()
            channel.deliver_volatile(members[first : first + FLUSH_SOCKETS], fleeting, trio.current_time())
        if self.wildcards:
            await self.wildcards.flush_volatile(channel, fleeting)

    async def _flush_groups(self, channel: Channel, chunk: Chunk) -> None:
        """Give a chunk to those with filters: what passes is prepared once for all who share one (FLT-5)."""
        served, now = 0, trio.current_time()
        for group in list(channel.groups.values()):
            passing = chunk.passing(group.filter)
            members = list(group.members.values())
            for first in range(0, len(members), FLUSH_SOCKETS):
                if served >= FLUSH_SOCKETS:
                    await trio.lowlevel.checkpoint()
                    served, now = 0, trio.current_time()
                some = members[first : first + FLUSH_SOCKETS]
                if passing is None:
                    group.pass_over(some, chunk, now)
                else:
                    channel.deliver(some, passing, now)
                served += len(some)
            if passing is not None:
                group.matched = Position(chunk.epoch, passing.last_body)

    def pause(self, session: ServerSession, name: str, position: Position) -> None:
        """PAUSE: nothing more of the channel, from the position that the client has queued (CHN-8)."""
        member = session.memberships.get(name)
        if member is not None:
            member.channel.counts.paused += member.mode is not Mode.PAUSED
            member.mode = Mode.PAUSED
            member.rewind(position)

    def go_on(self, session: ServerSession, name: str, position: Position) -> None:
        """CONTINUE: go on after the position that the client has queued (CHN-9)."""
        member = session.memberships.get(name)
        if member is not None and member.mode is Mode.PAUSED:
            member.mode = Mode.BEHIND
            member.rewind(position)
            # CHN-9: whatever of the channel came before this was under way from before the PAUSE.
            member.marker = True
            self._tell_position(session, member)
            session.feed()

    # ------------------------------------------------------------ feeding

    async def feed(self, session: ServerSession) -> None:
        """Bring up the channels in which a session is behind, in turn, as long as it takes bytes."""
        going = True
        while going:
            going = False
            own = session.wildcards
            for member in [*session.memberships.values(), *(() if own is None else own.strays.values())]:
                if member.active and member.mode is Mode.BEHIND:
                    try:
                        going |= await self._feed_page(session, member)
                    except BrokerUnavailable:
                        await trio.sleep(AGAIN_SECONDS)
                        going = True
            self.wildcards.fed(session)

    async def _feed_page(self, session: ServerSession, member: Membership) -> bool:
        """Feed one page of one channel.

        Returns:
            Whether it may go on: False if the session takes nothing more, or has everything.
        """
        channel, before = member.channel, member.position
        from_history = channel.fed_from_history(member)
        if from_history:
            history = await self.read(channel, before.offset, limit=self._page_of(member), limit_bytes=PAGE_BYTES)
        else:
            await trio.lowlevel.checkpoint()
            history = channel.ring_history(before.offset, PAGE)
        if not member.active or member.mode is not Mode.BEHIND or member.position != before:
            return False
        if member.marker and not self._tell_position(session, member):  # it may have paused while this was read
            return False
        if history.top.epoch != before.epoch or history.first > before.offset + 1:
            return self._feed_gap(session, member, history, from_history=from_history)
        going = self._feed_entries(session, member, history.entries)
        if channel.rule.overflow is Overflow.KEEP_LATEST:
            offsets = [entry.offset for entry in history.entries]
            channel.counts.replaced += left_out(before.offset, member.offset, offsets)
        if going and member.uninformed:
            going = self._tell_position(session, member)
        session.flush(trio.current_time())
        if not going or channel.catch_up(member):
            return False
        return bool(history.entries)

    def _page_of(self, member: Membership) -> int:
        """How much is read for a member at once, so that members at other places share the next pages."""
        keeps_latest = member.channel.rule.overflow is Overflow.KEEP_LATEST
        return PAGE if keeps_latest else PAGE - member.offset % PAGE

    def _feed_gap(self, session: ServerSession, member: Membership, history: History, *, from_history: bool) -> bool:
        """Tell a member that what it is fed from no longer reaches its position (CHN-3, CHN-11)."""
        position = Position(history.top.epoch, history.first - 1)
        reason = GapReason.HISTORY_TOO_SHORT if from_history else GapReason.OVERFLOW
        if position.epoch != member.epoch:
            reason = GapReason.EPOCH_CHANGED
        return self._offer_gap(session, member, position, reason)

    def _offer_gap(self, session: ServerSession, member: Membership, position: Position, reason: int) -> bool:
        gap = GapNotice(member.channel.name, member.position, position, reason)
        now = trio.current_time()
        if not session.offer(Batch.of([encode_body(gap)]), now):
            return False
        counts = member.channel.counts
        counts.gaps += 1
        counts.lost += position.offset - member.offset if position.epoch == member.epoch else 0
        member.moved(position)
        session.flush(now)
        return True

    def _tell_position(self, session: ServerSession, member: Membership) -> bool:
        """Tell a member how far it has been considered, if its session takes that now (CHN-4)."""
        if not session.offer(member.notice(), trio.current_time()):
            return False
        member.informed()
        return True

    def _bridge(self, session: ServerSession, member: Membership, offset: int) -> bool:
        """Tell a member that nothing but replaced publications lies before an offset that it is to get (LAT-3)."""
        if member.filter is not None or offset == member.offset + 1:
            return True
        notice = PositionNotice(member.channel.name, member.epoch, offset - 1)
        if not session.offer(Batch.of([encode_body(notice)]), trio.current_time()):
            return False
        member.offset = offset - 1
        return True

    def _feed_entries(self, session: ServerSession, member: Membership, entries: Sequence[Entry]) -> bool:
        """Give a member publications: all at once if its window takes them, else one by one as far as it goes.

        Of a channel that keeps the latest by key they are those that are kept (LAT-2).
        """
        name = self._node.addressing.known(session)
        if name is not None and any(name in spared(entry) for entry in entries):
            return all(self._feed_around(session, member, entry, name) for entry in entries)
        wanted = member.passing(entries)
        if wanted and not self._bridge(session, member, wanted[0].offset):
            return False
        shared = self._shared(member, wanted) if len(wanted) > 1 else None
        together = shared is not None and session.offer(shared, trio.current_time())
        if not together and not all(self._feed_entry(session, member, entry) for entry in wanted):
            return False
        if wanted:
            member.given(wanted[-1].offset)
        if entries:
            member.offset = entries[-1].offset
        return True

    def _feed_around(self, session: ServerSession, member: Membership, entry: Entry, name: str) -> bool:
        """Give a member a publication, or pass it over with one that is not for it (ADR-8)."""
        if name not in spared(entry):
            return self._feed_entries(session, member, [entry])
        return member.spare(entry.offset, partial(session.offer, now=trio.current_time()))

    def _feed_entry(self, session: ServerSession, member: Membership, entry: Entry) -> bool:
        channel, offset = member.channel, entry.offset
        if not self._bridge(session, member, offset):
            return False
        length = publication_bytes(channel.name, offset, entry.data, channel.about(entry))
        if length > session.message_bytes:  # CHN-12
            return self._offer_gap(session, member, Position(member.epoch, offset), GapReason.OVERFLOW)
        if length <= CHUNK_BYTES:
            batch = self._shared(member, [entry])
            taken = batch is not None and session.offer(batch, trio.current_time())
        else:
            taken = session.queue(channel.encode(member.epoch, entry))
        if taken:
            member.offset = offset
        return taken

    def _shared(self, member: Membership, entries: Sequence[Entry]) -> Batch | None:
        """The prepared batch of these publications, the same object for everyone; None if they are too long."""
        name = member.channel.name
        if sum(len(entry.data) for entry in entries) > PAGE_BYTES:
            return None
        key = (name, member.epoch, entries[0].offset, entries[-1].offset, member.filter)
        batch = self._pages.get(key)
        if batch is None:
            batch = self._pages[key] = Batch.of(member.channel.bodies(member.epoch, entries, member.filter))
            if len(self._pages) > SHARED_PAGES:
                self._pages.popitem(last=False)
        return batch


def _answers(session: ServerSession, wanted: ChannelRequest) -> bool:
    """Whether a session says that it answers (ASK-1, VER-6)."""
    options = wanted.options
    return options is not None and bool(options.answers) and ADDRESSING in session.engine.features
