"""Requests of plain HTTP that an application answers itself, on the port of the service.

The head gate and the listener's limits hold for them as for everything else; a body is read whole, within bounds,
before the handler hears of it, and the answer is written whole. So a handler sees neither sockets nor slow clients.

Rule: what goes wrong in a handler is one answer 500 and one record in the log.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio
from attrs import field

from hawser_engine.bindings.head import HeadRefused
from hawser_engine.bindings.http import framing

from .bodies import read_body
from .door import Busy
from .wires import ROOM_BYTES

if TYPE_CHECKING:
    from hawser_engine.bindings.head import Head
    from hawser_transports.settings import MountSettings
    from hawser_transports.visits import Visit
    from hawser_transports.wires import Wire

_log: Final = logging.getLogger("hawser.http")

_TOKEN: Final = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_VALUE: Final = frozenset(map(chr, range(0x20, 0x7F))) | {"\t"}
_OURS: Final = frozenset(("connection", "content-length", "keep-alive", "transfer-encoding", "upgrade", "trailer"))
"""Headers that say where an answer ends and what follows it; a handler has no say in that."""
_STATUSES: Final = frozenset(int(each) for each in HTTPStatus if each >= HTTPStatus.OK)
_WITHOUT_BODY: Final = (204, 205, 304)
_RETRY_SECONDS: Final = 1


@attrs.frozen(kw_only=True)
class HttpRequest:
    """A request for a mounted handler."""

    method: str
    """As it came: methods are told apart by case."""
    path: str
    """The whole path, prefix included, as it came: percent signs and dots mean nothing yet."""
    query: str = ""
    """What stands behind the question mark."""
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    """Names in lower case and values, in the order in which they came; a secret may be among them."""
    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    """All of it."""
    address: str = ""
    """The client's, behind a trusted proxy what that says."""

    def header(self, name: str) -> str | None:
        """The first header of a name, given in lower case; None if there is none."""
        return next((value for each, value in self.headers if each == name), None)


def _headers(_: object, attribute: attrs.Attribute[Any], value: tuple[tuple[str, str], ...]) -> None:
    for name, text in value:
        if not name or not _TOKEN.issuperset(name) or name.lower() in _OURS:
            raise ValueError(f"{attribute.name} has {name!r}; it must be a token, and none that frames the answer")
        if not _VALUE.issuperset(text):
            raise ValueError(f"{attribute.name} has a value of {name!r} with more than printable ASCII on one line")


def _status(_: object, attribute: attrs.Attribute[Any], value: int) -> None:
    if value not in _STATUSES:
        raise ValueError(f"{attribute.name} is {value!r}; it must be a status of HTTP that ends a request")


@attrs.frozen(kw_only=True)
class HttpResponse:
    """The answer of a mounted handler; what cannot be written is refused with the name of the field."""

    status: int = field(default=200, validator=_status)
    """From 200 on; 101 is no handler's."""
    headers: tuple[tuple[str, str], ...] = field(default=(), validator=_headers)
    """Names and values; length and connection are the server's own."""
    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")
    """All of it; empty where the status has none."""


HttpHandler: TypeAlias = Callable[[HttpRequest], Awaitable[HttpResponse]]
"""Answers a request. Each runs in the task of its connection, several at a time."""


class Mount:
    """Serves the paths below one prefix: a handler for the listener.

    Args:
        handler: The application's.
        settings: Limits; they hold for each prefix.
    """

    def __init__(self, handler: HttpHandler, settings: MountSettings) -> None:
        self._handler = handler
        self._settings = settings
        self._running = 0

    async def __call__(self, head: Head, wire: Wire, visit: Visit) -> bytes | None:
        """Serve one request; see `hawser_transports.visits.Handler`."""
        settings = self._settings
        frame = framing(head)
        if frame.length > settings.body_bytes:
            raise HeadRefused(413, f"saw a body of {frame.length} bytes, expected at most {settings.body_bytes}")
        if self._running >= settings.requests:
            raise Busy(503, "too many requests at once", _RETRY_SECONDS)
        self._running += 1
        try:
            body, rest = await read_body(head.rest, frame, wire, settings.body_seconds)
            response = await self._answer(_request(head, body, visit.address))
        finally:
            self._running -= 1
        persists = frame.persists and not visit.last
        data = _write(response, to_head=head.start[0] == b"HEAD", persists=persists)
        for start in range(0, len(data), ROOM_BYTES):
            wire.write(data[start : start + ROOM_BYTES])
            await wire.wait_room()
        if persists:
            return rest
        await wire.finish()
        return None

    async def _answer(self, request: HttpRequest) -> HttpResponse:
        with trio.move_on_after(self._settings.reply_seconds):
            try:
                return _checked(await self._handler(request))
            except Exception:
                _log.exception("the handler of %s %s failed", request.method, request.path)
                return _text(500, "internal error\n")
        _log.warning("the handler of %s %s took too long", request.method, request.path)
        return _text(503, "the answer took too long\n")


def _checked(response: object) -> HttpResponse:
    """What a handler returned, if it is what it should be."""
    if not isinstance(response, HttpResponse):
        raise TypeError(f"the handler returned {response!r}; expected an HttpResponse")
    return response


def _request(head: Head, body: bytes, address: str) -> HttpRequest:
    path, _, query = head.start[1].decode("ascii").partition("?")
    headers = tuple((name.decode("ascii"), value.decode("ascii")) for name, value in head.headers)
    return HttpRequest(
        method=head.start[0].decode("ascii"), path=path, query=query, headers=headers, body=body, address=address
    )


def _text(status: int, text: str) -> HttpResponse:
    return HttpResponse(status=status, headers=(("content-type", "text/plain; charset=utf-8"),), body=text.encode())


def _write(response: HttpResponse, *, to_head: bool, persists: bool) -> bytes:
    """Write an answer; one to HEAD says how long its body would be."""
    empty = response.status in _WITHOUT_BODY
    body = b"" if empty else response.body
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    if not empty:
        lines.append(f"content-length: {len(body)}")
    lines += [f"{name}: {value}" for name, value in response.headers]
    if not persists:
        lines.append("connection: close")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + (b"" if to_head else body)
