"""Would the simulator notice if the engine were wrong? Planted bugs say so (see ``mutants``)."""

import ast

import pytest

from tests.simulation.mutants.catalogue import MUTANTS
from tests.simulation.mutants.gate import hunt, read_record
from tests.simulation.mutants.mutant import Edit, Kind, Mutant
from tests.simulation.mutants.patching import StaleMutant, check, marked_source, source_of

_MORE_SEEDS = 20
"""Tried as well where the recorded seed notices a mutant no more: a changed engine shifts every draw."""

_SAFETY = [name for name, mutant in MUTANTS.items() if mutant.kind is Kind.SAFETY]


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mutant_fits_the_engine_and_changes_it(name: str) -> None:
    check(MUTANTS[name])


def test_there_are_enough_safety_mutants_and_each_has_a_seed() -> None:
    assert len(_SAFETY) >= 28
    assert sorted(set(_SAFETY) - set(read_record())) == []


def test_the_record_names_no_mutant_that_is_gone() -> None:
    assert sorted(set(read_record()) - set(MUTANTS)) == []


def test_a_stale_mutant_is_refused() -> None:
    lines = "        self.sent += batch.count\n"
    for before, after in (
        ("        never stood there\n", lines),
        ("self.sent += batch.count\n", lines),
        (lines, lines),
    ):
        with pytest.raises(StaleMutant):
            check(Mutant("stale", "Nothing.", "NUM-6", "outbox", (Edit(before, after),)))


def test_the_marker_stands_in_front_of_the_changed_statement() -> None:
    text = ast.unparse(marked_source(MUTANTS["forget-to-trim"], source_of("outbox")))
    assert "    __mutant_reached__(0)\n            self.delivered = delivered\n" in text


@pytest.mark.slow
@pytest.mark.parametrize("name", _SAFETY)
def test_a_safety_mutant_is_caught(name: str) -> None:
    seed, _ = read_record()[name]
    finding = hunt(name, [seed], then_to=_MORE_SEEDS)
    assert finding.caught, (
        f"{name}: {finding.verdict}\nlook closer with: python -m tests.simulation.mutants {name}\n"
        "and if it is caught by another seed now, add --record"
    )
