"""Subscriptions to patterns: which messages belong to them, and what waits for the application (SPEC WLD-4 to WLD-8).

Rule: a message of a channel belongs to the subscription to that channel, if the client has one that stands, and else to
the one pattern it is of. What finds the queue of a pattern full is dropped, for a pattern is live: the gap is told
before anything later of its channel.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import TYPE_CHECKING, Final

from hawser.errors import Gap
from hawser.message import Message
from hawser_engine.channels.segments import PatternIndex
from hawser_engine.codes import GapReason
from hawser_engine.messages import Position

from .feed import Feed, Flow

if TYPE_CHECKING:
    from .subscription import Subscription

NOWHERE: Final = Position(bytes(8), 0)
"""Where a pattern stands: it is no channel (WLD-2)."""

GAPS_MAX: Final = 1_000
"""Channels of which a gap waits to be told; with more, it is one of the whole pattern."""

KNOWN_MAX: Final = 4_096
"""Channels of which is known how far a pattern has them: those of which something came last."""


class PatternFeed:
    """What arrives for one pattern, as pure state."""

    filtered: Final = False
    paused: Final = False

    def __init__(self, pattern: str, *, messages_max: int, bytes_max: int) -> None:
        self.channel: str = pattern
        self.position: Position | None = None
        """None before it first stood; from then on nowhere, for each channel has its own."""
        self.start: Position | None = None
        """Likewise."""
        self.live: bool = False
        """Whether it stands; before, what arrives belongs to an earlier subscription."""
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._queue: deque[Message | Gap] = deque()
        self._bytes = 0
        self._missing: dict[str, Gap] = {}  # what is to be told when there is room, by channel

    def __len__(self) -> int:
        return len(self._queue)

    def joined(self, position: Position, gap_reason: int | None) -> Flow:
        """A SUBSCRIBED has arrived; after an earlier one, whatever was published meanwhile may be missing."""
        self.live, self.position, self.start = True, position, position
        if gap_reason is not None:
            self.gap(Gap(self.channel, None, position, gap_reason))
        return Flow.NOTHING

    def message(self, message: Message) -> None:
        """A publication has arrived that belongs to it."""
        channel, here = message.channel, message.position
        if channel in self._missing and not self._full(2):
            self._tell(channel)
        if self._full() or channel in self._missing or self.channel in self._missing:
            self.gap(Gap(channel, Position(here.epoch, here.offset - 1), here, GapReason.OVERFLOW))
            return
        self._queue.append(message)
        self._bytes += len(message.raw)

    def volatile(self, message: Message) -> None:
        """Something volatile has arrived that belongs to it: it is dropped where there is no room (VOL-4)."""
        if message.channel in self._missing or self.channel in self._missing:
            return
        if len(self._queue) + 1 < self._messages_max and self._bytes + len(message.raw) < self._bytes_max:
            self._queue.append(message)
            self._bytes += len(message.raw)

    def gap(self, gap: Gap) -> None:
        """Something of a channel is missing, or of the whole pattern: the application is told when there is room."""
        if self.channel in self._missing:
            return
        before = self._missing.pop(gap.channel, None)
        if before is not None:
            gap = Gap(gap.channel, before.since, gap.position, gap.reason)
        if gap.channel == self.channel or len(self._missing) >= GAPS_MAX:
            self._missing = {self.channel: Gap(self.channel, None, NOWHERE, gap.reason)}
            gap = self._missing[self.channel]
        else:
            self._missing[gap.channel] = gap
        if not self._full():
            self._tell(gap.channel)

    def take(self) -> tuple[Message | Gap | None, Flow]:
        """The next item for the application."""
        if not self._queue:
            return None, Flow.NOTHING
        item = self._queue.popleft()
        if isinstance(item, Message):
            self._bytes -= len(item.raw)
        if self._missing and not self._full(2):
            for channel in list(self._missing):
                self._tell(channel)
        return item, Flow.NOTHING

    def _tell(self, channel: str) -> None:
        gap = self._missing.pop(channel)
        last = self._queue[-1] if self._queue else None
        if isinstance(last, Gap) and last.channel == channel:
            self._queue.pop()  # one hole, in one place
            gap = Gap(channel, last.since, gap.position, gap.reason)
        self._queue.append(gap)

    def _full(self, part: int = 1) -> bool:
        """Whether the queue is full, or half full."""
        return len(self._queue) >= max(1, self._messages_max // part) or self._bytes >= self._bytes_max // part


class Patterns:
    """The patterns of a client: where what arrives belongs to.

    Nothing comes to a pattern twice. It might, around a subscription to one of its channels: one that went back in
    history and was left unread, and one that had what was under way from before a PAUSE, when the server goes on for
    the pattern from the CONTINUE.
    """

    def __init__(self) -> None:
        self._index = PatternIndex()
        self._subscriptions: dict[str, tuple[Subscription, PatternFeed]] = {}
        self._known: OrderedDict[str, Position] = OrderedDict()  # how far a channel was had

    def add(self, subscription: Subscription) -> None:
        """A subscription was entered."""
        if isinstance(subscription.feed, PatternFeed):
            self._index.add(subscription.channel)
            self._subscriptions[subscription.channel] = subscription, subscription.feed

    def remove(self, subscription: Subscription) -> None:
        """It was left."""
        if isinstance(subscription.feed, PatternFeed):
            self._index.remove(subscription.channel)
            self._subscriptions.pop(subscription.channel, None)

    def message(self, message: Message) -> None:
        """A publication that belongs to no subscription to its channel."""
        heirs, reached = self._of(message.channel), self._reached(message.channel, message.epoch)
        if not heirs or message.offset < reached or (message.offset == reached and not message.volatile):
            return
        if not message.volatile:
            self._reach(message.channel, message.position)
        for subscription, feed in heirs:
            if message.volatile:
                feed.volatile(message)
            else:
                feed.message(message)
            subscription.arrived()

    def gap(self, gap: Gap) -> None:
        """A GAP, likewise, or one of a pattern."""
        found = self._subscriptions.get(gap.channel)
        if found is not None:
            heirs = [found]
        else:
            heirs, position, since = self._of(gap.channel), gap.position, gap.since
            if not heirs or position.offset <= self._reached(gap.channel, position.epoch):
                return
            if since is not None and (reached := self._reached(gap.channel, since.epoch)) > since.offset:
                gap = Gap(gap.channel, Position(since.epoch, reached), position, gap.reason)
            self._reach(gap.channel, position)
        for subscription, feed in heirs:
            feed.gap(gap)
            subscription.arrived()

    def inherit(self, former: Feed | PatternFeed) -> None:
        """What has arrived for a subscription to a channel that was left, and was not taken (WLD-8)."""
        if not isinstance(former, Feed) or not former.live or not self._of(former.channel):
            return  # it stays where it is
        for item in former.drain():
            if isinstance(item, Gap):
                self.gap(item)
            else:
                self.message(item)
        position = former.position
        if position is not None and position.offset > self._reached(former.channel, position.epoch):
            self._reach(former.channel, position)  # what was taken does not come again, either

    def _reached(self, channel: str, epoch: bytes) -> int:
        """The last offset of an epoch that was had of a channel; -1 if there was none."""
        known = self._known.get(channel)
        return known.offset if known is not None and known.epoch == epoch else -1

    def _reach(self, channel: str, position: Position) -> None:
        """Everything up to here was had, or was told as a gap."""
        self._known[channel] = position
        self._known.move_to_end(channel)
        if len(self._known) > KNOWN_MAX:
            self._known.popitem(last=False)

    def _of(self, channel: str) -> list[tuple[Subscription, PatternFeed]]:
        found = [self._subscriptions[pattern] for pattern in self._index.find(channel)]
        return [(subscription, feed) for subscription, feed in found if feed.live]
