"""One task that reads many sockets.

A task for each connection costs a wake-up for each read, some 15 µs on Trio, which is more than all the rest that an
ACK costs. Here one task waits for a poller of its own, and reads whatever has become readable in one pass; links
that bring what arrives by themselves need no task either; those that only a task can wait for (TLS, foreign streams)
still get theirs.
"""

from __future__ import annotations

import select
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio

from hawser_transports.contract import pump

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser_transports.contract import Link, Receiver

READS: Final = 256
"""Reads between two checkpoints."""


@attrs.define(eq=False)
class _Tended:
    link: Link
    receiver: Receiver
    descriptor: int = -1


class Reactor:
    """Feeds receivers from links, like a `pump` for each, until they end."""

    def __init__(self) -> None:
        self._poller = select.epoll()
        self._tended: dict[int, _Tended] = {}
        self._fed: dict[Link, Receiver] = {}
        self._emptied = trio.Event()

    async def serve(self, accept: Callable[[], Awaitable[Link]], attach: Callable[[Link], Receiver]) -> None:
        """Take links until no more are accepted, and look after them until the last has ended.

        Args:
            accept: Raises `trio.ClosedResourceError` when there will be no more.
            attach: See `Listener.serve`.
        """
        try:
            async with trio.open_nursery() as links:
                reading = trio.CancelScope()
                links.start_soon(self._read_all, links, reading)
                while True:
                    try:
                        link = await accept()
                    except trio.ClosedResourceError:
                        break
                    self._take(link, attach(link), links)
                while self._tended or self._fed:
                    self._emptied = trio.Event()
                    await self._emptied.wait()
                reading.cancel(reason="no link is left")
        finally:
            left = list(self._tended.values())
            for tended in left:
                self._forget(tended)
            self._poller.close()
            fed, self._fed = self._fed, {}
            ends = {tended.link: tended.receiver for tended in left} | fed
            for receiver in ends.values():
                receiver.ended(None)
            with trio.CancelScope(shield=True):  # each closes without waiting
                for link in ends:
                    await trio.aclose_forcefully(link)

    def _take(self, link: Link, receiver: Receiver, links: trio.Nursery) -> None:
        self._fed[link] = receiver
        if link.feed(receiver.received, partial(self._unfed, link, links)):
            return
        del self._fed[link]
        tended = _Tended(link, receiver)
        tended.descriptor = link.lend(partial(self._returned, tended, links))
        if tended.descriptor < 0:
            links.start_soon(pump, link, receiver)
            return
        self._tended[tended.descriptor] = tended
        self._poller.register(tended.descriptor, select.EPOLLIN)
        self._read(tended, links)  # what came with the handshake makes no descriptor readable

    def _unfed(self, link: Link, links: trio.Nursery) -> None:
        """The link is closing or lost: a task hears the rest."""
        receiver = self._fed.pop(link, None)
        if receiver is not None:  # else the reactor is over, and has told it
            links.start_soon(pump, link, receiver)
            self._emptied.set()

    async def _read_all(self, links: trio.Nursery, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.lowlevel.wait_readable(self._poller.fileno())
                for descriptor, _ in self._poller.poll(0, READS):
                    tended = self._tended.get(descriptor)
                    if tended is not None:  # else something that was read before it in this pass has closed it
                        self._read(tended, links)

    def _read(self, tended: _Tended, links: trio.Nursery) -> None:
        try:
            batches = tended.link.receive_nowait()
        except trio.EndOfChannel:
            self._end(tended, None, links)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self._end(tended, error, links)
        else:
            if batches:
                tended.receiver.received(batches)

    def _end(self, tended: _Tended, error: Exception | None, links: trio.Nursery) -> None:
        self._forget(tended)
        tended.receiver.ended(error)
        if not isinstance(error, trio.ClosedResourceError):
            links.start_soon(trio.aclose_forcefully, tended.link)

    def _returned(self, tended: _Tended, links: trio.Nursery) -> None:
        """The link is closing, or has broken while it was written to; its receiver hears of it in a moment."""
        if self._forget(tended):
            links.start_soon(self._tell, tended, links)

    async def _tell(self, tended: _Tended, links: trio.Nursery) -> None:
        error: Exception | None = None
        try:
            while batches := tended.link.receive_nowait():
                tended.receiver.received(batches)
        except trio.EndOfChannel:
            pass
        except (trio.BrokenResourceError, trio.ClosedResourceError) as broken:
            error = broken
        self._end(tended, error, links)

    def _forget(self, tended: _Tended) -> bool:
        """Read it no more; False if that is so already."""
        if self._tended.get(tended.descriptor) is not tended:
            return False
        del self._tended[tended.descriptor]
        self._poller.unregister(tended.descriptor)
        if not self._tended:
            self._emptied.set()
        return True
