"""What an item may be, and what it may not: each kind of item with its bounds and with values just outside."""

from dataclasses import dataclass, replace
from typing import Any, Final

from .encoding import Counts

TOP: Final = 2**53

WRONG: Final[dict[str, Any]] = {
    "an unsigned integer": 7,
    "a negative integer": -1,
    "a byte string": b"\x01",
    "a text string": "1",
    "an array": [],
    "a map": {},
    "a boolean": True,
    "null": None,
    "a float": 1.0,
}
"""One value of every type."""


@dataclass(frozen=True)
class Kind:
    """One kind of item."""

    types: tuple[str, ...]
    """Types that are right, as WRONG names them."""
    usual: Any
    smallest: Any
    largest: Any
    outside: tuple[tuple[str, Any, str], ...] = ()
    """Values of a right type that are wrong: what they are, the value, the clause it breaks."""


def uint(usual: int = 5, minimum: int = 0) -> Kind:
    """Make an integer from a minimum to 2^53."""
    below = tuple((str(each), each, "PKT-8") for each in range(minimum))
    return Kind(("an unsigned integer",), usual, minimum, TOP, (*below, ("2^53 + 1", TOP + 1, "PKT-6")))


def flag(usual: bool = False) -> Kind:
    """Make a boolean."""
    return Kind(("a boolean",), usual, False, True)


def octets(minimum: int, maximum: int | None, usual: bytes = b"data") -> Kind:
    """Make a byte string; no maximum means that nothing but the size of the whole bounds it."""
    outside = [(f"{minimum - 1} bytes", b"\x5a" * (minimum - 1), "PKT-8")] if minimum else []
    if maximum is not None:
        outside.append((f"{maximum + 1} bytes", b"\x5a" * (maximum + 1), "PKT-8"))
    largest = b"\xa5" * (300 if maximum is None else maximum)
    return Kind(("a byte string",), usual, b"\x00" * minimum, largest, tuple(outside))


