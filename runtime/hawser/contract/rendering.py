"""Instances of what is declared, as values that can travel: what procedures return, and what the application publishes.

Rule: whether it is as declared is not said here. What is none is left as it is where that can be, and looked at after.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs

from .shapes import PLAIN, Anything, Array, Choice, Fixed, Map, Plain, Record, Union, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from .records import Records

Hook: TypeAlias = "Callable[[Any], Any]"
"""Makes an instance of one type out of a decoded value, or a value that can travel out of an instance."""


class Rendering:
    """What can be made of instances.

    Args:
        records: Knows attrs classes; asked where there is one.
    """

    def __init__(self, records: Callable[[], Records]) -> None:
        self._records = records
        self._giving: dict[Any, Hook] = {}

    def giving(self, kind: Any) -> Hook:
        """What makes a value that can travel out of an instance of a type."""
        hook = self._giving.get(kind)
        if hook is None:
            hook = self._giving[kind] = self._give_of(kind)
        return hook

    def _give_of(self, kind: Any) -> Hook:
        match shape_of(kind):
            case Plain(name):
                return _PLAIN[name]
            case Choice(_, enum):
                return as_it_is if enum is None else _value
            case Array(element):
                return _giving_array(self.giving(element))
            case Fixed(elements):
                return _giving_fixed([self.giving(each) for each in elements])
            case Map(value):
                return _giving_map(self.giving(value))
            case Record(cls):
                return self._giving_record(cls)
            case Union() | Anything():
                return self._by_class

    def _giving_record(self, cls: type[attrs.AttrsInstance]) -> Hook:
        records = self._records()
        return lambda value: records.take_apart(cls, value)

    def _by_class(self, value: Any) -> Any:
        """What nothing is declared of, or one of several."""
        if isinstance(value, Enum):
            return value.value
        cls = cast("Any", type)(value)
        if cls in PLAIN:
            return self.giving(cls)(value)
        if _is(value, dict):
            return {self._by_class(key): self._by_class(each) for key, each in value.items()}
        if _is(value, list, tuple):
            return [self._by_class(each) for each in value]
        return self._giving_record(cls)(value) if attrs.has(cls) else value


def as_it_is(value: Any) -> Any:
    """What is there already."""
    return value


def _exactly(kind: type, make: Callable[[Any], Any]) -> Hook:
    """Of an instance of a subclass, such as a member of an IntEnum, what it is to others."""

    def give(value: Any) -> Any:
        derived = type(value) is not kind and isinstance(value, kind) and not isinstance(value, bool)
        return make(value) if derived else value

    return give


def _date_time_text(value: datetime) -> str:
    """As RFC 3339 has it.

    Raises:
        ValueError: Nobody can tell when that is.
    """
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.isoformat()


_PLAIN: Final[dict[str, Hook]] = {
    "null": as_it_is,
    "boolean": as_it_is,
    "integer": _exactly(int, int),
    "number": _exactly(float, float),
    "text": _exactly(str, str.__str__),
    "bytes": _exactly(bytes, bytes),
    "datetime": _date_time_text,
    "date": date.isoformat,
    "uuid": str,
}


def _value(member: Enum) -> Any:
    return member.value


def _is(value: object, *kinds: type) -> bool:
    """``isinstance``, after which type checkers know no more of what is in a value than before."""
    return isinstance(value, kinds)


def _giving_array(element: Hook) -> Hook:
    def give(value: Any) -> Any:
        if _is(value, str, bytes, dict) or not _is(value, Iterable):
            return value  # which is none, as is said then
        return [element(each) for each in value]

    return give


def _giving_fixed(elements: list[Hook]) -> Hook:
    def give(value: Any) -> Any:
        if not _is(value, list, tuple) or len(value) != len(elements):
            return value
        return [element(each) for element, each in zip(elements, value, strict=True)]

    return give


def _giving_map(inner: Hook) -> Hook:
    def give(value: Any) -> Any:
        if not _is(value, Mapping):
            return value
        return {_PLAIN["text"](key): inner(each) for key, each in value.items()}

    return give
