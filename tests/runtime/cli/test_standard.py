"""Standard input, output and error that are closed, full, or read by nobody; with real processes and sockets."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import trio

from tests.faults.processes import PATIENCE, completed, hawser, inherited, running, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

pytestmark = pytest.mark.slow


@pytest.fixture
async def url() -> AsyncGenerator[str, None]:
    """A server with one publication in the channel ``c``."""
    async with serving() as (_, url):
        assert await completed("pub", url, "c", "1") == (0, "", "")
        yield url


async def redirected(how: str, *arguments: str) -> tuple[int, str, str]:
    """Run a command to its end with the redirections of a shell: exit code, stdout, stderr."""
    with trio.fail_after(PATIENCE):
        run = await trio.run_process(
            ["sh", "-c", f'exec "$0" -m hawser "$@" {how}', sys.executable, *arguments],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_stdout=True,
            capture_stderr=True,
            env=inherited(),
        )
    return run.returncode, run.stdout.decode(), run.stderr.decode()


async def test_a_closed_stdout_ends_quietly(url: str) -> None:
    assert await redirected(">&-", "sub", url, "quiet") == (0, "", "")
    assert await redirected(">&-", "call", url, "echo", "1") == (0, "", "")
    assert await redirected(">&-", "--help") == (0, "", "")


async def test_a_closed_stderr_puts_nothing_among_the_data(url: str) -> None:
    code, out, err = await redirected("2>&-", "sub", url, "c", "--since", "0", "--count", "1")
    assert (code, json.loads(out)["data"], err) == (0, 1, "")
    assert await redirected("2>&-", "call", url, "nothing") == (1, "", "")


async def test_a_closed_stdin_is_no_input(url: str) -> None:
    code, out, err = await redirected("<&-", "pub", url, "c")
    assert (code, out, err) == (1, "", "hawser: cannot read standard input: Bad file descriptor\n")


async def test_an_output_that_cannot_be_written_is_one_line(url: str) -> None:
    full = "cannot write standard output: No space left on device"
    code, _, err = await redirected(">/dev/full", "sub", url, "c", "--since", "0")
    assert (code, err) == (1, f"hawser: {full}\n")
    assert await redirected(">/dev/full", "call", url, "echo", "1") == (1, "", f"hawser: {full}\n")
    code, _, err = await redirected(">/dev/full", "--help")
    assert (code, err) == (1, f"hawser: {full}\n")
    assert await redirected(">/dev/full", "contract", "tests.runtime.contract.shop:app") == (1, "", f"hawser: {full}\n")
    code, _, err = await redirected(">/dev/full", "serve", "--listen", "http://127.0.0.1:0")
    assert (code, err) == (1, f"hawser: {full}\n")


async def test_what_nobody_hears_changes_no_exit_code(url: str) -> None:
    """Only stdout ends a command: one whose stderr is a pipe without a reader does all of its work."""
    async with running(*hawser("pub", url, "c")) as pub:
        await pub.stop_hearing()
        await pub.write("2\nthree\n")
        await pub.end_input()
        assert await pub.wait() == 2
    _, out, _ = await completed("sub", url, "c", "--since", "0", "--count", "2")
    assert [json.loads(line)["data"] for line in out.splitlines()] == [1, 2]
