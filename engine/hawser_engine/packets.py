"""The packets of a session, version 1 (SPEC PKT-8; the same arrays as packets.cddl).

The fields of a class are the items of its array behind the kind, in order. An invalid packet cannot be built: a wrong
value raises LocalProtocolError. Packets are equal when their items are.

All times are whole milliseconds, all sizes bytes, all counts from 0 to 2^53.
"""

from typing import Annotated, Any, ClassVar, Final, TypeAlias

from attrs import field, frozen

from .codes import CloseCode
from .errors import LocalProtocolError
from .items import Bool, Bytes, Keyed, Kind, Layout, ListOf, Nullable, OpenMap, Record, Text, Uint, checked

MAX_BODY: Final = 65_536
"""Longest body of one MESSAGE or VOLATILE: 64 KiB, a constant of the protocol so that shared bytes stay shared."""

Count: TypeAlias = Annotated[int, Uint()]
Names: TypeAlias = Annotated[tuple[str, ...], ListOf(Text(0, 64), 0, 32)]
SessionId: TypeAlias = Annotated[bytes, Bytes(1, 64)]
Secret: TypeAlias = Annotated[bytes, Bytes(32, 32)]
Incarnation: TypeAlias = Annotated[bytes, Bytes(1, 16)]
Body: TypeAlias = Annotated[bytes, Bytes(0, MAX_BODY)]
Credentials: TypeAlias = Annotated[dict[str, Any], OpenMap()]


@frozen(field_transformer=checked)
class Counts(Layout):
    """How far one side has got, in both directions (SPEC CNT-2, CNT-3, CNT-5)."""

    NAME: ClassVar[str] = "counts"
    CLAUSE: ClassVar[str] = "PKT-12"

    received: Count
    """Number of the last message taken over in order."""
    delivered: Count
    """Number of the last message that the application has taken, with all before it."""
    sent: Count
    """Number of the last message that this side has sent."""


@frozen(field_transformer=checked)
class Limits(Layout):
    """What a client accepts (SPEC WIN-1, PRT-5)."""

    NAME: ClassVar[str] = "limits"
    CLAUSE: ClassVar[str] = "PKT-13"

    window_messages: Count
    """MESSAGE packets that may be undelivered."""
    window_bytes: Count
    """Sum of the bodies of MESSAGE packets that may be undelivered."""
    message_bytes: Count
    """Longest message, all parts together."""


@frozen(field_transformer=checked)
class ServerLimits(Layout):
    """What a server accepts (SPEC WIN-1, PRT-5, OPS-1)."""

    NAME: ClassVar[str] = "limits"
    CLAUSE: ClassVar[str] = "PKT-13"

    window_messages: Count
    """MESSAGE packets that may be undelivered."""
    window_bytes: Count
    """Sum of the bodies of MESSAGE packets that may be undelivered."""
    message_bytes: Count
    """Longest message, all parts together."""
    operations: Count
    """Requests of the message layer that may be unanswered."""
    operation_bytes: Count
    """Sum of the bodies of those requests."""


@frozen(field_transformer=checked)
class Open(Kind):
    """A client asks for a new session (SPEC VER-1, VER-2)."""

    KIND: ClassVar[int] = 1
    NAME: ClassVar[str] = "OPEN"

    versions: Annotated[tuple[int, ...], ListOf(Uint(), 1, 16)]
    """Versions of the protocol that the client speaks, in any order."""
    features: Names
    """Features that the client would use."""
    credentials: Credentials = field(repr=False)
    """What proves who the client is; the application's own keys."""
    resume_period_ms: Annotated[int | None, Nullable(Uint())]
    """How long the session should live without a connection; None leaves it to the server."""
    limits: Annotated[Limits, Keyed(Limits)]
    """What the client accepts."""


