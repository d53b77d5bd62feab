"""A chat that shows who is there: people come, go to lunch, lose their link for a moment, and go home.

Whoever is back within the grace was never away: nobody else hears of it. The whole runs in virtual time, so it ends at
once; take `run_seeded` away and it takes as long as it says.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from hawser import App, Client, Presence, Principal, connect, serve
from hawser.testing import FaultyNetwork, run_seeded

if TYPE_CHECKING:
    from collections.abc import Mapping

URL = "memory://chat"
ROOM = "room:lobby"

app = App()
app.channel("room:*", history=100, presence=True, open=True)


@app.authenticate
async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
    """Believe everybody's name, as a chat among friends may."""
    return Principal(credentials["token"])


async def show(presence: Presence) -> None:
    """Print who comes, goes or says something else of itself."""
    async for change in presence:
        who = change.member
        if who is not None:
            text = {"join": "comes", "update": f"is {who.info}", "leave": "goes"}[change.what]
            print(f"  * {who.user} {text}; here are {', '.join(sorted(one.user for one in presence.members))}")


async def listen(client: Client) -> None:
    """Print what is said."""
    async with client.subscribe(ROOM) as messages:
        async for message in messages:
            print(f"  {message.data['who']}: {message.data['text']}")


async def ada(*, task_status: trio.TaskStatus[None]) -> None:
    """Watch the room from the beginning, and print what happens there."""
    async with connect(URL, token="ada") as client, client.presence(ROOM, info="here") as presence:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(show, presence)
            nursery.start_soon(listen, client)
            await trio.sleep(1)
            task_status.started()


async def bob(network: FaultyNetwork) -> None:
    """Come, say something, lose the link for a moment, and go."""
    async with connect(URL, token="bob", transport=network) as client:
        async with client.presence(ROOM, info="here", watch=False) as presence:
            await trio.sleep(2)
            await client.publish(ROOM, {"who": "bob", "text": "hello"})
            await trio.sleep(2)
            await presence.update("at lunch")
            await trio.sleep(2)
            print("-- bob's link is cut --")
            await network.cut()
            await trio.sleep(20)
            await client.publish(ROOM, {"who": "bob", "text": "did you notice?"})
            await trio.sleep(2)
        await trio.sleep(2)


async def eve(network: FaultyNetwork) -> None:
    """Come, and be gone without a word: the grace is over after ten seconds."""
    with trio.CancelScope() as life:
        async with connect(URL, token="eve", transport=network) as client, client.presence(ROOM, info="here"):
            await trio.sleep(2)
            print("-- eve's machine dies --")
            network.refuse()
            await network.cut()
            life.cancel()
            await trio.sleep_forever()
    await trio.sleep(20)


async def main() -> None:
    """Let everybody come and go, one after the other."""
    async with FaultyNetwork() as bobs, FaultyNetwork() as eves, trio.open_nursery() as nursery:
        await nursery.start(serve, app, URL)
        await nursery.start(ada)
        await bob(bobs)
        await eve(eves)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    run_seeded(main, seed=1)
