"""When a session cannot go on: what the application is told, and what goes on all the same (SPEC RST-6 to RST-10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    Client,
    Config,
    Gap,
    NotSent,
    OutcomeUnknown,
    RequestFailed,
    RequestLost,
    ResetReason,
    Session,
    connect,
    states,
)
from hawser.testing import CutKind, FaultyNetwork
from tests.runtime.helpers import URL, open_app, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Receipt


class Restarts:
    """A server that can be replaced by another one at the same address."""

    def __init__(self, nursery: trio.Nursery, config: Config | None = None) -> None:
        self.nursery = nursery
        self.config = config
        self.stop = trio.Event()
        self.stopped = trio.Event()

    async def start(self, app: App) -> None:
        self.stop, self.stopped = trio.Event(), trio.Event()
        await self.nursery.start(self._run, app)

    async def _run(self, app: App, *, task_status: trio.TaskStatus[None]) -> None:
        async with serving(app, config=self.config):
            task_status.started()
            await self.stop.wait()
        self.stopped.set()

    async def end(self) -> None:
        self.stop.set()
        await self.stopped.wait()


async def next_reset(client: Client) -> states.Reset:
    async for state in client.states:
        if isinstance(state, states.Reset):
            return state
    raise AssertionError("the client was closed")


async def outcome(receipt: Any) -> str:
    try:
        await receipt.wait()
    except RequestLost as error:
        assert error.key == receipt.key
        return type(error).__name__
    return "accepted"


async def test_the_report_of_a_reset_adds_up_and_agrees_with_every_request(autojump_clock: MockClock) -> None:
    """Fifty are answered, a hundred left into a dead link, and the rest found no window."""
    config = Config(window_messages=100)
    app = open_app()
    async with trio.open_nursery() as nursery, FaultyNetwork() as network:
        restarts = Restarts(nursery)
        stop = trio.Event()

        async def first(*, task_status: trio.TaskStatus[None]) -> None:
            async with serving(app, config=config):
                task_status.started()
                await stop.wait()

        await nursery.start(first)
        async with connect(URL, transport=network) as client:
            receipts = [await client.submit("room", number) for number in range(50)]
            assert [await outcome(receipt) for receipt in receipts] == ["accepted"] * 50
            await trio.sleep(5)  # whatever is to be acknowledged is
            network.wires[0].stall()
            receipts = [await client.submit("room", number) for number in range(150)]
            network.refuse()
            await network.cut()
            stop.set()
            await trio.sleep(1)
            await restarts.start(app)
            network.refuse(False)
            report = await next_reset(client)
            assert report == states.Reset(ResetReason.RESTARTED, 50, 100, 50)
            outcomes = [await outcome(receipt) for receipt in receipts]
            assert outcomes == ["OutcomeUnknown"] * 100 + ["NotSent"] * 50
            for receipt, number in zip(receipts, range(150), strict=True):
                assert not (await client.publish("room", number, key=receipt.key)).duplicate
        await restarts.end()


async def test_a_request_that_was_carried_out_but_not_answered_is_unknown_and_safe_to_repeat(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    async with trio.open_nursery() as nursery, FaultyNetwork() as network:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, transport=network) as client:
            await network.cut(CutKind.BOTH)
            await client.publish("room", 0)
            receipt = await client.submit("room", 1)
            await trio.testing.wait_all_tasks_blocked()
            unanswered = await client.submit("room", 2)
            await trio.testing.wait_all_tasks_blocked()
            # The answers are under way or there; kill everything.
            await restarts.end()
            await restarts.start(app)
            await trio.sleep(10)
            for one, offset in ((receipt, 2), (unanswered, 3)):
                if await outcome(one) != "accepted":
                    again = await client.publish("room", offset - 1, key=one.key)
                    assert again.position.offset == offset
        await restarts.end()


async def test_a_subscription_notices_nothing_if_history_closes_the_hole(autojump_clock: MockClock) -> None:
    app = open_app()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL) as client, client.subscribe("room") as messages, client.subscribe("hall") as others:
            await app.publish("room", 1)
            await app.publish("hall", 1)
            assert (await messages.receive()).data == 1
            for number in (2, 3):
                await restarts.end()
                await app.publish("room", number)
                await restarts.start(app)
                await next_reset(client)
            await app.publish("room", 4)
            assert [(await messages.receive()).data for _ in range(3)] == [2, 3, 4]
            assert (await others.receive()).data == 1
        await restarts.end()


async def test_a_hole_that_history_cannot_close_is_raised_once_before_anything_later(
    autojump_clock: MockClock,
) -> None:
    app = open_app(history=3)
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL) as client, client.subscribe("room") as messages:
            await app.publish("room", 1)
            await trio.sleep(1)
            await restarts.end()
            for number in range(2, 11):
                await app.publish("room", number)
            await restarts.start(app)
            seen: list[Any] = []
            while len(seen) < 5:
                try:
                    async for message in messages:
                        seen.append(message.data)
                        if message.data == 10:
                            break
                except Gap as gap:
                    assert gap.since is not None
                    seen.append((gap.since.offset, gap.position.offset, gap.reason))
            assert seen == [1, (1, 7, 1), 8, 9, 10]
        await restarts.end()


async def test_a_new_epoch_is_raised_as_a_gap_and_the_new_one_is_told_from_its_beginning(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(open_app())
        async with connect(URL) as client, client.subscribe("room") as messages:
            old = (await client.publish("room", "old")).position
            assert (await messages.receive()).data == "old"
            await restarts.end()
            fresh = open_app()
            await fresh.publish("room", "new 1")
            await restarts.start(fresh)
            with pytest.raises(Gap) as caught:
                await messages.receive()
            assert caught.value.since == old
            assert caught.value.reason == 2
            await client.publish("room", "new 2")
            assert [(await messages.receive()).data for _ in range(2)] == ["new 1", "new 2"]
        await restarts.end()


async def test_calls_end_in_unknown_at_a_reset(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("forever")
    async def forever(session: Session) -> None:
        await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL) as client:

            async def call() -> None:
                with pytest.raises(
                    OutcomeUnknown, match=r"call 'forever': its outcome is unknown \(.*RESTARTED"
                ) as lost:
                    await client.call("forever")
                assert lost.value.key is None
                assert lost.value.reason == ResetReason.RESTARTED

            nursery.start_soon(call)
            await trio.sleep(1)
            await restarts.end()
            await restarts.start(app)
            await next_reset(client)
        await restarts.end()


async def test_a_session_that_stayed_away_too_long_is_reported_expired(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app) as server, FaultyNetwork() as network, connect(URL, transport=network) as client:
        async with client.subscribe("room") as messages:
            network.refuse()
            await network.cut()
            await trio.sleep(130)
            assert server.sessions == 0
            await app.publish("room", 1)
            network.refuse(False)
            report = await next_reset(client)
            assert report.reason == ResetReason.EXPIRED
            assert (await messages.receive()).data == 1
            assert server.sessions == 1


async def test_a_subscription_asked_for_at_the_moment_of_a_reset_is_answered_by_the_next_session(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    async with trio.open_nursery() as nursery, FaultyNetwork() as network:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, transport=network) as client:
            network.wires[0].stall()

            async def subscribe() -> None:
                async with client.subscribe("room") as messages:
                    assert (await messages.receive()).data == 1

            nursery.start_soon(subscribe)
            await trio.sleep(1)
            await network.cut()
            await restarts.end()
            await restarts.start(app)
            await next_reset(client)
            await trio.sleep(10)
            await client.publish("room", 1)
            await trio.sleep(1)
        await restarts.end()


async def test_a_subscription_whose_right_is_gone_after_a_reset_ends_with_the_refusal(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(open_app())
        async with connect(URL) as client, client.subscribe("room") as messages:
            await client.publish("room", 1)
            await trio.sleep(1)
            await restarts.end()
            closed = App()
            closed.channel("*")
            await restarts.start(closed)
            assert (await messages.receive()).data == 1
            with pytest.raises(RequestFailed, match="DENIED"):
                await messages.receive()
            with pytest.raises(RequestFailed, match="DENIED"):
                async for _ in messages:
                    pass
        await restarts.end()


async def test_what_waits_for_room_during_a_reset_goes_to_the_next_session(autojump_clock: MockClock) -> None:
    config = Config(window_messages=10, operations=20)
    app = open_app()
    async with trio.open_nursery() as nursery, FaultyNetwork() as network:
        stop = trio.Event()

        async def first(*, task_status: trio.TaskStatus[None]) -> None:
            async with serving(app, config=config):
                task_status.started()
                await stop.wait()

        await nursery.start(first)
        async with connect(URL, transport=network) as client:
            network.wires[0].stall()
            outcomes: list[str] = []

            async def publish(number: int) -> None:
                try:
                    await client.publish("room", number)
                except (OutcomeUnknown, NotSent) as error:
                    outcomes.append(type(error).__name__)
                else:
                    outcomes.append("accepted")

            for number in range(30):
                nursery.start_soon(publish, number)
            await trio.sleep(1)
            stop.set()
            await network.cut()
            await trio.sleep(1)
            restarts = Restarts(nursery)
            await restarts.start(app)
            await trio.sleep(60)
            assert sorted(outcomes) == ["NotSent"] * 10 + ["OutcomeUnknown"] * 10 + ["accepted"] * 10
        await restarts.end()


async def test_what_comes_after_something_that_was_lost_is_held_back(autojump_clock: MockClock) -> None:
    """Else it would be in the next session before that was published again."""
    app = open_app()
    async with trio.open_nursery() as nursery, FaultyNetwork() as network:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, transport=network) as client:
            await client.publish("room", 0)
            network.wires[0].stall()
            receipt = None
            lost: list[Receipt] = []
            for number in range(1, 257):  # as many as may be unanswered
                receipt = await client.submit("room", number, after=receipt)
                lost.append(receipt)
            refused: list[NotSent] = []

            async def publish_one_more() -> None:
                try:
                    await client.submit("room", 257, after=receipt)
                except NotSent as error:
                    refused.append(error)

            nursery.start_soon(publish_one_more)
            await trio.sleep(1)
            await restarts.end()
            await network.cut()
            await restarts.start(app)
            await trio.sleep(60)
            assert [error.reason for error in refused] == [ResetReason.RESTARTED]
            assert not (await app.broker.history("room", 1, limit=1, limit_bytes=1)).entries
            with pytest.raises(NotSent):
                await client.submit("room", 257, after=receipt)
            receipt = None
            for number, one in enumerate(lost, 1):
                receipt = await client.submit("room", number, key=one.key, after=receipt)
            assert receipt is not None
            assert (await receipt.wait()).position.offset == 257
        await restarts.end()
