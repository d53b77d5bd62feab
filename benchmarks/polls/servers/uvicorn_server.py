"""uvicorn on uvloop; the argument names its parser: h11 or httptools."""

from __future__ import annotations

import socket
import sys

import uvicorn
import uvloop

from benchmarks.peers.servers import HOST, listening

from .application import application


async def main(parser: str) -> None:
    """Serve until killed."""
    assert parser in ("h11", "httptools")
    listener = socket.create_server((HOST, 0), backlog=4_096)
    config = uvicorn.Config(
        application,  # pyright: ignore[reportArgumentType]  # the messages are plain mappings here
        http="h11" if parser == "h11" else "httptools",
        log_level="error",
        access_log=False,
        lifespan="off",
    )
    listening(listener.getsockname()[1])
    await uvicorn.Server(config).serve([listener])


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1]))
