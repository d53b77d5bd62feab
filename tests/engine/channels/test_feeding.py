"""Whoever is behind gets what history has, once and in order, and is told what it has not (SPEC CHN-3, LAT-3)."""

from __future__ import annotations

from math import inf

import pytest

from hawser_engine.batch import Batch
from hawser_engine.channels.channel import Channel
from hawser_engine.channels.entries import Entry, History, Retention
from hawser_engine.channels.feeding import PAGE, SHARED_PAGES, Feeder, page_of
from hawser_engine.channels.filters import parse_filter
from hawser_engine.channels.memberships import Membership, Mode
from hawser_engine.channels.overflow import Overflow
from hawser_engine.codes import GapReason
from hawser_engine.messages import About, AnyMessage, GapNotice, Kept, Position, PositionNotice, Publication
from tests.engine.channels.outlets import EPOCH, OTHER, Declared, Reader, entries

TAGGED = Declared(Retention(100), about=frozenset({"tags"}))
LATEST = Declared(Retention(100), Overflow.KEEP_LATEST)


def behind(reader: Reader, top: int, declared: Declared | None = None, filter: str | None = None) -> Membership:
    """A member that stands at the beginning of a channel with so many publications."""
    channel = Channel("room", Declared(Retention(100)) if declared is None else declared, Retention(100))
    channel.joined(Position(EPOCH, top))
    chosen = None if filter is None else parse_filter(filter)
    member = channel.enter(reader, Position(EPOCH, 0), chosen, 1)
    assert member is not None
    assert member.mode is Mode.BEHIND
    return member


def fed(member: Membership, kept: list[Entry], *, top: int | None = None, first: int = 1, epoch: bytes = EPOCH) -> bool:
    """Feed it from a history that keeps these; whatever it takes of that has to leave at once."""
    top = kept[-1].offset if top is None else top
    waits = [entry for entry in kept if entry.offset > member.offset]
    history = History(Position(epoch, top), first, tuple(waits[: page_of(member)]))
    going = Feeder().feed(member, history, 0.0, from_history=True)
    assert isinstance(member.outlet, Reader)
    assert not member.outlet.waits
    return going


def shown(messages: list[AnyMessage]) -> list[object]:
    """Offsets of publications, ("at", offset) of positions, ("gap", from, to, reason) of gaps."""
    rows: list[object] = []
    for message in messages:
        match message:
            case Publication():
                rows.append(message.offset)
            case PositionNotice():
                rows.append(("at", message.offset))
            case GapNotice():
                since = message.since
                rows.append(("gap", since and since.offset, message.position.offset, GapReason(message.reason)))
            case _:
                rows.append(message)
    return rows


def test_pages_begin_at_the_same_places_for_everybody() -> None:
    reader = Reader()
    member = behind(reader, 40)
    member.offset = 5
    assert page_of(member) == PAGE - 5
    assert fed(member, entries(1, 40))
    assert (page_of(member), member.offset) == (PAGE, PAGE)
    assert fed(member, entries(1, 40))
    assert not fed(member, entries(1, 40))
    assert (shown(reader.told), member.mode) == (list(range(6, 41)), Mode.LIVE)
    assert page_of(behind(Reader(), 40, LATEST)) == PAGE


def test_members_at_one_place_share_bytes() -> None:
    one, other = Reader(), Reader()
    first = behind(one, 10)
    second = first.channel.enter(other, Position(EPOCH, 0))
    assert second is not None
    feeder, history = Feeder(), History(Position(EPOCH, 10), 1, tuple(entries(1, 10)))
    for member in (first, second):
        feeder.feed(member, history, 0.0, from_history=True)
    assert one.taken[0] is other.taken[0]


@pytest.mark.parametrize("filter", [None, 'x == "y"'])
def test_a_page_of_which_something_was_replaced_is_another_one(filter: str | None) -> None:
    """What is given away otherwise may be for all but the one that comes next (SPEC ADR-8)."""
    tags = {"x": "y"}
    kept = [Entry(each, b"x", 0, Kept(None, None, tags, None, ("me",) if each == 2 else None)) for each in range(1, 4)]
    declared = Declared(Retention(100), Overflow.KEEP_LATEST, about=frozenset({"tags"}))
    first, feeder = behind(Reader(name="you"), 3, declared, filter), Feeder()
    feeder.feed(first, History(Position(EPOCH, 3), 1, tuple(kept)), 0.0, from_history=True)
    second = first.channel.enter(Reader(name="me"), Position(EPOCH, 0), first.filter, 1)
    assert second is not None
    feeder.feed(second, History(Position(EPOCH, 3), 1, (kept[0], kept[2])), 0.0, from_history=True)
    told = [shown(member.outlet.told) for member in (first, second) if isinstance(member.outlet, Reader)]
    assert told == [[1, 2, 3], [1, 3] if filter else [1, ("at", 2), 3]]


