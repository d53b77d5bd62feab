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


@pytest.mark.slow
def test_a_team_says_everything_once_though_its_writer_is_killed() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "team_of_agents.py")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [
        "here are: editor researcher writer",
        "A hawser has three strands.",
        "-- the writer is lost; 2 facts are left --",
        "A hawser has a core.",
        "A hawser has two ends.",
    ]


@pytest.mark.slow
def test_a_chat_shows_who_is_there_and_not_whose_link_broke_for_a_moment() -> None:
    run = subprocess.run(
        [sys.executable, "-W", "error", str(EXAMPLES / "chat_with_presence.py")],
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert (run.returncode, run.stderr) == (0, "")
    assert run.stdout.splitlines() == [
        "  * bob comes; here are ada, bob",
        "  bob: hello",
        "  * bob is at lunch; here are ada, bob",
        "-- bob's link is cut --",
        "  bob: did you notice?",
        "  * bob goes; here are ada",
        "  * eve comes; here are ada, eve",
        "-- eve's machine dies --",
        "  * eve goes; here are ada",
    ]


@pytest.mark.parametrize("name", EMBEDDERS)
def test_an_embedder_fits_on_three_pages(name: str) -> None:
    assert len((EXAMPLES / name).read_text(encoding="utf-8").splitlines()) <= LINES_AT_MOST
