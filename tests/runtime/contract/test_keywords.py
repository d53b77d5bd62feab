"""What validators say in a schema: exactly what they enforce, or nothing."""

from __future__ import annotations

import re
from datetime import date, datetime
from enum import Enum, IntEnum, StrEnum
from math import inf, nan
from typing import Any, Literal, cast
from uuid import UUID

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser.contract.conversion import conversion
from hawser.contract.schemas import Dialect, Schemas

v: Any = attrs.validators


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Card:
    kind: Literal["card"]


@attrs.frozen
class Cash:
    kind: Literal["cash"]


class Own(Enum):
    A = "a"


class Loose(Enum):
    A = "a"

    def __eq__(self, other: object) -> bool:
        return self.value == other

    __hash__ = Enum.__hash__


class Odd(str):
    """A text that is equal to others than it looks like."""

    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]


def custom(_: object, __: object, value: object) -> None:
    """A validator of a program's own, which no schema tells."""
    if value in ("forbidden", 7):
        raise ValueError("not that one")


def class_of(kind: Any, validator: Any, **rest: Any) -> Any:
    return attrs.make_class("It", {"x": attrs.field(type=kind, validator=validator, **rest)})


def told(cls: Any, dialect: Dialect = "2020-12") -> dict[str, Any]:
    """The schema of the one field."""
    schemas = Schemas([cls], "#/$defs/", dialect)
    return cast("dict[str, Any]", schemas.definitions()["It"]["properties"]["x"])


def is_taken(cls: Any, value: Any) -> bool:
    conversion().prepare(cls)
    try:
        conversion().structure({"x": value}, cls)
    except Exception:  # also what a validator raises that was not made for such a value: it is taken by nobody
        return False
    return True


def validator_of(cls: Any) -> Any:
    schemas = Schemas([cls], "#/$defs/", "2020-12")
    return jsonschema.Draft202012Validator({**schemas.of(cls), "$defs": schemas.definitions()})


SOME_TEXTS = ["", "a", "b", "ab", "abc", "a1", "é", "😀", "😀😀", "red", "blue", "a\nb", "7"]
SOME_NUMBERS = [-2, -1, 0, 1, 2, 3, 7, 2**53]
SOME_FRACTIONS = [-1.5, 0.5, 2.5]
EVERY: list[Any] = [
    *SOME_NUMBERS, *SOME_FRACTIONS, *SOME_TEXTS, None, True, False, {"kind": "card"}, {"kind": "cash"},
    [], [1], ["a"], [1, 2], [3, 2, 1], [-1, 10], {}, {"a": 1}, {"abc": -1}, {"a": 1, "b": 2, "ab": 3, "é": 4},
]  # fmt: skip

NEVER: dict[str, Any] = {"not": {}}
TEXT = {"type": "string"}
WHOLE = {"type": "integer"}
NUMBER = {"type": "number"}
NULL = {"type": "null"}
NUMBERS = {"type": "array", "items": WHOLE}

