"""Subscriptions that the application decides, not the client (SPEC ASG-1 to ASG-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.principals import check_name
from hawser.subscribing import check_since, subscribe_options
from hawser_engine.channels.segments import is_pattern
from hawser_engine.messages import ChannelRequest

if TYPE_CHECKING:
    from hawser.app import App
    from hawser.rules import ChannelRule
    from hawser_engine.messages import Position

    from .sessions import ServerSession


class Assigner:
    """Subscribes one session to channels, and takes it out of them."""

    __slots__ = ("_session",)

    def __init__(self, session: ServerSession) -> None:
        self._session = session

    async def subscribe(
        self, channel: str, since: Position | None, rewind: int | None, rewind_seconds: float | None
    ) -> None:
        """See `Session.subscribe`."""
        session = self._session
        wanted = requested(channel, since, rewind, rewind_seconds)
        rule = rule_of(session.node.app, channel)
        await trio.lowlevel.checkpoint()
        await session.node.hub.assign(session, wanted, rule)

    async def unsubscribe(self, channel: str) -> None:
        """See `Session.unsubscribe`."""
        await trio.lowlevel.checkpoint()
        await self._session.node.hub.dismiss(self._session, channel)


def requested(channel: str, since: Position | None, rewind: int | None, rewind_seconds: float | None) -> ChannelRequest:
    """What is asked for, as though a client did.

    Raises:
        TypeError: ``since`` is no position.
        ValueError: It is a pattern, or the name is not well-formed, or a rewind is below 0.
    """
    if is_pattern(check_name("a channel name", channel)):
        raise ValueError(f"{channel!r} is a pattern of channels: only clients can subscribe to that; name one channel")
    check_since(since)
    return ChannelRequest(channel, since, subscribe_options(rewind, rewind_seconds))


def rule_of(app: App, channel: str) -> ChannelRule:
    """What holds for a channel.

    Raises:
        LookupError: There is no such channel.
    """
    rule = app.rule_for(channel)
    if rule is None:
        raise LookupError(f"no channel {channel!r} is declared; declare it with App.channel")
    return rule
