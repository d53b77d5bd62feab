"""Clients that offer procedures to each other (SPEC AGT-1 to AGT-9, CAL-3 to CAL-5)."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import pytest
import trio
import trio.lowlevel

from hawser import (
    ASK,
    EVERYONE,
    NOBODY,
    App,
    CallError,
    CallRequest,
    Client,
    ClientPool,
    Config,
    ErrorCode,
    HawserError,
    Principal,
    Proceed,
    Request,
    RequestFailed,
    Session,
    SessionClosed,
    claims,
    connect,
    granted,
)
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine.agents import Offer, Offered, OfferedProcedure
from hawser_engine.calls import Call as CallMessage
from hawser_engine.calls import ErrorReply, Reply
from hawser_engine.messages import AGENTS
from hawser_transports import Transport, WebSocketTransport
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import PATIENCE, URL, RawClient, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trio.testing import MockClock

    from hawser import PooledClient

STORMY = Config(backoff_cap_seconds=1, resumes_per_minute=100_000)


async def search(query: str, *, limit: int = 10) -> str:
    """Find something."""
    return f"{limit} of {query}"


async def forever() -> None:
    await trio.sleep_forever()


def agent_app(balance: Literal["turns", "least"] = "turns") -> App:
    app = App()
    app.agent("*", open=True, balance=balance)
    return app


async def refused(client: Client, procedure: str, *arguments: object) -> tuple[int, bool]:
    with pytest.raises(CallError) as caught:
        await client.call(procedure, *arguments)
    return caught.value.code, caught.value.temporary


@asynccontextmanager
async def two_clients(app: App, url: str = URL, transport: Transport | None = None) -> AsyncGenerator[Any, None]:
    async with serving(app, url=url, transport=transport) as server:
        async with connect(server.url, transport=transport) as worker, connect(server.url, transport=transport) as one:
            yield worker, one


# ---------------------------------------------------------------- over every carriage


@pytest.mark.parametrize(("url", "transport"), [(URL, None), ("ws://127.0.0.1:0", WebSocketTransport())])
async def test_one_client_calls_what_another_offers(url: str, transport: Transport | None) -> None:
    async def fail(code: int) -> None:
        raise CallError(code, "as asked", temporary=True, data={"why": b"\xff"})

    with trio.fail_after(30):
        async with two_clients(agent_app(), url, transport) as (worker, client):
            async with worker.offer("researcher", search, fail):
                assert await client.call("researcher.search", "boats") == "10 of boats"
                assert await client.call("researcher.search", query="boats", limit=3) == "3 of boats"
                long = "x" * 100_000
                assert await client.call("researcher.search", long) == f"10 of {long}"
                with pytest.raises(CallError, match="as asked") as caught:
                    await client.call("researcher.fail", 123)
                error = caught.value
                assert (error.code, error.temporary, error.data) == (123, True, {"why": b"\xff"})
                assert await refused(client, "researcher.search") == (ErrorCode.BAD_REQUEST, False)
                assert await refused(client, "researcher.find") == (ErrorCode.NOT_FOUND, False)
            assert await refused(client, "researcher.search", "boats") == (ErrorCode.NOT_FOUND, False)


@pytest.mark.parametrize(
    ("procedure", "says"),
    [
        ("researcher.find", ": agent 'researcher' is here, and does not offer it"),
        ("reader.find", ": nobody offers agent 'reader' at this server, and calls do not go to others"),
        ("math.add", ", and no agent 'math'"),
        ("find", ""),
    ],
)
async def test_what_is_not_found_says_what_is_missing(procedure: str, says: str, autojump_clock: MockClock) -> None:
    app = App()
    app.agent("re*", open=True)
    async with two_clients(app) as (worker, client), worker.offer("researcher", search):
        with pytest.raises(CallError) as caught:
            await client.call(procedure)
    assert str(caught.value) == f"NOT_FOUND: no procedure {procedure!r}{says}"


@pytest.mark.parametrize(("url", "transport"), [(URL, None), ("ws://127.0.0.1:0", WebSocketTransport())])
async def test_cancelling_reaches_whoever_is_at_it(url: str, transport: Transport | None) -> None:
    begun, ended = trio.Event(), trio.Event()

    async def work() -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            ended.set()

    with trio.fail_after(30):
        async with two_clients(agent_app(), url, transport) as (worker, client), worker.offer("researcher", work):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(client.call, "researcher.work")
                await begun.wait()
                nursery.cancel_scope.cancel()
            await ended.wait()


# ---------------------------------------------------------------- deadlines, links, sessions


async def test_the_deadline_of_the_caller_is_kept_by_the_worker(autojump_clock: MockClock) -> None:
    ended: list[float] = []

    async def work() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with serving(agent_app()), connect(URL) as worker:
        await trio.sleep(7)
        async with connect(URL) as client, worker.offer("researcher", work):
            began = trio.current_time()
            with trio.move_on_after(5) as scope:
                await client.call("researcher.work")
            assert scope.cancelled_caught
            await trio.sleep(1)
            assert ended == [pytest.approx(began + 5, abs=0.002)]


@pytest.mark.slow
async def test_calls_between_clients_survive_all_their_links_and_none_runs_twice(autojump_clock: MockClock) -> None:
    """SPEC CAL-7: no answer is lost, none comes twice."""
    runs: Counter[int] = Counter()

    async def work(number: int) -> int:
        runs[number] += 1
        await trio.sleep(0.3)
        return -number

    async def call(client: Client, number: int) -> None:
        assert await client.call("researcher.work", number) == -number

    async with (
        serving(agent_app(), config=STORMY),
        FaultyNetwork(seed=5, delay_seconds=(0.0, 0.1)) as network,
        connect(URL, transport=network, config=STORMY) as worker,
        connect(URL, transport=network, config=STORMY) as client,
        worker.offer("researcher", work),
        trio.open_nursery() as storm,
    ):
        storm.start_soon(partial(network.storm, every_seconds=0.5, kinds=(CutKind.BOTH, CutKind.CLIENT)))
        with trio.fail_after(PATIENCE):
            for first in range(0, 60, 5):
                async with trio.open_nursery() as nursery:
                    for number in range(first, first + 5):
                        nursery.start_soon(call, client, number)
        assert network.cuts > 10
        storm.cancel_scope.cancel()
    assert runs == Counter(range(60))


async def begin_and_wait(began: trio.Event) -> None:
    began.set()
    await trio.sleep_forever()


async def seconds_until_lost(network: FaultyNetwork, worker: Client | PooledClient) -> float:
    """How long somebody waits for a worker that goes away, and stays away, while it works."""
    began = trio.Event()

    async def work() -> None:
        await begin_and_wait(began)

    async def go_away() -> None:
        await began.wait()
        network.refuse()
        await network.cut()

    async with connect(URL) as client, worker.offer("researcher", work), trio.open_nursery() as nursery:
        nursery.start_soon(go_away)
        now = trio.current_time()
        with pytest.raises(CallError, match="CALLEE_LOST: a worker of 'researcher' was detached for too long"):
            await client.call("researcher.work")
        network.refuse(False)
        return trio.current_time() - now


@pytest.mark.parametrize(
    ("options", "seconds"),
    [
        ({"agent": True}, 10),
        ({"agent": True, "wait": False}, 10),
        ({"agent": True, "config": Config(connect_seconds=20)}, 10),
        ({"agent": True, "config": Config(session_seconds=30)}, 30),
        ({"config": Config(session_seconds=5)}, 5),
        ({}, 120),
    ],
    ids=repr,
)
async def test_a_worker_that_stays_away_is_lost_when_its_resume_period_is_over(
    options: Any, seconds: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """SPEC CAL-5, AGT-9; who connects without a word of offering has opened a session like any other, and is told."""
    async with (
        serving(agent_app()),
        FaultyNetwork() as network,
        connect(URL, transport=network, **options) as worker,
    ):
        assert await seconds_until_lost(network, worker) == pytest.approx(seconds, abs=1)
    said = [record.getMessage() for record in caplog.records]
    waits = "whoever waits for the agent 'researcher' waits 120 s where it stays away"
    assert [one.partition(";")[0] for one in said if "researcher" in one] == ([] if options else [waits])


async def test_sessions_of_a_pool_may_be_those_of_agents(autojump_clock: MockClock) -> None:
    async with (
        serving(agent_app()),
        FaultyNetwork() as network,
        ClientPool(transport=network, agent=True) as pool,
        pool.client(URL) as worker,
    ):
        assert await seconds_until_lost(network, worker) == pytest.approx(10, abs=1)


@pytest.mark.parametrize(("offered", "seconds"), [("one of two", 10), ("nothing", 120)])
async def test_the_session_after_a_reset_is_that_of_an_agent_if_something_is_offered(
    offered: str, seconds: float, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """SPEC AGT-9: then the client knows it before it opens."""
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        workers: list[Client] = []

        async def offer() -> None:
            async with connect(URL, transport=network, config=STORMY) as worker, AsyncExitStack() as first:
                await first.enter_async_context(worker.offer("author", forever))
                async with worker.offer("editor", forever):
                    pass
                if offered == "nothing":
                    await first.aclose()
                workers.append(worker)
                await trio.sleep_forever()

        async with serving(agent_app()):
            nursery.start_soon(offer)
            await trio.sleep(1)
        async with serving(agent_app()):
            await trio.sleep(20)
            assert await seconds_until_lost(network, workers[0]) == pytest.approx(seconds, abs=1)
        nursery.cancel_scope.cancel()
    assert caplog.text.count("agent=True") == 1  # a client is told once


async def test_a_worker_that_closes_is_lost_at_once(autojump_clock: MockClock) -> None:
    """SPEC CAL-5."""
    async with serving(agent_app()), connect(URL) as client, trio.open_nursery() as nursery:
        async with connect(URL) as worker, worker.offer("researcher", forever) as offering:
            outcomes: list[object] = []

            async def call() -> None:
                outcomes.append(await refused(client, "researcher.forever"))

            nursery.start_soon(call)
            await trio.sleep(1)
            now = trio.current_time()
            await worker.aclose()
            with pytest.raises(SessionClosed):
                await offering.wait()
            await trio.sleep(0.1)
            assert outcomes == [(ErrorCode.CALLEE_LOST, False)]
            assert trio.current_time() - now < 1


async def test_a_client_that_is_reset_offers_again_what_it_had_offered(autojump_clock: MockClock) -> None:
    """A new session is another worker: what ran for the old one is cancelled, and runs nowhere twice."""
    runs: list[str] = []

    async def work(name: str) -> str:
        runs.append(name)
        await trio.sleep(30 if name == "slow" else 0)
        return name

    async with FaultyNetwork() as network, trio.open_nursery() as nursery:

        async def offer() -> None:
            async with connect(URL, transport=network, config=STORMY) as worker, worker.offer("researcher", work):
                await trio.sleep_forever()

        async with serving(agent_app()):
            nursery.start_soon(offer)
            async with connect(URL) as client, trio.open_nursery() as calling:
                await trio.sleep(1)
                calling.start_soon(client.call, "researcher.work", "slow")
                await trio.sleep(1)
                calling.cancel_scope.cancel()
        async with serving(agent_app()), connect(URL) as client:
            await trio.sleep(20)
            assert await client.call("researcher.work", "quick") == "quick"
        nursery.cancel_scope.cancel()
    assert runs == ["slow", "quick"]


async def test_a_worker_that_is_started_again_under_its_name_takes_its_place_at_once(autojump_clock: MockClock) -> None:
    """SPEC AGT-7."""
    ends: list[object] = []

    async def work() -> str:
        if not ends:
            ends.append("begun")
            try:
                await trio.sleep_forever()
            finally:
                ends.append("cancelled")
        return "done"

    async def call(client: Client) -> None:
        ends.append(await refused(client, "researcher.work"))

    async with (
        serving(agent_app()),
        connect(URL) as old,
        connect(URL) as new,
        connect(URL) as client,
        old.offer("researcher", work, worker="one") as first,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(call, client)
        await trio.sleep(1)
        async with new.offer("researcher", work, worker="one"):
            with pytest.raises(RequestFailed) as caught:
                await first.wait()
            assert caught.value.code == ErrorCode.TAKEN_OVER
            await trio.sleep(1)
            assert sorted(ends, key=str) == sorted(["begun", "cancelled", (ErrorCode.CALLEE_LOST, False)], key=str)
            assert await client.call("researcher.work") == "done"


async def test_calls_that_were_not_sent_go_to_another_worker(autojump_clock: MockClock) -> None:
    """SPEC AGT-5: the first had left; of the others one was queued, and the rest waited for room."""
    outcomes: dict[str, object] = {}

    async def work(name: str) -> str:
        return f"other: {name}"

    async def call(client: Client, name: str) -> None:
        try:
            outcomes[name] = await client.call("researcher.work", name)
        except CallError as error:
            outcomes[name] = (error.code, error.temporary)

    config = Config(window_messages=1, queue_messages=1)
    async with serving(agent_app(), config=config), connect(URL) as client, trio.open_nursery() as nursery:
        async with RawClient(features=(AGENTS,)).connected() as raw:
            await raw.opened.wait()
            raw.say(Offer(1, "researcher", None, b"", (OfferedProcedure("work", b""),)))
            await raw.hear()
            await trio.sleep(5)
            raw.deliver = False
            for name in "abcd":
                nursery.start_soon(call, client, name)
                await trio.sleep(1)
            assert isinstance(await raw.hear(), CallMessage)
            async with connect(URL) as worker, worker.offer("researcher", work):
                await trio.sleep(1)
                assert outcomes == {}
                raw.engine.close(trio.current_time())
                raw.flush()
                await trio.sleep(1)
    assert outcomes == {"a": (ErrorCode.CALLEE_LOST, False)} | {name: f"other: {name}" for name in "bcd"}


# ---------------------------------------------------------------- leaving


async def test_leaving_an_offer_lets_what_runs_finish(autojump_clock: MockClock) -> None:
    results: list[object] = []
    begun = trio.Event()

    async def work() -> str:
        begun.set()
        await trio.sleep(5)
        return "done"

    async def call(client: Client) -> None:
        results.append(await client.call("researcher.work"))

    async with two_clients(agent_app()) as (worker, client), trio.open_nursery() as nursery:
        async with worker.offer("researcher", work):
            nursery.start_soon(call, client)
            await begun.wait()
            now = trio.current_time()
        assert trio.current_time() - now == pytest.approx(5, abs=0.1)
        await trio.sleep(0.1)
        assert results == ["done"]
        assert await refused(client, "researcher.work") == (ErrorCode.NOT_FOUND, False)


async def test_leaving_it_by_an_exception_cancels_what_runs_before_the_block_is_over(autojump_clock: MockClock) -> None:
    told: list[object] = []
    begun = trio.Event()

    async def work() -> None:
        begun.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            told.append("ended")

    async def call(client: Client) -> None:
        told.append(await refused(client, "researcher.work"))

    async with two_clients(agent_app()) as (worker, client), trio.open_nursery() as nursery:
        with pytest.raises(ZeroDivisionError):  # noqa: PT012
            async with worker.offer("researcher", work):
                nursery.start_soon(call, client)
                await begun.wait()
                raise ZeroDivisionError
        assert told == ["ended"]
        async with worker.offer("researcher", search):  # its WITHDRAW comes first
            assert await client.call("researcher.search", "x") == "10 of x"
        assert told == ["ended", (ErrorCode.CALLEE_LOST, False)]


async def test_an_offer_that_is_cancelled_anywhere_leaves_nothing(autojump_clock: MockClock) -> None:
    async with serving(agent_app()) as server, connect(URL) as worker:
        registry: Any = server._node.router._agents  # pyright: ignore[reportPrivateUsage]
        dialogue: Any = worker._dialogue  # pyright: ignore[reportPrivateUsage]

        async def offer() -> None:
            async with worker.offer("researcher", search):
                await trio.lowlevel.checkpoint()

        for number in range(60):
            cancelled = await cancel_at_checkpoint(offer, number)
            await trio.sleep(1)
            left = (registry._workers, registry._offered, dialogue.offer._procedures, dialogue.offers._offers)
            assert not any(left)
            assert not dialogue.offers._leaving
            assert dialogue.operations.unanswered == 0
            if not cancelled:
                break
        else:
            raise AssertionError("it is always cancelled")
        assert number >= 3


async def test_without_a_link_leaving_waits_and_may_be_cancelled(autojump_clock: MockClock) -> None:
    async with (
        serving(agent_app()),
        FaultyNetwork() as network,
        connect(URL, transport=network) as worker,
        connect(URL) as client,
    ):
        network.refuse()
        with trio.move_on_after(5) as patience:
            async with worker.offer("researcher", search):
                await network.cut()
        assert patience.cancelled_caught
        network.refuse(False)
        await trio.sleep(60)
        assert await refused(client, "researcher.search", "x") == (ErrorCode.NOT_FOUND, False)


# ---------------------------------------------------------------- what is refused


async def test_what_cannot_be_offered_is_refused_at_once(autojump_clock: MockClock) -> None:
    async def long() -> None: ...

    long.__name__ = "x" * 128

    async def wordy(**named: int) -> None: ...

    wordy.__annotations__["named"] = Literal["x" * 5_000]

    async with serving(agent_app()), connect(URL) as client:
        refusals: list[tuple[tuple[Any, ...], str]] = [
            (("a.b", search), "no full stop"),
            (("x" * 128, search), "127 bytes"),
            (("", search), "1 to 255 bytes"),
            (("a",), "1 to 128 procedures"),
            (("a", search, search), "offered twice"),
            (("a", long), "127 bytes"),
            (("a", wordy), "4096 are allowed"),
        ]
        for arguments, message in refusals:
            with pytest.raises(ValueError, match=message):
                client.offer(*arguments)
        with pytest.raises(ValueError, match="worker"):
            client.offer("a", search, worker="")
        not_async: Any = len
        with pytest.raises(TypeError, match="async"):
            client.offer("a", not_async)
        async with client.offer("a", search) as offering:
            with pytest.raises(RuntimeError, match="offers 'a' already"):
                async with client.offer("a", forever):
                    pass
            with pytest.raises(RuntimeError, match="only once"):
                await offering.__aenter__()
        client.procedure("b.search")(search)
        with pytest.raises(ValueError, match="already registered"):
            async with client.offer("b", search):
                pass


async def test_the_application_says_who_offers_and_who_calls(autojump_clock: MockClock) -> None:
    """SPEC AGT-6: checked again when there are new credentials."""
    app = App()
    closed = app.agent("closed")
    app.agent("nobody")
    asked: list[tuple[str, str, str]] = []

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal("ada", credentials)

    @closed.authorize
    async def authorize(session: Session, action: str, agent: str) -> bool:
        asked.append((session.principal.attributes["token"], action, agent))
        return session.principal.attributes["token"] in ("good", action)

    async with serving(app), connect(URL, token="good") as worker, connect(URL, token="call") as client:
        for one, agent, code in ((client, "closed", ErrorCode.DENIED), (worker, "nobody", ErrorCode.DENIED)):
            with pytest.raises(RequestFailed) as caught:
                async with one.offer(agent, search):
                    pass
            assert caught.value.code == code
        with pytest.raises(RequestFailed) as caught:
            async with worker.offer("unknown", search):
                pass
        assert caught.value.code == ErrorCode.NOT_FOUND
        async with worker.offer("closed", search) as offering:
            assert await client.call("closed.search", "x") == "10 of x"
            await worker.authenticate(token="offer")
            assert await client.call("closed.search", "x") == "10 of x"
            assert await refused(worker, "closed.search", "x") == (ErrorCode.DENIED, False)
            await worker.authenticate(token="bad")
            with pytest.raises(RequestFailed) as caught:
                await offering.wait()
            assert caught.value.code == ErrorCode.DENIED
            assert await refused(client, "closed.search", "x") == (ErrorCode.NOT_FOUND, False)
    assert asked[:3] == [("call", "offer", "closed"), ("good", "offer", "closed"), ("call", "call", "closed")]


async def test_what_is_declared_of_an_agent_is_judged_without_asking(autojump_clock: MockClock) -> None:
    """SPEC AGT-6."""
    app = App()
    app.agent("declared", offer=claims('role == "worker"'), call=EVERYONE, open=False)
    app.agent("named", offer=granted("agents"), call=NOBODY, open=True)
    asked = app.agent("asked", offer=ASK, call=EVERYONE)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal("ada", credentials)

    @asked.authorize
    async def authorize(session: Session, action: str, agent: str) -> bool:
        return action == "offer"

    trusted = {"role": "worker", "agents": {"named": ["offer"]}}
    async with (
        serving(app),
        connect(URL, credentials=trusted) as worker,
        connect(URL, credentials={"agents": {"named": ["call"]}}) as client,
    ):
        for agent, code in (("declared", None), ("named", ErrorCode.DENIED), ("asked", None)):
            async with worker.offer(agent, search):
                if code is None:
                    assert await client.call(f"{agent}.search", "x") == "10 of x"
                else:
                    assert await refused(client, f"{agent}.search", "x") == (code, False)
        for agent in ("declared", "named"):
            with pytest.raises(RequestFailed) as caught:
                async with client.offer(agent, search):
                    pass
            assert caught.value.code == ErrorCode.DENIED


async def test_a_server_that_knows_no_agents_is_asked_for_nothing(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SPEC VER-6."""
    monkeypatch.setattr("hawser.server.node.FEATURES", ())
    async with serving(agent_app()), connect(URL) as worker:
        with pytest.raises(RequestFailed, match="knows no agents"):
            async with worker.offer("researcher", search):
                pass
        assert await refused(worker, "researcher.search") == (ErrorCode.NOT_FOUND, False)


