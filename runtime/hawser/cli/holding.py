"""``hawser mailbox``: the letters of a mailbox as JSON lines, each removed when it is printed.

Rule: a letter is settled when its line is written, and no sooner. A line that cannot be written is no failure of its
letter: it waits for whoever holds the mailbox next.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.mailboxes import AGENT

from . import CommandFailed
from .jsontext import letter_text
from .running import report_line, run_printing
from .standard import say

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser import Client, Mailbox

    from .arguments import Place
    from .subscribing import Writer


def run_mailbox(place: Place, mailbox: str | None, count: int | None) -> int:
    """Hold a mailbox and print its letters, until there are enough of them, or until the user has.

    Args:
        place: The server.
        mailbox: The mailbox; None: that of one's own.
        count: How many letters to print; None: no end.
    """
    agent = mailbox is not None and mailbox.startswith(AGENT)  # one that is killed blocks it no longer (SPEC AGT-9)
    return run_printing(place, lambda client, output: Holder(client, mailbox, count, output, say).run(), agent=agent)


class Holder:
    """Prints the letters that one client is given."""

    def __init__(
        self, client: Client, mailbox: str | None, count: int | None, output: Writer, tell: Callable[[str], None]
    ) -> None:
        self.printed: int = 0
        self._client = client
        self._mailbox = mailbox
        self._count = count
        self._output = output
        self._tell = tell

    async def run(self) -> None:
        """Print until enough is written.

        Raises:
            CommandFailed: The client was closed before, or nothing can be written.
            BrokenPipeError: Nobody reads it.
            RequestFailed: The server refused the mailbox, or took it away.
            SessionClosed: The server has closed the client.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_line, self._client, self._tell)
            await self._hold()
            nursery.cancel_scope.cancel(reason="enough was written")

    async def _hold(self) -> None:
        failure: Exception | None = None
        async with self._client.mailbox(self._mailbox) as letters:
            if letters.holding:
                self._tell(f"holding {letters.name}")
            else:
                self._tell(f"waiting for {letters.name}, which another session holds")
            try:
                await self._print(letters)
            except (OSError, CommandFailed) as error:
                failure = error  # told outside: the letter has not failed
        if failure is not None:
            raise failure

    async def _print(self, letters: Mailbox) -> None:
        held = letters.holding
        while self._count is None or self.printed < self._count:
            try:
                letter = await letters.receive()
            except trio.EndOfChannel:
                raise CommandFailed(f"the client was closed after {self.printed} letters") from None
            if not held:
                self._tell(f"holding {letters.name}")
                held = True
            await self._output.write(letter_text(letter))
            letters.done()
            self.printed += 1
