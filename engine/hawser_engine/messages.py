"""The message layer, version 1: what stands in the bodies of MESSAGE and VOLATILE (SPEC MSG-1 to OPS-1).

One body, after its parts are joined, is one CBOR array with a kind in front, read by the same rules as a packet:
strict CBOR, unknown items behind the known ones ignored, unknown kinds from 128 on ignored. The session does not look
at any of it. What users send, ``data`` and ``arguments``, is a byte string in the array, so it passes unread.

An invalid message cannot be built: a wrong value raises LocalProtocolError. Names are UTF-8, lengths in bytes.
"""

from typing import Annotated, ClassVar, Final, TypeAlias, cast, get_args

import cbor2
from attrs import field, frozen

from .agents import Offer, Offered, Withdraw
from .calls import Call, Cancel, ErrorReply, Reply
from .cbor import BYTES, MAX_INTEGER, TEXT, UINT, broken, encode_head, load_whole
from .errors import LocalProtocolError, RemoteProtocolError
from .fields import Data, Epoch, Id, LatestKey, Name, Offset, Remark, Tags, length_only
from .items import (
    IGNORABLE,
    MAX_ITEMS,
    Bool,
    Bytes,
    Fault,
    Keyed,
    Kind,
    Layout,
    ListOf,
    Nullable,
    Record,
    Text,
    Uint,
    build,
    checked,
    kind_at,
    wire_items,
)
from .mailboxes import Held, Hold, Letter, Post, Settle
from .presence import Changes, Members, Presence, Present
from .streams import Stream, StreamCredit, StreamItem


@frozen(field_transformer=checked)
class Position(Layout):
    """A place in a channel: behind the publication with this offset, in this epoch (SPEC CHN-1)."""

    NAME: ClassVar[str] = "position"

    epoch: Epoch
    """Changes when the order of the channel begins anew."""
    offset: Offset
    """Rises by one with each publication; 0 is before the first."""


@frozen(field_transformer=checked)
class PublishOptions(Layout):
    """What a publisher says of a publication beside its payload (SPEC PUB-7)."""

    NAME: ClassVar[str] = "publish options"

    tags: Tags = None
    """Words about it, for filters; never changed once given."""
    latest_key: LatestKey = None
    """What it is the newest about, where a channel keeps the latest by key."""
    except_me: Annotated[bool | None, Nullable(Bool())] = None
    """Whether the session that says it does not get it itself (SPEC ADR-8); None: it does, where it is among them."""
    volatile: Annotated[bool | None, Nullable(Bool())] = None
    """Whether it is given at once or not at all (SPEC VOL-1); None: it is not volatile."""


@frozen(field_transformer=checked)
class About(Layout):
    """What a publication carries beside its payload, as far as its channel says so (SPEC CHN-13)."""

    NAME: ClassVar[str] = "about"

    publisher: Annotated[str | None, Nullable(Text(1, 255))] = None
    """Id of the principal that published it; nothing that a client could make up."""
    time_ms: Annotated[int | None, Nullable(Uint())] = None
    """When it got its offset, in milliseconds since the beginning of 1970 (UTC)."""
    tags: Tags = None
    """As they were given with PUBLISH."""
    latest_key: LatestKey = None
    """As it was given with PUBLISH."""


@frozen(field_transformer=checked)
class Kept(About):
    """What is kept with a publication, where that is more than it carries."""

    NAME: ClassVar[str] = "kept"

    spared: Annotated[tuple[str, ...] | None, Nullable(ListOf(Text(1, 32), 1, 64))] = None
    """The names of the sessions that do not get it (SPEC ADR-8)."""


@frozen(field_transformer=checked)
class SubscribeOptions(Layout):
    """How a channel is to be subscribed to."""

    NAME: ClassVar[str] = "subscribe options"

    rewind: Annotated[int | None, Nullable(Uint())] = None
    """Begin with the last so many publications (SPEC SUB-10); None: as the channel declares."""
    rewind_ms: Annotated[int | None, Nullable(Uint())] = None
    """Begin with those of the last so many milliseconds; None: no such bound."""
    filter: Annotated[str | None, Nullable(Text(1, 1_024))] = None
    """What the tags of a publication have to fulfil (SPEC SUB-12, FLT-1); None: nothing."""
    answers: Annotated[bool | None, Nullable(Bool())] = None
    """Whether the session answers questions to the members of the channel (SPEC ASK-1); None: it does not."""


