"""The packets of SPEC.md section 3.2 as plain lists, with the usual values where nothing is said."""

from typing import Any, Final, TypeAlias

Triple: TypeAlias = tuple[int, int, int]
"""Counts: received, delivered, sent."""

TOKEN: Final = {"token": "t0p"}
WINDOW: Final = {"window_messages": 1_000, "window_bytes": 262_144, "message_bytes": 1_048_576}
OPERATIONS: Final = {"operations": 256, "operation_bytes": 1_048_576}
SESSION: Final = bytes.fromhex("6e31c0ffee")
OTHER: Final = bytes.fromhex("07e4")
"""Ids of two sessions, where the runner is the server."""

INCARNATION: Final = bytes.fromhex("01f4")
OLD_INCARNATION: Final = bytes.fromhex("01f3")
NEW_INCARNATION: Final = bytes.fromhex("01f5")
ZERO: Final[Triple] = (0, 0, 0)
PART: Final = 65_536
"""The longest part, in bytes."""

LONG: Final = bytes(range(256)) * 256
"""A part of that length."""


def secret(number: int) -> bytes:
    """Return the resume secret that the runner, as a server, issues with an attempt."""
    return bytes(32 * number + index for index in range(32))


def open_(
    credentials: Any = None,
    *,
    versions: tuple[int, ...] = (1,),
    features: tuple[str, ...] = (),
    period: int | None = None,
    **limits: int,
) -> list[Any]:
    """Write OPEN."""
    return [1, versions, features, TOKEN if credentials is None else credentials, period, WINDOW | limits]


def opened(
    *,
    version: int = 1,
    features: tuple[str, ...] = (),
    session: Any = SESSION,
    key: Any = None,
    incarnation: Any = INCARNATION,
    times: Triple = (120_000, 25_000, 10_000),
    **limits: int,
) -> list[Any]:
    """Write OPENED; the times are resume period, ping interval and pong wait."""
    proof = secret(0) if key is None else key
    return [2, version, features, session, proof, incarnation, *times, WINDOW | OPERATIONS | limits]


def resume(
    session: Any, key: Any, incarnation: Any, attempt: int, counts: Triple = ZERO, credentials: Any = None
) -> list[Any]:
    """Write RESUME."""
    return [3, session, key, incarnation, attempt, counts, TOKEN if credentials is None else credentials]


def resumed(attempt: int, counts: Triple, key: Any) -> list[Any]:
    """Write RESUMED."""
    return [4, attempt, counts, key]


def reset(reason: str | int, counts: Triple | None) -> list[Any]:
    """Write RESET."""
    return [5, RESETS.index(reason) if isinstance(reason, str) else reason, counts]


def message(body: bytes | str, more: bool = False) -> list[Any]:
    """Write MESSAGE with a part of an opaque message."""
    return [6, more, body.encode() if isinstance(body, str) else body]


def parts_of(body: bytes) -> list[list[Any]]:
    """Write the MESSAGEs of a message that may be longer than one part."""
    cuts = range(0, len(body), PART)
    return [message(body[cut : cut + PART], cut + PART < len(body)) for cut in cuts]


def volatile(body: str) -> list[Any]:
    """Write VOLATILE."""
    return [7, body.encode()]


def ack(*counts: int) -> list[Any]:
    """Write ACK."""
    return [8, counts]


def ping(token: Any, counts: Triple | None) -> list[Any]:
    """Write PING."""
    return [9, token, counts]


def pong(token: Any, counts: Triple | None) -> list[Any]:
    """Write PONG."""
    return [10, token, counts]


def auth(credentials: Any) -> list[Any]:
    """Write AUTH."""
    return [11, credentials]


def reauth(within: Any) -> list[Any]:
    """Write REAUTH."""
    return [12, within]


RESETS: Final = (
    "",
    "UNKNOWN_SESSION",
    "EXPIRED",
    "DRIFT",
    "OVERFLOW",
    "FLOW",
    "RESTARTED",
    "CLOSED",
    "REVOKED",
    "EVICTED",
    "TAKEN_OVER",
    "INTERNAL",
)
CLOSES: Final = {
    "GOING_AWAY": (100, True, True),
    "TIMEOUT": (101, True, True),
    "FLOW": (102, True, True),
    "RATE": (103, True, True),
    "SLOW": (104, True, True),
    "UNAVAILABLE": (105, True, True),
    "OVERLOADED": (106, True, True),
    "INTERNAL": (107, True, True),
    "PROTOCOL_ERROR": (108, True, True),
    "TOO_LARGE": (109, True, True),
    "SESSION_ENDED": (200, True, False),
    "NORMAL": (300, False, False),
    "SUPERSEDED": (301, False, False),
    "UNAUTHORIZED": (302, False, True),
    "VERSION": (303, False, False),
    "FORBIDDEN": (304, False, False),
}
"""The table of SPEC.md section 10.1: number and the first two answers."""


def close(
    code: str, why: Any = "", *, attempt: int | None = None, after: tuple[Any, Any] = (0, 0), url: str | None = None
) -> list[Any]:
    """Write CLOSE with the answers of its row."""
    number, reconnect, again = CLOSES[code]
    return [13, number, why, reconnect, again, *after, url, attempt]
