"""The upgrade from HTTP to WebSocket (RFC 6455 section 4), under the subprotocol ``hawser.v1``.

A server hands a head that has passed the gate and these checks to wsproto, which answers it. A client writes its
request itself and checks the answer itself: wsproto would draw the key from the operating system, and randomness is an
argument here (SPEC IMP-1).
"""

from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from collections.abc import Callable, Collection
from typing import Final

from wsproto.connection import ConnectionType
from wsproto.events import AcceptConnection
from wsproto.handshake import H11Handshake
from wsproto.utilities import generate_accept_token

from hawser_engine.bindings.head import Head, HeadGate, HeadLimits, HeadRefused
from hawser_engine.bindings.retry import away_seconds
from hawser_engine.errors import HawserError

__all__ = ["SUBPROTOCOL", "ClientHandshake", "UpgradeRefused", "accept_upgrade", "is_upgrade"]

SUBPROTOCOL: Final = "hawser.v1"
"""What both sides must name (SPEC CAR-3)."""

_VERSION: Final = b"13"
_KEY_BYTES: Final = 16
_SWITCHING: Final = 101
_REASON_SHOWN: Final = 100


def is_upgrade(head: Head) -> bool:
    """Whether a request asks for a WebSocket, rightly or wrongly."""
    return b"websocket" in _tokens(head, b"upgrade")


def accept_upgrade(head: Head, *, origins: Collection[str] = ()) -> bytes:
    """Accept a client's request.

    Args:
        head: The request's head, as the gate has passed it.
        origins: The origins whose pages may connect, such as ``https://example.org``; compared exactly.
            A request without an origin is none of a browser's.

    Returns:
        The answer. Behind it, and behind the head, the stream is WebSocket frames.

    Raises:
        HeadRefused: The request is not taken; its ``status`` is the answer.

    Spec: CAR-3, CAR-7, CAR-8.
    """
    if head.start[0] != b"GET":
        raise HeadRefused(405, "saw another method than GET")
    if head.values(b"content-length") or head.values(b"transfer-encoding"):
        raise HeadRefused(400, "saw an upgrade with a body")
    if len(head.values(b"host")) != 1:
        raise HeadRefused(400, "saw no Host")
    if _tokens(head, b"upgrade") != [b"websocket"] or b"upgrade" not in _tokens(head, b"connection"):
        raise HeadRefused(400, "saw no Upgrade: websocket with Connection: Upgrade")
    if head.values(b"sec-websocket-version") != [_VERSION]:
        raise HeadRefused(426, "saw another WebSocket version than 13")
    if not _is_key(b"".join(head.values(b"sec-websocket-key"))):
        raise HeadRefused(400, "saw no Sec-WebSocket-Key of 16 bytes in Base64")
    if SUBPROTOCOL.encode() not in _tokens(head, b"sec-websocket-protocol", lower=False):
        raise HeadRefused(400, f"saw no offer of the subprotocol {SUBPROTOCOL}", "CAR-3")
    # A list that names it by mistake lets in every sandboxed frame and local file: `null` is nobody's origin.
    if any(origin == b"null" or origin.decode("ascii") not in origins for origin in head.values(b"origin")):
        raise HeadRefused(403, "saw an origin that is not in the list", "CAR-7")
    try:
        handshake = H11Handshake(ConnectionType.SERVER)
        handshake.receive_data(head.raw)
        return handshake.send(AcceptConnection(subprotocol=SUBPROTOCOL))
    except Exception as error:
        # Containment: wsproto raises more than its own errors, a UnicodeError for the Host "xn--0" for one.
        raise HeadRefused(400, f"saw something else that is wrong ({type(error).__name__})") from error


class UpgradeRefused(HawserError):
    """The server did not accept the upgrade; it is no server of this protocol, or not at this URL.

    ``status`` is its answer, None if there was none that can be read.
    """

    def __init__(self, status: int | None, detail: str, retry_seconds: int | None = None) -> None:
        """Describe the refusal."""
        super().__init__(status, detail)
        self.status: int | None = status
        self.detail: str = detail
        self.retry_seconds: int | None = retry_seconds
        """In how many seconds the server may be asked again: 0 if it names no time, None if it says nothing of it."""

    def __str__(self) -> str:
        return self.detail if self.status is None else f"the server answered {self.status}: {self.detail}"


class ClientHandshake:
    """A client's side of the upgrade."""

    __slots__ = ("_gate", "_key", "request")

    request: bytes
    """What to send first."""

    def __init__(self, host: str, target: str, *, random_bytes: Callable[[int], bytes], limits: HeadLimits) -> None:
        """Write the request.

        Args:
            host: Of the URL, with its port where that is not the scheme's own.
            target: Path and query of the URL, quoted where needed.
            random_bytes: Where the key comes from.
            limits: What the answer's head may have.

        Raises:
            ValueError: Host or target hold something that has no place in a request.

        Spec: CAR-3, CAR-9.
        """
        self._key = b64encode(random_bytes(_KEY_BYTES))
        self._gate = HeadGate(request=False, limits=limits)
        lines = (
            f"GET {target} HTTP/1.1",
            f"Host: {host}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            f"Sec-WebSocket-Key: {self._key.decode()}",
            "Sec-WebSocket-Version: 13",
            f"Sec-WebSocket-Protocol: {SUBPROTOCOL}",
        )
        self.request = "\r\n".join((*lines, "", "")).encode()
        # What a server's gate would refuse, or take for more than one head of these lines, never leaves.
        try:
            head = HeadGate(request=True, limits=limits).receive_data(self.request)
        except HeadRefused as refused:
            raise ValueError(f"no request can be made for {host!r} and its target: {refused.detail}") from None
        if head is None or head.rest or len(head.headers) != len(lines) - 1:
            raise ValueError(f"no request can be made for {host!r} and its target: a line ends in one of them")

    def receive_data(self, data: bytes) -> bytes | None:
        """Take bytes of the answer, split anywhere.

        Returns:
            Once the upgrade is done what has arrived behind it, None before.

        Raises:
            UpgradeRefused: The server does not accept, or not as asked.

        Spec: CAR-3.
        """
        try:
            head = self._gate.receive_data(data)
            if head is None:
                return None
        except HeadRefused as refused:
            raise UpgradeRefused(None, f"the answer is no head of HTTP/1.1: {refused.detail}") from None
        status = int(head.start[1])
        if status != _SWITCHING:
            seconds = away_seconds(status, head.values(b"retry-after"))
            raise UpgradeRefused(status, head.start[2][:_REASON_SHOWN].decode("ascii"), seconds)
        if _tokens(head, b"upgrade") != [b"websocket"] or b"upgrade" not in _tokens(head, b"connection"):
            raise UpgradeRefused(status, "without Upgrade: websocket and Connection: Upgrade")
        if head.values(b"sec-websocket-accept") != [generate_accept_token(self._key)]:
            raise UpgradeRefused(status, "without the proof that it has read the key")
        if head.values(b"sec-websocket-protocol") != [SUBPROTOCOL.encode()]:
            raise UpgradeRefused(status, f"without the subprotocol {SUBPROTOCOL}")
        if head.values(b"sec-websocket-extensions"):
            raise UpgradeRefused(status, "with an extension that was not offered")
        return head.rest


def _tokens(head: Head, name: bytes, *, lower: bool = True) -> list[bytes]:
    words = [word.strip(b" \t") for value in head.values(name) for word in value.split(b",")]
    return [word.lower() for word in words] if lower else words


def _is_key(value: bytes) -> bool:
    try:
        return len(b64decode(value, validate=True)) == _KEY_BYTES
    except Base64Error:
        return False
