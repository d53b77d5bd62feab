"""Whole systems by seed, in small number; the simulator's tier runs many of them (see `tests.runtime.world`)."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.runtime.world import run_world

SHOW_DIGEST = "from tests.runtime.world import run_world; print(run_world(3).digest)"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(6))
def test_what_is_promised_holds_whatever_happens(seed: int) -> None:
    outcome = run_world(seed)
    assert outcome.lines
    assert outcome.faults or outcome.resets


@pytest.mark.slow
def test_the_same_seed_tells_the_same_story_in_every_process() -> None:
    """Whatever order Python gives its sets and addresses."""
    paths = os.pathsep.join(path for path in sys.path if path)
    environment = {**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "4711"}
    other = subprocess.run(
        [sys.executable, "-c", SHOW_DIGEST], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    assert other.stdout.strip() == run_world(3).digest
    assert run_world(4).digest != run_world(3).digest
