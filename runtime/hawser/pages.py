"""Pages of the history of a channel: what programs get, and how one is read (SPEC PGE-2, PGE-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from hawser_engine.cbor import MAX_INTEGER
from hawser_engine.codes import GapReason
from hawser_engine.messages import Position

from .amounts import check_amounts
from .errors import Gap
from .subscribing import check_since

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .brokers import Broker, Entry
    from .message import Message


@attrs.frozen
class Page:
    """A stretch of what a channel keeps, as `Client.history` and `App.history` give it."""

    channel: str
    """The channel."""
    messages: tuple[Message, ...]
    """The publications, in the order of their offsets."""
    position: Position
    """The end of the channel when this was read: a subscription ``since`` it goes on without a hole."""
    next: Position | None
    """Where the next page begins: ``before`` of it, or ``since`` where that was given. None: there is no more."""
    gap: Gap | None
    """What has been lost of that which came after ``since``; None: nothing, or nothing was given."""
    left_out: tuple[int, ...] = ()
    """Offsets of publications that are longer than a page may be, and have no place in ``messages``."""


@attrs.frozen
class Asked:
    """What is asked for: what lies behind ``since``, its beginning, or else the end of what lies before ``before``."""

    channel: str
    since: Position | None
    before: Position | None
    limit: int

    @property
    def forward(self) -> bool:
        """Whether a page has the first of it, not the last."""
        return self.since is not None

    def page(
        self,
        position: Position,
        first: int,
        messages: Sequence[Message],
        *,
        more: bool,
        left_out: Sequence[int] = (),
    ) -> Page:
        """What a program gets of what was read.

        Args:
            position: The end of the channel.
            first: From this offset on nothing is missing.
            messages: What is there of it.
            more: Whether there is more.
            left_out: What is not among them because of its length.
        """
        offsets = sorted([*left_out, *(message.offset for message in messages)])
        edge = None if not more or not offsets else offsets[-1 if self.forward else 0]
        onward = None if edge is None else Position(position.epoch, edge)
        return Page(self.channel, tuple(messages), position, onward, self._gap(position, first), tuple(left_out))

    def _gap(self, position: Position, first: int) -> Gap | None:
        """What is lost of what came after the position that was given (SUB-4)."""
        since, kept = self.since, Position(position.epoch, first - 1)
        if since is None:
            return None
        if since.epoch != position.epoch or since.offset > position.offset:
            return Gap(self.channel, since, kept, GapReason.EPOCH_CHANGED)
        return Gap(self.channel, since, kept, GapReason.HISTORY_TOO_SHORT) if since.offset < kept.offset else None


@attrs.frozen
class Reading:
    """What the broker has of it."""

    top: Position
    first: int
    entries: tuple[Entry, ...]
    more: bool
    """Whether there may be more, beyond the last of them or before the first."""


async def read(broker: Broker, asked: Asked, limit_bytes: int) -> Reading:
    """Read what is asked for.

    Args:
        broker: Where.
        asked: What.
        limit_bytes: At most so many bytes of payload, but always one entry if there is one.

    Raises:
        BrokerUnavailable: It cannot be read now.
    """
    if asked.since is None:
        return await _read_back(broker, asked, limit_bytes)
    return await _read_on(broker, asked, asked.since, limit_bytes)


async def _read_back(broker: Broker, asked: Asked, limit_bytes: int) -> Reading:
    below = MAX_INTEGER + 1 if asked.before is None else asked.before.offset
    history = await broker.history_before(asked.channel, below, limit=asked.limit, limit_bytes=limit_bytes)
    if asked.before is not None and asked.before.epoch != history.top.epoch:
        return Reading(history.top, history.first, (), more=False)
    lowest = history.entries[0].offset if history.entries else min(below, history.top.offset + 1)
    more = _goes_on(asked, history.entries) and lowest > history.first
    return Reading(history.top, history.first, history.entries, more)


async def _read_on(broker: Broker, asked: Asked, since: Position, limit_bytes: int) -> Reading:
    history = await broker.history(asked.channel, since.offset, limit=asked.limit, limit_bytes=limit_bytes)
    after, top = since.offset, history.top
    if since.epoch != top.epoch or after > top.offset:  # nothing of it is there: from the beginning
        history = await broker.history(asked.channel, 0, limit=asked.limit, limit_bytes=limit_bytes)
        after, top = 0, history.top
    end = top.offset
    if asked.before is not None:
        end = min(end, asked.before.offset - 1 if asked.before.epoch == top.epoch else 0)
    entries = tuple(entry for entry in history.entries if entry.offset <= end)
    highest = max(entries[-1].offset if entries else after, history.first - 1)
    return Reading(top, history.first, entries, _goes_on(asked, entries) and highest < end)


def _goes_on(asked: Asked, entries: Sequence[Entry]) -> bool:
    """Whether more can be there at all: where nothing was found though something was wanted, there is none."""
    return bool(entries) or not asked.limit


def ask(channel: str, since: Position | None, before: Position | None, limit: int) -> Asked:
    """What a program asks for.

    Args:
        channel: The channel.
        since: What it has.
        before: What lies below is wanted.
        limit: How many at most.

    Raises:
        TypeError: One of them is no position.
        ValueError: The limit is no number of 0 or more.
    """
    check_amounts(0, limit=limit)
    check_since(since)
    check_since(before, "before")
    return Asked(channel, since, before, limit)
