"""The matrix: every clause with its vectors, code and tests, as Markdown."""

from collections.abc import Iterable, Iterator

from .citations import Kind
from .lint import Repository
from .places import VECTORS
from .specification import Clause, State


def lines(repository: Repository) -> Iterator[str]:
    """Yield the lines of the matrix, a summary first."""
    clauses = [clause for clause in repository.specification.clauses.values() if clause.state is not State.DELETED]
    vectors: dict[str, list[str]] = {}
    for case in repository.cases:
        for name in case.spec:
            vectors.setdefault(name, []).append(case.path.removeprefix(f"{VECTORS}/"))
    cited: dict[tuple[str, Kind], list[str]] = {}
    for citation in repository.citations:
        cited.setdefault((citation.id, citation.kind), []).append(citation.path)

    yield _summary(clauses, vectors, len(repository.cases))
    yield ""
    yield "| clause | level | state | vectors | code | tests |"
    yield "|---|---|---|---|---|---|"
    for clause in clauses:
        cells = (
            clause.id,
            clause.level,
            clause.state,
            _counted(vectors.get(clause.id, [])),
            _counted(cited.get((clause.id, Kind.CODE), [])),
            _counted(cited.get((clause.id, Kind.TEST), [])),
        )
        yield f"| {' | '.join(cells)} |"


def _summary(clauses: list[Clause], vectors: dict[str, list[str]], cases: int) -> str:
    states = {state: sum(clause.state is state for clause in clauses) for state in State}
    proved = sum(clause.id in vectors for clause in clauses)
    return (
        f"{len(clauses)} clauses: {states[State.IN_FORCE]} in force, {states[State.LOCAL]} local, "
        f"{states[State.PLANNED]} planned. {proved} are proved by {cases} vectors."
    )


def _counted(paths: Iterable[str]) -> str:
    """Write each path once, with how often it occurs: ``valid/ack.json (3)``."""
    counts: dict[str, int] = {}
    for path in paths:
        counts[path] = counts.get(path, 0) + 1
    return "<br>".join(f"{path} ({count})" if count > 1 else path for path, count in sorted(counts.items()))
