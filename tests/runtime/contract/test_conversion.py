"""What is declared is what is taken: every kind of type, what is wrong with a value, and how much work that costs."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta, timezone
from enum import Enum, IntEnum, StrEnum
from math import inf, nan
from typing import Annotated, Any, Generic, Literal, NewType, TypeVar, cast
from uuid import UUID

import attrs
import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser.contract.conversion import Conversion, conversion
from hawser.contract.problems import PROBLEMS_MAX, ContractBroken
from hawser.contract.schemas import Schemas
from hawser.contract.shapes import Undescribable, kinds_of, shape_of, walk


class Color(StrEnum):
    RED = "red"
    BLUE = "blue"


class Level(IntEnum):
    LOW = 1
    HIGH = 2


class Plain(Enum):
    A = "a"
    TWO = 2


@attrs.frozen
class Point:
    x: int
    y: int = attrs.field(default=0, validator=attrs.validators.ge(0))


@attrs.frozen
class Circle:
    kind: Literal["circle", "disc"]
    radius: float


@attrs.frozen
class Line:
    kind: Literal["line"]
    ends: tuple[Point, Point]


@attrs.frozen
class Whole:
    """A field that has another type than it takes."""

    number: int | str = attrs.field(validator=attrs.validators.instance_of(int))
    numbers: list[int | str] = attrs.field(
        factory=list["int | str"], validator=attrs.validators.deep_iterable(attrs.validators.instance_of(int))
    )


@attrs.frozen
class Card:
    """Without validators, which no schema tells."""

    x: int
    y: float | None = None


@attrs.frozen
class Segment:
    kind: Literal["line"]
    ends: tuple[Card, Card]


@attrs.frozen
class Tree:
    name: str
    children: list[Tree] = attrs.field(factory=list["Tree"])
    secret: int = attrs.field(init=False, default=7)


Free = attrs.make_class("Free", ["anything"])

Name = NewType("Name", str)


MOMENT = datetime(2026, 5, 17, 12, 30, 1, 500_000, tzinfo=timezone(timedelta(hours=2)))
ID = UUID("12345678-1234-5678-1234-567812345678")

# type, what travels, what it becomes
TAKEN: list[tuple[Any, Any, Any]] = [
    (bool, True, True),
    (int, 3, 3),
    (float, 1.5, 1.5),
    (float, 3, 3.0),
    (str, "", ""),
    (bytes, b"\x00", b"\x00"),
    (None, None, None),
    (Any, {"a": [1, None, b"x"]}, {"a": [1, None, b"x"]}),
    (datetime, "2026-05-17T12:30:01.500000+02:00", MOMENT),
    (datetime, "2026-05-17t10:30:01.5Z", MOMENT),
    (date, "2026-05-17", date(2026, 5, 17)),
    (UUID, "12345678-1234-5678-1234-567812345678", ID),
    (Color, "red", Color.RED),
    (Level, 2, Level.HIGH),
    (Plain, 2, Plain.TWO),
    (Literal["a", 1], 1, 1),
    (Literal[True], True, True),
    (Annotated[int, "of something"], 3, 3),
    (list[int], [1, 2], [1, 2]),
    (list, [1, "a"], [1, "a"]),
    (Sequence[str], ["a"], ["a"]),
    (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
    (tuple[int, str], [1, "a"], (1, "a")),
    (dict[str, int], {"a": 1}, {"a": 1}),
    (Mapping[str, Point], {"a": {"x": 1}}, {"a": Point(1)}),
    (dict, {"a": None}, {"a": None}),
    (int | None, None, None),
    (int | str, "a", "a"),
    (Literal["a"] | int | None, 4, 4),
    (list[int] | dict[str, int] | bytes | bool, [1], [1]),
    (Color | None, "blue", Color.BLUE),
    (Any | None, 5, 5),
    (object, [1, "a"], [1, "a"]),
    (int | float, 3, 3),
    (int | float, 1.5, 1.5),
    (float | None | int, 3, 3),
    (tuple, [1, "a"], (1, "a")),
    (Name, "ada", "ada"),
    (Point, {"x": 1, "y": 2}, Point(1, 2)),
    (Point, {"x": 1}, Point(1)),
    (Point | None, {"x": 1}, Point(1)),
    (Circle | Line | None, {"kind": "disc", "radius": 1}, Circle("disc", 1.0)),
    (Circle | Line, {"kind": "line", "ends": [{"x": 1}, {"x": 2}]}, Line("line", (Point(1), Point(2)))),
    (Tree, {"name": "a", "children": [{"name": "b"}]}, Tree("a", [Tree("b")])),
]

# type, what travels, what is said of it: path, code, message
REFUSED: list[tuple[Any, Any, list[tuple[str, str, str]]]] = [
    (bool, 1, [("$", "type", "saw a number, expected a truth value")]),
    (int, True, [("$", "type", "saw a truth value, expected an integer")]),
    (int, 3.0, [("$", "type", "saw a number, expected an integer")]),
    (int, "5", [("$", "type", "saw a text, expected an integer")]),
    (float, True, [("$", "type", "saw a truth value, expected a number")]),
    (float, nan, [("$", "value", "saw nan, expected a finite number")]),
    (float, -inf, [("$", "value", "saw -inf, expected a finite number")]),
    (str, b"a", [("$", "type", "saw bytes, expected a text")]),
    (bytes, "a", [("$", "type", "saw a text, expected bytes")]),
    (None, 0, [("$", "type", "saw a number, expected null")]),
    (datetime, 5, [("$", "type", "saw a number, expected a date and time of RFC 3339")]),
    (datetime, "2026-05-17T12:30:01", [("$", "value", "saw another text, expected a date and time of RFC 3339")]),
    (datetime, "2026-13-17T12:30:01Z", [("$", "value", "saw another text, expected a date and time of RFC 3339")]),
    (date, "17.5.2026", [("$", "value", "saw another text, expected a date of RFC 3339")]),
    (UUID, "1234", [("$", "value", "saw another text, expected a UUID")]),
    (Color, "green", [("$", "value", "expected 'red' or 'blue'")]),
    (Color, ["red"], [("$", "value", "expected 'red' or 'blue'")]),
    (Level, True, [("$", "value", "expected 1 or 2")]),
    (Literal["a", 1], True, [("$", "value", "expected 'a' or 1")]),
    (list[int], "12", [("$", "type", "saw a text, expected a list")]),
    (list[int], [1, "a", None], [
        ("$[1]", "type", "saw a text, expected an integer"), ("$[2]", "type", "saw null, expected an integer"),
    ]),
    (tuple[int, str], [1], [("$", "value", "saw 1 elements, expected 2")]),
    (tuple[int, str], {"a": 1}, [("$", "type", "saw a map, expected a list")]),
    (tuple[int, str], ["a", "b"], [("$[0]", "type", "saw a text, expected an integer")]),
    (dict[str, int], [], [("$", "type", "saw a list, expected a map")]),
    (dict[str, int], {"a b": "c"}, [('$["a b"]', "type", "saw a text, expected an integer")]),
    (dict[str, int], {"k" * 65: None}, [("$[\"" + "k" * 63 + "…\"]", "type", "saw null, expected an integer")]),
    (int | None, "a", [("$", "type", "saw a text, expected null or a number")]),
    (int | None, 1.5, [("$", "type", "saw a number, expected an integer")]),
    (int | float, "5", [("$", "type", "saw a text, expected a number")]),
    (int | float | None, True, [("$", "type", "saw a truth value, expected null or a number")]),
    (int | float, inf, [("$", "value", "saw inf, expected a finite number")]),
    (Name, 5, [("$", "type", "saw a number, expected a text")]),
    (Point, 7, [("$", "type", "saw a number, expected a map")]),
    (Point, {"y": 1}, [("$.x", "missing", "is missing")]),
    (Point, {"x": 1, "z": 1, "a": 2}, [("$.a", "unknown", "is not declared"), ("$.z", "unknown", "is not declared")]),
    (Point, {"x": 1, "y": -1}, [("$.y", "value", "'y' must be >= 0: -1")]),
    (Whole, {"number": "a"}, [("$.number", "type", "is of a type that is not accepted")]),
    (Whole, {"number": 1, "numbers": [1, "a"]}, [("$.numbers", "type", "is of a type that is not accepted")]),
    (list[Point], [{"x": "a", "y": -1}], [("$[0].x", "type", "saw a text, expected an integer")]),
    (Circle | Line, {"radius": 1}, [("$", "value", "expected its kind to be 'circle' or 'disc' or 'line'")]),
    (Circle | Line, {"kind": [1]}, [("$", "value", "expected its kind to be 'circle' or 'disc' or 'line'")]),
    (Circle | Line, {"kind": "circle"}, [("$.radius", "missing", "is missing")]),
    (Tree, {"name": "a", "secret": 1}, [("$.secret", "unknown", "is not declared")]),
    (Tree, {"name": "a", "children": [{"name": "b", "children": 1}]}, [
        ("$.children[0].children", "type", "saw a number, expected a list")
    ]),
]  # fmt: skip


def name_of(kind: object) -> str:
    return getattr(kind, "__name__", None) or str(kind)


def problems(kind: Any, value: Any) -> list[tuple[str, str, str]]:
    conversion().prepare(kind)
    with pytest.raises(ContractBroken) as caught:
        conversion().structure(value, kind)
    return [(one.path, one.code, one.message) for one in caught.value.problems]


@pytest.mark.parametrize(("kind", "value", "instance"), TAKEN, ids=repr)
def test_what_is_as_declared_is_taken_and_goes_back_as_it_came(kind: Any, value: Any, instance: Any) -> None:
    conversion().prepare(kind)
    taken = conversion().structure(value, kind)
    assert (type(taken), taken) == (type(instance), instance)
    again = conversion().structure(conversion().render(taken, kind), kind)
    assert again == instance


@pytest.mark.parametrize(("kind", "value", "said"), REFUSED, ids=repr)
def test_what_is_not_is_refused_with_the_place_of_each_mistake(
    kind: Any, value: Any, said: list[tuple[str, str, str]]
) -> None:
    assert problems(kind, value) == said


def as_json(value: Any) -> Any:
    """What a program that reads JSON sees, as far as the schema speaks of it."""
    if isinstance(value, dict):
        return {key: as_json(inner) for key, inner in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        elements = cast("Sequence[Any]", value)
        return [as_json(inner) for inner in elements]
    return "AA" if isinstance(value, bytes) else value


BYTES = (bytes, list[int] | dict[str, int] | bytes | bool)
"""Which JSON has no kind of its own for."""


@pytest.mark.parametrize("dialect", ["2020-12", "draft-07"])
def test_the_schema_and_what_is_enforced_say_the_same(dialect: Any) -> None:
    kinds = [kind for kind, *_ in (*TAKEN, *REFUSED)]
    schemas = Schemas(kinds, "#/$defs/", dialect)
    validator: Any = jsonschema.Draft202012Validator if dialect == "2020-12" else jsonschema.Draft7Validator
    judged = [(kind, value, True) for kind, value, _ in TAKEN] + [(kind, value, False) for kind, value, _ in REFUSED]
    definitions = schemas.definitions()
    validator.check_schema({"allOf": [schemas.of(kind) for kind in kinds], "$defs": definitions})
    wrong: list[Any] = []
    for kind, value, expected in judged:
        schema: dict[str, Any] = {"allOf": [schemas.of(kind)], "$defs": definitions}
        # JSON knows neither bytes, nor numbers that are not finite, nor an integer that is written as 3.0; and what a
        # text means, and what a validator does, no schema here tells.
        if kind in BYTES or isinstance(value, bytes | float) or (kind, expected) in [
            (datetime, False), (date, False), (UUID, False),
        ] or (kind is Point and value == {"x": 1, "y": -1}):  # fmt: skip
            continue
        if validator(schema).is_valid(as_json(value)) != expected:
            wrong.append((kind, value, schema))
    assert wrong == []


LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.5, -1.5]),
    st.sampled_from(["red", "blue", "a", "circle", "disc", "line", "2026-05-17", ""]),
)
KEYS = st.sampled_from(["x", "y", "kind", "radius", "ends", "name", "children", "zz"])
VALUES = st.recursive(
    LEAVES, lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)), max_leaves=8
)
SHAPES: tuple[Any, ...] = (
    bool | None,
    int | str | None,
    float,
    Color | list[int],
    Literal["a", 1, True] | None,
    list[tuple[int, str | None]],
    dict[str, int | list[bool]],
    tuple[float, ...],
    Card,
    Tree,
    Circle | Segment | None,
    list[Card] | dict[str, Card],
)


@given(kind=st.sampled_from(SHAPES), value=VALUES)
def test_whatever_is_sent_the_schema_judges_as_the_server_does(kind: Any, value: Any) -> None:
    conversion().prepare(kind)
    try:
        taken = conversion().structure(value, kind)
    except ContractBroken as broken:
        accepted = False
        assert 0 < len(broken.problems) <= PROBLEMS_MAX
    else:
        accepted = True
        assert conversion().structure(conversion().render(taken, kind), kind) == taken
    schemas = Schemas([kind], "#/$defs/", "2020-12")
    validator: Any = jsonschema.Draft202012Validator({"allOf": [schemas.of(kind)], "$defs": schemas.definitions()})
    assert validator.is_valid(value) is accepted


# ---------------------------------------------------------------- bounds


FULL_OF_MISTAKES: list[tuple[Any, Any]] = [
    (list[int], ["a"] * 60_000),
    (list[Point], [{}] * 40_000),
    (list[Point], [{"x": 1, "y": -1}] * 10_000),
    (list[list[Point]], [[{"x": "a"}] * 9] * 1_000),
    (dict[str, Circle | Line | None], {str(number): {"kind": "square"} for number in range(10_000)}),
    (Point, {f"extra{number}": number for number in range(10_000)}),
    (list[tuple[float, datetime, Color, dict[str, str]]], [["a", "b", "c", {"d": 1}]] * 1_000),
    (list[float], ["a"] * 1_000),
    (list[bytes | int], [None] * 1_000),
    (list[tuple[int, int]], [[], {}] * 1_000),
    (list[dict[str, int]], [[]] * 1_000),
    (list[list[int]], [1] * 1_000),
]


@pytest.mark.parametrize(
    ("kind", "value"),
    FULL_OF_MISTAKES,
    ids=lambda value: str(value)[:40],
)
def test_however_much_is_wrong_little_of_it_is_looked_for(kind: Any, value: Any) -> None:
    conversion().prepare(kind)
    counted = Counting(conversion())
    with pytest.raises(ContractBroken) as caught:
        conversion().structure(value, kind)
    assert (len(caught.value.problems), caught.value.more) == (PROBLEMS_MAX, True)
    assert caught.value.data()["more"] is True
    assert caught.value.text().endswith("; and more")
    # One object may be wrong in several places, and what one has too much is found in one look.
    assert kind is Point or 0 <= -counted.left() < 4


class Counting:
    """How far a search for problems has gone beyond its budget."""

    def __init__(self, conversion: Conversion) -> None:
        self._budget = conversion._budget  # pyright: ignore[reportPrivateUsage]

    def left(self) -> int:
        return self._budget.left


def test_exactly_as_many_as_are_told_are_all() -> None:
    with pytest.raises(ContractBroken) as caught:
        conversion().structure(["a"] * PROBLEMS_MAX, list[int])
    assert (len(caught.value.problems), caught.value.more) == (PROBLEMS_MAX, False)
    assert caught.value.text().count("; ") == 3


def test_two_threads_do_not_share_their_search() -> None:
    found: list[int] = []

    def elsewhere() -> None:
        with pytest.raises(ContractBroken) as caught:
            conversion().structure([None] * 100, list[int])
        found.append(len(caught.value.problems))

    def meanwhile(instance: object, attribute: object, value: int) -> None:
        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()

    @attrs.frozen
    class Slow:
        x: int = attrs.field(validator=meanwhile)

    Slow.__annotations__["x"] = int
    assert [one.x for one in conversion().structure([{"x": 1}, {"x": 2}], list[Slow])] == [1, 2]
    assert found == [PROBLEMS_MAX] * 2


# ---------------------------------------------------------------- validators


def after(booking: Any, _: object, value: int) -> None:
    if value < booking.first:
        raise ValueError
    if value == 100:
        raise ZeroDivisionError("a fault of the program")


@attrs.frozen
class Booking:
    first: int
    last: int = attrs.field(validator=after)
    name: str = attrs.field(validator=attrs.validators.matches_re("[a-z]+"), default="a")

    def __attrs_post_init__(self) -> None:
        if self.last - self.first > 50:
            raise ValueError("a booking has at most 50 days " + "x" * 500)


def test_what_validators_refuse_is_said_in_their_words_and_without_what_is_around_them() -> None:
    assert problems(Booking, {"first": 2, "last": 1}) == [("$.last", "value", "is not accepted")]
    [(path, code, message)] = problems(Booking, {"first": 2, "last": 3, "name": "A"})
    assert (path, code, message) == ("$.name", "value", "'name' must match regex '[a-z]+' ('A' doesn't)")
    [(path, code, message)] = problems(list[Booking], [{"first": 2, "last": 60}])
    assert (path, code) == ("$[0]", "value")
    assert message.startswith("a booking has at most 50 days xxx")
    assert len(message) == 200


v: Any = attrs.validators
UNFIT: list[tuple[Any, Any, Any]] = [
    (int | None, v.ge(0), None),
    (float | None, v.lt(1), None),
    (int | str, v.ge(0), "x"),
    (str | None, v.max_len(3), None),
    (str | int, v.min_len(3), 3),
    (str | None, v.matches_re("[a-z]+"), None),
    (int | None, [v.instance_of(object), v.ge(0)], None),
    (list[int | None], v.deep_iterable(v.ge(0)), [1, None]),
    (list[int] | None, v.deep_iterable(v.ge(0)), None),
    (dict[str, int | None], v.deep_mapping(value_validator=v.ge(0)), {"a": None}),
]


@pytest.mark.parametrize(("kind", "validator", "value"), UNFIT, ids=range(len(UNFIT)))
def test_what_a_validator_of_attrs_cannot_look_at_is_not_accepted(kind: Any, validator: Any, value: Any) -> None:
    """As nobody could make such an instance, and as the schema says."""
    cls = attrs.make_class("Order", {"count": attrs.field(type=kind, validator=validator)})
    conversion().prepare(cls)
    assert problems(cls, {"count": value}) == [("$.count", "value", "is not accepted")]


def test_a_type_error_of_a_validator_of_the_programs_own_is_a_fault_of_it() -> None:
    def careless(_: object, __: object, value: Any) -> None:
        len(value)

    for validator in (careless, attrs.validators.optional(careless), attrs.validators.and_(careless)):
        cls = attrs.make_class("Order", {"count": attrs.field(type=int, validator=validator)})
        conversion().prepare(cls)
        with pytest.raises(TypeError, match="has no len"):
            conversion().structure({"count": 1}, cls)


def test_a_fault_of_a_validator_is_no_fault_of_the_sender() -> None:
    with pytest.raises(ZeroDivisionError):
        conversion().structure([{"first": 1, "last": 100}], list[Booking])


def test_what_the_application_made_is_looked_at_before_it_leaves() -> None:
    wrong: Any = "three"
    with pytest.raises(ContractBroken, match="x saw a text, expected an integer"):
        conversion().render(Point(wrong), Point)
    wrong = 1j
    with pytest.raises(ContractBroken, match="x saw something, expected an integer"):
        conversion().render(Point(wrong), Point)
    with pytest.raises(ValueError, match="has no time zone"):
        conversion().render(datetime(2026, 1, 1), datetime)
    with pytest.raises(AttributeError):
        conversion().render("no point", Point)
    for value, kind in (("ab", list[str]), (7, list[int]), ([1, 2], tuple[int]), ([1], dict[str, int])):
        with pytest.raises(ContractBroken):
            conversion().render(value, kind)
    assert conversion().render(MOMENT.astimezone(UTC), datetime) == "2026-05-17T10:30:01.500000+00:00"


class Said(str):
    """A text with something to it."""


RENDERED: list[tuple[Any, Any, Any]] = [
    (str, Color.RED, "red"),
    (str | None, Color.RED, "red"),
    (str, Said("a"), "a"),
    (int, Level.HIGH, 2),
    (float, 3, 3),
    (list[str], {"a": 1}.keys(), ["a"]),
    (list[int], (number for number in (1, 2)), [1, 2]),
    (dict[str, str], {Color.RED: Color.BLUE}, {"red": "blue"}),
    (dict[str, int], Counter("aa"), {"a": 2}),
    (tuple[str, datetime], ("a", MOMENT), ["a", "2026-05-17T12:30:01.500000+02:00"]),
    (Any, {"at": [MOMENT, ID, None, 1j]}, {"at": ["2026-05-17T12:30:01.500000+02:00", str(ID), None, 1j]}),
    (Any, (Point(1), Plain.A), [{"x": 1, "y": 0}, "a"]),
    (Tree, Tree("a", [Tree("b")]), {"name": "a", "children": [{"name": "b", "children": []}]}),
]


@pytest.mark.parametrize(("kind", "value", "expected"), RENDERED, ids=range(len(RENDERED)))
def test_what_leaves_is_what_can_travel(kind: Any, value: Any, expected: Any) -> None:
    rendered = conversion().render(value, kind)
    assert (type(rendered), rendered) == (type(expected), expected)


# ---------------------------------------------------------------- what cannot be declared


@attrs.frozen
class Nowhere:
    field: Missing  # type: ignore[name-defined]  # pyright: ignore[reportUndefinedVariable]  # noqa: F821


@attrs.frozen
class Deep:
    inner: list[complex]


T = TypeVar("T")


@attrs.frozen
class Page(Generic[T]):
    item: T


class Empty(Enum):
    pass


class Floating(Enum):
    HALF = 0.5


UNDECLARABLE: list[tuple[Any, str]] = [
    (complex, "complex cannot be declared; what can be is None, bool"),
    (object(), "cannot be declared; what can be is"),
    ([], "cannot be declared; what can be is"),
    (set[int], r"set\[int\] cannot be declared"),
    (dict[int, str], r"dict\[int, str\] cannot be declared"),
    (int | float | Literal[1], "two of these cannot be told apart"),
    (str | datetime, "two of these cannot be told apart"),
    (Point | dict[str, int], "two of these cannot be told apart"),
    (
        Point | Circle,
        r"its classes cannot be told apart when they arrive; give each a field such as `kind: Literal",
    ),
    (Circle | Point, "its classes cannot be told apart"),
    (Literal[b"a"], "a Literal has texts, integers and truth values here"),
    (Literal[Color.RED], "a Literal has texts, integers and truth values here"),
    (Empty, "the values of an Enum are texts or integers here"),
    (Floating, "the values of an Enum are texts or integers here"),
    (Nowhere, "the annotations of Nowhere cannot be looked up: name 'Missing' is not defined"),
    (Deep, "Deep.inner: complex cannot be declared"),
    (Page, "Page cannot be declared"),
    (Free, "Free.anything has no annotation"),
]


@pytest.mark.parametrize(("kind", "says"), UNDECLARABLE, ids=range(len(UNDECLARABLE)))
def test_a_type_that_no_value_has_is_refused_where_it_is_declared(kind: Any, says: str) -> None:
    with pytest.raises(Undescribable, match=says):
        conversion().prepare(kind)


def test_a_type_is_walked_through_once_however_it_is_nested() -> None:
    assert len(list(walk(Tree))) == 3
    assert kinds_of(shape_of(Tree | None)) == {"object", "null"}
    assert kinds_of(shape_of(Any)) == {"null", "boolean", "number", "text", "bytes", "array", "object"}
