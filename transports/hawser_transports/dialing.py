"""Opening connections to services."""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from .thin import resend_evenly
from .wires import SocketWire, StreamWire

if TYPE_CHECKING:
    from .urls import ServiceUrl
    from .wires import Wire, WireSettings

_PROBES: Final = 10
"""Probes of a silent connection before it is given up: where 30 % is lost, all of ten fail once in a thousand times."""
_LONGEST_SECONDS: Final = 65_534.0
"""Twice what Linux takes as the time before the first probe."""


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
    resend_evenly(stream)
    if settings.unanswered_seconds != inf:
        _watch(stream, settings.unanswered_seconds)
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


def _watch(stream: trio.SocketStream, seconds: float) -> None:
    """Have the system give a connection up to whose other end nothing gets through.

    A client that has moved to another network is told so by nobody, and neither end of a silent connection may speak
    for the ping interval. Probes of the system cost a server's program nothing. They stop while bytes are on their
    way; then the user timeout counts, which only Linux has. Elsewhere the protocol finds out (SPEC LIV-4, CAR-26).
    """
    seconds = min(seconds, _LONGEST_SECONDS)
    idle = seconds / 2
    with suppress(OSError):  # it was reset meanwhile; some systems say so here
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in (
            ("TCP_KEEPIDLE", idle),
            ("TCP_KEEPALIVE", idle),  # the same on macOS
            ("TCP_KEEPINTVL", idle / _PROBES),
            ("TCP_KEEPCNT", _PROBES),
            ("TCP_USER_TIMEOUT", seconds * 1_000),
        ):
            option: int | None = getattr(socket, name, None)
            if option is not None:
                stream.setsockopt(socket.IPPROTO_TCP, option, max(1, round(value)))