# type, validator, what is told
EXACT: list[tuple[Any, Any, Any]] = [
    (int, v.ge(0), {**WHOLE, "minimum": 0}),
    (int, v.gt(-1.5), {**WHOLE, "exclusiveMinimum": -1.5}),
    (float, v.le(2**53), {**NUMBER, "maximum": 2**53}),
    (float, v.lt(0.1), {**NUMBER, "exclusiveMaximum": 0.1}),
    (int, [v.ge(0), v.ge(3), v.lt(9), v.lt(7)], {**WHOLE, "minimum": 3, "exclusiveMaximum": 7}),
    (int, v.and_(v.ge(0), v.and_(v.le(5), v.instance_of(int))), {**WHOLE, "minimum": 0, "maximum": 5}),
    (str, v.min_len(2), {**TEXT, "minLength": 2}),
    (str, [v.max_len(5), v.max_len(3), v.min_len(0)], {**TEXT, "maxLength": 3}),
    (str, v.max_len(-1), NEVER),
    (list[int], [v.min_len(1), v.max_len(3)], {**NUMBERS, "minItems": 1, "maxItems": 3}),
    (dict[str, int], v.min_len(1), {"type": "object", "additionalProperties": WHOLE, "minProperties": 1}),
    (tuple[int, str], [v.min_len(2), v.max_len(2)], {
        "type": "array", "prefixItems": [WHOLE, TEXT], "minItems": 2, "maxItems": 2,
    }),
    (tuple[int, str], v.min_len(3), NEVER),
    (str, v.matches_re("[a-z]+"), {**TEXT, "pattern": "^[a-z]+$"}),
    (str, [v.matches_re("a", func=re.match), v.matches_re("b", func=re.search)], {
        **TEXT, "pattern": "^a", "allOf": [{"pattern": "b"}],
    }),
    (str, v.in_(["b", "a", "b", 1, None, Color.RED, Level.LOW, Own.A]), {**TEXT, "enum": ["b", "a", "red"]}),
    (str, v.in_({"b", "a", "c"}), {**TEXT, "enum": ["a", "b", "c"]}),
    (str, v.in_({"b": 1, "a": 2}), {**TEXT, "enum": ["b", "a"]}),
    (str, v.in_(frozenset(["only"])), {**TEXT, "const": "only"}),
    (str, v.in_([1, 2]), NEVER),
    (int, v.in_([3, 1.0, 0.5, True, "3", 2**60, Level.HIGH, nan, Color.RED]), {**WHOLE, "enum": [3, 1, 2]}),
    (int, v.in_(range(3, 7)), {**WHOLE, "minimum": 3, "maximum": 6}),
    (int, v.in_(range(0, 9, 3)), {**WHOLE, "enum": [0, 3, 6]}),
    (int, v.in_(range(0)), NEVER),
    (float, v.in_([1, 0.5, inf, None]), {**NUMBER, "enum": [1, 0.5]}),
    (float, v.in_(range(2)), {**NUMBER, "enum": [0, 1]}),
    (int | None, v.optional(v.ge(0)), {"anyOf": [{**WHOLE, "minimum": 0}, NULL]}),
    (int | None, v.optional([v.ge(0), v.le(9)]), {"anyOf": [{**WHOLE, "minimum": 0, "maximum": 9}, NULL]}),
    (int | None, v.ge(0), {**WHOLE, "minimum": 0}),  # what a validator cannot compare is not taken
    (int | None, v.in_([None, 1]), {"anyOf": [{**WHOLE, "const": 1}, NULL]}),
    (int | str, v.instance_of(int), WHOLE),
    (int | str | None, v.instance_of((int, type(None))), {"anyOf": [WHOLE, NULL]}),
    (int | str, v.instance_of(int | str), {"anyOf": [WHOLE, TEXT]}),
    (int | str, v.instance_of(bytes), NEVER),
    (bool, v.instance_of(int), {"type": "boolean"}),
    (bool, v.in_([True]), {"const": True}),
    (Literal["a", "b", 3], v.in_("ab"), {"enum": ["a", "b"]}),
    (Literal["a", "b"], v.not_(v.in_(["a"])), {"const": "b"}),
    (Color, v.in_([Color.RED]), {"const": "red"}),
    (Color, v.matches_re(r"\w{4}"), {"const": "blue"}),
    (Level, v.gt(1), {"const": 2}),
    (Level, v.gt(2), NEVER),
    (Card | Cash, v.instance_of(Cash), {"$ref": "#/$defs/Cash"}),
    (Card, v.instance_of(Card), {"$ref": "#/$defs/Card"}),
    (list[int], v.instance_of(list), NUMBERS),
    (tuple[int, ...], v.instance_of(list), NEVER),
    (dict[str, int], v.instance_of(dict), {"type": "object", "additionalProperties": WHOLE}),
    (tuple[int, str], v.instance_of(list), NEVER),
    (list[str], v.deep_iterable(v.max_len(3)), {"type": "array", "items": {**TEXT, "maxLength": 3}}),
    (list[int] | None, v.optional(v.deep_iterable([v.ge(0), v.le(9)], [v.min_len(1), v.instance_of(list)])), {
        "anyOf": [{"type": "array", "items": {**WHOLE, "minimum": 0, "maximum": 9}, "minItems": 1}, NULL],
    }),
    (tuple[int, float], v.deep_iterable(v.ge(0)), {
        "type": "array",
        "prefixItems": [{**WHOLE, "minimum": 0}, {**NUMBER, "minimum": 0}],
        "minItems": 2,
        "maxItems": 2,
    }),
    (list[str | int], v.deep_iterable(v.instance_of(str)), {"type": "array", "items": TEXT}),
    (dict[str, int], v.deep_iterable(v.max_len(2)), {
        "type": "object", "propertyNames": {**TEXT, "maxLength": 2}, "additionalProperties": WHOLE,
    }),
    (dict[str, int], v.deep_mapping(v.matches_re("[a-z]"), v.ge(0), v.max_len(3)), {
        "type": "object",
        "propertyNames": {**TEXT, "pattern": "^[a-z]$"},
        "additionalProperties": {**WHOLE, "minimum": 0},
        "maxProperties": 3,
    }),
    (dict[str, int], v.deep_mapping(value_validator=v.ge(0)), {
        "type": "object", "additionalProperties": {**WHOLE, "minimum": 0},
    }),
    (int, v.not_(v.ge(3)), {**WHOLE, "not": {"minimum": 3}}),
    (int, v.not_(v.instance_of(str)), WHOLE),
    (int, v.not_(v.instance_of(int)), NEVER),
    (int, v.or_(v.lt(0), v.in_([5, 7]), v.instance_of(str)), {
        **WHOLE, "anyOf": [{"exclusiveMaximum": 0}, {"enum": [5, 7]}],
    }),
    (int, v.or_(v.lt(0), v.instance_of(int)), WHOLE),
    (int, v.or_(v.instance_of(str), v.ge(3)), {**WHOLE, "minimum": 3}),
    (int, v.or_(v.instance_of(str), v.instance_of(bytes)), NEVER),
    (str, v.not_(v.and_(v.min_len(2), v.max_len(3))), {**TEXT, "not": {"minLength": 2, "maxLength": 3}}),
    (str, v.not_(v.optional(v.min_len(2))), {**TEXT, "not": {"minLength": 2}}),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "validator", "schema"), EXACT, ids=range(len(EXACT)))
