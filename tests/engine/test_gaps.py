"""Telling a late pass from a step of the wall clock."""

import pytest

from hawser_engine.gaps import Gap, GapDetector


@pytest.mark.parametrize(
    ("now", "wall", "wanted", "expected"),
    [
        pytest.param(5.0, 105.0, None, Gap.NONE, id="nothing was asked for"),
        pytest.param(5.0, 105.0, 3.0, Gap.NONE, id="late, but by no more than the limit"),
        pytest.param(5.0, 105.0, 2.9, Gap.LATE_PASS, id="late"),
        pytest.param(5.0, 107.0, 5.0, Gap.NONE, id="a small step"),
        pytest.param(5.0, 107.1, 5.0, Gap.CLOCK_STEP, id="a step forward"),
        pytest.param(5.0, 102.9, None, Gap.CLOCK_STEP, id="a step back"),
        pytest.param(5.0, 200.0, 1.0, Gap.LATE_PASS, id="both"),
    ],
)
def test_a_pass_is_judged(now: float, wall: float, wanted: float | None, expected: Gap) -> None:
    """SPEC LIV-5."""
    assert GapDetector(2.0, 0.0, 100.0).check(now, wall, wanted) is expected


def test_a_step_is_found_once() -> None:
    """SPEC LIV-5."""
    detector = GapDetector(2.0, 0.0, 100.0)
    assert detector.check(1.0, 201.0, None) is Gap.CLOCK_STEP
    assert detector.check(2.0, 202.0, None) is Gap.NONE
