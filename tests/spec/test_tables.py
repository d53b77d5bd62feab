"""The tables of SPEC.md and the engine say the same, and the bytes of its examples are what they are said to be."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import pytest

from hawser_engine import codec, codes, messages, packets

if TYPE_CHECKING:
    from collections.abc import Iterable
    from enum import IntEnum

SPEC = (Path(__file__).parents[2] / "protocol_spec/SPEC.md").read_text(encoding="utf-8")


def table(*header: str) -> list[list[str]]:
    """Return the rows of the one table whose first columns have these names."""
    start = re.escape("| " + " | ".join(header) + " |")
    found = re.findall(rf"^{start}[^\n]*\n\|[-|]+\n((?:\|.*\n)+)", SPEC, re.MULTILINE)
    assert len(found) == 1, header
    return [[cell.strip() for cell in row.strip("|").split(" | ")] for row in found[0].splitlines()]


def numbered(rows: Iterable[list[str]]) -> dict[str, int]:
    return {row[1]: int(row[0]) for row in rows if row[0].isdigit()}


@pytest.mark.parametrize(
    ("header", "members"),
    [
        (("code", "name", "when"), codes.CloseCode),
        (("reason", "name", "when"), codes.ResetReason),
        (("code", "name", "means"), codes.ErrorCode),
    ],
)
def test_registries_are_those_of_the_engine(header: tuple[str, ...], members: type[IntEnum]) -> None:
    assert numbered(table(*header)) == {member.name: member.value for member in members}


def test_packets_are_those_of_the_engine() -> None:
    rows = table("kind", "packet", "array")

    assert numbered(rows) == {cls.NAME: kind for kind, cls in packets.PACKETS.items()}
    for row in rows:
        items = row[2].strip("`[]").split(", ")
        names = [field.name for field in attrs.fields(packets.PACKETS[int(row[0])])]
        assert [item.removesuffix(" / null").lower() for item in items[1:]] == names


def test_messages_are_those_of_the_engine() -> None:
    assert numbered(table("kind", "message", "array")) == {cls.NAME: kind for kind, cls in messages.MESSAGES.items()}


def test_the_answers_of_each_close_code_follow_its_range_but_for_unauthorized() -> None:
    for row in table("code", "name", "when"):
        stated = (row[4] == "yes", row[5] == "yes")
        expected = (False, True) if row[1] == "UNAUTHORIZED" else codes.close_advice(int(row[0]))
        assert stated == expected, row


def test_the_bytes_of_the_examples_are_their_packets() -> None:
    rows = table("who", "packet", "bytes")

    assert len(rows) == 14
    for row in rows:
        data = bytes.fromhex(row[2].strip("`"))
        packet = codec.decode(data)
        assert row[1].startswith(packet.NAME), row
        assert codec.encode(packet) == data, row
        for counts in re.findall(r"\[(\d+), (\d+), (\d+)\]", row[1]):
            assert packets.Counts(*map(int, counts)) == getattr(packet, "counts", None), row
