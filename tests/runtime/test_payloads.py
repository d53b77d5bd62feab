"""What cannot travel, and what is said of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import attrs
import pytest

from hawser import App, PayloadError, connect
from hawser.payloads import RELAYED_BYTES_MAX, decode_payload, encode_payload
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from trio.testing import MockClock


@attrs.frozen
class Said:
    text: str


@dataclass
class Seen:
    text: str


EXPECTED = "expected None, bool, int, float, str, bytes, list or dict (SPEC PKT-6)"
ATTRS = (
    f"saw a value of type Said, {EXPECTED}: give attrs.asdict(…), or publish it from the app where ChannelRule.event"
)


def endless() -> list[Any]:
    data: list[Any] = [date(2000, 1, 1)]
    data.append(data)
    return data


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (Said("a"), f"{ATTRS} declares its class"),
        ({"list": [1, (Said("a"),)]}, f"{ATTRS} declares its class"),
        ([Seen("a")], f"saw a value of type Seen, {EXPECTED}: give dataclasses.asdict(…)"),
        ([date(2000, 1, 1), Said("a")], f"saw a value of type date, {EXPECTED}"),
        (endless(), f"saw a value of type date, {EXPECTED}"),
        ({1: Said("a")}, "saw a key of type int, expected str (SPEC PKT-6)"),
        (bytes(RELAYED_BYTES_MAX), "saw 1048581 bytes, expected at most 1048576 (SPEC PKT-7)"),
    ],
    ids=["attrs", "inside", "dataclass", "another", "endless", "key", "long"],
)
def test_what_cannot_travel_names_what_can(data: object, says: str) -> None:
    with pytest.raises(PayloadError) as caught:
        encode_payload(data)
    assert str(caught.value) == says


async def test_whoever_gives_an_instance_is_told_so(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("room", open=True)
    app.mailbox("user:*", open=True)
    async with serving(app), connect(URL) as client:
        for give, where in (
            (client.publish, "room"), (app.publish, "room"), (client.post, "user:ada"), (app.post, "user:ada"),
            (client.call, "echo"),
        ):  # fmt: skip
            with pytest.raises(PayloadError, match=r"give attrs\.asdict"):
                await give(where, Said("a"))
    assert decode_payload(encode_payload(attrs.asdict(Said("a")))) == {"text": "a"}
