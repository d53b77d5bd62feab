"""items.py: what each kind of item takes, and how a kind is read."""

from typing import Annotated, Any, ClassVar

import attrs
import pytest

from hawser_engine.errors import LocalProtocolError, RemoteProtocolError
from hawser_engine.items import (
    MAX_ITEMS,
    Bool,
    Bytes,
    Fault,
    Item,
    Keyed,
    Kind,
    Layout,
    ListOf,
    MapOf,
    Nullable,
    OpenMap,
    Record,
    Text,
    Uint,
    build,
    checked,
    kind_at,
    layout_of,
    required_of,
    wire_items,
)


@attrs.frozen(field_transformer=checked)
class Pair(Layout):
    NAME: ClassVar[str] = "pair"
    CLAUSE: ClassVar[str] = "PKT-12"

    left: Annotated[int, Uint()]
    right: Annotated[str, Text(0, 2)]


@attrs.frozen(field_transformer=checked)
class Sample(Kind):
    KIND: ClassVar[int] = 99
    NAME: ClassVar[str] = "SAMPLE"

    pair: Annotated[Pair | None, Nullable(Record(Pair))]
    keyed: Annotated[Pair, Keyed(Pair)]
    pairs: Annotated[tuple[Pair, ...], ListOf(Record(Pair), 0, 2)]


@attrs.frozen(field_transformer=checked)
class Loose(Kind):
    KIND: ClassVar[int] = 98
    NAME: ClassVar[str] = "LOOSE"

    left: Annotated[int, Uint()]
    middle: Annotated[int | None, Nullable(Uint())] = None
    right: Annotated[int | None, Nullable(Uint())] = None


PAIR = Pair(1, "é")
SAMPLE = Sample(PAIR, PAIR, (PAIR,))


@pytest.mark.parametrize(
    ("item", "value", "held"),
    [
        (Uint(), 0, 0),
        (Uint(), 2**53, 2**53),
        (Uint(3, 3), 3, 3),
        (Bool(), False, False),
        (Bytes(0, 1), b"", b""),
        (Text(2, 2), "é", "é"),
        (Nullable(Uint()), None, None),
        (Nullable(Uint()), 7, 7),
        (ListOf(Uint(), 0, 2), [], ()),
        (ListOf(Uint(), 0, 2), (1, 2), (1, 2)),
        (Record(Pair), [1, "é"], PAIR),
        (Record(Pair), PAIR, PAIR),
        (Keyed(Pair), {"right": "é", "left": 1, "other": object()}, PAIR),
        (Keyed(Pair), PAIR, PAIR),
        (OpenMap(), {"k": [1.5]}, {"k": [1.5]}),
        (MapOf(Text(1, 2), Record(Pair), 1, 2), {"é": [1, "x"]}, {"é": Pair(1, "x")}),
        (Record(Loose), [1], Loose(1)),
        (Record(Loose), [1, None, 3], Loose(1, None, 3)),
        (Keyed(Loose), {"left": 1}, Loose(1)),
        (Keyed(Loose), {"left": 1, "right": 3, "middle": None, "later": 4}, Loose(1, None, 3)),
    ],
)
def test_an_item_takes_both_forms_and_holds_one(item: Item, value: Any, held: Any) -> None:
    assert item.accept(value) == held
    assert item.accept(item.wire(held)) == held


@pytest.mark.parametrize(
    ("item", "value", "text"),
    [
        (Uint(3, 5), 2, "2, expected an integer from 3 to 5"),
        (Uint(3, 5), 6, "6, expected"),
        (Uint(), True, "True, expected"),
        (Uint(), 2**65, "a huge integer, expected"),
        (Uint(), 1.0, "float, expected"),
        (Bool(), 0, "0, expected false or true"),
        (Bytes(1, 2), b"", "bytes of length 0, expected a byte string of 1 to 2 bytes"),
        (Bytes(1, 2), bytearray(b"x"), "bytearray, expected"),
        (Text(1, 2), "xé", "str of length 2, expected text of 1 to 2 bytes of UTF-8"),
        (Text(0, 9), "\ud800", "str of length 1, expected"),
        (ListOf(Uint(), 1, 2), [], "list of length 0, expected an array of 1 to 2 items"),
        (ListOf(Uint(), 1, 2), [None], "None, expected an integer"),
        (ListOf(Uint(), 1, 2), "12", "str of length 2, expected an array"),
        (Record(Pair), {"left": 1}, "dict of length 1, expected an array of 2 items"),
        (Record(Pair), [1], "list of length 1, expected an array of exactly 2 items"),
        (Keyed(Pair), [], "list of length 0, expected a map"),
        (Keyed(Pair), {"left": 1}, "dict of length 1, expected a map with right"),
        (OpenMap(), [], "list of length 0, expected a map"),
        (MapOf(Text(1, 2), Uint(), 1, 2), {}, "dict of length 0, expected a map of 1 to 2 entries"),
        (MapOf(Text(1, 2), Uint(), 1, 2), {"a": 1, "b": 2, "c": 3}, "dict of length 3, expected a map"),
        (MapOf(Text(1, 2), Uint(), 1, 2), {"": 1}, "str of length 0, expected text"),
        (MapOf(Text(1, 2), Uint(), 1, 2), {"a": "1"}, "str of length 1, expected an integer"),
        (MapOf(Text(1, 2), Uint(), 1, 2), [], "list of length 0, expected a map"),
        (Record(Loose), [], "list of length 0, expected an array of 1 to 3 items"),
        (Record(Loose), [1, 2, 3, 4], "list of length 4, expected an array of 1 to 3 items"),
        (Keyed(Loose), {"right": 3}, "dict of length 1, expected a map with left"),
    ],
)
def test_an_item_refuses_what_it_is_not(item: Item, value: Any, text: str) -> None:
    with pytest.raises(Fault) as caught:
        item.accept(value)
    assert text in str(caught.value)