async def test_an_offer_that_the_server_takes_for_too_long_is_refused(autojump_clock: MockClock) -> None:
    async def wordy(**named: int) -> None: ...

    wordy.__annotations__["named"] = Literal["x" * 3_000]
    async with serving(agent_app(), config=Config(message_bytes=2_000)), connect(URL) as worker:
        with pytest.raises(HawserError, match="2000"):
            async with worker.offer("researcher", wordy):
                pass
        assert await refused(worker, "researcher.wordy") == (ErrorCode.NOT_FOUND, False)


def test_agents_are_declared_once_and_rights_given_once() -> None:
    app = App()
    rule = app.agent("team-*")
    exact = app.agent("team-a")
    assert [one.pattern for one in app.agent_rules] == ["team-a", "team-*"]
    assert exact.matches("team-a")
    assert not exact.matches("team-ab")
    with pytest.raises(ValueError, match="already declared"):
        app.agent("team-*")
    with pytest.raises(ValueError, match="only at the end"):
        app.agent("*-team")

    @rule.authorize
    async def authorize(session: Session, action: str, agent: str) -> bool:
        return True

    with pytest.raises(ValueError, match="already have an authorize handler"):
        rule.authorize(authorize)


def test_there_are_two_ways_to_balance() -> None:
    wrong: Any = "dice"
    with pytest.raises(ValueError, match="'turns' or 'least'"):
        App().agent("x", balance=wrong)
    assert App().agent("x", balance="least").balance == "least"


