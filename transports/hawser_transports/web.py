"""Transports that are reached over HTTP: where listener, routes and links are put together.

``ws`` and ``wss`` today. An upgrade is one route of the listener; other carriages add theirs beside it.
"""

from __future__ import annotations

import secrets
import socket
import ssl
from typing import TYPE_CHECKING, Final

import trio

from hawser_engine.bindings.head import Head, HeadRefused
from hawser_engine.bindings.websocket import (
    ClientHandshake,
    FrameLimits,
    MaskedFrames,
    SharedFrames,
    UpgradeRefused,
    WebSocket,
    accept_upgrade,
    is_upgrade,
)

from .contract import Listener, Transport
from .listener import ListenerSettings, listen_http
from .urls import ServiceUrl, check_origins, parse_url, without_secrets
from .websocket import WebSocketLink
from .wires import SocketWire, StreamWire, Wire

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from .contract import Link
    from .listener import Deliver, Handler

SCHEMES: Final = ("ws", "wss", "http", "https")
"""``http`` and ``https`` name a service by whatever reaches it: today that is WebSocket too."""


def upgrade_handler(origins: Collection[str] = (), limits: FrameLimits | None = None) -> Handler:
    """Make the handler of a path at which clients upgrade to WebSocket.

    Args:
        origins: The origins whose pages may connect, such as ``https://example.org`` (SPEC CAR-7).
        limits: What clients may send.

    Raises:
        ValueError: One of the origins is none.
    """
    listed = check_origins(origins)
    limits = FrameLimits() if limits is None else limits
    frames = SharedFrames()  # of all links of this route: a broadcast is framed once

    async def handle(head: Head, wire: Wire, deliver: Deliver) -> None:
        if not is_upgrade(head):
            raise HeadRefused(426, "saw a request that is no upgrade to WebSocket")
        wire.write(accept_upgrade(head, origins=listed))
        await deliver(WebSocketLink(wire, WebSocket(frames, limits), head.rest))

    return handle


class WebSocketTransport(Transport):
    """Links over WebSocket: ``ws://host:port/path`` and, over TLS, ``wss://…``; ``http`` and ``https`` mean the same.

    Args:
        ssl_context: For ``wss``. A server needs one with its certificate; a client without one trusts what the
            system trusts.
        origins: Server: the origins whose pages may connect, such as ``https://example.org``, compared exactly.
            Programs that are no browsers name none and may always.
        settings: Limits and times, those of connections that a client opens included.
        frames: What peers may send.
        random_bytes: Where a client's keys and masks come from.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        origins: Collection[str] = (),
        settings: ListenerSettings | None = None,
        frames: FrameLimits | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._ssl_context = ssl_context
        self._origins = check_origins(origins)
        self._settings = ListenerSettings() if settings is None else settings
        self._frames = FrameLimits() if frames is None else frames
        self._random_bytes = random_bytes

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`; port 0 picks a free one, the path is where clients upgrade."""
        place = parse_url(url, SCHEMES)
        if place.secure and self._ssl_context is None:
            raise ValueError(f"{without_secrets(url)!r} needs a certificate: WebSocketTransport(ssl_context=…)")
        handlers = {place.path.encode(): upgrade_handler(self._origins, self._frames)}
        context = self._ssl_context if place.secure else None
        return await listen_http(place, handlers, settings=self._settings, ssl_context=context)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`."""
        place = parse_url(url, SCHEMES)
        shaking = ClientHandshake(
            place.authority, place.target, random_bytes=self._random_bytes, limits=self._settings.head
        )
        with trio.move_on_after(self._settings.handshake_seconds):
            wire = await self._open(place)
            try:
                return await self._upgrade(wire, shaking)
            except (trio.BrokenResourceError, UpgradeRefused) as error:
                wire.close()
                raise ConnectionRefusedError(f"no WebSocket at {place}: {error}") from error
            except BaseException:
                wire.close()
                raise
        raise TimeoutError(f"no WebSocket at {place} within {self._settings.handshake_seconds:g} s")

    async def _open(self, place: ServiceUrl) -> Wire:
        stream = await trio.open_tcp_stream(place.host, place.port)
        description = f"{place} (client)"
        if not place.secure:
            connected = socket.socket(fileno=stream.socket.detach())
            connected.setblocking(False)
            return SocketWire(connected, description, self._settings.wire)
        try:
            context = ssl.create_default_context() if self._ssl_context is None else self._ssl_context
            tls = trio.SSLStream(stream, context, server_hostname=place.host, https_compatible=True)
            await tls.do_handshake()
        except trio.BrokenResourceError as error:
            await trio.aclose_forcefully(stream)
            raise ConnectionError(f"no TLS with {place}: {error.__cause__ or error}") from error
        except BaseException:
            await trio.aclose_forcefully(stream)
            raise
        return StreamWire(tls, description, self._settings.wire)

    async def _upgrade(self, wire: Wire, shaking: ClientHandshake) -> Link:
        wire.write(shaking.request)
        while data := await wire.receive():
            early = shaking.receive_data(data)
            if early is not None:
                return WebSocketLink(wire, WebSocket(MaskedFrames(self._random_bytes), self._frames), early)
        raise UpgradeRefused(None, "the server hung up")
