"""JSON Schema from shapes, of values as JSON shows them (RFC 8949, section 6.1): bytes are base64url there.

The same inputs give the same schema, to the byte. Classes are definitions of their own, under their names. What is
taken is always valid by it; what is valid may still be refused, where a validator says what no schema can.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from .keywords import NEVER, Parts, Schema, admit, keywords, listed, parts_of
from .shapes import (
    Anything,
    Array,
    Choice,
    Compound,
    Field,
    Fixed,
    Map,
    Plain,
    Record,
    Union,
    fields_of,
    shape_of,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

Dialect: TypeAlias = Literal["2020-12", "draft-07"]
"""Which JSON Schema: the newest, or the one that AsyncAPI's own schema objects are made of."""

PLAIN: Final[dict[str, Schema]] = {
    "null": {"type": "null"},
    "boolean": {"type": "boolean"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "text": {"type": "string"},
    # A byte string of CBOR; what reads JSON sees it as the command line prints it.
    "bytes": {"type": "string", "contentEncoding": "base64url", "x-cbor-type": "bytes"},
    "datetime": {"type": "string", "format": "date-time"},
    "date": {"type": "string", "format": "date"},
    "uuid": {"type": "string", "format": "uuid"},
}


class Schemas:
    """The schemas of some types, which share their classes.

    Args:
        kinds: All types that schemas are made of.
        prefix: Where the classes are found in the document: ``#/$defs/``.
        dialect: The JSON Schema that it is in.
    """

    def __init__(self, kinds: Iterable[Any], prefix: str, dialect: Dialect) -> None:
        self._prefix = prefix
        self._dialect = dialect
        self._names: dict[type, str] = _named({shape.cls for kind in kinds for shape in _records(kind)})

    def definitions(self) -> dict[str, Schema]:
        """The schemas of all classes, by name."""
        by_name = sorted((name, cls) for cls, name in self._names.items())
        return {name: self._record(cls) for name, cls in by_name}

    def of(self, kind: Any, validators: Iterable[Any] = ()) -> Schema:
        """The schema of a type.

        Args:
            kind: The type.
            validators: Of attrs, which all look at what has become of the value.
        """
        shape = shape_of(kind)
        match shape:
            case Anything():
                return {}
            case Union(options, tag):
                return _one_of([self.of(option, validators) for option in options], tag)
            case Choice(values, enum):
                pairs = [(value, value if enum is None else enum(value)) for value in values]
                return listed([value for value, instance in pairs if admit(validators, instance)])
            case Plain("boolean" | "null" as name):
                every = [None] if name == "null" else [False, True]
                left = [value for value in every if admit(validators, value)]
                return dict(PLAIN[name]) if left == every else listed(left)
            case _:
                parts = parts_of(validators)
                said = keywords(parts.own, shape)
                return NEVER if said == NEVER else {**self._composed(shape, parts), **said}

    def _composed(self, shape: Compound, parts: Parts) -> Schema:
        match shape:
            case Plain(name):
                return dict(PLAIN[name])
            case Array(element):
                return {"type": "array", "items": self.of(element, parts.members)}
            case Fixed(elements):
                return self.fixed([self.of(each, parts.members) for each in elements])
            case Map(value):
                names = self.of(str, [*parts.members, *parts.keys])
                named = {} if names == PLAIN["text"] else {"propertyNames": names}
                return {"type": "object", **named, "additionalProperties": self.of(value, parts.values)}
            case Record(cls):
                return {"$ref": self._prefix + self._names[cls]}

    def fixed(self, elements: list[Schema], required: int | None = None, rest: Schema | None = None) -> Schema:
        """The schema of a list with an own schema for each element.

        Args:
            elements: The schemas.
            required: How many there are at least; all, if not given.
            rest: The schema of those behind them; there are none, if not given.
        """
        newest = self._dialect == "2020-12"
        schema: Schema = {"type": "array"}
        if elements:
            schema["prefixItems" if newest else "items"] = elements
        if rest is not None:
            schema["items" if newest or not elements else "additionalItems"] = rest
        schema["minItems"] = len(elements) if required is None else required
        return schema if rest is not None else {**schema, "maxItems": len(elements)}

    def members(self, fields: Iterable[Field]) -> Schema:
        """The schema of a map with these fields and no other."""
        fields = list(fields)
        properties = {field.name: _with_default(self.of(field.type, field.validators), field) for field in fields}
        required = [field.name for field in fields if field.required]
        schema: Schema = {"type": "object", "properties": properties}
        if required:
            schema["required"] = required
        return {**schema, "additionalProperties": False}

    def _record(self, cls: type[Any]) -> Schema:
        schema: Schema = {"title": cls.__name__}
        if doc := inspect.getdoc(cls):
            schema["description"] = doc
        return {**schema, **self.members(fields_of(cls))}


def _one_of(options: list[Schema], tag: str | None) -> Schema:
    """One of several, of those that are possible at all."""
    possible = [option for option in options if option != NEVER]
    if len(possible) < 2:
        return possible[0] if possible else NEVER
    # What is told apart by a field matches one at most, so it is said strictly; kinds of values do by themselves.
    return {"anyOf" if tag is None else "oneOf": possible}


def _with_default(schema: Schema, field: Field) -> Schema:
    """Beside it what the field is if it is left out, where that can be said here."""
    if field.required or "$ref" in schema:  # beside a reference draft 7 has nothing
        return schema
    value = field.default.value if isinstance(field.default, Enum) else field.default
    plain = value is None or isinstance(value, bool | int | float | str)
    return {**schema, "default": value} if plain else schema


def _records(kind: Any) -> list[Record]:
    return [shape for shape in walk(kind) if isinstance(shape, Record)]


def _named(classes: Iterable[type[Any]]) -> dict[type, str]:
    """A name for each class: its own, or with its module where several have the same."""
    ordered = sorted(classes, key=_full_name)
    counts = Counter(cls.__name__ for cls in ordered)
    return {cls: cls.__name__ if counts[cls.__name__] == 1 else _full_name(cls) for cls in ordered}


def _full_name(cls: type[Any]) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "", f"{cls.__module__}.{cls.__qualname__}")


def field_of(parameter: inspect.Parameter, kind: Any) -> Field:
    """A parameter of a procedure as the field of a map of named arguments."""
    required = parameter.default is inspect.Parameter.empty
    return Field(parameter.name, kind, required, attrs.NOTHING if required else parameter.default)
