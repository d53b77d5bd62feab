"""One session through many resumes in a row, while three connections of ten are killed as they attach."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trio

from hawser import Client, connect, states
from tests.faults.exchange import cut, serving
from tests.faults.proxy import Direction, Kind, Proxy, breaking

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CHANNEL = "room:resumes"


async def resume(folder: Path, times: int, *, seed: int, patience: float) -> None:
    """Publish one message between each two resumes; every one arrives, once and in order, in one session."""
    attach = breaking([Kind.RESET, Kind.TRUNCATE], after=(0, 700), chance=0.3)  # the attach is about so long
    seen: list[states.State] = []
    note = seen.append

    async def watch(client: Client) -> None:
        async for state in client.states:
            note(state)

    with trio.fail_after(patience):
        async with serving(folder) as (_, port), trio.open_nursery() as nursery:
            proxy: Proxy = await nursery.start(Proxy(port, plan=attach, seed=seed).run)
            async with connect(f"ws://127.0.0.1:{proxy.port}/") as client:
                nursery.start_soon(watch, client)
                async with client.subscribe(CHANNEL) as messages:
                    for number in range(times):
                        await cut(proxy, Kind.RESET, Direction.DOWN)
                        published = await client.publish(CHANNEL, number)
                        assert not published.duplicate
                        message = await messages.receive()
                        assert (message.offset, message.data) == (number + 1, number)
            nursery.cancel_scope.cancel()
    assert not [state for state in seen if isinstance(state, states.Reset)]
    assert len([state for state in seen if isinstance(state, states.Connected) and state.resumed]) >= times
    assert proxy.accepted > times * 1.1  # the killed ones come on top


async def test_ten_resumes_in_a_row_lose_nothing(tmp_path: Path) -> None:
    await resume(tmp_path, 10, seed=1, patience=240)


@pytest.mark.verify
async def test_fifty_resumes_in_a_row_lose_nothing(tmp_path: Path) -> None:
    await resume(tmp_path, 50, seed=50, patience=600)
