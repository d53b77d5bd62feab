"""cbor.py: application values, and the walk that sees every byte before cbor2 does."""

import datetime
import enum
from collections.abc import Callable
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine import cbor
from hawser_engine.cbor import check_value, decode_value, encode_head, encode_value, item_end, load, read_head
from hawser_engine.codes import CloseCode
from hawser_engine.errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError
from tests.engine.shapes import values
from tests.spec.vector_files import vectors


class Colour(enum.IntEnum):
    RED = 1


def nested(levels: int, make: Callable[[Any], Any]) -> Any:
    value: Any = None
    for _ in range(levels):
        value = make(value)
    return value


def listed(value: Any) -> Any:
    return [value]


def mapped(value: Any) -> Any:
    return {"k": value}


@given(values())
def test_a_value_comes_back(value: Any) -> None:
    assert decode_value(encode_value(value)) == value


@pytest.mark.parametrize(("value", "back"), [((1, (2,)), [1, [2]]), (Colour.RED, 1), ({"a": Colour.RED}, {"a": 1})])
def test_what_python_has_more_kinds_of_comes_back_as_the_plain_kind(value: Any, back: Any) -> None:
    assert decode_value(encode_value(value)) == back


@pytest.mark.parametrize("make", [listed, mapped])
def test_values_are_at_most_16_deep(make: Callable[[Any], Any]) -> None:
    """SPEC PKT-6."""
    deepest = nested(16, make)
    assert decode_value(encode_value(deepest)) == deepest
    with pytest.raises(LocalProtocolError, match="deeper than 16"):
        encode_value(make(deepest))
    with pytest.raises(RemoteProtocolError, match="deeper than 16"):
        decode_value(cbor2.dumps(make(deepest)))


@pytest.mark.parametrize(
    ("value", "seen"),
    [
        (2**53 + 1, "beyond"),
        (-(2**53) - 1, "beyond"),
        ([{"k": 2**64}], "beyond"),
        ({1: 2}, "key of type int"),
        ({b"k": 2}, "key of type bytes"),
        ({None: 2}, "key of type NoneType"),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), "type datetime"),
        (bytearray(b"x"), "type bytearray"),
        (memoryview(b"x"), "type memoryview"),
        ({1, 2}, "type set"),
        (object(), "type object"),
        ("\ud800", "surrogate"),
        ({"\udfff": 1}, "surrogate"),
        (cbor2.undefined, "type"),
        (cbor2.CBORTag(1, 2), "type CBORTag"),
    ],
)
def test_a_value_that_the_peer_would_refuse_is_refused_here(value: Any, seen: str) -> None:
    with pytest.raises(LocalProtocolError, match=seen) as caught:
        encode_value(value)
    assert caught.value.clause == "PKT-6"


def test_lists_without_end_are_refused_and_do_not_crash() -> None:
    """cbor2 itself would end the process at a few thousand levels."""
    circle: list[Any] = []
    circle.append(circle)
    for value in (circle, nested(200_000, listed)):
        with pytest.raises(LocalProtocolError, match="deeper"):
            encode_value(value)


def test_a_value_that_is_small_in_memory_and_large_on_the_wire_costs_no_more_than_the_limit() -> None:
    value: Any = 0
    for _ in range(15):
        value = [value] * 100
    with pytest.raises(MessageTooLarge, match="65537 items"):
        encode_value(value)


def test_the_limit_is_exact_on_both_sides() -> None:
    """SPEC PKT-7."""
    assert decode_value(encode_value(b"x" * 97, limit=99), limit=99) == b"x" * 97
    with pytest.raises(MessageTooLarge, match="100 bytes, expected at most 99"):
        encode_value(b"x" * 98, limit=99)
    with pytest.raises(RemoteProtocolError, match="100 bytes, expected at most 99") as caught:
        decode_value(encode_value(b"x" * 98), limit=99)
    assert caught.value.code == CloseCode.TOO_LARGE


def test_the_depth_counts_what_the_value_will_stand_in() -> None:
    check_value(nested(15, listed), limit=100, depth=1)
    with pytest.raises(LocalProtocolError, match="deeper"):
        check_value(nested(16, listed), limit=100, depth=1)


