"""An await that raises Cancelled has accepted nothing: every request is cancelled at each of its checkpoints."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import (
    App,
    CallError,
    Client,
    Config,
    ErrorCode,
    OutcomeUnknown,
    Position,
    Principal,
    Proceed,
    PublishRequest,
    Request,
    Session,
    SessionClosed,
    connect,
    serve,
    states,
)
from hawser.payloads import encode_payload
from hawser.testing import FaultyNetwork
from hawser_engine.calls import Call, ErrorReply
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import URL, RawClient, collect, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

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
    return client._dialogue.operations.unanswered  # pyright: ignore[reportPrivateUsage]


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


async def test_a_cancelled_iteration_loses_no_message_at_whatever_checkpoint(autojump_clock: MockClock) -> None:
    """Half of the messages are there already, the others come while it waits."""
    async with serving(open_app()) as server, connect(URL) as client, client.subscribe("room") as messages:
        seen: list[Any] = []

        async def iterate() -> None:
            async for message in messages:
                seen.append(message.data)
                if message.data % 10 == 9:
                    break

        async def publish(numbers: range) -> None:
            for number in numbers:
                await trio.sleep(0.1)
                await client.publish("room", number)

        last = MOST
        for number in range(MOST):
            await publish(range(10 * number, 10 * number + 5))
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish, range(10 * number + 5, 10 * number + 10))
                cancelled = await cancel_at_checkpoint(iterate, number)
            while len(seen) < 10 * number + 10:
                await iterate()
            if not cancelled:
                last = number
                break
        assert 10 <= last < MOST
        assert seen == list(range(10 * last + 10))
        assert server.sessions == 1


async def test_what_is_cancelled_as_it_waits_for_its_turn_was_never_asked_for(autojump_clock: MockClock) -> None:
    """The server is held up and takes one request at a time: all the others stand in line here."""
    app = open_app()
    go_on = trio.Event()
    asked: list[Any] = []

    @app.middleware
    async def hold(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest):
            asked.append(request.data)
        await go_on.wait()
        return await proceed()

    async with serving(app, config=Config(operations=1)), connect(URL) as client:
        first = await client.submit("room", "first")

        async def subscribe() -> None:
            async with client.subscribe("room"):
                raise AssertionError

        for operation in (
            partial(client.submit, "room", "cancelled"),
            partial(client.publish, "room", "cancelled"),
            subscribe,
        ):
            for number in range(3):
                with trio.move_on_after(1) as patience:  # the last of them waits on
                    assert await cancel_at_checkpoint(operation, number) or patience.cancel_called
            assert unanswered(client) == 1
        go_on.set()
        await first.wait()
        async with client.subscribe("room", since=Position((await first.wait()).position.epoch, 0)) as messages:
            assert (await client.publish("room", "last")).position.offset == 2
            assert await collect(messages, 2) == ["first", "last"]
        assert asked == ["first", "last"]


async def test_credentials_are_in_use_though_waiting_for_their_judgement_is_cancelled(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    judged: list[Any] = []

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        judged.append(credentials["token"])
        return Principal("ada")

    async with serving(app), connect(URL, token="first") as client:
        last = await visits(client, lambda number: client.authenticate(token=str(number)))
        assert last >= 1
        assert judged == ["first", *map(str, range(last + 1))]


@pytest.mark.parametrize("wait", [True, False])
async def test_a_conversation_may_be_cancelled_anywhere_from_its_beginning_to_its_end(
    autojump_clock: MockClock, wait: bool
) -> None:
    """Each publication is there once or not at all, as its key tells; nothing stays, and who came has left."""
    app = open_app()
    present: list[int] = []

    @app.on_connect
    async def arrived(session: Session) -> None:
        present.append(session.number)

    @app.on_disconnect
    async def left(session: Session) -> None:
        present.remove(session.number)

    async def converse(number: int) -> None:
        async with connect(URL, wait=wait) as client, client.subscribe("room") as messages:
            await client.publish("room", number, key=b"%d" % number)
            await messages.receive()

    async with serving(app) as server:
        positions: list[Position] = []
        cancelled = True
        while cancelled:
            number = len(positions)
            assert number < MOST
            cancelled = await cancel_at_checkpoint(partial(converse, number), number)
            async with connect(URL) as client:
                positions.append((await client.publish("room", number, key=b"%d" % number)).position)
            await trio.sleep(200)  # longer than a resume period
            node: Any = server._node  # pyright: ignore[reportPrivateUsage]
            assert (node.sessions, node._drivers, channels(server), present) == ({}, {}, [], [])
        assert len(positions) > 5
        assert [position.offset for position in positions] == list(range(1, len(positions) + 1))
        since = Position(positions[0].epoch, 0)
        async with connect(URL) as client, client.subscribe("room", since=since) as messages:
            assert await collect(messages, len(positions)) == list(range(len(positions)))
            assert (await client.publish("room", "end")).position.offset == len(positions) + 1


async def test_a_cancelled_close_is_a_close_and_cuts_nothing_in_two(autojump_clock: MockClock) -> None:
    """What is not answered before the goodbye is unknown; what was carried out of it is a beginning of it."""
    async with serving(open_app()) as server, connect(URL) as other, other.subscribe("room") as messages:
        cancelled, number = True, 0
        while cancelled:
            assert number < MOST
            async with connect(URL) as client:
                await client.publish("room", [number, 0])
                receipts = [await client.submit("room", [number, count]) for count in range(1, 10)]
                cancelled = await cancel_at_checkpoint(client.aclose, number)
                assert isinstance(client.state, states.Closed)
                with pytest.raises(SessionClosed):
                    await client.publish("room", "never")
                answered = 1
                for receipt in receipts:
                    with suppress(OutcomeUnknown):
                        await receipt.wait()
                        answered += 1
            await trio.sleep(1)
            assert server.sessions == 1
            await other.publish("room", "end")
            seen: list[Any] = []
            while not seen or seen[-1] != "end":
                seen += await collect(messages, 1)
            assert seen[:-1] == [[number, count] for count in range(len(seen) - 1)]
            assert answered < len(seen)
            number += 1
        assert number > 1


async def test_starting_to_serve_may_be_cancelled_anywhere(autojump_clock: MockClock) -> None:
    async def start() -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(serve, open_app(), URL)
            nursery.cancel_scope.cancel()

    number = 0
    while await cancel_at_checkpoint(start, number):
        number += 1
    assert number >= 1
    async with serving(open_app()), connect(URL) as client:  # the name is free
        assert (await client.publish("room", 1)).position.offset == 1


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


async def test_a_call_that_reaches_its_deadline_is_never_called_cancelled(autojump_clock: MockClock) -> None:
    """Whatever the fractions of a millisecond: the time of the session is cut to whole ones, that of a scope is not."""
    app = App()

    @app.procedure("forever")
    async def forever(session: Session) -> None:
        await trio.sleep_forever()

    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        for number in range(1, 301):
            await trio.sleep(0.007)
            now = client.engine.session.time_ms(trio.current_time())
            client.say(Call(number, "forever", encode_payload([]), now + number % 50))
            answer = await client.hear()
            assert isinstance(answer, ErrorReply)
            assert answer.code == ErrorCode.DEADLINE


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
