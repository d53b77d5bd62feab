"""Run whole systems by seed; see ``--help``."""

import argparse
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .coverage import empty_cells, table
from .progress import shown
from .run import TRANSCRIPTS, Outcome, Totals, run_many, transcript_of

_HELP = """\
Each seed is a small world: clients, a server that restarts, hostile peers, links that fail in every way they can, on a
virtual clock. After every step the invariants are checked; at the end faults stop and everything has to arrive.

  make simulate SEEDS=5000                   that many seeds, over all processors
  make simulate SEED=8123                    one seed; if an invariant fails, its transcript
  make simulate SEED=8123 ARGS=--transcript  one seed, and its transcript in any case
  make simulate SEEDS=100000 ARGS='--resume FILE --report FILE'
                                             a long run that goes on where it was stopped

The same seed does the same on every machine and every version of Python."""
_TAIL = 200
_SHOWN = 10
_STRETCH = 500
_HASHED = range(5)


def main(arguments: list[str] | None = None) -> int:
    """Run what the command line asks for; 1 if an invariant does not hold."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulation",
        description=_HELP,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--seed", type=int, metavar="S", help="run this one seed")
    parser.add_argument("--transcript", action="store_true", help="with --seed: print everything that happened")
    parser.add_argument("--seeds", type=int, metavar="N", help="run N seeds")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first of them (0)")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="J", help="processes (all processors)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="remember here what is done, and go on from it")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the totals and the coverage there, as JSON")
    parser.add_argument("--check-coverage", action="store_true", help="fail if a cell is empty and not in the list")
    parser.add_argument("--hashes", action="store_true", help="write hashes of transcripts to transcripts.json")
    options = parser.parse_args(arguments)
    if options.hashes:
        hashes = {str(seed): transcript_of(seed)[2] for seed in _HASHED}
        TRANSCRIPTS.write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
        return 0
    if (options.seed is None) == (options.seeds is None):
        parser.error("say either --seed S or --seeds N")
    if options.seed is not None:
        return _one(options.seed, wanted=options.transcript)
    return _many(options)


def _one(seed: int, *, wanted: bool) -> int:
    outcome, lines, digest = transcript_of(seed)
    if wanted:
        print("\n".join(lines))
    elif outcome.violation is not None:
        print("\n".join(lines[-_TAIL:]))
        print(f"\n(the last {min(_TAIL, len(lines))} of {len(lines):,} lines; ARGS=--transcript shows all)")
    print(
        f"\nseed {seed}: {outcome.up} messages up, {outcome.down} down, {outcome.faults} faults, "
        f"{outcome.resets} resets, {outcome.steps:,} steps, {outcome.seconds:.1f} virtual seconds, "
        f"transcript {digest[:16]}"
    )
    if outcome.violation is None:
        print("all invariants hold")
        return 0
    print(f"VIOLATION {outcome.violation}")
    return 1


def _many(options: argparse.Namespace) -> int:
    totals, start = _done_before(options)
    end = options.start + options.seeds
    started = time.monotonic()

    def outcomes() -> Iterator[Outcome]:
        # With --resume it goes by stretches: what is remembered is always all seeds up to one.
        stretch = _STRETCH if options.resume is not None else max(1, end - start)
        for first in range(start, end, stretch):
            last = min(end, first + stretch)
            yield from run_many(range(first, last), options.jobs)
            if options.resume is not None:
                _write(options.resume, options.start, last, totals)

    for outcome in shown(outcomes(), end - start):
        totals.add(outcome)
        if outcome.violation is not None:
            print(f"VIOLATION {outcome.violation}\nreplay: make simulate SEED={outcome.seed}", flush=True)
    seconds = time.monotonic() - started
    if options.report is not None:
        _write(options.report, options.start, end, totals)
    return _verdict(totals, seconds, end - start, check=options.check_coverage)


def _verdict(totals: Totals, seconds: float, ran: int, *, check: bool) -> int:
    empty, wrong = empty_cells(totals.cells)
    if check:
        print(table(totals.cells))
        for name in empty[:_SHOWN]:
            print(f"EMPTY {name}: run more seeds, or add it to unreachable.toml with the clause that makes it so")
        for name in wrong[:_SHOWN]:
            print(f"REACHED {name}, which unreachable.toml says cannot be")
    print(
        f"{totals.seeds:,} seeds, {ran / max(seconds, 1e-9):.1f} a second: {totals.up:,} messages up, "
        f"{totals.down:,} down, {totals.faults:,} faults, {totals.resets:,} resets, "
        f"{totals.seconds / 3600:.1f} virtual hours, {len(totals.violations)} violations; "
        f"state x packet x fault: {len(totals.cells)} cells filled, {len(empty)} empty"
    )
    for seed, text in totals.violations[:_SHOWN]:
        print(f"  make simulate SEED={seed}    {text.splitlines()[0]}")
    return 1 if totals.violations or (check and (empty or wrong)) else 0


def _done_before(options: argparse.Namespace) -> tuple[Totals, int]:
    if options.resume is None or not options.resume.exists():
        return Totals(), options.start
    record: dict[str, Any] = json.loads(options.resume.read_text(encoding="utf-8"))
    if record["start"] != options.start:
        sys.exit(f"{options.resume} is of a run that started at seed {record['start']}; say --start {record['start']}")
    cells = {int(index): count for index, count in record.pop("cells").items()}
    violations = [(seed, text) for seed, text in record.pop("violations")]
    end = min(record.pop("end"), options.start + options.seeds)
    record.pop("start")
    return Totals(**record, cells=cells, violations=violations), end


def _write(path: Path, start: int, end: int, totals: Totals) -> None:
    record = {
        "start": start,
        "end": end,
        "seeds": totals.seeds,
        "up": totals.up,
        "down": totals.down,
        "faults": totals.faults,
        "resets": totals.resets,
        "seconds": round(totals.seconds, 3),
        "violations": totals.violations,
        "cells": {str(index): totals.cells[index] for index in sorted(totals.cells)},
    }
    aside = path.with_suffix(path.suffix + ".new")
    aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


if __name__ == "__main__":
    sys.exit(main())
