"""A pytest plugin for applications: whole systems in virtual time, run again and again by seed.

Switch it on with ``pytest_plugins = ["hawser.testing.plugin"]`` in the ``conftest.py`` beside your configuration, or
with ``pytest -p hawser.testing.plugin``. It needs pytest and pytest-trio.

* ``hawser_seed``: the seed of this run of the test. Trio takes tasks in an order that it decides.
* ``faulty_network``: a `FaultyNetwork` with that seed, open for the length of the test. Take pytest-trio's
  ``autojump_clock`` as well: then time is virtual, and waiting costs nothing.
* ``@pytest.mark.hawser_seeds(100)``: run the test for the seeds 0 to 99; without it for seed 0.
* ``--hawser-seed 17``: run only this seed. A failure says which.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest
import pytest_trio
import trio
from trio.testing import MockClock

from .network import FaultyNetwork
from .seeds import seeded_scheduling

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator

# pytest-trio ships no types.
_async_fixture = cast("Callable[[Callable[..., Any]], Any]", cast("Any", pytest_trio).trio_fixture)

FIXTURE = "hawser_seed"
OPTION = "--hawser-seed"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that chooses one seed."""
    group = parser.getgroup("hawser")
    group.addoption(OPTION, type=int, metavar="SEED", help="run tests that take a seed with this one only")


def pytest_configure(config: pytest.Config) -> None:
    """Make the marker known."""
    config.addinivalue_line("markers", "hawser_seeds(count): run the test for so many seeds, from 0 on")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give every test that takes a seed its seeds."""
    if FIXTURE not in metafunc.fixturenames:
        return
    only: int | None = metafunc.config.getoption(OPTION, default=None)
    marker = metafunc.definition.get_closest_marker("hawser_seeds")
    count: int = 1 if marker is None else marker.args[0]
    metafunc.parametrize(FIXTURE, range(count) if only is None else [only], indirect=True)


@pytest.fixture
def hawser_seed(request: pytest.FixtureRequest) -> Generator[int]:
    """The seed of this run of the test; while it runs, Trio's order of tasks is that of the seed."""
    seed: int = request.param
    with seeded_scheduling(seed):
        yield seed


@_async_fixture
async def faulty_network(hawser_seed: int) -> AsyncGenerator[FaultyNetwork]:
    """A network that breaks as the seed says; give it to `connect` as ``transport``."""
    if not isinstance(trio.lowlevel.current_clock(), MockClock):
        raise pytest.UsageError("a test that takes faulty_network takes autojump_clock too: in real time it is no test")
    async with FaultyNetwork(seed=hawser_seed) as network:
        yield network


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, pytest.TestReport]:
    """Say how to run the seed of a failed test again."""
    report: pytest.TestReport = yield
    seed = getattr(item, "callspec", None) and item.callspec.params.get(FIXTURE)  # type: ignore[attr-defined]
    if report.failed and seed is not None:
        name = item.nodeid.partition("[")[0]
        report.sections.append(("hawser", f"again: pytest {OPTION} {seed} {name}"))
    return report
