"""Known attacks on decoders, in the first bytes of a client that nobody knows yet.

Each ends that connection with a protocol error, found by the heads: nothing is built, and the session of somebody
else stands as it stood.
"""

import struct

import pytest

from hawser_engine import AuthenticationRequested, CloseCode, State
from hawser_engine.codec import encode
from hawser_engine.packets import Close
from tests.engine.pair import Hands, an_open

GOOD = b"\xa1\x65token\x61t"
BEFORE, BEHIND = encode(an_open()).split(GOOD)
"""An OPEN without its credentials, which may hold anything that CBOR can say."""

LAUGHS = b"\xd8\x1c\x82" + b"\xd8\x1d\x00" * 2
"""A list that holds itself twice (tags 28 and 29)."""


def nested(head: bytes) -> bytes:
    return b"\xa1\x61a" + head * 5_000


def heads_of(lengths: list[int], major: int) -> list[bytes]:
    return [bytes((major << 5 | 27,)) + struct.pack(">Q", each) for each in lengths]


LENGTHS = [*(2**power for power in range(14, 64)), 2**63 - 1, 2**64 - 1]

ATTACKS = {
    "lists in lists": [nested(b"\x81")],
    "maps in maps": [nested(b"\xa1\x61a")],
    "tags in tags": [nested(b"\xc1")],
    "strings of any length": [b"\xa1\x61a" + head for major in (2, 3) for head in heads_of(LENGTHS, major)],
    "lists of any length": [b"\xa1\x61a" + head for head in heads_of(LENGTHS, 4)],
    "maps of any length": heads_of(LENGTHS, 5),
    "no definite length": [b"\xa1\x61a" + bytes((each,)) + b"\x00" * 50 + b"\xff" for each in (0x5F, 0x7F, 0x9F, 0xBF)],
    "every tag": [b"\xa1\x61a\xd9" + struct.pack(">H", tag) + b"\x80" for tag in range(0, 65_536, 7)],
    "large tags": [b"\xa1\x61a\xdb" + struct.pack(">Q", tag) + b"\x80" for tag in (2**32, 55_799, 43_000, 2**64 - 1)],
    "references to what holds them": [b"\xa1\x61a" + LAUGHS],
    "references to strings": [b"\xa1\x61a\xd9\x01\x00\x82\x43abc\xd8\x19\x00"],
    "a number of a megabyte": [b"\xa1\x61a\xc2\x5a\x00\x10\x00\x00"],
    "sixteen thousand keys": [b"\xb9\x40\x00" + b"".join(b"\x19" + struct.pack(">H", each) for each in range(2_000))],
    "keys that collide": [b"\xb8\xc8" + b"".join(b"\x1b" + struct.pack(">Q", 2**61 - 1) + b"\x00" for _ in range(200))],
    "one key twice": [b"\xa2\x61a\x01\x61a\x02"],
    "text that is none": [b"\xa1\x61a\x62\xc3\x28", b"\xa1\x61a\x63\xed\xa0\x80"],
}


def test_without_an_attack_the_credentials_reach_the_authenticator() -> None:
    hands = Hands()
    hands.connection.receive_data(BEFORE + GOOD + BEHIND, 0.0)
    (asked,) = hands.events()
    assert isinstance(asked, AuthenticationRequested)


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_on_the_decoder_ends_its_own_connection(attack: str) -> None:
    """SPEC PKT-6, PKT-7, CLS-5: before more has come than PKT-14 lets anybody send."""
    other = Hands()
    other.open()
    for credentials in ATTACKS[attack]:
        hands = other.again()
        hands.connection.receive_data((BEFORE + credentials + BEHIND)[:8_192], 0.0)
        sent = hands.hear()
        assert isinstance(sent[-1], Close), credentials[:20]
        assert sent[-1].code == CloseCode.PROTOCOL_ERROR
        assert hands.events()[-1].code == CloseCode.PROTOCOL_ERROR
    assert other.connection.state is State.PROVING
    assert len(other.server.sessions) == 1
