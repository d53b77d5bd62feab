"""Calls, the same in both directions: what one side runs for the other (SPEC CAL-1 to CAL-8).

Each call runs in a task of its own, within a bound; one more is answered BUSY without being started. A finished call
keeps its place until there is room for its answer, which is a message like any other: from then on the session
carries it across a resume.
"""

from __future__ import annotations

import inspect
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar, cast

import attrs
import trio

from hawser_engine.calls import Call, ErrorReply, Reply
from hawser_engine.codes import CloseCode, ErrorCode
from hawser_engine.errors import MessageTooLarge, RemoteProtocolError
from hawser_engine.messages import encode_body
from hawser_engine.streams import Stream

from .contract.problems import ContractBroken
from .errors import CallError, PayloadError, RequestFailed
from .exchange import Exchange, Inputs, is_taking_inputs
from .incidents import record_incident
from .payloads import ARGUMENT_BYTES_MAX, decode_payload, encode_payload
from .principals import is_generator

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from hawser_engine.streams import StreamCredit, StreamItem

    from .config import Config
    from .contract.signatures import ProcedureTypes

ProcedureHandler: TypeAlias = "Callable[..., Awaitable[Any] | AsyncIterator[Any]]"
"""What carries out calls: an async function, or an async generator whose items go to the caller as they come."""

Failure = TypeVar("Failure", bound=RequestFailed)

TEXT_BYTES_MAX: Final = 1_024
REMARK_BYTES_MAX: Final = 255
"""Where many texts travel together (MSG-10)."""


