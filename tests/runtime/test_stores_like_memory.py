"""A store beside a broker in memory: asked the same they answer the same, however often the store is ended."""

from __future__ import annotations

import os
import shutil
from itertools import count
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hawser.brokers import MemoryBroker, PositionMoved, Retention, Submission
from hawser.brokers.sqlite import SqliteBroker
from hawser_engine.messages import About

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hawser.brokers import Broker, Entry

pytestmark = pytest.mark.slow

AGES = {"a": inf, "b": 20.0, "c": inf, "d": 20.0}
"""Channels, and how old what they have may become."""
LATEST = "cd"
"""Those that keep the latest by key, as a rule."""

QUICK = "/dev/shm" if os.path.isdir("/dev/shm") else None
"""Where no disk has to be waited for, if there is such a place."""


def _submission(
    channel: str, size: int, messages: int, most: int, key: bytes | None, latest_key: str | None, otherwise: bool
) -> Submission:
    retention = Retention(messages, most, AGES[channel], (channel in LATEST) is not otherwise)
    about = None if latest_key is None else About(latest_key=latest_key)
    return Submission(channel, bytes(size), retention, key, about)


submissions = st.builds(
    _submission,
    st.sampled_from("abccdd"),
    st.sampled_from([10, 20, 0, 1, 21]),
    st.sampled_from([100, 100, 3, 1, 0]),
    st.sampled_from([10_000, 40, 20, 0]),
    st.sampled_from([None, b"k"]),
    st.sampled_from([None, "x", "y", "z"]),
    st.sampled_from([False] * 9 + [True]),
)


@attrs.frozen
class Publish:
    """Several at once, or one."""

    submissions: list[Submission]


@attrs.frozen
class Expect:
    """One, where the channel stands now, or so much before."""

    submission: Submission
    before: int


@attrs.frozen
class Pass:
    """Something volatile."""

    channel: str


@attrs.frozen
class Read:
    """A stretch of a channel's past."""

    channel: str
    after: int
    limit: int
    limit_bytes: int
    seconds: float


@attrs.frozen
class Join:
    """From now on to be told of a channel."""

    channel: str


@attrs.frozen
class Wait:
    """Let time pass."""

    seconds: float


@attrs.frozen
class End:
    """End the store, and open it again: in peace, or the files that ``kill -9`` would have left."""

    killed: bool


Step: TypeAlias = Publish | Expect | Pass | Read | Join | Wait | End

steps = st.one_of(
    st.builds(Publish, st.lists(submissions, min_size=1, max_size=4)),
    st.builds(
        Read,
        st.sampled_from("abcd"),
        st.integers(0, 6),
        st.sampled_from([100, 3, 1, 0]),
        st.sampled_from([10_000, 20, 0]),
        st.sampled_from([inf, inf, 5.0]),
    ),
    st.builds(Expect, submissions, st.sampled_from([0, 0, 1])),
    st.builds(Pass, st.sampled_from("ac")),
    st.builds(Join, st.sampled_from("abcd")),
    st.builds(Wait, st.sampled_from([0.5, 15.0, 20.5, 290.0, 301.0])),
    st.builds(End, st.booleans()),
)


def epochs() -> Callable[[int], bytes]:
    numbers = count(1)
    return lambda size: next(numbers).to_bytes(size, "big")


class Pair:
    """The two, and what they have reported."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self._epochs = epochs()
        self._model = MemoryBroker(random_bytes=epochs(), clock=self._date)
        self._runs = count(1)
        self._reports: tuple[list[Any], list[Any]] = ([], [])

    async def open(self) -> None:
        """Open the store, with nobody joined to either."""
        self._path = self._folder / "store.db"
        self._store = SqliteBroker(self._path, random_bytes=self._epochs, clock=self._date)
        self._scope = trio.CancelScope()
        self._closed = trio.Event()
        self._joined: dict[str, Callable[..., None]] = {}
        await self._nursery.start(self._run)
        report = self._store.report
        assert report is not None
        assert not report.lost

    async def _run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self._scope:
            await self._store.run(task_status=task_status)
        self._closed.set()

    async def close(self) -> None:
        """Close the store in peace."""
        self._scope.cancel()
        await self._closed.wait()

    def _date(self) -> float:
        return 1_700_000_000 + trio.current_time()

    async def both(self, ask: Callable[[Broker], Awaitable[object]]) -> None:
        assert await ask(self._store) == await ask(self._model)

    async def take(self, step: Step, clock: MockClock) -> None:
        match step:
            case Publish([one]):
                await self.both(
                    lambda broker: broker.publish(
                        one.channel, one.data, retention=one.retention, key=one.key, about=one.about
                    )
                )
            case Publish(several):
                await self.both(lambda broker: broker.publish_all(several))
            case Expect(one, before):
                await self.both(lambda broker: _expect(broker, one, before))
            case Pass(channel):
                await self.both(lambda broker: broker.publish_volatile(channel, b"fleeting"))
            case Read():
                await self.both(
                    lambda broker: broker.history(
                        step.channel, step.after, limit=step.limit, limit_bytes=step.limit_bytes, seconds=step.seconds
                    )
                )
            case Join(channel):
                await self._join(channel)
            case Wait(seconds):
                clock.jump(seconds)
            case End(killed):
                await self._end(killed=killed)
        assert self._flat(0) == self._flat(1)

    async def _join(self, channel: str) -> None:
        if channel not in self._joined:
            store, model = (self._sink(reports) for reports in self._reports)
            assert await self._store.join(channel, store) == await self._model.join(channel, model)
            self._joined[channel] = model

    def _sink(self, reports: list[Any]) -> Callable[[str, bytes, Sequence[Entry]], None]:
        return lambda channel, epoch, entries: reports.extend((channel, epoch, entry) for entry in entries)

    def _flat(self, which: int) -> list[Any]:
        """Reports, by channel: there is no order between two."""
        return sorted(self._reports[which], key=lambda report: report[0])

    async def _end(self, *, killed: bool) -> None:
        for channel, sink in self._joined.items():
            await self._model.leave(channel, sink)
        before, self._folder = self._folder, self._folder.parent / f"{next(self._runs)}"
        self._folder.mkdir()
        if not killed:
            await self.close()
        for file in before.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, self._folder)
        if killed:
            await self.close()
        await self.open()


async def _expect(broker: Broker, one: Submission, before: int) -> object:
    top = (await broker.history(one.channel, 0, limit=0, limit_bytes=0)).top
    expected = attrs.evolve(top, offset=max(0, top.offset - before))
    try:
        return await broker.publish(
            one.channel, one.data, retention=one.retention, key=one.key, about=one.about, expected=expected
        )
    except PositionMoved as moved:
        return moved.position


async def compare(taken: list[Step], clock: MockClock) -> None:
    with TemporaryDirectory(dir=QUICK) as folder:
        first = Path(folder) / "0"
        first.mkdir()
        async with trio.open_nursery() as nursery:
            pair = Pair(first, nursery)
            await pair.open()
            for step in taken:
                await pair.take(step, clock)
            await pair.close()


@given(st.lists(steps, min_size=5, max_size=30))
def test_a_store_answers_as_memory_does(taken: list[Step]) -> None:
    clock = MockClock()
    trio.run(compare, taken, clock, clock=clock)