@frozen(field_transformer=checked)
class Opened(Kind):
    """The server has made the session."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "OPENED"

    version: Count
    """The version that is spoken from here on, one of those offered."""
    features: Names
    """The features that are used from here on, all of them offered."""
    session: SessionId
    """Name of the session; opaque, and no credential."""
    secret: Secret = field(repr=False)
    """Proves the right to resume the session."""
    incarnation: Incarnation
    """Names the store that holds the session, to tell a restarted server."""
    resume_period_ms: Count
    """How long the session lives without a connection."""
    ping_interval_ms: Count
    """The server pings at the latest after this much silence."""
    pong_wait_ms: Count
    """How long a PING may stay unanswered."""
    limits: Annotated[ServerLimits, Keyed(ServerLimits)]
    """What the server accepts."""


@frozen(field_transformer=checked)
class Resume(Kind):
    """A client asks to go on with a session (SPEC ATT-4)."""

    KIND: ClassVar[int] = 3
    NAME: ClassVar[str] = "RESUME"

    session: SessionId
    """The session, as OPENED named it."""
    secret: Secret = field(repr=False)
    """The newest secret that the client has got."""
    incarnation: Incarnation
    """The store, as OPENED named it."""
    attempt: Annotated[int, Uint(1)]
    """Rises by one with every RESUME of the session."""
    counts: Annotated[Counts, Record(Counts)]
    """How far the client has got."""
    credentials: Credentials = field(repr=False)
    """What proves who the client is, as in OPEN."""


@frozen(field_transformer=checked)
class Resumed(Kind):
    """The server goes on with the session."""

    KIND: ClassVar[int] = 4
    NAME: ClassVar[str] = "RESUMED"

    attempt: Annotated[int, Uint(1)]
    """The attempt that this answers."""
    counts: Annotated[Counts, Record(Counts)]
    """How far the server has got."""
    secret: Secret = field(repr=False)
    """A new secret, pending until it is proved."""


@frozen(field_transformer=checked)
class Reset(Kind):
    """The session cannot be continued (SPEC RST-1)."""

    KIND: ClassVar[int] = 5
    NAME: ClassVar[str] = "RESET"

    reason: Count
    """A ResetReason, or a number that this side does not know."""
    counts: Annotated[Counts | None, Nullable(Record(Counts))]
    """How far the sender had got, where it knows."""


@frozen(field_transformer=checked)
class Message(Kind):
    """One counted part of an application message (SPEC CNT-1, PRT-1)."""

    KIND: ClassVar[int] = 6
    NAME: ClassVar[str] = "MESSAGE"

    more: Annotated[bool, Bool()]
    """Whether the next MESSAGE goes on with the same application message."""
    body: Body = field(repr=lambda body: f"<{len(body)} bytes>")
    """The part; opaque."""


@frozen(field_transformer=checked)
class Volatile(Kind):
    """One uncounted message: it may be dropped and is never replayed (SPEC CNT-7)."""

    KIND: ClassVar[int] = 7
    NAME: ClassVar[str] = "VOLATILE"

    body: Body = field(repr=lambda body: f"<{len(body)} bytes>")
    """The whole message; opaque."""


@frozen(field_transformer=checked)
class Ack(Kind):
    """How far the sender has got (SPEC ACK-1)."""

    KIND: ClassVar[int] = 8
    NAME: ClassVar[str] = "ACK"

    counts: Annotated[Counts, Record(Counts)]
    """The sender's counts."""


@frozen(field_transformer=checked)
class Ping(Kind):
    """Asks for a PONG at once (SPEC LIV-1, LIV-7)."""

    KIND: ClassVar[int] = 9
    NAME: ClassVar[str] = "PING"

    token: Count
    """Comes back in the PONG."""
    counts: Annotated[Counts | None, Nullable(Record(Counts))]
    """The sender's counts; None before the connection is attached."""


@frozen(field_transformer=checked)
class Pong(Kind):
    """Answers a PING (SPEC LIV-3)."""

    KIND: ClassVar[int] = 10
    NAME: ClassVar[str] = "PONG"

    token: Count
    """The token of the PING."""
    counts: Annotated[Counts | None, Nullable(Record(Counts))]
    """The sender's own counts; None before the connection is attached."""


@frozen(field_transformer=checked)
class Auth(Kind):
    """New credentials for a live session (SPEC AUT-2)."""

    KIND: ClassVar[int] = 11
    NAME: ClassVar[str] = "AUTH"

    credentials: Credentials = field(repr=False)
    """What proves who the client is, as in OPEN."""


@frozen(field_transformer=checked)
class Reauth(Kind):
    """The server wants new credentials, or has accepted the last ones (SPEC AUT-1, AUT-2)."""

    KIND: ClassVar[int] = 12
    NAME: ClassVar[str] = "REAUTH"

    within_ms: Annotated[int | None, Nullable(Uint())]
    """An AUTH has to arrive within this time; None: the last AUTH was accepted."""


@frozen(field_transformer=checked)
class Close(Kind):
    """The connection ends, with the four answers: come back? resume? when? where? (SPEC CLS-1)."""

    KIND: ClassVar[int] = 13
    NAME: ClassVar[str] = "CLOSE"

    code: Count
    """A CloseCode, or a number that this side does not know."""
    reason: Annotated[str, Text(0, 123)]
    """For people; 123 bytes are what a WebSocket close frame has room for."""
    reconnect: Annotated[bool, Bool()]
    """Whether the peer may come back."""
    resume: Annotated[bool, Bool()]
    """Whether it may then resume the session."""
    after_min_ms: Count
    """Come back no earlier than this."""
    after_max_ms: Count
    """Spread the return evenly up to here."""
    url: Annotated[str | None, Nullable(Text(0, 2048))]
    """Come back there; None: where it was."""
    attempt: Annotated[int | None, Nullable(Uint())]
    """With SUPERSEDED, and only then: the highest attempt that the server has seen."""

    def __attrs_post_init__(self) -> None:
        if self.code == CloseCode.SUPERSEDED and self.attempt is None:
            detail = "saw SUPERSEDED without an attempt, expected the highest one"
            raise LocalProtocolError(CloseCode.PROTOCOL_ERROR, "CLS-7", detail, self.NAME)


Packet: TypeAlias = (
    Open | Opened | Resume | Resumed | Reset | Message | Volatile | Ack | Ping | Pong | Auth | Reauth | Close
)

PACKETS: Final[dict[int, type[Packet]]] = {
    cls.KIND: cls
    for cls in (Open, Opened, Resume, Resumed, Reset, Message, Volatile, Ack, Ping, Pong, Auth, Reauth, Close)
}
"""Every packet of version 1 by its kind."""
