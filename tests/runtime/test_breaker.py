"""The circuit breaker of a client (SPEC REC-3)."""

from __future__ import annotations

from itertools import product

import pytest

from hawser import Config
from hawser.client.breaker import TRANSITIONS, Circuit, CircuitBreaker, Outcome

ACTS = {
    Outcome.BEGUN: CircuitBreaker.begun,
    Outcome.REACHED: CircuitBreaker.reached,
    Outcome.TRIPPED: CircuitBreaker.failed,
    Outcome.WITHDRAWN: CircuitBreaker.withdrawn,
}


def breaker_that_is(circuit: Circuit) -> CircuitBreaker:
    """A breaker that one failure opens."""
    breaker = CircuitBreaker(1)
    if circuit is not Circuit.CLOSED:
        breaker.begun()
        breaker.failed()
    if circuit is Circuit.HALF_OPEN:
        breaker.begun()
    assert breaker.circuit is circuit
    return breaker


@pytest.mark.parametrize(("circuit", "outcome"), list(product(Circuit, ACTS)), ids=lambda value: value.name)
def test_every_pair_does_what_the_table_says(circuit: Circuit, outcome: Outcome) -> None:
    breaker = breaker_that_is(circuit)
    after = TRANSITIONS[circuit].get(outcome)
    if after is None:
        with pytest.raises(AssertionError, match=f"{outcome.name} is not possible while {circuit.name}"):
            ACTS[outcome](breaker)
    else:
        ACTS[outcome](breaker)
        assert breaker.circuit is after


def test_it_opens_at_so_many_failures_in_a_row_and_counts_the_probes_behind_them() -> None:
    breaker = CircuitBreaker(3)
    seen: list[tuple[Circuit, int]] = []
    for _ in range(5):
        breaker.begun()
        breaker.failed()
        seen.append((breaker.circuit, breaker.probes))
    closed, opened = Circuit.CLOSED, Circuit.OPEN
    assert seen == [(closed, 0), (closed, 0), (opened, 0), (opened, 1), (opened, 2)]


def test_one_that_gets_through_makes_it_as_new() -> None:
    breaker = breaker_that_is(Circuit.HALF_OPEN)
    breaker.reached()
    assert (breaker.circuit, breaker.failures, breaker.probes) == (Circuit.CLOSED, 0, 0)


def test_what_was_never_tried_says_nothing_about_the_server() -> None:
    breaker = CircuitBreaker(2)
    for _ in range(5):
        breaker.begun()
        breaker.withdrawn()
    assert (breaker.circuit, breaker.failures) == (Circuit.CLOSED, 0)


def test_the_range_of_the_first_probe_is_checked() -> None:
    with pytest.raises(ValueError, match="probe_max_seconds is 2; it must not be below probe_min_seconds"):
        Config(probe_min_seconds=3, probe_max_seconds=2)