def test_a_validator_that_has_a_keyword_is_told(kind: Any, validator: Any, schema: dict[str, Any]) -> None:
    cls = class_of(kind, validator)
    assert told(cls) == schema
    says = validator_of(cls)
    assert [value for value in EVERY if is_taken(cls, value)] == [one for one in EVERY if says.is_valid({"x": one})]


# type, validator, what else is told than of the type alone
LEFT_OUT: list[tuple[Any, Any]] = [
    (int, custom),
    (int, v.ge(2**53 + 1)),
    (int, v.ge(-inf)),
    (float, v.ge(nan)),
    (float, v.ge(True)),
    (float, v.in_([2**60 + 1])),
    (float, v.in_(range(0, 10_000, 3))),
    (int, v.in_(range(0, 10_000, 3))),
    (int, v.in_([1, UUID(int=1)])),
    (str, v.ge("a")),
    (str, v.in_("abc")),
    (str, v.in_(["a", Odd("b")])),
    (str, v.in_(["a", Loose.A])),
    (str, v.in_(["a", Level])),
    (str, v.min_len(1.5)),
    (str, v.deep_iterable(v.in_(["a"]))),
    (str, v.matches_re(r"\d+")),
    (str, v.matches_re("a", flags=re.IGNORECASE)),
    (str, v.is_callable()),
    (str, v.not_(v.matches_re(r"\w+"))),
    (str, v.not_(v.min_len(2), exc_types=KeyError)),
    (str, v.or_(v.min_len(2), custom)),
    (str, v.not_(v.and_(v.min_len(2), custom))),
    (bytes, v.max_len(3)),
    (bytes, v.in_([b"a"])),
    (datetime, v.ge(datetime(2026, 1, 1))),
    (date, v.in_([date(2026, 1, 1)])),
    (UUID, v.in_([UUID(int=1)])),
    (Any, v.ge(3)),
    (Literal["a", "b"], custom),
    (Literal["a", "b"], v.optional(custom)),
    (bool | None, v.or_(custom, v.instance_of(int))),
    (Literal["a", "b"], v.deep_iterable(custom)),
    (Literal["a", "b"], v.deep_mapping(custom)),
    (list[int], v.deep_mapping(v.ge(0))),
    (list[int], v.ge(0)),
    (int, v.instance_of("no class")),
    (Card, v.ge(3)),
]


