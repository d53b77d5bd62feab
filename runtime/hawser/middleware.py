"""Middleware: the application's functions around everything that clients ask for.

Each is given the request and `Proceed`, which goes on to the next one and at last to the operation itself. It runs
where the operation runs: a call's in the task of that call, a publication's or a subscription's in its turn in the
queue of its session, that of a connection while its credentials are judged. So order, bounds, deadlines and
cancellation are those of the operation.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, Self, TypeAlias, TypeVar

import attrs

from hawser_engine.codes import ErrorCode

from .calls import Refused
from .errors import PayloadError, RequestFailed
from .members import encode_info
from .payloads import ARGUMENT_BYTES_MAX, decode_payload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from hawser_engine.messages import Position, PublishOptions, SubscribeOptions

    from .principals import Principal
    from .server.session import Session
    from .to import Target


@attrs.frozen
class CallRequest:
    """A client calls a procedure; `Proceed` returns what the procedure returned."""

    kind: ClassVar[Literal["call"]] = "call"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    procedure: str
    """Its name, as the client gave it; there may be none of that name."""
    arguments: tuple[Any, ...] = attrs.field(eq=False, repr=False)
    """Positional arguments."""
    named: Mapping[str, Any] = attrs.field(eq=False, repr=False)
    """Named arguments; read-only by convention."""

    def with_arguments(self, *arguments: object, **named: object) -> CallRequest:
        """The same call with other arguments; these take the place of all there were.

        Args:
            arguments: Positional arguments.
            named: Named arguments.
        """
        return attrs.evolve(self, arguments=arguments, named=named)


@attrs.frozen
class _Carrying:
    """What carries a payload from one client to others."""

    raw: bytes = attrs.field(eq=False, repr=False, kw_only=True)
    """The payload as it travelled."""

    @property
    def data(self) -> Any:
        """The payload as a value, decoded at each access.

        Raises:
            RequestFailed: It is none (BAD_REQUEST), or longer than the 64 KiB that a server decodes (TOO_LARGE).

        Spec: MSG-8.
        """
        if len(self.raw) > ARGUMENT_BYTES_MAX:
            raise RequestFailed(ErrorCode.TOO_LARGE, f"data has at most {ARGUMENT_BYTES_MAX} bytes here")
        try:
            return decode_payload(self.raw, limit=ARGUMENT_BYTES_MAX)
        except PayloadError as error:
            raise RequestFailed(ErrorCode.BAD_REQUEST, f"the data is no CBOR value: {error}") from None

    def with_data(self, data: object) -> Self:
        """The same with other data.

        Raises:
            PayloadError: The data cannot travel.
        """
        return attrs.evolve(self, raw=encode_payload(data))


@attrs.frozen
class PublishRequest(_Carrying):
    """A client publishes; `Proceed` returns the `Published` that answers it."""

    kind: ClassVar[Literal["publish"]] = "publish"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    channel: str
    """The channel's name, as the client gave it; there may be no such channel."""
    key: bytes | None = attrs.field(repr=False)
    """The idempotency key; the same publication may come again under it."""
    options: PublishOptions | None = attrs.field(default=None, repr=False)
    """Tags and the key that it is the newest of, if any were given; the channel may carry none."""


@attrs.frozen
class PostRequest(_Carrying):
    """A client puts a letter into a mailbox; `Proceed` returns the `Published` that names it.

    What a client sends to somebody and no session takes is one, too, where it has a mailbox, within the `SendRequest`
    that it was; refused with DENIED or NOT_FOUND it is as if there were none.
    """

    kind: ClassVar[Literal["post"]] = "post"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    mailbox: str
    """The mailbox's name, as the client gave it; there may be no such mailbox."""
    key: bytes | None = attrs.field(repr=False)
    """The idempotency key; the same letter may come again under it."""
    ttl: float = attrs.field(default=inf, repr=False)
    """After so many seconds it is not delivered any more, if the mailbox does not say less."""


@attrs.frozen
class SendRequest(_Carrying):
    """A client sends something to sessions, users, agents or everybody; `Proceed` returns `Sent`, one outcome for each.

    A SEND makes one such request for all of these targets together. Each channel among its targets is a
    `PublishRequest` of its own, beside this one. What no session takes and is kept in a mailbox is a `PostRequest`
    within `Proceed` of this one, with the data that it was given there.

    Refused, it refuses all its targets, each by the code alone; a number of the application's own arrives as DENIED.
    """

    kind: ClassVar[Literal["send"]] = "send"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    targets: tuple[Target, ...]
    """To whom, as the client gave it; there may be nobody of that name."""
    key: bytes | None = attrs.field(repr=False)
    """The idempotency key of what is kept in mailboxes; the same may come again under it."""
    except_me: bool = attrs.field(default=False, repr=False)
    """Whether the session itself does not get it."""
    volatile: bool = attrs.field(default=False, repr=False)
    """Whether no mailbox keeps it."""


@attrs.frozen
class SubscribeRequest:
    """A client subscribes to a channel; `Proceed` returns None when nothing stands against it.

    A client that asks for several channels at once makes a request for each.
    """

    kind: ClassVar[Literal["subscribe"]] = "subscribe"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    channel: str
    """The channel's name, as the client gave it; there may be no such channel."""
    since: Position | None = attrs.field(repr=False)
    """After which position it wants to go on; None if it has had nothing."""
    options: SubscribeOptions | None = attrs.field(default=None, repr=False)
    """How it wants to begin where it has had nothing, if it said so."""


