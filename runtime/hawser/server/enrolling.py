"""What the application subscribes sessions to, wherever they are (SPEC ASG-7).

Rule: this server's own sessions first, then one question to each of the others. A session that has no room for the news
holds nobody up: it gets it when it has, and counts.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from hawser.addressing import Reach
from hawser.brokers import BrokerUnavailable, NoAnswer
from hawser.errors import RequestFailed
from hawser_engine.cbor import decode_value, encode_value
from hawser_engine.codes import ErrorCode, TargetKind
from hawser_engine.errors import ProtocolError
from hawser_engine.messages import Subscribe, Unsubscribe, decode_message, encode_body

from .reaching import ANSWER_SECONDS, ENROLMENT, Abroad

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from hawser.app import App
    from hawser.to import Target

    from .node import Node
    from .sessions import ServerSession

Order: TypeAlias = "Subscribe | Unsubscribe"
"""What is done with sessions, written as though each had asked for it."""

ROOM_SECONDS: Final = ANSWER_SECONDS / 2
"""For which sessions are waited for."""
_HEAD_BYTES: Final = 65_536
"""More than a question is long: at most 64 targets, and a channel."""


async def enrol_all(app: App, targets: Sequence[Target], order: Order) -> Reach:
    """Do something with the sessions of some targets, at all servers that share an application's broker.

    Raises:
        BrokerUnavailable: The channel cannot be opened, or read, now.
    """
    reach = Reach()
    for node in list(app.nodes):
        reach += await enrol(node, [(target.kind, target.name) for target in targets], order)
    abroad = Abroad(app.broker.sessions, [node.peers for node in app.nodes])
    if abroad.nobody:
        return reach
    meant = [[int(target.kind), target.name] for target in targets]
    question = encode_value([ENROLMENT, abroad.marks(), meant, encode_body(order)], limit=_HEAD_BYTES)
    try:
        nodes = await abroad.others()
    except BrokerUnavailable:  # nobody knows which servers there are
        return reach + Reach(unreached=1)
    told = list[Reach]()
    async with trio.open_nursery() as nursery:
        for name in nodes:
            nursery.start_soon(_ask, abroad, name, question, told)
    return sum(told, reach)


async def _ask(abroad: Abroad, node: bytes, question: bytes, told: list[Reach]) -> None:
    try:
        answer = await abroad.ask(node, question, ANSWER_SECONDS)
        if answer is not None:  # else the node has gone, and its sessions with it
            counted: Any = decode_value(answer, limit=_HEAD_BYTES)
            sessions, away, refused = counted
            told.append(Reach(sessions, away, refused))
    except (NoAnswer, BrokerUnavailable, ProtocolError, TypeError, ValueError):
        told.append(Reach(unreached=1))


async def enrol(node: Node, targets: Collection[tuple[int, str | None]], order: Order) -> Reach:
    """The same with the sessions of one server.

    Raises:
        BrokerUnavailable: The channel cannot be opened, or read, now.
    """
    carry_out = _carry_out(node, order)
    done = dict.fromkeys(_meant(node, targets, order), True)  # until the contrary is known
    open, over, failure = len(done), trio.Event(), None

    async def run(session: ServerSession) -> None:
        nonlocal open, failure
        carried_out = False
        try:
            await carry_out(session)
            carried_out = True
        except RequestFailed:
            pass
        except BrokerUnavailable as error:
            failure = error
        finally:
            done[session] = carried_out
            open -= 1
            if not open:
                over.set()

    for session in done:
        node.start_service(run, session)
    if done:
        with trio.move_on_after(ROOM_SECONDS):
            await over.wait()
    if failure is not None:
        raise failure
    reached = [session for session, is_done in done.items() if is_done and not session.ended]
    away = sum(not session.attached for session in reached)
    return Reach(len(reached), away, list(done.values()).count(False))


def _meant(node: Node, targets: Collection[tuple[int, str | None]], order: Order) -> list[ServerSession]:
    """The sessions of one server for which targets stand, each once; those alone in which there is something to end."""
    found: dict[ServerSession, None] = {}
    users = {name for kind, name in targets if kind == TargetKind.USER}
    if users:
        found.update((one, None) for one in node.sessions.values() if one.handle.principal.id in users)
    for kind, name in targets:
        session = node.addressing.named(name or "") if kind == TargetKind.SESSION else None
        if session is not None:
            found[session] = None
    if isinstance(order, Subscribe):
        return list(found)
    return [session for session in found if node.hub.has(session, order.channels[0])]


def _carry_out(node: Node, order: Order) -> Callable[[ServerSession], Awaitable[None]]:
    if isinstance(order, Unsubscribe):
        return partial(node.hub.dismiss, name=order.channels[0])
    [wanted] = order.channels
    rule = node.app.rule_for(wanted.channel)

    async def assign(session: ServerSession) -> None:
        if rule is None:
            raise RequestFailed(ErrorCode.NOT_FOUND, f"no channel {wanted.channel!r}")
        await node.hub.assign(session, wanted, rule)

    return assign


async def answer_enrolment(
    node: Node, asked: Sequence[Any], here: Callable[[Collection[bytes]], bool], answer: Callable[[bytes], None]
) -> None:
    """Carry out what another server asks; see `take_over`."""
    try:
        _, marks, targets, body = asked
        order = decode_message(body)
        if not isinstance(order, (Subscribe, Unsubscribe)):
            raise ValueError(f"saw {order!r} for what is done with sessions")
        reach = await enrol(node, [(kind, name) for kind, name in targets], order) if here(marks) else Reach()
    except BrokerUnavailable:
        answer(b"")  # which says nothing
    except Exception as error:
        node.incident("sessions", error)
        answer(b"")
    else:
        answer(encode_value([reach.sessions, reach.away, reach.refused], limit=_HEAD_BYTES))
