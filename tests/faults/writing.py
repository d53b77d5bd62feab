"""An agent in a process of its own, which streams until it has done or is killed: a program for tests.

    python -m tests.faults.writing URL SECONDS [WORKER]

It offers ``writer.write``, says ``offering``, and ``writing`` when it is called. Its session lives so many seconds
without a link.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import trio

from hawser import Config, connect

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator


async def write(count: int) -> AsyncGenerator[int]:
    """Count, as fast as the caller takes it."""
    print("writing", flush=True)
    for number in range(count):
        yield number


async def main(url: str, seconds: float, worker: str | None) -> None:
    """Offer it until killed."""
    config = Config(session_seconds=seconds, connect_seconds=60, backoff_base_seconds=0.1, backoff_cap_seconds=1)
    async with connect(url, config=config) as client, client.offer("writer", write, worker=worker) as offering:
        print("offering", flush=True)
        await offering.wait()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], float(sys.argv[2]), sys.argv[3] if sys.argv[3:] else None)
