"""What a store knows without reading: the head of every channel and the keys of the last minutes, as pure state.

The file is written by one program at a time, so this is never behind it. A batch of requests becomes a `Change`, which
is written in one transaction. Only what is committed is then applied here, answered and reported.

Rule 1: nothing here changes before the commit, but for a channel that makes room: it is not found while that is
written, so nobody joins what is about to go.
Rule 2: retention is exact for readers at once (`Kept`) and lazy in the file.
"""

from __future__ import annotations

from collections import OrderedDict
from math import ceil
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from hawser.brokers.base import PositionMoved, Published, Submission
from hawser_engine.channels.entries import Entry, Retention
from hawser_engine.channels.latest import Latest
from hawser_engine.messages import Position, encode_about

from .keys import Keys
from .letters import Box, LetterRow, MailBook, MailRequest, Work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hawser.brokers.keys import Scope
    from hawser.brokers.mailboxes import MailboxFull
    from hawser_engine.messages import About

    from .keys import KeyRow
    from .letters import BoxRow

PRUNE_MESSAGES: Final = 64
PRUNE_BYTES: Final = 1_048_576
"""After so much of a channel, what is not kept any more is deleted from the file."""

AGE_MAX_SECONDS: Final = 2.0**40
"""Longer than anything lasts, and a number of milliseconds that the file can hold."""

EntryRow: TypeAlias = tuple[int, int, int, int, bytes | None, bytes]
"""Channel, offset, start, time, about, data; see ``schema``."""
HeadRow: TypeAlias = tuple[int, str, bytes, int, int, int, int, int | None, int, int, int]
"""Id, name, epoch, top, total, first, low, age, time, used, latest."""
KeptRow: TypeAlias = tuple[str, int, str | None, int, int]
"""Of a channel that keeps the latest by key: its name; and of a publication offset, key, bytes, time."""


@attrs.frozen
class Kept:
    """What of a channel is kept, whatever the file still has beside it."""

    channel: int
    """Its number in the file."""
    first: int
    """Nothing below this offset, …"""
    low: int
    """… nothing that begins below this one of all its bytes, …"""
    since: int
    """… and nothing from before this time, in ms since 1970."""
    latest: bool = False
    """Whether it is of those the latest by key."""


@attrs.define(eq=False)
class Head:
    """One channel, without its publications."""

    id: int
    """Its number in the file."""
    name: str
    epoch: bytes
    top: int = 0
    """The newest offset …"""
    total: int = 0
    """… and the bytes of all payloads that it ever had."""
    first: int = 1
    """Nothing is kept below this offset …"""
    low: int = 0
    """… nor what begins below this one of all its bytes …"""
    age: int | None = None
    """… nor what is older than this, in ms."""
    time: int = 0
    """When it got its newest offset, in ms since 1970."""
    used: int = 0
    """The commit that changed it last."""
    latest: int = 0
    """1 where only the latest by key is kept …"""
    newest: Latest | None = None
    """… and which publications those are."""
    stored: bool = False
    """Whether the file may have publications of it."""
    fresh: int = 0
    """Publications since it was last cleared of old ones …"""
    fresh_bytes: int = 0
    """… and their bytes."""

    @property
    def position(self) -> Position:
        """Where it stands."""
        return Position(self.epoch, self.top)

    def kept(self, now: int) -> Kept:
        """What is kept of it at a time."""
        return Kept(self.id, self.first, self.low, 0 if self.age is None else now - self.age, bool(self.latest))

    def row(self) -> HeadRow:
        """As it stands in the file."""
        low = self.low if self.newest is None else len(self.newest)
        return (
            self.id, self.name, self.epoch, self.top, self.total, self.first, low, self.age, self.time, self.used,
            self.latest,
        )  # fmt: skip

    def draft(self) -> Head:
        """Another one, in which a change may be tried."""
        return attrs.evolve(self, newest=None if self.newest is None else self.newest.copy())

    def append(self, size: int, retention: Retention, now: int, key: str | None) -> list[int]:
        """One more publication; those that are gone for it, where the latest by key is kept."""
        if retention.latest != bool(self.latest):
            self._begin_anew(latest=retention.latest)
        start = self.total
        self.top += 1
        self.total += size
        self.age = None if retention.seconds >= AGE_MAX_SECONDS else ceil(retention.seconds * 1_000)
        self.time = max(self.time, now)  # a clock that was set back does not turn the order around
        gone: list[int] = []
        if self.newest is None:
            self.first = max(self.first, self.top - retention.messages + 1)
            self.low = max(self.low, self.total - retention.bytes)
            if self.low > start:
                self.first = self.top + 1  # it alone is more than is kept
        else:
            bounds = retention.messages, retention.bytes, self.kept(now).since
            gone += self.newest.trim(*bounds)  # what was too old is lost, and not replaced: readers were told so
            replaced = self.newest.add(self.top, key, size, self.time)
            gone += () if replaced is None else (replaced,)
            gone += self.newest.trim(*bounds)
            self.first = self.newest.floor + 1
        self.stored |= self.first <= self.top
        self.fresh += 1
        self.fresh_bytes += size
        return gone

    def _begin_anew(self, *, latest: bool) -> None:
        self.first, self.low = self.top + 1, self.total if not latest else 0
        self.latest, self.newest = int(latest), Latest(self.top) if latest else None


