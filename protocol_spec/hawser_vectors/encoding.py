"""A tiny CBOR encoder of its own, so that the vectors are evidence independent of every implementation.

``encode`` takes plain Python values and three wrappers for what plain values cannot say: ``Wide`` for heads longer
than necessary, ``Half`` and ``Single`` for short floats, ``Raw`` for bytes that are no valid item at all.
``diagnostic`` writes the same values in the notation of RFC 8949 section 8, ``decoded`` as JSON; README.md beside the
vectors describes both.
"""

import itertools
import json
import re
import struct
from typing import Any, Final, NamedTuple, TypeAlias

Json: TypeAlias = Any


class Wide(NamedTuple):
    """A value whose head has this many bytes behind the first: 1, 2, 4 or 8."""

    value: Any
    width: int


class Half(NamedTuple):
    """A floating-point number in two bytes."""

    value: float


class Single(NamedTuple):
    """A floating-point number in four bytes."""

    value: float


class Raw(NamedTuple):
    """Bytes as they are."""

    data: bytes
    notation: str | None = None
    """How the diagnostic notation writes them; None if it cannot."""


class Counts(NamedTuple):
    """An array of three, named in JSON."""

    received: int = 0
    delivered: int = 0
    sent: int = 0


class Position(NamedTuple):
    """An array of two, named in JSON."""

    epoch: bytes
    offset: int


class Request(NamedTuple):
    """One channel of a SUBSCRIBE, named in JSON."""

    channel: str
    since: Position | None


class FullRequest(NamedTuple):
    """One channel of a SUBSCRIBE with options, named in JSON."""

    channel: str
    since: Position | None
    options: dict[str, Any]


class Outcome(NamedTuple):
    """One channel of a SUBSCRIBED, named in JSON."""

    channel: str
    status: int
    position: Position | None
    reason: str


class Present(NamedTuple):
    """One member of a channel, named in JSON."""

    member: bytes
    user: str
    info: bytes


class Offering(NamedTuple):
    """One procedure of an OFFER, named in JSON."""

    procedure: str
    description: bytes


class Target(NamedTuple):
    """Whom something is sent to, named in JSON."""

    kind: int
    name: str | None


class SendOutcome(NamedTuple):
    """What became of one target of a SEND, named in JSON."""

    status: int
    reached: int
    away: int
    full: int
    position: Position | None
    reason: str


_WIDTHS: Final = {1: 24, 2: 25, 4: 26, 8: 27}
_INDICATORS: Final = {1: "_0", 2: "_1", 4: "_2", 8: "_3"}
_NAMED: Final = (Counts, Position, Request, FullRequest, Outcome, Present, Offering, Target, SendOutcome)
_LONG: Final = 64
_RUN: Final = re.compile(rb"(.{1,64}?)\1{7,}", re.DOTALL)


def head(major: int, argument: int, width: int | None = None) -> bytes:
    """Encode a head, the shortest one unless a width is given."""
    if width is None:
        if argument < 24:
            return bytes((major << 5 | argument,))
        width = next(each for each in (1, 2, 4, 8) if argument < 1 << 8 * each)
    return bytes((major << 5 | _WIDTHS[width],)) + argument.to_bytes(width, "big")


def encode(value: Any, width: int | None = None) -> bytes:
    """Encode a value."""
    plain: Any = value  # for type checkers, which would make a list of unknowns of it
    match value:
        case Raw():
            return value.data
        case Wide():
            return encode(value.value, value.width)
        case Half():
            return b"\xf9" + struct.pack(">e", value.value)
        case Single():
            return b"\xfa" + struct.pack(">f", value.value)
        case None:
            return b"\xf6"
        case bool():
            return b"\xf5" if value else b"\xf4"
        case int():
            return head(0, value, width) if value >= 0 else head(1, -1 - value, width)
        case float():
            return b"\xfb" + struct.pack(">d", value)
        case bytes():
            return head(2, len(value), width) + value
        case str():
            return head(3, len(value.encode()), width) + value.encode()
        case list() | tuple():
            return head(4, len(plain), width) + sequence(plain)
        case dict():
            members = b"".join(encode(key) + encode(each) for key, each in plain.items())
            return head(5, len(plain), width) + members
        case _:
            raise TypeError(f"no vector holds {plain!r}")


