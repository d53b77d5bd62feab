"""Publications of the application that expect their channel to stand somewhere; brokers are checked by the contract."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hawser import App, PositionMoved, connect
from hawser.brokers import MemoryBroker, Retention
from hawser.brokers.sqlite import SqliteBroker
from tests.runtime.helpers import URL, collect, serving
from tests.runtime.test_sqlite_broker import look, running

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

KEEP = Retention(messages=9)


@pytest.mark.parametrize("kind", ["memory", "sqlite"])
async def test_what_a_client_published_meanwhile_refuses_what_rests_on_something_older(
    kind: str, tmp_path: Path
) -> None:
    app = App(broker=MemoryBroker() if kind == "memory" else SqliteBroker(tmp_path / "s.db"))
    app.channel("order:*", history=100, open=True)
    async with serving(app), connect(URL) as client, client.subscribe("order:1") as messages:
        placed = await app.publish("order:1", "placed")
        cancelled = await client.publish("order:1", "cancelled")
        with pytest.raises(
            PositionMoved, match=r"channel 'order:1' is not where it was expected, but at offset 2"
        ) as no:
            await app.publish("order:1", "shipped", key=b"k", expected=placed.position)
        assert no.value.position == cancelled.position
        back = await app.publish("order:1", "paid back", key=b"k", expected=no.value.position)
        again = await app.publish("order:1", "paid back", key=b"k", expected=no.value.position)
        assert (again.position, again.duplicate) == (back.position, True)
        assert await collect(messages, 3) == ["placed", "cancelled", "paid back"]


async def test_what_is_volatile_expects_nothing(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("room", history=5, volatile=True)
    position = (await app.publish("room", 1)).position
    with pytest.raises(ValueError, match="what is volatile has no place of its own, and expects none"):
        await app.publish("room", 2, volatile=True, expected=position)


async def test_a_position_from_before_a_restart_holds_and_what_is_refused_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "s.db"
    async with running(SqliteBroker(path)) as broker:
        first = (await broker.publish("one", b"1", retention=KEEP)).position
        second = (await broker.publish("one", b"2", retention=KEEP)).position
    before = look(path, "SELECT used FROM channels")
    async with running(SqliteBroker(path)) as broker:
        with pytest.raises(PositionMoved) as refused:
            await broker.publish("one", b"3", retention=KEEP, expected=first)
        assert refused.value.position == second
    assert look(path, "SELECT used FROM channels") == before
    async with running(SqliteBroker(path)) as broker:
        assert (await broker.publish("one", b"3", retention=KEEP, expected=second)).position.offset == 3
