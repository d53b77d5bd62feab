"""websockets on asyncio with uvloop; its `broadcast` frames once for everybody and waits for nobody."""

from __future__ import annotations

import asyncio

import uvloop
from websockets.asyncio.server import ServerConnection, broadcast, serve
from websockets.exceptions import ConnectionClosed

from . import ECHO, HOST, JOIN, listening

room: set[ServerConnection] = set()


async def look_after(connection: ServerConnection) -> None:
    """Look after one connection."""
    try:
        async for message in connection:
            assert isinstance(message, bytes)
            if message[0] == ECHO:
                await connection.send(message)
            elif message[0] == JOIN:
                room.add(connection)
                await connection.send(message)
            else:
                broadcast(room, message)
    except ConnectionClosed:
        pass
    finally:
        room.discard(connection)


async def main() -> None:
    """Serve until killed."""
    async with serve(look_after, HOST, 0, compression=None, ping_interval=None, backlog=4_096) as server:
        listening(next(iter(server.sockets)).getsockname()[1])
        await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(main())
