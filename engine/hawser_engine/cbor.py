"""Strict CBOR: what may be in anything that a peer sends (SPEC PKT-6).

Arrays and maps at most 16 deep, no tags, no indefinite lengths, text keys only and none twice, integers within
±2^53, no simple values but false, true and null, valid UTF-8. Heads need not be the shortest.

Rule 1: ``item_end`` sees every byte first; cbor2 is given only whole items whose heads are sound. By itself cbor2
takes undefined, byte-string keys, any integer and trailing bytes, and it cannot refuse an item that has not fully
arrived. What is left to it: duplicate keys, UTF-8 and building the objects.
Rule 2: nothing here recurses, and work is bounded by the bytes at hand.
"""

import struct
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, NoReturn, TypeGuard

import cbor2

from .codes import CloseCode
from .errors import LocalProtocolError, MessageTooLarge, RemoteProtocolError

MAX_DEPTH: Final = 16
"""Arrays and maps inside each other, the outermost counted (cbor2 alone: 400, Python's json: about 1,000)."""

MAX_INTEGER: Final = 2**53
"""Up to here every integer is exact in a double, which is all that some languages have."""

MAX_VALUE_BYTES: Final = 65_536
"""Longest application value decoded where nobody states another limit; the worst 64 KiB cost about 50 ms."""

UINT, NEGATIVE, BYTES, TEXT, ARRAY, MAP, TAG, SIMPLE, _REFUSED = range(9)
"""The major types of RFC 8949, and one for heads that are never allowed."""

_BYTE: Final = tuple(bytes((byte,)) for byte in range(256))
_PACK_8: Final = struct.Struct(">BB").pack
_PACK_16: Final = struct.Struct(">BH").pack
_PACK_32: Final = struct.Struct(">BI").pack
_PACK_64: Final = struct.Struct(">BQ").pack


def _head(initial: int) -> tuple[int, int, int]:
    """Say what a first byte begins: (major type, argument if it is complete, bytes that follow in the head)."""
    major, info = initial >> 5, initial & 31
    if major == SIMPLE:
        widths = {0xF4: 0, 0xF5: 0, 0xF6: 0, 0xF9: 2, 0xFA: 4, 0xFB: 8}  # false, true, null; floats
        return (SIMPLE, 0, widths[initial]) if initial in widths else (_REFUSED, 0, 0)
    if major == TAG or info > 27:
        return _REFUSED, 0, 0
    return (major, info, 0) if info < 24 else (major, 0, 1 << (info - 24))


_HEADS: Final = tuple(_head(initial) for initial in range(256))


def decode_value(data: bytes, *, limit: int = MAX_VALUE_BYTES) -> Any:
    """Decode one application value that a peer has sent.

    Args:
        data: The value's CBOR, nothing before or behind it.
        limit: Most bytes that are looked at.

    Raises:
        RemoteProtocolError: TOO_LARGE if it is longer than ``limit``, else PROTOCOL_ERROR.

    Spec: PKT-6, PKT-7.
    """
    if len(data) > limit:
        detail = f"saw {len(data)} bytes, expected at most {limit}"
        raise RemoteProtocolError(CloseCode.TOO_LARGE, "PKT-7", detail, "value")
    try:
        return load_whole(data)
    except RemoteProtocolError as error:
        raise error.at("value") from None


def encode_value(value: Any, *, limit: int = MAX_VALUE_BYTES) -> bytes:
    """Encode one application value by the same rules that ``decode_value`` applies.

    Args:
        value: None, bool, int, float, str, bytes, and lists, tuples and dicts of them; keys are str.
        limit: Most bytes that the result may have.

    Raises:
        MessageTooLarge: The result would be longer than ``limit``.
        LocalProtocolError: The value holds something else.

    Spec: PKT-6, PKT-7.
    """
    check_value(value, limit=limit)
    data = cbor2.dumps(value)
    if len(data) > limit:
        raise _too_long(f"{len(data)} bytes", limit)
    return data


