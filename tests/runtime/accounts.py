"""What readers of channels were given, held against everything that was published when all is over.

A reader may be passed over with what its filter does not let through, with what its own client published without
itself, and with what was replaced by a newer one of its key. Everything else it has, in order and once, or a gap.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, Protocol

import attrs

from hawser import Gap, Message
from hawser.payloads import decode_payload
from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hawser import Position
    from hawser.brokers import History


class Resets(Protocol):
    """How often a client's session was reset."""

    count: int


@attrs.frozen
class Line:
    """One publication."""

    data: list[Any]
    even: bool
    """Whether it passes the filter."""
    key: str | None
    but: str | None
    """The client that does not get it, because it has published it."""

    @property
    def said(self) -> dict[str, Any]:
        """What `Client.submit` is told of it."""
        return {"tags": {"even": str(int(self.even))}, "latest_key": self.key, "except_me": self.but is not None}


class Published:
    """Everything that was published in one channel.

    Args:
        channel: Its name.
        whole: Whether the channel keeps everything for everybody, so that there is no gap.
        latest: Whether it keeps the latest by key, and what was replaced may be left out.
    """

    def __init__(self, channel: str, *, whole: bool, latest: bool) -> None:
        self.channel = channel
        self.whole = whole
        self._latest = latest
        self._lines: dict[int, Line] = {}
        self._epoch: bytes | None = None
        self._newest: dict[str, int] = {}
        self._fleeting: dict[str, Line] = {}
        self.end: int | None = None
        """The first offset behind everything."""

    def keep(self, position: Position, line: Line) -> None:
        """It was published there."""
        if self._epoch not in (None, position.epoch):
            raise Broken(f"{self.channel}: another epoch, and the broker has only one")
        self._epoch = position.epoch
        if self._lines.setdefault(position.offset, line) != line:
            raise Broken(f"{self.channel}: two publications at {position.offset}")
        if line.key is not None:
            self._newest[line.key] = max(position.offset, self._newest.get(line.key, 0))
        if line.key == "end":
            self.end = min(position.offset, self.end or position.offset)

    def fleeting(self, line: Line) -> None:
        """It was published, volatile."""
        self._fleeting[repr(line.data)] = line

    def line(self, message: Message) -> Line:
        """What a message is, if it is what was published."""
        line = self._fleeting.get(repr(message.data)) if message.volatile else self._lines.get(message.offset)
        if line is None or line.data != message.data or message.epoch != self._epoch:
            raise Broken(f"{self.channel} {message.offset} was read as {message.data!r:.60}")
        return line

    def must_have(self, offsets: Iterable[int], who: str, *, filtered: bool) -> list[int]:
        """Those that a reader may not be passed over with."""
        return [offset for offset in offsets if self._is_for(offset, who, filtered=filtered)]

    def check_kept(self, history: History, most: int) -> None:
        """What is kept of it in the end is the newest of it, as it was published.

        Raises:
            Broken: It is something else, or somewhere else.
        """
        end = max(self._lines)
        if (history.top.epoch, history.top.offset) != (self._epoch, end):
            raise Broken(f"{self.channel} is kept up to {history.top}, and ends at {end}")
        due = [offset for offset in sorted(self._lines) if not self._is_replaced(offset)]
        due = due[-most:] if most else []
        kept = {entry.offset: decode_payload(entry.data) for entry in history.entries}
        if kept != {offset: self._lines[offset].data for offset in due}:
            raise Broken(f"{self.channel}: {[*kept]} are kept, and should be {due} as they were published")

    def _is_replaced(self, offset: int) -> bool:
        key = self._lines[offset].key
        return self._latest and key is not None and self._newest[key] > offset

    def _is_for(self, offset: int, who: str, *, filtered: bool) -> bool:
        line = self._lines.get(offset)
        if line is None:
            raise Broken(f"{self.channel}: nothing was published at {offset}")
        if (filtered and not line.even) or line.but == who:
            return False
        return not self._is_replaced(offset)


