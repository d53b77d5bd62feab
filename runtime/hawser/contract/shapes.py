"""What a Python type looks like as a value that travels: the one reading of annotations in this package.

What is checked and what is told by a schema both follow from it, so they say the same. A type that has no shape is
refused where it is declared, not where a message fails.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import Enum
from functools import cache
from typing import Any, Final, Literal, TypeAlias, cast
from uuid import UUID

import attrs

SUPPORTED: Final = (
    "None, bool, int, float, str, bytes, datetime, date, UUID, Any, object, Literal, Enum classes, attrs classes, "
    "and list, Sequence, tuple, dict and Mapping (with str keys) and unions of them"
)

PLAIN: Final[Mapping[Any, str]] = {
    None: "null",
    type(None): "null",
    bool: "boolean",
    int: "integer",
    float: "number",
    str: "text",
    bytes: "bytes",
    datetime: "datetime",
    date: "date",
    UUID: "uuid",
}


@attrs.frozen
class Anything:
    """Any value that can travel."""


@attrs.frozen
class Plain:
    """A value without parts."""

    name: str
    """One of the values of `PLAIN`."""


@attrs.frozen
class Choice:
    """One of some texts, integers and truth values, by a ``Literal`` or an ``Enum``."""

    values: tuple[str | int | bool, ...]
    enum: type[Enum] | None = None


@attrs.frozen
class Array:
    """Any number of elements."""

    element: object
    container: type[list[Any]] | type[tuple[Any, ...]]


@attrs.frozen
class Fixed:
    """So many elements, each with a type of its own."""

    elements: tuple[object, ...]


@attrs.frozen
class Map:
    """Texts, and a value for each."""

    value: object


@attrs.frozen
class Record:
    """An instance of an attrs class: a map of its fields."""

    cls: type[attrs.AttrsInstance]


@attrs.frozen
class Union:
    """One of several, told apart by what kind of value it is, or by a field of the class."""

    options: tuple[object, ...]
    tag: str | None
    """The field that tells the classes among them apart; None if there is one class at most."""


Compound: TypeAlias = Plain | Array | Fixed | Map | Record
"""What says itself of what kind a value is, and leaves open which."""

Shape: TypeAlias = Anything | Choice | Compound | Union


@attrs.frozen
class Field:
    """One field of a record."""

    name: str
    type: object
    required: bool
    default: object = attrs.NOTHING
    validators: tuple[Any, ...] = ()
    """What looks at the instance of its type, as it is."""


class Undescribable(TypeError):
    """A type that is declared cannot be that of a value that travels."""


def shape_of(kind: Any) -> Shape:
    """The shape of a type; those of its parts are looked at on their own.

    Raises:
        Undescribable: It has none.
    """
    try:
        return _shape_of(kind)
    except TypeError as error:
        if isinstance(error, Undescribable):
            raise
        raise Undescribable(f"{_name(kind)} cannot be declared; what can be is {SUPPORTED}") from None


@cache
def _shape_of(kind: Any) -> Shape:
    if kind in PLAIN:
        return Plain(PLAIN[kind])
    if kind in (Any, object):
        return Anything()
    if isinstance(kind, typing.NewType):
        return shape_of(kind.__supertype__)
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin is typing.Annotated:
        return shape_of(arguments[0])
    if origin is Literal:
        return _literal(kind, arguments)
    if origin in (typing.Union, types.UnionType):
        return _union(kind, arguments)
    if origin in (list, Sequence) or kind in (list, Sequence):
        return Array(arguments[0] if arguments else Any, list)
    if kind is tuple or (origin is tuple and arguments[1:] == (...,)):
        return Array(arguments[0] if arguments else Any, tuple)
    if origin is tuple:
        return Fixed(arguments)
    if (origin in (dict, Mapping) and arguments[0] is str) or kind in (dict, Mapping):
        return Map(arguments[1] if arguments else Any)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum(kind)
    if isinstance(kind, type) and attrs.has(kind) and not getattr(kind, "__parameters__", ()):
        return Record(kind)
    raise Undescribable(f"{_name(kind)} cannot be declared; what can be is {SUPPORTED}")


def fields_of(cls: type[attrs.AttrsInstance]) -> tuple[Field, ...]:
    """The fields of an attrs class that travel: those of its constructor, in their order.

    Raises:
        Undescribable: A field has no annotation, or it cannot be looked up.
    """
    try:
        attrs.resolve_types(cls)
    except NameError as error:
        raise Undescribable(f"the annotations of {cls.__name__} cannot be looked up: {error}") from None
    fields = [one for one in attrs.fields(cls) if one.init]
    for one in fields:
        if one.type is None:
            raise Undescribable(f"{cls.__name__}.{one.name} has no annotation")
    return tuple(
        Field(one.name, one.type, one.default is attrs.NOTHING, one.default, _validators(cls, one)) for one in fields
    )


def _validators(cls: Any, field: Any) -> tuple[Any, ...]:
    """The validators of a field, if they get what has come: no converter and no constructor stands before them."""
    code = getattr(cls.__init__, "__code__", None)
    if field.validator is None or field.converter is not None or code is None:
        return ()
    return (field.validator,) if code.co_filename.startswith("<attrs generated") else ()


def walk(kind: Any) -> Iterator[Shape]:
    """All shapes that a type is made of, each once, in the order in which they are met.

    Raises:
        Undescribable: There is a part that has none; the message says where.
    """
    seen: set[Shape] = set()
    waiting: list[tuple[Any, str]] = [(kind, "")]
    while waiting:
        part, place = waiting.pop()
        try:
            shape = shape_of(part)
            inner = list(_parts(shape))
        except Undescribable as error:
            raise Undescribable(f"{place}{error}") from None
        if shape not in seen:
            seen.add(shape)
            yield shape
            waiting.extend((each, f"{name}: " if name else place) for each, name in reversed(inner))


def _parts(shape: Shape) -> Iterator[tuple[Any, str]]:
    """The types that a shape is made of, and where each is, if that is a field."""
    match shape:
        case Array(element):
            yield element, ""
        case Map(value):
            yield value, ""
        case Fixed(elements) | Union(elements):
            for each in elements:
                yield each, ""
        case Record(cls):
            for field in fields_of(cls):
                yield field.type, f"{cls.__name__}.{field.name}"
        case _:
            pass


def kinds_of(shape: Shape) -> frozenset[str]:
    """What kinds of values a shape takes: null, boolean, number, text, bytes, array or object."""
    match shape:
        case Plain(name):
            return frozenset(
                [{"integer": "number", "datetime": "text", "date": "text", "uuid": "text"}.get(name, name)]
            )
        case Choice(values):
            return frozenset(map(kind_of, values))
        case Array() | Fixed():
            return frozenset(["array"])
        case Union(options):
            return frozenset[str]().union(*(kinds_of(shape_of(option)) for option in options))
        case Anything():
            return frozenset(["null", "boolean", "number", "text", "bytes", "array", "object"])
        case _:
            return frozenset(["object"])


def kind_of(value: object) -> str:
    """What kind a value is of; "unknown" if it cannot travel."""
    if value is None:
        return "null"
    for kinds, name in _KINDS:
        if isinstance(value, kinds):
            return name
    return "unknown"


_KINDS: Final[tuple[tuple[Any, str], ...]] = (
    (bool, "boolean"),  # before numbers: it is an int, too
    ((int, float), "number"),
    (str, "text"),
    (bytes, "bytes"),
    ((list, tuple), "array"),
    (dict, "object"),
)


def _literal(kind: object, values: tuple[object, ...]) -> Choice:
    if not all(isinstance(value, str | int) and not isinstance(value, Enum) for value in values):
        raise Undescribable(f"{_name(kind)} cannot be declared: a Literal has texts, integers and truth values here")
    return Choice(cast("tuple[str | int | bool, ...]", values))


def _enum(kind: type[Enum]) -> Choice:
    values: list[Any] = [member.value for member in kind]
    if not values or not all(isinstance(value, str | int) for value in values):
        raise Undescribable(f"{_name(kind)} cannot be declared: the values of an Enum are texts or integers here")
    return Choice(tuple(values), kind)


def _union(kind: object, options: tuple[Any, ...]) -> Shape:
    shapes = [shape_of(option) for option in options]
    if any(isinstance(shape, Anything) for shape in shapes):
        return Anything()
    records = [shape for shape in shapes if isinstance(shape, Record)]
    tag = _tag(kind, records) if len(records) > 1 else None
    kinds = [kind for shape in shapes if not isinstance(shape, Record) for kind in kinds_of(shape)]
    if {int, float} <= set(options):
        kinds.remove("number")  # the one pair of which each value tells by itself what it is
    kinds += ["object"] * bool(records)
    if len(set(kinds)) < len(kinds):
        raise Undescribable(f"{_name(kind)} cannot be declared: two of these cannot be told apart when they arrive")
    return Union(options, tag)


def _tag(kind: object, records: list[Record]) -> str:
    """The field by which classes are told apart: a ``Literal`` with other values in each."""
    for field in fields_of(records[0].cls):
        values = [_choices(record, field.name) for record in records]
        if all(values) and len(set[object]().union(*values)) == sum(map(len, values)):
            return field.name
    fix = 'give each a field such as `kind: Literal["card"] = "card"`'
    raise Undescribable(f"{_name(kind)} cannot be declared: its classes cannot be told apart when they arrive; {fix}")


def _choices(record: Record, name: str) -> set[object]:
    """What a field of a class is one of, if it is a ``Literal``."""
    for field in fields_of(record.cls):
        if field.name == name and typing.get_origin(field.type) is Literal:
            return set(typing.get_args(field.type))
    return set()


def _name(kind: object) -> str:
    return inspect.formatannotation(kind)
