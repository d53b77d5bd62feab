"""The channels of a node: who joins and leaves, what is reported of them, and whose history is read to bring them up.

A publication never waits for a subscriber (CHN-6). The flusher hands each chunk, one shared piece of bytes, to every
live member; one without window becomes behind, costs nothing but its position, and is fed from history later.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from hawser.brokers import BrokerUnavailable
from hawser.calls import REMARK_BYTES_MAX, Refused, clipped
from hawser.errors import RequestFailed
from hawser_engine.channels.channel import Channel
from hawser_engine.channels.entries import Retention
from hawser_engine.channels.feeding import PAGE, PAGE_BYTES, Feeder, page_of
from hawser_engine.channels.memberships import Mode
from hawser_engine.channels.overflow import OverflowCounts
from hawser_engine.codes import ErrorCode, SubscribeStatus
from hawser_engine.messages import (
    ADDRESSING,
    ASSIGNED,
    ChannelOutcome,
    Position,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    encode_body,
)

from .flushing import Flusher, Turns, looking
from .planning import Plan, Planner
from .wildcards import Wildcards

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Generator, Sequence

    from hawser.brokers import Sink
    from hawser.rules import ChannelRule
    from hawser_engine.channels.entries import Entry, History
    from hawser_engine.channels.memberships import Membership
    from hawser_engine.messages import ChannelRequest

    from .node import Node
    from .sessions import ServerSession

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
        self._ring = Retention(node.config.ring_messages, node.config.ring_bytes)
        self._feeder = Feeder()
        self._turns = Turns()  # of all who are fed
        self.wildcards: Wildcards = Wildcards(node, self)
        self.flusher: Flusher = Flusher(node.addressing, self.wildcards, self._flushed)
        self._planner = Planner(node, self._open, self.read, self.wildcards)
        self.counts: dict[str, OverflowCounts] = {}
        """What subscribers could not take, by the pattern of their channels."""

    # ------------------------------------------------------------ joining and leaving

    async def subscribe(self, session: ServerSession, request: Subscribe) -> None:
        """Answer a SUBSCRIBE: look everything up, then answer and enter in one step (SUB-1 to SUB-5)."""
        names = [wanted.channel for wanted in request.channels]
        with self.pinned(names), self.wildcards.watches.pinned(names):
            plans = [await self._planner.plan(session, wanted) for wanted in request.channels]
            if any(_answers(session, wanted) for wanted in request.channels):
                await self._node.peers.appear()  # ASK-5: all servers ask it from SUBSCRIBED on
            await session.room()
            outcomes, remarks = list[ChannelOutcome](), list[str]()
            for plan, wanted in zip(plans, request.channels, strict=True):
                try:
                    outcomes.append(self._enter(session, plan, answers=_answers(session, wanted)))
                except Refused as refused:
                    outcomes.append(ChannelOutcome(plan.name, SubscribeStatus.REFUSED, None, refused.code.name))
                    remarks.append(clipped(refused.message, REMARK_BYTES_MAX))
            session.put(encode_body(Subscribed(request.id, tuple(outcomes), tuple(remarks) or None)))
        session.feed()

    def _enter(self, session: ServerSession, plan: Plan, *, answers: bool = False) -> ChannelOutcome:
        """Let a session into a channel, or a pattern, as planned.

        Raises:
            Refused: It does not come in.
        """
        name, channel, config = plan.name, plan.channel, self._node.config
        if name in session.assigned:
            self.remove(session, name)  # ASG-2
        if name in session.memberships:
            raise Refused(ErrorCode.BAD_REQUEST, f"the session is subscribed to {name!r} already")
        if plan.wildcard is not None:
            return self.wildcards.enter(session, plan, plan.wildcard)
        if len(session.memberships) >= config.channels_per_session:
            raise Refused(ErrorCode.LIMIT, f"a session has at most {config.channels_per_session} channels")
        if plan.refused is not None:
            raise plan.refused
        assert channel is not None
        position = self.wildcards.given(session, channel) if plan.since is None else plan.since
        member = channel.enter(session, position, plan.filter, config.filters_per_channel)
        if member is None:
            many = f"{name!r} has {config.filters_per_channel} different filters, and takes no more"
            raise Refused(ErrorCode.LIMIT, many)
        self.wildcards.taken(session, channel, position)
        session.memberships[name] = member
        if answers:
            self._node.asking.enter(name, session)
        elif self._node.asking.may_be_asked(name):
            self._node.peers.appear_soon()  # ASK-6: it is counted at all servers, also where nobody answers
        return ChannelOutcome(name, plan.status, position, plan.reason)

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

    async def assign(self, session: ServerSession, wanted: ChannelRequest, rule: ChannelRule) -> None:
        """Subscribe a session to a channel that it has not asked for, unless it has it already (ASG-1, ASG-2, ASG-6).

        Raises:
            RequestFailed: Its client takes none, or is in as many channels as it may be, or nobody could say what it
                may have.
            BrokerUnavailable: The channel cannot be opened, or read, now.
        """
        name = wanted.channel
        if ASSIGNED not in session.engine.features:
            raise RequestFailed(ErrorCode.NOT_FOUND, "the client takes no subscriptions that it has not asked for")
        if name in session.memberships:
            return
        with self.pinned([name]):
            try:
                plan = await self._planner.assign(session, wanted, rule)
                await session.room()
                if session.ended or name in session.memberships:
                    return
                outcome = self._enter(session, plan)
            except Refused as refused:
                raise refused.public() from None
            session.assigned |= {name}
            session.put(encode_body(Subscribed(None, (outcome,))))
        session.feed()

    async def dismiss(self, session: ServerSession, name: str) -> None:
        """End a subscription of a session because the application wants it so (ASG-3)."""
        await session.room()
        if self.has(session, name):
            self.remove(session, name)
            session.put(encode_body(Unsubscribed(None, (name,), 0, "")))

    def has(self, session: ServerSession, name: str) -> bool:
        """Whether a session is subscribed to a channel, or a pattern."""
        own = session.wildcards
        return name in session.memberships or (own is not None and name in own.members)

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
                    self.wildcards.recalled(channel)
                try:
                    known = channel.joined(await self._node.app.broker.join(name, self._sink))
                    self.wildcards.joined(channel, known)
                    self.flusher.mark(channel)  # for what was reported before the join was answered
                except BaseException:
                    if not channel.visiting:
                        del self._channels[name]
                    raise
        return channel

    @contextmanager
    def pinned(self, names: Sequence[str]) -> Generator[None]:
        """Keep channels open while somebody enters them, or is looked after there."""
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
                if self.wildcards and self.wildcards.covers(name, channel.policy):
                    channel.visiting = True
                    self.flusher.mark(channel)  # what waits is still for them
                else:
                    del self._channels[name]
                    self.flusher.forget(channel)
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
            self.flusher.mark(found, len(entries))

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

    def subscribers(self, name: str) -> int:
        """How many sessions are in a channel, those not counted that have only a pattern of it."""
        channel = self._channels.get(name)
        return 0 if channel is None else channel.size

    def joined_channels(self) -> list[Channel]:
        """The channels that the broker reports by themselves."""
        return [channel for channel in self._channels.values() if channel.joined_at_broker]

    def missed(self, channel: Channel, position: Position) -> None:
        """What goes up to a position was not reported: tell whoever was to get it (CHN-15)."""
        if self._channels.get(channel.name) is channel:
            known = channel.missed(position)
            if known is not None:
                self.wildcards.missed(channel, known)

    def _flushed(self, channel: Channel) -> None:
        """Nothing of a channel waits any more."""
        if self.wildcards:
            self.wildcards.flushed(channel)
        if channel.visiting:
            self._retire(channel)

    # ------------------------------------------------------------ feeding

    def pause(self, session: ServerSession, name: str, position: Position) -> None:
        """PAUSE: nothing more of the channel, from the position that the client has queued (CHN-8)."""
        member = session.memberships.get(name)
        if member is not None:
            member.pause(position)

    def go_on(self, session: ServerSession, name: str, position: Position) -> None:
        """CONTINUE: go on after the position that the client has queued (CHN-9)."""
        member = session.memberships.get(name)
        if member is not None:
            member.go_on(position, trio.current_time())

    async def feed(self, session: ServerSession) -> None:
        """Bring up the channels in which a session is behind, in turn, as long as it takes bytes."""
        going = True
        while going:
            going = False
            own = session.wildcards
            for member in [*session.memberships.values(), *(() if own is None else own.strays.values())]:
                if member.active and member.mode is Mode.BEHIND:
                    try:
                        going |= await self._feed_page(member)
                    except BrokerUnavailable:
                        await trio.sleep(AGAIN_SECONDS)
                        going = True
            self.wildcards.fed(session)

    async def _feed_page(self, member: Membership) -> bool:
        """Feed one page of one channel.

        Returns:
            Whether it may go on: False if the session takes nothing more, or has everything.
        """
        channel, before = member.channel, member.position
        from_history = channel.fed_from_history(member)
        if from_history:
            try:
                history = await self.read(channel, before.offset, limit=page_of(member), limit_bytes=PAGE_BYTES)
            except BrokerUnavailable as error:
                if error.temporary:
                    raise
                history = channel.ring_history(before.offset, PAGE)  # the rest is lost, which it is told (CHN-3)
        else:
            await trio.lowlevel.checkpoint()
            history = channel.ring_history(before.offset, PAGE)
        await self._turns.take(looking(len(history.entries), member.filter))
        if not member.active or member.mode is not Mode.BEHIND or member.position != before:
            return False
        return self._feeder.feed(member, history, trio.current_time(), from_history=from_history)


def _answers(session: ServerSession, wanted: ChannelRequest) -> bool:
    """Whether a session says that it answers (ASK-1, VER-6)."""
    options = wanted.options
    return options is not None and bool(options.answers) and ADDRESSING in session.engine.features
