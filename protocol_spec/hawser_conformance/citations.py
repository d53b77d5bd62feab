"""Where code, tests and documents name clauses.

A citation is an id whose prefix SPEC.md has, anywhere in a file; and, so that a mistyped prefix does not hide, any id
behind the word SPEC or ``Spec:``.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final


class Kind(StrEnum):
    """What kind of file cites."""

    CODE = "code"
    TEST = "test"
    DOCUMENT = "document"


PLACES: Final[tuple[tuple[str, Kind], ...]] = (
    ("engine", Kind.CODE),
    ("transports", Kind.CODE),
    ("runtime", Kind.CODE),
    ("clients", Kind.CODE),
    ("protocol_spec/packets.cddl", Kind.CODE),
    ("protocol_spec/models", Kind.TEST),
    ("tests", Kind.TEST),
    ("benchmarks", Kind.DOCUMENT),
    ("examples", Kind.DOCUMENT),
    ("docs", Kind.DOCUMENT),
    ("protocol_spec/README.md", Kind.DOCUMENT),
    ("README.md", Kind.DOCUMENT),
    ("CONTRIBUTING.md", Kind.DOCUMENT),
    ("CHANGELOG.md", Kind.DOCUMENT),
)
"""Folders and files that are read, and what a citation in them counts as."""

_SUFFIXES: Final = frozenset((".cddl", ".js", ".md", ".patch", ".pml", ".py", ".pyi", ".sh", ".toml", ".ts", ".tsx"))
_SKIPPED: Final = frozenset(("__pycache__", "node_modules", "build", "dist", "site"))
_NAMED: Final = re.compile(r"\b(?:SPEC|Spec:)\s+((?:[A-Z]{3}-\d+)(?:(?:,|;| and| to)\s+[A-Z]{3}-\d+)*)")
_ID: Final = re.compile(r"[A-Z]{3}-\d+")


@dataclass(frozen=True, slots=True)
class Citation:
    """One place that names a clause."""

    id: str
    path: str
    line: int
    kind: Kind


def pattern(prefixes: Sequence[str]) -> re.Pattern[str]:
    """Return the pattern of every id with one of these prefixes."""
    return re.compile(rf"\b(?:{'|'.join(prefixes)})-\d+\b") if prefixes else re.compile(r"(?!)")


def collect(root: Path, prefixes: Sequence[str]) -> list[Citation]:
    """Find all citations under a repository.

    Args:
        root: The root of the repository.
        prefixes: The prefixes that SPEC.md has.
    """
    ids = pattern(prefixes)
    citations: list[Citation] = []
    for place, kind in PLACES:
        for path in _files(root / place):
            name = path.relative_to(root).as_posix()
            text = path.read_text(encoding="utf-8", errors="replace")
            citations += [Citation(each, name, line, kind) for line, each in sorted(set(_in_text(text, ids)))]
    return citations


def _files(place: Path) -> Iterator[Path]:
    if place.is_file():
        yield place
    elif place.is_dir():
        for path in sorted(place.rglob("*")):
            inside = path.relative_to(place).parts
            hidden = any(part in _SKIPPED or part.startswith(".") for part in inside)
            if path.suffix in _SUFFIXES and not hidden and path.is_file():
                yield path


def _in_text(text: str, ids: re.Pattern[str]) -> Iterator[tuple[int, str]]:
    """Yield (line, id) of each citation, the same one more than once if both patterns find it."""
    for match in ids.finditer(text):
        yield 1 + text.count("\n", 0, match.start()), match[0]
    for match in _NAMED.finditer(text):
        for inner in _ID.finditer(match[1]):
            yield 1 + text.count("\n", 0, match.start(1) + inner.start()), inner[0]
