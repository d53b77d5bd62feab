"""The guarantee's sentence about channels, as the README states it; the others: tests/engine/test_guarantee.py."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser import Gap, Message, connect
from hawser.testing import CutKind, FaultyNetwork
from tests.runtime.helpers import URL, open_app, serving
from tests.runtime.test_broken_links import PATIENT

if TYPE_CHECKING:
    from trio.testing import MockClock

PUBLICATIONS = 200


async def test_every_subscriber_sees_a_subsequence_of_one_order(autojump_clock: MockClock) -> None:
    """Sentence 5: with a history that is too short for slow readers, and links that break."""
    seen: list[list[Message]] = [[] for _ in range(3)]
    gaps = 0

    async def listen(number: int, network: FaultyNetwork, ready: trio.Event) -> None:
        nonlocal gaps
        async with (
            connect(URL, transport=network, config=PATIENT) as client,
            client.subscribe("room") as messages,
        ):
            ready.set()
            while not seen[number] or seen[number][-1].offset < PUBLICATIONS:
                try:
                    seen[number].append(await messages.receive())
                except Gap:
                    gaps += 1
                await trio.sleep(0.02 * number)

    async with (
        serving(open_app(history=20), config=PATIENT),
        FaultyNetwork(seed=1, delay_seconds=(0.0, 0.03)) as network,
        connect(URL) as publisher,
        trio.open_nursery() as nursery,
    ):
        async with trio.open_nursery() as listeners:
            for number in range(len(seen)):
                ready = trio.Event()
                listeners.start_soon(listen, number, network, ready)
                await ready.wait()
            nursery.start_soon(lambda: network.storm(every_seconds=0.2, kinds=(CutKind.BOTH,)))
            for number in range(PUBLICATIONS):
                await publisher.publish("room", number)
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()
    for messages in seen:
        offsets = [message.offset for message in messages]
        assert offsets == sorted(set(offsets))
        assert [message.data for message in messages] == [offset - 1 for offset in offsets]
    assert gaps, "a history of 20 does not reach back for the slowest"
