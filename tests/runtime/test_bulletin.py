"""What is told of offers against a plain model: whoever has a list, and what is told after it, has what is so."""

from __future__ import annotations

import itertools

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hawser.server.agents import Offering
from hawser.server.bulletin import AWAY, GONE, LIVE, Bulletin, state_of

STEP = 1.0
GRACE = 10.0


@attrs.define(eq=False)
class FakeWorker:
    attached: bool = True
    open_calls: int = 0


def offering(number: int = 1) -> Offering[FakeWorker]:
    return Offering("agent", FakeWorker(), "ada", None, b"", {}, number=number)


class Teller:
    """A bulletin, and everything that it has told: when, of which offer, what."""

    def __init__(self) -> None:
        self.bulletin: Bulletin[FakeWorker] = Bulletin(step_seconds=STEP, grace_seconds=GRACE)
        self.now = 0.0
        self.told: list[tuple[float, int, int, bool]] = []
        self.steps: list[float] = []

    def pass_until(self, moment: float) -> None:
        """Be called whenever it asks for that."""
        while (due := self.bulletin.next_step()) is not None and due <= moment:
            self.now = max(self.now, due)
            changes = self.bulletin.step(self.now)
            assert changes
            self.told += [(self.now, one.offering.number, one.state, one.new) for one in changes]
            self.steps.append(self.now)
        self.now = moment

    def change(self, one: Offering[FakeWorker], *, attached: bool = True, ended: bool = False) -> None:
        one.worker.attached, one.ended = attached, ended
        self.bulletin.changed(one, self.now)


def test_a_lone_change_is_told_at_once_and_what_follows_together() -> None:
    """SPEC AGT-13."""
    teller, offers = Teller(), [offering(number) for number in range(3)]
    for at, one in zip((5.0, 5.1, 5.9), offers, strict=True):
        teller.pass_until(at)
        teller.change(one)
    teller.pass_until(20)
    teller.change(offers[0], ended=True)
    teller.pass_until(20.5)
    assert teller.told == [(5, 0, LIVE, True), (6, 1, LIVE, True), (6, 2, LIVE, True), (20, 0, GONE, False)]
    assert teller.bulletin.next_step() is None


@pytest.mark.parametrize(
    ("back_after", "told"),
    [(GRACE - 0.1, []), (GRACE + 3, [(20 + GRACE, 1, AWAY, False), (23 + GRACE, 1, LIVE, False)])],
)
def test_a_link_that_is_gone_is_told_after_the_grace(
    back_after: float, told: list[tuple[float, int, int, bool]]
) -> None:
    teller, one = Teller(), offering()
    teller.change(one)
    teller.pass_until(20)
    del teller.told[:]
    teller.change(one, attached=False)
    teller.pass_until(20 + back_after)
    teller.change(one)
    teller.pass_until(60)
    assert teller.told == told


def test_a_grace_that_is_over_within_a_step_waits_for_the_next_one() -> None:
    teller, one, other = Teller(), offering(1), offering(2)
    teller.change(one)
    teller.pass_until(20)
    teller.change(one, attached=False)
    teller.pass_until(19.5 + GRACE)
    teller.change(other)
    teller.pass_until(60)
    assert teller.told[1:] == [(19.5 + GRACE, 2, LIVE, True), (19.5 + GRACE + STEP, 1, AWAY, False)]


def test_what_only_a_list_has_shown_is_told_when_it_is_so_no_more() -> None:
    teller, first, passing = Teller(), offering(1), offering(2)
    teller.change(first)
    teller.pass_until(0.5)
    teller.change(passing)
    teller.change(first, attached=False)
    for one in (first, passing):
        teller.bulletin.listed(one)
    teller.change(passing, ended=True)
    teller.change(first)
    teller.pass_until(20)
    assert teller.told[1:] == [(1, 2, GONE, False), (1, 1, LIVE, False)]


class Watching(RuleBasedStateMachine):
    """Offers that come, flap and go, and watchers that begin with a list at any moment."""

    def __init__(self) -> None:
        super().__init__()
        self.teller = Teller()
        self.offers: list[Offering[FakeWorker]] = []
        self.count = 0
        self.lists: list[tuple[int, dict[int, int]]] = []

    @rule(attached=st.booleans())
    def offer(self, attached: bool) -> None:
        self.count += 1
        self.offers.append(offering(self.count))
        self.teller.change(self.offers[-1], attached=attached)

    @precondition(lambda self: self.offers)
    @rule(data=st.data(), again=st.integers(1, 3))
    def flap(self, data: st.DataObject, again: int) -> None:
        one = data.draw(st.sampled_from(self.offers))
        for _ in range(again):
            self.teller.change(one, attached=not one.worker.attached)

    @precondition(lambda self: self.offers)
    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        one = data.draw(st.sampled_from(self.offers))
        self.offers.remove(one)
        self.teller.change(one, attached=one.worker.attached, ended=True)

    @rule()
    def begin(self) -> None:
        for one in self.offers:
            self.teller.bulletin.listed(one)
        self.lists.append((len(self.teller.told), {one.number: state_of(one) for one in self.offers}))

    @rule(seconds=st.sampled_from([0.0, 0.3, STEP, 4.0, GRACE]))
    def wait(self, seconds: float) -> None:
        self.teller.pass_until(self.teller.now + seconds)

    @rule()
    def rest(self) -> None:
        """Whoever began at any moment has what is so, and no more is kept than that."""
        self.teller.pass_until(self.teller.now + GRACE + STEP)
        wanted = {one.number: state_of(one) for one in self.offers}
        for place, shown in [(0, dict[int, int]()), *self.lists]:
            held = dict(shown)
            for _, number, state, new in self.teller.told[place:]:
                if state == GONE:
                    held.pop(number, None)
                elif new or number in held:
                    held[number] = state
            assert held == wanted
        assert self.teller.bulletin.load == len(self.offers)
        assert self.teller.bulletin.next_step() is None

    @invariant()
    def steps_have_room_between_them(self) -> None:
        assert all(later >= earlier + STEP for earlier, later in itertools.pairwise(self.teller.steps))


TestWatching = Watching.TestCase
