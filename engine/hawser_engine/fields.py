"""The items that the messages of the message layer share, each under the name that SPEC 15.1 gives it."""

from typing import Annotated, TypeAlias

from .cbor import MAX_INTEGER
from .items import Bytes, MapOf, Nullable, Text, Uint

Id: TypeAlias = Annotated[int, Uint(1)]
Name: TypeAlias = Annotated[str, Text(1, 255)]
Epoch: TypeAlias = Annotated[bytes, Bytes(8, 8)]
Offset: TypeAlias = Annotated[int, Uint()]
Remark: TypeAlias = Annotated[str, Text(0, MAX_INTEGER)]
Data: TypeAlias = Annotated[bytes, Bytes(0, MAX_INTEGER)]
Tags: TypeAlias = Annotated[dict[str, str] | None, Nullable(MapOf(Text(1, 32), Text(0, 64), 1, 8))]
LatestKey: TypeAlias = Annotated[str | None, Nullable(Text(1, 64))]


def length_only(data: bytes | None) -> str:
    """How a payload is shown: it may be long, and it is the users' own."""
    return "None" if data is None else f"<{len(data)} bytes>"
