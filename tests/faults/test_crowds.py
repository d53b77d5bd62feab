"""Thousands of clients at once: they come, hear the same, and go, and the server is left as it was.

Real sessions over real WebSockets: the server is a process of its own, its clients live in this one. Descriptors must
come back to the very number. Memory cannot be held to that: the allocator keeps its arenas for the next crowd, and no
two crowds come alike. So the first two crowds pay for those, and the next two have to get by with them.
"""

from __future__ import annotations

import resource
import sys
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import connect
from hawser_transports import find_transport
from tests.faults.exchange import serving
from tests.faults.processes import PATIENCE

if TYPE_CHECKING:
    from collections.abc import Generator

    from hawser import Client, Subscription
    from hawser_transports import Transport

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="memory and descriptors of another process: /proc has them"),
]

CHANNEL = "room:crowd"
PUBLICATIONS = 20
CROWDS = 4
PAYING = 2
"""Crowds after which memory no longer grows: ten of 2,000 left 70, 75, 76, 76, 77, 76, 77, 78, 77, 77 MB behind."""
CONFIG = """
[limits]
tombstones = 1
"""
"""What a server remembers of ended sessions is meant to stay for their resume period (SPEC RST-2): here, of one."""
AT_ONCE = 64
"""Clients on their way in at a time: more would wait for each other within their handshake deadline."""
SPARE = 200
"""Descriptors of a process beside those of the crowd."""
SLACK = 2 << 20
"""Bytes by which the allocator's arenas, of a mebibyte each, may differ from crowd to crowd: it is 0.4 to 1 MB where
nothing leaks. A leaked session costs some 14 KB: 200 of them would be seen, and of 2,000 a kilobyte each."""


def descriptors(pid: int) -> int:
    """How many a process has open."""
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def resident(pid: int) -> int:
    """The memory of a process that is in RAM, in bytes."""
    (line,) = [line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1_024


@contextmanager
def room_for(connections: int) -> Generator[None]:
    """Let this process, and those that it starts, open so many; root may raise what others are held to."""
    before = soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = connections + SPARE
    if hard != resource.RLIM_INFINITY:
        hard = max(hard, needed)
    if soft != resource.RLIM_INFINITY:
        soft = max(soft, needed)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    except (OSError, ValueError):  # the latter is what Python makes of EPERM
        pytest.skip(
            f"NOT TESTED with {connections} connections: {needed} descriptors, and this machine allows {before[1]}"
        )
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def until_descriptors(pid: int, number: int) -> None:
    """Wait until a process has so many open; that of a connection goes a moment after its client."""
    with trio.move_on_after(PATIENCE):
        while descriptors(pid) != number:
            await trio.sleep(0.05)
    assert descriptors(pid) == number


class Crowd:
    """Clients of one server that are there together."""

    def __init__(self, url: str, size: int) -> None:
        self.subscriptions: list[Subscription] = []
        self.heard: list[list[tuple[int, object]]] = []
        self._url = url
        self._size = size
        self._transport: Transport = find_transport(url)  # once: looking it up is no part of a client
        self._leave = trio.Event()

    async def come(self, nursery: trio.Nursery) -> None:
        """Bring all of them in, each with a connection, a session and a subscription."""
        entering = trio.CapacityLimiter(AT_ONCE)
        async with trio.open_nursery() as coming:
            for _ in range(self._size):
                coming.start_soon(self._one_comes, nursery, entering)

    async def hear(self, publications: int) -> None:
        """Wait until everybody has heard so many more, and nothing else."""
        async with trio.open_nursery() as nursery:
            for subscription in self.subscriptions:
                nursery.start_soon(self._one_hears, subscription, publications)

    def leave(self) -> None:
        """Let all of them go; they have gone when the nursery that they came with is done."""
        self._leave.set()

    async def _one_comes(self, nursery: trio.Nursery, entering: trio.CapacityLimiter) -> None:
        async with entering:
            self.subscriptions.append(await nursery.start(self._stay))

    async def _stay(self, *, task_status: trio.TaskStatus[Subscription]) -> None:
        async with (
            connect(self._url, transport=self._transport) as client,
            client.subscribe(CHANNEL) as messages,
        ):
            task_status.started(messages)
            await self._leave.wait()

    async def _one_hears(self, subscription: Subscription, publications: int) -> None:
        heard = [await subscription.receive() for _ in range(publications)]
        self.heard.append([(message.offset, message.data) for message in heard])


async def visit(url: str, publisher: Client, server: int, clients: int, first: int) -> None:
    """One crowd, from its coming to its going; the channel's next offset is ``first``."""
    empty = descriptors(server)
    expected = [(offset, {"n": offset}) for offset in range(first, first + PUBLICATIONS)]
    crowd = Crowd(url, clients)
    async with trio.open_nursery() as nursery:
        await crowd.come(nursery)
        await until_descriptors(server, empty + clients)  # all of them are there at the same time
        async with trio.open_nursery() as hearing:
            hearing.start_soon(crowd.hear, PUBLICATIONS)
            for _, data in expected:
                await publisher.publish(CHANNEL, data)
        crowd.leave()
    assert len(crowd.heard) == clients
    assert all(heard == expected for heard in crowd.heard)
    await until_descriptors(server, empty)


async def crowds(folder: Path, clients: int, *, patience: float) -> None:
    """Some crowds, one after the other."""
    with room_for(clients), trio.fail_after(patience):
        async with AsyncExitStack() as stack:
            server, port = await stack.enter_async_context(serving(folder, config=CONFIG))
            url = f"ws://127.0.0.1:{port}/"
            publisher = await stack.enter_async_context(connect(url))
            await publisher.publish(CHANNEL, "the first")  # what is made on first use is there
            taken: list[int] = []
            for first in range(2, 2 + CROWDS * PUBLICATIONS, PUBLICATIONS):
                await visit(url, publisher, server.pid, clients, first)
                taken.append(resident(server.pid))
    assert not [line for line in server.err.texts if "ERROR" in line or "Traceback" in line]
    assert min(taken[PAYING:]) - taken[PAYING - 1] <= SLACK, taken


async def test_two_hundred_clients_come_and_go_and_leave_nothing(tmp_path: Path) -> None:
    await crowds(tmp_path, 200, patience=240)


@pytest.mark.verify
async def test_two_thousand_clients_come_and_go_and_leave_nothing(tmp_path: Path) -> None:
    await crowds(tmp_path, 2_000, patience=900)
