"""The simulator's share of `make test`: 1,500 whole systems, and the simulator itself."""

import json
from typing import Final

import pytest

from .coverage import COUNT, empty_cells, table, unreachable
from .run import TRANSCRIPTS, Outcome, run_many, run_seed, transcript_of

SEEDS: Final = 1_500
CHUNK: Final = 75
"""Small, so that the processes of pytest-xdist end together."""


def check(outcome: Outcome) -> None:
    assert outcome.violation is None, f"make simulate SEED={outcome.seed}\n{outcome.violation}"
    assert outcome.up >= 200, outcome.seed
    assert outcome.down >= 200, outcome.seed
    assert outcome.faults >= 10, outcome.seed


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_every_invariant_holds_in_every_world(first: int) -> None:
    for outcome in run_many(range(first, first + CHUNK)):
        check(outcome)


# Not marked slow though it takes a second: `make pythons` runs it on every other Python.
def test_the_same_seed_does_the_same_on_every_python() -> None:
    committed: dict[str, str] = json.loads(TRANSCRIPTS.read_text(encoding="utf-8"))

    actual = {seed: transcript_of(int(seed))[2] for seed in committed}

    assert actual == committed, "if this is on purpose: python -m tests.simulation --hashes"


@pytest.mark.slow
def test_a_transcript_changes_nothing() -> None:
    quiet, (loud, lines, _) = run_seed(3), transcript_of(3)

    assert loud == quiet
    assert len(lines) > quiet.faults


def test_every_cell_is_decided() -> None:
    listed = unreachable()
    everything = dict.fromkeys(range(COUNT), 1)

    assert all(clause.strip() for clause in listed.values())
    assert empty_cells({})[1] == []
    assert empty_cells(everything)[0] == []
    assert len(empty_cells(everything)[1]) == len(listed)
    assert "EMPTY" in table({})
