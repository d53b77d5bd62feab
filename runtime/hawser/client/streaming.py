"""Calls of a client that have items."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.errors import CallError, RequestFailed
from hawser_engine.calls import Cancel
from hawser_engine.codes import ErrorCode
from hawser_engine.messages import STREAMS, encode_body

from .operations import Kind, Pending

if TYPE_CHECKING:
    from hawser.streams import CallerFlow

    from .dialogue import Dialogue


class ClientStream:
    """One of them; see `hawser.streams.OpenStream`."""

    def __init__(self, dialogue: Dialogue, pending: Pending, id: int) -> None:
        self._dialogue = dialogue
        self._pending = pending
        self._id = id

    def outcome(self) -> bytes:
        """See `OpenStream.outcome`."""
        try:
            data: bytes = self._pending.outcome()
        except RequestFailed as error:
            raise CallError(error.code, error.message, temporary=error.temporary, data=error.data) from None
        return data

    async def send(self, body: bytes) -> None:
        """See `OpenStream.send`."""
        await self._dialogue.answer(body, lambda: not self._pending.answered)

    def leave(self) -> None:
        """See `OpenStream.leave`."""
        if not self._pending.answered:
            self._dialogue.tell(encode_body(Cancel(self._id)))


async def open_stream(dialogue: Dialogue, procedure: str, payload: bytes, flow: CallerFlow) -> ClientStream:
    """Make a call that has items.

    Raises:
        CallError: The server knows no streams.
        PayloadError: The server does not take so long a message.
        SessionClosed: The client is closed.
    """
    pending = Pending(Kind.CALL, procedure, len(payload) + len(procedure) + 100)
    pending.flow = flow
    deadline = trio.current_effective_deadline()
    call_id = 0

    def encode(id: int) -> bytes:
        nonlocal call_id
        call_id = id
        return flow.request(id, procedure, payload, dialogue.deadline_ms(deadline))

    def make() -> None:
        if STREAMS not in dialogue.line.features:
            raise CallError(ErrorCode.BAD_REQUEST, "this server knows no streams")
        dialogue.hand_over(pending, encode)

    await dialogue.in_turn(pending, make)
    return ClientStream(dialogue, pending, call_id)
