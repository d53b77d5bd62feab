"""HTTP/1.1 requests and replies behind their heads: where a body ends, what keeps a connection, how both are written.

Rule: what two programs could read differently is refused, and ends the connection: a request has a Host, a plain
Content-Length or none, and no transfer coding; the gate has seen to it that each of them stands there once. So nothing
hides between this server and a proxy in front of it.
"""

from typing import Final, NamedTuple

from attrs import define, field, frozen

from .head import REASONS, Head, HeadRefused

__all__ = ["CONTINUE", "Framing", "Reply", "Request", "framing", "write_reply", "write_request"]

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"
"""What a client that expects it waits for before it sends its body."""

_BEGINNINGS: Final = {
    status: f"HTTP/1.1 {status} {reason}\r\ncache-control: no-store\r\n" for status, reason in REASONS.items()
}
_DIGITS: Final = 15
_WITHOUT_LENGTH: Final = 204


@frozen(eq=False)
class Request:
    """A request, equal to itself only; its headers' names are in lower case."""

    method: str
    headers: tuple[tuple[str, str], ...] = field(repr=False)  # a secret may be among them (SPEC SEC-5)
    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")


@define
class Reply:
    """The answer to a request; nobody changes it (frozen, it would take three times as long to make)."""

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = field(default=b"", repr=lambda body: f"<{len(body)} bytes>")


class Framing(NamedTuple):
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
    named = head.named
    if b"host" not in named:
        raise HeadRefused(400, "saw no Host", "CAR-33")
    if b"transfer-encoding" in named:
        raise HeadRefused(400, "saw a Transfer-Encoding, expected a Content-Length", "CAR-12")
    length = named.get(b"content-length", b"0")
    if not length.isdigit() or len(length) > _DIGITS:
        raise HeadRefused(400, "saw a Content-Length that is no number", "CAR-12")
    waits = b"expect" in named
    if waits and [each.lower() for each in head.values(b"expect")] != [b"100-continue"]:
        raise HeadRefused(417, "saw another expectation than 100-continue", "CAR-33")
    options = named.get(b"connection")
    persists = options is None or b"close" not in [word.strip(b" \t") for word in options.lower().split(b",")]
    return Framing(int(length), waits, persists)


def write_reply(reply: Reply, more: str = "", *, persists: bool) -> bytes:
    """Write a reply, complete and never to be stored (SPEC CAR-12).

    Args:
        reply: Its status is a key of ``REASONS``.
        more: Header lines that stand for themselves, each with its CR LF.
        persists: Whether the connection stays open behind it.
    """
    body = reply.body
    text = _BEGINNINGS[reply.status]
    if reply.status != _WITHOUT_LENGTH:  # RFC 9110 8.6
        text += f"content-length: {len(body)}\r\n"
    for name, value in reply.headers:
        text += f"{name}: {value}\r\n"
    end = "\r\n" if persists else "connection: close\r\n\r\n"
    return f"{text}{more}{end}".encode("ascii") + body


def write_request(request: Request, authority: str, target: str) -> bytes:
    """Write a request.

    Args:
        request: What to ask.
        authority: Host, and port where it is not the scheme's own.
        target: Path and query.
    """
    lines = [
        f"{request.method} {target} HTTP/1.1",
        f"host: {authority}",
        *(f"{name}: {value}" for name, value in request.headers),
    ]
    if request.method == "POST":
        lines.append(f"content-length: {len(request.body)}")
    return "\r\n".join(lines).encode("ascii") + b"\r\n\r\n" + request.body
