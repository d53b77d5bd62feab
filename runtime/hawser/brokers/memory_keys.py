"""Idempotency keys of the last minutes, in this process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .keys import KEY_WINDOW_SECONDS, KEYS_MAX, KeyWindow

if TYPE_CHECKING:
    from hawser_engine.messages import Position

    from .keys import Scope


class MemoryKeys(KeyWindow["Position"]):
    """What was stored under keys, by the channel or the mailbox that a key belongs to.

    Args:
        keys_max: Keys kept at once; beyond, the oldest of whoever has the most is forgotten before its time.
    """

    __slots__ = ()

    def __init__(self, keys_max: int = KEYS_MAX) -> None:
        super().__init__(keys_max, KEY_WINDOW_SECONDS)

    def known(self, scope: Scope, key: bytes | None, now: float) -> Position | None:
        """What was stored under a key, if it is remembered.

        Args:
            scope: The name of the channel, or that of the mailbox in UTF-8.
            key: The key; without one nothing is known.
            now: Seconds on a monotonic clock; never less than before.
        """
        self.expire(now)
        return None if key is None else self.get(scope, key)

    def remember(self, scope: Scope, key: bytes | None, position: Position, now: float) -> None:
        """Remember a key, if there is one, that is not known.

        Args:
            scope: As for `known`.
            key: The key.
            position: What was stored under it.
            now: As for `known`.
        """
        if key is not None:
            self.add(scope, key, position, now + KEY_WINDOW_SECONDS)
            self.shorten(now)
