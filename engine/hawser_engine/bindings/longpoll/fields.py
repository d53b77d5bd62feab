"""What a long-poll request and its reply say outside their bodies: the headers of SPEC 14.3.

Rule: a header is read in one form only, and one that stands twice is a fault, so that no two readers differ.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Collection, Iterable, Mapping
from hashlib import sha256
from typing import Final, NamedTuple

from attrs import evolve

from hawser_engine.bindings.head import Head
from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.codes import CloseCode, close_advice
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.packets import Close

__all__ = [
    "BODY_BYTES",
    "CONTENT_TYPE",
    "COUNTS",
    "FIRST",
    "GENERATION",
    "NUMBER",
    "RETRY_AFTER",
    "SECRET",
    "SESSION",
    "TYPE",
    "Fields",
    "Standing",
    "closing",
    "fault",
    "header_text",
    "overload",
    "secret_digest",
]

BODY_BYTES: Final = 262_144
"""The longest body, in either direction (SPEC CAR-12)."""

CONTENT_TYPE: Final = "application/cbor-seq"
"""Of every body (SPEC CAR-12)."""

SESSION: Final = "hawser-session"
SECRET: Final = "hawser-secret"
GENERATION: Final = "hawser-generation"
NUMBER: Final = "hawser-number"
COUNTS: Final = "hawser-counts"
FIRST: Final = "hawser-first"
RETRY_AFTER: Final = "retry-after"

TYPE: Final = "content-type"

_KEYS: Final = {
    name: name.encode("ascii") for name in (SESSION, SECRET, GENERATION, NUMBER, COUNTS, FIRST, RETRY_AFTER, TYPE)
}
"""As they are read: to look one up is quicker than to encode it for every request."""

_SESSION_BYTES: Final = 64
_SECRET_BYTES: Final = 32
_COUNTS: Final = 3
_DIGITS: Final = 16  # of 2^53


class Standing(NamedTuple):
    """Counts as they are kept here: from headers and packets that were checked when they came, so not checked again."""

    received: int
    delivered: int
    sent: int

    @property
    def text(self) -> str:
        """As they stand in a header."""
        return f"{self.received},{self.delivered},{self.sent}"


class Fields:
    """The headers of one request or reply; what is wrong with one raises when it is read."""

    __slots__ = ("_headers", "_repeats", "_values")

    def __init__(self, headers: Collection[tuple[bytes, bytes]], values: Mapping[bytes, bytes] | None = None) -> None:
        """Hold the headers.

        Args:
            headers: Names, in lower case, and values.
            values: The same by name, if somebody has that already.
        """
        self._headers = headers
        self._values = dict(headers) if values is None else values
        self._repeats = len(self._values) < len(headers)

    @classmethod
    def of(cls, head: Head) -> "Fields":
        """Return the headers of a request."""
        return cls(head.headers, head.named)

    @classmethod
    def written(cls, headers: Iterable[tuple[str, str]]) -> "Fields":
        """Return headers that are text."""
        return cls([(name.encode("ascii"), value.encode("ascii")) for name, value in headers])

    def __contains__(self, name: str) -> bool:
        return _KEYS[name] in self._values

    def get(self, name: str) -> bytes | None:
        """Return the value of a header, None if it is absent.

        Raises:
            RemoteProtocolError: It stands there more than once.
        """
        key = _KEYS[name]
        value = self._values.get(key)
        if self._repeats and value is not None and sum(each == key for each, _ in self._headers) > 1:
            raise fault("CAR-11", "saw it more than once, expected it once", name)
        return value

    def number(self, name: str) -> int | None:
        """Return a header that is a decimal number; None if it is absent.

        Raises:
            RemoteProtocolError: It is no number from 0 to 2^53 in plain decimal digits.
        """
        text = self.get(name)
        return None if text is None else _decimal(text, name)

    def needed(self, name: str) -> int:
        """Return a header that is a decimal number and has to be there.

        Raises:
            RemoteProtocolError: It is absent, or no such number.
        """
        found = self.number(name)
        if found is None:
            raise fault("CAR-11", "saw no such header, expected one", name)
        return found

    def counts(self) -> Standing:
        """Return the counts of the peer (SPEC CAR-15).

        Raises:
            RemoteProtocolError: They are absent or malformed.
        """
        text = self.get(COUNTS)
        parts = [] if text is None else text.split(b",")
        if len(parts) != _COUNTS:
            raise fault("CAR-11", "expected received,delivered,sent", COUNTS)
        return Standing(*[_decimal(part, COUNTS) for part in parts])

    def session(self) -> bytes:
        """Return the session id that a request names.

        Raises:
            RemoteProtocolError: It is absent or malformed.
        """
        name = self._bytes(SESSION)
        if not 1 <= len(name) <= _SESSION_BYTES:
            raise fault("CAR-11", f"saw {len(name)} bytes, expected 1 to {_SESSION_BYTES}", SESSION)
        return name

    def secret(self) -> bytes:
        """Return the secret that a request presents.

        Raises:
            RemoteProtocolError: It is absent or malformed.
        """
        secret = self._bytes(SECRET)
        if len(secret) != _SECRET_BYTES:
            raise fault("CAR-11", f"saw {len(secret)} bytes, expected {_SECRET_BYTES}", SECRET)
        return secret

    def _bytes(self, name: str) -> bytes:
        text = self.get(name)
        if text is None:
            raise fault("CAR-11", "saw no such header, expected one", name)
        try:
            data = urlsafe_b64decode(text + b"=" * (-len(text) % 4))
        except ValueError:
            data = b""
        # The decoder skips what it does not know; what is not the one way to write these bytes is nothing.
        if header_text(data).encode("ascii") != text:
            raise fault("CAR-11", "expected base64url without padding", name)
        return data


def header_text(value: bytes | int) -> str:
    """Write a value as it stands in a header."""
    if isinstance(value, bytes):
        return urlsafe_b64encode(value).rstrip(b"=").decode("ascii")
    return str(value)


def secret_digest(written: bytes) -> bytes:
    """Return the SHA-256 of a secret as it stands in a header: what is kept of it (SPEC SEC-1)."""
    return sha256(written).digest()


def fault(clause: str, detail: str, where: str) -> RemoteProtocolError:
    """Build the error for a request or reply that breaks a clause."""
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail, where)


def closing(code: int, reason: str) -> Close:
    """Build the CLOSE of a carriage that speaks for its session."""
    text = reason.encode("utf-8", "replace")[:123].decode("utf-8", "ignore")
    reconnect, resume = close_advice(code)
    return Close(code, text, reconnect, resume, 0, 0, None, None)


def overload(reason: str, after_seconds: int) -> Close:
    """Build the CLOSE of a place where there is no room.

    Args:
        reason: For people.
        after_seconds: When the client may come back, or in the second behind it; 0 names no time.

    Spec: LIM-3, CAR-35.
    """
    low, high = (after_seconds * 1_000, (after_seconds + 1) * 1_000) if after_seconds else (0, 0)
    return evolve(closing(CloseCode.OVERLOADED, reason), after_min_ms=low, after_max_ms=high)


def _decimal(text: bytes, name: str) -> int:
    if len(text) > _DIGITS or not text.isdigit():
        raise fault("CAR-11", "expected a number in decimal digits", name)
    number = int(text)
    if number > MAX_INTEGER:
        raise fault("CAR-11", "expected a number up to 2^53", name)
    return number
