"""Real processes for tests: started, listened to, stopped and killed, and gone in any case when the block ends.

Every wait has an end: `PATIENCE` after which what has not happened never will.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

PATIENCE = 120.0
"""Seconds after which what has not happened never will; waits of a test's own name theirs."""
LINES_MAX = 200_000
"""Lines that a program may say on one stream, each of LINE_MAX bytes; more is a runaway."""
LINE_MAX = 1 << 20


class Lines:
    """What a program has said on one stream, line by line, as it comes."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.ended = False
        self._more = trio.Event()

    async def take(self, stream: trio.abc.ReceiveStream) -> None:
        """Read to the end of the stream."""
        rest = b""
        with suppress(trio.ClosedResourceError):  # by `stop_reading` or `stop_hearing`
            while data := await stream.receive_some(65_536):
                *lines, rest = (rest + data).split(b"\n")
                self.texts += [line.decode(errors="replace") for line in lines]
                assert len(self.texts) <= LINES_MAX, "a runaway: too many lines"
                assert len(rest) <= LINE_MAX, "a runaway: too long a line"
                self._news()
        if rest:
            self.texts.append(rest.decode(errors="replace"))
        self.ended = True
        self._news()

    async def until(self, pattern: str, *, start: int = 0, patience: float = PATIENCE) -> re.Match[str]:
        """The first line, from ``start`` on, in which ``pattern`` is found.

        Raises:
            AssertionError: The stream ended, or patience did, without one.
        """
        with trio.move_on_after(patience):
            while True:
                for text in self.texts[start:]:
                    if match := re.search(pattern, text):
                        return match
                start = len(self.texts)
                if self.ended:
                    break
                await self._more.wait()
        raise AssertionError(f"no line has {pattern!r}; the last ones: {self.texts[-5:]}")

    async def count(self, number: int, *, patience: float = PATIENCE) -> list[str]:
        """All lines, once there are so many.

        Raises:
            AssertionError: The stream ended, or patience did, before.
        """
        with trio.move_on_after(patience):
            while len(self.texts) < number and not self.ended:
                await self._more.wait()
        assert len(self.texts) >= number, f"{len(self.texts)} lines of {number}; the last ones: {self.texts[-3:]}"
        return self.texts

    def _news(self) -> None:
        self._more.set()
        self._more = trio.Event()


class Program:
    """A running program."""

    def __init__(self, process: trio.Process) -> None:
        self.out = Lines()
        self.err = Lines()
        self._process = process

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    async def write(self, text: str) -> None:
        """Hand it input; what it does not take is waited for."""
        assert self._process.stdin is not None
        await self._process.stdin.send_all(text.encode())

    async def end_input(self) -> None:
        """Let its input end."""
        assert self._process.stdin is not None
        await self._process.stdin.aclose()

    async def stop_reading(self) -> None:
        """Close its output, like ``head`` when it has enough."""
        assert self._process.stdout is not None
        await self._process.stdout.aclose()

    async def stop_hearing(self) -> None:
        """Close its standard error."""
        assert self._process.stderr is not None
        await self._process.stderr.aclose()

    def send(self, number: signal.Signals) -> None:
        """Send it a signal, if it still runs."""
        self._process.send_signal(number)

    def kill(self) -> None:
        """SIGKILL: nothing of it says goodbye."""
        self.send(signal.SIGKILL)

    def freeze(self) -> None:
        """SIGSTOP: it sleeps without knowing."""
        self.send(signal.SIGSTOP)

    def thaw(self) -> None:
        """SIGCONT: it goes on."""
        self.send(signal.SIGCONT)

    async def wait(self, *, patience: float = PATIENCE) -> int:
        """Its exit code, and all that it has said; the number of a signal is below zero.

        Raises:
            AssertionError: It still runs.
        """
        with trio.move_on_after(patience):
            code = await self._process.wait()
            while not (self.out.ended and self.err.ended):
                await trio.sleep(0.005)
            return code
        raise AssertionError(f"still running; the last lines: {self.out.texts[-3:]} {self.err.texts[-3:]}")


@asynccontextmanager
async def running(
    *command: str, cwd: Path | None = None, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Program]:
    """A program for the length of a block, killed at its end if it still runs.

    Args:
        command: The program and its arguments.
        cwd: Where it runs.
        environment: What is set beside what it inherits.
    """
    process = await trio.lowlevel.open_process(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=cwd,
        env=inherited() | dict(environment or {}),
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    program = Program(process)
    failure = None
    try:
        async with process.stdin, process.stdout, process.stderr, trio.open_nursery() as nursery:
            nursery.start_soon(program.out.take, process.stdout)
            nursery.start_soon(program.err.take, process.stderr)
            try:
                yield program
            except Exception as error:  # out of the nursery, which would make a group of it
                failure = error
            nursery.cancel_scope.cancel()
    finally:
        process.kill()  # takes a stopped one, too
        with trio.CancelScope(shield=True):
            await process.wait()
    if failure is not None:
        raise failure


def hawser(*arguments: str) -> tuple[str, ...]:
    """The command ``hawser …`` of this checkout."""
    return (sys.executable, "-m", "hawser", *arguments)


async def completed(
    *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run ``hawser …`` to its end: exit code, stdout, stderr."""
    with trio.fail_after(PATIENCE):
        done = await trio.run_process(
            hawser(*arguments),
            stdin=stdin.encode(),
            capture_stdout=True,
            capture_stderr=True,
            check=False,
            env=inherited() | dict(environment or {}),
        )
    return done.returncode, done.stdout.decode(), done.stderr.decode()


@asynccontextmanager
async def serving(
    *arguments: str,
    url: str | None = "http://127.0.0.1:0",
    cwd: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncGenerator[tuple[Program, str]]:
    """``hawser serve`` for the length of a block, and the URL at which it listens; None leaves that to the settings."""
    listen = () if url is None else ("--listen", url)
    async with running(*hawser("serve", *listen, *arguments), cwd=cwd, environment=environment) as server:
        listening = await server.out.until("^listening on (.+)$")
        yield server, listening[1]


def inherited() -> dict[str, str]:
    """The environment, without what commands would take from it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("HAWSER_")}
