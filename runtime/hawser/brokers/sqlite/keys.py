"""Idempotency keys of the last minutes, as pure state.

A key belongs to a channel, whose name is text, or to a mailbox, whose name is then bytes: so the two never meet, in the
file neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from hawser.brokers.keys import KEY_WINDOW_SECONDS, KeyWindow, Scope
from hawser_engine.messages import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .book import Change

KEY_WINDOW_MS: Final = round(KEY_WINDOW_SECONDS * 1_000)

FORGET_KEYS: Final = 64
"""So many keys that are forgotten are deleted from the file at once, …"""
DROP_KEYS: Final = 1_024
"""… and so many with one change, of those that were too many."""

KeyRow: TypeAlias = tuple[int, Scope, bytes, bytes, int, int]
"""Id, scope, key, epoch, offset, expires."""


class Keys:
    """All keys that are remembered.

    Args:
        rows: What the file holds, oldest first.
        keys_max: Keys kept at once; beyond, the oldest of whoever has the most is forgotten before its time.
    """

    def __init__(self, rows: Sequence[KeyRow], keys_max: int) -> None:
        self._window: KeyWindow[KeyRow] = KeyWindow(keys_max, KEY_WINDOW_MS)
        # One that was forgotten and used again may be there twice; the later one holds.
        for row in sorted({(row[1], row[2]): row for row in rows}.values()):
            self._window.add(row[1], row[2], row, row[5])
        self._next = 1 + max((row[0] for row in rows), default=0)
        self._expired = self._deleted = 0  # keys up to these ids: here, in the file
        self._dropped: list[int] = []  # forgotten before their time, and still in the file

    @property
    def forgotten(self) -> int:
        """How many were forgotten before their time."""
        return self._window.forgotten

    def known(self, change: Change, scope: Scope, key: bytes | None) -> Position | None:
        """What was stored under a key, if it is remembered."""
        row = None if key is None else change.keys.get((scope, key)) or self._window.get(scope, key)
        return None if row is None else Position(row[3], row[4])

    def committed(self, scope: Scope, key: bytes, now: int) -> Position | None:
        """What the file has under a key, if it is remembered."""
        self.forget(now)
        row = self._window.get(scope, key)
        return None if row is None else Position(row[3], row[4])

    def remember(self, change: Change, scope: Scope, key: bytes | None, position: Position, now: int) -> None:
        """Remember a key with a change."""
        if key is not None:
            row = (self._next, scope, key, position.epoch, position.offset, now + KEY_WINDOW_MS)
            change.keys[scope, key] = row
            self._next += 1

    def forget(self, now: int) -> None:
        """Forget the keys that are out of date, and those that are too many, whatever becomes of the file."""
        newest = self._window.expire(now)
        if newest is not None:
            self._expired = newest[0]
        self._dropped += [row[0] for row in self._window.shorten(now)]

    def plan(self, change: Change) -> None:
        """Have a change delete what is forgotten, if that is worth it."""
        if change.empty:
            return
        if self._expired - self._deleted >= FORGET_KEYS:
            change.forgotten = self._expired
        if len(self._dropped) >= FORGET_KEYS:
            change.dropped = self._dropped[:DROP_KEYS]

    def apply(self, change: Change) -> None:
        """A change is committed."""
        for row in change.keys.values():
            self._window.add(row[1], row[2], row, row[5])
        if change.forgotten is not None:
            self._deleted = change.forgotten
        del self._dropped[: len(change.dropped)]
