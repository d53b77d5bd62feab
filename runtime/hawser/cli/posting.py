"""``hawser post``: values into a mailbox, one letter after the other, each stored before the next one leaves."""

from __future__ import annotations

from functools import partial
from math import inf
from typing import TYPE_CHECKING

import trio

from hawser import RequestFailed, RequestLost

from . import DONE, CommandFailed
from .lines import open_lines, read_line
from .running import Dial, explain, report_line, run_command
from .standard import say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from hawser import Client

    from .arguments import Place
    from .streams import Line


def run_post(place: Place, mailbox: str, data: str | None, *, text: bool, ttl: float | None) -> int:
    """Post one letter, or one for each line of standard input.

    Args:
        place: The server.
        mailbox: The mailbox.
        data: The value; None for standard input.
        text: Whether lines are texts, and no JSON.
        ttl: After so many seconds a letter is not delivered any more; None: the mailbox decides.

    Raises:
        CommandFailed: A line is no value, or not everything was stored.
    """
    return run_command(partial(_post, place, mailbox, open_lines(data, "posting", text=text), text, ttl))


async def _post(place: Place, mailbox: str, lines: AsyncIterator[Line], text: bool, ttl: float | None) -> int:
    async with Dial(place) as client:
        await Poster(client, mailbox, text=text, ttl=ttl, tell=say).run(lines)
    return DONE


class Poster:
    """Posts lines through one client."""

    def __init__(
        self, client: Client, mailbox: str, *, text: bool, tell: Callable[[str], None], ttl: float | None = None
    ) -> None:
        self.stored: int = 0
        self._client = client
        self._mailbox = mailbox
        self._text = text
        self._tell = tell
        self._ttl = ttl

    async def run(self, lines: AsyncIterator[Line]) -> None:
        """Post all lines, until one is no value or is refused.

        Raises:
            BadInput: A line is no value; those before it are stored.
            CommandFailed: A letter was refused; those before it are stored.
            SessionClosed: The server has closed the client.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(report_line, self._client, self._tell)
                async for line in lines:
                    if self._text or line.text.strip():
                        await self._post(line)
                nursery.cancel_scope.cancel(reason="everything is stored")
        finally:
            if trio.current_effective_deadline() == -inf:
                self._tell(f"interrupted: {self.stored} stored")

    async def _post(self, line: Line) -> None:
        value, key = read_line(line, text=self._text), None
        while True:
            try:
                await self._client.post(self._mailbox, value, key=key, ttl=self._ttl)
            except RequestLost as lost:
                key = lost.key
                self._tell(f"posting {f'line {line.number}' if line.number else 'it'} again under the same key")
            except RequestFailed as error:
                where = f"line {line.number}: " if line.number else ""
                raise CommandFailed(f"{where}refused: {explain(error)}; {self.stored} stored before") from None
            else:
                self.stored += 1
                return
