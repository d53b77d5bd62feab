"""What is for the length of a block is refused before it, where it would wait for what nobody has asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Client, ClientPool, PooledClient, connect
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    Use = Callable[[Client, PooledClient], Awaitable[object]]


def open_app() -> App:
    app = App()
    app.channel("*", presence=True, open=True)
    app.agent("*", open=True)
    app.mailbox("user:*", open=True)
    app.directory()
    return app


async def work() -> None: ...


async def attribute(of: Any, name: str) -> object:
    return getattr(of, name)


USES: dict[str, tuple[Use, str]] = {
    "subscription": (lambda client, pooled: client.subscribe("a").receive(), "a subscription"),
    "iteration": (lambda client, pooled: anext(client.subscribe("a")), "a subscription"),
    "pattern": (lambda client, pooled: client.subscribe("a:*").receive(), "a subscription"),
    "shared subscription": (lambda client, pooled: pooled.subscribe("a").receive(), "a subscription"),
    "mailbox": (lambda client, pooled: client.mailbox().receive(), "a mailbox"),
    "handler": (lambda client, pooled: client.mailbox().handle(print), "a mailbox"),  # type: ignore[arg-type]
    "directs": (lambda client, pooled: client.directs().receive(), "a block of directs"),
    "presence": (lambda client, pooled: anext(client.presence("a")), "a presence"),
    "saying": (lambda client, pooled: client.presence("a").update(1), "a presence"),
    "shared presence": (lambda client, pooled: anext(pooled.presence("a")), "a presence"),
    "saying together": (lambda client, pooled: pooled.presence("a").update(1), "a presence"),
    "members together": (lambda client, pooled: attribute(pooled.presence("a"), "members"), "a presence"),
    "directory": (lambda client, pooled: anext(client.watch_agents()), "a directory"),
    "offer": (lambda client, pooled: client.offer("a", work).wait(), "an offer"),
    "stream": (lambda client, pooled: client.stream("$agents").receive(), "a stream"),
    "pool": (lambda client, pooled: ClientPool().client(URL).__aenter__(), "a pool"),
}


@pytest.mark.parametrize("use", USES)
async def test_it_says_so_at_once(use: str, autojump_clock: MockClock) -> None:
    waits, what = USES[use]
    async with serving(open_app()), connect(URL) as client, ClientPool() as pool, pool.client(URL) as pooled:
        with trio.fail_after(PATIENCE), pytest.raises(RuntimeError) as caught:
            await waits(client, pooled)
    assert str(caught.value) == f"{what} is entered with async with before it is used"
