"""What can be wrong with a store; every text names the file and what to do about it.

BrokerUnavailable
└─ StoreError                 the store cannot be used now
   ├─ StoreClosed             its broker does not run
   ├─ StoreInUse              another process has it
   ├─ StoreUnwritable         the file cannot be opened or written
   ├─ StoreFull               there is no room for more
   ├─ StoreDamaged            the file is no database, or not whole
   └─ StoreForeign            the file belongs to something else, or to a newer Hawser
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from hawser.brokers.base import BrokerUnavailable
from hawser_engine.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping


class StoreError(BrokerUnavailable):
    """A store cannot be used now."""


class StoreClosed(StoreError):
    """The broker of the store does not run: it does while a server serves its app."""


class StoreInUse(StoreError):
    """Another process has the store."""


class StoreUnwritable(StoreError):
    """The file, or one beside it, cannot be opened or written."""


class StoreFull(StoreError):
    """There is no room for more, on the disk or within ``file_bytes``. It goes on by itself when there is."""


class StoreDamaged(StoreError):
    """The file is no database, or not a whole one."""

    temporary: bool = False


class StoreForeign(StoreError):
    """The file is a database of something else, or of a newer Hawser."""


class Spoiled(Exception):
    """What the file says cannot be: it is not what was written."""


NO_ROOM: Final = "there is no room for more; make room on the disk, or raise file_bytes"
_DAMAGED: Final = StoreDamaged, "it is damaged; put a copy in its place, or begin with another file"

_KINDS: Final[Mapping[int, tuple[type[StoreError], str]]] = {
    sqlite3.SQLITE_FULL: (StoreFull, NO_ROOM),
    sqlite3.SQLITE_CORRUPT: _DAMAGED,
    sqlite3.SQLITE_CONSTRAINT: _DAMAGED,  # rows that nobody knew of
    sqlite3.SQLITE_TOOBIG: _DAMAGED,  # nothing of this size was written
    sqlite3.SQLITE_NOTADB: (StoreDamaged, "it is no database, or a damaged one; name another file"),
    sqlite3.SQLITE_BUSY: (StoreInUse, "another program has locked it"),
    sqlite3.SQLITE_READONLY: (StoreUnwritable, "it cannot be written"),
    sqlite3.SQLITE_CANTOPEN: (StoreUnwritable, "it cannot be opened"),
    sqlite3.SQLITE_PERM: (StoreUnwritable, "it cannot be opened"),
    sqlite3.SQLITE_IOERR: (StoreUnwritable, "it cannot be read or written"),
}


@contextmanager
def explained(path: str, *, opening: bool = False) -> Generator[None]:
    """Say what goes wrong in a block in the words of a store.

    Args:
        path: Where it is.
        opening: Whether it is being opened, and nobody else has it: what our own statements find no sense in then is
            damaged.

    Raises:
        StoreError: It went wrong.
    """
    try:
        yield
    except sqlite3.Error as error:
        # The low byte is the kind; errors of Python's own about SQLite have no code.
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        kind, what = _KINDS.get(code, (StoreError, "it cannot be used"))
        if opening and code == sqlite3.SQLITE_ERROR:
            kind, what = _DAMAGED
        raise kind(f"store {path}: {what} ({error})") from None
    # A text that is none is met where it is read, or in what SQLite says of it.
    except (Spoiled, RemoteProtocolError, UnicodeDecodeError) as error:
        kind, what = _DAMAGED
        raise kind(f"store {path}: {what} ({error})") from None


def again(error: StoreError) -> StoreError:
    """The same error once more: each of those who wait for one commit raises its own."""
    return type(error)(str(error))
