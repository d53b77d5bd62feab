"""Every micro benchmark runs once and reports; how quick it is is never asserted."""

import json
from pathlib import Path

import pytest

from benchmarks.micro.__main__ import CASES, main
from benchmarks.micro.measure import QUICK, Case, Result, measure
from benchmarks.micro.report import as_table


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_case_runs_and_reports(case: Case) -> None:
    heard: list[str] = []
    (result,) = measure([case], QUICK, heard.append)
    assert (result.name, result.per, result.target) == (case.name, case.per, case.target)
    assert result.best <= result.median <= result.worst
    assert result.median > 0
    assert heard


def test_no_two_cases_share_a_name() -> None:
    names = [case.name for case in CASES]
    assert sorted(set(names)) == sorted(names)


def test_a_median_above_the_target_is_named_in_the_table() -> None:
    results = [
        Result("quick", "packet", "µs", 0.1, 0.1, 0.2, 0.15),
        Result("slow", "packet", "µs", 0.2, 0.1, 0.3, 0.15),
        Result("small", "session", "bytes", 100.0, 100.0, 100.0, None),
    ]
    assert [line.split("|")[1].strip() for line in as_table(results).splitlines() if "MISSED" in line] == ["slow"]


@pytest.mark.slow
def test_the_command_writes_json_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record, picture = tmp_path / "micro.json", tmp_path / "micro.png"
    assert main(["--quick", "--json", str(record), "--plot", str(picture), "encode ACK", "idle: record, detached"]) == 0
    written = json.loads(record.read_text(encoding="utf-8"))
    assert [result["case"] for result in written["results"]] == [
        "codec: encode ACK",
        "idle: record, detached",
        "idle: record, detached, used",
    ]
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert "codec: encode ACK" in capsys.readouterr().out


def test_a_name_that_no_case_has_is_a_wrong_use(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["no such thing"]) == 2
    assert "codec: encode ACK" in capsys.readouterr().err
