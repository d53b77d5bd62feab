"""Clients that stay: an outbox over a server that is killed, credentials that a server wants anew again and again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import Config, Gap, Outbox, Position, connect, states
from tests.faults import processes
from tests.faults.exchange import serving, url

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CHANNEL = "room:stay"
QUICK = Config(backoff_cap_seconds=0.5, connect_seconds=60)
APP = """
from hawser import App, Principal
app = App()
app.channel("*", history=100, open=True)
judged = []
@app.authenticate
async def authenticate(credentials):
    judged.append(credentials["token"])
    return Principal("ada", expires_seconds=5)
@app.procedure("judged")
async def so_far(session):
    return judged
"""


async def everything(address: str, count: int) -> list[Any]:
    """What a channel holds, from its beginning."""
    async with connect(address, config=QUICK) as reader:
        async with reader.subscribe(CHANNEL, since=Position(bytes(8), 0)) as messages:
            with pytest.raises(Gap):
                await messages.receive()
            return [(await messages.receive()).data for _ in range(count)]


async def test_an_outbox_outlives_a_server_that_is_killed(tmp_path: Path) -> None:
    with trio.fail_after(120):
        async with serving(tmp_path) as (server, port):
            async with connect(url(port), config=QUICK, outbox=Outbox()) as client:
                changes = client.states
                before = [await client.submit(CHANNEL, number) for number in range(100)]
                await before[49].wait()
                server.kill()
                between = [await client.submit(CHANNEL, number) for number in range(100, 200)]
                await server.wait()
                async with serving(tmp_path, port=port):
                    after = [await client.submit(CHANNEL, number) for number in range(200, 300)]
                    published = [await receipt.wait() for receipt in [*before, *between, *after]]
                    epoch = published[-1].position.epoch
                    again = [number for number, one in enumerate(published) if one.position.epoch == epoch]
                    assert again == list(range(again[0], 300))  # all since the first without an answer
                    assert again[0] >= 50
                    assert await everything(url(port), len(again)) == again
            assert any(isinstance(state, states.Reset) for state in [state async for state in changes])


async def test_a_session_lives_on_credentials_that_are_fetched_when_the_server_asks(tmp_path: Path) -> None:
    (tmp_path / "judging.py").write_text(APP)
    issued = 0

    async def fetch() -> dict[str, str]:
        nonlocal issued
        issued += 1
        return {"token": str(issued)}

    with trio.fail_after(120):
        async with (
            processes.serving("--app", "judging:app", url=url(0), cwd=tmp_path) as (_, place),
            connect(place, config=QUICK, credentials=fetch) as client,
        ):
            changes = client.states
            while len(judged := await client.call("judged")) < 5:
                await trio.sleep(0.1)
            assert judged == [str(number) for number in range(1, len(judged) + 1)]
            await client.publish(CHANNEL, "still here")
            await client.aclose()
            assert [type(state) async for state in changes] == [states.Connected, states.Closed]
