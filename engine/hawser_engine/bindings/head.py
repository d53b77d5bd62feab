"""The gate for HTTP/1.1 heads: strict, bounded, and in front of every library that parses them (SPEC CAR-8, CAR-33).

wsproto and h11 are lenient where a server on the open Internet cannot be: they take HTTP/1.0, bodies on an upgrade,
repeated headers, any byte from 0x80 up, and a head of any size that arrives in one piece; some bytes raise
exceptions that no caller expects. What has passed this gate is plain: one form of line end, printable ASCII, bounded.

Rule 1: bytes are judged in the order of the stream, so every chunking ends in the same head or the same refusal.
Rule 2: nothing beyond ``HeadLimits.total_bytes`` is ever held.
Rule 3: a request's head that is there as a whole and in every way usual is taken to pieces at once, in a fifth of the
time; whatever is unusual about it, that way has no opinion, and the lines are judged one by one.
"""

import re
from collections.abc import Sequence
from typing import Final

from attrs import define, field, frozen, validators

from hawser_engine.errors import HawserError

__all__ = ["Head", "HeadGate", "HeadLimits", "HeadRefused", "response", "usual_head"]

REASONS: Final = {
    200: "OK",
    204: "No Content",
    400: "Bad Request",
    401: "Unauthorized",
    403: "Forbidden",
    404: "Not Found",
    405: "Method Not Allowed",
    409: "Conflict",
    410: "Gone",
    413: "Content Too Large",
    414: "URI Too Long",
    417: "Expectation Failed",
    426: "Upgrade Required",
    429: "Too Many Requests",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
    505: "HTTP Version Not Supported",
}
"""Every status that this package answers with."""

_TOKEN: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_VISIBLE: Final = bytes(range(0x21, 0x7F))
_VALUE: Final = _VISIBLE + b" \t"
_VERSION: Final = b"HTTP/1.1"
_PLAIN: Final = "CAR-33"
_ONCE: Final = frozenset(
    (
        b"host",
        b"connection",
        b"upgrade",
        b"origin",
        b"content-length",
        b"transfer-encoding",
        b"sec-websocket-key",
        b"sec-websocket-version",
        b"sec-websocket-protocol",
        b"sec-websocket-extensions",
        b"sec-websocket-accept",
    )
)
"""Headers that mean something here; two of one could mean two things."""
_USUAL_START: Final = re.compile(rb"(GET|POST|HEAD|OPTIONS) (/[!-~]*) HTTP/1\.1\r\n")
_USUAL_HEADER: Final = re.compile(rb"(?m)^([!#$%&'*+\-.^_`|~0-9A-Za-z]+): ([!-~][ -~]*)\r\n")
"""One blank in front of the value; behind it ``usual_head`` looks for none."""
_USUAL_NAMES: Final = {
    spelled: name
    for name in (
        *_ONCE, b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"content-type", b"cookie", b"dnt",
        b"hawser-counts", b"hawser-first", b"hawser-generation", b"hawser-number", b"hawser-secret", b"hawser-session",
        b"pragma", b"priority", b"referer", b"sec-ch-ua", b"sec-ch-ua-mobile", b"sec-ch-ua-platform", b"sec-fetch-dest",
        b"sec-fetch-mode", b"sec-fetch-site", b"user-agent", b"via", b"x-forwarded-for", b"x-forwarded-proto",
        b"x-real-ip",
    )
    for spelled in (name, b"-".join(word.capitalize() for word in name.split(b"-")))
}  # fmt: skip
"""Names of headers as clients and proxies spell them, and in lower case: to look one up is quicker than to judge it."""
_START_LINE_PARTS: Final = 3
_STATUS_DIGITS: Final = 3


class HeadRefused(HawserError):
    """The peer's head is not taken; ``status`` is what a server answers it with."""

    def __init__(self, status: int, detail: str, clause: str = "CAR-8") -> None:
        """Describe the fault.

        Args:
            status: A key of ``REASONS``.
            detail: What was seen; never the peer's own bytes.
            clause: The clause of SPEC.md that is broken.
        """
        super().__init__(status, detail, clause)
        self.status: int = status
        self.detail: str = detail
        self.clause: str = clause

    def __str__(self) -> str:
        return f"{self.status} {REASONS[self.status]} (remote): {self.detail} (SPEC {self.clause})"


