"""Clients that all come at the same moment and stay: a program for tests.

    python -m tests.faults.herd URL CLIENTS

It says ``ready``, begins when a line comes, says ``in SECONDS`` for each client that has a session, and ends when its
input does.
"""

from __future__ import annotations

import os
import sys
import time
from functools import partial

import trio

from hawser import Config, connect, states
from hawser_transports import ListenerSettings, WebSocketTransport

PATIENT = Config(handshake_seconds=60, resume_period_seconds=200)
"""Thousands of clients in one process are slow, and would give up for that alone."""


async def main(url: str, clients: int) -> None:
    """Wait for the word, bring everybody in, and wait for the end."""
    os.nice(5)  # clients are elsewhere: thousands of them on its own processors would leave the server none
    print("ready", flush=True)
    await trio.to_thread.run_sync(sys.stdin.readline)
    transport = WebSocketTransport(settings=ListenerSettings(handshake_seconds=PATIENT.handshake_seconds))
    began = time.monotonic()

    async def stay() -> None:
        async with connect(url, wait=False, transport=transport, config=PATIENT) as client:
            async for state in client.states:
                if isinstance(state, states.Connected):
                    break
            print(f"in {time.monotonic() - began:.3f}", flush=True)
            await trio.sleep_forever()

    async with trio.open_nursery() as nursery:
        for _ in range(clients):
            nursery.start_soon(stay)
        await trio.to_thread.run_sync(partial(sys.stdin.readline), abandon_on_cancel=True)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(main, sys.argv[1], int(sys.argv[2]))
