"""How a store looks inside: tables, their version, and statements that write many rows at once.

A statement holds Python's lock only while it begins and ends, so many rows in one statement take their turns beside a
busy event loop once, not once a row.

Rule: every row of what is kept ends in a sum of all that is before it, and nothing is believed of a row that it does
not fit: SQLite itself notices little of what a disk does to a file.
"""

from __future__ import annotations

from contextlib import closing
from itertools import chain
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import attrs

from .errors import Spoiled

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

APPLICATION_ID: Final = 0x48415753
"""Says in the header of a file that it is a store of Hawser: HAWS in ASCII."""
VERSION: Final = 4
"""Of the tables, as ``PRAGMA user_version``: 1 had no mailboxes, 2 no channels that keep the latest by key, 3 no row
with a sum."""

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
    # `latest` is 1 where only the latest by key is kept: then `entries` has nothing else from `first` on, and `low`
    # says how many those are.
    "ALTER TABLE channels ADD COLUMN latest INTEGER NOT NULL DEFAULT 0",
)

COLUMNS: Final = {
    "channels": "id, name, epoch, top, total, first, low, age, time, used, latest",
    "entries": "channel, offset, start, time, about, data",
    "keys": "id, channel, key, epoch, offset, expires",
    "mailboxes": "id, name, epoch, top, letters, bytes, used",
    "letters": "mailbox, offset, epoch, sender, time, tries, expires, data",
}
"""What the sum of a row is that of, by table."""

SUMS: Final = (
    # From `first` to `top` nothing is missing in `entries`: earlier versions deleted there what had become too old.
    "UPDATE channels SET first = coalesce((SELECT min(offset) FROM entries"
    " WHERE channel = channels.id AND offset >= channels.first), top + 1) WHERE NOT latest",
    "UPDATE channels SET low = (SELECT count(*) FROM entries"
    " WHERE channel = channels.id AND offset >= channels.first) WHERE latest",
    *(f"ALTER TABLE {table} ADD COLUMN sum INTEGER NOT NULL DEFAULT 0" for table in COLUMNS),
    *(f"UPDATE {table} SET sum = row_sum({columns})" for table, columns in COLUMNS.items()),
)

STEPS: Final = (CHANNELS, MAILBOXES, LATEST, SUMS)
"""What makes tables of each version of those before it."""

_ROWS_MAX: Final = 64
"""In one statement: with twelve columns, fewer variables than the 999 that every SQLite takes."""


_PLAIN: Final = frozenset({int, float, str, bytes, type(None)})


def row_sum(*row: object) -> int:
    """The CRC-32 of a row: of its values and of their types, for one bit makes a text of a blob."""
    if not _PLAIN.issuperset(map(type, row)):
        row = tuple(map(_as_stored, row))
    last = row[-1]
    if isinstance(last, bytes):  # a payload, which may be long
        return crc32(last, crc32(ascii(row[:-1]).encode()))
    return crc32(ascii(row).encode())


def _as_stored(value: object) -> object:
    """An enumeration, and all that is like it, is stored as what it is based on."""
    if isinstance(value, str):
        return str.__str__(value)
    return int(value) if isinstance(value, int) else value


def select(connection: sqlite3.Connection, table: str, which: str, *values: int | bytes) -> Iterator[Any]:
    """Rows of a table without their sums, when they have been looked at.

    Args:
        connection: What reads.
        table: One of `COLUMNS`.
        which: The rest of the statement …
        values: … and what stands in it; the first is what the first column has to be.

    Raises:
        Spoiled: A row is not what was written.
    """
    rows = connection.execute(f"SELECT {COLUMNS[table]}, sum FROM {table} {which}", values)
    with closing(rows):
        for row in rows:
            if row_sum(*row[:-1]) != row[-1]:
                raise Spoiled(f"a row of {table} is not what was written")
            if values and row[0] != values[0]:  # a page in the place of another one: SQLite looks no further
                raise Spoiled(f"a row of {table} is not where it belongs")
            yield row[:-1]


@attrs.frozen
class Insert:
    """A statement that writes rows of so many columns, and their sums."""

    into: str
    columns: int
    conflict: str = ""

    def run(self, connection: sqlite3.Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Write the rows, in statements of powers of two, so that few of them have to be prepared and kept."""
        begin = 0
        while begin < len(rows):
            count = min(_ROWS_MAX, 1 << ((len(rows) - begin).bit_length() - 1))
            row = f"({','.join('?' * (self.columns + 1))})"
            values = list(chain.from_iterable((*one, row_sum(*one)) for one in rows[begin : begin + count]))
            connection.execute(f"INSERT INTO {self.into} VALUES {','.join([row] * count)}{self.conflict}", values)
            begin += count


HEADS: Final = Insert(
    "channels",
    11,
    " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, top = excluded.top, total = excluded.total,"
    " first = excluded.first, low = excluded.low, age = excluded.age, time = excluded.time, used = excluded.used,"
    " latest = excluded.latest, sum = excluded.sum",
)
ENTRIES: Final = Insert("entries", 6)
KEYS: Final = Insert("keys", 6)
BOXES: Final = Insert(
    "mailboxes",
    7,
    " ON CONFLICT (id) DO UPDATE SET epoch = excluded.epoch, top = excluded.top, letters = excluded.letters,"
    " bytes = excluded.bytes, used = excluded.used, sum = excluded.sum",
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
