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
    from tests.runtime.channel_lists import Era, Log, Taste

NOWHERE: Final = Position(bytes(8), 0)


class Place(Dues):
    """Where a pattern stands in one of its channels."""

    def __init__(self, log: Log, taste: Taste) -> None:
        super().__init__(log, taste)
        self.apart = False
        """Whether the session subscribes to the channel itself, so that it is none of the pattern's (WLD-4)."""
        self.asked = False
        """Whether it has asked to."""
        self.epoch, self._high = log.end.epoch, log.end.offset
        self._low = log.era.heard  # what the server learns of only afterwards may come (WLD-2)
        self._told = False  # whether the server has surely heard of the channel since the pattern began

    @property
    def served(self) -> bool:
        return not self.apart

    @property
    def _era(self) -> Era:
        return self.log.eras[self.epoch]

    def stands(self, epoch: bytes, low: int, high: int) -> None:
        """It stands somewhere from here to there."""
        self.epoch, self._low, self._high = epoch, low, high

    def may_stand(self, end: Position) -> None:
        """It stands anywhere from where it stood up to here."""
        low = self._low if end.epoch == self.epoch else 0
        self.stands(end.epoch, low, end.offset)

    @property
    def settled(self) -> bool:
        """Whether it has had everything."""
        end = self.log.end
        after = self._high if end.epoch == self.epoch else 0
        return not self.apart and not self.log.eras[end.epoch].wanted(self.taste, after, end.offset)

    def publication(self, epoch: bytes, offset: int, number: int) -> None:
        """WLD-5: in order, and nothing left out silently but what is not for it, or was replaced."""
        assert not self.apart, "it is none of the pattern's"
        log = self.log
        era = log.eras[epoch]
        item = era.item(offset)
        assert item.number == number
        assert self.taste.wants(item), f"{item} is not for {self.taste}"
        assert self.taste.takes(item), f"{item} is too long for {self.taste}"
        if epoch != self.epoch:  # its publications tell a new epoch
            assert log.place(epoch) > log.place(self.epoch)
            self._move(epoch)
        assert offset > self._low, "once, in order, and nothing from before"
        self._pass_over(offset - 1)
        self.stands(epoch, offset, offset)
        self._told = True

    def gap(self, since: Position | None, position: Position, reason: int) -> None:
        """WLD-5, CHN-5: nothing is lost but what had to be."""
        assert not self.apart, "it is none of the pattern's"
        assert since is not None
        said = f"a GAP after {since}, and it stands at {self.epoch!r}, {self._low} to {self._high}"
        if since.epoch != self.epoch:
            assert self.log.place(since.epoch) > self.log.place(self.epoch), said
            self._move(since.epoch)
        assert since.offset >= self._low, said
        self._pass_over(since.offset)
        if self.asked and reason == GapReason.OVERFLOW:
            self.end()  # what comes next goes to the session's own subscription, which may begin anywhere
        else:
            check_gap(self.log, self.taste, since, position, reason)
        if since.epoch == position.epoch:
            self.check_lost(self._era.wanted(self.taste, since.offset, position.offset))
        self.stands(position.epoch, position.offset, position.offset)
        self._told = True

    def _move(self, epoch: bytes) -> None:
        """A new epoch is told by what comes of it."""
        self.stands(epoch, 0, 0)

    def _pass_over(self, offset: int) -> None:
        era = self._era
        missing = [each for each in era.wanted(self.taste, self._high, offset) if each not in era.replaced]
        if not self._told:  # what was not reported of a channel of which nothing was: nobody could know
            missing = [each for each in missing if any(era.item(one).reported for one in range(self._low + 1, each))]
        assert not missing, f"{missing} left out before {offset + 1}, and no word of it"
        self.check_lost(era.wanted(self.taste, self._high, offset))

    def fleeting(self, position: Position, number: int, tag: str) -> None:
        """WLD-5: in its place."""
        assert self.taste.passes(tag)
        newer = self.log.place(position.epoch) > self.log.place(self.epoch)
        if newer or (position.epoch == self.epoch and position.offset >= self._low):
            self.took(number)

    def taken(self, ear: Ear) -> None:
        """From here on the channel is the session's own (WLD-4): the pattern has had what lies before."""
        position = ear.stands
        if position.epoch == self.epoch and position.offset > self._high:
            self._pass_over(position.offset)
        self.apart = True
        self.end()

    def returned(self, ear: Ear) -> None:
        """The session has left the channel: the pattern goes on from where it stood there (WLD-4)."""
        self.apart, self.asked, self._told = False, False, True
        if ear.honest and not ear.misplaced:
            self.stands(ear.stands.epoch, ear.stands.offset, ear.passed_over)
        else:
            self.stands(ear.stands.epoch, 0, self.log.eras[ear.stands.epoch].top)


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
            place.may_stand(place.log.end)
            if self._at_ease and not place.apart and self._troubles[name] == place.log.troubles:
                place.begin()

    def lost(self) -> None:
        """WLD-6: anything may be missing; never where it keeps up everywhere."""
        assert not all(place.keeps_up for place in self.places.values()), "it keeps up, and loses everything"
        for place in self.places.values():
            place.end()
            if not place.apart:
                place.may_stand(place.log.end)
