"""What a client offers under the name of an agent, for the length of a block (SPEC AGT-2)."""

from __future__ import annotations

import logging
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser.calls import Procedure, Refused
from hawser.contract.signatures import types_of
from hawser.describing import describe
from hawser.entering import not_entered
from hawser.errors import PayloadError, RequestFailed
from hawser.payloads import encode_payload
from hawser.principals import check_handler, check_list, check_name
from hawser_engine.agents import Offer, Offered, OfferedProcedure, Withdraw
from hawser_engine.codes import ErrorCode
from hawser_engine.errors import HawserError
from hawser_engine.messages import AGENTS, encode_body

from .operations import Kind, Pending, request_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from types import TracebackType

    from hawser.calls import Arguments, ProcedureHandler
    from hawser.exchange import Exchange

    from .dialogue import Dialogue

PART_BYTES_MAX: Final = 127
"""The longest name of an agent, a procedure or a worker: the first two, joined, are the name in a call."""
DESCRIPTION_BYTES_MAX: Final = 4_096
PROCEDURES_MAX: Final = 128
AGENT_SECONDS: Final = 10.0
"""How long the session of an agent lives without a link, if nobody says otherwise: long enough for a change of
networks, short for whoever waits (SPEC AGT-9)."""

log: Final = logging.getLogger("hawser")


def check_part(what: str, name: object) -> str:
    """Refuse a name that cannot stand in an OFFER.

    Raises:
        TypeError: It is no string.
        ValueError: It is empty, or has more than 127 bytes.
    """
    text = check_name(what, name)
    if len(text.encode()) > PART_BYTES_MAX:
        raise ValueError(f"{what} has 1 to {PART_BYTES_MAX} bytes of UTF-8, this one has {len(text.encode())}")
    return text


