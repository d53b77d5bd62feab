"""The file of a store: opened with care, written by one connection, read by another. For threads; nothing waits here.

What a commit survives is up to ``synchronous``. NORMAL writes it to the log: ``kill -9`` loses nothing, and a power cut
what the system has not written yet. FULL syncs the log with every commit. A store that has lost commits says so when it
is opened, and gives every channel a new epoch, for numbers that were seen must not be given again.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

import attrs

from hawser_engine.channels.entries import Entry, History
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.messages import decode_about

from .book import Contents
from .errors import StoreDamaged, StoreError, StoreForeign, StoreUnwritable, store_error
from .letters import carry_out, read_letters
from .lock import StoreLock, this_boot
from .schema import (
    APPLICATION_ID,
    BOXES,
    ENTRIES,
    HEADS,
    KEYS,
    LETTERS,
    SQLITE_MIN,
    STEPS,
    VERSION,
    delete_entries,
    delete_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.brokers.mailboxes import Letter
    from hawser_engine.messages import Position

    from .book import Change, Kept, KeptRow

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
        self._lock = StoreLock(self.path)
        self._writer: sqlite3.Connection | None = None
        self._reader: sqlite3.Connection | None = None
        try:
            self._writer = self._connect(f"{Path(self.path).as_uri()}?mode=rwc")
            self._prepare(self._writer, synchronous, bytes_max, random_bytes)
            self._reader = self._connect(f"{Path(self.path).as_uri()}?mode=ro")
            self.contents: Contents = self._load(self._writer)
        except sqlite3.Error as error:
            self._release()
            raise store_error(self.path, error) from None
        except RemoteProtocolError as error:
            self._release()
            raise self._damaged(error) from None
        except BaseException:
            self._release()
            raise

    # ------------------------------------------------------------ opening

    def _connect(self, uri: str) -> sqlite3.Connection:
        return sqlite3.connect(
            uri, uri=True, isolation_level=None, check_same_thread=False, timeout=BUSY_SECONDS, cached_statements=64
        )

    def _prepare(
        self,
        writer: sqlite3.Connection,
        synchronous: Synchronous,
        bytes_max: int | None,
        random_bytes: Callable[[int], bytes],
    ) -> None:
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
        commits = self._note_losses(writer, synchronous, random_bytes, new)
        writer.execute("COMMIT")
        writer.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so that a file without its log knows what it is
        self._lock.write(commits)
        if synchronous == "normal":
            writer.execute("PRAGMA synchronous = NORMAL")

    def _note_losses(
        self, writer: sqlite3.Connection, synchronous: Synchronous, random_bytes: Callable[[int], bytes], new: bool
    ) -> int:
        """Find out whether commits are lost, and note how the coming ones may be; the number of the last one."""
        (unsynced,) = writer.execute("SELECT max(unsynced) FROM store").fetchone()
        (commits,) = writer.execute(
            "SELECT coalesce(max(used), 0) FROM (SELECT used FROM channels UNION ALL SELECT used FROM mailboxes)"
        ).fetchone()
        boot = this_boot() or token_hex(16)  # each time another, so not from a source that may begin again
        self.lost = not new and (unsynced not in (None, boot) or commits < self._lock.mark)
        if self.lost:
            writer.create_function("draw", 1, random_bytes)
            writer.execute("UPDATE channels SET epoch = draw(8)")
            writer.execute("UPDATE mailboxes SET epoch = draw(8)")
        writer.execute("UPDATE store SET unsynced = ?", (boot if synchronous == "normal" else None,))
        return int(commits)

    def _load(self, writer: sqlite3.Connection) -> Contents:
        heads = writer.execute(
            "SELECT id, name, epoch, top, total, first, low, age, time, used, latest FROM channels ORDER BY used, id"
        )
        keys = writer.execute("SELECT id, channel, key, epoch, offset, expires FROM keys ORDER BY id")
        boxes = writer.execute(
            "SELECT id, name, epoch, top, letters, bytes, used,"
            " (SELECT min(expires) FROM letters WHERE mailbox = mailboxes.id) FROM mailboxes ORDER BY used, id"
        )
        mail = [(row[:-1], row[-1]) for row in boxes.fetchall()]
        kept = writer.execute(  # CROSS JOIN: nothing is read of the publications of other channels
            "SELECT name, offset, about, length(data), entries.time"
            " FROM channels CROSS JOIN entries ON channel = channels.id"
            " WHERE latest = 1 AND offset >= first ORDER BY channel, offset"
        )
        latest = [_with_key(row) for row in kept]
        return Contents(self._lock.mark, heads.fetchall(), keys.fetchall(), mail, latest)

    # ------------------------------------------------------------ writing

    def commit(self, change: Change) -> None:
        """Write a change, wholly or not at all; when this returns it survives what ``synchronous`` says.

        Raises:
            StoreError: It is not written.
        """
        writer = self._writer
        assert writer is not None
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
            for kept in change.prunes:
                _prune(writer, kept)
            writer.execute("COMMIT")
        except BaseException as error:
            with suppress(sqlite3.Error):  # what is full or broken has often rolled back by itself
                writer.execute("ROLLBACK")
            if isinstance(error, sqlite3.Error):
                raise store_error(self.path, error) from None
            raise
        self._lock.write(change.number)

    # ------------------------------------------------------------ reading

    def read(self, stretch: Stretch) -> History:
        """Read a stretch of a channel's past. One caller at a time.

        Raises:
            StoreError: It cannot be read.
        """
        reader = self._reader
        assert reader is not None
        try:
            reader.execute("BEGIN")  # both reads see the same commits
            try:
                return _read(reader, stretch)
            finally:
                reader.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise store_error(self.path, error) from None
        except RemoteProtocolError as error:
            raise self._damaged(error) from None

    def _damaged(self, error: RemoteProtocolError) -> StoreDamaged:
        return StoreDamaged(f"store {self.path}: it is damaged: {error}")

    def read_letters(self, mailbox: int, after: int, date: int, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        """Read letters of a mailbox. One caller at a time.

        Raises:
            StoreError: They cannot be read.
        """
        reader = self._reader
        assert reader is not None
        try:
            return read_letters(reader, mailbox, after, date, limit, limit_bytes)
        except sqlite3.Error as error:
            raise store_error(self.path, error) from None

    # ------------------------------------------------------------ closing

    def close(self) -> None:
        """Close it in peace: everything is in the one file, and synced.

        Raises:
            StoreError: That could not be done. It is closed, and nothing is lost that would not be by ``kill -9``.
        """
        writer = self._writer
        assert writer is not None
        try:
            writer.execute("PRAGMA synchronous = FULL")
            writer.execute("UPDATE store SET unsynced = NULL")
        except sqlite3.Error as error:
            raise store_error(self.path, error) from None
        finally:
            self._release()

    def _release(self) -> None:
        for connection in (self._reader, self._writer):  # the last one writes the log into the file, and removes it
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()
        self._lock.release()


def _read(reader: sqlite3.Connection, stretch: Stretch) -> History:
    top, kept = stretch.top, stretch.kept
    first = _first_kept(reader, kept)
    if first is None or first > top.offset:
        return History(top, top.offset + 1, ())
    direction = "DESC" if stretch.newest else "ASC"
    rows = reader.execute(
        "SELECT offset, data, time, about FROM entries WHERE channel = ? AND offset BETWEEN ? AND ? AND time >= ?"
        f" ORDER BY offset {direction} LIMIT ?",
        (kept.channel, max(first, stretch.lowest), min(top.offset, stretch.highest), stretch.since, stretch.limit),
    )
    entries: list[Entry] = []
    size = 0
    for offset, data, time, about in rows:
        size += len(data)
        if entries and size > stretch.limit_bytes:
            break
        entries.append(Entry(offset, data, time, None if about is None else decode_about(about)))
    rows.close()
    return History(top, first, tuple(reversed(entries) if stretch.newest else entries))


def _first_kept(connection: sqlite3.Connection, kept: Kept) -> int | None:
    """From where on nothing is missing of a channel, or None; passes over what is not kept and not yet deleted."""
    if kept.latest:
        return _first_latest(connection, kept)
    row = connection.execute(
        "SELECT offset FROM entries WHERE channel = ? AND offset >= ? AND start >= ? AND time >= ?"
        " ORDER BY offset LIMIT 1",
        (kept.channel, kept.first, kept.low, kept.since),
    ).fetchone()
    return None if row is None else int(row[0])


def _first_latest(connection: sqlite3.Connection, kept: Kept) -> int:
    """Where the latest by key is kept: behind what was lost, as of the commit that is read, and what is too old."""
    row = connection.execute(
        "SELECT max(first, coalesce((SELECT max(offset) FROM entries WHERE channel = ? AND time < ?), 0) + 1)"
        " FROM channels WHERE id = ?",
        (kept.channel, kept.since, kept.channel),
    ).fetchone()
    return kept.first if row is None else int(row[0])


def _with_key(row: tuple[str, int, bytes | None, int, int]) -> KeptRow:
    name, offset, about, size, time = row
    return name, offset, None if about is None else decode_about(about).latest_key, size, time


def _prune(writer: sqlite3.Connection, kept: Kept) -> None:
    """Delete what is not kept of a channel, a bounded number at once."""
    (lowest,) = writer.execute("SELECT min(offset) FROM entries WHERE channel = ?", (kept.channel,)).fetchone()
    if lowest is None:
        return
    first, bound = _first_kept(writer, kept), lowest + PRUNE_ROWS
    bound = bound if first is None else min(first, bound)
    writer.execute("DELETE FROM entries WHERE channel = ? AND offset < ?", (kept.channel, bound))
