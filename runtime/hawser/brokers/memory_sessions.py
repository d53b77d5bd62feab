"""Where the sessions are of servers that share one process."""

from __future__ import annotations

import secrets
from math import inf
from typing import TYPE_CHECKING, Final

import trio

from .base import BrokerUnavailable
from .sessions import NoAnswer, Place, SessionDirectory

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .sessions import Moving, QuestionSink

LEASE_BYTES: Final = 16


class _Waiting:
    """Somebody who has asked."""

    __slots__ = ("answer", "over")

    def __init__(self) -> None:
        self.over = trio.Event()
        self.answer: bytes | None = None

    def take(self, answer: bytes) -> None:
        if not self.over.is_set():
            self.answer = answer
            self.over.set()


class _Node:
    """What stands under one lease."""

    __slots__ = ("sessions", "sink", "until", "waiting")

    def __init__(self, until: float, sink: QuestionSink) -> None:
        self.until = until
        self.sink = sink
        self.sessions: dict[str, str] = {}
        """Whose each of them is."""
        self.waiting: dict[_Waiting, None] = {}


class MemorySessions(SessionDirectory):
    """Where sessions are, in this process alone. What is written is so in one step: a cancelled call has done nothing.

    Args:
        random_bytes: Where the names of nodes come from.
    """

    def __init__(self, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes
        self._nodes: dict[bytes, _Node] = {}
        self._places: dict[str, Place] = {}
        self._users: dict[str, dict[bytes, int]] = {}
        """How many sessions of each user a node has."""
        self._wake = trio.Event()

    async def run(self) -> None:
        """See `SessionDirectory.run`: let leases expire when their time has come, not when somebody looks."""
        while True:  # in a task of each server that has it
            with trio.move_on_at(min((node.until for node in self._nodes.values()), default=inf)):
                await self._wake.wait()
            self._expire()

    def alone(self, nodes: Collection[bytes]) -> bool:
        """See `SessionDirectory.alone`."""
        return all(node in nodes for node in self._nodes)

    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        """See `SessionDirectory.enter`."""
        await trio.lowlevel.checkpoint()
        name = self._random_bytes(LEASE_BYTES)
        self._nodes[name] = _Node(trio.current_time() + seconds, sink)
        self._look_again()
        return name

    async def renew(self, node: bytes, seconds: float) -> bool:
        """See `SessionDirectory.renew`."""
        held = await self._held(node)
        if held is None:
            return False
        held.until = trio.current_time() + seconds
        return True

    async def leave(self, node: bytes) -> None:
        """See `SessionDirectory.leave`."""
        await trio.lowlevel.checkpoint()
        self._drop(node)
        self._look_again()

    async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
        """See `SessionDirectory.write`."""
        held = await self._held(node)
        if held is None:
            return False
        for moving in movings:
            place = self._places.get(moving.session)
            if place is not None and (place.node == node or moving.user is not None):
                self._take_out(moving.session, place)
            if moving.user is not None:
                self._places[moving.session] = Place(node, moving.user)
                held.sessions[moving.session] = moving.user
                of_user = self._users.setdefault(moving.user, {})
                of_user[node] = of_user.get(node, 0) + 1
        return True

    async def find(self, session: str) -> Place | None:
        """See `SessionDirectory.find`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        return self._places.get(session)

    async def nodes_of(self, user: str) -> tuple[bytes, ...]:
        """See `SessionDirectory.nodes_of`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        return tuple(self._users.get(user, ()))

    async def nodes(self) -> tuple[bytes, ...]:
        """See `SessionDirectory.nodes`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        return tuple(self._nodes)

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        """See `SessionDirectory.ask`."""
        held = await self._held(node)
        if held is None:
            return None
        if len(held.waiting) >= self.unanswered_max:
            raise BrokerUnavailable(f"a node has {self.unanswered_max} questions that it has not answered")
        waiting = _Waiting()
        held.waiting[waiting] = None
        try:
            held.sink(question, waiting.take)
            with trio.move_on_after(seconds):
                await waiting.over.wait()
        finally:
            held.waiting.pop(waiting, None)
            waiting.over.set()  # what comes later is dropped
        if waiting.answer is None:
            raise NoAnswer(f"a node has not answered within {seconds} s, or has gone")
        return waiting.answer

    async def _held(self, node: bytes) -> _Node | None:
        await trio.lowlevel.checkpoint()
        self._expire()
        return self._nodes.get(node)

    def _look_again(self) -> None:
        self._wake.set()
        self._wake = trio.Event()

    def _expire(self) -> None:
        now = trio.current_time()
        for name in [name for name, node in self._nodes.items() if node.until <= now]:
            self._drop(name)

    def _drop(self, name: bytes) -> None:
        held = self._nodes.pop(name, None)
        if held is not None:
            for session, user in list(held.sessions.items()):
                self._take_out(session, Place(name, user), held)
            for waiting in held.waiting:
                waiting.over.set()

    def _take_out(self, session: str, place: Place, held: _Node | None = None) -> None:
        held = self._nodes[place.node] if held is None else held
        del self._places[session], held.sessions[session]
        of_user = self._users[place.user]
        of_user[place.node] -= 1
        if not of_user[place.node]:
            del of_user[place.node]
        if not of_user:
            del self._users[place.user]
