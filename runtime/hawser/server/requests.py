"""What a session asks for: dispatch, the queue of operations, the tasks of calls.

Rule: dispatch never awaits application code. Publish, subscribe and unsubscribe of one session run in order (PUB-4)
through one bounded queue; each call runs in a task of its own, within bounds; whatever exceeds a bound is answered
BUSY. So nothing that a handler does keeps an answer from whoever waits for it.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING, Final, TypeAlias

import trio

from hawser.about import carry, told
from hawser.brokers import BrokerUnavailable, Entry, Published
from hawser.calls import Arguments, Callee, Refused, chosen_error_body, error_body
from hawser.errors import RequestFailed
from hawser.incidents import record_incident
from hawser.middleware import CallRequest, PublishRequest, pass_through
from hawser.principals import scoped_key
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
    Reply,
    Subscribe,
    Unsubscribe,
    decode_message,
    encode_body,
    encode_publication,
)
from hawser_engine.messages import Published as PublishedMessage

if TYPE_CHECKING:
    from hawser_engine.messages import About, PublishOptions

    from .node import Node
    from .sessions import ServerSession

Operation: TypeAlias = Publish | Subscribe | Unsubscribe

FAIR_EVERY: Final = 32
"""Operations handled in a row before others get a turn, where nothing waits by itself."""


class Requests:
    """Everything that one session has asked for and that is not answered yet."""

    __slots__ = (
        "_callee",
        "_joins_free_at",
        "_last_id",
        "_node",
        "_operation_bytes",
        "_operations",
        "_session",
        "_unanswered",
        "_working",
    )

    def __init__(self, node: Node, session: ServerSession) -> None:
        self._node = node
        self._session = session
        self._last_id = 0
        self._joins_free_at = -inf  # when the whole burst of joins may be used again
        self._operations: list[tuple[Operation | None, int]] = []
        self._operation_bytes = 0
        self._unanswered = 0  # of them, those that the client waits for; a check of its rights is none
        self._working = False
        limit = node.config.calls_per_session
        self._callee = Callee(session, self._invoke, limit=limit, random_bytes=node.random_bytes)

    # ------------------------------------------------------------ dispatch

    def take(self, body: bytes) -> None:
        """Take one message of the client. Synchronous; answers come later.

        Raises:
            RemoteProtocolError: The message is malformed or not a client's to send (MSG-4).
        """
        message = decode_message(body)
        match message:
            case None:
                pass  # MSG-3
            case Reply() | ErrorReply():
                self._session.calls.answered(message)
            case Publish() | Subscribe() | Unsubscribe():
                self._check_id(message.id)
                self._queue(message, len(body))
            case Call():
                self._check_id(message.id)
                self._callee.start(message)
            case Cancel():
                self._callee.cancel(message.id)
            case Pause():
                self._node.hub.pause(self._session, message.channel, Position(message.epoch, message.offset))
            case Continue():
                self._node.hub.go_on(self._session, message.channel, Position(message.epoch, message.offset))
            case _:
                raise malformed("MSG-4", f"saw {message.NAME}, which is not a client's to send")

    @property
    def idle(self) -> bool:
        """Whether everything is answered."""
        return not self._operations and not self._callee

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
        full = self._unanswered >= config.operations or self._operation_bytes + size > config.operation_bytes
        if full and self._unanswered:
            message = f"more than {config.operations} operations or {config.operation_bytes} bytes without an answer"
            self._session.tell(error_body(operation.id, Refused(ErrorCode.BUSY, message, temporary=True)))
            return
        self._operations.append((operation, size))
        self._operation_bytes += size
        self._unanswered += 1
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
                    self._unanswered -= 1
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
                    await self._wait_for_joins(len(operation.channels))
                    await self._node.hub.subscribe(self._session, operation)
                case Unsubscribe():
                    await self._node.hub.unsubscribe(self._session, operation)
        except Refused as refused:
            await self._session.send(error_body(operation.id, refused))
        except BrokerUnavailable:  # which says what there is to say of it in the log of this server
            away = Refused(ErrorCode.UNAVAILABLE, "what keeps the channels does not answer", temporary=True)
            await self._session.send(error_body(operation.id, away))
        except MessageTooLarge:
            raise
        except Exception as error:
            incident = record_incident(self._node.random_bytes, operation.NAME, error)
            await self._session.send(error_body(operation.id, Refused(ErrorCode.INTERNAL, f"incident {incident}")))

    async def _wait_for_joins(self, count: int) -> None:
        """Joins above the rate wait, and so does what was asked for behind them: no error, only slower (LIM-1)."""
        config, now = self._node.config, trio.current_time()
        self._joins_free_at = max(self._joins_free_at, now) + count / config.joins_per_second
        await trio.sleep_until(self._joins_free_at - config.joins_burst / config.joins_per_second)

    async def _publish(self, operation: Publish) -> bytes:
        """Carry out a publication; returns its answer."""
        handle, middleware = self._session.handle, self._node.app.middlewares
        if not middleware:
            published = await self._accept(operation.channel, operation.data, operation.key, operation.options)
        else:
            request = PublishRequest(handle, operation.channel, operation.data, operation.key, operation.options)
            try:
                published = await pass_through(
                    middleware, request, lambda asked: self._accept(asked.channel, asked.raw, asked.key, asked.options)
                )
            except RequestFailed as error:
                return chosen_error_body(operation.id, error)
            if not isinstance(published, Published):
                raise TypeError(f"middleware returned {published!r} for a publication, not what proceed() returned")
        return encode_body(PublishedMessage(operation.id, published.position, published.duplicate))

    async def _accept(self, channel: str, data: bytes, key: bytes | None, options: PublishOptions | None) -> Published:
        rule = await self._node.allow(self._session, "publish", channel)
        principal = self._session.handle.principal
        try:
            about = carry(rule.about, principal.id, options)
        except ValueError as error:
            raise Refused(ErrorCode.BAD_REQUEST, str(error)) from None
        # PUB-5, whatever its offset and time will be: what is accepted here never turns out too long for everybody.
        longest = told(rule.about, Entry(MAX_INTEGER, b"", MAX_INTEGER, about)) if rule.about else None
        if publication_bytes(channel, MAX_INTEGER, data, longest) > self._node.config.message_bytes:
            message = f"a publication has at most {self._node.config.message_bytes} bytes in all"
            raise Refused(ErrorCode.TOO_LARGE, message)
        # PUB-2: the broker owns the channel; it returns when the publication is as durable as it promises.
        return await self._node.app.broker.publish(
            channel, data, retention=rule.retention, key=scoped_key(principal, key), about=about
        )

    # ------------------------------------------------------------ calls

    async def _invoke(self, call: Call) -> object:
        arguments, middleware = Arguments.decode(call.arguments), self._node.app.middlewares
        if not middleware:
            return await self._call(call.procedure, arguments)
        request = CallRequest(self._session.handle, call.procedure, arguments.positional, arguments.named)
        return await pass_through(
            middleware, request, lambda asked: self._call(asked.procedure, Arguments(asked.arguments, asked.named))
        )

    async def _call(self, name: str, arguments: Arguments) -> object:
        procedure = self._node.app.procedures.get(name)
        if procedure is None:
            raise Refused(ErrorCode.NOT_FOUND, f"no procedure {name!r}")
        return await procedure.run(arguments, self._session.handle)


def publication_bytes(channel: str, offset: int, data: bytes, about: About | None = None) -> int:
    """How long a PUBLICATION is."""
    without_data = encode_publication(channel, bytes(8), offset, b"", about)
    return len(without_data) - 1 + len(encode_head(BYTES, len(data))) + len(data)


def malformed(clause: str, detail: str) -> RemoteProtocolError:
    """A message that its sender must not send (MSG-4)."""
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail, "message")
