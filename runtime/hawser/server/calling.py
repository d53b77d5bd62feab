"""Calls that the application makes to one client."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import trio

from hawser.calls import failure
from hawser.errors import CallError, NotSent, OutcomeUnknown, RequestLost
from hawser.payloads import decode_payload, encode_payload
from hawser.principals import check_name
from hawser.streams import CallerFlow, Stream
from hawser_engine.calls import Call, Cancel, ErrorReply, Reply
from hawser_engine.codes import ErrorCode, ResetReason
from hawser_engine.messages import STREAMS, encode_body

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from hawser.calls import Returned
    from hawser_engine.streams import StreamCredit, StreamItem

    from .sessions import ServerSession


class Waiting:
    """One call without an answer."""

    __slots__ = ("_calls", "answer", "arrived", "flow", "id", "ordinal", "procedure")

    def __init__(self, calls: ClientCalls, procedure: str, flow: CallerFlow | None) -> None:
        self._calls = calls
        self.procedure: str = procedure
        self.flow: CallerFlow | None = flow
        """Its items, if it has any."""
        self.id: int = 0
        self.answer: Reply | ErrorReply | RequestLost | None = None
        self.arrived: trio.Event = trio.Event()
        self.ordinal: int = 0

    def end(self, answer: Reply | ErrorReply | RequestLost) -> None:
        """Here is what came."""
        self.answer = answer
        self.arrived.set()
        if self.flow is not None:
            self.flow.end()

    def message(self) -> Reply | ErrorReply:
        """The answer; there is one.

        Raises:
            RequestLost: There will be none.
        """
        assert self.answer is not None
        if isinstance(self.answer, RequestLost):
            raise self.answer
        return self.answer

    def outcome(self) -> bytes:
        """See `hawser.streams.OpenStream.outcome`."""
        answer = self.message()
        if isinstance(answer, ErrorReply):
            raise failure(answer, CallError)
        return answer.data

    async def send(self, body: bytes) -> None:
        """See `hawser.streams.OpenStream.send`."""
        await self._calls.send(body)

    def leave(self) -> None:
        """See `hawser.streams.OpenStream.leave`."""
        self._calls.leave(self)


class ClientCalls:
    """What one session's client was called for and has not answered yet."""

    __slots__ = ("_last_id", "_open", "_session", "count")

    def __init__(self, session: ServerSession) -> None:
        self.count: int = 0
        """How many there are, those that wait for room counted."""
        self._session = session
        self._open: dict[int, Waiting] | None = None  # made on first use
        self._last_id = 0

    @property
    def waiting(self) -> bool:
        """Whether the client owes an answer."""
        return bool(self._open)

    async def call(self, procedure: str, arguments: Sequence[object], named: Mapping[str, object]) -> Any:
        """See `hawser.Session.call`."""
        check_name("a procedure name", procedure)
        if arguments and named:
            raise TypeError("a call has positional or named arguments, not both")
        deadline = trio.current_effective_deadline()
        answer = await self.ask(procedure, encode_payload(dict(named) or list(arguments)))
        if isinstance(answer, Reply):
            return decode_payload(answer.data)
        if answer.code == ErrorCode.DEADLINE and deadline != inf:
            # As in `Client.call`: it is the scope's to say so, unless it was moved.
            await trio.sleep_until(deadline)
        raise failure(answer, CallError)

    async def ask(
        self, procedure: str, payload: bytes, *, wanted: Callable[[], bool] = lambda: True
    ) -> Reply | ErrorReply:
        """Make a call and wait for its answer, as it travelled.

        Args:
            procedure: The procedure.
            payload: The arguments.
            wanted: Asked when there is room, in the step in which the call is made.

        Raises:
            OutcomeUnknown: The session has ended.
            NotSent: It had ended before the call got a number, or it is not wanted any more.
        """
        waiting = await self.begin(procedure, payload, wanted=wanted)
        try:
            await waiting.arrived.wait()
        finally:
            self.leave(waiting)
        return waiting.message()

    async def begin(
        self,
        procedure: str,
        payload: bytes,
        *,
        wanted: Callable[[], bool] = lambda: True,
        flow: CallerFlow | None = None,
    ) -> Waiting:
        """Make a call, which is to be left in the end.

        Args:
            procedure: As for `ask`.
            payload: As for `ask`.
            wanted: As for `ask`.
            flow: Its items, if it may have any.

        Raises:
            NotSent: The session has ended, or the call is not wanted any more.
        """
        deadline = trio.current_effective_deadline()
        await trio.lowlevel.checkpoint_if_cancelled()
        self.count += 1
        try:
            await self._session.room(len(payload))
            if not wanted():
                raise NotSent(f"call {procedure!r}", None, ResetReason.CLOSED)
            return self._start(Waiting(self, procedure, flow), payload, deadline)
        except BaseException:
            self.count -= 1
            raise

    def leave(self, waiting: Waiting) -> None:
        """The answer of a call is not waited for any more; once for each."""
        self.count -= 1
        if self._open is not None and self._open.pop(waiting.id, None) is not None:
            self._session.tell(encode_body(Cancel(waiting.id)))

    async def send(self, body: bytes) -> None:
        """Send a message of a call when there is room."""
        await self._session.send(body)

    def stream(
        self, procedure: str, arguments: Sequence[object], named: Mapping[str, object], *, inputs: bool
    ) -> Stream:
        """See `hawser.Session.stream`."""
        check_name("a procedure name", procedure)
        if arguments and named:
            raise TypeError("a call has positional or named arguments, not both")
        payload = encode_payload(dict(named) or list(arguments))
        flow = self.flow(inputs=inputs)

        async def begin() -> Waiting:
            if not self.streams:
                raise CallError(ErrorCode.BAD_REQUEST, "this client knows no streams")
            return await self.begin(procedure, payload, flow=flow)

        return Stream(flow, begin, inputs=inputs)

    def agents(self) -> list[Any]:
        """See `hawser.server.directory.Directory.snapshot`."""
        return self._session.node.router.directory.snapshot()

    def session_id(self) -> str:
        """See `hawser.Session.id`."""
        return self._session.node.addressing.id(self._session).hex()

    def collect(self, channel: str, wait_ms: int, data: bytes) -> AsyncGenerator[list[Any] | Returned]:
        """See `hawser.server.asking.Asking.collect`."""
        return self._session.node.asking.collect(self._session, channel, wait_ms, data)

    @property
    def streams(self) -> bool:
        """Whether the client takes calls that have items."""
        return STREAMS in self._session.engine.features

    def flow(self, *, inputs: bool) -> CallerFlow:
        """The items of a call that is to be made."""
        config = self._session.node.config
        return CallerFlow(self._session.tell, config.stream_items, config.stream_bytes, inputs=inputs)

    def take(self, message: StreamItem | StreamCredit) -> None:
        """An item of a call, or credit for it; where nothing is open that is ignored (STR-4).

        Raises:
            RemoteProtocolError: See `CallerFlow.take`.
        """
        waiting = None if self._open is None else self._open.get(message.id)
        if waiting is not None and waiting.flow is not None:
            waiting.flow.take(message)

    def abandon(self, prefix: str) -> None:
        """Give up the calls of procedures that begin so: their answers are not waited for any more."""
        for one in (self._open or {}).values():
            if one.procedure.startswith(prefix):
                one.end(OutcomeUnknown(f"call {one.procedure!r}", None, ResetReason.CLOSED))

    def _start(self, waiting: Waiting, payload: bytes, deadline: float) -> Waiting:
        """Give the call its id and send it, in one step; there is room."""
        session, procedure, flow = self._session, waiting.procedure, waiting.flow
        what = f"call {procedure!r}"
        if session.ended:
            raise NotSent(what, None, ResetReason.CLOSED)
        deadline_ms = None
        if deadline != inf:
            deadline_ms = session.time_ms() + round(max(0.0, deadline - trio.current_time()) * 1_000)
        self._last_id += 1
        id = waiting.id = self._last_id
        if self._open is None:
            self._open = {}
        self._open[id] = waiting
        if flow is None:
            session.put(encode_body(Call(id, procedure, payload, deadline_ms)))
        else:
            session.put(flow.request(id, procedure, payload, deadline_ms))
        waiting.ordinal = session.engine.outbox.accepted
        return waiting

    def answered(self, message: Reply | ErrorReply) -> None:
        """An answer has come; one to nothing is ignored (MSG-6)."""
        waiting = None if self._open is None else self._open.pop(message.id, None)
        if waiting is not None:
            waiting.end(message)

    def lose(self) -> None:
        """The session is over: every call ends, by whether it had a number (RST-9)."""
        waiting, self._open = self._open or {}, None
        engine = self._session.engine
        reason = ResetReason.RESTARTED if engine.ended is None else engine.ended
        for one in waiting.values():
            kind = OutcomeUnknown if one.ordinal <= engine.outbox.numbered_messages else NotSent
            one.end(kind("call to a client", None, int(reason)))
