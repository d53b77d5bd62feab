"""The benchmark of channels and calls runs, counts rightly and tells its targets; no figure is asserted."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.channels.__main__ import main
from benchmarks.channels.cases import CALLS, CASES, FANOUT, FLAPS, JOINS, MEMORY, OUR_CALL
from benchmarks.channels.outcome import as_text, ratios
from tests.benchmarks.test_servers import places_in

if TYPE_CHECKING:
    from pathlib import Path

FIGURES = {"count": 10, "seconds": 1.0, "generator_cpu_us": 1.0, "p50_ms": 0.5, "p99_ms": 2.0}


def fan_out(name: str, in_flight: int, cpu_us: float) -> dict[str, Any]:
    return {**FIGURES, "row": name, "in_flight": in_flight, "server_cpu_us": cpu_us}


# ---------------------------------------------------------------- the whole command


@pytest.mark.slow
@pytest.mark.verify
def test_a_tiny_run_measures_everything_and_records_it(tmp_path: Path) -> None:
    places = places_in(tmp_path, "channels")
    assert main(["--quick"], places) == 0
    found = json.loads(places.json.read_text(encoding="utf-8"))
    assert [result["case"] for result in found["results"]] == [case.name for case in CASES]
    for result in found["results"]:
        for row in result["rows"]:
            assert row["count"] > 0
            assert row["bytes" if result["case"].startswith("memory") else "server_cpu_us"] > 0
    assert places.picture.read_bytes().startswith(b"\x89PNG")
    text = places.readme.read_text(encoding="utf-8")
    assert all(f"| {case.name.partition(': ')[2]}" in text for case in CALLS)
    assert text.count("≤ 1.1: ") == 4
    assert text.count("≤ 1,024: ") == 2


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["fan-out", "memory: alive", "join: presence on and watched", "leave and come back", "an agent"]
)
def test_a_part_alone_is_measured_and_not_recorded(capsys: pytest.CaptureFixture[str], name: str) -> None:
    assert main(["--quick", name]) == 0
    assert capsys.readouterr().out.strip()


# ---------------------------------------------------------------- reporting


def test_history_is_compared_with_the_bare_fan_out_of_its_turn() -> None:
    """A busy turn, in which everything costs ten times as much, moves no ratio."""
    rows = [
        fan_out(name, in_flight, cpu_us * busy * in_flight)
        for busy in (1, 10, 1)
        for in_flight in (1, 16)
        for name, cpu_us in (
            ("no session, no offsets", 9.0),
            ("bare", 10.0),
            ("history in memory", 10.5),
            ("history in SQLite", 12.0),
        )
    ]
    found = ratios(rows)
    assert found == pytest.approx(
        {
            (name, load): ratio
            for load in (1, 16)
            for name, ratio in (
                ("no session, no offsets", 0.9),
                ("history in memory", 1.05),
                ("history in SQLite", 1.2),
            )
        }
    )
    text = as_text({FANOUT.name: rows})
    assert "10.50 µs (best 10.50), 1.05 times" in text
    bare = "times the bare fan-out, which has offsets and keeps nothing: ≤ 1.1"
    assert f"history in memory, 1 in flight, {bare}: met, with 1.05" in text
    assert f"history in SQLite, 16 in flight, {bare}: MISSED, with 1.2" in text
    assert "9.00 µs (best 9.00), 0.90 times" in text
    assert "no session" not in text.partition("Targets")[2]


def test_memory_is_told_with_its_target() -> None:
    found = {
        case.name: [
            {"row": f"{kind}, {state}", "count": 100_000, "sessions": 782, "bytes": size}
            for state, size in (("never published to", 820.0), ("published to once, without payload", 1_030.0))
        ]
        for case, kind in zip(MEMORY, ("resident", "alive"), strict=True)
    }
    text = as_text(found)
    assert "one subscriber, resident, never published to, of 100,000: ≤ 1,024: met, with 820" in text
    assert "alive, never published to, of 100,000: ≤ 1,024: met, with 820" in text
    for kind in ("resident", "alive"):  # and without a target
        assert re.search(rf"\| {kind}, published to once, without payload +\| 100,000 +\| 1,030 ", text)


def test_a_crowd_is_told_by_the_second() -> None:
    rows = [
        {"count": 1_000, "members": 10_000, "server_cpu_us": cpu_us, "watcher_bytes": told, "member_bytes": 550.0}
        for cpu_us, told in ((300.0, 20.0), (310.0, 60.0), (420.0, 40.0))
    ]
    text = as_text({FLAPS.name: rows})
    assert "10,000 members, of whom 1,000 a second" in text
    assert "| 310 ms (best 300)" in text
    assert "| 40 bytes" in text
    assert "| 550 bytes" in text


def test_joins_are_told_by_how_many_are_there_and_calls_beside_ours() -> None:
    joins = [{**FIGURES, "row": there, "server_cpu_us": 200.0} for there in (100, 1_000)]
    text = as_text({case.name: joins for case in JOINS})
    assert "| 1,000 " in text
    assert "200 µs, 0.50 ms" in text
    assert "Targets" not in text
    ours = {**FIGURES, "server_cpu_us": 300.0, "client_cpu_us": 310.0}
    other = {**ours, "p50_ms": 1.0, "agent_cpu_us": 320.0}
    text = as_text({OUR_CALL.name: [ours], CALLS[1].name: [other]})
    assert "1.000 ms (2 times)" in text
    assert "320 µs" in text
    assert "times" not in as_text({CALLS[1].name: [other]})
