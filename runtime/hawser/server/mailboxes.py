"""Mailboxes on one node: who holds them or waits to, and what they are given (SPEC MBX-1 to MBX-16).

Rule: the store is asked in one task for each mailbox that somebody holds, one thing after the other: first what its
holder has settled is removed, then what has failed is noted, and only then more is given, to whoever holds it then.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import attrs
import trio

from hawser.brokers import BrokerUnavailable, Keeping, News
from hawser.calls import Refused
from hawser.mailboxes import USER, DeadLetterCounts, no_mailbox, rule_of
from hawser_engine.codes import ErrorCode, HoldState, ResetReason
from hawser_engine.mailboxes import Held, Letter
from hawser_engine.messages import Position, encode_body

from .permits import permit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser.brokers import Letter as StoredLetter
    from hawser.brokers.mailboxes import Why
    from hawser.mailboxes import MailAction, MailboxRule
    from hawser_engine.mailboxes import Hold, Settle

    from .node import Node
    from .sessions import ServerSession

log: Final = logging.getLogger("hawser")

AGAIN_SECONDS: Final = 1.0
"""After a store has failed."""
READ_LETTERS: Final = 64
"""Letters that are read at once."""
SETTLE_LETTERS: Final = 256
"""Letters that are removed at once."""


@attrs.define(eq=False)
class _Want:
    """What a session that holds a mailbox, or waits for it, is to be given."""

    letters: int = 0
    bytes: int = 0
    told: HoldState = HoldState.ENDED
    """What it was told last."""
    blocked: bool = False
    """Whether its session has no room for the next letter."""


@attrs.define(eq=False)
class _Given:
    """A letter that the holder has."""

    position: Position
    size: int
    ordinal: int | None
    """Of its LETTER in the holder's session."""
    settled: bool = False
    """Whether the holder has said what has become of it, and the store does not know yet."""


class _Box:
    """A mailbox that sessions of this node hold, or wait for."""

    def __init__(self, desk: MailboxDesk, name: str) -> None:
        self.name = name
        self.line: dict[ServerSession, _Want] = {}
        """Who wants it, in order; the first has it, if this node has it."""
        self.asked: bool = False
        """Whether the store was asked for it …"""
        self.held: bool = False
        """… and this node has it."""
        self.given: dict[int, _Given] = {}
        """What the holder has, by offset, in the order in which it was given, until the store knows what has become of
        it: so a client that hears of a letter again, as its server was lost, need not remember more of them than it
        asked for."""
        self.bytes: int = 0
        """The sum of their lengths."""
        self.after: int = 0
        """Everything up to this offset was given, or passed over."""
        self.hold: int = 0
        """Rises with each hold: what was read for one is not given in the next, be it that of the same session."""
        self.settled: list[Position] = []
        """What is to be removed."""
        self.failed: list[Position] = []
        """What the store has yet to be told of."""
        self.overdue: bool = False
        """Whether there are letters whose time is over."""
        self.lock: trio.Lock = trio.Lock()
        self.awake: bool = False
        self.working: bool = False
        self._desk = desk

    @property
    def holder(self) -> ServerSession | None:
        """Whoever has it."""
        return next(iter(self.line), None) if self.held else None

    @property
    def deserted(self) -> bool:
        """Whether there is nothing left to do."""
        return not (self.line or self.asked or self.settled or self.failed)

    def report(self, mailbox: str, news: News) -> None:
        """What the store calls."""
        if news is News.LOST:
            self.held = False
            self.anew()
        self._desk.wake(self)

    def anew(self) -> None:
        """Whoever holds it next is given everything."""
        self.given.clear()
        self.after = self.bytes = 0
        self.hold += 1

    def settle(self, offset: int, epoch: bytes) -> Position | None:
        """The holder has settled a letter; None if it has no such."""
        given = self.given.get(offset)
        if given is None or given.settled or given.position.epoch != epoch:
            return None
        given.settled = True
        return given.position

    def forget(self, positions: Sequence[Position]) -> None:
        """The store knows what has become of letters."""
        for position in positions:
            given = self.given.get(position.offset)
            if given is not None and given.settled and given.position == position:
                del self.given[position.offset]
                self.bytes -= given.size

    @property
    def first(self) -> _Given | None:
        """What was given first and is not settled."""
        return next((given for given in self.given.values() if not given.settled), None)


