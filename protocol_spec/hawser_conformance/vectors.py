"""The vectors: JSON files of cases in protocol_spec/vectors/, read, checked against their schema, and located.

A case is an object with ``description``, ``spec`` (the clauses it proves) and ``level``. A file holds one case or an
array of them.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from .findings import CannotRun, Finding, Rule
from .places import FOLDERS, SCHEMA, VECTORS

if TYPE_CHECKING:
    import jsonschema

_SPACE_OR_COMMA: Final = re.compile(r"[\s,]*")


class _Validator(Protocol):
    """The part of a jsonschema validator that is used; its own types say less."""

    def iter_errors(self, instance: object) -> "Iterator[jsonschema.ValidationError]": ...


@dataclass(frozen=True, slots=True)
class Case:
    """One case of a vector file."""

    path: str
    line: int
    description: str
    spec: tuple[str, ...]
    """Ids of the clauses that the case proves."""
    level: str


@dataclass(frozen=True, slots=True)
class Vectors:
    """All cases, and what is wrong with the files."""

    cases: tuple[Case, ...]
    findings: tuple[Finding, ...]


def load(root: Path) -> Vectors:
    """Read every vector file under a repository.

    Args:
        root: The root of the repository.

    Raises:
        CannotRun: jsonschema is not installed.
    """
    cases: list[Case] = []
    findings: list[Finding] = []
    validator = _validator(root, findings)
    folder = root / VECTORS
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(root).as_posix()
        if path.is_dir() or name == SCHEMA or path.suffix == ".md":
            continue
        if path.suffix != ".json" or path.parent.parent != folder or path.parent.name not in FOLDERS:
            places = ", ".join(f"{VECTORS}/{each}/" for each in FOLDERS)
            findings.append(Finding(name, 1, Rule.SCHEMA, "no runner looks here", f"move it into one of {places}"))
            continue
        _read(path, name, validator, cases, findings)
    return Vectors(tuple(cases), tuple(findings))


def _validator(root: Path, findings: list[Finding]) -> _Validator | None:
    try:
        import jsonschema  # an extra of the conformance suite, which nothing else of it needs
    except ModuleNotFoundError:
        raise CannotRun("the schema of the vectors needs jsonschema: python -m pip install jsonschema") from None
    path = root / SCHEMA
    try:
        schema = json.loads(path.read_text(encoding="utf-8"))
        jsonschema.Draft202012Validator.check_schema(schema)
    except FileNotFoundError:
        if (root / VECTORS).is_dir():
            findings.append(
                Finding(SCHEMA, 1, Rule.SCHEMA, "there are vectors, but no schema", "write the schema of the vectors")
            )
        return None
    except (ValueError, jsonschema.SchemaError) as error:
        seen = error.message if isinstance(error, jsonschema.SchemaError) else str(error)
        findings.append(Finding(SCHEMA, 1, Rule.SCHEMA, seen, "make it a JSON Schema of draft 2020-12"))
        return None
    return cast("_Validator", jsonschema.Draft202012Validator(schema))


def _read(
    path: Path,
    name: str,
    validator: _Validator | None,
    cases: list[Case],
    findings: list[Finding],
) -> None:
    text = path.read_text(encoding="utf-8")
    try:
        document = json.loads(text)
    except ValueError as error:
        line = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        findings.append(Finding(name, line, Rule.SCHEMA, str(error), "make the file one JSON document"))
        return
    lines = _element_lines(text)
    if validator is not None:
        for broken in validator.iter_errors(document):
            place = list(broken.absolute_path)
            line = lines[place[0]] if place and isinstance(place[0], int) else 1
            where = "/".join(str(step) for step in place) or "the file"
            findings.append(
                Finding(name, line, Rule.SCHEMA, f"{where}: {broken.message}", f"write it as {SCHEMA} says")
            )
    elements: list[Any] = document if text.lstrip().startswith("[") else [document]
    described: dict[str, int] = {}
    for element, line in zip(elements, lines, strict=True):
        if not isinstance(element, dict):
            continue
        case = _case(cast("dict[str, Any]", element), name, line)
        cases.append(case)
        first = described.setdefault(case.description, line)
        if first != line:
            findings.append(
                Finding(
                    name,
                    line,
                    Rule.REPEATED,
                    f"{case.description!r} stands in line {first} already",
                    "say what is particular to this case",
                )
            )


def _case(element: Mapping[str, Any], name: str, line: int) -> Case:
    """Take what the lint needs; the schema reports what is not as it should be."""
    spec = element.get("spec")
    ids = cast("Sequence[object]", spec) if isinstance(spec, list) else ()
    return Case(
        name,
        line,
        str(element.get("description", "")),
        tuple(clause for clause in ids if isinstance(clause, str)),
        str(element.get("level", "")),
    )


def _element_lines(text: str) -> list[int]:
    """Return the line in which each element of the outermost array begins; that of the document if it is no array."""
    position = len(text) - len(text.lstrip())
    if not text.startswith("[", position):
        return [1 + text.count("\n", 0, position)]
    decoder = json.JSONDecoder()
    lines: list[int] = []
    position += 1
    while True:
        position = cast("re.Match[str]", _SPACE_OR_COMMA.match(text, position)).end()
        if text.startswith("]", position):
            return lines
        lines.append(1 + text.count("\n", 0, position))
        position = decoder.raw_decode(text, position)[1]
