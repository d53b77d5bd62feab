"""Every accepted message once and in order, whatever the network does (the guarantee's sentences 1, 2 and 4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Client, Config, Message, Receipt, Session, connect, states
from hawser.testing import CutKind, FaultyNetwork
from hawser_transports import MemoryTransport
from tests.runtime.helpers import URL, open_app, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

EVERY_KIND = tuple(CutKind)
PATIENT = Config(
    resumes_per_minute=100_000, ping_interval_seconds=1, pong_wait_seconds=1, handshake_seconds=2, backoff_cap_seconds=1
)
"""Links that break ten times a second are the network's fault: no client is sent away for resuming too often, and
silence is noticed soon."""


async def resumes_of(client: Client, counts: list[int]) -> None:
    async for state in client.states:
        if isinstance(state, states.Connected) and state.resumed:
            counts[0] += 1
        assert not isinstance(state, states.Reset)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("kinds", [(CutKind.BOTH,), EVERY_KIND], ids=["noticed", "every kind"])
async def test_messages_arrive_once_and_in_order_through_hundreds_of_cuts(
    autojump_clock: MockClock, seed: int, kinds: tuple[CutKind, ...]
) -> None:
    publishers, subscribers, each = 3, 3, 600
    seen: list[list[Any]] = [[] for _ in range(subscribers)]
    accepted: list[list[int]] = [[] for _ in range(publishers)]
    resumes = [0]
    app = open_app(history=publishers * each)
    async with (
        serving(app, config=PATIENT),
        FaultyNetwork(seed=seed, delay_seconds=(0.0, 0.03)) as network,
        trio.open_nursery() as nursery,
    ):
        ready = [trio.Event() for _ in seen]

        async def listen(number: int) -> None:
            async with connect(URL, transport=network, config=PATIENT) as client:
                nursery.start_soon(resumes_of, client, resumes)
                async with client.subscribe("room") as messages:
                    ready[number].set()
                    while len(seen[number]) < publishers * each:
                        seen[number].append((await messages.receive()).data)

        async def talk(number: int) -> None:
            async with connect(URL, transport=network, config=PATIENT) as client:
                nursery.start_soon(resumes_of, client, resumes)
                receipts: list[Receipt] = []
                for count in range(each):
                    receipts.append(await client.submit("room", [number, count]))
                    await trio.sleep(0.05)
                accepted[number] = [(await receipt.wait()).position.offset for receipt in receipts]

        async with trio.open_nursery() as clients:
            for number in range(subscribers):
                clients.start_soon(listen, number)
            for event in ready:
                await event.wait()
            nursery.start_soon(lambda: network.storm(every_seconds=0.1, kinds=kinds))
            for number in range(publishers):
                clients.start_soon(talk, number)
        cuts = network.cuts
        nursery.cancel_scope.cancel()
    assert cuts >= 100
    assert resumes[0] >= 50
    assert all(one == seen[0] for one in seen)
    for number in range(publishers):
        assert [count for who, count in seen[0] if who == number] == list(range(each))
        assert [seen[0].index([number, count]) + 1 for count in range(each)] == accepted[number]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
async def test_calls_are_carried_out_once_and_answered_once_through_cuts(autojump_clock: MockClock, seed: int) -> None:
    app = App()
    carried_out: list[int] = []

    @app.procedure("note")
    async def note(session: Session, number: int, pause: float) -> int:
        await trio.sleep(pause)
        carried_out.append(number)
        return -number

    async with (
        serving(app, config=PATIENT),
        FaultyNetwork(seed=seed, delay_seconds=(0.0, 0.03)) as network,
        connect(URL, transport=network, config=PATIENT) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: network.storm(every_seconds=0.2, kinds=EVERY_KIND))
        answers: list[int] = []

        async def call(numbers: range) -> None:
            answers.extend([await client.call("note", number, number % 7 / 10) for number in numbers])

        async with trio.open_nursery() as callers:
            for first in range(0, 200, 20):
                callers.start_soon(call, range(first, first + 20))
        nursery.cancel_scope.cancel()
    assert sorted(carried_out) == list(range(200))
    assert sorted(-answer for answer in answers) == list(range(200))
    assert network.cuts > 20


async def test_a_session_outlives_a_long_silence_and_everything_waits_for_the_next_link(
    autojump_clock: MockClock,
) -> None:
    async with serving(open_app()) as server, FaultyNetwork() as network, connect(URL) as talker:
        async with connect(URL, transport=network) as listener, listener.subscribe("room") as messages:
            network.refuse()
            await network.cut()
            for number in range(500):
                await talker.publish("room", number)
            receipts = [await listener.submit("echo", number) for number in range(50)]
            await trio.sleep(60)
            assert server.sessions == 2
            network.refuse(False)
            assert [(await messages.receive()).data for _ in range(500)] == list(range(500))
            offsets = [(await receipt.wait()).position.offset for receipt in receipts]
            assert offsets == list(range(1, 51))


async def test_a_half_open_link_is_found_dead_by_silence_on_both_sides(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network) as client, client.subscribe("room") as messages:
            stream = client.states
            assert isinstance(await anext(stream), states.Connected)
            began = trio.current_time()
            await network.cut(CutKind.SILENT)
            state = await anext(stream)
            assert isinstance(state, states.Waiting)
            assert 0 < trio.current_time() - began <= 35.1
            while state != states.Connected(True, 0, "memory"):
                state = await anext(stream)
            await client.publish("room", 1)
            assert (await messages.receive()).data == 1
        assert server.resumes == 1


async def test_a_new_link_takes_the_session_from_the_one_before_it(autojump_clock: MockClock) -> None:
    """The server still believes in the old link: the attach fences it (SPEC ATT-7)."""
    async with serving(open_app()) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network) as client, client.subscribe("room") as messages:
            async with connect(URL) as talker:
                for number in range(10):
                    await network.cut(CutKind.CLIENT)
                    await talker.publish("room", number)  # goes into the old link
                    assert (await messages.receive()).data == number
        assert server.resumes == 10
        assert server.replayed == 10


async def test_hooks_see_a_session_and_not_its_links(autojump_clock: MockClock) -> None:
    app = open_app()
    diary: list[tuple[str, int]] = []

    @app.on_connect
    async def arrived(session: Session) -> None:
        diary.append(("connect", session.number))

    @app.on_disconnect
    async def left(session: Session) -> None:
        diary.append(("disconnect", session.number))

    async with serving(app), FaultyNetwork() as network:
        async with connect(URL, transport=network) as client:
            for number in range(5):
                await network.cut()
                await client.publish("room", number)
        await trio.sleep(1)
        assert diary == [("connect", 1), ("disconnect", 1)]
        async with connect(URL) as client:
            await client.publish("room", 1)
        async with connect(URL):
            pass
    assert [entry for entry in diary if entry[1] == 2] == [("connect", 2), ("disconnect", 2)]
    # The third may be over before anybody has heard of it; then nobody hears of its end either.
    assert [entry for entry in diary if entry[1] == 3] in ([], [("connect", 3), ("disconnect", 3)])


async def test_a_client_gone_without_a_word_is_forgotten_after_its_resume_period(autojump_clock: MockClock) -> None:
    app = open_app()
    ended = trio.Event()

    @app.on_disconnect
    async def left(session: Session) -> None:
        ended.set()

    async with serving(app) as server, FaultyNetwork() as network:
        async with connect(URL, transport=network) as client:
            await client.publish("room", 1)
            network.refuse()
            await network.cut()
            began = trio.current_time()
        await trio.sleep(100)
        assert server.sessions == 1
        await ended.wait()
        assert trio.current_time() - began == pytest.approx(120, abs=1)
        assert server.sessions == 0


async def test_a_link_that_cannot_be_opened_in_time_counts_as_a_failed_attempt(autojump_clock: MockClock) -> None:
    class Slow(MemoryTransport):
        slow = True

        async def connect(self, url: str) -> Any:
            if self.slow:
                self.slow = False
                await trio.sleep_forever()
            return await super().connect(url)

    async with serving(open_app()), connect(URL, transport=Slow(), config=Config(connect_seconds=60)) as client:
        assert (await client.publish("room", 1)).position.offset == 1


async def test_an_iteration_goes_on_over_cuts_without_noticing(autojump_clock: MockClock) -> None:
    seen: list[Message] = []
    async with serving(open_app()), FaultyNetwork(seed=5) as network, connect(URL) as talker:
        async with connect(URL, transport=network) as client, client.subscribe("room") as messages:
            async with trio.open_nursery() as nursery:

                async def talk() -> None:
                    for number in range(100):
                        await talker.publish("room", number)
                        await trio.sleep(0.5)

                nursery.start_soon(talk)
                nursery.start_soon(lambda: network.storm(every_seconds=2))
                async for message in messages:
                    seen.append(message)
                    if len(seen) == 100:
                        break
                nursery.cancel_scope.cancel()
        assert network.cuts > 10
    assert [message.data for message in seen] == list(range(100))
