"""A TCP proxy on loopback that breaks connections: by a seeded plan, and on command.

It resets, cuts at any byte, half-closes, swallows, delays, throttles and refuses. Every connection's route is drawn
from the seed and the connection's number, so a run has the same faults again as far as its peers do the same.
``python -m tests.faults.proxy --help`` runs one by hand.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import trio

from tests.faults.proxy.connection import Connection
from tests.faults.proxy.faults import Direction, Fault, Kind, Plan, Route, breaking, clear, draw, first

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["Direction", "Fault", "Kind", "Plan", "Proxy", "Route", "breaking", "clear", "first"]

CONNECTIONS_MAX = 1_000
"""Connections at once, those that were swallowed included; one above it is refused."""


class Proxy:
    """Listens on a port of loopback and carries each connection to a target, for as long as `run` does."""

    def __init__(self, target: int, *, plan: Plan = clear, seed: int = 0, port: int = 0) -> None:
        self.plan = plan
        self.port = port
        self.accepted = 0
        self.live: list[Connection] = []
        self.broken: list[Kind] = []
        """How each connection that broke did, in the order of their ends."""
        self.bytes_passed = 0
        """Both ways, over all connections that have ended."""
        self._target = target
        self._seed = seed
        self._accepting = trio.Event()
        self._accepting.set()
        self._clear = trio.Event()
        self._clear.set()
        self._listening = trio.CancelScope()

    async def run(self, *, task_status: trio.TaskStatus[Proxy] = trio.TASK_STATUS_IGNORED) -> None:
        """Listen until cancelled; started when the port is known."""
        async with trio.open_nursery() as nursery:
            while True:
                await self._accepting.wait()
                listener = await self._bind()
                with listener, trio.CancelScope() as self._listening:
                    task_status.started(self)
                    task_status = trio.TASK_STATUS_IGNORED
                    await self._accept(listener, nursery)

    def refuse(self) -> None:
        """Let no new connection in: connecting fails at once. Those that are up go on."""
        self._accepting = trio.Event()
        self._listening.cancel()

    def accept(self) -> None:
        """Let them in again, on the same port."""
        self._accepting.set()

    def hold(self) -> None:
        """Let nothing pass, as if every packet were lost; what is on the way waits, and so does whoever connects."""
        self._clear = trio.Event()

    def release(self) -> None:
        """Let everything pass again."""
        self._clear.set()

    def strike(self, kind: Kind, direction: Direction = Direction.DOWN) -> int:
        """Break every live connection that is not broken yet; returns how many."""
        hit: Sequence[Connection] = [one for one in self.live if one.broken is None]
        for one in hit:
            one.strike(kind, direction)
        return len(hit)

    def mute(self, direction: Direction) -> None:
        """Swallow what goes that way on the live connections; they go on the other way, and nothing ends."""
        for one in self.live:
            one.mute(direction)

    async def _bind(self) -> trio.socket.SocketType:
        listener = trio.socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        await listener.bind(("127.0.0.1", self.port))
        listener.listen(1_024)
        self.port = listener.getsockname()[1]
        return listener

    async def _accept(self, listener: trio.socket.SocketType, nursery: trio.Nursery) -> None:
        while True:
            near, _ = await listener.accept()
            number, self.accepted = self.accepted, self.accepted + 1
            nursery.start_soon(self._carry, near, number)

    async def _carry(self, near: trio.socket.SocketType, number: int) -> None:
        far = trio.socket.socket()
        connection = Connection(number, draw(self.plan, self._seed, number), near, far, self._way_is_clear)
        if connection.route.refused or len(self.live) >= CONNECTIONS_MAX:
            connection.strike(Kind.RESET)
        self.live.append(connection)
        try:
            with near, far:
                for one in (near, far):
                    one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                if connection.broken is None and not await _reached(far, self._target):
                    connection.strike(Kind.RESET)
                await connection.carry()
        finally:
            self.live.remove(connection)
            self.bytes_passed += sum(connection.passed.values())
            if connection.broken is not None:
                self.broken.append(connection.broken)

    async def _way_is_clear(self) -> None:
        if not self._clear.is_set():
            await self._clear.wait()


async def _reached(far: trio.socket.SocketType, port: int) -> bool:
    try:
        await far.connect(("127.0.0.1", port))
    except OSError:
        return False
    return True
