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

from hawser.calls import Arguments, Callee, Refused, error_body
from hawser.middleware import CallRequest, pass_through
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
)

from .publishing import at_once, publish, publish_all, refusal

if TYPE_CHECKING:
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
                operation, _ = self._operations[0]
                done = 1
                if operation is None:
                    await self._node.hub.recheck(self._session)
                elif publications := at_once(self._node.app, self._operations):
                    done = len(publications)
                    await self._publish_all(publications)
                else:
                    with suppress(MessageTooLarge):  # a client that takes no message of any length gets no answer
                        await self._run_operation(operation)
                self._forget(done)
                count += 1
                if count % FAIR_EVERY == 0:
                    await trio.lowlevel.checkpoint()
        finally:
            self._working = False

    def _forget(self, count: int) -> None:
        """The first operations are answered."""
        for operation, size in self._operations[:count]:
            self._operation_bytes -= size
            self._unanswered -= operation is not None
        del self._operations[:count]

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
        except MessageTooLarge:
            raise
        except Exception as error:
            await self._session.send(error_body(operation.id, refusal(self._node, operation.NAME, error)))

    async def _publish_all(self, operations: list[Publish]) -> None:
        for answer in await publish_all(self._session, operations):
            with suppress(MessageTooLarge):
                await self._session.send(answer)

    async def _wait_for_joins(self, count: int) -> None:
        """Joins above the rate wait, and so does what was asked for behind them: no error, only slower (LIM-1)."""
        config, now = self._node.config, trio.current_time()
        self._joins_free_at = max(self._joins_free_at, now) + count / config.joins_per_second
        await trio.sleep_until(self._joins_free_at - config.joins_burst / config.joins_per_second)

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


def malformed(clause: str, detail: str) -> RemoteProtocolError:
    """A message that its sender must not send (MSG-4)."""
    return RemoteProtocolError(CloseCode.PROTOCOL_ERROR, clause, detail, "message")
