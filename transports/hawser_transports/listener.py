"""The HTTP/1.1 listener: accepts connections, reads heads from each, and hands each to the handler of its path.

It knows nothing of what its handlers do: WebSocket brings one, long-poll another, and more routes may stand beside them
on one port. What needs no handler it answers itself: ``/healthz``, unknown paths, heads that are no heads.

A connection carries one request behind the other for as long as its handlers say so; requests that are pipelined are
answered in their order. Whatever is refused ends it.

Sockets are accepted quicker than clients are let in (`hawser_transports.door`): an answer costs little, and a client
that knows when to come back does not wait in the kernel's queue until its own deadline.

Rule 1: whatever happens on one connection ends that connection only.
Rule 2: a connection has one deadline until a handler has it (TLS, head, all of it), and the listener's counts hold.
"""

from __future__ import annotations

import errno
import logging
import math
import re
import select
import socket
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio
from trio.lowlevel import ParkingLot, cancel_shielded_checkpoint, checkpoint_if_cancelled, notify_closing, wait_readable

from hawser_engine.bindings.head import Head, HeadGate, HeadRefused, response
from hawser_transports.contract import Link, Listener
from hawser_transports.door import Attendance, Busy, Door
from hawser_transports.mounts import HttpHandler, Mount
from hawser_transports.reactor import Reactor
from hawser_transports.settings import ListenerSettings
from hawser_transports.thin import resend_evenly
from hawser_transports.visits import Handler, Visit
from hawser_transports.wires import SocketWire, StreamWire, Wire

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Mapping

    from hawser_transports.contract import Receiver
    from hawser_transports.urls import ServiceUrl

_log: Final = logging.getLogger("hawser.listener")

LISTEN_BACKLOG: Final = 4_096
"""Connections that the kernel keeps for us; a short queue costs clients a second of TCP retry in a storm."""

HEALTH_PATH: Final = b"/healthz"
"""Where load balancers ask whether they may send clients here."""

_PREFIX: Final = re.compile(r"(/[\w.~-]+)+", re.ASCII)

_OUT_OF_RESOURCES: Final = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
# Of one connection that died in the queue, or that a firewall stopped; accept(2) has the list, Trio skips the same.
_OF_ONE_CONNECTION: Final = frozenset(
    getattr(errno, name)
    for name in (
        "ECONNABORTED", "EHOSTDOWN", "EHOSTUNREACH", "ENETDOWN", "ENETUNREACH", "ENONET", "ENOPROTOOPT", "EOPNOTSUPP",
        "EPERM", "EPROTO",
    )
    if hasattr(errno, name)  # not every system has each of them
)  # fmt: skip
_ACCEPTS_IN_A_ROW: Final = 64
_PAUSE_SECONDS: Final = 0.1
_SILENT_SECONDS: Final = 10.0
_SOCKETS_A_CONNECTION: Final = 10
_SOCKETS_A_CONNECTION_TLS: Final = 2
_WAITING_LINKS: Final = 1_024
_PORT_TRIES: Final = 5


