"""Reads protocol_spec/vectors, as its README.md describes them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from attrs import frozen

from hawser_conformance.places import carried

SPECIFICATION = Path(str(carried()))
VECTORS = SPECIFICATION / "vectors"


@frozen
class Vector:
    path: str
    """Inside vectors/."""
    description: str
    layer: str
    data: bytes
    packet: Any = None
    """What has to come out of a valid one, runs written out; a list for a batch."""
    clause: str = ""
    """The clause that an invalid one breaks."""
    by: int | None = None
    canonical: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.description}"


def cases(folder: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every case of a folder as it is written, with the path of its file."""
    for path in sorted((VECTORS / folder).glob("*.json")):
        document: list[Any] | dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        written = document if isinstance(document, list) else [document]
        for case in written:
            yield f"{folder}/{path.name}", case


def vectors(folder: str, layer: str) -> list[Vector]:
    """Return the vectors of a folder that are of one layer."""
    return [_vector(path, case) for path, case in cases(folder) if case["layer"] == layer]


def _vector(path: str, case: dict[str, Any]) -> Vector:
    error = case.get("error", {})
    return Vector(
        path=path,
        description=case["description"],
        layer=case["layer"],
        data=data_of(case["hex"]),
        packet=written_out(case.get("packets", case.get("packet"))),
        clause=error.get("clause", ""),
        by=error.get("by"),
        canonical=case.get("canonical", False),
    )


def data_of(parts: str | list[Any]) -> bytes:
    """Return the bytes of a ``hex`` member."""
    if isinstance(parts, str):
        return bytes.fromhex(parts)
    return b"".join(
        bytes.fromhex(part) if isinstance(part, str) else bytes.fromhex(part["repeat"]) * part["times"]
        for part in parts
    )


def written_out(value: Any) -> Any:
    """Replace runs in decoded packets by what they stand for."""
    plain: Any = value
    if isinstance(value, dict):
        if plain.keys() == {"hex"}:
            return {"hex": data_of(plain["hex"]).hex()}
        return {key: written_out(each) for key, each in plain.items()}
    if isinstance(value, list):
        elements: list[Any] = []
        for each in plain:
            element: Any = each
            run = isinstance(each, dict) and element.keys() == {"repeat", "times"}
            elements.extend([written_out(element["repeat"])] * element["times"] if run else [written_out(element)])
        return elements
    return plain


def head_of(parts: str | list[Any], proof: bytes = b"") -> bytes:
    """Return the bytes of a head as it is written; ``proof`` answers the client's key."""
    if isinstance(parts, str):
        return parts.encode("latin-1")
    return b"".join(
        part.encode("latin-1")
        if isinstance(part, str)
        else part["repeat"].encode("latin-1") * part["times"]
        if "repeat" in part
        else proof
        for part in parts
    )
