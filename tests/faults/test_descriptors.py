"""A server that has run out of descriptors: who is in is served, who waits comes in when there are some again."""

from __future__ import annotations

import os
import resource
import socket
import sys
from pathlib import Path

import pytest
import trio

from hawser import connect
from tests.faults.exchange import serving
from tests.faults.processes import PATIENCE

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="limits and CPU time of another process: /proc has them"),
]

SPARE = 12
WAITING_SECONDS = 3.0
CPU_SECONDS = 1.0
"""A third of that time. A loop that asks again at once takes all of it, one that asks ten times a second a 100th."""


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def cpu_seconds(pid: int) -> float:
    """What a process has computed."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def test_a_server_without_descriptors_serves_who_is_in_and_accepts_again(tmp_path: Path) -> None:
    with trio.fail_after(PATIENCE):
        async with serving(tmp_path) as (server, port):
            url = f"ws://127.0.0.1:{port}/"
            async with connect(url) as inside:
                assert await inside.call("echo", 1) == 1
                limit = descriptors(server.pid) + SPARE
                resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (limit, limit))
                idle = [socket.create_connection(("127.0.0.1", port)) for _ in range(SPARE + 5)]
                said = await server.err.until("no connection can be accepted")
                assert "Too many open files" in said.string
                before = cpu_seconds(server.pid)
                with trio.move_on_after(WAITING_SECONDS):
                    async with connect(url):
                        raise AssertionError("there was a descriptor left")
                assert cpu_seconds(server.pid) - before < CPU_SECONDS
                assert await inside.call("echo", 2) == 2
                for each in idle:
                    each.close()
                async with connect(url) as late:
                    assert await late.call("echo", 3) == 3
                    assert await inside.call("echo", 4) == 4
    told = [line for line in server.err.texts if "no connection can be accepted" in line]
    assert len(told) <= 2  # once in ten seconds
    assert not [line for line in server.err.texts if "ERROR" in line or "Traceback" in line]
