"""What goes wrong in one place harms nobody else (DESIGN: Trio structure; SPEC CAL-8, CHN-10, OPS-3)."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, CallError, Client, Config, ErrorCode, Principal, RequestFailed, Session, connect
from hawser.brokers import MemoryBroker, Published
from hawser_engine.messages import ChannelRequest, Subscribe
from tests.runtime.helpers import URL, RawClient, open_app, serving

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from trio.testing import MockClock


def incidents(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.name == "hawser"]


def the_incident(error: RequestFailed, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The one log record, which carries the id that the peer was told, and the traceback that it was not."""
    assert error.code == ErrorCode.INTERNAL
    [record] = incidents(caplog)
    assert error.message.startswith("incident ")
    assert error.message.removeprefix("incident ") in record.getMessage()
    assert record.exc_info is not None
    return record


async def test_a_procedure_whose_nursery_has_three_failing_children_harms_nobody_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = open_app()

    @app.procedure("explode")
    async def explode(session: Session) -> None:
        async def fail(text: str) -> None:
            raise ValueError(text)

        async with trio.open_nursery() as nursery:
            for text in ("secret one", "secret two", "secret three"):
                nursery.start_soon(fail, text)

    @app.procedure("slow")
    async def slow(session: Session) -> str:
        await trio.sleep(5)
        return "done"

    async with serving(app) as server, connect(URL) as client, connect(URL) as other, trio.open_nursery() as nursery:
        answers: list[Any] = []

        async def call() -> None:
            answers.append(await client.call("slow"))

        nursery.start_soon(call)
        async with other.subscribe("room") as messages:
            with pytest.raises(CallError) as caught:
                await client.call("explode")
            record = the_incident(caught.value, caplog)
            assert isinstance(record.exc_info, tuple)
            group: Any = record.exc_info[1]
            assert type(group) is ExceptionGroup
            assert len(group.exceptions) == 3
            assert "secret" not in str(caught.value)
            await client.publish("room", 1)
            assert (await messages.receive()).data == 1
        await trio.sleep(10)
        assert answers == ["done"]
        assert server.sessions == 2


@pytest.mark.parametrize("result", [object(), {1: 2}, 2**60])
async def test_a_result_that_cannot_travel_is_an_incident(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, result: object
) -> None:
    app = App()

    @app.procedure("odd")
    async def odd(session: Session) -> object:
        return result

    @app.procedure("odd error")
    async def odd_error(session: Session) -> None:
        raise CallError(100, "odd", data=result)

    async with serving(app), connect(URL) as client:
        for procedure in ("odd", "odd error"):
            caplog.clear()
            with pytest.raises(CallError) as caught:
                await client.call(procedure)
            the_incident(caught.value, caplog)


@pytest.mark.parametrize("answer", [None, 1, "yes", ValueError("secret")], ids=repr)
async def test_an_authorizer_that_does_not_say_yes_or_no_lets_nobody_in(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, answer: Any
) -> None:
    app = App()
    rule = app.channel("room")

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed) as caught:
            await client.publish("room", 1)
        the_incident(caught.value, caplog)
        caplog.clear()
        with pytest.raises(RequestFailed, match="INTERNAL"):
            await client.subscribe("room").__aenter__()
        assert len(incidents(caplog)) == 1


