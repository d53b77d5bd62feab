"""What a listener asks of those who serve its requests, and what it gives them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import attrs
import trio

from hawser_engine.bindings.head import Head

from .wires import Wire

if TYPE_CHECKING:
    from .contract import Link
    from .door import Door
    from .settings import ListenerSettings


@attrs.frozen(eq=False)
class Visit:
    """One request, as its handler sees the listener."""

    address: str
    """The client's address: that of the socket, or what a trusted proxy says."""
    _door: Door
    _socket: str
    _deliver: Callable[[Link], Awaitable[None]]

    @property
    def settings(self) -> ListenerSettings:
        """The listener's limits and times."""
        return self._door.attendance.settings

    @property
    def last(self) -> bool:
        """Whether no request should follow on this socket: the server is about to end."""
        return self._door.shut

    def enter(self) -> Callable[[], None]:
        """Let the client have one connection more.

        Returns:
            To be called once, when the connection has ended.

        Raises:
            Busy: There is no room; the client is told when to come back.
        """
        door = self._door
        return partial(door.left, door.enter(self.address, trio.current_time()))

    def enter_for(self, wire: Wire) -> None:
        """Let the client have a connection that is a wire, and lasts as long as it.

        Raises:
            Busy: There is no room; the client is told when to come back.
        """
        door = self._door
        wire.on_close = partial(_left, door, self._socket, door.enter(self.address, trio.current_time()))

    async def deliver(self, link: Link) -> None:
        """Give a new link to whoever takes links here."""
        await self._deliver(link)


def _left(door: Door, socket: str, connection: str) -> None:
    door.closed(socket)
    door.left(connection)


Handler: TypeAlias = Callable[[Head, Wire, Visit], Awaitable[bytes | None]]
"""Serves one request, and returns what has arrived behind it if another may follow on the wire.

Otherwise it has closed the wire or given it to a link, and returns None. It may raise `HeadRefused`, which is answered
with its status.
"""
