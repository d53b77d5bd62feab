"""SPEC.md as data: its clauses, with level and state.

A clause is one line that begins ``**ATT-5** (MUST) text`` and the lines up to the next blank one. Behind the level may
stand ``planned`` (decided, no code yet) or ``local`` (a peer cannot see it on the wire, or only through an
application). ``**ATT-5** (deleted) …`` is the tombstone of an id. Indented lines and fenced blocks define nothing.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from .findings import Finding, Rule
from .places import SPEC

_CLAUSE: Final = re.compile(r"\*\*(?P<prefix>[A-Z]{3})-(?P<number>[1-9]\d*)\*\* \((?P<tag>[^)]*)\) (?P<text>\S.*)")
_ALIKE: Final = re.compile(r"(?:[-*+] )?\*\*\s*[A-Za-z]{2,5}[- ]?\d+")
_FENCE: Final = "```"


class Level(StrEnum):
    """How binding a clause is (RFC 2119)."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"


class State(StrEnum):
    """Whether and where a clause can be seen."""

    IN_FORCE = "in force"
    PLANNED = "planned"
    LOCAL = "local"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause, or the tombstone of one."""

    prefix: str
    number: int
    level: Level
    """Without meaning in a tombstone."""
    state: State
    line: int
    """Where it stands in SPEC.md, counted from 1."""
    text: str
    """All its lines, joined."""

    @property
    def id(self) -> str:
        """The permanent id, such as ``ATT-5``."""
        return f"{self.prefix}-{self.number}"


@dataclass(frozen=True, slots=True)
class Specification:
    """What SPEC.md says, and what is wrong with how it says it."""

    clauses: dict[str, Clause]
    """By id, in the order of the text; of duplicates the first."""
    findings: tuple[Finding, ...]
    lines: tuple[str, ...]

    @property
    def prefixes(self) -> tuple[str, ...]:
        """The prefixes of all clauses, sorted."""
        return tuple(sorted({clause.prefix for clause in self.clauses.values()}))


def parse(text: str) -> Specification:
    """Read SPEC.md.

    Args:
        text: The whole file.
    """
    lines = tuple(text.splitlines())
    clauses: dict[str, Clause] = {}
    findings: list[Finding] = []
    for line, paragraph in _paragraphs(lines):
        outcome = _clause(line, paragraph)
        if isinstance(outcome, Finding):
            findings.append(outcome)
            continue
        first = clauses.setdefault(outcome.id, outcome)
        if first is not outcome:
            findings.append(
                Finding(
                    SPEC,
                    line,
                    Rule.DUPLICATE,
                    f"{outcome.id} is defined in line {first.line} already",
                    f"give this one the next free number, {outcome.prefix}-{_next(clauses, outcome.prefix)}",
                )
            )
    findings += _holes(clauses)
    return Specification(clauses, tuple(findings), lines)


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[int, list[str]]]:
    """Yield (line number, lines) of each clause and of each line that looks like one."""
    fenced = False
    starts: list[int] = []
    for index, line in enumerate(lines):
        if line.startswith(_FENCE):
            fenced = not fenced
        elif not fenced and _ALIKE.match(line):
            starts.append(index)
    for start, following in pairwise([*starts, len(lines)]):
        end = next((index for index in range(start, following) if not lines[index].strip()), following)
        yield start + 1, [line.strip() for line in lines[start:end]]


def _clause(line: int, paragraph: list[str]) -> Clause | Finding:
    match = _CLAUSE.fullmatch(paragraph[0])
    if match is None:
        shown = paragraph[0][:40]
        return Finding(
            SPEC, line, Rule.MALFORMED, f"saw {shown!r}", "write **ABC-1** (MUST) text, or (MUST, planned), (deleted)"
        )
    words = [word.strip() for word in match["tag"].split(",")]
    state = State.IN_FORCE
    level: Level | None = None
    if words == ["deleted"]:
        level, state = Level.MAY, State.DELETED
    elif words[0] in tuple(Level) and len(words) <= 2:
        level = Level(words[0])
        if len(words) == 2:
            if words[1] in (State.PLANNED, State.LOCAL):
                state = State(words[1])
            else:
                level = None
    if level is None:
        return Finding(
            SPEC,
            line,
            Rule.MALFORMED,
            f"saw ({match['tag']}) behind {match['prefix']}-{match['number']}",
            "write (MUST), (SHOULD) or (MAY), with `, planned` or `, local` if it is so, or (deleted)",
        )
    text = " ".join([match["text"], *paragraph[1:]])
    return Clause(match["prefix"], int(match["number"]), level, state, line, text)


def _next(clauses: dict[str, Clause], prefix: str) -> int:
    return 1 + max(clause.number for clause in clauses.values() if clause.prefix == prefix)


def _holes(clauses: dict[str, Clause]) -> Iterator[Finding]:
    by_prefix: dict[str, list[Clause]] = {}
    for clause in clauses.values():
        by_prefix.setdefault(clause.prefix, []).append(clause)
    for prefix, members in by_prefix.items():
        members.sort(key=lambda clause: clause.number)
        known = 0
        for clause in members:
            for number in range(known + 1, clause.number):
                yield Finding(
                    SPEC,
                    clause.line,
                    Rule.MISSING,
                    f"there is {clause.id}, but no {prefix}-{number}",
                    f"leave a tombstone, **{prefix}-{number}** (deleted) and why, or use the number if it never was",
                )
            known = clause.number
