"""What the documents say is true: their programs run, their links lead somewhere, the tests they name exist.

A fenced block marked ``python`` is a whole program. If the next fenced block is ``text title="prints"``, it is exactly
what the program prints.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, NamedTuple

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]


def is_ours(path: Path) -> bool:
    """Whether a file is the project's own, and not of a package that make has installed."""
    return "node_modules" not in path.parts


PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
PARTS = ("benchmarks", "engine", "examples", "protocol_spec", "runtime", "scripts", "tests", "transports")
EVERY_PAGE = sorted([*PAGES, *(page for part in PARTS for page in ROOT.glob(f"{part}/**/*.md") if is_ours(page))])

FENCE = re.compile(r"^(?P<indent> *)```(?P<info>[^\n`]+)\n(?P<body>.*?)^(?P=indent)```$", re.MULTILINE | re.DOTALL)
ANY_CODE = re.compile(r"^( *)```.*?^\1```$|`[^`\n]+`", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?P<target>[^)\s]+)\)")
NAMED_PATH = re.compile(rf"`(?P<path>(?:docs|{'|'.join(PARTS)})/[\w./-]*\w)`")
NAMED_TARGET = re.compile(r"(?:`|^)make (?P<target>[a-z]+)\b", re.MULTILINE)
HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
NAMED_TEST = re.compile(r"`(?P<path>tests/[\w/]+\.py)::(?P<name>\w+)`")

PROGRAM_SECONDS = 60.0


class Program(NamedTuple):
    """One program of a page and what it says it prints."""

    page: Path
    line: int
    source: str
    prints: str | None

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def programs() -> Iterator[Program]:
    """Find every program of every page, in order."""
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        blocks = list(FENCE.finditer(text))
        for index, block in enumerate(blocks):
            if block["info"].split()[0] != "python":
                continue
            after = blocks[index + 1] if index + 1 < len(blocks) else None
            prints = dedent(after["body"]) if after is not None and after["info"] == 'text title="prints"' else None
            yield Program(page, text.count("\n", 0, block.start()) + 2, dedent(block["body"]), prints)


def pages_with(pattern: re.Pattern[str], *, outside_code: bool = False) -> Iterator[tuple[Path, re.Match[str]]]:
    """Find every match of a pattern in every page, with the page."""
    for page in EVERY_PAGE:
        text = page.read_text(encoding="utf-8")
        if outside_code:
            text = ANY_CODE.sub("", text)
        for match in pattern.finditer(text):
            yield page, match


@pytest.mark.slow
@pytest.mark.parametrize("program", [*programs()], ids=str)
def test_a_program_in_the_documents_runs_and_prints_what_it_says(program: Program) -> None:
    # The empty lines make a traceback name the line of the page.
    source = "\n" * (program.line - 1) + program.source
    compile(source, str(program), "exec")
    run = subprocess.run(
        [sys.executable, "-W", "error", "-c", source],
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
        check=False,
        cwd=ROOT,
    )
    assert run.returncode == 0, f"{program} failed:\n{run.stderr}"
    if program.prints is not None:
        assert run.stdout == program.prints


@pytest.mark.parametrize("command", ["make run", "make test"])
def test_the_readme_shows_the_commands_that_everything_else_calls(command: str) -> None:
    """CI runs exactly the second."""
    shown = re.findall(
        r"^```sh\n(.*?)^```$", (ROOT / "README.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )
    assert any(line.startswith(command) for line in shown[0].splitlines())


def test_the_readme_begins_with_a_program() -> None:
    first = next(program for program in programs() if program.page.name == "README.md")
    assert first.prints is not None


def test_relative_links_lead_to_files_and_to_headings() -> None:
    broken = [
        f"{page.relative_to(ROOT)}: {link['target']}"
        for page, link in pages_with(LINK, outside_code=True)
        if "://" not in link["target"] and not leads_somewhere(page, link["target"])
    ]
    assert broken == []


def test_the_files_that_the_documents_name_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {named['path']}"
        for page, named in pages_with(NAMED_PATH)
        if not any((folder / named["path"]).exists() for folder in (ROOT, page.parent))
    ]
    assert missing == []


def test_what_the_documents_ask_make_for_it_can_do() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {match["target"] for _, match in pages_with(NAMED_TARGET)}
    assert {"run", "demo", "test"} <= named
    assert named - targets == set()


def test_every_page_is_in_the_navigation() -> None:
    navigation = set(re.findall(r'"([\w/-]+\.md)"', (ROOT / "zensical.toml").read_text(encoding="utf-8")))
    assert navigation == {page.relative_to(ROOT / "docs").as_posix() for page in ROOT.glob("docs/**/*.md")}


def test_a_file_that_a_page_shows_is_shown_as_it_is() -> None:
    shown = [
        (title["path"], dedent(block["body"]))
        for page in PAGES
        for block in FENCE.finditer(page.read_text(encoding="utf-8"))
        if (title := re.search(r'title="(?P<path>examples/[^"]+)"', block["info"]))
    ]
    behind = [path for path in ROOT.glob("examples/behind-*/*.*") if path.suffix in {".conf", ".cfg", ".toml"}]
    assert {path for path, _ in shown} >= {path.relative_to(ROOT).as_posix() for path in behind}
    assert [path for path, text in shown if (ROOT / path).read_text(encoding="utf-8") != text] == []


def test_the_tests_that_the_documents_name_exist() -> None:
    missing = [
        f"{page.relative_to(ROOT)}: {named['path']}::{named['name']}"
        for page, named in pages_with(NAMED_TEST)
        if named["name"] not in functions_of(ROOT / named["path"])
    ]
    assert missing == []


def test_every_sentence_of_the_guarantee_names_its_test() -> None:
    table = [
        line for line in (ROOT / "README.md").read_text(encoding="utf-8").splitlines() if re.match(r"\| \d \|", line)
    ]
    assert [bool(NAMED_TEST.search(line)) for line in table] == [True] * 6


def test_the_guide_to_clients_names_every_scenario_of_a_client() -> None:
    guide = (ROOT / "docs/how-to/write-a-client.md").read_text(encoding="utf-8")
    scenarios = {path.name for path in ROOT.glob("protocol_spec/vectors/scenarios/client-*.json")}
    assert set(re.findall(r"client-\w+\.json", guide)) == scenarios


def leads_somewhere(page: Path, target: str) -> bool:
    """Whether a link leads to a file that is there, and to a heading in it if it names one."""
    path, _, fragment = target.partition("#")
    there = page.parent / path if path else page
    if not fragment or there.suffix != ".md":
        return there.exists()
    headings = HEADING.findall(there.read_text(encoding="utf-8")) if there.exists() else []
    return fragment in {re.sub(r"[^\w\s-]", "", heading.lower()).strip().replace(" ", "-") for heading in headings}


def functions_of(path: Path) -> set[str]:
    """Name the functions that a file of tests defines; a file that is not there defines none."""
    if not path.exists():
        return set()
    return {
        node.name
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