class HttpListener(Listener):
    """Listens on some sockets; made by `listen_http`."""

    def __init__(
        self,
        sockets: list[socket.socket],
        url: str,
        handlers: Mapping[bytes, Handler],
        attendance: Attendance,
        context: ssl.SSLContext | None,
    ) -> None:
        settings = attendance.settings
        self._sockets = sockets
        self._url = url
        self._handlers = handlers
        self._settings = settings
        self._context = context
        self._mounts: dict[bytes, Mount] = {}
        self._closed = False
        self._accepting = False
        self._waiting: deque[Link] = deque()
        self._acceptors = ParkingLot()
        self._shaking: set[trio.CancelScope] = set()
        self._sockets_per_second = settings.accepts_per_second * (
            _SOCKETS_A_CONNECTION if context is None else _SOCKETS_A_CONNECTION_TLS
        )
        self._allowance = self._sockets_per_second
        self._allowed_at = trio.current_time()
        self._out_of_resources_at = -math.inf
        self.door: Door = Door(attendance)
        """Who is in, and who may come."""

    @property
    def url(self) -> str:
        """See `Listener.url`."""
        return self._url

    async def accept(self) -> Link:
        """See `Listener.accept`."""
        await checkpoint_if_cancelled()
        if self._accepting:
            raise trio.BusyResourceError("another task is accepting from this listener")
        self._accepting = True
        waited = False
        try:
            while not self._waiting and not self.door.shut:
                waited = True
                await self._acceptors.park()
        finally:
            self._accepting = False
        if not waited:
            await cancel_shielded_checkpoint()
        if not self._waiting:
            raise trio.ClosedResourceError("the listener is closed")
        return self._waiting.popleft()

    async def drain(self) -> None:
        """See `Listener.drain`: newcomers are answered 503 and so is who asks for health; polls are served."""
        self.door.shut = True
        self._acceptors.unpark_all()
        await trio.lowlevel.checkpoint()

    def mount(self, prefix: str, handler: HttpHandler) -> None:
        """See `Listener.mount`."""
        path = prefix.encode("ascii", "replace")
        if not _PREFIX.fullmatch(prefix) or path == HEALTH_PATH or path in {*self._handlers, *self._mounts}:
            raise ValueError(f"nothing can be mounted at {prefix!r}; a prefix looks like /api, and no other is there")
        self._mounts[path] = Mount(handler, self._settings.mounts)

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        self._closed = self.door.shut = True
        for each in self._sockets:
            notify_closing(each)
            each.close()
        self._sockets.clear()
        for scope in self._shaking:
            scope.cancel(reason="the listener is closing")
        self._acceptors.unpark_all()
        waiting, self._waiting = self._waiting, deque()
        for link in waiting:
            await trio.aclose_forcefully(link)
        await trio.lowlevel.checkpoint()

    async def serve(self, attach: Callable[[Link], Receiver]) -> None:
        """See `Listener.serve`: where the system has epoll, one task reads all plain sockets."""
        if hasattr(select, "epoll"):
            await Reactor().serve(self.accept, attach)
        else:
            await super().serve(attach)

    async def run(self) -> None:
        """Accept connections and shake hands until closed."""
        try:
            async with trio.open_nursery() as nursery:
                for each in self._sockets:
                    nursery.start_soon(self._accept_from, each, nursery)
        except Exception:  # a system task that raises ends the whole program
            _log.exception("the listener %s failed", self._url)
            await self.aclose()

    async def _deliver(self, link: Link) -> None:
        if self.door.shut or len(self._waiting) >= _WAITING_LINKS:
            await trio.aclose_forcefully(link)
            return
        self._waiting.append(link)
        self._acceptors.unpark()

    async def _accept_from(self, listening: socket.socket, nursery: trio.Nursery) -> None:
        while not self._closed:
            try:
                await wait_readable(listening)
                for _ in range(_ACCEPTS_IN_A_ROW):
                    await self.wait_for_allowance()
                    self._arrived(*self._accept(listening), nursery)
            except (BlockingIOError, trio.ClosedResourceError):
                continue
            except OSError as error:
                if self._closed:
                    return
                if error.errno in _OF_ONE_CONNECTION:
                    continue
                if error.errno not in _OUT_OF_RESOURCES:
                    raise
                self._tell_of_shortage(error)
                await trio.sleep(_PAUSE_SECONDS)

    def _tell_of_shortage(self, error: OSError) -> None:
        """Log that there are no descriptors, or no memory: now and then, for it is asked ten times a second."""
        now = trio.current_time()
        if now - self._out_of_resources_at >= _SILENT_SECONDS:
            self._out_of_resources_at = now
            _log.warning("no connection can be accepted at %s: %s", self._url, error)

    def _accept(self, listening: socket.socket) -> tuple[socket.socket, tuple[Any, ...]]:
        try:
            return listening.accept()
        except OSError:
            self._allowance += 1  # a wake-up that brought nobody
            raise

    async def wait_for_allowance(self) -> None:
        """Wait until the rate allows one more socket; a checkpoint only where it waits."""
        rate = self._sockets_per_second
        if rate == math.inf:
            return
        now = trio.current_time()
        self._allowance = min(rate, self._allowance + (now - self._allowed_at) * rate)
        self._allowed_at = now
        if self._allowance < 1:
            await trio.sleep((1 - self._allowance) / rate)
            self._allowance = 1
            self._allowed_at = trio.current_time()
        self._allowance -= 1

    def _arrived(self, connected: socket.socket, peer: tuple[Any, ...], nursery: trio.Nursery) -> None:
        connected.setblocking(False)
        try:
            connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except OSError:  # it was reset meanwhile; some systems say so here
            connected.close()
            return
        host, port = str(peer[0]), int(peer[1])
        own = self.door.opened(host)
        if own is None:
            wire = SocketWire(connected, host, self._settings.wire)
            if self._context is None:  # with TLS there is nobody yet to whom anything could be said
                wire.write(response(503, "too many sockets\n", [("Retry-After", str(self.door.soon()))]))
            wire.close()
            return
        nursery.start_soon(self._contain, connected, host, own, f"{self._url} from {host}:{port}")

    async def _contain(self, connected: socket.socket, host: str, own: str, description: str) -> None:
        try:
            await self._serve(connected, host, own, description)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # the peer left, or we did
        except Exception:
            _log.exception("a connection failed: %s", description)

    async def _serve(self, connected: socket.socket, host: str, own: str, description: str) -> None:
        began = trio.current_time()
        wire: Wire | None = None
        head: Head | None = None
        gate = HeadGate(request=True, limits=self._settings.head)
        try:
            with trio.move_on_after(self._settings.handshake_seconds) as deadline:
                self._shaking.add(deadline)
                try:
                    wire = await self._wire(connected, description)
                    wire.began = began
                    wire.on_close = partial(self.door.closed, own)
                    head = await _read_head(gate, wire)
                finally:
                    self._shaking.discard(deadline)
                    if wire is None:
                        connected.close()
                        self.door.closed(own)
            while wire is not None and head is not None:
                rest = await self._handle(head, wire, host, own)
                if rest is None:
                    return
                head = None
                with trio.move_on_after(self._settings.idle_seconds):
                    head = await _read_head(gate, wire, rest)
        except HeadRefused as refused:
            assert wire is not None, "the head came over it"
            await _refuse(wire, refused, to_head=head is not None and _is_head(head))
        except BaseException:
            if wire is not None:
                wire.close()
            raise
        if wire is not None:
            wire.close()

    async def _wire(self, connected: socket.socket, description: str) -> Wire:
        if self._context is None:
            return SocketWire(connected, description, self._settings.wire)
        stream = trio.SSLStream(
            trio.SocketStream(trio.socket.from_stdlib_socket(connected)),
            self._context,
            server_side=True,
            https_compatible=True,
        )
        await stream.do_handshake()
        return StreamWire(stream, description, self._settings.wire)

    def _mounted(self, path: bytes) -> Mount | None:
        """Find the mount of a path: that with the longest prefix of whole segments."""
        while self._mounts and path:
            mount = self._mounts.get(path)
            if mount is not None:
                return mount
            path = path.rpartition(b"/")[0]
        return None

    async def _handle(self, head: Head, wire: Wire, host: str, own: str) -> bytes | None:
        handler = self._handlers.get(head.path) or self._mounted(head.path)
        if handler is not None:
            visit = Visit(self.door.proxies.client(head, host), self.door, own, self._deliver)
            return await handler(head, wire, visit)
        if head.path != HEALTH_PATH:
            raise HeadRefused(404, "saw a path that nothing serves")
        if head.start[0] != b"GET" and not _is_head(head):
            raise HeadRefused(405, "saw another method than GET")
        status, text = (503, "draining\n") if self.door.shut else (200, "ok\n")
        wire.write(response(status, text, to_head=_is_head(head)))
        await wire.finish()
        return None


