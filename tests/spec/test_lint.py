"""The spec lint: each kind of finding, planted in a small repository, is reported where it is.

The planted clauses have prefixes that the real specification does not have, for the lint reads this file too.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from hawser_conformance import __main__ as command
from hawser_conformance import specification
from hawser_conformance.findings import EXPLANATIONS, CannotRun, Rule
from hawser_conformance.lint import check, read
from hawser_conformance.places import SPEC, find_root
from hawser_conformance.specification import Level, State

SOUND = """\
# A specification

    **QQQ-1** (MUST) an example, indented: no clause

```
**QQQ-2** (MUST) in a fenced block: no clause
```

**AAA-1** (MUST) A sender sends.
A receiver receives.

**AAA-2** (SHOULD) It is quick; see AAA-1.

**AAA-3** (MUST, local) It is small.

**AAA-4** (MUST, planned) It flies.

**AAA-5** (deleted) It sang.

**AAA-6** (MAY) It rests.
"""

SCHEMA = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "type": "array",
    "items": {
        "type": "object",
        "required": ["description", "spec", "level"],
        "properties": {
            "description": {"type": "string"},
            "spec": {"type": "array", "items": {"type": "string"}},
            "level": {"enum": ["MUST", "SHOULD", "MAY"]},
        },
    },
}

CASE = {"description": "a sender sends", "spec": ["AAA-1"], "level": "MUST"}


class Tree:
    """A small repository in which all is well, until a test plants something."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.write("protocol_spec/SPEC.md", SOUND)
        self.write("protocol_spec/vectors/schema.json", json.dumps(SCHEMA))
        self.write("protocol_spec/vectors/valid/some.json", json.dumps([CASE]))
        self.write("engine/some.py", "# AAA-1\n")
        self.write("tests/test_some.py", "# AAA-3\n")

    def write(self, path: str, text: str) -> None:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf-8")

    def extend(self, text: str) -> None:
        self.write("protocol_spec/SPEC.md", SOUND + text)

    def cases(self, *cases: Any, path: str = "valid/more.json") -> None:
        """Write a vector file with one case a line, the first in line 2."""
        lines = ",\n".join(json.dumps(case) for case in cases)
        self.write(f"protocol_spec/vectors/{path}", f"[\n{lines}\n]\n")

    def findings(self) -> list[tuple[str, int, Rule]]:
        return [(finding.path, finding.line, finding.rule) for finding in check(read(self.root))]

    def messages(self) -> str:
        return "\n".join(map(str, check(read(self.root))))


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def last_line(tree: Tree) -> int:
    return len((tree.root / SPEC).read_text().splitlines())


def test_a_sound_repository_has_no_findings(tree: Tree) -> None:
    assert tree.findings() == []


def test_clauses_are_read_with_level_state_line_and_text() -> None:
    spec = specification.parse(SOUND)

    assert list(spec.clauses) == ["AAA-1", "AAA-2", "AAA-3", "AAA-4", "AAA-5", "AAA-6"]
    assert spec.prefixes == ("AAA",)
    first = spec.clauses["AAA-1"]
    assert (first.level, first.state, first.line) == (Level.MUST, State.IN_FORCE, 9)
    assert first.text == "A sender sends. A receiver receives."
    assert [clause.state for clause in spec.clauses.values()][2:5] == [State.LOCAL, State.PLANNED, State.DELETED]


@pytest.mark.parametrize(
    "line",
    [
        "**AAA-7** A sender without a level.",
        "**AAA-7** (MUST)",
        "**AAA-7** (must) A level in small letters.",
        "**AAA-7** (MUST, someday) A state that is none.",
        "**AAA-7** (MUST, local, planned) Two states.",
        "**AAA-07** (MUST) A number with a zero in front.",
        "**AAAA-7** (MUST) A prefix of four letters.",
        "**aaa-7** (MUST) A prefix in small letters.",
        "**AAA 7** (MUST) No hyphen.",
        "- **AAA-7** (MUST) In a list.",
        "**AAA-7 (MUST)** All of it in bold.",
    ],
)
def test_a_line_that_only_looks_like_a_clause_is_reported(tree: Tree, line: str) -> None:
    tree.extend(f"\n{line}\n")

    assert (SPEC, last_line(tree), Rule.MALFORMED) in tree.findings()


