"""Bytes in which some items are left to the implementation, and how they stand in a file.

A packet is a list; `Chosen` in it is one item of the implementation's own, `Inside` a byte string that holds another
list, such as the body of a MESSAGE. README.md beside the vectors says what a runner does with them.
"""

from typing import Any, Final, NamedTuple

from ..encoding import Json, Raw, compact, diagnostic, encode, head


class Chosen(NamedTuple):
    """An item that the side under test chooses: its name, its bounds and its type.

    Types are ``bytes``, ``word``, ``uint``, ``text`` and ``any``.
    """

    type: str
    name: str
    bounds: tuple[tuple[str, int], ...] = ()


class Inside(NamedTuple):
    """A byte string that holds one encoded value."""

    value: Any


class Joined(NamedTuple):
    """Values one behind the other, without a head."""

    values: tuple[Any, ...]


def some_bytes(name: str) -> Chosen:
    """Make a chosen byte string."""
    return Chosen("bytes", name)


def some_word(name: str) -> Chosen:
    """Make a chosen text string that is the same each time."""
    return Chosen("word", name)


def some_uint(name: str, minimum: int | None = None, maximum: int | None = None) -> Chosen:
    """Make a chosen integer."""
    bounds = {"minimum": minimum, "maximum": maximum}
    return Chosen("uint", name, tuple((key, value) for key, value in bounds.items() if value is not None))


REASON: Final = Chosen("text", "reason")
"""Text for people, whatever it says."""

WHATEVER: Final = Chosen("any", "whatever")
"""An item of any type, which is not what the scene is about."""


def hex_of(values: tuple[Any, ...]) -> Json:
    """Write values one behind the other as the member ``hex`` of a step."""
    parts = _parts(values)
    return parts[0] if len(parts) == 1 and isinstance(parts[0], str) else parts


def notation_of(values: tuple[Any, ...]) -> str:
    """Write them in diagnostic notation."""
    return ", ".join(diagnostic(_shown(value)) or "..." for value in values)


def _parts(values: tuple[Any, ...]) -> list[Json]:
    joined: list[bytes | Json] = []
    for piece in (piece for value in values for piece in _pieces(value)):
        if isinstance(piece, bytes) and joined and isinstance(joined[-1], bytes):
            joined[-1] += piece
        else:
            joined.append(piece)
    parts: list[Json] = []
    for piece in joined:
        written = compact(piece) if isinstance(piece, bytes) else piece
        parts += written if isinstance(written, list) else [written]
    return parts


def _pieces(value: Any) -> list[bytes | Json]:
    """Return what is known as bytes, and what is not as it stands in a file."""
    plain: Any = value  # for type checkers, which would make a map of unknowns of it
    match value:
        case Chosen():
            return [{value.type: value.name, **dict(value.bounds)}]
        case Joined():
            return [piece for each in value.values for piece in _pieces(each)]
        case Inside():
            known = _pieces(value.value)
            if all(isinstance(piece, bytes) for piece in known):
                return [encode(b"".join(known))]
            return [{"inside": _parts((value.value,))}]
        case dict():
            pairs = [piece for key, each in plain.items() for piece in (encode(key), *_pieces(each))]
            return [head(5, len(plain)), *pairs]
        case _ if (items := _items(value)) is not None:
            return [head(4, len(items)), *(piece for each in items for piece in _pieces(each))]
        case _:
            return [encode(value)]


def _shown(value: Any) -> Any:
    plain: Any = value
    match value:
        case Chosen():
            return Raw(b"", f"<{value.name}>")
        case Joined():
            return Raw(b"", " + ".join(notation_of((each,)) for each in value.values))
        case Inside():
            return Raw(b"", f"<<{notation_of((value.value,))}>>")
        case dict():
            return {key: _shown(each) for key, each in plain.items()}
        case _ if (items := _items(value)) is not None:
            return [_shown(each) for each in items]
        case _:
            return value


def _items(value: Any) -> list[Any] | None:
    """Return the items of an array; None if it is none, or one of the wrappers of ``encoding``."""
    plain: Any = value  # for type checkers, which would make a list of unknowns of it
    return list(plain) if isinstance(value, (list, tuple)) and not hasattr(plain, "_fields") else None
