"""Messages in fragments: how many there may be, and how much of them in all."""

from collections.abc import Iterator

from .messages import BATCH_BYTES, ROLES
from .notation import BINARY, CONTINUATION, PING, Frame, Stream, binary, refusal

FRAGMENTS = 64


def cases() -> Iterator[Stream]:
    """Yield them all."""
    for role in ROLES:
        first, last = Frame(BINARY, b"be", final=False), Frame(CONTINUATION, b"fore")
        empty = Frame(CONTINUATION, final=False)
        yield Stream("two fragments are one batch", ("CAR-4", "CAR-3"), role, [first, last], [b"before"])
        most = [first, *[empty] * (FRAGMENTS - 2), last]
        yield Stream("64 fragments, most of them empty", ("CAR-4",), role, most, [b"before"])
        yield Stream("64 fragments, twice", ("CAR-4",), role, most * 2, [b"before"] * 2)
        head = Frame(CONTINUATION, announced=4)
        yield Stream("the head of the 65th fragment", ("CAR-4",), role, [*most[:-1], empty, head], **refusal(4109))
        flood = [binary(b"x"), first, *[empty] * 1_000]
        yield Stream("empty fragments without end", ("CAR-4",), role, flood, [b"x"], **refusal(4109))
        between = [first, Frame(PING, b"?"), last]
        yield Stream("a ping between two", ("CAR-6", "CAR-4"), role, between, [b"before"], b"?")
        half = BATCH_BYTES // 2
        whole = [Frame(BINARY, b"\0" * half, final=False), Frame(CONTINUATION, b"\0" * half)]
        yield Stream("131,072 bytes in all", ("CAR-4", "CAR-3"), role, whole, [b"\0" * BATCH_BYTES])
        yield Stream(
            "the head of the fragment that makes it 131,073 bytes",
            ("CAR-4", "CAR-3"),
            role,
            [whole[0], Frame(CONTINUATION, announced=half + 1)],
            **refusal(4109),
        )
        yield Stream("fragments that have not all come", ("CAR-4",), role, [first, empty])
