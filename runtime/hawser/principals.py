"""Who is at the other end, as the application sees it."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

import attrs

from .amounts import check_spans

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME_BYTES_MAX = 255
"""The longest principal, channel, pattern and procedure name, in bytes of UTF-8."""


def check_name(what: str, name: object, longest: int = NAME_BYTES_MAX, *, write: str = "") -> str:
    """Refuse a name that cannot travel.

    Args:
        what: What it names.
        name: The name.
        longest: How many bytes of UTF-8 it has at most.
        write: Of the name that a decorator is given: how that is written.

    Raises:
        TypeError: It is no string, such as the function below a decorator that was to be given a name.
        ValueError: It is empty, too long, or not encodable (lone surrogates).
    """
    if not isinstance(name, str):
        fix = f"; write {write}" if write and callable(name) else ""
        raise TypeError(f"{what} is a string, not {type(name).__name__}{fix}")
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise ValueError(f"{what} {name!r} cannot be encoded as UTF-8") from None
    if not 0 < size <= longest:
        raise ValueError(f"{what} has 1 to {longest} bytes of UTF-8, this one has {size}")
    return name


def check_list(what: str, given: object) -> None:
    """Refuse a string where a list of names is taken: each of its letters would be one of them.

    Args:
        what: What was given, in the words of whoever gave it.
        given: Any value.

    Raises:
        TypeError: It is a string.
    """
    if isinstance(given, str):
        raise TypeError(f"{what} is a list of names, not a string; write [{given!r}]")


def is_generator(handler: object) -> bool:
    """Whether a handler is an async generator function, or an object whose class has an async generator call."""
    return inspect.isasyncgenfunction(handler) or inspect.isasyncgenfunction(type(handler).__call__)


def check_handler(handler: object, what: str, *, generator: bool = False) -> None:
    """Refuse what is no handler.

    Args:
        handler: What was given.
        what: For whom it was.
        generator: Whether it may also be an async generator.

    Raises:
        TypeError: It is neither an async function nor an object with an async call.
    """
    # A function, or an object whose class has an async __call__.
    call = type(handler).__call__
    if generator and is_generator(handler):
        return
    if not (inspect.iscoroutinefunction(handler) or inspect.iscoroutinefunction(call)):
        raise TypeError(f"the {what} handler is an async function; {handler!r} is not")


def _name(instance: object, attribute: attrs.Attribute[str], value: object) -> None:
    check_name("the id of a principal", value)


def _seconds(instance: object, attribute: attrs.Attribute[float | None], value: object) -> None:
    if value is not None:
        check_spans(**{attribute.name: value})


@attrs.frozen
class Principal:
    """Somebody whom `App.authenticate` has recognised.

    A session belongs to one principal for its whole life: a resume by another one is refused (SPEC SEC-4).
    """

    id: str = attrs.field(validator=_name)
    """Names the principal, 1 to 255 bytes of UTF-8. Two sessions with the same id are the same user."""
    attributes: Mapping[str, Any] = attrs.field(factory=dict[str, Any], eq=False)
    """Whatever the application wants to know again in its handlers; read-only by convention."""
    expires_seconds: float | None = attrs.field(default=None, validator=_seconds, eq=False, kw_only=True)
    """How long the credentials are good, from now on; None if nobody knows.

    The client is asked for new ones in time, and loses its connection, not its session, if it has none (SPEC AUT-1,
    AUT-3).
    """


ANONYMOUS = Principal("anonymous")
"""Everyone, where the application has no `App.authenticate` handler."""


def scoped_key(principal: Principal | None, key: bytes | None) -> bytes | None:
    """An idempotency key as a broker gets it: one user's means nothing for another's (SPEC PUB-3).

    Args:
        principal: Whose it is; None if it is the application's own.
        key: What was chosen, if anything was.
    """
    if key is None:
        return None
    name = b"" if principal is None else principal.id.encode()
    return bytes([len(name)]) + name + key  # the length, or one's name and key could read as another's


def key_holder(key: bytes) -> bytes:
    """Whose an idempotency key is: the id of a principal in UTF-8, or nothing if it is the application's own.

    Args:
        key: As `scoped_key` makes it; any other bytes are taken for the application's.
    """
    end = 1 + key[0] if key else 0
    return key[1:end] if end < len(key) else b""
