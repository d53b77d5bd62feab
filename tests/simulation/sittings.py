"""Long runs: seeds over several processes, in as many sittings as it takes, ended at any moment by a key or a signal.

What is done is remembered as a set of seeds: it does not matter in which order they were run, nor who asked for them.
"""

import argparse
import gc
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing.connection import wait as wait_for
from multiprocessing.synchronize import Event
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any, Final, TypeVar

from .progress import Judged, shown

__all__ = [
    "Ending",
    "add_arguments",
    "commit",
    "heard_signals",
    "read_json",
    "seeds_in",
    "sit",
    "spread",
    "stretches",
    "write_json",
]

_REMEMBERED_SECONDS: Final = 10.0
"""So much is lost at most if the machine stops in the middle."""
_LOOK_SECONDS: Final = 0.2
"""So soon a key is heard."""
_AHEAD: Final = 2
"""Chunks for each process: one that it is at, and one that it finds when that is done."""

ItemT = TypeVar("ItemT")
ResultT = TypeVar("ResultT")
JudgedT = TypeVar("JudgedT", bound=Judged)


def add_arguments(parser: argparse.ArgumentParser, *, what: str) -> None:
    """Add the options of a long run; ``what`` says what is written as its report."""
    parser.add_argument("--seeds", type=_positive, metavar="N", help="run N seeds")
    parser.add_argument("--start", type=int, default=0, metavar="S", help="the first of them (0)")
    jobs = os.cpu_count() or 1
    parser.add_argument("--jobs", type=_positive, default=jobs, metavar="J", help="processes (all processors)")
    parser.add_argument("--resume", type=Path, metavar="FILE", help="remember here what is done, and go on from it")
    parser.add_argument("--report", type=Path, metavar="FILE", help=f"write {what} there, as JSON")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


# ---------------------------------------------------------------- being ended


