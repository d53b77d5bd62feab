"""Hypercorn's Trio worker: the one other HTTP server that runs on Trio."""

# pyright: reportUnknownMemberType=false, reportUnknownVariableType=false
# (hypercorn leaves parts of its configuration without types)

from __future__ import annotations

import socket

import trio
from hypercorn.config import Config
from hypercorn.trio import serve

from benchmarks.peers.servers import HOST, listening

from .application import application


async def main() -> None:
    """Serve until killed."""
    listener = socket.create_server((HOST, 0), backlog=4_096)
    config = Config()
    config.bind = [f"fd://{listener.fileno()}"]
    config.accesslog = config.errorlog = None
    config.keep_alive_max_requests = 10**9
    listening(listener.getsockname()[1])
    await serve(application, config)  # type: ignore[arg-type]  # the messages are plain mappings here


if __name__ == "__main__":
    trio.run(main)
