"""python-socketio on uvicorn with uvloop and httptools: events, acknowledged, and a room of its own."""

# pyright: reportUnknownMemberType=false
# (python-socketio has no types)

from __future__ import annotations

import asyncio
import socket

import socketio
import uvicorn
import uvloop

from . import HOST, listening

ROOM = "room"
NO_PING_SECONDS = 600

server = socketio.AsyncServer(async_mode="asgi", ping_interval=NO_PING_SECONDS, http_compression=False)


async def join(sid: str, text: str) -> str:
    """Enter the room."""
    await server.enter_room(sid, ROOM)
    return text


async def echo(_sid: str, text: str) -> str:
    """Come back as an acknowledgement, which is how Socket.IO answers."""
    await asyncio.sleep(0)
    return text


async def publish(_sid: str, text: str) -> None:
    """Go to everybody in the room."""
    await server.emit("message", text, room=ROOM)


async def main() -> None:
    """Serve until killed."""
    for handler in (join, echo, publish):
        server.on(handler.__name__, handler)
    listener = socket.create_server((HOST, 0), backlog=4_096)
    config = uvicorn.Config(
        socketio.ASGIApp(server),
        http="httptools",
        ws="websockets-sansio",
        ws_per_message_deflate=False,
        ws_ping_interval=None,
        log_level="error",
        access_log=False,
        lifespan="off",
    )
    listening(listener.getsockname()[1])  # the kernel keeps whoever comes before it is ready
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(main())
