"""Processes that are measured: each on a core of its own, and none left behind.

The server has core 0 and the load generator core 1, so neither takes the other's time. Where a machine has fewer
cores, or does not let programs choose, `placement` says so and the results carry it.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import IO, TYPE_CHECKING, Final

from attrs import frozen

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

__all__ = ["GENERATOR_CORE", "SERVER_CORE", "Failed", "guarded", "placement", "running", "said", "serving"]

SERVER_CORE: Final = 0
GENERATOR_CORE: Final = 1

START_SECONDS: Final = 30.0
"""How long a process may take to say that it listens."""
INTERRUPTS: Final = (signal.SIGINT, signal.SIGTERM)
COMPLAINT_CHARACTERS: Final = 2_000
OPEN_FILES: Final = 4_096
"""A thousand connections and whatever else a process has open."""


class Failed(Exception):
    """A process of a benchmark has not done what it was started for; the text is for people."""


def placement() -> str:
    """Which core the server and the generator get, in words."""
    cores = _cores()
    if cores is None:
        return "server and generator wherever the system puts them: it does not let programs choose"
    if len(cores) < 2:
        return f"server and generator share core {cores[0]}: there is no other"
    return f"server on core {cores[SERVER_CORE]}, generator on core {cores[GENERATOR_CORE]}"


@contextmanager
def guarded() -> Generator[None]:
    """Let SIGTERM end this program as Ctrl-C does, through everything that ends processes; let it open many files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if hard == resource.RLIM_INFINITY else min(OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))  # of the processes that are started, too
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@frozen
class Child:
    """A process that was started."""

    process: subprocess.Popen[str]
    stdout: IO[str]
    stderr: IO[str]
    """A file: it is looked at only when something has failed."""

    def complaint(self) -> str:
        """The last that it has said on stderr."""
        self.stderr.seek(0)
        return self.stderr.read()[-COMPLAINT_CHARACTERS:].strip() or "without a word"


@contextmanager
def running(command: Sequence[str], core: int) -> Generator[Child]:
    """Run a Python module with arguments on one core; it is over, one way or another, when the block is."""
    with TemporaryFile("w+") as stderr:
        process: subprocess.Popen[str] | None = None
        before = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
        try:
            try:
                # In a group of its own, so that Ctrl-C reaches it in order: through the end of this block.
                process = subprocess.Popen(
                    [sys.executable, "-m", *command],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=stderr,
                    text=True,
                    process_group=0,
                )
            finally:
                # An interrupt in the middle of that would be raised before anybody knew of the process.
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            _pin(process.pid, core)
            assert process.stdout is not None
            yield Child(process, process.stdout, stderr)
        finally:
            if process is not None:
                process.kill()  # none of them keeps anything that would have to be put in order
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()


@contextmanager
def serving(command: Sequence[str]) -> Generator[tuple[int, int]]:
    """Run a server that prints ``listening on …:PORT`` when it does.

    Yields:
        Its process id and its port.

    Raises:
        Failed: It has ended, or said nothing, or something else.
    """
    with running(command, SERVER_CORE) as child:
        with _patience(child.process, START_SECONDS):
            line = child.stdout.readline().strip()
        port = line.rpartition(":")[2].strip("/")
        if not line.startswith("listening on ") or not port.isdecimal():
            raise Failed(f"{' '.join(command)} did not begin to listen within {START_SECONDS:g} s: {child.complaint()}")
        yield child.process.pid, int(port)


def said(command: Sequence[str], seconds: float) -> str:
    """Run a load generator to its end and return what it printed.

    Args:
        command: The module and its arguments.
        seconds: When it is taken to hang.

    Raises:
        Failed: It did not succeed, or did not end.
    """
    with running(command, GENERATOR_CORE) as child:
        with _patience(child.process, seconds):
            text = child.stdout.read()
            code = child.process.wait()
        if code:
            how = f"ended with {code}" if code > 0 else f"was killed, or did not end within {seconds:g} s"
            raise Failed(f"{' '.join(command)} {how}: {child.complaint()}")
    return text


@contextmanager
def _patience(process: subprocess.Popen[str], seconds: float) -> Generator[None]:
    """Kill a process that takes longer than this over what happens in the block, which ends the wait for it."""
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True  # an interrupted program does not wait for it
    try:
        timer.start()
        yield
    finally:
        timer.cancel()


def _cores() -> list[int] | None:
    if not hasattr(os, "sched_getaffinity"):
        return None
    return sorted(os.sched_getaffinity(0))


def _pin(pid: int, core: int) -> None:
    """Tie a process that was just started to a core: threads that it starts stay there with it."""
    cores = _cores()
    if cores is not None:
        os.sched_setaffinity(pid, {cores[min(core, len(cores) - 1)]})