@pytest.mark.parametrize("vector", [v for v in vectors("invalid", "message") if "cbor-" in v.path], ids=str)
def test_what_no_message_may_hold_no_value_may_hold(vector: Any) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_value(vector.data)
    assert (caught.value.clause, caught.value.where) == ("PKT-6", "value")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_refused(data: bytes) -> None:
    try:
        value = decode_value(data)
    except RemoteProtocolError:
        return
    assert str(decode_value(encode_value(value))) == str(value)


@given(values(), st.integers(0, 1000), st.binary(max_size=3))
def test_the_walk_finds_the_end_and_nothing_before_it(value: Any, cut: int, behind: bytes) -> None:
    data = encode_value(value)
    assert item_end(data, 0, len(data)) == len(data)
    assert item_end(behind + data + behind, len(behind), len(behind + data), bound=10**6) == len(behind + data)
    cut %= len(data)
    assert item_end(data, 0, cut, bound=10**6) is None
    assert item_end(data, 0, cut) is None


@given(st.integers(0, 7), st.sampled_from([0, 23, 24, 255, 256, 65_535, 65_536, 2**32 - 1, 2**32, 2**53]))
def test_heads_come_back(major: int, argument: int) -> None:
    data = encode_head(major, argument)
    assert len(data) == 1 or argument >= {2: 24, 3: 2**8, 5: 2**16, 9: 2**32}[len(data)]
    if major < cbor.TAG:
        assert read_head(data, 0, len(data)) == (major, argument, len(data))
        assert read_head(data, 0, len(data) - 1) is None


@pytest.mark.parametrize(
    ("first", "expected"),
    [
        (0xC1, "no tag"),
        (0x9F, "a definite length"),
        (0xFF, "a definite length"),
        (0xF8, "no simple value"),
        (0x1C, "RFC 8949"),
    ],
)
def test_a_first_byte_that_is_never_allowed_is_refused_with_what_was_expected(first: int, expected: str) -> None:
    with pytest.raises(RemoteProtocolError, match=expected):
        read_head(bytes((first,)), 0, 1)


def test_the_second_line_refuses_every_tag_too() -> None:
    """Nothing reaches load before item_end has passed it; should it ever, no tag builds an object."""
    bodies = (b"\x01", b"\x61a", b"\x41a", b"\x80", b"\x82\x01\x01", b"\xa0")
    for tag in (*range(66_000), 2**32 - 1, 2**32, 2**64 - 1):
        for body in bodies if tag < 1100 else bodies[:1]:
            with pytest.raises(RemoteProtocolError):
                load(encode_head(cbor.TAG, tag) + body)


def test_an_error_does_not_repeat_what_the_peer_sent() -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_value(b"\xa2\x66secret\x01\x66secret\x02")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("data", "limits", "seen"),
    [
        (b"\x44", {"bound": 4}, "a length beyond"),
        (b"\x44", {"bound": 10, "longest": 3}, "a string of 4 bytes, expected at most 3"),
        (b"\x83", {"bound": 3}, "a length beyond"),
        (b"\xa2", {"bound": 4}, "a length beyond"),
        (b"\x83", {"bound": 10, "items": 3}, "more than 3 items"),
        (b"\x82\x82", {"bound": 10, "items": 4}, "more than 4 items"),
        (b"\x9b" + b"\xff" * 8, {"bound": 2**53}, "a length beyond"),
    ],
)
def test_what_will_not_fit_is_refused_on_the_head_that_says_so(data: bytes, limits: dict[str, int], seen: str) -> None:
    """SPEC PKT-7."""
    assert item_end(data[:-1], 0, len(data) - 1, **limits) is None
    with pytest.raises(RemoteProtocolError, match=seen) as caught:
        item_end(data, 0, len(data), **limits)
    assert caught.value.clause == "PKT-7"


def test_what_just_fits_is_taken() -> None:
    assert item_end(b"\x44abcd", 0, 5, bound=5, longest=4, items=1) == 5
    assert item_end(b"\x82\x81\x00\xa1\x60\x00", 0, 6, bound=6, items=6) == 6
