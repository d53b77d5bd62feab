"""Values as JSON text, in both directions, and what is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser import Message
from hawser.cli.jsontext import json_text, message_text, parse_json
from hawser.payloads import decode_payload, encode_payload

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(JSON)
def test_json_comes_out_as_it_went_in(value: Any) -> None:
    text = json_text(value)
    assert len(text.splitlines()) <= 1
    assert parse_json(text) == value == decode_payload(encode_payload(parse_json(text)))
    assert parse_json(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "not JSON: Expecting value at character 1"),
        ("{'a': 1}", "not JSON: Expecting property name enclosed in double quotes at character 2"),
        ("1 2", "not JSON: Extra data at character 3"),
        ("[NaN]", "not JSON: NaN is no number there"),
        ("-Infinity", "not JSON: -Infinity is no number there"),
        ('{"a": 1, "b": 2, "a": 3}', 'the key "a" stands twice in an object'),
        ("9007199254740993", "no payload: "),
        ("1" * 5_000, "no payload: the integer 11111111111111111111… is beyond ±2"),
        ("[1e400]", "no payload: the number 1e400 is beyond what 64 bits hold"),
        ("-1e309", "no payload: the number -1e309 is beyond"),
        ('"\x01"', "not JSON: Invalid control character at character 2"),
        (r'"\ud800"', "no payload: "),
        ("[" * 17 + "]" * 17, "no payload: "),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_what_no_payload_can_carry_is_refused(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_json(text)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b"\xfb\xff\x00", '"-_8A"'),
        ([1.5, float("nan"), float("inf")], "[1.5,null,null]"),
        ({"é": {"k": b"a"}}, '{"é":{"k":"YQ"}}'),
        ("a\x9b31m\x7f\u2028b\n", r'"a\u009b31m\u007f\u2028b\n"'),
    ],
    ids=["bytes", "not finite", "nested", "controls"],
)
def test_what_json_lacks_is_written_as_rfc_8949_advises(value: object, text: str) -> None:
    assert json_text(value) == text


def test_a_message_is_one_line() -> None:
    message = Message("c", b"12345678", 7, encode_payload({"a": 1}))
    assert message_text(message) == '{"channel":"c","epoch":"3132333435363738","offset":7,"data":{"a":1}}'


def test_what_is_no_payload_is_shown_as_it_came() -> None:
    message = Message("c", b"12345678", 7, b"\xff\xff")
    assert message_text(message) == '{"channel":"c","epoch":"3132333435363738","offset":7,"raw":"__8"}'
