"""A WebSocket client over a plain socket: enough of RFC 6455 for servers that are known."""

from __future__ import annotations

import secrets
import socket
from base64 import b64encode
from typing import Final

from . import MARKER

__all__ = ["BINARY", "TEXT", "Counter", "Frames", "Lost", "dial", "masked"]

TEXT: Final = 0x81
BINARY: Final = 0x82
_MASKED: Final = 0x80
_LENGTH_7: Final = 125
_LENGTH_16: Final = 126
_CONTROL: Final = 0x08
_SECONDS: Final = 20.0
_READ_BYTES: Final = 65_536


class Lost(Exception):
    """A connection has ended, or a server has not answered as expected."""


def masked(first: int, payload: bytes) -> bytes:
    """A whole frame of a client, of at most 65,535 bytes.

    Args:
        first: `TEXT` or `BINARY`.
        payload: What it carries.
    """
    size = len(payload)
    length = bytes((_MASKED | size,)) if size <= _LENGTH_7 else bytes((_MASKED | _LENGTH_16,)) + size.to_bytes(2)
    key = secrets.token_bytes(4)
    pattern = (key * (size // 4 + 1))[:size]
    hidden = (int.from_bytes(payload) ^ int.from_bytes(pattern)).to_bytes(size)
    return bytes((first,)) + length + key + hidden


class Frames:
    """Takes a server's bytes, split anywhere, and returns the messages that are complete; it sends none in pieces."""

    def __init__(self) -> None:
        self._held = b""

    def take(self, data: bytes) -> list[bytes]:
        """Return the payloads of all text and binary frames that are complete."""
        data = self._held + data
        messages: list[bytes] = []
        position = 0
        while len(data) - position >= 2:
            size, start = data[position + 1], position + 2
            if size > _LENGTH_7:
                start += 2 if size == _LENGTH_16 else 8
                if len(data) < start:
                    break
                size = int.from_bytes(data[position + 2 : start])
            if len(data) < start + size:
                break
            if not data[position] & _CONTROL:
                messages.append(data[start : start + size])
            position = start + size
        self._held = data[position:]
        return messages


class Counter:
    """Counts markers in a stream, split anywhere."""

    __slots__ = ("_tail",)

    def __init__(self) -> None:
        self._tail = b""

    def take(self, data: bytes) -> int:
        """How many markers end in this piece."""
        seen = self._tail + data
        self._tail = seen[1 - len(MARKER) :]  # one too short to hold a marker, so none is counted twice
        return seen.count(MARKER)


def dial(port: int, path: str, subprotocol: str | None) -> tuple[socket.socket, bytes]:
    """Open a WebSocket on this machine.

    Args:
        port: Where.
        path: And query.
        subprotocol: What to offer.

    Returns:
        The socket, still blocking, and what has arrived behind the handshake.

    Raises:
        Lost: The server does not want.
    """
    connected = socket.create_connection(("127.0.0.1", port), _SECONDS)
    connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    lines = [
        f"GET {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {b64encode(secrets.token_bytes(16)).decode()}",
        "Sec-WebSocket-Version: 13",
    ]
    if subprotocol is not None:
        lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
    connected.sendall("\r\n".join((*lines, "", "")).encode())
    head = b""
    while b"\r\n\r\n" not in head:
        data = connected.recv(_READ_BYTES)
        head += data
        if not data:
            raise Lost(f"the server hung up in the handshake, after {head!r}")
    answer, _, rest = head.partition(b"\r\n\r\n")
    if b" 101 " not in answer.partition(b"\r\n")[0]:
        raise Lost(f"the server answered {answer!r}")
    return connected, rest
