"""One reader among a thousand takes nothing, and nobody else notices (SPEC CHN-6, OVF-1, VOL-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import App
from hawser_engine import EngineConfig
from hawser_engine.messages import ChannelRequest, Publication, Subscribe
from hawser_transports import MemoryTransport
from tests.runtime.helpers import FAST, URL, RawClient, serving

if TYPE_CHECKING:
    from trio.testing import MockClock


READERS = 1_000
ROUNDS = 3


def offsets_by_channel(client: RawClient) -> dict[str, list[int]]:
    """What a client was told of each channel."""
    offsets: dict[str, list[int]] = {}
    for message in client.messages:
        if isinstance(message, Publication):
            offsets.setdefault(message.channel, []).append(message.offset)
    return offsets


class Timeless(RawClient):
    """One of many clients, without timers."""

    async def attach(self, nursery: trio.Nursery) -> None:
        """Be attached until the nursery is closed."""
        self.link = await MemoryTransport().connect(URL)
        self.connection = self.engine.connect(trio.current_time())
        nursery.start_soon(self._read)
        self.flush()
        await self.opened.wait()

    async def join(self, nursery: trio.Nursery, wanted: tuple[ChannelRequest, ...]) -> None:
        await self.attach(nursery)
        self.say(Subscribe(1, wanted))
        await self.hear()


@pytest.mark.slow
async def test_a_stalled_session_among_a_thousand_delays_none_of_them(autojump_clock: MockClock) -> None:
    """No time passes between what is published and what 999 of them have, whatever the channel's policy."""
    app = App()
    declared: dict[str, dict[str, Any]] = {
        "catch-up": {"history": 1_000},
        "drop-oldest": {},
        "keep-latest": {"history": 10, "overflow": "keep-latest"},
    }
    for name, policy in declared.items():
        app.channel(name, open=True, volatile=True, **policy)
    wanted = tuple(ChannelRequest(name, None) for name in declared)
    async with serving(app, config=FAST) as server, trio.open_nursery() as nursery:
        readers = [Timeless(EngineConfig(window_messages=4)) for _ in range(READERS)]
        stalled = readers[READERS // 2]
        stalled.deliver = False
        for reader in readers:
            await reader.join(nursery, wanted)
        begun = trio.current_time()
        for number in range(1, ROUNDS + 1):
            for name in declared:
                await app.publish(name, 0, latest_key=f"{number % 5}" if name == "keep-latest" else None)
                await app.publish(name, 0, volatile=True)
            await wait_all_tasks_blocked()
            for reader in readers:
                if reader is not stalled:
                    assert len(reader.messages) == len(reader.volatile) == 3 * number
        assert trio.current_time() == begun
        expected = {name: list(range(1, ROUNDS + 1)) for name in declared}
        for reader in readers:
            assert (offsets_by_channel(reader) == expected) == (reader is not stalled)
        assert len(stalled.messages) == 3  # its window, less the answer to its subscriptions
        assert [server.overflow[name].behind for name in declared] == [1, 1, 1]
        assert [server.overflow[name].volatile_sent for name in declared] == [ROUNDS * (READERS - 1) + 1] * 3
        nursery.cancel_scope.cancel()
