"""What is kept of a channel that keeps the latest by key (SPEC LAT-1, LAT-4)."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.channels.latest import Latest
from hawser_engine.channels.overflow import left_out


def kept(*keys: str | None, floor: int = 0) -> Latest:
    latest = Latest(floor)
    for offset, key in enumerate(keys, floor + 1):
        latest.add(offset, key, 10, offset)
    return latest


def test_a_newer_one_replaces_the_older_one_of_its_key() -> None:
    latest = Latest()
    assert [latest.add(offset, key, 10, 0) for offset, key in enumerate("abca", 1)] == [None, None, None, 1]
    assert latest.after(0) == [2, 3, 4]
    assert (latest.bytes_held, latest.floor, len(latest)) == (30, 0, 3)


def test_one_without_a_key_replaces_nothing_and_is_never_replaced() -> None:
    assert kept(None, "a", None, "a").after(0) == [1, 3, 4]


def test_what_lies_behind_an_offset_is_found_whether_that_is_kept_or_not() -> None:
    latest = kept(*"abcab")
    assert latest.after(0) == [*latest] == [3, 4, 5]
    assert [latest.after(offset) for offset in (2, 3, 4, 5, 9)] == [[3, 4, 5], [4, 5], [5], [], []]
    assert [latest.before(offset) for offset in (2, 3, 4, 9)] == [[], [], [3], [5, 4, 3]]


def test_a_bound_on_their_number_loses_the_lowest() -> None:
    latest = kept(*"abcd")
    assert latest.trim(2, 1_000, 0) == [1, 2]
    assert (latest.floor, latest.after(0), latest.bytes_held) == (2, [3, 4], 20)
    assert latest.add(5, "a", 10, 5) is None  # the older one is no longer there to be replaced
    assert latest.trim(9, 1_000, 0) == []
    assert latest.floor == 2


def test_a_bound_on_their_bytes_may_lose_all_of_them() -> None:
    latest = kept(*"ab")
    latest.add(3, "c", 100, 3)
    assert latest.trim(9, 99, 0) == [1, 2, 3]
    assert (latest.floor, len(latest), latest.bytes_held) == (3, 0, 0)


def test_what_is_too_old_is_lost() -> None:
    latest = kept(*"abc", None)
    assert latest.trim(9, 999, 2) == [1]
    assert latest.trim(9, 999, 4.5) == [2, 3, 4]


def test_a_copy_goes_its_own_way() -> None:
    latest = kept(*"ab", floor=7)
    twin = latest.copy()
    twin.add(10, "a", 10, 10)
    twin.trim(1, 99, 0)
    assert (latest.after(0), latest.floor, latest.bytes_held) == ([8, 9], 7, 20)
    assert (twin.after(0), twin.floor, twin.bytes_held) == ([10], 9, 10)
    latest.add(10, "b", 5, 10)
    assert (latest.after(0), latest.bytes_held) == ([8, 10], 15)


def test_offsets_that_are_not_kept_are_counted_up_to_where_one_came() -> None:
    assert left_out(0, 9, [3, 4, 9]) == 6
    assert left_out(0, 3, [3, 4, 9]) == 2
    assert left_out(5, 5, [9]) == 0
    assert left_out(5, 7, [6, 7]) == 0


@given(
    st.lists(st.tuples(st.sampled_from([None, "a", "b", "c", "d"]), st.integers(0, 9)), max_size=40),
    st.integers(0, 5),
    st.integers(0, 30),
)
def test_above_the_floor_everything_is_kept_or_has_a_newer_one(
    publications: list[tuple[str | None, int]], messages_max: int, bytes_max: int
) -> None:
    """Against the plain thing: look through all that was ever published."""
    latest = Latest()
    for offset, (key, size) in enumerate(publications, 1):
        latest.add(offset, key, size, 0)
        latest.trim(messages_max, bytes_max, 0)
        sizes = {number: publications[number - 1][1] for number in latest.after(0)}
        newest = {key: number for number, (key, _) in enumerate(publications[:offset], 1)}
        for number, (key, _) in enumerate(publications[:offset], 1):
            if number > latest.floor:
                assert (number in sizes) == (key is None or newest[key] == number)
            else:
                assert number not in sizes
        assert len(latest) == len(sizes) <= messages_max
        assert latest.bytes_held == sum(sizes.values()) <= bytes_max
