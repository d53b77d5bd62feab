"""One question to members of a channel, and their answers as they come (SPEC 15.13)."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

import attrs
import trio

from hawser.answers import ASK_PROCEDURE, Answer
from hawser.calls import failure
from hawser.errors import CallError, NotSent, OutcomeUnknown
from hawser.payloads import encode_payload
from hawser_engine.calls import Reply
from hawser_engine.codes import ErrorCode
from hawser_engine.errors import MessageTooLarge

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from .asking import Asking
    from .sessions import ServerSession


class Question(NamedTuple):
    """What members are asked."""

    channel: str
    user: str | None
    """Who asks; None: the application."""
    data: bytes

    def encoded(self) -> bytes:
        """The arguments of `$ask` (ASK-2)."""
        return encode_payload(list(self))


class Poll:
    """One question and its answers, as they come."""

    def __init__(self) -> None:
        self._answers: deque[Answer] = deque()
        self._open = 0
        self._scopes: dict[trio.CancelScope, None] = {}
        self._arrival = trio.Event()
        self._over = False

    def begin(self, asking: Asking, members: Sequence[ServerSession], question: Question, until: float) -> None:
        """Ask some members, each in a task of its own."""
        payload = question.encoded()
        self.expect(len(members))
        for member in members:
            silent = Answer("silent", member.handle.principal.id, member.handle.id)
            asking.node.start_service(self._ask, asking, member, silent, question.channel, payload, until)

    def expect(self, count: int) -> None:
        """So many more answers will come."""
        self._open += count

    def take(self, answer: Answer) -> None:
        """One of them has."""
        self._open -= 1
        self._answers.append(answer)
        self._arrival.set()
        self._arrival = trio.Event()

    @contextmanager
    def waiting(self, until: float) -> Generator[None]:
        """Wait for answers until a moment, or until nobody waits for them any more; then the block is left."""
        with trio.CancelScope(deadline=until) as scope:
            self._scopes[scope] = None
            if self._over:
                scope.cancel(reason="nobody waits for the answers any more")
            try:
                yield
            finally:
                del self._scopes[scope]

    async def next(self) -> Answer | None:
        """Wait for the next answer; None if there are no more."""
        await trio.lowlevel.checkpoint()
        while not self._answers:
            if not self._open:
                return None
            await self._arrival.wait()
        return self._answers.popleft()

    def end(self) -> None:
        """Nobody waits any more."""
        self._over = True
        for scope in list(self._scopes):
            scope.cancel(reason="nobody waits for the answers any more")

    async def _ask(
        self, asking: Asking, member: ServerSession, answer: Answer, name: str, payload: bytes, until: float
    ) -> None:
        """Ask one; the answer is silence if nothing else comes."""
        try:
            with self.waiting(until):
                reply = await member.calls.ask(ASK_PROCEDURE, payload, wanted=lambda: asking.answers(name, member))
                if isinstance(reply, Reply):
                    if len(reply.data) > asking.node.config.answer_bytes:
                        raise CallError(ErrorCode.TOO_LARGE, "the answer is longer than is taken")
                    answer = attrs.evolve(answer, status="answered", raw=reply.data)
                elif reply.code != ErrorCode.DEADLINE:
                    raise failure(reply, CallError)
        except CallError as error:
            answer = attrs.evolve(answer, status="refused", error=error)
        except MessageTooLarge as error:
            answer = attrs.evolve(answer, status="refused", error=CallError(ErrorCode.TOO_LARGE, str(error)))
        except (NotSent, OutcomeUnknown):
            answer = attrs.evolve(answer, status="gone")
        finally:
            self.take(answer)