def sequence(values: Any) -> bytes:
    """Encode values one behind the other."""
    return b"".join(encode(value) for value in values)


def diagnostic(value: Any, indicator: str = "") -> str | None:
    """Write a value in diagnostic notation, long strings and arrays abridged; None if there is none for it."""
    plain: Any = value
    match value:
        case Raw():
            return value.notation
        case Wide():
            return diagnostic(value.value, _INDICATORS[value.width])
        case Half():
            return f"{_float(value.value)}_1"
        case Single():
            return f"{_float(value.value)}_2"
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f"{value}{indicator}"
        case float():
            return f"{_float(value)}_3"
        case bytes():
            if len(value) > _LONG:
                return f"h'{value[:4].hex()}...'{indicator} /{len(value)} bytes/"
            return f"h'{value.hex()}'{indicator}"
        case str():
            if len(value) > _LONG:
                return f"{json.dumps(value[:4] + '...', ensure_ascii=False)}{indicator} /{len(value.encode())} bytes/"
            return json.dumps(value, ensure_ascii=False) + indicator
        case list() | tuple():
            return _group("[", [diagnostic(each) for each in plain], "]", indicator)
        case dict():
            pairs = [(diagnostic(key), diagnostic(each)) for key, each in plain.items()]
            members = [None if key is None or each is None else f"{key}: {each}" for key, each in pairs]
            return _group("{", members, "}", indicator)
        case _:
            raise TypeError(f"no vector holds {plain!r}")


def _group(opening: str, parts: list[str | None], closing: str, indicator: str) -> str | None:
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if len(known) > _LONG:
        known = [*known[:2], f"... /{len(known)} in all/"]
    space = f"{indicator} " if indicator else ""
    return opening + space + ", ".join(known) + closing


def _float(value: float) -> str:
    return {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(str(value), str(value))


def decoded(value: Any) -> Json:
    """Write a value as JSON: bytes as {"hex": …}, floats as {"float": "1.5"}, records by the names of their items."""
    plain: Any = value
    match value:
        case Wide():
            return decoded(value.value)
        case Half() | Single():
            return {"float": _float(value.value)}
        case float():
            return {"float": _float(value)}
        case bytes():
            return {"hex": compact(value)}
        case None | bool() | int() | str():
            return value
        case dict():
            return {key: decoded(each) for key, each in plain.items()}
        case _ if isinstance(value, _NAMED):
            return {key: decoded(each) for key, each in plain._asdict().items()}
        case list() | tuple():
            return _runs([decoded(each) for each in plain])
        case _:
            raise TypeError(f"no vector holds {plain!r}")


def _runs(values: list[Json]) -> list[Json]:
    """Abridge equal neighbours, eight or more of them."""
    runs: list[Json] = []
    for value, group in itertools.groupby(values):
        times = len(list(group))
        runs += [{"repeat": value, "times": times}] if times >= 8 else [value] * times
    return runs


def compact(data: bytes) -> Json:
    """Write bytes in hex: one string, or an array of strings and runs where a few bytes are repeated often."""
    parts: list[Json] = []
    position = 0
    for run in _RUN.finditer(data) if len(data) > _LONG else ():
        if len(run[0]) < _LONG:
            continue
        if run.start() > position:
            parts.append(data[position : run.start()].hex())
        parts.append({"repeat": run[1].hex(), "times": len(run[0]) // len(run[1])})
        position = run.end()
    if not parts:
        return data.hex()
    if position < len(data):
        parts.append(data[position:].hex())
    return parts
