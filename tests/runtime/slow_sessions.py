"""A directory of sessions that is right but in no hurry, and now and then out of reach: one far away."""

from __future__ import annotations

import random
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import trio

from hawser.brokers import BrokerUnavailable, MemorySessions, NoAnswer, SessionDirectory

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from hawser.brokers import Moving, Place, QuestionSink

T = TypeVar("T")


class SlowSessions(SessionDirectory):
    """Another directory, from afar: each method takes a while before it does its work, and another one after it.

    Args:
        directory: Where everything really is.
        seed: Decides how long everything takes.
    """

    def __init__(self, directory: SessionDirectory, seed: int) -> None:
        self.away: bool = False
        """Whether it is out of reach: nothing is done, and nothing answered."""
        self._directory = directory
        self._dice = random.Random(seed)

    async def run(self) -> None:
        """See `SessionDirectory.run`."""
        await self._directory.run()

    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        """See `SessionDirectory.enter`."""
        return await self._slowly(partial(self._directory.enter, seconds, sink))

    async def renew(self, node: bytes, seconds: float) -> bool:
        """See `SessionDirectory.renew`."""
        return await self._slowly(partial(self._directory.renew, node, seconds))

    async def leave(self, node: bytes) -> None:
        """See `SessionDirectory.leave`."""
        await self._slowly(partial(self._directory.leave, node))

    async def write(self, node: bytes, movings: Sequence[Moving]) -> bool:
        """See `SessionDirectory.write`."""
        return await self._slowly(partial(self._directory.write, node, movings))

    async def find(self, session: str) -> Place | None:
        """See `SessionDirectory.find`."""
        return await self._slowly(partial(self._directory.find, session))

    async def nodes_of(self, user: str) -> tuple[bytes, ...]:
        """See `SessionDirectory.nodes_of`."""
        return await self._slowly(partial(self._directory.nodes_of, user))

    async def nodes(self) -> tuple[bytes, ...]:
        """See `SessionDirectory.nodes`."""
        return await self._slowly(self._directory.nodes)

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        """See `SessionDirectory.ask`."""
        await self._dawdle()
        answer = await self._directory.ask(node, question, seconds)
        try:
            await self._dawdle()
        except BrokerUnavailable as error:  # which would say that it was not asked
            raise NoAnswer("out of reach") from error
        return answer

    async def _slowly(self, work: Callable[[], Awaitable[T]]) -> T:
        await self._dawdle()
        result = await work()
        await self._dawdle()
        return result

    async def _dawdle(self) -> None:
        await trio.sleep(self._dice.choice([0, 0.001, 0.01, 0.1]))
        if self.away:
            raise BrokerUnavailable("out of reach")


class Cable(SlowSessions):
    """The way of one server to a directory that it shares with others; while it is cut nothing gets out, or in."""

    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        """See `SessionDirectory.enter`."""

        def get_in(question: bytes, answer: Callable[[bytes], None]) -> None:
            if not self.away:
                sink(question, lambda said: None if self.away else answer(said))

        return await super().enter(seconds, get_in)


class Forgetful(MemorySessions):
    """Lets a node enter, and tells it the first time that it could not."""

    _told = False

    async def enter(self, seconds: float, sink: QuestionSink) -> bytes:
        """See `SessionDirectory.enter`."""
        lease = await super().enter(seconds, sink)
        if not self._told:
            self._told = True
            raise BrokerUnavailable("lost")
        return lease


class Lossy(SlowSessions):
    """Loses some questions on their way, and some answers on their way back."""

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        """See `SessionDirectory.ask`."""
        fate = self._dice.random()
        if fate < 0.2:
            raise BrokerUnavailable("lost")
        answer = await super().ask(node, question, seconds)
        if fate < 0.4:
            raise NoAnswer("lost")
        return answer
