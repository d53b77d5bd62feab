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

from hawser.calls import Arguments, Callee, Encoded, Refused, Relayed, error_body, failure
from hawser.errors import CallError, PayloadError
from hawser.middleware import CallRequest, pass_through
from hawser.payloads import decode_payload, encode_payload
from hawser_engine.agents import Offer, Withdraw
from hawser_engine.calls import Call, Cancel, ErrorReply, Reply
from hawser_engine.codes import CloseCode, ErrorCode
from hawser_engine.errors import MessageTooLarge, RemoteProtocolError
from hawser_engine.mailboxes import Hold, Post, Settle
from hawser_engine.messages import (
    ADDRESSING,
    AGENTS,
    HISTORY,
    MAILBOXES,
    PRESENCE,
    STREAMS,
    AnyMessage,
    Continue,
    Listen,
    Pause,
    Position,
    Publish,
    Read,
    Send,
    Subscribe,
    Unsubscribe,
    decode_message,
)
from hawser_engine.presence import Presence
from hawser_engine.streams import Stream, StreamCredit, StreamItem

from .paging import read
from .posting import post
from .publishing import at_once, publish, publish_all, refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.exchange import Exchange
    from hawser.middleware import Middleware

    from .node import Node
    from .sessions import ServerSession

Operation: TypeAlias = (
    Publish | Subscribe | Unsubscribe | Presence | Offer | Withdraw | Post | Hold | Send | Listen | Read
)

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
        self._callee = Callee(session, self._invoke, config=node.config, random_bytes=node.random_bytes)

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
            case Presence():
                self._check_feature(PRESENCE, message)
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
            case Offer() | Withdraw():
                self._check_feature(AGENTS, message)
                self._check_id(message.id)
                self._queue(message, len(body))
            case Post() | Hold():
                self._check_feature(MAILBOXES, message)
                self._check_id(message.id)
                self._queue(message, len(body))
            case Settle():
                self._check_feature(MAILBOXES, message)
                self._node.mailboxes.settle(self._session, message)
            case Send() | Listen():
                self._check_feature(ADDRESSING, message)
                self._check_id(message.id)
                self._queue(message, len(body))
            case Read():
                self._check_feature(HISTORY, message)
                self._check_id(message.id)
                self._queue(message, len(body))
            case Stream():
                self._check_feature(STREAMS, message)
                self._check_id(message.id)
                self._callee.start(message)
            case StreamItem() | StreamCredit():
                self._check_feature(STREAMS, message)
                self._stream(message)
            case _:
                raise malformed("MSG-4", f"saw {message.NAME}, which is not a client's to send")

    @property
    def idle(self) -> bool:
        """Whether everything is answered."""
        return not self._operations and not self._callee

    @property
    def streaming(self) -> bool:
        """Whether something runs that has items."""
        return self._callee.streaming

    def recheck(self) -> None:
        """Check the rights to all channels again, in turn with the operations (SUB-8)."""
        self._operations.append((None, 0))
        self._work()

    def _stream(self, message: StreamItem | StreamCredit) -> None:
        """An item, or credit for some: of the client's call or of the application's (STR-1 to STR-4)."""
        if isinstance(message, StreamItem) and message.inward:
            self._callee.item(message)
        elif isinstance(message, StreamCredit) and not message.inward:
            self._callee.credit(message)
        else:
            self._session.calls.take(message)

    def _check_feature(self, feature: str, message: AnyMessage) -> None:
        if feature not in self._session.engine.features:
            raise malformed("VER-6", f"saw {message.NAME}, of the feature {feature!r}, which is not in force")

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
                operation, _ = self._operations[0]
                if operation is None:
                    await self._node.hub.recheck(self._session)
                    await self._node.presence.recheck(self._session)
                    await self._node.router.recheck(self._session)
                    await self._node.mailboxes.recheck(self._session)
                    self._forget_first()
                elif publications := at_once(self._node.app, self._operations):
                    await self._publish_all(publications)
                else:
                    with suppress(MessageTooLarge):  # a client that takes no message of any length gets no answer
                        await self._run_operation(operation)
                    self._forget_first()
                count += 1
                if count % FAIR_EVERY == 0:
                    await trio.lowlevel.checkpoint()
        finally:
            self._working = False

    def _forget_first(self) -> None:
        """The first operation is answered, and leaves its place to another one."""
        operation, size = self._operations.pop(0)
        self._operation_bytes -= size
        self._unanswered -= operation is not None

    async def _run_operation(self, operation: Operation) -> None:
        try:
            match operation:
                case Publish():
                    await self._session.send(await publish(self._session, operation))
                case Subscribe():
                    await self._wait_for_joins(len(operation.channels))
                    await self._node.hub.subscribe(self._session, operation)
                case Unsubscribe():
                    await self._node.hub.unsubscribe(self._session, operation)
                case Presence():
                    if operation.watch or operation.info is not None:  # PRS-12
                        await self._wait_for_joins(1)
                    await self._node.presence.carry_out(self._session, operation)
                case Offer():
                    await self._wait_for_joins(1)  # AGT-15
                    await self._node.router.offer(self._session, operation)
                case Withdraw():
                    await self._node.router.withdraw(self._session, operation)
                case Post():
                    await self._session.send(await post(self._session, operation))
                case Hold():
                    await self._node.mailboxes.hold(self._session, operation)
                case Send():
                    await self._node.addressing.carry_out(self._session, operation)
                case Listen():
                    await self._node.addressing.listen(self._session, operation)
                case Read():
                    await self._wait_for_joins(1)  # PGE-1
                    await self._session.send(await read(self._session, operation))
        except MessageTooLarge:
            raise
        except Exception as error:
            await self._session.send(error_body(operation.id, refusal(self._node, operation.NAME, error)))

    async def _publish_all(self, operations: list[Publish]) -> None:
        for answer in await publish_all(self._session, operations):
            with suppress(MessageTooLarge):
                await self._session.send(answer)
            self._forget_first()  # now: the next answer may have to wait for room

    async def _wait_for_joins(self, count: int) -> None:
        """Joins above the rate wait, and so does what was asked for behind them: no error, only slower (LIM-1)."""
        config, now = self._node.config, trio.current_time()
        self._joins_free_at = max(self._joins_free_at, now) + count / config.joins_per_second
        await trio.sleep_until(self._joins_free_at - config.joins_burst / config.joins_per_second)

    # ------------------------------------------------------------ calls

    async def _invoke(self, call: Call | Stream, exchange: Exchange | None) -> object:
        middleware = self._node.app.middlewares
        if middleware:
            return await self._call_through(middleware, call, exchange)
        procedure = self._node.app.procedures.get(call.procedure)
        if procedure is not None:
            return await procedure.run(Arguments.decode(call.arguments), self._session.handle, exchange=exchange)
        answer = await self._node.router.call(self._session, call.procedure, call.arguments, exchange)
        if isinstance(answer, ErrorReply):
            raise Relayed(answer)
        return Encoded(answer.data)

    async def _call_through(
        self, middleware: Sequence[Middleware], call: Call | Stream, exchange: Exchange | None
    ) -> object:
        """With middleware around, which sees values: so the server decodes also what it only relays."""
        arguments = Arguments.decode(call.arguments)
        request = CallRequest(self._session.handle, call.procedure, arguments.positional, arguments.named)

        async def carry_out(asked: CallRequest) -> object:
            procedure = self._node.app.procedures.get(asked.procedure)
            if procedure is not None:
                given = Arguments(asked.arguments, asked.named)
                return await procedure.run(given, self._session.handle, exchange=exchange)
            same = asked is request
            payload = call.arguments if same else encode_payload(dict(asked.named) or list(asked.arguments))
            answer = await self._node.router.call(self._session, asked.procedure, payload, exchange)
            if isinstance(answer, ErrorReply):
                raise failure(answer, CallError)
            try:
                return decode_payload(answer.data)
            except PayloadError:  # an encoding of the two clients' own
                return Encoded(answer.data)

        return await pass_through(middleware, request, carry_out)


def malformed(clause: str, detail: str) -> RemoteProtocolError:
    """A message that its sender must not send (MSG-4)."""
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail, "message")