def text(minimum: int, maximum: int | None, usual: str = "text") -> Kind:
    """Make text; lengths in bytes, so the largest mixes characters of two bytes in."""
    outside = [("an empty text", "", "PKT-8")] if minimum else []
    if maximum is not None:
        outside.append((f"{maximum + 1} bytes of ASCII", "x" * (maximum + 1), "PKT-8"))
        few = maximum // 2 + 1
        outside.append((f"{2 * few} bytes in {few} characters", "é" * few, "PKT-8"))
    size = 300 if maximum is None else maximum
    largest = "é" * (size // 2) + "x" * (size % 2)
    return Kind(("a text string",), usual, "x" * minimum, largest, tuple(outside))


def nullable(kind: Kind) -> Kind:
    """Make an item that may be null, which is its smallest value."""
    return replace(kind, types=(*kind.types, "null"), smallest=None)


def omissible(kind: Kind) -> Kind:
    """Make an item that may be left out at the end of a packet, which null says as well."""
    return replace(kind, types=(*kind.types, "null"))


def array(of: Kind, minimum: int, maximum: int, *, thorough: bool = False) -> Kind:
    """Make an array of like items; thorough: with every wrong type among them, else with one."""
    outside = [(f"an array of {minimum - 1}", [of.usual] * (minimum - 1), "PKT-8")] if minimum else []
    outside.append((f"an array of {maximum + 1}", [of.usual] * (maximum + 1), "PKT-8"))
    inside = [(f"an array that holds {name}", [of.usual, value], "PKT-8") for name, value in _others(of, thorough)]
    beyond = [(f"an array that holds {name}", [of.usual, value], clause) for name, value, clause in of.outside]
    return Kind(
        ("an array",),
        [of.usual],
        [of.smallest] * minimum,
        [of.largest, *[of.usual] * (maximum - 1)],
        (*outside, *inside, *beyond),
    )


def record(
    usual: Any, smallest: Any, largest: Any, parts: dict[str, Kind], *, clause: str = "PKT-8", thorough: bool = True
) -> Kind:
    """Make an array with a fixed number of different items; thorough: with every wrong type for each, else with one."""
    values = list(usual)
    outside: list[tuple[str, Any, str]] = [
        (f"an array of {len(values) - 1}", values[:-1], clause),
        (f"an array of {len(values) + 1}", [*values, 0], clause),
        ("an empty array", [], clause),
    ]
    for place, (part, kind) in enumerate(parts.items()):
        bad = [(name, value, "PKT-8") for name, value in _others(kind, thorough)]
        if thorough:
            bad += kind.outside
        for name, value, broken in bad:
            outside.append((f"{part} as {name}", [*values[:place], value, *values[place + 1 :]], broken))
    return Kind(("an array",), usual, smallest, largest, tuple(outside))


def counts(*, thorough: bool = False) -> Kind:
    """Make the three counts."""
    parts = {"received": uint(), "delivered": uint(), "sent": uint()}
    return record(Counts(41, 40, 58), Counts(), Counts(TOP, TOP, TOP), parts, clause="PKT-12", thorough=thorough)


def keyed(names: tuple[str, ...]) -> Kind:
    """Make a map with certain keys, each an integer."""
    usual = {name: 1000 + place for place, name in enumerate(names)}
    outside: list[tuple[str, Any, str]] = [("an empty map", {}, "PKT-13")]
    for name in names:
        without = {key: value for key, value in usual.items() if key != name}
        outside.append((f"a map without {name}", without, "PKT-13"))
        outside.append((f"a map with a text for {name}", {**usual, name: "1000"}, "PKT-8"))
    for what, value in _others(uint(), True):
        outside.append((f"a map with {what} for {names[0]}", {**usual, names[0]: value}, "PKT-8"))
    return Kind(("a map",), usual, dict.fromkeys(names, 0), dict.fromkeys(names, TOP), tuple(outside))


def entries(key: Kind, of: Kind, maximum: int) -> Kind:
    """Make a map of at least one and at most so many like entries."""
    outside: list[tuple[str, Any, str]] = [("an empty map", {}, "PKT-8")]
    many = {f"{key.usual}{number}": of.usual for number in range(maximum + 1)}
    outside.append((f"a map of {maximum + 1}", many, "PKT-8"))
    outside += [(f"a map with {name} as key", {value: of.usual}, clause) for name, value, clause in key.outside]
    bad = [(name, value, "PKT-8") for name, value in _others(of, True)]
    outside += [(f"a map that holds {name}", {key.usual: value}, clause) for name, value, clause in (*bad, *of.outside)]
    largest = {f"{number}x{key.largest[1:]}": of.largest for number in range(maximum)}
    return Kind(("a map",), {key.usual: of.usual}, {key.smallest: of.smallest}, largest, tuple(outside))


def optional(parts: dict[str, Kind]) -> Kind:
    """Make a map of which each key may be missing, and which may be left out itself."""
    usual = {name: kind.usual for name, kind in parts.items()}
    outside: list[tuple[str, Any, str]] = []
    for name, kind in parts.items():
        bad = [(what, value, "PKT-8") for what, value in _others(kind, True)]
        for what, value, clause in (*bad, *kind.outside):
            outside.append((f"a map with {name} as {what}", {**usual, name: value}, clause))
    largest = {name: kind.largest for name, kind in parts.items()}
    return Kind(("a map", "null"), usual, {}, largest, tuple(outside))


def open_map() -> Kind:
    """Make a map of whatever the application likes."""
    everything: dict[str, Any] = {
        "token": "é€𝄞",
        "": b"\x00\xff",
        "numbers": [TOP, -TOP, 0],
        "nested": {"list": [None, True, False, {}]},
    }
    return Kind(("a map",), {"token": "t0p"}, {}, everything)


def _others(kind: Kind, thorough: bool) -> list[tuple[str, Any]]:
    """Return every type that the item must not have, with a value of it, or just one of them."""
    others = [(name, value) for name, value in WRONG.items() if name not in kind.types]
    return others if thorough else others[:1]
