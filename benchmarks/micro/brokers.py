"""What a publication costs that a broker takes: in memory, and committed to a file.

All CPU of the process counts, so that of the thread that writes, too; waiting for the disk does not. One at a time each
publication is a commit of its own; many at a time share some.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from hawser.brokers import Broker, MemoryBroker, Retention
from hawser.brokers.sqlite import SqliteBroker

from .measure import Case, Plan, Round, Timed

__all__ = ["CASES"]

DATA = bytes(256)
KEEP = Retention(messages=1_000)
PUBLICATIONS_MAX = 2_000
"""In one round, in which the file is made and closed, too."""


def _memory(_folder: Path) -> Broker:
    return MemoryBroker()


def _sqlite(folder: Path) -> Broker:
    return SqliteBroker(folder / "store.db")


async def _publish(make: Callable[[Path], Broker], folder: Path, publishers: int, each: int) -> None:
    async def publish(publisher: int) -> None:
        for number in range(each):
            await broker.publish("room", DATA, retention=KEEP, key=b"%d:%d" % (publisher, number))

    broker = make(folder)
    async with trio.open_nursery() as nursery:
        await nursery.start(broker.run)
        async with trio.open_nursery() as publishing:
            for publisher in range(publishers):
                publishing.start_soon(publish, publisher)
        nursery.cancel_scope.cancel()


def _start(make: Callable[[Path], Broker], publishers: int, plan: Plan) -> Round:
    each = max(1, min(plan.loops, PUBLICATIONS_MAX) // publishers)

    def run() -> int:
        with TemporaryDirectory() as folder:
            trio.run(_publish, make, Path(folder), publishers, each)
        return each * publishers

    return Round(run)


CASES: list[Case] = [
    Timed(f"publish: {name}, {publishers} at a time", "publication", partial(_start, make, publishers))
    for publishers in (1, 64)
    for name, make in (("memory", _memory), ("SQLite", _sqlite))
]
