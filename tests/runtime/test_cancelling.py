"""An await that raises Cancelled has accepted nothing: every request is cancelled at each of its checkpoints."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import App, CallError, Client, ErrorCode, Session, connect
from hawser.payloads import encode_payload
from hawser.testing import FaultyNetwork
from hawser_engine.messages import Call, ErrorReply
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import URL, RawClient, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

MOST = 60
"""More checkpoints than any request has."""


async def visits(client: Client, operation: Callable[[int], Awaitable[object]]) -> int:
    """Cancel an operation at its first checkpoint, its second, … until it is not cancelled any more."""
    for number in range(MOST):
        cancelled = await cancel_at_checkpoint(partial(operation, number), number)
        await trio.sleep(1)
        assert unanswered(client) == 0
        if not cancelled:
            return number
    raise AssertionError("it is always cancelled")


def unanswered(client: Client) -> int:
    return client._dialogue._operations.unanswered  # pyright: ignore[reportPrivateUsage]


async def test_a_cancelled_submission_was_not_published(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client, client.subscribe("room") as messages:

        async def submit(number: int) -> None:
            await client.submit("room", number)

        last = await visits(client, submit)
        assert last >= 1
        await client.publish("room", "end")
        assert [(await messages.receive()).data for _ in range(2)] == [last, "end"]


async def test_a_cancelled_publication_was_published_wholly_or_not_at_all_and_its_key_tells(
    autojump_clock: MockClock,
) -> None:
    async with serving(open_app()), connect(URL) as client, client.subscribe("room") as messages:

        async def publish(number: int) -> None:
            await client.publish("room", number, key=b"%d" % number)

        last = await visits(client, publish)
        assert last >= 2
        for number in range(last + 1):
            await client.publish("room", number, key=b"%d" % number)
        seen = [(await messages.receive()).data for _ in range(last + 1)]
        assert sorted(seen) == list(range(last + 1))


async def test_a_cancelled_call_was_not_made_or_is_cancelled_over_there(autojump_clock: MockClock) -> None:
    app = App()
    begun: list[int] = []
    cancelled: list[int] = []
    finished: list[int] = []

    @app.procedure("work")
    async def work(session: Session, number: int) -> int:
        begun.append(number)
        try:
            await trio.sleep(0.5)
        except trio.Cancelled:
            cancelled.append(number)
            raise
        finished.append(number)
        return number

    async with serving(app), connect(URL) as client:

        async def call(number: int) -> None:
            assert await client.call("work", number) == number

        last = await visits(client, call)
        assert last >= 2
        assert finished == [last]
        assert begun == [*cancelled, last]


async def test_a_cancelled_subscription_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL) as client, trio.open_nursery() as nursery:

        async def subscribe(number: int) -> None:
            async with client.subscribe("room"):
                pass

        last = await visits(client, subscribe)
        assert last >= 2
        async with client.subscribe("room") as messages:
            await client.publish("room", "x")
            assert (await messages.receive()).data == "x"
        await wait_all_tasks_blocked()
        assert channels(server) == []
        nursery.cancel_scope.cancel()


def channels(server: Any) -> list[str]:
    return list(server._node.hub._channels)


async def test_a_cancelled_receive_loses_no_message(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client, client.subscribe("room") as messages:
        for number in range(20):
            await client.publish("room", number)
        await trio.sleep(1)
        seen: list[Any] = []
        number = 0
        while len(seen) < 20:

            async def receive() -> None:
                seen.append((await messages.receive()).data)

            await cancel_at_checkpoint(receive, number % 3)
            number += 1
        assert seen == list(range(20))


async def test_a_message_that_arrives_as_a_receive_is_cancelled_is_not_lost(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client, client.subscribe("room") as messages:
        seen: list[Any] = []
        for number in range(10):
            with trio.CancelScope() as scope:
                async with trio.open_nursery() as nursery:

                    async def receive() -> None:
                        seen.append((await messages.receive()).data)

                    async def publish(number: int = number) -> None:
                        await client.publish("room", number)
                        scope.cancel()

                    nursery.start_soon(receive)
                    nursery.start_soon(publish)
        while len(seen) < 10:
            seen.append((await messages.receive()).data)
        assert seen == list(range(10))


async def test_leaving_the_scope_of_a_call_cancels_the_procedure(autojump_clock: MockClock) -> None:
    app = App()
    diary: list[str] = []

    @app.procedure("forever")
    async def forever(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            diary.append("cleaned up")

    async with serving(app), connect(URL) as client:
        with trio.move_on_after(3):
            await client.call("forever")
        await trio.sleep(1)
        assert diary == ["cleaned up"]
        with trio.CancelScope() as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call, "forever")
                await trio.sleep(1)
                scope.cancel()
        await trio.sleep(1)
        assert diary == ["cleaned up"] * 2
        assert unanswered(client) == 0


async def test_the_deadline_of_the_scope_travels_with_the_call(autojump_clock: MockClock) -> None:
    """The procedure is cancelled at its deadline even if the CANCEL never comes."""
    app = App()
    ended: list[float] = []

    @app.procedure("forever")
    async def forever(session: Session) -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with serving(app), connect(URL) as client:
        began = trio.current_time()
        with trio.CancelScope(deadline=began + 5) as outer:

            async def call() -> None:
                with pytest.raises(CallError) as caught:
                    await client.call("forever")
                assert caught.value.code == ErrorCode.DEADLINE
                ended.append(-1)

            # The caller itself is not cancelled in time: only the number that travelled counts.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(call)
                await trio.testing.wait_all_tasks_blocked()
                outer.deadline = began + 100
                await trio.sleep(50)
        assert ended[0] == pytest.approx(began + 5, abs=0.01)
        assert ended[1:] == [-1]


async def test_whoever_notices_a_deadline_first_the_caller_learns_of_it_by_its_scope(
    autojump_clock: MockClock,
) -> None:
    app = App()

    @app.procedure("forever")
    async def forever(session: Session) -> None:
        await trio.sleep_forever()

    async with (
        serving(app),
        FaultyNetwork(delay_seconds=(0.0, 0.2)) as network,
        connect(URL, transport=network) as client,
    ):
        for _ in range(100):
            began = trio.current_time()
            with trio.move_on_after(0.5) as scope:
                await client.call("forever")
            assert scope.cancelled_caught
            assert trio.current_time() == began + 0.5


async def test_an_expired_call_is_not_started(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("never")
    async def never(session: Session) -> None:
        raise AssertionError

    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        await trio.sleep(10)
        client.say(Call(1, "never", encode_payload([]), 9_000))
        answer = await client.hear()
        assert isinstance(answer, ErrorReply)
        assert (answer.code, answer.temporary) == (ErrorCode.DEADLINE, True)
        assert answer.message == "the deadline had passed before it started"
