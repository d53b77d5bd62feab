"""5,000 publications at once, over memory and over real sockets: nothing that somebody waits for stands behind them."""

from __future__ import annotations

import math
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Proceed, PublishRequest, Request, Session, connect
from hawser_transports import ListenerSettings, MemoryTransport, WebSocketTransport
from tests.runtime.helpers import FAST, URL, serving

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from hawser import Server
    from hawser_transports import Transport

MANY = 1_500  # more than a window, a queue and the operations of a session hold
SECONDS = 300
"""After which it hangs; sockets know no virtual time."""

SETTINGS = ListenerSettings(accepts_per_second=math.inf, connections_per_address=math.inf)
CARRIAGES: dict[str, tuple[str, Transport]] = {
    "memory": (URL, MemoryTransport()),
    "ws": ("ws://127.0.0.1:0", WebSocketTransport(settings=SETTINGS)),
}

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("carriage", CARRIAGES)]


@asynccontextmanager
async def serving_over(carriage: str, app: App) -> AsyncGenerator[Server, None]:
    url, transport = CARRIAGES[carriage]
    with trio.fail_after(SECONDS):
        async with serving(app, config=FAST, transport=transport, url=url) as server:
            yield server


async def test_a_publish_hook_calls_the_publishing_client_back_for_each_of_its_publications(carriage: str) -> None:
    """Its answers do not stand behind its own publications (SPEC OPS-3)."""
    app = App()
    app.channel("signed:*", history=10, open=True)
    asked: list[int] = []

    async def sign(number: int) -> list[int]:
        asked.append(number)
        return [number, -number]

    @app.middleware
    async def signed(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest):
            request = request.with_data(await request.session.call("sign", request.data))
        return await proceed(request)

    async with (
        serving_over(carriage, app) as server,
        connect(server.url, config=FAST, procedures={"sign": sign}) as client,
    ):
        async with client.subscribe("signed:room") as messages:
            receipts = [await client.submit("signed:room", number) for number in range(MANY)]
            offsets = [(await receipt.wait()).position.offset for receipt in receipts]
            assert offsets == list(range(1, MANY + 1))
            assert asked == list(range(MANY))
            assert (await messages.receive()).data == [0, 0]


async def test_the_program_of_the_readme_goes_on_whatever_others_publish_meanwhile(carriage: str) -> None:
    """5,000 publications of others between its subscription and its own publication."""
    app = App()
    app.channel("room:*", history=1_000 + MANY, open=True)

    @app.procedure("math.add")
    async def add(session: Session, a: int, b: int) -> int:
        return a + b

    async with serving_over(carriage, app) as server, connect(server.url, config=FAST) as other:
        async with connect(server.url, config=FAST) as client, client.subscribe("room:lobby") as messages:
            receipts = [await other.submit("room:lobby", number) for number in range(MANY)]
            await receipts[-1].wait()
            await client.publish("room:lobby", {"text": "hello"})
            async for message in messages:
                assert (message.offset, message.data) == (1, 0)
                break
            assert await client.call("math.add", 2, 3) == 5
            seen = [(await messages.receive()).data for _ in range(MANY)]
        assert seen == [*range(1, MANY), {"text": "hello"}]
