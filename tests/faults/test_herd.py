"""A herd: far more clients at the same moment than a server lets in a second.

Real processes: one server, several with clients. What is judged is what the server has counted, not when a client that
shares a processor with thousands of others noticed it. The figures of ten thousand on a quiet clock are in
``tests/transports/test_admission.py``.
"""

from __future__ import annotations

import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Final

import pytest

from hawser import connect
from tests.faults.processes import running, serving
from tests.faults.test_crowds import room_for
from tests.faults.test_descriptors import cpu_seconds

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory and CPU time of another process: /proc has them"),
]

ROOT: Final = Path(__file__).parents[2]
APP: Final = """
import trio
from hawser import ANONYMOUS, App

app = App()
times = []

@app.authenticate
async def authenticate(credentials):
    times.append(trio.current_time())
    return ANONYMOUS

@app.procedure("histogram")
async def histogram(session):
    herd = times[1:]  # the first is who asks
    counts = [0] * (int(herd[-1] - herd[0]) + 1)
    for at in herd:
        counts[int(at - herd[0])] += 1
    return counts
"""
CONFIG: Final = """
[limits]
attaches_per_second = {rate}
handshake_seconds = 60
resume_period_seconds = 200

[listener]
accepts_per_second = {rate}
handshake_seconds = 60
connections = 20_000
connections_per_address = 20_000
"""
CPU_SECONDS_A_CLIENT: Final = 0.02
"""What a server may compute for a client until it is in, its refusals included: ten times what it takes here."""
BYTES_A_CLIENT: Final = 30_000
"""What it may take of memory at its fullest: five times what it takes here."""


def highest(pid: int) -> int:
    """The most memory that a process has had in RAM, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM:")]
    return int(line.split()[1]) * 1_024


def drawn(counts: list[int]) -> str:
    """A histogram, a line for each second."""
    return "\n" + "\n".join(f"{second:4} s {count:5} in {'#' * (count // 5)}" for second, count in enumerate(counts))


async def come(folder: Path, *, clients: int, programs: int, rate: int, patience: float) -> None:
    """Bring a herd to a server, and look at how it came in."""
    (folder / "herd_app.py").write_text(APP)
    (folder / "serve.toml").write_text(CONFIG.format(rate=rate))
    environment = {"PYTHONPATH": ":".join([str(folder), *(entry for entry in sys.path if entry)])}
    each = clients // programs
    async with AsyncExitStack() as stack:
        stack.enter_context(room_for(clients * 3 // 2))
        given = ("--config", "serve.toml", "--app", "herd_app:app")
        server, url = await stack.enter_async_context(serving(*given, cwd=folder, environment=environment))
        # Its own way in comes first: afterwards it would wait for its turn like everybody else.
        observer = await stack.enter_async_context(connect(url))
        # One socket for each; at an http URL some would be let in over polls, which take three.
        command = (sys.executable, "-m", "tests.faults.herd", url.replace("http:", "ws:"), str(each))
        herd = [await stack.enter_async_context(running(*command, cwd=ROOT)) for _ in range(programs)]
        for program in herd:
            await program.out.until("^ready$")
        memory, computed = highest(server.pid), cpu_seconds(server.pid)
        for program in herd:
            await program.write("go\n")
        for program in herd:
            await program.out.count(1 + each, patience=patience)
        memory, computed = highest(server.pid) - memory, cpu_seconds(server.pid) - computed
        counts: list[int] = (await observer.call("histogram"))[:]
        for program in herd:
            await program.end_input()
        for program in herd:
            assert await program.wait() == 0, program.err.texts[-5:]
            assert program.err.texts == []
    report: dict[str, Any] = {"memory": memory / clients, "CPU": computed / clients, "counts": drawn(counts)}
    assert sum(counts) >= clients, report
    # In no second more than the rate: but those of one may be judged in the next, as late as a loaded machine makes it.
    assert len(counts) >= clients / rate, report  # nobody can be quicker than the rate
    assert max(counts) <= 2 * rate, report
    assert memory <= clients * BYTES_A_CLIENT, report
    assert computed <= clients * CPU_SECONDS_A_CLIENT, report
    assert not [line for line in server.err.texts if "ERROR" in line or "Traceback" in line]


async def test_a_herd_of_hundreds_is_spread_and_everybody_gets_in(tmp_path: Path) -> None:
    await come(tmp_path, clients=400, programs=2, rate=150, patience=600)


@pytest.mark.verify
async def test_a_herd_of_ten_thousand_is_spread_and_everybody_gets_in(tmp_path: Path) -> None:
    await come(tmp_path, clients=10_000, programs=4, rate=200, patience=900)
