"""Ending a server so that its clients lose as little as can be (SPEC CLS-9).

First what was begun is finished and its answers delivered; whatever clients ask for meanwhile is held back, neither
begun nor acknowledged. Then everybody is sent away over a span of time that the next server can bear. Nobody is waited
for beyond ``drain_seconds``: a client that does not read is cut off, and finds its session, or none, like any other.

The listener lets nobody new in from the beginning, and says so to balancers; requests of those who are in, it serves to
the end, for long-poll clients take their last words with new ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .node import Node

GOODBYE_SECONDS: Final = 5.0
"""For the last words to leave, and for clients to take them; less where ``drain_seconds`` is short."""

LOOK_SECONDS: Final = 0.1
"""How often it looks whether all is done: no session tells anybody that it has become idle."""


_URL_BYTES: Final = 2_048
"""The longest that a CLOSE holds (SPEC 3.2)."""


def check_place(url: str) -> str:
    """Return a URL to which clients may be sent.

    Raises:
        ValueError: None of them would follow it.
    """
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise ValueError(f"clients are sent to a URL, and this is none: {error}") from None
    if not parts.scheme or not parts.hostname or parts.username is not None or parts.password is not None:
        raise ValueError("clients are sent to a URL with a scheme and a host, and without a user or a password")
    if parts.fragment or len(url.encode()) > _URL_BYTES:
        raise ValueError(f"clients are sent to a URL without a fragment, of at most {_URL_BYTES} bytes")
    return url


async def drain(node: Node, gone: Sequence[trio.Event]) -> None:
    """Finish, send everybody away, and wait until they have left; within ``drain_seconds``.

    Args:
        node: Whose clients they are; nobody new comes in any more.
        gone: One for each place where it listens, set when the last link from there has ended.
    """
    config = node.config
    goodbye = min(GOODBYE_SECONDS, config.drain_seconds / 6)
    with trio.move_on_after(max(0.0, config.drain_seconds - goodbye - config.cleanup_seconds)):
        while not _idle(node):  # noqa: ASYNC110 - once in the life of a server; an event would cost each request
            await trio.sleep(LOOK_SECONDS)
    spread = len(node.sessions) / config.returns_per_second
    node.send_away(min(spread, config.resume_period_seconds / 2))
    with trio.move_on_after(goodbye):  # CLS-3: whoever is sent away ends the link
        for last in gone:
            await last.wait()


def _idle(node: Node) -> bool:
    # Every session has to hear of it, so no `all` that stops at the first.
    return not [session for session in node.sessions.values() if not session.hold_back()]
