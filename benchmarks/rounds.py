"""Interleaved rounds within a budget of time: what the commands of whole servers have in common."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from .processes import Failed, guarded

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["INTERRUPTED", "NamedT", "interleaved", "progress", "without_traceback"]


class Named(Protocol):
    """Something to run, with a name for whoever waits."""

    @property
    def name(self) -> str: ...


NamedT = TypeVar("NamedT", bound=Named)

FAILED: Final = 1
INTERRUPTED: Final = 130


def progress(text: str) -> None:
    """Tell whoever waits what is going on: a line that changes on a terminal, one after the other elsewhere."""
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)
    elif text:
        print(text, file=sys.stderr, flush=True)


def interleaved(what: Sequence[NamedT], rounds: int, budget_seconds: float, run: Callable[[NamedT], None]) -> int:
    """Run everything once in each round, each round beginning with another one, until there is no more time.

    Args:
        what: What is run.
        rounds: How many rounds at most.
        budget_seconds: No round but the first is begun that would end after this if it took as long as the longest.
        run: Runs one of them.

    Returns:
        How many rounds there were.
    """
    began = time.monotonic()
    done = 0
    over = longest = 0.0
    while done < rounds and over + longest <= budget_seconds:
        turn = done % len(what)
        for each in (*what[turn:], *what[:turn]):  # nothing has always the same one before it
            progress(f"round {done + 1} of at most {rounds}, {time.monotonic() - began:.0f} s: {each.name}")
            run(each)
        done += 1
        longest = max(longest, time.monotonic() - began - over)
        over = time.monotonic() - began
    progress("")
    return done


def without_traceback(command: Callable[[], int]) -> int:
    """Run a command so that nothing it started outlives it, and what people can mend is told in one line."""
    try:
        with guarded():
            return command()
    except Failed as failed:
        print(f"failed: {failed}", file=sys.stderr)
        return FAILED
    except KeyboardInterrupt:
        print("interrupted; everything that was started has ended", file=sys.stderr)
        return INTERRUPTED
