"""The broker that keeps channels in one file.

Rule 1: whatever changes waits in one queue and is written in batches, each in one transaction; while one is written the
next gathers. An answer, and a report to those who have joined, follows its commit.
Rule 2: the event loop never touches the file. Heads and keys are in the `Book`; history is read in a thread.
"""

from __future__ import annotations

import logging
import secrets
import time
from functools import cached_property
from math import inf
from os import PathLike, fspath
from typing import TYPE_CHECKING, Final, TypeVar, TypeVarTuple, Unpack

import attrs
import trio

from hawser.amounts import check_amounts
from hawser.brokers.base import Broker, BrokerUnavailable, LossSink, Published, Sink, Submission
from hawser.brokers.keys import KEYS_MAX
from hawser.brokers.watching import Watchers
from hawser_engine.channels.entries import Entry, History, Retention

from .book import Asked, Book, Conditional, Opening
from .errors import StoreClosed, StoreDamaged, StoreError
from .file import StoreFile, Stretch
from .fortune import Fortune
from .keys import KEY_WINDOW_MS
from .mailboxes import SqliteMailboxes
from .queue import Waiting, WriteQueue
from .writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser.brokers.mailboxes import Letter
    from hawser_engine.messages import About, Position

    from .book import Change, Contents, Head
    from .file import Synchronous
    from .letters import Work

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

log: Final = logging.getLogger("hawser")

BYTES_MIN: Final = 65_536
"""A store has some tables before there is anything in them."""
AT_ONCE: Final = 64
"""Publications of one client that share a commit: of a longer row the first would wait for the last."""


@attrs.frozen
class StoreReport:
    """What was found when a store was opened."""

    path: str
    """Where it is."""
    channels: int
    """How many it has."""
    letters: int
    """How many wait in its mailboxes."""
    lost: bool
    """Whether it has lost commits since it was open last, so that its channels have new epochs."""


class _Clock:
    """What keys go by, in ms: wall time when a store is opened, and then the monotonic clock alone.

    So no step of the wall clock forgets a key early, nor does a start at which it is behind.
    """

    def __init__(self, contents: Contents, wall: float) -> None:
        last = max((row[5] for row in contents.keys), default=0) - KEY_WINDOW_MS
        self._begin = max(int(wall * 1_000), last)
        self._opened = trio.current_time()

    def now(self) -> int:
        return self._begin + int((trio.current_time() - self._opened) * 1_000)


class _Open:
    """What there is of a store while it is open."""

    def __init__(self, file: StoreFile, book: Book, wall: float) -> None:
        self.file = file
        self.book = book
        self.clock = _Clock(file.contents, wall)
        self.queue = WriteQueue()
        self._reading = trio.CapacityLimiter(1)
        self.fortune = Fortune(file.path)

    async def read(self, read: Callable[[Unpack[Ts]], T], *asked: *Ts) -> T:
        """Have something read from the file, one thing at a time.

        Args:
            read: What reads, in a thread.
            asked: What it is told.

        Raises:
            StoreError: It cannot be.
        """
        try:
            found = await trio.to_thread.run_sync(read, *asked, limiter=self._reading)
        except StoreError as error:
            self.fortune.tell("read", error)
            raise
        self.fortune.tell("read", None)
        return found

    async def close(self) -> None:
        """Close the file when nobody reads it any more."""
        async with self._reading:
            await trio.to_thread.run_sync(_close, self.file)


