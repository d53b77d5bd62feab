"""The programs print what they promise: every line once and in order, across a torn link or a killed agent."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
LINES = 40
LINES_AT_MOST = 150
SECONDS = 60.0
EMBEDDERS = ["engine_selectors.py", "engine_asyncio.py"]


@pytest.mark.slow
@pytest.mark.parametrize("name", EMBEDDERS)
def test_every_line_arrives_once_and_in_order_across_a_torn_link(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    printed = run.stdout.splitlines()
    notes = [line for line in printed if line.startswith("--")]
    assert [line for line in printed if line not in notes] == [f"echo of line {n}" for n in range(1, LINES + 1)]
    assert notes[0] == "-- the link is torn --"
    resumed = sorted(re.sub(r"\d+ sent again", "… sent again", note) for note in notes[1:])
    assert resumed == ["-- ClientConnection: resumed, … sent again --", "-- ServerConnection: resumed, … sent again --"]


PRINTED = {
    "team_of_agents.py": [
        "here are: editor researcher writer",
        "A hawser has three strands (page 17).",
        "-- the writer is lost; 2 facts are left --",
        "A hawser has a core (page 20).",
        "A hawser has two ends (page 3).",
    ],
    "chat_with_presence.py": [
        "  * bob comes; here are ada, bob",
        "  bob: hello",
        "  * bob is at lunch; here are ada, bob",
        "-- bob's link is cut --",
        "  bob: did you notice?",
        "  * bob goes; here are ada",
        "  * eve comes; here are ada, eve",
        "-- eve's machine dies --",
        "  * eve goes; here are ada",
    ],
    "task_board.py": [
        "Ada sees somebody point at the hull",
        "Ada has read 11: mend the sail done, paint the hull nearly done, splice the rope nearly done",
        "Ben has read 3: mend the sail done, paint the hull nearly done, splice the rope nearly done",
        "who joins has read 3: mend the sail done, paint the hull nearly done, splice the rope nearly done",
    ],
    "iot_fan_in.py": [
        "every device knows that the server has 12 readings of it",
        "links were cut: more than a hundred times",
        "1200 readings of 100 devices at 10 sites: each once, and in order",
    ],
    "slow_dashboard.py": [
        "catch-up: 200 readings",
        "drop-oldest: 2 readings, then a gap up to 100, then 100 readings",
        "keep-latest: 6 readings",
        "catch-up:* lost 0, replaced 0",
        "drop-oldest:* lost 98, replaced 0",
        "keep-latest:* lost 0, replaced 194",
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PRINTED)
def test_an_example_prints_what_its_text_says(name: str) -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / name)],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == PRINTED[name]


@pytest.mark.parametrize("name", EMBEDDERS)
def test_an_embedder_fits_on_three_pages(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= LINES_AT_MOST