def test_the_shape_of_a_record_has_a_clause_of_its_own() -> None:
    """SPEC PKT-12, PKT-13."""
    cases: list[tuple[Item, Any]] = [(Record(Pair), [1]), (Keyed(Pair), {})]
    for item, value in cases:
        with pytest.raises(Fault) as caught:
            item.accept(value)
        assert caught.value.clause == "PKT-12"


def test_a_fault_inside_is_told_with_the_place_outside() -> None:
    for wrong in ([1, "xyz"], {"left": 1, "right": "xyz"}):
        field = "pair" if isinstance(wrong, list) else "keyed"
        arguments: dict[str, Any] = {"pair": None, "keyed": PAIR, "pairs": (), field: wrong}
        with pytest.raises(LocalProtocolError, match="in SAMPLE: saw right = str of length 3"):
            Sample(**arguments)
    with pytest.raises(LocalProtocolError, match="key of type int"):
        OpenMap().accept({1: 2})
    with pytest.raises(LocalProtocolError, match="1025 items"):
        OpenMap().accept({"k": [0] * MAX_ITEMS})


def test_a_class_knows_its_items_and_writes_them() -> None:
    assert layout_of(Pair) == (("left", Uint()), ("right", Text(0, 2)))
    assert wire_items(SAMPLE) == [[1, "é"], {"left": 1, "right": "é"}, [[1, "é"]]]
    assert wire_items(attrs.evolve(SAMPLE, pair=None, pairs=())) == [None, {"left": 1, "right": "é"}, []]


def test_what_says_nothing_is_left_out_at_the_end() -> None:
    """SPEC MSG-9."""
    assert (required_of(Pair), required_of(Loose)) == (2, 1)
    assert wire_items(Loose(1)) == [1]
    assert wire_items(Loose(1, 2)) == [1, 2]
    assert wire_items(Loose(1, None, 3)) == [1, None, 3]
    assert Keyed(Loose).wire(Loose(1, None, 3)) == {"left": 1, "right": 3}
    for items in ([98, 1], [98, 1, None], [98, 1, None, None], [98, 1, None, None, "later"]):
        assert build(Loose, items) == Loose(1)
    with pytest.raises(RemoteProtocolError, match="saw 1 items, expected at least 2"):
        build(Loose, [98])


def test_building_takes_what_is_known_and_leaves_the_rest() -> None:
    """SPEC PKT-4, PKT-8."""
    assert build(Sample, [99, *wire_items(SAMPLE), "later", 5]) == SAMPLE
    with pytest.raises(RemoteProtocolError, match="saw 3 items, expected at least 4"):
        build(Sample, [99, *wire_items(SAMPLE)[:-1]])
    with pytest.raises(RemoteProtocolError, match="saw pairs = 5"):
        build(Sample, [99, *wire_items(SAMPLE)[:-1], 5])


@pytest.mark.parametrize(
    ("data", "kind"), [(b"\x81\x06", 6), (b"\x83\x18\xff", 255), (b"\x9b" + b"\x00" * 7 + b"\x01\x19\x00\x80", 128)]
)
def test_a_kind_is_read_as_soon_as_it_is_there(data: bytes, kind: int) -> None:
    """SPEC PKT-1."""
    assert kind_at(b"x" + data, 1, 1 + len(data), "PKT-1") == kind
    for cut in range(len(data)):
        assert kind_at(data, 0, cut, "PKT-1") is None


@pytest.mark.parametrize(
    "data", [b"\x80", b"\x06", b"\xa1\x06\x00", b"\x81\x26", b"\x81\x61x", b"\x81\x19\x01\x00", b"\x81\xf6"]
)
def test_what_has_no_kind_is_refused(data: bytes) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        kind_at(data, 0, len(data), "MSG-1")
    assert caught.value.clause == "MSG-1"
