"""What a client goes through, as others see it."""

from __future__ import annotations

import gc
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import Config, Principal, connect, states
from hawser.client import StateStream
from hawser.testing import FaultyNetwork
from hawser_engine.calls import Cancel
from hawser_engine.messages import encode_body
from tests.runtime.helpers import PATIENCE, URL, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser import Client
    from hawser_transports import Link

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
            await trio.sleep(0.7)
            network.refuse(False)
            await client.publish("room", 2)
        seen = [state async for state in stream]
    assert kinds(seen)[:4] == ["Connected", "Waiting", "Resuming", "Connected"]
    assert kinds(seen)[-3:] == ["Resuming", "Connected", "Closed"]
    assert isinstance(seen[3], states.Connected)
    assert seen[3].resumed
    attempts = [state.attempt for state in seen[4:] if isinstance(state, states.Resuming)]
    assert attempts == list(range(1, len(attempts) + 1))
    pauses = [state for state in seen if isinstance(state, states.Waiting)]
    assert pauses[0].why == "the link is gone"
    assert "refuses links" in pauses[-1].why
    assert all(0 <= state.seconds <= 30 for state in pauses)


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
                    case states.Waiting(seconds=pause):
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
                while not isinstance(state := await anext(stream), states.Waiting):
                    pass
                assert state.seconds <= 0.5


# ---------------------------------------------------------------- the table


class Network(FaultyNetwork):
    """A network that may also leave whoever connects without an answer."""

    hanging = False
    sure: FaultyNetwork | None = None
    """What a client may fall back on."""

    async def connect(self, url: str) -> Link:
        if self.hanging:
            await trio.sleep_forever()
        return await super().connect(url)

    def fallback(self, url: str) -> FaultyNetwork | None:
        return self.sure


class Stage:
    """A client, its network and a server that may be replaced: what a scene needs."""

    def __init__(self, nursery: trio.Nursery, network: Network, client: Client) -> None:
        self.network = network
        self.client = client
        self.answers: list[str] = ["good"]
        """What becomes of credentials, one after the other; the last one stays."""
        self._nursery = nursery
        self._server = trio.CancelScope()
        self._stream = client.states

    async def until(self, kind: type[states.State], attempt: int = 0) -> None:
        """Wait until the client passes through a state."""
        with trio.fail_after(PATIENCE):
            async for state in self._stream:
                if isinstance(state, kind) and getattr(state, "attempt", 0) >= attempt:
                    return

    async def open(self) -> None:
        """Start a server, another one each time."""
        app = open_app()

        @app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if answer == "none":
                await trio.sleep_forever()
            return Principal("ada") if answer == "good" else None

        async def run(task_status: trio.TaskStatus[None]) -> None:
            with trio.CancelScope() as self._server:
                async with serving(app, config=SMALL):
                    task_status.started()
                    await trio.sleep_forever()

        await self._nursery.start(run)

    async def shut(self) -> None:
        """End the server without a word."""
        self.network.refuse()
        for wire in list(self.network.wires):
            await wire.cut()
        self._server.cancel()
        await trio.testing.wait_all_tasks_blocked()

    async def lose(self) -> None:
        """The link breaks, and no other one comes."""
        self.network.refuse()
        await self.network.cut()

    def overflow(self) -> None:
        """More is told to the server than can wait for it, which ends a session (SPEC LIM-4)."""
        for number in range(1, 5):
            self.client._dialogue.tell(encode_body(Cancel(number)))  # pyright: ignore[reportPrivateUsage]


SMALL = Config(window_messages=1, queue_messages=1, backoff_cap_seconds=3, handshake_seconds=5)


async def comes_and_goes(stage: Stage) -> None:
    await stage.open()
    await stage.until(states.Connected)


async def never_comes(stage: Stage) -> None:
    stage.network.refuse()
    await stage.until(states.Waiting)
    await stage.until(states.CircuitOpen)
    await stage.until(states.HalfOpen)
    await stage.until(states.CircuitOpen)
    stage.network.hanging = True
    await stage.until(states.HalfOpen)


async def comes_late(stage: Stage) -> None:
    stage.network.refuse()
    await stage.until(states.CircuitOpen)
    stage.network.refuse(False)
    await stage.open()
    await stage.until(states.Connected)


async def is_left_while_it_connects(stage: Stage) -> None:
    stage.network.hanging = True
    await trio.sleep(1)


async def is_left_while_it_waits(stage: Stage) -> None:
    stage.network.refuse()
    await stage.until(states.Waiting)


