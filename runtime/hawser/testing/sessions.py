"""A session without a server, for handlers that are tested as the plain functions that they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, cast

import trio

from hawser.calls import Arguments, Refused
from hawser.client.answering import Procedures
from hawser.errors import CallError
from hawser.payloads import decode_payload, encode_payload
from hawser.principals import ANONYMOUS
from hawser.server.assigning import Assigner, requested
from hawser.server.session import Session
from hawser_engine.codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hawser.calls import ProcedureHandler
    from hawser.principals import Principal
    from hawser.server.calling import ClientCalls
    from hawser_engine.messages import Position


def make_session(
    principal: Principal = ANONYMOUS,
    *,
    procedures: Mapping[str, ProcedureHandler] | None = None,
    channels: set[str] | None = None,
    number: int = 1,
) -> Session:
    """A session to give to a handler: nothing is served, and nobody is connected.

    What the handler calls of its client runs at once, here. Arguments and results travel as values, as they do in
    earnest; what a procedure raises is raised as it is.

    Args:
        principal: Who is at the other end.
        procedures: What can be called there, as for `connect`.
        channels: What the client is subscribed to: changed by `Session.subscribe` and `Session.unsubscribe`, to be
            looked at afterwards.
        number: The number of the session.

    Raises:
        TypeError: A procedure is no async function.
        ValueError: A name is not well-formed.
    """
    calls = cast("ClientCalls", _DirectCalls(procedures or {}))
    return Session(principal, number, calls, _Channels(set() if channels is None else channels))


class _Channels(Assigner):
    """What a session needs to subscribe its client to channels, likewise."""

    def __init__(self, names: set[str]) -> None:
        self._names = names

    async def subscribe(
        self, channel: str, since: Position | None, rewind: int | None, rewind_seconds: float | None
    ) -> None:
        await trio.lowlevel.checkpoint()
        self._names.add(requested(channel, since, rewind, rewind_seconds).channel)

    async def unsubscribe(self, channel: str) -> None:
        await trio.lowlevel.checkpoint()
        self._names.discard(channel)


class _DirectCalls:
    """What a session needs of calls to its client, as far as that goes without one."""

    def __init__(self, procedures: Mapping[str, ProcedureHandler]) -> None:
        self._procedures = Procedures(procedures)

    async def call(self, procedure: str, arguments: Sequence[object], named: Mapping[str, object]) -> Any:
        if arguments and named:
            raise TypeError("a call has positional or named arguments, not both")
        payload = encode_payload(dict(named) or list(arguments))
        try:
            result = await self._procedures.run(procedure, Arguments.decode(payload))
        except Refused as refused:
            raise CallError(refused.code, refused.message, temporary=refused.temporary, data=refused.data) from None
        return decode_payload(encode_payload(result))

    def stream(self, *_: object, **__: object) -> NoReturn:
        raise CallError(ErrorCode.BAD_REQUEST, "this client knows no streams")

    def agents(self) -> list[Any]:
        return []
