"""Expressions that mean the same in ECMA 262; `tests/interop/test_regexes.py` asks an engine of it."""

from __future__ import annotations

import re
import sys

import pytest

from hawser.contract.regexes import ASCII_CLASSES, CLASSES, ecma_pattern

A, S = re.ASCII, re.DOTALL

# pattern, flags, what it is there, found anywhere
SAME: list[tuple[str, int, str]] = [
    ("", 0, ""),
    ("abc", 0, "abc"),
    ("a|b|", 0, "a|b|"),
    ("é😀 ~'\"#&-", 0, "é😀 ~'\"#&-"),
    ("a/b", 0, "a\\/b"),
    ("]}{a}{}x{,y}", 0, "\\]\\}\\{a\\}\\{\\}x\\{,y\\}"),
    (r"\.\-\@\ \]\"\/\\", 0, '\\.-@ \\]"\\/\\\\'),
    (r"\n\t\r\f\v\a\x41\u00e9\U0001f600", 0, "\\n\\u0009\\u000d\\u000c\\u000b\\u0007Aé😀"),
    ("\u2028", 0, "\\u2028"),
    ("a*b+c?d{2}e{2,}f{,3}g{2,3}h{,}", 0, "a*b+c?d{2}e{2,}f{0,3}g{2,3}h{0,}"),
    ("a*?b+?c??d{2}?", 0, "a*?b+?c??d{2}?"),
    (".", 0, "[^\\n]"),
    (".", S, "[\\s\\S]"),
    ("^a", 0, "^a"),
    (r"\Aa\Z", 0, "^a$"),
    ("(a|b)(?:c)(?P<name>d)+", 0, "(?:a|b)(?:c)(?:d)+"),
    ("(?=a)(?!b)(?<=c)(?<!d)(^a)", 0, "(?=a)(?!b)(?<=c)(?<!d)(?:^a)"),
    ("[a-z][^a-z]", 0, "[a-z][^a-z]"),
    ("[]a][^]a][a-][-a][a^]", 0, "[\\]a][^\\]a][a\\-][\\-a][a\\^]"),
    (r"[.(\-\]\n\b\x41-\x43é]", 0, "[\\.\\(\\-\\]\\n\\u0008A-Cé]"),
    (r"[+-\-]", 0, "[\\+-\\-]"),
    (r"[\s\S][\d\D]", 0, "[\\s\\S][\\s\\S]"),
    (r"\d\D\w\W\s\S", A, "[0-9][^0-9][0-9A-Z_a-z][^0-9A-Z_a-z][\\t-\\r ][^\\t-\\r ]"),
    (r"[\d.][^\w]", A, "[0-9\\.][^0-9A-Z_a-z]"),
    (r"\s\S[\s,]", 0, f"[{CLASSES['s']}][^{CLASSES['s']}][{CLASSES['s']},]"),
]

DIFFERENT: list[tuple[str, int]] = [
    (r"\d", 0),
    (r"\W", 0),
    (r"[\d]", 0),
    (r"[\D]", A),
    (r"[^\s\S]", 0),
    (r"\ba", A),
    (r"a\B", 0),
    ("a$", 0),
    ("(a$)", 0),
    ("a", re.IGNORECASE),
    ("^a", re.MULTILINE),
    ("a b", re.VERBOSE),
    ("(?i:a)", 0),
    ("(?s)a", 0),
    ("(?#word)a", 0),
    ("(?>a)", 0),
    ("a++", 0),
    ("a{2}+", 0),
    (r"(a)\1", 0),
    ("(?P<n>a)(?P=n)", 0),
    ("(a)?(?(1)b|c)", 0),
    (r"\0", 0),
    (r"\N{BULLET}", 0),
    ("(?=a)*", 0),
    ("\ud800", 0),
]


@pytest.mark.parametrize(("text", "flags", "same"), SAME, ids=range(len(SAME)))
def test_what_means_the_same_is_written_so_that_it_does(text: str, flags: int, same: str) -> None:
    assert ecma_pattern(re.compile(text, flags), "search") == same


@pytest.mark.parametrize(("text", "flags"), DIFFERENT, ids=range(len(DIFFERENT)))
def test_what_may_mean_something_else_is_not_written_at_all(text: str, flags: int) -> None:
    pattern = re.compile(text, flags)
    assert [ecma_pattern(pattern, how) for how in ("search", "match")] == [None, None]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a", ("a", "^a", "^a$")),
        ("a|b", ("a|b", "^(?:a|b)", "^(?:a|b)$")),
        ("^a", ("^a", "^a", "^a$")),
        ("^a$", (None, None, "^a$")),
        ("^a$|^b$", (None, None, "^(?:a|b)$")),
        ("(^a$)", (None, None, None)),
        ("a$\n?", (None, None, None)),
        (r"a\Z", ("a$", "^a$", "^a$$")),
        ("a^b", ("a^b", "^a^b", "^a^b$")),
    ],
)
def test_how_it_is_looked_for_is_written_into_it(text: str, expected: tuple[str | None, ...]) -> None:
    pattern = re.compile(text)
    assert (
        ecma_pattern(pattern, "search"),
        ecma_pattern(pattern, "match"),
        ecma_pattern(pattern, "fullmatch"),
    ) == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("letter", "members", "flags"),
    [*((letter, members, A) for letter, members in ASCII_CLASSES.items()), ("s", CLASSES["s"], 0)],
)
def test_the_classes_hold_what_they_hold_in_python(letter: str, members: str, flags: int) -> None:
    every = "".join(chr(number) for number in range(sys.maxunicode + 1) if not 0xD800 <= number <= 0xDFFF)
    assert re.findall(f"[{members}]", every) == re.findall(f"\\{letter}", every, flags)