def check_value(value: Any, *, limit: int, depth: int = 0) -> None:
    """Refuse a value that may not be encoded; cbor2 alone would crash on 2,000 nested lists and tag a date.

    Args:
        value: The value.
        limit: Most items that it may hold, which is at most the bytes that it may take.
        depth: How many arrays and maps the value will stand in.

    Raises:
        MessageTooLarge: It holds more than ``limit`` items.
        LocalProtocolError: It holds something that no CBOR of this protocol can express.

    Spec: PKT-6.
    """
    levels: list[Iterator[Any]] = [iter((value,))]
    count = 0
    while levels:
        for item in levels[-1]:
            count += 1
            if count > limit:
                raise _too_long(f"{count} items", limit)
            inner = _children(item)
            if inner is not None:
                if depth + len(levels) > MAX_DEPTH:
                    raise _unfit(f"saw arrays and maps deeper than {MAX_DEPTH}")
                levels.append(iter(inner))
                break
        else:
            levels.pop()


def _children(item: Any) -> Iterable[Any] | None:
    """Check one value by itself; return what it contains, or None if it is no container."""
    if item is None or isinstance(item, (bytes, float)):
        return None
    if isinstance(item, str):
        _check_text(item)
        return None
    if isinstance(item, int):
        if not -MAX_INTEGER <= item <= MAX_INTEGER:
            raise _unfit("saw an integer beyond ±2^53")
        return None
    if is_sequence(item):
        return item
    if is_map(item):
        for key in item:
            if not isinstance(key, str):
                raise _unfit(f"saw a key of type {type(key).__name__}, expected str")
            _check_text(key)
        return item.values()
    raise _unfit(
        f"saw a value of type {type(item).__name__}, expected None, bool, int, float, str, bytes, list or dict"
    )


def is_sequence(value: object) -> TypeGuard[list[Any] | tuple[Any, ...]]:
    """Whether it is what CBOR calls an array; for type checkers that would not say of what."""
    return isinstance(value, (list, tuple))


def is_map(value: object) -> TypeGuard[dict[Any, Any]]:
    """Whether it is what CBOR calls a map."""
    return isinstance(value, dict)


