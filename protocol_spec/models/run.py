"""Check the models of this folder with Spin, and show that each wrong variant of them fails.

Rule 1: a search passes only if its verdict is the expected one *and* it was complete: output that is missing,
unknown or speaks of a truncated search is a failure, whatever else it says.
Rule 2: nothing is left behind; every search lives in a temporary directory.

    python protocol_spec/models/run.py                        the small size and every wrong variant
    python protocol_spec/models/run.py --size large           the large searches (minutes, up to --memory MiB)
    python protocol_spec/models/run.py --variant NO_FENCE --trail
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Final

FOLDER: Final = Path(__file__).resolve().parent

HOLDS: Final = "HOLDS"
"""The verdict of a search that found nothing wrong."""

CYCLE: Final = "NEVER_CONVERGES"
"""The verdict of a search that found a fair run on which the claimed formula is false."""

INVARIANTS: Final = {
    "EXACTLY_ONCE_IN_ORDER": 1,
    "TRIMMED_UNDELIVERED": 2,
    "DISHONEST_ACK": 4,
    "INBOX_OVERFLOW": 8,
    "TWO_LIVE_CONNECTIONS": 16,
    "NUMBER_REUSED": 32,
    "LOCKED_OUT": 64,
    "DRIFT": 128,
    "TAKEN_OVER": 256,
    "STUCK": 512,
}
"""The invariants and their bits in WATCH: the same in every model."""


class SearchFailed(Exception):
    """The search could not be made, or its output does not prove what it should."""


@dataclass(frozen=True)
class Search:
    """One run of the verifier."""

    name: str
    model: str
    defines: dict[str, int]
    expected: str = HOLDS
    """HOLDS, CYCLE or the invariant that must fail; then no other invariant is watched."""
    optimise: str = "-O2"
    """For the C compiler. In a short search compiling takes longest, so that one asks for less."""
    witnesses: int = 0
    """How many of the model's situations must have occurred, so that the search was not vacuous; 0 = not asked."""

    @property
    def liveness(self) -> bool:
        """Whether a formula is claimed, under weak fairness."""
        return "LIVENESS" in self.defines

    def arguments(self) -> list[str]:
        """The -D options for Spin."""
        defines = dict(self.defines)
        if self.witnesses:
            defines["WITNESS"] = 1
        if self.expected in INVARIANTS:
            defines["WATCH"] = INVARIANTS[self.expected]
        elif self.expected == CYCLE:
            defines["WATCH"] = 0
        return [f"-D{name}={value}" for name, value in defines.items()]


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


def _small(name: str, witnesses: int = 0, /, **defines: int) -> Search:
    return Search(name, "attach.pml", defines, optimise="-O0", witnesses=witnesses)


def _large(name: str, /, **defines: int) -> Search:
    return Search(name, "attach.pml", defines)


def _holders(name: str, optimise: str, witnesses: int = 0, /, **defines: int) -> Search:
    return Search(name, "holders.pml", defines, optimise=optimise, witnesses=witnesses)


def _wrong(name: str, expected: str, model: str = "attach.pml", /, **defines: int) -> Search:
    return Search(f"{name}: {expected}", model, {name: 1, **defines}, expected, optimise="-O0")


