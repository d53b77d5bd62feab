r"""Python's regular expressions as those of ECMA 262, which JSON Schema has: where they mean the same, and only there.

What is made is read there with the flag ``u``, as JSON Schema asks for, so that a character is a code point on both
sides. What has another meaning there is written out (``.`` is ``[^\n]``), or there is no such expression: for ``\d``
and ``\w`` of Python, which take digits and letters of every script unless ``re.ASCII`` is set, for ``$``, which also
stands before a last line feed, for word boundaries, references to groups and most flags.
"""

from __future__ import annotations

import re
import string
from typing import Final, Literal, TypeAlias

How: TypeAlias = Literal["fullmatch", "match", "search"]
"""Which method of a pattern decides."""

SYNTAX: Final = frozenset("^$\\.*+?()[]{}|/")
"""Characters that stand for themselves behind a backslash only."""

FLAGS: Final = re.UNICODE | re.ASCII | re.DOTALL
"""Flags under which an expression is looked at."""

ESCAPED: Final = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "v": "\v", "a": "\a"}
HEX_DIGITS: Final = {"x": 2, "u": 4, "U": 8}

ASCII_CLASSES: Final = {"d": "0-9", "s": "\\t-\\r ", "w": "0-9A-Z_a-z"}
"""What stands for classes of characters inside brackets, under ``re.ASCII``."""

# Without it only spaces are the same at all times; digits and letters are more with each version of Unicode.
CLASSES: Final = {
    "s": "\\t-\\r\\u001c- \\u0085\\u00a0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000",
}

ANY: Final = "[\\s\\S]"

COUNT: Final = re.compile(r"\{(?!\})([0-9]*)(,?)([0-9]*)\}")


class _Different(Exception):
    """Something has no counterpart, or may have another meaning."""


def ecma_pattern(pattern: re.Pattern[str], how: How) -> str | None:
    """An expression that finds something in a text if, and only if, a method of the pattern does.

    Args:
        pattern: The pattern.
        how: The method.

    Returns:
        The expression; None if there is none of which that is certain.
    """
    if pattern.flags & ~FLAGS:
        return None
    reader = _Reader(pattern.pattern, how, ascii=bool(pattern.flags & re.ASCII), dotall=bool(pattern.flags & re.DOTALL))
    try:
        options = reader.options(top=True)
    except _Different:
        return None
    whole = "|".join(options)
    if how == "search":
        return whole
    if len(options) > 1:
        whole = f"(?:{whole})"
    return f"^{whole}$" if how == "fullmatch" else f"^{whole}"


