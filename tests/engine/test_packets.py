"""packets.py: an invalid packet cannot be built, and what is refused is told without being shown."""

import attrs
import pytest
from hypothesis import given

from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.errors import LocalProtocolError
from hawser_engine.items import Kind, layout_of
from hawser_engine.messages import MESSAGES, Position, Published
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
    Reauth,
    Reset,
    Resume,
    Resumed,
    ServerLimits,
    Volatile,
)
from tests.engine.shapes import packets

SECRET = bytes(range(32))
LIMITS = Limits(1000, 262_144, 1_048_576)
SERVER_LIMITS = ServerLimits(1000, 262_144, 1_048_576, 256, 1_048_576)
OPENED = Opened(1, (), b"session", SECRET, b"in", 120_000, 25_000, 10_000, SERVER_LIMITS)
CLOSE = Close(CloseCode.GOING_AWAY, "deploy", True, True, 0, 30_000, None, None)


def test_kinds_are_those_of_the_specification() -> None:
    """SPEC PKT-2."""
    assert list(PACKETS) == list(range(1, 14))
    assert sorted(MESSAGES) == [*range(1, 23), *range(24, 39)]
    assert all(kind == cls.KIND for kind, cls in (*PACKETS.items(), *MESSAGES.items()))


@pytest.mark.parametrize("cls", [*PACKETS.values(), *MESSAGES.values()])
def test_a_packet_is_small_frozen_and_documented(cls: type[Kind]) -> None:
    assert not hasattr(cls, "__dict__") or "__dict__" not in cls.__slots__
    assert cls.__doc__
    assert cls.__setattr__ is not object.__setattr__


@given(packets())
def test_building_a_packet_of_its_own_items_gives_the_same(packet: Packet) -> None:
    again = type(packet)(*[getattr(packet, name) for name, _ in layout_of(type(packet))])
    assert again == packet


