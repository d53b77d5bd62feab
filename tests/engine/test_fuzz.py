"""Any bytes, in any state: nothing but what is documented, bounded output, and no other session is touched."""

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hawser_engine import Connection, State
from hawser_engine.codec import decode_batch, encode
from tests.engine.pair import Hands, Pair, a_resume, an_open
from tests.engine.shapes import packets

if TYPE_CHECKING:
    from hawser_engine.packets import Packet

STATES = ["IDLE", "OPENING", "RESUMING", "PROVING", "ATTACHED", "DISCARDING", "CLOSING"]


def at(state: str) -> tuple[Hands, Connection]:
    """Return a server with a session of somebody else, and a connection in a state."""
    other = Hands()
    answer = other.open()
    other.connection.receive_data(encode_ack(), 0.0)
    hands = other.again()
    match state:
        case "OPENING":
            hands.say(an_open())
        case "RESUMING":
            hands.say(a_resume(answer, 1, secret=bytes(32)))
        case "PROVING":
            hands.open()
        case "ATTACHED" | "DISCARDING":
            hands.open()
            hands.connection.receive_data(encode_ack(), 0.0)
            if state == "DISCARDING":
                hands.connection.receive_data(bytes.fromhex("820883090909"), 0.0)
        case "CLOSING":
            hands.connection.receive_data(b"\x00", 0.0)
        case _:
            pass
    hands.hear()
    if state not in ("OPENING", "RESUMING"):
        hands.events()
    assert hands.connection.state is State[state]
    return other, hands.connection


def encode_ack() -> bytes:
    return bytes.fromhex("820883000000")


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Packets, mutated at a few places, and bytes of no sense."""
    some: list[Packet] = draw(st.lists(packets(), max_size=4))
    data = bytearray(b"".join(map(encode, some)) + draw(st.binary(max_size=30)))
    for _ in range(draw(st.integers(0, 4)) if data else 0):
        data[draw(st.integers(0, len(data) - 1))] = draw(st.integers(0, 255))
    return bytes(data)


@pytest.mark.parametrize("state", STATES)
@settings(max_examples=settings().max_examples * 3 // 10)
@given(data=streams(), accept=st.booleans())
def test_a_server_survives_anything(state: str, data: bytes, accept: bool) -> None:
    """SPEC CLS-5, LIM-4."""
    other, connection = at(state)
    session = other.session
    before = session.export(0.0)
    connection.receive_data(data, 1.0)
    while (event := connection.next_event()) is not None:
        if accept and type(event).__name__ == "AuthenticationRequested":
            getattr(connection, "accept")("mallory", 1.0)  # noqa: B009
    sent = b"".join(connection.data_to_send())
    decode_batch(sent)
    assert len(sent) <= 400 + 4 * len(data)
    connection.handle_timeout(100.0)
    assert connection.next_timeout() is None or connection.state is not State.CLOSED
    assert session.export(0.0) == before
    assert session.carrier is other.connection


@settings(max_examples=settings().max_examples * 6 // 10)
@given(data=streams(), attached=st.booleans())
def test_a_client_survives_anything(data: bytes, attached: bool) -> None:
    """SPEC CLS-5."""
    pair = Pair()
    wire = pair.connect(settle=attached)
    wire.client.receive_data(data, 1.0)
    while wire.client.next_event() is not None:
        pass
    sent = b"".join(wire.client.data_to_send())
    decode_batch(sent)
    assert len(sent) <= 400 + 4 * len(data)
    wire.client.handle_timeout(100.0)
