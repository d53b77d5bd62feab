"""Members with a filter: who shares bytes, and who is told that it was passed over (SPEC SUB-12, CHN-4, FLT-5)."""

from hawser_engine.channels.channel import Channel
from hawser_engine.channels.chunks import Chunk, Fleeting
from hawser_engine.channels.entries import Entry, Retention
from hawser_engine.channels.filtered import FilteredMembership
from hawser_engine.channels.filters import parse_filter
from hawser_engine.channels.memberships import Mode
from hawser_engine.messages import About, Position, Publication
from tests.engine.channels.counted import Counted
from tests.engine.channels.outlets import EPOCH, Declared, Reader, next_chunk


def test_who_is_passed_over_becomes_behind_only_where_something_is_to_be_told_or_fed() -> None:
    """SPEC CHN-4, CHN-6: the position moves at no cost; without window it is the feeder that tells it."""
    channel = Channel("room", Declared(Retention(8), about=frozenset({"tags"})), Retention(100))
    channel.joined(Position(EPOCH, 0))
    filter = parse_filter("n")
    ready, full, late = Reader(), Reader(room=0), Reader()
    members = [channel.enter(each, Position(EPOCH, 0), filter, 1) for each in (ready, full, late)]
    assert channel.enter(Reader(), Position(EPOCH, 0), parse_filter("m"), 1) is None
    [group] = channel.groups.values()
    one, two, three = group.members.values()
    assert [one, two, three] == members
    three.epoch, three.offset, three.mode = EPOCH, 0, Mode.BEHIND
    for offset in (1, 2, 3):
        channel.report(EPOCH, [Entry(offset, b"x", 0)])
        channel.seal()
        chunk = next_chunk(channel)
        assert chunk.passing(filter) is None
        group.pass_over([one, two, three], chunk, 0.0)
    assert [each.offset for each in (one, two, three)] == [3, 2, 0]
    assert [each.mode for each in (one, two, three)] == [Mode.LIVE, Mode.BEHIND, Mode.BEHIND]
    # A quarter of what is kept is two: told at 2. Who had no window is fed, and so is who was behind, each time.
    assert (len(ready.taken), full.fed, late.fed) == (1, 2, 3)
    # Whoever misses something before a chunk is brought up from history.
    three.mode = Mode.LIVE
    channel.report(EPOCH, [Entry(4, b"x", 0)])
    channel.seal()
    group.pass_over([one, three], next_chunk(channel), 0.0)
    assert (one.offset, three.offset, three.mode) == (4, 0, Mode.BEHIND)
    # What was considered already changes nothing, and a new epoch is the feeder's to tell.
    channel.report(b"another!", [Entry(1, b"x", 0)])
    assert one.mode is Mode.BEHIND
    channel.seal()
    one.mode = Mode.LIVE
    group.pass_over([one], next_chunk(channel), 0.0)
    assert one.position == Position(EPOCH, 4)
    # What passed in an earlier epoch says nothing about this one.
    one.moved(Position(b"another!", 1))
    one.mode, group.matched = Mode.LIVE, Position(EPOCH, 99)
    channel.report(b"another!", [Entry(2, b"x", 0), Entry(3, b"x", 0)])
    channel.seal()
    group.pass_over([one], next_chunk(channel), 0.0)
    assert (one.offset, one.told, len(ready.taken)) == (3, 3, 3)
    assert channel.size == 3
    for member in (one, two, three):
        channel.leave(member)
    assert (channel.deserted, channel.size) == (True, 0)


def test_those_who_share_a_filter_share_bytes_and_what_passes_tells_them_enough() -> None:
    """SPEC FLT-5, CHN-4: a chunk is filtered once, all of it passes as it is, and POSITION follows nothing given."""
    channel = Channel("room", Declared(Retention(100), about=frozenset({"tags"})), Retention(100))
    channel.joined(Position(EPOCH, 0))
    filter = parse_filter("n")
    reader = Reader()
    member = channel.enter(reader, Position(EPOCH, 0), filter, 1)
    assert member is not None
    some, every = [Entry(offset, b"x", 0, About(tags={"n": ""}) if offset != 2 else None) for offset in (1, 2, 3)], 5
    channel.report(EPOCH, some)
    channel.seal()
    channel.report(EPOCH, [Entry(offset, b"x", 0, About(tags={"n": ""})) for offset in (4, every)])
    channel.seal()
    first, second = [next_chunk(channel) for _ in range(2)]
    passing = first.passing(filter)
    assert passing is not None
    assert (passing.first, passing.last, passing.last_body, second.passing(filter)) == (1, 3, 3, second)
    for chunk in (passing, second):
        channel.deliver([member], chunk, 0.0)
    assert [message.offset for message in reader.told if isinstance(message, Publication)] == [1, 3, 4, 5]
    member.pause(Position(EPOCH, 3))
    assert isinstance(member, FilteredMembership)
    assert (member.offset, member.told, member.uninformed) == (3, 3, False)


def test_all_filters_share_the_numbers_that_tags_are_read_as() -> None:
    """A tag is read as a number once as long as its publication waits, and what is kept of it is the text alone."""
    channel = Channel("room", Declared(Retention(100), about=frozenset({"tags"})), Retention(100))
    channel.joined(Position(EPOCH, 0))
    abouts = [About(tags={"n": str(number)}) for number in (1, 2, 3)]
    entries = [Entry(min(place, 2), b"x", 0, about, place == 3) for place, about in enumerate(abouts, 1)]
    channel.report(EPOCH, entries)
    chunk, fleeting = channel.chunks
    assert isinstance(chunk, Chunk)
    assert isinstance(fleeting, Fleeting)
    counted: list[Counted] = []
    for tags in (*chunk.tags, fleeting.tags):
        tags.texts = Counted(tags.texts)
        counted.append(tags.texts)
    for number in range(100):
        filter = parse_filter(" and ".join([f"n > {number}"] * 32))
        assert (chunk.passing(filter) is None) is (number >= 2)
        assert filter.matches(fleeting.tags) is (number < 3)
    assert [each.asked for each in counted] == [1, 1, 1]


def test_without_window_the_feeder_tells_who_was_passed_over() -> None:
    channel = Channel("room", Declared(Retention(4), about=frozenset({"tags"})), Retention(100))
    channel.joined(Position(EPOCH, 0))
    reader = Reader(room=0)
    member = channel.enter(reader, Position(EPOCH, 0), parse_filter("n"), 1)
    assert member is not None
    [group] = channel.groups.values()
    channel.report(EPOCH, [Entry(1, b"x", 0)])
    channel.seal()
    chunk = next_chunk(channel)
    group.pass_over(list(group.members.values()), chunk, 0.0)
    assert (member.offset, member.mode, member.uninformed) == (1, Mode.BEHIND, True)
    member.mode = Mode.PAUSED
    group.pass_over(list(group.members.values()), chunk, 0.0)
    assert reader.fed == 1
