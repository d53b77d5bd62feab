"""Content filters: a small expression over the tags of a publication (SPEC FLT-1 to FLT-6).

    kind == "news" and not (team in ("reds", "blues") or muted) and score >= 2.5

A tag stands alone (it is there), or is compared with a text or a number. There are no functions, no patterns and no
arithmetic, so what a filter costs is bounded by how often it looks at tags; and a tag is read as a number once for all
filters that look at it. Filters that mean the same in the same order are equal, however they are spaced: those who
share one share bytes.
"""

from collections.abc import Callable, Iterator, Mapping
from operator import eq, ge, gt, le, lt
from typing import Any, Final, TypeAlias

from attrs import field, frozen

from hawser_engine.errors import HawserError

__all__ = ["Filter", "FilterError", "Tags", "parse_filter"]

MAX_BYTES: Final = 1_024
MAX_DEPTH: Final = 8
"""Parentheses and ``not`` inside each other."""
MAX_LOOKS: Final = 32
"""A tag alone, a comparison, an ``in`` with all its values: each is one look at a tag."""

Value: TypeAlias = str | float

_LETTERS: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_")
_DIGITS: Final = frozenset("0123456789")
_WORD: Final = _LETTERS | _DIGITS | frozenset(".-")
_SPACES: Final = frozenset(" \t\n")
_SIGNS: Final = ("==", "!=", "<=", ">=", "<", ">", "(", ")", ",")
_UNEQUAL: Final = "!="
_STANDS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {"==": eq, "<": lt, "<=": le, ">": gt, ">=": ge}
"""Between two texts, which are compared by their code points, or two numbers."""
_COMPARISONS: Final = frozenset((*_STANDS, _UNEQUAL))
_RESERVED: Final = frozenset(("and", "or", "not", "in"))


class FilterError(HawserError, ValueError):
    """A text is no filter; it says where, and what was expected."""


class Tags:
    """The tags of one publication, for all filters that look at it: each is read as a number at most once.

    It lives as long as the publication is delivered; what is kept in history is the texts alone.

    Args:
        texts: The tags.
    """

    __slots__ = ("_numbers", "texts")

    def __init__(self, texts: Mapping[str, str]) -> None:
        self.texts: Mapping[str, str] = texts
        self._numbers: dict[str, float | None] = {}  # of the tags that were asked for

    def number(self, tag: str) -> float | None:
        """A tag as a number; None if it is not there, or written otherwise (FLT-4)."""
        numbers = self._numbers
        if tag in numbers:
            return numbers[tag]
        text = self.texts.get(tag)
        if text is None:
            return None  # and nothing is kept of it: filters may ask for any tag
        number = numbers[tag] = _number(text)
        return number


NO_TAGS: Final = Tags({})
"""Of a publication that carries none."""


@frozen
class Present:
    """The publication has this tag."""

    tag: str

    def holds(self, tags: Tags) -> bool:
        """Whether it is so."""
        return self.tag in tags.texts


@frozen
class Compared:
    """The tag stands in this relation to a value; a tag that is not there stands in none (FLT-3)."""

    tag: str
    sign: str
    value: Value
    _stands: Callable[[Any, Any], bool] = field(init=False, eq=False, repr=False)
    _textual: bool = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Find out how it compares, once for all publications."""
        object.__setattr__(self, "_stands", _STANDS[self.sign])
        object.__setattr__(self, "_textual", isinstance(self.value, str))

    def holds(self, tags: Tags) -> bool:
        """Whether it is so."""
        found = tags.texts.get(self.tag) if self._textual else tags.number(self.tag)
        return found is not None and self._stands(found, self.value)


@frozen
class Among:
    """The tag equals one of these values."""

    tag: str
    values: tuple[Value, ...]
    _texts: frozenset[str] = field(init=False, eq=False, repr=False)
    _numbers: frozenset[float] = field(init=False, eq=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Sort the values by how they are compared, once for all publications."""
        texts = frozenset(value for value in self.values if isinstance(value, str))
        numbers = frozenset(value for value in self.values if not isinstance(value, str))
        object.__setattr__(self, "_texts", texts)
        object.__setattr__(self, "_numbers", numbers)

    def holds(self, tags: Tags) -> bool:
        """Whether it is so."""
        if self._texts and tags.texts.get(self.tag) in self._texts:
            return True
        return bool(self._numbers) and tags.number(self.tag) in self._numbers