@frozen(field_transformer=checked)
class ChannelRequest(Layout):
    """One channel of a SUBSCRIBE."""

    NAME: ClassVar[str] = "channel request"

    channel: Name
    """The channel."""
    since: Annotated[Position | None, Nullable(Record(Position))]
    """What the client has had already; None: only what is new."""
    options: Annotated[SubscribeOptions | None, Nullable(Keyed(SubscribeOptions))] = None
    """How; None: as the channel declares."""


@frozen(field_transformer=checked)
class ChannelOutcome(Layout):
    """What became of one channel of a SUBSCRIBE."""

    NAME: ClassVar[str] = "channel outcome"

    channel: Name
    """The channel."""
    status: Annotated[int, Uint()]
    """A SubscribeStatus, or a number that this side does not know."""
    position: Annotated[Position | None, Nullable(Record(Position))]
    """Where the publications that follow begin; None if none follow."""
    reason: Remark
    """The name of a GapReason after a gap, of an ErrorCode where the channel is refused, else empty."""


@frozen(field_transformer=checked)
class Subscribe(Kind):
    """Asks for the publications of channels (SPEC SUB-1)."""

    KIND: ClassVar[int] = 1
    NAME: ClassVar[str] = "SUBSCRIBE"

    id: Id
    """Number of the request."""
    channels: Annotated[tuple[ChannelRequest, ...], ListOf(Record(ChannelRequest), 1, 128)]
    """The channels, each with where to begin."""


@frozen(field_transformer=checked)
class Subscribed(Kind):
    """Answers a SUBSCRIBE, before the first publication of its channels."""

    KIND: ClassVar[int] = 2
    NAME: ClassVar[str] = "SUBSCRIBED"

    id: Annotated[int | None, Nullable(Uint(1))]
    """The request that this answers; None: the server has subscribed the session by itself (SPEC ASG-1)."""
    channels: Annotated[tuple[ChannelOutcome, ...], ListOf(Record(ChannelOutcome), 1, 128)]
    """One outcome for each channel asked for, in the same order."""
    remarks: Annotated[tuple[str, ...] | None, Nullable(ListOf(Text(0, MAX_INTEGER), 1, 128))] = None
    """Why, for people: one text for each of them that is refused, in their order (SPEC MSG-10); None: no word of it."""


@frozen(field_transformer=checked)
class Unsubscribe(Kind):
    """Asks for the end of subscriptions."""

    KIND: ClassVar[int] = 3
    NAME: ClassVar[str] = "UNSUBSCRIBE"

    id: Id
    """Number of the request."""
    channels: Annotated[tuple[str, ...], ListOf(Text(1, 255), 1, 128)]
    """The channels."""


@frozen(field_transformer=checked)
class Unsubscribed(Kind):
    """Subscriptions have ended; nothing of these channels follows."""

    KIND: ClassVar[int] = 4
    NAME: ClassVar[str] = "UNSUBSCRIBED"

    id: Annotated[int | None, Nullable(Uint(1))]
    """The request that this answers; None: the server has ended them."""
    channels: Annotated[tuple[str, ...], ListOf(Text(1, 255), 1, 128)]
    """The channels."""
    code: Annotated[int, Uint()]
    """0 as the answer to a request, else an ErrorCode or a number that this side does not know."""
    reason: Remark
    """The name of the ErrorCode, or empty."""


@frozen(field_transformer=checked)
class Publish(Kind):
    """Asks for a publication in a channel (SPEC PUB-1)."""

    KIND: ClassVar[int] = 5
    NAME: ClassVar[str] = "PUBLISH"

    id: Id
    """Number of the request."""
    channel: Name
    """The channel."""
    data: Data = field(repr=length_only)
    """The payload; opaque."""
    key: Annotated[bytes | None, Nullable(Bytes(1, 64))]
    """The same key publishes once, however often it is asked; None: no such promise."""
    options: Annotated[PublishOptions | None, Nullable(Keyed(PublishOptions))] = None
    """What it says beside the payload; None: nothing."""


@frozen(field_transformer=checked)
class Published(Kind):
    """Answers a PUBLISH."""

    KIND: ClassVar[int] = 6
    NAME: ClassVar[str] = "PUBLISHED"

    id: Id
    """The request that this answers."""
    position: Annotated[Position, Record(Position)]
    """Where the publication stands."""
    duplicate: Annotated[bool, Bool()]
    """Whether the key had been used before, and the position is that of the first time."""