class _Reader:
    """Reads an expression that Python has compiled already, so that it is well-formed."""

    def __init__(self, source: str, how: How, *, ascii: bool, dotall: bool) -> None:
        self._source = source
        self._how = how
        self._classes = ASCII_CLASSES if ascii else CLASSES
        self._any = ANY if dotall else "[^\\n]"
        self._at = 0

    def options(self, *, top: bool) -> list[str]:
        """Read what bars separate, up to the end of the group."""
        options = [self._sequence(top=top)]
        while self._take("|"):
            options.append(self._sequence(top=top))
        return options

    def _sequence(self, *, top: bool) -> str:
        pieces: list[str] = []
        begun = False
        while self._next() not in ("", "|", ")"):
            if top and not begun and self._how != "search" and self._take("^"):
                continue  # it begins there anyway
            begun = True
            pieces.append(self._piece(top=top))
        return "".join(pieces)

    def _piece(self, *, top: bool) -> str:
        """Read one thing, and how often it stands there."""
        start = self._at
        match self._read():
            case "^":
                return self._alone("^")
            case "$":
                if top and self._how == "fullmatch" and self._next() in ("", "|"):
                    return ""  # it ends there anyway
                raise _Different
            case "\\" if self._take("A"):
                return self._alone("^")
            case "\\" if self._take("Z") or self._take("z"):
                return self._alone("$")
            case "\\":
                piece = self._escape()
            case ".":
                piece = self._any
            case "[":
                piece = self._set()
            case "(":
                piece = self._group()
                if self._source.startswith(("(?=", "(?!", "(?<=", "(?<!"), start):
                    return self._alone(piece)
            case character:
                piece = _literal(character)
        return piece + self._count()

    def _alone(self, assertion: str) -> str:
        """An assertion, which cannot be repeated there."""
        if self._count():
            raise _Different
        return assertion

    def _count(self) -> str:
        count = ""
        if self._next() and self._next() in "*+?":
            count = self._read()
        elif (match := COUNT.match(self._source, self._at)) is not None:
            self._at = match.end()
            least, comma, most = match.groups()
            count = f"{{{least or 0}{comma}{most}}}"
        if count and self._take("+"):
            raise _Different  # possessive: what it has taken it does not give back
        return count + ("?" if count and self._take("?") else "")

    def _group(self) -> str:
        kind = "?:"
        if self._take("?"):
            if self._take("P"):
                if not self._take("<"):
                    raise _Different  # a reference
                self._at = self._source.index(">", self._at) + 1
            else:
                known = (":", "=", "!", "<=", "<!")
                kind = "?" + next((each for each in known if self._take(each)), "")
                if kind == "?":
                    raise _Different  # flags, comments, conditions, and groups that do not give back
        options = self.options(top=False)
        self._read()  # the parenthesis
        return f"({kind}{'|'.join(options)})"

    def _set(self) -> str:
        negated = "^" if self._take("^") else ""
        members: list[str] = []
        classes = set[str]()
        while not members or self._next() != "]":
            if self._next() == "\\" and self._source[self._at + 1] in "dDsSwW":
                self._at += 1
                letter = self._read()
                classes.add(letter)
                members.append(self._classes.get(letter, letter))
                continue
            member = _member(self._member())
            if self._next() == "-" and self._source[self._at + 1] != "]":
                self._at += 1
                member += "-" + _member(self._member())
            members.append(member)
        self._read()  # the bracket
        if not negated and any(letter.swapcase() in classes for letter in classes):
            return ANY
        if not classes <= self._classes.keys():
            raise _Different
        return f"[{negated}{''.join(members)}]"

    def _member(self) -> str:
        """Read one character of a set."""
        character = self._read()
        if character != "\\":
            return character
        return "\b" if self._take("b") else self._character()

    def _escape(self) -> str:
        """Read what a backslash stands before, outside brackets."""
        letter = self._next()
        if letter in "dDsSwW":
            self._at += 1
            members = self._classes.get(letter.lower())
            if members is None:
                raise _Different
            return f"[{'' if letter.islower() else '^'}{members}]"
        return _literal(self._character())

    def _character(self) -> str:
        """Read the character that an escape means."""
        letter = self._read()
        if letter in ESCAPED:
            return ESCAPED[letter]
        if letter in HEX_DIGITS:
            digits = self._source[self._at : self._at + HEX_DIGITS[letter]]
            self._at += len(digits)
            return chr(int(digits, 16))
        if letter in string.ascii_letters or letter in string.digits:
            raise _Different  # references, octal numbers, boundaries, names of characters
        return letter

    def _next(self) -> str:
        return self._source[self._at : self._at + 1]

    def _read(self) -> str:
        self._at += 1
        return self._source[self._at - 1]

    def _take(self, text: str) -> bool:
        found = self._source.startswith(text, self._at)
        self._at += len(text) * found
        return found


def _literal(character: str) -> str:
    """A character as it stands for itself."""
    if character in SYNTAX:
        return f"\\{character}"
    if character == "\n":
        return "\\n"
    if "\ud800" <= character <= "\udfff":
        raise _Different  # no text that travels has one
    return character if character.isprintable() or character > "\uffff" else f"\\u{ord(character):04x}"


def _member(character: str) -> str:
    """A character as it stands for itself in brackets."""
    return "\\-" if character == "-" else _literal(character)