async def is_left_while_the_circuit_is_open(stage: Stage) -> None:
    stage.network.refuse()
    await stage.until(states.CircuitOpen)


async def resumes_in_the_end(stage: Stage) -> None:
    await comes_and_goes(stage)
    await stage.lose()
    for kind in (states.Waiting, states.Resuming, states.Waiting, states.CircuitOpen):
        await stage.until(kind)
    stage.network.refuse(False)
    await stage.until(states.Connected)


async def resumes_at_once(stage: Stage) -> None:
    await comes_and_goes(stage)
    await stage.network.cut()
    await stage.until(states.Connected)


async def is_left_while_it_resumes(stage: Stage) -> None:
    await comes_and_goes(stage)
    stage.network.hanging = True
    await stage.network.cut()
    await stage.until(states.Resuming)


async def meets_another_server(stage: Stage) -> None:
    await comes_and_goes(stage)
    await stage.shut()
    stage.network.refuse(False)
    await stage.open()
    await stage.until(states.Connected)


async def meets_another_server_late(stage: Stage) -> None:
    await comes_and_goes(stage)
    await stage.shut()
    await stage.until(states.CircuitOpen)
    stage.answers = ["good", "none"]  # RESUME is answered RESET, the OPEN behind it not at all
    stage.network.refuse(False)
    await stage.open()
    await stage.until(states.Reset)
    await stage.until(states.CircuitOpen)  # the server did not answer in time


async def loses_its_session_and_then_the_link(stage: Stage) -> None:
    await comes_and_goes(stage)
    stage.answers = ["none"]
    stage.overflow()
    await stage.until(states.Reset)
    await stage.lose()
    await stage.until(states.Waiting)


async def loses_its_session_and_is_refused(stage: Stage) -> None:
    await comes_and_goes(stage)
    stage.answers = ["bad"]
    stage.overflow()
    await stage.until(states.Closed)


async def loses_two_sessions_in_a_row(stage: Stage) -> None:
    await comes_and_goes(stage)
    stage.answers = ["none"]
    stage.overflow()
    await stage.until(states.Reset)
    stage.overflow()  # of the session that is yet to be opened
    await stage.until(states.Reset)


async def loses_its_session_before_it_is_there(stage: Stage) -> None:
    stage.network.refuse()
    await stage.until(states.Waiting)
    stage.overflow()
    stage.network.refuse(False)
    await stage.open()
    await stage.until(states.Reset)
    await stage.until(states.Connected)


async def moves_to_another_carriage(stage: Stage) -> None:
    async with FaultyNetwork(seed=1) as sure:
        stage.network.refuse()
        await stage.until(states.Waiting)
        stage.network.sure, stage.network.hanging = sure, True
        stage.network.refuse(False)
        await stage.open()
        await stage.until(states.Connected)
        stage.network.hanging = False
        await stage.until(states.Connected)
        await stage.client.aclose()


SCENES = [
    moves_to_another_carriage,
    comes_and_goes, never_comes, comes_late, is_left_while_it_connects, is_left_while_it_waits,
    is_left_while_the_circuit_is_open, resumes_in_the_end, resumes_at_once, is_left_while_it_resumes,
    meets_another_server, meets_another_server_late, loses_its_session_and_then_the_link,
    loses_its_session_and_is_refused, loses_two_sessions_in_a_row, loses_its_session_before_it_is_there,
]  # fmt: skip


async def test_every_transition_of_the_table_happens_and_no_other_one(autojump_clock: MockClock) -> None:
    pairs: set[tuple[type[states.State], type[states.State]]] = set()
    for scene in SCENES:
        network = Network()
        async with network, trio.open_nursery() as nursery:
            async with connect(URL, transport=network, wait=False, config=SMALL) as client:
                stream = client.states
                await scene(Stage(nursery, network, client))
            seen = [type(state) async for state in stream]
            pairs |= set(pairwise(seen))
            assert seen[-1] is states.Closed, scene.__name__
            nursery.cancel_scope.cancel()
    table = {(before, after) for before, afters in states.FOLLOWING.items() for after in afters}
    assert pairs - table == set()
    assert table - pairs == set()


def test_the_table_of_the_reference_is_that_of_the_code() -> None:
    page = (Path(__file__).parents[2] / "docs/reference/states.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)` \| [^|]+ \| ([^|]+) \|$", page, re.MULTILINE)
    shown = {name: set(re.findall(r"`(\w+)`", after)) for name, after in rows}
    assert shown == {
        before.__name__: {after.__name__ for after in afters} for before, afters in states.FOLLOWING.items()
    }
