"""What the rows of all rounds come to: the tables, and which targets are met."""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Final

from attrs import frozen

from benchmarks.report import Spread, table

from .cases import CALLS, FANOUT, FLAPS, JOINS, MEMORY, OUR_CALL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from .cases import Case, Row

__all__ = ["as_text", "fan_out_spreads", "ratios", "spread"]

BARE: Final = "bare"
TARGETED: Final = ("history in memory", "history in SQLite")
HISTORY_TARGET: Final = 1.10
CHANNEL_TARGET: Final = 1_024


@frozen
class Verdict:
    """A target, and what was found."""

    what: str
    found: float
    target: float

    def __str__(self) -> str:
        """For people."""
        said = "met" if self.found <= self.target else "MISSED"
        return f"{self.what}: ≤ {self.target:,g}: {said}, with {self.found:,.4g}"


def as_text(found: Mapping[str, Sequence[Row]]) -> str:
    """All tables of what was measured, and below them the targets.

    Args:
        found: The rows of all rounds, by the name of their case.
    """
    tables = [_fan_outs(found[FANOUT.name])] if FANOUT.name in found else []
    tables += [part for part in (_weights(found), _joins(found), _flaps(found), _calls(found)) if part]
    verdicts = [str(verdict) for verdict in _verdicts(found)]
    return "\n\n".join([*tables, *([f"Targets. {'; '.join(verdicts)}."] if verdicts else [])])


def spread(rows: Sequence[Row], figure: str) -> Spread:
    """One figure over some rows."""
    return Spread.of([row[figure] for row in rows])


def fan_out_spreads(rows: Sequence[Row]) -> dict[tuple[str, int], Spread]:
    """CPU time of the server for each delivery, by what is kept and how many publications are under way."""
    keys = dict.fromkeys((row["row"], row["in_flight"]) for row in rows)
    return {
        key: spread([row for row in rows if (row["row"], row["in_flight"]) == key], "server_cpu_us") for key in keys
    }


def ratios(rows: Sequence[Row]) -> dict[tuple[str, int], float]:
    """How many times the bare fan-out each costs: the median over the turns, each compared with the bare one in it."""
    found: dict[tuple[str, int], list[float]] = {}
    turns: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        turns.setdefault((row["row"], row["in_flight"]), []).append(row["server_cpu_us"])
    for (name, in_flight), values in turns.items():
        if name != BARE:
            pairs = zip(values, turns[BARE, in_flight], strict=True)
            found[name, in_flight] = [kept / bare for kept, bare in pairs]
    return {key: statistics.median(values) for key, values in found.items()}


def _fan_outs(rows: Sequence[Row]) -> str:
    spreads, times = fan_out_spreads(rows), ratios(rows)
    loads = sorted({in_flight for _, in_flight in spreads})
    lines = [("fan-out, server CPU per delivery", *(f"{in_flight} in flight" for in_flight in loads))]
    for name in dict.fromkeys(name for name, _ in spreads):
        cells: list[str] = []
        for in_flight in loads:
            one, ratio = spreads[name, in_flight], times.get((name, in_flight))
            cells.append(f"{one.median:.2f} µs (best {one.best:.2f})" + (f", {ratio:.2f} times" if ratio else ""))
        lines.append((name, *cells))
    return table(lines)


def _weights(found: Mapping[str, Sequence[Row]]) -> str:
    rows = [row for case in MEMORY if case.name in found for row in found[case.name]]
    lines = [("memory of a channel with one subscriber", "of so many", "bytes")]
    lines += [(str(row["row"]), f"{row['count']:,}", f"{row['bytes']:,.0f}") for row in rows]
    return table(lines) if rows else ""


def _joins(found: Mapping[str, Sequence[Row]]) -> str:
    chosen = [case for case in JOINS if case.name in found]
    if not chosen:
        return ""
    lines = [("joining, by how many are there then", *(_heading(case) for case in chosen))]
    for members in dict.fromkeys(row["row"] for row in found[chosen[0].name]):
        cells = [_join([row for row in found[case.name] if row["row"] == members]) for case in chosen]
        lines.append((f"{members:,}", *cells))
    return table(lines)


def _heading(case: Case) -> str:
    return f"{case.name.partition(': ')[2]}: server CPU, p50"


def _join(rows: Sequence[Row]) -> str:
    return f"{spread(rows, 'server_cpu_us').median:.0f} µs, {spread(rows, 'p50_ms').median:.2f} ms"


def _flaps(found: Mapping[str, Sequence[Row]]) -> str:
    rows = found.get(FLAPS.name)
    if not rows:
        return ""
    one = rows[0]
    cpu = spread([{"ms": row["server_cpu_us"] * row["count"] / 1_000} for row in rows], "ms")
    told, weight = statistics.fmean(row["watcher_bytes"] for row in rows), one["member_bytes"]
    lines = [
        (f"{one['members']:,} members, of whom {one['count']:,} a second leave and come back", "figure"),
        ("server CPU for a second of that", f"{cpu.median:.0f} ms (best {cpu.best:.0f})"),
        ("told to each who watches, a second", f"{told:.0f} bytes"),
        ("resident, a member", f"{weight:,.0f} bytes"),
    ]
    return table(lines)


def _calls(found: Mapping[str, Sequence[Row]]) -> str:
    chosen = [case for case in CALLS if case.name in found]
    if not chosen:
        return ""
    ours = spread(found[OUR_CALL.name], "p50_ms").median if OUR_CALL.name in found else None
    lines: list[tuple[str, ...]] = [("one call at a time", "p50", "p99", "server CPU", "client CPU", "agent CPU")]
    for case in chosen:
        rows = found[case.name]
        p50, p99 = spread(rows, "p50_ms").median, spread(rows, "p99_ms").median
        times = "" if ours is None or case is OUR_CALL else f" ({p50 / ours:.2g} times)"
        cpu = [
            f"{spread(rows, f'{side}_cpu_us').median:.0f} µs" if f"{side}_cpu_us" in rows[0] else ""
            for side in ("server", "client", "agent")
        ]
        lines.append((case.name.partition(": ")[2], f"{p50:.3f} ms{times}", f"{p99:.3f} ms", *cpu))
    return table(lines)


def _verdicts(found: Mapping[str, Sequence[Row]]) -> list[Verdict]:
    verdicts: list[Verdict] = []
    if FANOUT.name in found:
        for (name, in_flight), ratio in ratios(found[FANOUT.name]).items():
            if name in TARGETED:
                what = f"{name}, {in_flight} in flight, times the bare fan-out, which has offsets and keeps nothing"
                verdicts.append(Verdict(what, ratio, HISTORY_TARGET))
    for case in MEMORY:
        if case.name in found:
            row = found[case.name][0]  # for what its first publication leaves behind there is no target
            what = f"bytes of a channel with one subscriber, {row['row']}, of {row['count']:,}"
            verdicts.append(Verdict(what, row["bytes"], CHANNEL_TARGET))
    return verdicts
