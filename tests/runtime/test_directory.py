"""Who offers what, and who of them is there (SPEC AGT-10 to AGT-12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    AgentWorker,
    App,
    CallError,
    Config,
    Directory,
    ErrorCode,
    Principal,
    RequestFailed,
    Session,
    connect,
)
from hawser.agents import DIRECTORY
from hawser.brokers import MemoryBroker
from hawser.client.directory import read_worker
from hawser.testing import FaultyNetwork
from hawser_transports import WebSocketTransport
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

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
        async with serving(open_app(), url=url, transport=transport) as server:
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
        serving(open_app()),
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
            lists = [[one.id for one in await anext(directory)] for _ in range(4)]
        assert lists == [[], [1], [], [2]]
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
                for _ in range(60):  # each of them is two changes
                    async with worker.offer("busy", search):
                        pass
                network.refuse(False)
                await trio.sleep(20)
                assert seen[-1] == [("first", None, True)]
                before = len(seen)
        async with serving(open_app()), connect(URL) as worker, worker.offer("second", search):
            await trio.sleep(60)
            assert seen[-1] == [("second", None, True)]
            assert len(seen) > before
        nursery.cancel_scope.cancel()


async def test_what_another_server_has_told_is_over_where_the_channel_outlives_it(autojump_clock: MockClock) -> None:
    """SPEC AGT-12: nothing is lost to the watcher, so no Gap sends it for the list; but those workers are gone."""
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
            await good.publish(DIRECTORY, [9, 9, "x", 1])
        assert refused.value.code == ErrorCode.DENIED
    async with serving(App()), connect(URL) as client:
        with pytest.raises(CallError) as caught:
            await client.agents()
        assert caught.value.code == ErrorCode.NOT_FOUND


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

    async def publish(self, *arguments: Any, **named: Any) -> Any:
        self.failures -= 1
        if self.failures >= 0:
            raise ConnectionError("not now")
        return await super().publish(*arguments, **named)


async def test_a_change_waits_for_a_broker_that_fails(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with (
        serving(open_app(broker=HaltingBroker())),
        connect(URL) as worker,
        connect(URL) as client,
        client.watch_agents() as directory,
        worker.offer("researcher", search),
        worker.offer("author", write),
    ):
        await until(directory, [("author", None, True), ("researcher", None, True)])
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == ["the directory of agents failed"] * 3


@pytest.mark.parametrize("description", [b"", b"\xff", b"\x01", b"\xa2\x63doc\x01\x6ccapabilities\x01"])
def test_what_is_no_description_is_left_out(description: bytes) -> None:
    worker = read_worker([7, "agent", 2, None, description, [["procedure", b"\x80"]]])
    assert worker == AgentWorker("agent", 7, False, None, "", (), {"procedure": {}})