# ---------------------------------------------------------------- several, and what is around


@pytest.mark.slow
async def test_several_workers_share_an_agent(autojump_clock: MockClock) -> None:
    """SPEC AGT-4."""
    calls: dict[Literal["turns", "least"], list[int]] = {"turns": [0, 0, 0], "least": [0, 0, 0]}
    for balance, counts in calls.items():
        async with serving(agent_app(balance=balance)), connect(URL) as client:
            async with connect(URL) as one, connect(URL) as two, connect(URL) as three:

                def working(number: int, counts: list[int]) -> Any:
                    async def work(seconds: float) -> None:
                        counts[number] += 1
                        await trio.sleep(seconds if number == 0 else 0)

                    return work

                async with (
                    one.offer("a", working(0, counts)),
                    two.offer("a", working(1, counts)),
                    three.offer("a", working(2, counts)),
                    trio.open_nursery() as nursery,
                ):
                    for _ in range(12):
                        nursery.start_soon(client.call, "a.work", 20)
                        await trio.sleep(1)
    assert calls == {"turns": [4, 4, 4], "least": [1, 6, 5]}


async def test_middleware_is_around_a_call_once_and_on_the_side_of_the_caller(autojump_clock: MockClock) -> None:
    app = agent_app()
    seen: list[Any] = []

    @app.middleware
    async def watch(request: Request, proceed: Proceed) -> Any:
        if request.kind == "offer":
            return await proceed()
        assert isinstance(request, CallRequest)
        seen.append((request.procedure, request.arguments))
        try:
            if request.arguments == ("change",):
                return await proceed(request.with_arguments("c"))
            result = await proceed()
        except CallError as error:
            seen.append((error.code, error.data))
            raise
        seen.append(result)
        return result

    async with two_clients(app) as (worker, client), worker.offer("researcher", search):
        assert await client.call("researcher.search", "boats") == "10 of boats"
        assert await client.call("researcher.search", "change") == "10 of c"
        assert await refused(client, "researcher.search") == (ErrorCode.BAD_REQUEST, False)
        assert await refused(client, "researcher.search", bytes(70_000)) == (ErrorCode.TOO_LARGE, False)
    assert seen == [
        ("researcher.search", ("boats",)),
        "10 of boats",
        ("researcher.search", ("change",)),
        ("researcher.search", ()),
        (ErrorCode.BAD_REQUEST, None),
    ]


