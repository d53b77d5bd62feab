"""Transports that are reached over HTTP: where listener, routes and links are put together.

At a ``ws`` or ``wss`` URL a server takes upgrades to WebSocket; at an ``http`` or ``https`` URL it takes long-poll
requests too, at the same path. A client takes the WebSocket where it works and polls where it does not.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

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

from .contract import Listener, Transport, TurnedAway
from .dialing import dial
from .door import Attendance
from .listener import listen_http
from .longpoll import Asking, PollClientLink, PollRoute, PollSettings
from .settings import ListenerSettings
from .urls import check_origins, parse_url, without_secrets
from .websocket import WebSocketLink

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Collection

    from .contract import Link
    from .visits import Handler, Visit
    from .wires import Wire

SCHEMES: Final = ("ws", "wss", "http", "https")
"""``http`` and ``https`` name a service by whatever reaches it."""

POLL_SCHEMES: Final = ("http", "https")


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

    async def handle(head: Head, wire: Wire, visit: Visit) -> None:  # of an upgrade nothing follows on the wire
        if not is_upgrade(head):
            raise HeadRefused(426, "saw a request that is no upgrade to WebSocket")
        visit.enter_for(wire)  # first: to say no must cost less than to say yes
        wire.write(accept_upgrade(head, origins=listed))
        await visit.deliver(WebSocketLink(wire, WebSocket(frames, limits), head.rest))

    return handle


def service_handler(upgrades: Handler, polls: Handler) -> Handler:
    """Make the handler of a path at which a service is reached by WebSocket and by long-poll (SPEC CAR-11)."""

    async def handle(head: Head, wire: Wire, visit: Visit) -> bytes | None:
        visits = head.start[0] == b"GET" and not head.values(b"hawser-generation")
        return await (upgrades if visits or is_upgrade(head) else polls)(head, wire, visit)

    return handle


class WebSocketTransport(Transport):
    """Links over WebSocket: ``ws://host:port/path`` and, over TLS, ``wss://…``; ``http`` and ``https`` mean the same.

    At the latter two it has long-poll to fall back on; whoever wants WebSocket only writes ``ws`` or ``wss``.

    All places at which one transport listens are one service: where a balancer spreads the requests of a long-poll link
    over them, each reaches it, and limits hold for all of them together.

    Args:
        ssl_context: For ``wss``. A server needs one with its certificate; a client without one trusts what the
            system trusts.
        origins: Server: the origins whose pages may connect, such as ``https://example.org``, compared exactly.
            Programs that are no browsers name none and may always.
        settings: Limits and times, those of connections that a client opens included.
        frames: What peers may send over a WebSocket.
        polls: Limits and times of long-poll links, at ``http`` and ``https`` URLs.
        random_bytes: Where a client's keys and masks come from, and pauses between its requests.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        origins: Collection[str] = (),
        settings: ListenerSettings | None = None,
        frames: FrameLimits | None = None,
        polls: PollSettings | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._ssl_context = ssl_context
        self._origins = check_origins(origins)
        self._settings = ListenerSettings() if settings is None else settings
        self._attendance = Attendance(self._settings)
        self._frames = FrameLimits() if frames is None else frames
        self._polls = PollSettings() if polls is None else polls
        self._polling = PollRoute(self._origins, self._polls)
        self._random_bytes = random_bytes

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`; port 0 picks a free one, the path is where clients upgrade, or poll."""
        place = parse_url(url, SCHEMES)
        if place.secure and self._ssl_context is None:
            raise ValueError(f"{without_secrets(url)!r} needs a certificate: WebSocketTransport(ssl_context=…)")
        handler = upgrade_handler(self._origins, self._frames)
        if place.scheme in POLL_SCHEMES:
            handler = service_handler(handler, self._polling)
        handlers = {place.path.encode(): handler}
        context = self._ssl_context if place.secure else None
        return await listen_http(place, handlers, attendance=self._attendance, ssl_context=context)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`."""
        place = parse_url(url, SCHEMES)
        shaking = ClientHandshake(
            place.authority, place.target, random_bytes=self._random_bytes, limits=self._settings.head
        )
        with trio.move_on_after(self._settings.handshake_seconds):
            wire = await dial(place, self._ssl_context, self._settings.wire)
            try:
                return await self._upgrade(wire, shaking)
            except (trio.BrokenResourceError, UpgradeRefused) as error:
                wire.close()
                if isinstance(error, UpgradeRefused) and error.retry_seconds is not None:
                    raise TurnedAway(f"no WebSocket at {place}: {error}", error.retry_seconds) from error
                raise ConnectionRefusedError(f"no WebSocket at {place}: {error}") from error
            except BaseException:
                wire.close()
                raise
        raise TimeoutError(f"no WebSocket at {place} within {self._settings.handshake_seconds:g} s")

    def fallback(self, url: str) -> Transport | None:
        """See `Transport.fallback`."""
        if urlsplit(url).scheme not in POLL_SCHEMES:
            return None
        return LongPollTransport(
            ssl_context=self._ssl_context, settings=self._settings, polls=self._polls, random_bytes=self._random_bytes
        )

    async def _upgrade(self, wire: Wire, shaking: ClientHandshake) -> Link:
        wire.write(shaking.request)
        while data := await wire.receive():
            early = shaking.receive_data(data)
            if early is not None:
                return WebSocketLink(wire, WebSocket(MaskedFrames(self._random_bytes), self._frames), early)
        raise UpgradeRefused(None, "the server hung up")


class LongPollTransport(Transport):
    """Links over long-poll requests: ``http://host:port/path`` and, over TLS, ``https://…``.

    All places at which one transport listens are one service, as those of `WebSocketTransport` are.

    Args:
        ssl_context: For ``https``. A server needs one with its certificate; a client without one trusts what the
            system trusts.
        origins: Server: the origins whose pages may use it, such as ``https://example.org``, compared exactly.
        settings: Limits and times, those of connections that a client opens included.
        polls: Limits and times of the links.
        random_bytes: Where a client's pauses between tries come from.
    """

    def __init__(
        self,
        *,
        ssl_context: ssl.SSLContext | None = None,
        origins: Collection[str] = (),
        settings: ListenerSettings | None = None,
        polls: PollSettings | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    ) -> None:
        self._ssl_context = ssl_context
        self._origins = check_origins(origins)
        self._settings = ListenerSettings() if settings is None else settings
        self._attendance = Attendance(self._settings)
        self._polls = PollSettings() if polls is None else polls
        self._polling = PollRoute(self._origins, self._polls)
        self._random_bytes = random_bytes

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`; port 0 picks a free one, the path is where clients poll."""
        place = parse_url(url, POLL_SCHEMES)
        if place.secure and self._ssl_context is None:
            raise ValueError(f"{without_secrets(url)!r} needs a certificate: LongPollTransport(ssl_context=…)")
        handlers: dict[bytes, Handler] = {place.path.encode(): self._polling}
        context = self._ssl_context if place.secure else None
        return await listen_http(place, handlers, attendance=self._attendance, ssl_context=context)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`; opens one connection, on which nothing is asked yet."""
        place = parse_url(url, POLL_SCHEMES)
        asking = Asking(place, partial(dial, place, self._ssl_context, self._settings.wire))
        with trio.move_on_after(self._settings.handshake_seconds):
            await asking.open()
            return PollClientLink(asking, f"{place} (client)", self._polls, self._random_bytes)
        raise TimeoutError(f"no connection to {place} within {self._settings.handshake_seconds:g} s")