def test_a_duplicate_clause_is_reported_with_the_next_free_number(tree: Tree) -> None:
    tree.extend("\n**AAA-2** (SHOULD) Something else.\n")

    assert tree.findings() == [(SPEC, last_line(tree), Rule.DUPLICATE)]
    assert "AAA-7" in tree.messages()


def test_the_id_of_a_deleted_clause_is_not_used_again(tree: Tree) -> None:
    tree.extend("\n**AAA-5** (MUST) It sings again.\n")

    assert tree.findings() == [(SPEC, last_line(tree), Rule.DUPLICATE)]


def test_clauses_that_follow_without_a_blank_line_are_both_read(tree: Tree) -> None:
    tree.extend("\n**AAA-7** (MAY) One.\n**AAA-8** (MAY) Two.\n")

    assert tree.findings() == []
    assert read(tree.root).specification.clauses["AAA-7"].text == "One."


def test_a_missing_number_is_reported_once_each(tree: Tree) -> None:
    tree.extend("\n**AAA-9** (MAY) It jumps.\n")

    line = last_line(tree)
    assert tree.findings() == [(SPEC, line, Rule.MISSING)] * 2
    assert "AAA-7" in tree.messages()
    assert "AAA-8" in tree.messages()


def test_a_must_without_a_vector_is_reported(tree: Tree) -> None:
    tree.extend("\n**AAA-7** (MUST) It swims.\n")
    tree.write("engine/more.py", "# AAA-7\n")

    assert tree.findings() == [(SPEC, last_line(tree), Rule.UNPROVED)]


def test_a_must_that_nothing_cites_is_reported(tree: Tree) -> None:
    tree.extend("\n**AAA-7** (MUST) It swims.\n")
    tree.cases(CASE | {"spec": ["AAA-7"]})

    assert tree.findings() == [(SPEC, last_line(tree), Rule.UNCITED)]


def test_a_local_must_needs_a_citation_but_no_vector(tree: Tree) -> None:
    tree.extend("\n**AAA-7** (MUST, local) It swims.\n")

    assert tree.findings() == [(SPEC, last_line(tree), Rule.UNCITED)]


def test_a_document_that_names_a_clause_does_not_keep_it(tree: Tree) -> None:
    tree.extend("\n**AAA-7** (MUST, local) It swims.\n")
    tree.write("docs/page.md", "AAA-7\n")

    assert tree.findings() == [(SPEC, last_line(tree), Rule.UNCITED)]


def test_a_planned_clause_with_vector_and_code_is_no_longer_planned(tree: Tree) -> None:
    tree.cases(CASE | {"spec": ["AAA-4"]})

    assert tree.findings() == []
    tree.write("transports/some.py", "# AAA-4\n")
    assert tree.findings() == [(SPEC, 16, Rule.PLANNED)]


@pytest.mark.parametrize(
    "path",
    [
        "engine/deep/some.py",
        "transports/some.pyi",
        "runtime/some.py",
        "clients/typescript/some.ts",
        "tests/some/mutant.patch",
        "protocol_spec/models/some.pml",
        "protocol_spec/packets.cddl",
        "examples/some.py",
        "docs/some.md",
        "README.md",
    ],
)
def test_a_citation_of_a_clause_that_does_not_exist_is_reported(tree: Tree, path: str) -> None:
    tree.write(path, "one\ntwo (AAA-77)\n")

    assert tree.findings() == [(path, 2, Rule.UNKNOWN)]


def test_what_is_built_or_hidden_is_not_read(tree: Tree) -> None:
    for path in ("engine/__pycache__/a.py", "clients/node_modules/a.ts", "docs/.cache/a.md", "engine/a.bin"):
        tree.write(path, "AAA-77\n")

    assert tree.findings() == []


def test_a_mistyped_prefix_is_found_behind_the_word_spec(tree: Tree) -> None:
    word = "SPEC"  # spelt apart, or the lint of this repository would find it here
    tree.write(
        "engine/more.py", f'"""Some ({word} BBB-1).\n\n{word.title()}: AAA-1, BBB-2 and BBB-3.\n"""\n# UTF-8 BBB-4\n'
    )

    assert tree.findings() == [("engine/more.py", line, Rule.UNKNOWN) for line in (1, 3, 3)]


def test_a_clause_is_cited_once_a_line(tree: Tree) -> None:
    tree.write("engine/some.py", f"# AAA-1 AAA-1, {'SPEC'} AAA-1\n")

    assert [each.id for each in read(tree.root).citations if each.path == "engine/some.py"] == ["AAA-1"]


