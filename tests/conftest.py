"""What all tests share: each finds the same examples and lots every time, and what it starts hears the keys.

Trio draws lots over which task goes on first, and Hawser draws secrets, ids and pauses. For every test both draw the
same ones, by the name of the test and ``HAWSER_TEST_SEED``: what passes here passes elsewhere, and another seed tries
other orders and pauses (`make orders`). Every example of a property begins with the same lots, whatever the seed: only
so can hypothesis try one again.
"""

import os
import random
import secrets
import signal
from typing import Any, cast

import hypothesis
import pytest
import trio._core._run
from hypothesis import HealthCheck, settings

settings.register_profile("fixed", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("random", parent=settings.get_profile("fixed"), derandomize=False, max_examples=1_000)
settings.register_profile("few", parent=settings.get_profile("fixed"), max_examples=20)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "fixed"))

SEED = os.environ.get("HAWSER_TEST_SEED", "")

# All chance in Hawser comes out of `secrets`, and all of that out of one object of its own, which asks the system.
# What a test starts or forks asks the system as ever: no two processes shall make the same ids.
LOTS = random.Random(SEED)
SYSTEM, secrets_module = secrets.SystemRandom(), cast("Any", secrets)


def draw_from(source: random.Random) -> None:
    """Have all of `secrets` draw from one source; two of its functions were bound to another when it was imported."""
    secrets_module._sysrand = source
    secrets_module.randbits, secrets_module.choice = source.getrandbits, source.choice


draw_from(LOTS)
os.register_at_fork(after_in_child=lambda: draw_from(SYSTEM))
hypothesis.register_random(LOTS)  # as Trio does with its own


def pytest_runtest_setup(item: pytest.Item) -> None:
    """Have Trio and Hawser draw the lots of this test."""
    for lots in (trio._core._run._r, LOTS):  # pyright: ignore[reportPrivateUsage]
        lots.seed(f"{SEED}:{item.nodeid}")


# What a shell starts in the background is deaf to the keys of a terminal, and so is whatever that starts in turn.
for number, usual in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, usual)
