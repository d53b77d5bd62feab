"""What is sent to the sessions of a node: who listens, with how much credit, and who gets what (SPEC 15.12).

Rule: a session accepts in one step, or does not: its credit is taken and the message has a place in its queue, or
nothing has happened. So what the sender is told is so.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import trio

from hawser.addressing import EVERYBODY, Told, outcome_of, placed, refused, told_of, written
from hawser.addressing import Sent as AllSent
from hawser.brokers import Published
from hawser.calls import Refused
from hawser.errors import RequestFailed
from hawser.middleware import SendRequest, pass_through
from hawser.patterns import find
from hawser.principals import scoped_key
from hawser.to import Target as Addressed
from hawser_engine.codes import ErrorCode, TargetKind
from hawser_engine.messages import Listening, Publish, Send, Target, encode_body

from .permits import permit
from .posting import deposit
from .publishing import outcomes_of, refusal
from .queueing import Leftovers
from .reaching import Mailing, begin, finish

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.addressing import UserAction
    from hawser_engine.messages import Listen

    from .node import Node
    from .reaching import Abroad, Count, Meant
    from .sessions import ServerSession

MEMBER_BYTES: Final = 8
"""Length of the id of a session among all, which is random."""
SEND_SOCKETS: Final = 500
"""Sessions served between two checkpoints."""


class Listener:
    """How much more a session takes (ADR-5)."""

    __slots__ = ("bytes", "items")

    def __init__(self) -> None:
        self.items: int = 0
        self.bytes: int = 0


class Addressing:
    """Who of a node can be sent to, and how its sessions send to those of all nodes."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._listeners: dict[ServerSession, Listener] = {}
        self._users: dict[str, dict[ServerSession, Listener]] = {}
        self._sessions: dict[str, ServerSession] = {}

    # ------------------------------------------------------------ who is there

    def id(self, session: ServerSession) -> bytes:
        """Names a session as long as it lives, in presence as well (ADR-2); what it asked for may go on behind that."""
        known = session.member
        if known is None:
            known = session.member = self._node.random_bytes(MEMBER_BYTES)
            if not session.ended:  # else nobody would forget it
                self._sessions[known.hex()] = session
        return known

    def named(self, name: str) -> ServerSession | None:
        """The session of a name, if there is one."""
        return self._sessions.get(name)

    def known(self, session: ServerSession) -> str | None:
        """The name of a session, if it was ever given one."""
        return None if session.member is None else session.member.hex()

    async def listen(self, session: ServerSession, request: Listen) -> None:
        """Carry out a LISTEN and answer it (ADR-5)."""
        user, wanted = session.handle.principal.id, bool(request.items or request.bytes)
        if wanted and session not in self._listeners and not session.ended:
            await self._node.peers.enter(self.id(session).hex(), user)  # ADR-12: all servers find it from LISTENING on
        await session.room()
        if session.ended:
            return
        if wanted:
            listener = self._listeners.get(session)
            if listener is None:
                listener = self._listeners[session] = Listener()
                self._users.setdefault(user, {})[session] = listener
            listener.items += request.items
            listener.bytes += request.bytes
        else:
            self._forget(session)
            self._node.peers.leave(self.id(session).hex())
        session.put(encode_body(Listening(request.id, self.id(session).hex())))

    def ended(self, session: ServerSession) -> None:
        """A session is over."""
        self._forget(session)
        known = self.known(session)
        if known is not None and self._sessions.pop(known, None) is not None:
            self._node.peers.leave(known)

    def _forget(self, session: ServerSession) -> None:
        if self._listeners.pop(session, None) is not None:
            user = session.handle.principal.id
            del self._users[user][session]
            if not self._users[user]:
                del self._users[user]

    # ------------------------------------------------------------ sending

    async def carry_out(self, session: ServerSession, request: Send) -> None:
        """Carry out a SEND and answer it (ADR-1)."""
        options = request.options
        labelled = options is not None and not (options.tags is None and options.latest_key is None)
        outcomes: dict[int, Told] = {}
        addressed: dict[int, Addressed] = {}
        publications: dict[int, Publish] = {}
        for place, target in enumerate(request.targets):
            if target.kind == TargetKind.CHANNEL and target.name is not None:
                publications[place] = Publish(request.id, target.name, request.data, request.key, options)
            elif _is_nobody(target):  # ADR-2
                outcomes[place] = refused(ErrorCode.BAD_REQUEST, f"nobody is of kind {target.kind} by this name")
            elif labelled:  # ADR-7
                outcomes[place] = refused(
                    ErrorCode.BAD_REQUEST, "only what is published in a channel has tags or a key"
                )
            else:
                addressed[place] = Addressed(TargetKind(target.kind), target.name)
        if addressed:
            outcomes |= zip(addressed, await self._pass(session, request, tuple(addressed.values())), strict=True)
        if publications:
            done = await outcomes_of(session, list(publications.values()))
            for place, outcome in zip(publications, done, strict=True):
                outcomes[place] = _placed(outcome)
        await session.send(encode_body(written(request.id, [outcomes[place] for place in sorted(outcomes)])))

    async def _pass(self, session: ServerSession, request: Send, targets: tuple[Addressed, ...]) -> Sequence[Told]:
        """Send to all targets that are no channels, with middleware around it where there is any."""
        options = request.options
        asked = SendRequest(
            session.handle,
            targets,
            request.key,
            options is not None and options.except_me is True,
            options is not None and options.volatile is True,
            raw=request.data,
        )
        middleware = self._node.app.middlewares
        if not middleware:
            return await self._send(session, asked)

        async def proceed(asked: SendRequest) -> AllSent:
            told = await self._send(session, asked)
            return AllSent(tuple(outcome_of(target, outcome) for target, outcome in zip(targets, told, strict=True)))

        try:
            sent = await pass_through(middleware, asked, proceed)
            if not isinstance(sent, AllSent) or len(sent.outcomes) != len(targets):
                raise TypeError(f"middleware returned {sent!r} for what is sent, not what proceed() returned")
        except Exception as error:
            why = error if isinstance(error, RequestFailed) else refusal(self._node, request.NAME, error)
            return [refused(why.code, why.message)] * len(targets)
        return [told_of(outcome) for outcome in sent.outcomes]

    async def _send(self, session: ServerSession, asked: SendRequest) -> Sequence[Told]:
        """Give it to all whom the targets stand for, and what is left to mailboxes; returns what became of each."""
        principal = session.handle.principal
        spared = (session.handle,) if asked.except_me else ()
        mailing = Mailing(principal.id, self.id(session).hex(), asked.raw, spared)
        deposit = partial(_deposit, session, asked)
        key = scoped_key(principal, asked.key)
        leftovers = Leftovers(self._node.app, mailing, key, deposit, volatile=asked.volatile)
        begun: list[Meant | Told] = []
        abroad = self._node.peers.abroad
        for one in asked.targets:
            target = Target(one.kind, one.name)
            try:
                await self._allow(session, target, abroad)
                begun.append(await begin(target, leftovers, begun, partial(self.deliver, mailing, target)))
            except Exception as error:  # what became of one target does not touch the others (ADR-1)
                why = refusal(self._node, Send.NAME, error)
                begun.append(refused(why.code, why.message))
        await abroad.reach(mailing, begun)
        reached = [finish(one, leftovers) for one in begun]
        await leftovers.store()
        return [leftovers.told(one) for one in reached]

    async def deliver(self, mailing: Mailing, target: Target, count: Count) -> None:
        """Give it to all of this node for whom a target stands, and count them.

        Raises:
            Refused: It is too long.
        """
        body = mailing.body(target)
        if len(body) > self._node.config.message_bytes:  # ADR-9
            raise Refused(ErrorCode.TOO_LARGE, f"a message has at most {self._node.config.message_bytes} bytes")
        if target.kind == TargetKind.AGENT:
            self._give_in_turn(mailing, target, body, count)
            return
        for place, session in enumerate(self._meant(target), 1):
            self._give(mailing, session, body, count)
            if place % SEND_SOCKETS == 0:
                await trio.lowlevel.checkpoint()

    def _meant(self, target: Target) -> list[ServerSession]:
        name = target.name
        if target.kind == TargetKind.EVERYBODY:
            return list(self._listeners)
        if target.kind == TargetKind.USER:
            return list(self._users.get(name or "", ()))
        found = self._sessions.get(name or "")
        return [] if found is None else [found]

    def _give_in_turn(self, mailing: Mailing, target: Target, body: bytes, count: Count) -> None:
        """Give it to the first worker who takes it: attached ones first, each in turn (AGT-4)."""
        agent = target.name or ""
        workers = self._node.router.workers(agent)
        for worker in sorted(workers, key=lambda one: not one.attached):
            self._give(mailing, worker, body, count)
            if count.reached:
                self._node.router.had_turn(agent, worker)
                count.full = 0
                return

    def _give(self, mailing: Mailing, session: ServerSession, body: bytes, count: Count) -> None:
        listener = self._listeners.get(session)
        if listener is None or session.handle in mailing.spared:
            return
        away = mailing.taken.get(session)
        if away is None:
            room = listener.items > 0 and listener.bytes > 0 and len(body) <= session.message_bytes
            if not room or not session.engine.has_room(len(body)):
                count.full += 1
                return
            listener.items -= 1
            listener.bytes -= len(mailing.data)
            away = mailing.taken[session] = not session.attached
            session.put(body)
        count.reached += 1
        count.away += away

    # ------------------------------------------------------------ rights

    async def _allow(self, session: ServerSession, target: Target, abroad: Abroad) -> None:
        """Let a session send to a target if the rule of whom it is allows it (ADR-6).

        Raises:
            Refused: It may not, or nobody could say.
            BrokerUnavailable: Nobody could say whose a session is.
        """
        name = target.name or ""
        if target.kind == TargetKind.EVERYBODY:
            await self._allow_user(session, "broadcast", EVERYBODY)
        elif target.kind == TargetKind.AGENT:
            await self._node.router.allow_sending(session, name)
        elif target.kind == TargetKind.USER:
            await self._allow_user(session, "send", name)
        elif (found := self._sessions.get(name)) is not None:
            await self._allow_user(session, "send", found.handle.principal.id)
        elif (user := await abroad.user_of(name)) is not None:
            await self._allow_user(session, "send", user)

    async def _allow_user(self, session: ServerSession, action: UserAction, user: str) -> None:
        rule = find(self._node.app.user_rules, user)
        if rule is None:
            raise Refused(ErrorCode.DENIED, f"{action} {user!r}")
        await permit(self._node, rule, session, action, user)


def _is_nobody(target: Target) -> bool:
    """Whether there is no such kind of target, or it has no name, or one too many (ADR-2)."""
    if target.kind == TargetKind.EVERYBODY:
        return target.name is not None
    return target.kind not in TargetKind.__members__.values() or target.name is None


def _placed(outcome: Published | Refused | RequestFailed) -> Told:
    return placed(outcome) if isinstance(outcome, Published) else refused(outcome.code, outcome.message)


async def _deposit(session: ServerSession, asked: SendRequest, mailbox: str) -> Published | Refused | RequestFailed:
    try:
        return await deposit(session, mailbox, asked.raw, asked.key)
    except RequestFailed as error:
        return error
    except Exception as error:
        return refusal(session.node, Send.NAME, error)
