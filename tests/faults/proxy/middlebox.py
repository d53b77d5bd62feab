"""A TCP proxy that looks at what passes: it treats upgrades to WebSocket in its own way, and everything else as it is.

What such boxes do: they answer an upgrade with an error, they let it through and swallow what follows, or they cut what
lives longer than they like.
"""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from enum import Enum
from typing import Final

import trio

HEAD_BYTES: Final = 16_384
REFUSAL: Final = (
    b"HTTP/1.1 403 Forbidden\r\nContent-Type: text/html\r\nContent-Length: 9\r\nConnection: close\r\n\r\nforbidden"
)


class Habit(Enum):
    """What is done to a WebSocket."""

    PASS = "pass"
    """Nothing."""
    REFUSE = "refuse"
    """The upgrade is answered 403 by the box itself."""
    STALL = "stall"
    """The upgrade is never answered."""
    SWALLOW = "swallow"
    """The upgrade goes through both ways; of what follows nothing does."""
    CUT = "cut"
    """It is reset once so many bytes have come back."""


class Middlebox:
    """Accepts connections on a port and leads them to another one."""

    def __init__(self, target: int, habit: Habit = Habit.PASS, *, cut_after: int = 0) -> None:
        self.habit = habit
        """May be changed at any time; counts for upgrades from then on."""
        self.cut_after = cut_after
        """Bytes from the server after which `Habit.CUT` cuts, its answer to the upgrade among them."""
        self.upgrades = 0
        """How many were tried."""
        self.port = 0
        self._target = target
        self._upgraded: list[trio.SocketStream] = []

    async def run(self, *, task_status: trio.TaskStatus[Middlebox] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled."""
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        self.port = listeners[0].socket.getsockname()[1]
        async with trio.open_nursery() as nursery:
            await nursery.start(trio.serve_listeners, self._serve, listeners)
            task_status.started(self)

    def cut(self) -> int:
        """Reset every WebSocket that lives; returns how many."""
        for stream in self._upgraded:
            _reset(stream)
        return len(self._upgraded)

    async def _serve(self, near: trio.SocketStream) -> None:
        head = b""
        while b"\r\n\r\n" not in head and len(head) < HEAD_BYTES:
            data = await _receive(near)
            if not data:
                return
            head += data
        upgrade = b"upgrade: websocket" in head.lower()
        habit = self.habit if upgrade else Habit.PASS
        self.upgrades += upgrade
        if habit is Habit.REFUSE:
            await near.send_all(REFUSAL)
        elif habit is Habit.STALL:
            while await _receive(near):
                pass
        else:
            async with await trio.open_tcp_stream("127.0.0.1", self._target) as far:
                await far.send_all(head)
                if upgrade:
                    self._upgraded.append(near)
                try:
                    await self._lead(near, far, habit)
                finally:
                    if upgrade:
                        self._upgraded.remove(near)

    async def _lead(self, near: trio.SocketStream, far: trio.SocketStream, habit: Habit) -> None:
        swallow = habit is Habit.SWALLOW
        async with trio.open_nursery() as nursery:

            async def up() -> None:
                while data := await _receive(near):
                    if not swallow:
                        await _send(far, data)
                nursery.cancel_scope.cancel()

            async def down() -> None:
                passed = 0
                answered = False
                while data := await _receive(far):
                    if swallow and answered:
                        continue
                    answered = True
                    if habit is Habit.CUT and passed + len(data) >= self.cut_after:
                        await _send(near, data[: self.cut_after - passed])
                        _reset(near)
                        break
                    passed += len(data)
                    await _send(near, data)
                nursery.cancel_scope.cancel()

            nursery.start_soon(up)
            nursery.start_soon(down)


async def _receive(stream: trio.SocketStream) -> bytes:
    try:
        return bytes(await stream.receive_some())
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        return b""


async def _send(stream: trio.SocketStream, data: bytes) -> None:
    with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
        await stream.send_all(data)


def _reset(stream: trio.SocketStream) -> None:
    """End a connection the hard way."""
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    stream.socket.close()