class Refused(Exception):
    """A request is answered with an error; never leaves this library."""

    def __init__(self, code: ErrorCode, message: str, *, temporary: bool = False, data: object = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.temporary = temporary
        self.data = data

    @classmethod
    def broken(cls, what: str, broken: ContractBroken) -> Refused:
        """What was sent is not as declared (CTR-3)."""
        return cls(ErrorCode.BAD_REQUEST, f"{what} is not as declared: {broken.text()} (CTR-3)", data=broken.data())

    @classmethod
    def of(cls, error: RequestFailed) -> Refused:
        """The same where only the name of a code travels: what the application makes up is a no all the same."""
        known = error.code in ErrorCode.__members__.values()
        code = ErrorCode(error.code) if known else ErrorCode.DENIED
        return cls(code, error.message, temporary=error.temporary)

    def public(self) -> RequestFailed:
        """The same for the application to see."""
        return RequestFailed(self.code, self.message, temporary=self.temporary, data=self.data)


class Relayed(Exception):
    """Another session has answered with an error, which goes on as it is; never leaves this library."""

    def __init__(self, reply: ErrorReply) -> None:
        super().__init__(reply.message)
        self.reply = reply


@attrs.frozen
class Encoded:
    """A result that goes on as it came."""

    data: bytes = attrs.field(repr=False)


def error_body(id: int, refused: Refused) -> bytes:
    """The ERROR that answers a request."""
    data = None if refused.data is None else encode_payload(refused.data)
    return encode_body(ErrorReply(id, refused.code, clipped(refused.message), refused.temporary, data))


def chosen_error_body(id: int, error: RequestFailed) -> bytes:
    """The ERROR that a handler chose.

    Raises:
        PayloadError: Its data cannot travel.
    """
    data = None if error.data is None else encode_payload(error.data)
    return encode_body(ErrorReply(id, error.code, clipped(error.message), error.temporary, data))


def failure(reply: ErrorReply, kind: type[Failure]) -> Failure:
    """What an ERROR says, to be raised."""
    data: object = reply.data
    if reply.data is not None:
        with suppress(PayloadError):  # else whoever answered uses an encoding of its own: the bytes as they are
            data = decode_payload(reply.data)
    return kind(reply.code, reply.message, temporary=reply.temporary, data=data)


@attrs.frozen
class Returned:
    """The last that an async generator yields, where the call is to return something beside its items."""

    value: object


@attrs.frozen
class Arguments:
    """What a procedure is called with, besides what this side puts before it."""

    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = attrs.field(factory=dict[str, Any])

    @classmethod
    def decode(cls, data: bytes, *, limit: int = ARGUMENT_BYTES_MAX) -> Arguments:
        """Read what travelled: positional arguments as a list, named ones as a map.

        Args:
            data: The bytes.
            limit: How many of them are read (MSG-8).

        Raises:
            Refused: It is neither, or too long.
        """
        if len(data) > limit:
            raise Refused(ErrorCode.TOO_LARGE, f"arguments have at most {limit} bytes")
        try:
            value = decode_payload(data, limit=limit)
        except PayloadError as error:
            raise Refused(ErrorCode.BAD_REQUEST, f"the arguments are no CBOR value: {error}") from None
        if isinstance(value, list):
            return cls(positional=tuple(cast("list[object]", value)))
        if isinstance(value, dict):
            return cls(named=cast("dict[str, object]", value))
        raise Refused(ErrorCode.BAD_REQUEST, "the arguments are neither a list nor a map")


@attrs.frozen
class Procedure:
    """Something that can be called: an async function, or an async generator, which answers in items."""

    name: str
    handler: ProcedureHandler
    types: ProcedureTypes | None = attrs.field(default=None, kw_only=True)
    """What it takes and returns, if that is checked."""
    signature: inspect.Signature = attrs.field(init=False)
    """The handler's, to tell wrong arguments from a handler that fails."""
    streams: bool = attrs.field(init=False)
    """Whether it answers in items."""
    takes_inputs: bool = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        """Look at the handler, once."""
        object.__setattr__(self, "signature", inspect.signature(self.handler))
        object.__setattr__(self, "streams", is_generator(self.handler))
        object.__setattr__(self, "takes_inputs", is_taking_inputs(self.handler))

    async def run(self, arguments: Arguments, *leading: object, exchange: Exchange | None = None) -> object:
        """Call the handler.

        Args:
            arguments: What came.
            leading: What the handler gets before them.
            exchange: The way of items, if the caller takes some.

        Raises:
            Refused: The arguments are not this handler's, or its caller takes no items.
            MessageTooLarge: An item is longer than the caller takes.
        """
        if self.takes_inputs or self.streams:
            if exchange is None:  # STR-5
                raise Refused(ErrorCode.BAD_REQUEST, f"{self.name} has items: it is called by stream")
            if self.takes_inputs:
                leading = (*leading, Inputs(exchange.inflow, None if self.types is None else self._item))
        try:
            bound = self.signature.bind(*leading, *arguments.positional, **arguments.named)
        except TypeError as error:
            raise Refused(ErrorCode.BAD_REQUEST, f"{self.name}: {error}") from None
        answer: Any
        if self.types is None:
            answer = self.handler(*leading, *arguments.positional, **arguments.named)
        else:
            try:
                self.types.structure(bound, named=bool(arguments.named))
            except ContractBroken as broken:  # CTR-2
                raise Refused.broken(f"what {self.name!r} is called with", broken) from None
            answer = self.handler(*bound.args, **bound.kwargs)
        if exchange is None or not self.streams:
            return self._rendered(await answer)
        async with aclosing(answer) as items:
            async for item in items:
                if isinstance(item, Returned):
                    return item.value
                await exchange.send(encode_payload(self._rendered(item)))
        return None

    def _item(self, value: object, number: int) -> Any:
        """Make an item that its caller sends what it is declared to be.

        Raises:
            CallError: It is not so (CTR-4, CTR-5).
        """
        assert self.types is not None
        try:
            return self.types.take(value)
        except ContractBroken as broken:
            message = f"item {number} of what {self.name!r} takes is not as declared: {broken.text()} (CTR-5)"
            raise CallError(ErrorCode.BAD_REQUEST, message, data={**broken.data(), "item": number}) from None

    def _rendered(self, result: object) -> object:
        return result if self.types is None else self.types.render(result)


class Host(Protocol):
    """What calls need of the side that runs them."""

    def time_ms(self) -> int:
        """The session's time (CAL-3)."""
        ...

    def spawn(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """Run something that ends with the session."""

    async def send(self, body: bytes) -> None:
        """Send a message when there is room; nothing if the session is over.

        Raises:
            MessageTooLarge: The other side does not take so long a message.
        """

    def tell(self, body: bytes) -> None:
        """Send what cannot wait, from the reserve."""


class Callee:
    """The calls of one session that the other side has made and that are not answered yet.

    Args:
        host: The session's side here.
        invoke: Runs one call and returns its result; `Exchange` is the way of its items, if it has any.
        config: How many run at once, and how many inputs of each may wait.
        random_bytes: Where incident ids come from.
    """

    __slots__ = ("_calls", "_config", "_host", "_invoke", "_random_bytes")

    def __init__(
        self,
        host: Host,
        invoke: Callable[[Call | Stream, Exchange | None], Awaitable[object]],
        *,
        config: Config,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self._host = host
        self._invoke = invoke
        self._config = config
        self._random_bytes = random_bytes
        self._calls: dict[int, tuple[trio.CancelScope, Exchange | None]] = {}

    def __len__(self) -> int:
        return len(self._calls)

    @property
    def streaming(self) -> bool:
        """Whether one of them has items."""
        return any(exchange is not None for _, exchange in self._calls.values())

    def start(self, call: Call | Stream) -> None:
        """Run a call; its answer comes later."""
        limit = self._config.calls_per_session
        if len(self._calls) >= limit:
            message = f"{limit} calls of this session are running"
            self._host.tell(error_body(call.id, Refused(ErrorCode.BUSY, message, temporary=True)))
            return
        exchange: Exchange | None = None
        if isinstance(call, Stream):
            exchange = Exchange(self._host, call, self._config.stream_items, self._config.stream_bytes)
        scope = trio.CancelScope()
        self._calls[call.id] = scope, exchange
        self._host.spawn(self._run, call, scope, exchange)

    def cancel(self, id: int) -> None:
        """The answer to a call is not wanted (CAL-4); unknown ones are answered already (MSG-6)."""
        if id in self._calls:
            self._calls[id][0].cancel(reason="CANCEL")

    def item(self, message: StreamItem) -> None:
        """An input has come; one for nothing that is open is ignored (STR-4).

        Raises:
            RemoteProtocolError: Its caller has said that there will be none, or has no credit for it.
        """
        _, exchange = self._calls.get(message.id, (None, None))
        if exchange is None:
            return
        if exchange.inflow is None:
            detail = "saw an input of a stream that has none"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "STR-3", detail, "ITEM")
        if message.data is None:
            exchange.inflow.end()
        else:
            exchange.inflow.put(message.data)

    def credit(self, message: StreamCredit) -> None:
        """More items may be sent (STR-2); where nothing is open that is ignored (STR-4)."""
        _, exchange = self._calls.get(message.id, (None, None))
        if exchange is not None:
            exchange.credit.add(message.items, message.bytes)

    async def _run(self, call: Call | Stream, scope: trio.CancelScope, exchange: Exchange | None) -> None:
        """Run one call and answer it, once; it keeps its place until the answer has room (CAL-6, CAL-7)."""
        try:
            body = error_body(call.id, Refused(ErrorCode.CANCELLED, "the caller cancelled"))
            with scope:
                body = await self._answer(call, scope, exchange)
            # By the clock of the scope: the session's, in whole milliseconds, may not have got there yet.
            if scope.cancelled_caught and trio.current_time() >= scope.deadline:
                body = error_body(call.id, Refused(ErrorCode.DEADLINE, "the deadline has passed"))
            try:
                await self._host.send(body)
            except MessageTooLarge as error:
                with suppress(MessageTooLarge):
                    await self._host.send(error_body(call.id, Refused(ErrorCode.TOO_LARGE, str(error))))
        finally:
            del self._calls[call.id]

    async def _answer(self, call: Call | Stream, scope: trio.CancelScope, exchange: Exchange | None) -> bytes:
        try:
            if call.deadline_ms is not None:
                if self._late(call):  # CAL-2
                    raise Refused(ErrorCode.DEADLINE, "the deadline had passed before it started", temporary=True)
                scope.deadline = trio.current_time() + (call.deadline_ms - self._host.time_ms()) / 1_000
            result = await self._invoke(call, exchange)
            data = result.data if isinstance(result, Encoded) else encode_payload(result)
            return encode_body(Reply(call.id, data))
        except Refused as refused:
            return error_body(call.id, refused)
        except Relayed as relayed:
            return encode_body(attrs.evolve(relayed.reply, id=call.id, message=clipped(relayed.reply.message)))
        except RequestFailed as error:
            return self._chosen(call, error)
        except MessageTooLarge as error:  # an item
            return error_body(call.id, Refused(ErrorCode.TOO_LARGE, str(error)))
        except Exception as error:
            only = _only(error)
            if isinstance(only, RequestFailed):
                return self._chosen(call, only)
            return self._incident(call, f"procedure {call.procedure!r}", error)

    def _chosen(self, call: Call | Stream, error: RequestFailed) -> bytes:
        try:
            return chosen_error_body(call.id, error)
        except Exception as failure:
            return self._incident(call, f"procedure {call.procedure!r}: its error", failure)

    def _late(self, call: Call | Stream) -> bool:
        return call.deadline_ms is not None and self._host.time_ms() >= call.deadline_ms

    def _incident(self, call: Call | Stream, what: str, error: Exception) -> bytes:
        incident = record_incident(self._random_bytes, what, error)  # CAL-8
        return error_body(call.id, Refused(ErrorCode.INTERNAL, f"incident {incident}"))


def _only(error: Exception) -> Exception:
    """What a nursery of a handler raises, where one of its tasks has failed: that is said like anything raised."""
    if not isinstance(cast("object", error), ExceptionGroup):
        return error
    inside = cast("ExceptionGroup[Exception]", error).exceptions
    return _only(inside[0]) if len(inside) == 1 else error


def clipped(message: str, bytes_max: int = TEXT_BYTES_MAX) -> str:
    """As much of a text as may travel."""
    return message.encode(errors="replace")[:bytes_max].decode(errors="ignore")