class _Stream:
    """What comes of one channel in one subscription, in the order in which it is read."""

    def __init__(self, published: Published, who: str, *, filtered: bool, resets: Resets) -> None:
        self.published = published
        self._who = who
        self._filtered = filtered
        self._resets = resets
        self._fleeting: dict[str, set[int]] = {}  # the numbers of those that it had, by publisher

    def check_line(self, message: Message) -> None:
        """It is for this reader, as it was published, and volatile ones of a publisher come in their order."""
        line = self.published.line(message)
        where = f"{self._who}: {message.channel} {message.offset}"
        if self._filtered and not line.even:
            raise Broken(f"{where} does not pass the filter")
        if line.but == self._who and not self._resets.count:
            raise Broken(f"{where} is its own, and it wanted to be left out")
        if message.volatile:
            name, number = line.data[:2]
            seen = self._fleeting.setdefault(name, set())
            if number in seen:
                raise Broken(f"{where}: number {number} of {name} came twice")
            seen.add(number)

    def check_skipped(self, after: int, before: int, says: str) -> None:
        """What lies between two offsets is nothing that it had to be given."""
        missed = self.published.must_have(range(after + 1, before), self._who, filtered=self._filtered)
        if missed:
            raise Broken(f"{self._who}: {says} of {self.published.channel}, without {missed}, and nobody said so")


class Account:
    """What one reader of a channel was given, over all its stays there."""

    def __init__(
        self, published: Published, who: str, *, filtered: bool, resets: Resets, whole: bool | None = None
    ) -> None:
        self.published = published
        self.who = who
        self._whole = published.whole if whole is None else whole
        self.here: Position | None = None
        """Where it goes on: behind the last thing that it took."""
        self._stream = _Stream(published, who, filtered=filtered, resets=resets)
        self._story: list[Message | Gap | Position] = []

    @property
    def complete(self) -> bool:
        """Whether it has had the end."""
        end = self.published.end
        return end is not None and self.here is not None and self.here.offset >= end

    @property
    def volatile(self) -> int:
        """Volatile messages that it had."""
        return sum(isinstance(item, Message) and item.volatile for item in self._story)

    @property
    def standing(self) -> object:
        """Where it stands."""
        return self.published.channel, self.here

    def begin(self, start: Position | None) -> None:
        """It has come, and stands there if it has asked for nothing else."""
        assert start is not None
        if self.here is None:
            self.here = start
            self._story.append(start)

    def see(self, item: Message | Gap, _where: str) -> None:
        """It was given this."""
        self._story.append(item)
        if isinstance(item, Gap) or not item.volatile:
            self.here = item.position

    def check(self) -> None:
        """Hold it against what was published.

        Raises:
            Broken: It was given too much, or not enough.
        """
        stream, here = self._stream, 0
        for item in self._story:
            if isinstance(item, Gap):
                here = self._check_gap(item, here)
            elif not isinstance(item, Message):
                here = item.offset
            else:
                stream.check_line(item)
                if item.offset <= here and not item.volatile:
                    raise Broken(f"{self.who}: {item.offset} of {item.channel} follows {here}")
                stream.check_skipped(here, item.offset + item.volatile, f"{item.offset} follows {here}")
                here = here if item.volatile else item.offset

    def _check_gap(self, gap: Gap, here: int) -> int:
        if self._whole:
            raise Broken(f"{self.who}: {gap}, though history reaches everything")
        since = here if gap.since is None else gap.since.offset
        if since < here or gap.position.offset <= here:
            raise Broken(f"{self.who}: {gap}, but it stands at {here}")
        self._stream.check_skipped(here, since + 1, f"a gap after {since} follows {here}")
        return gap.position.offset


class AssignedAccount:
    """What a client was given of a channel in all the subscriptions to it that the server had decided.

    Each is a story of its own, and so is its reader. Where one was lost with its session, the next one to begin tells
    what lies between; whatever was published while the server had not subscribed the client is nothing to it.
    """

    def __init__(self, published: Published, who: str, *, resets: Resets) -> None:
        self.published = published
        self.who = who
        self._resets = resets
        self._stays: list[Stay] = []

    @property
    def complete(self) -> bool:
        """Whether one of them has had the end; one that begins in the past may be at it when all is over."""
        return any(stay.complete for stay in self._stays)

    @property
    def volatile(self) -> int:
        """Volatile messages that it had."""
        return sum(stay.volatile for stay in self._stays)

    @property
    def standing(self) -> object:
        """Where it stands."""
        return self.published.channel, self._stays[-1].here if self._stays else None

    def begin(self, start: Position | None) -> Stay:
        """The server has subscribed it, and it stands there; returns what to tell what it is given."""
        stay = Stay(self.published, self.who, resets=self._resets)
        stay.begin(start)
        self._stays.append(stay)
        return stay

    def check(self) -> None:
        """See `Account.check`."""
        for stay in self._stays:
            stay.check()
        for stay, following in pairwise(self._stays):
            if stay.over:
                following.check_begin(stay.lost)


