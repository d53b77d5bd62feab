"""The state of one channel on a node: what is reported, who is where in it, what is delivered to whom (SPEC CHN)."""

from math import inf

import pytest

from hawser_engine.channels.channel import Channel
from hawser_engine.channels.chunks import CHUNK_MESSAGES, Chunk, Fleeting
from hawser_engine.channels.entries import Entry, Retention, told
from hawser_engine.channels.memberships import Membership, Mode
from hawser_engine.channels.overflow import Overflow
from hawser_engine.messages import About, Kept, Position, PositionNotice, Publication
from tests.engine.channels.outlets import EPOCH, OTHER, Declared, Reader, entries, next_chunk

READERS = 1_000


def publications(reader: Reader) -> list[Publication]:
    return [message for message in reader.told if isinstance(message, Publication)]


def joined(declared: Declared | None = None, ring: int = 100) -> Channel:
    channel = Channel("room", Declared(Retention(100)) if declared is None else declared, Retention(ring))
    channel.joined(Position(EPOCH, 0))
    return channel


@pytest.mark.parametrize("overflow", Overflow)
def test_the_hot_loop_asks_a_stalled_one_once_and_passes_on(overflow: Overflow) -> None:
    """Whatever the policy: every other member gets every chunk, in order, in the same pass."""
    channel = joined(Declared(Retention(100), overflow))
    served: list[Reader] = []
    readers = [Reader(room=0 if number == READERS // 2 else inf, served=served) for number in range(READERS)]
    members = [member for reader in readers if (member := channel.enter(reader, channel.position)) is not None]
    last = 3 * CHUNK_MESSAGES
    channel.report(EPOCH, [Entry(offset, b"x", 0) for offset in range(1, last + 1)])
    channel.report(EPOCH, [Entry(last, b"x", 0, volatile=True)])
    for chunk in channel.chunks:
        if isinstance(chunk, Fleeting):
            channel.deliver_volatile(members, chunk, 0.0)
        else:
            channel.deliver(members, chunk, 0.0)
    stalled, member = readers[READERS // 2], members[READERS // 2]
    assert [message.offset for message in publications(readers[0])] == list(range(1, last + 1))
    for reader in readers:
        if reader is not stalled:
            assert (reader.taken, reader.volatile) == (readers[0].taken, 1)
    assert served[:READERS] == readers  # it was not waited for: whoever stands behind it is served in the same pass
    assert (stalled.taken, stalled.volatile, served.count(stalled)) == ([], 0, 1)
    assert (member.mode, member.offset) == (Mode.BEHIND, 0)
    counts = channel.counts
    assert (counts.behind, counts.volatile_sent, counts.volatile_dropped) == (1, READERS - 1, 1)


def test_what_is_reported_before_the_join_is_answered_waits_for_it() -> None:
    """The answer says from where on it counts."""
    channel = Channel("room", Declared(), Retention(100))
    channel.report(EPOCH, entries(3, 4))
    assert (channel.dirty, channel.joined_at_broker) == (False, False)
    channel.joined(Position(EPOCH, 3))
    channel.seal()
    chunk = next_chunk(channel)
    assert (chunk.first, chunk.last, channel.position, channel.dirty) == (3, 4, Position(EPOCH, 4), False)


def test_what_was_reported_already_is_not_taken_again() -> None:
    channel = joined()
    channel.report(EPOCH, entries(1, 3))
    channel.report(EPOCH, entries(2, 4))
    channel.seal()
    chunk = next_chunk(channel)
    assert (chunk.first, chunk.last) == (1, 4)


def test_a_report_that_was_lost_begins_a_chunk_of_its_own() -> None:
    """SPEC CHN-3: nobody is given what does not follow what it has."""
    channel, reader = joined(), Reader()
    member = channel.enter(reader, channel.position)
    assert member is not None
    channel.report(EPOCH, entries(1, 2))
    channel.report(EPOCH, entries(4, 5))
    channel.seal()
    for _ in range(2):
        channel.deliver([member], next_chunk(channel), 0.0)
    assert [message.offset for message in publications(reader)] == [1, 2]
    assert (member.mode, member.offset, reader.fed) == (Mode.BEHIND, 2, 1)


def test_a_channel_that_was_not_reported_so_far_has_nobody_up_to_date() -> None:
    """SPEC CHN-15."""
    channel = joined()
    members = [channel.enter(Reader(), channel.position) for _ in range(2)]
    one, ahead = members
    assert one is not None
    assert ahead is not None
    ahead.offset = 7  # fed from history, which knows more than was reported
    channel.missed(Position(EPOCH, 7))
    assert (one.mode, ahead.mode, channel.position) == (Mode.BEHIND, Mode.LIVE, Position(EPOCH, 7))
    channel.missed(Position(EPOCH, 5))
    assert channel.position == Position(EPOCH, 7)


def test_what_waits_is_given_before_what_was_missed_behind_it_is_fed() -> None:
    """SPEC CHN-3: it was reported, and no policy for those who are behind touches it (OVF-1)."""
    channel, reader = joined(), Reader()
    member = channel.enter(reader, channel.position)
    assert member is not None
    channel.report(EPOCH, entries(1, 2))
    assert channel.missed(Position(EPOCH, 3)) == Position(EPOCH, 2)
    [chunk] = channel.chunks
    assert isinstance(chunk, Chunk)
    channel.deliver([member], chunk, 0.0)
    assert [message.offset for message in publications(reader)] == [1, 2]
    assert (member.mode, member.offset, reader.fed) == (Mode.LIVE, 2, 0)
    channel.delivered()
    assert (member.mode, member.offset, reader.fed) == (Mode.BEHIND, 2, 1)


def test_a_new_epoch_that_was_not_reported_is_told_at_once() -> None:
    """SPEC CHN-11: also where something of the one before waits; its reports then are of the present epoch."""
    channel, reader = joined(), Reader()
    member = channel.enter(reader, channel.position)
    assert member is not None
    channel.report(EPOCH, entries(1, 1))
    channel.missed(Position(b"newepoch", 1))
    assert (member.mode, member.offset, reader.fed) == (Mode.BEHIND, 0, 1)


def test_who_has_caught_up_is_given_what_comes_next_as_it_comes() -> None:
    """What waits it has had already, so what comes is in a chunk of its own: it would else become behind again."""
    channel, reader = joined(), Reader()
    member = channel.enter(reader, channel.position)
    assert member is not None
    member.fall_behind()
    channel.report(EPOCH, entries(1, 2))
    member.offset = 2  # fed from history, which has what is reported
    assert channel.catch_up(member)
    channel.report(EPOCH, entries(3, 3))
    channel.seal()
    for _ in range(2):
        channel.deliver([member], next_chunk(channel), 0.0)
    assert [message.offset for message in publications(reader)] == [3]
    assert (member.mode, member.offset) == (Mode.LIVE, 3)


def test_a_new_epoch_is_the_feeders_to_tell() -> None:
    """SPEC CHN-11: whoever was live is behind, and was not slow."""
    channel, readers = joined(Declared(overflow=Overflow.DROP_OLDEST)), [Reader(), Reader()]
    live, paused = [channel.enter(reader, channel.position) for reader in readers]
    assert live is not None
    assert paused is not None
    paused.pause(Position(EPOCH, 0))
    channel.report(EPOCH, entries(1, 1))
    channel.report(OTHER, entries(1, 2))
    assert (live.mode, paused.mode, channel.counts.behind) == (Mode.BEHIND, Mode.PAUSED, 1)
    assert [entry.offset for entry in channel.ring_history(0, 10).entries] == [1, 2]


def test_the_ring_keeps_the_newest_and_says_from_where_on() -> None:
    """SPEC CHN-7."""
    channel = joined(Declared(overflow=Overflow.DROP_OLDEST), ring=3)
    assert channel.ring_history(0, 10).first == 1
    channel.report(EPOCH, entries(1, 5))
    history = channel.ring_history(0, 2)
    assert (history.top, history.first) == (Position(EPOCH, 5), 3)
    assert [entry.offset for entry in history.entries] == [3, 4]
    small = Channel("room", Declared(overflow=Overflow.DROP_OLDEST), Retention(100, bytes=10))
    small.joined(Position(EPOCH, 0))
    small.report(EPOCH, entries(1, 3, size=8))
    assert small.ring_history(0, 10).first == 3


def test_one_that_is_too_long_for_a_volatile_packet_is_dropped() -> None:
    """SPEC VOL-3."""
    channel = joined()
    channel.report(EPOCH, [Entry(0, bytes(70_000), 0, volatile=True)])
    assert not channel.chunks
    channel.report(OTHER, [Entry(0, b"x", 0, volatile=True)])
    [fleeting] = channel.chunks
    assert isinstance(fleeting, Fleeting)
    assert channel.position == Position(OTHER, 0)


def test_members_leave_from_any_place() -> None:
    channel = joined()
    first, second, third = [channel.enter(Reader(), channel.position) for _ in range(3)]
    assert first is not None
    assert second is not None
    assert third is not None
    channel.leave(first)
    assert channel.members == [third, second]
    channel.leave(second)
    channel.leave(third)
    assert (channel.deserted, channel.size, third.active) == (True, 0, False)


def test_long_publications_are_chunks_of_their_own() -> None:
    """One of several parts is in no batch: only the feeder gives it."""
    channel, reader = joined(), Reader(message_bytes=200_000)
    member = channel.enter(reader, channel.position)
    assert member is not None
    channel.report(EPOCH, [*entries(1, 2, size=40_000), *entries(3, 3, size=100_000), *entries(4, 4)])
    channel.seal()
    chunks = [next_chunk(channel) for _ in range(4)]
    assert [chunk.batch is None for chunk in chunks] == [False, False, True, False]
    for chunk in chunks:
        channel.deliver([member], chunk, 0.0)
    assert (member.mode, member.offset) == (Mode.BEHIND, 2)


@pytest.mark.parametrize("room", [0, inf])
def test_who_is_spared_is_told_where_it_stands_and_all_others_get_it(room: float) -> None:
    """SPEC ADR-8: in a chunk of its own; without window the feeder tells it."""
    channel, me, other = joined(), Reader(room=room), Reader()
    member = channel.enter(me, channel.position)
    beside = channel.enter(other, channel.position)
    assert member is not None
    assert beside is not None
    spares = Entry(2, b"x", 0, Kept("ada", None, {"a": "b"}, None, ("me",)))
    channel.report(EPOCH, [*entries(1, 1), spares, *entries(3, 3)])
    channel.seal()
    first, second, third = [next_chunk(channel) for _ in range(3)]
    assert [chunk.spared for chunk in (first, second, third)] == [(), ("me",), ()]
    member.offset = 1
    channel.spare(member, second, 0.0)
    channel.spare(member, second, 0.0)  # once is enough
    for chunk in (first, second, third):
        channel.deliver([member, beside], chunk, 0.0)
    assert [message.offset for message in publications(other)] == [1, 2, 3]
    if room:
        assert [type(message) for message in me.told] == [PositionNotice, Publication]
        assert (member.mode, member.offset) == (Mode.LIVE, 3)
    else:
        assert (member.mode, member.offset, me.fed) == (Mode.BEHIND, 1, 4)


def test_a_channel_of_a_pattern_alone_is_up_to_date_until_something_waits() -> None:
    channel = Channel("room", Declared(), Retention(100))
    channel.visit(Position(EPOCH, 4))
    assert (channel.accounted, channel.joined_at_broker) == (Position(EPOCH, 4), False)
    assert channel.up_to_date(Position(EPOCH, 4))
    channel.report(EPOCH, entries(5, 5))
    assert not channel.up_to_date(Position(EPOCH, 5))
    channel.seal()
    next_chunk(channel)
    assert channel.up_to_date(Position(EPOCH, 5))
    assert not channel.up_to_date(Position(EPOCH, 4))


def test_what_begins_in_the_past_comes_from_history_and_what_was_slow_from_what_waits() -> None:
    """SPEC OVF-1."""
    channel = joined(Declared(Retention(10), Overflow.DROP_OLDEST))
    channel.report(EPOCH, entries(1, 3))
    member = channel.enter(Reader(), Position(EPOCH, 1))
    assert member is not None
    assert channel.fed_from_history(member)
    member.offset = 3
    assert channel.catch_up(member)
    assert not channel.fed_from_history(member)
    member.pause(Position(EPOCH, 2))  # it had been given that, and not taken
    member.go_on(Position(EPOCH, 2), 0.0)
    assert channel.fed_from_history(member)
    member.offset = 3
    assert not channel.fed_from_history(member)
    assert channel.catch_up(member)
    assert (channel.counts.paused, channel.counts.caught_up) == (1, 1)
    member.moved(Position(b"laterone", 1))
    assert not channel.fed_from_history(member)  # that is another one
    assert channel.fed_from_history(Membership(joined(), Reader(), Position(EPOCH, 0), Mode.BEHIND))


def test_a_publication_tells_what_the_channel_carries() -> None:
    """SPEC CHN-13: the time is the broker's, and whom it spares is nobody's business."""
    entry = Entry(1, b"x", 1_700, Kept("ada", None, None, "k", ("me",)))
    assert told(frozenset(), entry) is None
    assert told(frozenset({"publisher"}), entry) == About("ada", None, None, "k")
    assert told(frozenset({"time"}), entry) == About("ada", 1_700, None, "k")
    assert told(frozenset({"time"}), Entry(1, b"x", 1_700)) == About(None, 1_700)
    assert told(frozenset({"tags"}), Entry(1, b"x", 1_700, Kept(None, None, None, None, ("me",)))) is None


def test_volatile_ones_are_for_those_who_stand_there() -> None:
    """SPEC VOL-4: nobody becomes behind by one, whether it is full, elsewhere or takes nothing so long."""
    channel = joined()
    readers = [Reader(), Reader(room=0), Reader(message_bytes=10), Reader(), Reader()]
    members = [member for reader in readers if (member := channel.enter(reader, channel.position)) is not None]
    members[3].offset = 5
    members[4].pause(Position(EPOCH, 0))
    channel.report(EPOCH, [Entry(0, bytes(100), 0, volatile=True)])
    [fleeting] = channel.chunks
    assert isinstance(fleeting, Fleeting)
    channel.deliver_volatile(members, fleeting, 0.0)
    assert [reader.volatile for reader in readers] == [1, 0, 0, 0, 0]
    assert (channel.counts.volatile_sent, channel.counts.volatile_dropped, channel.counts.behind) == (1, 4, 0)


def test_whoever_is_behind_is_fed_with_every_chunk_and_who_has_left_gets_nothing() -> None:
    channel, readers = joined(), [Reader(), Reader()]
    late, left = [channel.enter(reader, channel.position) for reader in readers]
    assert late is not None
    assert left is not None
    late.mode = Mode.BEHIND
    channel.leave(left)
    channel.report(EPOCH, entries(1, 1))
    channel.seal()
    channel.deliver([late, left], next_chunk(channel), 0.0)
    assert [(reader.taken, reader.fed) for reader in readers] == [([], 1), ([], 0)]
