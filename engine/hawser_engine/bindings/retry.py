"""Whether a server, or something before it, asks to be left alone for a while, how long (RFC 6585, RFC 9110)."""

from collections.abc import Sequence
from typing import Final

__all__ = ["away_seconds"]

_TOO_MANY: Final = 429
_UNAVAILABLE: Final = 503
_LONGEST: Final = 3_600
_DIGITS: Final = 10
"""Of a number that is read at all."""


def away_seconds(status: int, values: Sequence[bytes]) -> int | None:
    """Read the answer to somebody who wanted to come in.

    Args:
        status: Of the answer. 429 asks for patience by itself; 503 may be anything, and does so by ``Retry-After``.
        values: Of every ``Retry-After`` there is. As a date it would ask for a wall clock, so it names no time.

    Returns:
        Seconds, at most an hour; 0 if no time is named, None if nothing of the kind was asked.

    Spec: LIM-3, CAR-35.
    """
    if status != _TOO_MANY and (status != _UNAVAILABLE or not values):
        return None
    if len(values) != 1 or not values[0].isdigit() or len(values[0]) > _DIGITS:
        return 0
    return min(int(values[0]), _LONGEST)
