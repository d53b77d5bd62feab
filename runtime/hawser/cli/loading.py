"""The app that is named on the command line: imported from the working directory or the environment."""

from __future__ import annotations

import importlib
import os
import sys
import sysconfig
import traceback
from contextlib import redirect_stdout
from pathlib import Path
from typing import Final

import hawser
from hawser import App
from hawser.mailboxes import settle_dead_letters

from . import WRONG_USAGE, CommandFailed

LIBRARIES: Final = (
    Path(hawser.__file__).parent,
    *(Path(sysconfig.get_path(name)) for name in ("stdlib", "purelib", "platlib")),
)
"""What stands in here is not what the user has written."""


def load_app(name: str, *, option: str = "--app ") -> App:
    """Import an app; modules of the working directory are found.

    What they print meanwhile goes to standard error: standard output is for the data of the command.

    Args:
        name: The app, as ``module:name``.
        option: What stands before it on the command line; for messages.

    Raises:
        CommandFailed: There is no such app, or importing it fails, and the message says where; or what it declares
            does not go together.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name.strip(".") or not attribute:
        raise CommandFailed(f"{option}{name}: write module:name, for example {option}chat:app", WRONG_USAGE)
    if os.sep in module_name or module_name.startswith(".") or module_name.endswith(".py"):
        why = f"{module_name} is no module; {_instead(module_name, attribute)}"
        raise CommandFailed(f"{option}{name}: {why}", WRONG_USAGE)
    sys.path.insert(0, os.getcwd())
    try:
        with redirect_stdout(sys.stderr):
            found: object = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        raise CommandFailed(f"{option}{name}: {_why(module_name, error)}", WRONG_USAGE) from None
    for part in attribute.split("."):
        found = getattr(found, part, None)
    if not isinstance(found, App):
        what = "nothing" if found is None else f"of type {type(found).__name__}"
        raise CommandFailed(f"{option}{name}: {attribute} is {what} there, and should be a hawser.App", WRONG_USAGE)
    try:
        settle_dead_letters(found.mailbox_rules, found.rules)
    except ValueError as error:  # which `serve` would raise as well, among those of the places where it is to listen
        raise CommandFailed(f"{option}{name}: {error}", WRONG_USAGE) from None
    return found


def _instead(path: str, attribute: str) -> str:
    """What to write in place of the path of a module."""
    file = Path(os.path.abspath(path.removesuffix(".py") if os.sep in path else path.strip(".").removesuffix(".py")))
    if file.is_relative_to(Path.cwd()):
        return f"write {'.'.join(file.relative_to(Path.cwd()).parts)}:{attribute}"
    return f"write {file.name}:{attribute}, in the folder {file.parent}"


def _why(module_name: str, error: BaseException) -> str:
    """Why a module cannot be imported, and where that shows."""
    if isinstance(error, ModuleNotFoundError) and str(error).startswith("No module named"):
        return f"no module {error.name!r}; modules are looked for in {os.getcwd()} and in the environment"
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    what = f"{type(error).__name__}: {text}" if text else type(error).__name__
    return f"importing {module_name} failed{_place(error)}: {what}"


def _place(error: BaseException) -> str:
    """The last place of the user's own that an error has passed, or the last one at all."""
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).exists():  # which no frame shows
        return f" in {Path(error.filename).name}, line {error.lineno}"
    passed = traceback.extract_tb(error.__traceback__)[2:]  # without ours and importlib's
    frames = [one for one in passed if not one.filename.startswith("<frozen ")]
    own = [one for one in frames if not any(Path(one.filename).is_relative_to(folder) for folder in LIBRARIES)]
    last = (own or frames)[-1:]
    return "".join(f" in {Path(one.filename).name}, line {one.lineno}" for one in last)
