"""The file of a store: opened with care, written by one connection, read by another. For threads; nothing waits here.

What a commit survives is up to ``synchronous``. NORMAL writes it to the log: ``kill -9`` loses nothing, and a power cut
what the system has not written yet. FULL syncs the log with every commit. A store that has lost commits says so when it
is opened, and gives every channel a new epoch, for numbers that were seen must not be given again.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from hawser_engine.channels.entries import Entry, History
from hawser_engine.messages import decode_about

from .book import Contents
from .errors import Spoiled, StoreError, StoreForeign, StoreUnwritable, explained
from .letters import carry_out, check_letters, read_letters
from .lock import StoreLock, this_boot
from .schema import (
    APPLICATION_ID,
    BOXES,
    COLUMNS,
    ENTRIES,
    HEADS,
    KEYS,
    LETTERS,
    SQLITE_MIN,
    STEPS,
    VERSION,
    delete_entries,
    delete_keys,
    row_sum,
    select,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser.brokers.mailboxes import Letter
    from hawser_engine.messages import Position

    from .book import Change, Head, HeadRow, Kept, KeptRow

Synchronous: TypeAlias = Literal["normal", "full"]

BUSY_SECONDS: Final = 5.0
"""How long a commit waits for another program that has locked the file, such as one that copies it."""
LOG_BYTES: Final = 16 * 1_048_576
"""The log is cut to this when it begins anew."""
PRUNE_ROWS: Final = 4_096
"""Publications that are deleted from the file at once."""


@attrs.frozen
class Stretch:
    """What to read of a channel."""

    kept: Kept
    top: Position
    """Nothing behind this: it is not reported yet."""
    lowest: int
    """Nothing below this offset …"""
    highest: int
    """… or above this one."""
    since: int
    """Nothing from before this time."""
    limit: int
    limit_bytes: int
    newest: bool = False
    """Whether what is above the limits is the oldest, not the newest."""


class StoreFile:
    """An open store.

    Args:
        path: Where it is, or will be.
        synchronous: What a commit survives.
        bytes_max: The file grows no further; None: as far as the disk has room.
        random_bytes: Where new epochs come from, should commits be lost.

    Raises:
        StoreError: It cannot be used; the kind and the text say why.
    """

    def __init__(
        self, path: str, synchronous: Synchronous, bytes_max: int | None, random_bytes: Callable[[int], bytes]
    ) -> None:
        self.path: str = os.path.realpath(path)  # as SQLite does, so that a link and its target have one log
        self.lost: bool = False
        """Whether commits of an earlier run are lost."""
        if sqlite3.sqlite_version_info < SQLITE_MIN or not sqlite3.threadsafety:
            raise StoreError(f"store {path}: needs SQLite 3.24 or newer with threads, not {sqlite3.sqlite_version}")
        if os.path.isdir(self.path):
            raise StoreUnwritable(f"store {path}: that is a directory; name a file")
        if os.path.exists(self.path) and not os.path.isfile(self.path):
            raise StoreUnwritable(f"store {path}: that is no regular file; name another one")
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise StoreUnwritable(f"store {path}: there is no directory {folder}; make it first")
        self._lock = StoreLock(self.path)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        self._whole: set[int] = set()  # mailboxes of which it is known that nothing is missing
        try:
            with explained(self.path, opening=True):
                self._writer = self._connect(f"{Path(self.path).as_uri()}?mode=rwc")
                self.contents: Contents = self._prepare(self._writer, synchronous, bytes_max, random_bytes)
                self._reader = self._connect(f"{Path(self.path).as_uri()}?mode=ro")
        except BaseException:
            self._release(refused=True)
            raise

    # ------------------------------------------------------------ opening

    def _connect(self, uri: str) -> sqlite3.Connection:
        connection = sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS, cached_statements=64
        )
        connection.text_factory = bytes.decode  # Python's own takes a text that is none for an error that passes
        connection.create_function("row_sum", -1, row_sum, deterministic=True)
        return connection

    def _prepare(
        self,
        writer: sqlite3.Connection,
        synchronous: Synchronous,
        bytes_max: int | None,
        random_bytes: Callable[[int], bytes],
    ) -> Contents:
        (application,) = writer.execute("PRAGMA application_id").fetchone()
        (version,) = writer.execute("PRAGMA user_version").fetchone()
        (tables,) = writer.execute("SELECT count(*) FROM sqlite_master").fetchone()
        new = not (application or version or tables)
        if not new and application != APPLICATION_ID:
            raise StoreForeign(f"store {self.path}: it is a database of something else; name another file")
        if version > VERSION:
            raise StoreForeign(
                f"store {self.path}: its tables have version {version} and this Hawser knows {VERSION}; use a newer one"
            )
        (mode,) = writer.execute("PRAGMA journal_mode = WAL").fetchone()
        if mode != "wal":
            raise StoreUnwritable(f"store {self.path}: this file system lets it keep no log; use a local one")
        # Whatever is written while it is opened and closed is synced: the marks of what may not be have to be there.
        writer.execute("PRAGMA synchronous = FULL")
        writer.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
        (page_bytes,) = writer.execute("PRAGMA page_size").fetchone()
        if bytes_max is not None:
            writer.execute(f"PRAGMA max_page_count = {max(1, bytes_max // page_bytes)}")
        writer.execute("BEGIN IMMEDIATE")
        for step in STEPS[version:]:
            for statement in step:
                writer.execute(statement)
        if version < VERSION:
            writer.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            writer.execute(f"PRAGMA user_version = {VERSION}")
        contents = self._note_losses(writer, self._load(writer), synchronous, random_bytes, new)
        writer.execute("COMMIT")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that a file without its log knows what it is
        self._lock.write(contents.commits)
        if synchronous == "normal":
            writer.execute("PRAGMA synchronous = NORMAL")
        return contents

    def _note_losses(
        self,
        writer: sqlite3.Connection,
        contents: Contents,
        synchronous: Synchronous,
        random_bytes: Callable[[int], bytes],
        new: bool,
    ) -> Contents:
        """Find out whether commits are lost, and note how the coming ones may be; what is there after that."""
        (unsynced,) = writer.execute("SELECT unsynced FROM store").fetchone() or ("who knows when",)
        boot = this_boot() or token_hex(16)  # each time another, so not from a source that may begin again
        self.lost = not new and (unsynced not in (None, boot) or contents.commits < self._lock.mark)
        if self.lost:
            heads = [(*row[:2], random_bytes(8), *row[3:]) for row in contents.heads]
            boxes = [((*row[:2], random_bytes(8), *row[3:]), due) for row, due in contents.boxes]
            HEADS.run(writer, heads)
            BOXES.run(writer, [row for row, _ in boxes])
            contents = attrs.evolve(contents, heads=heads, boxes=boxes)
        writer.execute("REPLACE INTO store VALUES (1, ?)", (boot if synchronous == "normal" else None,))
        return contents

    def _load(self, writer: sqlite3.Connection) -> Contents:
        """What is known without reading from now on. Whatever is damaged of it is found here, or never."""
        for table in ("channels", "keys", "mailboxes"):  # before 3.33 SQLite looks at all of them each time
            [(found,)] = writer.execute(f"PRAGMA quick_check({table})").fetchmany(1)
            if found != "ok":
                raise Spoiled(found)
        for table in ("entries", "letters"):  # they are read later: what names their columns may be damaged
            writer.execute(f"SELECT {COLUMNS[table]}, sum FROM {table} LIMIT 0")
        heads = [*select(writer, "channels", "ORDER BY used, id")]
        keys = [*select(writer, "keys", "ORDER BY id")]
        boxes = [*select(writer, "mailboxes", "ORDER BY used, id")]
        dues: dict[int, int | None] = {}
        for box in boxes:  # of the index alone: all letters together are a lot
            there, dues[box[0]] = writer.execute(
                "SELECT count(*), min(expires) FROM letters WHERE mailbox = ?", (box[0],)
            ).fetchone()
            if there != box[4]:
                raise Spoiled(f"mailbox {box[1]!r} has {there} letters of {box[4]}")
        kept = [row for head in heads if head[-1] for row in _latest(writer, head)]
        commits = max((*(head[9] for head in heads), *(box[6] for box in boxes)), default=0)
        return Contents(commits, heads, keys, [(box, dues[box[0]]) for box in boxes], kept)

    # ------------------------------------------------------------ writing

    def commit(self, change: Change) -> None:
        """Write a change, wholly or not at all; when this returns it survives what ``synchronous`` says.

        Raises:
            StoreError: It is not written.
        """
        writer = self._writer
        assert writer is not None
        with explained(self.path):
            try:
                writer.execute("BEGIN IMMEDIATE")
                for head in change.removed.values():
                    writer.execute("DELETE FROM entries WHERE channel = ?", (head.id,))
                    writer.execute("DELETE FROM channels WHERE id = ?", (head.id,))
                for box in change.emptied.values():
                    writer.execute("DELETE FROM mailboxes WHERE id = ?", (box.id,))
                LETTERS.run(writer, change.letters)
                for work in change.works:
                    carry_out(writer, change, work)
                BOXES.run(writer, [box.row() for box in change.boxes.values()])
                ENTRIES.run(writer, change.entries)
                for channel, offsets in change.gone.items():
                    delete_entries(writer, channel, offsets)
                HEADS.run(writer, [head.row() for head in change.heads.values()])
                KEYS.run(writer, [*change.keys.values()])
                if change.forgotten is not None:
                    writer.execute("DELETE FROM keys WHERE id <= ?", (change.forgotten,))
                delete_keys(writer, change.dropped)
                for head in change.prunes:
                    _prune(writer, head, change.date)
                HEADS.run(writer, [head.row() for head in change.prunes])
                writer.execute("COMMIT")
            except BaseException:
                with suppress(sqlite3.Error):  # what is full or broken has often rolled back by itself
                    writer.execute("ROLLBACK")
                raise
        self._whole.difference_update(box.id for box in change.emptied.values())
        self._lock.write(change.number)

    # ------------------------------------------------------------ reading

    def read(self, stretch: Stretch) -> History:
        """Read a stretch of a channel's past. One caller at a time.

        Raises:
            StoreError: It cannot be read.
        """
        reader = self._reader
        assert reader is not None
        with explained(self.path):
            reader.execute("BEGIN")  # all that is read sees the same commits
            try:
                return _read(reader, stretch)
            finally:
                reader.execute("ROLLBACK")

    def read_letters(self, mailbox: int, after: int, date: int, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        """Read letters of a mailbox. One caller at a time.

        Raises:
            StoreError: They cannot be read.
        """
        reader = self._reader
        assert reader is not None
        with explained(self.path):
            letters, short = read_letters(reader, mailbox, after, date, limit, limit_bytes)
            if short and mailbox not in self._whole:  # once: what is missing was missing when the store was opened
                check_letters(reader, mailbox)
                self._whole.add(mailbox)
        return letters

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Close it in peace: everything is in the one file, and synced.

        Raises:
            StoreError: That could not be done. It is closed, and nothing is lost that would not be by ``kill -9``.
        """
        writer = self._writer
        assert writer is not None
        try:
            with explained(self.path):
                writer.execute("PRAGMA synchronous = FULL")
                writer.execute("UPDATE store SET unsynced = NULL")
        finally:
            self._release()

    def _release(self, *, refused: bool = False) -> None:
        for connection in (self._reader, self._writer):  # the last one writes the log into the file, and removes it
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        if refused:
            self._lock.discard()
        else:
            self._lock.release()


