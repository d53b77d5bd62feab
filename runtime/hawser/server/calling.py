"""Calls that the application makes to one client."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import trio

from hawser.calls import failure
from hawser.errors import CallError, NotSent, OutcomeUnknown, RequestLost
from hawser.payloads import decode_payload, encode_payload
from hawser.principals import check_name
from hawser_engine.codes import ErrorCode, ResetReason
from hawser_engine.messages import Call, Cancel, ErrorReply, Reply, encode_body

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from .sessions import ServerSession


class Waiting:
    """One call without an answer."""

    __slots__ = ("answer", "arrived", "ordinal", "procedure")

    def __init__(self, procedure: str) -> None:
        self.procedure: str = procedure
        self.answer: Reply | ErrorReply | RequestLost | None = None
        self.arrived: trio.Event = trio.Event()
        self.ordinal: int = 0

    def end(self, answer: Reply | ErrorReply | RequestLost) -> None:
        """Here is what came."""
        self.answer = answer
        self.arrived.set()


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
        session, deadline = self._session, trio.current_effective_deadline()
        await trio.lowlevel.checkpoint_if_cancelled()
        self.count += 1
        try:
            await session.room(len(payload))
            if not wanted():
                raise NotSent(f"call {procedure!r}", None, ResetReason.CLOSED)
            waiting = self._start(procedure, payload, deadline)
            id = self._last_id
            try:
                await waiting.arrived.wait()
            finally:
                if self._open is not None and self._open.pop(id, None) is not None:
                    session.tell(encode_body(Cancel(id)))
        finally:
            self.count -= 1
        assert waiting.answer is not None
        if isinstance(waiting.answer, RequestLost):
            raise waiting.answer
        return waiting.answer

    def abandon(self, prefix: str) -> None:
        """Give up the calls of procedures that begin so: their answers are not waited for any more."""
        for one in (self._open or {}).values():
            if one.procedure.startswith(prefix):
                one.end(OutcomeUnknown(f"call {one.procedure!r}", None, ResetReason.CLOSED))

    def _start(self, procedure: str, payload: bytes, deadline: float) -> Waiting:
        """Give the call its id and send it, in one step; there is room."""
        session = self._session
        what = f"call {procedure!r}"
        if session.ended:
            raise NotSent(what, None, ResetReason.CLOSED)
        deadline_ms = None
        if deadline != inf:
            deadline_ms = session.time_ms() + round(max(0.0, deadline - trio.current_time()) * 1_000)
        self._last_id += 1
        waiting = Waiting(procedure)
        if self._open is None:
            self._open = {}
        self._open[self._last_id] = waiting
        session.put(encode_body(Call(self._last_id, procedure, payload, deadline_ms)))
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
