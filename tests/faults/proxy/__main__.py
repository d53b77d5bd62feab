"""Run a proxy by hand: ``python -m tests.faults.proxy 8000 --seed 7 --kinds reset,truncate --after 0:20000``.

Prints ``listening on PORT``, then obeys lines of its input: ``reset``, ``truncate``, ``half-close`` and ``blackhole``
break every live connection, ``refuse`` and ``accept`` close and open the door, ``counts`` tells what has happened.
"""

from __future__ import annotations

import argparse
import sys

import trio

from tests.faults.proxy import Kind, Proxy, breaking, clear


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.proxy", description=__doc__)
    parser.add_argument("target", type=int, help="the port of loopback behind it")
    parser.add_argument("--port", type=int, default=0, help="where it listens; 0: any")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--kinds", default="", help=f"how connections break: some of {', '.join(k.value for k in Kind)}"
    )
    parser.add_argument("--after", default="0:20000", help="bytes before they do, LEAST:MOST")
    parser.add_argument("--chance", type=float, default=1.0, help="how many of them break")
    parser.add_argument("--latency", default="0:0", help="seconds that a piece waits, LEAST:MOST")
    parser.add_argument("--rate", type=int, default=None, help="bytes per second, each way")
    return parser.parse_args()


def _proxy(given: argparse.Namespace) -> Proxy:
    kinds = [Kind(name) for name in given.kinds.split(",") if name]
    least, most = (int(part) for part in given.after.split(":"))
    quick, slow = (float(part) for part in given.latency.split(":"))
    plan = breaking(
        kinds or list(Kind),
        after=(least, most),
        chance=given.chance if kinds else 0.0,
        latency=(quick, slow),
        rate=given.rate,
    )
    return Proxy(given.target, plan=plan if kinds or slow or given.rate else clear, seed=given.seed, port=given.port)


async def _obey(proxy: Proxy) -> None:
    while line := await trio.to_thread.run_sync(sys.stdin.readline, abandon_on_cancel=True):
        match line.strip():
            case "refuse":
                proxy.refuse()
            case "accept":
                proxy.accept()
            case "counts":
                print(f"{proxy.accepted} accepted, {len(proxy.live)} live, {len(proxy.broken)} broken", flush=True)
            case word if word in {kind.value for kind in Kind}:
                print(f"{proxy.strike(Kind(word))} struck", flush=True)
            case word:
                print(f"unknown: {word}", file=sys.stderr, flush=True)


async def _main() -> None:
    proxy = _proxy(_arguments())
    async with trio.open_nursery() as nursery:
        await nursery.start(proxy.run)
        print(f"listening on {proxy.port}", flush=True)
        await _obey(proxy)
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    trio.run(_main)
