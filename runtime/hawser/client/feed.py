"""What arrives for one subscription, as pure state: order, bounds, pause and gap (SPEC CHN).

Rule: a publication is queued only if it is the next one after the last one queued. What comes again was queued
before; what lies ahead is still under way from before a PAUSE, and comes again after the CONTINUE. With a filter there
is no telling which is the next one: then POSITION says where what follows a CONTINUE begins (CHN-9).
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING

from hawser.errors import Gap
from hawser.message import Message
from hawser_engine.codes import GapReason, SubscribeStatus
from hawser_engine.messages import Position

if TYPE_CHECKING:
    from hawser_engine.messages import About, ChannelOutcome


class Flow(Enum):
    """What the feed wants the server to be told."""

    NOTHING = auto()
    PAUSE = auto()
    CONTINUE = auto()


class Feed:
    """The bounded queue of one subscription."""

    def __init__(
        self, channel: str, since: Position | None, *, messages_max: int, bytes_max: int, filtered: bool = False
    ) -> None:
        self.channel = channel
        self.filtered = filtered
        """Whether offsets are left out by a filter, so that they do not tell what is missing."""
        self.position = since
        """The last position that is accounted for: asked for, joined at, queued, or told as a gap."""
        self.start: Position | None = None
        """Where it first joined."""
        self.live: bool = False
        """Whether a SUBSCRIBED has come; before it, what arrives belongs to an earlier subscription."""
        self.paused: bool = False
        self._continuing = False  # CONTINUE has left; what was under way before it may still arrive
        self._messages_max = messages_max
        self._bytes_max = bytes_max
        self._queue: deque[Message | Gap] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._queue)

    def joined(self, position: Position, gap_reason: int | None) -> Flow:
        """A SUBSCRIBED has arrived: what follows comes after ``position``.

        Args:
            position: Where the subscription goes on.
            gap_reason: Why what lies between the last position and this one is lost; None if nothing is.

        Returns:
            What to tell the server: a queue that is full from before pauses the new subscription too.
        """
        since, self.position = self.position, position
        self.start = self.start or position
        self.live = True
        self._continuing = False
        if gap_reason is not None:
            self._miss(since, position, gap_reason)
        self.paused = self._full()
        return Flow.PAUSE if self.paused else Flow.NOTHING

    def publication(self, epoch: bytes, offset: int, data: bytes, about: About | None = None) -> Flow:
        """A PUBLICATION has arrived."""
        here = self.position
        if here is not None and (here.epoch == epoch and offset <= here.offset):
            return Flow.NOTHING
        if self.paused or not self.live:
            return Flow.NOTHING
        if self.filtered and self._continuing:
            return Flow.NOTHING  # under way from before the PAUSE; what follows the CONTINUE begins otherwise
        if here is not None and (here.epoch != epoch or (offset != here.offset + 1 and not self.filtered)):
            if self._continuing:
                return Flow.NOTHING
            # The server skipped something without saying so: the hole must not be silent.
            self.gap(here, Position(epoch, offset - 1), GapReason.OVERFLOW)
        self._continuing = False
        self.position = Position(epoch, offset)
        self._queue.append(Message(self.channel, epoch, offset, data, about))
        self._bytes += len(data)
        self.paused = self._full()
        return Flow.PAUSE if self.paused else Flow.NOTHING

    def volatile(self, epoch: bytes, offset: int, data: bytes, about: About | None = None) -> None:
        """A volatile PUBLICATION has arrived: it is dropped where it is not in its place, or there is no room (VOL-5).

        It never fills the queue: that would cause a pause, and hold up what is not volatile.
        """
        here = self.position
        if not self.live or self.paused or self._continuing or here is None or here.epoch != epoch:
            return
        in_place = here.offset <= offset if self.filtered else here.offset == offset
        if in_place and len(self._queue) + 1 < self._messages_max and self._bytes + len(data) < self._bytes_max:
            self._queue.append(Message(self.channel, epoch, offset, data, about, volatile=True))
            self._bytes += len(data)

    def considered(self, epoch: bytes, offset: int) -> None:
        """A POSITION has arrived: nothing for this subscription up to there that was not sent."""
        here = self.position
        if here == Position(epoch, offset):
            self._continuing = False
        if not self.live or self.paused or self._continuing:
            return
        if here and here.epoch == epoch and here.offset < offset:
            self.position = Position(epoch, offset)

    def gap(self, since: Position | None, position: Position, reason: int) -> None:
        """A GAP has arrived or was found: raise it to the application before anything later."""
        here = self.position
        if not self.live or self.paused or (self._continuing and here != since):
            # Of an earlier subscription, or under way from before the PAUSE: after the CONTINUE the server judges anew.
            return
        if here and here.epoch == position.epoch and position.offset <= here.offset:
            return
        self._continuing = False
        self.position = position
        # Something may have come after `since` all the same, under way from before a PAUSE: that is not missing.
        self._miss(here or since, position, reason)

    def take(self) -> tuple[Message | Gap | None, Flow]:
        """The next item for the application, and what to tell the server now that there is room."""
        if not self._queue:
            return None, Flow.NOTHING
        item = self._queue.popleft()
        if isinstance(item, Message):
            self._bytes -= len(item.raw)
        if self.paused and len(self._queue) <= self._messages_max // 2 and self._bytes <= self._bytes_max // 2:
            self.paused = False
            self._continuing = True
            return item, Flow.CONTINUE
        return item, Flow.NOTHING

    def drain(self) -> list[Message | Gap]:
        """Everything that waits, for somebody else. A pause goes on: what it has held back comes there, too."""
        items = list(self._queue)
        self._queue.clear()
        self._bytes = 0
        return items

    def _full(self) -> bool:
        return len(self._queue) >= self._messages_max or self._bytes >= self._bytes_max

    def _miss(self, since: Position | None, position: Position, reason: int) -> None:
        """Queue a gap. With one right before it it is one hole, in one place: no number of resets fills the queue."""
        before = self._queue[-1] if self._queue else None
        if isinstance(before, Gap):
            self._queue.pop()
            since = before.since
            reason = before.reason if before.reason == GapReason.EPOCH_CHANGED else reason
        self._queue.append(Gap(self.channel, since, position, reason))


def gap_reason(outcome: ChannelOutcome) -> GapReason | None:
    """Why what lies before the position of an outcome is lost; None: nothing is (SUB-2)."""
    if outcome.status != SubscribeStatus.GAP:
        return None
    return GapReason.__members__.get(outcome.reason, GapReason.HISTORY_TOO_SHORT)
