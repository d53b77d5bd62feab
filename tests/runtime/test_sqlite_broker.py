"""Channels in a file: what a restart, a loss, a full disk and a damaged file leave of them."""

from __future__ import annotations

import logging
import os
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
from contextlib import asynccontextmanager, closing
from itertools import count
from typing import TYPE_CHECKING, Any, Final

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser.brokers import BrokerUnavailable, Entry, Keeping, Posting, Published, Retention, Submission
from hawser.brokers.check import check_broker
from hawser.brokers.sqlite import (
    SqliteBroker,
    StoreClosed,
    StoreDamaged,
    StoreError,
    StoreForeign,
    StoreFull,
    StoreInUse,
    StoreUnwritable,
    book,
    file,
)
from hawser.brokers.sqlite.lock import StoreLock
from hawser.brokers.sqlite.queue import QUEUE_BYTES, QUEUE_REQUESTS, WriteQueue
from hawser.brokers.sqlite.schema import APPLICATION_ID, VERSION
from hawser_engine.messages import About

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Sequence
    from pathlib import Path

    from trio.testing import MockClock

    from hawser.brokers import History

KEEP = Retention(messages=5)
ALL = Retention(messages=1_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "store.db"


@asynccontextmanager
async def running(broker: SqliteBroker) -> AsyncGenerator[SqliteBroker]:
    """A broker that runs for the length of a block."""
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        yield broker
        nursery.cancel_scope.cancel()


async def publish(broker: SqliteBroker, channel: str, *texts: bytes, retention: Retention = ALL) -> list[int]:
    return [(await broker.publish(channel, text, retention=retention)).position.offset for text in texts]


def place(outcome: Published | BrokerUnavailable) -> int:
    assert isinstance(outcome, Published)
    return outcome.position.offset


async def past(broker: SqliteBroker, channel: str, after: int = 0) -> History:
    return await broker.history(channel, after, limit=1_000, limit_bytes=10**9)


async def texts(broker: SqliteBroker, channel: str) -> list[bytes]:
    return [entry.data for entry in (await past(broker, channel)).entries]


async def refusal(broker: SqliteBroker) -> StoreError:
    """Why a store is not opened."""
    try:
        await broker.run()
    except StoreError as error:
        return error
    raise AssertionError("it is open")


def deaf(_channel: str, _epoch: bytes, _entries: Sequence[Entry]) -> None:
    """A sink that keeps nothing."""


def cut(path: Path, *, by: float) -> None:
    """Take the last bytes of a file away, so many or such a share of it."""
    size = path.stat().st_size
    os.truncate(path, size - int(by if by >= 1 else size * by))


def spoil(path: Path, place: int) -> None:
    """Overwrite some bytes of a file."""
    with path.open("r+b") as damaged:
        damaged.seek(place)
        damaged.write(b"\xff" * 100)


LEAVES: Final = (10, 13)
"""How pages of SQLite's begin that lead to no others. In a table that is its own index others have rows as well."""


def spoil_page_of(path: Path, *texts: bytes) -> None:
    """Overwrite the beginning of a page of a closed store, so that it cannot be read: of the first leaf with a text.

    Two that follow each other are enough: between two leaves there is at most one row that is in neither.
    """
    data = path.read_bytes()
    leaves = [begin for begin in range(0, len(data), 4_096) if data[begin] in LEAVES]
    spoil(path, next(leaf for text in texts for leaf in leaves if text in data[leaf : leaf + 4_096]))


def look(path: Path, question: str) -> Any:
    """What SQLite itself says of a store that is closed."""
    connection = sqlite3.connect(path, isolation_level=None)
    try:
        return connection.execute(question).fetchall()
    finally:
        connection.close()


def beside(path: Path) -> list[str]:
    """What is in the folder of a file."""
    return sorted(os.listdir(path.parent))


def killed(path: Path, folder: str) -> Path:
    """The files of an open store as ``kill -9`` would leave them now.

    By another program: whoever closes a file takes away the locks that its own process has on it.
    """
    copy = path.parent / folder
    copy.mkdir()
    subprocess.run(["cp", path, f"{path}-wal", f"{path}-lock", copy], check=True)
    return copy / path.name


# ---------------------------------------------------------------- the contract


@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_it_keeps_the_contract(mock_clock: MockClock, path: Path, synchronous: Any) -> None:
    # Waits are jumped over when nothing has happened for a moment: at 0 the loop would spin while a thread writes.
    mock_clock.autojump_threshold = 0.02
    broker = SqliteBroker(path, synchronous=synchronous, clock=trio.current_time)
    await check_broker(broker, key_window_seconds=300, age_seconds=60)


async def test_what_is_published_at_once_shares_a_commit(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker, trio.open_nursery() as nursery:
        for number in range(200):
            nursery.start_soon(publish, broker, f"c{number % 3}", b"%d" % number)
    assert look(path, "SELECT sum(top), max(used) <= 3 FROM channels") == [(200, 1)]


async def test_what_is_handed_over_together_shares_a_commit(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        outcomes = await broker.publish_all([Submission("c", b"%d" % number, ALL) for number in range(200)])
        assert [place(outcome) for outcome in outcomes] == list(range(1, 201))
    assert look(path, "SELECT max(used) FROM channels") == [(1,)]


async def test_what_is_handed_over_together_is_refused_together(path: Path) -> None:
    async with running(SqliteBroker(path, bytes_max=200_000)) as broker:
        long, short = (Submission("c", bytes(size), ALL) for size in (500_000, 1))
        outcomes = await broker.publish_all([short, long, short])
        assert [type(outcome) for outcome in outcomes] == [StoreFull] * 3
        assert [place(outcome) for outcome in await broker.publish_all([short, short])] == [1, 2]


async def test_more_than_fits_into_the_queue_waits_and_is_published(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker, trio.open_nursery() as nursery:
        for _ in range(QUEUE_REQUESTS + 100):
            nursery.start_soon(publish, broker, "c", b"x")
    assert look(path, "SELECT top FROM channels") == [(QUEUE_REQUESTS + 100,)]


async def test_a_broker_that_does_not_run_says_so(path: Path) -> None:
    broker = SqliteBroker(path)
    with pytest.raises(StoreClosed, match="it is while a server serves its app"):
        await publish(broker, "c", b"x")
    async with running(broker):
        await publish(broker, "c", b"x")
        await broker.join("c", deaf)
    await broker.leave("c", deaf)
    with pytest.raises(StoreClosed):
        await past(broker, "c")


@pytest.mark.parametrize(
    ("field", "value", "says"),
    [
        ("path", "", "it must name a file"),
        ("path", ":memory:", "it must name a file; ./:memory: does, and without a store everything is in memory"),
        ("path", "file:x.db", "it must name a file, not a URI; ./file:x.db does"),
        ("synchronous", "off", "it must be 'normal' or 'full'"),
        ("channels_max", 0, "it must be 1 or more"),
        ("keys_max", -3, "it must be 1 or more"),
        ("mailboxes_max", 0, "it must be 1 or more"),
        ("bytes_max", -1, "it must be 65536 or more"),
        ("bytes_max", 65_535, "it must be 65536 or more"),
    ],
)
def test_it_is_made_with_what_it_can_do(field: str, value: Any, says: str) -> None:
    arguments: dict[str, Any] = {"path": "x", field: value}
    with pytest.raises(ValueError, match=f"^{re.escape(f'{field} is {value!r}; {says}')}$"):
        SqliteBroker(**arguments)


async def test_a_name_that_means_something_else_to_sqlite_is_that_of_a_file_in_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in (":memory:", "file:x.db"):
        async with running(SqliteBroker(f"./{name}", channels_max=1, keys_max=1, mailboxes_max=1, bytes_max=65_536)):
            pass
        assert look(tmp_path / name, "SELECT count(*) FROM channels") == [(0,)]


# ---------------------------------------------------------------- after a restart


@pytest.mark.parametrize("ended", ["in peace", "killed"])
@pytest.mark.parametrize("synchronous", ["normal", "full"])
async def test_a_restart_changes_nothing(path: Path, ended: str, synchronous: Any) -> None:
    about = About(publisher="ada", tags={"kind": "note"}, latest_key="k")
    async with running(SqliteBroker(path, synchronous=synchronous)) as broker:
        await publish(broker, "c", b"1", b"2")
        third = await broker.publish("c", b"3", retention=ALL, key=b"k3", about=about)
        await publish(broker, "none", b"x", retention=Retention())
        joined = await broker.join("empty", deaf)
        before = await past(broker, "c")
        image = killed(path, "image")
    path = path if ended == "in peace" else image
    assert [beside.name for beside in sorted(path.parent.glob("store.db*"))] == [
        "store.db", "store.db-lock", *(["store.db-wal"] if ended == "killed" else []),
    ]  # fmt: skip
    async with running(SqliteBroker(path)) as broker:
        assert broker.report is not None
        assert (broker.report.channels, broker.report.lost) == (3, False)
        assert await past(broker, "c") == before
        again = await broker.publish("c", b"3", retention=ALL, key=b"k3")
        assert (again.position, again.duplicate) == (third.position, True)
        assert await publish(broker, "c", b"4") == [4]
        assert await publish(broker, "none", b"y") == [2]
        assert (await broker.join("empty", deaf)) == joined
        reports: list[Entry] = []

        def sink(_channel: str, _epoch: bytes, entries: Sequence[Entry]) -> None:
            reports.extend(entries)

        assert (await broker.join("c", sink)).offset == 4
        await publish(broker, "c", b"5")
        assert [(entry.offset, entry.data) for entry in reports] == [(5, b"5")]
        assert [entry.about for entry in (await past(broker, "c")).entries] == [None, None, about, None, None]


async def test_keys_are_forgotten_by_wall_time_across_restarts(mock_clock: MockClock, path: Path) -> None:
    wall = 1_000_000.0

    async def again(key: bytes) -> bool:
        async with running(SqliteBroker(path, clock=lambda: wall)) as broker:
            return (await broker.publish("c", b"x", retention=ALL, key=key)).duplicate

    assert [await again(b"k"), await again(b"k")] == [False, True]
    wall += 299
    assert await again(b"k")
    wall = 5.0  # a machine that does not know the time yet
    assert await again(b"k")
    wall = 1_000_301.0
    assert not await again(b"k")


async def test_what_is_older_than_a_restart_becomes_old_by_the_clock(path: Path) -> None:
    wall = 1_000_000.0
    aging = Retention(messages=9, seconds=60)
    async with running(SqliteBroker(path, clock=lambda: wall)) as broker:
        await publish(broker, "c", b"1", retention=aging)
    wall += 50
    async with running(SqliteBroker(path, clock=lambda: wall)) as broker:
        await publish(broker, "c", b"2", retention=aging)
        wall -= 10  # and a clock that is set back turns no order around
        await publish(broker, "c", b"3", retention=aging)
        assert [entry.time_ms for entry in (await past(broker, "c")).entries] == [10**9, 10**9 + 50_000, 10**9 + 50_000]
        wall += 21
        assert await texts(broker, "c") == [b"2", b"3"]


@pytest.mark.parametrize("how", ["another boot", "a log cut short", "a log left behind", "an old copy"])
async def test_a_store_that_has_lost_commits_says_so_and_begins_new_epochs(path: Path, how: str) -> None:
    async with running(SqliteBroker(path)) as broker:
        first = (await broker.publish("c", b"1", retention=ALL)).position
        old = killed(path, "old")
        await publish(broker, "c", b"2", b"3")
        store = killed(path, "image")
    kept = [b"1", b"2", b"3"]
    if how == "another boot":
        look(store, "UPDATE store SET unsynced = 'another'")
    elif how == "a log cut short":
        cut(store.with_name("store.db-wal"), by=1_000)
        kept = [b"1", b"2"]
    elif how == "a log left behind":
        store.with_name("store.db-wal").unlink()
        kept = []
    else:
        old.with_name("store.db-lock").write_bytes(store.with_name("store.db-lock").read_bytes())
        store, kept = old, [b"1"]
    async with running(SqliteBroker(store)) as broker:
        assert broker.report is not None
        assert broker.report.lost
        page = await past(broker, "c")
        assert [entry.data for entry in page.entries] == kept
        assert page.top.epoch != first.epoch
        assert page.top.offset == len(kept)
    async with running(SqliteBroker(store)) as broker:
        assert broker.report is not None
        assert not broker.report.lost
        assert (await past(broker, "c")).top == page.top


async def test_new_epochs_come_from_the_source_of_the_store_and_each_is_another(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        for channel in "cd":
            await publish(broker, channel, b"x")
        await broker.mailboxes.post(Posting("user:ada", b"x", Keeping(letters=9)))
        store = killed(path, "image")
    look(store, "UPDATE store SET unsynced = 'another'")
    numbers = count(1)
    async with running(SqliteBroker(store, random_bytes=lambda size: next(numbers).to_bytes(size, "big"))):
        pass
    epochs = look(store, "SELECT epoch FROM channels UNION ALL SELECT epoch FROM mailboxes")
    assert sorted(int.from_bytes(epoch, "big") for (epoch,) in epochs) == [1, 2, 3]


@pytest.mark.parametrize("how", ["backup", "VACUUM INTO"])
async def test_a_copy_that_sqlite_takes_is_whole_and_is_known_where_it_is_put_back(path: Path, how: str) -> None:
    copy = path.with_name("copy.db")
    async with running(SqliteBroker(path)) as broker:
        await publish(broker, "c", b"1", b"2")
        top = (await past(broker, "c")).top
        with closing(sqlite3.connect(path)) as other, closing(sqlite3.connect(copy)) as target:
            if how == "backup":
                other.backup(target)
            else:
                other.execute("VACUUM INTO ?", (str(copy),))
        await publish(broker, "c", b"3")
    elsewhere = path.with_name("elsewhere.db")
    elsewhere.write_bytes(copy.read_bytes())
    async with running(SqliteBroker(elsewhere)) as broker:
        assert broker.report is not None
        assert not broker.report.lost
        assert await texts(broker, "c") == [b"1", b"2"]
        assert (await past(broker, "c")).top == top
    copy.rename(path)
    async with running(SqliteBroker(path)) as broker:
        assert broker.report is not None
        assert broker.report.lost
        assert await texts(broker, "c") == [b"1", b"2"]
        assert (await past(broker, "c")).top.epoch != top.epoch


async def test_a_store_that_syncs_loses_nothing_by_another_boot(path: Path) -> None:
    async with running(SqliteBroker(path, synchronous="full")) as broker:
        await publish(broker, "c", b"1")
        image = killed(path, "image")
    assert look(image, "SELECT unsynced FROM store") == [(None,)]


async def test_a_store_that_was_removed_begins_anew(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await publish(broker, "c", b"1")
    os.unlink(path)
    async with running(SqliteBroker(path)) as broker:
        assert broker.report is not None
        assert not broker.report.lost
        assert await publish(broker, "c", b"1") == [1]


# ---------------------------------------------------------------- bounds


async def test_the_file_keeps_little_more_than_the_channel(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        for number in range(100):
            await publish(broker, "few", b"%d" % number, retention=KEEP)
            await publish(broker, "small", b"12345678", retention=Retention(messages=1_000, bytes=80))
            await publish(broker, "none", b"x", retention=Retention())
        assert (await past(broker, "few")).first == 96
        assert (await past(broker, "small")).first == 91
        assert (await broker.history("small", 95, limit=0, limit_bytes=0)).first == 91
        assert (await past(broker, "small", 100)).entries == ()
    rows = dict(look(path, "SELECT name, count(*) FROM channels JOIN entries ON channel = channels.id GROUP BY name"))
    assert set(rows) == {"few", "small"}
    assert 5 <= rows["few"] <= 5 + 64
    assert 10 <= rows["small"] <= 10 + 64


async def test_a_history_that_shrinks_is_deleted_bit_by_bit(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "PRUNE_ROWS", 50)
    monkeypatch.setattr(book, "PRUNE_MESSAGES", 10)
    async with running(SqliteBroker(path)) as broker:
        await publish(broker, "c", *[b"x"] * 100)
        await publish(broker, "c", *[b"y"] * 10, retention=KEEP)
        assert await texts(broker, "c") == [b"y"] * 5
        assert look(path, "SELECT count(*), min(offset) FROM entries") == [(60, 51)]
        await publish(broker, "c", *[b"z"] * 30, retention=Retention())
        assert await texts(broker, "c") == []
        assert look(path, "SELECT count(*) FROM entries") == [(0,)]


async def test_a_channel_that_made_room_begins_anew_and_nothing_of_it_stays(path: Path) -> None:
    async with running(SqliteBroker(path, channels_max=2)) as broker:
        first = (await broker.publish("one", b"x", retention=ALL, key=b"k")).position
        await broker.join("two", deaf)
        await publish(broker, "three", b"x", b"y")
        assert look(path, "SELECT name FROM channels ORDER BY name") == [("three",), ("two",)]
        # What was published is known by its key even now.
        assert (await broker.publish("one", b"x", retention=ALL, key=b"k")).position == first
        page = await past(broker, "one")
        assert page.top.epoch != first.epoch
        assert (page.top.offset, page.entries) == (0, ())
        assert await publish(broker, "three", b"x") == [1]
        assert await publish(broker, "two", b"x") == [1]
    async with running(SqliteBroker(path, channels_max=2)) as broker:
        assert await publish(broker, "four", b"x") == [1]
        assert look(path, "SELECT name FROM channels ORDER BY name") == [("four",), ("two",)]


async def test_a_batch_may_evict_what_it_then_needs(path: Path) -> None:
    async with running(SqliteBroker(path, channels_max=2)) as broker:
        await publish(broker, "one", b"x")
        await publish(broker, "two", b"x")
        async with trio.open_nursery() as nursery:
            for name in ("three", "one", "four", "one", "two"):
                nursery.start_soon(publish, broker, name, b"y")
        assert len(look(path, "SELECT * FROM channels")) <= 5
        await publish(broker, "five", b"y")
        await publish(broker, "six", b"y")


async def test_the_oldest_key_is_forgotten_when_there_are_too_many(path: Path) -> None:
    async with running(SqliteBroker(path, keys_max=3)) as broker:
        for number in range(100):
            await broker.publish("one", b"x", retention=KEEP, key=b"%d" % number)
        assert not (await broker.publish("one", b"x", retention=KEEP, key=b"0")).duplicate
        assert (await broker.publish("one", b"x", retention=KEEP, key=b"99")).duplicate
    assert look(path, "SELECT count(*) < 70 FROM keys") == [(1,)]


@pytest.mark.parametrize(("synchronous", "level"), [("normal", 1), ("full", 2)])
def test_what_writes_waits_for_the_disk_as_it_says(path: Path, synchronous: Any, level: int) -> None:
    store = file.StoreFile(str(path), synchronous, None, secrets.token_bytes)
    writer = store._writer  # pyright: ignore[reportPrivateUsage]
    assert writer is not None
    for number in range(1, 3):
        assert writer.execute("PRAGMA synchronous").fetchone() == (level,)
        assert writer.execute("PRAGMA journal_size_limit").fetchone() == (file.LOG_BYTES,)
        store.commit(book.Change(number, entries=[(1, number, 0, 0, None, b"x")]))
    store.close()


SYNCED = """
import secrets, sys
from hawser.brokers.sqlite import book, file
store = file.StoreFile(sys.argv[1], sys.argv[2], None, secrets.token_bytes)
for number in range(1, 101):
    store.commit(book.Change(number, entries=[(1, number, 0, 0, None, b"x")]))
store.close()
"""


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("strace") is None, reason="there is no strace to count with")
@pytest.mark.parametrize(("synchronous", "least", "most"), [("normal", 2, 20), ("full", 100, 130)])
def test_a_hundred_commits_are_as_many_waits_for_the_disk_as_it_says(
    path: Path, synchronous: str, least: int, most: int
) -> None:
    calls = path.with_name("calls")
    traced = ["strace", "-f", "-e", "trace=fsync,fdatasync", "-o", str(calls)]
    ended = subprocess.run(
        [*traced, sys.executable, "-c", SYNCED, str(path), synchronous], capture_output=True, check=False
    )
    if b"ptrace" in ended.stderr:
        pytest.skip("this system lets nobody trace")
    assert ended.returncode == 0
    assert least <= len(re.findall(r"f(?:data)?sync\(\d+\) += 0", calls.read_text())) <= most


async def test_a_log_that_has_grown_is_cut_when_it_begins_anew(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(file, "LOG_BYTES", 100_000)
    log = path.with_name("store.db-wal")
    async with running(SqliteBroker(path)) as broker:
        await publish(broker, "c", bytes(6_000_000))  # more than the 1,000 pages from which on it is taken over
        grown = os.stat(log).st_size
        await publish(broker, "c", b"x")
        assert (grown > 6_000_000, os.stat(log).st_size <= 100_000) == (True, True)


# ---------------------------------------------------------------- what cannot be used


async def test_a_second_server_is_refused(path: Path) -> None:
    async with running(SqliteBroker(path)):
        error = await refusal(SqliteBroker(path))
        link = path.with_name("link.db")
        link.symlink_to(path)
        assert type(await refusal(SqliteBroker(link))) is StoreInUse
    assert type(error) is StoreInUse
    assert f"process {os.getpid()} has it already" in str(error)
    async with running(SqliteBroker(path)):
        pass


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ("", "that is a directory; name a file"),
        ("pipe", "that is no regular file; name another one"),
        ("no/such/store.db", "/no/such; make it first"),
    ],
)
async def test_a_place_where_no_file_can_be_is_named(tmp_path: Path, where: str, says: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    error = await refusal(SqliteBroker(tmp_path / where))
    assert type(error) is StoreUnwritable
    assert str(error).endswith(says)
    assert os.listdir(tmp_path) == ["pipe"]


LETTER = b"this is a letter\n" * 1_000


@pytest.fixture
def letter(path: Path) -> Path:
    path.write_bytes(LETTER)
    return path


async def test_what_is_no_database_is_left_as_it_is(letter: Path) -> None:
    error = await refusal(SqliteBroker(letter))
    assert type(error) is StoreDamaged
    assert "it is no database, or a damaged one; name another file" in str(error)
    with open(letter, "rb") as found:  # noqa: ASYNC230 - it is short
        assert found.read() == LETTER
    assert beside(letter) == ["store.db"]


async def test_a_database_of_something_else_is_left_as_it_is(path: Path) -> None:
    look(path, "CREATE TABLE letters (text)")
    error = await refusal(SqliteBroker(path))
    assert type(error) is StoreForeign
    assert str(error).endswith("it is a database of something else; name another file")
    assert look(path, "PRAGMA journal_mode") == [("delete",)]
    assert beside(path) == ["store.db"]


async def test_a_store_of_a_newer_hawser_is_left_to_it(path: Path) -> None:
    async with running(SqliteBroker(path)):
        pass
    assert look(path, "PRAGMA application_id") == [(APPLICATION_ID,)]
    look(path, f"PRAGMA user_version = {VERSION + 1}")
    error = await refusal(SqliteBroker(path))
    assert type(error) is StoreForeign
    assert str(error).endswith(
        f"its tables have version {VERSION + 1} and this Hawser knows {VERSION}; use a newer one"
    )


async def test_a_store_that_was_cut_short_is_refused(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        for _ in range(30):
            await publish(broker, "c", bytes(4_000))
    cut(path, by=0.5)
    error = await refusal(SqliteBroker(path))
    assert type(error) is StoreDamaged
    assert beside(path) == ["store.db", "store.db-lock"]  # by which a copy that is put in its place is known
    assert "put a copy in its place, or begin with another file" in str(error)


async def test_damage_that_shows_late_is_told_to_whoever_meets_it(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with running(SqliteBroker(path)) as broker:
        for _ in range(30):
            await publish(broker, "c", bytes(4_000))
        await publish(broker, "d", b"x")
    [(root,)] = look(path, "SELECT rootpage FROM sqlite_master WHERE name = 'entries'")
    spoil(path, (root - 1) * 4_096)
    async with running(SqliteBroker(path)) as broker:
        with pytest.raises(StoreDamaged):
            await past(broker, "c")
        for _ in range(2):
            with pytest.raises(StoreDamaged):
                await publish(broker, "c", b"x")
        assert (await past(broker, "c", 30)).entries == ()
    assert [record.levelno for record in caplog.records] == [logging.ERROR]
    assert "it is damaged; put a copy in its place" in caplog.text
    assert "whoever needs what is damaged is refused" in caplog.text


@pytest.fixture
async def partly_damaged(path: Path, tmp_path: Path) -> Path:
    """A store with 100 publications in each of two channels; some in the middle of the first one cannot be read."""
    async with running(SqliteBroker(path)) as broker:
        for channel in ("first", "second"):
            await publish(broker, channel, *[f"{channel} {number:03}".encode().ljust(300) for number in range(100)])
    spoil_page_of(path, b"first 050", b"first 051")
    return path


async def test_damage_is_that_of_whoever_needs_what_is_damaged(
    partly_damaged: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(SqliteBroker(partly_damaged)) as broker:
        for _ in range(2):
            with pytest.raises(StoreDamaged):
                await past(broker, "first", 45)
            assert len((await past(broker, "second", 45)).entries) == 55
            assert len(await publish(broker, "first", b"x")) == 1
    assert [record.levelno for record in caplog.records] == [logging.ERROR]  # and never "again": it does not pass


async def test_a_store_that_cannot_be_read_for_a_while_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(SqliteBroker(path)) as broker:
        await publish(broker, "c", b"1")
        look(path, "ALTER TABLE entries RENAME TO away")
        for _ in range(2):
            with pytest.raises(StoreError, match="no such table: entries"):
                await past(broker, "c")
            await broker.join("new", deaf)  # it can be written meanwhile
        look(path, "ALTER TABLE away RENAME TO entries")
        for _ in range(2):
            assert await texts(broker, "c") == [b"1"]
    error, info = caplog.records
    assert (error.levelno, info.levelno) == (logging.ERROR, logging.INFO)
    assert error.getMessage().endswith("history and letters are not given until it can be read again")
    assert info.getMessage() == f"store {path}: read again"


async def test_what_is_said_of_a_publication_may_be_damaged(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        await broker.publish("e", b"x", retention=ALL, about=About(publisher="ada"))
    look(path, "UPDATE entries SET about = x'ff'")
    async with running(SqliteBroker(path)) as broker:
        with pytest.raises(StoreDamaged, match="it is damaged; put a copy in its place"):
            await past(broker, "e")


async def test_a_full_store_refuses_and_goes_on_when_there_is_room(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with running(SqliteBroker(path, bytes_max=200_000, channels_max=2)) as broker:
        await publish(broker, "big", bytes(10))
        reports: list[int] = []
        await broker.join("c", lambda _channel, _epoch, entries: reports.extend(entry.offset for entry in entries))
        with pytest.raises(StoreFull, match="no room for more; make room on the disk, or raise file_bytes"):
            await publish(broker, "c", *[bytes(10_000)] * 30)
        stored = len(reports)
        assert stored > 5
        for _ in range(2):
            with pytest.raises(StoreFull):
                await publish(broker, "new", bytes(50_000))
        assert reports == list(range(1, stored + 1))
        assert (await past(broker, "big")).top.offset == 1  # it was to make room, and did not
        # Nothing is left of what was refused: no offset, no epoch, no publication.
        assert (await past(broker, "c")).top.offset == stored
        none = Retention()
        for number in range(70):  # which gives the room of the others back, but needs some itself
            assert await publish(broker, "c", b"", retention=none) == [stored + 1 + number]
        assert await publish(broker, "c", bytes(50_000)) == [stored + 71]
    said = [record.getMessage() for record in caplog.records]
    assert [("nothing is published" in line, "written again" in line) for line in said] == [(True, True), (False, True)]


async def test_a_store_that_another_program_has_locked_is_refused_for_now(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file, "BUSY_SECONDS", 0.01)
    async with running(SqliteBroker(path)) as broker:
        await publish(broker, "c", b"x")
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreInUse, match="another program has locked it"):
            await publish(broker, "c", b"x")
        other.execute("ROLLBACK")
        assert await publish(broker, "c", b"x") == [2]
        other.execute("BEGIN IMMEDIATE")
    # It is closed all the same.
    other.close()
    async with running(SqliteBroker(path)) as broker:
        assert broker.report is not None
        assert not broker.report.lost


async def test_what_waits_when_it_is_closed_is_told(path: Path) -> None:
    async with trio.open_nursery() as nursery:
        async with running(SqliteBroker(path)) as broker:

            async def ask() -> None:
                with pytest.raises(StoreClosed):
                    await publish(broker, "c", *[b"x"] * 100_000)

            for _ in range(5):
                nursery.start_soon(ask)
            await past(broker, "c")


async def test_a_fault_of_its_own_ends_it_and_leaves_nobody_waiting(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_lock: StoreLock, _mark: int) -> None:
        raise RuntimeError("a bug")

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="a bug"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            broker = SqliteBroker(path)
            await nursery.start(broker.run)
            monkeypatch.setattr(StoreLock, "write", fail)
            with trio.CancelScope(shield=True), pytest.raises(StoreClosed):
                await publish(broker, "c", b"x")
    monkeypatch.undo()
    async with running(
        SqliteBroker(path)
    ) as broker:  # it was committed, as whoever publishes it again under its key learns
        assert await texts(broker, "c") == [b"x"]


async def test_a_name_that_is_no_text_fails_for_whoever_said_it(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        for ask in (
            broker.publish("\ud800", b"x", retention=ALL),
            broker.publish_all([Submission("\ud800", b"x", ALL)]),
            broker.join("\ud800", deaf),
            past(broker, "\ud800"),
        ):
            with pytest.raises(UnicodeEncodeError):
                await ask
        assert await publish(broker, "c", b"x") == [1]


async def test_numbers_that_the_file_cannot_hold_mean_what_they_say(path: Path) -> None:
    async with running(SqliteBroker(path)) as broker:
        long = Retention(messages=2**70, bytes=2**70, seconds=1e300)
        await publish(broker, "c", b"x", b"y", retention=long)
        await publish(broker, "aging", b"x", b"y", retention=Retention(messages=9, seconds=60))
        for channel in ("c", "aging"):
            page = await broker.history(channel, 1, limit=2**70, limit_bytes=2**70, seconds=1e300)
            assert [entry.data for entry in page.entries] == [b"y"]
            assert (await broker.history(channel, 2**70, limit=9, limit_bytes=9)).entries == ()


def test_a_change_that_cannot_be_written_leaves_the_store_as_it_was(path: Path) -> None:
    store = file.StoreFile(str(path), "normal", None, secrets.token_bytes)
    with pytest.raises(OverflowError):
        store.commit(book.Change(1, entries=[(1, 1, 0, 0, None, b"x"), (1, 2**70, 0, 0, None, b"x")]))
    store.close()
    assert look(path, "SELECT count(*) FROM entries") == [(0,)]
    assert look(path, "SELECT unsynced FROM store") == [(None,)]


async def test_who_waits_for_room_may_be_cancelled_or_closed_out() -> None:
    queue = WriteQueue()
    outcomes: list[str] = []
    half = Submission("c", b"", ALL)

    async def ask(name: str, size: int, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await queue.ask(half, size)
                outcomes.append(f"{name} done")
            except StoreClosed:
                outcomes.append(f"{name} closed")
        if scope.cancelled_caught:
            outcomes.append(f"{name} cancelled")

    scopes = {name: trio.CancelScope() for name in "abcde"}
    async with trio.open_nursery() as nursery:
        for name, size in zip("abcde", (1, QUEUE_BYTES, 10, QUEUE_BYTES, 1), strict=True):
            nursery.start_soon(ask, name, size, scopes[name])
            await wait_all_tasks_blocked()
        scopes["a"].cancel()  # in the queue: it is passed over
        scopes["c"].cancel()  # it waits for room
        await wait_all_tasks_blocked()
        [waiting] = await queue.batch()
        assert waiting.size == QUEUE_BYTES
        waiting.answer(None)
        await wait_all_tasks_blocked()
        queue.close(StoreClosed("over"))
    assert sorted(outcomes) == ["a cancelled", "b done", "c cancelled", "d closed", "e closed"]


def test_a_sqlite_that_is_too_old_is_named(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 23, 1))
    with pytest.raises(StoreError, match=r"needs SQLite 3\.24 or newer"):
        file.StoreFile(str(path), "normal", None, secrets.token_bytes)
