"""The messages of mailboxes: letters that are kept until somebody has taken them (SPEC 15.11)."""

from typing import Annotated, ClassVar

from attrs import field, frozen

from .fields import Data, Epoch, Id, Name, Offset, Remark, length_only
from .items import Bool, Bytes, Kind, ListOf, Nullable, Text, Uint, checked


@frozen(field_transformer=checked)
class Post(Kind):
    """Asks for a letter to be put into a mailbox (SPEC MBX-1)."""

    KIND: ClassVar[int] = 30
    NAME: ClassVar[str] = "POST"

    id: Id
    """Number of the request."""
    mailbox: Name
    """The mailbox."""
    data: Data = field(repr=length_only)
    """The payload; opaque."""
    key: Annotated[bytes | None, Nullable(Bytes(1, 64))]
    """The same key stores one letter, however often it is asked; None: no such promise."""
    ttl_ms: Annotated[int | None, Nullable(Uint())]
    """How long it is worth being delivered; None: as long as the mailbox keeps letters."""


@frozen(field_transformer=checked)
class Hold(Kind):
    """Asks to be the one who gets the letters of a mailbox, or to be it no more (SPEC MBX-5)."""

    KIND: ClassVar[int] = 31
    NAME: ClassVar[str] = "HOLD"

    id: Id
    """Number of the request."""
    mailbox: Annotated[str | None, Nullable(Text(1, 255))]
    """The mailbox; None: that of the session's own user."""
    letters: Annotated[int, Uint()]
    """At most so many that are not settled; 0: give it up."""
    bytes: Annotated[int, Uint()]
    """Of so many bytes together, but always one."""


@frozen(field_transformer=checked)
class Held(Kind):
    """Answers a HOLD, or says what has become of it."""

    KIND: ClassVar[int] = 32
    NAME: ClassVar[str] = "HELD"

    id: Annotated[int | None, Nullable(Uint(1))]
    """The request that this answers; None: it has changed by itself."""
    mailbox: Name
    """The mailbox."""
    state: Annotated[int, Uint()]
    """A HoldState; one that this side does not know is taken as ended."""
    code: Annotated[int, Uint()]
    """0, or why it has ended: an ErrorCode or a number that this side does not know."""
    reason: Remark
    """The name of the ErrorCode, or empty."""


@frozen(field_transformer=checked)
class Letter(Kind):
    """One letter to the holder of its mailbox (SPEC MBX-6)."""

    KIND: ClassVar[int] = 33
    NAME: ClassVar[str] = "LETTER"

    mailbox: Name
    """The mailbox."""
    epoch: Epoch
    """Names the letter, with …"""
    offset: Offset
    """… its place in the mailbox."""
    sender: Annotated[str | None, Nullable(Text(1, 255))]
    """Id of the principal that posted it; None: the service itself."""
    time_ms: Annotated[int, Uint()]
    """When it was stored, in milliseconds since the beginning of 1970 (UTC)."""
    tries: Annotated[int, Uint()]
    """How often it has failed before."""
    data: Data = field(repr=length_only)
    """The payload; opaque."""


@frozen(field_transformer=checked)
class Settle(Kind):
    """Says what has become of letters that were given: only this removes them (SPEC MBX-7)."""

    KIND: ClassVar[int] = 34
    NAME: ClassVar[str] = "SETTLE"

    mailbox: Name
    """The mailbox."""
    epoch: Epoch
    """That of the letters, …"""
    letters: Annotated[tuple[int, ...], ListOf(Uint(), 1, 128)]
    """… and their offsets."""
    failed: Annotated[bool, Bool()]
    """Whether they failed; else they are dealt with, and removed."""
