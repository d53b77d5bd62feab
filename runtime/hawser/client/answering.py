"""What a client offers to be called for, and the calls of the present session (SPEC CAL-1 to CAL-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

import trio

from hawser.calls import Arguments, Callee, Procedure, Refused
from hawser.contract.signatures import types_of
from hawser.payloads import RELAYED_BYTES_MAX
from hawser.principals import check_handler, check_name
from hawser_engine.codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from hawser.calls import ProcedureHandler
    from hawser.config import Config
    from hawser.exchange import Exchange
    from hawser_engine.calls import Call
    from hawser_engine.streams import Stream


class Voice(Protocol):
    """What answers need of the client."""

    def time_ms(self) -> int:
        """The session's time (CAL-3)."""
        ...

    async def answer(self, body: bytes, current: Callable[[], bool]) -> None:
        """Send an answer when there is room, unless it is not ``current()`` any more.

        Raises:
            MessageTooLarge: The server does not take so long a message.
        """

    def tell(self, body: bytes) -> None:
        """Send what cannot wait, unless the client is closed."""


class Procedures:
    """The procedures of a client."""

    def __init__(self, procedures: Mapping[str, ProcedureHandler]) -> None:
        self._procedures: dict[str, Procedure] = {}
        for name, handler in procedures.items():
            self.add(name, handler)

    def add(self, name: str, handler: ProcedureHandler) -> None:
        """Offer a procedure.

        Raises:
            TypeError: The handler is no async function, or an annotation cannot be checked.
            ValueError: The name is taken or not well-formed.
        """
        check_name("a procedure name", name)
        check_handler(handler, f"procedure {name!r}", generator=True)
        if name in self._procedures:
            raise ValueError(f"the procedure {name!r} is already registered")
        types = types_of(handler, f"procedure {name!r}", leading=0, checked=None)
        self._procedures[name] = Procedure(name, handler, types=types)

    def include(self, procedures: Mapping[str, Procedure]) -> None:
        """Offer procedures until they are excluded.

        Raises:
            ValueError: A name is taken.
        """
        for name in procedures:
            if name in self._procedures:
                raise ValueError(f"the procedure {name!r} is already registered")
        self._procedures.update(procedures)

    def exclude(self, procedures: Mapping[str, Procedure]) -> None:
        """Offer them no more."""
        for name in procedures:
            del self._procedures[name]

    async def invoke(self, call: Call | Stream, exchange: Exchange | None) -> object:
        """Run what is called.

        Raises:
            Refused: Nothing of that name is offered, or the arguments are wrong.
        """
        # What another client calls has been relayed, so it may be longer than what servers read (MSG-8).
        return await self.run(call.procedure, Arguments.decode(call.arguments, limit=RELAYED_BYTES_MAX), exchange)

    async def run(self, name: str, arguments: Arguments, exchange: Exchange | None = None) -> object:
        """Run a procedure.

        Raises:
            Refused: Nothing of that name is offered, or the arguments are wrong.
        """
        procedure = self._procedures.get(name)
        if procedure is None:
            raise Refused(ErrorCode.NOT_FOUND, f"no procedure {name!r}")
        return await procedure.run(arguments, exchange=exchange)


class Answering:
    """The calls of one session that its server has made; see `hawser.calls.Host`."""

    def __init__(
        self,
        voice: Voice,
        offer: Procedures,
        nursery: trio.Nursery,
        *,
        config: Config,
        random_bytes: Callable[[int], bytes],
    ) -> None:
        self.callee: Callee = Callee(self, offer.invoke, config=config, random_bytes=random_bytes)
        self._voice = voice
        self._nursery = nursery
        self._scopes: dict[trio.CancelScope, None] = {}
        self._over = False

    def end(self) -> None:
        """The session is over: nobody waits for these answers, and their ids will name others."""
        self._over = True
        for scope in list(self._scopes):
            scope.cancel(reason="the session is over")

    def time_ms(self) -> int:
        """See `Host.time_ms`."""
        return self._voice.time_ms()

    def spawn(self, function: Callable[..., Awaitable[object]], *arguments: Any) -> None:
        """See `Host.spawn`."""
        self._nursery.start_soon(self._run, function, arguments)

    async def _run(self, function: Callable[..., Awaitable[object]], arguments: tuple[Any, ...]) -> None:
        with trio.CancelScope() as scope:
            self._scopes[scope] = None
            try:
                if self._over:
                    scope.cancel(reason="the session is over")
                await function(*arguments)
            finally:
                del self._scopes[scope]

    async def send(self, body: bytes) -> None:
        """See `Host.send`."""
        await self._voice.answer(body, lambda: not self._over)

    def tell(self, body: bytes) -> None:
        """See `Host.tell`."""
        self._voice.tell(body)
