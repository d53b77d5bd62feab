"""Subscriptions that the application decides, not the client (SPEC ASG-1 to ASG-5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.errors import RequestFailed
from hawser_engine.channels.segments import is_pattern
from hawser_engine.codes import ErrorCode
from hawser_engine.messages import ASSIGNED

if TYPE_CHECKING:
    from .sessions import ServerSession


class Assigner:
    """Subscribes one session to channels, and takes it out of them."""

    __slots__ = ("_session",)

    def __init__(self, session: ServerSession) -> None:
        self._session = session

    async def subscribe(self, channel: str) -> None:
        """See `Session.subscribe`."""
        session = self._session
        rule = None if is_pattern(channel) else session.node.app.rule_for(channel)
        if rule is None:
            raise LookupError(f"no channel {channel!r} is declared; declare it with App.channel")
        if ASSIGNED not in session.engine.features:
            raise RequestFailed(ErrorCode.NOT_FOUND, "the client takes no subscriptions that it has not asked for")
        await trio.lowlevel.checkpoint()
        await session.node.hub.assign(session, channel, rule)

    async def unsubscribe(self, channel: str) -> None:
        """See `Session.unsubscribe`."""
        await trio.lowlevel.checkpoint()
        await self._session.node.hub.dismiss(self._session, channel)