def test_a_reference_to_a_deleted_clause_is_reported(tree: Tree) -> None:
    tree.write("engine/more.py", "# AAA-5\n")

    assert tree.findings() == [("engine/more.py", 1, Rule.DELETED)]
    assert f"{SPEC}:18" in tree.messages()


def test_the_specification_refers_to_its_own_clauses_only(tree: Tree) -> None:
    tree.extend("\n| a table | AAA-77 | AAA-5 |\n")

    line = last_line(tree)
    assert tree.findings() == [(SPEC, line, Rule.DELETED), (SPEC, line, Rule.UNKNOWN)]


def test_a_vector_of_a_clause_that_does_not_exist_is_reported(tree: Tree) -> None:
    tree.cases(CASE, CASE | {"description": "another", "spec": ["AAA-1", "AAA-77"]})

    assert tree.findings() == [("protocol_spec/vectors/valid/more.json", 3, Rule.UNKNOWN)]


def test_a_vector_has_the_strictest_level_of_its_clauses(tree: Tree) -> None:
    tree.cases(
        CASE | {"description": "right", "spec": ["AAA-2", "AAA-1"]},
        CASE | {"description": "too strict", "spec": ["AAA-2"]},
        CASE | {"description": "too lax", "level": "SHOULD"},
    )

    path = "protocol_spec/vectors/valid/more.json"
    assert tree.findings() == [(path, 3, Rule.LEVEL), (path, 4, Rule.LEVEL)]


def test_two_cases_of_a_file_with_one_description_are_reported(tree: Tree) -> None:
    tree.cases(CASE, CASE)

    assert tree.findings() == [("protocol_spec/vectors/valid/more.json", 3, Rule.REPEATED)]


def test_a_case_that_breaks_the_schema_is_reported_with_its_place(tree: Tree) -> None:
    tree.cases(CASE, CASE | {"description": 7})

    assert tree.findings() == [("protocol_spec/vectors/valid/more.json", 3, Rule.SCHEMA)]
    assert "1/description" in tree.messages()


def test_a_file_that_breaks_the_schema_as_a_whole_is_reported(tree: Tree) -> None:
    tree.write("protocol_spec/vectors/valid/more.json", "\n" + json.dumps(CASE))

    assert tree.findings() == [("protocol_spec/vectors/valid/more.json", 1, Rule.SCHEMA)]
    assert "the file" in tree.messages()


def test_a_case_that_is_no_object_is_reported_and_not_read(tree: Tree) -> None:
    tree.cases("nothing", CASE | {"spec": "AAA-77"})

    path = "protocol_spec/vectors/valid/more.json"
    assert tree.findings() == [(path, 2, Rule.SCHEMA), (path, 3, Rule.SCHEMA)]


def test_a_file_may_hold_one_case_alone(tree: Tree) -> None:
    tree.write("protocol_spec/vectors/schema.json", json.dumps(SCHEMA["items"]))
    tree.write("protocol_spec/vectors/valid/some.json", "\n\n" + json.dumps(CASE | {"spec": ["AAA-1", "AAA-77"]}))

    assert tree.findings() == [("protocol_spec/vectors/valid/some.json", 3, Rule.UNKNOWN)]


def test_a_file_that_is_no_json_is_reported_where_it_breaks(tree: Tree) -> None:
    tree.write("protocol_spec/vectors/invalid/broken.json", "[\n{},\n")

    assert tree.findings() == [("protocol_spec/vectors/invalid/broken.json", 3, Rule.SCHEMA)]


@pytest.mark.parametrize("path", ["more.json", "valid/more.txt", "valid/deep/more.json", "other/more.json"])
def test_a_vector_file_where_no_runner_looks_is_reported(tree: Tree, path: str) -> None:
    tree.write(f"protocol_spec/vectors/{path}", "[]")

    assert tree.findings() == [(f"protocol_spec/vectors/{path}", 1, Rule.SCHEMA)]


def test_vectors_without_a_schema_are_reported(tree: Tree) -> None:
    (tree.root / "protocol_spec/vectors/schema.json").unlink()

    assert tree.findings() == [("protocol_spec/vectors/schema.json", 1, Rule.SCHEMA)]


@pytest.mark.parametrize("text", ["{", '{"type": "nothing"}'])
def test_a_schema_that_is_none_is_reported(tree: Tree, text: str) -> None:
    tree.write("protocol_spec/vectors/schema.json", text)

    assert tree.findings() == [("protocol_spec/vectors/schema.json", 1, Rule.SCHEMA)]


