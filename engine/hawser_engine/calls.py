"""The messages of calls, and the error that answers any request (SPEC 15.5)."""

from typing import Annotated, ClassVar

from attrs import field, frozen

from .cbor import MAX_INTEGER
from .fields import Data, Id, Name, Remark, length_only
from .items import Bool, Bytes, Kind, Nullable, Uint, checked


@frozen(field_transformer=checked)
class Call(Kind):
    """Calls a procedure (SPEC CAL-1)."""

    KIND: ClassVar[int] = 12
    NAME: ClassVar[str] = "CALL"

    id: Id
    """Number of the request."""
    procedure: Name
    """The procedure."""
    arguments: Data = field(repr=length_only)
    """The arguments; opaque."""
    deadline_ms: Annotated[int | None, Nullable(Uint())]
    """Session time at which the caller stops waiting; None: never."""


@frozen(field_transformer=checked)
class Reply(Kind):
    """Answers a CALL with its result."""

    KIND: ClassVar[int] = 13
    NAME: ClassVar[str] = "REPLY"

    id: Id
    """The request that this answers."""
    data: Data = field(repr=length_only)
    """The result; opaque."""


@frozen(field_transformer=checked)
class ErrorReply(Kind):
    """Answers any request that has failed: ERROR."""

    KIND: ClassVar[int] = 14
    NAME: ClassVar[str] = "ERROR"

    id: Id
    """The request that this answers."""
    code: Annotated[int, Uint()]
    """An ErrorCode, a number from 100 on that is the application's, or one that this side does not know."""
    message: Remark
    """For people and logs."""
    temporary: Annotated[bool, Bool()]
    """Whether the same request may succeed later."""
    data: Annotated[bytes | None, Nullable(Bytes(0, MAX_INTEGER))] = field(repr=length_only)
    """More about it, for programs; opaque."""


@frozen(field_transformer=checked)
class Cancel(Kind):
    """Tells that the caller no longer waits; the call is answered all the same."""

    KIND: ClassVar[int] = 15
    NAME: ClassVar[str] = "CANCEL"

    id: Id
    """The CALL."""
