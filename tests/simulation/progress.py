"""How far a run is: a bar on a terminal, a line now and then anywhere else. It writes to standard error."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import Final, Protocol, TypeVar

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

__all__ = ["Judged", "shown"]

_EVERY_SECONDS: Final = 10.0


class Judged(Protocol):
    """An outcome that is right or wrong."""

    @property
    def violation(self) -> str | None:
        """What was wrong with it."""


JudgedT = TypeVar("JudgedT", bound=Judged)


class _Pace:
    """How fast it goes."""

    def __init__(self, total: int, noun: str) -> None:
        self._started = time.monotonic()
        self._total = total
        self._noun = noun
        self._done = 0
        self._violations = 0

    def count(self, outcome: Judged) -> None:
        """Take one more in."""
        self._done += 1
        self._violations += outcome.violation is not None

    @property
    def text(self) -> str:
        """The rate, the time that is left, and what was found."""
        rate = self._done / max(time.monotonic() - self._started, 1e-9)
        minutes, seconds = divmod(round((self._total - self._done) / max(rate, 1e-9)), 60)
        hours, minutes = divmod(minutes, 60)
        left = f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
        return f"{rate:.1f} a second, {left} left, {self._violations} violations"

    @property
    def line(self) -> str:
        """All of it."""
        return f"{self._done:,} of {self._total:,} {self._noun}, {self.text}"


def shown(outcomes: Iterable[JudgedT], total: int, noun: str = "seeds") -> Iterator[JudgedT]:
    """Pass outcomes on, and show how many there were."""
    pace = _Pace(total, noun)
    if sys.stderr.isatty():
        yield from _bar(outcomes, total, noun, pace)
    else:
        yield from _lines(outcomes, pace)


def _bar(outcomes: Iterable[JudgedT], total: int, noun: str, pace: _Pace) -> Iterator[JudgedT]:
    columns = (TextColumn(noun), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[pace]}"))
    with Progress(*columns, console=Console(stderr=True)) as progress:
        task = progress.add_task(noun, total=total, pace="")
        for outcome in outcomes:
            pace.count(outcome)
            progress.update(task, advance=1, pace=pace.text)
            yield outcome


def _lines(outcomes: Iterable[JudgedT], pace: _Pace) -> Iterator[JudgedT]:
    said = time.monotonic()
    for outcome in outcomes:
        pace.count(outcome)
        if time.monotonic() - said >= _EVERY_SECONDS:
            said = time.monotonic()
            print(pace.line, file=sys.stderr, flush=True)
        yield outcome