SIZES: Final[dict[str, tuple[Search, ...]]] = {
    "small": (
        _small("both directions, sessions end", 11, UP=2, DOWN=2, WINDOW=1, ENDS=1),
        _small("receivers forget their inbox", FORGETS_INBOX=1, UP=2, DOWN=1, WINDOW=2),
        _small("converges, sessions end", DOWN=0, ENDS=1, LATE_ANSWERS=0, LIVENESS=1),
        _small("converges with heartbeat", CONNECTIONS=2, UP=0, HEARTBEAT=1, LIVENESS=1),
        _holders("two holders", "-O0", 7, CONNECTIONS=6, MOVES=1),
    ),
    "large": (
        _large("both directions", CONNECTIONS=4, UP=2, DOWN=2, WINDOW=2),
        _large("sessions end", CONNECTIONS=4, UP=2, DOWN=2, WINDOW=2, ENDS=1),
        _large("longer, fewer cuts", CONNECTIONS=3, UP=3, DOWN=3, WINDOW=3, ROOM=4),
        _large("many cuts", CONNECTIONS=5, UP=1, DOWN=1, ENDS=1),
        _large("receivers forget their inbox", CONNECTIONS=4, UP=2, DOWN=2, WINDOW=2, FORGETS_INBOX=1),
        _holders("two holders", "-O2", CONNECTIONS=7, MOVES=1, LOSSES=1, UP=2),
        _holders("two holders, more moves", "-O2", CONNECTIONS=8, MOVES=2),
        _large("converges with heartbeat", HEARTBEAT=1, LIVENESS=1),
        _large("converges without an ACK timer, by heartbeat alone", NO_ACK_TIMER=1, HEARTBEAT=1, LIVENESS=1),
        _large("converges, sessions end", UP=2, WINDOW=2, ENDS=1, LIVENESS=1),
    ),
}
"""The searches in which everything must hold."""

VARIANTS: Final[dict[str, tuple[Search, ...]]] = {
    "NO_FENCE": (
        _wrong("NO_FENCE", "TWO_LIVE_CONNECTIONS"),
        _wrong("NO_FENCE", "EXACTLY_ONCE_IN_ORDER"),
    ),
    "NO_CLIENT_FENCE": (_wrong("NO_CLIENT_FENCE", "NUMBER_REUSED"),),
    "ORDER_BY_ARRIVAL": (_wrong("ORDER_BY_ARRIVAL", "LOCKED_OUT"),),
    "NO_RECHECK": (
        _wrong("NO_RECHECK", "LOCKED_OUT"),
        _wrong("NO_RECHECK", "EXACTLY_ONCE_IN_ORDER"),
    ),
    "COUNTS_BEFORE_AUTHENTICATION": (_wrong("COUNTS_BEFORE_AUTHENTICATION", "EXACTLY_ONCE_IN_ORDER"),),
    "PREVIOUS_IS_LAST_ISSUED": (_wrong("PREVIOUS_IS_LAST_ISSUED", "LOCKED_OUT"),),
    "ONLY_THE_NEWEST_SECRET": (_wrong("ONLY_THE_NEWEST_SECRET", "LOCKED_OUT"),),
    "ACCEPT_ANY_RESUMED": (_wrong("ACCEPT_ANY_RESUMED", "LOCKED_OUT"),),
    "CLOSE_OF_ANY_SESSION": (_wrong("CLOSE_OF_ANY_SESSION", "TAKEN_OVER", ENDS=1),),
    "ACK_BEFORE_DELIVERED": (
        _wrong("ACK_BEFORE_DELIVERED", "TRIMMED_UNDELIVERED"),
        _wrong("ACK_BEFORE_DELIVERED", "DISHONEST_ACK"),
        _wrong("ACK_BEFORE_DELIVERED", "INBOX_OVERFLOW", UP=2),
        _wrong("ACK_BEFORE_DELIVERED", "DRIFT", FORGETS_INBOX=1),
    ),
    "ONE_COUNT": (_wrong("ONE_COUNT", "EXACTLY_ONCE_IN_ORDER"),),
    "AMBIGUOUS_RESUME_POSITION": (
        _wrong("AMBIGUOUS_RESUME_POSITION", "EXACTLY_ONCE_IN_ORDER", UP=2, WINDOW=2),
        _wrong("AMBIGUOUS_RESUME_POSITION", CYCLE, CONNECTIONS=2, LIVENESS=1),
    ),
    "REPLAY_FROM_TRIMMED": (_wrong("REPLAY_FROM_TRIMMED", "EXACTLY_ONCE_IN_ORDER"),),
    "ACK_STATES_NUMBERED": (_wrong("ACK_STATES_NUMBERED", "DRIFT"),),
    "NO_ACK_TIMER": (
        _wrong("NO_ACK_TIMER", "STUCK"),
        _wrong("NO_ACK_TIMER", CYCLE, CONNECTIONS=2, LIVENESS=1),
    ),
    "ONE_SECRET_FOR_EVER": (
        _wrong("ONE_SECRET_FOR_EVER", "EXACTLY_ONCE_IN_ORDER", "holders.pml", CONNECTIONS=6, MOVES=1, UP=2, DOWN=0),
        _wrong("ONE_SECRET_FOR_EVER", "TRIMMED_UNDELIVERED", "holders.pml", CONNECTIONS=6, MOVES=1),
    ),
    "FIRST_PACKET_IS_ANY": (
        _wrong("FIRST_PACKET_IS_ANY", "TRIMMED_UNDELIVERED", "holders.pml", CONNECTIONS=6, MOVES=1),
    ),
}
"""The wrong variants; each breaks one rule, and each of its searches must find what follows from that."""


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


