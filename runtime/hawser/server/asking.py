"""Questions to the members of a channel, and their answers until a deadline (SPEC 15.13).

Rule: each member is asked by a call of its own, so deadline, cancelling and what survives a resume are those of calls.
What is asked at once is bounded, and so is an answer.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import trio

from hawser.answers import Answer, Collected
from hawser.calls import Refused, Returned
from hawser.config import Config
from hawser_engine.codes import ErrorCode

from .canvassing import ID_BYTES, Canvass, Errands
from .polls import Poll, Question
from .reaching import Abroad

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection

    from hawser.app import App

    from .node import Node
    from .session import Session
    from .sessions import ServerSession


class Asking:
    """Who of a node answers what the members of a channel are asked."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._willing: dict[str, dict[ServerSession, None]] = {}
        self._asked: dict[ServerSession, int] = {}
        self.errands: Errands = Errands(self)
        """What other servers have it ask."""

    def enter(self, name: str, session: ServerSession) -> None:
        """A session that has subscribed answers (ASK-1)."""
        self._willing.setdefault(name, {})[session] = None

    def leave(self, name: str, session: ServerSession) -> None:
        """It has left the channel."""
        members = self._willing.get(name)
        if members is not None and members.pop(session, self) is None and not members:
            del self._willing[name]

    def answers(self, name: str, session: ServerSession) -> bool:
        """Whether a session answers in a channel."""
        return session in self._willing.get(name, ())

    def may_be_asked(self, name: str) -> bool:
        """Whether it is declared who may ask in a channel."""
        rule = self.node.app.rule_for(name)
        return rule is not None and "ask" in rule.rights

    def members(self, name: str, but: Collection[Session]) -> list[ServerSession]:
        """Who answers in a channel."""
        return [one for one in self._willing.get(name, ()) if one.handle not in but]

    def unasked(self, name: str, but: Collection[ServerSession]) -> int:
        """How many subscribe to a channel and do not answer, some left out (ASK-6)."""
        willing = self._willing.get(name, {})
        spared = sum(name in one.memberships and one not in willing for one in but)
        return self.node.hub.subscribers(name) - len(willing) - spared

    async def collect(
        self, session: ServerSession, name: str, wait_ms: int, data: bytes
    ) -> AsyncGenerator[list[Any] | Returned]:
        """Ask for a client, at all servers: yields items of `$collect`, and what it returns (ASK-3 to ASK-6).

        Raises:
            Refused: Nobody is asked.
        """
        config, until = self.node.config, trio.current_time() + wait_ms / 1e3
        if not self.may_be_asked(name):
            raise Refused(ErrorCode.DENIED, f"ask {name!r}")
        await self.node.allow(session, "ask", name)
        if wait_ms > config.asking_seconds * 1_000:
            raise Refused(ErrorCode.LIMIT, f"answers are waited for at most {config.asking_seconds} s")
        canvass = Canvass(self.node.peers.abroad, name)
        await canvass.find(config.asked_at_once, until)
        members = self.members(name, (session.handle,))
        unasked = self.unasked(name, (session,)) + canvass.unasked
        count, asked = len(members) + canvass.count, self._asked.get(session, 0)
        if asked + count > config.asked_at_once:
            raise Refused(ErrorCode.LIMIT, f"{count} members answer in {name!r}")
        poll, question = Poll(), Question(name, session.handle.principal.id, data)
        self._asked[session] = asked + count
        try:
            poll.begin(self, members, question, until)
            canvass.begin(poll, self.node.start_service, self.node.random_bytes(ID_BYTES), question, until)
            while (answer := await poll.next()) is not None:
                yield answer.item()
            yield Returned([unasked])
        finally:
            poll.end()
            self._asked[session] -= count
            if not self._asked[session]:
                del self._asked[session]


async def ask_all(app: App, name: str, data: bytes, seconds: float, but: Collection[Session]) -> Collected:
    """Ask for the application, at all servers that share its broker (ASK-5).

    Args:
        app: The application.
        name: The channel.
        data: The question.
        seconds: For so long.
        but: Who is not asked.

    Raises:
        ValueError: More members answer than are asked at once.
    """
    until = trio.current_time() + seconds
    most = min((node.config.asked_at_once for node in app.nodes), default=Config().asked_at_once)
    canvass = Canvass(Abroad(app.broker.sessions, [node.peers for node in app.nodes]), name)
    await canvass.find(most, until)
    chosen = [(node.asking, node.asking.members(name, but)) for node in app.nodes]
    unasked = canvass.unasked + sum(node.asking.unasked(name, _sessions(node, but)) for node in app.nodes)
    count = canvass.count + sum(len(members) for _, members in chosen)
    if count > most:
        raise ValueError(f"{count} members answer in {name!r}, and {most} are asked at once")
    poll, question, answers = Poll(), Question(name, None, data), list[Answer]()
    async with trio.open_nursery() as nursery:
        for asking, members in chosen:
            poll.begin(asking, members, question, until)
        canvass.begin(poll, nursery.start_soon, secrets.token_bytes(ID_BYTES), question, until)
        try:
            while (answer := await poll.next()) is not None:
                answers.append(answer)
        finally:
            poll.end()
    return Collected(tuple(answers), unasked)


def _sessions(node: Node, handles: Collection[Session]) -> list[ServerSession]:
    return [one for one in node.sessions.values() if one.handle in handles] if handles else []
