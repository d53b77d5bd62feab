"""Run whole systems by seed; see ``--help``."""

import argparse
import json
import sys
import time

from .coverage import empty_cells, table
from .run import CHUNK, TRANSCRIPTS, Outcome, Totals, run_seed, transcript_of
from .sittings import add_arguments, read_json, sit, write_json

_HELP = """\
Each seed is a small world: clients, a server that restarts, hostile peers, links that fail in every way they can, on a
virtual clock. After every step the invariants are checked; at the end faults stop and everything has to arrive.

  make simulate SEEDS=5000                   that many seeds, over all processors
  make simulate SEED=8123                    one seed; if an invariant fails, its transcript
  make simulate SEED=8123 ARGS=--transcript  one seed, and its transcript in any case
  make simulate SEEDS=100000 ARGS='--resume FILE --report FILE'
                                             a long run that goes on where it was stopped, by Ctrl-C or TERM too

The same seed does the same on every machine and every version of Python."""
_TAIL = 200
_SHOWN = 10
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
    add_arguments(parser, what="the totals and the coverage")
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
    record = read_json(options.resume)
    totals = Totals() if record is None else Totals.of(record)
    before = len(totals.done)
    left = [seed for seed in range(options.start, options.start + options.seeds) if seed not in totals.done]
    started = time.monotonic()

    def take(outcome: Outcome) -> None:
        totals.add(outcome)
        if outcome.violation is not None:
            print(f"VIOLATION {outcome.violation}\nreplay: make simulate SEED={outcome.seed}", flush=True)

    def remember() -> None:
        write_json(options.resume, totals.record())

    ended = sit(run_seed, left, options.jobs, chunk=CHUNK, take=take, remember=remember)
    seconds = time.monotonic() - started
    write_json(options.report, totals.record())
    return _verdict(totals, seconds, len(totals.done) - before, check=options.check_coverage and not ended) or ended


def _verdict(totals: Totals, seconds: float, ran: int, *, check: bool) -> int:
    empty, wrong = empty_cells(totals.cells)
    if check:
        print(table(totals.cells))
        for name in empty[:_SHOWN]:
            print(f"EMPTY {name}: run more seeds, or add it to unreachable.toml with the clause that makes it so")
        for name in wrong[:_SHOWN]:
            print(f"REACHED {name}, which unreachable.toml says cannot be")
    print(
        f"{len(totals.done):,} seeds, {ran / max(seconds, 1e-9):.1f} a second: {totals.up:,} messages up, "
        f"{totals.down:,} down, {totals.faults:,} faults, {totals.resets:,} resets, "
        f"{totals.seconds / 3600:.1f} virtual hours, {len(totals.violations)} violations; "
        f"state x packet x fault: {len(totals.cells)} cells filled, {len(empty)} empty"
    )
    for seed, text in totals.violations[:_SHOWN]:
        print(f"  make simulate SEED={seed}    {text.splitlines()[0]}")
    return 1 if totals.violations or (check and (empty or wrong)) else 0


if __name__ == "__main__":
    sys.exit(main())
