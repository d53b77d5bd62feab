"""The messages of presence: who is in a channel, and what changes (SPEC 15.10)."""

from typing import Annotated, ClassVar, TypeAlias

from attrs import field, frozen

from .fields import Id, Name, Remark, length_only
from .items import Bool, Bytes, Kind, Layout, ListOf, Nullable, Record, Uint, checked

MemberId: TypeAlias = Annotated[bytes, Bytes(1, 16)]
Info: TypeAlias = Annotated[bytes, Bytes(0, 1_024)]
Version: TypeAlias = Annotated[int, Uint()]


@frozen(field_transformer=checked)
class Member(Layout):
    """One member of a channel."""

    NAME: ClassVar[str] = "member"

    member: MemberId
    """Names the session among the members of all channels, as long as it lives."""
    user: Name
    """Id of its principal; nothing that a client could make up."""
    info: Info = field(repr=length_only)
    """What it says of itself; opaque."""


@frozen(field_transformer=checked)
class Presence(Kind):
    """Says what a session wants of the presence of a channel from now on (SPEC PRS-1)."""

    KIND: ClassVar[int] = 19
    NAME: ClassVar[str] = "PRESENCE"

    id: Id
    """Number of the request."""
    channel: Name
    """The channel."""
    watch: Annotated[int, Uint()]
    """0: be told nothing; 1: be told; 2: be told, beginning with a new list. Anything else is taken as 1."""
    info: Annotated[bytes | None, Nullable(Bytes(0, 1_024))] = field(repr=length_only)
    """Be a member that says this of itself; None: be none."""


@frozen(field_transformer=checked)
class Present(Kind):
    """Answers a PRESENCE, or says that the server has ended what it asked for."""

    KIND: ClassVar[int] = 20
    NAME: ClassVar[str] = "PRESENT"

    id: Annotated[int | None, Nullable(Uint(1))]
    """The request that this answers; None: the session neither watches nor is a member any more."""
    channel: Name
    """The channel."""
    member: Annotated[bytes | None, Nullable(Bytes(1, 16))]
    """Which of the members the session is; None: none of them."""
    code: Annotated[int, Uint()]
    """0 as the answer to a request, else an ErrorCode or a number that this side does not know."""
    reason: Remark
    """The name of the ErrorCode, or empty."""


@frozen(field_transformer=checked)
class Members(Kind):
    """The list of the members, or a piece of it, to a watcher (SPEC PRS-4)."""

    KIND: ClassVar[int] = 21
    NAME: ClassVar[str] = "MEMBERS"

    channel: Name
    """The channel."""
    version: Version
    """What is in the list; the CHANGES that follow count on from here."""
    total: Annotated[int, Uint()]
    """How many members there are."""
    more: Annotated[bool, Bool()]
    """Whether another piece of the same list follows."""
    members: Annotated[tuple[Member, ...] | None, Nullable(ListOf(Record(Member), 0, 128))]
    """Some of them; None: there are too many to tell more than their number."""


@frozen(field_transformer=checked)
class Changes(Kind):
    """What has changed among the members: the same bytes for every watcher (SPEC PRS-5)."""

    KIND: ClassVar[int] = 22
    NAME: ClassVar[str] = "CHANGES"

    channel: Name
    """The channel."""
    version: Version
    """One above that of the list or the changes before."""
    total: Annotated[int, Uint()]
    """How many members there are now."""
    here: Annotated[tuple[Member, ...], ListOf(Record(Member), 0, 128)]
    """Who has come, or says something else of itself."""
    gone: Annotated[tuple[bytes, ...], ListOf(Bytes(1, 16), 0, 128)]
    """Who has left."""
