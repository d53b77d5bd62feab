"""What a case is, and the cases that follow from the tables: each packet and message at its bounds and beyond."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from .encoding import Json, Raw, compact, decoded, diagnostic, encode
from .kinds import WRONG, Kind
from .layouts import Layout

SKIPPED: Final = object()
"""Instead of a decoded packet: there is none, the kind is unknown and may be ignored."""


@dataclass(frozen=True)
class Case:
    """One vector, as it is written to a file."""

    description: str
    spec: tuple[str, ...]
    layer: str
    data: bytes
    notation: str | None
    outcome: dict[str, Json]
    """The members that say what has to come out."""

    def document(self) -> dict[str, Json]:
        """Return the case as JSON."""
        notation = {} if self.notation is None else {"diagnostic": self.notation}
        return {
            "description": self.description,
            "spec": list(self.spec),
            "level": "MUST",
            "layer": self.layer,
            "hex": compact(self.data),
            **notation,
            **self.outcome,
        }


def valid(
    layout: Layout,
    description: str,
    values: dict[str, Any] | None = None,
    *,
    spec: tuple[str, ...] = (),
    tail: tuple[Any, ...] = (),
    wire: Any = None,
    shown: dict[str, Any] | None = None,
    canonical: bool = True,
) -> Case:
    """Make a case that has to be taken.

    Args:
        layout: The packet or message.
        description: What is particular.
        values: Items that differ from the usual ones.
        spec: Clauses beside those of the layout.
        tail: Unknown items behind.
        wire: The array where it is encoded otherwise than usual; None to make it of the values.
        shown: Items that are decoded as something else than what was sent.
        canonical: Whether an encoder makes exactly these bytes.
    """
    items = {name: kind.usual for name, kind in layout.items.items()} | (values or {})
    array = [layout.kind, *items.values(), *tail] if wire is None else wire
    told = items | (shown or {})
    packet = {"kind": layout.name} | {
        name: decoded(value) for name, value in told.items() if name not in layout.behind or value is not None
    }
    outcome: dict[str, Json] = {"packet": packet}
    if canonical and not tail:
        outcome["canonical"] = True
    clauses = dict.fromkeys((*spec, "PKT-8", *layout.clauses))
    return Case(
        f"{layout.name}: {description}", tuple(clauses), layout.layer, encode(array), diagnostic(array), outcome
    )


def invalid(
    description: str,
    clause: str,
    value: Any,
    *,
    layer: str = "session",
    spec: tuple[str, ...] = (),
    by: int | None = None,
) -> Case:
    """Make a case that has to be refused.

    Args:
        description: What is wrong.
        clause: The clause that it breaks.
        value: The packet or message, right or wrong, or bytes as Raw.
        layer: session, message or batch.
        spec: Clauses beside that one.
        by: After how many bytes it can be known, where that is before the end.
    """
    error = {"code": "PROTOCOL_ERROR", "clause": clause}
    outcome: dict[str, Json] = {"error": error if by is None else error | {"by": by}}
    clauses = dict.fromkeys((clause, *spec))
    return Case(description, tuple(clauses), layer, encode(value), diagnostic(value), outcome)


def raw(hexadecimal: str, notation: str | None = None) -> Raw:
    """Write bytes by hand."""
    return Raw(bytes.fromhex(hexadecimal), notation)


def valid_of(layout: Layout) -> Iterator[Case]:
    """Make the valid cases that follow from a table."""
    kinds = layout.items
    yield valid(layout, "as usual")
    yield valid(layout, "every item as small as it may be", {name: kind.smallest for name, kind in kinds.items()})
    yield valid(layout, "every item as large as it may be", {name: kind.largest for name, kind in kinds.items()})
    for name, kind in kinds.items():
        if "null" in kind.types:
            yield valid(layout, f"{name} is null", {name: None})
    nothing: dict[str, Any] = dict.fromkeys(layout.behind)
    yield valid(layout, "one unknown item behind", nothing, spec=("PKT-4",), tail=(None,))
    tail = (0, "later", [{"version": 2}], b"\x02", 2.5)
    yield valid(layout, "several unknown items behind, of any type", nothing, spec=("PKT-4", "PKT-6"), tail=tail)
    for name, kind in layout.behind.items():
        yield from _optional(layout, name, kind)


def _optional(layout: Layout, name: str, kind: Kind) -> Iterator[Case]:
    """Make the valid cases of the one optional item behind a packet."""
    spec = ("MSG-9",)
    for size, value in (("usual", kind.usual), ("empty", kind.smallest), ("as large as it may be", kind.largest)):
        yield valid(layout, f"{name} is there, {size}", {name: value}, spec=spec)
    parts: dict[str, Any] = kind.usual if "a map" in kind.types else {}
    for key, value in parts.items():
        yield valid(layout, f"{name} with nothing but {key}", {name: {key: value}}, spec=spec)
    yield valid(layout, f"{name} is null", {name: None}, spec=spec, canonical=False)
    if parts:
        value = {**dict.fromkeys(parts), "later": {"k": [1.5, None]}}
        text = f"{name} with nulls and an unknown key"
        yield valid(layout, text, {name: value}, spec=spec, shown={name: {}}, canonical=False)


def invalid_of(layout: Layout) -> Iterator[Case]:
    """Make the invalid cases that follow from a table: every item missing, of each wrong type, beyond each bound."""
    usual = [kind.usual for kind in layout.items.values()]
    for present in range(len(usual)):
        missing = list(layout.items)[present]
        array = [layout.kind, *usual[:present]]
        yield invalid(f"{layout.name}: ends before {missing}", "PKT-8", array, layer=layout.layer)
    for place, (name, kind) in enumerate(layout.items.items()):
        for what, value, clause in _wrong(kind):
            array = [layout.kind, *usual[:place], value, *usual[place + 1 :]]
            yield invalid(f"{layout.name}: {name} is {what}", clause, array, layer=layout.layer)
    for name, kind in layout.behind.items():
        for what, value, clause in _wrong(kind):
            array = [layout.kind, *usual, value]
            yield invalid(f"{layout.name}: {name} is {what}", clause, array, layer=layout.layer, spec=("MSG-9",))


def _wrong(kind: Kind) -> Iterator[tuple[str, Any, str]]:
    for what, value in WRONG.items():
        if what not in kind.types:
            yield what, value, "PKT-8"
    yield from kind.outside