def _is_head(head: Head) -> bool:
    return head.start[0] == b"HEAD"


async def _read_head(gate: HeadGate, wire: Wire, data: bytes = b"") -> Head | None:
    """Read a request's head, of which the beginning may be there; None if the peer leaves before its end."""
    if data:
        await trio.lowlevel.checkpoint()  # who sends many requests at once waits for others between them
        head = gate.receive_data(data)
        if head is not None:
            return head
    while data := await wire.receive():
        head = gate.receive_data(data)
        if head is not None:
            return head
    return None


async def _refuse(wire: Wire, refused: HeadRefused, *, to_head: bool) -> None:
    headers = {405: [("Allow", "GET")], 426: [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]}.get(
        refused.status, []
    )
    if isinstance(refused, Busy):
        headers = [("Retry-After", str(refused.retry_seconds))]
    wire.write(response(refused.status, f"{refused}\n", headers, to_head=to_head))
    await wire.finish()


async def listen_http(
    url: ServiceUrl,
    handlers: Mapping[bytes, Handler],
    *,
    settings: ListenerSettings | None = None,
    attendance: Attendance | None = None,
    ssl_context: ssl.SSLContext | None = None,
) -> HttpListener:
    """Listen at a URL.

    Args:
        url: Port 0 picks a free one; a name listens at all of its addresses.
        handlers: Who serves which path.
        settings: Limits, of a service that listens nowhere else.
        attendance: In place of them, what all listeners of one service have together.
        ssl_context: For a URL that is secure.

    Raises:
        OSError: The place is taken or cannot be had.
    """
    if attendance is None:
        attendance = Attendance(ListenerSettings() if settings is None else settings)
    sockets, port = await _open_sockets(url.host, url.port)
    listener = HttpListener(sockets, str(attrs.evolve(url, port=port)), handlers, attendance, ssl_context)
    # A listener belongs to nobody's nursery, and shakes hands whether or not somebody waits in `accept` just now.
    trio.lowlevel.spawn_system_task(listener.run, name=f"listener {listener.url}")
    return listener


async def _open_sockets(host: str, port: int) -> tuple[list[socket.socket], int]:
    found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    tries = 1 if port else _PORT_TRIES  # the second address of a name may find the free port of the first one taken
    while True:
        tries -= 1
        sockets: list[socket.socket] = []
        chosen = port
        try:
            for family, kind, protocol, _, address in found:
                each = socket.socket(family, kind, protocol)
                sockets.append(each)
                chosen = _listen(each, (address[0], chosen, *address[2:]))
        except OSError as error:
            for each in sockets:
                each.close()
            if error.errno != errno.EADDRINUSE or not tries:
                raise
        else:
            return sockets, chosen


def _listen(listening: socket.socket, address: tuple[object, ...]) -> int:
    listening.setblocking(False)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if listening.family == socket.AF_INET6:
        listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    resend_evenly(listening)
    listening.bind(address)
    listening.listen(LISTEN_BACKLOG)
    return int(listening.getsockname()[1])
