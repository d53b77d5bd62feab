"""What a session asks for: dispatch, the queue of operations, the tasks of calls.

Rule: dispatch never awaits application code. Publish, subscribe and unsubscribe of one session run in order (PUB-4)
through one bounded queue; each call runs in a task of its own, within bounds; whatever exceeds a bound is answered
BUSY. So nothing that a handler does keeps an answer from whoever waits for it.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import trio

from hawser.errors import CallError, PayloadError
from hawser.payloads import ARGUMENT_BYTES_MAX, decode_payload, encode_payload
from hawser_engine.cbor import BYTES, MAX_INTEGER, encode_head
from hawser_engine.codes import CloseCode, ErrorCode
from hawser_engine.errors import MessageTooLarge, RemoteProtocolError
from hawser_engine.messages import (
    Call,
    Cancel,
    Continue,
    ErrorReply,
    Pause,
    Position,
    Publish,
    Published,
    Reply,
    Subscribe,
    Unsubscribe,
    decode_message,
    encode_body,
    encode_publication,
)

from .incidents import record_incident

if TYPE_CHECKING:
    from hawser.app import Procedure

    from .node import Node
    from .sessions import ServerSession

Operation: TypeAlias = Publish | Subscribe | Unsubscribe

FAIR_EVERY: Final = 32
"""Operations handled in a row before others get a turn, where nothing waits by itself."""

TEXT_BYTES_MAX: Final = 1_024


class Refused(Exception):
    """A request is answered with an error; never leaves this package."""

    def __init__(self, code: ErrorCode, message: str, *, temporary: bool = False) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.temporary = temporary


class Requests:
    """Everything that one session has asked for and that is not answered yet."""

    __slots__ = ("_calls", "_last_id", "_node", "_operation_bytes", "_operations", "_session", "_working")

    def __init__(self, node: Node, session: ServerSession) -> None:
        self._node = node
        self._session = session
        self._last_id = 0
        self._operations: list[tuple[Operation | None, int]] = []
        self._operation_bytes = 0
        self._working = False
        self._calls: dict[int, trio.CancelScope] = {}

    # ------------------------------------------------------------ dispatch

    def take(self, body: bytes) -> None:
        """Take one message of the client. Synchronous; answers come later.

        Raises:
            RemoteProtocolError: The message is malformed or not a client's to send (MSG-4).
        """
        message = decode_message(body)
        match message:
            case None | Reply() | ErrorReply():
                pass  # MSG-3: ignorable; MSG-6: an answer to nothing
            case Publish() | Subscribe() | Unsubscribe():
                self._check_id(message.id)
                self._queue(message, len(body))
            case Call():
                self._check_id(message.id)
                self._start_call(message)
            case Cancel():
                scope = self._calls.get(message.id)
                if scope is not None:
                    scope.cancel(reason="CANCEL")
            case Pause():
                self._node.hub.pause(self._session, message.channel, Position(message.epoch, message.offset))
            case Continue():
                self._node.hub.go_on(self._session, message.channel, Position(message.epoch, message.offset))
            case _:
                raise malformed("MSG-4", f"saw {message.NAME}, which is not a client's to send")

    def recheck(self) -> None:
        """Check the rights to all channels again, in turn with the operations (SUB-8)."""
        self._operations.append((None, 0))
        self._work()

    def _check_id(self, id: int) -> None:
        if id <= self._last_id:
            raise malformed("MSG-5", f"saw id {id}, expected one above {self._last_id}")
        self._last_id = id

    # ------------------------------------------------------------ operations

    def _queue(self, operation: Operation, size: int) -> None:
        config = self._node.config
        full = len(self._operations) >= config.operations or self._operation_bytes + size > config.operation_bytes
        if full and self._operations:
            message = f"more than {config.operations} operations or {config.operation_bytes} bytes without an answer"
            self._session.tell(error_body(operation.id, Refused(ErrorCode.BUSY, message, temporary=True)))
            return
        self._operations.append((operation, size))
        self._operation_bytes += size
        self._work()

    def _work(self) -> None:
        if not self._working:
            self._working = True
            self._session.spawn(self._run_operations)

    async def _run_operations(self) -> None:
        """Handle the queue in order; the task ends with it, so an idle session costs none."""
        count = 0
        try:
            while self._operations:
                operation, size = self._operations[0]
                if operation is None:
                    await self._node.hub.recheck(self._session)
                else:
                    with suppress(MessageTooLarge):  # a client that takes no message of any length gets no answer
                        await self._run_operation(operation)
                del self._operations[0]
                self._operation_bytes -= size
                count += 1
                if count % FAIR_EVERY == 0:
                    await trio.lowlevel.checkpoint()
        finally:
            self._working = False

    async def _run_operation(self, operation: Operation) -> None:
        try:
            match operation:
                case Publish():
                    await self._session.send(await self._publish(operation))
                case Subscribe():
                    await self._node.hub.subscribe(self._session, operation)
                case Unsubscribe():
                    await self._node.hub.unsubscribe(self._session, operation)
        except Refused as refused:
            await self._session.send(error_body(operation.id, refused))
        except MessageTooLarge:
            raise
        except Exception as error:
            await self._session.send(self._incident(operation.id, operation.NAME, error))

    async def _publish(self, operation: Publish) -> bytes:
        config = self._node.config
        # PUB-5, whatever its offset will be: what is accepted here never turns out too long for everybody.
        if publication_bytes(operation.channel, MAX_INTEGER, operation.data) > config.message_bytes:
            raise Refused(ErrorCode.TOO_LARGE, f"a publication has at most {config.message_bytes} bytes in all")
        rule = await self._node.allow(self._session, "publish", operation.channel)
        key = operation.key
        if key is not None:  # PUB-3: one user's key means nothing for another's
            key = self._session.handle.principal.id.encode() + b"\0" + key
        # PUB-2: the broker owns the channel; it returns when the publication is as durable as it promises.
        published = await self._node.app.broker.publish(
            operation.channel, operation.data, retention=rule.retention, key=key
        )
        return encode_body(Published(operation.id, published.position, published.duplicate))

    # ------------------------------------------------------------ calls

    def _start_call(self, call: Call) -> None:
        limit = self._node.config.calls_per_session
        if len(self._calls) >= limit:
            message = f"{limit} calls of this session are running"
            self._session.tell(error_body(call.id, Refused(ErrorCode.BUSY, message, temporary=True)))
            return
        scope = self._calls[call.id] = trio.CancelScope()
        self._session.spawn(self._run_call, call, scope)

    async def _run_call(self, call: Call, scope: trio.CancelScope) -> None:
        """Run one call and answer it, once; it keeps its place until the answer has room (CAL-6).

        The answer is a message like any other: from here on the session carries it across a resume (CAL-7).
        """
        try:
            body = error_body(call.id, Refused(ErrorCode.CANCELLED, "the caller cancelled"))
            with scope:
                body = await self._answer(call, scope)
            if call.deadline_ms is not None and scope.cancelled_caught and self._late(call):
                body = error_body(call.id, Refused(ErrorCode.DEADLINE, "the deadline has passed"))
            try:
                await self._session.send(body)
            except MessageTooLarge as error:
                with suppress(MessageTooLarge):
                    await self._session.send(error_body(call.id, Refused(ErrorCode.TOO_LARGE, str(error))))
        finally:
            del self._calls[call.id]

    async def _answer(self, call: Call, scope: trio.CancelScope) -> bytes:
        try:
            if call.deadline_ms is not None:
                if self._late(call):  # CAL-2
                    raise Refused(ErrorCode.DEADLINE, "the deadline had passed before it started", temporary=True)
                scope.deadline = trio.current_time() + (call.deadline_ms - self._session.time_ms()) / 1_000
            procedure = self._node.app.procedures.get(call.procedure)
            if procedure is None:
                raise Refused(ErrorCode.NOT_FOUND, f"no procedure {call.procedure!r}")
            arguments, named = _arguments(procedure, call.arguments)
            result = await procedure.handler(self._session.handle, *arguments, **named)
            return encode_body(Reply(call.id, encode_payload(result)))
        except Refused as refused:
            return error_body(call.id, refused)
        except CallError as error:
            return self._call_error(call, error)
        except Exception as error:
            return self._incident(call.id, f"procedure {call.procedure!r}", error)

    def _call_error(self, call: Call, error: CallError) -> bytes:
        """The error that a procedure chose."""
        try:
            data = None if error.data is None else encode_payload(error.data)
            return encode_body(ErrorReply(call.id, error.code, _text(error.message), error.temporary, data))
        except Exception as failure:
            return self._incident(call.id, f"procedure {call.procedure!r}: its CallError", failure)

    def _late(self, call: Call) -> bool:
        return call.deadline_ms is not None and self._session.time_ms() >= call.deadline_ms

    def _incident(self, id: int, what: str, error: Exception) -> bytes:
        incident = record_incident(self._node.random_bytes, what, error)
        return error_body(id, Refused(ErrorCode.INTERNAL, f"incident {incident}"))


def publication_bytes(channel: str, offset: int, data: bytes) -> int:
    """How long a PUBLICATION is."""
    without_data = encode_publication(channel, bytes(8), offset, b"")
    return len(without_data) - 1 + len(encode_head(BYTES, len(data))) + len(data)


def error_body(id: int, refused: Refused) -> bytes:
    """The ERROR that answers a request."""
    return encode_body(ErrorReply(id, refused.code, _text(refused.message), refused.temporary, None))


def malformed(clause: str, detail: str) -> RemoteProtocolError:
    """A message that its sender must not send (MSG-4)."""
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail, "message")


def _arguments(procedure: Procedure, data: bytes) -> tuple[list[object], dict[str, object]]:
    """Positional arguments travel as a list, named ones as a map."""
    if len(data) > ARGUMENT_BYTES_MAX:  # MSG-8
        raise Refused(ErrorCode.TOO_LARGE, f"arguments have at most {ARGUMENT_BYTES_MAX} bytes")
    try:
        value = decode_payload(data, limit=ARGUMENT_BYTES_MAX)
    except PayloadError as error:
        raise Refused(ErrorCode.BAD_REQUEST, f"the arguments are no CBOR value: {error}") from None
    if not isinstance(value, (list, dict)):
        raise Refused(ErrorCode.BAD_REQUEST, "the arguments are neither a list nor a map")
    arguments = cast("list[object]", value) if isinstance(value, list) else []
    named = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    try:
        procedure.signature.bind(None, *arguments, **named)
    except TypeError as error:
        raise Refused(ErrorCode.BAD_REQUEST, f"{procedure.name}: {error}") from None
    return arguments, named


def _text(message: str) -> str:
    return message.encode(errors="replace")[:TEXT_BYTES_MAX].decode(errors="ignore")