@pytest.mark.parametrize("middleware", [False, True])
async def test_an_encoding_of_the_two_clients_own_passes_unread(autojump_clock: MockClock, middleware: bool) -> None:
    """SPEC AGT-3; middleware has to read the arguments, but not the answer."""
    app = agent_app()
    if middleware:

        @app.middleware
        async def watch(request: Request, proceed: Proceed) -> Any:
            return await proceed()

    async with serving(app), RawClient(features=(AGENTS,)).connected() as raw, trio.open_nursery() as nursery:
        await raw.opened.wait()
        raw.say(Offer(1, "researcher", None, b"", (OfferedProcedure("work", b""),)))
        assert isinstance(await raw.hear(), Offered)
        caller = RawClient()
        async with caller.connected():
            await caller.opened.wait()
            arguments = b"\x80" if middleware else b"\xff"
            caller.say(CallMessage(1, "researcher.work", arguments, None))
            assert await raw.hear() == CallMessage(1, "researcher.work", arguments, None)
            raw.say(Reply(1, b"\xff\xfe"))
            assert await caller.hear() == Reply(1, b"\xff\xfe")
            caller.say(CallMessage(2, "researcher.work", arguments, None))
            await raw.hear()
            raw.say(ErrorReply(2, 150, "x" * 5_000, True, b"\xff"))
            answer = await caller.hear()
            assert isinstance(answer, ErrorReply)
            assert (answer.id, answer.code, len(answer.message), answer.temporary) == (2, 150, 1_024, True)
        nursery.cancel_scope.cancel()


async def test_the_application_may_call_a_worker_itself(autojump_clock: MockClock) -> None:
    app = agent_app()
    sessions: list[Session] = []

    @app.on_connect
    async def arrived(session: Session) -> None:
        sessions.append(session)

    async with serving(app), connect(URL) as worker, worker.offer("researcher", search):
        assert await sessions[0].call("researcher.search", "x") == "10 of x"
