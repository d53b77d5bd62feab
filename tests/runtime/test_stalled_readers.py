"""One reader among a thousand takes nothing, and nobody else notices (SPEC CHN-6, OVF-1, VOL-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import App, Position
from hawser.brokers import Entry, Retention
from hawser.rules import ChannelRule
from hawser.server.channels import Channel
from hawser.server.chunks import CHUNK_MESSAGES, Fleeting
from hawser.server.memberships import Mode, Outlet
from hawser_engine import EngineConfig, codec
from hawser_engine.channels.overflow import Overflow
from hawser_engine.messages import ChannelRequest, Publication, Subscribe, decode_message
from hawser_engine.packets import Message
from hawser_transports import MemoryTransport
from tests.runtime.helpers import FAST, URL, RawClient, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser_engine.batch import Batch

READERS = 1_000
ROUNDS = 3
EPOCH = b"epoch..1"


class Reader(Outlet):
    """A session that takes everything, or nothing, and remembers in which order it was served."""

    def __init__(self, served: list[Reader], *, takes: bool) -> None:
        self.takes = takes
        self.batches: list[Batch] = []
        self.fleeting = 0
        self.fed = 0
        self._served = served

    @property
    def message_bytes(self) -> int:
        return 1_000

    def deliver(self, batch: Batch, now: float) -> bool:
        self._served.append(self)
        if self.takes:
            self.batches.append(batch)
        return self.takes

    def deliver_volatile(self, packet: bytes, now: float) -> bool:
        self.fleeting += self.takes
        return self.takes

    def feed(self) -> None:
        self.fed += 1


def offsets_in(batch: Batch) -> list[int]:
    offsets: list[int] = []
    position = 0
    while position < len(batch.data):
        taken = codec.next_packet(batch.data, position)
        assert taken is not None
        packet, position = taken
        assert isinstance(packet, Message)
        publication = decode_message(packet.body)
        assert isinstance(publication, Publication)
        offsets.append(publication.offset)
    return offsets


@pytest.mark.parametrize("overflow", Overflow)
def test_the_hot_loop_asks_a_stalled_one_once_and_passes_on(overflow: Overflow) -> None:
    """Whatever the policy: every other member gets every chunk, in order, in the same pass."""
    channel = Channel("room", ChannelRule("room", Retention(100), overflow=overflow, open=True), Retention(100))
    channel.joined(Position(EPOCH, 0))
    served: list[Reader] = []
    readers = [Reader(served, takes=number != READERS // 2) for number in range(READERS)]
    members = [member for reader in readers if (member := channel.enter(reader, channel.position)) is not None]
    last = 3 * CHUNK_MESSAGES
    channel.report(EPOCH, [Entry(offset, b"x", 0) for offset in range(1, last + 1)])
    channel.report(EPOCH, [Entry(last, b"x", 0, volatile=True)])
    for chunk in channel.chunks:
        if isinstance(chunk, Fleeting):
            channel.deliver_volatile(members, chunk, 0.0)
        else:
            channel.deliver(members, chunk, 0.0)
    stalled, member = readers[READERS // 2], members[READERS // 2]
    assert [offset for batch in readers[0].batches for offset in offsets_in(batch)] == list(range(1, last + 1))
    for reader in readers:
        if reader is not stalled:
            assert (reader.batches, reader.fleeting) == (readers[0].batches, 1)
    assert served[:READERS] == readers  # it was not waited for: whoever stands behind it is served in the same pass
    assert (stalled.batches, stalled.fleeting, served.count(stalled)) == ([], 0, 1)
    assert (member.mode, member.offset) == (Mode.BEHIND, 0)
    counts = channel.counts
    assert (counts.behind, counts.volatile_sent, counts.volatile_dropped) == (1, READERS - 1, 1)


def offsets_by_channel(client: RawClient) -> dict[str, list[int]]:
    """What a client was told of each channel."""
    offsets: dict[str, list[int]] = {}
    for message in client.messages:
        if isinstance(message, Publication):
            offsets.setdefault(message.channel, []).append(message.offset)
    return offsets


class Timeless(RawClient):
    """One of many clients, without timers."""

    async def join(self, nursery: trio.Nursery, wanted: tuple[ChannelRequest, ...]) -> None:
        self.link = await MemoryTransport().connect(URL)
        self.connection = self.engine.connect(trio.current_time())
        nursery.start_soon(self._read)
        self.flush()
        await self.opened.wait()
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