def test_only_so_many_pages_are_kept() -> None:
    feeder = Feeder()
    for number in range(SHARED_PAGES + 3):
        member = behind(Reader(), 2)
        member.channel.name = f"room:{number}"
        feeder.feed(member, History(Position(EPOCH, 2), 1, tuple(entries(1, 2))), 0.0, from_history=True)
    assert len(feeder._pages) == SHARED_PAGES  # pyright: ignore[reportPrivateUsage]


@pytest.mark.parametrize("room", range(1, 8))
def test_a_window_that_is_too_small_for_a_page_is_filled(room: int) -> None:
    reader = Reader(room=room)
    member = behind(reader, 8)
    assert not fed(member, entries(1, 8))
    assert (shown(reader.told), member.offset, member.mode) == (list(range(1, room + 1)), room, Mode.BEHIND)
    reader.room = inf
    assert not fed(member, entries(1, 8))
    assert (shown(reader.told), member.mode) == (list(range(1, 9)), Mode.LIVE)


@pytest.mark.parametrize("room", [0, 1])
def test_what_history_has_no_more_is_told_first(room: int) -> None:
    reader = Reader(room=room)
    member = behind(reader, 20)
    assert fed(member, entries(11, 20), first=11) == bool(room)
    expected: list[object] = [("gap", 0, 10, GapReason.HISTORY_TOO_SHORT)]
    assert shown(reader.told) == expected[:room]
    assert (member.offset, member.channel.counts.gaps, member.channel.counts.lost) == (10 * room, room, 10 * room)


def test_a_new_epoch_is_told_and_what_was_before_it_is_not_counted() -> None:
    reader = Reader()
    member = behind(reader, 3)
    assert fed(member, [], top=4, first=5, epoch=OTHER)
    assert shown(reader.told) == [("gap", 0, 4, GapReason.EPOCH_CHANGED)]
    assert (member.position, member.channel.counts.lost) == (Position(OTHER, 4), 0)


def test_what_a_slow_one_would_get_is_told_as_what_it_was() -> None:
    reader = Reader()
    member = behind(reader, 5, Declared(overflow=Overflow.DROP_OLDEST))
    history = History(Position(EPOCH, 5), 4, ())
    assert Feeder().feed(member, history, 0.0, from_history=False)
    assert shown(reader.told) == [("gap", 0, 3, GapReason.OVERFLOW)]


def test_one_that_is_too_long_for_its_client_is_a_gap() -> None:
    """SPEC CHN-12."""
    reader = Reader()
    member = behind(reader, 3)
    assert not fed(member, [*entries(1, 1), Entry(2, bytes(2_000), 0), *entries(3, 3)])
    # A page with it is too long as one; each is given by itself.
    assert shown(reader.told) == [1, ("gap", 1, 2, GapReason.OVERFLOW), 3]


@pytest.mark.parametrize("room", [0, inf])
def test_one_of_several_parts_goes_by_itself(room: float) -> None:
    reader = Reader(room=room, message_bytes=200_000)
    member = behind(reader, 1)
    assert not fed(member, [Entry(1, bytes(100_000), 0)])
    assert (len(reader.taken), member.offset) == ((1, 1) if room else (0, 0))
    assert not any(isinstance(each, Batch) for each in reader.taken)


def test_replaced_ones_are_bridged_by_a_position() -> None:
    """SPEC LAT-3."""
    reader = Reader()
    member = behind(reader, 9, LATEST)
    assert not fed(member, [*entries(3, 3), *entries(7, 7), *entries(9, 9)])
    assert shown(reader.told) == [("at", 2), 3, ("at", 6), 7, ("at", 8), 9]
    assert member.channel.counts.replaced == 6
    full = Reader(room=0)
    member = behind(full, 9, LATEST)
    assert not fed(member, entries(3, 9))
    assert (full.taken, member.offset) == ([], 0)


