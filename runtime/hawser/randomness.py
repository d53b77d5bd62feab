"""Uniform numbers out of the one injected source of random bytes.

Everything random in Hawser comes from a ``random_bytes(count)`` argument, `secrets.token_bytes` unless given:
a program whose source is seeded takes the same decisions again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def uniform(random_bytes: Callable[[int], bytes], low: float, high: float) -> float:
    """A number from ``low`` to ``high``."""
    return low + (high - low) * ((int.from_bytes(random_bytes(7), "big") >> 3) / 2**53)