@frozen
class Not:
    """The opposite."""

    of: "Expression"

    def holds(self, tags: Tags) -> bool:
        """Whether it is so."""
        return not self.of.holds(tags)


@frozen
class AllOf:
    """Each of these."""

    of: "tuple[Expression, ...]"

    def holds(self, tags: Tags) -> bool:
        """Whether it is so."""
        return all(each.holds(tags) for each in self.of)


@frozen
class AnyOf:
    """At least one of these."""

    of: "tuple[Expression, ...]"

    def holds(self, tags: Tags) -> bool:
        """Whether it is so."""
        return any(each.holds(tags) for each in self.of)


Expression: TypeAlias = Present | Compared | Among | Not | AllOf | AnyOf


@frozen
class Filter:
    """A filter that was read; equal to every other that says the same."""

    expression: Expression
    text: str = field(eq=False)
    """As it was written."""
    looks: int = field(eq=False)
    """How often it looks at a tag, at most: what it costs to ask whether one publication passes."""

    def matches(self, tags: Tags) -> bool:
        """Whether a publication with these tags passes."""
        return self.expression.holds(tags)


def parse_filter(text: str) -> Filter:
    """Read a filter.

    Raises:
        FilterError: It is none.

    Spec: FLT-1, FLT-2, FLT-6.
    """
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise FilterError(f"saw half of a character at {error.start}, which no text in UTF-8 has") from None
    if not 1 <= size <= MAX_BYTES:
        raise FilterError(f"a filter has 1 to {MAX_BYTES} bytes, this one has {size}")
    reader = _Reader(text)
    return Filter(reader.read(), text, reader.looks)


@frozen
class _Token:
    """One word, sign, text or number, and where it stands."""

    kind: str
    value: str
    place: int

    def __str__(self) -> str:
        return f"{self.value!r} at {self.place}" if self.kind != "end" else "the end"


