"""``hawser presence``: who is in a channel, and then who comes and goes, as JSON lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import trio

from hawser import PayloadError
from hawser.members import encode_info

from . import WRONG_USAGE, CommandFailed
from .jsontext import json_text, parse_json
from .running import report_line, run_printing
from .standard import say

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hawser import Client, Member, Presence

    from .arguments import Place
    from .subscribing import Writer


@attrs.frozen
class Watched:
    """What the user asked for."""

    channel: str
    info: Any
    """What to say of oneself; None: be no member."""
    count: int | None
    """How many lines to print; None: no end."""


def read_info(text: str | None) -> Any:
    """What stands behind ``--as``.

    Raises:
        CommandFailed: It is no JSON, or too long, or null.
    """
    if text is None:
        return None
    try:
        info = parse_json(text)
        encode_info(info)
    except ValueError as error:
        raise CommandFailed(f"--as {text}: {error}; a text is written '\"{text}\"'", WRONG_USAGE) from None
    except PayloadError as error:
        raise CommandFailed(f"--as: {error}", WRONG_USAGE) from None
    if info is None:
        raise CommandFailed("--as null: a member says something of itself; leave it out to watch only", WRONG_USAGE)
    return info


def run_presence(place: Place, watched: Watched) -> int:
    """Print who is there and what changes, until there are enough lines or the user has."""
    return run_printing(place, lambda client, output: Watcher(client, watched, output, say).run())


class Watcher:
    """Prints what one client sees of a channel's members."""

    def __init__(self, client: Client, watched: Watched, output: Writer, tell: Callable[[str], None]) -> None:
        self._client = client
        self._watched = watched
        self._output = output
        self._tell = tell
        self._written = 0

    async def run(self) -> None:
        """Print until enough is written, or the server ends it.

        Raises:
            RequestFailed: The server refused, or has ended it.
            SessionClosed: The server has closed the client.
        """
        async with trio.open_nursery() as nursery:
            nursery.start_soon(report_line, self._client, self._tell)
            async with self._client.presence(self._watched.channel, info=self._watched.info) as presence:
                await self._follow(presence)
            nursery.cancel_scope.cancel(reason="enough was written")

    async def _follow(self, presence: Presence) -> None:
        here = list(self._here(presence))  # changes are those from here on
        self._tell(f"watching {presence.channel}: {presence.total} there")
        for line in here:
            if await self._enough(line):
                return
        async for change in presence:
            member = change.member
            line = self._total(presence) if member is None else self._line(change.what, member)
            if await self._enough(line):
                return

    def _here(self, presence: Presence) -> Iterator[str]:
        if not presence.listed:
            yield self._total(presence)
        for member in presence.members:
            yield self._line("here", member)

    async def _enough(self, line: str) -> bool:
        """Write a line; whether that is all that was wanted."""
        await self._output.write(line)
        self._written += 1
        return self._written == self._watched.count

    def _line(self, what: str, member: Member) -> str:
        return json_text(
            {
                "channel": self._watched.channel,
                "what": what,
                "id": member.id,
                "user": member.user,
                "info": member.info,
            }
        )

    def _total(self, presence: Presence) -> str:
        return json_text({"channel": self._watched.channel, "what": "count", "total": presence.total})
