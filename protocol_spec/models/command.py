"""The command line: which searches to make, and what came of each.

python protocol_spec/models/run.py                        the small size and every wrong variant
python protocol_spec/models/run.py --size large           the large searches (minutes, up to --memory MiB)
python protocol_spec/models/run.py --variant NO_FENCE --trail
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from pathlib import Path

from .searches import SIZES, VARIANTS, Search
from .verifier import Outcome, SearchFailed, check, fingerprint, versions


def _selected(size: str | None, variant: str | None) -> list[Search]:
    if size is None and variant is None:
        size, variant = "small", "all"
    searches = list(SIZES[size]) if size else []
    for name, found in VARIANTS.items():
        if variant in ("all", name):
            searches += found
    return searches


def _describe(outcome: Outcome) -> str:
    findings = outcome.findings
    return (
        f"{findings.verdict}, {findings.states:,} states, depth {findings.depth}, "
        f"{outcome.seconds:.1f} s, {findings.memory_mib:,.0f} MiB"
    )


def _entry(outcome: Outcome) -> dict[str, object]:
    return {
        "name": outcome.search.name,
        "model": outcome.search.model,
        "defines": outcome.search.defines,
        "expected": outcome.search.expected,
        "passed": outcome.passed,
        **asdict(outcome.findings),
        "seconds": round(outcome.seconds, 1),
        "commands": outcome.commands,
    }


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; return its exit code: 0 all as expected, 1 not, 2 wrong usage."""
    parser = argparse.ArgumentParser(description="Check the protocol's models with Spin.")
    parser.add_argument("--size", choices=list(SIZES), help="the searches in which everything must hold")
    parser.add_argument(
        "--variant", choices=["all", *VARIANTS], metavar="NAME|all", help="wrong variants, which must fail (--list)"
    )
    parser.add_argument("--report", type=Path, metavar="FILE", help="write the figures as JSON")
    parser.add_argument("--trail", action="store_true", help="show how a failing search fails, step by step")
    parser.add_argument("--list", action="store_true", help="name the searches and make none")
    parser.add_argument("--memory", type=int, default=6144, metavar="MIB", help="limit for one search (default 6144)")
    parser.add_argument(
        "--time-limit", type=float, default=1800.0, metavar="SECONDS", help="limit for one search (default 1800)"
    )
    options = parser.parse_args(arguments)
    searches = _selected(options.size, options.variant)
    if options.list:
        for search in searches:
            print(f"{search.name}: {search.model} {' '.join(search.arguments())}")
        return 0
    entries: list[dict[str, object]] = []
    failed = 0
    try:
        tools = versions()
    except SearchFailed as error:
        print(error, file=sys.stderr)
        return 1
    for number, search in enumerate(searches, start=1):
        print(f"[{number}/{len(searches)}] {search.name}", file=sys.stderr, flush=True)
        try:
            outcome = check(search, memory_mib=options.memory, seconds=options.time_limit, follow=True)
        except SearchFailed as error:
            print(f"      FAILED: {error}", file=sys.stderr, flush=True)
            entries.append({"name": search.name, "passed": False, "failure": str(error)})
            failed += 1
            continue
        verdict = "as expected" if outcome.passed else f"NOT AS EXPECTED ({search.expected})"
        print(f"      {_describe(outcome)}: {verdict}", file=sys.stderr, flush=True)
        if options.trail:
            print("\n".join(outcome.trail), flush=True)
        entries.append(_entry(outcome))
        failed += not outcome.passed
    if options.report is not None:
        models = sorted({search.model for search in searches})
        report = {"tools": tools, "models": {model: fingerprint(model) for model in models}, "searches": entries}
        options.report.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    print(f"{len(searches) - failed} of {len(searches)} searches as expected")
    return 1 if failed else 0
