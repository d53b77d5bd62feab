"""Members of channels as programs see them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from .errors import PayloadError
from .payloads import decode_payload, encode_payload

if TYPE_CHECKING:
    from hawser_engine.presence import Member as Entry

INFO_BYTES_MAX = 1_024
"""The longest info (SPEC PRS-3)."""


@attrs.frozen
class Member:
    """Somebody who is in a channel: one session; a user with two windows is there twice."""

    id: str
    """Names the session among all members, as long as it lives."""
    user: str
    """Id of its principal; nothing that a client could make up."""
    info: Any
    """What it says of itself; bytes as they are if that is no payload of this library."""


def encode_info(info: object) -> bytes | None:
    """What a member says of itself; None says that it is none.

    Raises:
        PayloadError: It cannot travel, or is too long.
    """
    if info is None:
        return None
    data = encode_payload(info)
    if len(data) > INFO_BYTES_MAX:
        raise PayloadError(f"info has at most {INFO_BYTES_MAX:,} bytes when encoded, this one has {len(data):,}")
    return data


def decode_member(entry: Entry) -> Member:
    """A member as programs see it."""
    try:
        info = decode_payload(entry.info)
    except PayloadError:
        info = entry.info
    return Member(entry.member.hex(), entry.user, info)
