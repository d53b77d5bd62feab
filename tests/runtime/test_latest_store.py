"""The latest by key in a file: what a restart, a full disk and a damaged file leave of it (SPEC LAT-1, LAT-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from hawser import App, connect
from hawser.brokers import Retention, Submission
from hawser.brokers.sqlite import SqliteBroker, StoreDamaged, StoreFull
from hawser_engine.messages import About
from tests.runtime.helpers import URL, collect, serving
from tests.runtime.test_sqlite_broker import deaf, killed, look, past, refusal, running

if TYPE_CHECKING:
    from pathlib import Path

LATEST = Retention(messages=3, latest=True)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


async def post(broker: SqliteBroker, keys: str, retention: Retention = LATEST) -> None:
    for key in keys:
        await broker.publish("c", key.encode(), retention=retention, about=About(latest_key=key))


async def kept(broker: SqliteBroker) -> tuple[int, str]:
    page = await past(broker, "c")
    return page.first, "".join(entry.data.decode() for entry in page.entries)


@pytest.mark.parametrize("end", ["in peace", "killed"])
async def test_what_is_kept_and_what_is_lost_is_known_after_a_restart(path: Path, end: str) -> None:
    async with running(SqliteBroker(path)) as broker:
        await post(broker, "abacad")
        assert await kept(broker) == (3, "cad")
        opened = killed(path, "copy") if end == "killed" else path
    async with running(SqliteBroker(opened)) as broker:
        assert await kept(broker) == (3, "cad")
        await post(broker, "a")  # replaces the one from before the restart
        assert await kept(broker) == (3, "cda")
        await post(broker, "b")
        assert await kept(broker) == (5, "dab")
    assert look(opened, "SELECT count(*) FROM entries") == [(3,)]


async def test_what_replaces_shares_the_commit_of_what_it_replaces(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await post(broker, "ab")
        together = [Submission("c", b"x", LATEST, about=About(latest_key=key)) for key in "aabcd"]
        await broker.publish_all(together)
        page = await past(broker, "c")
        assert (page.first, [entry.offset for entry in page.entries]) == (5, [5, 6, 7])
    assert look(path, "SELECT offset FROM entries ORDER BY offset") == [(5,), (6,), (7,)]


async def test_many_that_go_at_once_are_deleted(path: Path) -> None:
    many, few = Retention(messages=200, latest=True), Retention(messages=2, latest=True)
    async with running(SqliteBroker(path)) as broker:
        about = [About(latest_key=f"{number}") for number in range(150)]
        await broker.publish_all([Submission("c", b"x", many, about=one) for one in about])
        await post(broker, "y", few)
        assert await kept(broker) == (150, "xy")
    assert look(path, "SELECT count(*) FROM entries") == [(2,)]


async def test_what_could_not_be_written_has_replaced_nothing(path: Path) -> None:
    async with running(SqliteBroker(path, bytes_max=200_000)) as broker:
        await post(broker, "ab")
        with pytest.raises(StoreFull):
            await broker.publish("c", bytes(500_000), retention=LATEST, about=About(latest_key="a"))
        assert await kept(broker) == (1, "ab")
        await post(broker, "ac")
        assert await kept(broker) == (1, "bac")


async def test_a_channel_that_kept_everything_and_is_joined_begins_anew(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await broker.join("c", deaf)
        await post(broker, "aab", Retention(messages=9))
        await post(broker, "cc")
        assert await kept(broker) == (4, "c")
    async with running(SqliteBroker(path)) as broker:
        assert await kept(broker) == (4, "c")  # and nothing of what the file may have from before
        await post(broker, "de", Retention(messages=9))
        assert await kept(broker) == (6, "de")


async def test_one_that_is_damaged_is_refused(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await post(broker, "ab")
    look(path, "UPDATE entries SET about = x'ff' WHERE offset = 2")
    error = await refusal(SqliteBroker(path))
    assert type(error) is StoreDamaged


async def test_a_board_is_there_after_a_restart_of_its_server(path: Path) -> None:
    seen: list[object] = []
    for words in (["begun", "done"], []):
        app = App(broker=SqliteBroker(path))
        app.channel("board", history=100, overflow="keep-latest", last_value=True, open=True)
        async with serving(app), connect(URL) as client:
            for word in words:
                await client.publish("board", word, latest_key="sail")
                await client.publish("board", word, latest_key="hull")
            async with client.subscribe("board") as messages:
                seen += await collect(messages, 2)
    assert seen == ["done"] * 4
