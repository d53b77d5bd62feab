"""Files of stores that are not as they were written: what is damaged is refused or told, and nothing else changes."""

from __future__ import annotations

import enum
import random
import sqlite3
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import pytest
import trio

from hawser import App, connect
from hawser.brokers import History, Keeping, Letter, Posting, Retention
from hawser.brokers.sqlite import SqliteBroker, StoreDamaged, StoreForeign, book
from hawser.brokers.sqlite.schema import COLUMNS, VERSION, row_sum
from hawser.cli import main
from hawser_engine.codes import GapReason
from hawser_engine.messages import About
from tests.runtime.helpers import URL, collect, serving
from tests.runtime.test_mailboxes import mail_app
from tests.runtime.test_sqlite_broker import look, publish, refusal, running
from tests.runtime.test_sqlite_mailboxes import taken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

MINUTE: Final = 60.0
NOW: Final = 1_700_000_000.0
KINDS: Final = {
    "few": Retention(messages=20),
    "small": Retention(messages=1_000, bytes=1_500),
    "aging": Retention(messages=1_000, seconds=MINUTE),
    "latest": Retention(messages=8, latest=True),
}
"""Channels by what bounds them."""
BOX: Final = "user:ada"
KEEP: Final = Keeping()


@attrs.frozen
class Seen:
    """What a store gave of its channels and letters."""

    channels: dict[str, History]
    letters: tuple[Letter, ...]


def store_at(path: Path, now: float = NOW, seed: float = 0) -> SqliteBroker:
    return SqliteBroker(path, clock=lambda: now, random_bytes=random.Random(now + seed).randbytes)


async def fill(path: Path) -> Seen:
    """Make a store with something of everything, some of which is not kept any more; what it gives."""
    for now, numbers in ((NOW - 2 * MINUTE, range(70)), (NOW, range(70, 100))):
        async with running(store_at(path, now)) as broker:
            for number in numbers:
                for name, retention in KINDS.items():
                    about = About(publisher="ada", latest_key=str(number % 10))
                    text = f"{name} {number:03}".encode().ljust(30 + number)
                    await broker.publish(name, text, retention=retention, key=b"%d" % number, about=about)
            for number in numbers[::10]:
                await broker.mailboxes.post(
                    Posting(BOX, b"letter %02d" % number, KEEP, sender="bob", key=b"%d" % number)
                )
            await broker.mailboxes.post(Posting("user:bob", b"x", KEEP))
    async with running(store_at(path)) as broker:
        return Seen({name: await read(broker, name) for name in KINDS}, await read_letters(broker))


async def read(broker: SqliteBroker, channel: str, *, after: int = 0, limit: int = 1_000) -> History:
    return await broker.history(channel, after, limit=limit, limit_bytes=10**9)


async def read_letters(broker: SqliteBroker) -> tuple[Letter, ...]:
    return await broker.mailboxes.read(BOX, 0, limit=1_000, limit_bytes=10**9)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return (tmp_path / "store.db").resolve()


@pytest.fixture
async def whole(path: Path) -> Seen:
    """What a store gives before anything happens to it."""
    return await fill(path)


