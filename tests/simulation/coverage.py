"""Which packets arrived in which state of the receiver, and what was going wrong around them.

A cell is (state, packet kind, fault). ``unreachable.toml`` lists the cells that no run can fill, with the clause that
makes it so; every other cell has to be filled once enough seeds have run.
"""

import tomllib
from pathlib import Path
from typing import Any, Final

from hawser_engine.packets import PACKETS
from hawser_engine.states import TRANSITIONS, Input, State

from . import pollcells

__all__ = ["AROUND", "COUNT", "POLLS", "Cells", "empty_cells", "table", "unreachable"]

AROUND: Final = ("none", "broken", "held", "late", "restart", "pause", "hostile")
"""What can be going wrong around a packet: nothing; its link is cut, or the other end is gone; it was held up, or came
in pieces; its link is not the newest of its client; the server has just restarted; a machine slept, a clock stepped or
an application reads slowly; its sender is hostile."""

STATES: Final = tuple(State)
KINDS: Final = tuple(PACKETS)
_FAULTS: Final = len(AROUND)
_ROW: Final = len(KINDS) * _FAULTS
_STATE_INDEX: Final = {state: index for index, state in enumerate(STATES)}
_WIDTH: Final = 9
_LIST: Final = Path(__file__).with_name("unreachable.toml")

POLLS: Final = len(STATES) * _ROW
"""Index of the first of the cells of ``pollcells``."""
COUNT: Final = POLLS + len(pollcells.NAMES)
"""How many cells there are."""

Cells = dict[int, int]
"""How often each cell was met; only those that were."""


def cell(state: State, kind: int, fault: int) -> int:
    """Return the index of a cell; ``fault`` is an index into AROUND."""
    return _STATE_INDEX[state] * _ROW + (kind - 1) * _FAULTS + fault


def following(state: State, kind: int, *, server: bool) -> State | None:
    """Return the state in which the next packet of the same piece meets the receiver; None if it is over by then."""
    event = Input[f"RCVD_{PACKETS[kind].NAME}"]
    if state is State.CLOSING:
        return state
    target = TRANSITIONS[state].get(event)
    if target is None or target is State.CLOSED:
        return None
    if target is State.ANSWERED:
        return State.ATTACHED  # the ACK is sent at once (SPEC ATT-3)
    if target is State.DISCARDING and not server:
        return State.REOPENING  # and so is the OPEN (SPEC RST-5)
    return target


def name_of(index: int) -> tuple[str, str, str]:
    """Return (state, packet, fault) of a cell."""
    if index >= POLLS:
        return pollcells.NAMES[index - POLLS]
    state, rest = divmod(index, _ROW)
    kind, fault = divmod(rest, _FAULTS)
    return STATES[state].name, PACKETS[KINDS[kind]].NAME, AROUND[fault]


def unreachable() -> dict[int, str]:
    """Return the clause that empties each cell that cannot be filled."""
    rules: list[dict[str, Any]] = tomllib.loads(_LIST.read_text(encoding="utf-8"))["cells"]
    listed: dict[int, str] = {}
    for index in range(COUNT):
        names = name_of(index)
        for rule in rules:
            wanted = (rule["states"], rule["packets"], rule["around"])
            if all(choice == ["*"] or name in choice for name, choice in zip(names, wanted, strict=True)):
                listed.setdefault(index, rule["clause"])
    return listed


def empty_cells(cells: Cells) -> tuple[list[str], list[str]]:
    """Return the cells that should have been filled, and those that are filled though the list says they cannot be."""
    listed = unreachable()
    empty = [" x ".join(name_of(index)) for index in range(COUNT) if not cells.get(index) and index not in listed]
    wrong = [f"{' x '.join(name_of(index))} ({listed[index]})" for index in sorted(listed) if cells.get(index)]
    return empty, wrong


def table(cells: Cells) -> str:
    """Return the table as text: how often, ``-`` for a cell that cannot be filled, ``EMPTY`` for one that could."""
    listed = unreachable()
    parts = ((0, POLLS, AROUND, "packet", 11), (POLLS, COUNT, pollcells.AROUND, "came", 19))
    lines: list[str] = []
    for start, end, around, what, room in parts:
        lines.append("".join([f"{'state':<{room}}{what:<10}", *(f"{name:>{_WIDTH + 1}}" for name in around)]))
        for first in range(start, end, len(around)):
            shown = [
                str(cells[index]) if cells.get(index) else "-" if index in listed else "EMPTY"
                for index in range(first, first + len(around))
            ]
            if any(value != "-" for value in shown):
                state, packet, _ = name_of(first)
                values = "".join(f"{value:>{_WIDTH + 1}}" for value in shown)
                lines.append(f"{state:<{room}}{packet:<10}{values}".rstrip())
    return "\n".join(lines)
