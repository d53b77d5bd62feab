"""The command line: ``hawser …`` and ``python -m hawser …``.

Exit codes: 0 done, 1 failed (one clear line on stderr), 2 wrong usage or input, 130 Ctrl-C. Data goes to stdout,
everything else to stderr; a closed stdout ends quietly. Its libraries come with the extra ``cli`` and are imported
only here and only when needed.
"""

from __future__ import annotations

import errno
import sys
from typing import TYPE_CHECKING, Final, cast

from hawser_engine.errors import HawserError

from .standard import STDOUT, discard, keep_places, say

if TYPE_CHECKING:
    from collections.abc import Sequence

DONE: Final = 0
FAILED: Final = 1
WRONG_USAGE: Final = 2
INTERRUPTED: Final = 130

LIBRARIES: Final = ("cattrs", "cyclopts", "rich")
INSTALL: Final = "pip install 'hawser[cli]'"

WRITING: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""How what is printed fails. Whoever writes anything else says what that is."""


class CommandFailed(Exception):
    """A command cannot go on; its text is the one line that the user reads."""

    def __init__(self, message: str, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: What stands behind the program's name; `sys.argv` if not given.

    Returns:
        The exit code.
    """
    keep_places()
    try:
        from .commands import run

        code = run(sys.argv[1:] if arguments is None else arguments)
        print(end="", flush=True)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in LIBRARIES:
            raise
        return _complain(f"the command line needs {error.name!r}, which is not installed: {INSTALL}", FAILED)
    except (KeyboardInterrupt, OSError, CommandFailed, HawserError, BaseExceptionGroup) as error:
        return _end(error)
    return code


def _end(error: BaseException) -> int:
    """Say what ended a command, where it is worth a line; its exit code.

    Raises:
        BaseException: It is a fault of this program.
    """
    causes = leaves(error)
    if all(isinstance(leaf, KeyboardInterrupt) for leaf in causes):
        return INTERRUPTED
    if all(isinstance(leaf, BrokenPipeError) for leaf in causes):
        discard(STDOUT)
        return DONE
    if not all(isinstance(leaf, CommandFailed | HawserError | OSError) for leaf in causes):
        raise error
    first = causes[0]  # others followed from it, or say the same
    if isinstance(first, OSError):
        discard(STDOUT)  # perhaps that is what failed, and Python would try it again at its end
        unnamed = first.filename is None and first.errno in WRITING
        return _complain(f"cannot write standard output: {first.strerror}" if unnamed else str(first), FAILED)
    if isinstance(first, HawserError):
        from .running import explain

        first = explain(first)
    assert isinstance(first, CommandFailed)
    return _complain(str(first), first.exit_code)


def leaves(error: BaseException) -> list[BaseException]:
    """What really happened, out of the groups that nurseries make."""
    if not isinstance(error, BaseExceptionGroup):
        return [error]
    parts = cast("BaseExceptionGroup[BaseException]", error).exceptions
    return [leaf for part in parts for leaf in leaves(part)]


def _complain(message: str, code: int) -> int:
    say(f"hawser: {message}")
    return code
