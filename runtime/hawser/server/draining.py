"""Ending a server so that its clients lose as little as can be (SPEC CLS-9).

First what was begun is finished and its answers delivered; whatever clients ask for meanwhile is held back, neither
begun nor acknowledged. Then everybody is sent away over a span of time that the next server can bear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from .node import Node

LOOK_SECONDS: Final = 0.1
"""How often it looks whether all is done: no session tells anybody that it has become idle."""


async def drain(node: Node) -> None:
    """Finish, for at most ``drain_seconds``, and send everybody away. The listener is closed already."""
    config = node.config
    with trio.move_on_after(config.drain_seconds):
        while not _idle(node):  # noqa: ASYNC110 - once in the life of a server; an event would cost each request
            await trio.sleep(LOOK_SECONDS)
    spread = len(node.sessions) / config.returns_per_second
    node.send_away(min(spread, config.resume_period_seconds / 2))


def _idle(node: Node) -> bool:
    # Every session has to hear of it, so no `all` that stops at the first.
    return not [session for session in node.sessions.values() if not session.hold_back()]
