"""Where the sockets of clients that poll stay between their usual requests, read and answered without a task.

To wake a task for each request and for each reply costs more than all that is done with them. Here one task reads all
of these sockets; a request that is there as a whole and in every way usual is taken in the same step, and its reply is
written in the step in which there is one. Whatever is unusual goes back to the socket's own task, which waits for that.

Rule: nothing that goes back has been judged here, so a request means the same on either way.
"""

from __future__ import annotations

import logging
import select
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import trio
from trio.lowlevel import spawn_system_task

from hawser_engine.bindings.head import HeadLimits, HeadRefused, usual_head
from hawser_engine.bindings.http import framing, write_reply
from hawser_engine.bindings.longpoll import Exchange, Fields

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser_engine.bindings.longpoll import Browsers, PollService
    from hawser_transports.visits import Visit
    from hawser_transports.wires import Wire

READS: Final = 64
"""Requests between two checkpoints."""

_METHODS: Final = (b"GET", b"POST")
_ENDING: Final = 0 if sys.platform != "linux" else select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR

_log: Final = logging.getLogger("hawser.listener")


class _Guest:
    """One socket on the lane."""

    __slots__ = ("data", "exchange", "left", "limits", "more", "origin", "since", "target", "wire")

    def __init__(self, wire: Wire, target: bytes, limits: HeadLimits) -> None:
        self.wire = wire
        self.target = target
        self.limits = limits
        self.exchange: Exchange | None = None
        """The request that waits for its reply."""
        self.origin: str | None = None
        """What its page is, if it comes from one."""
        self.more = False
        """Whether something has arrived meanwhile, be it the end."""
        self.since = trio.current_time()
        """When the last reply was written."""
        self.data = b""
        """What has arrived and is not for this lane."""
        self.left = trio.Event()
        """Set when the socket's task has to go on."""


class Lane:
    """Serves the usual requests of one long-poll service."""

    def __init__(self, service: PollService, browsers: Browsers, arrived: Callable[[Exchange], None]) -> None:
        """Start empty.

        Args:
            service: Whose requests these are.
            browsers: The pages that may make them.
            arrived: Called with an exchange that the service has taken.
        """
        self._service = service
        self._browsers = browsers
        self._arrived = arrived
        self._guests: dict[int, _Guest] = {}
        self._epoll: select.epoll | None = None
        self._reading = trio.CancelScope()

    async def host(self, wire: Wire, target: bytes, visit: Visit) -> bytes | None:
        """Serve the usual requests that arrive on a wire.

        Args:
            wire: Nothing has arrived that was not handled, and nothing is left to be written.
            target: The target of the requests.
            visit: Of the one before.

        Returns:
            What has arrived and is not usual; empty if that is to be found out, by receiving. None if nothing has
            arrived for too long; then the wire is closed.
        """
        guest = _Guest(wire, target, visit.settings.head)
        descriptor = wire.lend(guest.left.set) if hasattr(select, "epoll") else -1
        if descriptor < 0:
            return b""
        self._enter(descriptor, guest)
        try:
            while not guest.left.is_set():
                with trio.move_on_at(guest.since + visit.settings.idle_seconds):
                    await guest.left.wait()
                if guest.left.is_set():
                    break
                now = trio.current_time()
                if guest.exchange is not None:
                    guest.since = now  # who waits for a reply is not idle
                elif now - guest.since >= visit.settings.idle_seconds:
                    wire.close()
                    return None
            return guest.data
        finally:
            self._leave(descriptor, guest)

    def _enter(self, descriptor: int, guest: _Guest) -> None:
        if self._epoll is None:
            self._epoll, self._reading = select.epoll(), trio.CancelScope()
            spawn_system_task(self._read_all, self._epoll, self._reading, name="reading polls")
        self._guests[descriptor] = guest
        self._epoll.register(descriptor, select.EPOLLIN | select.EPOLLRDHUP | select.EPOLLET)

    def _leave(self, descriptor: int, guest: _Guest) -> None:
        if guest.exchange is not None:
            guest.exchange.context = None
        if self._guests.get(descriptor) is not guest:
            return
        del self._guests[descriptor]
        epoll = self._epoll
        assert epoll is not None, "it is there as long as a socket is"
        if not guest.wire.closed:  # a closed socket has gone by itself
            epoll.unregister(descriptor)
        if not self._guests:
            self._epoll = None
            self._reading.cancel(reason="no socket is left")

    async def _read_all(self, epoll: select.epoll, scope: trio.CancelScope) -> None:
        try:
            with scope:
                while True:
                    await trio.lowlevel.wait_readable(epoll.fileno())
                    for descriptor, events in epoll.poll(0, READS):
                        guest = self._guests.get(descriptor)
                        if guest is not None:  # else something that was read before it has closed it
                            self._contain(guest, events)
        finally:
            trio.lowlevel.notify_closing(epoll.fileno())
            epoll.close()

    def _contain(self, guest: _Guest, events: int) -> None:
        """Whatever happens on one socket ends that socket only."""
        try:
            self._read(guest, events)
        except Exception:
            _log.exception("a connection failed: %s", guest.wire.description)
            guest.wire.close()

    def _read(self, guest: _Guest, events: int) -> None:
        if guest.left.is_set():
            return
        if guest.exchange is not None:
            guest.more = True
            return
        try:
            data = guest.wire.receive_nowait()
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            guest.left.set()
            return
        if data is None:
            return
        guest.more = bool(events & _ENDING)
        if not self._serve(guest, data):
            guest.data = data
            guest.left.set()

    def _serve(self, guest: _Guest, data: bytes) -> bool:
        """Take one whole request; False if it is not usual, and nothing has come of it."""
        head = usual_head(data, guest.limits)
        if head is None or head.start[0] not in _METHODS or head.start[1] != guest.target:
            return False
        named = head.named
        if b"hawser-generation" not in named:  # it attaches, or is no request of this protocol
            return False
        try:
            frame = framing(head)
        except HeadRefused:
            return False
        origin = None if b"origin" not in named else named[b"origin"].decode("ascii")
        if len(head.rest) != frame.length or frame.waits or not frame.persists or not self._browsers.admits(origin):
            return False
        guest.origin = origin
        exchange = guest.exchange = self._service.begin(head.start[0].decode("ascii"), Fields.of(head), frame.length)
        if exchange.reply is None:
            exchange.context = partial(self._answered, guest)
            self._service.receive(exchange, head.rest)
        self._arrived(exchange)
        if exchange.reply is not None and guest.exchange is exchange:  # of no connection, so nobody has told
            self._answered(guest)
        return True

    def _answered(self, guest: _Guest) -> None:
        exchange, guest.exchange = guest.exchange, None
        assert exchange is not None, "a request is answered once"
        assert exchange.reply is not None
        wire = guest.wire
        wire.write(write_reply(exchange.reply, self._browsers.lines(guest.origin), persists=True))
        guest.since = trio.current_time()
        if guest.more or wire.unwritten:
            guest.left.set()
