"""Idempotency keys of the last minutes, in this process alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .base import KEY_WINDOW_SECONDS

if TYPE_CHECKING:
    from hawser_engine.messages import Position


class KeyWindow:
    """What was stored under keys, by the channel or the mailbox that a key belongs to.

    Args:
        keys_max: Keys kept at once; beyond, the oldest is forgotten before its time.
    """

    __slots__ = ("_keys", "_keys_max")

    def __init__(self, keys_max: int) -> None:
        self._keys: dict[tuple[str, bytes], tuple[Position, float]] = {}  # oldest first
        self._keys_max = keys_max

    def known(self, scope: str, key: bytes | None, now: float) -> Position | None:
        """What was stored under a key, if it is remembered.

        Args:
            scope: The name of the channel or the mailbox.
            key: The key; without one nothing is known.
            now: Seconds on a monotonic clock; never less than before.
        """
        while self._keys:
            oldest = next(iter(self._keys))
            if self._keys[oldest][1] > now:
                break
            del self._keys[oldest]
        found = None if key is None else self._keys.get((scope, key))
        return None if found is None else found[0]

    def remember(self, scope: str, key: bytes | None, position: Position, now: float) -> None:
        """Remember a key, if there is one, that is not known.

        Args:
            scope: As for `known`.
            key: The key.
            position: What was stored under it.
            now: As for `known`.
        """
        if key is None:
            return
        if len(self._keys) >= self._keys_max:
            del self._keys[next(iter(self._keys))]
        self._keys[scope, key] = position, now + KEY_WINDOW_SECONDS
