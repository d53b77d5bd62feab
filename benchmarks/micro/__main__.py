"""The command: ``python -m benchmarks.micro [--quick] [--json FILE] [--plot FILE.png] [NAME …]``."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from . import attach, broadcast, brokers, codec, polls, receiving, record, session
from .measure import FULL, QUICK, Case, measure
from .report import as_json, as_table, plot

__all__ = ["CASES", "main"]

CASES: list[Case] = [
    *codec.CASES,
    *session.CASES,
    *broadcast.CASES,
    *receiving.CASES,
    *attach.CASES,
    *polls.CASES,
    *record.CASES,
    *brokers.CASES,
]


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, and write what was asked for; return 0, or 2 if no case has such a name."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.micro", description="Micro benchmarks of the engine.")
    parser.add_argument(
        "--quick", action="store_true", help="run everything once, to see that it runs; figures are noise"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the results there")
    parser.add_argument("--plot", type=Path, metavar="FILE.png", help="draw the results there")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help="only the cases with one of these texts in their names"
    )
    options = parser.parse_args(arguments)
    chosen = [case for case in CASES if not options.names or any(name in case.name for name in options.names)]
    if not chosen:
        print("no such case; there are:", *(case.name for case in CASES), sep="\n  ", file=sys.stderr)
        return 2
    plan = QUICK if options.quick else FULL
    results = list(measure(chosen, plan, _progress))
    _progress("")
    print(as_table(results))
    if options.json is not None:
        options.json.write_text(as_json(results, plan), encoding="utf-8")
    if options.plot is not None:
        plot(results, options.plot)
    return 0


def _progress(text: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{text}", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
