"""The channels of a node: who joins and leaves, one flusher that delivers, feeders that bring up whoever is behind.

A publication never waits for a subscriber (CHN-6). The flusher hands each chunk, one shared piece of bytes, to every
live member; one without window becomes behind, costs nothing but its position, and is fed from history later.
"""

from __future__ import annotations

from collections import OrderedDict
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from hawser.about import spared
from hawser.brokers import BrokerUnavailable, Retention
from hawser.calls import Refused
from hawser_engine.batch import Batch
from hawser_engine.codes import ErrorCode, GapReason, SubscribeStatus
from hawser_engine.messages import (
    ADDRESSING,
    ChannelOutcome,
    GapNotice,
    Position,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    encode_body,
)

from .channels import CHUNK_BYTES, CHUNK_MESSAGES, Channel, Chunk, FilteredMembership, Membership, Mode
from .planning import Plan, Planner
from .publishing import publication_bytes

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from hawser.brokers import Entry, History
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
        self._locks: dict[str, trio.Lock] = {}
        self._pins: dict[str, int] = {}
        self._dirty: dict[Channel, None] = {}
        self._wake = trio.Event()
        self._ring = Retention(node.config.ring_messages, node.config.ring_bytes)
        self._reported = 0  # publications, so that the flusher sees whether there are more
        self._pages: OrderedDict[tuple[str, bytes, int, int, Filter | None], Batch] = OrderedDict()
        self._planner = Planner(node, self._open)

    # ------------------------------------------------------------ joining and leaving

    async def subscribe(self, session: ServerSession, request: Subscribe) -> None:
        """Answer a SUBSCRIBE: look everything up, then answer and enter in one step (SUB-1 to SUB-5)."""
        with self._pinned([wanted.channel for wanted in request.channels]):
            plans = [await self._planner.plan(session, wanted) for wanted in request.channels]
            await session.room()
            outcomes = [
                self._enter(session, plan, answers=_answers(session, wanted))
                for plan, wanted in zip(plans, request.channels, strict=True)
            ]
            session.put(encode_body(Subscribed(request.id, tuple(outcomes))))
        session.feed()

    def _enter(self, session: ServerSession, plan: Plan, *, answers: bool) -> ChannelOutcome:
        channel, refusal = plan.channel, plan.reason
        if plan.name in session.memberships:
            channel, refusal = None, ErrorCode.BAD_REQUEST.name
        elif len(session.memberships) >= self._node.config.channels_per_session:
            channel, refusal = None, ErrorCode.LIMIT.name
        if channel is None:
            return ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, refusal)
        position = channel.position if plan.since is None else plan.since
        member = channel.enter(session, position, plan.filter, self._node.config.filters_per_channel)
        if member is None:
            return ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, ErrorCode.LIMIT.name)
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
        """Take a session out of a channel."""
        member = session.memberships.pop(name, None)
        if member is not None:
            member.channel.leave(member)
            self._node.asking.leave(name, session)
            self._release(name)

    async def recheck(self, session: ServerSession) -> None:
        """Ask again for the rights to all channels; end the subscriptions that lost them (SUB-7, SUB-8)."""
        lost: list[str] = []
        for name in list(session.memberships):
            try:
                await self._node.allow(session, "subscribe", name)
            except Refused:
                lost.append(name)
        if lost:
            await session.room()
            for name in lost:
                self.remove(session, name)
            session.put(encode_body(Unsubscribed(None, tuple(lost), ErrorCode.DENIED, "the right to it was withdrawn")))

    async def _open(self, name: str, rule: ChannelRule) -> Channel:
        """The channel, joined at the broker. The caller has pinned it."""
        async with self._locks[name]:
            channel = self._channels.get(name)
            if channel is None:
                channel = self._channels[name] = Channel(name, rule, self._ring)
                try:
                    channel.joined(await self._node.app.broker.join(name, self._report))
                    self._mark(channel)  # for what was reported before the join was answered
                except BaseException:
                    del self._channels[name]
                    raise
        return channel

    @contextmanager
    def _pinned(self, names: Sequence[str]) -> Generator[None]:
        """Keep channels open while somebody is about to enter them."""
        for name in names:
            self._pins[name] = self._pins.get(name, 0) + 1
            self._locks.setdefault(name, trio.Lock())
        try:
            yield
        finally:
            for name in names:
                self._pins[name] -= 1
                if not self._pins[name]:
                    del self._pins[name]
                    self._release(name)

    def _release(self, name: str) -> None:
        """Close a channel that nobody needs any more."""
        if name in self._pins:
            return
        channel = self._channels.get(name)
        if channel is not None and channel.deserted:
            self._node.start_service(self._close, name)
        elif channel is None and not self._locks[name].locked():
            del self._locks[name]

    async def _close(self, name: str) -> None:
        """Leave a channel at the broker if nobody needs it any more."""
        try:
            async with self._locks.setdefault(name, trio.Lock()):
                channel = self._channels.get(name)
                if channel is not None and name not in self._pins and channel.deserted:
                    del self._channels[name]
                    self._dirty.pop(channel, None)
                    await self._node.app.broker.leave(name, self._report)
        finally:
            if name not in self._pins and name not in self._channels and not self._locks[name].locked():
                del self._locks[name]

    # ------------------------------------------------------------ delivering

    def _report(self, channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
        """What the broker calls for every publication."""
        found = self._channels.get(channel)
        if found is not None:
            found.report(epoch, entries)
            self._reported += len(entries)
            self._mark(found)

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
                dirty, self._dirty = self._dirty, {}
                for channel in dirty:
                    await self._flush_channel(channel)

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
            if chunk.spared:
                self._spare(channel, chunk, now)
            members = list(channel.members.values())
            for first in range(0, len(members), FLUSH_SOCKETS):
                if first:
                    await trio.lowlevel.checkpoint()
                    now = trio.current_time()
                channel.deliver(members[first : first + FLUSH_SOCKETS], chunk, now)
            if channel.groups:
                await self._flush_groups(channel, chunk)
            channel.chunks.popleft()

    def _spare(self, channel: Channel, chunk: Chunk, now: float) -> None:
        """Set apart those who do not get a publication, before all others are served (ADR-8)."""
        for name in chunk.spared:
            session = self._node.addressing.named(name)
            member = None if session is None else session.memberships.get(channel.name)
            if member is not None:
                channel.spare(member, chunk, now)

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
            member.mode = Mode.PAUSED
            member.rewind(position)

    def go_on(self, session: ServerSession, name: str, position: Position) -> None:
        """CONTINUE: go on after the position that the client has queued (CHN-9)."""
        member = session.memberships.get(name)
        if member is not None and member.mode is Mode.PAUSED:
            member.mode = Mode.BEHIND
            member.rewind(position)
            # CHN-9: whatever of the channel came before this was under way from before the PAUSE. It may be left out
            # where offsets tell the client as much; with a filter the feeder sends it first of all.
            if isinstance(member, FilteredMembership):
                member.marker = True
            else:
                member.marker = not session.offer(member.notice(), trio.current_time())
            session.feed()

    # ------------------------------------------------------------ feeding

    async def feed(self, session: ServerSession) -> None:
        """Bring up the channels in which a session is behind, in turn, as long as it takes bytes."""
        going = True
        while going:
            going = False
            for member in list(session.memberships.values()):
                if member.active and member.mode is Mode.BEHIND:
                    try:
                        going |= await self._feed_page(session, member)
                    except BrokerUnavailable:
                        await trio.sleep(AGAIN_SECONDS)
                        going = True

    async def _feed_page(self, session: ServerSession, member: Membership) -> bool:
        """Feed one page of one channel.

        Returns:
            Whether it may go on: False if the session takes nothing more, or has everything.
        """
        channel, before = member.channel, member.position
        if isinstance(member, FilteredMembership) and member.marker and not self._tell_position(session, member):
            return False
        if channel.rule.retention.messages:
            history = await self._node.app.broker.history(
                channel.name, before.offset, limit=PAGE - before.offset % PAGE, limit_bytes=PAGE_BYTES
            )
        else:
            await trio.lowlevel.checkpoint()
            history = channel.ring_history(before.offset, PAGE)
        if not member.active or member.mode is not Mode.BEHIND or member.position != before:
            return False
        if history.top.epoch != before.epoch or history.first > before.offset + 1:
            return self._feed_gap(session, member, history)
        going = self._feed_entries(session, member, history.entries)
        if going and isinstance(member, FilteredMembership) and member.offset > member.told:
            going = self._tell_position(session, member)
        session.flush(trio.current_time())
        if not going or channel.catch_up(member):
            return False
        return bool(history.entries)

    def _feed_gap(self, session: ServerSession, member: Membership, history: History) -> bool:
        """Tell a member that history no longer reaches its position (CHN-3, CHN-11)."""
        position = Position(history.top.epoch, history.first - 1)
        reason = GapReason.HISTORY_TOO_SHORT if member.channel.rule.retention.messages else GapReason.OVERFLOW
        if position.epoch != member.epoch:
            reason = GapReason.EPOCH_CHANGED
        return self._offer_gap(session, member, position, reason)

    def _offer_gap(self, session: ServerSession, member: Membership, position: Position, reason: int) -> bool:
        gap = GapNotice(member.channel.name, member.position, position, reason)
        now = trio.current_time()
        if not session.offer(Batch.of([encode_body(gap)]), now):
            return False
        member.moved(position)
        session.flush(now)
        return True

    def _tell_position(self, session: ServerSession, member: FilteredMembership) -> bool:
        """Tell a member how far it has been considered, if its session takes that now (CHN-4)."""
        if not session.offer(member.notice(), trio.current_time()):
            return False
        member.told, member.marker = member.offset, False
        return True

    def _feed_entries(self, session: ServerSession, member: Membership, entries: Sequence[Entry]) -> bool:
        """Give a member publications: all at once if its window takes them, else one by one as far as it goes."""
        name = self._node.addressing.known(session)
        if name is not None and any(name in spared(entry) for entry in entries):
            return all(self._feed_around(session, member, entry, name) for entry in entries)
        wanted = member.passing(entries)
        shared = self._shared(member, wanted) if len(wanted) > 1 else None
        together = shared is not None and session.offer(shared, trio.current_time())
        if not together and not all(self._feed_entry(session, member, entry) for entry in wanted):
            return False
        if wanted and isinstance(member, FilteredMembership):
            member.told = wanted[-1].offset
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
            batch = self._pages[key] = Batch.of([member.channel.encode(member.epoch, entry) for entry in entries])
            if len(self._pages) > SHARED_PAGES:
                self._pages.popitem(last=False)
        return batch


def _answers(session: ServerSession, wanted: ChannelRequest) -> bool:
    """Whether a session says that it answers (ASK-1, VER-6)."""
    options = wanted.options
    return options is not None and bool(options.answers) and ADDRESSING in session.engine.features
