"""A task board: whoever looks sees how each task stands now, however it came there.

The channel keeps the latest by key, so it is the board itself: who joins begins with all of it, and who was away gets
only what still holds. Where somebody points is volatile: it is for those who look right now.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser import App, connect, serve
from hawser.testing import FaultyNetwork

if TYPE_CHECKING:
    from hawser import Client, Subscription

URL = "memory://board"
BOARD = "board:yard"
TASKS = ("mend the sail", "splice the rope", "paint the hull")

app = App()
app.channel("board:*", history=1_000, overflow="keep-latest", last_value=True, volatile=True, open=True)


async def work(client: Client) -> None:
    """Move every task along, step by step, and finish the first."""
    for step in ("begun", "half done", "nearly done"):
        for task in TASKS:
            await client.publish(BOARD, step, latest_key=task)
    await client.publish(BOARD, "done", latest_key=TASKS[0])


async def look(who: str, board: Subscription, count: int) -> None:
    """Read so many messages, and show what the board is by then."""
    shown: dict[str, str] = {}
    for _ in range(count):
        message = await board.receive()
        if message.latest_key is None:
            print(f"{who} sees somebody point at {message.data}")
        else:
            shown[message.latest_key] = message.data
    print(f"{who} has read {count}:", ", ".join(f"{task} {state}" for task, state in sorted(shown.items())))


async def main() -> None:
    """Work on the board before one who looks, one who is away meanwhile, and one who comes late."""
    async with (
        FaultyNetwork() as network,
        trio.open_nursery() as nursery,
    ):
        await nursery.start(serve, app, URL)
        async with connect(URL) as worker, connect(URL) as ada, connect(URL, transport=network) as ben:
            async with ada.subscribe(BOARD) as hers, ben.subscribe(BOARD) as his:
                network.refuse()
                await network.cut()
                await worker.publish(BOARD, "the hull", volatile=True)
                await work(worker)
                await look("Ada", hers, 11)
                network.refuse(False)
                await look("Ben", his, 3)
            async with ada.subscribe(BOARD) as again:
                await look("who joins", again, 3)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main)
