"""The spec lint: clauses, vectors and citations agree, each way.

It reads files and decides nothing about the protocol itself; ``findings.EXPLANATIONS`` lists its rules.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from . import citations, specification, vectors
from .citations import Citation, Kind
from .findings import CannotRun, Finding, Rule
from .places import SPEC
from .specification import Clause, Level, Specification, State
from .vectors import Case

_STRICTNESS = (Level.MUST, Level.SHOULD, Level.MAY)


@dataclass(frozen=True, slots=True)
class Repository:
    """Everything the lint looks at."""

    specification: Specification
    cases: tuple[Case, ...]
    citations: tuple[Citation, ...]
    reading: tuple[Finding, ...]
    """What was wrong with the files themselves."""


def read(root: Path) -> Repository:
    """Read a repository.

    Args:
        root: Its root directory.

    Raises:
        CannotRun: It has no ``protocol_spec/SPEC.md``, or a library is missing.
    """
    try:
        text = (root / SPEC).read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        raise CannotRun(f"no {SPEC} in {root}; --root names the root of the repository") from None
    spec = specification.parse(text)
    loaded = vectors.load(root)
    cited = citations.collect(root, spec.prefixes)
    return Repository(spec, loaded.cases, tuple(cited), (*spec.findings, *loaded.findings))


def check(repository: Repository) -> list[Finding]:
    """Apply every rule.

    Returns:
        The findings, by file and line; empty if all is well.
    """
    clauses = repository.specification.clauses
    return sorted(
        [
            *repository.reading,
            *_references_in_specification(repository.specification),
            *_vectors(repository.cases, clauses),
            *_citations(repository.citations, clauses),
            *_coverage(repository),
        ]
    )


def _references_in_specification(spec: Specification) -> Iterator[Finding]:
    ids = citations.pattern(spec.prefixes)
    for line, text in enumerate(spec.lines, 1):
        for match in ids.finditer(text):
            if not text.startswith(f"**{match[0]}**"):
                yield from _reference(match[0], spec.clauses.get(match[0]), SPEC, line)


def _vectors(cases: tuple[Case, ...], clauses: dict[str, Clause]) -> Iterator[Finding]:
    for case in cases:
        named = [clauses.get(each) for each in case.spec]
        for each, clause in zip(case.spec, named, strict=True):
            yield from _reference(each, clause, case.path, case.line)
        levels = {clause.level for clause in named if clause is not None and clause.state is not State.DELETED}
        strictest = next((level for level in _STRICTNESS if level in levels), None)
        if strictest is not None and case.level in tuple(Level) and case.level != strictest:
            yield Finding(
                case.path,
                case.line,
                Rule.LEVEL,
                f"{case.description!r} has level {case.level}, its clauses {strictest}",
                f'write "level": "{strictest}"',
            )


def _citations(cited: tuple[Citation, ...], clauses: dict[str, Clause]) -> Iterator[Finding]:
    for citation in cited:
        yield from _reference(citation.id, clauses.get(citation.id), citation.path, citation.line)


def _reference(name: str, clause: Clause | None, path: str, line: int) -> Iterator[Finding]:
    if clause is None:
        yield Finding(path, line, Rule.UNKNOWN, f"there is no clause {name}", f"name the clause that {SPEC} has")
    elif clause.state is State.DELETED:
        tombstone = f"{SPEC}:{clause.line}"
        yield Finding(path, line, Rule.DELETED, f"{name} was deleted", f"see its tombstone, {tombstone}")


def _coverage(repository: Repository) -> Iterator[Finding]:
    proved = {each for case in repository.cases for each in case.spec}
    cited = {each.id for each in repository.citations if each.kind is not Kind.DOCUMENT}
    coded = {each.id for each in repository.citations if each.kind is Kind.CODE}
    for name, clause in repository.specification.clauses.items():
        if clause.state is State.PLANNED and name in proved and name in coded:
            yield Finding(
                SPEC,
                clause.line,
                Rule.PLANNED,
                f"{name} has a vector and code",
                f"write **{name}** ({clause.level})",
            )
        if clause.level is not Level.MUST or clause.state in (State.PLANNED, State.DELETED):
            continue
        if clause.state is not State.LOCAL and name not in proved:
            yield Finding(
                SPEC,
                clause.line,
                Rule.UNPROVED,
                f"no vector proves {name}",
                f'add a case with "spec": ["{name}"], or mark the clause `local` or `planned` if it is so',
            )
        if name not in cited:
            yield Finding(
                SPEC,
                clause.line,
                Rule.UNCITED,
                f"no code and no test cites {name}",
                "name it where it is kept or tested, or mark the clause `planned` if nothing keeps it yet",
            )
