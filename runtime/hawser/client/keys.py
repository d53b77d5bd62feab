"""Idempotency keys of a client: a random instance id and a counter (SPEC PUB-6)."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class KeyMaker:
    """Makes keys that no other client makes and this one makes only once: 128 random bits and a 64-bit counter."""

    def __init__(self, random_bytes: Callable[[int], bytes]) -> None:
        self._instance = random_bytes(16)
        self._count = 0

    def next(self) -> bytes:
        """A fresh key of 24 bytes."""
        self._count += 1
        return self._instance + self._count.to_bytes(8, "big")
