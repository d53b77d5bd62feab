"""A client in plain JavaScript, written from the specification alone."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

JAVASCRIPT = Path(__file__).parent / "javascript"
CLIENT = ["cbor.js", "hawser.js"]
"""All of it; the other files play the vectors to it, and speak through it, for the tests."""
VECTORS = Path(__file__).parents[2] / "protocol_spec/vectors"


@pytest.mark.slow
def test_it_agrees_with_every_vector_that_applies_to_it(node: str) -> None:
    run = subprocess.run(
        [node, "vectors.js", str(VECTORS)], cwd=JAVASCRIPT, capture_output=True, text=True, timeout=120, check=False
    )
    assert run.stderr == ""
    report = json.loads(run.stdout)
    for kind in ("valid", "invalid", "scenarios"):
        applied, passed = report[kind]
        assert passed == applied, kind
    # Every packet applies; of the scenarios those of a client, less what this client does without.
    total = {
        kind: sum(len(json.loads(file.read_text())) for file in (VECTORS / kind).iterdir())
        for kind in ("valid", "invalid")
    }
    assert {kind: report[kind][0] for kind in total} == total
    without = {why: cases for why, cases in report["skipped"].items() if why != "the server's side"}
    assert report["scenarios"][0] > 60
    assert sum(without.values()) <= 13, without


def test_it_is_small() -> None:
    # The protocol costs three hundred lines in another language, strict CBOR included: no package is as strict.
    lines = [line for name in CLIENT for line in (JAVASCRIPT / name).read_text().splitlines()]
    assert len(lines) <= 300
    assert max(len(line) for line in lines) < 150