def _read(reader: sqlite3.Connection, stretch: Stretch) -> History:
    top, kept = stretch.top, stretch.kept
    first = _first_latest(reader, kept) if kept.latest else _first_whole(reader, kept)
    if first is None or first > top.offset:
        return History(top, top.offset + 1, ())
    lowest, highest = max(first, stretch.lowest), min(top.offset, stretch.highest)
    entries: list[Entry] = []
    size, cut = 0, False
    for row in select(
        reader,
        "entries",
        "WHERE channel = ? AND offset BETWEEN ? AND ? AND time >= ?"
        f" ORDER BY offset {'DESC' if stretch.newest else 'ASC'} LIMIT ?",
        kept.channel, lowest, highest, stretch.since, stretch.limit,
    ):  # fmt: skip
        _, offset, _, time, about, data = row
        size += len(data)
        if entries and size > stretch.limit_bytes:
            cut = True
            break
        entries.append(Entry(offset, data, time, None if about is None else decode_about(about)))
    if stretch.newest:
        entries.reverse()
    if stretch.limit and not kept.latest:
        cut = cut or len(entries) == stretch.limit
        begin, end = (entries[0].offset, entries[-1].offset) if entries else (highest + 1, highest)
        if stretch.newest:
            lowest = begin if cut else lowest
        else:
            highest = end if cut else highest
            if begin > lowest and _is_older(reader, kept.channel, begin - 1, stretch.since):
                lowest = begin
        _check_rows(entries, lowest, highest)
    elif any(before.offset >= entry.offset for before, entry in pairwise(entries)):
        raise Spoiled("the publications of a channel are not in their order")
    return History(top, first, tuple(entries))


