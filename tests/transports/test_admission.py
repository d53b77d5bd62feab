"""Who comes in and when the others try again: the policy alone, and ten thousand clients that obey it."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import Counter
from heapq import heapify, heappop, heappush
from math import inf
from typing import TYPE_CHECKING

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser import Config
from hawser.client.reconnect import ReconnectPolicy
from hawser_transports.admission import LONGEST_SECONDS, Admission

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def dice(seed: int = 7) -> Callable[[int], bytes]:
    return random.Random(seed).randbytes


def busiest(times: Sequence[float], seconds: float = 1.0) -> int:
    """The most of some rising times that lie within so many seconds, their end left out."""
    return max((index - bisect_right(times, at - seconds) for index, at in enumerate(times, 1)), default=0)


def test_so_many_come_in_within_any_second_and_no_more() -> None:
    admission = Admission(50, dice())
    entered = [at / 1_000 for at in range(5_000) if admission.enters(at / 1_000)]
    assert busiest(entered) == 50
    assert len(entered) == 250


@given(rate=st.floats(0.05, 500), gaps=st.lists(st.floats(0, 3), max_size=80), last=st.lists(st.booleans(), max_size=9))
def test_the_rate_holds_whoever_comes_and_whenever(rate: float, gaps: list[float], last: list[bool]) -> None:
    admission = Admission(rate, dice())
    now = 0.0
    entered: list[float] = []
    for index, gap in enumerate(gaps):
        now += gap
        if admission.enters(now, last=bool(last) and last[index % len(last)]):
            entered.append(now)
    count = max(1, int(rate))
    assert busiest(entered, count / rate) <= count


def test_a_rate_below_one_a_second_lets_one_in_for_each_of_its_periods() -> None:
    admission = Admission(0.25, dice())
    assert [at for at in range(10) if admission.enters(at)] == [0, 4, 8]


def test_without_a_rate_everybody_comes_in() -> None:
    admission = Admission(inf, dice())
    assert all(admission.enters(0, last=True) for _ in range(100_000))
    assert admission.turn(0) == admission.turn(0) == 1  # for those who are refused for another reason


def test_the_last_fifth_is_for_those_who_come_first() -> None:
    admission = Admission(100, dice())
    assert sum(admission.enters(0, last=True) for _ in range(200)) == 80
    assert sum(admission.enters(0.5) for _ in range(200)) == 20
    assert sum(admission.enters(1.2, last=True) for _ in range(200)) == 60
    assert sum(admission.enters(1.2) for _ in range(200)) == 20


def test_turns_follow_each_other_at_four_fifths_of_the_rate() -> None:
    admission = Admission(200, dice())
    turns = [admission.turn(10) for _ in range(1_600)]
    assert turns == pytest.approx([1 + index / 160 for index in range(1_600)])
    assert admission.turn(50) == 1  # nobody is waited for any more


def test_beyond_the_longest_turn_they_are_drawn_from_its_second_half() -> None:
    admission = Admission(10, dice())
    turns = [admission.turn(0) for _ in range(3_000)]
    assert max(turns) <= LONGEST_SECONDS
    beyond = turns[(59 * 8) + 1 :]
    assert min(beyond) >= LONGEST_SECONDS / 2
    tenths = Counter(int((turn - 30) // 6) for turn in beyond)
    assert len(tenths) == 5
    assert min(tenths.values()) > 400


def test_whole_seconds_are_rounded_by_chance_and_never_zero() -> None:
    admission = Admission(200, dice())
    turns = Counter(admission.whole_turn(0) for _ in range(1_600))
    assert min(turns) == 1
    assert max(turns) == 11
    assert all(130 <= turns[second] <= 190 for second in range(2, 10))


# ---------------------------------------------------------------- ten thousand clients


@attrs.define
class Herd:
    """Clients that have all lost their connection at once, each with a real policy, on a clock of its own."""

    clients: int
    seed: int
    admission: Admission
    attaches: Admission
    resuming: float = 0.0
    """The share that resumes a session."""
    came: list[float] = attrs.field(factory=list[float])
    entered: list[float] = attrs.field(factory=list[float])
    resumed: list[float] = attrs.field(factory=list[float])
    tries: list[int] = attrs.field(factory=list[int])

    def run(self) -> None:
        """Let them all try until each is in."""
        rng = random.Random(self.seed)
        policies = [ReconnectPolicy(rng.randbytes, Config()) for _ in range(self.clients)]
        resuming = [rng.random() < self.resuming for _ in range(self.clients)]
        self.tries = [0] * self.clients
        # A trip there takes up to a fifth of a second: networks differ.
        calendar = [(rng.uniform(0, 0.2), number) for number in range(self.clients)]
        heapify(calendar)
        while calendar:
            now, number = heappop(calendar)
            self.came.append(now)
            self.tries[number] += 1
            policies[number].begun()
            spread = self._spread(now, resuming=resuming[number])
            if spread is None:
                self.entered.append(now)
                if resuming[number]:
                    self.resumed.append(now)
                continue
            pause = policies[number].pause_after(
                attached=False, progressed=False, closed_by_server=True, spread_seconds=spread
            )
            heappush(calendar, (now + pause + rng.uniform(0, 0.2), number))

    def _spread(self, now: float, *, resuming: bool) -> tuple[float, float] | None:
        """What the server answers: as the listener does with 503, and the node with CLOSE."""
        if not self.admission.enters(now):
            whole = self.admission.whole_turn(now)
            return (whole, whole + 1)
        if not self.attaches.enters(now, last=not resuming):
            turn = self.attaches.turn(now)
            return (turn, turn + 1)
        return None

    def histogram(self, seconds: float = 5.0) -> str:
        """How many came and how many got in, in each of some periods."""
        came = Counter(int(at // seconds) for at in self.came)
        entered = Counter(int(at // seconds) for at in self.entered)
        rows = [
            f"{period * seconds:4.0f} s {came[period]:6} came {entered[period]:5} in {'#' * (entered[period] // 20)}"
            for period in range(max(came) + 1)
        ]
        return "\n".join(["", *rows])


def a_herd(clients: int, *, resuming: float = 0.0, seed: int = 1) -> Herd:
    herd = Herd(clients, seed, Admission(200, dice(seed)), Admission(200, dice(seed + 1)), resuming)
    herd.run()
    return herd


@pytest.mark.slow
@pytest.mark.parametrize("resuming", [0.0, 0.5, 1.0])
def test_ten_thousand_at_once_are_all_in_after_a_while_and_never_more_than_the_rate(resuming: float) -> None:
    herd = a_herd(10_000, resuming=resuming)
    assert len(herd.entered) == 10_000
    assert busiest(herd.entered) <= 200, herd.histogram()
    # None comes in faster than 10,000 / 200 = 50 s; turns are 160 a second: 62.5 s.
    assert 50 <= herd.entered[-1] <= 100, herd.histogram()
    # After the first rush those who come back are no second one.
    later = [at for at in herd.came if at > 2]
    assert busiest(later) <= 400, herd.histogram()
    assert sum(herd.tries) / len(herd.tries) <= 3, Counter(herd.tries)
    assert max(herd.tries) <= 8, Counter(herd.tries)


def test_who_resumes_is_in_sooner_than_who_begins() -> None:
    herd = a_herd(2_000, resuming=0.2)
    others = sorted(set(herd.entered) - set(herd.resumed))
    assert sum(herd.resumed) / len(herd.resumed) < sum(others) / len(others), herd.histogram()


def test_a_small_crowd_is_in_at_once() -> None:
    herd = a_herd(150)
    assert herd.entered[-1] <= 0.2
    assert max(herd.tries) == 1