@frozen(field_transformer=checked)
class Publication(Kind):
    """One publication to a subscriber: the same bytes for every one of them (SPEC CHN-1)."""

    KIND: ClassVar[int] = 7
    NAME: ClassVar[str] = "PUBLICATION"

    channel: Name
    """The channel."""
    epoch: Epoch
    """The channel's epoch."""
    offset: Offset
    """The publication's place in it."""
    data: Data = field(repr=length_only)
    """The payload; opaque."""
    about: Annotated[About | None, Nullable(Keyed(About))] = None
    """What it carries beside the payload; None: nothing."""


@frozen(field_transformer=checked)
class PositionNotice(Kind):
    """Tells a subscriber how far it has been considered, where no publication says so: POSITION."""

    KIND: ClassVar[int] = 8
    NAME: ClassVar[str] = "POSITION"

    channel: Name
    """The channel."""
    epoch: Epoch
    """The channel's epoch."""
    offset: Offset
    """Everything up to here has been sent or does not concern this subscriber."""


@frozen(field_transformer=checked)
class GapNotice(Kind):
    """Tells a subscriber that publications are lost to it, before any later one: GAP."""

    KIND: ClassVar[int] = 9
    NAME: ClassVar[str] = "GAP"

    channel: Name
    """The channel."""
    since: Annotated[Position | None, Nullable(Record(Position))]
    """What lies behind this position is lost; None: nobody knows since when."""
    position: Annotated[Position, Record(Position)]
    """What lies behind this position follows."""
    reason: Annotated[int, Uint()]
    """A GapReason, or a number that this side does not know."""


@frozen(field_transformer=checked)
class Pause(Kind):
    """Asks that nothing more of a channel comes for now: the subscriber's queue is full."""

    KIND: ClassVar[int] = 10
    NAME: ClassVar[str] = "PAUSE"

    channel: Name
    """The channel."""
    epoch: Epoch
    """The channel's epoch."""
    offset: Offset
    """The last publication that was queued."""


@frozen(field_transformer=checked)
class Continue(Kind):
    """Asks for the publications behind a position, after PAUSE."""

    KIND: ClassVar[int] = 11
    NAME: ClassVar[str] = "CONTINUE"

    channel: Name
    """The channel."""
    epoch: Epoch
    """The channel's epoch."""
    offset: Offset
    """The last publication that was queued."""


Session: TypeAlias = Annotated[str | None, Nullable(Text(1, 32))]


@frozen(field_transformer=checked)
class Target(Layout):
    """Whom something is sent to (SPEC ADR-2)."""

    NAME: ClassVar[str] = "target"

    kind: Annotated[int, Uint()]
    """A TargetKind, or a number that this side does not know."""
    name: Annotated[str | None, Nullable(Text(1, 255))]
    """Who of this kind; None where there is only one."""


@frozen(field_transformer=checked)
class SendOutcome(Layout):
    """What became of one target of a SEND (SPEC ADR-3)."""

    NAME: ClassVar[str] = "send outcome"

    status: Annotated[int, Uint()]
    """A SendStatus, or a number that this side does not know."""
    reached: Annotated[int, Uint()]
    """How many sessions have accepted it."""
    away: Annotated[int, Uint()]
    """How many of them had no link at that moment."""
    full: Annotated[int, Uint()]
    """How many sessions had no room for it."""
    position: Annotated[Position | None, Nullable(Record(Position))]
    """Where the publication stands, or which letter it is; None where it is neither."""
    reason: Remark
    """The name of an ErrorCode where it is refused, else empty."""


@frozen(field_transformer=checked)
class Send(Kind):
    """Sends something to sessions, users, agents, everybody, and channels (SPEC ADR-1)."""

    KIND: ClassVar[int] = 16
    NAME: ClassVar[str] = "SEND"

    id: Id
    """Number of the request."""
    targets: Annotated[tuple[Target, ...], ListOf(Record(Target), 1, 64)]
    """To whom."""
    data: Data = field(repr=length_only)
    """The payload; opaque."""
    key: Annotated[bytes | None, Nullable(Bytes(1, 64))]
    """As in PUBLISH and POST, for the channels and the mailboxes of the targets."""
    options: Annotated[PublishOptions | None, Nullable(Keyed(PublishOptions))] = None
    """As in PUBLISH; None: nothing."""


