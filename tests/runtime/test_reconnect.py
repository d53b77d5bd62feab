"""When a client comes back (SPEC REC-1 to REC-4)."""

from __future__ import annotations

from functools import partial
from operator import mul

import pytest

from hawser import Config
from hawser.client.reconnect import ReconnectPolicy
from hawser.randomness import uniform


def policy_at(fraction: float) -> ReconnectPolicy:
    """A policy whose every draw lies at this fraction of its range."""
    return ReconnectPolicy(lambda count: int(fraction * (2 ** (8 * count) - 1)).to_bytes(count, "big"), Config())


def attempt(policy: ReconnectPolicy, *, attached: bool, progressed: bool = False) -> float:
    """One attempt and its end."""
    policy.begun()
    if attached:
        policy.reached()
    return policy.pause_after(attached=attached, progressed=progressed)


def test_uniform_numbers_lie_in_their_range() -> None:
    assert uniform(bytes, 2.0, 5.0) == 2.0
    assert 4.999999 < uniform(lambda count: b"\xff" * count, 2.0, 5.0) <= 5.0
    assert uniform(lambda count: b"\xff" * count, 3.0, 3.0) == 3.0


def test_the_pause_doubles_with_every_attempt_without_progress_up_to_the_cap() -> None:
    policy = policy_at(1)
    pauses = [attempt(policy, attached=True) for _ in range(9)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30, 30])


def test_every_pause_may_be_as_short_as_nothing() -> None:
    policy = policy_at(0)
    assert [attempt(policy, attached=True) for _ in range(4)] == [0, 0, 0, 0]


def test_only_progress_resets_the_backoff_and_being_attached_does_not() -> None:
    policy = policy_at(1)
    for _ in range(4):
        attempt(policy, attached=True)
    assert attempt(policy, attached=True, progressed=True) == pytest.approx(0.5)
    assert attempt(policy, attached=True) == pytest.approx(1)


def test_after_five_attempts_that_never_attached_probes_replace_the_backoff() -> None:
    policy = policy_at(0)
    for _ in range(4):
        assert attempt(policy, attached=False) == 0
        assert policy.circuit.name == "CLOSED"
    pauses = [attempt(policy, attached=False) for _ in range(7)]
    assert policy.circuit.name == "OPEN"
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    attempt(policy, attached=True)
    assert policy.circuit.name == "CLOSED"


def test_a_probe_begins_after_at_most_five_seconds() -> None:
    policy = policy_at(1)
    pauses = [attempt(policy, attached=False) for _ in range(5)]
    assert pauses[-1] == pytest.approx(5)


def test_after_a_close_by_the_server_its_spread_holds() -> None:
    low, high = policy_at(0), policy_at(1)
    for policy, expected in ((low, 2.0), (high, 9.0)):
        policy.begun()
        policy.reached()
        pause = policy.pause_after(attached=True, progressed=True, closed_by_server=True, spread_seconds=(2.0, 9.0))
        assert pause == pytest.approx(expected)


def test_after_a_close_without_a_spread_it_is_five_seconds() -> None:
    pause = policy_at(1).pause_after(attached=True, progressed=True, closed_by_server=True)
    assert pause == pytest.approx(5)


def test_a_server_that_closes_every_attempt_is_not_hammered() -> None:
    policy = policy_at(1)
    pauses = [policy.pause_after(attached=True, progressed=False, closed_by_server=True) for _ in range(6)]
    assert pauses == pytest.approx([5, 5, 5, 8, 16, 30])


def test_probes_wait_for_the_spread_of_a_server_that_refuses_every_attempt() -> None:
    policy = policy_at(1)
    pauses: list[float] = []
    for _ in range(8):
        policy.begun()
        pauses.append(
            policy.pause_after(attached=False, progressed=False, closed_by_server=True, spread_seconds=(3.0, 20.0))
        )
    assert pauses == pytest.approx([20, 20, 20, 20, 20, 20, 20, 30])


def test_no_server_keeps_a_client_away_for_ever() -> None:
    """SPEC REC-2, REC-4: and those who are sent beyond their bound do not come back at one instant."""
    for draw, spread, expected in (
        (b"\x00", (86_400.0, 2.0**50), 30),
        (b"\xff", (86_400.0, 2.0**50), 60),
        (b"\x00", (60.0, 61.0), 30),
        (b"\x00", (50.0, 70.0), 50),
        (b"\xff", (50.0, 70.0), 60),
    ):
        policy = ReconnectPolicy(partial(mul, draw), Config(spread_max_seconds=60))
        pause = policy.pause_after(attached=True, progressed=True, closed_by_server=True, spread_seconds=spread)
        assert pause == pytest.approx(expected)


def test_an_attempt_that_was_not_made_waits_like_one_and_counts_for_no_circuit() -> None:
    policy = policy_at(1)
    pauses: list[float] = []
    for _ in range(7):
        policy.begun()
        pauses.append(policy.withdrawn())
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30])
    assert policy.circuit.name == "CLOSED"
    for _ in range(5):
        attempt(policy, attached=False)
    policy.begun()
    assert policy.withdrawn() == pytest.approx(5)
    assert policy.circuit.name == "OPEN"
