"""The command: ``python -m benchmarks.channels.callers KIND PORT …``: one client that calls again and again.

Each is the client library that a program would use, over one connection that is kept. Prints the outcome as JSON.
"""

# pyright: reportUnknownMemberType=false
# (python-socketio has no types)

from __future__ import annotations

import argparse
import json
import sys
import time
from http.client import HTTPConnection
from typing import TYPE_CHECKING, Final

import trio

from benchmarks.peers.generator import SIZE
from hawser import connect
from hawser.cli.bench.meter import Latencies, process_cpu_seconds

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

WARM_UP: Final = 200
HOST: Final = "127.0.0.1"
DATA: Final = b"-" * SIZE


class Turns:
    """Measures calls one after the other.

    Args:
        seconds: How long.
        processes: Whose CPU time is measured, beside this one's.
    """

    def __init__(self, seconds: float, processes: dict[str, int]) -> None:
        self._seconds = seconds
        self._processes = processes
        self._latencies = Latencies()

    async def run(self, call: Callable[[], Awaitable[object]]) -> dict[str, float]:
        """Call as long as there is time.

        Args:
            call: Returns when the answer is there.
        """
        for _ in range(min(WARM_UP, int(self._seconds * WARM_UP))):
            await call()
        before = self._spent()
        until = time.perf_counter() + self._seconds
        while (began := time.perf_counter()) < until:
            await call()
            self._latencies.add(time.perf_counter() - began)
        after = self._spent()
        found = {name: (after[name] - before[name]) * 1e6 / self._latencies.count for name in after}
        quantiles = {"p50_ms": self._latencies.quantile(0.5) * 1_000, "p99_ms": self._latencies.quantile(0.99) * 1_000}
        return {"count": self._latencies.count, **found, **quantiles}

    def _spent(self) -> dict[str, float]:
        spent = {f"{name}_cpu_us": process_cpu_seconds(pid) for name, pid in self._processes.items()}
        return {**spent, "client_cpu_us": time.process_time()}


async def call_hawser(port: int, procedure: str, turns: Turns) -> dict[str, float]:
    """The client of this package, over WebSocket."""
    async with connect(f"ws://{HOST}:{port}") as client:
        return await turns.run(lambda: client.call(procedure, DATA))


async def call_socketio(port: int, turns: Turns) -> dict[str, float]:
    """The asynchronous client of python-socketio, over WebSocket from the start: its ``call``."""
    import socketio  # needs aiohttp, which only this does

    text = DATA.decode()
    client = socketio.AsyncClient(reconnection=False)

    async def call() -> None:
        await client.call("echo", text)

    await client.connect(f"http://{HOST}:{port}", transports=["websocket"])
    try:
        return await turns.run(call)
    finally:
        await client.disconnect()


async def call_http(port: int, turns: Turns) -> dict[str, float]:
    """A POST with the standard library's client, which has one connection and no loop to wait in."""
    connection = HTTPConnection(HOST, port)

    async def call() -> None:
        connection.request("POST", "/", DATA)
        assert connection.getresponse().read() == DATA

    return await turns.run(call)


def main(arguments: Sequence[str] | None = None) -> int:
    """Call; 0, or 1 if the server did not play along."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.channels.callers", description=__doc__)
    parser.add_argument("kind", choices=("hawser", "socketio", "http"), help="what the server speaks")
    parser.add_argument("port", type=int, help="where it listens, on 127.0.0.1")
    parser.add_argument("--procedure", default="echo", help="hawser: what is called (echo)")
    parser.add_argument("--server-pid", type=int, required=True, help="its process, whose CPU time is measured")
    parser.add_argument("--agent-pid", type=int, help="that of the agent that answers")
    parser.add_argument("--seconds", type=float, default=2.0, help="how long (2)")
    options = parser.parse_args(arguments)
    processes = {"server": options.server_pid}
    if options.agent_pid is not None:
        processes["agent"] = options.agent_pid
    turns = Turns(options.seconds, processes)
    if options.kind == "hawser":
        found = trio.run(call_hawser, options.port, options.procedure, turns)
    elif options.kind == "http":
        found = trio.run(call_http, options.port, turns)
    else:
        import uvloop

        found = uvloop.run(call_socketio(options.port, turns))
    print(json.dumps(found), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
