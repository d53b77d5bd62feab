"""Calls from the server to a client (SPEC CAL-1 to CAL-8, MSG-5, RST-9)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from hawser import (
    App,
    CallError,
    Config,
    ErrorCode,
    NotSent,
    OutcomeUnknown,
    PayloadError,
    Proceed,
    Request,
    ResetReason,
    Session,
    connect,
)
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine.calls import Call, Cancel, ErrorReply, Reply
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import PATIENCE, URL, RawClient, only_session, serving

if TYPE_CHECKING:
    from trio.testing import MockClock


class Watcher:
    """An app that knows its sessions."""

    def __init__(self) -> None:
        self.app = App()
        self.app.channel("*", history=10_000, open=True)
        self.sessions: list[Session] = []
        self.app.on_connect(self.arrived)

    async def arrived(self, session: Session) -> None:
        self.sessions.append(session)

    async def session(self) -> Session:
        while not self.sessions:
            await trio.sleep(0.01)
        return self.sessions[-1]


async def twice(number: int) -> int:
    return 2 * number


async def test_a_client_is_called_from_the_first_moment_on(autojump_clock: MockClock) -> None:
    app = App()
    heard: list[object] = []

    @app.on_connect
    async def greet(session: Session) -> None:
        heard.append(await session.call("twice", 21))
        heard.append(await session.call("twice", number=4))

    async with serving(app), connect(URL, procedures={"twice": twice}):
        await trio.sleep(1)
    assert heard == [42, 8]


async def test_a_client_that_cannot_carry_out_a_call_says_why(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher()
    async with serving(watcher.app), connect(URL, procedures={"twice": twice}) as client:

        @client.procedure("refuse")
        async def refuse() -> None:
            raise CallError(100, "no such boat", temporary=True, data={"boat": 7})

        @client.procedure("fail")
        async def fail() -> None:
            raise ValueError("secret")

        @client.procedure("odd")
        async def odd() -> object:
            return {1, 2}

        @client.procedure("oddly")
        async def oddly() -> object:
            raise CallError(100, "odd", data={1, 2})

        session = await watcher.session()
        for name, arguments, code in (
            ("nothing", [], ErrorCode.NOT_FOUND),
            ("twice", [1, 2], ErrorCode.BAD_REQUEST),
            ("fail", [], ErrorCode.INTERNAL),
            ("odd", [], ErrorCode.INTERNAL),
            ("oddly", [], ErrorCode.INTERNAL),
        ):
            with pytest.raises(CallError) as caught:
                await session.call(name, *arguments)
            assert caught.value.code == code
        with pytest.raises(CallError, match="no such boat") as caught:
            await session.call("refuse")
        assert (caught.value.code, caught.value.temporary, caught.value.data) == (100, True, {"boat": 7})
        assert await session.call("twice", 1) == 2
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "procedure 'fail' failed",
        "procedure 'odd' failed",
        "procedure 'oddly'",
    ]


async def test_wrong_use_is_refused_at_once(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    async with serving(watcher.app), connect(URL, procedures={"twice": twice}) as client:
        session = await watcher.session()
        with pytest.raises(TypeError, match="not both"):
            await session.call("twice", 1, number=2)
        with pytest.raises(PayloadError):
            await session.call("twice", {1})
        with pytest.raises(ValueError, match="procedure name"):
            await session.call("")
        with pytest.raises(ValueError, match="already registered"):
            client.procedure("twice")(twice)
        with pytest.raises(TypeError, match="async"):
            client.procedure("wrong")(cast("Any", len))


async def test_calls_to_a_client_survive_its_links(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    runs: list[int] = []

    async def work(number: int) -> int:
        runs.append(number)
        await trio.sleep(0.3)
        return number

    async with (
        serving(watcher.app),
        FaultyNetwork(seed=3, delay_seconds=(0.0, 0.1)) as network,
        connect(URL, transport=network, procedures={"work": work}, config=Config(backoff_cap_seconds=1)),
        trio.open_nursery() as nursery,
    ):
        session = await watcher.session()
        kinds = (CutKind.BOTH, CutKind.CLIENT)
        nursery.start_soon(partial(network.storm, every_seconds=0.5, kinds=kinds))
        with trio.fail_after(PATIENCE):
            for number in range(50):
                assert await session.call("work", number) == number
        assert network.cuts > 10
        nursery.cancel_scope.cancel()
    assert runs == list(range(50))


async def test_leaving_the_scope_of_a_call_cancels_it_over_there(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    ended: list[float] = []

    async def forever() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with serving(watcher.app), connect(URL, procedures={"forever": forever}):
        session = await watcher.session()
        began = trio.current_time()
        with trio.move_on_after(5) as scope:
            await session.call("forever")
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert ended == [began + 5]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(session.call, "forever")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await trio.sleep(1)
        assert len(ended) == 2


async def test_a_deadline_that_was_moved_is_an_error_when_the_client_keeps_it(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    async with serving(watcher.app), RawClient().connected() as client:
        await client.opened.wait()
        session = await watcher.session()
        began = trio.current_time()
        with trio.CancelScope(deadline=began + 5) as outer:
            async with trio.open_nursery() as nursery:

                async def call() -> None:
                    with pytest.raises(CallError) as caught:
                        await session.call("forever")
                    assert caught.value.code == ErrorCode.DEADLINE

                nursery.start_soon(call)
                await trio.testing.wait_all_tasks_blocked()
                outer.deadline = began + 100
                asked = await client.hear()
                assert isinstance(asked, Call)
                assert asked.deadline_ms == 5_000 + (await only_session_time(client))
                client.say(ErrorReply(asked.id, ErrorCode.DEADLINE, "", False, None))
        assert trio.current_time() == began + 5


async def only_session_time(client: RawClient) -> int:
    return client.engine.session.time_ms(trio.current_time())


async def test_a_call_that_is_cancelled_anywhere_leaves_nothing(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    begun: list[int] = []
    ended: list[int] = []

    async def work(number: int) -> int:
        begun.append(number)
        try:
            await trio.sleep(0.5)
        finally:
            ended.append(number)
        return number

    async with serving(watcher.app) as server, connect(URL, procedures={"work": work}):
        session = await watcher.session()
        state: Any = (await only_session(server)).calls
        for number in range(60):
            cancelled = await cancel_at_checkpoint(partial(session.call, "work", number), number)
            await trio.sleep(1)
            assert not state._open
            assert begun == ended
            if not cancelled:
                break
        else:
            raise AssertionError("it is always cancelled")
        assert number >= 2


async def test_calls_of_a_session_that_ends_end_too(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    outcomes: list[tuple[type[Exception], int]] = []

    async def call(session: Session) -> None:
        try:
            await session.call("whatever")
        except (OutcomeUnknown, NotSent) as error:
            outcomes.append((type(error), error.reason))

    async with serving(watcher.app, config=Config(resume_period_seconds=200)), trio.open_nursery() as nursery:
        raw = RawClient()
        async with raw.connected() as client:
            await client.opened.wait()
            session = await watcher.session()
            client.deliver = False
            nursery.start_soon(call, session)
            await client.hear()
        nursery.start_soon(call, session)  # detached: it waits without a number
        await trio.sleep(199)
        assert outcomes == []
        await trio.sleep(30)
        assert sorted(outcomes, key=str) == sorted(
            [(OutcomeUnknown, ResetReason.EXPIRED), (NotSent, ResetReason.EXPIRED)], key=str
        )
        await call(session)
        assert outcomes[2:] == [(NotSent, ResetReason.CLOSED)]


async def test_calls_that_wait_for_room_end_with_the_session(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    lost: list[type[Exception]] = []

    async def call(session: Session) -> None:
        try:
            await session.call("whatever", bytes(10_000))
        except (OutcomeUnknown, NotSent) as error:
            lost.append(type(error))

    config = Config(queue_bytes=65_536)
    async with serving(watcher.app, config=config), trio.open_nursery() as nursery:
        async with RawClient().connected() as client:
            await client.opened.wait()
            session = await watcher.session()
        for _ in range(20):
            nursery.start_soon(call, session)
        await trio.sleep(300)
        assert lost == [NotSent] * 20


async def test_what_a_server_called_before_it_restarted_answers_nothing_of_the_next_session(
    autojump_clock: MockClock,
) -> None:
    """Ids begin again at 1: an answer of the old session would be taken for another one's."""
    first, second = Watcher(), Watcher()
    ended: list[str] = []

    async def slow(name: str) -> str:
        try:
            await trio.sleep(40)
        finally:
            ended.append(name)
        return name

    async with FaultyNetwork() as network, trio.open_nursery() as nursery:

        async def stay() -> None:
            async with connect(URL, transport=network, procedures={"slow": slow}):
                await trio.sleep_forever()

        async def call() -> None:
            with pytest.raises(OutcomeUnknown):
                await (await first.session()).call("slow", "old")

        async with serving(first.app):
            nursery.start_soon(stay)
            nursery.start_soon(call)
            await trio.sleep(5)
        async with serving(second.app):
            session = await second.session()
            assert ended == ["old"]
            assert await session.call("slow", "new") == "new"
            nursery.cancel_scope.cancel()


