"""The helpers for real processes hear every line, and leave nothing behind."""

from __future__ import annotations

import os
import signal
import sys

import pytest
import trio

from tests.faults.processes import Program, hawser, running

pytestmark = pytest.mark.slow

ECHO = (sys.executable, "-c", "import sys\nfor line in sys.stdin: print(line.upper(), end='', flush=True)")
SILENT = (sys.executable, "-c", "print('ready', flush=True); input()")


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_lines_arrive_as_they_are_said() -> None:
    async with running(*ECHO) as program:
        await program.write("one\ntw")
        assert (await program.out.until("O")).string == "ONE"
        await program.write("o\nthree")
        assert await program.out.count(2) == ["ONE", "TWO"]
        await program.end_input()
        assert await program.wait() == 0
    assert program.out.texts == ["ONE", "TWO", "THREE"]
    assert program.err.texts == []


async def test_a_line_that_never_comes_is_told_with_what_came() -> None:
    async with running(*ECHO) as program:
        await program.write("one\n")
        await program.out.count(1)
        with pytest.raises(AssertionError, match=r"no line has 'two'; the last ones: \['ONE'\]"):
            await program.out.until("two", patience=0.05)
        await program.end_input()
        with pytest.raises(AssertionError, match="1 lines of 2"):
            await program.out.count(2)
        with pytest.raises(AssertionError, match="no line has 'two'"):
            await program.out.until("two")


@pytest.mark.parametrize("frozen", [False, True])
async def test_nothing_is_left_behind(frozen: bool) -> None:
    async def fail(program: Program) -> None:
        await program.out.until("ready")
        if frozen:
            program.freeze()
        raise RuntimeError

    program = None
    with pytest.raises(RuntimeError):
        async with running(*SILENT) as program:
            await fail(program)
    assert program is not None
    assert not alive(program.pid)


async def test_a_frozen_program_says_nothing_until_it_thaws() -> None:
    async with running(*ECHO) as program:
        await program.write("one\n")
        await program.out.count(1)
        program.freeze()
        await program.write("two\n")
        await trio.sleep(0.1)
        assert program.out.texts == ["ONE"]
        program.thaw()
        await program.out.count(2)


async def test_a_killed_program_tells_the_signal() -> None:
    async with running(*SILENT) as program:
        await program.out.until("ready")
        program.kill()
        assert await program.wait() == -signal.SIGKILL


async def test_the_command_of_this_checkout_runs() -> None:
    async with running(*hawser("--help")) as program:
        assert await program.wait() == 0
    assert any("hawser" in line for line in program.out.texts)