@attrs.frozen
class ReadRequest:
    """A client reads a page of the history of a channel; `Proceed` returns None when nothing stands against it."""

    kind: ClassVar[Literal["read"]] = "read"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    channel: str
    """The channel's name, as the client gave it; there may be no such channel."""
    since: Position | None = attrs.field(repr=False)
    """What lies behind this is asked for; None: the end of what there is."""
    before: Position | None = attrs.field(repr=False)
    """What lies before this is asked for; None: up to the end."""
    limit: int = attrs.field(repr=False)
    """How many publications at most, as the client gave it; it gets 128 at most."""


@attrs.frozen
class OfferRequest:
    """A client offers procedures under the name of an agent; `Proceed` returns None when nothing stands against it.

    Offering the same agent again, with other procedures, is a request, too; withdrawing it is none.
    """

    kind: ClassVar[Literal["offer"]] = "offer"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    agent: str
    """The name of the agent, as the client gave it; there may be no such agent."""
    worker: str | None
    """What it calls itself among the workers of the agent, if it said so."""
    procedures: tuple[str, ...] = attrs.field(repr=False)
    """The names of what it offers."""


@attrs.frozen
class ConnectRequest:
    """Somebody wants in, or shows new credentials; `Proceed` returns the `Principal`, None for nobody.

    It is what `App.authenticate` is asked, at every attach and renewal. It has no session: there is none yet, or none
    that these credentials are accepted for.
    """

    kind: ClassVar[Literal["connect"]] = "connect"
    credentials: Mapping[str, Any] = attrs.field(eq=False, repr=False)
    """What the client sent; nothing of it belongs into a log."""
    user: str | None
    """The id of the principal whose session is resumed or renewed; None where a new one begins."""

    def with_credentials(self, credentials: Mapping[str, Any]) -> ConnectRequest:
        """The same with other credentials."""
        return attrs.evolve(self, credentials=credentials)


@attrs.frozen
class PresenceRequest:
    """A client wants to watch who is in a channel, to be there, or both; `Proceed` returns None.

    It comes again when a member says something else of itself. Giving up what was asked for is no request.
    """

    kind: ClassVar[Literal["presence"]] = "presence"
    session: Session = attrs.field(repr=False)
    """Whose client asks."""
    channel: str
    """The channel's name, as the client gave it; there may be no such channel."""
    watch: bool
    """Whether it wants to be told who is there."""
    member: bool
    """Whether it wants to be there."""
    raw: bytes = attrs.field(eq=False, repr=False)
    """What it says of itself, as it travelled; empty if it wants to be no member."""

    @property
    def info(self) -> Any:
        """What it says of itself as a value, decoded at each access; None if it wants to be no member.

        Raises:
            RequestFailed: It is none (BAD_REQUEST).
        """
        if not self.member:
            return None
        try:
            return decode_payload(self.raw)
        except PayloadError as error:
            raise RequestFailed(ErrorCode.BAD_REQUEST, f"the info is no CBOR value: {error}") from None

    def with_info(self, info: object) -> PresenceRequest:
        """The same member, but saying something else.

        Raises:
            PayloadError: It cannot travel, or is too long.
            ValueError: It wants to be no member, or would be none.
        """
        data = encode_info(info)
        if data is None or not self.member:
            raise ValueError("with_info changes what a member says; it makes nobody one, and of no member none")
        return attrs.evolve(self, raw=data)


Request: TypeAlias = (
    CallRequest
    | PublishRequest
    | SubscribeRequest
    | ReadRequest
    | PresenceRequest
    | OfferRequest
    | PostRequest
    | SendRequest
)
"""What a client asks for in its session. Two are equal if they are the same but for data, info and arguments."""

RequestT = TypeVar(
    "RequestT",
    CallRequest,
    PublishRequest,
    SubscribeRequest,
    ReadRequest,
    PresenceRequest,
    OfferRequest,
    PostRequest,
    SendRequest,
    ConnectRequest,
)


class Proceed(Protocol):
    """Goes on with a request; given to middleware."""

    async def __call__(self, request: Request | ConnectRequest | None = None, /) -> Any:
        """Let the next middleware have it, and after the last one carry it out.

        Args:
            request: What its ``with_…`` method has made of the request; the request itself if not given.

        Returns:
            The result; see the class of the request.

        Raises:
            RequestFailed: It was refused: by other middleware, by rights, by a limit, or by a procedure.
            ValueError: That is another request.
            Exception: Whatever else a procedure, the broker or other middleware raises.
        """


Middleware: TypeAlias = "Callable[[Request, Proceed], Awaitable[Any]]"
ConnectMiddleware: TypeAlias = "Callable[[ConnectRequest, Proceed], Awaitable[Principal | None]]"


async def pass_through(
    middleware: Sequence[Callable[[Any, Proceed], Awaitable[Any]]],
    request: RequestT,
    operation: Callable[[RequestT], Awaitable[Any]],
) -> Any:
    """Carry out an operation with middleware around it, the first one outermost.

    Raises:
        RequestFailed: It was refused.
        Exception: Whatever the operation or middleware raises.
    """

    async def step(index: int, request: RequestT) -> Any:
        if index == len(middleware):
            try:
                return await operation(request)
            except Refused as refused:
                raise refused.public() from None

        async def proceed(changed: Request | ConnectRequest | None = None, /) -> Any:
            return await step(index + 1, request if changed is None else _successor(request, changed))

        return await middleware[index](request, proceed)

    return await step(0, request)


def _successor(request: RequestT, changed: Request | ConnectRequest) -> RequestT:
    """What middleware has made of a request: the client waits for an answer to what it asked for, and to nothing else.

    Raises:
        ValueError: It asks for something else.
    """
    if isinstance(changed, type(request)) and changed == request:
        return changed
    raise ValueError(
        f"saw {changed}, expected {request}: only data, info, arguments and credentials can be changed, by with_…"
    )
