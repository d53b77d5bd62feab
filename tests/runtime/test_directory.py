"""Who offers what, and who of them is there (SPEC AGT-10 to AGT-14)."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    AgentWorker,
    App,
    CallError,
    Client,
    Config,
    Directory,
    ErrorCode,
    Principal,
    Proceed,
    Request,
    RequestFailed,
    Session,
    connect,
    serve,
)
from hawser.agents import DIRECTORY
from hawser.app import DIRECTORY_HISTORY
from hawser.brokers import BrokerUnavailable, MemoryBroker
from hawser.client.directory import read_worker
from hawser.testing import FaultyNetwork
from hawser_transports import WebSocketTransport
from tests.runtime.helpers import PATIENCE, URL, serving
from tests.runtime.many import Service

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trio.testing import MockClock

    from hawser_transports import Transport


async def search(query: str) -> list[str]:
    """Find pages."""
    return [query]


async def write(text: str) -> None:
    """Write one."""


def open_app(**rest: Any) -> App:
    app = App(**rest)
    app.agent("*", open=True)
    app.directory()
    return app


def shown(workers: list[AgentWorker]) -> list[tuple[str, str | None, bool]]:
    return [(one.agent, one.worker, one.live) for one in workers]


async def until(directory: Directory, expected: list[tuple[str, str | None, bool]]) -> None:
    """Follow the changes to this one."""
    with trio.fail_after(PATIENCE):
        async for workers in directory:
            if shown(workers) == expected:
                return


@pytest.mark.parametrize(("url", "transport"), [(URL, None), ("ws://127.0.0.1:0", WebSocketTransport())])
async def test_who_is_there_is_told_with_what_can_be_called(url: str, transport: Transport | None) -> None:
    with trio.fail_after(30):
        at_once = Config(presence_step_seconds=0)
        async with serving(open_app(), config=at_once, url=url, transport=transport) as server:
            async with (
                connect(server.url, transport=transport) as one,
                connect(server.url, transport=transport) as other,
                connect(server.url, transport=transport) as client,
                client.watch_agents() as directory,
            ):
                assert await client.agents() == directory.workers == []
                assert await anext(directory) == []
                async with one.offer("researcher", search, worker="w", doc="It finds.", capabilities=["web"]):
                    [worker] = await anext(directory)
                    assert [worker] == await client.agents() == directory.workers
                    assert (worker.agent, worker.worker, worker.live) == ("researcher", "w", True)
                    assert (worker.doc, worker.capabilities) == ("It finds.", ("web",))
                    assert worker.procedures == {
                        "search": {
                            "doc": "Find pages.",
                            "parameters": [{"name": "query", "required": True, "type": "str"}],
                            "returns": "list[str]",
                        }
                    }
                    async with other.offer("author", write):
                        assert shown(await anext(directory)) == [("author", None, True), ("researcher", "w", True)]
                    assert shown(await anext(directory)) == [("researcher", "w", True)]
                assert await anext(directory) == []


async def test_it_tells_who_is_away_and_who_is_lost(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app(), config=Config(leave_grace_seconds=2)),
        FaultyNetwork() as network,
        connect(URL, transport=network, config=Config(session_seconds=10)) as worker,
        connect(URL) as client,
        client.watch_agents() as directory,
        worker.offer("researcher", search),
    ):
        await until(directory, [("researcher", None, True)])
        network.refuse()  # or it may be back before anybody asks
        await network.cut()
        assert shown(await anext(directory)) == [("researcher", None, False)]
        assert shown(await client.agents()) == [("researcher", None, False)]
        network.refuse(False)
        assert shown(await anext(directory)) == [("researcher", None, True)]
        network.refuse()
        await network.cut()
        assert shown(await anext(directory)) == [("researcher", None, False)]
        assert await anext(directory) == []
        network.refuse(False)
        await until(directory, [("researcher", None, True)])


async def test_a_worker_that_takes_its_own_place_is_shown_once(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        connect(URL) as old,
        connect(URL) as new,
        connect(URL) as client,
        client.watch_agents() as directory,
        old.offer("researcher", search, worker="one"),
        new.offer("researcher", search, worker="one"),
    ):
        with trio.fail_after(PATIENCE):
            lists = [[one.id for one in await anext(directory)] for _ in range(3)]
        assert lists == [[], [1], [2]]
        assert [one.id for one in await client.agents()] == [2]


async def test_a_watcher_sees_the_present_through_restarts_and_long_absence(autojump_clock: MockClock) -> None:
    """Another server begins another list; a watcher who was away for longer than history reads it anew."""
    async with FaultyNetwork() as network, trio.open_nursery() as nursery:
        seen: list[list[tuple[str, str | None, bool]]] = []

        async def watch() -> None:
            async with connect(URL, transport=network) as client, client.watch_agents() as directory:
                async for workers in directory:
                    seen.append(shown(workers))  # noqa: PERF401

        async with serving(open_app()), connect(URL) as worker:
            nursery.start_soon(watch)
            async with worker.offer("first", search):
                await trio.sleep(1)
                network.refuse()
                await network.cut()
                for _ in range(DIRECTORY_HISTORY):
                    async with worker.offer("busy", search):
                        await trio.sleep(1)
                network.refuse(False)
                await trio.sleep(60)
                assert seen[-1] == [("first", None, True)]
                before = len(seen)
        async with serving(open_app()), connect(URL) as worker, worker.offer("second", search):
            await trio.sleep(60)
            assert seen[-1] == [("second", None, True)]
            assert len(seen) > before
        nursery.cancel_scope.cancel()


async def test_what_another_server_has_told_is_over_where_the_channel_outlives_it(autojump_clock: MockClock) -> None:
    """SPEC AGT-14: nothing of the channel is lost to the watcher, but those workers are gone."""
    app = open_app()
    async with FaultyNetwork() as network, FaultyNetwork() as other, trio.open_nursery() as nursery:
        seen: list[list[tuple[str, str | None, bool]]] = []

        async def watch() -> None:
            async with connect(URL, transport=network) as client, client.watch_agents() as directory:
                async for workers in directory:
                    seen.append(shown(workers))  # noqa: PERF401

        async def offer_for_ever() -> None:
            async with connect(URL, transport=other) as worker, worker.offer("first", search):
                await trio.sleep_forever()

        async with serving(app):
            nursery.start_soon(watch)
            nursery.start_soon(offer_for_ever)
            await trio.sleep(1)
            assert seen[-1] == [("first", None, True)]
            other.refuse()
        async with serving(app), connect(URL) as client:
            await trio.sleep(60)
            assert seen[-1] == []
            assert await client.agents() == []
            async with client.offer("second", search):
                await trio.sleep(1)
                assert seen[-1] == [("second", None, True)]
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def counting(client: Client) -> AsyncGenerator[list[list[Any]]]:
    """Everything that is published of the directory meanwhile."""
    heard: list[list[Any]] = []

    async def listen(*, task_status: trio.TaskStatus[None]) -> None:
        async with client.subscribe(DIRECTORY) as messages:
            task_status.started()
            async for message in messages:
                heard.append(message.data)  # noqa: PERF401

    async with trio.open_nursery() as nursery:
        await nursery.start(listen)
        yield heard
        nursery.cancel_scope.cancel()


def two_servers(*, same_app: bool) -> Service:
    service = Service(2)
    for app in service.apps:
        app.directory()
    if same_app:
        service.apps = service.apps[:1] * 2
    return service


@pytest.mark.parametrize("same_app", [False, True])
async def test_of_two_servers_each_shows_its_own(autojump_clock: MockClock, same_app: bool) -> None:
    """SPEC AGT-12, AGT-14: though they share the channel, and count offers and versions alike."""
    service = two_servers(same_app=same_app)
    seen: list[list[list[str]]] = [[], []]

    async def watch(client: Client, place: int) -> None:
        async with client.watch_agents() as directory:
            async for workers in directory:
                seen[place].append([one.agent for one in workers])

    async def shown_now(*clients: Client) -> list[list[str]]:
        await trio.sleep(2)
        listed = [[one.agent for one in await client.agents()] for client in clients]
        assert listed == [each[-1] for each in seen[: len(clients)]]
        return listed

    async with service.up() as _, trio.open_nursery() as nursery:
        async with (
            service.connect("ada", 0) as here,
            service.connect("bob", 0) as first,
            service.connect("ada", 1) as there,
            service.connect("bob", 1) as second,
        ):
            nursery.start_soon(watch, here, 0)
            assert await shown_now(here) == [[]]
            async with first.offer("alpha", search):
                assert await shown_now(here) == [["alpha"]]
                nursery.start_soon(watch, there, 1)
                assert await shown_now(here, there) == [["alpha"], []]
                async with second.offer("beta", search), first.offer("gamma", search):
                    assert await shown_now(here, there) == [["alpha", "gamma"], ["beta"]]
                    for caller, name in ((here, "beta.search"), (there, "alpha.search")):
                        with pytest.raises(CallError, match="at this server") as caught:
                            await caller.call(name, "x")
                        assert caught.value.code == ErrorCode.NOT_FOUND
                    assert await here.call("gamma.search", "x") == ["x"]
                assert await shown_now(here, there) == [["alpha"], []]
            nursery.cancel_scope.cancel()
    assert seen == [[[], ["alpha"], ["alpha", "gamma"], ["alpha"]], [[], ["beta"], []]]


async def test_a_server_that_comes_or_goes_changes_nothing_at_another(autojump_clock: MockClock) -> None:
    app = open_app()
    async with (
        serving(app, url="memory://stays"),
        connect("memory://stays") as worker,
        connect("memory://stays") as client,
        client.watch_agents() as directory,
        worker.offer("alpha", search),
    ):
        await until(directory, [("alpha", None, True)])
        async with serving(app, url="memory://passes"), connect("memory://passes") as guest:
            async with guest.offer("beta", search):
                await trio.sleep(3)
        with trio.move_on_after(30):
            pytest.fail(f"{await anext(directory)}")
        assert shown(await client.agents()) == [("alpha", None, True)]


async def test_a_watcher_that_is_sent_to_another_server_goes_on_with_its_list(autojump_clock: MockClock) -> None:
    """SPEC AGT-14: though nobody tells anything there, and nothing of the channel is lost."""
    app = open_app()
    async with serving(app, url="memory://next"), connect("memory://next") as other, trio.open_nursery() as nursery:
        async with other.offer("beta", search):
            server = await nursery.start(serve, app, "memory://first")
            await trio.sleep(5)
            async with (
                connect("memory://first", hosts=["next"]) as client,
                client.watch_agents() as directory,
                connect("memory://first") as worker,
            ):
                await worker._dialogue.arrived.wait()  # pyright: ignore[reportPrivateUsage]
                nursery.start_soon(offer_until_it_ends, worker)
                await until(directory, [("alpha", None, True)])
                await server.drain(url="memory://next")
                await until(directory, [("beta", None, True)])
                async with other.offer("gamma", search):
                    await until(directory, [("beta", None, True), ("gamma", None, True)])
                nursery.cancel_scope.cancel()


async def offer_until_it_ends(client: Client) -> None:
    async with client.offer("alpha", search):
        await trio.sleep_forever()


async def test_offers_in_a_loop_are_told_once_a_second(autojump_clock: MockClock) -> None:
    """SPEC AGT-13, AGT-15: of 328 offers a watcher hears 22 changes."""
    async with serving(open_app()), connect(URL) as worker, connect(URL) as client, counting(client) as heard:
        began, offers = trio.current_time(), 0
        while trio.current_time() < began + 10:
            async with worker.offer("busy", search):
                offers += 1
        await trio.sleep(2)
        assert 128 <= offers <= 128 + 20 * 10 + 1
        assert 2 <= len(heard) <= 11
        assert all(len(changes) <= 2 for _, _, changes in heard)
        assert [version for _, version, _ in heard] == list(range(1, len(heard) + 1))
        assert await client.agents() == []


async def test_a_link_that_flaps_is_not_told_and_the_list_is_exact(autojump_clock: MockClock) -> None:
    """SPEC AGT-11, AGT-13."""
    async with (
        serving(open_app(), config=Config(leave_grace_seconds=60)),
        FaultyNetwork() as network,
        connect(URL, transport=network) as worker,
        connect(URL) as client,
        worker.offer("researcher", search),
    ):
        await trio.sleep(2)
        async with counting(client) as heard:
            for _ in range(5):
                network.refuse()
                await network.cut()
                await trio.sleep(0.1)
                assert heard == []
                network.refuse(False)
                await trio.sleep(6)
            network.refuse()
            await network.cut()
            await trio.sleep(1)
            assert shown(await client.agents()) == [("researcher", None, False)]
            network.refuse(False)
            await trio.sleep(50)
        # A list has shown that it was away, so that it is back is told to whoever began with that.
        assert [[change[2] for change in changes] for _, _, changes in heard] == [[1]]


async def test_who_begins_while_a_worker_is_away_for_a_moment_is_told_that_it_is_back(
    autojump_clock: MockClock,
) -> None:
    async with (
        serving(open_app()),
        FaultyNetwork() as network,
        connect(URL, transport=network) as worker,
        connect(URL) as client,
        worker.offer("researcher", search),
    ):
        await trio.sleep(2)
        network.refuse()
        await network.cut()
        await trio.sleep(1)
        async with client.watch_agents() as directory:
            assert shown(await anext(directory)) == [("researcher", None, False)]
            network.refuse(False)
            with trio.fail_after(PATIENCE):
                assert shown(await anext(directory)) == [("researcher", None, True)]


@pytest.mark.parametrize(
    ("count", "doc", "told"), [(16, "", [1, 15]), (208, "", [1, 128, 79]), (16, "x" * 4_000, [1, 7, 7, 1])]
)
async def test_what_is_too_much_for_one_publication_is_several(
    autojump_clock: MockClock, count: int, doc: str, told: list[int]
) -> None:
    async with (
        serving(open_app()),
        connect(URL) as client,
        client.watch_agents() as directory,
        connect(URL) as other,
        counting(other) as heard,
        AsyncExitStack() as stack,
    ):
        workers = [await stack.enter_async_context(connect(URL)) for _ in range(0, count, 16)]
        began = trio.current_time()
        for number in range(count):
            await stack.enter_async_context(workers[number // 16].offer(f"agent {number:03}", search, doc=doc))
        assert trio.current_time() < began + 1
        await until(directory, [(f"agent {number:03}", None, True) for number in range(count)])
        await trio.sleep(1)
        assert [len(changes) for _, _, changes in heard] == told


async def test_a_list_that_has_to_be_read_anew_is_read_though_the_iteration_was_given_up(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    hold = trio.Event()
    hold.set()

    @app.middleware
    async def wait(request: Request, proceed: Proceed) -> Any:
        if request.kind == "call":
            await hold.wait()
        return await proceed()

    async with FaultyNetwork() as network, connect(URL, transport=network, wait=False) as client:
        async with serving(app), connect(URL) as worker, worker.offer("first", search):
            directory = client.watch_agents()
            await directory.__aenter__()
            await until(directory, [("first", None, True)])
            network.refuse()
            hold = trio.Event()
        async with serving(app), connect(URL) as worker, worker.offer("second", search):
            network.refuse(False)
            with trio.move_on_after(60) as patience:
                await anext(directory)
            assert patience.cancelled_caught
            hold.set()
            await until(directory, [("second", None, True)])
            await directory.__aexit__(None, None, None)


async def test_the_application_says_who_sees_it(autojump_clock: MockClock) -> None:
    app = App()

    async def may_see(session: Session) -> bool:
        return session.principal.id == "good"

    app.directory(may_see)
    with pytest.raises(ValueError, match="already declared"):
        app.directory()
    not_async: Any = len
    with pytest.raises(TypeError, match="async"):
        App().directory(not_async)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"])

    async with serving(app), connect(URL, token="good") as good, connect(URL, token="bad") as bad:
        assert await good.agents() == []
        with pytest.raises(CallError) as caught:
            await bad.agents()
        assert caught.value.code == ErrorCode.DENIED
        with pytest.raises(RequestFailed) as refused:
            async with bad.watch_agents():
                pass
        assert refused.value.code == ErrorCode.DENIED
        with pytest.raises(RequestFailed) as refused:
            await good.publish(DIRECTORY, [b"12345678", 9, [[9, "x", 0]]])
        assert refused.value.code == ErrorCode.DENIED
    async with serving(App()), connect(URL) as client:
        with pytest.raises(CallError) as caught:
            await client.agents()
        assert caught.value.code == ErrorCode.NOT_FOUND


async def test_who_a_worker_is_is_what_the_server_has_recognised(autojump_clock: MockClock) -> None:
    """SPEC AGT-11, AGT-12: whatever it calls itself; in the list, and in what changes."""
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"])

    async with serving(app), connect(URL, token="ada") as ada, connect(URL, token="bob") as bob:
        async with ada.offer("clerk", search, worker="bob"), bob.watch_agents() as directory:
            assert [(one.worker, one.user) for one in await anext(directory)] == [("bob", "ada")]
            async with bob.offer("clerk", search, worker="bob"):
                assert [(one.worker, one.user) for one in await anext(directory)] == [("bob", "ada"), ("bob", "bob")]


async def test_a_list_that_cannot_be_had_ends_the_subscription_too(autojump_clock: MockClock) -> None:
    app = App()
    app.channel(DIRECTORY, open=True)
    async with serving(app), connect(URL) as client:
        for _ in range(2):
            with pytest.raises(CallError):
                async with client.watch_agents():
                    pass


class HaltingBroker(MemoryBroker):
    """A broker that fails for a while."""

    failures = 3

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self._error = error

    async def publish(self, *arguments: Any, **named: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise self._error
        return await super().publish(*arguments, **named)


@pytest.mark.parametrize("error", [ConnectionError("not now"), BrokerUnavailable("it has said so")])
async def test_a_change_waits_for_a_broker_that_fails(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    broker = HaltingBroker(error)
    async with (
        serving(open_app(broker=broker)),
        connect(URL, agent=True) as worker,
        connect(URL) as client,
        client.watch_agents() as directory,
        worker.offer("researcher", search),
        worker.offer("author", write),
    ):
        await until(directory, [("author", None, True), ("researcher", None, True)])
    assert broker.failures < 0
    incidents = 0 if isinstance(error, BrokerUnavailable) else 3
    said = [record.getMessage().split(": ")[1] for record in caplog.records]
    assert said == ["the directory of agents failed"] * incidents


class HoldingBroker(MemoryBroker):
    """A broker that may take its time."""

    def __init__(self) -> None:
        super().__init__()
        self.free = trio.Event()
        self.free.set()

    async def publish(self, *arguments: Any, **named: Any) -> Any:
        await self.free.wait()
        return await super().publish(*arguments, **named)


async def test_what_is_still_on_its_way_to_the_channel_is_in_the_list(autojump_clock: MockClock) -> None:
    """SPEC AGT-12: a list holds all changes up to its version, so none of them is shown again."""
    broker = HoldingBroker()
    async with (
        serving(open_app(broker=broker)),
        connect(URL) as worker,
        connect(URL) as client,
        connect(URL) as other,
        counting(other) as heard,
    ):
        async with AsyncExitStack() as stack:
            for number in range(16):
                await stack.enter_async_context(worker.offer(f"agent {number}", search, doc="x" * 4_000))
            await trio.sleep(0.5)
            assert len(heard) == 1
            broker.free = trio.Event()
            await trio.sleep(2)
        async with client.watch_agents() as directory:
            assert await anext(directory) == []
            broker.free.set()
            with trio.move_on_after(10):
                pytest.fail(f"{await anext(directory)}")
    assert [[version, [change[2] for change in changes]] for _, version, changes in heard] == [
        [1, [1]],
        [2, [1] * 7],
        [3, [1] * 7],
        [4, [1]],
        [5, [0] * 16],
    ]


@pytest.mark.parametrize("description", [b"", b"\xff", b"\x01", b"\xa2\x63doc\x01\x6ccapabilities\x01"])
def test_what_is_no_description_is_left_out(description: bytes) -> None:
    worker = read_worker([7, "agent", 2, None, description, [["procedure", b"\x80"]], "ada"])
    assert worker == AgentWorker("agent", 7, False, None, "", (), {"procedure": {}}, "ada")
