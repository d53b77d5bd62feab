"""What attrs validators say, as keywords of JSON Schema.

Rule: what is said is exactly what is enforced. A validator for which there is no keyword that takes the same values is
left out, and so is one that a program has written itself; the schema then takes more than the service does, never less.
"""

from __future__ import annotations

from datetime import date, datetime
from enum import Enum
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from uuid import UUID

import attrs

from .regexes import ecma_pattern
from .shapes import Array, Fixed, Map, Plain, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from .shapes import Compound

Schema: TypeAlias = dict[str, Any]

NEVER: Final[Schema] = {"not": {}}
"""Takes nothing."""

INTEGER_MAX: Final = 2**53
"""The largest integer that travels (SPEC PKT-6)."""

LISTED_MAX: Final = 256
"""So many numbers of a ``range`` are listed."""

_OF_ATTRS: Final[Any] = attrs.validators


def _class_of(validator: object) -> type[object]:
    return type(validator)


# The classes of validators have no public names.
_AND: Final = _class_of(_OF_ATTRS.and_())
_OR: Final = _class_of(_OF_ATTRS.or_())
_NOT: Final = _class_of(_OF_ATTRS.not_(_OF_ATTRS.and_()))
_OPTIONAL: Final = _class_of(_OF_ATTRS.optional(_OF_ATTRS.and_()))
_EACH: Final = _class_of(_OF_ATTRS.deep_iterable(_OF_ATTRS.and_()))
_ENTRIES: Final = _class_of(_OF_ATTRS.deep_mapping(_OF_ATTRS.and_()))
_INSTANCE: Final = _class_of(_OF_ATTRS.instance_of(int))
_IN: Final = _class_of(_OF_ATTRS.in_(()))
_COMPARED: Final = _class_of(_OF_ATTRS.ge(0))
_SHORTEST: Final = _class_of(_OF_ATTRS.min_len(0))
_LONGEST: Final = _class_of(_OF_ATTRS.max_len(0))
_MATCHING: Final = _class_of(_OF_ATTRS.matches_re(""))

_COMPARISONS: Final = {">=": "minimum", ">": "exclusiveMinimum", "<=": "maximum", "<": "exclusiveMaximum"}

_LENGTHS: Final[dict[type, str]] = {Array: "Items", Map: "Properties"}

_CLASSES: Final[dict[str, type]] = {
    "null": type(None),
    "boolean": bool,
    "integer": int,
    "number": float,
    "text": str,
    "bytes": bytes,
    "datetime": datetime,
    "date": date,
    "uuid": UUID,
}

_EQUALITIES: Final[tuple[Any, ...]] = (object.__eq__, int.__eq__, float.__eq__, str.__eq__, bytes.__eq__)

_STRICTER: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "minimum": max,
    "exclusiveMinimum": max,
    "maximum": min,
    "exclusiveMaximum": min,
    "minLength": max,
    "maxLength": min,
    "minItems": max,
    "maxItems": min,
    "minProperties": max,
    "maxProperties": min,
}
"""Which of two values of a keyword says more."""


@attrs.define
class Parts:
    """The validators of one value, which all have to pass, by what they look at."""

    own: list[Any] = attrs.field(factory=list[Any])
    """At the value itself."""
    members: list[Any] = attrs.field(factory=list[Any])
    """At each element of it, or each key."""
    keys: list[Any] = attrs.field(factory=list[Any])
    values: list[Any] = attrs.field(factory=list[Any])
    """At each key and each value of a map."""


def parts_of(validators: Iterable[Any]) -> Parts:
    """Take validators apart that look at a value other than None."""
    parts = Parts()
    waiting = [*validators][::-1]
    while waiting:
        validator = waiting.pop()
        kind = _class_of(validator)
        inner: list[Any] = []
        if kind is _AND:
            inner = [*validator._validators]
        elif kind is _OPTIONAL:
            inner = [validator.validator]
        elif kind is _EACH:
            inner = [validator.iterable_validator]
            parts.members.append(validator.member_validator)
        elif kind is _ENTRIES:
            inner = [validator.mapping_validator]
            parts.keys.append(validator.key_validator)
            parts.values.append(validator.value_validator)
        elif validator is not None:
            parts.own.append(validator)
        waiting += reversed(inner)
    return parts


