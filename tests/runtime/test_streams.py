"""Calls that have items: from client to server, from server to client, and between clients (SPEC STR-1 to STR-6)."""

from __future__ import annotations

from contextlib import aclosing, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import pytest
import trio

from hawser import (
    App,
    CallError,
    Client,
    ClientPool,
    CloseCode,
    Config,
    ErrorCode,
    Inputs,
    OutcomeUnknown,
    PayloadError,
    Proceed,
    Request,
    Session,
    SessionClosed,
    Stream,
    connect,
    takes_inputs,
)
from hawser.describing import describe
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine.messages import STREAMS
from hawser_engine.streams import Stream as StreamMessage
from hawser_engine.streams import StreamCredit, StreamItem
from hawser_transports import WebSocketTransport
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import PATIENCE, URL, RawClient, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from trio.testing import MockClock

    from hawser_transports import Transport

STORMY = Config(backoff_cap_seconds=1, resumes_per_minute=100_000)


class Caller(Protocol):
    """A client, or the session of one."""

    def stream(self, procedure: str, *arguments: object, inputs: bool = False, **named: object) -> Stream: ...

    async def call(self, procedure: str, *arguments: object, **named: object) -> Any: ...


class Procedures:
    """What is streamed, and how far it got."""

    def __init__(self) -> None:
        self.made = 0
        self.ended = trio.Event()

    async def count(self, top: int, size: int = 0) -> AsyncGenerator[Any]:
        try:
            for number in range(1, top + 1):
                self.made = number
                yield bytes(size) if size else number
        finally:
            self.ended.set()

    async def fail(self) -> AsyncGenerator[int]:
        yield 1
        raise CallError(100, "no more", data={"after": 1})

    async def crash(self) -> AsyncGenerator[object]:
        yield 1
        yield {1, 2}

    async def plain(self, value: object) -> object:
        return value

    @takes_inputs
    async def double(self, inputs: Inputs, times: int = 2) -> AsyncGenerator[Any]:
        try:
            async for number in inputs:
                yield number * times
        finally:
            self.ended.set()

    @takes_inputs
    async def total(self, inputs: Inputs) -> int:
        return sum([number async for number in inputs])

    @takes_inputs
    async def deaf(self, inputs: Inputs) -> None:
        await trio.sleep(5)


NAMES = ("count", "fail", "crash", "plain", "double", "total", "deaf")
WAYS = ("to the server", "to a client", "between clients")


@asynccontextmanager
async def caller(
    way: str, procedures: Procedures, *, url: str = URL, transport: Transport | None = None, **rest: Any
) -> AsyncGenerator[Caller]:
    """Whoever calls, in one of the ways; the procedures stand under ``agent.``."""
    app = App()
    app.agent("*", open=True)
    sessions: list[Session] = []
    arrived = trio.Event()

    @app.on_connect
    async def connected(session: Session) -> None:
        sessions.append(session)
        arrived.set()

    handlers = {name: getattr(procedures, name) for name in NAMES}
    if way == "to the server":
        for name, handler in handlers.items():
            app.procedure(f"agent.{name}")(without_session(handler))
    async with serving(app, url=url, transport=transport, **rest) as server:
        own: dict[str, Any] = {f"agent.{name}": handler for name, handler in handlers.items()}
        if way == "to a client":
            async with connect(server.url, transport=transport, procedures=own):
                await arrived.wait()
                yield sessions[0]
            return
        async with connect(server.url, transport=transport) as client:
            if way == "to the server":
                yield client
                return
            async with (
                connect(server.url, transport=transport, agent=True) as worker,
                worker.offer("agent", *handlers.values()),
            ):
                yield client


def without_session(handler: Any) -> Any:
    """The same procedure, for a server."""

    async def items(session: Session, *arguments: Any, **named: Any) -> AsyncGenerator[Any]:
        async with aclosing(handler(*arguments, **named)) as answer:
            async for item in answer:
                yield item

    async def value(session: Session, *arguments: Any, **named: Any) -> Any:
        return await handler(*arguments, **named)

    wrapped: Any = items if describe(handler).get("items") else value
    if not describe(handler).get("inputs"):
        return wrapped

    async def items_of_inputs(session: Session, inputs: Inputs, *arguments: Any) -> AsyncGenerator[Any]:
        async with aclosing(handler(inputs, *arguments)) as answer:
            async for item in answer:
                yield item

    async def value_of_inputs(session: Session, inputs: Inputs, *arguments: Any) -> Any:
        return await handler(inputs, *arguments)

    return takes_inputs(items_of_inputs if wrapped is items else value_of_inputs)


# ---------------------------------------------------------------- every way


