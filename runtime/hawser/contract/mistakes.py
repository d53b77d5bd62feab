"""What the errors of cattrs mean for whoever has sent the value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
from cattrs.errors import AttributeValidationNote, ClassValidationError, ForbiddenExtraKeysError

from .problems import PROBLEMS_MAX, TEXT_MAX, ContractBroken, Problem, step

if TYPE_CHECKING:
    from types import TracebackType


def problems_of(group: ClassValidationError) -> tuple[list[Problem], bool]:
    """What is wrong with the fields of one instance, and whether there is more.

    Raises:
        Exception: It is no fault of the value.
    """
    found: list[Problem] = []
    more = False
    for error in group.exceptions:
        name = next((one.name for one in getattr(error, "__notes__", ()) if isinstance(one, _NOTE)), None)
        match error:
            case ContractBroken() if name is not None:
                found += error.under(name)
                more = more or error.more
            case KeyError() if name is not None:
                found.append(Problem(step("$", name), "missing", "is missing"))
            case ForbiddenExtraKeysError():
                names = sorted(error.extra_fields)[: PROBLEMS_MAX + 1]
                found += [Problem(step("$", each), "unknown", "is not declared") for each in names]
            case _:
                found.append(_of_a_validator(error))
    return found, more


def own_mistakes(group: ClassValidationError) -> int:
    """How many of them no hook has counted."""
    return sum(not isinstance(error, ContractBroken) for error in group.exceptions)


def _of_a_validator(error: Exception) -> Problem:
    """What the constructor has raised.

    Raises:
        Exception: It is a fault of its own.
    """
    match error:
        case ValueError():
            text = error.args[0] if error.args and isinstance(error.args[0], str) else "is not accepted"
            return Problem(_refined(error.__traceback__), "value", text[:TEXT_MAX])
        case TypeError() if len(error.args) > 1 and isinstance(error.args[1], attrs.Attribute):  # of `instance_of`
            return Problem(_refined(error.__traceback__), "type", "is of a type that is not accepted")
        case TypeError() if _is_of_attrs(error.__traceback__):
            # As of ``ge(0)`` about null: no such instance can be made.
            return Problem(_refined(error.__traceback__), "value", "is not accepted")
        case _:
            raise error


_OF_ATTRS: Final = type(attrs.validators.ge(0)).__module__
_NOTE: Final = AttributeValidationNote


def _is_of_attrs(traceback: TracebackType | None) -> bool:
    """Whether an error was raised in a validator of attrs itself, which had no use for the value."""
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    return traceback is not None and traceback.tb_frame.f_globals.get("__name__") == _OF_ATTRS


def _refined(traceback: TracebackType | None) -> str:
    """Where a validator has failed: attrs hands it the attribute, and does not say so in the error."""
    while traceback is not None:
        code, local = traceback.tb_frame.f_code, traceback.tb_frame.f_locals
        given = [local.get(name) for name in code.co_varnames[: code.co_argcount]]
        for one in given:
            if isinstance(one, attrs.Attribute):
                return step("$", one.name)
        traceback = traceback.tb_next
    return "$"
