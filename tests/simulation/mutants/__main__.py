"""``python -m tests.simulation.mutants``: run planted bugs until the simulator notices them, and print a table."""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from os import cpu_count
from pathlib import Path
from threading import Lock
from typing import Final

from .catalogue import MUTANTS
from .gate import NONE, RECORD, Finding, hunt, seeds_of, write_record
from .mutant import Kind

__all__ = ["main"]

_SEEDS_MAX: Final = 2_000


def main() -> int:
    """Read the command line; return 1 if a mutant was not caught."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation.mutants", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="which mutants; see --list")
    parser.add_argument("--all", action="store_true", help="every mutant")
    parser.add_argument("--list", action="store_true", help="what there is")
    parser.add_argument("--seeds-max", type=int, default=_SEEDS_MAX, help="give a mutant up after so many seeds")
    parser.add_argument("--known-first", action="store_true", help=f"begin with the seeds of {RECORD.name}")
    parser.add_argument("--jobs", type=int, default=cpu_count() or 1, help="processes at a time")
    parser.add_argument("--report", type=Path, help="write the table to this file, as Markdown")
    parser.add_argument("--record", action="store_true", help=f"write what was caught to {RECORD.name}")
    arguments = parser.parse_args()
    names: list[str] = list(MUTANTS) if arguments.all else arguments.names
    if arguments.list or not names:
        for mutant in MUTANTS.values():
            print(f"{mutant.name:<40} {mutant.kind.value:<9} {mutant.clause:<7} {mutant.wrong}")
        return 0
    unknown = [name for name in names if name not in MUTANTS]
    if unknown:
        parser.error(f"no such mutant: {', '.join(unknown)}")
    findings = _hunt_all(names, arguments.seeds_max, arguments.jobs, known_first=arguments.known_first)
    findings = _confirm(findings)
    table = _table(findings)
    print("\n".join(table))
    if arguments.report is not None:
        arguments.report.write_text("\n".join(table) + "\n", encoding="utf-8")
    if arguments.record:
        write_record(findings, MUTANTS)
    missed = [finding for finding in findings if not finding.caught]
    safety = sum(MUTANTS[finding.name].kind is Kind.SAFETY for finding in missed)
    print(
        f"{len(findings) - len(missed)} of {len(findings)} caught; not caught: {len(missed)}, {safety} of them safety"
    )
    return 1 if missed else 0


def _hunt_all(names: Sequence[str], seeds_max: int, jobs: int, *, known_first: bool) -> list[Finding]:
    """Run all; tell on standard error how it goes."""
    lock = Lock()
    live = sys.stderr.isatty()
    running: dict[str, int] = {}
    done: list[Finding] = []

    def show(name: str) -> Callable[[int], None]:
        def progress(seed: int) -> None:
            with lock:
                running[name] = seed
                if live:
                    texts = ", ".join(f"{name} {seed}" for name, seed in running.items())
                    print(f"\r\x1b[K{len(done)}/{len(names)}  {texts[:100]}", end="", file=sys.stderr, flush=True)

        return progress

    with ThreadPoolExecutor(jobs) as pool:
        futures: list[Future[Finding]] = [
            pool.submit(hunt, name, seeds_of(name) if known_first else [0], then_to=seeds_max, progress=show(name))
            for name in names
        ]
        for future in as_completed(futures):
            finding = future.result()
            with lock:
                done.append(finding)
                running.pop(finding.name, None)
                clear = "\r\x1b[K" if live else ""
                print(
                    f"{clear}{len(done)}/{len(names)}  {finding.name}: {finding.verdict}", file=sys.stderr, flush=True
                )
    order = {name: place for place, name in enumerate(names)}
    return sorted(done, key=lambda finding: order[finding.name])


def _confirm(findings: Sequence[Finding]) -> list[Finding]:
    """Take back what the engine without a mutant is accused of as well: it proves nothing."""
    seeds = sorted({finding.seed for finding in findings if finding.seed is not None})
    guilty: dict[int, str] = {}
    left = seeds
    while left:
        finding = hunt(NONE, left)
        if finding.fault:
            raise RuntimeError(finding.fault)
        if finding.seed is None:
            break
        guilty[finding.seed] = finding.violation
        left = left[left.index(finding.seed) + 1 :]
    return [
        finding
        if finding.seed not in guilty
        else Finding(finding.name, fault=f"seed {finding.seed} fails without a mutant: {guilty[finding.seed]}")
        for finding in findings
    ]


def _table(findings: Sequence[Finding]) -> list[str]:
    lines = [
        "| mutant | what is wrong | kind | clause | caught by | seed | seeds | seconds |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for finding in findings:
        mutant = MUTANTS[finding.name]
        by = finding.invariant if finding.caught else f"**{finding.verdict.partition(chr(10))[0]}**"
        seed = "" if finding.seed is None else str(finding.seed)
        lines.append(
            f"| {mutant.name} | {mutant.wrong} | {mutant.kind.value} | {mutant.clause} | {by} | {seed} "
            f"| {finding.seeds} | {finding.seconds:.1f} |"
        )
    return lines


if __name__ == "__main__":
    sys.exit(main())
