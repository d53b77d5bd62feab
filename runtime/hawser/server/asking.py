"""Questions to the members of a channel, and their answers until a deadline (SPEC 15.13).

Rule: each member is asked by a call of its own, so deadline, cancelling and what survives a resume are those of calls.
What is asked at once is bounded, and so is an answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from hawser.calls import Refused
from hawser.payloads import encode_payload
from hawser_engine.codes import ErrorCode

from .polls import Poll

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Sequence

    from hawser.answers import Answer

    from .node import Node
    from .session import Session
    from .sessions import ServerSession


class Asking:
    """Who of a node answers what the members of a channel are asked."""

    def __init__(self, node: Node) -> None:
        self.node = node
        self._willing: dict[str, dict[ServerSession, None]] = {}
        self._asked: dict[ServerSession, int] = {}

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

    def members(self, name: str, but: Collection[Session]) -> list[ServerSession]:
        """Who answers in a channel."""
        return [one for one in self._willing.get(name, ()) if one.handle not in but]

    async def collect(self, session: ServerSession, name: str, wait_ms: int, data: bytes) -> AsyncGenerator[list[Any]]:
        """Ask for a client: yields items of `$collect` (ASK-3, ASK-4).

        Raises:
            Refused: Nobody is asked.
        """
        config = self.node.config
        rule = self.node.app.rule_for(name)
        if rule is None or "ask" not in rule.rights:
            raise Refused(ErrorCode.DENIED, f"ask {name!r}")
        await self.node.allow(session, "ask", name)
        members = self.members(name, (session.handle,))
        asked = self._asked.get(session, 0)
        if asked + len(members) > config.asked_at_once or wait_ms > config.asking_seconds * 1_000:
            raise Refused(ErrorCode.LIMIT, f"{len(members)} members answer in {name!r}")
        poll = Poll()
        self._asked[session] = asked + len(members)
        poll.begin(
            self, members, name, question(name, session.handle.principal.id, data), trio.current_time() + wait_ms / 1e3
        )
        try:
            while (answer := await poll.next()) is not None:
                yield answer.item()
        finally:
            poll.end()
            self._asked[session] -= len(members)
            if not self._asked[session]:
                del self._asked[session]


def question(name: str, user: str | None, data: bytes) -> bytes:
    """The arguments of `$ask` (ASK-2)."""
    return encode_payload([name, user, data])


async def ask_all(
    nodes: Sequence[Node], name: str, data: bytes, seconds: float, but: Collection[Session]
) -> list[Answer]:
    """Ask for the application.

    Args:
        nodes: At the members on these nodes.
        name: The channel.
        data: The question.
        seconds: For so long.
        but: Who is not asked.

    Raises:
        ValueError: More members answer than are asked at once.
    """
    chosen = [(node.asking, node.asking.members(name, but)) for node in nodes]
    total = sum(len(members) for _, members in chosen)
    most = min((node.config.asked_at_once for node in nodes), default=0)
    if total > most:
        raise ValueError(f"{total} members answer in {name!r}, and {most} are asked at once")
    poll, until = Poll(), trio.current_time() + seconds
    for asking, members in chosen:
        poll.begin(asking, members, name, question(name, None, data), until)
    answers: list[Answer] = []
    try:
        while (answer := await poll.next()) is not None:
            answers.append(answer)
    finally:
        poll.end()
    return answers
