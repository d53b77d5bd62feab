"""What all tests share: each finds the same examples and the same turns every time, and what it starts hears the keys.

Trio draws lots over which task goes on first. For every test it draws the same ones, by the name of the test and
``HAWSER_TEST_SEED``: what passes here passes elsewhere, and another seed tries other orders (`make orders`).
"""

import os
import signal

import pytest
import trio._core._run
from hypothesis import HealthCheck, settings

settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", parent=settings.get_profile("fixed"), derandomize=False, max_examples=1_000)
settings.register_profile("few", parent=settings.get_profile("fixed"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

SEED = os.environ.get("HAWSER_TEST_SEED", "")


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have Trio draw the lots of this test."""
    trio._core._run._r.seed(f"{SEED}:{item.nodeid}")  # pyright: ignore[reportPrivateUsage]


# What a shell starts in the background is deaf to the keys of a terminal, and so is whatever that starts in turn.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
