"""Commands as processes of their own, for tests that meet over real sockets.

Every wait has an end: `PATIENCE_SECONDS` after which what has not happened never will.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import trio

if TYPE_CHECKING:
    import signal
    from collections.abc import AsyncGenerator, Mapping

PATIENCE_SECONDS = 120


class Lines:
    """The lines of a pipe."""

    def __init__(self, stream: trio.abc.ReceiveStream) -> None:
        self._stream = stream
        self._held = b""

    async def next(self) -> str:
        """The next line, without its end.

        Raises:
            EOFError: There is none; the argument is what stood there without an end.
        """
        with trio.fail_after(PATIENCE_SECONDS):
            while b"\n" not in self._held:
                data = await self._stream.receive_some()
                if not data:
                    raise EOFError(self._held)
                self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return line.decode()

    async def until(self, beginning: str) -> str:
        """The next line that begins so; those before it are dropped."""
        while not (line := await self.next()).startswith(beginning):
            pass
        return line

    async def rest(self) -> str:
        """All that is still to come, up to the end of the process."""
        with trio.fail_after(PATIENCE_SECONDS):
            while data := await self._stream.receive_some():
                self._held += data
        return self._held.decode()

    async def close(self) -> None:
        """Stop reading, like ``head`` when it has enough."""
        await self._stream.aclose()


class Running:
    """A command that runs."""

    def __init__(self, process: trio.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.process = process
        self.stdin = process.stdin
        self.out = Lines(process.stdout)
        self.err = Lines(process.stderr)

    def signal(self, number: signal.Signals) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def ended(self) -> int:
        """Wait for its end; the exit code."""
        with trio.fail_after(PATIENCE_SECONDS):
            return await self.process.wait()


@asynccontextmanager
async def hawser(*arguments: str, environment: Mapping[str, str] | None = None) -> AsyncGenerator[Running, None]:
    """A ``hawser`` command for the length of a block; killed at its end if it still runs."""
    settings = {name: value for name, value in os.environ.items() if not name.startswith("HAWSER_")}
    process = await trio.lowlevel.open_process(
        [sys.executable, "-m", "hawser", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**settings, **(environment or {})},
    )
    running = Running(process)
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        with trio.CancelScope(shield=True):
            await process.wait()
            for stream in (process.stdin, process.stdout, process.stderr):
                if stream is not None:
                    await trio.aclose_forcefully(stream)


async def completed(
    *arguments: str, stdin: str = "", environment: Mapping[str, str] | None = None
) -> tuple[int, str, str]:
    """Run a command to its end: exit code, stdout, stderr."""
    async with hawser(*arguments, environment=environment) as running:
        await running.stdin.send_all(stdin.encode())
        await running.stdin.aclose()
        results: dict[str, str] = {}

        async def read(name: str, lines: Lines) -> None:
            results[name] = await lines.rest()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read, "out", running.out)
            nursery.start_soon(read, "err", running.err)
        return await running.ended(), results["out"], results["err"]


@asynccontextmanager
async def serving(
    *arguments: str, url: str = "http://127.0.0.1:0", environment: Mapping[str, str] | None = None
) -> AsyncGenerator[tuple[Running, str], None]:
    """A server in a process of its own, and the URL at which it listens."""
    async with hawser("serve", "--listen", url, *arguments, environment=environment) as running:
        yield running, (await running.out.until("listening on ")).removeprefix("listening on ")
