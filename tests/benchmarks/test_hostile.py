"""What the figures of hostile networks are made of, and where they are recorded; the runs are in tests/faults."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from benchmarks.hostile.__main__ import Places, as_text, cases, figures, main, reason, record
from tests.faults.journey import Journey
from tests.faults.networks import Outcome

if TYPE_CHECKING:
    from pathlib import Path

SMOOTH = Outcome(Journey(messages=2, seconds=1.5, recoveries=[], delays=[0.1, 0.2], payload_bytes=100), 150)
ROUGH = Outcome(Journey(messages=2_000, seconds=61.0, recoveries=[1.0, 9.0], delays=[0.1], payload_bytes=100), 300)
NAMES = {"name": "loss-2", "title": "2 % loss", "carriage": "ws"}


def test_every_network_and_middlebox_is_crossed_by_each_carriage_that_can() -> None:
    every = cases([])
    assert len(every) == len({(each.name, each.carriage) for each in every})
    assert [each.carriage for each in cases(["nginx-no-websocket/"])] == ["poll", "auto"]
    assert [(each.name, each.carriage) for each in cases(["loss-30/"])] == [
        ("loss-30", "ws"),
        ("loss-30", "poll"),
        ("loss-30", "auto"),
    ]


def test_figures_are_rounded_and_a_run_without_a_pause_has_none() -> None:
    assert figures(SMOOTH) == {
        "messages": 2,
        "seconds": 1.5,
        "pauses": 0,
        "delay_seconds": {"p50": 0.2, "p99": 0.2},
        "bytes_per_payload_byte": 1.5,
    }
    assert figures(ROUGH)["recovery_seconds"] == {"p50": 9.0, "p99": 9.0}


def test_a_run_that_failed_has_its_row_and_its_reason() -> None:
    late: Exception = ExceptionGroup("", [ExceptionGroup("", [trio.TooSlowError()])])
    assert reason(late) == "not done within 180 s"
    assert reason(AssertionError("one\ntwo")) == "one"
    assert reason(OSError()) == "OSError"
    lines = as_text([NAMES | {"failed": "one"}, NAMES | figures(ROUGH), NAMES | figures(SMOOTH)]).splitlines()
    assert [cell.strip() for cell in lines[2].split("|")[1:5]] == ["2 % loss", "ws", "FAILED", "one"]
    assert [cell.strip() for cell in lines[3].split("|")[3:8]] == ["2,000", "61 s", "2", "9.00 s", "9.00 s"]
    assert lines[4].split("|")[6].strip() == "none"


@pytest.mark.slow
def test_json_page_and_picture_are_written(tmp_path: Path) -> None:
    places = Places(tmp_path / "hostile.json", tmp_path / "page.md")
    places.page.write_text("before\n<!-- hostile: written by the benchmark -->\nold\n<!-- end of hostile -->\nafter\n")
    record(places, [NAMES | figures(ROUGH), NAMES | figures(SMOOTH)], 2)
    found = json.loads(places.json.read_text())
    assert [result["pauses"] for result in found["results"]] == [2, 0]
    text = places.page.read_text()
    assert text.startswith("before\n<!-- hostile: written by the benchmark -->\n\n")
    assert text.endswith("<!-- end of hostile -->\nafter\n")
    assert "2 run(s) at once" in text
    assert "old" not in text
    assert places.picture.read_bytes().startswith(b"\x89PNG")
    places.page.write_text("no section")
    with pytest.raises(ValueError, match="no section"):
        record(places, [], 1)


def test_an_unknown_name_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nothing"]) == 2
    assert "loss-10/poll" in capsys.readouterr().out


@pytest.mark.slow
def test_a_quick_run_is_exact_and_records_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "swallowing/ws"]) == 0
    assert "replies swallowed" in capsys.readouterr().out
