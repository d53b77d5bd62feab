"""A message as people see it in a log or a debugger."""

from __future__ import annotations

from typing import Any

import pytest

from hawser import Message
from hawser.payloads import SHOWN_BYTES_MAX, encode_payload
from hawser_engine.messages import About

PLACE = "channel='room', offset=3, epoch=0102030405060708"


def message(raw: bytes, about: About | None = None, **more: Any) -> Message:
    return Message("room", bytes(range(1, 9)), 3, raw, about, **more)


def test_it_shows_what_is_in_it_and_no_more() -> None:
    assert repr(message(encode_payload({"text": "hello"}))) == f"Message({PLACE}, data={{'text': 'hello'}})"
    about = About(publisher="ada", time_ms=5, tags={"event": "said"}, latest_key="k")
    said = "publisher='ada', tags={'event': 'said'}, latest_key='k', volatile=True"
    assert repr(message(encode_payload(None), about, volatile=True)) == f"Message({PLACE}, data=None, {said})"


@pytest.mark.parametrize(
    ("raw", "shown"),
    [
        (b"", "<0 bytes>"),
        (b"\xff\xff", "<2 bytes>"),
        (encode_payload(bytes(SHOWN_BYTES_MAX)), f"<{SHOWN_BYTES_MAX + 3} bytes>"),
        (encode_payload("x" * 198), f"'{'x' * 198}'"),
        (encode_payload("x" * 199), f"'{'x' * 198}…"),
    ],
    ids=["nothing", "no payload", "large", "fits", "long"],
)
def test_whatever_is_in_it_it_is_short_and_never_fails(raw: bytes, shown: str) -> None:
    assert repr(message(raw)) == f"Message({PLACE}, data={shown})"
