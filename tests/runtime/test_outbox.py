"""Publications that wait in an outbox, and go again on the next session: once, in order, or told."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    CloseCode,
    Config,
    Expired,
    HawserError,
    NotSent,
    Outbox,
    OutboxFull,
    Receipt,
    RequestFailed,
    SessionClosed,
    connect,
    serve,
    states,
)
from hawser.client.outbox import Post, Posting
from hawser.testing import CutKind, FaultyNetwork
from hawser.timekeeper import Timekeeper
from hawser_engine import ResetReason
from tests.runtime.helpers import PATIENCE, URL, collect, open_app, serving
from tests.runtime.over_brokers import each_broker, its_own

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Client

pytestmark = each_broker


async def outcome(receipt: Receipt) -> str:
    with trio.fail_after(2 * PATIENCE):
        try:
            await receipt.wait()
        except HawserError as error:
            return type(error).__name__
    return "published"


LIVELY = Config(ping_interval_seconds=2, pong_wait_seconds=1)


class Servers:
    """One application, whose server dies and is replaced: sessions are lost, what was published is not."""

    def __init__(self, nursery: trio.Nursery, app: App) -> None:
        self._nursery = nursery
        self._app = app
        self._scope = trio.CancelScope()

    async def start(self) -> None:
        await self._nursery.start(self._run)

    async def _run(self, task_status: trio.TaskStatus[None]) -> None:
        with trio.CancelScope() as self._scope:
            async with trio.open_nursery() as nursery:
                await nursery.start(partial(serve, self._app, URL, config=LIVELY))
                task_status.started()

    async def kill(self) -> None:
        self._scope.cancel()
        await trio.testing.wait_all_tasks_blocked()


async def test_what_is_accepted_offline_is_published_in_order(autojump_clock: MockClock) -> None:
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        receipts = [await client.submit("room", number) for number in range(600)]
        await trio.sleep(100)
        async with serving(open_app()), connect(URL) as reader, reader.subscribe("room") as messages:
            assert await collect(messages, 600) == list(range(600))
            offsets = [(await receipt.wait()).position.offset for receipt in receipts]
            assert offsets == list(range(1, 601))


async def test_what_a_reset_takes_the_answers_of_is_published_again_under_the_same_keys(
    autojump_clock: MockClock,
) -> None:
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        servers = Servers(nursery, open_app())
        await servers.start()
        async with connect(URL, transport=network, outbox=Outbox()) as client:
            stream = client.states
            before = [await client.submit("room", number) for number in range(3)]
            await trio.testing.wait_all_tasks_blocked()  # published, and the answers are on their way
            await network.cut()
            network.refuse()
            between = [await client.submit("room", number) for number in range(3, 6)]
            await servers.kill()
            await trio.sleep(5)
            await servers.start()
            network.refuse(False)
            after = [await client.submit("room", number) for number in range(6, 9)]
            published = [await receipt.wait() for receipt in [*before, *between, *after]]
        assert [one.position.offset for one in published] == list(range(1, 10))
        assert sum(isinstance(state, states.Reset) for state in [state async for state in stream]) == 1
        nursery.cancel_scope.cancel()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
async def test_across_resets_everything_is_stored_once_and_in_order(autojump_clock: MockClock, seed: int) -> None:
    pick = random.Random(seed)
    app = open_app(history=10_000)
    async with FaultyNetwork(seed=seed, delay_seconds=(0.0, 0.05)) as network, trio.open_nursery() as nursery:
        servers = Servers(nursery, app)
        await servers.start()
        config = Config(backoff_cap_seconds=1, handshake_seconds=2)
        async with connect(URL, transport=network, outbox=Outbox(), config=config) as client:
            stream = client.states
            receipts: list[Receipt] = []
            for number in range(180):
                receipts.append(await client.submit("room", number))
                await trio.sleep(pick.random() * 0.2)
                if pick.random() < 0.05:
                    await network.cut(pick.choice([CutKind.BOTH, CutKind.CLIENT, CutKind.SERVER]))
                if number % 60 == 30:
                    await servers.kill()
                    await trio.sleep(pick.random() * 5)
                    await servers.start()
            assert {await outcome(receipt) for receipt in receipts} == {"published"}
        resets = [state async for state in stream if isinstance(state, states.Reset)]
        assert len(resets) >= 2
        async with connect(URL) as reader:
            last = (await reader.publish("room", "end")).position
        assert last.offset == 181
        first = type(last)(last.epoch, 0)
        async with connect(URL) as reader, reader.subscribe("room", since=first) as messages:
            assert await collect(messages, 181) == [*range(180), "end"]
        nursery.cancel_scope.cancel()


async def test_each_one_waits_only_for_its_time(autojump_clock: MockClock) -> None:
    async with connect(URL, outbox=Outbox(seconds=60), wait=False) as client:
        began = trio.current_time()
        ended: dict[str, float] = {}

        async def publish(name: str, ttl: float | None) -> None:
            with pytest.raises(Expired, match="publication 'room': it was not sent within") as caught:
                await client.publish("room", name, ttl=ttl)
            assert caught.value.key
            ended[name] = trio.current_time() - began

        async with trio.open_nursery() as nursery:
            for name, ttl in {"long": None, "short": 5, "longer than it may": 1_000, "middle": 30.5}.items():
                nursery.start_soon(publish, name, ttl)
        expected = {"short": 5, "middle": 30.5, "long": 60, "longer than it may": 60}
        assert ended == pytest.approx(expected)
        async with serving(open_app()):
            assert (await client.publish("room", "kept")).position.offset == 1


@pytest.mark.parametrize("moment", [0.3, 2_052.9268920410464, 1e6 + 0.1])
async def test_one_whose_time_is_over_but_for_a_rounding_error_is_over(
    autojump_clock: MockClock, moment: float
) -> None:
    await trio.sleep(moment)
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        for ttl in (0.1, 1.7, 3.8189611, 4.1):
            assert await outcome(await client.submit("room", 1, ttl=ttl)) == "Expired"


async def test_one_that_was_out_when_another_expired_waits_for_its_time_when_it_is_back(
    autojump_clock: MockClock,
) -> None:
    keeper = Timekeeper(2.0, lambda now, gap: None)
    post = Post(Outbox(), lambda: None, lambda seconds: keeper.arm(post, trio.current_time() + seconds))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        long, short = (Posting(post, "room", 1, b"key", lambda id: b"", seconds) for seconds in (60.0, 5.0))
        for posting in (long, short):
            post.accept(posting)
            assert post.leave() is posting
        await trio.sleep(20)
        for posting in (long, short):
            posting.fail(NotSent("room", b"key", ResetReason.UNKNOWN_SESSION))
        assert await outcome(Receipt(short, b"key")) == "Expired"
        assert trio.current_time() == 20
        assert await outcome(Receipt(long, b"key")) == "Expired"
        assert trio.current_time() == 60
        nursery.cancel_scope.cancel()


async def test_one_that_expires_leaves_the_others_in_order(autojump_clock: MockClock) -> None:
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        receipts = [await client.submit("room", number, ttl=5 if number % 3 == 0 else None) for number in range(10)]
        await trio.sleep(10)
        async with serving(open_app()):
            ends = [await outcome(receipt) for receipt in receipts]
            assert ends == ["Expired" if number % 3 == 0 else "published" for number in range(10)]
            kept = [
                (await receipt.wait()).position.offset
                for receipt, end in zip(receipts, ends, strict=True)
                if end == "published"
            ]
            assert kept == list(range(1, 7))


async def test_it_is_bounded_and_says_so(autojump_clock: MockClock) -> None:
    async with connect(URL, outbox=Outbox(messages=3), wait=False) as client:
        receipts = [await client.submit("room", number) for number in range(3)]
        with pytest.raises(OutboxFull, match=r"holds 3 publications of .* bytes, and at most 3 of"):
            await client.submit("room", 3)
        async with serving(open_app()):
            assert [await outcome(receipt) for receipt in receipts] == ["published"] * 3
            assert (await client.publish("room", 4)).position.offset == 4
    async with connect(URL, outbox=Outbox(bytes=10_000), wait=False) as client:
        await client.submit("room", bytes(20_000))  # one is always taken
        with pytest.raises(OutboxFull):
            await client.submit("room", b"")


async def test_what_may_have_been_published_is_not_sent_when_its_key_may_be_forgotten(
    autojump_clock: MockClock,
) -> None:
    """The server remembers a key for 300 s, and what is sent now may arrive as late as its session may live: 123 s."""
    app = open_app()
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        servers = Servers(nursery, app)
        await servers.start()
        async with connect(URL, transport=network, outbox=Outbox()) as client:
            network.wires[0].stall()
            early = await client.submit("room", "early")
            await trio.sleep(0.1)
            await network.cut(CutKind.SILENT)
            network.refuse()
            await servers.kill()
            await trio.sleep(100)
            late = await client.submit("room", "late")
            await trio.sleep(100)
            network.refuse(False)
            await servers.start()
            assert await outcome(early) == "OutcomeUnknown"
            assert await outcome(late) == "published"
        nursery.cancel_scope.cancel()


async def test_a_machine_that_slept_is_as_old_as_its_wall_clock(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept = 0.0
    monkeypatch.setattr("hawser.timekeeper.wall_time", lambda: trio.current_time() + slept)
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        receipt = await client.submit("room", "old")
        slept = 400.0
        async with serving(open_app()):
            assert await outcome(receipt) == "Expired"
            assert (await client.publish("room", "new")).position.offset == 1


async def test_what_is_refused_or_too_long_ends_alone(autojump_clock: MockClock) -> None:
    async with serving(open_app(), config=Config(message_bytes=70_000)):
        async with connect(URL, outbox=Outbox()) as client:
            receipts = [await client.submit("room", bytes(size)) for size in (10, 80_000, 20)]
            assert [await outcome(receipt) for receipt in receipts] == ["published", "PayloadError", "published"]
    app = App()
    app.channel("room", open=True)
    async with serving(app), connect(URL, outbox=Outbox()) as client:
        with pytest.raises(RequestFailed, match="NOT_FOUND"):
            await client.publish("elsewhere", 1)
        assert (await client.publish("room", 1)).position.offset == 1


async def test_closing_ends_what_waits(autojump_clock: MockClock) -> None:
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        receipts = [await client.submit("room", number) for number in range(3)]
        await client.aclose()
        assert [await outcome(receipt) for receipt in receipts] == ["SessionClosed"] * 3
        with pytest.raises(SessionClosed) as caught:
            await client.submit("room", 4)
        assert caught.value.code == CloseCode.NORMAL


async def test_cancelled_before_it_is_accepted_nothing_is_published(autojump_clock: MockClock) -> None:
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        with trio.CancelScope() as scope:
            scope.cancel()
            await client.submit("room", "never")
        assert scope.cancelled_caught
        async with serving(open_app()):
            assert (await client.publish("room", 1)).position.offset == 1


async def test_other_requests_take_their_turn_between(autojump_clock: MockClock) -> None:
    async with serving(open_app(), config=Config(operations=2)), connect(URL, outbox=Outbox()) as client:
        receipts = [await client.submit("room", number) for number in range(200)]
        async with client.subscribe("other"):
            assert not receipts[-1].pending.answered
        assert [await outcome(receipt) for receipt in receipts] == ["published"] * 200


@its_own
@pytest.mark.parametrize(
    "wrong", [{"messages": 0}, {"messages": 1.5}, {"bytes": -1}, {"seconds": 301}, {"seconds": 0}, {"seconds": True}]
)
def test_its_bounds_are_checked(wrong: dict[str, Any]) -> None:
    [name] = wrong
    with pytest.raises(ValueError, match=f"{name} of an outbox is"):
        Outbox(**wrong)


async def test_a_time_to_live_needs_an_outbox(autojump_clock: MockClock) -> None:
    async def refused(client: Client, ttl: float) -> None:
        with pytest.raises(ValueError, match="ttl is"):
            await client.publish("room", 1, ttl=ttl)

    async with connect(URL, wait=False) as client:
        await refused(client, 1)
    async with connect(URL, outbox=Outbox(), wait=False) as client:
        await refused(client, 0)
        await refused(client, float("nan"))
