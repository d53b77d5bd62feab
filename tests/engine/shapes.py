"""Strategies for every packet and message, made from the declarations of the classes."""

from typing import Any

from hypothesis import strategies as st

from hawser_engine.codes import CloseCode
from hawser_engine.items import (
    Bool,
    Bytes,
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
    layout_of,
)
from hawser_engine.messages import MESSAGES, AnyMessage
from hawser_engine.packets import PACKETS, Packet

SIZES = (0, 1, 23, 24, 255, 256, 300)


def integers(minimum: int, maximum: int) -> st.SearchStrategy[int]:
    """Integers, many of them where a head grows or a range ends."""
    edges = [edge + by for edge in (24, 2**8, 2**16, 2**32, 2**53) for by in (-1, 0) if minimum <= edge + by <= maximum]
    return st.sampled_from([minimum, *edges, maximum]) | st.integers(minimum, maximum)


def scalars() -> st.SearchStrategy[Any]:
    floats = st.floats(allow_nan=False)
    return st.none() | st.booleans() | integers(-(2**53), 2**53) | floats | st.text(max_size=5) | st.binary(max_size=5)


def values() -> st.SearchStrategy[Any]:
    """Whatever strict CBOR can express; arrays as lists, for that is what they come back as."""
    return st.recursive(
        scalars(), lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4)
    )


def sizes(item: Bytes | Text, most: int) -> list[int]:
    """Lengths at the ends of a range, and where a head grows."""
    return sorted(
        size for size in {*SIZES, item.minimum, item.maximum} if item.minimum <= size <= min(item.maximum, most)
    )


def items(item: Item) -> st.SearchStrategy[Any]:
    match item:
        case Uint():
            return integers(item.minimum, item.maximum)
        case Bool():
            return st.booleans()
        case Bytes():
            few = st.binary(min_size=item.minimum, max_size=min(item.maximum, 40))
            return few | st.sampled_from([b"\x83" * size for size in sizes(item, 65_536)])
        case Text():
            some = st.text(min_size=item.minimum, max_size=min(item.maximum // 4, 40))
            return some | st.sampled_from(["x" * size for size in sizes(item, 2_048)])
        case Nullable():
            return st.none() | items(item.of)
        case ListOf():
            return st.lists(items(item.of), min_size=item.minimum, max_size=min(item.maximum, 4)).map(tuple)
        case MapOf():
            most = min(item.maximum, 4)
            return st.dictionaries(items(item.key), items(item.of), min_size=item.minimum, max_size=most)
        case Record() | Keyed():
            return layouts(item.cls)
        case OpenMap():
            return st.dictionaries(st.text(max_size=8), values(), max_size=4)
        case _:
            raise AssertionError(item)


def layouts(cls: type[Layout]) -> st.SearchStrategy[Any]:
    return st.builds(cls, *[items(item) for _, item in layout_of(cls)])


def of_kind(cls: type[Kind]) -> st.SearchStrategy[Any]:
    if cls.NAME != "CLOSE":
        return layouts(cls)
    fields = {name: items(item) for name, item in layout_of(cls)}
    superseded = fields | {"code": st.just(int(CloseCode.SUPERSEDED)), "attempt": integers(0, 2**53)}
    other = fields | {"code": fields["code"].filter(lambda code: code != CloseCode.SUPERSEDED)}
    return st.builds(cls, **superseded) | st.builds(cls, **other)


def packets() -> st.SearchStrategy[Packet]:
    return st.one_of([of_kind(cls) for cls in PACKETS.values()])


def messages() -> st.SearchStrategy[AnyMessage]:
    return st.one_of([of_kind(cls) for cls in MESSAGES.values()])