class Ending:
    """Whether somebody wants a run to end."""

    def __init__(self) -> None:
        self.signal: int | None = None
        """The one that said so."""

    @property
    def code(self) -> int:
        """The exit code of what was ended by it; 0 if it was not."""
        return 0 if self.signal is None else 128 + self.signal

    def hear(self, number: int, _frame: FrameType | None) -> None:
        """Take a signal; the second one does not wait for anything."""
        if self.signal is not None:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def heard_signals() -> Generator[Ending]:
    """Hear what would end the process, and leave it to the block to come to its end."""
    ending = Ending()
    before = {number: signal.signal(number, ending.hear) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield ending
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# ---------------------------------------------------------------- many processes

_over: Event | None = None  # of a process of a pool: whether what it is at is to be left undone


def spread(
    function: Callable[[ItemT], ResultT],
    items: Iterable[ItemT],
    jobs: int,
    *,
    chunk: int,
    ending: Ending | None = None,
) -> Iterator[ResultT]:
    """Apply a function to many items, in several processes; results come as they are ready, in any order.

    Args:
        function: Of a module, for processes to find it.
        items: They travel to the processes, and results travel back.
        jobs: How many processes; with one it is done here, in order.
        chunk: So many items at a time.
        ending: Looked at again and again: what is begun then is finished, and nothing else begun.

    Raises:
        BrokenProcessPool: A process was killed.
    """
    ending = ending or Ending()
    if jobs <= 1:
        for item in items:
            if ending.signal is not None:
                return
            yield function(item)
        return
    source = iter(items)
    over = multiprocessing.Event()
    with ProcessPoolExecutor(jobs, initializer=_prepare, initargs=(over,)) as pool:
        under_way: set[Future[list[ResultT]]] = set()
        while True:
            while ending.signal is None and len(under_way) < _AHEAD * jobs and (some := list(islice(source, chunk))):
                under_way.add(pool.submit(_run_chunk, function, some))
            if not under_way:
                return
            ready, under_way = wait(under_way, timeout=_LOOK_SECONDS, return_when=FIRST_COMPLETED)
            for future in ready:
                yield from future.result()
            if ending.signal is not None:
                over.set()


def _prepare(over: Event) -> None:
    """Begin a process of a pool: it ends when it is told to, or when nobody is there to tell it."""
    global _over
    _over = over
    for number in (signal.SIGINT, signal.SIGTERM):  # a key is heard by the whole group, and the parent decides
        signal.signal(number, signal.SIG_IGN)
    gc.freeze()  # what is there now stays: looking through it again and again for cycles is of no use
    Thread(target=_follow_parent, daemon=True).start()


def _follow_parent() -> None:
    parent = multiprocessing.parent_process()
    assert parent is not None
    wait_for([parent.sentinel])
    os._exit(1)


def _run_chunk(function: Callable[[ItemT], ResultT], chunk: Sequence[ItemT]) -> list[ResultT]:
    results: list[ResultT] = []
    for item in chunk:
        if _over is not None and _over.is_set():
            break
        results.append(function(item))
    return results


# ---------------------------------------------------------------- a sitting


def sit(
    function: Callable[[ItemT], JudgedT],
    items: Sequence[ItemT],
    jobs: int,
    *,
    chunk: int,
    take: Callable[[JudgedT], None],
    remember: Callable[[], None],
    noun: str = "seeds",
) -> int:
    """Do what is left of a long run, and show how far it is.

    Args:
        function: As for `spread`, and ``items``, ``jobs`` and ``chunk``.
        items: What is left.
        jobs: How many processes.
        chunk: So many items at a time.
        take: Given each outcome.
        remember: Called at first, now and then, and at the end, to write down what has been taken.
        noun: What the items are called.

    Returns:
        The exit code if it was ended early, else 0.
    """
    remember()  # hours of work are not begun for a file that cannot be written
    remembered = time.monotonic()
    with heard_signals() as ending:
        try:
            for outcome in shown(spread(function, items, jobs, chunk=chunk, ending=ending), len(items), noun):
                take(outcome)
                if time.monotonic() - remembered >= _REMEMBERED_SECONDS:
                    remember()
                    remembered = time.monotonic()
        except BrokenProcessPool as error:
            print(f"a process was killed: {error}", flush=True)
            remember()
            return 1
        remember()
    if ending.code:
        print("ended early; with --resume FILE the same command goes on from here", file=sys.stderr, flush=True)
    return ending.code


# ---------------------------------------------------------------- what is remembered


def stretches(seeds: Iterable[int]) -> list[list[int]]:
    """Write a set of seeds as stretches, each from its first one to the one behind its last."""
    found: list[list[int]] = []
    for seed in sorted(seeds):
        if found and found[-1][1] == seed:
            found[-1][1] += 1
        else:
            found.append([seed, seed + 1])
    return found


def seeds_in(written: Iterable[Sequence[int]]) -> set[int]:
    """Read it back."""
    return {seed for first, behind in written for seed in range(first, behind)}


def read_json(path: Path | None) -> dict[str, Any] | None:
    """Read what was written; None if there is nothing yet."""
    if path is None or not path.exists():
        return None
    record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return record


def write_json(path: Path | None, record: dict[str, Any]) -> None:
    """Write it so that the file is whole at any moment; without a path nothing is written."""
    if path is None:
        return
    aside = path.with_suffix(path.suffix + ".new")
    aside.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    aside.replace(path)


def commit() -> str:
    """What is being run, marked where files differ from it."""
    git = shutil.which("git")
    if git is None:
        return "unknown"
    here = Path(__file__).parent
    named = subprocess.run([git, "rev-parse", "--short=10", "HEAD"], cwd=here, capture_output=True, text=True)
    changed = subprocess.run([git, "status", "--porcelain"], cwd=here, capture_output=True, text=True)
    return (named.stdout.strip() or "unknown") + (" with changes" if changed.stdout else "")
