"""Values that arrive, as instances of what is declared, and back: cattrs, with hooks that take nothing on trust.

It comes with the extra ``contract`` and is imported where something is declared first. What arrives has been decoded
already, so its length, its depth (16) and its numbers are bounded (SPEC PKT-6, MSG-8); here the work on a wrong one is:
once more problems are found than are told, nothing further is looked at.
"""

from __future__ import annotations

import re
import threading
from datetime import date, datetime
from functools import cache
from math import isfinite
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast
from uuid import UUID

import attrs
import cattrs
from cattrs.errors import BaseValidationError, ClassValidationError, IterableValidationError, IterableValidationNote
from cattrs.gen import make_dict_structure_fn

from .mistakes import Wrong, problems_of
from .problems import PROBLEMS_MAX, TEXT_MAX, ContractBroken
from .shapes import Anything, Array, Choice, Fixed, Map, Plain, Record, Union, kind_of, kinds_of, shape_of, walk

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from enum import Enum

    from .problems import Code

    Hook = Callable[[Any, Any], Any]

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


# Its own ``__new__`` has one more argument than the ``__init__`` that type checkers find.
_Group: Final[Any] = IterableValidationError


class _Budget(threading.local):
    """How many more problems are looked for; below 1 hooks let everything pass, for it is refused anyway."""

    left = 0