@frozen(kw_only=True)
class HeadLimits:
    """What a head may have; DESIGN's defaults lie between those of h11 (16 KiB in all) and websockets (8 KiB x 128)."""

    line_bytes: int = field(default=8_192, validator=validators.ge(64))
    """Bytes of one line, its CR LF not counted."""
    headers: int = field(default=64, validator=validators.ge(1))
    """Header lines."""
    total_bytes: int = field(default=16_384, validator=validators.ge(64))
    """Bytes of the whole head, the empty line at its end included."""


@define
class Head:
    """One head that has passed the gate; nobody changes it (frozen, it would take three times as long to make)."""

    start: tuple[bytes, bytes, bytes]
    """The three parts of the start line: method, target, version; or version, status, reason."""
    headers: tuple[tuple[bytes, bytes], ...]
    """Names in lower case and values without the blanks around them, in the order in which they came."""
    raw: bytes
    """The bytes of the head, the empty line included."""
    rest: bytes
    """What had arrived behind it."""
    named: dict[bytes, bytes] = field(eq=False, repr=False)
    """The headers by name; of one that stands there more than once the last."""

    def value(self, name: bytes) -> bytes | None:
        """Return the value of a header that stands there once at most, None if it does not; of others the last."""
        return self.named.get(name)

    def values(self, name: bytes) -> list[bytes]:
        """Return the values of all headers of a name, given in lower case."""
        if name not in self.named:
            return []
        return [value for each, value in self.headers if each == name]

    @property
    def path(self) -> bytes:
        """The target of a request without its query."""
        return self.start[1].partition(b"?")[0]


class HeadGate:
    """Collects heads, of requests or of responses, one after the other."""

    __slots__ = ("_buffer", "_headers", "_limits", "_line_start", "_request", "_start")

    def __init__(self, *, request: bool, limits: HeadLimits) -> None:
        """Start with nothing.

        Args:
            request: Whether a request's head is expected; otherwise a response's.
            limits: What is taken.
        """
        self._request = request
        self._limits = limits
        self._buffer = bytearray()
        self._line_start = 0
        self._start: tuple[bytes, bytes, bytes] | None = None
        self._headers: list[tuple[bytes, bytes]] = []

    @property
    def held_bytes(self) -> int:
        """Bytes that are kept now; never more than ``HeadLimits.total_bytes``."""
        return len(self._buffer)

    def receive_data(self, data: bytes) -> Head | None:
        """Take bytes, split anywhere.

        Returns:
            The head once it is complete, None before. What is given afterwards begins the next one.

        Raises:
            HeadRefused: The head is not taken. Nothing of it is held any more, and this gate is done.

        Spec: CAR-8, CAR-33.
        """
        if self._request and not self._buffer:
            head = usual_head(data, self._limits)
            if head is not None:
                return head
        room = self._limits.total_bytes - len(self._buffer)
        searched = len(self._buffer)
        self._buffer += data[:room]
        try:
            return self._lines(searched, data, room)
        except HeadRefused:
            self._buffer.clear()
            raise

    def _lines(self, searched: int, data: bytes, room: int) -> Head | None:
        buffer, limits = self._buffer, self._limits
        while True:
            end = buffer.find(b"\n", searched)
            # The line is too long as soon as its CR cannot stand where the limit is, whatever comes later.
            if (len(buffer) if end < 0 else end) - self._line_start > limits.line_bytes + 1:
                status = 414 if self._request and self._start is None else 431
                raise HeadRefused(status, f"saw a line longer than {limits.line_bytes} bytes")
            if end < 0:
                if len(buffer) == limits.total_bytes:
                    raise HeadRefused(431, f"saw no end within {limits.total_bytes} bytes")
                return None
            line = bytes(buffer[self._line_start : end])
            self._line_start = searched = end + 1
            if not line.endswith(b"\r"):
                raise HeadRefused(400, "saw a line that does not end in CR LF", _PLAIN)
            if line == b"\r" and self._start is not None:
                raw = bytes(buffer[: end + 1])
                rest = bytes(buffer[end + 1 :]) + data[room:]
                start, headers = self._start, self._headers
                self._start, self._headers, self._line_start = None, [], 0
                buffer.clear()
                return Head(start, tuple(headers), raw, rest, dict(headers))
            self._take(line[:-1])

    def _take(self, line: bytes) -> None:
        if self._start is None:
            self._start = _request_line(line) if self._request else _status_line(line)
            return
        if len(self._headers) == self._limits.headers:
            raise HeadRefused(431, f"saw more than {self._limits.headers} headers")
        name, colon, value = line.partition(b":")
        if not colon or not name or name.translate(None, _TOKEN):
            raise HeadRefused(400, "saw a header without a name of token characters and a colon behind it", _PLAIN)
        if value.translate(None, _VALUE):
            raise HeadRefused(400, "saw a header value with a byte that is no printable ASCII", _PLAIN)
        name = name.lower()
        if name in _ONCE and any(name == each for each, _ in self._headers):
            raise HeadRefused(400, f"saw {name.decode()} more than once")
        self._headers.append((name, value.strip(b" \t")))


