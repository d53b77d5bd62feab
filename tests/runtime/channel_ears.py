"""One subscription to a channel, and what it may be told: an ear that knows the list and the clauses.

An ear hears every message of the channel that came to one session, and says for each whether that session could be
told so there: by CHN-1 to CHN-12, SUB-2 to SUB-14, LAT-2 to LAT-6, VOL-2 to VOL-5 and ADR-8. What was published is in
`channel_lists`, what is due to one that keeps up in `channel_dues`. It knows nothing of how the server comes to it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hawser import Position
from hawser_engine.codes import GapReason, SubscribeStatus
from tests.runtime.channel_dues import Dues
from tests.runtime.channel_lists import EVERYTHING

if TYPE_CHECKING:
    from hawser_engine.messages import ChannelOutcome
    from tests.runtime.channel_lists import Item, Log, Rewind, Taste


class Ear(Dues):
    """One subscription of one session, as a client that keeps the rules hears it.

    Args:
        log: The channel.
        taste: What of it is for it.
        since: From where it asked to go on.
        rewind: How far it asked to go back.
        reads: Whether it may read history.
        known: How many publications there had been, of all channels, when it asked.
        at_ease: Whether its client has window for whatever is published.
    """

    def __init__(
        self,
        log: Log,
        taste: Taste,
        *,
        since: Position | None,
        rewind: Rewind | None,
        reads: bool,
        known: int,
        at_ease: bool,
    ) -> None:
        super().__init__(log, taste)
        self.heard: list[int] = []
        """The numbers that it took."""
        self.paused = False
        self.quiet = False
        """Whether nothing is under way any more from before the pause."""
        self.quietly = True
        """Whether nothing was under way any more when it last went on."""
        self._crossed = False
        self.ended = False
        self._since, self._rewind, self._reads, self._known = since, rewind, reads, known
        self._at_ease = at_ease
        self._asked_at, self._asked_heard, self._asked_troubles = log.end, log.heard, log.troubles
        self._asked_floor, self._asked_ms = log.era.floor, log.now_ms
        self._began: Position | None = None
        self._stands: Position | None = None
        self._given: Position | None = None  # the furthest that ever came, taken or not
        self._moved = False  # it was in more epochs than one
        self._awaits: Position | None = None  # what POSITION or GAP has to name before anything is taken again
        self._or_else: Position | None = None  # which may be this instead
        self.honest = True
        """Whether it never said anything else than where it stands, when it went on."""
        self.misplaced = False
        """Whether it said something else when it paused."""

    def __repr__(self) -> str:
        return f"<{self.taste} in {self.log.name!r} at {self._stands}, awaits {self._awaits}, end {self.log.end}>"

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

    @property
    def beyond(self) -> bool:
        """Whether it has claimed to stand where nothing is yet: then it gets nothing until something is."""
        return self.stands.offset > self._top(self.stands)

    def _has_all(self) -> bool:
        here, end = self.stands, self.log.end
        return here.epoch == end.epoch and all(map(self._filtered, range(here.offset + 1, end.offset + 1)))

    @property
    def awaits(self) -> bool:
        """Whether a CONTINUE of it has not been answered yet."""
        return self._awaits is not None

    @property
    def passed_over(self) -> int:
        """How far the server may take it to be: what follows where it stands is not for it."""
        here = self.stands
        return max(each for each in range(here.offset, self._top(here) + 1) if self._accounted(here, each))

    def _top(self, position: Position) -> int:
        return self.log.eras[position.epoch].top

    def _item(self, epoch: bytes, offset: int) -> Item:
        return self.log.eras[epoch].item(offset)

    def _filtered(self, offset: int) -> bool:
        return not self.taste.passes(self._item(self.stands.epoch, offset).tag)

    # ------------------------------------------------------------ what it hears

    def subscribed(self, outcome: ChannelOutcome) -> None:
        """SUB-2, SUB-4, SUB-9 to SUB-11, SUB-14, LAT-6."""
        position, log = outcome.position, self.log
        assert position is not None
        status = SubscribeStatus(outcome.status)
        self._began = self._stands = self._given = position
        end, at_end = self._asked_at, self._since is None and self._rewind is None
        given_anew = self._reads and log.declared.keeps_latest
        if self._at_ease and at_end and not given_anew and log.troubles == self._asked_troubles:
            self.begin()
        heard = self._asked_heard
        if log.end != end or log.era.floor != self._asked_floor or heard != end:
            # It was asked while something was published, became too old, or was not reported: either answer may be.
            assert log.place(position.epoch) >= log.place(heard.epoch)
            assert position.offset <= self._top(position)
            assert not at_end or given_anew or position.epoch != heard.epoch or position.offset >= heard.offset
            return
        while_asked = self._asked_ms, log.now_ms
        floor = self._asked_floor if self._reads else end.offset
        if self._since is None:
            rewind = EVERYTHING if given_anew and at_end else self._rewind
            soonest, latest = (
                end.offset if rewind is None else log.era.rewound(rewind, now_ms) for now_ms in while_asked
            )
            assert (status, position.epoch) == (SubscribeStatus.LIVE, end.epoch)
            assert soonest <= position.offset <= latest
        elif self._since.epoch != end.epoch or self._since.offset > end.offset:
            assert (status, outcome.reason) == (SubscribeStatus.GAP, "EPOCH_CHANGED")
            assert position == Position(end.epoch, floor)
        elif self._since.offset < floor:
            assert (status, outcome.reason) == (SubscribeStatus.GAP, "HISTORY_TOO_SHORT")
            assert position == Position(end.epoch, floor)
        else:
            assert (status, position) == (SubscribeStatus.RECOVERED, self._since)

    def publication(self, epoch: bytes, offset: int, number: int) -> None:
        """CHN-1 to CHN-3, CHN-12, SUB-3, SUB-12, LAT-3, ADR-8."""
        assert self.joined, "nothing of a channel comes before SUBSCRIBED or after UNSUBSCRIBED"
        item = self._item(epoch, offset)
        assert item.number == number
        new = number > self._known or self._is_behind(Position(epoch, offset), self._asked_heard)
        assert self._reads or new, "who may not read history gets nothing from before (SUB-14)"
        assert self.taste.wants(item), f"{item} is not for {self.taste}"
        assert self.taste.takes(item), f"{item} is too long for {self.taste}"
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
            replaced = self.taste.filter is not None and left_out in era.replaced
            assert self._filtered(left_out) or replaced, f"{left_out} left out before {offset}, and no word of it"
        self.check_lost(era.wanted(self.taste, here.offset, offset - 1))
        self._stands = Position(epoch, offset)
        self.heard.append(number)

    def position(self, position: Position) -> None:
        """CHN-4, CHN-9, LAT-3, ADR-8: nothing is left out but what is not for it, or replaced."""
        assert self.joined
        assert not self.quiet
        if self._awaits is not None and not self.paused:
            # Whoever says where it really stands is taken at its word. Another one has nothing under way.
            named = [each for each in (self._awaits, self._or_else) if each is not None]
            if position in named or (self.quietly and any(self._reaches(each, position) for each in named)):
                self._awaits, self._stands = None, position
                self._note(position)
            return
        self._note(position)
        if not self.paused and not self._comes_again(position):
            here = self.stands
            assert position.epoch == here.epoch
            assert position.offset >= here.offset
            assert self._accounted(here, position.offset), f"POSITION passes over what is for it: {here}, {position}"
            self.check_lost(self.log.eras[here.epoch].wanted(self.taste, here.offset, position.offset))
            self._stands = position

    def gap(self, since: Position | None, position: Position, reason: int) -> None:
        """CHN-3, CHN-5, CHN-7, CHN-11, CHN-12, OVF-1: nothing is lost but what had to be."""
        assert self.joined
        assert not self.quiet
        assert since is not None
        self._moved |= since.epoch != position.epoch
        self._note(position)
        if self.paused or (self._awaits is not None and since not in (self._awaits, self._or_else)):
            return
        if self._comes_again(position):
            return
        if self._awaits is None and not self._comes_again(since):
            assert self._reaches(self.stands, since), f"a GAP after {since}, and the client stands at {self.stands}"
        self._awaits = None
        check_gap(self.log, self.taste, since, position, reason)
        if since.epoch == position.epoch:
            self.check_lost(self.log.eras[position.epoch].wanted(self.taste, since.offset, position.offset))
        self._stands = position

    def fleeting(self, position: Position, number: int, tag: str) -> None:
        """VOL-4, VOL-5: a client takes it only in its place."""
        assert self.joined
        assert self.taste.passes(tag)
        assert not self.quiet
        if self.paused or self._awaits is not None or position.epoch != self.stands.epoch:
            return
        if position == self.stands or (self.taste.filter is not None and position.offset > self.stands.offset):
            self.took(number)

    def unsubscribed(self) -> None:
        self.ended = True

    def _is_behind(self, position: Position, heard: Position) -> bool:
        """Whether the server had heard of something, and not yet of what is at a position (CHN-15)."""
        now, before = self.log.place(position.epoch), self.log.place(heard.epoch)
        return now > before or (now == before and position.offset > heard.offset)

    def _comes_again(self, position: Position) -> bool:
        """Whether it took this before, for it was under way when it went on: the server begins from there again."""
        here, place = self.stands, self.log.place
        before, now = place(position.epoch), place(here.epoch)
        if not self._crossed or before < 0 or now < 0:
            return False
        return before < now or (before == now and position.offset <= here.offset)

    def _reaches(self, here: Position, there: Position) -> bool:
        """Whether the server may take a client that stands here to stand there: passed over, and not told so."""
        if here == there:
            return True
        return self.taste.filter is not None and here.epoch == there.epoch and self._accounted(here, there.offset)

    def _accounted(self, here: Position, offset: int) -> bool:
        era = self.log.eras[here.epoch]
        missing = era.wanted(self.taste, here.offset, offset)
        return here.offset <= offset <= era.top and set(missing) <= era.replaced

    def _note(self, position: Position) -> None:
        given, place = self._given, self.log.place
        assert given is not None
        if position.epoch == given.epoch:
            self._given = max(given, position, key=lambda each: each.offset)
        elif place(position.epoch) > place(given.epoch):
            self._given = position

    # ------------------------------------------------------------ what it says

    def pause(self, claim: Position) -> None:
        """PAUSE is sent, which names a position as CONTINUE does."""
        self.paused = True
        self.misplaced = claim != self.stands
        self.end()

    def go_on(self, claim: Position) -> None:
        """CONTINUE has been sent, from where the client stands or from where it says that it does (CHN-9)."""
        self.quietly = self.quiet
        self.paused = self.quiet = self.misplaced = False
        if claim == self.stands:
            self._awaits, self._or_else = claim, None
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
        self._awaits, self._or_else = claim, None
        if claim.epoch != given.epoch and claim.epoch == self.log.end.epoch:
            self._or_else = given  # if the server knows of that epoch, it knows that this client was not told


def check_gap(log: Log, taste: Taste, since: Position, position: Position, reason: int) -> None:
    """Whether what lies between two positions had to be lost (CHN-5, CHN-7, CHN-11, CHN-12)."""
    era, declared = log.eras[position.epoch], log.declared
    era.forget(log.now_ms)
    floor = era.floor_of_slow
    said = f"{GapReason(reason).name} from {since} to {position}; what waits begins behind {floor}"
    if reason == GapReason.EPOCH_CHANGED:
        assert log.place(since.epoch) < log.place(position.epoch), said
        assert position.offset <= floor, said
        return
    assert since.epoch == position.epoch, said
    assert since.offset < position.offset, said
    if position.offset <= floor and (reason == GapReason.HISTORY_TOO_SHORT or declared.drops_oldest):
        return
    assert reason == GapReason.OVERFLOW, said
    assert not taste.takes(era.item(position.offset)), said
    missing = era.wanted(taste, since.offset, position.offset - 1)
    assert set(missing) <= era.replaced, f"{said}; only what is too long is left out, not {missing}"
