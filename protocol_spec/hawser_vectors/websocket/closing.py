"""Closing frames of either side, and what the session above is told of them."""

from collections.abc import Iterator
from typing import Any

from .messages import ROLES
from .notation import BINARY, CLOSING, Frame, Stream, binary, refusal


def closing(code: int, reason: str = "") -> Frame:
    """Make a closing frame."""
    return Frame(CLOSING, code.to_bytes(2, "big") + reason.encode())


def advice(code: int) -> dict[str, Any]:
    """Say what a close code of the session means where it stands alone (CLS-2)."""
    return {"code": code, "reconnect": code < 300, "resume": code < 200}


def cases() -> Iterator[Stream]:
    """Yield them all."""
    for role in ROLES:
        for code in (100, 109, 199, 200, 299, 300, 302, 399):
            told = f"{4000 + code} and no CLOSE packet"
            frames = [binary(b"before"), closing(4000 + code, "why")]
            yield Stream(told, ("CAR-5", "CLS-2"), role, frames, [b"before"], close="any", end=advice(code))
        for code in (1000, 1001, 1011, 3000, 4000, 4099, 4301, 4400, 4999):
            yield Stream(f"{code} is a dead link", ("CAR-5",), role, [closing(code)], close="any", end="dead")
        none = [Frame(CLOSING), binary(b"late")]
        yield Stream(
            "no code is a dead link, and is not answered 1005", ("CAR-5",), role, none, close="any", end="dead"
        )
        late = [binary(b"before"), closing(1000), binary(b"late")]
        yield Stream("nothing behind it is delivered", ("CAR-5",), role, late, [b"before"], close="any", end="dead")
        for what, payload, answer in (
            *((f"code {code}, which is never sent", code.to_bytes(2, "big"), 1002) for code in (1005, 1006, 1015)),
            ("code 999", (999).to_bytes(2, "big"), 1002),
            ("code 5000", (5000).to_bytes(2, "big"), 1002),
            ("half a code", b"\x03", 1002),
            ("a reason that is no UTF-8", b"\x03\xe8\xff", 1007),
        ):
            yield Stream(f"a closing frame with {what}", ("CAR-5",), role, [Frame(CLOSING, payload)], **refusal(answer))
        open_message = [Frame(BINARY, b"be", final=False), closing(4100)]
        yield Stream("inside a message, which is lost", ("CAR-5",), role, open_message, close="any", end=advice(100))
        for code in (100, 108, 200, 300, 301, 399):
            said = f"CLOSE({code}) of the session is said again"
            yield Stream(said, ("CAR-5",), role, [binary(b"before")], [b"before"], close=4000 + code, say=code)
