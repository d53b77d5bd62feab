"""The command: ``python -m benchmarks.peers [--quick] [NAME …]``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.command import command
from benchmarks.picture import draw
from benchmarks.report import Places, Spread, about, record, table
from benchmarks.rounds import interleaved

from .contenders import (
    CONTENDERS,
    FULL,
    HAWSER,
    LOADS,
    QUICK,
    TARGETS,
    TRANSPORT,
    TRIO_WEBSOCKET,
    Contender,
    Outcomes,
    Plan,
    run,
)

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DESCRIPTION = """Hawser beside other Python servers under the same load, in interleaved rounds, five minutes in all.
Writes results/peers.json, results/peers.png and the table in README.md, unless it is told to run only a part."""


def main(arguments: Sequence[str] | None = None, places: Places | None = None) -> int:
    """See `benchmarks.command.command`."""
    return command("peers", DESCRIPTION, "server", CONTENDERS, (FULL, QUICK), measure, arguments, places)


def measure(contenders: Sequence[Contender], plan: Plan, places: Places | None) -> int:
    """Measure, print, and record if there is a place for it."""
    found: dict[str, list[Outcomes]] = {each.name: [] for each in contenders}

    def once(contender: Contender) -> None:
        found[contender.name].append(run(contender, plan))

    rounds = interleaved(contenders, plan.rounds, plan.budget_seconds, once)
    spreads = {
        name: {load: Spread.of([one[load]["server_cpu_us"] for one in outcomes]) for load in LOADS}
        for name, outcomes in found.items()
    }
    text = as_text(spreads)
    print(text)
    if places is not None:
        results = [_result(each, found[each.name], spreads[each.name]) for each in contenders]
        record(places, {**about(rounds), "subscribers": plan.subscribers, "results": results}, text)
        draw(
            places.picture,
            f"CPU time of the server, in µs: median, best and worst of {rounds} round(s)",
            [
                (
                    load,
                    [(each.name, spreads[each.name][load], each.colour) for each in contenders],
                    f"µs per {_per(load)}",
                )
                for load in LOADS
            ],
        )
    return 0


def as_text(spreads: Mapping[str, Mapping[str, Spread]]) -> str:
    """The table, with ratios to Hawser, and below it what the session costs and which targets are met."""
    hawser = spreads.get(HAWSER.name)
    rows = [("server CPU, µs", *(f"{load}, per {_per(load)}" for load in LOADS))]
    for name, by_load in spreads.items():
        cells = [
            f"{by_load[load].median:.2f} (best {by_load[load].best:.2f})" + _times(hawser, by_load, load)
            for load in LOADS
        ]
        rows.append((name, *cells))
    return "\n\n".join([table(rows), *_session(spreads), *_targets(spreads)])


def _per(load: str) -> str:
    return "echo" if load == "echo" else "delivery"


def _times(hawser: Mapping[str, Spread] | None, by_load: Mapping[str, Spread], load: str) -> str:
    if hawser is None or hawser is by_load:
        return ""
    return f" ({by_load[load].median / hawser[load].median:.2g} times)"


def _session(spreads: Mapping[str, Mapping[str, Spread]]) -> list[str]:
    if not {HAWSER.name, TRANSPORT.name} <= spreads.keys():
        return []
    costs = [
        f"{spreads[HAWSER.name][load].median - spreads[TRANSPORT.name][load].median:.2f} µs per {_per(load)} ({load})"
        for load in LOADS
    ]
    return [f"What the session, channels and calls cost, Hawser less its transport: {'; '.join(costs)}."]


def _targets(spreads: Mapping[str, Mapping[str, Spread]]) -> list[str]:
    if not {HAWSER.name, TRIO_WEBSOCKET.name} <= spreads.keys():
        return []
    said: list[str] = []
    for target in TARGETS:
        ours, theirs = (spreads[each.name][target.load].median for each in (HAWSER, TRIO_WEBSOCKET))
        verdict = "MISSED" if target.missed(ours, theirs) else "met"
        said.append(f"{target.load}: {target}: {verdict}, with {ours:.2f} µs and 1/{theirs / ours:.1f}")
    return [f"Targets. {'; '.join(said)}."]


def _result(contender: Contender, outcomes: Sequence[Outcomes], spreads: Mapping[str, Spread]) -> dict[str, object]:
    return {
        "server": contender.name,
        "versions": contender.versions,
        "loads": {
            load: {
                "count": sum(one[load]["count"] for one in outcomes),
                "server_cpu_us": spreads[load].rounded(),
                "generator_cpu_us": round(Spread.of([one[load]["generator_cpu_us"] for one in outcomes]).median, 3),
                "per_second": round(Spread.of([one[load]["count"] / one[load]["seconds"] for one in outcomes]).median),
            }
            for load in LOADS
        },
    }


if __name__ == "__main__":
    sys.exit(main())