def test_a_repository_without_vectors_and_code_is_read(tmp_path: Path) -> None:
    (tmp_path / "protocol_spec").mkdir()
    (tmp_path / "protocol_spec/SPEC.md").write_text("nothing yet\n")

    assert check(read(tmp_path)) == []


def test_long_messages_of_other_tools_are_cut_to_one_line(tree: Tree) -> None:
    tree.cases(CASE | {"level": "x" * 1_000})

    assert max(len(line) for line in tree.messages().splitlines()) < 400
    assert "…" in tree.messages()


# The command line


def test_findings_are_printed_one_a_line_with_a_fix(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.write("engine/more.py", "# AAA-77\n")

    code = command.main(["lint", "--root", str(tree.root)])

    out, err = capsys.readouterr()
    assert code == 1
    assert out == (
        "engine/more.py:1: unknown-clause: there is no clause AAA-77; "
        "fix: name the clause that protocol_spec/SPEC.md has\n"
    )
    assert err == "5 clauses, 1 vectors, 3 citations: 1 finding\n"


def test_a_sound_repository_is_told_in_one_line(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    code = command.main(["lint", "--root", str(tree.root)])

    assert code == 0
    assert capsys.readouterr() == ("", "5 clauses, 1 vectors, 2 citations: no findings\n")


def test_only_reports_the_rules_that_are_named(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.extend("\n**AAA-7** (MUST) It swims.\n")
    words = ["lint", "--root", str(tree.root), "--only"]

    assert command.main([*words, "no-vector"]) == 1
    assert command.main([*words, "no-vector", "--only", "not-cited"]) == 1
    assert command.main([*words, "schema"]) == 0
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == [
        "no-vector",
        "no-vector",
        "not-cited",
    ]


def test_the_matrix_names_vectors_code_and_tests_of_each_clause(tree: Tree, capsys: pytest.CaptureFixture[str]) -> None:
    tree.cases(CASE, CASE | {"description": "another"})
    tree.write("engine/some.py", "# AAA-1\n# AAA-1\n")

    code = command.main(["lint", "--root", str(tree.root), "--matrix"])

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert lines[0] == "5 clauses: 3 in force, 1 local, 1 planned. 1 are proved by 3 vectors."
    assert "| AAA-1 | MUST | in force | valid/more.json (2)<br>valid/some.json | engine/some.py (2) |  |" in lines
    assert "| AAA-3 | MUST | local |  |  | tests/test_some.py |" in lines
    assert not any("AAA-5" in line for line in lines)


def test_the_root_is_found_from_inside_the_repository(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tree.root / "engine")

    assert find_root(Path.cwd()) == tree.root
    assert command.main(["lint"]) == 0


def test_without_a_specification_the_command_says_what_to_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    for words in (["lint"], ["lint", "--root", str(tmp_path)], ["lint", "--root", __file__]):
        with pytest.raises(SystemExit) as ended:
            command.main(words)
        assert ended.value.code == 2
        assert "--root" in capsys.readouterr().err


def test_without_jsonschema_the_command_says_what_to_install(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jsonschema", None)

    with pytest.raises(CannotRun, match="pip install jsonschema"):
        read(tree.root)


def test_the_help_names_every_rule(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        command.main(["lint", "--help"])

    out = capsys.readouterr().out
    assert ended.value.code == 0
    assert set(EXPLANATIONS) == set(Rule)
    assert all(f"  {rule}" in out for rule in Rule)


@pytest.mark.slow
def test_the_command_runs_as_a_module_and_takes_a_closed_pipe(tree: Tree) -> None:
    words = [sys.executable, "-m", "hawser_conformance"]
    shown = subprocess.run([*words, "--help"], capture_output=True, text=True, timeout=60, check=True)
    assert "lint" in shown.stdout

    for option in ("--matrix", "--only=not-cited"):
        tree.extend("\n**AAA-7** (MUST, local) It swims.\n")
        reading, writing = os.pipe()
        os.close(reading)
        ended = subprocess.run(
            [*words, "lint", "--root", str(tree.root), option], stdout=writing, stderr=subprocess.PIPE, timeout=60
        )
        os.close(writing)
        assert ended.returncode == 1
        assert b"Traceback" not in ended.stderr
        assert b"BrokenPipe" not in ended.stderr
