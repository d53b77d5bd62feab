"""Any split of the bytes means the same (SPEC CAR-30): a recorded conversation with every packet, fed to both roles."""

from collections.abc import Callable
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine import Client, Connection, EngineConfig, Server
from hawser_engine.codec import encode
from hawser_engine.events import Event
from hawser_engine.packets import (
    PACKETS,
    Ack,
    Auth,
    Close,
    Counts,
    Limits,
    Message,
    Open,
    Opened,
    Packet,
    Ping,
    Pong,
    Reauth,
    Reset,
    Resume,
    Resumed,
    ServerLimits,
    Volatile,
)
from tests.engine.pair import INCARNATION, counting_bytes

ZERO = Counts(0, 0, 0)
CONFIG = EngineConfig()
LIMITS = Limits(100, 100_000, 100_000)
SECRET = bytes(range(16, 48))
"""The first that a server draws from the counting stream, behind the id of the session."""
SESSION = bytes(range(16))
SKIPPED = bytes.fromhex("8218c8a1616101")
TO_SERVER: list[Packet] = [
    Ping(1, None),
    Open((1, 2), ("x",), {"token": "t"}, None, LIMITS),
    Ack(ZERO),
    Message(True, b"ab"),
    Volatile(b"v"),
    Message(False, b"c" * 300),
    Ping(7, Counts(0, 0, 2)),
    Pong(9, Counts(0, 0, 2)),
    Auth({"token": "u", "more": [1, 2.5, None]}),
    Message(False, b""),
    Reset(3, ZERO),
    Message(False, b"discarded"),
    Open((1,), (), {"token": "t"}, 1_000, LIMITS),
    Ack(ZERO),
    Message(False, b"x"),
    Close(100, "bye", True, True, 0, 0, None, None),
]
RESUMING: list[Packet] = [
    Resume(SESSION, SECRET, INCARNATION, 1, ZERO, {"token": "t"}),
    Ack(ZERO),
    Message(False, b"y"),
]
TO_CLIENT: list[Packet] = [
    Pong(1, None),
    Opened(1, ("x",), b"s", SECRET, b"i", 60_000, 25_000, 10_000, ServerLimits(10, 1_000, 1_000, 8, 1_000)),
    Message(True, b"ab"),
    Message(False, b"c" * 300),
    Ack(ZERO),
    Volatile(b"v"),
    Reauth(5_000),
    Ping(7, Counts(0, 0, 2)),
    Reauth(None),
    Reset(2, ZERO),
    Message(False, b"discarded"),
    Resumed(9, ZERO, SECRET),
    Opened(1, (), b"r", SECRET, b"i", 60_000, 25_000, 10_000, ServerLimits(10, 1_000, 1_000, 8, 1_000)),
    Message(False, b"x"),
    Close(100, "bye", True, True, 5, 9, "ws://b", None),
]


@attrs.frozen
class Outcome:
    """What a connection did, however its input was cut."""

    sent: bytes
    told: list[str]
    state: str


def run(connection: Connection, pieces: list[bytes], source: Callable[[], Event | None]) -> Outcome:
    """Feed pieces; the driver accepts everybody and takes every message at once."""
    sent, told = b"", list[str]()

    def drain() -> None:
        nonlocal sent
        busy = True
        while busy:
            busy = False
            while (event := source()) is not None:
                busy = True
                told.append(repr(event))
                if type(event).__name__ == "AuthenticationRequested":
                    getattr(connection, "accept")("u", 0.0)  # noqa: B009  # only servers ask
            data = b"".join(connection.data_to_send())
            sent += data
            busy |= bool(data)

    drain()
    for piece in pieces:
        connection.receive_data(piece, 0.0)
        drain()
    return Outcome(sent, told, connection.state.name)


def to_server(pieces: list[bytes]) -> Outcome:
    server = Server(CONFIG, random_bytes=counting_bytes(), incarnation=INCARNATION, features=("x",))
    connection = server.connect(0.0)
    return run(connection, pieces, connection.next_event)


def to_resumed_server(pieces: list[bytes]) -> Outcome:
    server = Server(CONFIG, random_bytes=counting_bytes(), incarnation=INCARNATION)
    first = server.connect(0.0)
    run(first, [encode(TO_SERVER[1]), encode(Ack(ZERO))], first.next_event)
    connection = server.connect(0.0)
    return run(connection, pieces, connection.next_event)


def to_client(pieces: list[bytes]) -> Outcome:
    client = Client(CONFIG, 0.0, features=("x",))
    connection = client.connect(0.0, attach=False)
    connection.ping(0.0)
    connection.attach(0.0)
    return run(connection, pieces, connection.next_event)


WAYS = {"server": to_server, "resumed server": to_resumed_server, "client": to_client}


def stream(packets: list[Packet]) -> list[bytes]:
    """Encode a conversation, with something to be skipped between any two packets."""
    return [encode(packet) + SKIPPED for packet in packets]


STREAMS = {"server": stream(TO_SERVER), "resumed server": stream(RESUMING), "client": stream(TO_CLIENT)}


def test_the_conversations_hold_every_packet() -> None:
    assert {type(packet) for packet in (*TO_SERVER, *RESUMING, *TO_CLIENT)} == set(PACKETS.values())


@pytest.mark.parametrize("way", WAYS)
def test_the_conversation_goes_as_planned(way: str) -> None:
    outcome = WAYS[way](STREAMS[way])
    assert outcome.state == ("ATTACHED" if way == "resumed server" else "CLOSED")
    assert all("error=Remote" not in each for each in outcome.told)


@pytest.mark.parametrize("way", WAYS)
def test_byte_by_byte_means_the_same(way: str) -> None:
    data = b"".join(STREAMS[way])
    assert WAYS[way]([data[at : at + 1] for at in range(len(data))]) == WAYS[way](STREAMS[way])


@pytest.mark.parametrize("way", WAYS)
@given(chosen=st.data())
def test_any_split_means_the_same(way: str, chosen: st.DataObject) -> None:
    """Cut anywhere inside packets; a packet that waits for a verdict is not joined with the next."""
    pieces: list[bytes] = []
    for packet in STREAMS[way]:
        cuts = sorted(chosen.draw(st.sets(st.integers(0, len(packet)), max_size=4)))
        pieces += [packet[start:end] for start, end in zip([0, *cuts], [*cuts, len(packet)], strict=True)]
    assert WAYS[way](pieces) == WAYS[way](STREAMS[way])


@given(chosen=st.data())
def test_any_two_splits_of_any_bytes_mean_the_same(chosen: st.DataObject) -> None:
    """Right or wrong: faults are found at the same packet, with the same answer (SPEC PKT-14, CLS-5)."""
    packets = chosen.draw(st.lists(st.sampled_from(STREAMS["server"]), max_size=6))
    data = bytearray(b"".join(packets) + chosen.draw(st.binary(max_size=20)))
    for _ in range(chosen.draw(st.integers(0, 3)) if data else 0):
        data[chosen.draw(st.integers(0, len(data) - 1))] = chosen.draw(st.integers(0, 255))
    outcomes: list[Any] = []
    for size in (1, chosen.draw(st.integers(1, 400))):
        server = Server(EngineConfig(preattach_bytes=512), random_bytes=counting_bytes(), incarnation=INCARNATION)
        connection = server.connect(0.0)
        for at in range(0, len(data), size):
            connection.receive_data(bytes(data[at : at + size]), 0.0)
        told = list[str]()
        while (event := connection.next_event()) is not None:
            told.append(repr(event))
        outcomes.append((b"".join(connection.data_to_send()), told, connection.state))
    assert outcomes[0] == outcomes[1]
