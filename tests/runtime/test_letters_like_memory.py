"""Letters in a store beside letters in memory: asked the same they answer the same, however often it is ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from hawser.brokers import DeadLetters, Keeping, MailboxFull, MemoryBroker, News, Posting, Retention
from hawser.brokers.sqlite import SqliteBroker
from tests.runtime.test_stores_like_memory import QUICK, End, Wait

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser.brokers import Broker, Letter

pytestmark = pytest.mark.slow

ALL = Retention(messages=1_000)
KEEP = Keeping(letters=4, bytes=50, tries=2, dead=DeadLetters("dead", ALL))


@attrs.frozen
class Post:
    """A letter."""

    mailbox: str
    size: int
    key: bytes | None
    seconds: float


@attrs.frozen
class Settle:
    """Some of the letters of a mailbox are dealt with, or have failed."""

    mailbox: str
    places: list[int]
    failed: bool


@attrs.frozen
class Bury:
    """Take out what is out of date, but for the first letters."""

    mailbox: str
    sparing: int


Step: TypeAlias = Post | Settle | Bury | Wait | End

mailboxes = st.sampled_from(["user:a", "agent:b"])
steps = st.one_of(
    st.builds(
        Post, mailboxes, st.sampled_from([10, 0, 30, 60]), st.sampled_from([None, b"k"]), st.sampled_from([20, 1e300])
    ),
    st.builds(Settle, mailboxes, st.lists(st.integers(0, 4), max_size=3), st.booleans()),
    st.builds(Bury, mailboxes, st.integers(0, 1)),
    st.builds(Wait, st.sampled_from([0.5, 15.0, 20.5, 301.0])),
    st.builds(End, st.booleans()),
)


def same_epoch(size: int) -> bytes:
    return bytes(size)


def deaf(_mailbox: str, _news: News) -> None:
    """Whoever holds all mailboxes."""


class Pair:
    """The two."""

    def __init__(self, folder: Path, nursery: trio.Nursery) -> None:
        self._folder = folder
        self._nursery = nursery
        self._model = MemoryBroker(random_bytes=same_epoch, clock=self._date)
        self._runs = 0

    def _date(self) -> float:
        return 1_700_000_000 + trio.current_time()

    async def open(self) -> None:
        self._store = SqliteBroker(self._folder / "store.db", random_bytes=same_epoch, clock=self._date)
        self._scope, self._closed = trio.CancelScope(), trio.Event()
        await self._nursery.start(self._run)
        for mailbox in ("user:a", "agent:b"):
            assert await self._store.mailboxes.hold(mailbox, deaf)
            assert await self._model.mailboxes.hold(mailbox, deaf)

    async def _run(self, *, task_status: trio.TaskStatus[None]) -> None:
        with self._scope:
            await self._store.run(task_status=task_status)
        self._closed.set()

    async def close(self) -> None:
        self._scope.cancel()
        await self._closed.wait()

    async def both(self, ask: Callable[[Broker], Awaitable[object]]) -> None:
        assert await ask(self._store) == await ask(self._model)

    async def take(self, step: Step, clock: MockClock) -> None:
        match step:
            case Post(mailbox, size, key, seconds):
                await self.both(lambda broker: post(broker, Posting(mailbox, bytes(size), KEEP, "bob", key, seconds)))
            case Settle(mailbox, places, failed):
                await self.both(lambda broker: settle(broker, mailbox, places, failed=failed))
            case Bury(mailbox, sparing):
                await self.both(lambda broker: bury(broker, mailbox, sparing))
            case Wait(seconds):
                clock.jump(seconds)
            case End(killed):
                await self._end(killed=killed)
        await self.both(everything)

    async def _end(self, *, killed: bool) -> None:
        self._runs += 1
        before, self._folder = self._folder, self._folder.parent / f"{self._runs}"
        self._folder.mkdir()
        if not killed:
            await self.close()
        for file in before.iterdir():
            if not file.name.endswith("-shm"):
                shutil.copy(file, self._folder)
        if killed:
            await self.close()
        await self.open()


async def post(broker: Broker, posting: Posting) -> Any:
    try:
        return await broker.mailboxes.post(posting)
    except MailboxFull as error:
        return str(error)


async def letters(broker: Broker, mailbox: str) -> tuple[Letter, ...]:
    return await broker.mailboxes.read(mailbox, 0, limit=100, limit_bytes=10**6)


async def settle(broker: Broker, mailbox: str, places: list[int], *, failed: bool) -> int | None:
    found = await letters(broker, mailbox)
    positions = [found[place].position for place in dict.fromkeys(places) if place < len(found)]
    store = broker.mailboxes
    if failed:
        return await store.fail(mailbox, deaf, positions, KEEP)
    return await store.remove(mailbox, deaf, positions)


async def bury(broker: Broker, mailbox: str, sparing: int) -> int:
    first = [letter.position for letter in await letters(broker, mailbox)][:sparing]
    return await broker.mailboxes.bury(mailbox, KEEP, first)


async def everything(broker: Broker) -> Any:
    page = await broker.history("dead", 0, limit=1_000, limit_bytes=10**6)
    found = [(await letters(broker, box), await broker.mailboxes.known(box, b"k")) for box in ("user:a", "agent:b")]
    return found, [entry.data for entry in page.entries], sorted(await broker.mailboxes.overdue())


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
def test_a_store_keeps_letters_as_memory_does(taken: list[Step]) -> None:
    clock = MockClock()
    trio.run(compare, taken, clock, clock=clock)
