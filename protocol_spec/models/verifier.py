"""Making a search with Spin and a C compiler, and reading what the verifier says.

Rule 1: output that is missing, unknown or speaks of a truncated search is a failure, whatever else it says.
Rule 2: nothing is left behind; every search lives in a temporary directory.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from .searches import CYCLE, HOLDS, INVARIANTS, Search

FOLDER: Final = Path(__file__).resolve().parent
"""Where the models are."""


class SearchFailed(Exception):
    """The search could not be made, or its output does not prove what it should."""


@dataclass(frozen=True)
class Findings:
    """What the verifier's output says."""

    verdict: str
    states: int
    transitions: int
    depth: int
    memory_mib: float
    witnesses: list[str] = field(default_factory=list[str])


@dataclass(frozen=True)
class Outcome:
    """A search and what came of it."""

    search: Search
    findings: Findings
    seconds: float
    """Of the search alone, without generating and compiling the verifier."""
    commands: list[str]
    trail: list[str]

    @property
    def passed(self) -> bool:
        """Whether the verdict is the expected one, and every situation occurred that should."""
        return self.findings.verdict == self.search.expected and len(self.findings.witnesses) >= self.search.witnesses


# ---------------------------------------------------------------- the verifier's output

_TRUNCATED: Final = ("max search depth too small", "reached -DMEMLIM", "out of memory", "hash table full", "aborted")
_NAME: Final = re.compile(r"\|\|(\w+)\) \(at depth \d+\)$")


def _only(pattern: str, output: str, what: str) -> str:
    found = re.findall(pattern, output, re.MULTILINE)
    if len(found) != 1:
        raise SearchFailed(f"the verifier's output states {what} {len(found)} times, expected once")
    return str(found[0])


def parse(output: str) -> Findings:
    """Read the output of one search.

    Args:
        output: All that ``pan`` printed.

    Returns:
        What it found. The verdict is HOLDS, CYCLE or the name of the violated invariant.

    Raises:
        SearchFailed: The search was truncated, or the output is not wholly understood.
    """
    for line in output.splitlines():
        if any(sign in line for sign in _TRUNCATED):
            raise SearchFailed(f"the search is not complete: {line.strip()}")
        if line.startswith("error:") or line.startswith("pan: error"):
            raise SearchFailed(f"the verifier refused: {line.strip()}")
    errors = int(_only(r"errors: (\d+)$", output, "its number of errors"))
    depth = int(_only(r"depth reached (\d+)", output, "its depth"))
    states = int(_only(r"^ *(\d+) states, stored", output, "its stored states"))
    transitions = int(_only(r"^ *(\d+) transitions", output, "its transitions"))
    memory = float(_only(r"^ *([\d.]+)\ttotal actual memory usage", output, "its memory"))
    reports = re.findall(r"^pan:1: (.*)$", output, re.MULTILINE)
    if len(reports) != (1 if errors else 0) or errors > 1:
        raise SearchFailed(f"{errors} errors, but {len(reports)} reports of errors")
    verdict = HOLDS if not reports else _verdict(reports[0])
    if verdict == HOLDS and "Search not completed" in output:
        raise SearchFailed("the search is not complete")
    return Findings(
        verdict, states, transitions, depth, memory, sorted(re.findall(r"^witness \d+: (.*)$", output, re.M))
    )


def _verdict(report: str) -> str:
    if report.startswith("acceptance cycle"):
        return CYCLE
    named = _NAME.search(report) if report.startswith("assertion violated (") else None
    if named is None or named[1] not in INVARIANTS:
        raise SearchFailed(f"the verifier reports what no invariant names: {report}")
    return named[1]


# ---------------------------------------------------------------- making a search


