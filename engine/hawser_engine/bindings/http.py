"""HTTP/1.1 requests and replies behind their heads: where a body ends, what keeps a connection, how both are written.

Rule: what two programs could read differently is refused, and ends the connection: a request has a Host, a plain
Content-Length or none, and no transfer coding; the gate has seen to it that each of them stands there once. So nothing
hides between this server and a proxy in front of it.
"""

from collections.abc import Sequence
from typing import Final

from attrs import field, frozen

from .head import REASONS, Head, HeadRefused

__all__ = ["CONTINUE", "Framing", "Reply", "Request", "framing", "write_reply", "write_request"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What a client that expects it waits for before it sends its body."""

_DIGITS: Final = 15
_WITHOUT_LENGTH: Final = 204


@frozen(eq=False)
class Request:
    """A request, equal to itself only; its headers' names are in lower case."""

    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # a secret may be among them (SPEC SEC-5)
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")


@frozen
class Reply:
    """The answer to a request."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")


@frozen
class Framing:
    """What a request's head says of its body and of what follows."""

    length: int
    """Bytes of the body."""
    waits: bool
    """Whether the client waits for `CONTINUE` before it sends the body."""
    persists: bool
    """Whether another request may follow on the connection."""


def framing(head: Head) -> Framing:
    """Read where a request ends.

    Raises:
        HeadRefused: The head leaves it open, or two readers could differ; nothing behind it may be read as a request.

    Spec: CAR-12.
    """
    if not head.values(b"host"):
        raise HeadRefused(400, "saw no Host", "CAR-33")
    if head.values(b"transfer-encoding"):
        raise HeadRefused(400, "saw a Transfer-Encoding, expected a Content-Length", "CAR-12")
    lengths = head.values(b"content-length")
    if any(not length.isdigit() or len(length) > _DIGITS for length in lengths):
        raise HeadRefused(400, "saw a Content-Length that is no number", "CAR-12")
    expected = head.values(b"expect")
    if expected and [each.lower() for each in expected] != [b"100-continue"]:
        raise HeadRefused(417, "saw another expectation than 100-continue", "CAR-33")
    options = [word.strip(b" \t").lower() for value in head.values(b"connection") for word in value.split(b",")]
    return Framing(int(lengths[0]) if lengths else 0, bool(expected), b"close" not in options)


def write_reply(reply: Reply, *, persists: bool) -> bytes:
    """Write a reply, complete and never to be stored (SPEC CAR-12).

    Args:
        reply: Its status is a key of ``REASONS``.
        persists: Whether the connection stays open behind it.
    """
    lines = [f"HTTP/1.1 {reply.status} {REASONS[reply.status]}"]
    if reply.status != _WITHOUT_LENGTH:  # RFC 9110 8.6
        lines.append(f"content-length: {len(reply.body)}")
    lines += ["cache-control: no-store", *_lines(reply.headers)]
    if not persists:
        lines.append("connection: close")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + reply.body


def write_request(request: Request, authority: str, target: str) -> bytes:
    """Write a request.

    Args:
        request: What to ask.
        authority: Host, and port where it is not the scheme's own.
        target: Path and query.
    """
    lines = [f"{request.method} {target} HTTP/1.1", f"host: {authority}", *_lines(request.headers)]
    if request.method == "POST":
        lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + request.body


def _lines(headers: Sequence[tuple[str, str]]) -> list[str]:
    return [f"{name}: {value}" for name, value in headers]
