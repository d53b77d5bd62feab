"""The command: ``python -m benchmarks.polls [--quick] [NAME …]``."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from benchmarks.command import command
from benchmarks.picture import draw
from benchmarks.report import Places, Spread, about, record, table
from benchmarks.rounds import interleaved

from .contenders import CONTENDERS, FULL, HAWSER, LOADS, QUICK, Contender, Outcomes, Plan, run

if TYPE_CHECKING:
    from collections.abc import Sequence

DESCRIPTION = """Hawser's long-poll beside servers that answer a plain POST, in interleaved rounds, four minutes in all.
Writes results/polls.json, results/polls.png and the table in README.md, unless it is told to run only a part."""


def main(arguments: Sequence[str] | None = None, places: Places | None = None) -> int:
    """See `benchmarks.command.command`."""
    return command("polls", DESCRIPTION, "server", CONTENDERS, (FULL, QUICK), measure, arguments, places)


def measure(contenders: Sequence[Contender], plan: Plan, places: Places | None) -> int:
    """Measure, print, and record if there is a place for it."""
    found: dict[str, list[Outcomes]] = {each.name: [] for each in contenders}

    def once(contender: Contender) -> None:
        found[contender.name].append(run(contender, plan))

    rounds = interleaved(contenders, plan.rounds, plan.budget_seconds, once)
    rows = [("server", "load", "CPU per request", "best", "CPU per message", "messages/s")]
    for each in contenders:
        for load in _loads(found[each.name]):
            request = _spread(found[each.name], load, "server_cpu_us")
            message = _spread(found[each.name], load, "server_cpu_us_message")
            rate = _rate(found[each.name], load)
            cells = f"{request.median:.1f} µs", f"{request.best:.1f}", f"{message.median:.1f} µs", f"{rate:.0f}"
            rows.append((each.name, load, *cells))
    text = table(rows)
    print(text)
    if places is not None:
        results = [_result(each, found[each.name]) for each in contenders]
        record(places, {**about(rounds), "clients": plan.clients, "results": results}, text)
        one, together = LOADS
        ours = found[HAWSER.name]
        draw(
            places.picture,
            f"CPU time of the server, in µs: median, best and worst of {rounds} round(s)",
            [
                (
                    "one request; of Hawser half of what a call costs, which takes a POST and a GET",
                    [(each.name, _spread(found[each.name], one, "server_cpu_us"), each.colour) for each in contenders],
                    "µs per request",
                ),
                (
                    "one call through Hawser, alone and among sixteen that leave together",
                    [(load, _spread(ours, load, "server_cpu_us_message"), HAWSER.colour) for load in (one, together)],
                    "µs per call",
                ),
            ],
        )
    return 0


def _loads(outcomes: Sequence[Outcomes]) -> list[str]:
    return [load for load in LOADS if load in outcomes[0]]


def _spread(outcomes: Sequence[Outcomes], load: str, figure: str) -> Spread:
    return Spread.of([one[load][figure] for one in outcomes])


def _rate(outcomes: Sequence[Outcomes], load: str) -> float:
    return Spread.of([one[load]["count"] / one[load]["seconds"] for one in outcomes]).median


def _result(contender: Contender, outcomes: Sequence[Outcomes]) -> dict[str, object]:
    return {
        "server": contender.name,
        "versions": contender.versions,
        "loads": {
            load: {
                "count": sum(one[load]["count"] for one in outcomes),
                "requests": sum(one[load]["requests"] for one in outcomes),
                "server_cpu_us": _spread(outcomes, load, "server_cpu_us").rounded(),
                "server_cpu_us_message": _spread(outcomes, load, "server_cpu_us_message").rounded(),
                "generator_cpu_us": round(_spread(outcomes, load, "generator_cpu_us").median, 3),
                "per_second": round(_rate(outcomes, load)),
            }
            for load in _loads(outcomes)
        },
    }


if __name__ == "__main__":
    sys.exit(main())