@pytest.mark.parametrize(
    ("build", "text"),
    [
        (lambda: Ping(-1, None), "PING: saw token = -1, expected an integer from 0 to 9007199254740992 (SPEC PKT-8)"),
        (lambda: Ping(2**53 + 1, None), "PING: saw token = 9007199254740993"),
        (lambda: Ping(10**5000, None), "PING: saw token = a huge integer"),
        (lambda: Ping(True, None), "PING: saw token = True"),
        (lambda: Ping(None, None), "PING: saw token = None"),  # type: ignore[arg-type]
        (lambda: Ping(1.0, None), "PING: saw token = float"),  # type: ignore[arg-type]
        (lambda: Resumed(0, Counts(0, 0, 0), SECRET), "RESUMED: saw attempt = 0, expected an integer from 1"),
        (
            lambda: Resumed(1, Counts(0, 0, 0), SECRET[1:]),
            "saw secret = bytes of length 31, expected a byte string of 32",
        ),
        (lambda: Resumed(1, Counts(0, 0, 0), bytearray(32)), "saw secret = bytearray"),  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        (lambda: Resumed(1, None, SECRET), "saw counts = None, expected an array of 3"),  # type: ignore[arg-type]
        (lambda: Resumed(1, [1, 2], SECRET), "of length 2, expected an array of exactly 3 items (SPEC PKT-12)"),  # type: ignore[arg-type]
        (lambda: Resumed(1, [1, 2, "3"], SECRET), "RESUMED: saw sent = str of length 1"),  # type: ignore[arg-type]
        (lambda: Message(1, b""), "MESSAGE: saw more = 1, expected false or true"),  # type: ignore[arg-type]
        (lambda: Message(False, b"x" * 65_537), "MESSAGE: saw body = bytes of length 65537"),
        (lambda: Volatile(b"x" * 65_537), "VOLATILE: saw body = bytes of length 65537"),
        (
            lambda: Open((), (), {}, None, LIMITS),
            "saw versions = tuple of length 0, expected an array of 1 to 16 items",
        ),
        (lambda: Open((1,) * 17, (), {}, None, LIMITS), "saw versions = tuple of length 17"),
        (lambda: Open((-1,), (), {}, None, LIMITS), "saw versions = -1"),
        (lambda: Open(1, (), {}, None, LIMITS), "saw versions = 1"),  # type: ignore[arg-type]
        (lambda: Open((1,), ("x" * 65,), {}, None, LIMITS), "saw features = str of length 65"),
        (lambda: Open((1,), ("é" * 33,), {}, None, LIMITS), "saw features = str of length 33"),
        (lambda: Open((1,), ("\ud800",), {}, None, LIMITS), "saw features = str of length 1"),
        (lambda: Open((1,), (), [], None, LIMITS), "saw credentials = list of length 0, expected a map"),  # type: ignore[arg-type]
        (lambda: Open((1,), (), {"k": 2**60}, None, LIMITS), "OPEN: saw an integer beyond ±2^53 (SPEC PKT-6)"),
        (lambda: Open((1,), (), {1: 2}, None, LIMITS), "key of type int"),  # type: ignore[dict-item]
        (lambda: Open((1,), (), {}, None, 5), "saw limits = 5, expected a map"),  # type: ignore[arg-type]
        (lambda: Open((1,), (), {}, None, {}), "expected a map with window_messages (SPEC PKT-13)"),  # type: ignore[arg-type]
        (lambda: Open((1,), (), {}, None, SERVER_LIMITS), "saw limits = ServerLimits"),  # type: ignore[arg-type]
        (lambda: Limits(0, 0, -1), "limits: saw message_bytes = -1"),
        (lambda: attrs.evolve(OPENED, session=b""), "OPENED: saw session = bytes of length 0"),
        (lambda: attrs.evolve(OPENED, session=b"x" * 65), "OPENED: saw session = bytes of length 65"),
        (lambda: attrs.evolve(OPENED, incarnation=b"x" * 17), "OPENED: saw incarnation = bytes of length 17"),
        (lambda: attrs.evolve(CLOSE, reason="x" * 124), "CLOSE: saw reason = str of length 124"),
        (lambda: attrs.evolve(CLOSE, url="x" * 2049), "CLOSE: saw url = str of length 2049"),
        (lambda: attrs.evolve(CLOSE, code=CloseCode.SUPERSEDED), "CLOSE: saw SUPERSEDED without an attempt"),
        (lambda: Published(1, Position(b"1234567", 1), False), "position: saw epoch = bytes of length 7"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_invalid_packet_cannot_be_built(build: object, text: str) -> None:
    """SPEC PKT-8, PKT-12, PKT-13, CLS-7."""
    assert callable(build)
    with pytest.raises(LocalProtocolError) as caught:
        build()
    assert str(caught.value).startswith("PROTOCOL_ERROR (local) in ")
    assert text in str(caught.value)


def test_what_the_wire_writes_is_taken_too_and_held_in_one_form() -> None:
    wire: object = [1, 2, 3]
    assert Ack(wire) == Ack(Counts(1, 2, 3))  # type: ignore[arg-type]
    limits: object = {"window_messages": 1, "window_bytes": 2, "message_bytes": 3, "unknown": None}
    opened = Open([1, 2], [], {}, None, limits)  # type: ignore[arg-type]
    assert opened == Open((1, 2), (), {}, None, Limits(1, 2, 3))
    assert opened.versions == (1, 2)


def test_a_registry_s_number_is_held_as_a_plain_integer_and_others_are_taken() -> None:
    """SPEC RST-11."""
    reset = Reset(ResetReason.DRIFT, None)
    assert type(reset.reason) is int
    assert reset.reason == ResetReason.DRIFT
    assert Reset(4711, None).reason == 4711


def test_only_superseded_needs_an_attempt() -> None:
    """SPEC CLS-7."""
    assert Close(CloseCode.SUPERSEDED, "", False, False, 0, 0, None, 0).attempt == 0
    assert Close(4711, "", False, False, 0, 0, None, None).attempt is None


def test_nothing_secret_and_nothing_long_is_shown() -> None:
    """SPEC SEC-5."""
    credentials = {"token": "hunter2"}
    packets: list[Packet] = [
        Open((1,), (), credentials, None, LIMITS),
        OPENED,
        Resume(b"session", SECRET, b"in", 1, Counts(0, 0, 0), credentials),
        Resumed(1, Counts(0, 0, 0), SECRET),
        Auth(credentials),
    ]
    for packet in packets:
        assert "hunter2" not in repr(packet)
        assert "secret" not in repr(packet)
    assert repr(Message(False, b"x" * 1000)) == "Message(more=False, body=<1000 bytes>)"
    assert repr(Volatile(b"")) == "Volatile(body=<0 bytes>)"
    assert repr(Reauth(None)) == "Reauth(within_ms=None)"