# ---------------------------------------------------------------- command line


def _selected(size: str | None, variant: str | None) -> list[Search]:
    if size is None and variant is None:
        size, variant = "small", "all"
    searches = list(SIZES[size]) if size else []
    for name, found in VARIANTS.items():
        if variant in ("all", name):
            searches += found
    return searches


def _describe(outcome: Outcome) -> str:
    findings = outcome.findings
    return (
        f"{findings.verdict}, {findings.states:,} states, depth {findings.depth}, "
        f"{outcome.seconds:.1f} s, {findings.memory_mib:,.0f} MiB"
    )


def _entry(outcome: Outcome) -> dict[str, object]:
    return {
        "name": outcome.search.name,
        "model": outcome.search.model,
        "defines": outcome.search.defines,
        "expected": outcome.search.expected,
        "passed": outcome.passed,
        **asdict(outcome.findings),
        "seconds": round(outcome.seconds, 1),
        "commands": outcome.commands,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 all as expected, 1 not, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Check the protocol's models with Spin.")
    parser.add_argument("--size", choices=list(SIZES), help="the searches in which everything must hold")
    parser.add_argument(
        "--variant", choices=["all", *VARIANTS], metavar="NAME|all", help="wrong variants, which must fail (--list)"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--trail", action="store_true", help="show how a failing search fails, step by step")
    parser.add_argument("--list", action="store_true", help="name the searches and make none")
    parser.add_argument("--memory", type=int, default=6144, metavar="MIB", help="limit for one search (default 6144)")
    parser.add_argument(
        "--time-limit", type=float, default=1800.0, metavar="SECONDS", help="limit for one search (default 1800)"
    )
    options = parser.parse_args(arguments)
    searches = _selected(options.size, options.variant)
    if options.list:
        for search in searches:
            print(f"{search.name}: {search.model} {' '.join(search.arguments())}")
        return 0
    entries: list[dict[str, object]] = []
    failed = 0
    try:
        tools = versions()
    except SearchFailed as error:
        print(error, file=sys.stderr)
        return 1
    for number, search in enumerate(searches, start=1):
        print(f"[{number}/{len(searches)}] {search.name}", file=sys.stderr, flush=True)
        try:
            outcome = check(search, memory_mib=options.memory, seconds=options.time_limit, follow=True)
        except SearchFailed as error:
            print(f"      FAILED: {error}", file=sys.stderr, flush=True)
            entries.append({"name": search.name, "passed": False, "failure": str(error)})
            failed += 1
            continue
        verdict = "as expected" if outcome.passed else f"NOT AS EXPECTED ({search.expected})"
        print(f"      {_describe(outcome)}: {verdict}", file=sys.stderr, flush=True)
        if options.trail:
            print("\n".join(outcome.trail), flush=True)
        entries.append(_entry(outcome))
        failed += not outcome.passed
    if options.report is not None:
        models = sorted({search.model for search in searches})
        report = {"tools": tools, "models": {model: fingerprint(model) for model in models}, "searches": entries}
        options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{len(searches) - failed} of {len(searches)} searches as expected")
    return 1 if failed else 0


def _terminated(number: int, _frame: object) -> None:
    sys.exit(128 + number)  # so that the verifier is killed and its directory removed


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _terminated)
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
