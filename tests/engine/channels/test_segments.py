"""Patterns by segment, and the index that finds them (SPEC WLD-1)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.channels.segments import PatternIndex, is_pattern, overlap


@pytest.mark.parametrize("name", ["*", "room:*", "*:lobby", "orders:*:status", "a:*:*", "*:"])
def test_a_name_with_a_segment_that_is_a_star_is_a_pattern(name: str) -> None:
    """SPEC WLD-1."""
    assert is_pattern(name)


@pytest.mark.parametrize("name", ["room", "room:lobby", "room:l*", "**", "room:", ":", "a*b:c"])
def test_any_other_name_is_a_channel(name: str) -> None:
    """SPEC WLD-1."""
    assert not is_pattern(name)


@pytest.mark.parametrize(
    ("one", "other", "common"),
    [
        ("room:*", "room:lobby", True),
        ("room:*", "room:", True),
        ("room:*", "room", False),
        ("room:*", "room:lobby:2", False),
        ("room:*", "*:lobby", True),
        ("room:*", "rooms:*", False),
        ("a:*:c", "a:b:*", True),
        ("a:*:c", "a:b:d", False),
        ("*", "*", True),
    ],
)
def test_names_overlap_where_they_have_a_channel_in_common(one: str, other: str, common: bool) -> None:
    """SPEC WLD-4."""
    assert overlap(one, other) is common
    assert overlap(other, one) is common


names = st.lists(st.sampled_from(["a", "b", "*", ""]), min_size=1, max_size=4).map(":".join)


@given(st.lists(names, max_size=12), st.lists(names, max_size=6), names)
def test_the_index_finds_what_looking_at_each_finds(added: list[str], removed: list[str], name: str) -> None:
    index = PatternIndex()
    for pattern in added:
        index.add(pattern)
    for pattern in removed:
        index.remove(pattern)
    left = {pattern for pattern in added if pattern not in removed}
    concrete = name.replace("*", "c")
    found = index.find(concrete)
    assert sorted(found) == sorted(pattern for pattern in left if overlap(pattern, concrete))
    for pattern in left:
        index.remove(pattern)
    assert not index
