"""Questions to the members of a channel at other servers: asking there, and being asked (SPEC ASK-5).

Rule: a server first says who answers there, then asks those that it is told to, by name, and keeps what they say until
whoever has sent the question fetches it. So nobody is asked before all are counted, each is asked once, and of whom it
has heard the asker knows what came of them, whatever becomes of that server. A question of which nobody fetches the
answers any more is over: the asker, or its server, is gone.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeGuard

import attrs
import trio

from hawser.answers import STATUSES, Answer
from hawser.brokers import BrokerUnavailable, NoAnswer
from hawser.errors import CallError, PayloadError
from hawser_engine.cbor import decode_value, encode_value
from hawser_engine.codes import ErrorCode
from hawser_engine.errors import ProtocolError

from .polls import Poll, Question
from .reaching import ANSWER_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .asking import Asking
    from .reaching import Abroad
    from .sessions import ServerSession

WHO: Final = 2
"""The question who answers in a channel; `reaching` has the first kind."""
BEGIN: Final = 3
"""The question whether some of them are asked now."""
FETCH: Final = 4
"""The question what they have said, which is answered when one of them has said something."""
LEAVE: Final = 5
"""Nobody wants to know any more."""
ID_BYTES: Final = 8
LATE_SECONDS: Final = 1.0
"""What members have said in time may be on its way for so long."""
AGAIN_SECONDS: Final = 0.25
"""After a question that was not put, or not answered; `LATE_SECONDS` has room for some of them."""
LAPSE_SECONDS: Final = 3 * ANSWER_SECONDS
"""Who has not fetched for so long does not live any more."""
PARKED_MAX: Final = 250
"""So many servers wait for answers of this one at once, for any of their questions. A directory waits for 1,000
answers of one server, and what is sent to its sessions is to find room among them."""
FETCH_BYTES: Final = 262_144
"""Of answers that are fetched at once; one may be beyond it."""
_HEAD_BYTES: Final = 65_536
"""What a question has beside its data and the sessions that it names."""
_SILENT: Final = STATUSES.index("silent")
_DONE: Final = encode_value(True)
_MEMBER_BYTES: Final = 1_024
"""More than a member is long in a list: the name of its session, and the id of its principal."""

UNREACHED: Final = Answer(
    "unreached", "", "", None, CallError(ErrorCode.UNAVAILABLE, "a server has not said who answers there")
)
"""What stands for the members of a server that has not said who they are."""


# ---------------------------------------------------------------- asking


@attrs.frozen
class Far:
    """Another server, and who answers there."""

    node: bytes
    members: dict[str, Answer]
    """By their sessions; silent, for nothing has been heard of them."""


class Canvass:
    """A question to those who answer at other servers.

    Args:
        abroad: Where they are.
        channel: In which channel they answer.
    """

    def __init__(self, abroad: Abroad, channel: str) -> None:
        self.count: int = 0
        """How many they are."""
        self.unasked: int = 0
        """How many more subscribe there."""
        self._abroad = abroad
        self._channel = channel
        self._far: list[Far] = []
        self._unreached = 0

    async def find(self, most: int, until: float) -> None:
        """Have all servers say who answers there.

        Args:
            most: Where more answer they are only counted, for nobody will be asked.
            until: When answers are waited for no longer; half of the time until then is for this.
        """
        if self._abroad.nobody:
            return
        nodes: Sequence[bytes] | None = None
        now = trio.current_time()
        until = now + min((until - now) / 2, ANSWER_SECONDS)
        with trio.move_on_at(until), suppress(BrokerUnavailable):
            nodes = await self._abroad.others()
        if nodes is None:  # nobody knows which servers there are
            self._unreached = 1
            return
        async with trio.open_nursery() as nursery:
            for node in nodes:
                nursery.start_soon(self._find, node, most, until)

    async def _find(self, node: bytes, most: int, until: float) -> None:
        question = encode_value([WHO, self._abroad.marks(), self._channel, most], limit=_HEAD_BYTES)
        try:
            answer = await self._abroad.ask(node, question, max(0.0, until - trio.current_time()))
            if answer is None:  # it has gone, and its sessions with it
                return
            count, rows, unasked = _read(answer)
            listed = [Answer.read([_SILENT, user, session, None, 0, ""]) for user, session in rows]
            self.count, self.unasked = self.count + count, self.unasked + unasked
        except (NoAnswer, BrokerUnavailable, ProtocolError, PayloadError, TypeError, ValueError):
            self._unreached += 1
            return
        if listed:
            self._far.append(Far(node, {answer.session: answer for answer in listed}))

    def begin(self, poll: Poll, start: Callable[..., object], id: bytes, question: Question, until: float) -> None:
        """Have them asked.

        Args:
            poll: Takes their answers, and one for each server that has not said who answers there.
            start: Runs a task for each of the servers.
            id: Names the question at all of them.
            question: What they are asked.
            until: Until when they may answer.
        """
        poll.expect(self._unreached + sum(len(far.members) for far in self._far))
        for _ in range(self._unreached):
            poll.take(UNREACHED)
        for far in self._far:
            start(self._follow, poll, far, id, question, until)

    async def _follow(self, poll: Poll, far: Far, id: bytes, question: Question, until: float) -> None:
        """Have the members at one server asked, and take their answers from there until it has no more."""
        open, gone = dict(far.members), False

        def take(answer: Answer) -> None:
            member = open.pop(answer.session, None)
            if member is not None:
                poll.take(attrs.evolve(answer, user=member.user))

        try:
            with poll.waiting(until + LATE_SECONDS):
                gone = not await self._put(far, id, question, until) or not await self._fetch(far.node, id, take)
        finally:
            for answer in open.values():
                poll.take(attrs.evolve(answer, status="gone") if gone else answer)
            if not gone:
                with trio.move_on_after(LATE_SECONDS, shield=True):
                    await self._leave(far.node, id)

    async def _put(self, far: Far, id: bytes, question: Question, until: float) -> bool:
        """Have the members at a server asked; returns whether it is there."""
        limit = len(question.data) + _HEAD_BYTES + _MEMBER_BYTES * len(far.members)
        while True:
            wait_ms = max(0, round((until - trio.current_time()) * 1_000))
            begin = [BEGIN, id, *question, wait_ms, list(far.members)]
            try:
                answer = await self._abroad.ask(far.node, encode_value(begin, limit=limit), ANSWER_SECONDS)
                if answer is None or answer:
                    return answer is not None
            except NoAnswer:  # nobody knows whether they are asked, and they are not to be asked twice
                return True
            except BrokerUnavailable:
                pass
            await trio.sleep(AGAIN_SECONDS)

    async def _fetch(self, node: bytes, id: bytes, take: Callable[[Answer], None]) -> bool:
        """Take all answers of a server; returns whether it is there."""
        after, last = 0, False
        while not last:
            try:
                answer = await self._abroad.ask(
                    node, encode_value([FETCH, id, after], limit=_HEAD_BYTES), ANSWER_SECONDS
                )
                if answer is None:
                    return False
                first, items, last = _read(answer)
                for item in items:
                    take(Answer.read(_read(item)))
                after = first + len(items)
            except (NoAnswer, BrokerUnavailable, ProtocolError, PayloadError, TypeError, ValueError):
                items = []
            if not items and not last:
                await trio.sleep(AGAIN_SECONDS)
        return True

    async def _leave(self, node: bytes, id: bytes) -> None:
        with suppress(NoAnswer, BrokerUnavailable):  # then it notices that nobody fetches
            await self._abroad.ask(node, encode_value([LEAVE, id], limit=_HEAD_BYTES), ANSWER_SECONDS)


def _read(data: bytes) -> Any:
    return decode_value(data, limit=len(data))


# ---------------------------------------------------------------- being asked


class _Errand:
    """A question of another server, and what came of it."""

    def __init__(self) -> None:
        self.scope: trio.CancelScope = trio.CancelScope()
        """Of all that is done for it."""
        self._items: deque[bytes] = deque()
        self._first = 0
        """How many were fetched, and are not kept any more."""
        self._complete = False
        self.prolong()

    @property
    def telling(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._items) or self._complete

    def prolong(self) -> None:
        """Somebody wants to know."""
        self.scope.deadline = trio.current_time() + LAPSE_SECONDS

    def add(self, answer: Answer) -> None:
        """Somebody has answered."""
        item = answer.item()
        self._items.append(encode_value(item, limit=_HEAD_BYTES + 4 * sum(len(one) for one in item if _is_long(one))))

    def complete(self) -> None:
        """No more answers will come."""
        self._complete = True

    def forget(self, after: int) -> None:
        """So many have arrived."""
        while self._items and self._first < after:
            self._items.popleft()
            self._first += 1

    def told(self) -> bytes:
        """What is told to who fetches, see `_told`; what was told is kept until it is fetched again."""
        items, size = list[bytes](), 0
        for item in self._items:
            size += len(item)
            if items and size > FETCH_BYTES:
                break
            items.append(item)
        return _told(self._first, items, last=self._complete and len(items) == len(self._items))


class Errands:
    """What other servers have one node ask its members.

    Args:
        asking: Who answers there.
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._errands: dict[bytes, _Errand] = {}
        self._parked: dict[_Errand, Callable[[bytes], None]] = {}
        """Who waits for something to be told."""

    def take(
        self, asked: Sequence[Any], here: Callable[[Collection[bytes]], bool], answer: Callable[[bytes], None]
    ) -> None:
        """Do what another server asks.

        Args:
            asked: What it has sent.
            here: As for `take_over`.
            answer: To be called when there is an answer.

        Raises:
            ValueError: It asks for something that is not known here.
        """
        kind, *what = asked
        if kind == WHO:
            marks, channel, most = what
            willing, unasked = self._asking.members(channel, ()), self._asking.unasked(channel, ())
            answer(_listed(willing, most, unasked) if here(marks) else _listed((), most, 0))
        elif kind == BEGIN:
            id, channel, user, data, wait_ms, sessions = what
            self._begin(id, Question(channel, user, data), trio.current_time() + wait_ms / 1e3, sessions)
            answer(_DONE)
        elif kind == FETCH:
            id, after = what
            self._fetch(id, after, answer)
        elif kind == LEAVE:
            [id] = what
            if id in self._errands:
                self._errands[id].scope.cancel(reason="nobody waits for the answers any more")
            answer(_DONE)
        else:
            raise ValueError(f"a question of kind {kind!r}")

    def _begin(self, id: bytes, question: Question, until: float, sessions: Sequence[str]) -> None:
        addressing = self._asking.node.addressing
        poll, members = Poll(), list["ServerSession"]()
        for name in sessions:
            member = addressing.named(name)
            if member is None:
                poll.expect(1)
                poll.take(Answer("gone", "", name))
            else:
                members.append(member)
        poll.begin(self._asking, members, question, until)
        errand = self._errands[id] = _Errand()
        self._asking.node.start_service(self._carry_out, id, errand, poll)

    async def _carry_out(self, id: bytes, errand: _Errand, poll: Poll) -> None:
        """Keep answers until they are fetched, the asker has gone, or its server has."""
        try:
            with errand.scope:
                while (answer := await poll.next()) is not None:
                    errand.add(answer)
                    self._tell(errand)
                errand.complete()
                self._tell(errand)
                await trio.sleep_forever()
        finally:
            poll.end()
            del self._errands[id]
            self._tell(errand)

    def _fetch(self, id: bytes, after: int, answer: Callable[[bytes], None]) -> None:
        errand = self._errands.get(id)
        if errand is None:  # it was never begun here, or is over
            answer(_told(after, (), last=True))
            return
        errand.prolong()
        errand.forget(after)
        self._tell(errand)  # to who does not wait for it any more
        self._parked[errand] = answer
        if errand.telling or len(self._parked) > PARKED_MAX:
            self._tell(errand)

    def _tell(self, errand: _Errand) -> None:
        answer = self._parked.pop(errand, None)
        if answer is not None:
            answer(errand.told())


def _listed(members: Sequence[ServerSession], most: int, unasked: int) -> bytes:
    """What is told to who asks who answers.

    How many they are; all of them, unless they are more than it wants; and how many more subscribe.
    """
    rows = [[one.handle.principal.id, one.handle.id] for one in members] if len(members) <= most else []
    return encode_value([len(members), rows, unasked], limit=_HEAD_BYTES + _MEMBER_BYTES * len(rows))


def _told(first: int, items: Sequence[bytes], *, last: bool) -> bytes:
    """What is told to who fetches: the number of the first answer from 0 on, some answers, and whether it is all."""
    return encode_value([first, items, last], limit=_HEAD_BYTES + 2 * sum(map(len, items)))


def _is_long(part: object) -> TypeGuard[str | bytes]:
    return isinstance(part, (str, bytes))
