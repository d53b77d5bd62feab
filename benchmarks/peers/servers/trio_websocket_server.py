"""trio-websocket: a task for each connection, which sends to each member of the room in turn."""

from __future__ import annotations

from functools import partial

import trio
from trio_websocket import ConnectionClosed, HandshakeError, WebSocketConnection, WebSocketRequest, serve_websocket

from . import ECHO, HOST, JOIN, listening

room: set[WebSocketConnection] = set()


async def serve(request: WebSocketRequest) -> None:
    """Look after one connection."""
    try:
        connection = await request.accept()
    except HandshakeError:
        return
    try:
        while True:
            message = await connection.get_message()
            assert isinstance(message, bytes)
            if message[0] == ECHO:
                await connection.send_message(message)
            elif message[0] == JOIN:
                room.add(connection)
                await connection.send_message(message)
            else:
                for member in list(room):
                    await member.send_message(message)
    except ConnectionClosed:
        pass
    finally:
        room.discard(connection)


async def main() -> None:
    """Serve until killed."""
    async with trio.open_nursery() as nursery:
        server = await nursery.start(partial(serve_websocket, serve, HOST, 0, ssl_context=None))
        listening(server.port)


if __name__ == "__main__":
    trio.run(main)
