"""What the tests with real sockets share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser_transports.urls import parse_url
from hawser_transports.web import SCHEMES

if TYPE_CHECKING:
    from hawser_transports import HttpListener


async def dial(listener: HttpListener) -> trio.SocketStream:
    place = parse_url(listener.url, SCHEMES)
    return await trio.open_tcp_stream(place.host, place.port)


async def settled(listener: HttpListener, sockets: int = 0) -> None:
    """Wait until so many sockets are left."""
    with trio.fail_after(30):
        while listener.door.attendance.sockets != sockets:
            await trio.sleep(0.001)
