"""What the errors of cattrs mean for whoever has sent the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from cattrs.errors import (
    AttributeValidationNote,
    BaseValidationError,
    ForbiddenExtraKeysError,
    IterableValidationNote,
)

from .problems import PROBLEMS_MAX, TEXT_MAX, Problem, step

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from .problems import Code


class Wrong(Exception):
    """One value is not as declared."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code
        self.message = message


def problems_of(error: Exception) -> list[Problem]:
    """What an error of cattrs tells, in the order of the value; at most one more than is told.

    Raises:
        Exception: It is none of a wrong value.
    """
    found: list[Problem] = []
    for problem in _found(error, "$"):
        found.append(problem)
        if len(found) > PROBLEMS_MAX:
            break
    return found


def _found(error: Exception, path: str) -> Iterator[Problem]:
    note = next((one for one in getattr(error, "__notes__", ()) if isinstance(one, _NOTES)), None)
    if note is not None:
        path = step(path, note.name if isinstance(note, AttributeValidationNote) else note.index)
    match error:
        case BaseValidationError():
            for each in error.exceptions:
                yield from _found(each, path)
        case Wrong():
            yield Problem(path, error.code, error.message)
        case KeyError() if isinstance(note, AttributeValidationNote):
            yield Problem(path, "missing", "is missing")
        case ForbiddenExtraKeysError():
            for name in sorted(error.extra_fields):
                yield Problem(step(path, name), "unknown", "is not declared")
        case ValueError():  # of a validator
            text = error.args[0] if error.args and isinstance(error.args[0], str) else "is not accepted"
            yield Problem(_refined(path, error.__traceback__), "value", text[:TEXT_MAX])
        case TypeError() if len(error.args) > 1 and isinstance(error.args[1], attrs.Attribute):  # of `instance_of`
            yield Problem(_refined(path, error.__traceback__), "type", "is of a type that is not accepted")
        case TypeError() if _is_of_attrs(
            error.__traceback__
        ):  # as of ``ge(0)`` about null: no such instance can be made
            yield Problem(_refined(path, error.__traceback__), "value", "is not accepted")
        case _:
            raise error


_OF_ATTRS: Final = type(attrs.validators.ge(0)).__module__
_NOTES: Final = (AttributeValidationNote, IterableValidationNote)


def _is_of_attrs(traceback: TracebackType | None) -> bool:
    """Whether an error was raised in a validator of attrs itself, which had no use for the value."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__") == _OF_ATTRS


def _refined(path: str, traceback: TracebackType | None) -> str:
    """Where a validator has failed: attrs hands it the attribute, and does not say so in the error."""
    while traceback is not None:
        code, local = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
        given = [local.get(name) for name in code.co_varnames[: code.co_argcount]]
        for one in given:
            if isinstance(one, attrs.Attribute):
                return step(path, one.name)
        traceback = traceback.tb_next
    return path
