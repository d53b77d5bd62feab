"""A relay whose connections break, between the clients and the server of ``hawser demo``.

It passes on bytes and knows nothing of what they mean. So it breaks a WebSocket in the middle of a frame, and a
long-poll link in the middle of a request, with real sockets at both ends.
"""

from __future__ import annotations

import random
import socket
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from hawser.testing import CutKind

if TYPE_CHECKING:
    from collections.abc import Callable

HOST: Final = "127.0.0.1"
CHUNK_BYTES: Final = 65_536
FAILURES: Final = (trio.BrokenResourceError, trio.ClosedResourceError)
_RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER of no seconds: closing sends RST, and throws away what is under way."""


class Relayed:
    """One connection through the relay."""

    def __init__(self, near: trio.SocketStream, far: trio.SocketStream, delay: Callable[[], float]) -> None:
        """Take both halves.

        Args:
            near: To the client.
            far: To the server.
            delay: Draws how many seconds a chunk is under way.
        """
        self.broken: bool = False
        """Whether it was cut: what still comes is swallowed, until whoever has not noticed hangs up."""
        self.carries: bool = False
        """Whether the server has answered something on it."""
        self._near = near
        self._far = far
        self._delay = delay
        self._scope = trio.CancelScope()

    async def carry(self) -> None:
        """Relay both directions until both have ended."""
        async with self._near, self._far:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._relay, self._near, self._far)
                    nursery.start_soon(self._relay, self._far, self._near)

    async def cut(self, kind: CutKind) -> None:
        """Break it for one end, both or neither."""
        self.broken = True
        if kind in (CutKind.BOTH, CutKind.CLIENT):
            await _reset(self._near)
        if kind in (CutKind.BOTH, CutKind.SERVER):
            await _reset(self._far)

    async def _relay(self, source: trio.SocketStream, target: trio.SocketStream) -> None:
        try:
            while data := await source.receive_some(CHUNK_BYTES):
                if not self.broken:
                    await trio.sleep(self._delay())
                if not self.broken:
                    self.carries = self.carries or source is self._far
                    await target.send_all(data)
            if not self.broken:
                await target.send_eof()
        except FAILURES:
            if not self.broken:  # an end is gone, and the other one is to see it
                self._scope.cancel(reason="an end is gone")


class Relay:
    """Listens on a port of its own and passes on to another one; `run` it."""

    def __init__(self, port: int, *, seed: int, delay_seconds: tuple[float, float]) -> None:
        """Note where to pass on to.

        Args:
            port: The server's, on this machine.
            seed: Decides delays and what is cut; what that meets depends on how fast the machine is.
            delay_seconds: The least and the most time that a chunk is under way.
        """
        self.cuts: int = 0
        """How many connections were broken on purpose."""
        self._port = port
        self._random = random.Random(seed)
        self._delay_seconds = delay_seconds
        self._whole: list[Relayed] = []  # oldest first

    async def run(self, *, task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED) -> None:
        """Relay until cancelled; for `trio.Nursery.start`, which gets the port."""
        async with trio.open_nursery() as nursery:
            listeners = await nursery.start(partial(trio.serve_tcp, self._serve, 0, host=HOST))
            task_status.started(listeners[0].socket.getsockname()[1])

    async def _serve(self, near: trio.SocketStream) -> None:
        try:
            far = await trio.open_tcp_stream(HOST, self._port)
        except OSError:  # the server listens no more; whoever asked finds the connection closed
            return
        relayed = Relayed(near, far, self._delay)
        self._whole.append(relayed)
        try:
            await relayed.carry()
        finally:
            if relayed in self._whole:
                self._whole.remove(relayed)

    def _delay(self) -> float:
        return self._random.uniform(*self._delay_seconds)

    async def cut_one(self, kind: CutKind) -> None:
        """Break one connection that has carried something, chosen by the seed, if there is one."""
        if ready := [relayed for relayed in self._whole if relayed.carries]:
            one = self._random.choice(ready)
            self._whole.remove(one)
            self.cuts += 1
            await one.cut(kind)

    async def storm(self, *, every_seconds: float, kinds: tuple[CutKind, ...]) -> None:
        """Break a connection now and then until cancelled; as `FaultyNetwork.storm`.

        Args:
            every_seconds: The average pause.
            kinds: How connections break; name one twice to see it twice as often.
        """
        while True:
            await trio.sleep(every_seconds * self._random.uniform(0.5, 1.5))
            await self.cut_one(self._random.choice(kinds))


async def _reset(stream: trio.SocketStream) -> None:
    with suppress(OSError):  # it may be closed, or have broken by itself
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    await trio.aclose_forcefully(stream)
