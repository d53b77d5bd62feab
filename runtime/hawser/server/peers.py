"""A node among the others of its service: it enters its sessions where they are found, and answers what it is asked.

Rule: what it is asked is done in turn, one after the other, so what one session sends arrives in order (SPEC ADR-4);
and no more waits for that than has room.
"""

from __future__ import annotations

from collections import deque
from functools import cached_property, partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from hawser.brokers import Moving
from hawser.calls import Refused
from hawser_engine.cbor import decode_value

from .reaching import ANSWER_SECONDS, MAILING, Abroad, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from hawser_engine.messages import Target

    from .node import Node
    from .reaching import Count, Mailing

WRITE_MAX: Final = 256
"""Sessions that are written to the directory in one step."""
AGAIN_SECONDS: Final = 1.0
"""After the directory has failed."""
MARK_BYTES: Final = 8
QUESTIONS_MAX: Final = 1_000
"""Questions that wait; beyond, nobody answers."""
QUESTION_BYTES_MAX: Final = 16_777_216
"""The same, in bytes."""


class Peers:
    """One node, as the others see it."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._directory = node.app.broker.sessions
        self.abroad: Abroad = Abroad(self._directory, (self,))
        """The sessions that are not at this node."""
        self._lease: bytes | None = None
        self._renew_at = inf
        self._listed: dict[str, str] = {}
        """The sessions that can be sent to, and whose they are."""
        self._due: dict[str, None] = {}
        """Those of which the directory has not been told what they are now."""
        self._wanted = False
        """Whether others are to find it, also without a session."""
        self._wake = trio.Event()
        self._tried = trio.Event()
        self._entry = 0
        """Counts how often it has entered, or tried to: where it was not told so it may be there under two leases."""
        self._questions: deque[tuple[int, bytes, Callable[[bytes], None]]] = deque()
        self._question_bytes = 0
        self._answering = False

    @property
    def name(self) -> bytes | None:
        """By which others ask this node; None if it has none, or does not know it yet."""
        return self._lease

    @cached_property
    def mark(self) -> bytes:
        """By which this node knows what it has asked itself."""
        return self._node.random_bytes(MARK_BYTES)

    # ------------------------------------------------------------ sessions

    async def appear(self) -> None:
        """Be there for others from now on, whatever sessions there are; waits as `enter` does."""
        self._wanted = True
        if self._lease is None:
            await self._try()

    async def enter(self, session: str, user: str) -> None:
        """Let others find a session; waits until they do, or the directory is out of reach."""
        self._listed[session] = user
        self._change(session)
        await self._try()

    def leave(self, session: str) -> None:
        """Let nobody find a session any more."""
        if self._listed.pop(session, None) is not None:
            self._change(session)

    def _change(self, session: str) -> None:
        self._due[session] = None
        self._wake.set()

    async def _try(self) -> None:
        self._wake.set()
        with trio.move_on_after(ANSWER_SECONDS):
            await self._tried.wait()

    # ------------------------------------------------------------ the directory

    async def run(self) -> None:
        """Write what is due, and keep the lease, until cancelled; then give it up."""
        try:
            while True:
                with trio.move_on_at(self._renew_at):
                    await self._wake.wait()
                self._wake = trio.Event()
                tried, self._tried = self._tried, trio.Event()
                try:
                    await self._keep()
                    await self._write()
                except Exception as error:
                    self._node.incident("sessions", error)
                    tried.set()
                    await trio.sleep(AGAIN_SECONDS)
                    self._wake.set()
                else:
                    tried.set()
        finally:
            with trio.move_on_after(self._node.config.cleanup_seconds, shield=True):
                await self._leave_directory()

    async def _leave_directory(self) -> None:
        """The node ends: nobody is to ask it until its lease has run out."""
        try:
            if self._lease is not None:
                await self._directory.leave(self._lease)
        except Exception as error:
            self._node.incident("sessions", error)

    async def _keep(self) -> None:
        """Renew the lease in time; where it has expired, everybody is entered anew."""
        now = trio.current_time()
        if self._lease is not None and now >= self._renew_at:
            seconds = self._node.config.presence_lease_seconds
            if await self._directory.renew(self._lease, seconds):  # where it fails, again after AGAIN_SECONDS
                self._renew_at = now + seconds / 3
            else:
                self._expired()

    async def _write(self) -> None:
        while self._due or (self._wanted and self._lease is None):
            if self._lease is None:
                begun = trio.current_time()
                seconds = self._node.config.presence_lease_seconds
                self._entry += 1
                self._lease = await self._directory.enter(seconds, partial(self._ask, self._entry))
                self._renew_at = begun + seconds / 3
            some = list(self._due)[:WRITE_MAX]
            movings = [Moving(session, self._listed.get(session)) for session in some]
            for moving in movings:
                del self._due[moving.session]
            try:
                kept = await self._directory.write(self._lease, movings)
            except BaseException:
                self._due.update(dict.fromkeys(some))
                raise
            if not kept:
                self._expired()

    def _expired(self) -> None:
        self._lease, self._renew_at = None, inf
        self._due = dict.fromkeys(self._listed)

    # ------------------------------------------------------------ what others ask

    def _ask(self, entry: int, question: bytes, answer: Callable[[bytes], None]) -> None:
        """See `QuestionSink`."""
        size = self._question_bytes + len(question)
        if len(self._questions) >= QUESTIONS_MAX or size > QUESTION_BYTES_MAX:
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
            return entry == self._entry and self.mark not in marks

        if asked[0] == MAILING:
            answer(await take_over(asked, here, self._deliver))
        else:
            self._node.asking.errands.take(asked, here, answer)

    async def _deliver(self, mailing: Mailing, target: Target, count: Count) -> None:
        try:
            await self._node.addressing.deliver(mailing, target, count)
        except Refused as error:
            count.failed = error.code
