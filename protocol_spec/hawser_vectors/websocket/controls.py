"""Pings and pongs."""

from collections.abc import Iterator

from .messages import ROLES
from .notation import PING, PONG, Frame, Stream, binary, refusal

CONTROLS = 1_000


def cases() -> Iterator[Stream]:
    """Yield them all."""
    for role in ROLES:
        for payload in (b"", b"ahoy", b"x" * 125):
            asked = [Frame(PING, payload)]
            yield Stream(f"a ping of {len(payload)} bytes is answered", ("CAR-6",), role, asked, pong=payload)
        pings = [binary(b"a"), Frame(PING, b"first"), Frame(PING, b"second"), Frame(PING, b"third"), binary(b"b")]
        yield Stream("the newest of several", ("CAR-6", "CAR-32"), role, pings, [b"a", b"b"], b"third")
        pong = [Frame(PONG, b"nobody asked"), binary(b"x")]
        yield Stream("a pong that nobody asked for does nothing", ("CAR-6",), role, pong, [b"x"])
        for what, frame in (("pings", Frame(PING)), ("pongs", Frame(PONG))):
            answered = b"" if frame.opcode == PING else None
            most = [frame] * CONTROLS
            yield Stream(
                f"1,000 {what} and a message",
                ("CAR-32",),
                role,
                [*most, binary(b"x")],
                [b"x"],
                answered,
                level="SHOULD",
            )
            yield Stream(
                f"1,001 {what} without a message between them",
                ("CAR-32",),
                role,
                [binary(b"x"), *most, frame],
                [b"x"],
                **refusal(4103),
                level="SHOULD",
            )
        nothing = [binary(b"")] * CONTROLS
        most = [binary(b"x"), *nothing[1:], Frame(PONG), binary(b"y")]
        yield Stream("999 empty messages and a pong", ("CAR-34",), role, most, [b"x", b"y"], level="SHOULD")
        for what, last in (("pong", Frame(PONG)), ("empty message", binary(b""))):
            yield Stream(
                f"1,000 empty messages and one more {what}",
                ("CAR-34",),
                role,
                [binary(b"x"), *nothing, last, binary(b"y")],
                [b"x"],
                **refusal(4103),
                level="SHOULD",
            )