@frozen(field_transformer=checked)
class Sent(Kind):
    """Answers a SEND."""

    KIND: ClassVar[int] = 17
    NAME: ClassVar[str] = "SENT"

    id: Id
    """The request that this answers."""
    outcomes: Annotated[tuple[SendOutcome, ...], ListOf(Record(SendOutcome), 1, 64)]
    """One for each target, in the same order."""
    remarks: Annotated[tuple[str, ...] | None, Nullable(ListOf(Text(0, MAX_INTEGER), 1, 64))] = None
    """Why, for people: one text for each of them that is refused, in their order (SPEC MSG-10); None: no word of it."""


@frozen(field_transformer=checked)
class Direct(Kind):
    """What was sent to a session: the same bytes for all who are reached by the same target (SPEC ADR-4)."""

    KIND: ClassVar[int] = 18
    NAME: ClassVar[str] = "DIRECT"

    to: Annotated[Target, Record(Target)]
    """The target by which the session was reached."""
    user: Annotated[str | None, Nullable(Text(1, 255))]
    """Id of the principal that sent it; None: the application."""
    session: Session
    """The name of the session that sent it; None: the application."""
    data: Data = field(repr=length_only)
    """The payload; opaque."""


@frozen(field_transformer=checked)
class Listen(Kind):
    """Says how many DIRECTs a session takes, beside those that it takes already (SPEC ADR-5)."""

    KIND: ClassVar[int] = 35
    NAME: ClassVar[str] = "LISTEN"

    id: Id
    """Number of the request."""
    items: Annotated[int, Uint()]
    """How many more."""
    bytes: Annotated[int, Uint()]
    """And of how many more bytes; both 0: none any more."""


@frozen(field_transformer=checked)
class Listening(Kind):
    """Answers a LISTEN."""

    KIND: ClassVar[int] = 36
    NAME: ClassVar[str] = "LISTENING"

    id: Id
    """The request that this answers."""
    session: Annotated[str, Text(1, 32)]
    """The name under which others reach the session."""


@frozen(field_transformer=checked)
class Read(Kind):
    """Asks for a page of the history of a channel (SPEC PGE-1)."""

    KIND: ClassVar[int] = 37
    NAME: ClassVar[str] = "READ"

    id: Id
    """Number of the request."""
    channel: Name
    """The channel."""
    since: Annotated[Position | None, Nullable(Record(Position))]
    """What lies behind this is asked for, the first of it; None: the last of what there is."""
    before: Annotated[Position | None, Nullable(Record(Position))]
    """What lies before this is asked for; None: up to the end."""
    limit: Annotated[int, Uint()]
    """At most so many publications; 0: where the channel stands."""


@frozen(field_transformer=checked)
class Page(Kind):
    """Answers a READ."""

    KIND: ClassVar[int] = 38
    NAME: ClassVar[str] = "PAGE"

    id: Id
    """The request that this answers."""
    position: Annotated[Position, Record(Position)]
    """The end of the channel when the page was read."""
    first: Offset
    """From this offset on nothing is missing."""
    more: Annotated[bool, Bool()]
    """Whether there may be more of what was asked for."""
    publications: Annotated[tuple[bytes, ...], ListOf(Bytes(0, MAX_INTEGER), 0, 128)]
    """Each a PUBLICATION, or in place of one that is too long a POSITION (SPEC PGE-4)."""


AnyMessage: TypeAlias = (
    Subscribe
    | Subscribed
    | Unsubscribe
    | Unsubscribed
    | Publish
    | Published
    | Publication
    | PositionNotice
    | GapNotice
    | Pause
    | Continue
    | Call
    | Reply
    | ErrorReply
    | Cancel
    | Send
    | Sent
    | Direct
    | Presence
    | Present
    | Members
    | Changes
    | Offer
    | Offered
    | Withdraw
    | Stream
    | StreamItem
    | StreamCredit
    | Post
    | Hold
    | Held
    | Letter
    | Settle
    | Listen
    | Listening
    | Read
    | Page
)

MESSAGES: Final[dict[int, type[AnyMessage]]] = {cls.KIND: cls for cls in get_args(AnyMessage)}
"""Every message of version 1 and its features by its kind."""

PRESENCE: Final = "presence"
"""The feature with which there are PRESENCE, PRESENT, MEMBERS and CHANGES (SPEC VER-6)."""

AGENTS: Final = "agents"
"""The feature with which there are OFFER, OFFERED and WITHDRAW (SPEC VER-6)."""

