"""The network that breaks on purpose, seen through bare links."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser.testing import CutKind, FaultyNetwork
from hawser_transports import Link, MemoryTransport, Transport
from hawser_transports.check import check_transport

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from hawser_transports import Listener

GONE = (trio.BrokenResourceError, trio.EndOfChannel)


async def hears_nothing(link: Link) -> bool:
    with trio.move_on_after(1_000) as patience:
        await link.receive_batches()
    return patience.cancelled_caught


async def test_links_of_an_unbroken_network_keep_the_contract(autojump_clock: MockClock) -> None:
    async with FaultyNetwork(delay_seconds=(0.001, 0.002)) as network, await network.listen("memory://pier") as pier:

        async def make_pair() -> tuple[Link, Link]:
            return await network.connect("memory://pier"), await pier.accept()

        await check_transport(make_pair)


@pytest.mark.parametrize(
    ("kind", "near_ends", "far_ends"),
    [
        (CutKind.BOTH, True, True),
        (CutKind.CLIENT, True, False),
        (CutKind.SERVER, False, True),
        (CutKind.SILENT, False, False),
    ],
)
async def test_a_cut_is_noticed_where_its_kind_says(
    autojump_clock: MockClock, kind: CutKind, near_ends: bool, far_ends: bool
) -> None:
    async with FaultyNetwork() as network, await network.listen("memory://pier") as pier:
        near = await network.connect("memory://pier")
        far = await pier.accept()
        await near.send_batches([b"lost"])
        assert await network.cut(kind) == 1
        assert network.wires == []
        assert network.cuts == 1
        for link, ends in ((near, near_ends), (far, far_ends)):
            if ends:
                with pytest.raises(GONE):
                    await link.receive_batches()
            else:
                assert await hears_nothing(link)


async def test_what_a_half_open_link_is_given_is_swallowed(autojump_clock: MockClock) -> None:
    async with FaultyNetwork() as network, await network.listen("memory://pier") as pier:
        near = await network.connect("memory://pier")
        far = await pier.accept()
        await network.cut_one(CutKind.SILENT)
        for _ in range(100):
            await near.send_batches([bytes(100_000)])
        assert await hears_nothing(far)


async def test_a_stalled_link_holds_everything_back_and_then_lets_it_go_in_order(autojump_clock: MockClock) -> None:
    async with FaultyNetwork() as network, await network.listen("memory://pier") as pier:
        near = await network.connect("memory://pier")
        far = await pier.accept()
        [wire] = network.wires
        wire.stall()
        await near.send_batches([b"one", b"two"])
        assert await hears_nothing(far)
        wire.flow()
        assert await far.receive_batches() == [b"one", b"two"]


async def test_a_close_passes_through_and_ends_the_wire(autojump_clock: MockClock) -> None:
    async with FaultyNetwork() as network, await network.listen("memory://pier") as pier:
        near = await network.connect("memory://pier")
        far = await pier.accept()
        await far.send_batches([b"bye"])
        await far.aclose()
        await wait_all_tasks_blocked()
        assert await near.receive_batches() == [b"bye"]
        with pytest.raises(trio.EndOfChannel):
            await near.receive_batches()
        assert network.wires == []
        assert network.cuts == 0


async def test_a_refusing_network_lets_nobody_in_until_it_is_told_to() -> None:
    async with FaultyNetwork() as network, await network.listen("memory://pier"):
        network.refuse()
        with pytest.raises(ConnectionRefusedError, match="refuses links just now"):
            await network.connect("memory://pier")
        network.refuse(False)
        await network.connect("memory://pier")


async def test_a_network_that_was_not_entered_says_so() -> None:
    with pytest.raises(RuntimeError, match="async with FaultyNetwork"):
        await FaultyNetwork().connect("memory://pier")


async def cuts_of(seed: int) -> list[float]:
    """When links of a storm were found to be dead: by their end, or by two seconds of silence."""
    times: list[float] = []
    async with FaultyNetwork(seed=seed) as network, await network.listen("memory://pier"):
        began = trio.current_time()
        with trio.move_on_after(20):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(lambda: network.storm(every_seconds=0.3, kinds=tuple(CutKind)))
                while True:
                    link = await network.connect("memory://pier")
                    with trio.move_on_after(2), contextlib.suppress(*GONE):
                        await link.receive_batches()
                    times.append(trio.current_time() - began)
    return times


async def test_a_storm_with_the_same_seed_breaks_the_same_links_at_the_same_moments(
    autojump_clock: MockClock,
) -> None:
    first, again, other = await cuts_of(1), await cuts_of(1), await cuts_of(2)
    assert len(first) > 10
    assert first == pytest.approx(again)
    assert first != pytest.approx(other)


async def test_nothing_to_cut_is_no_cut() -> None:
    async with FaultyNetwork() as network:
        assert not await network.cut_one()
        assert await network.cut() == 0
        assert network.cuts == 0


async def test_links_of_any_transport_can_be_broken(autojump_clock: MockClock) -> None:
    class Plain(Link):
        """A link of which the network knows nothing."""

        def __init__(self, link: Link) -> None:
            self.link = link

        @property
        def description(self) -> str:
            return "plain"

        def send_nowait(self, batches: Sequence[bytes]) -> int:
            return self.link.send_nowait(batches)

        async def send_batches(self, batches: Sequence[bytes]) -> None:
            await self.link.send_batches(batches)

        async def receive_batches(self) -> list[bytes]:
            return await self.link.receive_batches()

        async def aclose(self) -> None:
            await self.link.aclose()

    class PlainTransport(Transport):
        def __init__(self) -> None:
            self.memory = MemoryTransport()

        async def listen(self, url: str) -> Listener:
            return await self.memory.listen(url)

        async def connect(self, url: str) -> Link:
            return Plain(await self.memory.connect(url))

    async with FaultyNetwork(PlainTransport()) as network, await network.listen("memory://pier") as pier:
        await network.connect("memory://pier")
        far = await pier.accept()
        [wire] = network.wires
        await wire.cut()
        await wire.cut()
        with pytest.raises(GONE):
            await far.receive_batches()