def _check_rows(entries: Sequence[Entry], lowest: int, highest: int) -> None:
    """Refuse a page of a channel that keeps everything in which something is missing."""
    expected = range(lowest, highest + 1)
    if len(entries) != len(expected) or any(entry.offset != n for entry, n in zip(entries, expected, strict=True)):
        raise Spoiled(f"of the publications {lowest} to {highest} of a channel some are missing")


def _first_kept(connection: sqlite3.Connection, kept: Kept) -> tuple[int | None, bool]:
    """From where on a channel is kept, or None; and whether that is sure, as what is before is there or need not be."""
    row = connection.execute(
        "SELECT channel, offset, offset = ? OR (SELECT sum = row_sum(channel, offset, start, time, about, data)"
        " FROM entries WHERE channel = found.channel AND offset = found.offset - 1)"
        " FROM entries AS found WHERE channel = ? AND offset >= ? AND start >= ? AND time >= ?"
        " ORDER BY offset LIMIT 1",
        (kept.first, kept.channel, kept.first, kept.low, kept.since),
    ).fetchone()
    if row is None:
        return None, False
    channel, offset, sure = row
    if channel != kept.channel or offset < kept.first:  # a page in the place of another one
        raise Spoiled("a row of entries is not where it belongs")
    return offset, bool(sure)


