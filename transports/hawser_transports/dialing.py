"""Opening connections to services."""

from __future__ import annotations

import socket
import ssl
from typing import TYPE_CHECKING

import trio

from .wires import SocketWire, StreamWire

if TYPE_CHECKING:
    from .urls import ServiceUrl
    from .wires import Wire, WireSettings


async def dial(place: ServiceUrl, context: ssl.SSLContext | None, settings: WireSettings) -> Wire:
    """Open a connection; a cancelled call leaves nothing open.

    Args:
        place: Where.
        context: For a secure place; None trusts what the system trusts.
        settings: Limits of the wire.

    Raises:
        OSError: Nobody listens there, the way there failed, or TLS did.
    """
    stream = await trio.open_tcp_stream(place.host, place.port)
    description = f"{place} (client)"
    if not place.secure:
        connected = socket.socket(fileno=stream.socket.detach())
        connected.setblocking(False)
        return SocketWire(connected, description, settings)
    try:
        context = ssl.create_default_context() if context is None else context
        tls = trio.SSLStream(stream, context, server_hostname=place.host, https_compatible=True)
        await tls.do_handshake()
    except trio.BrokenResourceError as error:
        await trio.aclose_forcefully(stream)
        raise ConnectionError(f"no TLS with {place}: {error.__cause__ or error}") from error
    except BaseException:
        await trio.aclose_forcefully(stream)
        raise
    return StreamWire(tls, description, settings)