class MailboxDesk:
    """The mailboxes of one node."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._store = node.app.broker.mailboxes
        self._boxes: dict[str, _Box] = {}
        self._wanted: dict[ServerSession, dict[str, _Box]] = {}
        self.dead: dict[str, DeadLetterCounts] = {}
        """How many letters were dead, by the pattern of their mailboxes."""

    # ------------------------------------------------------------ what sessions ask for

    async def hold(self, session: ServerSession, request: Hold) -> None:
        """Carry out a HOLD and answer it (MBX-5).

        Raises:
            Refused: It is answered with an error.
        """
        name = USER + session.handle.principal.id if request.mailbox is None else request.mailbox
        if not request.letters:
            await session.room()
            self._drop(session, name)
            session.put(_held(request.id, name, HoldState.ENDED))
            return
        await self.allow(session, "hold", name)
        want = self._want(session, name)
        want.letters, want.bytes = min(request.letters, self._node.config.letters_in_hand), request.bytes
        box = self._boxes[name]
        try:
            async with box.lock:
                await self._claim(box)
            await session.room()
        except BaseException:
            if want.told is HoldState.ENDED:
                self._drop(session, name)
            raise
        if box.line.get(session) is want:
            want.told = HoldState.HOLDING if box.holder is session else HoldState.WAITING
            session.put(_held(request.id, name, want.told))
            self.wake(box)
        elif not session.ended:  # it was told meanwhile that its hold has ended
            raise Refused(ErrorCode.UNAVAILABLE, f"hold {name!r}", temporary=True)

    def settle(self, session: ServerSession, message: Settle) -> None:
        """What has become of letters that a session was given (MBX-7, MBX-9); of others nothing happens."""
        box = self._wanted.get(session, {}).get(message.mailbox)
        if box is not None and box.holder is session:
            taken = [box.settle(offset, message.epoch) for offset in message.letters]
            (box.failed if message.failed else box.settled).extend([one for one in taken if one is not None])
            self.wake(box)

    async def recheck(self, session: ServerSession) -> None:
        """Ask again for the rights; end what lost its own (MBX-12)."""
        for name in list(self._wanted.get(session, ())):
            try:
                await self.allow(session, "hold", name)
            except Refused:
                await session.room()
                self._drop(session, name)
                session.put(_held(None, name, HoldState.ENDED, ErrorCode.DENIED))

    def ended(self, session: ServerSession) -> None:
        """A session is over."""
        crashed = session.engine.ended not in (None, ResetReason.CLOSED)  # None: this node ends itself
        for name, box in list(self._wanted.get(session, {}).items()):
            first = box.first if crashed and box.holder is session else None
            if first is not None and session.has_taken(first.ordinal):
                box.failed.append(first.position)  # MBX-9: it may be what the crash is about
            self._drop(session, name)

    async def allow(self, session: ServerSession, action: MailAction, name: str) -> MailboxRule:
        """The rule of a mailbox, if the session may do this with it (MBX-4, MBX-12).

        Raises:
            Refused: There is no such mailbox, it may not, or nobody could say.
        """
        rule = rule_of(self._node.app.mailbox_rules, name)
        if rule is None:
            raise Refused(ErrorCode.NOT_FOUND, no_mailbox(name))
        if action == "hold" and name.startswith(USER) and action not in rule.rights:
            own = USER + session.handle.principal.id
            if name == own:
                return rule
            if rule.handler is None:  # that everybody may post does not let them read
                raise Refused(ErrorCode.DENIED, f"hold {name!r}, which is another user's: one's own is {own!r}")
        await permit(self._node, rule, session, action, name)
        return rule

    # ------------------------------------------------------------ who holds what

    def _want(self, session: ServerSession, name: str) -> _Want:
        wanted = self._wanted.get(session, {})
        if name not in wanted:
            if len(wanted) >= self._node.config.mailboxes_per_session:
                raise Refused(ErrorCode.LIMIT, f"more than {len(wanted)} mailboxes")
            box = self._boxes.get(name)
            if box is None:
                box = self._boxes[name] = _Box(self, name)
            box.line[session] = _Want()
            self._wanted.setdefault(session, {})[name] = box
        return self._boxes[name].line[session]

    def _drop(self, session: ServerSession, name: str) -> None:
        """A session holds a mailbox no more, or waits for it no more."""
        wanted = self._wanted.get(session, {})
        box = wanted.pop(name, None)
        if box is not None:
            if not wanted:
                del self._wanted[session]
            if box.holder is session:
                box.anew()
            del box.line[session]
            self.wake(box)

    def wake(self, box: _Box) -> None:
        """There is something to do."""
        box.awake = True
        if not box.working:
            box.working = True
            self._node.start_service(self._work, box)

    async def _work(self, box: _Box) -> None:
        try:
            while box.awake:
                box.awake = False
                try:
                    await self._step(box)
                except Exception as error:
                    if not isinstance(error, BrokerUnavailable):  # which says in the log what there is to say
                        self._node.incident("mailbox", error)
                    elif not error.temporary:
                        self._give_up(box)
                    await trio.sleep(AGAIN_SECONDS)
                    box.awake = True
        finally:
            box.working = False
        if box.deserted and self._boxes.get(box.name) is box:
            del self._boxes[box.name]

    def _give_up(self, box: _Box) -> None:
        """Nobody can be given the letters of a mailbox (MBX-16)."""
        why = ErrorCode.UNAVAILABLE, "its letters cannot be read or written"
        for session in [session for session, want in box.line.items() if want.told is not HoldState.ENDED]:
            self._drop(session, box.name)
            session.tell(_held(None, box.name, HoldState.ENDED, *why))

    async def _step(self, box: _Box) -> None:
        async with box.lock:
            if some := box.settled[:SETTLE_LETTERS]:
                await self._store.remove(box.name, box.report, some)
                del box.settled[: len(some)]
                box.forget(some)
            if some := box.failed[:SETTLE_LETTERS]:
                dead = await self._store.fail(box.name, box.report, some, self._keeping(box.name))
                self._count(box.name, "FAILED", dead or 0)
                del box.failed[: len(some)]
                box.forget(some)
                box.after = min(box.after, min(one.offset for one in some) - 1)
            if box.overdue:
                box.overdue = False
                await self._bury(box.name, [given.position for given in box.given.values()])
            if box.settled or box.failed:  # by now: before anybody is given more
                box.awake = True
                return
            if box.line:
                await self._claim(box)
            elif box.asked:
                await self._store.release(box.name, box.report)
                box.asked = box.held = False
        self._tell(box)
        await self._give(box)

    async def _claim(self, box: _Box) -> None:
        if not box.held:
            box.asked = True
            box.held = await self._store.hold(box.name, box.report)

    def _tell(self, box: _Box) -> None:
        """Tell those of whom it is not so any more what they were told."""
        for session, want in box.line.items():
            state = HoldState.HOLDING if box.holder is session else HoldState.WAITING
            if want.told not in (HoldState.ENDED, state):
                want.told = state
                session.tell(_held(None, box.name, state))

    # ------------------------------------------------------------ giving

    async def _give(self, box: _Box) -> None:
        """Give the holder what it may have; what it has no room for comes when it has."""
        while (session := box.holder) is not None:
            want = box.line[session]
            if want.told is not HoldState.HOLDING or want.blocked:
                return
            count, size = want.letters - len(box.given), want.bytes - box.bytes
            if box.given and (count <= 0 or size <= 0):
                return
            limit, hold = min(max(count, 1), READ_LETTERS), box.hold
            letters = await self._store.read(box.name, box.after, limit=limit, limit_bytes=max(size, 0))
            if not letters or box.hold != hold:
                return
            for letter in letters:
                if not self._put(box, session, want, letter):
                    return

    def _put(self, box: _Box, session: ServerSession, want: _Want, letter: StoredLetter) -> bool:
        """Give the next letter; False if it cannot be given now."""
        position, size = letter.position, len(letter.data)
        if position.offset not in box.given:
            if box.given and (len(box.given) >= want.letters or box.bytes + size > want.bytes):
                return False
            said = letter.sender, letter.time_ms, letter.tries, letter.data
            body = encode_body(Letter(box.name, position.epoch, position.offset, *said))
            if not session.engine.has_room(len(body)):
                want.blocked = True
                session.spawn(self._wait_for_room, session, want, box, len(body))
                return False
            if len(body) <= session.message_bytes:  # else it waits for another holder (MBX-6)
                box.given[position.offset] = _Given(position, size, session.put(body))
                box.bytes += size
        box.after = position.offset
        return True

    async def _wait_for_room(self, session: ServerSession, want: _Want, box: _Box, length: int) -> None:
        await session.room(length)
        want.blocked = False
        self.wake(box)

    # ------------------------------------------------------------ what is out of date

    def bury_in_turn(self, name: str) -> bool:
        """Bury what is out of date in a mailbox in turn with what its holder is given; False if this node has it not.

        What the holder has is left to it, and what is being read for it must not be dead when it is given.
        """
        box = self._boxes.get(name)
        if box is None or not box.held:
            return False
        box.overdue = True
        self.wake(box)
        return True

    async def _bury(self, name: str, sparing: Sequence[Position] = ()) -> None:
        self._count(name, "EXPIRED", await self._store.bury(name, self._keeping(name), sparing))

    def _count(self, name: str, why: Why, letters: int) -> None:
        """Count what is dead; where it stands nowhere then, say so in the log: when it begins, and not for each."""
        if not letters:
            return
        rule = rule_of(self._node.app.mailbox_rules, name)
        pattern = "" if rule is None else rule.pattern
        counts = self.dead.setdefault(pattern, DeadLetterCounts())
        before = counts.expired if why == "EXPIRED" else counts.failed
        if not before and self._keeping(name).dead is None:
            fix = f"name a channel for them as dead_letters of App.mailbox({pattern!r})"
            log.warning("a letter of %r is dead (%s) and kept nowhere; %s. Others are only counted", name, why, fix)
        if why == "EXPIRED":
            counts.expired += letters
        else:
            counts.failed += letters

    async def run(self) -> None:
        """Bury what is out of date, now and then, until cancelled."""
        while self._node.app.mailbox_rules:
            await trio.sleep(self._node.config.mailbox_sweep_seconds)
            try:
                for name in await self._store.overdue():
                    desks = [node.mailboxes for node in self._node.app.nodes]
                    if not any(desk.bury_in_turn(name) for desk in desks):
                        with suppress(BrokerUnavailable):  # as above; and the next one may be whole
                            await self._bury(name)
            except BrokerUnavailable:
                pass  # as above
            except Exception as error:
                self._node.incident("mailboxes", error)

    async def close(self) -> None:
        """The server ends: remove what is settled, and hold nothing any more.

        All side by side, for there is not much time, and another server waits for each of them.
        """
        async with trio.open_nursery() as nursery:
            for box in list(self._boxes.values()):
                nursery.start_soon(self._close, box)

    async def _close(self, box: _Box) -> None:
        try:
            async with box.lock:
                await self._let_go(box)
        except Exception as error:
            self._node.incident("mailbox", error)

    async def _let_go(self, box: _Box) -> None:
        try:
            if box.settled:
                await self._store.remove(box.name, box.report, box.settled)
        except BrokerUnavailable:
            pass  # it comes again (MBX-15); but nobody else could hold what this server does not let go of
        finally:
            box.settled.clear()
            while box.asked:
                try:
                    await self._store.release(box.name, box.report)
                except BrokerUnavailable:
                    await trio.sleep(AGAIN_SECONDS)
                else:
                    box.asked = box.held = False

    def _keeping(self, name: str) -> Keeping:
        rule = rule_of(self._node.app.mailbox_rules, name)
        return Keeping() if rule is None else rule.keeping  # of a mailbox that is declared no more nothing is published


def _held(id: int | None, name: str, state: HoldState, code: int = 0, reason: str = "") -> bytes:
    return encode_body(Held(id, name, state, code, reason or (ErrorCode(code).name if code else "")))
