"""Application data: one CBOR value under the same strict rules as everything else on the wire (SPEC PKT-6).

The line itself carries opaque bytes; only the two ends of a publication or a call look inside.
"""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from hawser_engine.codec import decode_value, encode_value
from hawser_engine.errors import LocalProtocolError, RemoteProtocolError

from .errors import PayloadError

if TYPE_CHECKING:
    from collections.abc import Iterable

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
        PayloadError: The data holds something else, or is too long; the message says what, and for an instance of an
            attrs class or a dataclass what to give in its place.
    """
    try:
        return encode_value(data, limit=limit)
    except LocalProtocolError as error:
        raise PayloadError(f"{error.detail} (SPEC {error.clause}){_fix(data, error.detail)}") from None


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


def _fix(data: object, detail: str) -> str:
    """What to give in place of an instance, if that is what an error is about."""
    waiting, seen = [data], set[int]()
    while waiting:
        one = waiting.pop()
        cls: type[Any] = type(one)
        if f"of type {cls.__name__}," in detail:
            if attrs.has(cls):
                return ": give attrs.asdict(…), or publish it from the app where ChannelRule.event declares its class"
            return ": give dataclasses.asdict(…)" if dataclasses.is_dataclass(cls) else ""
        if id(one) not in seen:  # it may hold itself
            seen.add(id(one))
            waiting += _parts(one)
    return ""


def _parts(one: Any) -> Iterable[object]:
    if isinstance(one, dict):
        return cast("dict[object, object]", one).values()
    return cast("list[object]", one) if isinstance(one, list | tuple) else ()
