"""One subscription on the wire for any number of readers, each with a queue and a position of its own.

Rule: what is relayed never waits for a reader. One whose queue is full misses what comes until there is room, and is
told by `Gap`, in its place; nobody else notices.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from hawser.entering import not_entered
from hawser.errors import Gap
from hawser.message import Message
from hawser_engine.codes import GapReason
from hawser_engine.errors import HawserError

if TYPE_CHECKING:
    from types import TracebackType

    from hawser.config import Config
    from hawser_engine.messages import Position

    from .client import Client
    from .subscription import Subscription


class Queue:
    """What waits for one reader, as pure state."""

    def __init__(self, channel: str, since: Position | None, *, messages_max: int, bytes_max: int) -> None:
        self.heard: Position | None = since
        """The newest position that is accounted for: asked for, queued or missed."""
        self._channel = channel
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._items: deque[Message | Gap] = deque()
        self._bytes = 0
        self._hole: Gap | None = None  # what is missing behind the last item

    @property
    def position(self) -> Position | None:
        """How far it has come without a hole that is still to be told."""
        return self.heard if self._hole is None else self._hole.since

    def message(self, message: Message) -> None:
        """A message has come, perhaps not for the first time."""
        here = self.heard
        if message.volatile:
            if self._hole is None and self._has_room(1) and here in (None, message.position):
                self._items.append(message)
                self._bytes += len(message.raw)
            return
        if here is not None and here.epoch == message.epoch and message.offset <= here.offset:
            return
        if self._hole is not None and self._has_room(2):
            self._tell_hole()
        if self._hole is None and self._has_room(1):
            self._items.append(message)
            self._bytes += len(message.raw)
            self.heard = message.position
        else:
            self._miss(here, message.position, GapReason.OVERFLOW)

    def gap(self, gap: Gap) -> None:
        """The server has left something out."""
        here = self.heard
        if here is None or here.epoch != gap.position.epoch or here.offset < gap.position.offset:
            self._miss(here or gap.since, gap.position, gap.reason)
            if self._has_room(1):
                self._tell_hole()

    def take(self) -> Message | Gap | None:
        """The next item; None if there is none."""
        if not self._items:
            self._tell_hole()
        if not self._items:
            return None
        item = self._items.popleft()
        if isinstance(item, Message):
            self._bytes -= len(item.raw)
        return item

    def _has_room(self, part: int) -> bool:
        """Whether the queue is filled to less than a half, or whatever part."""
        return len(self._items) < max(1, self._messages_max // part) and self._bytes < self._bytes_max // part

    def _miss(self, since: Position | None, position: Position, reason: int) -> None:
        if self._hole is not None:
            since = self._hole.since
            if self._hole.reason == GapReason.EPOCH_CHANGED:
                reason = self._hole.reason
        self._hole = Gap(self._channel, since, position, reason)
        self.heard = position

    def _tell_hole(self) -> None:
        if self._hole is not None:
            self._items.append(self._hole)
            self._hole = None


class SharedSubscription:
    """The messages of one channel for one user of a pooled client; enter it with ``async with``.

    It is like a `Subscription`, but for this: a user that does not keep up is told a `Gap` with the reason OVERFLOW.

    Raises (on entering):
        RequestFailed: The server refused, for example DENIED or NOT_FOUND.
        SessionClosed: The session is closed.
    """

    def __init__(self, shares: Shares, channel: str, since: Position | None) -> None:
        config = shares.config
        self.channel: str = channel
        """The channel's name."""
        self.queue: Queue = Queue(
            channel, since, messages_max=config.subscription_messages, bytes_max=config.subscription_bytes
        )
        """What waits; for the share."""
        self._shares = shares
        self._share: Share | None = None
        self._news = trio.Event()
        self._over = False
        self._error: Exception | None = None
        self.answered: trio.Event = trio.Event()
        """Set when it stands, or never will; for the share."""

    @property
    def position(self) -> Position | None:
        """How far it has come: the last position that is queued or told as a gap."""
        return self.queue.position

    async def __aenter__(self) -> SharedSubscription:
        if self._share is not None:
            raise RuntimeError("a subscription is entered only once; subscribe again for another one")
        self._share = await self._shares.join(self)
        try:
            await self.answered.wait()
            if self._error is not None:
                raise self._error
        except BaseException:
            self._share.leave(self)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._share is not None
        self._share.leave(self)
        self.finish(None)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> SharedSubscription:
        return self

    async def __anext__(self) -> Message:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> Message:
        """Wait for the next message. Only one task at a time.

        Raises:
            Gap: Messages are missing here; the next call goes on behind them.
            trio.EndOfChannel: The subscription is over, and all of it was received.
            RequestFailed: The server has ended the subscription.
            RuntimeError: Its block has not begun.
            SessionClosed: The session was closed by the server.
        """
        if self._share is None:
            raise not_entered("a subscription")
        await trio.lowlevel.checkpoint()
        while (item := self.queue.take()) is None:
            if self._over:
                raise self._error or trio.EndOfChannel()
            await self._news.wait()
        if isinstance(item, Gap):
            raise item
        return item

    def relayed(self, item: Message | Gap) -> None:
        """Something has come; for the share."""
        if isinstance(item, Gap):
            self.queue.gap(item)
        else:
            self.queue.message(item)
        self._wake()

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come; for the share."""
        if not self._over:
            self._over = True
            self._error = error
            self.answered.set()
            self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Share:
    """One subscription on the wire and who reads it."""

    def __init__(self, client: Client, channel: str) -> None:
        self.ended: trio.Event = trio.Event()
        self.leaving: bool = False
        """Whether its last reader has left, or the server has ended it."""
        self._client = client
        self._channel = channel
        self._readers: dict[SharedSubscription, None] = {}
        self._since: Position | None = None  # where to begin anew
        self._passed: Position | None = None  # how far all of it was passed on
        self._wire: Subscription | None = None
        self._scope = trio.CancelScope()

    def join(self, reader: SharedSubscription) -> None:
        """One more reads. Where it wants to begin earlier than the subscription stands, that begins anew from there."""
        self._readers[reader] = None
        if self._wire is not None:
            self._seat(reader, self._wire.position, self._wire.position)

    def leave(self, reader: SharedSubscription) -> None:
        """One less reads; the last one ends the subscription."""
        self._readers.pop(reader, None)
        if not self._readers:
            self.leaving = True
            self._scope.cancel(reason="nobody reads it any more")

    async def run(self) -> None:
        """Relay until nobody reads any more, or the server ends it."""
        error: Exception | None = None
        try:
            while not self.leaving:
                with trio.CancelScope() as self._scope:
                    await self._relay()
        except trio.EndOfChannel:
            pass
        except HawserError as failure:
            error = failure
        finally:
            self.leaving = True
            for reader in list(self._readers):
                reader.finish(error)
            self.ended.set()

    async def _relay(self) -> None:
        since = self._since
        wanted = [reader.queue.heard for reader in self._readers]
        if since is None and None not in wanted:
            since = wanted[0]
        try:
            async with self._client.subscribe(self._channel, since=since) as wire:
                self._wire = wire
                self._passed = self._passed or wire.feed.start
                for reader in [reader for reader in self._readers if not reader.answered.is_set()]:
                    if not self._scope.cancel_called:
                        self._seat(reader, since or wire.feed.start, self._passed)
                while True:
                    try:
                        self._pass_on(await wire.receive())
                    except Gap as gap:
                        self._pass_on(gap)
        finally:
            self._wire = None

    def _pass_on(self, item: Message | Gap) -> None:
        self._passed = item.position
        for reader in self._readers:
            if reader.answered.is_set():
                reader.relayed(item)

    def _seat(self, reader: SharedSubscription, here: Position | None, begin: Position | None) -> None:
        """Give a reader its place: ``begin``, or where it asks to begin if the subscription stands no later."""
        wanted = reader.queue.heard
        if wanted is None:
            reader.queue.heard = begin
        elif here is not None and (wanted.epoch != here.epoch or wanted.offset < here.offset):
            # It is seated when the subscription has begun anew, from where nobody misses anything.
            passed = self._passed
            earlier = passed is not None and passed.epoch == wanted.epoch and passed.offset < wanted.offset
            self._since = passed if earlier else wanted
            self._wire = None
            self._scope.cancel(reason="a reader wants to begin earlier")
            return
        reader.answered.set()


class Shares:
    """The shared subscriptions of one session."""

    def __init__(self, client: Client, config: Config, nursery: trio.Nursery) -> None:
        self.config: Config = config
        """Bounds of each reader's queue."""
        self._client = client
        self._nursery = nursery
        self._shares: dict[str, Share] = {}

    async def join(self, reader: SharedSubscription) -> Share:
        """Read a channel together with whoever reads it already."""
        channel = reader.channel
        while (share := self._shares.get(channel)) is not None and share.leaving:
            await share.ended.wait()
            if self._shares.get(channel) is share:
                del self._shares[channel]
        if share is None:
            share = self._shares[channel] = Share(self._client, channel)
            share.join(reader)
            self._nursery.start_soon(self._run, channel, share)
        else:
            share.join(reader)
        return share

    async def _run(self, channel: str, share: Share) -> None:
        await share.run()
        if self._shares.get(channel) is share:
            del self._shares[channel]