class _Reader:
    """A recursive descent of known depth; each method reads one rule of the grammar."""

    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._next = 0
        self._depth = 0
        self.looks = 0

    def read(self) -> Expression:
        expression = self._either()
        if self._peek().kind != "end":
            raise self._wrong("and, or, or the end")
        return expression

    def _either(self) -> Expression:
        parts = [self._both()]
        while self._takes("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else AnyOf(tuple(parts))

    def _both(self) -> Expression:
        parts = [self._one()]
        while self._takes("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else AllOf(tuple(parts))

    def _one(self) -> Expression:
        if self._takes("not"):
            return _opposite(self._deeper(self._one))
        if self._takes("("):
            expression = self._deeper(self._either)
            self._must(")")
            return expression
        return self._term()

    def _deeper(self, rule: "Callable[[], Expression]") -> Expression:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise FilterError(
                f"parentheses and not stand at most {MAX_DEPTH} deep, here at {self._peek().place} deeper"
            )
        expression = rule()
        self._depth -= 1
        return expression

    def _term(self) -> Expression:
        token = self._peek()
        if token.kind not in ("name", "text"):
            raise self._wrong("a tag")
        self.looks += 1
        if self.looks > MAX_LOOKS:
            raise FilterError(
                f"a filter looks at tags at most {MAX_LOOKS} times (alone, in a comparison, or with in),"
                f" here at {token.place} once more"
            )
        self._next += 1
        sign = self._peek()
        if sign.kind == "sign" and sign.value in _COMPARISONS:
            self._next += 1
            return _compared(token.value, sign.value, self._value())
        if self._takes("in"):
            return Among(token.value, self._list())
        return Present(token.value)

    def _list(self) -> tuple[Value, ...]:
        self._must("(")
        values = [self._value()]
        while self._takes(","):
            values.append(self._value())
        self._must(")")
        return tuple(values)

    def _value(self) -> Value:
        token = self._peek()
        if token.kind not in ("text", "number"):
            raise self._wrong(f"a text in double quotes or a number{_no_boolean(token)}")
        self._next += 1
        return float(token.value) if token.kind == "number" else token.value

    def _peek(self) -> _Token:
        return self._tokens[self._next]

    def _takes(self, value: str) -> bool:
        token = self._peek()
        if token.kind not in ("sign", "reserved") or token.value != value:
            return False
        self._next += 1
        return True

    def _must(self, value: str) -> None:
        if not self._takes(value):
            raise self._wrong(repr(value))

    def _wrong(self, expected: str) -> FilterError:
        return FilterError(f"saw {self._peek()}, expected {expected}")


def _compared(tag: str, sign: str, value: Value) -> Expression:
    """`a != b` is `not a == b`, so that it also holds where there is no such tag (FLT-3)."""
    return Not(Compared(tag, "==", value)) if sign == _UNEQUAL else Compared(tag, sign, value)


def _opposite(expression: Expression) -> Expression:
    """Two that cancel each other out are left away, so that there is at most one ``not`` for each other part."""
    return expression.of if isinstance(expression, Not) else Not(expression)


def _no_boolean(token: _Token) -> str:
    boolean = token.kind == "name" and token.value.lower() in ("true", "false")
    return "; there are no booleans, for tags are texts" if boolean else ""


def _number(text: str) -> float | None:
    """A tag as a number, if it is written like one: digits, perhaps a sign before and a fraction behind (FLT-4)."""
    whole, point, fraction = text.removeprefix("-").partition(".")
    written = text.isascii() and whole.isdigit() and (fraction.isdigit() or not point)
    return float(text) if written else None


def _ends_number(text: str, start: int) -> int:
    """Where the number ends that begins here; -1 if none does."""
    place = _ends_digits(text, start + 1 if text[start : start + 1] == "-" else start)
    if place >= 0 and text[place : place + 1] == ".":
        return _ends_digits(text, place + 1)
    return place


def _ends_digits(text: str, start: int) -> int:
    place = start
    while place < len(text) and text[place] in _DIGITS:
        place += 1
    return place if place > start else -1


def _tokens(text: str) -> Iterator[_Token]:
    place = 0
    while place < len(text):
        character = text[place]
        if character in _SPACES:
            place += 1
        elif character == '"':
            value, end = _text(text, place)
            yield _Token("text", value, place)
            place = end
        elif character in _LETTERS:
            end = place
            while end < len(text) and text[end] in _WORD:
                end += 1
            word = text[place:end]
            yield _Token("reserved" if word in _RESERVED else "name", word, place)
            place = end
        elif character in _DIGITS or character == "-":
            end = _ends_number(text, place)
            if end < 0:
                raise FilterError(f"saw no number at {place}, expected digits, and digits behind a point")
            yield _Token("number", text[place:end], place)
            place = end
        else:
            sign = next((each for each in _SIGNS if text.startswith(each, place)), None)
            if sign is None:
                quotes = "; texts stand in double quotes" if character == "'" else ""
                raise FilterError(f"saw {character!r} at {place}, which has no meaning in a filter{quotes}")
            yield _Token("sign", sign, place)
            place += len(sign)
    yield _Token("end", "", len(text))


def _text(text: str, start: int) -> tuple[str, int]:
    r"""Read a text in quotes, in which \" and \\ stand for themselves; return it and where it ends."""
    written: list[str] = []
    place = start + 1
    while place < len(text):
        character = text[place]
        if character == '"':
            return "".join(written), place + 1
        if character == "\\":
            place += 1
            character = text[place : place + 1]
            if character not in ('"', "\\"):
                raise FilterError(f'saw {character!r} at {place}, expected " or \\ behind a \\')
        written.append(character)
        place += 1
    raise FilterError(f'the text that begins at {start} has no " at its end')
