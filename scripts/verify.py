#!/usr/bin/env python3
"""The long form of the checks, and their report: `make verify` runs it.

Every step runs, also after one that failed; what each said last goes into docs/reference/verified.md, which is
committed with the capability that it verified. Only the standard library is used: this file starts the tools.
"""

import os
import platform
import re
import shutil
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ".venv/bin"
REPORT = ROOT / "docs/reference/verified.md"
SEEDS = os.environ.get("VERIFY_SEEDS", "5000")

STEPS = {
    "format, style, types, import contracts": ["make", "lint"],
    "specification": ["make", "spec"],
    "all tests, the long ones too": [f"{BIN}/pytest", "-n", "auto", "-m", "", "-q"],
    "simulator": [f"{BIN}/python", "-m", "tests.simulation", "--seeds", SEEDS, "--check-coverage"],
    "planted bugs, each from seed 0 on": [f"{BIN}/python", "-m", "tests.simulation.mutants", "--all"],
    "Spin models, large": [f"{BIN}/python", "protocol_spec/models/run.py", "--size", "large"],
    "Spin models, wrong variants": [f"{BIN}/python", "protocol_spec/models/run.py", "--variant", "all"],
    "the other Pythons": ["make", "pythons"],
    "documents": ["make", "docs"],
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


def main() -> int:
    """Run all steps and write the report; 1 if a step failed."""
    started, commit = datetime.now(UTC), head()
    rows: list[str] = []
    failed: list[str] = []
    for name, command in STEPS.items():
        print(f"\033[1m== {name}\033[0m", flush=True)
        began = time.monotonic()
        code, said = run(command)
        minutes = (time.monotonic() - began) / 60
        if code:
            failed.append(name)
        outcome = "; ".join(said) or "done"
        rows.append(f"| {name} | {'**failed**: ' if code else ''}{outcome} | {minutes:.1f} |")
    REPORT.write_text(
        "\n".join(
            [
                "# Verified",
                "",
                f"The last report of `make verify`: commit {commit}, {started:%Y-%m-%d}, {os.cpu_count()} processors,",
                f"Python {platform.python_version()}. "
                + (f"**{len(failed)} of {len(STEPS)} steps failed.**" if failed else f"All {len(STEPS)} steps passed."),
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