class Offering:
    """Procedures that other clients call by ``agent.procedure``; `Client.offer` makes it.

    Enter it with ``async with``; they are offered when the block begins. They stay so through broken links and through
    resets of the session. Leaving the block withdraws them and waits for the calls that run; leaving it by an exception
    cancels those.

    Raises (on entering):
        RequestFailed: The server refused, for example DENIED, NOT_FOUND or LIMIT.
        RuntimeError: This client offers the agent already.
        SessionClosed: The client is closed.
    """

    def __init__(
        self,
        dialogue: Dialogue,
        agent: str,
        handlers: Sequence[ProcedureHandler],
        *,
        worker: str | None,
        doc: str,
        capabilities: Sequence[str],
    ) -> None:
        if "." in check_part("the name of an agent", agent):
            raise ValueError(f"the name of an agent has no full stop, and this one is {agent!r}")
        if worker is not None:
            check_part("the name of a worker", worker)
        if not 1 <= len(handlers) <= PROCEDURES_MAX:
            raise ValueError(f"an agent has 1 to {PROCEDURES_MAX} procedures, this one {len(handlers)}")
        check_list("capabilities", capabilities)
        texts: list[tuple[str, object]] = [("doc", doc), *(("a capability", word) for word in capabilities)]
        for what, text in texts:
            if not isinstance(text, str):
                raise TypeError(f"{what} is a text, not {type(text).__name__}")
        self.agent: str = agent
        self.requested: bool = False
        """Whether the server was asked for it, and has not ended it; kept by `Offers`."""
        self.withdrawn: trio.Event = trio.Event()
        """Set when the server does not count on it any more; by `Offers`."""
        self._dialogue = dialogue
        self._worker = worker
        self._description = _encode(agent, {"doc": doc, "capabilities": list(capabilities)})
        self._procedures: dict[str, Procedure] = {}
        self._offered: list[OfferedProcedure] = []
        for handler in handlers:
            self._add(handler)
        self._entered = False
        self._answered = trio.Event()
        self._over = trio.Event()
        self._error: HawserError | None = None
        self._running: dict[trio.CancelScope, None] = {}
        self._idle = trio.Event()

    def _add(self, handler: ProcedureHandler) -> None:
        name = check_part("the name of a procedure", getattr(handler, "__name__", None))
        check_handler(handler, f"procedure {name!r}", generator=True)
        full = f"{self.agent}.{name}"
        if full in self._procedures:
            raise ValueError(f"{full!r} is offered twice")

        types = types_of(handler, f"procedure {full!r}", leading=0, checked=None)
        self._procedures[full] = _Offered(full, handler, self, types=types)
        self._offered.append(OfferedProcedure(name, _encode(full, describe(handler))))

    async def __aenter__(self) -> Offering:
        if self._entered:
            raise RuntimeError("an offer is entered only once; offer again for another one")
        self._entered = True
        try:
            await self._dialogue.offers.enter(self)
            await self._answered.wait()
        except BaseException:
            self._leave()
            raise
        if self._error is not None:
            self._leave()
            raise self._error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._dialogue.offers.withdraw(self)
        try:
            if error is None:
                await self.withdrawn.wait()
                await self._calls_ended()
        finally:
            self._leave()
            for scope in list(self._running):
                scope.cancel(reason="the offer is left")
            with trio.CancelScope(shield=True):
                await self._calls_ended()

    async def wait(self) -> None:
        """Wait until the server or the end of the client ends the offer.

        Raises:
            RequestFailed: The server has ended it: DENIED when the right was withdrawn, TAKEN_OVER when another session
                of the same principal offers the agent under the name of this worker.
            RuntimeError: Its block has not begun.
            SessionClosed: The client is closed.
        """
        if not self._entered:
            raise not_entered("an offer")
        await self._over.wait()
        assert self._error is not None
        raise self._error

    # ------------------------------------------------------------ for the client

    @property
    def procedures(self) -> dict[str, Procedure]:
        """What can be called, by ``agent.procedure``."""
        return self._procedures

    def request(self, id: int) -> bytes:
        """The OFFER."""
        return encode_body(Offer(id, self.agent, self._worker, self._description, tuple(self._offered)))

    @property
    def size(self) -> int:
        """How long that is, about."""
        return 1_024 + len(self._description) + sum(300 + len(one.description) for one in self._offered)

    def answered(self) -> None:
        """The server has answered: it is offered."""
        self._answered.set()

    def finish(self, error: HawserError) -> None:
        """It is not offered any more."""
        self.requested = False
        self._error = self._error or error
        self._answered.set()
        self._over.set()

    def _leave(self) -> None:
        self._dialogue.offers.leave(self)

    async def _calls_ended(self) -> None:
        while self._running:
            await self._idle.wait()
        await trio.lowlevel.checkpoint()

    async def track(self, call: Awaitable[object]) -> object:
        """Run one call; it ends before the block of the offer does.

        Raises:
            Refused: It was left before it had ended.
        """
        with trio.CancelScope() as scope:
            self._running[scope] = None
            try:
                return await call
            finally:
                del self._running[scope]
                if not self._running:
                    self._idle.set()
                    self._idle = trio.Event()
        raise Refused(ErrorCode.CALLEE_LOST, f"the worker has left {self.agent!r} while it was at it")


@attrs.frozen
class _Offered(Procedure):
    """A procedure whose calls end with the block of its offer."""

    offering: Offering

    async def run(self, arguments: Arguments, *leading: object, exchange: Exchange | None = None) -> object:
        """See `Procedure.run`."""
        return await self.offering.track(super().run(arguments, *leading, exchange=exchange))


