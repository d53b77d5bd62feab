"""Whether a session may have what it wants of the presence of a channel (SPEC PRS-2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hawser.calls import Refused
from hawser.middleware import PresenceRequest, pass_through
from hawser_engine.codes import ErrorCode

if TYPE_CHECKING:
    from hawser.rights import Action
    from hawser_engine.presence import Presence

    from .node import Node
    from .sessions import ServerSession


async def allow_presence(node: Node, session: ServerSession, action: Action, name: str) -> None:
    """Check a right; where nothing is declared for it, that to subscribe is asked.

    Raises:
        Refused: There is no such channel or no presence in it, it may not, or nobody could say.
    """
    rule = node.app.rule_for(name)
    if rule is not None and not rule.presence:
        raise Refused(ErrorCode.BAD_REQUEST, f"channel {name!r} has no presence")
    declared = rule is not None and action in rule.rights
    await node.allow(session, action if declared else "subscribe", name)


async def consent(node: Node, session: ServerSession, wanted: Presence) -> Presence:
    """What a session is to have: what it wants, as middleware lets it pass.

    Raises:
        Refused: It may not.
        RequestFailed: Middleware refused it.
        TypeError: Middleware did neither.
        Exception: Whatever else middleware raises.
    """
    member = wanted.info is not None
    middleware = node.app.middlewares
    said: bytes | None = None

    async def look_up(asked: PresenceRequest) -> None:
        nonlocal said
        if asked.watch:
            await allow_presence(node, session, "presence", asked.channel)
        if asked.member:
            await allow_presence(node, session, "appear", asked.channel)
        said = asked.raw

    request = PresenceRequest(session.handle, wanted.channel, bool(wanted.watch), member, wanted.info or b"")
    if not middleware or not (request.watch or member):  # nobody is asked about giving something up
        await look_up(request)
        return wanted
    await pass_through(middleware, request, look_up)
    if said is None:
        raise TypeError(f"middleware neither refused the presence in {wanted.channel!r} nor proceeded with it")
    return attrs.evolve(wanted, info=said if member else None)
