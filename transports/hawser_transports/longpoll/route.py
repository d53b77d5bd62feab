"""The server's end: requests at one path, and the links that they make together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import trio

from hawser_engine.bindings.head import Head, HeadRefused
from hawser_engine.bindings.http import Reply, framing, write_reply
from hawser_engine.bindings.longpoll import Browsers, Exchange, Fields, PollService, ServerPoll, overloaded
from hawser_transports.bodies import read_body
from hawser_transports.door import Busy

from .ends import PollLink
from .lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hawser_engine.bindings.http import Framing
    from hawser_transports.visits import Visit
    from hawser_transports.wires import Wire

    from .settings import PollSettings

_METHODS: Final = (b"GET", b"POST")


class PollServerLink(PollLink):
    """The server's end of one long-poll connection."""

    def __init__(
        self,
        poll: ServerPoll,
        service: PollService,
        description: str,
        settings: PollSettings,
        left: Callable[[], None],
    ) -> None:
        super().__init__(poll, description, settings)
        self._left: Callable[[], None] | None = left
        self._server_poll = poll
        self._service = service
        self.pong_wait_seconds: float = settings.patience_seconds

    def _flush(self) -> None:
        for exchange in self._server_poll.answered():
            if callable(exchange.context):
                exchange.context()

    def _begin_close(self) -> None:
        self._server_poll.close()

    def _is_leaving(self) -> bool:
        return self._server_poll.lingering

    def _break(self) -> None:
        self._server_poll.close()
        self._service.end(self._server_poll)
        self._changed()
        if self._left is not None:
            left, self._left = self._left, None
            left()

    def _is_over(self) -> bool:
        return self._server_poll.over


class PollRoute:
    """Serves the requests of one service: a handler for the listener."""

    def __init__(self, origins: Collection[str], settings: PollSettings) -> None:
        """Start without links.

        Args:
            origins: The origins whose pages may use it (SPEC CAR-7, CAR-29).
            settings: Limits and times.
        """
        self._browsers = Browsers(origins)
        self._settings = settings
        self._service = PollService(settings.limits)
        self._lane = Lane(self._service, self._browsers, _look)

    async def __call__(self, head: Head, wire: Wire, visit: Visit) -> bytes | None:
        """Serve one request; see `hawser_transports.visits.Handler`."""
        frame = framing(head)
        named = head.value(b"origin")
        origin = None if named is None else named.decode("ascii")
        if not self._browsers.admits(origin):
            raise HeadRefused(403, "saw an origin that may not connect", "CAR-29")
        rest: bytes | None = None if frame.length else head.rest
        more = ""
        if head.start[0] in _METHODS:
            reply, rest = await self._serve(head, frame, wire, visit)
            more = self._browsers.lines(origin)
        elif head.start[0] == b"OPTIONS":
            reply = self._browsers.preflight(origin)
        else:
            reply = Reply(405, (("allow", "GET, POST, OPTIONS"),))
        persists = frame.persists and rest is not None
        wire.write(write_reply(reply, more, persists=persists))
        if persists:
            await wire.wait_room()
            return rest or await self._lane.host(wire, head.start[1], visit)
        await wire.finish()
        return None

    async def _serve(self, head: Head, frame: Framing, wire: Wire, visit: Visit) -> tuple[Reply, bytes | None]:
        """Answer a request of the protocol; with what has arrived behind it, None if its body was not read."""
        exchange = self._service.begin(head.start[0].decode("ascii"), Fields.of(head), frame.length)
        if exchange.reply is not None:
            _look(exchange)
            return exchange.reply, None if frame.length else head.rest
        if exchange.poll is None:
            return await self._attach(exchange, head, frame, wire, visit)
        body, rest = await read_body(head.rest, frame, wire, self._settings.body_seconds)
        self._service.receive(exchange, body)
        return await _answer(exchange), rest

    async def _attach(
        self, exchange: Exchange, head: Head, frame: Framing, wire: Wire, visit: Visit
    ) -> tuple[Reply, bytes | None]:
        """Make a link of a POST that attaches, if the client may have one more (SPEC LIM-3)."""
        try:
            left = visit.enter()
        except Busy as busy:  # before the body is read: to say no must cost less than to say yes
            return overloaded(busy.detail, busy.retry_seconds), None
        link: PollServerLink | None = None
        try:
            body, rest = await read_body(head.rest, frame, wire, self._settings.body_seconds)
            self._service.receive(exchange, body)
            for poll in self._service.arrivals():
                poll.context = link = PollServerLink(poll, self._service, wire.description, self._settings, left)
                await visit.deliver(link)
        finally:
            if link is None:
                left()
        return await _answer(exchange), rest


async def _answer(exchange: Exchange) -> Reply:
    _look(exchange)
    if exchange.reply is None:
        answered = trio.Event()
        exchange.context = answered.set
        await answered.wait()
    assert exchange.reply is not None
    return exchange.reply


def _look(exchange: Exchange) -> None:
    """Let the link of a request see what it has brought."""
    link = None if exchange.poll is None else exchange.poll.context
    if isinstance(link, PollServerLink):
        link.arrived()
