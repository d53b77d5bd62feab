"""The items of a call, as whoever carries it out has them (SPEC STR-1 to STR-3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import trio

from hawser_engine.codes import ErrorCode
from hawser_engine.messages import encode_body
from hawser_engine.streams import StreamCredit, StreamItem

from .errors import CallError, PayloadError
from .flow import Credit, Inflow
from .payloads import ARGUMENT_BYTES_MAX, decode_payload

if TYPE_CHECKING:
    from collections.abc import Callable

    from typing_extensions import TypeVar as DefaultingTypeVar  # which type checkers bring, and no program needs

    from hawser_engine.streams import Stream as StreamMessage

    from .calls import Host

    ItemT = DefaultingTypeVar("ItemT", default=Any)
else:
    ItemT = TypeVar("ItemT")

HandlerT = TypeVar("HandlerT", bound="Callable[..., Any]")

_MARK: Final = "_hawser_takes_inputs"


def takes_inputs(handler: HandlerT) -> HandlerT:
    """Mark a procedure that takes items while it runs: it gets `Inputs` before the arguments of its caller.

    ``@app.procedure("chat")`` stands above ``@takes_inputs``, and the handler is
    ``async def chat(session, inputs, …)``; what a client offers has no session: ``async def chat(inputs, …)``.

    ``inputs: Inputs[int]`` has each item checked, and ``Inputs[Line]``, with an attrs class, made an instance; see
    `App.procedure`.
    """
    setattr(handler, _MARK, True)
    return handler


def is_taking_inputs(handler: object) -> bool:
    """Whether a procedure is marked so."""
    return getattr(handler, _MARK, False) is True


class Inputs(Generic[ItemT]):
    """The items that the caller of a procedure sends while it runs: ``async for item in inputs``.

    Args:
        inflow: What comes; None if the caller sends nothing.
        structure: Makes an item of a value and its number, the first being 1; None leaves values as they are.
    """

    def __init__(self, inflow: Inflow | None, structure: Callable[[Any, int], ItemT] | None = None) -> None:
        self._inflow = inflow
        self._structure = structure
        self._count = 0

    def __aiter__(self) -> Inputs[ItemT]:
        return self

    async def __anext__(self) -> ItemT:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> ItemT:
        """Wait for the next item.

        Raises:
            trio.EndOfChannel: The caller sends no more, or has never wanted to.
            CallError: The item is longer than 64 KiB (TOO_LARGE), or no value, or not as declared (BAD_REQUEST). Where
                the procedure does not catch it, its caller gets it. One that does may go on with the next item.

        Spec: STR-3, CTR-4, CTR-5.
        """
        if self._inflow is None:
            await trio.lowlevel.checkpoint()
            raise trio.EndOfChannel
        data = await self._inflow.take()
        self._count += 1
        if len(data) > ARGUMENT_BYTES_MAX:
            raise CallError(ErrorCode.TOO_LARGE, f"item {self._count} has more than {ARGUMENT_BYTES_MAX} bytes")
        try:
            value = decode_payload(data, limit=ARGUMENT_BYTES_MAX)
        except PayloadError as error:
            raise CallError(ErrorCode.BAD_REQUEST, f"item {self._count} is no CBOR value: {error}") from None
        return value if self._structure is None else self._structure(value, self._count)


class Exchange:
    """What goes between the caller of a STREAM and whoever carries it out, beside arguments and answer.

    Args:
        host: The session's side here.
        call: The STREAM.
        items: How many inputs may wait here.
        bytes: Of how many bytes.
    """

    def __init__(self, host: Host, call: StreamMessage, items: int, bytes: int) -> None:
        self.credit: Credit = Credit(call.items, call.bytes)
        self.inflow: Inflow | None = Inflow(self._grant, items, bytes, opened=False) if call.inputs else None
        """What the caller sends."""
        self._host = host
        self._id = call.id

    async def send(self, data: bytes) -> None:
        """Send an item when there is credit and room for it.

        Raises:
            MessageTooLarge: The other side does not take so long a message.
        """
        await self.credit.take(len(data))
        await self._host.send(encode_body(StreamItem(self._id, False, data)))

    def _grant(self, items: int, bytes: int) -> None:
        self._host.tell(encode_body(StreamCredit(self._id, True, items, bytes)))
