"""Writes section 16 of SPEC.md, the states of a connection, from the table that the engine runs by.

    python protocol_spec/generate.py            rewrite the section
    python protocol_spec/generate.py --check    exit 1 if it is not up to date

This script is no part of hawser_conformance, for it imports the engine. Meanings of states come from the docstrings
behind the members of State, clauses from the comments behind the rows of TRANSITIONS; Python keeps neither, so both
are read from the source.
"""

import argparse
import ast
import inspect
import re
import sys
from collections.abc import Iterator, Sequence
from itertools import groupby, pairwise
from pathlib import Path
from typing import Final

from hawser_engine import states
from hawser_engine.states import TRANSITIONS, Input, State

SPEC: Final = Path(__file__).with_name("SPEC.md")
BEGIN: Final = "<!-- generated:states -->\n"
END: Final = "<!-- /generated:states -->\n"

_CLAUSES: Final = re.compile(r"[A-Z]{3}-\d+")


def main(arguments: Sequence[str] | None = None, spec: Path = SPEC) -> int:
    """Run the command line.

    Args:
        arguments: Words behind the command; None for those of the process.
        spec: The file to rewrite or check.

    Returns:
        The exit code: 1 if ``--check`` finds the section out of date.
    """
    parser = argparse.ArgumentParser(description="Write the states of a connection into SPEC.md, from the engine.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if SPEC.md is not up to date")
    options = parser.parse_args(arguments)
    text = spec.read_text(encoding="utf-8")
    new = rewritten(text)
    if new == text:
        return 0
    if options.check:
        print(f"{spec}: the states are not up to date; fix: python protocol_spec/generate.py", file=sys.stderr)
        return 1
    spec.write_text(new, encoding="utf-8")
    return 0


def rewritten(text: str) -> str:
    """Return the specification with what stands between the markers replaced."""
    before, found, rest = text.partition(BEGIN)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        raise SystemExit(f"SPEC.md has no {BEGIN.strip()} … {END.strip()}; fix: put the markers back into section 16")
    return "".join((before, BEGIN, "\n", *(f"{line}\n" for line in section()), "\n", END, after))


def section() -> Iterator[str]:
    """Yield the lines of the section: what the states mean, a diagram, the table."""
    tree = ast.parse(inspect.getsource(states))
    yield "| state | means |"
    yield "|---|---|"
    for name, meaning in _meanings(tree):
        yield f"| {name} | {meaning} |"
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    yield f"    [*] --> {State.IDLE.name}"
    for state, row in TRANSITIONS.items():
        for target in dict.fromkeys(row.values()):
            names = [event.value for event in row if row[event] is target and target is not state]
            if names:
                yield f"    {state.name} --> {target.name}: {', '.join(names)}"
    yield f"    {State.CLOSED.name} --> [*]"
    yield "```"
    yield ""
    yield "| in state | what happens | next state | clause |"
    yield "|---|---|---|---|"
    clauses = _clauses(tree)
    for state, row in TRANSITIONS.items():
        rows = [(target, clauses[state, event], event.value) for event, target in row.items()]
        for (target, clause), same in groupby(rows, key=lambda each: each[:2]):
            yield f"| {state.name} | {', '.join(each[2] for each in same)} | {target.name} | {clause} |"


def _meanings(tree: ast.Module) -> Iterator[tuple[str, str]]:
    body = next(node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == "State")
    for member, docstring in pairwise(body):
        match member, docstring:
            case ast.Assign(targets=[ast.Name(id=name)]), ast.Expr(value=ast.Constant(value=str(text))):
                yield name, " ".join(text.split()).replace("(SPEC ", "(")
            case _:
                pass


def _clauses(tree: ast.Module) -> dict[tuple[State, Input], str]:
    """Find the clauses of each transition in the comment on its line, also through ``**NAME`` and ``dict.fromkeys``."""
    dicts = {
        node.target.id: node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and isinstance(node.value, ast.Dict)
    }
    lines = inspect.getsource(states).splitlines()

    def comment(node: ast.expr) -> str:
        return ", ".join(_CLAUSES.findall(lines[(node.end_lineno or 0) - 1].partition("#")[2]))

    def rows(table: ast.Dict) -> Iterator[tuple[Input, str]]:
        for key, value in zip(table.keys, table.values, strict=True):
            match key, value:
                case ast.Attribute(attr=name), _:
                    yield Input[name], comment(value)
                case None, ast.Name(id=name):
                    yield from rows(dicts[name])
                case None, ast.Call(func=ast.Attribute(attr="fromkeys"), args=[ast.Name(id=name), _]):
                    for event in getattr(states, name):
                        yield event, comment(value)
                case _:
                    raise SystemExit(f"line {value.lineno} of states.py is written in a way this script does not know")

    found: dict[tuple[State, Input], str] = {}
    table = dicts["TRANSITIONS"]
    for key, value in zip(table.keys, table.values, strict=True):
        if isinstance(key, ast.Attribute) and isinstance(value, ast.Dict):
            found.update(((State[key.attr], event), clause) for event, clause in rows(value))
    return found


if __name__ == "__main__":
    sys.exit(main())
