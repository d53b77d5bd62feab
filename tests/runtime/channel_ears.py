"""A channel as a plain list, and what a subscriber may be told of it: an ear that knows the list and the clauses.

The list is what was published, in order. An ear hears every message of the channel that came to one session, and says
for each whether that session could be told so there: by CHN-1 to CHN-12, SUB-2 to SUB-14, LAT-2 to LAT-5, VOL-2 to
VOL-5 and ADR-8. It knows nothing of how the server comes to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import attrs

from hawser import Position
from hawser_engine.codes import GapReason, SubscribeStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hawser_engine.messages import ChannelOutcome

FILTERS: Final[Mapping[str, Callable[[str], bool]]] = {
    'tag == "a"': lambda tag: tag == "a",
    'tag in ("b", "c")': lambda tag: tag in "bc",
    'not tag == "a"': lambda tag: tag != "a",
    "tag == 1": lambda tag: False,
}
"""By their text, what they say of the tag."""


@attrs.frozen
class Item:
    """One publication."""

    number: int
    """Of all that was ever published: the payload."""
    tag: str
    latest_key: str | None
    spared: int | None
    """Which client does not get it."""


@attrs.frozen
class Declared:
    """How a channel is declared."""

    history: int = 0
    overflow: Literal["drop-oldest", "keep-latest"] | None = None
    ring: int = 0
    """What waits for those who are behind, where the oldest are dropped."""

    @property
    def keeps_latest(self) -> bool:
        return self.overflow == "keep-latest"

    @property
    def drops_oldest(self) -> bool:
        return self.overflow == "drop-oldest" or not self.history


class Era:
    """A channel in one epoch."""

    def __init__(self, declared: Declared) -> None:
        self.items: list[Item] = []
        self.floor = 0
        """Up to here everything was lost to whoever has not had it, or replaced."""
        self.replaced: set[int] = set()
        self._declared = declared
        self._kept: list[int] = []

    @property
    def top(self) -> int:
        return len(self.items)

    @property
    def first_kept(self) -> int | None:
        return self._kept[0] if self._kept else None

    def add(self, item: Item) -> None:
        self.items.append(item)
        if self._declared.keeps_latest and item.latest_key is not None:
            same = [each for each in self._kept if self.items[each - 1].latest_key == item.latest_key]
            self.replaced.update(same)
            self._kept = [each for each in self._kept if each not in same]
        self._kept.append(self.top)
        while len(self._kept) > self._declared.history:
            self.floor = self._kept.pop(0)


class Log:
    """A channel: what was published in each of its epochs."""

    def __init__(self, name: str, declared: Declared) -> None:
        self.name = name
        self.declared = declared
        self.eras: dict[bytes, Era] = {}
        """The last one is that of now."""

    @property
    def end(self) -> Position:
        epoch = list(self.eras)[-1]
        return Position(epoch, self.eras[epoch].top)

    @property
    def era(self) -> Era:
        return self.eras[self.end.epoch]

    def add(self, epoch: bytes, item: Item) -> None:
        self.eras.setdefault(epoch, Era(self.declared)).add(item)


class Ear:
    """One subscription of one session, as a client that keeps the rules hears it.

    Args:
        log: The channel.
        client: Whose.
        filter: What it asked to be filtered by.
        since: From where it asked to go on.
        rewind: How many it asked to begin with.
        reads: Whether it may read history.
        known: How many publications there had been, of all channels, when it asked.
    """

    def __init__(
        self,
        log: Log,
        client: int,
        *,
        filter: str | None,
        since: Position | None,
        rewind: int | None,
        reads: bool,
        known: int,
    ) -> None:
        self.log = log
        self.filter = filter
        self.heard: list[int] = []
        """The numbers that it took."""
        self.volatile: list[int] = []
        self.paused = False
        self.quiet = False
        """Whether nothing is under way any more from before the pause."""
        self.quietly = True
        """Whether nothing was under way any more when it last went on."""
        self._crossed = False
        self.ended = False
        self._client = client
        self._since, self._rewind, self._reads, self._known = since, rewind, reads, known
        self._asked_at = log.end
        self._asked_floor, self._asked_first = log.era.floor, log.era.first_kept
        self._began: Position | None = None
        self._stands: Position | None = None
        self._given: Position | None = None  # the furthest that ever came, taken or not
        self._moved = False  # it was in more epochs than one
        self._awaits: Position | None = None  # what POSITION or GAP has to name before anything is taken again
        self.honest = True
        """Whether it never said anything else than where it stands."""

    # ------------------------------------------------------------ where it stands

    @property
    def joined(self) -> bool:
        return self._began is not None and not self.ended

    @property
    def stands(self) -> Position:
        assert self._stands is not None
        return self._stands

    @property
    def settled(self) -> bool:
        """Whether it takes what comes, and has had everything."""
        return self.joined and not self.paused and self._awaits is None and self._has_all()

    def _has_all(self) -> bool:
        here, end = self.stands, self.log.end
        return here.epoch == end.epoch and all(map(self._not_for_it, range(here.offset + 1, end.offset + 1)))

    def _item(self, epoch: bytes, offset: int) -> Item:
        return self.log.eras[epoch].items[offset - 1]

    def passes(self, tag: str) -> bool:
        return self.filter is None or FILTERS[self.filter](tag)

    def _not_for_it(self, offset: int) -> bool:
        return not self.passes(self._item(self.stands.epoch, offset).tag)

    # ------------------------------------------------------------ what it hears

    def subscribed(self, outcome: ChannelOutcome) -> None:
        """SUB-2, SUB-4, SUB-9 to SUB-11, SUB-14, LAT-6."""
        position, log = outcome.position, self.log
        assert position is not None
        status = SubscribeStatus(outcome.status)
        self._began = self._stands = self._given = position
        if log.end != self._asked_at:  # it was asked while something was published: either answer may be
            assert position.offset <= log.end.offset or position.epoch != log.end.epoch
            return
        end, floor = self._asked_at, self._asked_floor if self._reads else self._asked_at.offset
        if self._since is None:
            begin = end.offset
            first = self._asked_first
            if self._rewind is not None and first is not None:
                begin = max(min(begin, first - 1), end.offset - self._rewind)
            elif self._reads and log.declared.keeps_latest and first is not None:
                begin = first - 1  # all that it keeps
            assert (status, position) == (SubscribeStatus.LIVE, Position(end.epoch, begin))
        elif self._since.epoch != end.epoch or self._since.offset > end.offset:
            assert (status, outcome.reason) == (SubscribeStatus.GAP, "EPOCH_CHANGED")
            assert position == Position(end.epoch, floor)
        elif self._since.offset < floor:
            assert (status, outcome.reason) == (SubscribeStatus.GAP, "HISTORY_TOO_SHORT")
            assert position == Position(end.epoch, floor)
        else:
            assert (status, position) == (SubscribeStatus.RECOVERED, self._since)

    def publication(self, epoch: bytes, offset: int, number: int) -> None:
        """CHN-1 to CHN-3, SUB-3, SUB-12, LAT-3, ADR-8."""
        assert self.joined, "nothing of a channel comes before SUBSCRIBED or after UNSUBSCRIBED"
        item = self._item(epoch, offset)
        assert item.number == number
        assert self._reads or number > self._known, "who may not read history gets nothing from before (SUB-14)"
        assert self.passes(item.tag)
        assert item.spared != self._client
        assert not self.quiet, "nothing of a paused channel"
        self._note(Position(epoch, offset))
        if self.paused or self._awaits is not None:
            return
        if self._comes_again(Position(epoch, offset)):
            return
        here = self.stands
        assert epoch == here.epoch
        assert offset > here.offset, "once, and in order"
        era = self.log.eras[epoch]
        for left_out in range(here.offset + 1, offset):
            replaced = self.filter is not None and left_out in era.replaced
            assert self._not_for_it(left_out) or replaced, f"{left_out} left out before {offset}, and no word of it"
        self._stands = Position(epoch, offset)
        self.heard.append(number)

    def position(self, position: Position) -> None:
        """CHN-4, CHN-9, LAT-3, ADR-8: nothing is left out but what is not for it, or replaced."""
        assert self.joined
        assert not self.quiet
        if self._awaits is not None and not self.paused:
            # Whoever says where it really stands is taken at its word. Another one has nothing under way.
            if position == self._awaits or (self.quietly and self._reaches(self._awaits, position)):
                self._awaits, self._stands = None, position
                self._note(position)
            return
        self._note(position)
        if not self.paused and not self._comes_again(position):
            here = self.stands
            assert position.epoch == here.epoch
            assert position.offset >= here.offset
            assert self._accounted(here, position.offset), f"POSITION passes over what is for it: {here}, {position}"
            self._stands = position

    def gap(self, since: Position | None, position: Position, reason: int) -> None:
        """CHN-3, CHN-5, CHN-7, CHN-11, OVF-1: nothing is lost but what had to be."""
        assert self.joined
        assert not self.quiet
        assert since is not None
        self._moved |= since.epoch != position.epoch
        self._note(position)
        if self.paused or (self._awaits is not None and since != self._awaits):
            return
        if self._comes_again(position):
            return
        if self._awaits is None and not self._comes_again(since):
            assert self._reaches(self.stands, since), f"a GAP after {since}, and the client stands at {self.stands}"
        self._awaits = None
        log, declared = self.log, self.log.declared
        era = log.eras[position.epoch]
        floor = era.floor
        if declared.drops_oldest:
            floor = max(floor if declared.history else 0, era.top - declared.ring)
        assert position.offset <= floor, "no more is lost than had to be"
        if reason == GapReason.EPOCH_CHANGED:
            eras = list(log.eras)
            assert since.epoch not in eras or eras.index(since.epoch) < eras.index(position.epoch)
        else:
            assert reason == GapReason.HISTORY_TOO_SHORT or declared.drops_oldest
            assert since.epoch == position.epoch
            assert since.offset < position.offset
        self._stands = position

    def fleeting(self, position: Position, number: int, tag: str) -> None:
        """VOL-4, VOL-5: a client takes it only in its place."""
        assert self.joined
        assert self.passes(tag)
        assert not self.quiet
        assert number not in self.volatile
        if self.paused or self._awaits is not None or position.epoch != self.stands.epoch:
            return
        if position == self.stands or (self.filter is not None and position.offset > self.stands.offset):
            self.volatile.append(number)

    def unsubscribed(self) -> None:
        self.ended = True

    def _comes_again(self, position: Position) -> bool:
        """Whether it took this before, for it was under way when it went on: the server begins from there again."""
        here, eras = self.stands, list(self.log.eras)
        if not self._crossed or position.epoch not in eras or here.epoch not in eras:
            return False
        before, now = eras.index(position.epoch), eras.index(here.epoch)
        return before < now or (before == now and position.offset <= here.offset)

    def _reaches(self, here: Position, there: Position) -> bool:
        """Whether the server may take a client that stands here to stand there: passed over, and not told so."""
        if here == there:
            return True
        return self.filter is not None and here.epoch == there.epoch and self._accounted(here, there.offset)

    def _accounted(self, here: Position, offset: int) -> bool:
        era = self.log.eras[here.epoch]
        return here.offset <= offset <= era.top and all(
            not self.passes(era.items[each - 1].tag)
            or era.items[each - 1].spared == self._client
            or each in era.replaced
            for each in range(here.offset + 1, offset + 1)
        )

    def _note(self, position: Position) -> None:
        given = self._given
        assert given is not None
        if position.epoch != given.epoch or position.offset > given.offset:
            eras = list(self.log.eras)
            if position.epoch in eras and eras.index(position.epoch) >= eras.index(given.epoch):
                self._given = position

    # ------------------------------------------------------------ what it says

    def go_on(self, claim: Position) -> None:
        """CONTINUE has been sent, from where the client stands or from where it says that it does (CHN-9)."""
        self.quietly = self.quiet
        self.paused = self.quiet = False
        if claim == self.stands:
            self._awaits = claim
            self._crossed |= not self.quietly
            return
        self.honest = False
        began, given = self._began, self._given
        assert began is not None
        assert given is not None
        if not self._moved and (claim.epoch != began.epoch or claim.offset < began.offset):
            claim = began
        if claim.epoch == given.epoch and claim.offset > given.offset:
            claim = given
        self._awaits = claim
