"""Run worlds of the whole runtime by seed; see ``--help``."""

import argparse
import sys
import time
from pathlib import Path

from .sittings import add_arguments, commit, read_json, sit, write_json
from .tier import CHUNK, KINDS, Result, Totals, run_one

_HELP = """\
Each seed is a small world: `App`, `serve` and `connect` themselves, with everything of a service but its network and
its clock. Links break, servers are started again, stores and brokers fail; what is promised is checked as it goes on,
and at the end faults stop, everything has to arrive, and nothing may be left of anybody.

  make simulate WORLDS=100                             a hundred seeds of every sort of world, over all processors
  make simulate WORLDS=100 ARGS='--world channels'     of one sort
  make simulate WORLDS=20000 ARGS='--resume FILE'      a long run that goes on where it was stopped; Ctrl-C and TERM
                                                       end it, and what is done is in FILE
  python -m tests.simulation.worlds --merge A B --report C
                                                       add up what two runs have written, of different seeds
  python -m tests.runtime.channels_world 17            one world, and its story: what is printed if one fails

The sorts of worlds: {kinds}.
The same seed tells the same story on every machine."""
_SHOWN = 10


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 if something that is promised does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation.worlds",
        description=_HELP.format(kinds=", ".join(KINDS)),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--world", action="append", choices=KINDS, metavar="NAME", help="only this sort; say it again")
    parser.add_argument("--merge", type=Path, nargs="+", metavar="FILE", help="run nothing, add up what these hold")
    add_arguments(parser, what="the totals")
    options = parser.parse_args(arguments)
    if (options.merge is None) == (options.seeds is None):
        parser.error("say either --seeds N or --merge FILE ...")
    if options.merge is not None:
        return _merge(options)
    return _run(options)


def _run(options: argparse.Namespace) -> int:
    record = read_json(options.resume)
    totals = Totals() if record is None else Totals.of(record)
    before, started, here = totals.worlds, time.monotonic(), commit()

    def take(result: Result) -> None:
        totals.add(result, here)
        if result.violation is not None:
            print(f"VIOLATION in {result.kind} {result.seed}: {result.violation}", flush=True)

    def remember() -> None:
        write_json(options.resume, totals.record())

    left = totals.left(options.world or KINDS, range(options.start, options.start + options.seeds))
    ended = sit(run_one, left, options.jobs, chunk=CHUNK, take=take, remember=remember, noun="worlds")
    rate = (totals.worlds - before) / max(time.monotonic() - started, 1e-9)
    write_json(options.report, totals.record())
    return _verdict(totals, f", {rate:.1f} a second") or ended


def _merge(options: argparse.Namespace) -> int:
    totals = Totals()
    for path in options.merge:
        record = read_json(path)
        if record is None:
            print(f"there is no {path}", file=sys.stderr)
            return 2
        try:
            totals.merge(Totals.of(record))
        except ValueError as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 2
    write_json(options.report, totals.record())
    return _verdict(totals, "")


def _verdict(totals: Totals, rate: str) -> int:
    for name, each in totals.sums.items():
        worlds = max(len(each.done), 1)
        counts = ", ".join(f"{number:,} {what}" for what, number in sorted(each.counts.items()))
        print(
            f"{name}: {len(each.done):,} worlds, {each.seconds / 3600:.1f} virtual hours, "
            f"{each.cpu_seconds / worlds:.2f} s of a processor for each, {each.uneventful} uneventful: {counts}"
        )
    total = totals.record()["total"]
    print(
        f"{totals.worlds:,} seeds{rate}: {total['faults']:,} faults, {total['virtual_hours']} virtual hours, "
        f"{total['violations']} violations"
    )
    for name, seed, text in totals.violations[:_SHOWN]:
        print(f"  {KINDS[name].replay(seed)}    {text.splitlines()[0]}")
    return 1 if totals.violations else 0


if __name__ == "__main__":
    sys.exit(main())