class Conversion:
    """What `structure` and `render` know of types."""

    def __init__(self) -> None:
        self._budget = _Budget()
        # Without subclasses to choose from and without guesses at unions: what is declared is what is taken.
        self._converter = cattrs.Converter(forbid_extra_keys=True, detailed_validation=True)
        for kind, hook in (
            (bool, self._of("boolean", "a truth value", bool)),
            (int, self._of("integer", "an integer", int)),
            (str, self._of("text", "a text", str)),
            (bytes, self._of("bytes", "bytes", bytes)),
            (float, self._number),
            (datetime, self._parsed("a date and time of RFC 3339", DATE_TIME, datetime.fromisoformat)),
            (date, self._parsed("a date of RFC 3339", DATE, date.fromisoformat)),
            (UUID, self._parsed("a UUID", UUID_TEXT, UUID)),
        ):
            self._converter.register_structure_hook(kind, hook)
        self._converter.register_structure_hook_factory(_is_ours, self._composed)
        self._converter.register_unstructure_hook(datetime, _date_time_text)
        self._converter.register_unstructure_hook(date, date.isoformat)
        self._converter.register_unstructure_hook(UUID, str)

    def prepare(self, kind: Any) -> None:
        """Get to know a type, with all that it is made of.

        Raises:
            Undescribable: It cannot be the type of a value that travels.
        """
        for shape in walk(kind):
            # cattrs would take one that is also a text or a number for that.
            if isinstance(shape, Choice) and shape.enum is not None:
                self._converter.register_structure_hook(shape.enum, self._choice(shape))
                self._converter.register_unstructure_hook(shape.enum, _value)
        self._converter.get_structure_hook(kind)

    def structure(self, value: object, kind: Any) -> Any:
        """Make an instance of a type out of a decoded value.

        Raises:
            ContractBroken: The value is not as declared.
            Exception: A validator of a class fails otherwise than by a ValueError, which is a fault of its own.
        """
        self._budget.left = PROBLEMS_MAX + 1
        try:
            return self._converter.structure(value, kind)
        except Exception as error:
            problems = problems_of(error)
        raise ContractBroken(problems)

    def render(self, value: object, kind: Any) -> Any:
        """Make a value that can travel out of an instance of a type.

        Raises:
            ContractBroken: The instance is not as declared, which attrs alone does not check.
            Exception: It is no instance at all.
        """
        rendered = self._converter.unstructure(value, unstructure_as=kind)
        self.structure(rendered, kind)
        return rendered

    # ------------------------------------------------------------ hooks

    def _fail(self, code: Code, message: str) -> NoReturn:
        self._budget.left -= 1
        raise Wrong(code, message)

    def _mistaken(self, value: object, expected: str) -> NoReturn:
        self._fail("type", f"saw {WORDS.get(kind_of(value), 'something')}, expected {expected}")

    def _of(self, name: str, expected: str, kind: type) -> Hook:
        def take(value: Any, _: object) -> Any:
            if type(value) is not kind and self._budget.left > 0:
                self._mistaken(value, expected)
            return value

        take.__name__ = f"take_{name}"
        return take

    def _null(self, value: Any, _: object) -> None:
        if value is not None and self._budget.left > 0:
            self._mistaken(value, "null")

    def _number(self, value: Any, _: object) -> Any:
        if self._budget.left <= 0:
            return value
        if type(value) is int:
            return float(value)
        if type(value) is not float:
            self._mistaken(value, "a number")
        if not isfinite(value):  # which JSON does not have
            self._fail("value", f"saw {value}, expected a finite number")
        return value

    def _parsed(self, expected: str, form: re.Pattern[str], parse: Callable[[str], Any]) -> Hook:
        def take(value: Any, _: object) -> Any:
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

        def take(value: Any, _: object) -> Any:
            if self._budget.left <= 0:
                return value
            key = (type(value), value) if isinstance(value, str | int) else None
            if key not in members:
                self._fail("value", f"expected {expected}")
            return members[key]

        return take

    def _composed(self, kind: Any) -> Hook:
        """The hook of a type that is no class of its own, or an attrs class."""
        match shape_of(kind):
            case Choice() as shape:
                return self._choice(shape)
            case Array(element, container):
                return self._array(kind, element, container)
            case Fixed(elements):
                return self._fixed(kind, elements)
            case Map(value):
                return self._map(kind, value)
            case Record(cls):
                return self._record(cls)
            case Union(options, tag):
                return self._union(options, tag)
            case Plain():
                return self._null
            case Anything():
                return lambda value, _: value

    def _array(self, kind: Any, element: Any, container: Callable[[Iterable[Any]], Any]) -> Hook:
        def take(value: Any, _: object) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) not in (list, tuple):
                self._mistaken(value, "a list")
            return container(self._each(enumerate(cast("list[Any]", value)), kind, lambda _: element))

        return take

    def _fixed(self, kind: Any, elements: tuple[Any, ...]) -> Hook:
        def take(value: Any, _: object) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) not in (list, tuple):
                self._mistaken(value, "a list")
            members = cast("list[Any]", value)
            if len(members) != len(elements):
                self._fail("value", f"saw {len(members)} elements, expected {len(elements)}")
            return tuple(self._each(enumerate(members), kind, elements.__getitem__))

        return take

    def _map(self, kind: Any, inner: Any) -> Hook:
        def take(value: Any, _: object) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) is not dict:
                self._mistaken(value, "a map")
            members = cast("dict[str, Any]", value)
            return dict(zip(members, self._each(members.items(), kind, lambda _: inner), strict=True))

        return take

    def _each(self, pairs: Iterable[tuple[Any, Any]], kind: Any, type_of: Callable[[Any], Any]) -> list[Any]:
        """Structure what belongs together, as cattrs does: all that is wrong is raised at once, with its places."""
        taken: list[Any] = []
        errors: list[Exception] = []
        for key, value in pairs:
            try:
                taken.append(self._converter.structure(value, type_of(key)))
            except Exception as error:
                error.add_note(IterableValidationNote("", key, None))
                errors.append(error)
        if errors:
            raise _Group("", errors, kind)
        return taken

    def _record(self, cls: type[attrs.AttrsInstance]) -> Hook:
        build: Hook = cast("Any", make_dict_structure_fn(cls, self._converter, _cattrs_forbid_extra_keys=True))

        def take(value: Any, _: object) -> Any:
            if self._budget.left <= 0:
                return value
            if type(value) is not dict:
                self._mistaken(value, "a map")
            try:
                return build(value, cls)
            except ClassValidationError as group:
                self._budget.left -= sum(not isinstance(each, Wrong | BaseValidationError) for each in group.exceptions)
                raise

        return take

    def _union(self, options: tuple[Any, ...], tag: str | None) -> Hook:
        by_kind: dict[str, Any] = {}
        by_tag: dict[Any, Any] = {}
        for option in options:
            shape = shape_of(option)
            by_kind |= dict.fromkeys(kinds_of(shape), option)
            if tag is not None and isinstance(shape, Record):
                by_tag |= dict.fromkeys(_tags(shape, tag), option)
        expected = " or ".join(word for kind, word in WORDS.items() if kind in by_kind)
        choices = _listed(tuple(by_tag))

        def take(value: Any, _: object) -> Any:
            if self._budget.left <= 0:
                return value
            kind = kind_of(value)
            if kind not in by_kind:
                self._mistaken(value, expected)
            if kind != "object" or tag is None:
                return None if value is None else self._converter.structure(value, by_kind[kind])
            said = cast("dict[str, Any]", value).get(tag)
            if not isinstance(said, str | int) or said not in by_tag:
                self._fail("value", f"expected its {tag} to be {choices}")
            return self._converter.structure(value, by_tag[said])

        return take


def _is_ours(kind: Any) -> bool:
    shape = shape_of(kind)
    return not isinstance(shape, Plain) or shape.name == "null"


def _tags(shape: Record, tag: str) -> Iterator[object]:
    for field in attrs.fields(shape.cls):
        if field.name == tag:
            found = shape_of(field.type)
            assert isinstance(found, Choice)
            yield from found.values


def _listed(values: tuple[Any, ...]) -> str:
    text = " or ".join(repr(value) for value in values)
    return text if len(text) <= TEXT_MAX else text[: TEXT_MAX - 1] + "…"


def _value(member: Enum) -> Any:
    return member.value


def _date_time_text(value: datetime) -> str:
    """As RFC 3339 has it.

    Raises:
        ValueError: Nobody can tell when that is.
    """
    if value.tzinfo is None:
        raise ValueError(f"{value!r} has no time zone")
    return value.isoformat()


@cache
def conversion() -> Conversion:
    """The one of this process."""
    return Conversion()
