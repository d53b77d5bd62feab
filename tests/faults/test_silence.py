"""What is answered by nobody any more is given up by the client's system, whether bytes are on their way or not."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import pytest
import trio

from tests.faults.emulator import Conditions, Emulator, Policy
from tests.faults.networks import serve_command
from tests.faults.processes import PATIENCE, running

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("namespaces")]

ROOT: Final = Path(__file__).parents[2]
SILENCE: Final = Conditions(up_seconds=0.001, down_seconds=1_000_000.0)
"""From its first moment on, so to speak, the link swallows everything."""


async def test_a_connection_that_nothing_answers_is_lost_idle_or_not(tmp_path: Path) -> None:
    """Keep-alive alone would notice the idle one only, the user timeout alone the other one only."""
    with trio.fail_after(PATIENCE):
        async with Emulator.open() as emulator:
            url = f"http://{emulator.address}:8000/"
            # A server that waits, so that what ends the connection is not its own deadline.
            patient = "[listener]\nhandshake_seconds = 1_000\n"
            client = emulator.near.command(sys.executable, "-m", "tests.faults.silence", url, "2")
            async with running(*emulator.far.command(*serve_command(tmp_path, patient, url)), cwd=tmp_path) as server:
                await server.out.until("^listening on ")
                async with running(*client, cwd=ROOT) as idle, running(*client, cwd=ROOT) as speaking:
                    for program in (idle, speaking):
                        await program.out.until("^open$")
                    emulator.become(Policy(SILENCE))
                    await idle.write("\n")
                    await speaking.write("GET /healthz\n")
                    assert (await idle.out.count(2))[1:] == ["lost"]
                    assert (await speaking.out.count(2))[1:] == ["lost"]
