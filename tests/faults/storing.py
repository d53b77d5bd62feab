"""A small program with a store, to be killed: publishes numbers under their keys, and says what was acknowledged.

``python -m tests.faults.storing FILE SYNCHRONOUS``; for each number that it reads a process publishes from that number
on, until it is killed. Of each it says ``process PID``, ``opening``, for each acknowledgement a line with number,
channel, epoch and offset, and ``gone``.
"""

from __future__ import annotations

import os
import sys
from itertools import count
from typing import TYPE_CHECKING, Literal

import trio

from hawser.brokers import Retention
from hawser.brokers.sqlite import SqliteBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = 3
PUBLISHERS = 4
ALL = Retention(messages=10**6)


def channel_of(number: int) -> str:
    """Where a number is published."""
    return f"c{number % CHANNELS}"


async def publish_on(broker: SqliteBroker, numbers: Iterator[int]) -> None:
    """Publish number after number for ever."""
    for number in numbers:
        text = b"%d" % number
        position = (await broker.publish(channel_of(number), text, retention=ALL, key=text)).position
        os.write(1, f"{number} {channel_of(number)} {position.epoch.hex()} {position.offset}\n".encode())


async def publish_all(path: str, synchronous: Literal["normal", "full"], first: int) -> None:
    os.write(1, b"opening\n")
    numbers = count(first)
    async with trio.open_nursery() as nursery:
        broker = SqliteBroker(path, synchronous=synchronous)
        await nursery.start(broker.run)
        for _ in range(PUBLISHERS):
            nursery.start_soon(publish_on, broker, numbers)


def main(path: str, synchronous: str) -> None:
    """Fork for each number, as importing takes a hundred times longer than what is to be killed."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            trio.run(publish_all, path, "full" if synchronous == "full" else "normal", int(line))
        os.write(1, b"process %d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"gone\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
