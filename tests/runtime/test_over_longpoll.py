"""The runtime over long-poll requests: a whole program, connections that break under it, and changes of carriage."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, ConnectFailed, Principal, connect, states
from hawser_transports import LongPollTransport, PollSettings, WebSocketTransport
from tests.faults.proxy import Kind, Proxy, breaking
from tests.runtime.helpers import FAST, serving
from tests.runtime.test_over_websocket import SETTINGS, make_app

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from hawser import Client, Config, Server, Session
    from hawser_transports import Link

SERVING = WebSocketTransport(settings=SETTINGS)
POLLING = LongPollTransport(settings=SETTINGS, polls=PollSettings(retry_seconds=0.1))
MESSAGES = 200


@asynccontextmanager
async def serving_http(app: App | None = None, config: Config = FAST) -> AsyncGenerator[Server, None]:
    with trio.fail_after(30):
        async with serving(app or make_app(), config=config, transport=SERVING, url="http://127.0.0.1:0") as server:
            yield server


def port(url: str) -> int:
    return int(url.rpartition(":")[2].strip("/"))


async def test_a_whole_program_over_requests() -> None:
    async with serving_http() as server, connect(server.url, transport=POLLING, token="good") as client:
        assert await client.call("math.add", 2, 3) == 5
        async with client.subscribe("room:lobby") as messages:
            await client.publish("room:lobby", {"text": "hello" * 10_000})
            assert (await messages.receive()).data == {"text": "hello" * 10_000}
        assert server.sessions == 1
    async with serving_http() as server:
        async with connect(server.url, transport=POLLING, token="good") as client:
            with trio.CancelScope() as scope:
                async with client.subscribe("room:lobby"):
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
        assert server.sessions == 0  # whoever leaves the block may end the program: the goodbye has arrived


async def test_a_client_that_is_refused_is_told_so() -> None:
    """SPEC CAR-13: what a status cannot say stands in its body."""
    async with serving_http() as server:
        with pytest.raises(ConnectFailed, match="refused with code 302"):
            async with connect(server.url, transport=POLLING, token="bad"):
                pass


async def test_new_credentials_are_judged_on_the_way() -> None:
    """SPEC AUT-2, CAR-20."""
    app = App()
    seen: list[object] = []

    @app.authenticate
    async def authenticate(credentials: Mapping[str, object]) -> Principal:
        seen.append(credentials["token"])
        return Principal("anna")

    @app.procedure("math.add")
    async def add(session: Session, a: int, b: int) -> int:
        return a + b

    async with serving_http(app) as server, connect(server.url, transport=POLLING, token="old") as client:
        await client.authenticate(token="new")
        assert await client.call("math.add", 1, 1) == 2
    assert seen == ["old", "new"]


async def test_a_server_that_drains_sends_its_clients_away() -> None:
    """SPEC CLS-9, CAR-28: the parked GET brings the CLOSE."""
    async with serving_http() as server, connect(server.url, transport=POLLING, token="good") as client:
        seen = client.states
        await server.drain()
        async for state in seen:
            if isinstance(state, states.Waiting):
                assert state.why == "the server is drained"
                break


async def publish_and_receive(sender: Client, receiver: Client) -> list[object]:
    """Publish numbers, eight at a time, and return what the other gets of them."""
    got: list[object] = []
    async with receiver.subscribe("room:lobby") as messages, trio.open_nursery() as nursery:

        async def publish() -> None:
            for number in range(MESSAGES):
                await sender.publish("room:lobby", number)

        nursery.start_soon(publish)
        while len(got) < MESSAGES:
            got.append((await messages.receive()).data)
    return got


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_connections_that_break_cost_no_message_and_no_link(seed: int) -> None:
    """SPEC CAR-15 to CAR-21: a request or reply that is lost on the way is made again, unnoticed."""
    async with serving_http() as server, trio.open_nursery() as nursery:
        plan = breaking((Kind.RESET, Kind.TRUNCATE, Kind.HALF_CLOSE), after=(600, 6_000), chance=0.9)
        proxy: Proxy = await nursery.start(Proxy(port(server.url), plan=plan, seed=seed).run)
        url = f"http://127.0.0.1:{proxy.port}/"
        async with (
            connect(url, transport=POLLING, token="good", config=FAST) as sender,
            connect(url, transport=POLLING, token="good", config=FAST) as receiver,
        ):
            assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
            assert len(proxy.broken) >= 5
            assert server.resumes == 0
        nursery.cancel_scope.cancel()


class Changing(LongPollTransport):
    """Connects in turn by polls and by WebSocket."""

    def __init__(self) -> None:
        super().__init__(settings=SETTINGS)
        self.links: list[Link] = []

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`."""
        link = await (SERVING.connect(url) if len(self.links) % 2 else super().connect(url))
        self.links.append(link)
        return link


@pytest.mark.slow
async def test_a_session_goes_on_from_polls_to_websocket_and_back() -> None:
    """SPEC ATT-7, CAR-25: everything is a resume, whatever the links are made of."""
    polls_first, websocket_first = Changing(), Changing()
    async with serving_http() as server, trio.open_nursery() as nursery:
        await trio.aclose_forcefully(await websocket_first.connect(server.url))
        async with (
            connect(server.url, transport=polls_first, token="good", config=FAST) as sender,
            connect(server.url, transport=websocket_first, token="good", config=FAST) as receiver,
        ):

            async def change() -> None:
                while True:
                    await trio.sleep(0.3)
                    for transport in (polls_first, websocket_first):
                        await trio.aclose_forcefully(transport.links[-1])

            nursery.start_soon(change)
            while min(len(polls_first.links), len(websocket_first.links)) < 5:
                assert await publish_and_receive(sender, receiver) == list(range(MESSAGES))
            assert server.resumes >= 6
        nursery.cancel_scope.cancel()
