"""A small program with a store, to be killed: stores numbers under their keys, and says what was acknowledged.

``python -m tests.faults.storing FILE SYNCHRONOUS WHAT``; for each number that it reads a process publishes from that
number on, or posts them as letters if WHAT is ``letters``, until it is killed. Of each it says ``process PID``,
``opening``, for each acknowledgement a line with number, channel or mailbox, epoch and offset, and ``gone``. Letters
are taken out, too: before each is removed it says ``removing`` and its number, and ``removed`` when it is.
"""

from __future__ import annotations

import os
import sys
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Literal

import trio

from hawser.brokers import Keeping, News, Posting, Retention
from hawser.brokers.sqlite import SqliteBroker

if TYPE_CHECKING:
    from collections.abc import Iterator

CHANNELS = 3
PUBLISHERS = 4
ALL = Retention(messages=10**6)
EVERY = Keeping(letters=10**6)


def channel_of(number: int) -> str:
    """Where a number is published."""
    return f"c{number % CHANNELS}"


async def publish_on(broker: SqliteBroker, numbers: Iterator[int]) -> None:
    """Publish number after number for ever."""
    for number in numbers:
        text = b"%d" % number
        position = (await broker.publish(channel_of(number), text, retention=ALL, key=text)).position
        os.write(1, f"{number} {channel_of(number)} {position.epoch.hex()} {position.offset}\n".encode())


def mailbox_of(number: int) -> str:
    """Where a number is posted."""
    return f"user:{number % CHANNELS}"


async def post_on(broker: SqliteBroker, numbers: Iterator[int]) -> None:
    """Post number after number for ever."""
    for number in numbers:
        text = b"%d" % number
        posting = Posting(mailbox_of(number), text, EVERY, key=text)
        position = (await broker.mailboxes.post(posting)).position
        os.write(1, f"{number} {mailbox_of(number)} {position.epoch.hex()} {position.offset}\n".encode())


async def take_on(broker: SqliteBroker, mailbox: str) -> None:
    """Take letters of one mailbox for ever, but leave every third one where it is."""
    arrival, after = trio.Event(), 0

    def told(_mailbox: str, _news: News) -> None:
        arrival.set()

    assert await broker.mailboxes.hold(mailbox, told)
    while True:
        for letter in await broker.mailboxes.read(mailbox, after, limit=8, limit_bytes=10**6):
            after = letter.position.offset
            if after % 3:
                os.write(1, f"removing {int(letter.data)}\n".encode())
                assert await broker.mailboxes.remove(mailbox, told, [letter.position])
                os.write(1, f"removed {int(letter.data)}\n".encode())
        await arrival.wait()
        arrival = trio.Event()


async def publish_all(path: str, synchronous: Literal["normal", "full"], first: int, *, letters: bool) -> None:
    os.write(1, b"opening\n")
    numbers = count(first)
    async with trio.open_nursery() as nursery:
        broker = SqliteBroker(path, synchronous=synchronous)
        await nursery.start(broker.run)
        for _ in range(PUBLISHERS):
            nursery.start_soon(post_on if letters else publish_on, broker, numbers)
        for number in range(CHANNELS if letters else 0):
            nursery.start_soon(take_on, broker, mailbox_of(number))


def main(path: str, synchronous: str, what: str) -> None:
    """Fork for each number, as importing takes a hundred times longer than what is to be killed."""
    for line in sys.stdin:
        pid = os.fork()
        if not pid:
            store = partial(publish_all, letters=what == "letters")
            trio.run(store, path, "full" if synchronous == "full" else "normal", int(line))
        os.write(1, b"process %d\n" % pid)
        os.waitpid(pid, 0)
        os.write(1, b"gone\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
