"""The file beside a store that one process holds: who has the store, and how far its commits have got.

The mark is written after each commit and before anybody is told of it, so a store that is behind its mark has lost
commits, however that came about: a power cut, a log that was cut short or left behind, an old copy put in its place.
What is written to a file survives ``kill -9`` without being synced.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
from contextlib import suppress

from .errors import NO_ROOM, StoreFull, StoreInUse, StoreUnwritable

_LENGTH = 64


class StoreLock:
    """Held from its making until `release`.

    Args:
        path: That of the store.

    Raises:
        StoreInUse: Another process, or another broker of this one, holds it.
        StoreUnwritable: The file cannot be made or opened.
        StoreFull: There is no room to make it.
    """

    def __init__(self, path: str) -> None:
        self.path: str = f"{path}-lock"
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._made = True
        try:
            try:
                self._file = os.open(self.path, flags | os.O_EXCL, 0o666)
            except FileExistsError:
                self._made = False
                self._file = os.open(self.path, flags, 0o666)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise StoreFull(f"store {path}: {NO_ROOM} ({error.strerror})") from None
            raise StoreUnwritable(f"store {path}: cannot open {self.path}: {error.strerror}") from None
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not self._is_there():  # whoever made it was refused the store, and has removed it
                raise BlockingIOError
        except OSError as error:
            holder = self._number("pid")
            os.close(self._file)
            if not isinstance(error, BlockingIOError):
                raise StoreUnwritable(f"store {path}: cannot lock {self.path}: {error.strerror}") from None
            raise StoreInUse(
                f"store {path}: process {holder} has it already; give each server a file of its own"
            ) from None
        self.mark: int = self._number("commit")
        """The commit that was marked last; 0 if none was."""
        self._pid = f"pid {os.getpid()} commit "
        self.write(self.mark)

    def write(self, mark: int) -> None:
        """Mark a commit. A disk without room for these bytes is one that has refused the commit itself."""
        with suppress(OSError):
            os.pwrite(self._file, f"{self._pid}{mark}\n".ljust(_LENGTH).encode(), 0)
        self.mark = mark

    def release(self) -> None:
        """Let go of the store. The file stays, with the mark."""
        os.close(self._file)

    def discard(self) -> None:
        """Let go of what is no store: the file goes if it was made for this, as a file of others has none beside it.

        Whoever has opened it meanwhile finds that it is not there, so two are never let in.
        """
        if self._made:
            os.unlink(self.path)
        os.close(self._file)

    def _is_there(self) -> bool:
        try:
            return os.path.samestat(os.fstat(self._file), os.stat(self.path))
        except OSError:
            return False

    def _number(self, name: str) -> int:
        found = re.search(rf"{name} (\d{{1,19}})\b", os.pread(self._file, _LENGTH, 0).decode("ascii", "replace"))
        return int(found[1]) if found else 0


def this_boot() -> str | None:
    """What names the time since this machine was started; None where nothing does."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return None
