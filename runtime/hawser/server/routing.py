"""Calls between clients: offers, and the way of a call from one session to another (SPEC AGT-1 to AGT-8).

A routed call lives in the task of the call that asks for it. So its bounds, its deadline and its cancellation are those
of that call, and what the worker's session keeps of it is what it keeps of a call of the application.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

import trio

from hawser.calls import Refused, chosen_error_body
from hawser.errors import NotSent, OutcomeUnknown, RequestFailed
from hawser.middleware import OfferRequest, pass_through
from hawser.patterns import find
from hawser.payloads import ARGUMENT_BYTES_MAX
from hawser_engine.agents import Offered
from hawser_engine.codes import ErrorCode, ResetReason
from hawser_engine.errors import MessageTooLarge
from hawser_engine.messages import encode_body

from .agents import Agents, Offering
from .directory import Directory
from .permits import permit

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.agents import AgentAction, AgentRule
    from hawser.exchange import Exchange
    from hawser.flow import Inflow
    from hawser.streams import CallerFlow
    from hawser_engine.agents import Offer, Withdraw
    from hawser_engine.calls import ErrorReply, Reply

    from .calling import ClientCalls, Waiting
    from .node import Node
    from .sessions import ServerSession

SEPARATOR: Final = "."


class Router:
    """The agents of one node, and the calls to them."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._agents: Agents[ServerSession] = Agents(
            agents_per_session=node.config.agents_per_session,
            workers_per_agent=node.config.workers_per_agent,
            calls_per_worker=node.config.calls_per_session,
        )
        self.directory: Directory = Directory(node, self._agents)

    # ------------------------------------------------------------ offers

    async def offer(self, session: ServerSession, request: Offer) -> None:
        """Carry out an OFFER and answer it.

        Raises:
            Refused: It is answered with an error.
        """
        if SEPARATOR in request.agent:
            raise Refused(ErrorCode.BAD_REQUEST, f"the name of an agent has no {SEPARATOR!r}")
        procedures = {one.procedure: one.description for one in request.procedures}
        if len(request.description) + sum(map(len, procedures.values())) > ARGUMENT_BYTES_MAX:
            raise Refused(ErrorCode.TOO_LARGE, f"an offer has descriptions of at most {ARGUMENT_BYTES_MAX} bytes")
        try:
            await self._consent(session, request, tuple(procedures))
        except RequestFailed as error:
            await session.send(chosen_error_body(request.id, error))
            return
        await session.room()
        principal = session.handle.principal.id
        offering = Offering(request.agent, session, principal, request.worker, request.description, procedures)
        ended = self._agents.offer(offering)
        session.put(encode_body(Offered(request.id, request.agent, 0, "")))
        for one in ended:
            self.directory.changed(one)
            if one.worker is not session:
                self._tell_ended(one.worker, one.agent, ErrorCode.TAKEN_OVER)
                one.worker.calls.abandon(one.agent + SEPARATOR)
        self.directory.changed(offering)

    async def _consent(self, session: ServerSession, request: Offer, procedures: tuple[str, ...]) -> None:
        """Let rights decide about an offer, and middleware around them.

        Raises:
            Refused: It may not be offered.
            RequestFailed: So says middleware.
        """
        middleware, agreed = self._node.app.middlewares, False
        if not middleware:
            await self._allow(session, "offer", request.agent)
            return

        async def allow(asked: OfferRequest) -> None:
            nonlocal agreed
            await self._allow(session, "offer", asked.agent)
            agreed = True

        await pass_through(middleware, OfferRequest(session.handle, request.agent, request.worker, procedures), allow)
        if not agreed:
            raise TypeError(f"middleware neither refused the offer of {request.agent!r} nor proceeded with it")

    async def withdraw(self, session: ServerSession, request: Withdraw) -> None:
        """Carry out a WITHDRAW and answer it."""
        await session.room()
        self._withdraw(session, request.agent)
        session.put(encode_body(Offered(request.id, request.agent, 0, "")))

    def leave(self, session: ServerSession) -> None:
        """The session is over, and with it what it offers."""
        for offering in self._agents.leave(session):
            self.directory.changed(offering)

    def seen(self, session: ServerSession) -> None:
        """The link of a session has come or gone."""
        for offering in self._agents.offered_by(session):
            self.directory.changed(offering)

    async def recheck(self, session: ServerSession) -> None:
        """Ask again for the rights to all offers; end those that lost them (AGT-6)."""
        for offering in self._agents.offered_by(session):
            try:
                await self._allow(session, "offer", offering.agent)
            except Refused:
                await session.room()
                self._withdraw(session, offering.agent)
                self._tell_ended(session, offering.agent, ErrorCode.DENIED)

    def _withdraw(self, session: ServerSession, agent: str) -> None:
        offering = self._agents.withdraw(session, agent)
        if offering is not None:
            self.directory.changed(offering)

    def _tell_ended(self, session: ServerSession, agent: str, code: ErrorCode) -> None:
        session.tell(encode_body(Offered(None, agent, code, code.name)))

    # ------------------------------------------------------------ what is sent to agents

    def workers(self, agent: str) -> list[ServerSession]:
        """See `Agents.workers`."""
        return self._agents.workers(agent)

    def had_turn(self, agent: str, worker: ServerSession) -> None:
        """See `Agents.had_turn`."""
        self._agents.had_turn(agent, worker)

    async def allow_sending(self, session: ServerSession, agent: str) -> None:
        """Let a session send to an agent if it may; where nothing is declared for that, if it may call (ADR-6).

        Raises:
            Refused: There is no such agent, it may not, or nobody could say.
        """
        rule = find(self._node.app.agent_rules, agent)
        await self._allow(session, "send" if rule is not None and "send" in rule.rights else "call", agent)

    # ------------------------------------------------------------ calls

    async def call(
        self, session: ServerSession, name: str, arguments: bytes, exchange: Exchange | None = None
    ) -> Reply | ErrorReply:
        """Have a worker carry out a call (AGT-3 to AGT-6).

        Args:
            session: Who calls.
            name: ``agent.procedure``.
            arguments: As they travelled.
            exchange: The way of items, if the caller takes some.

        Raises:
            Refused: It may not be called, there is nobody to do it, or whoever was at it is lost.
        """
        agent, _, procedure = name.partition(SEPARATOR)
        if not procedure:
            raise Refused(ErrorCode.NOT_FOUND, f"no procedure {name!r}")
        if find(self._node.app.agent_rules, agent) is None:
            raise Refused(ErrorCode.NOT_FOUND, f"no procedure {name!r}, and no agent {agent!r}")
        rule = await self._allow(session, "call", agent)
        unsent = False
        while True:
            offering = self._agents.choose(agent, procedure, least=rule.balance == "least")
            if offering is None:
                break
            try:
                calls = offering.worker.calls
                if exchange is None or not calls.streams:
                    return await calls.ask(name, arguments, wanted=offering.stands)
                return await relay(calls, name, arguments, exchange, offering.stands)
            except NotSent:  # AGT-5: it may go to another one
                unsent = True
            except OutcomeUnknown as error:
                how = "was detached for too long" if error.reason == ResetReason.EXPIRED else "is lost"
                raise Refused(ErrorCode.CALLEE_LOST, f"a worker of {agent!r} {how}") from None
        if unsent:
            raise Refused(ErrorCode.CALLEE_LOST, f"the last worker of {agent!r} is lost", temporary=True)
        if self._agents.workers(agent):
            raise Refused(ErrorCode.NOT_FOUND, f"no procedure {name!r}: agent {agent!r} is here, and does not offer it")
        why = f"nobody offers agent {agent!r} at this server, and calls do not go to others"
        raise Refused(ErrorCode.NOT_FOUND, f"no procedure {name!r}: {why}")

    async def _allow(self, session: ServerSession, action: AgentAction, agent: str) -> AgentRule:
        """The rule of an agent, if the session may do this with it.

        Raises:
            Refused: There is no such agent, it may not, or nobody could say.
        """
        rule = find(self._node.app.agent_rules, agent)
        if rule is None:
            raise Refused(ErrorCode.NOT_FOUND, f"no agent {agent!r}")
        await permit(self._node, rule, session, action, agent)
        return rule


