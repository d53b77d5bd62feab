"""A server that ends in peace: what was begun is finished, what was not is held back, everybody is sent away."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    Client,
    Config,
    Inputs,
    OutcomeUnknown,
    Published,
    RequestLost,
    Server,
    Session,
    connect,
    serve,
    states,
    takes_inputs,
)
from hawser.brokers import History, MemoryBroker
from hawser.testing import FaultyNetwork
from hawser_engine import CloseCode
from hawser_engine.calls import Call, Reply
from hawser_engine.messages import ChannelRequest, Continue, Pause, Publication, Subscribe, Subscribed
from tests.runtime.helpers import PATIENCE, URL, RawClient, open_app, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock


class Slow:
    """An app that takes its time, and notes what it does."""

    def __init__(self) -> None:
        self.app = open_app()
        self.diary: list[object] = []
        self.app.procedure("work")(self.work)
        self.app.on_disconnect(self.left)

    async def work(self, session: Session, seconds: float) -> float:
        self.diary.append(f"begun {seconds:g}")
        await trio.sleep(seconds)
        self.diary.append(f"ended {seconds:g}")
        return seconds

    async def left(self, session: Session) -> None:
        self.diary.append("left")


async def run(app: App, ready: Any, config: Config | None = None) -> None:
    async with trio.open_nursery() as nursery:
        ready.server = await nursery.start(partial(serve, app, URL, config=config))
        ready.event.set()


class Ready:
    server: Server

    def __init__(self) -> None:
        self.event = trio.Event()


async def test_what_was_begun_is_finished_and_answered(autojump_clock: MockClock) -> None:
    slow, ready = Slow(), Ready()
    outcomes: list[object] = []

    async def work(client: Any, seconds: float) -> None:
        try:
            outcomes.append(await client.call("work", seconds))
        except OutcomeUnknown:
            outcomes.append(f"{seconds:g} is unknown")

    async with trio.open_nursery() as servers:
        servers.start_soon(run, slow.app, ready)
        await ready.event.wait()
        async with connect(URL) as client, trio.open_nursery() as nursery:
            nursery.start_soon(work, client, 10)
            await trio.sleep(1)
            await ready.server.drain()
            await ready.server.drain()
            await trio.sleep(1)
            nursery.start_soon(work, client, 3)
            with pytest.raises(OSError, match="refused"):
                await RawClient().connected().__aenter__()
            await trio.sleep(7)
            assert outcomes == []
            await trio.sleep(3)
            assert outcomes == [10]
            assert not servers.child_tasks
            assert isinstance(client.state, (states.Resuming, states.Waiting, states.CircuitOpen))
            async with serving(slow.app):
                with trio.fail_after(PATIENCE):
                    while len(outcomes) < 2:
                        await trio.sleep(0.1)
                nursery.cancel_scope.cancel()
    assert outcomes == [10, "3 is unknown"]
    assert slow.diary[:3] == ["begun 10", "ended 10", "left"]
    assert "begun 3" not in slow.diary


async def test_a_handler_that_does_not_end_is_not_waited_for_for_ever(autojump_clock: MockClock) -> None:
    slow, ready = Slow(), Ready()
    async with trio.open_nursery() as servers:
        servers.start_soon(run, slow.app, ready)
        await ready.event.wait()
        async with connect(URL) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.call, "work", 1_000)
            await trio.sleep(1)
            began = trio.current_time()
            await ready.server.drain()
            while servers.child_tasks:
                await trio.sleep(0.1)
            assert 20 <= trio.current_time() - began <= 30
            nursery.cancel_scope.cancel()


async def test_clients_are_sent_away_over_a_span_that_the_next_server_bears(autojump_clock: MockClock) -> None:
    ready = Ready()
    clients = [RawClient() for _ in range(30)]

    async def stay(raw: RawClient) -> None:
        async with raw.connected() as client:
            await client.until(lambda: bool(client.terminations))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(run, open_app(), ready, Config(returns_per_second=2))
        await ready.event.wait()
        for raw in clients:
            nursery.start_soon(stay, raw)
        await trio.sleep(1)
        await ready.server.drain()
    for raw in clients:
        [end] = raw.terminations
        assert (end.code, end.reconnect, end.resume) == (CloseCode.GOING_AWAY, True, True)
        assert end.after_seconds == (0.0, 15.0)


async def test_clients_may_be_sent_to_another_place(autojump_clock: MockClock) -> None:
    """SPEC CLS-1, CLS-8: with the spread; the place that is named last holds."""
    ready = Ready()
    async with trio.open_nursery() as servers, serving(open_app(), url="memory://next") as there:
        servers.start_soon(run, open_app(), ready, Config(returns_per_second=0.05))
        await ready.event.wait()
        async with RawClient().connected() as raw, connect(URL, hosts=["next"]) as client:
            stream = client.states
            await client.publish("room", 1)
            await ready.server.drain(url="memory://nobody")
            await ready.server.drain(url="memory://next")
            await ready.server.drain()
            await raw.until(lambda: bool(raw.terminations))
            [end] = raw.terminations
            assert (end.code, end.after_seconds, end.url) == (CloseCode.GOING_AWAY, (0.0, 40.0), "memory://next")
            with trio.fail_after(PATIENCE):
                kinds = [type(await anext(stream)) for _ in range(5)]
            assert kinds == [states.Connected, states.Waiting, states.Resuming, states.Reset, states.Connected]
            await client.publish("room", 2)
            assert there.sessions == 1


@pytest.mark.parametrize(
    "url",
    [
        "",
        "elsewhere",
        "memory:",
        "ws://a:b",
        "ws://[",
        "https://ada:pw@a.example/",
        "wss://ada@a.example",
        "ws://a#b",
        "ws://" + "a" * 2_048,
    ],
)
async def test_nobody_is_sent_where_no_client_goes(autojump_clock: MockClock, url: str) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        with pytest.raises(ValueError, match="clients are sent to a URL"):
            await server.drain(url=url)
        await trio.sleep(1)
        await client.publish("room", 1)
        assert server.sessions == 1


async def test_what_a_client_has_not_taken_is_waited_for_and_a_client_that_is_away_is_not(
    autojump_clock: MockClock,
) -> None:
    app, ready = open_app(), Ready()
    async with trio.open_nursery() as servers, FaultyNetwork() as network:
        servers.start_soon(run, app, ready)
        await ready.event.wait()
        async with RawClient().connected() as client, trio.open_nursery() as nursery:
            async with connect(URL, transport=network), RawClient().connected():
                await client.opened.wait()
                client.say(Subscribe(1, (ChannelRequest("room", None),)))
                await client.hear()
                client.deliver = False
                await app.publish("room", 1)
                network.refuse()
                await network.cut()
                await trio.sleep(1)
                await ready.server.drain()
                await trio.sleep(5)
                assert servers.child_tasks
                client.engine.session.delivered(client.engine.session.inbox.received, trio.current_time())
                await trio.sleep(2)
                assert not servers.child_tasks
                nursery.cancel_scope.cancel()


async def test_a_handler_that_waits_for_its_client_gets_its_answer(autojump_clock: MockClock) -> None:
    app, ready = open_app(), Ready()
    results: list[object] = []

    @app.procedure("ask")
    async def ask(session: Session) -> None:
        results.append(await session.call("answer"))

    async with trio.open_nursery() as servers:
        servers.start_soon(run, app, ready)
        await ready.event.wait()
        async with RawClient().connected() as client:
            await client.opened.wait()
            client.say(Call(1, "ask", b"\x80", None))
            asked = await client.hear()
            assert isinstance(asked, Call)
            await ready.server.drain()
            await trio.sleep(5)
            client.say(Reply(asked.id, b"\x07"))
            assert isinstance(await client.hear(), Reply)
            await client.until(lambda: bool(client.terminations))
    assert results == [7]


@pytest.mark.parametrize("name", ["double", "agent.double"])
async def test_a_stream_is_finished_with_its_items_and_the_credit_for_them(
    autojump_clock: MockClock, name: str
) -> None:
    app, ready = App(), Ready()
    app.agent("agent", open=True)
    outcomes: list[object] = []

    @takes_inputs
    async def double(inputs: Inputs) -> AsyncGenerator[int]:
        async for number in inputs:
            yield 2 * number

    @app.procedure("double")
    @takes_inputs
    async def double_here(session: Session, inputs: Inputs) -> AsyncGenerator[int]:
        async for number in inputs:
            yield 2 * number

    async def use(client: Client) -> None:
        async with client.stream(name, inputs=True) as items:
            for number in range(100):
                await items.send(number)
                assert await items.receive() == 2 * number
                await trio.sleep(0.05)
            await items.finish()
            outcomes.append([item async for item in items])

    async with trio.open_nursery() as servers:
        servers.start_soon(run, app, ready)
        await ready.event.wait()
        async with connect(URL) as worker, connect(URL) as client, trio.open_nursery() as nursery:
            # Its WITHDRAW would be held back, so the offer lasts as long as its client.
            await worker.offer("agent", double).__aenter__()
            nursery.start_soon(use, client)
            await trio.sleep(1)
            began = trio.current_time()
            await ready.server.drain()
            while not outcomes and trio.current_time() < began + 30:
                await trio.sleep(0.1)
            assert outcomes == [[]]
            assert trio.current_time() - began < 10
            nursery.cancel_scope.cancel()
        servers.cancel_scope.cancel()


async def test_a_client_goes_on_with_the_server_that_comes_after(autojump_clock: MockClock) -> None:
    """Nothing is asked of it: it comes back, and publishes again what it does not know about."""
    app, ready = open_app(), Ready()
    published: list[Published] = []

    async def talk(client: Any, number: int) -> None:
        key: bytes | None = None
        while True:
            try:
                receipt = await client.submit("room", number, key=key)
                key = receipt.key
                published.append(await receipt.wait())
            except RequestLost:
                continue
            return

    async with trio.open_nursery() as servers:
        servers.start_soon(run, app, ready)
        await ready.event.wait()
        async with connect(URL) as client:
            async with trio.open_nursery() as nursery:
                for number in range(50):
                    nursery.start_soon(talk, client, number)
                    await trio.sleep(0.05)
                    if number == 20:
                        await ready.server.drain()
                    if number == 40:
                        again = Ready()
                        servers.start_soon(run, app, again)
            assert sorted(one.position.offset for one in published) == list(range(1, 51))
            assert not any(one.duplicate for one in published)
            servers.cancel_scope.cancel()


class SlowToRead(MemoryBroker):
    """A broker that takes half a second for every look into history, as one behind a network may."""

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        await trio.sleep(0.5)
        return await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)


async def test_a_subscriber_that_is_behind_gets_what_was_accepted(autojump_clock: MockClock) -> None:
    """Between two pages of history its session has taken everything, and is nevertheless owed the rest."""
    app, ready = App(broker=SlowToRead()), Ready()
    app.channel("*", history=1_000, open=True)
    async with trio.open_nursery() as servers:
        servers.start_soon(run, app, ready)
        await ready.event.wait()
        async with RawClient().connected() as client:
            await client.opened.wait()
            client.say(Subscribe(1, (ChannelRequest("room", None),)))
            answer = await client.hear()
            assert isinstance(answer, Subscribed)
            position = answer.channels[0].position
            assert position is not None
            client.say(Pause("room", position.epoch, 0))
            await trio.sleep(1)
            for number in range(100):
                await app.publish("room", number)
            client.say(Continue("room", position.epoch, 0))
            await trio.sleep(0.6)
            await ready.server.drain()
            await client.until(lambda: bool(client.terminations))
            offsets = [one.offset for one in client.messages if isinstance(one, Publication)]
            assert offsets == list(range(1, 101))
