"""What the lint reports: one line each, where it is, what is wrong and how to mend it."""

from dataclasses import dataclass
from enum import StrEnum


class CannotRun(Exception):
    """Something that the lint needs is not there; the text says what to do."""


class Rule(StrEnum):
    """What the lint can find."""

    MALFORMED = "malformed-clause"
    """A line that begins like a clause and is none."""
    DUPLICATE = "duplicate-clause"
    """An id that two lines of SPEC.md define."""
    MISSING = "missing-number"
    """A number that was skipped; a deleted clause leaves a tombstone."""
    DELETED = "deleted-clause"
    """A reference to a clause of which only the tombstone is left."""
    UNKNOWN = "unknown-clause"
    """A reference to a clause that SPEC.md does not have."""
    UNPROVED = "no-vector"
    """A MUST in force that no vector proves."""
    UNCITED = "not-cited"
    """A MUST in force that neither code nor test cites."""
    PLANNED = "no-longer-planned"
    """A planned clause that has a vector and code."""
    SCHEMA = "schema"
    """A vector file that is no JSON, breaks schema.json, or stands where none belongs."""
    LEVEL = "wrong-level"
    """A vector whose level is not that of its clauses."""
    REPEATED = "repeated-case"
    """Two cases of one file with the same description."""


EXPLANATIONS: dict[Rule, str] = {
    Rule.MALFORMED: "a line that begins like a clause must read **ABC-1** (MUST) text",
    Rule.DUPLICATE: "an id is defined once, and never again after it was deleted",
    Rule.MISSING: "the numbers of a prefix have no holes: **ABC-2** (deleted) marks what is gone",
    Rule.DELETED: "nothing refers to a deleted clause",
    Rule.UNKNOWN: "what SPEC.md, vectors, code, tests and documents refer to must exist",
    Rule.UNPROVED: "every MUST that is neither planned nor local has a vector",
    Rule.UNCITED: "every MUST that is not planned is cited by code or by a test",
    Rule.PLANNED: "a clause with both vector and code is in force: its `planned` goes",
    Rule.SCHEMA: "every file in vectors/ is JSON and keeps to vectors/schema.json",
    Rule.LEVEL: "a case has the strictest level among its clauses",
    Rule.REPEATED: "the cases of a file have descriptions of their own",
}


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing that is wrong."""

    path: str
    """The file, relative to the root of the repository."""
    line: int
    """Counted from 1."""
    rule: Rule
    message: str
    """What was seen."""
    fix: str
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.rule}: {_one_line(self.message)}; fix: {self.fix}"


def _one_line(text: str) -> str:
    """Shorten what another tool or a file says."""
    short = " ".join(text.split())
    return short if len(short) <= 200 else f"{short[:199]}…"
