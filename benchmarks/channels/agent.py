"""An agent that answers what it is asked, until it is killed: ``python -m benchmarks.channels.agent PORT``."""

from __future__ import annotations

import sys
from typing import Final

import trio

from hawser import connect

PROCEDURE: Final = "parrot.repeat"


async def repeat(data: bytes) -> bytes:
    """Come back."""
    await trio.lowlevel.checkpoint()
    return data


async def main(port: str) -> None:
    """Offer it until killed."""
    async with connect(f"ws://127.0.0.1:{port}") as client, client.offer(PROCEDURE.partition(".")[0], repeat):
        print(f"offering {PROCEDURE}", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
