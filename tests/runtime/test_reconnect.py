"""When a client comes back (SPEC REC-1 to REC-3)."""

from __future__ import annotations

import pytest

from hawser.client.reconnect import ReconnectPolicy
from hawser.randomness import uniform


def policy_at(fraction: float) -> ReconnectPolicy:
    """A policy whose every draw lies at this fraction of its range."""
    return ReconnectPolicy(lambda count: int(fraction * (2 ** (8 * count) - 1)).to_bytes(count, "big"))


def test_uniform_numbers_lie_in_their_range() -> None:
    assert uniform(bytes, 2.0, 5.0) == 2.0
    assert 4.999999 < uniform(lambda count: b"\xff" * count, 2.0, 5.0) <= 5.0
    assert uniform(lambda count: b"\xff" * count, 3.0, 3.0) == 3.0


def test_the_pause_doubles_with_every_attempt_without_progress_up_to_the_cap() -> None:
    policy = policy_at(1)
    pauses = [policy.pause_after(attached=True, progressed=False) for _ in range(9)]
    assert pauses == pytest.approx([1, 2, 4, 8, 16, 30, 30, 30, 30])


def test_every_pause_may_be_as_short_as_nothing() -> None:
    policy = policy_at(0)
    assert [policy.pause_after(attached=True, progressed=False) for _ in range(4)] == [0, 0, 0, 0]


def test_only_progress_resets_the_backoff_and_being_attached_does_not() -> None:
    policy = policy_at(1)
    for _ in range(4):
        policy.pause_after(attached=True, progressed=False)
    assert policy.pause_after(attached=True, progressed=True) == pytest.approx(0.5)
    assert policy.pause_after(attached=True, progressed=False) == pytest.approx(1)


def test_after_five_attempts_that_never_attached_probes_replace_the_backoff() -> None:
    policy = policy_at(0)
    for _ in range(4):
        assert policy.pause_after(attached=False, progressed=False) == 0
        assert not policy.breaker_open
    pauses = [policy.pause_after(attached=False, progressed=False) for _ in range(7)]
    assert policy.breaker_open
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    policy.pause_after(attached=True, progressed=False)
    assert not policy.breaker_open


def test_a_probe_begins_after_at_most_five_seconds() -> None:
    policy = policy_at(1)
    pauses = [policy.pause_after(attached=False, progressed=False) for _ in range(5)]
    assert pauses[-1] == pytest.approx(5)


def test_after_a_close_by_the_server_its_spread_holds() -> None:
    low, high = policy_at(0), policy_at(1)
    for policy, expected in ((low, 2.0), (high, 9.0)):
        pause = policy.pause_after(attached=True, progressed=True, closed_by_server=True, spread_seconds=(2.0, 9.0))
        assert pause == pytest.approx(expected)


def test_after_a_close_without_a_spread_it_is_five_seconds() -> None:
    pause = policy_at(1).pause_after(attached=True, progressed=True, closed_by_server=True)
    assert pause == pytest.approx(5)


def test_a_server_that_closes_every_attempt_is_not_hammered() -> None:
    policy = policy_at(1)
    pauses = [policy.pause_after(attached=True, progressed=False, closed_by_server=True) for _ in range(6)]
    assert pauses == pytest.approx([5, 5, 5, 8, 16, 30])
