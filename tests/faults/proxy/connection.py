"""One connection through the proxy: two sockets, and a pump for each direction."""

from __future__ import annotations

import random
import socket
import struct
from typing import TYPE_CHECKING

import trio

from tests.faults.proxy.faults import Direction, Kind

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faults.proxy.faults import Fault, Route

PIECE = 65_536
"""Bytes that are read at once, and so the most that the proxy holds in one direction."""


class Connection:
    """Carries bytes both ways until its fault, a command, or both ends say that it is over."""

    def __init__(
        self,
        number: int,
        route: Route,
        near: trio.socket.SocketType,
        far: trio.socket.SocketType,
        way_is_clear: Callable[[], Awaitable[None]],
    ) -> None:
        self.number = number
        self.route = route
        self._way_is_clear = way_is_clear
        self._dice = random.Random(number)
        self.passed = {Direction.UP: 0, Direction.DOWN: 0}
        self.broken: Kind | None = None
        self._sockets = (near, far)
        self._pumps = {Direction.UP: (near, far), Direction.DOWN: (far, near)}
        self._scope = trio.CancelScope()
        self._muted: set[Direction] = set()
        self._ended: set[Direction] = set()

    async def carry(self) -> None:
        """Run until the end; closing the sockets is the caller's."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                for direction in Direction:
                    nursery.start_soon(self._pump, direction)

    def strike(self, kind: Kind, direction: Direction = Direction.DOWN) -> None:
        """Break now."""
        self.broken = self.broken or kind
        match kind:
            case Kind.RESET:
                for one in self._sockets:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self._scope.cancel()
            case Kind.TRUNCATE:
                for each in Direction:
                    self._end(each)
                self._scope.cancel()
            case Kind.HALF_CLOSE:
                self._end(direction)
            case Kind.BLACKHOLE:
                self._muted = set(Direction)

    def mute(self, direction: Direction) -> None:
        """Take every byte that goes this way from now on, and hand none over."""
        self._muted.add(direction)

    async def _pump(self, direction: Direction) -> None:
        source, sink = self._pumps[direction]
        fault = self.route.fault
        if fault is None or fault.direction is not direction:
            fault = None
        try:
            self._strike_if_due(fault, direction)
            while data := await source.recv(PIECE):
                if self.route.latency:
                    await trio.sleep(self.route.latency)
                if self.route.late and self._dice.random() < self.route.late:
                    await trio.sleep(self.route.late_seconds)
                await self._way_is_clear()
                if fault is not None:
                    data = data[: max(0, fault.after - self.passed[direction])]
                await self._send(sink, data, direction)
                self._strike_if_due(fault, direction)
        except OSError:  # that end has gone for good: the other learns it as a network would tell it
            if direction not in self._muted:
                self.strike(Kind.RESET)
        else:
            if direction not in self._muted:
                self._end(direction)

    def _strike_if_due(self, fault: Fault | None, direction: Direction) -> None:
        if fault is not None and self.broken is None and self.passed[direction] >= fault.after:
            self.strike(fault.kind, direction)

    async def _send(self, sink: trio.socket.SocketType, data: bytes, direction: Direction) -> None:
        rate = self.route.rate
        view = memoryview(data)
        while view and direction not in self._muted and direction not in self._ended:
            # A tenth of a second's worth at a time keeps a slow line smooth.
            sent = await sink.send(view[: max(1, rate // 10)] if rate else view)
            self.passed[direction] += sent
            view = view[sent:]
            if rate:
                await trio.sleep(sent / rate)

    def _end(self, direction: Direction) -> None:
        """Send an orderly end that way, once; whatever still comes is dropped."""
        if direction not in self._ended:
            self._ended.add(direction)
            try:
                self._pumps[direction][1].shutdown(socket.SHUT_WR)
            except OSError:  # that end is gone already
                self._scope.cancel()