async def relay(
    calls: ClientCalls, name: str, arguments: bytes, exchange: Exchange, wanted: Callable[[], bool]
) -> Reply | ErrorReply:
    """Pass on a call, and its items both ways: no more than the credit that was given for them waits here (STR-6).

    Raises:
        OutcomeUnknown: The worker's session has ended.
        NotSent: It had ended before the call got a number, or the offer had.
        MessageTooLarge: An item is longer than one of the sides takes.
    """
    flow = calls.flow(inputs=exchange.inflow is not None)
    waiting = await calls.begin(name, arguments, wanted=wanted, flow=flow)
    try:
        if exchange.inflow is None:
            await _pass_items(flow, exchange)
        else:
            await _pass_both_ways(waiting, flow, exchange, exchange.inflow)
    finally:
        flow.end()
        waiting.leave()
    return waiting.message()


async def _pass_items(flow: CallerFlow, exchange: Exchange) -> None:
    with suppress(trio.EndOfChannel):
        while True:
            await exchange.send(await flow.inflow.take())


async def _pass_both_ways(waiting: Waiting, flow: CallerFlow, exchange: Exchange, inflow: Inflow) -> None:
    failed: MessageTooLarge | None = None

    async def pass_inputs() -> None:
        nonlocal failed
        try:
            await _pass_inputs(waiting, flow, inflow)
        except MessageTooLarge as error:
            failed = error
            nursery.cancel_scope.cancel(reason="an input is too large")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pass_inputs)
        try:
            await _pass_items(flow, exchange)
        except MessageTooLarge as error:  # not raised here: it would come out as a group
            failed = error
        nursery.cancel_scope.cancel(reason="the call has its answer")
    if failed is not None:
        raise failed


async def _pass_inputs(waiting: Waiting, flow: CallerFlow, inflow: Inflow) -> None:
    """Take an input only when it can be passed on: one that was taken is lost to another worker (AGT-5)."""
    with suppress(trio.BrokenResourceError):
        while True:
            await flow.credit.some()
            try:
                data = await inflow.take()
            except trio.EndOfChannel:
                await waiting.send(flow.input(None))
                return
            await flow.credit.take(len(data))
            await waiting.send(flow.input(data))
