"""JSON Schema from shapes, of values as JSON shows them (RFC 8949, section 6.1): bytes are base64url there.

The same inputs give the same schema, to the byte. Classes are definitions of their own, under their names.
"""

from __future__ import annotations

import inspect
import re
from collections import Counter
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import attrs

from .shapes import Anything, Array, Choice, Field, Fixed, Map, Plain, Record, Union, fields_of, shape_of, walk

if TYPE_CHECKING:
    from collections.abc import Iterable

Dialect: TypeAlias = Literal["2020-12", "draft-07"]
"""Which JSON Schema: the newest, or the one that AsyncAPI's own schema objects are made of."""

Schema: TypeAlias = dict[str, Any]

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

    def of(self, kind: Any) -> Schema:
        """The schema of a type."""
        shape = shape_of(kind)
        match shape:
            case Anything():
                return {}
            case Plain(name):
                return dict(PLAIN[name])
            case Choice(values):
                return {"const": values[0]} if len(values) == 1 else {"enum": list(values)}
            case Array(element):
                return {"type": "array", "items": self.of(element)}
            case Fixed(elements):
                return self.fixed([self.of(each) for each in elements])
            case Map(value):
                return {"type": "object", "additionalProperties": self.of(value)}
            case Record(cls):
                return {"$ref": self._prefix + self._names[cls]}
            case Union(options, tag):
                return self._union(options, tag)

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
        properties = {field.name: {**self.of(field.type), **_default(field)} for field in fields}
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

    def _union(self, options: tuple[Any, ...], tag: str | None) -> Schema:
        # What is told apart by a field matches one at most, so it is said strictly; kinds of values do by themselves.
        return {"anyOf" if tag is None else "oneOf": [self.of(option) for option in options]}


def _default(field: Field) -> Schema:
    """What a field is if it is left out, where that can be said here."""
    if field.required:
        return {}
    value = field.default.value if isinstance(field.default, Enum) else field.default
    plain = value is None or isinstance(value, bool | int | float | str)
    # Beside a reference draft 7 has nothing.
    return {"default": value} if plain and not isinstance(shape_of(field.type), Record) else {}


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
