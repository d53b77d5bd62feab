"""The example of a tested application, and the pytest plugin that it uses, in a pytest of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[2] / "examples" / "test_a_chat.py"

FAILING = """
import pytest, trio

@pytest.mark.trio
@pytest.mark.hawser_seeds(5)
async def test_order(autojump_clock, hawser_seed):
    order = []
    async def note(number):
        order.append(number)
    async with trio.open_nursery() as nursery:
        for number in range(3):
            nursery.start_soon(note, number)
    print("ORDER", hawser_seed, order)
    assert hawser_seed != 3, order

@pytest.mark.trio
async def test_real_time(faulty_network):
    pass

@pytest.mark.trio
async def test_virtual_time(autojump_clock, faulty_network):
    await trio.sleep(1_000_000)

def test_sync(hawser_seed):
    assert hawser_seed >= 0
"""


def run_pytest(path: Path, *arguments: str) -> tuple[int, str]:
    settings = path.parent / "pytest.toml"
    command = [sys.executable, "-m", "pytest", "-p", "hawser.testing.plugin", "-p", "no:cacheprovider", "-c"]
    run = subprocess.run(
        [*command, str(settings), "--rootdir", str(path.parent), "-W", "error", *arguments, str(path)],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path), "PYTEST_ADDOPTS": ""},
    )
    return run.returncode, run.stdout + run.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pytest.toml").write_text("[pytest]\n", encoding="utf-8")
    return tmp_path


@pytest.mark.slow
def test_the_example_runs_twenty_seeds(folder: Path) -> None:
    copy = folder / EXAMPLE.name
    copy.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    code, output = run_pytest(copy, "-q")
    assert (code, "20 passed" in output) == (0, True), output


@pytest.mark.slow
def test_a_failure_says_its_seed_and_the_seed_fails_again(folder: Path) -> None:
    path = folder / "test_plugin.py"
    path.write_text(FAILING, encoding="utf-8")
    code, output = run_pytest(path, "-k", "test_order", "-s")
    assert code == 1
    assert "1 failed, 4 passed" in output
    assert "again: pytest --hawser-seed 3 test_plugin.py::test_order" in output
    orders = [line for line in output.splitlines() if "ORDER " in line]
    assert len(orders) == 5
    code, again = run_pytest(path, "-k", "test_order", "-s", "--hawser-seed", "3")
    assert code == 1
    assert "1 failed" in again
    [order] = [line for line in orders if "ORDER 3" in line]
    assert order[order.index("ORDER") :] in again
    assert len({line.split("[")[-1] for line in orders}) > 1


@pytest.mark.slow
def test_a_network_without_virtual_time_is_refused(folder: Path) -> None:
    path = folder / "test_plugin.py"
    path.write_text(FAILING, encoding="utf-8")
    code, output = run_pytest(path, "-k", "time or sync")
    assert code == 1
    assert "2 passed" in output
    assert "takes autojump_clock too" in output