@pytest.mark.parametrize(("kind", "validator"), LEFT_OUT, ids=range(len(LEFT_OUT)))
def test_a_validator_that_has_none_is_left_out(kind: Any, validator: Any) -> None:
    cls = class_of(kind, validator)
    assert told(cls) == Schemas([kind], "#/$defs/", "2020-12").of(kind)
    says = validator_of(cls)
    assert [value for value in EVERY if is_taken(cls, value) and not says.is_valid({"x": value})] == []
    both = class_of(kind, [validator, v.instance_of(object)])
    assert told(both) == told(cls)


def test_what_can_be_said_beside_what_cannot_is_said() -> None:
    assert told(class_of(str, [custom, v.matches_re(r"\d+"), v.max_len(3)])) == {**TEXT, "maxLength": 3}
    assert told(class_of(Literal["a", "b"], [custom, v.in_(["a"])])) == {"const": "a"}
    assert told(class_of(list[str], v.deep_iterable([custom, v.min_len(1)], custom))) == {
        "type": "array",
        "items": {**TEXT, "minLength": 1},
    }


def test_what_a_validator_gets_from_something_else_is_not_told() -> None:
    assert told(class_of(int, v.ge(3), converter=abs)) == WHOLE

    @attrs.define
    class It:
        x: int = attrs.field(validator=v.ge(3))

        def __init__(self, x: int) -> None:
            self.__attrs_init__(abs(x))  # type: ignore[attr-defined]  # pyright: ignore

    It.__annotations__["x"] = int
    assert told(It) == WHOLE
    assert is_taken(It, -4)


def test_a_default_stands_beside_what_is_told_but_not_beside_a_reference() -> None:
    assert told(class_of(int, v.ge(0), default=1)) == {**WHOLE, "minimum": 0, "default": 1}
    assert told(class_of(Card | None, v.instance_of(Card), default=None)) == {"$ref": "#/$defs/Card"}
    cls = class_of(list[str], v.deep_iterable(v.min_len(1)), factory=list)
    assert told(cls, "draft-07") == {"type": "array", "items": {**TEXT, "minLength": 1}}


# ---------------------------------------------------------------- the two say the same

EXPRESSIONS = ["a", "[a-c]+", "a?b", "(a|b)(?=b|$)", "[^a]", ".", "(?P<x>a)1|é", r"\S+", "^ab$", r"\Aa", "😀{2}"]
INEXACT = [r"\d", r"\w+", r"a$|b", "(?i)A", r"\bab"]

bounds = st.sampled_from([*SOME_NUMBERS, *SOME_FRACTIONS, 1e300, -1e300])
comparing = st.sampled_from([v.ge, v.gt, v.le, v.lt]).flatmap(lambda make: bounds.map(make))
lengths = st.sampled_from([v.min_len, v.max_len]).flatmap(lambda make: st.integers(-1, 3).map(make))
listing = st.one_of(
    st.lists(st.sampled_from([*SOME_TEXTS, *SOME_NUMBERS, *SOME_FRACTIONS, None, True, Color.RED, Level.LOW])),
    st.sets(st.sampled_from(SOME_TEXTS)),
    st.sets(st.sampled_from(SOME_NUMBERS)),
).map(v.in_)
classes = st.sampled_from([int, str, float, bool, list, dict, (int, str), type(None), Card]).map(v.instance_of)


def matching(expressions: list[str]) -> st.SearchStrategy[Any]:
    func = st.sampled_from([re.match, re.search, re.fullmatch])
    return func.flatmap(lambda how: st.sampled_from(expressions).map(lambda text: v.matches_re(text, func=how)))


