"""Who attaches when many do: so many a second, who resumes before who begins, and everybody is told his turn."""

from __future__ import annotations

from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import Config, connect, states
from hawser.client.comeback import Ended
from hawser.testing import FaultyNetwork
from hawser_engine import CloseCode, ConnectionTerminated
from hawser_transports import Listener, MemoryTransport, Transport, TurnedAway
from tests.runtime.helpers import PATIENCE, URL, RawClient, open_app, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser_transports import Link


async def test_an_attach_above_the_rate_is_sent_back_with_a_turn_of_its_own(autojump_clock: MockClock) -> None:
    clients = [RawClient() for _ in range(20)]
    async with serving(open_app(), config=Config(attaches_per_second=10)), AsyncExitStack() as stack:
        for client in clients:
            await stack.enter_async_context(client.connected())
        await trio.sleep(0.5)
        assert [client.opened.is_set() for client in clients] == [*[True] * 8, *[False] * 12]
        ends = [client.terminations[0] for client in clients[8:]]
        assert {(end.code, end.reconnect, end.resume) for end in ends} == {(CloseCode.OVERLOADED, True, True)}
        turns = [end.after_seconds for end in ends]
        # At eight a second, behind the first, each to be drawn within a second.
        assert [low for low, _ in turns] == pytest.approx([1 + number / 8 for number in range(12)], abs=0.01)
        assert all(high - low == pytest.approx(1, abs=0.002) for low, high in turns)


@pytest.mark.slow
async def test_everybody_gets_in_and_no_second_sees_more_than_the_rate(autojump_clock: MockClock) -> None:
    times: list[float] = []

    async def come(nursery: trio.Nursery) -> None:
        async with connect(URL, wait=False) as client:
            await client.publish("room", 1)
            times.append(trio.current_time())

    async with serving(open_app(), config=Config(attaches_per_second=10)):
        began = trio.current_time()
        with trio.fail_after(PATIENCE):
            async with trio.open_nursery() as nursery:
                for _ in range(100):
                    nursery.start_soon(come, nursery)
    assert len(times) == 100
    seconds = [int(at - began) for at in times]
    assert max(seconds.count(second) for second in set(seconds)) <= 20  # a publication may come a while behind
    assert 10 <= max(times) - began <= 60


async def test_who_resumes_comes_in_where_who_begins_is_sent_back(autojump_clock: MockClock) -> None:
    async with serving(open_app(), config=Config(attaches_per_second=5)) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network) as client:
            await client.publish("room", 1)
            await trio.sleep(2)
            async with AsyncExitStack() as stack:
                others = [await stack.enter_async_context(RawClient().connected()) for _ in range(5)]
                await network.cut()
                await trio.sleep(0.9)
                assert [other.opened.is_set() for other in others] == [True] * 4 + [False]
                with trio.fail_after(PATIENCE):
                    await client.publish("room", 2)
        assert server.resumes == 1


def told(code: CloseCode, after_seconds: tuple[float, float], initiator: str = "remote") -> Ended:
    """An attempt that was ended by CLOSE."""
    termination = ConnectionTerminated(code, "why", initiator, True, True, after_seconds, None)
    return Ended("why", termination=termination)


@pytest.mark.parametrize(
    ("ended", "away_seconds"),
    [
        (Ended("busy", error=TurnedAway("busy", 7)), (7, 8)),
        (Ended("busy", error=TurnedAway("busy", 0)), (0, 0)),
        (told(CloseCode.OVERLOADED, (7.0, 9.0)), (7, 9)),
        (told(CloseCode.GOING_AWAY, (0.0, 9.0)), (0, 9)),
        (told(CloseCode.INTERNAL, (0.0, 0.0)), None),
        (told(CloseCode.TIMEOUT, (7.0, 9.0), "local"), None),
        (Ended("refused", error=ConnectionRefusedError()), None),
        (Ended("the link broke"), None),
    ],
)
def test_who_is_asked_to_stay_away_is_told_from_who_has_failed(
    ended: Ended, away_seconds: tuple[float, float] | None
) -> None:
    """SPEC REC-4."""
    assert ended.away_seconds == away_seconds


class Full(Transport):
    """A server that has no room at first."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    async def listen(self, url: str) -> Listener:
        raise NotImplementedError

    async def connect(self, url: str) -> Link:
        self.asked.append(trio.current_time())
        if len(self.asked) == 1:
            raise TurnedAway("the server answered 503", 7)
        return await MemoryTransport().connect(url)


async def test_a_client_that_is_turned_away_comes_back_when_it_is_asked_to(autojump_clock: MockClock) -> None:
    full = Full()
    async with serving(open_app()), connect(URL, transport=full, wait=False) as client:
        stream = client.states
        with trio.fail_after(PATIENCE):
            async for state in stream:
                if isinstance(state, states.Waiting):
                    assert state.why == "the server answered 503"
                    assert 7 <= state.seconds <= 8
                    break
            await client.publish("room", 1)
        first, second = full.asked
        assert 7 <= second - first <= 8.1
