"""How far a run is: a bar on a terminal, a line now and then anywhere else. It writes to standard error."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from .run import Outcome

__all__ = ["shown"]

_EVERY_SECONDS: Final = 10.0


def shown(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    """Pass outcomes on, and show how many there were."""
    if sys.stderr.isatty():
        yield from _bar(outcomes, total)
    else:
        yield from _lines(outcomes, total)


def _bar(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    columns = (
        TextColumn("seeds"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[violations]} violations"),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task("seeds", total=total, violations=0)
        violations = 0
        for outcome in outcomes:
            violations += outcome.violation is not None
            progress.update(task, advance=1, violations=violations)
            yield outcome


def _lines(outcomes: Iterable[Outcome], total: int) -> Iterator[Outcome]:
    started = said = time.monotonic()
    violations = 0
    for done, outcome in enumerate(outcomes, 1):
        violations += outcome.violation is not None
        now = time.monotonic()
        if now - said >= _EVERY_SECONDS:
            said = now
            print(
                f"{done:,} of {total:,} seeds, {done / (now - started):.1f} a second, {violations} violations",
                file=sys.stderr,
                flush=True,
            )
        yield outcome
