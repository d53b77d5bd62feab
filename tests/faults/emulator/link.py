"""The link itself: a Trio program between two TUN devices."""

from __future__ import annotations

import heapq
import os
from contextlib import asynccontextmanager, suppress
from itertools import count
from typing import TYPE_CHECKING, Final

import trio

from tests.faults.emulator.namespaces import Host, host, reap
from tests.faults.emulator.policy import FAR, INSIDE, Conditions, Direction, Policy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

PACKET_BYTES: Final = 65_536
PACKETS_MAX: Final = 50_000
"""Packets under way at once; one more is dropped."""

_IN_A_ROW: Final = 64


class Emulator:
    """Carries packets between two hosts; `open` makes all three."""

    def __init__(self, near: Host, far: Host) -> None:
        self.near = near
        """Where clients are."""
        self.far = far
        """Where the server is."""
        self.address = ".".join(map(str, FAR))
        """The far host, as the near one reaches it."""
        self.began = trio.current_time()
        self.policy = Policy(Conditions())
        self._way = {Direction.UP: (near.tun, far.tun), Direction.DOWN: (far.tun, near.tun)}
        self._heap: list[tuple[float, int, int, bytes]] = []
        self._order = count()
        self._sooner = trio.Event()

    @staticmethod
    @asynccontextmanager
    async def open() -> AsyncGenerator[Emulator]:
        """Two hosts and a perfect link between them, for the length of a block."""
        reap()
        with host(".".join(map(str, INSIDE))) as near, host(".".join(map(str, FAR))) as far:
            emulator = Emulator(near, far)
            async with trio.open_nursery() as nursery:
                for direction in Direction:
                    nursery.start_soon(emulator._take, direction)
                nursery.start_soon(emulator._give)
                yield emulator
                nursery.cancel_scope.cancel()

    def become(self, policy: Policy) -> None:
        """Let a policy decide from now on; its time begins now. What is under way arrives as it would have."""
        self.policy = policy
        self.began = trio.current_time()

    async def _take(self, direction: Direction) -> None:
        source, sink = self._way[direction]
        while True:
            await trio.lowlevel.wait_readable(source)
            for _ in range(_IN_A_ROW):
                try:
                    packet = os.read(source, PACKET_BYTES)
                except BlockingIOError:
                    break
                now = trio.current_time() - self.began
                for when, carried in self.policy.carry(direction, packet, now):
                    self._send(self.began + when, sink, carried)
            await trio.lowlevel.checkpoint()

    def _send(self, when: float, sink: int, packet: bytes) -> None:
        if len(self._heap) < PACKETS_MAX:
            heapq.heappush(self._heap, (when, next(self._order), sink, packet))
            if self._heap[0][3] is packet:
                self._sooner.set()

    async def _give(self) -> None:
        heap = self._heap
        while True:
            while heap and heap[0][0] <= trio.current_time():
                _, _, sink, packet = heapq.heappop(heap)
                with suppress(BlockingIOError):  # the host is full: one more packet that is lost
                    os.write(sink, packet)
            self._sooner = trio.Event()
            with trio.move_on_at(heap[0][0] if heap else float("inf")):
                await self._sooner.wait()
