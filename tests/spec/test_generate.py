"""Section 16 of SPEC.md is the table that the engine runs by."""

from __future__ import annotations

from typing import TYPE_CHECKING

import generate
import pytest

from hawser_engine.states import TRANSITIONS, State

if TYPE_CHECKING:
    from pathlib import Path


def test_the_states_in_the_specification_are_up_to_date() -> None:
    assert generate.main(["--check"]) == 0


def test_every_state_and_every_transition_with_its_clause_is_written() -> None:
    lines = list(generate.section())

    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    assert [row[0] for row in rows if len(row) == 2][2:] == [state.name for state in State]
    written = [(row[0], event, row[2]) for row in rows if len(row) == 4 for event in row[1].split(", ")][2:]
    assert written == [
        (state.name, event.value, target.name) for state, row in TRANSITIONS.items() for event, target in row.items()
    ]
    assert all(row[3] for row in rows if len(row) == 4)


def test_what_is_out_of_date_is_reported_and_rewritten(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = tmp_path / "SPEC.md"
    spec.write_text(f"before\n{generate.BEGIN}old\n{generate.END}after\n", encoding="utf-8")

    assert generate.main(["--check"], spec) == 1
    assert "generate.py" in capsys.readouterr().err
    assert generate.main([], spec) == 0
    assert generate.main(["--check"], spec) == 0
    text = spec.read_text(encoding="utf-8")
    assert text.startswith(f"before\n{generate.BEGIN}\n| state |")
    assert text.endswith(f"|\n\n{generate.END}after\n")


def test_without_markers_nothing_is_written(tmp_path: Path) -> None:
    spec = tmp_path / "SPEC.md"
    spec.write_text("nothing\n", encoding="utf-8")

    with pytest.raises(SystemExit, match="markers"):
        generate.main([], spec)
    assert spec.read_text(encoding="utf-8") == "nothing\n"