class SqliteBroker(Broker):
    """Keeps channels in a file of SQLite, so that a restarted server has them again.

    A publication is answered when it is committed: with ``synchronous="normal"`` it survives ``kill -9``, with
    ``"full"`` a power cut, too, for which each commit waits for the disk. Publications that are made at the same time
    share a commit. It opens the file when it is run, which a server does, and for itself alone.

    Args:
        path: The file; it is made if there is none. It has others beside it, whose names begin with its own. A URI is
            no path, nor is ``:memory:``.
        synchronous: What a commit survives. After a power cut that took some, all channels go on under new epochs.
        channels_max: Channels kept at once; beyond, the one unused for longest that nobody has joined makes room.
        keys_max: Idempotency keys kept at once, of publications and letters; beyond, the oldest of whoever has the most
            is forgotten before its time, and the log says so.
        mailboxes_max: Mailboxes kept at once; beyond, the one unused for longest that is empty makes room.
        bytes_max: How large the file may become, at least 65,536; None leaves that to the disk.
        random_bytes: Where epochs come from, and the names of nodes and of their leases.
        clock: Seconds since the beginning of 1970 (UTC): what publications are dated and become old by.

    Raises:
        ValueError: An argument is out of bounds, or the path is none.
    """

    at_once: int = AT_ONCE

    def __init__(
        self,
        path: str | PathLike[str],
        *,
        synchronous: Synchronous = "normal",
        channels_max: int = 100_000,
        keys_max: int = KEYS_MAX,
        mailboxes_max: int = 100_000,
        bytes_max: int | None = None,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if synchronous not in ("normal", "full"):
            raise ValueError(f"synchronous is {synchronous!r}; it must be 'normal' or 'full'")
        check_amounts(1, channels_max=channels_max, keys_max=keys_max, mailboxes_max=mailboxes_max)
        if bytes_max is not None:
            check_amounts(BYTES_MIN, bytes_max=bytes_max)
        self.synchronous: Synchronous = synchronous
        self.report: StoreReport | None = None
        """What was found when it was opened last; None before that."""
        self._path = _name_of_file(fspath(path))
        self._channels_max = channels_max
        self._keys_max = keys_max
        self._mailboxes_max = mailboxes_max
        self._bytes_max = bytes_max
        self._random_bytes = random_bytes
        self._clock = clock
        self._store: _Open | None = None
        self._keys_forgotten = 0  # while it was open earlier
        self._sinks: dict[str, tuple[Sink, ...]] = {}
        self._watchers = Watchers()

    @cached_property
    def mailboxes(self) -> SqliteMailboxes:
        """The letters that wait, in the same file."""
        return SqliteMailboxes(self)

    @property
    def keys_forgotten(self) -> int:
        """See `Broker.keys_forgotten`."""
        return self._keys_forgotten + (0 if self._store is None else self._store.book.keys.forgotten)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """See `Broker.run`.

        Raises:
            StoreError: The file cannot be used; the kind and the text say why.
        """
        file = await trio.to_thread.run_sync(
            StoreFile, self._path, self.synchronous, self._bytes_max, self._random_bytes
        )
        book = Book(
            file.contents,
            self._random_bytes,
            self._channels_max,
            self._keys_max,
            self._mailboxes_max,
            self.mailboxes.is_held,
        )
        store = _Open(file, book, self._clock())
        self.report = StoreReport(file.path, len(book), len(book.mail), file.lost)
        self._store = store
        try:
            writer = Writer(file.commit)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(writer.run)
                try:
                    task_status.started()
                    while True:
                        await self._write(store, writer, await store.queue.batch())
                finally:
                    writer.stop()
        finally:
            self._keys_forgotten = self.keys_forgotten
            self._store = None
            store.queue.close(self._closed())
            with trio.CancelScope(shield=True):
                await store.close()

    # ------------------------------------------------------------ the contract

    async def publish(
        self,
        channel: str,
        data: bytes,
        *,
        retention: Retention,
        key: bytes | None = None,
        about: About | None = None,
        expected: Position | None = None,
    ) -> Published:
        """See `Broker.publish`.

        Raises:
            StoreError: It is not published.
        """
        channel.encode()  # a name that is no text fails here, and not for everybody who shares the commit
        submission = Submission(channel, data, retention, key, about)
        asked = submission if expected is None else Conditional(submission, expected)
        published = await self.ask(asked, len(data))
        assert isinstance(published, Published)
        return published

    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        """See `Broker.publish_all`: they share a commit.

        Raises:
            StoreClosed: It does not run.
        """
        for one in submissions:
            one.channel.encode()
        return [*await self._opened().queue.publish(submissions)]

    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        """See `Broker.publish_volatile`: nothing is written, but for a channel that is new.

        Raises:
            StoreError: The channel is new, and cannot be written.
        """
        head = await self._head(channel)
        self._touch(self._opened(), channel)
        entry = Entry(head.top, data, self._date(), about, volatile=True)
        for sink in self._watchers.sinks(channel, self._sinks.get(channel, ())):
            sink(channel, head.epoch, (entry,))
        return head.position

    async def join(self, channel: str, sink: Sink) -> Position:
        """See `Broker.join`.

        Raises:
            StoreError: The channel is new, and cannot be written.
        """
        head = await self._head(channel)
        self._sinks[channel] = (*self._sinks.get(channel, ()), sink)
        self._opened().book.touch(channel, joined=True)
        return head.position

    async def leave(self, channel: str, sink: Sink) -> None:
        """See `Broker.leave`."""
        await trio.lowlevel.checkpoint()
        left = tuple(other for other in self._sinks.get(channel, ()) if other != sink)
        if left:
            self._sinks[channel] = left
        else:
            self._sinks.pop(channel, None)
        if self._store is not None:
            self._touch(self._store, channel)

    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        """See `Broker.watch`."""
        await trio.lowlevel.checkpoint()
        self._watchers.add(pattern, sink)

    async def unwatch(self, pattern: str, sink: Sink) -> None:
        """See `Broker.unwatch`."""
        await trio.lowlevel.checkpoint()
        self._watchers.remove(pattern, sink)

    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        """See `Broker.history`.

        Raises:
            StoreError: It cannot be read.
        """
        now = self._date()
        since = 0 if seconds * 1_000 >= now else now - int(seconds * 1_000)
        return await self._read(channel, after + 1, None, limit, limit_bytes, since=since)

    async def history_before(self, channel: str, before: int, *, limit: int, limit_bytes: int) -> History:
        """See `Broker.history_before`.

        Raises:
            StoreError: It cannot be read.
        """
        return await self._read(channel, 1, before - 1, limit, limit_bytes)

    async def _read(
        self, channel: str, lowest: int, highest: int | None, limit: int, limit_bytes: int, *, since: int = 0
    ) -> History:
        """Read from the lowest offset on, or from the highest back."""
        head = await self._head(channel)
        store, top = self._opened(), head.position
        self._touch(store, channel)
        if head.first > head.top:
            return History(top, head.top + 1, ())
        nothing = not limit or lowest > head.top or (highest is not None and highest < 1)
        if nothing and not head.low and head.age is None:
            return History(top, head.first, ())  # nothing of the file is needed to say so
        stretch = Stretch(
            head.kept(self._date()),
            top,
            min(lowest, top.offset + 1),  # the file holds no number of more than 63 bits
            top.offset if highest is None else min(highest, top.offset),
            since,
            min(limit, top.offset),
            limit_bytes,
            newest=highest is not None,
        )
        return await store.read(store.file.read, stretch)

    # ------------------------------------------------------------ below it

    def _date(self) -> int:
        return int(self._clock() * 1_000)

    def _opened(self) -> _Open:
        if self._store is None:
            raise self._closed()
        return self._store

    def _closed(self) -> StoreClosed:
        return StoreClosed(f"store {self._path}: it is not open; it is while a server serves its app")

    async def ask(self, asked: Asked, size: int) -> Published | Work | None:
        """Have something written; for this package alone, as are the next three.

        Args:
            asked: What.
            size: How many bytes of it count.
        """
        return await self._opened().queue.ask(asked, size)

    async def read_letters(self, mailbox: str, after: int, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        """Letters behind an offset, from the file, if there can be any.

        Args:
            mailbox: Whose.
            after: The offset.
            limit: At most so many.
            limit_bytes: Of so many bytes together; one is always taken.
        """
        store = self._opened()
        box = store.book.mail.box(mailbox)
        if box is None or not box.letters or box.top <= after:
            return ()
        return await store.read(store.file.read_letters, box.id, after, self._date(), limit, limit_bytes)

    def known_letter(self, mailbox: str, key: bytes) -> Position | None:
        """Which letter a key is remembered for, once it is committed.

        Args:
            mailbox: Where the key holds.
            key: The key.
        """
        store = self._opened()
        return store.book.keys.committed(mailbox.encode(), key, store.clock.now())

    def overdue(self) -> list[str]:
        """Mailboxes with letters that may have expired."""
        return self._opened().book.mail.overdue(self._date())

    async def _head(self, channel: str) -> Head:
        """The head of a channel, which is written first if it is new: its epoch is promised from now on."""
        head = self._opened().book.head(channel)
        if head is not None:
            await trio.lowlevel.checkpoint()
            head = self._opened().book.head(channel)
        while head is None:
            channel.encode()
            await self.ask(Opening(channel), 0)
            head = self._opened().book.head(channel)
        return head

    def _touch(self, store: _Open, channel: str) -> None:
        store.book.touch(channel, joined=channel in self._sinks)

    async def _write(self, store: _Open, writer: Writer, batch: list[Waiting]) -> None:
        """Write a batch; then answer and report it in one step, so that whoever joins is told all that follows."""
        change = store.book.plan([waiting.asked for waiting in batch], store.clock.now(), self._date())
        if not change.empty:
            try:
                await writer.write(change)
            except StoreError as error:
                store.book.revoke(change)
                store.fortune.tell("written", error)
                if isinstance(error, StoreDamaged) and len(batch) > 1:  # which is that of some of them
                    await self._write_singly(store, writer, batch)
                    return
                for waiting in batch:
                    waiting.answer(error)
                return
            except BaseException:
                store.book.revoke(change)
                for waiting in batch:
                    waiting.answer(self._closed())
                raise
            store.fortune.tell("written", None)
            store.book.apply(change)
        for waiting, answer in zip(batch, change.answers, strict=True):
            waiting.answer(answer)
        self._tell(store, change)

    async def _write_singly(self, store: _Open, writer: Writer, batch: list[Waiting]) -> None:
        """Write each request of a batch in a commit of its own, so that none is refused for the damage of another."""
        for number, waiting in enumerate(batch):
            try:
                await self._write(store, writer, [waiting])
            except BaseException:
                for other in batch[number + 1 :]:
                    other.answer(self._closed())
                raise

    def _tell(self, store: _Open, change: Change) -> None:
        for channel in change.heads:
            self._touch(store, channel)
        for mailbox in change.boxes:
            self.mailboxes.tell(mailbox)
        for channel, entries in change.reports.items():
            for sink in self._watchers.sinks(channel, self._sinks.get(channel, ())):
                sink(channel, change.heads[channel].epoch, entries)


def _name_of_file(path: str) -> str:
    """Refuse what SQLite takes for something else, and who writes it will, too."""
    if path == ":memory:":
        raise ValueError(
            f"path is {path!r}; it must name a file; ./{path} does, and without a store everything is in memory"
        )
    if path.startswith("file:"):
        raise ValueError(f"path is {path!r}; it must name a file, not a URI; ./{path} does")
    if not path:
        raise ValueError(f"path is {path!r}; it must name a file")
    return path


def _close(file: StoreFile) -> None:
    try:
        file.close()
    except StoreError as error:
        log.warning("%s; it was closed all the same, and the next start will look after it", error)