async def use(calling: Caller) -> None:
    async with calling.stream("agent.count", 100) as items:
        assert [item async for item in items] == list(range(1, 101))
        assert items.result is None
        with pytest.raises(trio.EndOfChannel):
            await items.receive()
    async with calling.stream("agent.plain", value=[1, "two"]) as items:
        assert [item async for item in items] == []
        assert items.result == [1, "two"]
    async with calling.stream("agent.count", top=20, size=20_000) as items:
        assert [len(item) async for item in items] == [20_000] * 20
    async with calling.stream("agent.fail") as items:
        assert await items.receive() == 1
        with pytest.raises(CallError, match="no more") as caught:
            await items.receive()
        assert (caught.value.code, caught.value.data) == (100, {"after": 1})
    async with calling.stream("agent.double", 3, inputs=True) as items:
        for number in range(50):
            await items.send(number)
            assert await items.receive() == 3 * number
        await items.finish()
        assert [item async for item in items] == []
    async with calling.stream("agent.total", inputs=True) as items:
        for number in range(100):
            await items.send(number)
        await items.finish()
        assert [item async for item in items] == []
        assert items.result == sum(range(100))


@pytest.mark.parametrize("way", WAYS)
async def test_items_go_every_way(way: str, autojump_clock: MockClock) -> None:
    with trio.fail_after(PATIENCE):
        async with caller(way, Procedures()) as calling:
            await use(calling)


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_items_go_every_way_over_websockets(way: str) -> None:
    with trio.fail_after(60):
        async with caller(way, Procedures(), url="ws://127.0.0.1:0", transport=WebSocketTransport()) as calling:
            await use(calling)


@pytest.mark.parametrize("way", WAYS)
async def test_a_procedure_is_not_far_ahead_of_whoever_reads(way: str, autojump_clock: MockClock) -> None:
    """SPEC STR-2, STR-6: a router between them holds as much again."""
    procedures = Procedures()
    config = Config(stream_items=4)
    async with caller(way, procedures, config=config) as calling, calling.stream("agent.count", 10_000) as items:
        await trio.sleep(1)
        before = procedures.made
        assert before <= 32 + 4 + 2
        for _ in range(100):
            await items.receive()
        await trio.sleep(1)
        assert 100 < procedures.made <= 100 + before


@pytest.mark.parametrize("way", WAYS)
async def test_leaving_a_stream_cancels_the_procedure(way: str, autojump_clock: MockClock) -> None:
    procedures = Procedures()
    with trio.fail_after(PATIENCE):
        async with caller(way, procedures) as calling:
            async with calling.stream("agent.count", 10_000) as items:
                assert await items.receive() == 1
            await procedures.ended.wait()
            assert procedures.made < 200
            async with calling.stream("agent.count", 2) as items:  # and nothing is in the way of the next
                assert [item async for item in items] == [1, 2]


@pytest.mark.parametrize("way", WAYS)
async def test_the_deadline_is_that_of_the_scope(way: str, autojump_clock: MockClock) -> None:
    procedures = Procedures()
    async with caller(way, procedures) as calling:
        began = trio.current_time()
        with trio.move_on_after(5) as scope:
            async with calling.stream("agent.double", inputs=True) as items:
                await items.receive()
        assert scope.cancelled_caught
        assert trio.current_time() == began + 5
        with trio.fail_after(1):
            await procedures.ended.wait()


