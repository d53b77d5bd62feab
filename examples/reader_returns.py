"""A reader leaves, comes back with the position it had, and has missed nothing.

A session survives broken connections; this is what helps a program that survives less than that. It keeps the position
of the last message it has dealt with, wherever it keeps things, and subscribes again from there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser import App, connect, serve

if TYPE_CHECKING:
    from hawser import Position

URL = "memory://library"
CHANNEL = "book:hawsers"

app = App()
app.channel("book:*", history=1000, open=True)


async def read(lines: int, since: Position | None = None) -> Position | None:
    """Read so many lines after a position and return the new one."""
    async with connect(URL) as client, client.subscribe(CHANNEL, since=since) as messages:
        async for message in messages:
            print(message.offset, message.data)
            since = message.position
            lines -= 1
            if lines == 0:
                break
    return since


async def write(line: str, *more: str) -> Position:
    """Publish lines and return where the last of them stands."""
    async with connect(URL) as client:
        published = await client.publish(CHANNEL, line)
        for line in more:
            published = await client.publish(CHANNEL, line)
    return published.position


async def main() -> None:
    """Write, read, leave, write more, come back."""
    async with trio.open_nursery() as nursery:
        await nursery.start(serve, app, URL)
        first = await write("A hawser is a thick rope.")
        await write("It holds a ship", "while everything moves.")
        kept = await read(1, since=first)
        await write("Nobody noticed the storm.")
        await read(2, since=kept)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
