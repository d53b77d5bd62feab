"""The parts that everything stands on: background, timekeeper, driver, configuration, errors."""

from __future__ import annotations

import time
from math import inf
from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import (
    CallError,
    CloseCode,
    Config,
    ConnectFailed,
    ErrorCode,
    NotSent,
    OutcomeUnknown,
    RequestFailed,
    SessionClosed,
    connect,
)
from hawser.background import Background
from hawser.driver import Driver
from hawser.timekeeper import STALE_MAX, Timekeeper
from hawser_engine import Batch, EngineConfig, Server
from hawser_engine.gaps import Gap
from hawser_transports import Link, MemoryLink, MemoryTransport, memory_pair
from tests.engine.pair import Pair
from tests.runtime.helpers import URL, counting_bytes, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from hawser.driver import Owner


# ---------------------------------------------------------------- background


async def test_a_background_ends_with_its_body() -> None:
    async with Background() as nursery:
        nursery.start_soon(trio.sleep_forever)


async def test_what_the_body_of_a_background_raises_comes_out_alone() -> None:
    error = ValueError("mine")

    async def run() -> None:
        async with Background() as nursery:
            nursery.start_soon(trio.sleep_forever)
            raise error

    with pytest.raises(ValueError, match="mine") as caught:
        await run()
    assert caught.value is error


async def test_what_fails_in_a_background_comes_out_alone() -> None:
    async def fail() -> None:
        raise ValueError("background")

    async def run() -> None:
        async with Background() as nursery:
            nursery.start_soon(fail)
            await trio.sleep_forever()

    with pytest.raises(ValueError, match="background"):
        await run()


async def test_a_group_of_the_body_stays_a_group() -> None:
    group = ExceptionGroup("mine", [ValueError("one")])
    with pytest.raises(ExceptionGroup) as caught:
        async with Background():
            raise group
    assert caught.value is group


async def test_two_failures_stay_together() -> None:
    async def fail() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("background")

    with pytest.RaisesGroup(ValueError, KeyError):
        async with Background() as nursery:
            nursery.start_soon(fail)
            await wait_all_tasks_blocked()
            raise KeyError("body")


# ---------------------------------------------------------------- timekeeper


class Alarm:
    """Something with one deadline."""

    def __init__(self) -> None:
        self.armed = inf
        self.calls: list[float] = []

    def handle_timeout(self, now: float) -> None:
        self.calls.append(now)


