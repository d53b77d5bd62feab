"""``hawser sub``: the messages of channels as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import attrs
import trio

from hawser import Gap
from hawser_engine.channels.segments import is_pattern

from . import CommandFailed
from .jsontext import message_text
from .running import report_line, run_printing
from .standard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser import Client, Position

    from .arguments import Place, Since


class Writer(Protocol):
    """Where lines go."""

    async def write(self, line: str) -> None:
        """Take a line; raises BrokenPipeError when nobody reads it."""


@attrs.frozen
class Wanted:
    """What the user asked for."""

    channels: Sequence[str]
    since: Since | None
    """After which place each channel begins; None: with what is published from now on."""
    count: int | None
    """How many messages to print in all; None: no end."""


def run_sub(place: Place, wanted: Wanted) -> int:
    """Print messages until there are enough of them, or until the user has."""
    return run_printing(place, lambda client, output: Printer(client, wanted, output, say).run())


class Printer:
    """Prints what one client receives."""

    def __init__(self, client: Client, wanted: Wanted, output: Writer, tell: Callable[[str], None]) -> None:
        self._client = client
        self._wanted = wanted
        self._output = output
        self._tell = tell
        self._taken = 0
        self._written = 0
        self._enough = trio.Event()

    async def run(self) -> None:
        """Print until enough is written or all subscriptions are over.

        Raises:
            CommandFailed: They were over before enough was written.
            RequestFailed: The server refused a channel, or ended a subscription to it.
            SessionClosed: The server has closed the client.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_line, self._client, self._tell)
            nursery.start_soon(self._follow_all, nursery.cancel_scope)
            await self._enough.wait()
            nursery.cancel_scope.cancel(reason="enough was written")
        if self._wanted.count is not None and self._written < self._wanted.count:
            raise CommandFailed(f"the server ended the subscription after {self._written} of {self._wanted.count}")

    async def _follow_all(self, scope: trio.CancelScope) -> None:
        async with trio.open_nursery() as nursery:
            for channel in self._wanted.channels:
                nursery.start_soon(self._follow, channel)
        scope.cancel(reason="all subscriptions are over")

    async def _follow(self, channel: str) -> None:
        async with self._client.subscribe(channel, since=await self._position(channel)) as messages:
            self._tell(f"subscribed {channel}")
            while True:
                try:
                    message = await messages.receive()
                except trio.EndOfChannel:
                    return
                except Gap as gap:
                    self._tell(f"gap {channel}: {gap}")
                    continue
                if self._taken == self._wanted.count:
                    return
                self._taken += 1
                await self._output.write(message_text(message))
                self._written += 1
                if self._written == self._wanted.count:
                    self._enough.set()

    async def _position(self, channel: str) -> Position | None:
        since = self._wanted.since
        if since is None:
            return None
        if is_pattern(channel):
            raise CommandFailed(f"{channel!r} is a pattern, which is live: there is no --since for it")
        if since.epoch is not None:
            return since.position(since.epoch)
        # An offset alone means the present epoch; whoever joins is told which one that is.
        async with self._client.subscribe(channel) as present:
            assert present.position is not None
            return since.position(present.position.epoch)
