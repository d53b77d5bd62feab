"""Expressions of a contract, asked of an engine of ECMA 262: they find what Python's own find."""

from __future__ import annotations

import json
import random
import re
import subprocess
from typing import Any, Final

import pytest

from hawser.contract.regexes import How, ecma_pattern

ASK: Final = """
const asked = JSON.parse(require("fs").readFileSync(0, "utf8"));
const answers = asked.map(([pattern, texts]) => {
  const expression = new RegExp(pattern, "u");
  return texts.map((text) => expression.test(text));
});
process.stdout.write(JSON.stringify(answers));
"""

WAYS: Final[tuple[How, ...]] = ("fullmatch", "match", "search")
FLAGS: Final = (0, 0, re.ASCII, re.DOTALL, re.ASCII | re.DOTALL)

ATOMS: Final = [
    *"ab1- ]}{é٣😀/_", ".", "\\.", "\\d", "\\D", "\\w", "\\W", "\\s", "\\S", "\\n", "\\x41", "\\u00e9", "\\A", "\\Z",
    "^", "$", "[ab]", "[^ab]", "[a-c]", "[^\\s]", "[\\d.]", "[\\s\\S]", "[]a]", "[-a]", "[\\]\\-]", "[é-😀]", "[^\\n]",
    "[\\b]", "[^\\w]", "\u2028", "\\ ", "\\-", "x{,2}", "a{1}", "{", "a{2,}b", "[^\\x00-\\x7f]",
]  # fmt: skip
COUNTS: Final = ["*", "+", "?", "{2}", "{,1}", "{1,}", "{0,2}", "*?", "+?", "??", "{2}?"]
GROUPS: Final = ["(", "(?:", "(?=", "(?!", "(?<=", "(?<!", "(?P<{}>"]
CHARACTERS: Final = "aabb1-. ]}{éA٣😀/_\n\n\r\u2028\u2029\u00a0\u0085\ufeff\x1c\b"


class Maker:
    """Makes expressions, of which some are none, and texts."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.groups = 0

    def expression(self, depth: int = 0) -> str:
        options = ["".join(self.piece(depth) for _ in range(self.random.randint(0, 4)))]
        while self.random.random() < 0.25:
            options.append("".join(self.piece(depth) for _ in range(self.random.randint(0, 3))))
        return "|".join(options)

    def piece(self, depth: int) -> str:
        if depth < 2 and self.random.random() < 0.2:
            self.groups += 1
            atom = self.random.choice(GROUPS).format(f"g{self.groups}") + self.expression(depth + 1) + ")"
        else:
            atom = self.random.choice(ATOMS)
        return atom + (self.random.choice(COUNTS) if self.random.random() < 0.25 else "")

    def texts(self) -> list[str]:
        lengths = (self.random.randint(0, 5) for _ in range(40))
        return ["", "\n", "a\n", *("".join(self.random.choices(CHARACTERS, k=length)) for length in lengths)]


def answers(node: str, asked: list[Any]) -> list[list[bool]]:
    run = subprocess.run([node, "-e", ASK], input=json.dumps(asked), capture_output=True, text=True, check=True)
    found: list[list[bool]] = json.loads(run.stdout)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_what_is_told_of_an_expression_finds_what_it_finds(seed: int, node: str) -> None:
    maker = Maker(seed)
    asked: list[tuple[str, list[str]]] = []
    expected: list[tuple[str, str, int, list[bool]]] = []
    while len(asked) < 1_500:
        source, flags, way = maker.expression(), maker.random.choice(FLAGS), maker.random.choice(WAYS)
        try:
            pattern = re.compile(source, flags)
        except re.error:  # such as a repeated ``^``, or a look behind of no fixed length
            continue
        same = ecma_pattern(pattern, way)
        if same is None:
            continue
        texts = maker.texts()
        asked.append((same, texts))
        expected.append((source, way, flags, [getattr(pattern, way)(text) is not None for text in texts]))
    wrong = [
        (source, way, flags, same, text)
        for (same, texts), found, (source, way, flags, wanted) in zip(
            asked, answers(node, asked), expected, strict=True
        )
        for text, one, other in zip(texts, found, wanted, strict=True)
        if one != other
    ]
    assert wrong == []
    assert sum(any(wanted) for *_, wanted in expected) > 500
    assert sum(not all(wanted) for *_, wanted in expected) > 500
