"""A client whose machine has slept, or whose clocks have moved apart, asks before it gives up its link (SPEC LIV-5)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from hawser import Config, connect, states
from hawser.testing import CutKind, FaultyNetwork
from tests.runtime.helpers import PATIENCE, URL, open_app, serving

if TYPE_CHECKING:
    from trio.testing import MockClock


class Wall:
    """A wall clock that may be moved against the other one."""

    ahead = 0.0

    def __call__(self) -> float:
        return trio.current_time() + self.ahead


@pytest.fixture
def wall(monkeypatch: pytest.MonkeyPatch) -> Wall:
    clock = Wall()
    monkeypatch.setattr("hawser.timekeeper.wall_time", clock)
    monkeypatch.setattr("hawser.timekeeper.simulated", lambda: False)
    return clock


async def test_who_slept_keeps_a_link_that_still_answers(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        stream = client.states
        await client.publish("room", 1)
        for _ in range(3):
            autojump_clock.jump(50)  # longer than all silence that is allowed: 35 s
            await trio.sleep(20)
        await client.publish("room", 2)
        assert server.resumes == 0
        await client.aclose()
        assert [type(state) async for state in stream] == [states.Connected, states.Closed]


async def test_a_link_that_died_in_the_sleep_is_found_dead_by_a_probe(autojump_clock: MockClock, wall: Wall) -> None:
    """The clock of the deadlines stood still, so silence alone would take up to 35 s more."""
    config = Config(pong_wait_seconds=4)
    async with serving(open_app(), config=config), FaultyNetwork() as network:
        async with connect(URL, transport=network, config=config) as client:
            await client.publish("room", 1)
            await trio.sleep(1)
            began = trio.current_time()
            await network.cut(CutKind.SILENT)
            wall.ahead += 3_600
            with trio.fail_after(PATIENCE):
                async for state in client.states:
                    if isinstance(state, states.Waiting):
                        break
            assert 4 <= trio.current_time() - began <= 5 + 4 + 0.5


async def test_a_link_that_lives_is_kept_when_the_clocks_move_apart(autojump_clock: MockClock, wall: Wall) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        for step in (3_600, -7_200, 10):
            wall.ahead += step
            await trio.sleep(60)
        await client.publish("room", 1)
        assert (client.state, server.resumes) == (states.Connected(False, 0, "memory"), 0)


async def test_a_wait_is_over_when_its_time_was_slept_through(autojump_clock: MockClock, wall: Wall) -> None:
    config = Config(probe_min_seconds=25, probe_max_seconds=30)
    async with serving(open_app()), FaultyNetwork() as network:
        network.refuse()
        async with connect(URL, transport=network, wait=False, config=config) as client:
            with trio.fail_after(PATIENCE):
                while not isinstance(client.state, states.CircuitOpen):
                    await trio.sleep(0.1)
            began, until = trio.current_time(), client.state.until
            network.refuse(False)
            wall.ahead += 5  # not long enough
            await trio.sleep(6)
            assert isinstance(client.state, states.CircuitOpen)
            wall.ahead += 600
            await client.publish("room", 1)
            assert trio.current_time() - began <= 6 + config.look_seconds < until - began