@pytest.mark.parametrize("room", range(6))
def test_a_small_window_takes_what_was_replaced_step_by_step(room: int) -> None:
    reader = Reader(room=room)
    member = behind(reader, 9, LATEST)
    fed(member, [*entries(3, 3), *entries(7, 7), *entries(9, 9)])
    assert shown(reader.told) == [("at", 2), 3, ("at", 6), 7, ("at", 8), 9][:room]
    assert member.offset == [0, 2, 3, 6, 7, 8][room]


def tagged(*passing: int, last: int) -> list[Entry]:
    about = {True: About(None, None, {"fine": ""}), False: None}
    return [Entry(offset, b"x", 0, about[offset in passing]) for offset in range(1, last + 1)]


@pytest.mark.parametrize("room", [1, 2, 3])
def test_a_filter_lets_pass_and_a_position_tells_how_far(room: int) -> None:
    reader = Reader(room=room)
    member = behind(reader, 8, TAGGED, "fine")
    assert not fed(member, tagged(2, 5, last=8))
    assert shown(reader.told) == [2, 5, ("at", 8)][:room]
    assert member.mode is (Mode.LIVE if room == 3 else Mode.BEHIND)


def test_nothing_that_passes_is_a_position_and_nothing_else() -> None:
    reader = Reader()
    member = behind(reader, 8, TAGGED, "fine")
    assert not fed(member, tagged(last=8))
    assert shown(reader.told) == [("at", 8)]


@pytest.mark.parametrize("room", [0, 1, 2, 3, 4])
def test_what_spares_a_session_is_told_to_it_and_given_to_others(room: int) -> None:
    """SPEC ADR-8."""
    reader = Reader(room=room, name="me")
    member = behind(reader, 3)
    kept = [*entries(1, 1), Entry(2, b"x", 0, Kept(None, None, None, None, ("me",))), *entries(3, 3)]
    assert not fed(member, kept)
    assert shown(reader.told) == [1, ("at", 2), 3][:room]
    other = Reader(name="you")
    assert not fed(behind(other, 3), kept)
    assert shown(other.told) == [1, 2, 3]


@pytest.mark.parametrize("room", [0, 1, inf])
def test_after_a_continue_a_position_comes_before_everything(room: float) -> None:
    """SPEC CHN-9: also where there was no window for it when the client went on."""
    reader = Reader()
    member = behind(reader, 4)
    member.pause(Position(EPOCH, 0))
    assert member.channel.counts.paused == 1
    reader.room = 0
    member.go_on(Position(EPOCH, 0), 0.0)
    assert (member.marker, reader.fed) == (True, 1)
    reader.room = room
    assert not fed(member, entries(1, 4))
    assert shown(reader.told) == [("at", 0), 1, 2, 3, 4][: 5 if room == inf else int(room)]


@pytest.mark.parametrize("room", [0, 1, 2])
def test_after_a_continue_a_position_leaves_where_there_is_no_window_for_the_gap_behind_it(room: int) -> None:
    """SPEC CHN-9: a client that waits for the POSITION acknowledges nothing, and the window never opens."""
    reader = Reader(room=0)
    member = behind(reader, 20)
    member.pause(Position(EPOCH, 0))
    member.go_on(Position(EPOCH, 0), 0.0)
    reader.room = room
    assert fed(member, entries(11, 20), first=11) == (room == 2)
    assert shown(reader.told) == [("at", 0), ("gap", 0, 10, GapReason.HISTORY_TOO_SHORT)][:room]


def test_a_continue_without_a_pause_means_nothing() -> None:
    reader = Reader()
    member = behind(reader, 4)
    member.go_on(Position(EPOCH, 2), 0.0)
    assert (member.mode, member.offset, reader.taken) == (Mode.BEHIND, 0, [])


def test_history_that_ends_before_the_reports_is_asked_again_later() -> None:
    """A page without anything in it is the end for now."""
    reader = Reader()
    member = behind(reader, 4)
    assert not fed(member, [], top=4, first=1)
    assert (reader.taken, member.mode) == ([], Mode.BEHIND)


def test_a_page_that_is_too_long_as_one_is_given_one_by_one() -> None:
    reader = Reader(message_bytes=70_000)
    member = behind(reader, 3)
    assert not fed(member, entries(1, 3, size=30_000))
    assert (shown(reader.told), len(reader.taken)) == ([1, 2, 3], 3)


def test_without_window_not_even_a_bridge_is_given() -> None:
    """SPEC LAT-3."""
    reader = Reader(room=2)
    member = behind(reader, 9, LATEST)
    fed(member, [*entries(3, 3), *entries(7, 7)], top=9)
    assert (shown(reader.told), member.offset) == ([("at", 2), 3], 3)
