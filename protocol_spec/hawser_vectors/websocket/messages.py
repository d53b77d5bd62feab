"""Whole messages: one is one batch, of any size up to that of PKT-5; what is too long or is text is refused."""

from collections.abc import Iterator
from typing import Final

from .notation import BINARY, TEXT, Frame, Stream, binary, refusal

ROLES: Final = ("server", "client")
BATCH_BYTES: Final = 131_072


def cases() -> Iterator[Stream]:
    """Yield them all."""
    for role in ROLES:
        yield Stream("one message is one batch", ("CAR-3",), role, [binary(b"ahoy")], [b"ahoy"])
        several = [b"one", b"two", b"three"]
        yield Stream("several in a row", ("CAR-3", "CAR-1"), role, [binary(each) for each in several], several)
        yield Stream("one of no bytes does nothing", ("PKT-5", "CAR-3"), role, [binary(b""), binary(b"x")], [b"x"])
        for size in (125, 126, 65_535, 65_536, BATCH_BYTES):
            yield Stream(f"{size:,} bytes", ("CAR-3",), role, [binary(b"\0" * size)], [b"\0" * size])
        yield Stream("a frame that has not come whole", ("CAR-3",), role, [Frame(BINARY, b"ahoy", announced=5)])
        for size in (BATCH_BYTES + 1, 2**31, 2**32, 2**63 - 1):
            frames = [binary(b"before"), Frame(BINARY, announced=size)]
            yield Stream(f"the head of {size:,} bytes", ("CAR-3", "CAR-4"), role, frames, [b"before"], **refusal(4109))
        yield Stream(
            "a message that is too long, with its beginning",
            ("CAR-3",),
            role,
            [Frame(BINARY, b"\0" * 5_000, announced=BATCH_BYTES + 1), binary(b"x")],
            **refusal(4109),
        )
        for what, frame in (
            ("text", Frame(TEXT, b"ahoy")),
            ("the head of a text", Frame(TEXT, announced=60_000)),
            ("the first fragment of a text", Frame(TEXT, b"ahoy", final=False)),
        ):
            yield Stream(what, ("CAR-3",), role, [binary(b"before"), frame], [b"before"], **refusal(1003))
        compressed = Frame(BINARY, bytes.fromhex("4acc c8af 0400"), reserved=4)
        yield Stream("a compressed message, which was not negotiated", ("CAR-3",), role, [compressed], **refusal(1002))
