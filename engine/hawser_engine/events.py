"""What a driver learns from the engine, as a closed union.

An event states a fact and changes nothing; in particular a message event acknowledges nothing, ``delivered`` does.
"""

from typing import TYPE_CHECKING, Any, TypeAlias

from attrs import field, frozen

from .codes import ResetReason
from .errors import RemoteProtocolError

if TYPE_CHECKING:
    from .session import Session

__all__ = [
    "AuthenticationRequested",
    "ConnectionTerminated",
    "CredentialsAccepted",
    "CredentialsRequested",
    "Event",
    "MessageDropped",
    "MessageReceived",
    "RoomAvailable",
    "SessionDetached",
    "SessionOpened",
    "SessionReset",
    "SessionResumed",
    "VolatileReceived",
]


@frozen
class AuthenticationRequested:
    """The driver has to judge credentials and call ``accept``, ``refuse`` or ``unavailable`` (SPEC ATT-5, AUT-2)."""

    credentials: dict[str, Any] = field(repr=False)
    principal: str | None
    """Whom the session belongs to, if it exists; another principal will be refused."""


@frozen
class CredentialsRequested:
    """The server wants new credentials; the client's driver calls ``authenticate`` (SPEC AUT-1)."""

    within_seconds: float


@frozen
class CredentialsAccepted:
    """The credentials of the last ``authenticate`` were accepted (SPEC AUT-2)."""


@frozen(eq=False)
class SessionOpened:
    """A new session is there and proved: hooks may run (SPEC UNC-1)."""

    session: "Session" = field(repr=False)


@frozen(eq=False)
class SessionResumed:
    """A session goes on over a new connection (SPEC ATT-12)."""

    session: "Session" = field(repr=False)
    replayed: int
    """Parts that this side sends again."""


@frozen(eq=False)
class SessionDetached:
    """A session has lost its connection and waits for the next (SPEC EXP-1)."""

    session: "Session" = field(repr=False)


@frozen(eq=False)
class RoomAvailable:
    """Something was refused for want of room, and now there is some: ``send_batch`` and ``send`` may try again."""

    session: "Session" = field(repr=False)


@frozen(eq=False)
class SessionReset:
    """A session is over; the three counts add up to all that this side had accepted for it (SPEC RST-6).

    Messages that expired or were replaced before they had a number are told one by one and not counted here. If the
    reason is CLOSED, ``session.next_event`` still hands out what had arrived before: draw it first (SPEC EXP-2).
    """

    session: "Session" = field(repr=False)
    reason: ResetReason | int
    """Why; a number if this side does not know it."""
    known_delivered: int
    """Messages that the peer's application has taken for certain."""
    unknown: int
    """Messages of which a part has a number, and nobody can say."""
    not_sent: int
    """Messages of which no part has ever left."""
    numbered: int
    """Ordinal of the last message of which a part has a number: later ones were not sent (SPEC RST-9)."""


@frozen
class MessageReceived:
    """A whole message has arrived in order; ``delivered(number)`` says that the application has taken it."""

    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")
    number: int
    """Number of its last part (SPEC CNT-3)."""


@frozen
class VolatileReceived:
    """An uncounted message has arrived (SPEC CNT-7)."""

    body: bytes = field(repr=lambda body: f"<{len(body)} bytes>")


@frozen
class MessageDropped:
    """An accepted message went before it had a number, by its own policy (SPEC NUM-4)."""

    ordinal: int
    """What ``send`` returned for it."""
    reason: str
    """"expired", "replaced", or "no room" for one that is longer than the peer turned out to accept."""


@frozen
class ConnectionTerminated:
    """The last event of a connection; the driver sends what is left and ends the link (SPEC CLS-1, CLS-3)."""

    code: int
    """A CloseCode, or a number that this side does not know."""
    reason: str
    initiator: str
    """"local", "remote", or "link" if it died without a CLOSE."""
    reconnect: bool
    """May the peer of the closer come back?"""
    resume: bool
    """May it resume the session?"""
    after_seconds: tuple[float, float]
    """Between what and what from now."""
    url: str | None
    """Where; None for the same place."""
    error: RemoteProtocolError | None = None
    """The clause that the peer broke, if that is why."""


Event: TypeAlias = (
    AuthenticationRequested
    | CredentialsRequested
    | CredentialsAccepted
    | SessionOpened
    | SessionResumed
    | SessionDetached
    | SessionReset
    | MessageReceived
    | VolatileReceived
    | MessageDropped
    | RoomAvailable
    | ConnectionTerminated
)
"""All that `next_event` returns: a closed union, so that a `match` over it can be checked for completeness."""
