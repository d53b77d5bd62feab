"""The app that is named on the command line: imported from the working directory or the environment."""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path

from hawser import App
from hawser.mailboxes import settle_dead_letters

from . import WRONG_USAGE, CommandFailed


def load_app(name: str, *, option: str = "--app ") -> App:
    """Import an app; modules of the working directory are found.

    Args:
        name: The app, as ``module:name``.
        option: What stands before it on the command line; for messages.

    Raises:
        CommandFailed: There is no such app, or importing it fails, and the message says where; or what it declares
            does not go together.
    """
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute:
        raise CommandFailed(f"{option}{name}: write module:name, for example {option}chat:app", WRONG_USAGE)
    sys.path.insert(0, os.getcwd())
    try:
        found: object = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        raise CommandFailed(
            f"{option}{name}: no module {error.name!r}; modules are looked for in {os.getcwd()} and in the environment",
            WRONG_USAGE,
        ) from None
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        raise CommandFailed(
            f"{option}{name}: importing {module_name} failed in {Path(place.filename).name}, line {place.lineno}: "
            f"{type(error).__name__}: {error}",
            WRONG_USAGE,
        ) from None
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
