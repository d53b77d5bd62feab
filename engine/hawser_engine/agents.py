"""The messages with which clients offer procedures under the name of an agent (SPEC 15.6)."""

from typing import Annotated, ClassVar, TypeAlias

from attrs import field, frozen

from .fields import Id, Remark, length_only
from .items import Bytes, Kind, Layout, ListOf, Nullable, Record, Text, Uint, checked

Part: TypeAlias = Annotated[str, Text(1, 127)]
"""Either part of ``agent.procedure``, which is a name of at most 255 bytes."""
Description: TypeAlias = Annotated[bytes, Bytes(0, 4_096)]


@frozen(field_transformer=checked)
class OfferedProcedure(Layout):
    """One procedure of an OFFER."""

    NAME: ClassVar[str] = "offered procedure"

    procedure: Part
    """Its name, without that of the agent."""
    description: Description = field(repr=length_only)
    """What it takes and does, for the directory; opaque to the server."""


@frozen(field_transformer=checked)
class Offer(Kind):
    """Offers procedures under the name of an agent (SPEC AGT-2)."""

    KIND: ClassVar[int] = 24
    NAME: ClassVar[str] = "OFFER"

    id: Id
    """Number of the request."""
    agent: Part
    """The agent."""
    worker: Annotated[str | None, Nullable(Text(1, 127))]
    """Names this one of the workers of the agent, so that it is known after a restart; None: it has no name."""
    description: Description = field(repr=length_only)
    """What the agent is, for the directory; opaque to the server."""
    procedures: Annotated[tuple[OfferedProcedure, ...], ListOf(Record(OfferedProcedure), 1, 128)]
    """What can be called."""


@frozen(field_transformer=checked)
class Offered(Kind):
    """Answers OFFER and WITHDRAW, or says that the server has ended an offer."""

    KIND: ClassVar[int] = 25
    NAME: ClassVar[str] = "OFFERED"

    id: Annotated[int | None, Nullable(Uint(1))]
    """The request that this answers; None: the server has ended the offer."""
    agent: Part
    """The agent."""
    code: Annotated[int, Uint()]
    """0 as the answer to a request, else an ErrorCode or a number that this side does not know."""
    reason: Remark
    """The name of the ErrorCode, or empty."""


@frozen(field_transformer=checked)
class Withdraw(Kind):
    """Ends an offer; calls that were made before go on."""

    KIND: ClassVar[int] = 26
    NAME: ClassVar[str] = "WITHDRAW"

    id: Id
    """Number of the request."""
    agent: Part
    """The agent."""