def usual_head(data: bytes, limits: HeadLimits) -> Head | None:
    """Take a request's head to pieces if it is whole and usual; None says nothing about it.

    What it returns is what the gate would come to line by line; the tests hold it to that.
    """
    end = data.find(b"\r\n\r\n", 0, limits.total_bytes)
    if end < 0 or end > limits.line_bytes:  # so no line is longer than that
        return None
    start = _USUAL_START.match(data)
    if start is None:
        return None
    first = start.end()
    pairs = _USUAL_HEADER.findall(data, first, end + 2)
    # Every line feed ends a header that was found, so there is nothing between them.
    if len(pairs) != data.count(b"\n", first, end + 2) or len(pairs) > limits.headers:
        return None
    if data.find(b" \r", first, end + 1) >= 0:
        return None
    named = {_USUAL_NAMES.get(spelled) or spelled.lower(): value for spelled, value in pairs}
    if len(named) < len(pairs):  # one of them stands there twice
        return None
    method, target = start.groups()
    return Head((method, target, _VERSION), tuple(named.items()), data[: end + 4], data[end + 4 :], named)


def _request_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    parts = line.split(b" ")
    if len(parts) != _START_LINE_PARTS:
        raise HeadRefused(400, "saw a request line that is not three words with one blank between them", _PLAIN)
    method, target, version = parts
    if not method or method.translate(None, _TOKEN):
        raise HeadRefused(400, "saw a method that is no token", _PLAIN)
    if not target.startswith(b"/") or target.translate(None, _VISIBLE):
        raise HeadRefused(400, "saw a target that does not begin with / or is not printable ASCII", _PLAIN)
    if version != _VERSION:
        raise HeadRefused(505, "saw another version than HTTP/1.1")
    return method, target, version


def _status_line(line: bytes) -> tuple[bytes, bytes, bytes]:
    version, _, rest = line.partition(b" ")
    status, blank, reason = rest.partition(b" ")
    if version != _VERSION or len(status) != _STATUS_DIGITS or not status.isdigit():
        raise HeadRefused(400, "saw a status line that is not HTTP/1.1 and a status of three digits")
    if not blank or reason.translate(None, _VALUE):
        raise HeadRefused(400, "saw a status line whose reason is missing or not printable ASCII")
    return version, status, reason


def response(status: int, body: str = "", headers: Sequence[tuple[str, str]] = (), *, to_head: bool = False) -> bytes:
    """Write a whole response that ends its connection.

    Args:
        status: A key of ``REASONS``.
        body: Text for people.
        headers: More headers than those that every response has.
        to_head: Whether it answers HEAD: the body is measured and left out.
    """
    content = body.encode()
    lines = [
        f"HTTP/1.1 {status} {REASONS[status]}",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(content)}",
        "Cache-Control: no-store",
        "Connection: close",
        *(f"{name}: {value}" for name, value in headers),
    ]
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + (b"" if to_head else content)
