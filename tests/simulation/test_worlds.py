"""The second tier's share of `make test`: the runtime itself by seed, `App`, `serve` and `connect`; and its command.

One tier below, the engine is driven without Trio; here everything is real but the network and the clock, and Trio's
order of tasks is the seed's. To run many: ``python -m tests.simulation.worlds --seeds 100``.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.conftest import LOTS
from tests.runtime.frame import Outcome
from tests.runtime.reading import Broken

from . import tier
from .sittings import seeds_in, stretches
from .tier import KINDS, Kind, Result, Totals, run_one
from .worlds import main

if TYPE_CHECKING:
    from pathlib import Path

PARTS: Final = 6
"""Of the seeds of one sort, so that the processes of pytest-xdist end together."""


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
@pytest.mark.parametrize("name", KINDS)
def test_what_is_promised_holds_in_every_world(name: str, part: int) -> None:
    results = [run_one((name, seed)) for seed in range(part, KINDS[name].quick, PARTS)]
    assert [result.violation for result in results if result.violation] == []
    assert all(result.eventful for result in results)


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_what_a_sort_of_world_is_about_happens_in_it(name: str) -> None:
    kind, missing = KINDS[name], set(KINDS[name].sometimes)
    for seed in range(kind.quick):
        missing -= {what for what, count in kind.run(seed).counts.items() if count}
        if not missing:
            return
    raise AssertionError(f"in {kind.quick} worlds there is none of {missing}")


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_world_draws_nothing_but_by_its_seed(name: str) -> None:
    before = LOTS.getstate()
    for seed in range(3):  # one of each remainder by 3, as worlds differ
        KINDS[name].run(seed)
    drawn = LOTS.getstate() != before
    assert not drawn


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_a_seed_tells_the_same_story_in_every_process(name: str) -> None:
    stories = [
        subprocess.run(
            [
                sys.executable,
                "-m",
                KINDS[name].run.__module__,
                "3",
                "4",
                "5",
            ],  # of each remainder by 3, as worlds differ
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    ]
    assert stories[0].count(" virtual seconds, ") == 3
    assert stories[0] == stories[1]


# ---------------------------------------------------------------- the command


def small_world(seed: int) -> Outcome:
    """Five faults, and broken if its seed is 13."""
    if seed == 13:
        raise Broken("something\nreplay: python -m somewhere 13")
    return Outcome(seed, ["a line"], 5 * (seed != 7), seconds=60.0)


def strange_world(seed: int) -> Outcome:
    raise LookupError("of the world itself")


def endless_world(seed: int) -> Outcome:
    while True:
        pass


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = {"small": small_world, "strange": strange_world, "endless": endless_world}
    for name in list(KINDS):
        monkeypatch.delitem(tier.KINDS, name)
    for name, run in kinds.items():
        monkeypatch.setitem(tier.KINDS, name, Kind(run, 1))


def written(path: Path) -> dict[str, Any]:
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


@pytest.mark.usefixtures("small")
def test_worlds_add_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report = tmp_path / "report.json"
    assert main(["--world", "small", "--seeds", "10", "--jobs", "1", "--report", str(report)]) == 0
    record = written(report)
    assert record["total"] == {"worlds": 10, "faults": 45, "virtual_hours": 0.2, "cpu_hours": 0.0, "violations": 0}
    small = record["worlds"]["small"]
    assert (small["done"], small["worlds"], small["uneventful"]) == ([[0, 10]], 10, 1)
    assert (small["counts"], small["violations"]) == ({"faults": 45}, [])
    assert list(record["commits"].values()) == [10]
    assert "small: 10 worlds, 0.2 virtual hours" in capsys.readouterr().out


@pytest.mark.usefixtures("small")
def test_what_does_not_hold_is_told_with_the_command_that_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--world", "small", "--seeds", "5", "--start", "10", "--jobs", "1"]) == 1
    said = capsys.readouterr().out
    assert "VIOLATION in small 13: something\nreplay: python -m somewhere 13" in said
    assert said.splitlines()[-1] == f"  python -m {__name__} 13    something"


@pytest.mark.usefixtures("small")
def test_what_a_world_itself_does_wrong_is_a_finding() -> None:
    found = run_one(("strange", 4)).violation
    assert found is not None
    assert found.startswith("LookupError('of the world itself')")
    assert found.endswith(f"replay: python -m {__name__} 4")


@pytest.mark.usefixtures("small")
def test_a_world_that_spins_for_ever_is_a_finding() -> None:
    found = run_one(("endless", 0), cpu_seconds_max=0.05).violation
    assert found is not None
    assert found.startswith("Endless")


@pytest.mark.usefixtures("small")
def test_a_long_run_goes_on_where_it_was_stopped(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = str(tmp_path / "run.json")
    assert main(["--world", "small", "--seeds", "3", "--start", "2", "--jobs", "1", "--resume", file]) == 0
    assert main(["--world", "small", "--seeds", "8", "--jobs", "1", "--resume", file]) == 0
    small = written(tmp_path / "run.json")["worlds"]["small"]
    assert (small["done"], small["counts"]) == ([[0, 8]], {"faults": 35})


@pytest.mark.usefixtures("small")
def test_runs_of_different_seeds_can_be_added_up(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other, both = (str(tmp_path / name) for name in ("one", "other", "both"))
    main(["--world", "small", "--seeds", "5", "--jobs", "1", "--report", one])
    main(["--world", "small", "--seeds", "10", "--start", "10", "--jobs", "1", "--report", other])
    assert main(["--merge", one, other, "--report", both]) == 1
    small = written(tmp_path / "both")["worlds"]["small"]
    assert (small["done"], small["counts"]) == ([[0, 5], [10, 20]], {"faults": 70})
    assert small["violations"] == [[13, "something\nreplay: python -m somewhere 13"]]
    assert main(["--merge", one, both]) == 2
    assert main(["--merge", str(tmp_path / "none")]) == 2
    assert f"{both}: the seeds [[0, 5]] are in both" in capsys.readouterr().err


def test_sums_are_what_was_written() -> None:
    totals = Totals()
    totals.add(Result("small", 3, None, 0.5, 60.0, True, {"faults": 2}), "one")
    totals.add(Result("small", 4, "something", 0.5), "other")
    again = Totals.of(json.loads(json.dumps(totals.record())))
    assert again == totals
    assert again.commits == Counter(one=1, other=1)
    assert again.left(["small", "big"], range(3, 6)) == [("big", 3), ("big", 4), ("small", 5), ("big", 5)]


@pytest.mark.parametrize(("seeds", "expected"), [([], []), ([3, 1, 2], [[1, 4]]), ([0, 1, 5, 7, 6], [[0, 2], [5, 8]])])
def test_seeds_are_written_as_stretches(seeds: list[int], expected: list[list[int]]) -> None:
    assert stretches(seeds) == expected
    assert seeds_in(expected) == set(seeds)


def ended_world(seed: int) -> Outcome:
    if seed == 3:
        os.kill(os.getpid(), signal.SIGTERM)
    return small_world(seed)


@pytest.mark.usefixtures("small")
def test_what_is_under_way_is_finished_when_a_signal_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(tier.KINDS, "ended", Kind(ended_world, 1))
    file = tmp_path / "run.json"
    assert main(["--world", "ended", "--seeds", "10", "--jobs", "1", "--resume", str(file)]) == 128 + signal.SIGTERM
    assert written(file)["worlds"]["ended"]["done"] == [[0, 4]]
    assert "the same command goes on from here" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_of_many_processes_is_ended_by_a_signal(number: signal.Signals, tmp_path: Path) -> None:
    file = tmp_path / "run.json"
    command = ["--world", "runtime", "--seeds", "100000", "--jobs", "2", "--resume", str(file)]
    with subprocess.Popen(
        [sys.executable, "-m", "tests.simulation.worlds", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while not file.exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(number)
        said, told = process.communicate()
    assert process.returncode == 128 + number
    assert "the same command goes on from here" in told
    assert said.splitlines()[-1].startswith(f"{written(file)['total']['worlds']:,} seeds")
