"""The command: ``python -m benchmarks.hostile [--quick] [--jobs N] [NAME …]``."""

# pyright: reportUnknownMemberType=false
# (matplotlib leaves its keywords open)

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

import attrs
import trio

from benchmarks.picture import OURS, OURS_BARE, OURS_MIXED, bars
from benchmarks.report import HERE, Spread, about, table
from benchmarks.rounds import progress
from tests.faults.emulator import missing
from tests.faults.journey import PATIENCE, Traffic, quantile
from tests.faults.middleboxes import MIDDLEBOXES, Middlebox, pass_through
from tests.faults.networks import CARRIAGES, NETWORKS, Network, cross

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.faults.networks import Outcome

DESCRIPTION: Final = """`hawser pub` to `hawser sub` across every hostile network and through every middlebox, over each
carriage, with every default: each run is exact or fails the command. Writes results/hostile.json, and the page of the
documents with its picture, unless it is told to run only a part. Emulated links need Linux and root."""

PAGE: Final = HERE.parent / "docs/reference/hostile-networks.md"
QUICK: Final = Traffic(100, 1.0)

Found: TypeAlias = "dict[str, Any]"


@attrs.frozen(eq=False)
class Case:
    """One run."""

    name: str
    place: Network | Middlebox
    carriage: str

    @property
    def title(self) -> str:
        return f"{self.place.title}, {self.carriage}"


@attrs.frozen
class Places:
    """Where the outcome is kept."""

    json: Path = HERE / "results/hostile.json"
    page: Path = PAGE

    @property
    def picture(self) -> Path:
        return self.page.with_suffix(".png")


def cases(names: Sequence[str]) -> list[Case]:
    """What is run: everything, or that with one of these texts in its name."""
    places: dict[str, Network | Middlebox] = {**NETWORKS, **MIDDLEBOXES}
    return [
        Case(name, place, carriage)
        for name, place in places.items()
        for carriage in CARRIAGES
        if not (isinstance(place, Middlebox) and place.refuses_websocket and carriage == "ws")
        if not names or any(text in f"{name}/{carriage}" for text in names)
    ]