async def test_calls_beyond_the_limit_of_the_client_are_answered_busy(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    results: list[object] = []

    async def rest() -> str:
        await trio.sleep(1)
        return "rested"

    async def call(session: Session) -> None:
        try:
            results.append(await session.call("rest"))
        except CallError as error:
            results.append(error.code)

    async with (
        serving(watcher.app),
        connect(URL, procedures={"rest": rest}, config=Config(calls_per_session=3)),
        trio.open_nursery() as nursery,
    ):
        session = await watcher.session()
        for _ in range(5):
            nursery.start_soon(call, session)
    assert sorted(results, key=str) == [ErrorCode.BUSY, ErrorCode.BUSY, "rested", "rested", "rested"]


async def test_answers_to_nothing_and_a_second_answer_are_ignored(autojump_clock: MockClock) -> None:
    watcher = Watcher()
    results: list[object] = []
    async with serving(watcher.app), RawClient().connected() as client, trio.open_nursery() as nursery:
        await client.opened.wait()
        client.say(Reply(1, b"\x01"), ErrorReply(2, 1, "", False, None))
        session = await watcher.session()

        async def call() -> None:
            results.append(await session.call("one"))

        nursery.start_soon(call)
        asked = await client.hear()
        assert isinstance(asked, Call)
        client.say(Reply(asked.id, b"\x02"), Reply(asked.id, b"\x03"), Cancel(99))
        await trio.sleep(1)
        assert results == [2]


async def test_a_handler_that_waits_for_a_client_that_leaves_is_cancelled_and_that_is_no_incident(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    watcher = Watcher()
    diary: list[str] = []

    async def wait(session: Session) -> None:
        try:
            await session.call("never")
        except trio.Cancelled:
            diary.append("cancelled")
            raise

    watcher.app.procedure("wait")(wait)

    @watcher.app.middleware
    async def ask(request: Request, proceed: Proceed) -> Any:
        if request.kind == "publish":
            await wait(request.session)
        return await proceed()

    async with serving(watcher.app):
        async with connect(URL, procedures={"never": trio.sleep_forever}) as client, trio.open_nursery() as nursery:
            nursery.start_soon(client.call, "wait")
            await client.submit("room:lobby", 1)
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await trio.sleep(1)
    # The call was cancelled by its caller, the publication with the session.
    assert diary == ["cancelled"] * 2
    assert caplog.records == []


# ---------------------------------------------------------------- nothing waits for anything


@pytest.mark.slow
async def test_an_authorizer_may_call_the_client_that_is_publishing(autojump_clock: MockClock) -> None:
    """The client pipelines as much as it likes: its answers do not stand behind its own publications (OPS-3)."""
    watcher = Watcher()
    asked = 0

    async def sign(channel: str) -> str:
        nonlocal asked
        asked += 1
        return channel

    rule = watcher.app.channel("signed:*", history=10)

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return bool(await session.call("sign", channel) == channel)

    fast = Config(messages_per_second=1e6, messages_burst=1_000_000)
    async with serving(watcher.app, config=fast), connect(URL, procedures={"sign": sign}) as client:
        with trio.fail_after(PATIENCE):
            receipts = [await client.submit("signed:room", number) for number in range(1_000)]
            offsets = [(await receipt.wait()).position.offset for receipt in receipts]
        assert offsets == list(range(1, 1_001))
        assert asked == 1_000
