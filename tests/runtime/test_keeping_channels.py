"""Servers whose channels are in a file: what clients see of it, and of the next server."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import trio

from hawser import App, Client, Config, Position, connect, states
from hawser.brokers.sqlite import SqliteBroker
from tests.runtime.helpers import FAST, URL, collect, serving

if TYPE_CHECKING:
    from pathlib import Path

QUICK = Config(backoff_base_seconds=0.001, spread_seconds=0.0)
"""A client that is back at once."""


def kept_app(path: Path) -> App:
    app = App(broker=SqliteBroker(path))
    app.channel("*", history=1_000, open=True)
    return app


async def serve_until(stop: trio.Event, path: Path, *, task_status: trio.TaskStatus[None]) -> None:
    async with serving(kept_app(path)):
        task_status.started()
        await stop.wait()


async def test_a_subscription_goes_on_by_offset_with_the_next_server(tmp_path: Path) -> None:
    path, stop = tmp_path / "store.db", trio.Event()
    async with trio.open_nursery() as servers:
        await servers.start(serve_until, stop, path)
        async with connect(URL, config=QUICK) as client, client.subscribe("room") as messages:
            first = await client.publish("room", 1, key=b"key")
            assert await collect(messages, 1) == [1]
            stop.set()
            stop = trio.Event()
            while servers.child_tasks:
                await trio.sleep(0.001)
            changes = client.states
            await servers.start(serve_until, stop, path)
            async for state in changes:
                if isinstance(state, states.Reset):
                    break
            again = await client.publish("room", 1, key=b"key")
            assert (again.position, again.duplicate) == (first.position, True)
            second = await client.publish("room", 2)
            assert second.position == Position(first.position.epoch, 2)
            assert await collect(messages, 1) == [2]
        stop.set()


async def publish_all(client: Client, numbers: range) -> None:
    receipts = [await client.submit("room", number) for number in numbers]
    for receipt in receipts:
        await receipt.wait()


async def test_what_is_read_from_the_file_and_what_is_new_are_one_order(tmp_path: Path) -> None:
    async with serving(kept_app(tmp_path / "store.db"), config=FAST), AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(connect(URL)) for _ in range(3)]
        await publish_all(clients[0], range(40))
        first = await clients[0].publish("room", 40)
        since = Position(first.position.epoch, 0)
        async with (
            clients[1].subscribe("room", since=since) as one,
            clients[2].subscribe("room", since=since) as other,
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(partial(publish_all, clients[0], range(41, 60)))
            assert await collect(one, 60) == list(range(60))
            assert await collect(other, 60) == list(range(60))
