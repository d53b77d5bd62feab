"""What is measured of a run: its traffic, its pauses and its delays, in numbers that can be counted by hand."""

from __future__ import annotations

import pytest

from tests.faults.journey import Traffic, delays, quantile, recoveries


def never_down(_start: float, _end: float) -> float:
    return 0.0


@pytest.mark.parametrize(
    "traffic", [Traffic(5_000, 25.0), Traffic(500, 25.0), Traffic(7, 1.0), Traffic(1_000, 28.0, bursts=4)]
)
def test_each_message_but_the_first_is_handed_over_once_and_in_time(traffic: Traffic) -> None:
    chunks = list(traffic.chunks())
    assert [n for _, first, last in chunks for n in range(first, last)] == list(range(1, traffic.messages))
    assert [when for when, _, _ in chunks] == sorted(when for when, _, _ in chunks)
    assert chunks[-1][0] < traffic.seconds


def test_bursts_have_nothing_between_them() -> None:
    assert list(Traffic(101, 28.0, bursts=4).chunks()) == [(0, 1, 26), (7, 26, 51), (14, 51, 76), (21, 76, 101)]


def test_delays_are_those_of_each_message() -> None:
    assert delays([(0, 1), (1, 3)], [(0.5, 1), (2, 2), (4, 3)]) == [0.5, 1, 3]


def test_a_pause_is_a_wait_for_what_is_there() -> None:
    published = [(0.0, 1), (1.0, 2), (2.0, 4), (9.0, 5)]
    arrived = [(0.0, 1), (1.1, 2), (6.0, 3), (6.1, 4), (9.1, 5)]
    assert recoveries(published, arrived, never_down, 0.25) == [4.0]  # from 2 to 6; nobody waited from 6.1 to 9
    assert recoveries(published, arrived, lambda start, end: 0.5 * (end - start), 0.25) == [2.0]
    assert recoveries(published, arrived, never_down, 0.05) == pytest.approx([0.1, 4.0, 0.1, 0.1])


def test_quantiles() -> None:
    values = [float(each) for each in range(100, 0, -1)]
    assert (quantile(values, 0.5), quantile(values, 0.99), quantile([7.0], 0.99)) == (51, 100, 7)
    with pytest.raises(ValueError, match="nothing"):
        quantile([], 0.5)