def composed(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    several = st.lists(inner, min_size=1, max_size=3)
    return st.recursive(
        st.one_of(inner, several.map(lambda each: v.and_(*each))),
        lambda inner: st.one_of(
            inner.map(v.not_),
            inner.map(v.optional),
            st.lists(inner, min_size=1, max_size=3).map(lambda each: v.or_(*each)),
            st.lists(inner, min_size=1, max_size=3).map(lambda each: v.and_(*each)),
        ),
        max_leaves=4,
    )


OF_NUMBERS = composed(st.one_of(comparing, listing, classes))
FOUND_ANYWHERE = [one for one in EXPRESSIONS if "$" not in one]
OF_TEXTS = composed(st.one_of(lengths, listing, classes, matching(FOUND_ANYWHERE), st.just(v.matches_re("^ab$"))))
OF_OTHERS = composed(st.one_of(listing, classes))
OF_LISTS = st.one_of(
    lengths,
    st.builds(v.deep_iterable, OF_NUMBERS),
    st.builds(v.deep_iterable, OF_NUMBERS, lengths),
)
OF_MAPS = st.one_of(lengths, st.builds(v.deep_mapping, OF_TEXTS, OF_NUMBERS, lengths))
PAIRS: st.SearchStrategy[tuple[Any, Any]] = st.one_of(
    st.tuples(st.sampled_from([int, float, int | None, float | None]), OF_NUMBERS),
    st.tuples(st.sampled_from([str, str | None]), OF_TEXTS),
    st.tuples(
        st.sampled_from([bool, Color, Level, Literal["a", 1, True, "7"], Card | Cash, type(None), bool | None]),
        OF_OTHERS,
    ),
    st.tuples(st.sampled_from([int | str, str | bool | float | None]), composed(st.one_of(listing, classes))),
    st.tuples(st.sampled_from([list[int], tuple[float, ...], list[int | None], tuple[int, float]]), OF_LISTS),
    st.tuples(st.sampled_from([list[int] | None, tuple[int, int] | None]), OF_LISTS.map(v.optional)),
    st.tuples(st.sampled_from([dict[str, int], dict[str, int] | None]), OF_MAPS),
)
"""Types, and validators that can be told of them."""

NUMERIC = st.sampled_from([*SOME_NUMBERS, *SOME_FRACTIONS])
SEVERAL = st.one_of(
    st.lists(NUMERIC, max_size=4),
    st.dictionaries(st.sampled_from(SOME_TEXTS), st.sampled_from(SOME_NUMBERS), max_size=4),
)
"""Values of several parts, which are tried beside `EVERY` other one."""


@pytest.mark.slow
@given(pair=PAIRS, several=st.lists(SEVERAL, max_size=10))
def test_what_can_be_told_is_told_exactly(pair: tuple[Any, Any], several: list[Any]) -> None:
    cls = class_of(*pair)
    validator = validator_of(cls)
    taken = [value for value in EVERY + several if is_taken(cls, value)]
    assert taken == [value for value in EVERY + several if validator.is_valid({"x": value})], told(cls)


KINDS: list[Any] = [
    int, float, str, bool, bytes, Any, Color, Level, int | None, int | str, str | None, Literal["a", 1], Card | Cash,
    list[int], list[str | None], tuple[int, str], tuple[str, ...], dict[str, str], dict[str, list[int]] | None,
]  # fmt: skip
LEAVES = st.one_of(
    comparing,
    lengths,
    listing,
    classes,
    matching(EXPRESSIONS + INEXACT),
    st.sampled_from([custom, v.is_callable(), v.in_("abc"), v.in_(range(0, 900, 7)), v.ge("b"), v.max_len(1.5)]),
)
ANY_VALIDATOR = st.recursive(
    composed(LEAVES),
    lambda inner: st.one_of(
        st.builds(v.deep_iterable, inner),
        st.builds(v.deep_iterable, inner, inner),
        st.builds(v.deep_mapping, inner, inner, inner),
        inner.map(v.optional),
        inner.map(v.not_),
    ),
    max_leaves=3,
)
CONVERTERS: list[Any] = [None, None, None, str, lambda value: [value]]  # pyright: ignore[reportUnknownLambdaType]


@pytest.mark.slow
@given(
    kind=st.sampled_from(KINDS),
    validator=ANY_VALIDATOR,
    converter=st.sampled_from(CONVERTERS),
    several=st.lists(st.one_of(SEVERAL, st.lists(st.sampled_from(SOME_TEXTS), max_size=3)), max_size=10),
)
def test_whatever_is_taken_is_valid(kind: Any, validator: Any, converter: Any, several: list[Any]) -> None:
    cls = class_of(kind, validator, converter=converter)
    schema = validator_of(cls)
    for value in EVERY + several:
        assert schema.is_valid({"x": value}) or not is_taken(cls, value), (value, told(cls))
