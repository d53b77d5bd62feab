"""What is sent, on its way to the sessions of all servers of a service (SPEC ADR-3, ADR-10, ADR-12).

Rule: first this server's own sessions, then one question to each of the others, and what is left then goes into
mailboxes. Where another server has not said what became of it, nothing is left: it may have been accepted there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser.addressing import Told, refused
from hawser.brokers import BrokerUnavailable, NoAnswer
from hawser_engine.cbor import decode_value, encode_value
from hawser_engine.codes import ErrorCode, SendStatus, TargetKind
from hawser_engine.errors import ProtocolError
from hawser_engine.messages import Direct, SendOutcome, Target, encode_body

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Sequence

    from hawser.brokers import SessionDirectory

    from .peers import Peers
    from .queueing import Leftovers, Reached
    from .session import Session
    from .sessions import ServerSession

ANSWER_SECONDS: Final = 5.0
"""For which another server is waited for."""
MAILING: Final = 1
"""The question that hands over a mailing; `canvassing` has those from 2 to 5."""
ENROLMENT: Final = 6
"""The question that has sessions subscribed, or not any more; see `enrolling`."""
_EXTRA_BYTES: Final = 65_536
"""What a question has beside what is sent: at most 64 targets, and who sends it."""


@attrs.define(eq=False)
class Mailing:
    """Something on its way to all for whom its targets stand; each session gets it once (ADR-4)."""

    user: str | None
    """Who sends it; None: the application."""
    session: str | None
    """The name of the session that does."""
    data: bytes
    spared: Sequence[Session] = ()
    """Who does not get it."""
    taken: dict[ServerSession, bool] = attrs.field(factory=dict["ServerSession", bool])
    """Who has it, and whether it was away then."""

    def body(self, target: Target) -> bytes:
        """The DIRECT for one target."""
        return encode_body(Direct(target, self.user, self.session, self.data))


@attrs.define
class Count:
    """How many sessions there were for a target."""

    reached: int = 0
    away: int = 0
    full: int = 0
    failed: ErrorCode | None = None
    """Why it is not known, of some server, or was not given to anybody there."""

    def add(self, other: Count) -> None:
        """Add what another server has counted."""
        self.reached += other.reached
        self.away += other.away
        self.full += other.full
        self.failed = self.failed or other.failed

    def told(self) -> Told:
        """What the sender is told (ADR-3, ADR-12)."""
        if self.failed is not None and not self.reached:
            return refused(self.failed, "another server has not taken it, and may have whom it is for")
        status = SendStatus.DELIVERED if self.reached else SendStatus.FULL if self.full else SendStatus.NOBODY
        return Told(SendOutcome(status, self.reached, self.away, self.full, None, ""))


@attrs.define(eq=False)
class Meant:
    """A target whose sessions at this server have been given something."""

    target: Target
    mailbox: str | None
    """Where it is kept if nobody takes it."""
    count: Count


async def begin(
    target: Target, leftovers: Leftovers, begun: Collection[object], deliver: Callable[[Count], Awaitable[None]]
) -> Meant | Told:
    """Give something to whomever a target stands for at this server, as far as they take it.

    Args:
        target: Whoever is meant.
        leftovers: What is left for mailboxes.
        begun: What has come of the targets before this one: of two that have the same mailbox the first decides, so
            that nobody takes one and is then sent the letter of the other.
        deliver: Gives it to the sessions of the target, and counts them.

    Raises:
        Refused: It is not sent.
        BrokerUnavailable: It is not sent.
    """
    mailbox = leftovers.mailbox(target)
    if mailbox is not None:
        for one in begun:
            if isinstance(one, Meant) and one.mailbox == mailbox:
                return one
        if (known := await leftovers.known(mailbox)) is not None:
            return known
    meant = Meant(target, mailbox, Count())
    await deliver(meant.count)
    return meant


def finish(meant: Meant | Told, leftovers: Leftovers) -> Reached:
    """What became of a target, once all servers have been asked; what nobody took is left to its mailbox."""
    if isinstance(meant, Told):
        return meant
    mailbox, count = meant.mailbox, meant.count
    if mailbox is None or count.reached or count.failed is not None:
        return count.told()
    return mailbox if leftovers.has(mailbox) or leftovers.take(mailbox, meant.target, count) else count.told()


class Abroad:
    """The sessions of a service that are at other servers.

    Args:
        directory: Where they are.
        own: The servers that are not asked.
    """

    def __init__(self, directory: SessionDirectory, own: Sequence[Peers]) -> None:
        self._directory = directory
        self._own = own

    @property
    def nobody(self) -> bool:
        """Whether there are surely none: then nothing is asked."""
        return self._directory.alone(self._names())

    def _names(self) -> list[bytes]:
        return [peers.name for peers in self._own if peers.name is not None]

    def marks(self) -> list[bytes]:
        """By which the own servers know that they are asked by themselves."""
        return [peers.mark for peers in self._own]

    async def others(self) -> list[bytes]:
        """The other servers.

        Raises:
            BrokerUnavailable: They cannot be looked up.
        """
        own = self._names()
        return [node for node in await self._directory.nodes() if node not in own]

    async def ask(self, node: bytes, question: bytes, seconds: float) -> bytes | None:
        """See `SessionDirectory.ask`."""
        return await self._directory.ask(node, question, seconds)

    async def user_of(self, session: str) -> str | None:
        """Whose a session is; None if there is none of that name.

        Raises:
            BrokerUnavailable: It cannot be looked up.
        """
        if self.nobody:
            return None
        place = await self._directory.find(session)
        return None if place is None else place.user

    async def reach(self, mailing: Mailing, begun: Collection[Meant | Told]) -> None:
        """Give a mailing to the sessions of its targets at other servers, and count them."""
        if self.nobody:
            return
        wanted: dict[bytes, list[Meant]] = {}
        all_meant = list(dict.fromkeys(one for one in begun if isinstance(one, Meant)))
        for one in all_meant:
            try:
                nodes = await self._nodes(one)
            except BrokerUnavailable:
                one.count.failed = ErrorCode.UNAVAILABLE
            else:
                own = self._names()
                for node in nodes:
                    if node not in own:
                        wanted.setdefault(node, []).append(one)
        if any(one.target.kind == TargetKind.AGENT for one in all_meant):
            for node, some in wanted.items():  # ADR-2: one worker of all, so no node before the last one has answered
                await self._hand_over(mailing, node, some)
            return
        async with trio.open_nursery() as nursery:
            for node, some in wanted.items():
                nursery.start_soon(self._hand_over, mailing, node, some)

    async def _nodes(self, meant: Meant) -> tuple[bytes, ...]:
        target = meant.target
        name = target.name or ""
        if target.kind == TargetKind.USER:
            return await self._directory.nodes_of(name)
        if target.kind == TargetKind.SESSION:
            place = await self._directory.find(name)
            return () if place is None else (place.node,)
        return await self._directory.nodes()

    async def _hand_over(self, mailing: Mailing, node: bytes, some: Sequence[Meant]) -> None:
        given = [one for one in some if not (one.target.kind == TargetKind.AGENT and _has_turned_out(one.count))]
        if not given:
            return
        targets = [[int(one.target.kind), one.target.name] for one in given]
        question = [MAILING, self.marks(), mailing.user, mailing.session, mailing.data, targets]
        limit = len(mailing.data) + _EXTRA_BYTES
        try:
            answer = await self._directory.ask(node, encode_value(question, limit=limit), ANSWER_SECONDS)
            if answer is None:  # the node has gone, and its sessions with it
                return
            for one, counted in zip(given, _counts(answer), strict=True):
                one.count.add(counted)
                if one.target.kind == TargetKind.AGENT and one.count.reached:
                    one.count.full = 0
        except (NoAnswer, BrokerUnavailable, ProtocolError, TypeError, ValueError):
            for one in given:
                one.count.failed = ErrorCode.UNAVAILABLE


def _counts(answer: bytes) -> list[Count]:
    """What `take_over` has answered."""
    rows: Any = decode_value(answer, limit=_EXTRA_BYTES)
    return [Count(reached, away, full, ErrorCode(failed) if failed else None) for reached, away, full, failed in rows]


def _has_turned_out(count: Count) -> bool:
    return count.reached > 0 or count.failed is not None


async def take_over(
    asked: Sequence[Any],
    here: Callable[[Collection[bytes]], bool],
    deliver: Callable[[Mailing, Target, Count], Awaitable[None]],
) -> bytes:
    """Carry out what another server asks: give a mailing to the sessions of this one.

    Args:
        asked: What it has sent.
        here: Whether it is to be given to the sessions of this server, by the marks of the server that asks: whoever
            enters a directory may be found there before it knows by which name, and has given it to its sessions
            itself. It may also be found under a name that it was not told: then it is asked under both.
        deliver: Gives it to the sessions of a target, and counts them.

    Returns:
        The answer.
    """
    _, marks, user, session, data, targets = asked
    mailing, counts = Mailing(user, session, data), list[list[int]]()
    for target_kind, name in targets:
        count = Count()
        if here(marks):
            await deliver(mailing, Target(target_kind, name), count)
        counts.append([count.reached, count.away, count.full, int(count.failed or 0)])
    return encode_value(counts, limit=_EXTRA_BYTES)