def _first_whole(reader: sqlite3.Connection, kept: Kept) -> int | None:
    """From where on nothing is missing of a channel, or None; passes over what is not kept and not yet deleted."""
    first, sure = _first_kept(reader, kept)
    if not sure:
        # A commit that nobody was told of yet may have deleted what was before, or removed the channel.
        for head in select(reader, "channels", "WHERE id = ?", kept.channel):
            top, begin, time, latest = head[3], head[5], head[8], head[10]
            missing = begin <= top and time >= kept.since if first is None else begin < first
            if missing and not latest:
                raise Spoiled(f"the first publications of channel {head[1]!r} are missing")
    return first


def _is_older(reader: sqlite3.Connection, channel: int, offset: int, since: int) -> bool:
    """Whether a publication is there, and from before a time."""
    return any(row[3] < since for row in select(reader, "entries", "WHERE channel = ? AND offset = ?", channel, offset))


def _first_latest(connection: sqlite3.Connection, kept: Kept) -> int:
    """Where the latest by key is kept: behind what was lost, as of the commit that is read, and what is too old."""
    row = connection.execute(
        "SELECT max(first, coalesce((SELECT max(offset) FROM entries WHERE channel = ? AND time < ?), 0) + 1)"
        " FROM channels WHERE id = ?",
        (kept.channel, kept.since, kept.channel),
    ).fetchone()
    return kept.first if row is None else int(row[0])


def _latest(writer: sqlite3.Connection, head: HeadRow) -> list[KeptRow]:
    """What is kept of a channel that keeps the latest by key."""
    name, first, count = head[1], head[5], head[6]
    rows = [
        (name, offset, None if about is None else decode_about(about).latest_key, len(data), time)
        for _, offset, _, time, about, data in select(
            writer, "entries", "WHERE channel = ? AND offset >= ? ORDER BY offset", head[0], first
        )
    ]
    if len(rows) != count or any(row[1] >= later[1] for row, later in pairwise(rows)):
        raise Spoiled(f"channel {name!r} has {len(rows)} publications of {count}")
    return rows


def _prune(writer: sqlite3.Connection, head: Head, date: int) -> None:
    """Delete what is not kept of a channel, a bounded number at once, and nothing from its first on."""
    (lowest,) = writer.execute("SELECT min(offset) FROM entries WHERE channel = ?", (head.id,)).fetchone()
    if lowest is None:
        return
    kept, bound = head.kept(date), lowest + PRUNE_ROWS
    first = _first_latest(writer, kept) if kept.latest else _first_kept(writer, kept)[0]
    bound = bound if first is None else min(first, bound)
    writer.execute("DELETE FROM entries WHERE channel = ? AND offset < ?", (head.id, bound))
    if not kept.latest:
        head.first = max(head.first, min(bound, head.top + 1))