def _tool(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise SearchFailed(f"{name} is not installed: `make install` installs Spin and a C compiler")
    return path


def _run(command: list[str], directory: str, deadline: float, *, follow: bool = False) -> str:
    """Run one program to its end, or kill it and all its children at the deadline."""
    process = subprocess.Popen(
        command,
        cwd=directory,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    late = threading.Event()

    def kill() -> None:
        late.set()
        with contextlib.suppress(ProcessLookupError):  # it has ended in this very moment
            os.killpg(process.pid, signal.SIGKILL)

    timer = threading.Timer(max(0.0, deadline - time.monotonic()), kill)
    timer.start()
    lines: list[str] = []
    try:
        assert process.stdout is not None
        with process.stdout as stream:
            for line in stream:
                lines.append(line)
                if follow and line.startswith("Depth="):
                    print(f"      {' '.join(line.split())}", file=sys.stderr, flush=True)
        code = process.wait()
    except BaseException:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        raise
    finally:
        timer.cancel()
    if late.is_set():
        raise SearchFailed(f"{Path(command[0]).name} took longer than the time limit")
    if code != 0:
        text = "".join(lines).strip()
        raise SearchFailed(f"{Path(command[0]).name} ended with {code}: {text[-2000:]}")
    return "".join(lines)


def check(search: Search, *, memory_mib: int = 6144, seconds: float = 600.0, follow: bool = False) -> Outcome:
    """Generate, compile and run the verifier of one search.

    Args:
        search: What to search.
        memory_mib: The verifier stops above this, which is a failure.
        seconds: Time limit for the three steps together.
        follow: Print the verifier's progress to stderr.

    Returns:
        The outcome, also when it is not the expected one.

    Raises:
        SearchFailed: A program is missing or failed, or the search was not complete.
    """
    deadline = time.monotonic() + seconds
    expects_success = search.expected == HOLDS
    spin, compiler = _tool("spin"), _tool("cc")
    spin_options = ["-a", *search.arguments(), search.model]
    cc_options = [search.optimise, f"-DMEMLIM={memory_mib}", "-DNOREDUCE", "-DCOLLAPSE"]
    cc_options += ["-DNFAIR=8"] if search.liveness else ["-DSAFETY", "-DNOCLAIM"]
    pan_options = ["-m100000", "-w24" if expects_success else "-w18"] + (["-a", "-f"] if search.liveness else [])
    with tempfile.TemporaryDirectory(prefix="hawser-model-") as directory:
        shutil.copy(FOLDER / search.model, directory)
        generated = _run([spin, *spin_options], directory, deadline)
        if re.search(r"\b[Ee]rror\b", generated):
            raise SearchFailed(f"spin refuses {search.model}: {generated.strip()[:2000]}")
        _run([compiler, *cc_options, "-o", "pan", "pan.c"], directory, deadline)
        started = time.monotonic()
        output = _run([str(Path(directory, "pan")), *pan_options], directory, deadline, follow=follow)
        took = time.monotonic() - started
        findings = parse(output)
        trail: list[str] = []
        if findings.verdict != HOLDS:
            replay = _run([str(Path(directory, "pan")), "-r", f"{search.model}.trail"], directory, deadline)
            trail = [line for line in replay.splitlines() if re.match(r"[ABCS]\b", line)]
    commands = [
        " ".join(["spin", *spin_options]),
        " ".join(["cc", *cc_options, "-o", "pan", "pan.c"]),
        " ".join(["./pan", *pan_options]),
    ]
    return Outcome(search, findings, took, commands, trail)


def fingerprint(model: str) -> str:
    """A hash of a model that changes with its meaning, not with its comments or spaces."""
    text = re.sub(r"/\*.*?\*/", " ", (FOLDER / model).read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    return hashlib.sha256("\n".join(line for line in lines if line).encode()).hexdigest()


def versions() -> dict[str, str]:
    """What the programs that make the searches call themselves."""
    deadline = time.monotonic() + 10
    asked = {"spin": [_tool("spin"), "-V"], "cc": [_tool("cc"), "--version"]}
    return {name: _run(command, str(FOLDER), deadline).splitlines()[0] for name, command in asked.items()}
