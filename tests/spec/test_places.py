"""The specification's files are found in a source tree and in an installation, and are missed where there are none."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import hawser_conformance
from hawser_conformance.places import carried

ROOT = Path(__file__).parents[2]
SHOW = """
import sys
sys.path.insert(0, sys.argv[1])
from hawser_conformance.places import carried
print(carried())
assert (carried() / "SPEC.md").read_text(encoding="utf-8").startswith("# The Hawser protocol")
assert (carried() / "packets.cddl").is_file()
print(sum(each.name.endswith(".json") for each in (carried() / "vectors" / "scenarios").iterdir()))
"""


def installed(folder: Path) -> subprocess.CompletedProcess[str]:
    """Ask the package that lies in a folder, and nothing else of this repository, where the files are."""
    # Unmeasured: the coverage of a copy would count as that of the package.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    return subprocess.run(
        [sys.executable, "-c", SHOW, str(folder)], cwd=folder, env=environment, capture_output=True, text=True
    )


def copy_package(folder: Path) -> None:
    here = Path(hawser_conformance.__file__).parent
    shutil.copytree(here, folder / here.name, ignore=shutil.ignore_patterns("__pycache__"))


def test_in_a_source_tree_they_lie_beside_the_package() -> None:
    assert Path(str(carried())) == ROOT / "protocol_spec"


def test_a_wheel_carries_them_inside_the_package(tmp_path: Path) -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    copy_package(tmp_path)
    for source, target in settings["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"].items():
        (tmp_path / target).parent.mkdir(parents=True, exist_ok=True)
        copy = shutil.copytree if (ROOT / source).is_dir() else shutil.copy
        copy(ROOT / source, tmp_path / target)

    shown = installed(tmp_path)

    scenarios = len(list((ROOT / "protocol_spec/vectors/scenarios").glob("*.json")))
    assert shown.stdout.splitlines() == [str(tmp_path / "hawser_conformance/data"), str(scenarios)], shown.stderr


def test_a_copy_without_them_says_what_to_do(tmp_path: Path) -> None:
    copy_package(tmp_path)
    shown = installed(tmp_path)
    assert shown.returncode == 1
    assert "install hawser from a wheel" in shown.stderr
