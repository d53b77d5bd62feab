"""Runs the type checkers beside one another, for each has one processor only; prints what each says when it is done.

Usage: check-types.py PACKAGE …, those that programs import: every name in them has one type for every checker.
"""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}  # pyright asks the first python it finds


def run(command: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """Run one checker of the environment."""
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def main(packages: list[str]) -> int:
    """Check everything; 0 if nobody complains."""
    public = [("pyright", "--verifytypes", package, "--ignoreexternal") for package in packages]
    commands: list[tuple[str, ...]] = [("pyright", "--warnings"), ("mypy",), *public]
    failed = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for command, done in zip(commands, pool.map(run, commands), strict=True):
            quiet = command in public and not done.returncode  # the report is a page long
            print(f"{' '.join(command)}: {'all known' if quiet else done.stdout.rstrip()}", flush=True)
            failed |= done.returncode
    if failed:
        print("fix: what stands above as an error, ambiguous or unknown wants an annotation", file=sys.stderr)
    return int(failed != 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
