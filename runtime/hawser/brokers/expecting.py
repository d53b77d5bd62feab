"""How the contract suite says what it saw, and waits for what it wants to see."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from collections.abc import Callable

_PATIENCE_SECONDS: Final = 5.0
_JUMPS: Final = 50


class BrokerContractError(AssertionError):
    """A broker broke its contract; the message names the check and what was seen."""


def expect(check: str, actual: object, expected: object) -> None:
    """Complain unless both are equal.

    Raises:
        BrokerContractError: They are not.
    """
    if actual != expected:
        raise BrokerContractError(f"{check}: saw {actual!r}, expected {expected!r}")


async def patiently(ready: Callable[[], bool], news: Callable[[], trio.Event]) -> None:
    """Wait until something is so, or has not come about for a long while.

    Args:
        ready: Whether it is so.
        news: What is set when it may be; another one each time.
    """
    began = time.monotonic()
    for _ in range(_JUMPS):
        with trio.move_on_after(_PATIENCE_SECONDS):
            while not ready():
                await news().wait()
        if ready() or time.monotonic() - began >= _PATIENCE_SECONDS:
            break  # else a virtual clock has jumped over the work of a thread
