"""Run a link by hand: ``python -m tests.faults.emulator --loss 0.1 --delay 0.05`` (Linux, root).

Prints how to run programs on either host, and carries packets until its input ends.
"""

from __future__ import annotations

import argparse
import shlex
import sys

import attrs
import trio

from tests.faults.emulator import Conditions, Emulator, Policy, missing


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.faults.emulator", description=__doc__)
    for each in attrs.fields(Conditions):
        parser.add_argument(f"--{each.name.replace('_', '-')}", type=float, default=each.default)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


async def _main(given: argparse.Namespace) -> None:
    conditions = Conditions(**{each.name: getattr(given, each.name) for each in attrs.fields(Conditions)})
    async with Emulator.open() as emulator:
        emulator.become(Policy(conditions, given.seed))
        print(f"near, for clients: {shlex.join(emulator.near.command())} COMMAND", flush=True)
        print(f"far, at {emulator.address}: {shlex.join(emulator.far.command())} COMMAND", flush=True)
        await trio.to_thread.run_sync(sys.stdin.read, abandon_on_cancel=True)
        for direction, counts in emulator.policy.counts.items():
            print(f"{direction.value}: {counts.packets} packets, {counts.bytes} bytes, {counts.dropped} dropped")


if __name__ == "__main__":
    arguments = _arguments()
    if lack := missing():
        sys.exit(f"missing: {lack}")
    trio.run(_main, arguments)
