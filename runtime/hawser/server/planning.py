"""How the channels of a SUBSCRIBE are answered: rights, the place to begin, the filter.

Everything that has to be waited for happens here, before the hub answers and enters in one step.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import attrs

from hawser.calls import Refused
from hawser.errors import RequestFailed
from hawser.middleware import SubscribeRequest, pass_through
from hawser_engine.channels.filters import FilterError, parse_filter
from hawser_engine.channels.segments import SEGMENTS_MAX, is_pattern
from hawser_engine.codes import ErrorCode, GapReason, SubscribeStatus
from hawser_engine.messages import WILDCARDS, Position

from .publishing import refusal

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser.brokers import History
    from hawser.rules import ChannelRule
    from hawser_engine.channels.channel import Channel
    from hawser_engine.channels.filters import Filter
    from hawser_engine.messages import ChannelRequest, SubscribeOptions

    from .node import Node
    from .sessions import ServerSession
    from .wildcards import Wildcards


@attrs.frozen
class Plan:
    """How one channel of a SUBSCRIBE will be answered."""

    name: str
    channel: Channel | None = None
    since: Position | None = None
    """From where the member is served; None: from the end."""
    filter: Filter | None = None
    status: SubscribeStatus = SubscribeStatus.LIVE
    reason: str = ""
    """After a gap: why."""
    refused: Refused | None = None
    """Why it will not be entered; None: nothing stands against it so far."""
    wildcard: ChannelRule | None = None
    """What holds for it where it is a pattern of channels."""


class Planner:
    """Looks up what a SUBSCRIBE asks for.

    Args:
        node: Whose.
        open: Opens a channel; the caller of `plan` keeps it open.
        read: Reads what is kept of one; see `Hub.read`.
        wildcards: Opens a pattern, likewise.
    """

    def __init__(
        self,
        node: Node,
        open: Callable[[str, ChannelRule], Awaitable[Channel]],
        read: Callable[..., Awaitable[History]],
        wildcards: Wildcards,
    ) -> None:
        self._node = node
        self._open = open
        self._read = read
        self._wildcards = wildcards

    async def plan(self, session: ServerSession, wanted: ChannelRequest) -> Plan:
        """Find out how one channel is answered; whatever fails there touches no other (SUB-5)."""
        name = wanted.channel
        try:
            return await self._look_up_through(session, wanted)
        except RequestFailed as error:
            refused = Refused.of(error)
        except Exception as error:
            refused = refusal(self._node, f"subscribe {name!r}", error)
        return Plan(name, refused=refused)

    async def assign(self, session: ServerSession, wanted: ChannelRequest, rule: ChannelRule) -> Plan:
        """Find out how a session begins that the application subscribes to a channel (ASG-6).

        Raises:
            Refused: Nobody could say whether it may have the last value.
            BrokerUnavailable: The channel cannot be opened, or read, now.
        """
        channel = await self._open(wanted.channel, rule)
        return await self._begin(session, wanted, channel, rule, assigned=True)

    async def _look_up_through(self, session: ServerSession, wanted: ChannelRequest) -> Plan:
        middleware = self._node.app.middlewares
        if not middleware:
            return await self._look_up(session, wanted)
        plan: Plan | None = None

        async def look_up(request: SubscribeRequest) -> None:
            nonlocal plan
            plan = await self._look_up(session, wanted)

        request = SubscribeRequest(session.handle, wanted.channel, wanted.since, wanted.options)
        await pass_through(middleware, request, look_up)
        if plan is None:
            raise TypeError(f"middleware neither refused the subscription to {wanted.channel!r} nor proceeded with it")
        return plan

    async def _look_up(self, session: ServerSession, wanted: ChannelRequest) -> Plan:
        name, options = wanted.channel, wanted.options
        if is_pattern(name):
            return await self._look_up_pattern(session, wanted)
        rule = await self._node.allow(session, "subscribe", name)
        filter = None if options is None or options.filter is None else _filter(name, rule, options.filter)
        channel = await self._open(name, rule)
        return await self._begin(session, wanted, channel, rule, filter)

    async def _begin(
        self,
        session: ServerSession,
        wanted: ChannelRequest,
        channel: Channel,
        rule: ChannelRule,
        filter: Filter | None = None,
        *,
        assigned: bool = False,
    ) -> Plan:
        """From where a subscription is served; the right to read history is not asked for where that is assigned."""
        name, since = channel.name, wanted.since
        if since is None:
            position = await self._rewound(session, channel, rule, wanted.options, assigned=assigned)
            return Plan(name, channel, position, filter)
        page = await self._read(channel, since.offset, limit=0, limit_bytes=0)
        # SUB-4: everything after `since` is there, or the answer says since where it is. SUB-14: for whoever may not
        # read history, nothing is.
        first = page.first if assigned or await self._may_read(session, name) else page.top.offset + 1
        top, kept = page.top, Position(page.top.epoch, first - 1)
        if since.epoch != top.epoch or since.offset > top.offset:
            return Plan(name, channel, kept, filter, SubscribeStatus.GAP, GapReason.EPOCH_CHANGED.name)
        if first > since.offset + 1:
            return Plan(name, channel, kept, filter, SubscribeStatus.GAP, GapReason.HISTORY_TOO_SHORT.name)
        return Plan(name, channel, since, filter, SubscribeStatus.RECOVERED)

    async def _look_up_pattern(self, session: ServerSession, wanted: ChannelRequest) -> Plan:
        """How a pattern is answered (WLD-1 to WLD-3, WLD-7)."""
        name, options = wanted.channel, wanted.options
        if WILDCARDS not in session.engine.features:
            raise Refused(ErrorCode.BAD_REQUEST, f"{name!r} is no channel, and the feature {WILDCARDS!r} not in force")
        if options is not None and (options.rewind is not None or options.rewind_ms is not None):
            raise Refused(ErrorCode.BAD_REQUEST, "a pattern is live: it cannot be rewound")
        if options is not None and options.answers:
            raise Refused(ErrorCode.BAD_REQUEST, "the members of a channel are asked, and a pattern is none")
        if name.count(":") >= SEGMENTS_MAX:
            raise Refused(ErrorCode.LIMIT, f"a pattern has at most {SEGMENTS_MAX} segments")
        rule = await self._node.allow(session, "wildcard", name)
        filter = None if options is None or options.filter is None else _filter(name, rule, options.filter)
        await self._wildcards.watches.open(name)
        if wanted.since is None:
            return Plan(name, filter=filter, wildcard=rule)
        reason = GapReason.HISTORY_TOO_SHORT.name
        return Plan(name, filter=filter, wildcard=rule, status=SubscribeStatus.GAP, reason=reason)

    async def _may_read(self, session: ServerSession, name: str) -> bool:
        """Whether a session may have what was published before it subscribes (SUB-14)."""
        try:
            await self._node.allow(session, "history", name)
        except Refused as refused:
            if refused.code == ErrorCode.DENIED:
                return False
            raise
        return True

    async def _rewound(
        self,
        session: ServerSession,
        channel: Channel,
        rule: ChannelRule,
        options: SubscribeOptions | None,
        *,
        assigned: bool,
    ) -> Position | None:
        """From where a subscription begins that has had nothing; None: from the end (SUB-10, SUB-11)."""
        count, age_ms = (None, None) if options is None else (options.rewind, options.rewind_ms)
        asked = count is not None or age_ms is not None
        if not asked:
            count = rule.last_value_count
        if count == 0 or not rule.retention.messages:
            return None
        if not (asked and assigned) and not await self._may_read(session, channel.name):
            if asked:
                raise Refused(ErrorCode.DENIED, f"rewind {channel.name!r}: its history may not be read")
            return None
        seconds = inf if age_ms is None else age_ms / 1_000
        page = await self._read(channel, 0, limit=1, limit_bytes=0, seconds=seconds)
        end = page.top.offset
        begin = page.entries[0].offset - 1 if page.entries else end
        return Position(page.top.epoch, begin if count is None else max(begin, end - count))


def _filter(name: str, rule: ChannelRule, text: str) -> Filter:
    """Read a filter; where publications carry no tags there is nothing to look at (SUB-13)."""
    if "tags" not in rule.about:
        raise Refused(ErrorCode.BAD_REQUEST, f"a filter looks at tags, and publications of {name!r} carry none")
    try:
        return parse_filter(text)
    except FilterError as error:
        raise Refused(ErrorCode.BAD_REQUEST, str(error)) from None