def keywords(validators: Iterable[Any], shape: Compound) -> Schema:
    """What validators say of the values of a shape, beside what the shape says; `NEVER` if they take none.

    Args:
        validators: Those of `Parts.own`.
        shape: The shape.
    """
    said = (_said(validator, shape) for validator in validators)
    return _all_of(one for one in said if one is not None)


def admit(validators: Iterable[Any], value: object) -> bool:
    """Whether validators take a value, as far as they are known."""
    for validator in validators:
        kind = _class_of(validator)
        if kind is _AND:
            admitted = admit(validator._validators, value)
        elif kind is _OPTIONAL:
            admitted = value is None or admit([validator.validator], value)
        else:
            admitted = not _is_known(validator) or _passes(validator, value)
        if not admitted:
            return False
    return True


# ---------------------------------------------------------------- one validator


def _said(validator: Any, shape: Compound) -> Schema | None:
    """What one says, exactly; None if that cannot be said."""
    kind = _class_of(validator)
    if kind in (_AND, _OR):
        said = [_said(one, shape) for one in (validator._validators if kind is _AND else validator.validators)]
        exact = [one for one in said if one is not None]
        if len(exact) < len(said):
            return None
        return _all_of(exact) if kind is _AND else _any_of(exact)
    if kind is _OPTIONAL:
        return _said(validator.validator, shape)
    if kind is _NOT:
        return _not(validator, shape)
    if kind is _INSTANCE:
        return _instance(validator, shape)
    if kind in (_SHORTEST, _LONGEST):
        return _length(validator, shape)
    if isinstance(shape, Plain):
        if kind is _IN:
            return _in(validator, shape.name)
        if kind is _COMPARED:
            return _compared(validator, shape.name)
        if kind is _MATCHING and shape.name == "text" and isinstance(validator.pattern.pattern, str):
            pattern = ecma_pattern(validator.pattern, validator.match_func.__name__)
            return None if pattern is None else {"pattern": pattern}
    return None


def _not(validator: Any, shape: Compound) -> Schema | None:
    said = _said(validator.validator, shape)
    # What fails otherwise than it expects is no answer.
    if said is None or not all(issubclass(error, validator.exc_types) for error in (ValueError, TypeError)):
        return None
    if said in ({}, NEVER):
        return {} if said else NEVER
    return {"not": said}


def _instance(validator: Any, shape: Compound) -> Schema | None:
    try:
        return {} if issubclass(_made(shape), validator.type) else NEVER
    except TypeError:  # no class, or one that looks at instances only
        return None


def _made(shape: Compound) -> type:
    """The class of what a value becomes."""
    match shape:
        case Plain(name):
            return _CLASSES[name]
        case Array(_, container):
            return container
        case Fixed():
            return tuple
        case Map():
            return dict
        case Record(cls):
            return cls


def _length(validator: Any, shape: Compound) -> Schema | None:
    least = _class_of(validator) is _SHORTEST
    bound = validator.min_length if least else validator.max_length
    if type(bound) is not int:
        return None
    match shape:
        case Plain("text"):
            of = "Length"
        case Array() | Map():
            of = _LENGTHS[type(shape)]
        case Fixed(elements):
            return {} if (len(elements) >= bound if least else len(elements) <= bound) else NEVER
        case _:  # of bytes it would be the length of their text
            return None
    if bound < 0 or (least and bound == 0):
        return {} if least else NEVER
    return {f"{'min' if least else 'max'}{of}": bound}


def _compared(validator: Any, name: str) -> Schema | None:
    if name not in ("integer", "number") or not _is_plain_number(validator.bound):
        return None
    return {_COMPARISONS[validator.compare_op]: validator.bound}


