"""The command: ``python -m benchmarks.channels [--quick] [NAME …]``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.command import command
from benchmarks.picture import OTHERS, OURS, OURS_BARE, OURS_MIXED, draw
from benchmarks.report import Places, about, record
from benchmarks.rounds import interleaved, progress

from .cases import CALLS, CASES, FANOUT, FULL, JOINS, QUICK, Case, Plan, Row
from .outcome import as_text, fan_out_spreads, spread

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from benchmarks.report import Spread

DESCRIPTION = """What channels and calls cost: history beside none, memory, joining, a crowd, a call beside
python-socketio's and HTTP, in interleaved rounds, nine minutes in all. Writes results/channels.json,
results/channels.png and the tables in README.md, unless it is told to run only a part."""

PICTURE = "![Fan-out, joining and calls as bars: medians, with the best and the worst](results/channels.png)"


def main(arguments: Sequence[str] | None = None, places: Places | None = None) -> int:
    """See `benchmarks.command.command`."""
    return command("channels", DESCRIPTION, "case", CASES, (FULL, QUICK), measure, arguments, places)


def measure(cases: Sequence[Case], plan: Plan, places: Places | None) -> int:
    """Measure, print, and record if there is a place for it."""
    found: dict[str, list[Row]] = {case.name: [] for case in cases}

    def once(case: Case) -> None:
        found[case.name] += case.run(plan)

    for case in cases:
        if case.once:
            progress(case.name)
            once(case)
    again = [case for case in cases if not case.once]
    rounds = interleaved(again, plan.rounds, plan.budget_seconds, once) if again else 1
    text = as_text(found)
    print(text)
    if places is not None:
        results = [{"case": case.name, "versions": case.versions, "rows": found[case.name]} for case in cases]
        record(places, {**about(rounds), "subscribers": plan.subscribers, "results": results}, f"{text}\n\n{PICTURE}")
        _draw(places, found, rounds)
    return 0


def _draw(places: Places, found: Mapping[str, Sequence[Row]], rounds: int) -> None:
    colours = {
        "no session, no offsets": OURS_BARE,
        "bare": OURS_BARE,
        "history in memory": OURS,
        "history in SQLite": OURS_MIXED,
    }
    fan_outs = [
        (f"{name}\n{in_flight} in flight", one, colours[name])
        for (name, in_flight), one in fan_out_spreads(found[FANOUT.name]).items()
    ]
    joins: list[tuple[str, Spread, str]] = []
    for case in JOINS:
        rows = found[case.name]
        for members in (rows[0]["row"], rows[-1]["row"]):
            some = [row for row in rows if row["row"] == members]
            joins.append((f"{case.name}\n{members:,} there", spread(some, "server_cpu_us"), OURS))
    calls = [
        (case.name, spread(found[case.name], "p50_ms"), OURS if "Hawser" in case.name else OTHERS) for case in CALLS
    ]
    draw(
        places.picture,
        f"Channels and calls: median, best and worst of {rounds} round(s)",
        [
            ("fan-out to 1,000: CPU time of the server", fan_outs, "µs per delivery"),
            ("joining a channel: CPU time of the server", joins, "µs per join"),
            ("one call at a time: half of them took no longer", calls, "ms"),
        ],
    )


if __name__ == "__main__":
    sys.exit(main())
