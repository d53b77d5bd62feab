"""What a client goes through, as others see it."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import Config, connect, states
from hawser.client import StateStream
from hawser.testing import FaultyNetwork
from tests.runtime.helpers import URL, open_app, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

RESET = states.Reset(6, 1, 2, 3)


def kinds(seen: list[states.State]) -> list[str]:
    return [type(state).__name__ for state in seen]


async def test_a_watcher_sees_every_turn_of_a_client(autojump_clock: MockClock) -> None:
    async with serving(open_app()), FaultyNetwork() as network:
        async with connect(URL, transport=network) as client:
            stream = client.states
            await network.cut()
            await client.publish("room", 1)
            network.refuse()
            await network.cut()
            await trio.sleep(3)
            network.refuse(False)
            await client.publish("room", 2)
        seen = [state async for state in stream]
    assert kinds(seen)[:4] == ["Connected", "Disconnected", "Connecting", "Connected"]
    assert kinds(seen)[-3:] == ["Connecting", "Connected", "Closed"]
    assert isinstance(seen[3], states.Connected)
    assert seen[3].resumed
    attempts = [state.attempt for state in seen[4:] if isinstance(state, states.Connecting)]
    assert attempts == list(range(1, len(attempts) + 1))
    pauses = [state for state in seen if isinstance(state, states.Disconnected)]
    assert pauses[0].reason == "the link is gone"
    assert "refuses links" in pauses[-1].reason
    assert all(0 <= state.retry_seconds <= 30 for state in pauses)


async def test_the_present_state_comes_first_and_every_watcher_sees_all(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client:
        first, second = client.states, client.states
        assert client.state == states.Connected(False, 0, "memory")
        await client.aclose()
        assert [state async for state in first] == [state async for state in second]
        assert [state async for state in client.states] == [client.state]


async def test_a_watcher_nobody_holds_is_forgotten(autojump_clock: MockClock) -> None:
    async with serving(open_app()), FaultyNetwork() as network, connect(URL, transport=network) as client:
        for _ in range(5):
            anext(client.states).close()
        gc.collect()
        await network.cut()
        await client.publish("room", 1)
        dialogue = client._dialogue  # pyright: ignore[reportPrivateUsage]
        assert dialogue._watchers == []  # pyright: ignore[reportPrivateUsage]


async def test_a_watcher_that_does_not_keep_up_misses_the_oldest_but_no_reset() -> None:
    stream = StateStream(states.Connecting(1))
    stream.put(RESET)
    for number in range(2, 300):
        stream.put(states.Connecting(number))
    stream.put(states.Closed(300, ""))
    seen = [state async for state in stream]
    assert len(seen) == 100
    assert seen[0] == RESET
    assert seen[1:-1] == [states.Connecting(number) for number in range(202, 300)]
    with pytest.raises(StopAsyncIteration):
        await anext(stream)


async def test_where_only_resets_are_left_the_oldest_are_added_up() -> None:
    stream = StateStream(RESET)
    for _ in range(149):
        stream.put(RESET)
    stream.put(states.Closed(300, ""))
    seen = [state async for state in stream]
    assert len(seen) == 100
    resets = [state for state in seen if isinstance(state, states.Reset)]
    assert sum(state.known_delivered for state in resets) == 150
    assert sum(state.unknown for state in resets) == 300
    assert sum(state.not_sent for state in resets) == 450


async def test_a_server_that_lets_in_and_drops_at_once_is_not_hammered(autojump_clock: MockClock) -> None:
    """Attached is no progress: only a count that moves is (SPEC REC-1)."""
    config = Config(resumes_per_minute=100_000)
    async with serving(open_app(), config=config), FaultyNetwork() as network:
        async with connect(URL, transport=network) as client:
            stream = client.states
            await client.publish("room", 1)
            await trio.sleep(2)
            pauses: list[float] = []
            began = trio.current_time()
            while len(pauses) < 12:
                match await anext(stream):
                    case states.Connected():
                        await trio.sleep(1.5)
                        await network.cut()
                    case states.Disconnected(retry_seconds=pause):
                        pauses.append(pause)
                    case _:
                        pass
            for number, pause in enumerate(pauses):
                assert pause <= min(30, 0.5 * 2**number)
            assert trio.current_time() - began > 30
            assert max(pauses) > 5


async def test_progress_makes_the_next_attempt_quick_again(autojump_clock: MockClock) -> None:
    async with serving(open_app()), FaultyNetwork() as network:
        async with connect(URL, transport=network) as client:
            stream = client.states
            for number in range(20):
                await client.publish("room", number)
                await network.cut()
                while not isinstance(state := await anext(stream), states.Disconnected):
                    pass
                assert state.retry_seconds <= 0.5