def _is_plain_number(bound: object) -> bool:
    """Whether a bound is the same number for whoever reads the document."""
    if type(bound) is float:
        return isfinite(bound)
    return type(bound) is int and abs(bound) <= INTEGER_MAX


def _in(validator: Any, name: str) -> Schema | None:
    if name not in ("text", "integer", "number"):
        return None
    options: Any = getattr(validator, "_original_options", validator.options)
    if type(options) is range and name == "integer" and options.step == 1:
        return {"minimum": options.start, "maximum": options.stop - 1} if options else NEVER
    if type(options) is range and len(options) > LISTED_MAX:
        return None
    if type(options) not in (range, tuple, list, dict, set, frozenset):
        return None  # such as a text, in which each part of it is found
    values: list[Any] = []
    for option in options:
        found = _as_text(option) if name == "text" else _as_number(option, name == "integer")
        if found is None:
            return None
        values += [value for value in found if value not in values]
    if isinstance(options, (set, frozenset)):
        values.sort()
    return listed(values)


def listed(values: list[Any]) -> Schema:
    """One of some values."""
    if not values:
        return NEVER
    return {"const": values[0]} if len(values) == 1 else {"enum": values}


def _is_plain(option: object) -> bool:
    """Whether it is equal to what it looks like."""
    if isinstance(option, Enum):
        return type(option).__eq__ in _EQUALITIES
    return option is None or type(option) in (bool, int, float, str, bytes)


def _as_text(option: object) -> list[str] | None:
    """The texts that an option is equal to; None if that is not known."""
    if not _is_plain(option):
        return None
    return [str.__str__(option)] if isinstance(option, str) else []


def _as_number(option: object, whole: bool) -> list[int | float] | None:
    """The numbers that an option is equal to; None if that is not known."""
    if not _is_plain(option):
        return None
    if isinstance(option, int):
        number = int(option)
        return [number] if abs(number) <= INTEGER_MAX else ([] if whole else None)
    if not isinstance(option, float) or not isfinite(option) or (whole and not option.is_integer()):
        return []
    return [int(option) if whole else float(option)]


# ---------------------------------------------------------------- several


def _all_of(said: Iterable[Schema]) -> Schema:
    """What several say together."""
    merged: Schema = {}
    others: list[Schema] = []
    for one in said:
        if one == NEVER:
            return NEVER
        for keyword, value in one.items():
            if keyword not in merged:
                merged[keyword] = value
            elif keyword in _STRICTER:
                merged[keyword] = _STRICTER[keyword](merged[keyword], value)
            elif merged[keyword] != value:
                others.append({keyword: value})
    return {**merged, "allOf": [*merged.get("allOf", ()), *others]} if others else merged


def _any_of(said: list[Schema]) -> Schema:
    """What one of several says."""
    if {} in said:
        return {}
    possible = [one for one in said if one != NEVER]
    if not possible:
        return NEVER
    return possible[0] if len(possible) == 1 else {"anyOf": possible}


# ---------------------------------------------------------------- values that can be counted


@attrs.frozen
class _Holder:
    value: object


_ATTRIBUTE: Final[Any] = attrs.fields(_Holder).value
"""What validators say in their messages whose value it is."""


def _is_known(validator: Any) -> bool:
    """Whether it is one of attrs, with all that it is made of: such a one looks at the value alone."""
    kind = _class_of(validator)
    if kind in (_AND, _OR):
        return all(map(_is_known, validator._validators if kind is _AND else validator.validators))
    if kind in (_OPTIONAL, _NOT):
        return _is_known(validator.validator)
    if kind is _EACH:
        return all(map(_is_known, (validator.member_validator, validator.iterable_validator)))
    if kind is _ENTRIES:
        inner = (validator.key_validator, validator.value_validator, validator.mapping_validator)
        return all(map(_is_known, inner))
    return validator is None or kind in (_INSTANCE, _IN, _COMPARED, _SHORTEST, _LONGEST, _MATCHING)


def _passes(validator: Any, value: object) -> bool:
    try:
        validator(None, _ATTRIBUTE, value)
    except Exception:
        return False
    return True
