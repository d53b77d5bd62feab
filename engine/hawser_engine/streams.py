"""The messages of calls whose arguments or results come in items (SPEC 15.7)."""

from typing import Annotated, ClassVar, TypeAlias

from attrs import field, frozen

from .cbor import MAX_INTEGER
from .fields import Data, Id, Name, length_only
from .items import Bool, Bytes, Kind, Nullable, Uint, checked

Amount: TypeAlias = Annotated[int, Uint()]


@frozen(field_transformer=checked)
class Stream(Kind):
    """Calls a procedure whose result may come in items (SPEC STR-1)."""

    KIND: ClassVar[int] = 27
    NAME: ClassVar[str] = "STREAM"

    id: Id
    """Number of the request, in the series of CALL."""
    procedure: Name
    """The procedure."""
    arguments: Data = field(repr=length_only)
    """The arguments; opaque."""
    deadline_ms: Annotated[int | None, Nullable(Uint())]
    """Session time at which the caller stops waiting; None: never."""
    inputs: Annotated[bool, Bool()]
    """Whether the caller sends items, too."""
    items: Amount
    """How many items the callee may send before there is more credit."""
    bytes: Amount
    """And of how many bytes."""


@frozen(field_transformer=checked)
class StreamItem(Kind):
    """One item of a STREAM: ITEM."""

    KIND: ClassVar[int] = 28
    NAME: ClassVar[str] = "ITEM"

    id: Id
    """The STREAM."""
    inward: Annotated[bool, Bool()]
    """Whether it goes from the caller to the callee."""
    data: Annotated[bytes | None, Nullable(Bytes(0, MAX_INTEGER))] = field(repr=length_only)
    """The item; opaque. None: the caller sends no more."""


@frozen(field_transformer=checked)
class StreamCredit(Kind):
    """Lets the other side send more items of a STREAM: CREDIT."""

    KIND: ClassVar[int] = 29
    NAME: ClassVar[str] = "CREDIT"

    id: Id
    """The STREAM."""
    inward: Annotated[bool, Bool()]
    """Whether it is for items from the caller to the callee."""
    items: Amount
    """How many more."""
    bytes: Amount
    """And of how many more bytes."""