STREAMS: Final = "streams"
"""The feature with which there are STREAM, ITEM and CREDIT (SPEC VER-6)."""

MAILBOXES: Final = "mailboxes"
"""The feature with which there are POST, HOLD, HELD, LETTER and SETTLE (SPEC VER-6)."""

ADDRESSING: Final = "addressing"
"""The feature with which there are SEND, SENT, DIRECT, LISTEN, LISTENING and `except_me` (SPEC VER-6)."""

WILDCARDS: Final = "wildcards"
"""The feature with which SUBSCRIBE may name patterns of channels (SPEC WLD-1)."""

ASSIGNED: Final = "assigned"
"""The feature with which a server subscribes sessions by itself (SPEC ASG-1)."""

HISTORY: Final = "history"
"""The feature with which there are READ and PAGE (SPEC VER-6)."""

FEATURES: Final = (PRESENCE, AGENTS, STREAMS, MAILBOXES, ADDRESSING, WILDCARDS, ASSIGNED, HISTORY)
"""All features of the message layer."""

_ABOUT: Final = Keyed(About)
_KEPT: Final = Keyed(Kept)


def decode_message(body: bytes) -> AnyMessage | None:
    """Decode one body.

    Args:
        body: All parts of one message, joined.

    Returns:
        The message, or None if its kind is unknown and may be ignored.

    Raises:
        RemoteProtocolError: The body is not one valid message.

    Spec: MSG-1, MSG-3, PKT-4, PKT-6, PKT-8.
    """
    where = "message"
    try:
        kind = kind_at(body, 0, len(body), "MSG-1")
        cls = MESSAGES.get(kind) if kind is not None else None
        if cls is not None:
            where = cls.NAME
        elif kind is not None and kind not in IGNORABLE:
            raise broken("MSG-3", f"saw the unknown kind {kind}, which may not be ignored")
        items = load_whole(body, items=MAX_ITEMS)
        return None if cls is None else build(cls, items)
    except RemoteProtocolError as error:
        raise error.at(where) from None


def encode_body(message: AnyMessage) -> bytes:
    """Encode any message as the body of MESSAGE or VOLATILE, to be split into parts where it is long.

    Spec: MSG-1.
    """
    return cbor2.dumps([message.KIND, *wire_items(message)])


def encode_publication(channel: str, epoch: bytes, offset: int, data: bytes, about: About | None = None) -> bytes:
    """Encode a PUBLICATION as ``encode_body`` does, without building it: once per publication, for all subscribers.

    Args:
        channel: Name of the channel, 1 to 255 bytes of UTF-8.
        epoch: Its epoch, 8 bytes.
        offset: From 0 to 2^53.
        data: The payload.
        about: What it carries beside that; nothing if not given.

    Raises:
        LocalProtocolError: One of them is something else.

    Spec: CHN-2, CHN-13.
    """
    try:
        name = channel.encode()
    except UnicodeEncodeError:
        name = b""
    if not 1 <= len(name) <= 255 or len(epoch) != 8 or not 0 <= offset <= MAX_INTEGER:
        return encode_body(Publication(channel, epoch, offset, data, about))
    # 1.2 µs whatever the payload; building the class and cbor2 take 10.
    return b"".join(
        (
            b"\x85\x07" if about is None else b"\x86\x07",
            encode_head(TEXT, len(name)),
            name,
            b"\x48",
            epoch,
            encode_head(UINT, offset),
            encode_head(BYTES, len(data)),
            data,
            b"" if about is None else encode_about(about),
        )
    )


def encode_about(about: About) -> bytes:
    """Encode what a publication carries, for a PUBLICATION or to be kept.

    Spec: CHN-13.
    """
    return cbor2.dumps((_KEPT if isinstance(about, Kept) else _ABOUT).wire(about))


def decode_about(data: bytes) -> About:
    """Decode what `encode_about` made.

    Raises:
        RemoteProtocolError: It is something else.
    """
    where = About.NAME
    try:
        kept = cast("Kept", _KEPT.accept(load_whole(data, items=MAX_ITEMS)))
        return About(kept.publisher, kept.time_ms, kept.tags, kept.latest_key) if kept.spared is None else kept
    except Fault as fault:
        raise broken(fault.clause, f"saw {fault}").at(where) from None
    except LocalProtocolError as error:
        raise broken(error.clause, error.detail).at(where) from None
    except RemoteProtocolError as error:
        raise error.at(where) from None
