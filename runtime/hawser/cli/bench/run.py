"""Running a load: progress while it grows, bounds on everything, one outcome."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Final

import attrs
import trio
from rich.console import Console
from rich.live import Live
from rich.text import Text

from hawser.cli import DONE, CommandFailed
from hawser.cli.running import run_command
from hawser.cli.standard import say

from .meter import Bounds, Meter
from .report import check_plot, figures, plot, progress_line, text

if TYPE_CHECKING:
    from pathlib import Path

    from hawser.cli.arguments import Place

    from .loads import Load

SETUP_SECONDS: Final = 60.0
"""How long clients may take to connect, in all."""


@attrs.frozen
class Options:
    """What all benchmarks have in common."""

    place: Place
    bounds: Bounds
    server_pid: int | None
    json: bool
    plot: Path | None


def run_bench(name: str, load: Load, options: Options) -> int:
    """Run a benchmark and print its outcome.

    Raises:
        CommandFailed: Something did not come back, or the outcome cannot be drawn.
    """
    if options.plot is not None:
        check_plot(options.plot)
    meter = Meter(options.bounds, options.server_pid)
    code = run_command(partial(measure, name, load, options.place, meter))
    if code != DONE:
        return code
    found = figures(name, attrs.asdict(load), meter)
    print(json.dumps(found) if options.json else text(found), flush=True)
    if options.plot is not None:
        plot(options.plot, found, meter)
        say(f"drawn into {options.plot}")
    return DONE


async def measure(name: str, load: Load, place: Place, meter: Meter) -> int:
    """Run a load, showing how far it is.

    Raises:
        CommandFailed: It did not end when it should have.
    """
    meter.patience.deadline = trio.current_time() + SETUP_SECONDS
    async with trio.open_nursery() as nursery:
        nursery.start_soon(show, name, load.unit, meter)
        with meter.patience:
            await load.run(place, meter)
        nursery.cancel_scope.cancel(reason="done")
    if meter.patience.cancelled_caught:
        raise CommandFailed(f"gave up while {meter.doing}, with {meter.count} {load.unit} done: the rest never came")
    return DONE


async def show(name: str, unit: str, meter: Meter) -> None:
    """Show how far a run is until cancelled: one line that changes on a terminal, one a second elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        while True:
            await trio.sleep(1)
            say(progress_line(name, unit, meter))
    with Live(console=console, auto_refresh=False, transient=True) as live:
        while True:
            meter.update()
            live.update(Text(progress_line(name, unit, meter)), refresh=True)
            await trio.sleep(0.1)
