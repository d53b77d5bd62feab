#!/usr/bin/env python3
"""The long form of the checks, and their report: `make verify` runs it.

Every step runs, also after one that failed; what each said last goes into docs/reference/verified.md, which is
committed with the capability that it verified. The models, which need one processor and much time, run beside
everything else. Only the standard library is used: this file starts the tools.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ".venv/bin"
REPORT = ROOT / "docs/reference/verified.md"
SEEDS = os.environ.get("VERIFY_SEEDS", "5000")
WORLDS = "300"  # seeds of each
WORKERS = str(2 * (os.cpu_count() or 1))

CHECKS = {
    "format, style, types, import contracts": ["make", "lint"],
    "specification": ["make", "spec"],
    # Twice as many workers as usual: the long fault tests mostly wait, and each takes work from the others.
    "all tests, the long ones too": [f"{BIN}/pytest", "-n", WORKERS, "--dist", "worksteal", "-m", "", "-q"],
    "quick tests, tasks in other orders": ["make", "orders"],
    "simulator": [f"{BIN}/python", "-m", "tests.simulation", "--seeds", SEEDS, "--check-coverage"],
    "worlds of the runtime": [f"{BIN}/python", "-m", "tests.simulation.worlds", "--seeds", WORLDS],
    "planted bugs, each from seed 0 on": [f"{BIN}/python", "-m", "tests.simulation.mutants", "--all"],
    "the other Pythons": ["make", "pythons"],
    "documents": ["make", "docs"],
}
MODELS = {
    "Spin models, large": [f"{BIN}/python", "protocol_spec/models/run.py", "--size", "large"],
    "Spin models, wrong variants": [f"{BIN}/python", "protocol_spec/models/run.py", "--variant", "all"],
}

_VERDICT = re.compile(r"\d+ (passed|of \d+ caught|of \d+ searches)|findings|seeds, .* violations|^Success")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def run(command: list[str]) -> tuple[int, list[str]]:
    """Run a command in the root; return its exit code and the lines of its output that give a verdict."""
    said: list[str] = []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, errors="replace") as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            plain = _COLOUR.sub("", line).strip(" =\n")
            if _VERDICT.search(plain):
                said.append(plain)
    return process.returncode, said


def head() -> str:
    """The commit that is checked, and whether files differ from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    commit = subprocess.run([git, "rev-parse", "--short=10", "HEAD"], cwd=ROOT, capture_output=True, text=True)
    changed = subprocess.run(
        [git, "status", "--porcelain", "--", ".", f":!{REPORT.relative_to(ROOT)}"], cwd=ROOT, capture_output=True
    )
    return commit.stdout.strip() + (" with uncommitted changes" if changed.stdout else "")


def take(steps: dict[str, list[str]]) -> list[tuple[str, bool]]:
    """Run steps one after the other; return a row of the report for each, and whether it passed."""
    rows: list[tuple[str, bool]] = []
    for name, command in steps.items():
        print(f"\033[1m== {name}\033[0m", flush=True)
        began = time.monotonic()
        code, said = run(command)
        minutes = (time.monotonic() - began) / 60
        outcome = "; ".join(said) or "done"
        rows.append((f"| {name} | {'**failed**: ' if code else ''}{outcome} | {minutes:.1f} |", not code))
    return rows


def main() -> int:
    """Run all steps and write the report; 1 if a step failed."""
    started, commit = datetime.now(UTC), head()
    with ThreadPoolExecutor() as lanes:
        outcomes = [outcome for lane in lanes.map(take, (CHECKS, MODELS)) for outcome in lane]
    rows, failed = [row for row, _ in outcomes], [row.split(" | ")[0][2:] for row, passed in outcomes if not passed]
    REPORT.write_text(
        "\n".join(
            [
                "# Verified",
                "",
                f"The last report of `make verify`: commit {commit}, {started:%Y-%m-%d}, {os.cpu_count()} processors,",
                f"Python {platform.python_version()}. "
                + (
                    f"**{len(failed)} of {len(outcomes)} steps failed.**"
                    if failed
                    else f"All {len(outcomes)} steps passed."
                ),
                "",
                "| step | outcome | minutes |",
                "|---|---|--:|",
                *rows,
                "",
            ]
        ),
        encoding="utf-8",
    )
    print(f"\033[1m== {'failed: ' + ', '.join(failed) if failed else 'verified'}\033[0m (report: {REPORT.name})")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
