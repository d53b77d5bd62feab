"""A broker that does not answer: what it keeps is refused for now, and nothing else of the server suffers."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, ErrorCode, Position, RequestFailed, connect, serve
from hawser.brokers import BrokerUnavailable, History, MemoryBroker, Published
from tests.runtime.helpers import URL, collect, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser.brokers import Sink


class Moody(MemoryBroker):
    """Does not answer while it is away."""

    away = False

    def check(self) -> None:
        if self.away:
            raise BrokerUnavailable("away")

    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        self.check()
        return await super().publish(channel, data, **options)

    async def join(self, channel: str, sink: Sink) -> Position:
        self.check()
        return await super().join(channel, sink)

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        self.check()
        return await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)


def moody_app() -> tuple[App, Moody]:
    broker = Moody()
    app = App(broker=broker)
    app.channel("*", history=100, open=True)
    return app, broker


async def test_what_it_keeps_is_refused_for_now_and_is_no_incident(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app, broker = moody_app()
    async with serving(app), connect(URL) as client:
        broker.away = True
        with pytest.raises(RequestFailed) as caught:
            await client.publish("room", 1)
        assert (caught.value.code, caught.value.temporary) == (ErrorCode.UNAVAILABLE, True)
        assert caught.value.message == "the store cannot do this now"
        with pytest.raises(RequestFailed) as caught:
            await client.subscribe("room").__aenter__()
        assert (caught.value.code, caught.value.temporary) == (ErrorCode.UNAVAILABLE, True)
        broker.away = False
        async with client.subscribe("room") as messages:
            await client.publish("room", 2)
            assert await collect(messages, 1) == [2]
    assert caplog.records == []


async def test_who_is_behind_is_fed_when_it_answers_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app, broker = moody_app()
    async with serving(app), connect(URL) as client:
        first = await client.publish("room", 1)
        await client.publish("room", 2)
        since = Position(first.position.epoch, 0)

        async def come_back() -> None:
            await trio.sleep(20)
            broker.away = False

        async with client.subscribe("room", since=since) as messages, trio.open_nursery() as nursery:
            broker.away = True
            nursery.start_soon(come_back)
            assert await collect(messages, 2) == [1, 2]
    assert caplog.records == []


class Slow(MemoryBroker):
    """Takes a while to start, and fails in the end."""

    started = False

    def __init__(self, *, fails: bool = False) -> None:
        super().__init__()
        self.fails = fails

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        await trio.sleep(5)
        if self.fails:
            raise BrokerUnavailable("nothing there")
        self.started = True
        task_status.started()
        await trio.sleep(5)
        raise BrokerUnavailable("gone for good")


async def test_a_server_listens_when_its_broker_has_started_and_ends_with_it(autojump_clock: MockClock) -> None:
    broker = Slow()
    with pytest.RaisesGroup(pytest.RaisesExc(BrokerUnavailable, match="gone for good")):
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, App(broker=broker), URL)
            assert (broker.started, trio.current_time()) == (True, 5)


async def test_a_server_whose_broker_cannot_be_had_does_not_start(autojump_clock: MockClock) -> None:
    with pytest.raises(BrokerUnavailable, match="nothing there"):
        await serve(App(broker=Slow(fails=True)), URL)