class Offers:
    """All offers of one client."""

    def __init__(self, dialogue: Dialogue) -> None:
        self._dialogue = dialogue
        self._offers: dict[str, Offering] = {}
        self._leaving: dict[str, Offering] = {}
        self._told = False  # how long whoever waits for an agent waits

    async def enter(self, offering: Offering) -> None:
        """Ask the server to take an offer; its answer comes later.

        Raises:
            RuntimeError: This client offers the agent.
            ValueError: The client has one of these procedures already.
            SessionClosed: The client is closed.
        """
        if offering.agent in self._offers:
            raise RuntimeError(f"this client offers {offering.agent!r} already")
        self._dialogue.offer.include(offering.procedures)
        self._offers[offering.agent] = offering
        self._live_briefly(offering.agent)
        while (leaving := self._leaving.get(offering.agent)) is not None:  # its WITHDRAW may not have left yet
            await leaving.withdrawn.wait()
        pending = self._pending(offering)
        await self._dialogue.in_turn(pending, lambda: self._hand_over(pending, offering))

    def withdraw(self, offering: Offering) -> None:
        """Take an offer back, in a task of its own: it may take until there is a link again."""
        if offering.requested and self._dialogue.line.over is None:
            offering.requested = False
            self._leaving[offering.agent] = offering
            self._dialogue.start(self._withdraw, offering)
        elif self._leaving.get(offering.agent) is not offering:
            offering.withdrawn.set()

    def leave(self, offering: Offering) -> None:
        """Forget an offer, whatever became of it."""
        if self._offers.get(offering.agent) is offering:
            self.withdraw(offering)
            del self._offers[offering.agent]
            self._dialogue.offer.exclude(offering.procedures)
            if not self._offers:
                self._dialogue.line.want_period(self._dialogue.config.session_seconds)

    def _live_briefly(self, agent: str) -> None:
        """Be an agent from the next OPEN on, where nobody has said how long sessions are to live (SPEC AGT-9).

        The present session may be opened already, and its period is chosen there.
        """
        line = self._dialogue.line
        if self._dialogue.config.session_seconds is not None:
            return
        if not self._told and line.session_ready and line.period_seconds > AGENT_SECONDS:
            self._told = True
            log.warning(
                "whoever waits for the agent %r waits %g s where it stays away; agent=True at connect makes it %g s",
                agent,
                line.period_seconds,
                AGENT_SECONDS,
            )
        line.want_period(AGENT_SECONDS)

    def opened(self) -> None:
        """A new session is there: offer everything again."""
        for offering in list(self._offers.values()):
            if offering.requested and AGENTS in self._dialogue.line.features:
                self._dialogue.ask_again(partial(self._again, offering))
            elif offering.requested:
                offering.finish(_no_agents())

    def _again(self, offering: Offering) -> tuple[Pending, Callable[[int], bytes]] | None:
        wanted = offering.requested and self._offers.get(offering.agent) is offering
        return (self._pending(offering), offering.request) if wanted else None

    def answered(self, message: Offered) -> None:
        """The server has answered, or has ended an offer."""
        if message.id is not None:
            pending = self._dialogue.operations.answered(message)
            if pending is not None:
                pending.succeed(None)
                if pending.offering is not None:
                    pending.offering.answered()
            return
        offering = self._offers.get(message.agent)
        if offering is not None:
            offering.finish(RequestFailed(message.code, message.reason))

    def end(self, error: HawserError) -> None:
        """The client is over."""
        for offering in self._offers.values():
            offering.finish(error)

    def _pending(self, offering: Offering) -> Pending:
        pending = Pending(Kind.OFFER, offering.agent, offering.size)
        pending.offering = offering
        return pending

    def _hand_over(self, pending: Pending, offering: Offering) -> None:
        """Send an OFFER, now."""
        if AGENTS not in self._dialogue.line.features:
            offering.finish(_no_agents())
            return
        offering.requested = True
        try:
            self._dialogue.hand_over(pending, offering.request)
        except PayloadError as error:
            offering.finish(error)

    async def _withdraw(self, offering: Offering) -> None:
        pending = Pending(Kind.WITHDRAW, offering.agent, request_bytes(offering.agent))
        try:
            await self._dialogue.request(pending, lambda id: encode_body(Withdraw(id, offering.agent)))
            await pending.wait()
        except HawserError:
            pass  # the session is over, and with it the offer
        finally:
            del self._leaving[offering.agent]
            offering.withdrawn.set()


def _no_agents() -> RequestFailed:
    return RequestFailed(ErrorCode.NOT_FOUND, "this server knows no agents")


def _encode(what: str, description: dict[str, Any]) -> bytes:
    """A description as it travels, without what is empty.

    Raises:
        ValueError: It is too long.
    """
    data = encode_payload({key: value for key, value in description.items() if value})
    if len(data) > DESCRIPTION_BYTES_MAX:
        raise ValueError(f"the description of {what!r} has {len(data)} bytes, {DESCRIPTION_BYTES_MAX} are allowed")
    return data
