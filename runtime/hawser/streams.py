"""A call whose arguments or results come in items, as its caller has it (SPEC STR-1 to STR-3)."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Protocol

import trio

from hawser_engine.codes import CloseCode, ErrorCode
from hawser_engine.errors import MessageTooLarge, RemoteProtocolError
from hawser_engine.messages import encode_body
from hawser_engine.streams import Stream as StreamMessage
from hawser_engine.streams import StreamCredit, StreamItem

from .entering import not_entered
from .errors import CallError, PayloadError
from .flow import Credit, Inflow
from .payloads import decode_payload, encode_payload

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType


class CallerFlow:
    """The items of one call, and the credit for them.

    Args:
        tell: Sends what cannot wait.
        items: How many items may wait here.
        bytes: Of how many bytes.
        inputs: Whether this side sends items, too.
    """

    def __init__(self, tell: Callable[[bytes], None], items: int, bytes: int, *, inputs: bool) -> None:
        self.inflow: Inflow = Inflow(self._grant, items, bytes, opened=True)
        """What has come."""
        self.credit: Credit = Credit()
        """For what is sent."""
        self._tell = tell
        self._window = (items, bytes)
        self._inputs = inputs
        self._id = 0

    def request(self, id: int, procedure: str, payload: bytes, deadline_ms: int | None) -> bytes:
        """The STREAM, which gets this id."""
        self._id = id
        return encode_body(StreamMessage(id, procedure, payload, deadline_ms, self._inputs, *self._window))

    def input(self, data: bytes | None) -> bytes:
        """The ITEM that carries an input; None: there are no more."""
        return encode_body(StreamItem(self._id, True, data))

    def take(self, message: StreamItem | StreamCredit) -> None:
        """What the callee has sent.

        Raises:
            RemoteProtocolError: There was no credit for it, or it is no item.
        """
        if isinstance(message, StreamCredit):
            self.credit.add(message.items, message.bytes)
        elif message.data is None:
            detail = "saw null for an item of the callee, which ends with its answer"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "STR-1", detail, "ITEM")
        else:
            self.inflow.put(message.data)

    def end(self) -> None:
        """The call has its answer, or nobody waits for it any more."""
        self.inflow.end()
        self.credit.close()

    def _grant(self, items: int, bytes: int) -> None:
        self._tell(encode_body(StreamCredit(self._id, False, items, bytes)))


class OpenStream(Protocol):
    """A call that was made."""

    def outcome(self) -> bytes:
        """The result, as it travelled; there is an answer.

        Raises:
            CallError: It is an error.
            RequestLost: There will be none.
        """
        ...

    async def send(self, body: bytes) -> None:
        """Send a message when there is room, unless there is an answer already.

        Raises:
            MessageTooLarge: The other side does not take so long a message.
        """

    def leave(self) -> None:
        """Its answer is not waited for any more."""


class Stream:
    """A call that answers in items; `Client.stream` and `Session.stream` make it.

    Enter it with ``async with``: the call is made when the block begins, and cancelled where the block ends before it
    has its answer. Iterate over it to get the items, in order; there is flow control, so a procedure is not far ahead
    of whoever reads. The iteration ends with the answer.

    Raises (on entering):
        NotSent: The session was reset before the call left.
        PayloadError: The other side does not take so long a message.
        SessionClosed: The client is closed.
    """

    def __init__(self, flow: CallerFlow, begin: Callable[[], Awaitable[OpenStream]], *, inputs: bool) -> None:
        self._flow = flow
        self._begin = begin
        self._inputs = inputs
        self._call: OpenStream | None = None
        self._deadline = inf
        self._result: Any = None

    @property
    def result(self) -> Any:
        """What the procedure returned beside its items; None before the iteration has ended."""
        return self._result

    async def __aenter__(self) -> Stream:
        if self._call is not None:
            raise RuntimeError("a stream is entered only once; call again for another one")
        self._deadline = trio.current_effective_deadline()
        self._call = await self._begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._flow.end()
        self._entered().leave()
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> Stream:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> Any:
        """Wait for the next item. Only one task at a time.

        Raises:
            trio.EndOfChannel: The procedure has returned; `result` is what.
            CallError: The procedure ended in an error.
            OutcomeUnknown: The session was reset; nobody can say how far it came.
            NotSent: It was reset before the call left.
            SessionClosed: The client is closed.
            PayloadError: The item is no value.
        """
        call = self._entered()
        try:
            return decode_payload(await self._flow.inflow.take())
        except trio.EndOfChannel:
            try:
                self._result = decode_payload(call.outcome())
            except CallError as error:
                if error.code == ErrorCode.DEADLINE and self._deadline != inf:
                    # As in `Client.call`: it is the scope's to say so, unless it was moved.
                    await trio.sleep_until(self._deadline)
                raise
            raise

    async def send(self, data: object) -> None:
        """Send an item to the procedure, when it lets more come. Cancelled, nothing was sent.

        Raises:
            PayloadError: The data cannot travel.
            RuntimeError: The stream was made without ``inputs``.
            trio.BrokenResourceError: The call has its answer already.
        """
        call = self._sending()
        item = encode_payload(data)
        await trio.lowlevel.checkpoint_if_cancelled()
        await self._flow.credit.take(len(item))
        try:
            await call.send(self._flow.input(item))
        except BaseException as error:
            self._flow.credit.add(1, len(item))
            if isinstance(error, MessageTooLarge):
                raise PayloadError(str(error)) from None
            raise

    async def finish(self) -> None:
        """Tell the procedure that no more items come.

        Raises:
            RuntimeError: The stream was made without ``inputs``.
        """
        await self._sending().send(self._flow.input(None))
        await trio.lowlevel.checkpoint()

    def _sending(self) -> OpenStream:
        if not self._inputs:
            raise RuntimeError("this stream sends nothing; make it with inputs=True")
        return self._entered()

    def _entered(self) -> OpenStream:
        if self._call is None:
            raise not_entered("a stream")
        return self._call
