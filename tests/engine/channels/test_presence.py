"""Presence against a plain model: whoever applies the list and the steps holds exactly the members (SPEC PRS)."""

from __future__ import annotations

import attrs
import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from hawser_engine.channels.attendance import Attendance, Writing
from hawser_engine.channels.roll import PIECE_BYTES, Manner, Roll, Watcher
from hawser_engine.messages import decode_message
from hawser_engine.presence import Changes, Member, Members

CHANNEL = "room:lobby"
GRACE = 10.0


def member(number: int, info: bytes = b"") -> Member:
    return Member(b"%d" % number, f"user{number}", info)


@attrs.define
class Reader:
    """A client: it applies what it is sent, and complains of whatever does not follow."""

    watcher: Watcher = attrs.field(factory=Watcher)
    version: int = -1
    total: int = 0
    members: dict[bytes, Member] | None = None
    collected: list[Member] | None = None
    received: list[bytes] = attrs.field(factory=list[bytes])

    def read(self, roll: Roll, limit: int = 1_000) -> None:
        for _ in range(limit):
            body = roll.upcoming(self.watcher)
            if body is None:
                break
            self.take(body)
            roll.sent(self.watcher)
        else:
            if roll.upcoming(self.watcher) is not None:
                roll.refused(self.watcher)

    def take(self, body: bytes) -> None:
        self.received.append(body)
        message = decode_message(body)
        match message:
            case Members():
                assert self.collected is None or self.version == message.version
                self.version, self.total = message.version, message.total
                if message.members is None:
                    assert not message.more
                    self.members = self.collected = None
                    return
                self.collected = [*(self.collected or []), *message.members]
                if not message.more:
                    self.members = {entry.member: entry for entry in self.collected}
                    assert len(self.members) == len(self.collected)
                    self.collected = None
            case Changes():
                assert self.collected is None
                assert message.version == self.version + 1
                self.version, self.total = message.version, message.total
                names = [entry.member for entry in message.here] + list(message.gone)
                assert len(set(names)) == len(names)
                if self.members is None:
                    assert not names
                    return
                self.members |= {entry.member: entry for entry in message.here}
                for name in message.gone:
                    del self.members[name]
            case _:
                raise AssertionError(message)
        if self.members is not None and self.collected is None:
            assert len(self.members) == self.total

    def knows(self, roll: Roll) -> bool:
        listed = self.members is None or self.members == roll.members
        return listed and self.total == len(roll.members)


def roll_of(listed_max: int = 1_000, listed_again: int = 800, steps_max: int = 64) -> Roll:
    return Roll(CHANNEL, Manner(1.0, listed_max, listed_again, steps_max))


def settle(roll: Roll, now: float) -> float:
    """Let the time come for whatever is to be told."""
    while (due := roll.next_step()) is not None:
        now = max(now, due)
        assert roll.step(now)
    return now