def change(path: Path, *statements: str) -> None:
    """Have somebody who knows SQLite, and nothing of sums, change a store that is closed."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("row_sum", -1, row_sum, deterministic=True)
        for statement in statements:
            connection.execute(statement)


# ---------------------------------------------------------------- rows that are not there


@pytest.mark.parametrize("which", ["first", "first + 1", "top - 1", "top"])
@pytest.mark.parametrize("kind", ["few", "small", "aging"])
async def test_publications_that_are_missing_are_told_and_are_no_hole(
    path: Path, whole: Seen, kind: str, which: str, caplog: pytest.LogCaptureFixture
) -> None:
    before = whole.channels[kind]
    offset = {"first": before.first, "top": before.top.offset}[which.split()[0]]
    offset += {"+ 1": 1, "- 1": -1}.get(which[-3:], 0)
    number = f"(SELECT id FROM channels WHERE name = '{kind}')"
    change(path, f"DELETE FROM entries WHERE channel = {number} AND offset = {offset}")
    async with running(store_at(path)) as broker:
        for _ in range(2):
            with pytest.raises(StoreDamaged):
                await read(broker, kind)
        for name in KINDS.keys() - {kind}:
            assert await read(broker, name) == whole.channels[name]
        assert await publish(broker, kind, b"x", retention=KINDS[kind]) == [before.top.offset + 1]
    [record] = caplog.records
    assert "missing); whoever needs what is damaged is refused" in record.getMessage()


@pytest.mark.parametrize("kind", ["few", "small", "aging"])
async def test_a_page_is_refused_for_what_is_missing_in_it_alone(path: Path, whole: Seen, kind: str) -> None:
    before = whole.channels[kind]
    middle = before.top.offset - 3
    change(
        path,
        f"DELETE FROM entries WHERE offset = {middle} AND channel = (SELECT id FROM channels WHERE name = '{kind}')",
    )
    async with running(store_at(path)) as broker:

        async def back(below: int, limit: int = 3) -> list[int]:
            page = await broker.history_before(kind, below, limit=limit, limit_bytes=10**9)
            return [entry.offset for entry in page.entries]

        assert [entry.offset for entry in (await read(broker, kind, after=middle)).entries] == [
            middle + 1, middle + 2, middle + 3,
        ]  # fmt: skip
        assert await back(middle + 4) == [middle + 1, middle + 2, middle + 3]
        assert await back(middle, 2) == [middle - 2, middle - 1]
        for page in (
            partial(read, broker, kind, after=middle - 1),
            partial(read, broker, kind, after=middle - 2, limit=1 + 1),
            partial(back, middle + 2),
            partial(back, middle + 1, 1),
        ):
            with pytest.raises(StoreDamaged):
                await page()


@pytest.mark.parametrize("kind", ["few", "small", "aging"])
async def test_a_channel_that_has_lost_all_of_it_is_refused(path: Path, whole: Seen, kind: str) -> None:
    assert whole.channels[kind].entries
    change(path, f"DELETE FROM entries WHERE channel = (SELECT id FROM channels WHERE name = '{kind}')")
    async with running(store_at(path)) as broker:
        with pytest.raises(StoreDamaged):
            await read(broker, kind)
        with pytest.raises(StoreDamaged):
            await broker.history_before(kind, 10**6, limit=9, limit_bytes=9)


async def test_what_is_too_old_or_asked_for_by_age_is_not_missing(path: Path, whole: Seen) -> None:
    async with running(store_at(path, NOW + MINUTE / 2)) as broker:
        for seconds, count in ((MINUTE / 3, 0), (MINUTE, 20)):
            page = await broker.history("few", 0, limit=100, limit_bytes=10**9, seconds=seconds)
            assert len(page.entries) == count
        await publish(broker, "few", b"1", b"2")
        page = await broker.history("few", 0, limit=100, limit_bytes=10**9, seconds=MINUTE / 3)
        assert [entry.data for entry in page.entries] == [b"1", b"2"]
    async with running(store_at(path, NOW + 2 * MINUTE)) as broker:
        assert (await read(broker, "aging")).entries == ()
    change(path, "DELETE FROM entries WHERE offset = 101")
    async with running(store_at(path, NOW + MINUTE / 2)) as broker:
        with pytest.raises(StoreDamaged):
            await broker.history("few", 0, limit=100, limit_bytes=10**9, seconds=MINUTE / 3)


async def test_a_channel_that_has_lost_some_of_its_latest_is_refused_with_its_store(path: Path, whole: Seen) -> None:
    [(number,)] = look(path, "SELECT id FROM channels WHERE latest")
    change(path, f"DELETE FROM entries WHERE channel = {number} AND offset = {whole.channels['latest'].first}")
    assert "channel 'latest' has 7 publications of 8" in str(await refused(path))


async def refused(path: Path) -> StoreDamaged:
    """Why a store is not opened."""
    error = await refusal(store_at(path))
    assert type(error) is StoreDamaged
    assert str(error).startswith(f"store {path}: it is damaged; put a copy in its place")
    return error


async def test_letters_that_are_missing_are_noticed_when_the_store_is_opened(path: Path, whole: Seen) -> None:
    change(path, "DELETE FROM letters WHERE offset IN (4, 5)")
    assert "mailbox 'user:ada' has 8 letters of 10" in str(await refused(path))


async def test_letters_that_only_an_index_knows_are_noticed_when_they_are_read(path: Path, whole: Seen) -> None:
    change(
        path,
        "UPDATE mailboxes SET bytes = bytes + 1 WHERE name = 'user:ada'",
        f"UPDATE mailboxes SET sum = row_sum({COLUMNS['mailboxes']})",
    )
    async with running(store_at(path)) as broker:
        assert await broker.mailboxes.read(BOX, 0, limit=3, limit_bytes=10**9) == whole.letters[:3]
        for _ in range(2):
            with pytest.raises(StoreDamaged, match="a mailbox has 10 letters of 10, and 90 bytes of 91"):
                await read_letters(broker)
        [other, _] = await broker.mailboxes.read("user:bob", 0, limit=9, limit_bytes=9)
        assert other.data == b"x"


async def test_what_was_deleted_as_too_old_is_not_missing_when_more_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book, "PRUNE_MESSAGES", 10)
    for now, retention in ((NOW, KINDS["aging"]), (NOW + 2 * MINUTE, KINDS["aging"]), (NOW, Retention(messages=1_000))):
        async with running(store_at(path, now)) as broker:
            await publish(broker, "c", *[b"x"] * 15, retention=retention)
    assert look(path, "SELECT min(offset) FROM entries") == [(16,)]
    async with running(store_at(path)) as broker:
        page = await read(broker, "c")
        assert (page.first, len(page.entries)) == (16, 30)


@pytest.mark.skipif(sqlite3.sqlite_version_info < (3, 35), reason="there is no DROP COLUMN to make an old store with")
async def test_what_an_earlier_version_has_deleted_is_not_missing(path: Path, whole: Seen) -> None:
    """Version 3 deleted what had become too old and noted it nowhere, nor how many the latest by key are."""
    change(
        path,
        *(f"ALTER TABLE {table} DROP COLUMN sum" for table in COLUMNS),
        "UPDATE channels SET low = 0 WHERE latest",
        "UPDATE channels SET first = 1 WHERE name = 'aging'",
        "DELETE FROM entries WHERE channel = (SELECT id FROM channels WHERE name = 'aging') AND offset <= 70",
        "PRAGMA user_version = 3",
    )
    for _ in range(2):
        async with running(store_at(path)) as broker:
            assert {name: await read(broker, name) for name in KINDS} == whole.channels
            assert await read_letters(broker) == whole.letters


async def test_publications_that_nobody_made_are_refused_and_never_given(path: Path, whole: Seen) -> None:
    few = "channel = (SELECT id FROM channels WHERE name = 'few')"
    columns = COLUMNS["entries"].replace("offset", "offset + 1")
    change(path, f"INSERT INTO entries SELECT {columns}, sum FROM entries WHERE {few} AND offset = 100")
    async with running(store_at(path)) as broker:
        with pytest.raises(StoreDamaged, match="UNIQUE constraint failed"):
            await publish(broker, "few", b"x")
        assert await read(broker, "few") == whole.channels["few"]


# ---------------------------------------------------------------- rows that are not what they were


@pytest.mark.parametrize(
    "changed",
    ["data = x'00'", "data = zeroblob(0)", "start = start + 1", "time = time + 1", "about = NULL", "data = 'text'"],
)
async def test_a_publication_that_was_changed_is_refused(path: Path, whole: Seen, changed: str) -> None:
    top = whole.channels["few"].top.offset
    few = "(SELECT id FROM channels WHERE name = 'few')"
    change(path, f"UPDATE entries SET {changed} WHERE offset = {top} AND channel = {few}")
    async with running(store_at(path)) as broker:
        with pytest.raises(StoreDamaged, match="a row of entries is not what was written"):
            await read(broker, "few")
        assert len((await broker.history_before("few", top, limit=5, limit_bytes=10**9)).entries) == 5


@pytest.mark.parametrize("changed", ["data = x'00'", "sender = 'eve'", "epoch = x'00'", "tries = 9", "time = 'now'"])
async def test_a_letter_that_was_changed_is_refused(path: Path, whole: Seen, changed: str) -> None:
    change(path, f"UPDATE letters SET {changed} WHERE offset = 3")
    async with running(store_at(path)) as broker:
        with pytest.raises(StoreDamaged, match="a row of letters is not what was written"):
            await read_letters(broker)
        with pytest.raises(StoreDamaged):
            await broker.mailboxes.read(BOX, 2, limit=1, limit_bytes=1)
        assert await broker.mailboxes.read(BOX, 3, limit=2, limit_bytes=10**9) == whole.letters[3:5]


@pytest.mark.parametrize(
    "changed",
    [
        "keys SET key = 'text'",
        "keys SET key = CAST(key AS TEXT)",
        "keys SET epoch = NULL",
        "keys SET offset = 'far'",
        "keys SET offset = offset + 1",
        "channels SET name = CAST(x'ff61' AS TEXT) WHERE name = 'few'",
        "channels SET name = 5 WHERE name = 'few'",
        "channels SET top = top - 1",
        "channels SET used = 'never'",
        "channels SET age = x'00'",
        "mailboxes SET letters = 1",
        "mailboxes SET name = CAST(x'ff' AS TEXT) WHERE name = 'user:bob'",
        "mailboxes SET bytes = NULL",
        "letters SET expires = CAST(x'ff' AS TEXT)",
        "entries SET time = NULL",
    ],
)
async def test_what_is_known_without_reading_is_looked_at_when_it_is_opened(
    path: Path, whole: Seen, changed: str
) -> None:
    assert whole.letters
    change(
        path,
        "PRAGMA writable_schema = ON",  # so that a NULL may be where none can be
        "UPDATE sqlite_master SET sql = replace(sql, ' NOT NULL', '')",
    )
    change(path, f"UPDATE {changed}")
    await refused(path)


@pytest.mark.parametrize("text", [b"CREATE TABLE keys", b"WITHOUT ROWID", b"CREATE TABLE mailboxes", b"CREATE INDEX"])
def test_a_damaged_schema_is_one_line(path: Path, text: bytes, capsys: pytest.CaptureFixture[str]) -> None:
    trio.run(fill, path)
    overwrite(path, path.read_bytes().index(text) + len(text) - 2, b"\xff")
    assert main(["serve", "--listen", "memory://nowhere", "--store", str(path)]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"hawser: store {path}: it is damaged; put a copy in its place")
    assert said.count("\n") == 1


async def test_tables_that_are_not_of_the_version_that_the_file_names_are_damaged(path: Path, whole: Seen) -> None:
    assert whole.letters
    change(path, f"PRAGMA user_version = {VERSION - 1}")
    assert "duplicate column name" in str(await refused(path))


@pytest.mark.parametrize("table", [*COLUMNS])
async def test_a_table_that_lacks_a_column_is_damaged(path: Path, whole: Seen, table: str) -> None:
    assert whole.letters
    change(
        path,
        "PRAGMA writable_schema = ON",
        f"UPDATE sqlite_master SET sql = replace(sql, 'sum INTEGER', 'sun INTEGER') WHERE name = '{table}'",
    )
    assert "no such column: sum" in str(await refused(path))


class Room(enum.StrEnum):
    """Names as some write them."""

    LOBBY = "room:lobby"


async def test_a_name_that_is_an_enumeration_is_that_of_the_same_text(path: Path) -> None:
    async with running(store_at(path)) as broker:
        await broker.publish(Room.LOBBY, b"x", retention=KINDS["few"], key=b"k")
    async with running(store_at(path)) as broker:
        assert [entry.data for entry in (await read(broker, "room:lobby")).entries] == [b"x"]


# ---------------------------------------------------------------- what its clients are told


async def test_a_subscriber_is_told_a_gap_where_publications_are_missing(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def make() -> App:
        app = App(broker=SqliteBroker(path))
        app.channel("*", history=1_000, open=True)
        return app

    async with serving(make()), connect(URL) as client:
        for number in range(99):
            await client.publish("room", number)
        last = await client.publish("room", 99)
    change(path, "DELETE FROM entries WHERE offset IN (51, 52)")
    since = attrs.evolve(last.position, offset=0)
    async with serving(make()), connect(URL) as client, client.subscribe("room", since=since) as messages:
        got: list[Any] = []
        while not isinstance(item := (await collect(messages, 1))[0], tuple):
            got.append(item)
        assert got == [*range(len(got))]
        assert 16 <= len(got) <= 50
        assert item == (len(got), 100, GapReason.HISTORY_TOO_SHORT)
        await client.publish("room", "new")
        assert await collect(messages, 1) == ["new"]
    [record] = caplog.records
    assert "of a channel some are missing" in record.getMessage()


async def test_whoever_holds_a_mailbox_with_a_spoiled_sender_is_told(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = mail_app(SqliteBroker(path))
    async with serving(app):
        for number in range(3):
            await app.post(BOX, number)
    change(path, "UPDATE letters SET sender = CAST(x'62ff62' AS TEXT) WHERE offset = 2")
    async with serving(mail_app(SqliteBroker(path))), connect(URL, token="ada") as ada, ada.mailbox() as mailbox:
        assert await taken(mailbox) <= 1
    [record] = caplog.records
    assert "it is damaged; put a copy in its place" in record.getMessage()


# ---------------------------------------------------------------- whatever it is


def overwrite(path: Path, where: int, data: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(where)
        file.write(data)


def copied(path: Path) -> bytes:
    """What is in the file of a closed store."""
    return path.read_bytes()


def damage(path: Path, data: bytes, dice: random.Random) -> None:
    """Do one of the things to what was in a file that disks and people do."""
    path.write_bytes(data)
    path.with_name("store.db-lock").unlink(missing_ok=True)  # by that the file would be an older copy of itself
    size = len(data)
    what, there = dice.randrange(6), dice.randrange(size)
    page, other = (dice.randrange(size // 4_096) * 4_096 for _ in range(2))
    if what <= 1:
        overwrite(path, there, bytes([data[there] ^ 1 << dice.randrange(8)]))
    elif what == 2:
        overwrite(path, there, dice.randbytes(min(dice.randrange(1, 200), size - there)))
    elif what == 3:
        overwrite(path, page, bytes(4_096))
    elif what == 4:
        overwrite(path, page, data[other : other + 4_096])
    else:
        overwrite(path, page + dice.randrange(12), dice.randbytes(1))  # what a page says of itself


def told(before: History, page: History, *, after: int, limit: int) -> bool:
    """Whether a page is that of a channel as it was."""
    entries = [entry for entry in before.entries if entry.offset > after][:limit]
    return page == attrs.evolve(before, entries=tuple(entries))


async def look_around(path: Path, whole: Seen, dice: random.Random) -> str:
    """Read everything of a store that may be damaged; what became of it."""
    try:
        async with running(store_at(path, seed=1)) as broker:
            assert broker.report is not None
            found = "whole"
            for name, before in whole.channels.items():
                again = await broker.publish(name, b"again", retention=KINDS[name], key=b"99")
                if not broker.report.lost and again.position.epoch == before.top.epoch:
                    assert (again.position, again.duplicate) == (before.top, True)
            for name, before in whole.channels.items():
                for after, limit in ((0, 1_000), (before.first + dice.randrange(30), dice.randrange(1, 30))):
                    try:
                        page = await read(broker, name, after=after, limit=limit)
                    except StoreDamaged:
                        found = "told"
                    else:
                        if broker.report.lost or page.top.epoch != before.top.epoch:
                            found = "told"
                            continue
                        assert told(before, page, after=after, limit=limit), (name, after, limit, page)
            try:
                assert await read_letters(broker) == whole.letters
            except StoreDamaged:
                found = "told"
            asks: list[Callable[[], Awaitable[object]]] = [
                partial(broker.mailboxes.post, Posting(BOX, b"more", KEEP)),
                *(partial(publish, broker, name, b"more", retention=kind) for name, kind in KINDS.items()),
            ]
            for ask in asks:
                try:
                    await ask()
                except StoreDamaged:
                    found = "told"
            return found
    except BaseExceptionGroup as errors:
        kinds = (StoreDamaged, StoreForeign)
        matched, rest = errors.split(kinds)
        if rest is not None or matched is None:
            raise
    return "refused"


@pytest.mark.slow
async def test_whatever_is_damaged_is_told_and_the_rest_is_as_it_was(path: Path, whole: Seen) -> None:
    image = copied(path)
    found: list[str] = []
    for seed in range(60):
        dice = random.Random(seed)
        damage(path, image, dice)
        try:
            found.append(await look_around(path, whole, dice))
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
    assert set(found) == {"whole", "told", "refused"}
