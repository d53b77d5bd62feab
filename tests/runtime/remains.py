"""What a server keeps of those who use it: nothing, when all of them have said goodbye or are given up."""

from __future__ import annotations

from typing import Any


def remains(node: Any) -> dict[str, Any]:
    """What a node still keeps of anybody, by what it is."""
    hub, agents, attendance = node.hub, node.router._agents, node.presence._attendance
    kept: dict[str, Any] = {
        "sessions": dict(node.sessions),
        "links": node._drivers,
        "users": node._users._attached,
        "channels": hub._channels,
        "locks of channels": hub._locks,
        "pins of channels": hub._pins,
        "channels to be delivered": (*hub.flusher._dirty, *hub.flusher._flushing),
        "patterns": hub.wildcards.watches._watches,
        "what waits for patterns": hub.wildcards._strays,
        "agents": agents.offerings(),
        "workers": agents._workers,
        "offers": agents._offered,
        "those who listen": node.addressing._listeners,
        "users who listen": node.addressing._users,
        "names of sessions": node.addressing._sessions,
        "mailboxes": node.mailboxes._boxes,
        "holders of mailboxes": node.mailboxes._wanted,
        "members who answer": node.asking._willing,
        "questions of sessions": node.asking._asked,
        "questions of other servers": (*node.asking.errands._errands, *node.asking.errands._parked),
        "members": node.presence._holders,
        "watched channels": node.presence._watched,
        "members to be entered": attendance._wanted,
        "members without a link": attendance._detached,
        "members to be taken out": attendance._absent,
        "members in the store": attendance._written,
    }
    return {what: those for what, those in kept.items() if those}
