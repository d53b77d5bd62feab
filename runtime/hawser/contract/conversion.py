"""Values that arrive, as what is declared, and back: hooks of our own, that take nothing on trust.

There is one for each type, made where it is declared; those of attrs classes come with the extra ``contract``. What
arrives has been decoded already, so its length, its depth (16) and its numbers are bounded (SPEC PKT-6, MSG-8); here
the work on a wrong one is: once more problems are found than are told, nothing further is looked at.
"""

from __future__ import annotations

import re
import threading
from datetime import date, datetime
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn, TypeAlias, cast
from uuid import UUID

from .loading import load_records
from .problems import PROBLEMS_MAX, TEXT_MAX, ContractBroken, Problem
from .rendering import Rendering, as_it_is
from .shapes import (
    Anything,
    Array,
    Choice,
    Fixed,
    Map,
    Plain,
    Record,
    Union,
    fields_of,
    kind_of,
    kinds_of,
    shape_of,
    walk,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    import attrs

    from .problems import Code
    from .records import Records
    from .rendering import Hook

Part: TypeAlias = "tuple[str | int, Hook, Any]"
"""One of several that belong together: where it is among them, what takes it, and what came."""

WORDS: Final = {
    "null": "null",
    "boolean": "a truth value",
    "number": "a number",
    "text": "a text",
    "bytes": "bytes",
    "array": "a list",
    "object": "a map",
}

# RFC 3339, section 5.6; ``fromisoformat`` takes more than that.
DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
DATE_TIME: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
UUID_TEXT: Final = re.compile(r"[0-9A-Fa-f]{8}-([0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}")


class _Budget(threading.local):
    """How many more problems are looked for; below 1 hooks let everything pass, for it is refused anyway."""

    left = 0


class Conversion:
    """What `structure` and `render` know of types."""

    def __init__(self) -> None:
        self._budget = _Budget()
        self._taking: dict[Any, Hook] = {}
        self._rendering = Rendering(self._records)
        self._classes: Records | None = None
        self._plain: dict[str, Hook] = {
            "null": self._of("null", type(None)),
            "boolean": self._of("a truth value", bool),
            "integer": self._of("an integer", int),
            "number": self._number,
            "text": self._of("a text", str),
            "bytes": self._of("bytes", bytes),
            "datetime": self._parsed("a date and time of RFC 3339", DATE_TIME, datetime.fromisoformat),
            "date": self._parsed("a date of RFC 3339", DATE, date.fromisoformat),
            "uuid": self._parsed("a UUID", UUID_TEXT, UUID),
        }

    def prepare(self, kind: Any) -> None:
        """Get to know a type, with all that it is made of.

        Raises:
            ModuleNotFoundError: There is an attrs class in it, and the extra is not installed.
            Undescribable: It cannot be the type of a value that travels.
        """
        for shape in list(walk(kind)):
            if isinstance(shape, Record):
                self._records().prepare(shape.cls)
        self.taking(kind)

    def structure(self, value: object, kind: Any) -> Any:
        """Make an instance of a type out of a decoded value.

        Raises:
            ContractBroken: The value is not as declared.
            Exception: A validator of a class fails otherwise than by a ValueError, which is a fault of its own.
        """
        self.begin()
        return self.taking(kind)(value)

    def render(self, value: object, kind: Any) -> Any:
        """Make a value that can travel out of an instance of a type.

        Raises:
            ContractBroken: The instance is not as declared, which attrs alone does not check.
            Exception: It is no instance at all.
        """
        rendered = self.giving(kind)(value)
        self.structure(rendered, kind)
        return rendered

    # ------------------------------------------------------------ for those who take several values together

    def begin(self) -> None:
        """Look for problems anew, in this thread."""
        self._budget.left = PROBLEMS_MAX + 1

    def spend(self, problems: int) -> None:
        """Count problems that no hook here has found."""
        self._budget.left -= problems

    def taking(self, kind: Any) -> Hook:
        """What makes an instance of a type; it raises `ContractBroken`."""
        hook = self._taking.get(kind)
        if hook is None:
            hook = self._taking[kind] = self._take_of(kind)
        return hook

    def giving(self, kind: Any) -> Hook:
        """What makes a value that can travel out of an instance of a type."""
        return self._rendering.giving(kind)

    def _records(self) -> Records:
        if self._classes is None:
            self._classes = load_records()(self)
        return self._classes

    # ------------------------------------------------------------ what arrives

    def _take_of(self, kind: Any) -> Hook:
        match shape_of(kind):
            case Plain(name):
                return self._plain[name]
            case Choice() as shape:
                return self._choice(shape)
            case Array(element, container):
                return self._array(self.taking(element), container)
            case Fixed(elements):
                return self._fixed([self.taking(each) for each in elements])
            case Map(value):
                return self._map(self.taking(value))
            case Record(cls):
                return self._record(cls)
            case Union(options, tag):
                return self._union(options, tag)
            case Anything():
                return as_it_is

    def _fail(self, code: Code, message: str) -> NoReturn:
        self._budget.left -= 1
        raise ContractBroken([Problem("$", code, message)])

    def _mistaken(self, value: object, expected: str) -> NoReturn:
        self._fail("type", f"saw {WORDS.get(kind_of(value), 'something')}, expected {expected}")

    def _of(self, expected: str, kind: type) -> Hook:
        def take(value: Any) -> Any:
            if type(value) is not kind and self._budget.left > 0:
                self._mistaken(value, expected)
            return value

        return take

    def _number(self, value: Any) -> Any:
        if self._budget.left <= 0:
            return value
        if type(value) is int:
            return float(value)
        if type(value) is not float:
            self._mistaken(value, "a number")
        if not isfinite(value):  # which JSON does not have
            self._fail("value", f"saw {value}, expected a finite number")
        return value

    def _integer_or_number(self, value: Any) -> Any:
        """Of ``int | float``: each stays what it is."""
        return value if type(value) is int else self._number(value)

    def _parsed(self, expected: str, form: re.Pattern[str], parse: Callable[[str], Any]) -> Hook:
        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) is not str:
                self._mistaken(value, expected)
            if form.fullmatch(value):
                try:
                    return parse(value)
                except ValueError:
                    pass  # such as the 31st of June
            return self._fail("value", f"saw another text, expected {expected}")

        return take

    def _choice(self, shape: Choice) -> Hook:
        members: dict[tuple[type, Any], Any] = {(type(value), value): value for value in shape.values}
        if shape.enum is not None:
            members = {key: shape.enum(value) for key, value in members.items()}
        expected = _listed(shape.values)

        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            key = (type(value), value) if isinstance(value, str | int) else None
            if key not in members:
                self._fail("value", f"expected {expected}")
            return members[key]

        return take

    def _array(self, element: Hook, container: Callable[[Iterable[Any]], Any]) -> Hook:
        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) not in (list, tuple):
                self._mistaken(value, "a list")
            return container(take_each((at, element, each) for at, each in enumerate(cast("list[Any]", value))))

        return take

    def _fixed(self, elements: list[Hook]) -> Hook:
        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) not in (list, tuple):
                self._mistaken(value, "a list")
            members = cast("list[Any]", value)
            if len(members) != len(elements):
                self._fail("value", f"saw {len(members)} elements, expected {len(elements)}")
            return tuple(take_each((at, elements[at], each) for at, each in enumerate(members)))

        return take

    def _map(self, inner: Hook) -> Hook:
        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) is not dict:
                self._mistaken(value, "a map")
            members = cast("dict[str, Any]", value)
            return dict(zip(members, take_each((key, inner, each) for key, each in members.items()), strict=True))

        return take

    def _record(self, cls: type[attrs.AttrsInstance]) -> Hook:
        records = self._records()

        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) is not dict:
                self._mistaken(value, "a map")
            return records.build(cls, cast("dict[str, Any]", value))

        return take

    def _union(self, options: tuple[Any, ...], tag: str | None) -> Hook:
        by_kind: dict[str, Hook] = {}
        by_tag: dict[Any, Hook] = {}
        for option in options:
            shape = shape_of(option)
            by_kind |= dict.fromkeys(kinds_of(shape), self.taking(option))
            if tag is not None and isinstance(shape, Record):
                by_tag |= dict.fromkeys(_tags(shape, tag), self.taking(option))
        if {int, float} <= set(options):
            by_kind["number"] = self._integer_or_number
        expected = " or ".join(word for kind, word in WORDS.items() if kind in by_kind)
        choices = _listed(tuple(by_tag))

        def take(value: Any) -> Any:
            if self._budget.left <= 0:
                return value
            kind = kind_of(value)
            if kind not in by_kind:
                self._mistaken(value, expected)
            if kind != "object" or tag is None:
                return by_kind[kind](value)
            said = cast("dict[str, Any]", value).get(tag)
            if not isinstance(said, str | int) or said not in by_tag:
                self._fail("value", f"expected its {tag} to be {choices}")
            return by_tag[said](value)

        return take


def take_each(parts: Iterable[Part]) -> list[Any]:
    """Take what belongs together.

    Raises:
        ContractBroken: All that is wrong with them, with its places.
    """
    taken: list[Any] = []
    problems: list[Problem] = []
    more = False
    for key, take, value in parts:
        try:
            taken.append(take(value))
        except ContractBroken as broken:
            problems += broken.under(key)
            more = more or broken.more
    if problems:
        raise ContractBroken(problems, more=more)
    return taken


def _tags(shape: Record, tag: str) -> Iterator[object]:
    for field in fields_of(shape.cls):
        if field.name == tag:
            found = shape_of(field.type)
            assert isinstance(found, Choice)
            yield from found.values


def _listed(values: tuple[Any, ...]) -> str:
    text = " or ".join(repr(value) for value in values)
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


@cache
def conversion() -> Conversion:
    """The one of this process."""
    return Conversion()
