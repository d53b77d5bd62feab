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
    name = PROCEDURE.partition(".")[0]
    async with connect(f"ws://127.0.0.1:{port}", agent=True) as client, client.offer(name, repeat):
        print(f"offering {PROCEDURE}", flush=True)
        await trio.sleep_forever()


if __name__ == "__main__":
    trio.run(main, sys.argv[1])
