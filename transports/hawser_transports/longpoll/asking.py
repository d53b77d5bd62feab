"""Making requests: one at a time on each connection, and connections that are kept for the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser_engine.bindings.http import Reply, Request, write_request
from hawser_engine.bindings.longpoll import BODY_BYTES
from hawser_engine.bindings.replies import ReplyReader, ReplyRefused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser_transports.urls import ServiceUrl
    from hawser_transports.wires import Wire


class Asking:
    """One client's connections to one service."""

    def __init__(self, place: ServiceUrl, dial: Callable[[], Awaitable[Wire]]) -> None:
        """Start without a connection.

        Args:
            place: The service.
            dial: Opens a connection to it.
        """
        self._place = place
        self._dial = dial
        self._idle: list[Wire] = []
        self._closed = False

    async def open(self) -> None:
        """Open the first connection, so that a place where nobody listens is known at once.

        Raises:
            OSError: It cannot be opened.
        """
        self._idle.append(await self._dial())

    async def ask(self, request: Request) -> Reply:
        """Make a request.

        Raises:
            OSError: No connection can be opened.
            trio.BrokenResourceError: The connection was lost before the reply was there.
            ReplyRefused: What came is no reply.
        """
        wire = self._idle.pop() if self._idle else await self._dial()
        keep = False
        try:
            reader = ReplyReader(request.method, BODY_BYTES)
            wire.write(write_request(request, self._place.authority, self._place.target))
            while True:
                data = await wire.receive()
                reply = reader.receive_data(data)
                if reply is not None:
                    keep = reader.persists and not self._closed
                    return reply
                if not data:
                    raise trio.BrokenResourceError("the server hung up before its reply")
        except BaseException:
            self._drop_idle()  # they lead the same way: one that has died in silence would hold up the next request
            raise
        finally:
            if keep:
                self._idle.append(wire)
            else:
                wire.close()

    def close(self) -> None:
        """Close the connections that nobody uses, and those that are in use when they are done."""
        self._closed = True
        self._drop_idle()

    def _drop_idle(self) -> None:
        for wire in self._idle:
            wire.close()
        self._idle.clear()


FAILURES = (OSError, trio.BrokenResourceError, trio.ClosedResourceError, ReplyRefused)
"""How a request fails."""
