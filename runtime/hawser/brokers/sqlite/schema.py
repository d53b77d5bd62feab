"""How a store looks inside: tables, their version, and statements that write many rows at once.

A statement holds Python's lock only while it begins and ends, so many rows in one statement take their turns beside a
busy event loop once, not once a row.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any, Final

import attrs

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

APPLICATION_ID: Final = 0x48415753
"""Says in the header of a file that it is a store of Hawser: HAWS in ASCII."""
VERSION: Final = 3
"""Of the tables, as ``PRAGMA user_version``: 1 had no mailboxes, 2 no channels that keep the latest by key."""

SQLITE_MIN: Final = (3, 24, 0)
"""The first with INSERT … ON CONFLICT … DO UPDATE, of 2018."""

CHANNELS: Final = (
    # One row: the boot during which commits are written that the disk may not have yet; null if it has all of them.
    "CREATE TABLE store (id INTEGER PRIMARY KEY CHECK (id = 1), unsynced TEXT)",
    # Every publication of a channel continues its bytes: it begins at `start` of all of them, and `total` counts all.
    "CREATE TABLE channels (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch BLOB NOT NULL,"
    " top INTEGER NOT NULL, total INTEGER NOT NULL, first INTEGER NOT NULL, low INTEGER NOT NULL, age INTEGER,"
    " time INTEGER NOT NULL, used INTEGER NOT NULL)",
    # `time` in ms since 1970; `about` in CBOR, as in a PUBLICATION.
    "CREATE TABLE entries (channel INTEGER NOT NULL, offset INTEGER NOT NULL, start INTEGER NOT NULL,"
    " time INTEGER NOT NULL, about BLOB, data BLOB NOT NULL, PRIMARY KEY (channel, offset)) WITHOUT ROWID",
    # By name and epoch, for a key outlives its channel. The key of a letter has the name of its mailbox, as a blob.
    "CREATE TABLE keys (id INTEGER PRIMARY KEY, channel TEXT NOT NULL, key BLOB NOT NULL, epoch BLOB NOT NULL,"
    " offset INTEGER NOT NULL, expires INTEGER NOT NULL)",
    "INSERT INTO store VALUES (1, NULL)",
)

MAILBOXES: Final = (
    "CREATE TABLE mailboxes (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, epoch BLOB NOT NULL,"
    " top INTEGER NOT NULL, letters INTEGER NOT NULL, bytes INTEGER NOT NULL, used INTEGER NOT NULL)",
    # Each has its own epoch: it keeps its place where its mailbox goes on under another one. Times in ms since 1970.
    "CREATE TABLE letters (mailbox INTEGER NOT NULL, offset INTEGER NOT NULL, epoch BLOB NOT NULL, sender TEXT,"
    " time INTEGER NOT NULL, tries INTEGER NOT NULL, expires INTEGER, data BLOB NOT NULL,"
    " PRIMARY KEY (mailbox, offset)) WITHOUT ROWID",
    "CREATE INDEX expiries ON letters (mailbox, expires)",
)

LATEST: Final = (
    # `latest` is 1 where only the latest by key is kept: then `entries` has nothing else from `first` on.
    "ALTER TABLE channels ADD COLUMN latest INTEGER NOT NULL DEFAULT 0",
)

STEPS: Final = (CHANNELS, MAILBOXES, LATEST)
"""What makes tables of each version of those before it."""

_ROWS_MAX: Final = 64
"""In one statement: with eleven columns, fewer variables than the 999 that every SQLite takes."""


@attrs.frozen
class Insert:
    """A statement that writes rows of so many columns."""

    into: str
    columns: int
    conflict: str = ""

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write the rows, in statements of powers of two, so that few of them have to be prepared and kept."""
        begin = 0
        while begin < len(rows):
            count = min(_ROWS_MAX, 1 << ((len(rows) - begin).bit_length() - 1))
            row = f"({','.join('?' * self.columns)})"
            values = list(chain.from_iterable(rows[begin : begin + count]))
            connection.execute(f"INSERT INTO {self.into} VALUES {','.join([row] * count)}{self.conflict}", values)
            begin += count


HEADS: Final = Insert(
    "channels",
    11,
    " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, top = excluded.top, total = excluded.total,"
    " first = excluded.first, low = excluded.low, age = excluded.age, time = excluded.time, used = excluded.used,"
    " latest = excluded.latest",
)
ENTRIES: Final = Insert("entries", 6)
KEYS: Final = Insert("keys", 6)
BOXES: Final = Insert(
    "mailboxes",
    7,
    " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, top = excluded.top, letters = excluded.letters,"
    " bytes = excluded.bytes, used = excluded.used",
)
LETTERS: Final = Insert("letters", 8)


def delete_entries(connection: sqlite3.Connection, channel: int, offsets: Sequence[int]) -> None:
    """Delete publications of a channel."""
    for some in _lots(offsets):
        places = ",".join("?" * len(some))
        connection.execute(f"DELETE FROM entries WHERE channel = ? AND offset IN ({places})", (channel, *some))


def delete_keys(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Delete keys."""
    for some in _lots(ids):
        connection.execute(f"DELETE FROM keys WHERE id IN ({','.join('?' * len(some))})", some)


def _lots(numbers: Sequence[int]) -> Iterator[Sequence[int]]:
    """Powers of two of them, as `Insert` has."""
    begin = 0
    while begin < len(numbers):
        count = min(_ROWS_MAX, 1 << ((len(numbers) - begin).bit_length() - 1))
        yield numbers[begin : begin + count]
        begin += count
