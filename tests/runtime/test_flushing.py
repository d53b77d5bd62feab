"""What is done for many in turns: everybody else has one in between, and may change who they are."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import trio

from hawser import EVERYONE, App, connect
from hawser.server import flushing
from tests.runtime.helpers import URL, collect, serving

if TYPE_CHECKING:
    import pytest
    from trio.testing import MockClock

    from hawser import Server
    from hawser.server.node import Node


def node_of(server: Server) -> Node:
    return server._node  # pyright: ignore[reportPrivateUsage]


async def test_patterns_may_be_left_while_others_are_served(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a publication is given to is settled before anybody else has a turn."""
    monkeypatch.setattr(flushing, "FLUSH_SOCKETS", 1)
    app = App()
    app.channel("*", wildcard=EVERYONE, open=True)
    async with serving(app) as server, AsyncExitStack() as stack:
        enter = stack.enter_async_context
        clients = [await enter(connect(URL)) for _ in range(21)]
        many = [await enter(client.subscribe("room:*")) for client in clients[1:]]
        async with clients[0].subscribe("*:1"):
            await app.publish("room:1", "hello")
            hub = node_of(server).hub
            watches = hub.wildcards.watches
            [group], [other] = (watches[pattern].groups.values() for pattern in ("room:*", "*:1"))
            while not any(member.given for member in group.members.values()):
                await trio.lowlevel.checkpoint()
            [session] = other.members
            hub.remove(session, "*:1")
        for messages in many:
            assert await collect(messages, 1) == ["hello"]