async def test_deadlines_are_kept_in_order_whenever_they_are_set(autojump_clock: MockClock) -> None:
    gaps: list[Gap] = []
    keeper = Timekeeper(2.0, lambda now, gap: gaps.append(gap))
    early, late, moved, never = Alarm(), Alarm(), Alarm(), Alarm()
    start = trio.current_time()
    keeper.arm(late, start + 50)
    keeper.arm(never, None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.sleep(1)
        keeper.arm(early, start + 10)
        keeper.arm(moved, start + 30)
        keeper.arm(moved, start + 20)
        keeper.arm(moved, start + 90)  # later than it is armed already: nothing to do
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert early.calls == [pytest.approx(start + 10)]
    assert late.calls == [pytest.approx(start + 50)]
    assert moved.calls == [pytest.approx(start + 20)]
    assert never.calls == []
    assert gaps == []


@pytest.mark.parametrize("ago", [inf, 60.0, 0.0])
async def test_a_deadline_that_has_passed_is_now_and_no_late_pass(autojump_clock: MockClock, ago: float) -> None:
    """What may be done since long ago is wanted only now: nobody has slept, and nothing is probed."""
    gaps: list[Gap] = []
    keeper = Timekeeper(2.0, lambda now, gap: gaps.append(gap))
    alarm, again = Alarm(), Again(keeper, ago)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.sleep(100)
        keeper.arm(alarm, trio.current_time() - ago)
        keeper.arm(again, trio.current_time() + 50)
        await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert (len(alarm.calls), len(again.calls)) == (1, 2)
    assert gaps == []


class Again(Alarm):
    """Something that finds, when it is called, that it has had another deadline, some time ago."""

    def __init__(self, keeper: Timekeeper, ago: float) -> None:
        super().__init__()
        self.keeper = keeper
        self.ago = ago

    def handle_timeout(self, now: float) -> None:
        super().handle_timeout(now)
        if len(self.calls) == 1:
            self.keeper.arm(self, now - self.ago)


class Talker(Alarm):
    """Something that has a deadline far away, and now and then a near one."""

    def __init__(self, keeper: Timekeeper, far: float) -> None:
        super().__init__()
        self.keeper = keeper
        self.far = far

    def handle_timeout(self, now: float) -> None:
        super().handle_timeout(now)
        self.far = max(self.far, now + 100)
        self.keeper.arm(self, self.far)


async def test_what_is_armed_for_something_sooner_is_called_once_for_it_and_leaves_little(
    autojump_clock: MockClock,
) -> None:
    keeper = Timekeeper(2.0, lambda now, gap: None)
    talker, other = Talker(keeper, trio.current_time() + 100), Alarm()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        keeper.arm(talker, talker.far)
        keeper.arm(other, trio.current_time() + 900)
        for _ in range(5_000):
            keeper.arm(talker, trio.current_time() + 0.01)
            await trio.sleep(0.02)
        assert len(talker.calls) == 5_000
        assert len(keeper._heap) <= STALE_MAX + 10  # pyright: ignore[reportPrivateUsage]
        await trio.sleep(0.5)
        calls = len(talker.calls)
        await trio.sleep(400)
        nursery.cancel_scope.cancel()
    assert len(talker.calls) - calls == 4
    assert other.calls == []


async def test_a_step_of_the_wall_clock_is_noticed_and_moves_no_deadline(autojump_clock: MockClock) -> None:
    gaps: list[tuple[float, Gap]] = []
    wall = 0.0
    keeper = Timekeeper(2.0, lambda now, gap: gaps.append((now, gap)), lambda: trio.current_time() + wall)
    alarms = [Alarm() for _ in range(3)]
    start = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        for number, alarm in enumerate(alarms, 1):
            keeper.arm(alarm, start + 10 * number)
        await trio.sleep(15)
        wall = 3_600.0
        await trio.sleep(20)
        nursery.cancel_scope.cancel()
    [(moment, gap)] = gaps
    assert moment == pytest.approx(start + 20)
    assert gap is Gap.CLOCK_STEP
    assert [alarm.calls for alarm in alarms] == [[pytest.approx(start + 10 * number)] for number in (1, 2, 3)]


@pytest.mark.slow
async def test_a_loop_that_was_blocked_is_a_late_pass() -> None:
    gaps: list[Gap] = []
    keeper = Timekeeper(0.05, lambda now, gap: gaps.append(gap))
    alarm = Alarm()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await wait_all_tasks_blocked()
        keeper.arm(alarm, trio.current_time() + 0.01)
        time.sleep(0.2)  # noqa: ASYNC251 - the loop stands still, as under a debugger or a long computation
        with trio.fail_after(5):
            while not alarm.calls:
                await trio.lowlevel.checkpoint()
        nursery.cancel_scope.cancel()
    assert gaps == [Gap.LATE_PASS]


async def test_both_sides_probe_after_a_gap_and_nobody_is_lost(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        node: Any = server._node  # pyright: ignore[reportPrivateUsage]
        line: Any = client._dialogue.line  # pyright: ignore[reportPrivateUsage]
        await client.publish("room", 1)
        for gap in (Gap.LATE_PASS, Gap.CLOCK_STEP):
            node._gap(trio.current_time(), gap)
            line._gap(trio.current_time(), gap)
            await trio.sleep(1)
        assert (await client.publish("room", 1)).position.offset == 2
        assert server.resumes == 0
    line._gap(trio.current_time(), Gap.LATE_PASS)  # without a link there is nobody to probe


# ---------------------------------------------------------------- driver


class Spawner:
    """An owner that drains nothing and runs writers in a nursery."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self.nursery = nursery
        self.failures: list[Exception] = []

    def touch(self, driver: Driver[Any]) -> None:
        driver.flush()

    def start_writer(self, driver: Driver[Any]) -> None:
        self.nursery.start_soon(driver.write)

    def contain(self, driver: Driver[Any], error: Exception) -> None:
        self.failures.append(error)


def a_driver(owner: Owner, link: Link, **options: Any) -> tuple[Driver[Any], list[bytes]]:
    """A driver whose connection sends whatever is put into the list."""
    connection: Any = Server(EngineConfig(), random_bytes=counting_bytes()).connect(0.0)
    out: list[bytes] = []

    class Talking:
        def data_to_send(self) -> list[bytes]:
            batches, out[:] = list(out), []
            return batches

        def written(self, now: float, left: int = 0) -> None:
            assert left >= 0

        def __getattr__(self, name: str) -> Any:
            return getattr(connection, name)

    talking: Any = Talking()
    return Driver(owner, talking, link, close_seconds=options.get("close_seconds", 1.0)), out


async def everything_from(link: Link) -> list[bytes]:
    batches: list[bytes] = []
    try:
        while True:
            batches += await link.receive_batches()
    except (trio.EndOfChannel, trio.BrokenResourceError):
        return batches


async def test_what_a_link_does_not_take_at_once_is_written_in_order_by_a_task(autojump_clock: MockClock) -> None:
    near, far = memory_pair(pipe_bytes=20_000)
    batches = [bytes([number]) * 15_000 for number in range(6)]
    async with trio.open_nursery() as nursery:
        driver, out = a_driver(Spawner(nursery), near)
        out.append(batches[0])
        assert driver.flush()
        out += batches[1:4]
        assert not driver.flush()
        assert not driver.flush()  # nothing new, but something waits
        out += batches[4:]
        assert not driver.flush()
        driver.finish(100)
        assert await everything_from(far) == batches


async def test_a_shared_batch_passes_the_queue_as_long_as_the_link_takes_it(autojump_clock: MockClock) -> None:
    pair = Pair()
    connection = pair.connect().server
    near, far = memory_pair(pipe_bytes=20_000)
    batches = [Batch.of([bytes([number]) * 9_000]) for number in range(5)]
    now = trio.current_time()
    async with trio.open_nursery() as nursery:
        driver = Driver(Spawner(nursery), connection, near, close_seconds=1.0)
        passage = driver.lay_passage()
        taken = [passage.send(batch, now) for batch in batches]
        assert taken == [True] * 3 + [False] * 2  # the third is with the writer, and what follows goes behind it
        assert [pair.session.send_batch(batch, now) for batch in batches[3:]] == [True, True]
        assert not driver.flush(now)
        driver.finish(100)
        assert b"".join(await everything_from(far)) == b"".join(batch.data for batch in batches)


async def test_a_shared_batch_on_a_link_that_broke_is_kept_for_the_resume() -> None:
    pair = Pair()
    connection = pair.connect().server
    near, far = memory_pair()
    batch = Batch.of([b"x"])
    async with trio.open_nursery() as nursery:
        driver = Driver(Spawner(nursery), connection, near, close_seconds=1.0)
        await far.aclose()
        await near.aclose()
        passage = driver.lay_passage()
        assert passage.send(batch, 0.0)
        assert pair.session.outbox.replay == [batch]
        driver.ended(None)
        assert not passage.send(batch, 0.0)


async def test_nothing_passes_to_a_link_that_was_given_up(autojump_clock: MockClock) -> None:
    pair = Pair()
    connection = pair.connect().server
    near, far = memory_pair(pipe_bytes=20_000)
    batches = [Batch.of([bytes([number]) * 9_000]) for number in range(4)]
    async with trio.open_nursery() as nursery:
        driver = Driver(Spawner(nursery), connection, near, close_seconds=1.0)
        passage = driver.lay_passage()
        for batch in batches[:3]:
            assert passage.send(batch, 0.0)
        await trio.testing.wait_all_tasks_blocked()  # the writer has the third, for which there is no room
        driver.abandon()
        got = await far.receive_batches()
        await trio.testing.wait_all_tasks_blocked()  # now it has left, or is lost
        assert connection.session is pair.session
        assert not passage.send(batches[3], 0.0)
        got += await everything_from(far)
        assert got == [batch.data for batch in batches[: len(got)]]


class Writer(Link):
    """A link that cannot write without waiting, like TLS."""

    def __init__(self, link: MemoryLink) -> None:
        self.link = link

    @property
    def description(self) -> str:
        return "writer"

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        return self.link.send_nowait([])

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        await self.link.send_batches(batches)

    async def receive_batches(self) -> list[bytes]:
        return await self.link.receive_batches()

    async def aclose(self) -> None:
        await self.link.aclose()


async def test_links_that_cannot_write_at_once_serve_as_well(autojump_clock: MockClock) -> None:
    class Wrapping(MemoryTransport):
        async def connect(self, url: str) -> Any:
            return Writer(await super().connect(url))

    async with serving(open_app()), connect(URL, transport=Wrapping()) as client, client.subscribe("room") as messages:
        for number in range(50):
            await client.publish("room", [number, bytes(20_000)])
            assert (await messages.receive()).data[0] == number


async def test_a_link_whose_peer_takes_nothing_is_closed_all_the_same(autojump_clock: MockClock) -> None:
    near, far = memory_pair(pipe_bytes=20_000)
    async with trio.open_nursery() as nursery:
        driver, out = a_driver(Spawner(nursery), near, close_seconds=3.0)
        batches = [bytes([number]) * 15_000 for number in range(6)]
        out += batches
        driver.flush()
        driver.finish(100)
        began = trio.current_time()
        await wait_all_tasks_blocked()
        await trio.sleep(10)
        assert nursery.child_tasks == frozenset()
        assert trio.current_time() - began < 11
    with pytest.raises(trio.ClosedResourceError):
        near.send_nowait([b"x"])
    assert await everything_from(far) == batches[:1]  # only the end is lost


@pytest.mark.parametrize("moment", ["before", "during"])
async def test_a_link_that_breaks_while_written_to_is_no_failure(autojump_clock: MockClock, moment: str) -> None:
    near, far = memory_pair(pipe_bytes=20_000)
    async with trio.open_nursery() as nursery:
        owner = Spawner(nursery)
        driver, out = a_driver(owner, near)
        if moment == "before":
            far.cut()
        out += [bytes(15_000)] * 6
        driver.flush()
        await wait_all_tasks_blocked()
        far.cut()
        await wait_all_tasks_blocked()
        driver.ended(trio.BrokenResourceError())
        out.append(b"too late")
        driver.flush()
    assert owner.failures == []


async def test_faults_of_this_side_are_handed_to_the_owner(autojump_clock: MockClock) -> None:
    near, _ = memory_pair()
    async with trio.open_nursery() as nursery:
        owner = Spawner(nursery)
        driver, _ = a_driver(owner, near)
        driver.connection = None  # whatever is called on it fails
        driver.received([b"x"])
        driver.handle_timeout(1.0)
        driver.ended(None)
    assert [type(error) for error in owner.failures] == [AttributeError] * 3


async def test_a_fault_of_the_client_itself_reaches_the_program(autojump_clock: MockClock) -> None:
    async def run() -> None:
        async with connect(URL) as client, client.subscribe("room") as messages:
            feed: Any = messages.feed

            def spoiled(*arguments: object) -> None:
                raise AttributeError("spoiled")

            feed.publication = spoiled
            await client.publish("room", 1)
            await trio.sleep(10)

    async with serving(open_app()):
        with pytest.raises(AttributeError, match="spoiled"):
            await run()


# ---------------------------------------------------------------- configuration and errors


@pytest.mark.parametrize(
    "name",
    [
        "calls_per_session",
        "channels_per_session",
        "cleanup_seconds",
        "connect_seconds",
        "subscription_messages",
        "subscription_bytes",
        "operations",
    ],
)
@pytest.mark.parametrize("value", [-1, True])
def test_a_wrong_setting_is_refused_with_its_name(name: str, value: Any) -> None:
    with pytest.raises(ValueError, match=f"{name} is {value!r}"):
        Config(**{name: value})


def test_settings_of_the_engine_and_of_the_runtime_stand_side_by_side() -> None:
    config = Config(ping_interval_seconds=5, calls_per_session=7)
    assert (config.ping_interval_seconds, config.calls_per_session, config.channels_per_session) == (5, 7, 128)


def test_errors_say_what_happened_in_words() -> None:
    assert str(RequestFailed(ErrorCode.DENIED, "publish 'room'")) == "DENIED: publish 'room'"
    assert str(CallError(123)) == "123"
    assert str(SessionClosed(CloseCode.FORBIDDEN, "go away")) == "the session is closed: FORBIDDEN (go away)"
    assert str(SessionClosed(999, "")) == "the session is closed: 999"
    assert str(OutcomeUnknown("publication 'room'", b"k", 6)) == (
        "publication 'room': its outcome is unknown (session reset: RESTARTED)"
    )
    assert str(NotSent("call 'add'", None, 99)) == "call 'add': it was not sent (session reset: 99)"
    failed = ConnectFailed("memory://x", "no session after 10 s", [OSError("one"), OSError("two")])
    assert str(failed) == "cannot connect to memory://x: no session after 10 s; last: two"
    assert ConnectFailed("memory://x", "refused").attempts is None
