"""The three standard descriptors, any of which may be closed, full, or read by nobody."""

from __future__ import annotations

import os
import sys
from typing import Final

STDIN: Final = 0
STDOUT: Final = 1
STDERR: Final = 2


def keep_places() -> None:
    """Fill the descriptors that were closed before we began, or the first sockets would take their places.

    Each is opened the wrong way round, as gnulib's ``stdopen`` does: using it fails as if it were closed.
    """
    for descriptor, mode in ((STDIN, os.O_WRONLY), (STDOUT, os.O_RDONLY), (STDERR, os.O_RDONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, mode)  # takes the lowest number that is free, which is this one


def discard(descriptor: int) -> None:
    """Let what is written to a descriptor go nowhere from now on, with what Python still holds for it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def say(line: str) -> None:
    """Tell the user something that is no data: one line on standard error. If nobody can hear it, so be it."""
    if sys.stderr is None:  # pyright: ignore[reportUnnecessaryComparison] - so it is where it was closed
        return  # print would take standard output instead
    try:
        print(line, file=sys.stderr, flush=True)
    except OSError:
        discard(STDERR)
