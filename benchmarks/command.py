"""The command line that the suites of whole servers share."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from benchmarks.report import Places
from benchmarks.rounds import NamedT, without_traceback

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


PlanT = TypeVar("PlanT")


def command(
    suite: str,
    description: str,
    kind: str,
    choices: Sequence[NamedT],
    plans: tuple[PlanT, PlanT],
    measure: Callable[[Sequence[NamedT], PlanT, Places | None], int],
    arguments: Sequence[str] | None,
    places: Places | None,
) -> int:
    """Measure what was chosen, print and record.

    Args:
        suite: Its folder in ``benchmarks``.
        description: For ``--help``.
        kind: What the choices are, in the singular.
        choices: All that can be measured.
        plans: In full, and tiny.
        measure: Does it; returns the exit code.
        arguments: Of the command line.
        places: Where to record; the repository's if not given, and only if everything was measured in full.

    Returns:
        0, 2 if nothing has such a name, 1 if something failed, 130 after Ctrl-C.
    """
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks.{suite}", description=description)
    parser.add_argument("--quick", action="store_true", help="run everything once, tiny; the figures are noise")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"only the {kind}s with one of these texts in their name"
    )
    options = parser.parse_args(arguments)
    chosen = [each for each in choices if not options.names or any(name in each.name for name in options.names)]
    if not chosen:
        print(f"no such {kind}; there are:", *(each.name for each in choices), sep="\n  ", file=sys.stderr)
        return 2
    if places is None and len(chosen) == len(choices) and not options.quick:
        places = Places.of(suite)
    full, quick = plans
    return without_traceback(partial(measure, chosen, quick if options.quick else full, places))
