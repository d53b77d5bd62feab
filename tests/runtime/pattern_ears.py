"""A subscription to a pattern, and what it may be told in each of its channels (SPEC WLD-1 to WLD-6).

Nobody says where it stands in a channel, neither when it begins nor when it is passed over: so it is known to stand
somewhere from one offset to another, and whatever comes tells more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from hawser import Position
from hawser_engine.codes import GapReason, SubscribeStatus
from tests.runtime.channel_dues import Dues
from tests.runtime.channel_ears import check_gap

if TYPE_CHECKING:
    from collections.abc import Iterable

    from hawser_engine.messages import ChannelOutcome
    from tests.runtime.channel_ears import Ear
    from tests.runtime.channel_lists import Log, Taste

NOWHERE: Final = Position(bytes(8), 0)


class Place(Dues):
    """Where a pattern stands in one of its channels."""

    def __init__(self, log: Log, taste: Taste) -> None:
        super().__init__(log, taste)
        self.apart = False
        """Whether the session subscribes to the channel itself, so that it is none of the pattern's (WLD-4)."""
        self.asked = False
        """Whether it has asked to."""
        self._low, self._high = log.heard, log.end  # what the server learns of only afterwards may come (WLD-2)
        self._told = False  # whether the server has surely heard of the channel since the pattern began

    @property
    def served(self) -> bool:
        return not self.apart

    def stands(self, low: Position, high: Position) -> None:
        """It stands somewhere from here to there."""
        self._low, self._high = low, high

    @property
    def settled(self) -> bool:
        """Whether it has had everything, and nothing is left of which its server hears only with the next report."""
        return not self.apart and self.log.heard == self.log.end and not self._wanted(self.log.end)

    def publication(self, epoch: bytes, offset: int, number: int) -> None:
        """WLD-5: in order, and nothing left out silently but what is not for it, or was replaced."""
        assert not self.apart, "it is none of the pattern's"
        item = self.log.eras[epoch].item(offset)
        assert item.number == number
        assert self.taste.wants(item), f"{item} is not for {self.taste}"
        assert self.taste.takes(item), f"{item} is too long for {self.taste}"
        place = Position(epoch, offset)
        assert self._order(place) > self._order(self._low), "once, in order, and nothing from before"
        self._pass_over(Position(epoch, offset - 1))
        self.stands(place, place)
        self._told = True

    def gap(self, since: Position | None, position: Position, reason: int) -> None:
        """WLD-5, CHN-5: nothing is lost but what had to be."""
        assert not self.apart, "it is none of the pattern's"
        assert since is not None
        assert self._order(since) >= self._order(self._low), f"a GAP after {since}, and it stands at {self._low}"
        era = self.log.eras.get(since.epoch)
        if era is not None and since.offset <= era.top:  # else its client had claimed to stand there
            self._pass_over(since)
        if self.asked and reason == GapReason.OVERFLOW:
            self.end()  # what comes next goes to the session's own subscription, which may begin anywhere
        else:
            check_gap(self.log, self.taste, since, position, reason)
        if since.epoch == position.epoch:
            self.check_lost(self.log.eras[since.epoch].wanted(self.taste, since.offset, position.offset))
        self.stands(position, position)
        self._told = True

    def lost(self) -> None:
        """WLD-6: what it has not had may be missing."""
        self.end()
        if not self.apart:
            self.stands(self._low, self.log.end)

    def began(self) -> None:
        """WLD-2: it began somewhere up to here."""
        self.stands(self._low, self.log.end)

    def _order(self, place: Position) -> tuple[int, int]:
        return self.log.place(place.epoch), place.offset

    def _wanted(self, until: Position) -> list[int]:
        """What is for it up to a place, in the epoch of that; a new epoch is told by what comes of it (WLD-5)."""
        high, era = self._order(self._high), self.log.eras[until.epoch]
        if self.log.place(until.epoch) < high[0]:
            return []
        return era.wanted(self.taste, high[1] if until.epoch == self._high.epoch else 0, until.offset)

    def _pass_over(self, until: Position) -> None:
        era, wanted = self.log.eras[until.epoch], self._wanted(until)
        missing = [each for each in wanted if each not in era.replaced]
        if not self._told:  # what was not reported of a channel of which nothing was: nobody could know
            after = self._high.offset if self._high.epoch == until.epoch else 0
            missing = [each for each in missing if any(era.item(one).reported for one in range(after + 1, each))]
        assert not missing, f"{missing} left out before {until.offset + 1}, and no word of it"
        self.check_lost(wanted)

    def fleeting(self, position: Position, number: int, tag: str) -> None:
        """WLD-5: in its place."""
        assert self.taste.passes(tag)
        if self._order(position) >= self._order(self._low):
            self.took(number)

    def taken(self, ear: Ear) -> None:
        """From here on the channel is the session's own (WLD-4): the pattern has had what lies before."""
        if ear.stands.epoch == self._high.epoch:
            self._pass_over(ear.stands)
        self.apart = True
        self.end()

    def returned(self, ear: Ear) -> None:
        """The session has left the channel: the pattern goes on from where it stood there (WLD-4)."""
        self.apart, self.asked, self._told = False, False, True
        if ear.honest and not ear.misplaced:
            self.stands(ear.stands, Position(ear.stands.epoch, ear.passed_over))
        else:  # it may have claimed any place that there is
            self.stands(Position(b"anywhere", 0), self.log.end)


class PatternEar:
    """A subscription of one session to a pattern.

    Args:
        logs: The channels that it stands for.
        taste: What of them is for it.
        since: Whether it named a position, which means nothing.
        at_ease: Whether its client has window for whatever is published.
    """

    def __init__(self, logs: Iterable[Log], taste: Taste, *, since: bool, at_ease: bool) -> None:
        self.taste = taste
        self.places = {log.name: Place(log, taste) for log in logs}
        self.began = False
        self._since = since
        self._at_ease = at_ease
        self._troubles = {log.name: log.troubles for log in (place.log for place in self.places.values())}

    def subscribed(self, outcome: ChannelOutcome) -> None:
        """WLD-2."""
        self.began = True
        told = (SubscribeStatus(outcome.status), outcome.position, outcome.reason)
        if self._since:
            assert told == (SubscribeStatus.GAP, NOWHERE, "HISTORY_TOO_SHORT")
        else:
            assert told == (SubscribeStatus.LIVE, NOWHERE, "")
        for name, place in self.places.items():
            place.began()
            if self._at_ease and place.settled and self._troubles[name] == place.log.troubles:
                place.begin()

    def lost(self) -> None:
        """WLD-6: anything may be missing; never where it keeps up everywhere."""
        assert not all(place.keeps_up for place in self.places.values()), "it keeps up, and loses everything"
        for place in self.places.values():
            place.lost()
