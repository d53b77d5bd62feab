"""The configuration of ``hawser serve``: flags over one TOML file over defaults, wholly checked before anything starts.

What is wrong is refused with the path of the field: ``limits.window_messages is 0; it must be from 1 to …``.
"""

from __future__ import annotations

import tomllib
from difflib import get_close_matches
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import cattrs
from cattrs.errors import ClassValidationError, ForbiddenExtraKeysError
from cattrs.v import transform_error

from hawser import Config

from . import WRONG_USAGE, CommandFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNLIMITED: Final[dict[str, float]] = {
    "messages_per_second": 1e9,
    "messages_burst": 2**31,
    "controls_per_second": 1e9,
    "controls_burst": 2**31,
    "resumes_per_minute": 2**31,
}
"""Limits of the development app where the file names no others: nobody is slowed down on one's own machine."""


@attrs.frozen
class Settings:
    """What to serve, where, and within which limits."""

    listen: str = "http://127.0.0.1:8000"
    """The URL to listen on."""
    app: str | None = None
    """The app, as ``module:name``; None is the development app."""
    limits: Config = attrs.field(factory=Config)
    """All limits and times."""


def read_settings(path: Path | None, *, listen: str | None = None, app: str | None = None) -> Settings:
    """Put together what holds.

    Args:
        path: The TOML file, with the fields of `Settings`; None: defaults.
        listen: Stands above the file's.
        app: Stands above the file's.

    Raises:
        CommandFailed: The file cannot be read, is no TOML, or has a field that is wrong.
    """
    content = {} if path is None else _read(path)
    content |= {name: value for name, value in (("listen", listen), ("app", app)) if value is not None}
    limits = content.get("limits", {})
    if content.get("app") is None and isinstance(limits, dict):
        content["limits"] = UNLIMITED | cast("dict[str, Any]", limits)
    try:
        return _converter().structure(content, Settings)
    except ClassValidationError as error:
        found: list[str] = transform_error(error, "", _explain)
        what = "; ".join(_in_words(*line.rsplit(" @ ", 1)) for line in found)
        raise CommandFailed(f"{path}: {what}", WRONG_USAGE) from None


def _read(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror or error}", WRONG_USAGE) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CommandFailed(f"{path} is no TOML: {error}", WRONG_USAGE) from None


def _converter() -> cattrs.Converter:
    """A converter that converts nothing: cattrs alone would take the text ``"7"`` for a number."""
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, name in ((int, "a whole number"), (float, "a number"), (str, "a text")):
        converter.register_structure_hook(kind, _only(kind, name))
    return converter


def _only(kind: type, name: str) -> Callable[[Any, Any], Any]:
    def take(value: Any, _: Any) -> Any:
        if type(value) is kind or (kind is float and type(value) is int):
            return value
        raise TypeError(f"is {value!r}; it must be {name}")

    return take


def _explain(error: BaseException, _: type | None) -> str:
    if not isinstance(error, ForbiddenExtraKeysError):
        return str(error)
    known = [field.name for field in attrs.fields(error.cl)]
    wrong = sorted(error.extra_fields)[0]
    close = get_close_matches(wrong, known, 1)
    return f"{wrong} is no field; " + (f"did you mean {close[0]}?" if close else f"there are {', '.join(known)}")


def _in_words(what: str, path: str) -> str:
    """A finding with its field: values are refused by the field, other things by what holds the field."""
    field = path.removeprefix(".")
    if what.startswith("is "):
        return f"{field} {what}"
    return f"{field}.{what}" if field else what