def _check_text(text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise _unfit("saw text with a lone surrogate, expected what UTF-8 can express") from None


def load_whole(data: bytes, *, items: int | None = None) -> Any:
    """Decode bytes that must be exactly one item.

    Args:
        data: The item.
        items: Most items it may hold, itself and everything nested counted; None for any number.

    Raises:
        RemoteProtocolError: It is not one strict item.

    Spec: PKT-6, PKT-7.
    """
    size = len(data)
    end = item_end(data, 0, size, items=items)
    if end is None:
        raise broken("PKT-6", "saw an item that goes on behind the last byte")
    if end < size:
        raise broken("PKT-6", f"saw {size - end} bytes behind the item, expected none")
    return load(data)


def item_end(
    data: bytes,
    position: int,
    stop: int,
    *,
    bound: int | None = None,
    longest: int | None = None,
    items: int | None = None,
) -> int | None:
    """Find where the item at ``position`` ends, and refuse it as early as its heads show a fault.

    Args:
        data: The bytes.
        position: Where the item starts.
        stop: Where the bytes at hand end, at most ``len(data)``.
        bound: Where the item has to end at the latest, though it may lie far behind ``stop``; None if what ``stop``
            cuts off will never come.
        longest: Most bytes that one string may have; None for any number.
        items: Most items there may be, the outermost, keys and everything nested counted; None for any number.

    Returns:
        The position behind the item, or None if the bytes end before it does.

    Raises:
        RemoteProtocolError: The item is not allowed, however it goes on.

    Spec: PKT-6, PKT-7.
    """
    seen, owed = 0, 1  # items in all: read, and announced by some head but still to come
    pending, keyed = 1, False  # the innermost container: items to come, and whether it is a map
    outer: list[tuple[int, bool]] = []
    while owed:
        while not pending:
            pending, keyed = outer.pop()
        head = read_head(data, position, stop)
        if head is None:
            return None
        major, argument, position = head
        # Keys and values are counted singly, so a key is next whenever an even number is to come.
        if keyed and not pending & 1 and major != TEXT:
            raise broken("PKT-6", f"saw a key of major type {major}, expected text keys only")
        pending -= 1
        owed -= 1
        seen += 1
        if major == BYTES or major == TEXT:
            if longest is not None and argument > longest:
                raise broken("PKT-7", f"saw a string of {argument} bytes, expected at most {longest}")
            position += argument
        elif major == ARRAY or major == MAP:
            if len(outer) == MAX_DEPTH:
                raise broken("PKT-6", f"saw arrays and maps deeper than {MAX_DEPTH}")
            outer.append((pending, keyed))
            keyed = major == MAP
            pending = 2 * argument if keyed else argument
            owed += pending
        elif major != SIMPLE and argument > MAX_INTEGER - (major == NEGATIVE):
            raise broken("PKT-6", "saw an integer beyond ±2^53")
        # Every item to come takes a byte at least, so what cannot fit shows in the head that announces it.
        if bound is None:
            if position + owed > stop:
                return None
        elif position + owed > bound:
            raise broken("PKT-7", "saw a length beyond what is allowed")
        if items is not None and seen + owed > items:
            raise broken("PKT-7", f"saw more than {items} items")
    return position if position <= stop else None


def read_head(data: bytes, position: int, stop: int) -> tuple[int, int, int] | None:
    """Read the head of one item: its first byte and the argument behind it.

    Args:
        data: The bytes.
        position: Where the head starts.
        stop: Where the bytes at hand end, at most ``len(data)``.

    Returns:
        (major type, argument, where the head ends), or None if the bytes end before the head does. Major type 7 is a
        float or a constant: all of it counts as head, and the argument says nothing.

    Raises:
        RemoteProtocolError: A first byte that is never allowed.

    Spec: PKT-6.
    """
    if position >= stop:
        return None
    major, argument, width = _HEADS[data[position]]
    if major == _REFUSED:
        raise broken("PKT-6", f"saw first byte 0x{data[position]:02x}, expected {_expected_instead(data[position])}")
    position += 1
    if not width:
        return major, argument, position
    end = position + width
    if end > stop:
        return None
    if major != SIMPLE:
        argument = int.from_bytes(data[position:end], "big")
    return major, argument, end


def encode_head(major: int, argument: int) -> bytes:
    """Encode the shortest head: ``major`` is the major type, ``argument`` a length or an integer up to 2^53."""
    kind = major << 5
    if argument < 24:
        return _BYTE[kind | argument]
    if argument < 0x100:
        return _PACK_8(kind | 24, argument)
    if argument < 0x10000:
        return _PACK_16(kind | 25, argument)
    if argument < 0x100000000:
        return _PACK_32(kind | 26, argument)
    return _PACK_64(kind | 27, argument)


def _expected_instead(initial: int) -> str:
    if initial >> 5 == TAG:
        return "no tag"
    if initial & 31 == 31:
        return "a definite length"
    return "no simple value but false, true and null" if initial >> 5 == SIMPLE else "a head that RFC 8949 knows"


def load(data: bytes) -> Any:
    """Build the objects of one whole item that ``item_end`` has passed.

    Raises:
        RemoteProtocolError: A key stands twice in one map, or text is not UTF-8.

    Spec: PKT-6.
    """
    try:
        return cbor2.loads(
            data,
            tag_hook=_refuse_tag,
            semantic_decoders=_REFUSED_TAGS,
            max_depth=MAX_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=True,
        )
    except cbor2.CBORDecodeError:
        # The text of the error would repeat a key of the peer's, however long.
        raise broken("PKT-6", "saw a key twice in one map, or text that is not UTF-8") from None


def broken(clause: str, detail: str) -> RemoteProtocolError:
    """Make the error for bytes that no peer may send."""
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail)


def _unfit(detail: str) -> LocalProtocolError:
    return LocalProtocolError(CloseCode.PROTOCOL_ERROR, "PKT-6", detail, "value")


def _too_long(seen: str, limit: int) -> MessageTooLarge:
    return MessageTooLarge(CloseCode.TOO_LARGE, "PKT-7", f"saw {seen}, expected at most {limit}", "value")


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("no tags")


# The tags that cbor2 6.2 decodes itself, past tag_hook: dates, bignums, shared references, regular expressions … .
# item_end has refused every tag before; this is the second line, for the day when somebody calls load without it.
_REFUSED_TAGS: Final[Mapping[int, Any]] = dict.fromkeys(
    (0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799), _refuse_tag
)
