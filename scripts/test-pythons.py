"""Runs the quick tests on every other Python that scripts/pythons finds, beside one another.

Each has an environment of its own (.venv-3.12, ...); the Python of .venv, where all tests run, is left out. What
differs there is the language, so few examples of each property do. Nothing is split finer than the processors ask for:
each further process of one Python would import and collect everything once more.

With ``--environments`` it only makes them: `make test` has that done beside the making of .venv, which leaves a
processor idle and waits for the network. So nothing here needs a package.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from time import monotonic

ROOT = Path(__file__).resolve().parent.parent
PIP = ("-m", "pip", "--quiet", "--disable-pip-version-check", "install")
VERSION = "import sys; print('%d.%d' % sys.version_info[:2])"
ENVIRONMENT = {**os.environ, "HYPOTHESIS_PROFILE": "few"}


class Failed(Exception):
    """A program failed, and said this."""


def run(*command: str | Path) -> str:
    """Return what a program prints.

    Raises:
        Failed: It did not end well.
    """
    done = subprocess.run(
        command,
        cwd=ROOT,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if done.returncode:
        raise Failed(done.stdout.rstrip())
    return done.stdout.rstrip()


def others() -> dict[str, str]:
    """The interpreters to test by version, without that of this environment."""
    found = {run(python, "-c", VERSION): python for python in run("scripts/pythons").splitlines()}
    found.pop(f"{sys.version_info[0]}.{sys.version_info[1]}", None)
    return found


def prepared(version: str, python: str) -> Path:
    """Return the interpreter of the version's environment, made anew if it is older than the project's settings."""
    place = ROOT / f".venv-{version}"
    stamp = place / "stamp"
    if not stamp.exists() or stamp.stat().st_mtime < (ROOT / "pyproject.toml").stat().st_mtime:
        run(python, "-m", "venv", place)
        run(place / "bin/python", *PIP, "--upgrade", "pip>=25.1")
        run(place / "bin/python", *PIP, "--no-compile", "--editable", ".[cli]", "--group", "test")
        stamp.touch()
    return place / "bin/python"


def made(version: str, python: str) -> bool:
    """Make one environment; print what went wrong, and say whether it is there."""
    try:
        prepared(version, python)
    except Failed as failed:
        print(f"{failed}\nPython {version}: no environment", file=sys.stderr, flush=True)
        return False
    return True


def tested(version: str, python: str, processes: int) -> bool:
    """Run the tests on one Python; print what it says if it fails, and say whether it passed."""
    began = monotonic()
    workers = str(processes if processes > 1 else 0)
    try:
        said = run(prepared(version, python), "-m", "pytest", "-q", "-n", workers, "-m", "not slow and not verify")
    except Failed as failed:
        print(f"{failed}\nPython {version}: failed", file=sys.stderr, flush=True)
        return False
    print(f"Python {version}: {said.splitlines()[-1]}; {monotonic() - began:.0f} s with its environment", flush=True)
    return True


def main() -> int:
    """Test everywhere; 0 if all passed."""
    parser = argparse.ArgumentParser(description="Run the quick tests on every other Python of this machine.")
    parser.add_argument("--environments", action="store_true", help="make their environments, and test nothing")
    wanted = parser.parse_args()
    versions = others()
    if wanted.environments:
        there = [made(version, python) for version, python in versions.items()]
        return int(not all(there))
    print(f"beside {sys.version.split()[0]} there are: {', '.join(versions) or 'no others'}", flush=True)
    if not versions:
        return 0
    share = max(1, (os.cpu_count() or 1) // len(versions))
    with ThreadPoolExecutor(len(versions)) as pool:
        passed = list(pool.map(partial(tested, processes=share), versions, versions.values()))
    return int(not all(passed))


if __name__ == "__main__":
    sys.exit(main())