def main(arguments: Sequence[str] | None = None, places: Places | None = None) -> int:
    """Run, print and record.

    Args:
        arguments: Of the command line.
        places: Where to record; the repository's if not given, and only if everything was run in full.

    Returns:
        0, 2 if nothing has such a name or something is missing, 1 if a run was not exact, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.hostile", description=DESCRIPTION)
    parser.add_argument("--quick", action="store_true", help="a hundred messages each; the figures are noise")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once; they mostly wait")
    parser.add_argument("names", nargs="*", metavar="NAME", help="only what has one of these texts in NAME/CARRIAGE")
    options = parser.parse_args(arguments)
    chosen = cases(options.names)
    if not chosen:
        print("no such run; there are:", *(f"{each.name}/{each.carriage}" for each in cases([])), sep="\n  ")
        return 2
    if any(isinstance(each.place, Network) for each in chosen) and (lack := missing()):
        print(f"missing: {lack}", file=sys.stderr)
        return 2
    if places is None and len(chosen) == len(cases([])) and not options.quick:
        places = Places()
    results: list[Found] = []
    try:
        results = trio.run(run_all, chosen, QUICK if options.quick else None, options.jobs)
    except* KeyboardInterrupt:
        print("interrupted; everything that was started has ended", file=sys.stderr)
    if not results:
        return 130
    print(as_text(results))
    failed = [result for result in results if "failed" in result]
    if places is not None and not failed:
        record(places, results, options.jobs)
    return 1 if failed else 0


async def run_all(chosen: Sequence[Case], traffic: Traffic | None, jobs: int) -> list[Found]:
    """Run every case; one that fails does not stop the others."""
    results: dict[Case, Found] = {}
    limit = trio.CapacityLimiter(jobs)
    began = trio.current_time()

    async def one(case: Case) -> None:
        async with limit:
            results[case] = await run(case, traffic)
        minutes = (trio.current_time() - began) / 60
        verdict = results[case].get("failed", f"exact in {results[case].get('seconds', 0):.0f} s")
        progress(f"{len(results)} of {len(chosen)}, {minutes:.1f} min: {case.title}: {verdict}")

    async with trio.open_nursery() as nursery:
        for case in chosen:
            nursery.start_soon(one, case)
    progress("")
    return [results[case] for case in chosen]


async def run(case: Case, traffic: Traffic | None) -> Found:
    """One run, and what is recorded of it."""
    found: Found = {"name": case.name, "title": case.place.title, "carriage": case.carriage}
    place = case.place if traffic is None else attrs.evolve(case.place, traffic=traffic)
    try:
        with tempfile.TemporaryDirectory() as folder:
            if isinstance(place, Network):
                outcome = await cross(place, case.carriage, Path(folder))
            else:
                program = place.program and shutil.which(place.program, path=f"{os.environ['PATH']}:/usr/sbin")
                outcome = await pass_through(place, case.carriage, Path(folder), program=program)
    except Exception as error:  # whatever it is, the other runs go on, and this one is told
        return found | {"failed": reason(error)}
    return found | figures(outcome)


def reason(error: Exception) -> str:
    """Why a run has failed, in one line."""
    first: BaseException = error
    while isinstance(first, BaseExceptionGroup):
        first = cast("BaseExceptionGroup[BaseException]", first).exceptions[0]
    if isinstance(first, trio.TooSlowError):
        return f"not done within {PATIENCE:g} s"
    return next(iter(str(first).splitlines()), type(first).__name__)


def figures(outcome: Outcome) -> Found:
    """What a run came to."""
    journey = outcome.journey
    found: Found = {
        "messages": journey.messages,
        "seconds": round(journey.seconds, 1),
        "pauses": len(journey.recoveries),
        "delay_seconds": _quantiles(journey.delays),
        "bytes_per_payload_byte": round(outcome.bytes_sent / journey.payload_bytes, 2),
    }
    if journey.recoveries:
        found["recovery_seconds"] = _quantiles(journey.recoveries)
    return found


def _quantiles(values: Sequence[float]) -> Found:
    return {"p50": round(quantile(values, 0.5), 2), "p99": round(quantile(values, 0.99), 2)}


HEAD: Final = (
    "between the clients and the server",
    "carriage",
    "messages",
    "exact after",
    "pauses",
    "recovery p50",
    "p99",
    "delay p50",
    "p99",
    "bytes per payload byte",
)


def as_text(results: Sequence[Found]) -> str:
    """The table."""
    return table([HEAD, *map(_row, results)])


def _row(result: Found) -> tuple[str, ...]:
    if "failed" in result:
        return (result["title"], result["carriage"], "FAILED", result["failed"], *[""] * 6)
    recovery = result.get("recovery_seconds")
    delay = result["delay_seconds"]
    return (
        result["title"],
        result["carriage"],
        f"{result['messages']:,}",
        f"{result['seconds']:.0f} s",
        str(result["pauses"]),
        *(("none", "") if recovery is None else (f"{recovery['p50']:.2f} s", f"{recovery['p99']:.2f} s")),
        f"{delay['p50']:.2f} s",
        f"{delay['p99']:.2f} s",
        f"{result['bytes_per_payload_byte']:.2f}",
    )


def record(places: Places, results: Sequence[Found], jobs: int) -> None:
    """Write the JSON, the picture, and the table into its section of the page.

    Raises:
        ValueError: The page has no such section.
    """
    import json

    found = about(1)
    places.json.write_text(
        json.dumps({**found, "jobs": jobs, "results": results}, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    begin, end = "<!-- hostile: written by the benchmark -->\n", "<!-- end of hostile -->"
    before, found_begin, rest = places.page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        raise ValueError(f"{places.page.name} has no section {begin} … {end}")
    head = (
        f"{found['date']}, commit {found['commit']}, {found['python']}, {found['system']}, {found['machine']}; "
        f"{jobs} run(s) at once, load average {found['load_average'][0]:g} at the end."
    )
    places.page.write_text(f"{before}{begin}\n{head}\n\n{as_text(results)}\n\n{end}{after}", encoding="utf-8")
    _draw(places.picture, results)


def _draw(path: Path, results: Sequence[Found]) -> None:
    from matplotlib.figure import Figure  # only needed here, and slow to import

    recovering = [each for each in results if "recovery_seconds" in each]
    figure = Figure(figsize=(10, 2 + 0.22 * (len(recovering) + len(results))), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(len(recovering) + 1, len(results) + 1))
    bars(
        above,
        "recovery: pauses in which messages were waited for, less the time without a network; p50, and a line to p99",
        [(_label(each), _spread(each["recovery_seconds"]), _colour(each)) for each in recovering],
        "s",
    )
    bars(
        below,
        "bytes on the network for each byte of payload, both ways",
        [(_label(each), Spread.of([each["bytes_per_payload_byte"]]), _colour(each)) for each in results],
        "bytes",
    )
    below.set_xscale("linear")
    for axis in (above, below):
        axis.margins(y=0.01)
    figure.suptitle("hawser pub to hawser sub, every message once and in order", fontsize=10)
    figure.savefig(path, dpi=100)


def _colour(result: Found) -> str:
    return {"ws": OURS, "poll": OURS_BARE, "auto": OURS_MIXED}[result["carriage"]]


def _label(result: Found) -> str:
    return f"{result['title']}, {result['carriage']}"


def _spread(quantiles: Found) -> Spread:
    return Spread(quantiles["p50"], quantiles["p50"], quantiles["p99"])


if __name__ == "__main__":
    sys.exit(main())
