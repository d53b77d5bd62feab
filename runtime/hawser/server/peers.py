"""A node among the others of its service: it enters its sessions where they are found, and answers what it is asked.

Rule: what it is asked is done in turn, one after the other, so what one session sends arrives in order (SPEC ADR-4);
and no more waits for that than has room. What members of channels have said is answered when there is something.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final

import trio

from hawser.brokers import Moving
from hawser.calls import Refused
from hawser_engine.cbor import decode_value

from .enrolling import answer_enrolment
from .leased import Leased
from .reaching import ANSWER_SECONDS, ENROLMENT, MAILING, Abroad, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hawser_engine.messages import Target

    from .node import Node
    from .reaching import Count, Mailing

WRITE_MAX: Final = 256
"""Sessions that are written to the directory in one step."""
MARK_BYTES: Final = 8
QUESTIONS_MAX: Final = 1_000
"""Questions that wait; beyond, nobody answers."""
QUESTION_BYTES_MAX: Final = 16_777_216
"""The same, in bytes."""


class _Entries(Leased):
    """The sessions of a node in the directory."""

    def __init__(self, node: Node, ask: Callable[[int, bytes, Callable[[bytes], None]], None]) -> None:
        super().__init__(node, "sessions")
        self.wanted = False
        """Whether others are to find the node, also without a session."""
        self.count = 0
        """How often it has entered, or tried to: where it was not told so it may be there under two leases."""
        self.sessions: dict[str, str] = {}
        """Those that can be sent to, and whose they are."""
        self._directory = node.app.broker.sessions
        self._ask = ask
        self._changed: dict[str, None] = {}
        """Those of which the directory has not been told what they are now."""

    def change(self, session: str) -> None:
        """A session has come, or gone."""
        self._changed[session] = None
        self.wake()

    @property
    def due(self) -> bool:
        """See `Leased.due`."""
        return bool(self._changed) or (self.wanted and self.lease is None)

    async def begin(self, seconds: float) -> bytes:
        """See `Leased.begin`."""
        self.count += 1
        return await self._directory.enter(seconds, partial(self._ask, self.count))

    async def renew(self, lease: bytes, seconds: float) -> bool:
        """See `Leased.renew`."""
        return await self._directory.renew(lease, seconds)

    async def end(self, lease: bytes) -> None:
        """See `Leased.end`."""
        await self._directory.leave(lease)

    async def write(self, lease: bytes) -> bool:
        """See `Leased.write`."""
        some = list(self._changed)[:WRITE_MAX]
        movings = [Moving(session, self.sessions.get(session)) for session in some]
        for session in some:
            del self._changed[session]
        try:
            return not movings or await self._directory.write(lease, movings)
        except BaseException:
            self._changed.update(dict.fromkeys(some))
            raise

    def lost(self) -> None:
        """See `Leased.lost`."""
        self._changed = dict.fromkeys(self.sessions)


class Peers:
    """One node, as the others see it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._entries = _Entries(node, self._ask)
        self.abroad: Abroad = Abroad(node.app.broker.sessions, (self,))
        """The sessions that are not at this node."""
        self._questions: deque[tuple[int, bytes, Callable[[bytes], None]]] = deque()
        self._question_bytes = 0
        self._answering = False
        self._over = False
        """Whether the node has ended, though others may still find it."""

    @property
    def name(self) -> bytes | None:
        """By which others ask this node; None if it has none, or does not know it yet."""
        return self._entries.lease

    @cached_property
    def mark(self) -> bytes:
        """By which this node knows what it has asked itself."""
        return self._node.random_bytes(MARK_BYTES)

    async def run(self) -> None:
        """Be where others look, until cancelled."""
        try:
            await self._entries.run()
        finally:
            self._over = True
            with trio.move_on_after(self._node.config.cleanup_seconds, shield=True):
                await self._entries.give_up()

    # ------------------------------------------------------------ sessions

    async def appear(self) -> None:
        """Be there for others from now on, whatever sessions there are; waits as `enter` does."""
        self.appear_soon()
        if self._entries.lease is None:
            await self._tried()

    def appear_soon(self) -> None:
        """The same, without waiting for it."""
        if not self._entries.wanted:
            self._entries.wanted = True
            self._entries.wake()

    async def enter(self, session: str, user: str) -> None:
        """Let others find a session; waits until they do, or the directory is out of reach."""
        self._entries.sessions[session] = user
        self._entries.change(session)
        await self._tried()

    def leave(self, session: str) -> None:
        """Let nobody find a session any more."""
        if self._entries.sessions.pop(session, None) is not None:
            self._entries.change(session)

    async def _tried(self) -> None:
        with trio.move_on_after(ANSWER_SECONDS):
            await self._entries.tried()

    # ------------------------------------------------------------ what others ask

    def _ask(self, entry: int, question: bytes, answer: Callable[[bytes], None]) -> None:
        """See `QuestionSink`."""
        size = self._question_bytes + len(question)
        if self._over or len(self._questions) >= QUESTIONS_MAX or size > QUESTION_BYTES_MAX:
            answer(b"")  # which says nothing: it is as if nobody knew
            return
        self._question_bytes = size
        self._questions.append((entry, question, answer))
        if not self._answering:
            self._answering = True
            self._node.start_service(self._answer_all)

    async def _answer_all(self) -> None:
        """Answer in order; the task ends with the questions, so a node that nobody asks has none."""
        try:
            while self._questions:
                entry, question, answer = self._questions.popleft()
                self._question_bytes -= len(question)
                await trio.lowlevel.checkpoint()
                try:
                    await self._carry_out(entry, decode_value(question, limit=len(question)), answer)
                except Exception as error:
                    self._node.incident("sessions", error)
                    answer(b"")
        finally:
            self._answering = False

    async def _carry_out(self, entry: int, asked: Any, answer: Callable[[bytes], None]) -> None:
        def here(marks: Collection[bytes]) -> bool:
            return entry == self._entries.count and self.mark not in marks

        if asked[0] == MAILING:
            answer(await take_over(asked, here, self._deliver))
        elif asked[0] == ENROLMENT:  # which may wait for sessions, and others not for it
            self._node.start_service(answer_enrolment, self._node, asked, here, answer)
        else:
            self._node.asking.errands.take(asked, here, answer)

    async def _deliver(self, mailing: Mailing, target: Target, count: Count) -> None:
        try:
            await self._node.addressing.deliver(mailing, target, count)
        except Refused as error:
            count.failed = error.code