@pytest.mark.parametrize("way", WAYS)
async def test_a_procedure_that_fails_in_the_middle_is_an_error_behind_its_items(
    way: str, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with caller(way, Procedures()) as calling, calling.stream("agent.crash") as items:
        assert await items.receive() == 1
        with pytest.raises(CallError) as caught:
            await items.receive()
        assert caught.value.code == ErrorCode.INTERNAL
    assert len(caplog.records) == 1


@pytest.mark.parametrize("way", WAYS)
async def test_what_is_sent_when_nobody_takes_it_any_more_is_refused(way: str, autojump_clock: MockClock) -> None:
    async with caller(way, Procedures()) as calling:
        async with calling.stream("agent.deaf", inputs=True) as items:
            with pytest.raises(trio.BrokenResourceError):
                await items.send(1)  # it never wanted any, and has ended
            assert [item async for item in items] == []
        async with calling.stream("agent.count", 1) as items:
            with pytest.raises(RuntimeError, match="inputs=True"):
                await items.send(1)
        async with calling.stream("agent.double", inputs=True) as items:
            await items.send([])
            assert await items.receive() == []
            with pytest.raises(PayloadError):
                await items.send({1})
            await items.send(bytes(70_000))
            with pytest.raises(CallError) as caught:
                await items.receive()
            said = caught.value.code, caught.value.message
            assert said == (ErrorCode.TOO_LARGE, "item 2 has more than 65536 bytes")
        with pytest.raises(CallError, match="by stream"):
            await calling.call("agent.count", 1)
        with pytest.raises(TypeError, match="not both"):
            calling.stream("agent.count", 1, top=1)
        stream = calling.stream("agent.count", 1)
        with pytest.raises(RuntimeError, match="before it is used"):
            await stream.receive()
        async with stream:
            with pytest.raises(RuntimeError, match="only once"):
                await stream.__aenter__()


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
async def test_no_item_is_lost_or_comes_twice_across_resumes(way: str, autojump_clock: MockClock) -> None:
    """SPEC CAL-7."""
    procedures = Procedures()
    async with FaultyNetwork(seed=11, delay_seconds=(0.0, 0.05)) as network, trio.open_nursery() as storm:
        async with caller(way, procedures, transport=network, config=STORMY) as calling:
            storm.start_soon(partial(network.storm, every_seconds=0.5, kinds=(CutKind.BOTH, CutKind.CLIENT)))
            with trio.fail_after(PATIENCE):
                async with calling.stream("agent.count", 600) as items:
                    seen: list[object] = []
                    async for item in items:
                        seen.append(item)
                        await trio.sleep(0.01)
                    assert seen == list(range(1, 601))
                async with calling.stream("agent.double", inputs=True) as items:
                    for number in range(60):
                        await items.send(number)
                        assert await items.receive() == 2 * number
            assert network.cuts > 10
            storm.cancel_scope.cancel()


@pytest.mark.parametrize("way", WAYS)
async def test_a_stream_that_is_cancelled_anywhere_leaves_nothing(way: str, autojump_clock: MockClock) -> None:
    async with caller(way, Procedures()) as calling:

        async def use_it() -> None:
            async with calling.stream("agent.double", inputs=True) as items:
                await items.send(1)
                assert await items.receive() == 2
                await items.finish()
                assert [item async for item in items] == []

        for number in range(60):
            cancelled = await cancel_at_checkpoint(use_it, number)
            await trio.sleep(1)
            if isinstance(calling, Client):
                assert calling._dialogue.operations.unanswered == 0  # pyright: ignore[reportPrivateUsage]
            else:
                assert isinstance(calling, Session)
                calls = calling._calls  # pyright: ignore[reportPrivateUsage]
                assert (calls.count, calls.waiting) == (0, False)
            if not cancelled:
                break
        else:
            raise AssertionError("it is always cancelled")
        assert number >= 4


# ---------------------------------------------------------------- one way


async def test_a_stream_of_a_session_that_ends_says_so(autojump_clock: MockClock) -> None:
    async with FaultyNetwork() as network:
        async with caller("to the server", Procedures(), transport=network) as calling:
            assert isinstance(calling, Client)
            async with calling.stream("agent.double", inputs=True) as items:
                await items.send(1)
                assert await items.receive() == 2
                await calling.aclose()
                with pytest.raises(OutcomeUnknown):
                    await items.receive()
            with pytest.raises(SessionClosed):
                async with calling.stream("agent.count", 1):
                    pass


async def test_a_stream_is_unknown_when_its_session_is_reset(autojump_clock: MockClock) -> None:
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        outcome: list[object] = []

        async def follow(started: trio.Event) -> None:
            async with connect(URL, transport=network, config=STORMY) as client:
                async with client.stream("count", 1_000) as items:
                    started.set()
                    with pytest.raises(OutcomeUnknown):  # noqa: PT012
                        async for item in items:
                            outcome.append(item)
                            await trio.sleep(1)

        app = App()

        @app.procedure("count")
        async def count(session: Session, top: int) -> AsyncGenerator[int]:
            for number in range(top):
                yield number

        started = trio.Event()
        async with serving(app):
            nursery.start_soon(follow, started)
            await started.wait()
            await trio.sleep(5)
        async with serving(app):
            await trio.sleep(60)
        assert outcome == list(range(len(outcome)))
        assert len(outcome) >= 5


async def test_a_worker_that_is_lost_ends_the_stream_of_its_caller(autojump_clock: MockClock) -> None:
    app = App()
    app.agent("*", open=True)
    procedures = Procedures()
    async with serving(app), connect(URL) as client, connect(URL) as worker:
        async with worker.offer("agent", procedures.double):
            async with client.stream("agent.double", inputs=True) as items:
                await items.send(4)
                assert await items.receive() == 8
                await worker.aclose()
                with pytest.raises(CallError) as caught:
                    await items.receive()
                assert caught.value.code == ErrorCode.CALLEE_LOST


async def test_middleware_is_around_a_stream_as_around_a_call(autojump_clock: MockClock) -> None:
    app = App()
    app.agent("*", open=True)
    seen: list[object] = []

    @app.middleware
    async def watch(request: Request, proceed: Proceed) -> Any:
        result = await proceed()
        seen.append((request.kind, result))
        return result

    @app.procedure("count")
    async def count(session: Session, top: int) -> AsyncGenerator[int]:
        for number in range(top):
            yield number

    procedures = Procedures()
    async with serving(app), connect(URL) as client, connect(URL) as worker, worker.offer("agent", procedures.count):
        for name in ("count", "agent.count"):
            async with client.stream(name, 3) as items:
                assert len([item async for item in items]) == 3
    assert seen == [("offer", None), ("call", None), ("call", None)]


async def test_without_the_feature_there_are_no_streams(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC VER-6."""
    monkeypatch.setattr("hawser.server.node.FEATURES", ())
    for way in WAYS[:2]:
        async with caller(way, Procedures()) as calling:
            with pytest.raises(CallError, match="knows no streams"):
                async with calling.stream("agent.count", 1):
                    pass


@pytest.mark.parametrize("way", WAYS[1:])
async def test_an_item_that_the_server_takes_for_too_long_is_an_error(way: str, autojump_clock: MockClock) -> None:
    async with caller(way, Procedures(), config=Config(message_bytes=5_000)) as calling:
        async with calling.stream("agent.count", 1, 6_000) as items:
            with pytest.raises(CallError) as caught:
                await items.receive()
            assert caught.value.code == ErrorCode.TOO_LARGE
        if isinstance(calling, Client):
            async with calling.stream("agent.double", inputs=True) as items:
                await items.send(1)
                with pytest.raises(PayloadError, match="5000"):
                    await items.send(bytes(6_000))
                assert await items.receive() == 2


async def test_an_item_that_the_other_client_takes_for_too_long_is_an_error(autojump_clock: MockClock) -> None:
    app = App()
    app.agent("*", open=True)
    procedures, small = Procedures(), Config(message_bytes=5_000)
    async with (
        serving(app),
        connect(URL, config=small) as one,
        connect(URL) as other,
        one.offer("one", procedures.double),
        other.offer("other", procedures.count, procedures.double),
    ):
        async with one.stream("other.count", 1, 6_000) as items:
            assert await ends_in(items) == ErrorCode.TOO_LARGE
        async with one.stream("other.double", inputs=True) as items:
            await items.send(bytes(4_000))
            assert await ends_in(items) == ErrorCode.TOO_LARGE
        async with other.stream("one.double", inputs=True) as items:
            await items.send(bytes(6_000))
            assert await ends_in(items) == ErrorCode.TOO_LARGE


async def ends_in(items: Stream) -> int:
    with pytest.raises(CallError) as caught:
        await items.receive()
    return caught.value.code


async def test_a_pooled_client_streams_too(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("count")
    async def count(session: Session, top: int) -> AsyncGenerator[int]:
        for number in range(top):
            yield number

    async with serving(app), ClientPool() as pool, pool.client(URL) as client, client.stream("count", 3) as items:
        assert [item async for item in items] == [0, 1, 2]


def test_items_and_inputs_are_described() -> None:
    assert describe(Procedures().double) == {
        "inputs": True,
        "items": True,
        "parameters": [{"name": "times", "required": False, "type": "int"}],
        "returns": "AsyncGenerator[Any]",
        "takes": "Inputs",
    }


async def test_a_client_whose_items_make_no_sense_loses_its_connection(autojump_clock: MockClock) -> None:
    """SPEC STR-1, STR-2, MSG-4; of a call without items, or of nothing, they are ignored (STR-4)."""
    for wrong in (StreamItem(1, False, None), StreamItem(1, False, b"")):
        app = App()
        sessions: list[Session] = []

        @app.on_connect
        async def arrived(session: Session, sessions: list[Session] = sessions) -> None:
            sessions.append(session)

        async with serving(app), RawClient(features=(STREAMS,)).connected() as raw, trio.open_nursery() as nursery:
            await raw.opened.wait()
            await trio.sleep(1)
            async with sessions[0].stream("count"):
                assert isinstance(await raw.hear(), StreamMessage)
                nursery.start_soon(sessions[0].call, "other")
                await raw.hear()
                raw.say(StreamItem(9, False, b""), StreamItem(2, False, b""), StreamCredit(2, True, 1, 1))
                await trio.sleep(1)
                assert not raw.terminations
                raw.say(*[wrong] * 33)
                await trio.sleep(1)
                assert raw.terminations[0].code == CloseCode.PROTOCOL_ERROR
            nursery.cancel_scope.cancel()
