"""``hawser pub`` and ``hawser sub`` lose, double and reorder nothing, however often their links delay and break."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from tests.faults.exchange import Weather, check_exact, exchange, serving
from tests.faults.processes import hawser
from tests.faults.proxy import Kind

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

SHARP = (Kind.RESET, Kind.RESET, Kind.TRUNCATE, Kind.TRUNCATE, Kind.HALF_CLOSE)


async def survive(folder: Path, messages: int, weather: Weather, *, patience: float, transport: str = "ws") -> None:
    """Carry so many messages through so many cuts on each side, and check every line."""
    with trio.fail_after(patience):
        async with (
            serving(folder) as (server, port),
            exchange(
                port,
                weather,
                lambda url, channel: hawser("pub", url, channel, "--transport", transport),
                lambda url, channel: hawser("sub", url, channel, "--count", str(messages), "--transport", transport),
            ) as running,
        ):
            await running.run(messages)
            assert await running.publisher.wait(patience=patience) == 0
            assert await running.subscriber.wait(patience=patience) == 0
    check_exact(running.subscriber.out.texts, messages)
    assert all(len(proxy.broken) >= weather.cuts for proxy in running.proxies)
    if weather.cuts >= 100:  # of so many cuts some are of each kind
        assert all(set(proxy.broken) == set(weather.kinds) for proxy in running.proxies)
    for program in (running.publisher, running.subscriber):
        assert not [line for line in program.err.texts if line.startswith(("reset", "gap", "Traceback"))]
    assert not [line for line in server.err.texts if "ERROR" in line or "Traceback" in line]


@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.verify)])
async def test_ten_cuts_on_each_side_cost_no_line(seed: int, tmp_path: Path) -> None:
    await survive(tmp_path, 1_000, Weather(seed=seed, cuts=10, kinds=SHARP), patience=240)


async def test_ten_cuts_under_long_poll_cost_no_line(tmp_path: Path) -> None:
    """SPEC CAR-15 to CAR-21: both connections of a client are cut on command, and half of all by themselves."""
    weather = Weather(seed=4, cuts=10, kinds=SHARP)
    await survive(tmp_path, 1_000, weather, patience=240, transport="poll")


async def test_a_link_that_swallows_everything_costs_no_line(tmp_path: Path) -> None:
    weather = Weather(seed=3, cuts=2, kinds=[Kind.BLACKHOLE])
    await survive(tmp_path, 400, weather, patience=240)


@pytest.mark.verify
@pytest.mark.parametrize("seed", [100, 101])
async def test_a_hundred_cuts_on_each_side_of_twenty_thousand_lines_cost_none(seed: int, tmp_path: Path) -> None:
    weather = Weather(seed=seed, cuts=100, kinds=(*SHARP, *SHARP, Kind.BLACKHOLE))
    await survive(tmp_path, 20_000, weather, patience=900)
