"""The kinds of item that packets and messages are made of, each with its range (SPEC PKT-8).

A class declares its items in its annotations, ``versions: Annotated[tuple[int, ...], ListOf(Uint(), 1, 16)]``, and
hands ``checked`` to attrs. Then building and decoding are one act: every argument, whether it comes from a program or
from the wire, goes through ``accept``, which returns what the class holds or raises. So no invalid packet can be held
and no check is written twice. A field with a default, None, may be left out: at the end of an array, and of a map
(SPEC MSG-9). A test compares packets.cddl with these declarations.

Ranges are part of the protocol: nothing here is configurable.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any, ClassVar, Final, TypeVar, cast, get_args

import attrs

from .cbor import ARRAY, MAX_INTEGER, UINT, broken, check_value, is_map, is_sequence, read_head
from .codes import CloseCode
from .errors import LocalProtocolError

MAX_ITEMS: Final = 1_024
"""Most items in a packet or in a body of the message layer, nested ones, keys and the outermost counted.

A SUBSCRIBED for 128 channels has 900. It bounds the work of a peer that sends 16 KiB of one-byte items, byte by byte.
"""


IGNORABLE: Final = range(128, 256)
"""Kinds that are skipped where they are unknown (SPEC PKT-3); the kinds below 128 are not (PKT-2)."""

_KINDS: Final = range(256)


class Fault(Exception):
    """A value is not what an item has to be; it never leaves this module."""

    def __init__(self, value: object, expected: str, clause: str = "PKT-8") -> None:
        super().__init__(f"{_seen(value)}, expected {expected}")
        self.clause = clause


class Item(ABC):
    """One kind of item."""

    @abstractmethod
    def accept(self, value: Any) -> Any:
        """Return what a packet holds for ``value``, given as a program or as the wire writes it.

        Raises:
            Fault: It is neither.
            LocalProtocolError: A part of it is neither.
        """

    def wire(self, value: Any) -> Any:
        """Return what CBOR can encode for what a packet holds."""
        return value


@attrs.frozen
class Uint(Item):
    """An integer that is not negative. An IntEnum is taken and held as a plain int; a bool is refused."""

    minimum: int = 0
    maximum: int = MAX_INTEGER

    def accept(self, value: Any) -> int:
        """See Item."""
        if isinstance(value, int) and not isinstance(value, bool) and self.minimum <= value <= self.maximum:
            return int(value)
        raise Fault(value, f"an integer from {self.minimum} to {self.maximum}")


@attrs.frozen
class Bool(Item):
    """False or true."""

    def accept(self, value: Any) -> bool:
        """See Item."""
        if isinstance(value, bool):
            return value
        raise Fault(value, "false or true")


@attrs.frozen
class Bytes(Item):
    """A byte string; lengths in bytes. What could still change, as a bytearray can, is refused."""

    minimum: int
    maximum: int

    def accept(self, value: Any) -> bytes:
        """See Item."""
        if type(value) is bytes and self.minimum <= len(value) <= self.maximum:
            return value
        raise Fault(value, f"a byte string of {self.minimum} to {self.maximum} bytes")


@attrs.frozen
class Text(Item):
    """Text; lengths in bytes of UTF-8."""

    minimum: int
    maximum: int

    def accept(self, value: Any) -> str:
        """See Item."""
        if type(value) is str and self.minimum <= _utf8_length(value) <= self.maximum:
            return value
        raise Fault(value, f"text of {self.minimum} to {self.maximum} bytes of UTF-8")


@attrs.frozen
class Nullable(Item):
    """Another item, or null."""

    of: Item

    def accept(self, value: Any) -> Any:
        """See Item."""
        return None if value is None else self.of.accept(value)

    def wire(self, value: Any) -> Any:
        """See Item."""
        return None if value is None else self.of.wire(value)


@attrs.frozen
class ListOf(Item):
    """An array of like items, held as a tuple; lengths in items."""

    of: Item
    minimum: int
    maximum: int

    def accept(self, value: Any) -> tuple[Any, ...]:
        """See Item."""
        if is_sequence(value) and self.minimum <= len(value) <= self.maximum:
            return tuple([self.of.accept(each) for each in value])
        raise Fault(value, f"an array of {self.minimum} to {self.maximum} items")

    def wire(self, value: Any) -> list[Any]:
        """See Item."""
        return [self.of.wire(each) for each in value]


@attrs.frozen
class MapOf(Item):
    """A map of text to like items, held as a dict that nobody may change afterwards; lengths in entries."""

    key: Text
    of: Item
    minimum: int
    maximum: int

    def accept(self, value: Any) -> dict[str, Any]:
        """See Item."""
        if is_map(value) and self.minimum <= len(value) <= self.maximum:
            return {self.key.accept(key): self.of.accept(each) for key, each in value.items()}
        raise Fault(value, f"a map of {self.minimum} to {self.maximum} entries")

    def wire(self, value: Any) -> dict[str, Any]:
        """See Item."""
        return {key: self.of.wire(each) for key, each in value.items()}


@attrs.frozen
class Record(Item):
    """An array of exactly the items of an attrs class; unknown items are ignored behind packets only, not in here."""

    cls: type["Layout"]

    def accept(self, value: Any) -> Any:
        """See Item."""
        if isinstance(value, self.cls):
            return value
        required, width = required_of(self.cls), len(layout_of(self.cls))
        if not is_sequence(value):
            raise Fault(value, f"an array of {width} items")
        if not required <= len(value) <= width:
            exactly = f"exactly {width}" if required == width else f"{required} to {width}"
            raise Fault(value, f"an array of {exactly} items", self.cls.CLAUSE)
        return self.cls(*value)

    def wire(self, value: Any) -> list[Any]:
        """See Item."""
        return wire_items(value)


@attrs.frozen
class Keyed(Item):
    """A map whose keys are the fields of an attrs class: all without a default must be there, others are ignored."""

    cls: type["Layout"]

    def accept(self, value: Any) -> Any:
        """See Item."""
        if isinstance(value, self.cls):
            return value
        if not is_map(value):
            raise Fault(value, "a map")
        layout = layout_of(self.cls)
        for key, _ in layout[: required_of(self.cls)]:
            if key not in value:
                raise Fault(value, f"a map with {key}", self.cls.CLAUSE)
        return self.cls(*(value.get(key) for key, _ in layout))

    def wire(self, value: Any) -> dict[str, Any]:
        """See Item."""
        layout, required = layout_of(self.cls), required_of(self.cls)
        wired = [(key, item.wire(getattr(value, key))) for key, item in layout]
        return {key: each for place, (key, each) in enumerate(wired) if place < required or each is not None}


@attrs.frozen
class OpenMap(Item):
    """A map of text keys to whatever strict CBOR can express, held as a dict that nobody may change afterwards."""

    def accept(self, value: Any) -> dict[str, Any]:
        """See Item."""
        if not is_map(value):
            raise Fault(value, "a map")
        check_value(value, limit=MAX_ITEMS, depth=1)
        return value


class Layout:
    """Base of the classes whose fields are items."""

    __slots__ = ()

    NAME: ClassVar[str]
    """What the specification calls it."""

    CLAUSE: ClassVar[str] = "PKT-8"
    """The clause that is broken where items are missing from it or too many."""


class Kind(Layout):
    """Base of the classes that go over the wire as an array with a kind in front: packets and messages."""

    __slots__ = ()

    KIND: ClassVar[int]
    """The first item of the array."""


K = TypeVar("K", bound=Kind)

_LAYOUTS: Final[dict[type[Layout], tuple[tuple[str, Item], ...]]] = {}
"""What layout_of has found: looking into annotations takes longer than encoding."""

_REQUIRED: Final[dict[type[Layout], int]] = {}
"""What required_of has found."""


def checked(cls: type[Layout], fields: "list[attrs.Attribute[Any]]") -> "list[attrs.Attribute[Any]]":
    """Make every field of a class take what its declared item accepts; an attrs ``field_transformer``."""
    return [field.evolve(converter=_acceptor(_item_of(field), field.name, cls.NAME)) for field in fields]


def layout_of(cls: type[Layout]) -> tuple[tuple[str, Item], ...]:
    """Return name and item of each field of a class, in the order of its array."""
    layout = _LAYOUTS.get(cls)
    if layout is None:
        fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cast("type[attrs.AttrsInstance]", cls))
        layout = _LAYOUTS[cls] = tuple((field.name, _item_of(field)) for field in fields)
    return layout


def required_of(cls: type[Layout]) -> int:
    """Return how many fields of a class, its first ones, may not be left out."""
    required = _REQUIRED.get(cls)
    if required is None:
        fields: tuple[attrs.Attribute[Any], ...] = attrs.fields(cast("type[attrs.AttrsInstance]", cls))
        required = _REQUIRED[cls] = sum(field.default is attrs.NOTHING for field in fields)
    return required


def wire_items(held: Layout) -> list[Any]:
    """Return the items of a packet, without its kind, as CBOR can encode them; what says nothing is left out."""
    cls = type(held)
    items = [item.wire(getattr(held, name)) for name, item in layout_of(cls)]
    required = required_of(cls)
    while len(items) > required and items[-1] is None:
        items.pop()
    return items


def kind_at(data: bytes, position: int, stop: int, clause: str) -> int | None:
    """Read the kind of an array as soon as it is there, before anything behind it is looked at.

    Args:
        data: The bytes.
        position: Where the array starts.
        stop: Where the bytes at hand end.
        clause: What a beginning without a kind breaks.

    Returns:
        The kind, or None if the bytes end before it does.

    Raises:
        RemoteProtocolError: No kind can stand there.
    """
    array = read_head(data, position, stop)
    if array is None:
        return None
    major, length, inside = array
    if major != ARRAY or length == 0:
        raise broken(clause, "saw something else than an array with a kind in front")
    first = read_head(data, inside, stop)
    if first is None:
        return None
    major, kind, _ = first
    if major != UINT or kind not in _KINDS:
        raise broken(clause, "saw a kind that is no integer from 0 to 255")
    return kind


def build(cls: type[K], items: list[Any]) -> K:
    """Build a packet or message from the items of its array, the kind included.

    Raises:
        RemoteProtocolError: An item is missing or wrong.

    Spec: PKT-4, PKT-8, MSG-9.
    """
    required = required_of(cls)
    if len(items) <= required:
        raise broken("PKT-8", f"saw {len(items)} items, expected at least {required + 1}")
    try:
        return cls(*items[1 : len(layout_of(cls)) + 1])  # what stands behind is of a later version (PKT-4)
    except LocalProtocolError as error:
        raise broken(error.clause, error.detail) from None


def _item_of(field: "attrs.Attribute[Any]") -> Item:
    return cast("Item", get_args(field.type)[1])


def _acceptor(item: Item, name: str, where: str) -> Callable[[Any], Any]:
    def accept(value: Any) -> Any:
        try:
            return item.accept(value)
        except Fault as fault:
            detail = f"saw {name} = {fault}"
            raise LocalProtocolError(CloseCode.PROTOCOL_ERROR, fault.clause, detail, where) from None
        except LocalProtocolError as error:
            raise error.at(where) from None

    return accept


def _utf8_length(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError:  # a lone surrogate
        return -1


def _seen(value: object) -> str:
    """Describe a value without showing what might be secret or long."""
    if value is None or isinstance(value, bool):
        return str(value)
    if isinstance(value, int):
        return str(value) if value.bit_length() <= 64 else "a huge integer"
    if isinstance(value, (bytes, str)) or is_sequence(value) or is_map(value):
        return f"{type(value).__name__} of length {len(value)}"
    return type(value).__name__
