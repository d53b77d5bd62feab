"""What both players of scenarios share: turns, settings, and bytes with names in them (vectors/README.md)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from hawser_engine.cbor import BYTES, TEXT, UINT, encode_head, item_end, read_head
from tests.spec.vector_files import data_of

if TYPE_CHECKING:
    from collections.abc import Iterator

INPUTS = ("connect", "receive", "request", "response", "fail", "drop", "advance", "command")
OUTPUTS = ("send", "response", "event", "closed")
SECONDS = {
    "handshake_ms": "handshake_seconds",
    "ping_interval_ms": "ping_interval_seconds",
    "pong_wait_ms": "pong_wait_seconds",
    "write_ms": "write_seconds",
}
OPTIONS = ("features", "credentials", "incarnation", "service", "deliver", "carriage", "origins")
"""Members of ``config`` that are no limits and no times."""
MAJORS = {"bytes": BYTES, "word": TEXT, "text": TEXT, "uint": UINT, "inside": BYTES}


def turns(
    steps: list[dict[str, Any]], outputs: tuple[str, ...] = OUTPUTS
) -> Iterator[tuple[str, Any, list[dict[str, Any]]]]:
    """Yield each input, its kind first, with the outputs up to the next one."""
    starts = [index for index, step in enumerate(steps) if not set(outputs) & step.keys()]
    assert starts[:1] == [0], "a scenario begins with an input"
    for start, end in zip(starts, [*starts[1:], len(steps)], strict=True):
        kind = next(kind for kind in INPUTS if kind in steps[start])
        yield kind, steps[start][kind], steps[start + 1 : end]


def settings(config: dict[str, Any], *, server: bool) -> dict[str, Any]:
    """Return a scenario's limits and times as arguments of a configuration."""
    known = {key: value for key, value in config.items() if key not in OPTIONS}
    times: dict[str, Any] = {name: known.pop(key) / 1000 for key, name in SECONDS.items() if key in known}
    period = known.pop("resume_period_ms", None)
    if period is not None and server:
        times |= {"resume_period_seconds": period / 1000, "backoff_cap_seconds": 1.0}
    return known | times


def expected_bytes(outputs: list[dict[str, Any]]) -> dict[str, list[Any]]:
    """Return the parts that have to leave on each link."""
    parts: dict[str, list[Any]] = {}
    for step in outputs:
        if "send" in step:
            parts.setdefault(step["send"]["on"], []).extend(listed(step["send"]["hex"]))
    return parts


def listed(pattern: str | list[Any]) -> list[Any]:
    return [pattern] if isinstance(pattern, str) else pattern


def shown(data: bytes) -> str:
    """Write bytes so that a failure stays readable."""
    return data.hex() if len(data) <= 200 else f"{data[:200].hex()}… ({len(data)} bytes)"


class Names:
    """What the side under test has chosen so far, by name."""

    def __init__(self) -> None:
        self.chosen: dict[str, tuple[str, Any]] = {}

    def written_out(self, pattern: str | list[Any]) -> bytes:
        """Return the bytes of a pattern in which every name is known."""
        return b"".join(self._item(part) for part in listed(pattern))

    def match(self, pattern: list[Any], data: bytes, where: str) -> None:
        """Compare what was sent with what has to be, and take the names that stand for the first time."""
        position = 0
        for part in pattern:
            if isinstance(part, str) or "times" in part:
                literal = data_of([part])
                got = data[position : position + len(literal)]
                assert got == literal, f"{where}: sent {shown(data)}, at {position} expected {shown(literal)}"
                position += len(literal)
            else:
                position = self._take(part, data, position, where)
        assert position == len(data), f"{where}: sent {shown(data[position:])} too much"

    def check_different(self) -> None:
        """What a side chooses is different each time, but two channels may have equal epochs."""
        values = [value for name, (kind, value) in self.chosen.items() if kind == "bytes" and name[:5] != "epoch"]
        assert len(values) == len(set(values)), "what a side chooses is different each time"

    def _item(self, part: str | dict[str, Any]) -> bytes:
        if isinstance(part, str) or "times" in part:
            return data_of([part])
        if "inside" in part:
            content = self.written_out(part["inside"])
            return encode_head(BYTES, len(content)) + content
        kind = next(kind for kind in ("bytes", "word", "uint") if kind in part)
        _, value = self.chosen[part[kind]]
        return encode_head(UINT, value) if kind == "uint" else encode_head(MAJORS[kind], len(value)) + value

    def _take(self, part: dict[str, Any], data: bytes, position: int, where: str) -> int:
        if "any" in part:
            end = item_end(data, position, len(data))
            assert end is not None, f"{where}: sent {shown(data)}, expected an item at {position}"
            return end
        kind = next(kind for kind in MAJORS if kind in part)
        taken = read_head(data, position, len(data))
        assert taken is not None, f"{where}: sent {shown(data)}, expected {part} at {position}"
        major, argument, position = taken[0], taken[1], taken[2]
        assert major == MAJORS[kind], f"{where}: sent {shown(data)}, expected {part} at {position}"
        value: Any = argument
        if kind == "uint":
            assert part.get("minimum", 0) <= argument <= part.get("maximum", 2**53), f"{where}: {argument}, {part}"
        else:
            value, position = data[position : position + argument], position + argument
        if kind == "inside":
            self.match(part["inside"], value, f"{where}, inside a byte string")
        elif kind != "text":
            known = self.chosen.setdefault(part[kind], (kind, value))
            assert known == (kind, value), f"{where}: {part} was {known}, now {value!r}"
        return position