class PresenceMachine(RuleBasedStateMachine):
    """Sessions of one node that come and go, a broker that loses its leases, and watchers that read when they can."""

    @initialize(
        listed_max=st.integers(1, 8),
        below=st.integers(0, 7),
        steps_max=st.integers(1, 4),
        bytes_max=st.integers(0, 200),
    )
    def begin(self, listed_max: int, below: int, steps_max: int, bytes_max: int) -> None:
        manner = Manner(1.0, listed_max, max(0, listed_max - below), steps_max, bytes_max)
        self.now = 0.0
        self.steps_max = steps_max
        self.attendance = Attendance(GRACE)
        self.roll = Roll(CHANNEL, manner)
        self.readers = [Reader() for _ in range(3)]
        # The model: what each session says, and since when it is without a link.
        self.said: dict[bytes, Member] = {}
        self.away: dict[bytes, float] = {}

    @rule(number=st.integers(0, 9), info=st.binary(max_size=2))
    def enters(self, number: int, info: bytes) -> None:
        self.said[b"%d" % number] = member(number, info)
        self.attendance.enter(CHANNEL, member(number, info))

    @rule(number=st.integers(0, 9))
    def leaves(self, number: int) -> None:
        self.said.pop(b"%d" % number, None)
        self.attendance.leave(CHANNEL, b"%d" % number)

    @rule(number=st.integers(0, 9))
    def ends(self, number: int) -> None:
        self.said.pop(b"%d" % number, None)
        self.away.pop(b"%d" % number, None)
        self.attendance.ended(b"%d" % number)

    @rule(number=st.integers(0, 9))
    def loses_its_link(self, number: int) -> None:
        self.away.setdefault(b"%d" % number, self.now)
        self.attendance.detached(b"%d" % number, self.now)

    @rule(number=st.integers(0, 9))
    def comes_back(self, number: int) -> None:
        self.away.pop(b"%d" % number, None)
        self.attendance.attached(b"%d" % number)

    @rule(seconds=st.sampled_from([0.1, 0.5, 1.0, 4.0, 10.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.attendance.handle_timeout(self.now)
        self.roll.step(self.now)

    @rule(limit=st.integers(1, 5), fails=st.booleans(), arrives=st.booleans())
    def writes(self, limit: int, fails: bool, arrives: bool) -> None:
        writings = self.attendance.take(limit)
        if arrives or not fails:
            self.arrive(writings)
        if fails:
            self.attendance.failed(writings)

    @rule()
    def the_lease_expires(self) -> None:
        self.roll.replace(())
        self.attendance.expired()

    @rule(index=st.integers(0, 2), limit=st.integers(1, 3))
    def reads(self, index: int, limit: int) -> None:
        self.readers[index].read(self.roll, limit)

    @rule(index=st.integers(0, 2))
    def asks_for_a_new_list(self, index: int) -> None:
        self.readers[index] = Reader()

    def arrive(self, writings: list[Writing]) -> None:
        for writing in writings:
            if writing.entry is None:
                self.roll.leave(writing.member)
            else:
                self.roll.enter(writing.entry)

    @invariant()
    def nothing_is_kept_beyond_its_bounds(self) -> None:
        steps, waiting = self.roll.load
        assert steps <= self.steps_max
        assert waiting <= 10

    def teardown(self) -> None:
        if not hasattr(self, "roll"):
            return
        self.arrive(self.attendance.take(1_000))
        present = {name: entry for name, entry in self.said.items() if self.now - self.away.get(name, self.now) < GRACE}
        assert self.roll.members == present
        settle(self.roll, self.now)
        for reader in self.readers:
            reader.read(self.roll)
            assert reader.knows(self.roll)


TestPresence = pytest.mark.slow(PresenceMachine.TestCase)


def test_what_changes_back_within_a_second_is_never_told() -> None:
    """SPEC PRS-8."""
    roll, reader = roll_of(), Reader()
    roll.enter(member(1))
    assert roll.step(0.0)
    reader.read(roll)
    roll.enter(member(2))
    assert not roll.step(0.9)
    roll.leave(member(2).member)
    roll.enter(member(1, b"x"))
    roll.enter(member(1))

    assert roll.next_step() is None
    assert roll.load == (1, 0)
    assert not roll.step(5.0)
    reader.read(roll)
    assert len(reader.received) == 1


def test_the_first_change_after_a_while_is_told_at_once() -> None:
    """SPEC PRS-8."""
    roll = roll_of()
    roll.enter(member(1))
    assert roll.step(7.0)
    roll.enter(member(2))
    assert roll.next_step() == 8.0
    assert not roll.step(7.9)
    assert roll.step(8.0)


def test_a_list_and_a_step_of_many_come_in_pieces() -> None:
    """SPEC PRS-4, PRS-8."""
    roll, early, late = roll_of(), Reader(), Reader()
    early.read(roll)
    assert early.members == {}
    roll.replace(member(number, b"x" * 500) for number in range(300))
    assert roll.step(0.0)
    for reader in (early, late):
        reader.read(roll)
        assert reader.knows(roll)
        assert len(reader.received) > 4
        assert max(map(len, reader.received)) < PIECE_BYTES + 1_024
    roll.replace(())
    assert roll.step(1.0)
    early.read(roll)
    assert early.members == {}


def test_a_list_that_is_under_way_is_finished_and_what_followed_comes_behind_it() -> None:
    """SPEC PRS-4, PRS-6."""
    roll, reader = roll_of(), Reader()
    roll.replace(map(member, range(200)))
    roll.step(0.0)
    reader.read(roll, 1)
    roll.enter(member(500))
    roll.step(1.0)
    reader.read(roll)
    assert reader.knows(roll)
    assert [type(decode_message(body)) for body in reader.received] == [Members, Members, Changes]


def test_who_has_missed_too_much_gets_a_new_list() -> None:
    """SPEC PRS-6."""
    roll, one, other = roll_of(steps_max=2), Reader(), Reader()
    one.read(roll)
    other.read(roll)
    for number in range(3):
        roll.enter(member(number))
        roll.step(float(number))
        if number:
            one.read(roll)
    other.read(roll)
    assert [type(decode_message(body)) for body in one.received] == [Members, Changes, Changes, Changes]
    assert [type(decode_message(body)) for body in other.received] == [Members, Members]
    assert one.members == other.members == roll.members
    other.watcher.restart()
    other.read(roll)
    assert len(other.received) == 3


def test_a_list_that_could_not_be_sent_is_not_kept_for_its_watcher() -> None:
    roll, reader = roll_of(), Reader()
    roll.enter(member(1))
    now = settle(roll, 0)
    assert roll.upcoming(reader.watcher) is not None
    roll.refused(reader.watcher)
    assert reader.watcher.pieces == ()
    roll.enter(member(2))
    settle(roll, now)
    reader.read(roll)
    assert (len(reader.received), reader.knows(roll)) == (1, True)
    roll.refused(reader.watcher)
    assert reader.watcher.version == roll.version


def test_of_too_many_members_only_the_number_is_told() -> None:
    """SPEC PRS-10."""
    roll, reader = roll_of(listed_max=3, listed_again=1), Reader()
    reader.read(roll)
    totals: list[tuple[int, bool]] = []
    for count in (2, 4, 3, 2, 5, 1, 3):
        roll.replace(map(member, range(count)))
        settle(roll, 0.0)
        reader.read(roll)
        assert reader.knows(roll)
        totals.append((reader.total, reader.members is None))
    assert totals == [(2, False), (4, True), (3, True), (2, True), (5, True), (1, False), (3, False)]


def test_who_is_back_within_the_grace_was_never_away() -> None:
    """SPEC PRS-9."""
    attendance = Attendance(GRACE)
    attendance.enter(CHANNEL, member(1))
    assert attendance.take(10) == [Writing(CHANNEL, b"1", member(1))]
    attendance.detached(b"1", 5.0)
    attendance.detached(b"1", 9.0)
    assert attendance.next_timeout() == 15.0
    attendance.handle_timeout(14.9)
    attendance.attached(b"1")
    assert attendance.next_timeout() is None
    assert not attendance.due

    attendance.detached(b"1", 20.0)
    attendance.handle_timeout(30.0)
    assert attendance.take(10) == [Writing(CHANNEL, b"1", None)]
    attendance.detached(b"1", 31.0)
    assert attendance.next_timeout() is None
    attendance.attached(b"1")
    assert attendance.take(10) == [Writing(CHANNEL, b"1", member(1))]


def test_who_came_and_went_before_it_was_written_was_never_there() -> None:
    attendance = Attendance(GRACE)
    attendance.enter(CHANNEL, member(1))
    attendance.leave(CHANNEL, b"1")
    attendance.leave(CHANNEL, b"1")
    assert attendance.due
    assert attendance.take(10) == []
    assert not attendance.due


def test_saying_the_same_again_is_no_change() -> None:
    attendance = Attendance(GRACE)
    attendance.enter(CHANNEL, member(1))
    attendance.take(10)
    attendance.enter(CHANNEL, member(1))
    assert not attendance.due
    attendance.ended(b"1")
    assert attendance.take(10) == [Writing(CHANNEL, b"1", None)]


def test_what_may_not_be_written_is_written_again() -> None:
    """SPEC PRS-11."""
    attendance = Attendance(GRACE)
    attendance.enter(CHANNEL, member(1))
    attendance.enter("room:other", member(1))
    first = attendance.take(10)
    attendance.failed(first)
    assert attendance.take(10) == first
    attendance.leave("room:other", b"1")
    assert attendance.take(10) == [Writing("room:other", b"1", None)]
    attendance.expired()
    assert attendance.take(10) == [Writing(CHANNEL, b"1", member(1))]


@pytest.mark.slow
def test_ten_thousand_members_and_a_thousand_flaps_a_second_stay_bounded() -> None:
    """SPEC PRS-8, PRS-10; a step a second, whether the members are listed or only counted."""
    for listed_max in (1_000, 20_000):
        roll, reader = roll_of(listed_max=listed_max), Reader()
        roll.replace(map(member, range(10_000)))
        roll.step(0.0)
        reader.read(roll)
        begin, steps = len(reader.received), 0
        for flap in range(20_000):  # twenty seconds of them, and each leaves another one out
            roll.leave(member(flap * 7 % 10_000).member)
            roll.enter(member((flap * 7 - 3_500) % 10_000))
            steps += roll.step(1.0 + flap / 1_000)
            reader.read(roll)
        settle(roll, 21.0)
        reader.read(roll)
        assert steps <= 21
        assert reader.knows(roll)
        changes = len(reader.received) - begin
        assert changes <= (22 if listed_max == 1_000 else 21 * (2_000 // 128 + 1))
