"""Application data: one CBOR value under the same strict rules as everything else on the wire (SPEC PKT-6).

The line itself carries opaque bytes; only the two ends of a publication or a call look inside.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Final

from hawser_engine.codec import decode_value, encode_value
from hawser_engine.errors import LocalProtocolError, RemoteProtocolError

from .errors import PayloadError

RELAYED_BYTES_MAX: Final = 1_048_576
"""The longest payload that is passed on without being looked at."""

ARGUMENT_BYTES_MAX: Final = 65_536
"""The longest payload that the server itself decodes (the arguments of a call)."""

SHOWN_BYTES_MAX: Final = 16_384
SHOWN_CHARACTERS_MAX: Final = 200
"""What a payload may be for people to be shown it, and how much of it they are shown."""


def encode_payload(data: object, *, limit: int = RELAYED_BYTES_MAX) -> bytes:
    """Encode application data.

    Args:
        data: None, bool, int within ±2^53, float, str, bytes, and lists, tuples and dicts (with str keys) of them.
        limit: The longest result, in bytes.

    Raises:
        PayloadError: The data holds something else, or is too long.
    """
    try:
        return encode_value(data, limit=limit)
    except LocalProtocolError as error:
        raise PayloadError(str(error)) from None


def decode_payload(data: bytes, *, limit: int = RELAYED_BYTES_MAX) -> Any:
    """Decode application data.

    Raises:
        PayloadError: The bytes are no such value, or too long.
    """
    try:
        return decode_value(data, limit=limit)
    except RemoteProtocolError as error:
        raise PayloadError(str(error)) from None


def payload_text(data: bytes) -> str:
    """A payload for people: its value, or the beginning of that, or how long it is; nothing is raised."""
    with suppress(PayloadError):
        text = repr(decode_payload(data, limit=SHOWN_BYTES_MAX))
        return text if len(text) <= SHOWN_CHARACTERS_MAX else text[: SHOWN_CHARACTERS_MAX - 1] + "…"
    return f"<{len(data)} bytes>"
