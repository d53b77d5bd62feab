"""A connection on which nothing is answered any more: a program for tests.

    python -m tests.faults.silence URL SECONDS

It says ``open``, waits for a line, writes what that holds, and says ``lost`` when the system has given up the
connection.
"""

from __future__ import annotations

import sys

import trio

from hawser_transports import WireSettings
from hawser_transports.dialing import dial
from hawser_transports.urls import parse_url


async def main(url: str, seconds: float) -> None:
    """Open the connection, and wait for its end."""
    wire = await dial(parse_url(url, ("http",)), None, WireSettings(unanswered_seconds=seconds))
    print("open", flush=True)
    words = await trio.to_thread.run_sync(sys.stdin.readline)
    wire.write(words.strip().encode())
    try:
        while await wire.receive():
            pass
        print("ended", flush=True)
    except trio.BrokenResourceError:
        print("lost", flush=True)


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]))