class Stay(Account):
    """One of them."""

    def __init__(self, published: Published, who: str, *, resets: Resets) -> None:
        super().__init__(published, who, filtered=False, resets=resets, whole=False)
        self.over = False
        """Whether its reader was told of its end, …"""
        self.lost: Position | None = None
        """… and where it was, if it was lost with its session."""
        self._start: Position | None = None
        self._missed: Gap | None = None
        """What it began with: the gap since one that was lost."""

    def see(self, item: Message | Gap, where: str) -> None:
        """It was given this."""
        if self._start is None:
            self._start = self.here
            if isinstance(item, Gap) and not self._follows(item):
                self._missed = item
                if item.position == self.here:
                    return
                item = Gap(item.channel, self.here, item.position, item.reason)  # another one came right behind it
        super().see(item, where)

    def _follows(self, gap: Gap) -> bool:
        """Whether a gap is of its own; it may have been passed over before (CHN-4)."""
        here, since = self.here, gap.since
        assert here is not None
        return since is not None and since.epoch == here.epoch and since.offset >= here.offset

    def check_begin(self, lost: Position | None) -> None:
        """It has told what was missed since the one before it, if that one was lost at a position (ASG-5)."""
        start, told = self._start, None if self._missed is None else self._missed.since
        if start is None:
            return
        comes_again = lost is not None and lost.epoch == start.epoch and lost.offset >= start.offset
        if told != (None if comes_again else lost):
            raise Broken(f"{self.who}: one was lost at {lost}, and the next one, at {start}, tells {self._missed}")


class PatternAccount:
    """What a client was given that has a pattern, and beside it comes to a channel of the pattern and leaves it.

    There each publication is in one of the two subscriptions, so they are held together against what was published.
    """

    def __init__(self, published: Sequence[Published], who: str, *, filtered: bool, resets: Resets) -> None:
        self.who = who
        self.published = {one.channel: one for one in published}
        self._streams = {one.channel: _Stream(one, who, filtered=filtered, resets=resets) for one in published}
        self._resets = resets
        self._story: list[tuple[Message | Gap | None, str]] = []  # None: it goes back in the channel that is named
        self._last = dict.fromkeys(self.published, 0)  # offsets, by channel

    @property
    def complete(self) -> bool:
        """Whether it has had the end of everything."""
        return not self.standing

    @property
    def standing(self) -> list[str]:
        """What it has not had the end of."""
        return [name for name, one in self.published.items() if one.end is None or self._last[name] < one.end]

    @property
    def volatile(self) -> int:
        """Volatile messages that it had."""
        return sum(isinstance(item, Message) and item.volatile for item, _ in self._story)

    def go_back(self, channel: str) -> None:
        """It goes back in a channel: the server may begin there again, in a subscription to that channel (WLD-4)."""
        self._story.append((None, channel))

    def see(self, item: Message | Gap, where: str) -> None:
        """It was given this, in one of its subscriptions."""
        self._story.append((item, where))
        if item.channel in self.published:
            self._last[item.channel] = max(item.position.offset, self._last[item.channel])

    def check(self) -> None:
        """See `Account.check`."""
        for channel in self.published:
            self._check_channel(channel)

    def _check_channel(self, channel: str) -> None:
        """Each comes once, rising in each subscription; what lies between was told to be missing, or is not for it."""
        stream = self._streams[channel]
        had: set[int] = set()
        gone_back = False  # from then on the channel's own subscriptions may begin before what the pattern has had
        excused: set[int] = set()
        last: dict[str, int] = {}
        lost = False  # anything of the pattern may be missing, up to what comes next
        for item, where in self._story:
            if item is None:
                if where == channel:
                    gone_back = True
                    last.pop(channel, None)
            elif isinstance(item, Gap) and item.channel not in self.published:
                lost = True
            elif item.channel != channel:
                continue
            elif isinstance(item, Gap) or not item.volatile:
                begin = item.position.offset
                if isinstance(item, Gap):
                    begin = begin if item.since is None else item.since.offset + 1
                    excused |= set(range(begin, item.position.offset + 1))
                if lost:
                    of_pattern = max((number for name, number in last.items() if name != channel), default=0)
                    excused |= set(range(of_pattern, begin))
                    lost = False
            if isinstance(item, Message) and item.channel == channel:
                stream.check_line(item)
                if item.volatile:
                    continue
                before = last.get(where, 0)
                twice = item.offset in had and (where != channel or not gone_back)
                if item.offset <= before or (twice and not self._resets.count):
                    raise Broken(f"{self.who}: {item.offset} of {channel} came after {before} in {where}")
                last[where] = item.offset
                had.add(item.offset)
        told = sorted(had | excused)
        for before, offset in pairwise(told):
            stream.check_skipped(before, offset, f"{offset} follows {before}")
