"""Idempotency keys of the last minutes, as pure state.

A key belongs to a channel, whose name is text, or to a mailbox, whose name is then bytes: so the two never meet, in the
file neither.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

from hawser.brokers.base import KEY_WINDOW_SECONDS
from hawser_engine.messages import Position

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .book import Change

KEY_WINDOW_MS: Final = round(KEY_WINDOW_SECONDS * 1_000)

FORGET_KEYS: Final = 64
"""So many keys that are out of date are deleted from the file at once."""

Scope: TypeAlias = str | bytes
"""Where a key holds: the name of a channel, or that of a mailbox in UTF-8."""
KeyRow: TypeAlias = tuple[int, Scope, bytes, bytes, int, int]
"""Id, scope, key, epoch, offset, expires."""


class Keys:
    """All keys that are remembered.

    Args:
        rows: What the file holds, oldest first.
        keys_max: Keys kept at once; beyond, the oldest is forgotten before its time.
    """

    def __init__(self, rows: Sequence[KeyRow], keys_max: int) -> None:
        self._keys: dict[tuple[Scope, bytes], KeyRow] = {(row[1], row[2]): row for row in rows}
        self._keys_max = keys_max
        self._next = 1 + max((row[0] for row in rows), default=0)
        self._forgotten = self._deleted = 0  # keys up to these ids: here, in the file

    def known(self, change: Change, scope: Scope, key: bytes | None) -> Position | None:
        """What was stored under a key, if it is remembered."""
        row = None if key is None else change.keys.get((scope, key)) or self._keys.get((scope, key))
        return None if row is None else Position(row[3], row[4])

    def committed(self, scope: Scope, key: bytes, now: int) -> Position | None:
        """What the file has under a key, if it is remembered."""
        self.forget(now)
        row = self._keys.get((scope, key))
        return None if row is None else Position(row[3], row[4])

    def remember(self, change: Change, scope: Scope, key: bytes | None, position: Position, now: int) -> None:
        """Remember a key with a change."""
        if key is not None:
            row = (self._next, scope, key, position.epoch, position.offset, now + KEY_WINDOW_MS)
            change.keys[scope, key] = row
            self._next += 1

    def forget(self, now: int) -> None:
        """Forget the keys that are out of date, whatever becomes of the file."""
        while self._keys:
            oldest, row = next(iter(self._keys.items()))
            if row[5] > now and len(self._keys) <= self._keys_max:
                break
            del self._keys[oldest]
            self._forgotten = row[0]

    def plan(self, change: Change) -> None:
        """Have a change delete what is forgotten, if that is worth it."""
        if self._forgotten - self._deleted >= FORGET_KEYS and not change.empty:
            change.forgotten = self._forgotten

    def apply(self, change: Change) -> None:
        """A change is committed."""
        self._keys |= change.keys
        if change.forgotten is not None:
            self._deleted = change.forgotten
