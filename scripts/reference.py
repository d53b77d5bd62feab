"""Writes the tables in docs/reference: of fields from the code, of codes from the specification.

    python scripts/reference.py            rewrite them
    python scripts/reference.py --check    exit 1 if one is not up to date

A table stands in its page between ``<!-- generated:NAME -->`` and ``<!-- /generated:NAME -->``; all else there is
written by hand. The meaning of a field is the text under it in its class: Python keeps none, so it is read from the
source.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import re
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, Final

import attrs

from hawser import Config
from hawser.cli.settings import Settings, Store, Tls
from hawser_engine.bindings.head import HeadLimits
from hawser_engine.bindings.longpoll import PollLimits
from hawser_engine.bindings.websocket import FrameLimits
from hawser_transports import ListenerSettings, MountSettings, PollSettings, WireSettings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROOT: Final = Path(__file__).parents[1]
PAGES: Final = ROOT / "docs/reference"
SPEC: Final = ROOT / "protocol_spec/SPEC.md"

CLASSES: Final[Mapping[str, type]] = {
    cls.__name__: cls
    for cls in (
        Config,
        ListenerSettings,
        MountSettings,
        HeadLimits,
        WireSettings,
        FrameLimits,
        PollSettings,
        PollLimits,
        Settings,
        Tls,
        Store,
    )
}
OWN_TABLES: Final = ("tls", "limits", "listener", "frames", "polls", "head", "wire", "mounts", "store")
"""Fields that hold one of those classes."""

REGISTRIES: Final[Mapping[str, tuple[str, ...]]] = {
    "CloseCode": ("code", "name", "when"),
    "ResetReason": ("reason", "name", "when"),
    "ErrorCode": ("code", "name", "means"),
}
"""How the header of each registry's table begins in the specification."""

UNITS: Final = {"_per_second": "1/s", "_per_minute": "1/min", "_seconds": "s", "_bytes": "bytes"}

_MARKED: Final = re.compile(r"<!-- generated:(?P<name>\w+) -->\n.*?<!-- /generated:(?P=name) -->\n", re.DOTALL)


def main(arguments: Sequence[str] | None = None, pages: Path = PAGES) -> int:
    """Run the command line.

    Args:
        arguments: Words behind the command; None for those of the process.
        pages: The folder of the pages to rewrite or check.

    Returns:
        The exit code: 1 if ``--check`` finds a page out of date.
    """
    parser = argparse.ArgumentParser(description="Write the tables of the reference, from code and specification.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if a table is not up to date")
    options = parser.parse_args(arguments)
    code = 0
    for page in sorted(pages.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text and options.check:
            print(f"{page}: a table is not up to date; fix: python scripts/reference.py", file=sys.stderr)
            code = 1
        elif new != text:
            page.write_text(new, encoding="utf-8")
    return code


def rewritten(text: str) -> str:
    """Return a page with what stands between each pair of markers replaced."""
    spec = SPEC.read_text(encoding="utf-8")

    def fill(marked: re.Match[str]) -> str:
        name = marked["name"]
        return f"<!-- generated:{name} -->\n\n{table(name, spec)}\n<!-- /generated:{name} -->\n"

    return _MARKED.sub(fill, text)


def table(name: str, spec: str) -> str:
    """The table of a class or of a registry.

    Raises:
        SystemExit: There is none of that name.
    """
    if name in CLASSES:
        return table_of_fields(CLASSES[name])
    if name in REGISTRIES:
        return table_of_spec(spec, REGISTRIES[name])
    if name == "GapReason":
        return table_of_gaps(spec)
    raise SystemExit(f"no table is called {name}; there are {', '.join([*CLASSES, *REGISTRIES, 'GapReason'])}")


def table_of_fields(cls: type) -> str:
    """All fields of a class that hold a value, not another class, with unit, default and meaning."""
    meanings = dict(texts_of_fields(cls))
    made = {} if cls is Tls else attrs.asdict(cls(), recurse=False)  # a certificate has no default
    rows = [
        f"| `{field.name}` | {unit(field.name)} | {shown(made.get(field.name))} | {meanings[field.name]} |\n"
        for field in attrs.fields(cls)
        if field.name not in OWN_TABLES
    ]
    return f"| field | unit | default | meaning |\n|---|---|---|---|\n{''.join(rows)}"


def texts_of_fields(cls: type) -> Iterator[tuple[str, str]]:
    """The text under each field of a class and of those that it derives from."""
    for each in reversed(cls.__mro__[:-1]):
        (definition,) = ast.parse(dedent(inspect.getsource(each))).body
        assert isinstance(definition, ast.ClassDef)
        for field, text in zip(definition.body, definition.body[1:], strict=False):
            match field, text:
                case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(meaning))):
                    yield name, " ".join(meaning.split()).replace("``", "`")
                case _:
                    pass


def unit(name: str) -> str:
    """The unit that a name ends with; nothing for a number of things."""
    return next((text for ending, text in UNITS.items() if name.endswith(ending)), "")


def shown(value: Any) -> str:
    """A default, as it stands in a table."""
    match value:
        case None | ():
            return "none"
        case str(text) | (str(text),):
            return f"`{text}`"
        case number:
            return f"{number:,.12g}"


def table_of_spec(spec: str, header: tuple[str, ...]) -> str:
    """The one table of the specification whose first columns have these names."""
    start = re.escape("| " + " | ".join(header) + " |")
    (found,) = re.findall(rf"^{start}[^\n]*\n\|[-|]+\n(?:\|.*\n)+", spec, re.MULTILINE)
    return str(found)


def table_of_gaps(spec: str) -> str:
    """The reasons of GAP, which the specification has in one cell."""
    (cell,) = re.findall(r"^\| `reason` in GAP \| uint \| (.*) \|$", spec, re.MULTILINE)
    reasons = re.findall(r"(\d) (\w+) \(([^)]*)\)", cell)
    rows = [f"| {number} | {name} | {means} |\n" for number, name, means in reasons]
    return f"| reason | name | means |\n|---|---|---|\n{''.join(rows)}"


if __name__ == "__main__":
    sys.exit(main())
