"""Puts a mutant into the engine while it is imported, and notices whether the mutated code runs.

The patched source is parsed; in front of the innermost statement that an edit has changed, a call is inserted that
counts. A mutant whose count stays 0 has proved nothing, whatever the simulator said.
"""

import ast
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder, SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Final

from .mutant import Edit, Mutant

__all__ = ["PACKAGE", "Reached", "StaleMutant", "check", "install", "marked_source", "source_of"]

PACKAGE: Final = "hawser_engine"
_ROOT: Final = Path(__file__).parents[3] / "engine" / PACKAGE
_MARKER: Final = "__mutant_reached__"


class StaleMutant(Exception):
    """The engine's source has moved on: the mutant has to be written anew."""


class Reached:
    """How often each edit of the planted mutant was run."""

    def __init__(self, mutant: Mutant | None) -> None:
        self.counts = [0] * (0 if mutant is None else len(mutant.edits))

    def __bool__(self) -> bool:
        return all(self.counts)

    def count(self, index: int) -> None:
        """Note that the code of one edit runs; called by the mutated engine."""
        self.counts[index] += 1


def source_of(module: str) -> str:
    """Return the engine's own source of a module."""
    return (_ROOT / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")


def check(mutant: Mutant) -> None:
    """Raise StaleMutant unless the mutant fits the engine's source and changes what it means."""
    original = source_of(mutant.module)
    text, changed = _applied(mutant, original)
    if ast.dump(ast.parse(text)) == _meaning(original):
        raise StaleMutant(f"{mutant.name}: its text says the same as {mutant.module}.py")
    _marked(text, changed)


def install(mutant: Mutant | None) -> Reached:
    """Let the coming import of the engine find the mutant; None plants nothing.

    The process is spoilt for anything else: the engine stays mutated in it.
    """
    loaded = [name for name in sys.modules if name.partition(".")[0] == PACKAGE]
    assert not loaded, f"{loaded[0]} was imported before the mutant was planted"
    reached = Reached(mutant)
    if mutant is not None:
        sys.meta_path.insert(0, _Finder(mutant, reached))
    return reached


class _Finder(MetaPathFinder):
    """Finds the one mutated module; leaves every other import alone."""

    def __init__(self, mutant: Mutant, reached: Reached) -> None:
        self._name = f"{PACKAGE}.{mutant.module}"
        self._mutant = mutant
        self._reached = reached

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Find the module as usual and give it another loader."""
        if fullname != self._name:
            return None
        spec = PathFinder.find_spec(fullname, path, target)
        assert spec is not None
        assert isinstance(spec.loader, SourceFileLoader)
        spec.loader = _Loader(fullname, spec.loader.path, self._mutant, self._reached.count)
        return spec


class _Loader(SourceFileLoader):
    """Compiles the patched source, and never a cached file."""

    def __init__(self, fullname: str, path: str, mutant: Mutant, count: Callable[[int], None]) -> None:
        super().__init__(fullname, path)
        self._mutant = mutant
        self._count = count

    def get_code(self, fullname: str) -> CodeType:
        """Return the mutated code."""
        source = Path(self.path).read_text(encoding="utf-8")
        code: CodeType = compile(marked_source(self._mutant, source), self.path, "exec")
        return code

    def exec_module(self, module: ModuleType) -> None:
        """Run the module with the counter within its reach."""
        module.__dict__[_MARKER] = self._count
        super().exec_module(module)


def marked_source(mutant: Mutant, source: str) -> ast.Module:
    """Apply the edits; return the tree with a marker in front of each."""
    return _marked(*_applied(mutant, source))


@cache
def _meaning(source: str) -> str:
    return ast.dump(ast.parse(source))


def _applied(mutant: Mutant, source: str) -> tuple[str, Mapping[int, tuple[int, int, bool]]]:
    """Apply the edits; return the new source, and by edit what ``_changed_lines`` says of it."""
    where = f"{mutant.name}: {mutant.module}.py"
    edits = sorted(enumerate(mutant.edits), key=lambda item: source.find(item[1].before))
    pieces: list[str] = []
    changed: dict[int, tuple[int, int, bool]] = {}
    end = line = 0  # of what is copied so far, in the original and in lines of the new source
    for index, edit in edits:
        found, start = source.count(edit.before), source.find(edit.before)
        if found != 1 or (start and source[start - 1] != "\n"):
            raise StaleMutant(f"{where} has these lines {found} times, expected once and whole:\n{edit.before}")
        if start < end or not edit.before.endswith("\n") or not edit.after.endswith("\n"):
            raise StaleMutant(f"{where}: edits overlap, or are no whole lines:\n{edit.before}")
        pieces += source[end:start], edit.after
        line += pieces[-2].count("\n")
        changed[index] = _changed_lines(edit, line + 1)
        line += edit.after.count("\n")
        end = start + len(edit.before)
    return "".join((*pieces, source[end:])), changed


def _changed_lines(edit: Edit, line: int) -> tuple[int, int, bool]:
    """Return the first and last line that differ, where ``after`` begins at ``line``; and whether they are all new."""
    before, after = edit.before.splitlines(), edit.after.splitlines()
    shorter = min(len(before), len(after))
    same = 0
    while same < shorter and before[same] == after[same]:
        same += 1
    tail = 0
    while tail < shorter - same and before[-1 - tail] == after[-1 - tail]:
        tail += 1
    # Where lines are only taken away, the one behind them stands for them.
    first = min(same, len(after) - 1)
    return line + first, line + max(len(after) - tail - 1, first), same + tail == len(before)


def _marked(source: str, changed: Mapping[int, tuple[int, int, bool]]) -> ast.Module:
    """Parse, and put a counting call in front of the innermost statement of each range of lines."""
    tree = ast.parse(source)
    for index, (first, last, added) in changed.items():
        block, place = _innermost(tree, first, last, added=added)
        marker = ast.parse(f"{_MARKER}({index})").body[0]
        ast.copy_location(marker, block[place])
        ast.fix_missing_locations(marker)
        block.insert(place, marker)
    return tree


def _innermost(tree: ast.Module, first: int, last: int, *, added: bool) -> tuple[list[ast.stmt], int]:
    """Return the block, and the place in it, of the first statement that begins in the lines, else the innermost."""
    begins: list[tuple[int, list[ast.stmt], int]] = []
    holds: list[tuple[int, list[ast.stmt], int]] = []
    for block in _blocks(tree):
        for place, statement in enumerate(block):
            if first <= statement.lineno <= last:
                begins.append((statement.lineno, block, place))
            elif statement.lineno < first <= (statement.end_lineno or 0):
                holds.append((statement.lineno, block, place))
    if not begins and not holds:
        raise StaleMutant(f"lines {first} to {last} of the patched source are in no function")
    _, block, place = min(begins, key=_line) if begins else max(holds, key=_line)
    statement = block[place]
    if begins and added and isinstance(statement, ast.If | ast.For | ast.While) and statement.body[0].lineno <= last:
        return statement.body, 0  # the condition is new, so what it guards is what differs
    return block, place


def _line(found: tuple[int, list[ast.stmt], int]) -> int:
    return found[0]


def _blocks(tree: ast.Module) -> Iterator[list[ast.stmt]]:
    """Return every run of statements that stands in a function."""
    for function in ast.walk(tree):
        if isinstance(function, ast.FunctionDef):
            for node in ast.walk(function):
                for name in ("body", "orelse", "finalbody"):
                    block = getattr(node, name, None)
                    if isinstance(block, list):
                        yield block
