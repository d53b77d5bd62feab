"""Frames that are written: equal to wsproto's, masked from the injected source, built once for all subscribers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wsproto.frame_protocol import FrameProtocol, XorMaskerSimple

from hawser_engine.bindings.websocket.frames import (
    BINARY,
    CLOSE,
    PONG,
    MaskedFrames,
    SharedFrames,
    close_payload,
    mask,
)

SIZES = [0, 1, 2, 3, 4, 5, 125, 126, 127, 699, 700, 701, 702, 703, 704, 65_535, 65_536, 131_072]


def keys(size: int) -> bytes:
    return b"\x01\x02\xfe\xff"[:size]


@pytest.mark.parametrize("size", SIZES)
def test_a_batch_of_any_size_is_framed_as_wsproto_does(size: int) -> None:
    """SPEC CAR-3."""
    batch = bytes(at % 251 for at in range(size))
    plain = SharedFrames().batch(batch)
    assert plain == FrameProtocol(client=False, extensions=[]).send_data(batch)
    masked = MaskedFrames(keys).batch(batch)
    head = len(plain) - size
    assert masked[:head] == bytes((plain[0], plain[1] | 0x80)) + plain[2:head]
    assert masked[head : head + 4] == keys(4)
    assert masked[head + 4 :] == XorMaskerSimple(keys(4)).process(bytearray(batch))


@given(payload=st.binary(max_size=1_500), key=st.binary(min_size=4, max_size=4))
def test_masking_twice_is_nothing(payload: bytes, key: bytes) -> None:
    assert mask(payload, key) == XorMaskerSimple(key).process(bytearray(payload))
    assert mask(mask(payload, key), key) == payload


def test_every_frame_of_a_client_draws_a_key_of_its_own() -> None:
    drawn: list[bytes] = []

    def draw(size: int) -> bytes:
        drawn.append(bytes((len(drawn),) * size))
        return drawn[-1]

    framer = MaskedFrames(draw)
    framer.batches([b"a", b"b"])
    framer.frame(PONG, b"")
    framer.frame(CLOSE, b"")
    assert drawn == [bytes((number,) * 4) for number in range(4)]


def test_the_frame_of_a_shared_batch_is_built_once() -> None:
    """The same object for each of a thousand subscribers; an equal batch that is another object is framed anew."""
    framer = SharedFrames()
    batch = bytes(300)
    frame = framer.batch(batch)
    assert all(framer.batches([batch]) is frame for _ in range(1_000))
    other = bytes(bytearray(batch))
    assert framer.batch(other) == frame
    assert framer.batch(other) is not frame


def test_several_batches_leave_as_one_piece() -> None:
    framer = SharedFrames()
    assert framer.batches([b"a", b"bc"]) == framer.frame(BINARY, b"a") + framer.frame(BINARY, b"bc")
    assert SharedFrames().batch(b"") == b"\x82\x00"
    assert framer.batches([]) == b""


@pytest.mark.parametrize("code", [1_005, 1_006, 1_015])
def test_codes_that_are_never_sent_are_not(code: int) -> None:
    assert close_payload(code, "why") == b""


def test_the_reason_of_a_close_is_cut_between_two_characters() -> None:
    """SPEC CLS-4."""
    payload = close_payload(4_108, "x" * 122 + "ä")
    assert payload == b"\x10\x0c" + b"x" * 122
    assert close_payload(1_000, "\ud800") == b"\x03\xe8?"
