"""What the demo shows while it runs: a live table on a terminal, lines elsewhere."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Protocol

import trio
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from .standard import STDOUT

if TYPE_CHECKING:
    from .demo import Figures


class View(Protocol):
    """Shows figures that somebody else changes."""

    async def run(self, figures: Figures) -> None:
        """Show until cancelled."""


class PlainView:
    """One line a second."""

    async def run(self, figures: Figures) -> None:
        """Print the figures once a second until cancelled."""
        while True:
            await trio.sleep(1)
            print(figures.line(), flush=True)


class LiveView:
    """A table that is drawn again and again."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = Console() if console is None else console
        self._polled = False

    async def run(self, figures: Figures) -> None:
        """Draw until cancelled; the last drawing stays on the screen."""
        with Live(self._draw(figures), console=self._console, auto_refresh=False) as live:
            try:
                while True:
                    await trio.sleep(0.1)
                    live.update(self._draw(figures), refresh=True)
            finally:
                live.update(self._draw(figures), refresh=True)

    def _draw(self, figures: Figures) -> Group:
        table = Table.grid(padding=(0, 2))
        for _ in range(3):
            table.add_column(justify="right")
            table.add_column(justify="left", style="dim")
        table.add_row(str(figures.accepted), "accepted", str(figures.cuts), "cuts", _count(figures.lost), "lost")
        table.add_row(
            str(figures.delivered), "delivered", str(figures.resumes), "resumes", _count(figures.doubled), "duplicated"
        )
        table.add_row(
            str(figures.connected),
            "links up",
            str(figures.replayed),
            "replayed",
            _count(figures.reordered),
            "reordered",
        )
        if self._polled or figures.polling:  # from then on: a row that comes and goes is no good to watch
            self._polled = True
            table.add_row(str(figures.polling), "of them polling", str(figures.moves), "moves")
        title = Text.assemble(("hawser demo  ", "bold"), (figures.title, "dim"))
        bar = Table.grid()  # a bar alone does not end its line
        bar.add_row(ProgressBar(total=max(1, figures.expected), completed=figures.delivered, width=60))
        return Group(title, bar, table)


def choose_view(*, plain: bool) -> View:
    """The live view if stdout is a terminal and nobody asked for plain lines."""
    if plain or not os.isatty(STDOUT):
        return PlainView()
    return LiveView()


def _count(number: int) -> Text:
    return Text(str(number), style="bold red" if number else "bold green")