@attrs.frozen(eq=False)
class Opening:
    """A request to have a channel, though nothing is published to it: who joins it is promised its epoch."""

    channel: str


@attrs.frozen(eq=False)
class Conditional:
    """A request to publish something, if the channel stands where it is expected to."""

    submission: Submission
    expected: Position


Asked: TypeAlias = Submission | Conditional | Opening | MailRequest
Answer: TypeAlias = "Published | PositionMoved | MailboxFull | Work | None"


@attrs.define(eq=False)
class Change:
    """What one transaction writes, and what is true when it has."""

    number: int
    """Of the commit; rises by one."""
    date: int = 0
    """What publications are dated by, in ms since 1970."""
    answers: list[Answer] = attrs.field(factory=list["Answer"])
    """To each request, in order; None where nothing is to be said."""
    heads: dict[str, Head] = attrs.field(factory=dict[str, Head])
    entries: list[EntryRow] = attrs.field(factory=list[EntryRow])
    keys: dict[tuple[Scope, bytes], KeyRow] = attrs.field(factory=dict[tuple["Scope", bytes], "KeyRow"])
    gone: dict[int, list[int]] = attrs.field(factory=dict[int, list[int]])
    """Publications that were replaced, or lost with a channel's bounds, by channel; perhaps of this very change."""
    prunes: list[Head] = attrs.field(factory=list[Head])
    """Channels of which the file need not keep everything that it has; then their first is past what is deleted."""
    removed: dict[str, Head] = attrs.field(factory=dict[str, Head])
    """Channels that make room."""
    forgotten: int | None = None
    """Keys up to this id are deleted, as they are out of date, …"""
    dropped: list[int] = attrs.field(factory=list[int])
    """… and those with these ids, as they were too many."""
    boxes: dict[str, Box] = attrs.field(factory=dict[str, Box])
    letters: list[LetterRow] = attrs.field(factory=list[LetterRow])
    works: list[Work] = attrs.field(factory=list[Work])
    """What is to be done with letters, while it is written."""
    emptied: dict[str, Box] = attrs.field(factory=dict[str, Box])
    """Mailboxes that make room."""
    reports: dict[str, list[Entry]] = attrs.field(factory=dict[str, list[Entry]])

    def enter(self, head: Head, data: bytes, retention: Retention, date: int, about: About | None = None) -> None:
        """Publish something to a channel that this change writes."""
        start = head.total
        gone = head.append(len(data), retention, date, None if about is None else about.latest_key)
        if gone:
            self.gone.setdefault(head.id, []).extend(gone)
        if head.first <= head.top:
            said = None if about is None else encode_about(about)
            self.entries.append((head.id, head.top, start, head.time, said, data))
        self.reports.setdefault(head.name, []).append(Entry(head.top, data, head.time, about))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to write."""
        return not (self.heads or self.boxes)


@attrs.frozen
class Contents:
    """What a store holds when it is opened."""

    commits: int
    """The number of the last commit."""
    heads: Sequence[HeadRow]
    """Unused for longest first."""
    keys: Sequence[KeyRow]
    """Oldest first."""
    boxes: Sequence[tuple[BoxRow, int | None]] = ()
    """Unused for longest first, each with when its first letter expires."""
    kept: Sequence[KeptRow] = ()
    """By channel, in order of offsets."""


class Book:
    """The heads of all channels, and the keys.

    Args:
        contents: What the file holds.
        random_bytes: Where epochs come from.
        channels_max: Channels kept at once; beyond, the one unused for longest that nobody has joined makes room.
        keys_max: Keys kept at once; beyond, the oldest of whoever has the most is forgotten before its time.
        mailboxes_max: As for `MailBook`.
        is_held: As for `MailBook`.
    """

    def __init__(
        self,
        contents: Contents,
        random_bytes: Callable[[int], bytes],
        channels_max: int,
        keys_max: int,
        mailboxes_max: int,
        is_held: Callable[[str], bool],
    ) -> None:
        self.keys: Keys = Keys(contents.keys, keys_max)
        self.mail: MailBook = MailBook(self, contents.boxes, random_bytes, mailboxes_max, is_held)
        self._random_bytes = random_bytes
        self._channels_max = channels_max
        self._commits = contents.commits
        self._heads = {row[1]: Head(*row, stored=True) for row in contents.heads}
        for head in self._heads.values():
            head.newest = Latest(head.first - 1) if head.latest else None
        for channel, offset, key, size, time in contents.kept:
            newest = self._heads[channel].newest
            assert newest is not None
            newest.add(offset, key, size, time)
        self._idle = OrderedDict.fromkeys(self._heads)  # channels nobody has joined, longest unused first
        self._next_channel = 1 + max((row[0] for row in contents.heads), default=0)

    def __len__(self) -> int:
        return len(self._heads)

    def head(self, channel: str) -> Head | None:
        """The head of a channel, or None if there is no such channel."""
        return self._heads.get(channel)

    def touch(self, channel: str, *, joined: bool) -> None:
        """Note that a channel is used, and whether somebody has joined it."""
        self._idle.pop(channel, None)
        if not joined and channel in self._heads:
            self._idle[channel] = None

    # ------------------------------------------------------------ planning

    def plan(self, requests: Iterable[Asked], now: int, date: int) -> Change:
        """What a batch of requests comes to; `apply` or `revoke` has to follow.

        Args:
            requests: In the order in which they were made.
            now: What keys go by, in ms; never less than before.
            date: What publications are dated by, in ms since 1970.
        """
        self.keys.forget(now)
        change = Change(self._commits + 1, date)
        for request in requests:
            if isinstance(request, Submission):
                change.answers.append(self._publish(change, request, None, now, date))
            elif isinstance(request, Conditional):
                change.answers.append(self._publish(change, request.submission, request.expected, now, date))
            elif isinstance(request, Opening):
                self.draft(change, request.channel)
                change.answers.append(None)
            else:
                change.answers.append(self.mail.plan(change, request, now, date))
        for box in change.boxes.values():
            box.used = change.number
        for head in change.heads.values():
            head.used = change.number
            if head.stored and (head.fresh >= PRUNE_MESSAGES or head.fresh_bytes >= PRUNE_BYTES):
                head.fresh = head.fresh_bytes = 0
                change.prunes.append(head)
        self.keys.plan(change)
        return change

    def _publish(
        self, change: Change, request: Submission, expected: Position | None, now: int, date: int
    ) -> Published | PositionMoved:
        channel = request.channel
        known = self.keys.known(change, channel, request.key)
        if known is not None:
            return Published(known, True)
        if expected is not None:
            # Of a channel that is known nothing is written for a refusal; one that is new is promised its epoch.
            before = change.heads.get(channel) or self._heads.get(channel) or self.draft(change, channel)
            if before.position != expected:
                return PositionMoved(channel, before.position)
        head = self.draft(change, channel)
        change.enter(head, request.data, request.retention, date, request.about)
        self.keys.remember(change, channel, request.key, head.position, now)
        return Published(head.position, False)

    def draft(self, change: Change, channel: str) -> Head:
        """The head of a channel as this change will leave it."""
        head = change.heads.get(channel)
        if head is None:
            known = self._heads.get(channel)
            if known is None:
                self._make_room(change)
                head = Head(self._next_channel, channel, self._random_bytes(8))
                self._next_channel += 1
            else:
                head = known.draft()
            change.heads[channel] = head
        return head

    def _make_room(self, change: Change) -> None:
        new = sum(1 for channel in change.heads if channel not in self._heads)
        if len(self._heads) + new < self._channels_max:
            return
        oldest = next((channel for channel in self._idle if channel not in change.heads), None)
        if oldest is not None:
            del self._idle[oldest]
            change.removed[oldest] = self._heads.pop(oldest)

    # ------------------------------------------------------------ after the commit

    def apply(self, change: Change) -> None:
        """A change is committed: it holds from now on."""
        self._commits = change.number
        self._heads |= change.heads
        self.mail.apply(change)
        self.keys.apply(change)

    def revoke(self, change: Change) -> None:
        """A change could not be committed: nothing of it has happened."""
        self.mail.revoke(change)
        self._heads |= change.removed
        self._idle = OrderedDict.fromkeys((*change.removed, *self._idle))
