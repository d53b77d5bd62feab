"""Servers whose channels are in a file: what clients see of it, and of the next server."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser import App, Client, Config, ErrorCode, Position, RequestFailed, connect, states
from hawser.brokers.sqlite import SqliteBroker
from hawser.server import hub
from hawser_engine.channels.memberships import Mode
from hawser_engine.codes import GapReason
from hawser_engine.messages import ChannelRequest, Continue, Pause, PositionNotice, Publication, Subscribe, Subscribed
from tests.runtime.helpers import FAST, URL, RawClient, collect, only_session, serving
from tests.runtime.test_sqlite_broker import look, spoil_page_of

if TYPE_CHECKING:
    from collections.abc import Iterable
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


async def publish_all(client: Client, values: Iterable[object]) -> None:
    receipts = [await client.submit("room", value) for value in values]
    for receipt in receipts:
        await receipt.wait()


async def damaged(path: Path, *texts: bytes) -> Position:
    """Make a store with 100 texts in a channel, one of which cannot be read; the position of the last one."""
    async with serving(kept_app(path), config=FAST), connect(URL) as client:
        await publish_all(client, [f"{number:03}".ljust(300) for number in range(99)])
        last = await client.publish("room", "099".ljust(300))
    spoil_page_of(path, *texts)
    return last.position


async def test_history_that_is_damaged_is_a_gap_and_what_is_new_comes(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "store.db"
    since = attrs.evolve(await damaged(path, b"050 ", b"051 "), offset=0)
    async with serving(kept_app(path)), connect(URL) as client, connect(URL) as other:
        async with client.subscribe("room", since=since) as messages:
            texts: list[str] = []
            while isinstance(item := (await collect(messages, 1))[0], str):
                texts.append(item.rstrip())
            assert texts == [f"{number:03}" for number in range(len(texts))]
            assert 16 <= len(texts) <= 51
            assert item == (len(texts), 100, GapReason.HISTORY_TOO_SHORT)
            for number in range(3):
                await other.publish("room", number)
            assert await collect(messages, 3) == [0, 1, 2]
    [record] = caplog.records
    assert "it is damaged; put a copy in its place" in record.getMessage()


async def test_who_asks_for_what_is_damaged_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "store.db"
    await damaged(path, b"000 ")
    async with serving(kept_app(path)), connect(URL) as client:
        for _ in range(2):
            with pytest.raises(RequestFailed) as caught:
                await client.subscribe("room", rewind=1).__aenter__()
            assert caught.value.code == ErrorCode.UNAVAILABLE
        with pytest.raises(RequestFailed) as caught:
            await client.history("room")
        assert (caught.value.code, caught.value.temporary) == (ErrorCode.UNAVAILABLE, False)
        assert caught.value.message == "the store cannot do this until somebody mends it"
        async with client.subscribe("room") as messages:
            await client.publish("room", "new")
            assert await collect(messages, 1) == ["new"]
    assert len(caplog.records) == 1


async def test_history_that_cannot_be_read_for_a_while_comes_when_it_can(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "AGAIN_SECONDS", 0.01)
    path = tmp_path / "store.db"
    app = kept_app(path)
    async with serving(app) as server, RawClient().connected() as client:
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        answer = await client.hear()
        assert isinstance(answer, Subscribed)
        begin = answer.channels[0].position
        assert begin is not None
        client.say(Pause("room", begin.epoch, begin.offset))
        member = (await only_session(server)).memberships["room"]
        while member.mode is not Mode.PAUSED:
            await trio.sleep(0.001)
        for number in range(3):
            await app.publish("room", number)
        look(path, "ALTER TABLE entries RENAME TO away")
        client.say(Continue("room", begin.epoch, begin.offset))
        while not caplog.records:
            await trio.sleep(0.001)
        look(path, "ALTER TABLE away RENAME TO entries")
        heard = [await client.hear() for _ in range(4)]
        assert [type(message) for message in heard] == [PositionNotice] + [Publication] * 3  # CHN-9
    [record] = caplog.records
    assert record.getMessage().endswith("history and letters are not given until it can be read again")


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