async def test_hooks_that_fail_are_incidents_and_nothing_more(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = open_app()
    diary: list[str] = []

    @app.on_connect
    async def fail(session: Session) -> None:
        raise ValueError("on connect")

    @app.on_connect
    async def go_on(session: Session) -> None:
        diary.append("connect")

    @app.on_disconnect
    async def fail_too(session: Session) -> None:
        raise ValueError("on disconnect")

    @app.on_disconnect
    async def go_on_too(session: Session) -> None:
        diary.append("disconnect")

    async with serving(app) as server:
        async with connect(URL) as client:
            await client.publish("room", 1)
        await trio.sleep(1)
        assert server.sessions == 0
        assert diary == ["connect", "disconnect"]
        assert len(incidents(caplog)) == 2


async def test_a_handler_that_does_not_end_is_left_behind_after_the_time_for_cleaning_up(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    diary: list[str] = []

    @app.procedure("stubborn")
    async def stubborn(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(3)
            diary.append("cleaned up")

    @app.on_disconnect
    async def left(session: Session) -> None:
        diary.append("disconnect")
        await trio.sleep(100)
        diary.append("never")

    async with serving(app):
        async with connect(URL) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.call, "stubborn")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await trio.sleep(20)
        assert diary == ["cleaned up", "disconnect"]


async def test_handlers_and_hooks_are_ended_when_the_server_is(autojump_clock: MockClock) -> None:
    app = open_app()
    diary: list[str] = []

    @app.procedure("forever")
    async def forever(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            diary.append("call cancelled")

    @app.on_disconnect
    async def left(session: Session) -> None:
        await trio.sleep(4)
        diary.append("disconnect")

    async with trio.open_nursery() as nursery:
        stop = trio.Event()

        async def run(*, task_status: trio.TaskStatus[None]) -> None:
            async with serving(app):
                task_status.started()
                await stop.wait()
            diary.append("served")

        await nursery.start(run)
        async with connect(URL) as client, trio.open_nursery() as calls:
            calls.start_soon(client.call, "forever")
            await trio.sleep(1)
            stop.set()
            await trio.sleep(10)
            calls.cancel_scope.cancel()
    assert diary == ["call cancelled", "disconnect", "served"]


async def test_a_broker_that_fails_is_an_incident_and_the_next_publication_goes_on(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    class Moody(MemoryBroker):
        mood = "bad"

        async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
            if self.mood == "bad":
                raise ConnectionError("the broker is away")
            return await super().publish(channel, data, **options)

    broker = Moody()
    app = App(broker=broker)
    app.channel("room", open=True)
    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed) as caught:
            await client.publish("room", 1)
        the_incident(caught.value, caplog)
        broker.mood = "good"
        assert (await client.publish("room", 1)).position.offset == 1


async def talk(client: Client, channel: str, count: int, size: int = 10) -> None:
    for number in range(count):
        await client.submit(channel, [number, bytes(size)])


@pytest.mark.slow
async def test_a_slow_consumer_delays_neither_other_subscriptions_nor_replies(autojump_clock: MockClock) -> None:
    """Nobody reads the flooded channel: its queue fills, the client asks for a pause, and all else goes on at once."""
    app = open_app(history=20_000)

    @app.procedure("ping")
    async def ping(session: Session) -> str:
        return "pong"

    config = Config(messages_per_second=1e6, messages_burst=100_000)
    async with serving(app, config=config), connect(URL) as listener, connect(URL) as talker:
        async with listener.subscribe("flood") as flood, listener.subscribe("calm") as calm:
            await talk(talker, "flood", 3_000)
            await trio.sleep(5)
            assert 1_000 <= len(flood.feed) <= 1_001
            for number in range(20):
                with trio.fail_after(1):
                    await talker.publish("calm", number)
                    assert (await calm.receive()).data == number
                    assert await listener.call("ping") == "pong"
            # And the slow one misses nothing.
            for number in range(3_000):
                message = await flood.receive()
                assert message.data == [number, bytes(10)]
                assert message.offset == number + 1


@pytest.mark.slow
async def test_a_stuck_client_delays_no_other_client(autojump_clock: MockClock) -> None:
    app = open_app(history=10)
    config = Config(messages_per_second=1e6, messages_burst=100_000)
    async with serving(app, config=config), connect(URL) as talker, connect(URL) as good:
        async with RawClient().connected() as stuck, good.subscribe("room") as messages:
            await stuck.opened.wait()
            stuck.deliver = False
            stuck.say(Subscribe(1, (ChannelRequest("room", None),)))
            await stuck.hear()

            async def publish() -> None:
                await talk(talker, "room", 2_000, 1_000)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish)
                with trio.fail_after(5):
                    for number in range(2_000):
                        assert (await messages.receive()).data[0] == number
            heard = len(stuck.messages)
            assert heard <= 300  # its window, and no more
            stuck.deliver = True
            stuck.engine.session.delivered(stuck.engine.session.inbox.received, trio.current_time())
            stuck.flush()
            await stuck.until(lambda: len(stuck.messages) > heard)
            await trio.sleep(5)
            names = [message.NAME for message in stuck.messages if message is not None]
            assert names[heard:] == ["GAP"] + ["PUBLICATION"] * 10


async def test_an_authenticator_that_fails_means_try_again_later(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = open_app()
    attempts: list[float] = []

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        attempts.append(trio.current_time())
        if len(attempts) < 3:
            raise ConnectionError("the directory is away")
        return Principal("ada")

    async with serving(app), connect(URL, config=Config(connect_seconds=60)) as client:
        assert (await client.publish("room", 1)).position.offset == 1
    assert len(attempts) == 3
    assert all(later - earlier >= 1 for earlier, later in itertools.pairwise(attempts))
    assert len(incidents(caplog)) == 2
