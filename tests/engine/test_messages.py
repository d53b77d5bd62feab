"""messages.py: what stands in bodies."""

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hawser_engine.calls import Call, ErrorReply
from hawser_engine.codes import SubscribeStatus
from hawser_engine.errors import LocalProtocolError, RemoteProtocolError
from hawser_engine.items import layout_of
from hawser_engine.messages import (
    About,
    AnyMessage,
    ChannelOutcome,
    ChannelRequest,
    Kept,
    Position,
    Publication,
    Publish,
    Subscribe,
    Subscribed,
    Unsubscribe,
    decode_about,
    decode_message,
    encode_about,
    encode_body,
    encode_publication,
)
from tests.engine.shapes import layouts, messages

EPOCH = b"\x01\x23\x45\x67\x89\xab\xcd\xef"


@given(messages())
def test_a_message_comes_back(message: AnyMessage) -> None:
    assert decode_message(encode_body(message)) == message


@given(messages(), st.lists(st.integers() | st.text() | st.none(), max_size=3).filter(lambda tail: tail))
def test_what_stands_behind_is_ignored_if_it_is_strict(message: AnyMessage, tail: list[object]) -> None:
    """SPEC MSG-1, PKT-4."""
    items = cbor2.loads(encode_body(message))
    left_out = [None] * (1 + len(layout_of(type(message))) - len(items))  # SPEC MSG-9
    body = cbor2.dumps([*items, *left_out, *tail])
    if any(isinstance(each, int) and abs(each) > 2**53 for each in tail):
        with pytest.raises(RemoteProtocolError, match="PKT-6"):
            decode_message(body)
    else:
        assert decode_message(body) == message


@given(
    st.text(min_size=1, max_size=60),
    st.integers(0, 2**53),
    st.binary(max_size=20) | st.sampled_from([b"x" * 255, b"x" * 65_536]),
    st.none() | layouts(About),
)
def test_the_packed_publication_is_the_one_that_cbor2_writes(
    channel: str, offset: int, data: bytes, about: About | None
) -> None:
    """SPEC CHN-2, CHN-13."""
    packed = encode_publication(channel, EPOCH, offset, data, about)
    assert packed == encode_body(Publication(channel, EPOCH, offset, data, about))


@given(layouts(About))
def test_what_a_publication_carries_can_be_kept(about: About) -> None:
    """SPEC CHN-13, PUB-7: the tags in their order."""
    kept = decode_about(encode_about(about))
    assert kept == about
    assert list(kept.tags or {}) == list(about.tags or {})
    assert encode_about(kept) == encode_about(about)


@given(layouts(Kept))
def test_whom_a_publication_spares_is_kept(about: Kept) -> None:
    """SPEC ADR-8; one that spares nobody is like any other."""
    kept = decode_about(encode_about(about))
    assert encode_about(kept) == encode_about(about)
    assert isinstance(kept, Kept) == (about.spared is not None)
    assert not isinstance(kept, Kept) or kept == about


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"", "in about: saw an item that goes on behind the last byte (SPEC PKT-6)"),
        (b"\x80", "in about: saw list of length 0, expected a map (SPEC PKT-8)"),
        (cbor2.dumps({"time_ms": -1}), "in about: saw time_ms = -1, expected an integer"),
        (cbor2.dumps({"tags": {}}), "in about: saw tags = dict of length 0, expected a map of 1 to 8 entries"),
    ],
)
def test_what_no_publication_carries_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_about(data)
    assert text in str(caught.value)


def test_a_publication_that_carries_nothing_has_no_about() -> None:
    """SPEC CHN-13, MSG-9."""
    plain = encode_body(Publication("x", EPOCH, 1, b""))
    assert plain[:2] == b"\x85\x07"
    assert encode_publication("x", EPOCH, 1, b"") == plain
    assert decode_message(b"\x86" + plain[1:] + b"\xf6") == decode_message(plain)


@pytest.mark.parametrize(
    ("channel", "epoch", "offset"),
    [
        ("", EPOCH, 1),
        ("é" * 128, EPOCH, 1),
        ("\ud800", EPOCH, 1),
        ("x", b"1234567", 1),
        ("x", EPOCH, -1),
        ("x", EPOCH, 2**53 + 1),
    ],
)
def test_a_publication_that_is_none_is_not_packed(channel: str, epoch: bytes, offset: int) -> None:
    with pytest.raises(LocalProtocolError):
        encode_publication(channel, epoch, offset, b"")


def test_a_subscription_to_many_channels() -> None:
    """SPEC SUB-1: as many as one message may name."""
    request = Subscribe(1, tuple(ChannelRequest(f"room:{n}", Position(EPOCH, n)) for n in range(128)))
    assert decode_message(encode_body(request)) == request
    outcome = ChannelOutcome("x" * 255, SubscribeStatus.GAP, Position(EPOCH, 2**53), "HISTORY_TOO_SHORT")
    answer = Subscribed(1, (outcome,) * 128)
    assert decode_message(encode_body(answer)) == answer


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "PROTOCOL_ERROR (remote) in message: saw an item that goes on behind the last byte (SPEC PKT-6)"),
        (b"\x80", "in message: saw something else than an array with a kind in front (SPEC MSG-1)"),
        (b"\x81\x17", "in message: saw the unknown kind 23, which may not be ignored (SPEC MSG-3)"),
        (b"\x81\x0f", "in CANCEL: saw 1 items, expected at least 2 (SPEC PKT-8)"),
        (b"\x82\x0f\x00", "in CANCEL: saw id = 0, expected an integer from 1 to 9007199254740992 (SPEC PKT-8)"),
        (b"\x82\x0f\x01\x00", "in CANCEL: saw 1 bytes behind the item, expected none (SPEC PKT-6)"),
    ],
)
def test_a_wrong_body_is_refused_with_what_was_expected(body: bytes, text: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        decode_message(body)
    assert text in str(caught.value)


@pytest.mark.parametrize("kind", [128, 255])
def test_an_unknown_message_that_may_be_ignored_is_none(kind: int) -> None:
    """SPEC MSG-3."""
    assert decode_message(cbor2.dumps([kind, {"any": [1.5]}])) is None
    with pytest.raises(RemoteProtocolError):
        decode_message(cbor2.dumps([kind, {1: 2}]))


@given(st.binary(max_size=100) | st.binary(max_size=60).map(lambda tail: b"\x83\x01\x01\x81\x82\x61x" + tail))
def test_any_bytes_are_a_message_or_refused(body: bytes) -> None:
    try:
        message = decode_message(body)
    except RemoteProtocolError:
        return
    if message is not None:
        assert decode_message(encode_body(message)) == message


def test_payloads_are_not_shown() -> None:
    assert "data=<6 bytes>" in repr(Publication("x", EPOCH, 1, b"secret"))
    assert "secret" not in repr(Publish(1, "x", b"secret", None)) + repr(Call(1, "x", b"secret", None))
    assert repr(ErrorReply(1, 1, "", False, None)).endswith("data=None)")


def test_names_are_not_empty() -> None:
    with pytest.raises(LocalProtocolError, match="UNSUBSCRIBE: saw channels = str of length 0"):
        Unsubscribe(1, ("",))
