"""What a server is told and says of letters and of what is sent, held message by message against what it may say.

It stands between the sessions of a server and their engines, so it sees everything in the order in which it happened:
who holds which mailbox, what of it was given and settled (SPEC 15.11), who listens with how much room, and to whom
everything was sent before its sender is told what became of it (SPEC 15.12).
"""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeAlias
from unittest.mock import patch

import attrs
import trio

from hawser.server.requests import Requests
from hawser.server.sessions import ServerSession
from hawser_engine.agents import Offer, Offered, Withdraw
from hawser_engine.calls import ErrorReply
from hawser_engine.codes import ErrorCode, HoldState, ResetReason, SendStatus, TargetKind
from hawser_engine.mailboxes import Held, Hold, Letter, Post, Settle
from hawser_engine.messages import (
    AnyMessage,
    Direct,
    Listen,
    Listening,
    Position,
    Published,
    Send,
    SendOutcome,
    Sent,
    Target,
    decode_message,
)
from tests.runtime.letter_ledger import mark_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from tests.runtime.letter_ledger import Ledger, Mark

LAG_SECONDS: Final = 15.0
"""How long a store may take, in all, to do what it was asked for."""
READ_SECONDS: Final = 1.0
"""How long a letter may be under way from there to the holder."""
KEPT: Final = (SendStatus.QUEUED, SendStatus.DUPLICATE)

Place: TypeAlias = tuple[str, int]
"""A mailbox, and the offset of a letter."""


@attrs.define(eq=False)
class _Hold:
    """What the session that holds a mailbox was given since it does."""

    session: ServerSession
    letters: int = 0
    bytes: int = 0
    open: dict[int, int] = attrs.field(factory=dict[int, int])
    """Not settled yet: lengths, by offset, in the order in which they were given."""
    ordinals: dict[int, int] = attrs.field(factory=dict[int, int])
    """The how many-eth message of the session each was, when it was given last."""
    again: set[int] = attrs.field(factory=set[int])
    """Failed since, so that it comes again."""
    top: int = 0


@attrs.define(eq=False)
class _Waiting:
    """A session that was told to wait for a mailbox."""

    heard: int
    """When it asked …"""
    told: int
    """… and when it was told so."""


class _Box:
    """One mailbox."""

    def __init__(self) -> None:
        self.hold: _Hold | None = None
        self.line: dict[ServerSession, _Waiting] = {}
        self.epoch: bytes | None = None
        self.seen: dict[int, Letter] = {}
        self.settled: dict[int, float] = {}
        """When the server was told that a letter is dealt with."""
        self.perhaps: set[int] = set()
        """Settled a moment before the server ended: it may not have got to the store."""
        self.failures: Counter[int] = Counter()
        self.sure: Counter[int] = Counter()
        """Of the failures, those that the store knows for certain."""


@attrs.frozen(eq=False)
class _Asked:
    """A request that is not answered yet."""

    message: AnyMessage
    order: int
    time: float


@attrs.define
class _Ear:
    """How much more a session takes."""

    items: int
    bytes: int

    @property
    def room(self) -> bool:
        """Whether it takes anything."""
        return self.items > 0 and self.bytes > 0


@attrs.define(eq=False)
class _Sending:
    """A SEND that is not answered yet."""

    session: ServerSession
    message: Send
    mark: Mark
    order: int
    steady: set[ServerSession]
    """Who has listened all the time, and has had room."""
    loyal: set[ServerSession]
    """Who has listened all the time."""
    listened: set[ServerSession]
    """Who has listened at any time."""
    workers: set[ServerSession]
    """Who has offered an agent all the time."""
    time: float
    """When it was asked for."""
    kept: set[tuple[str, str, int]]
    """What mailboxes had by then."""
    had: dict[ServerSession, Target] = attrs.field(factory=dict["ServerSession", Target])
    """Who was given it, and by which target."""

    def is_spared(self, session: ServerSession) -> bool:
        """Whether it is not for a session."""
        options = self.message.options
        return options is not None and options.except_me is True and session is self.session


@attrs.frozen(eq=False)
class Given:
    """Something that was sent to a session."""

    session: object
    name: str
    mark: Mark
    direct: Direct


class Door:
    """Where everything comes by.

    Args:
        ledger: What was asked for.
        letters_in_hand: As the server has it.
        complain: Told what is wrong.
    """

    def __init__(self, ledger: Ledger, letters_in_hand: int, complain: Callable[[str], None]) -> None:
        self._ledger = ledger
        self._letters_in_hand = letters_in_hand
        self._complain = complain
        self._count = 0
        self._boxes = {name: _Box() for name in ledger.boxes}
        self._wants: dict[tuple[ServerSession, str], tuple[int, int]] = {}
        self._working: set[ServerSession] = set()  # workers of agents
        self._asked: dict[tuple[ServerSession, int], _Asked] = {}
        self._sendings: dict[tuple[ServerSession, int], _Sending] = {}
        self._ears: dict[ServerSession, _Ear] = {}
        self._names: dict[ServerSession, str] = {}
        self._newest: dict[tuple[ServerSession, str], int] = {}
        self._ordered: dict[tuple[ServerSession, ServerSession], int] = {}
        self.directs: dict[str, list[Given]] = {}
        """What was sent to each life of a client, in order."""
        self.letters: dict[str, list[Place]] = {}
        """Which letters each life of a client was given, in order."""
        self.stored: dict[Place, Mark] = {}
        """The letters of which their senders were told."""
        self._kept: set[tuple[str, str, int]] = set()  # what mailboxes have, or had, as their senders were told
        self.times: dict[Place, tuple[float, float]] = {}
        """When they were asked for, and told so."""
        self.busy: list[tuple[str, float, float]] = []
        """Mailboxes that were said to be full: when something was asked for, and when that was said."""
        self.duplicates: list[tuple[Place, Mark]] = []
        """The letters that are another one, as their senders were told."""
        self.published: dict[tuple[str, int], Mark] = {}
        """The publications of which their senders were told."""
        self.passed: dict[Place, float] = {}
        """Letters that were passed over without being settled: they have to be dead."""
        self.statuses: Counter[str] = Counter()

    @contextmanager
    def standing(self) -> Generator[None]:
        """Stand there for the length of a block."""
        take, end = Requests.take, ServerSession.end

        def heard(requests: Any, body: bytes) -> None:
            with self._looking():
                self._heard(requests._session, decode_message(body))
            take(requests, body)

        def passing(function: Callable[..., Any]) -> Callable[..., Any]:
            def say(session: ServerSession, body: bytes) -> Any:
                with self._looking():
                    if session.engine.ended is None:
                        self._said(session, decode_message(body))
                return function(session, body)

            return say

        def ended(session: ServerSession) -> None:
            with self._looking():
                self._ended(session)
            end(session)

        with ExitStack() as stack:
            for owner, name, function in (
                (Requests, "take", heard),
                (ServerSession, "put", passing(ServerSession.put)),
                (ServerSession, "tell", passing(ServerSession.tell)),
                (ServerSession, "end", ended),
            ):
                stack.enter_context(patch.object(owner, name, function))
            yield

    def restarted(self) -> None:
        """A server has ended: what it was told a moment ago may not be in the store."""
        for box in self._boxes.values():
            late = [offset for offset, time in box.settled.items() if time > trio.current_time() - LAG_SECONDS]
            box.perhaps |= set(late)
            box.sure = Counter({offset: letter.tries for offset, letter in box.seen.items()})

    def settled(self, mailbox: str, offset: int) -> bool | None:
        """Whether a server was told that a letter is dealt with; None: a moment before it ended."""
        box = self._boxes[mailbox]
        return None if offset in box.perhaps else offset in box.settled

    def settled_at(self, mailbox: str, offset: int) -> float | None:
        """When a server was told so last, if it was."""
        return self._boxes[mailbox].settled.get(offset)

    def tries(self, mailbox: str, offset: int) -> int:
        """How often a letter has failed, at most."""
        return self._boxes[mailbox].failures[offset]

    @property
    def left(self) -> tuple[list[str], int]:
        """The mailboxes that somebody holds or waits for, and how many listen: none when everybody has gone."""
        holds = [name for name, box in self._boxes.items() if box.hold is not None or box.line]
        return holds, len(self._ears)

    # ------------------------------------------------------------ what comes by

    @contextmanager
    def _looking(self) -> Generator[None]:
        """What fails here is not for the server to deal with."""
        try:
            yield
        except Exception as error:
            self._complain(f"nobody can say what is going on: {error!r}")

    def _heard(self, session: ServerSession, message: AnyMessage | None) -> None:
        self._count += 1
        match message:
            case Post() | Hold() | Listen() | Offer():
                self._asked[session, message.id] = _Asked(message, self._count, trio.current_time())
            case Withdraw():
                self._idle(session)
            case Send():
                steady = {one for one, ear in self._ears.items() if ear.room}  # ADR-12: at whatever server
                who = steady, set(self._ears), set(self._ears), set(self._working)
                when = trio.current_time(), set(self._kept)
                sending = _Sending(session, message, mark_of(message.data), self._count, *who, *when)
                self._sendings[session, message.id] = sending
            case Settle():
                self._settle(session, message)
            case _:
                pass

    def _said(self, session: ServerSession, message: AnyMessage | None) -> None:
        self._count += 1
        match message:
            case Held():
                self._held(session, message)
            case Letter():
                self._letter(session, message)
            case Published():
                asked = self._asked.pop((session, message.id), None)
                if asked is not None and isinstance(asked.message, Post):
                    post, position = asked.message, message.position
                    mark = mark_of(post.data)
                    self._acknowledge(session, post.mailbox, position, mark, asked.time, duplicate=message.duplicate)
            case Offered():
                if message.id is not None and (session, message.id) in self._asked and not message.code:
                    del self._asked[session, message.id]
                    self._working.add(session)
            case Listening():
                self._listening(session, message)
            case Direct():
                self._direct(session, message)
            case Sent():
                self._sent(session, message)
            case ErrorReply():
                asked = self._asked.pop((session, message.id), None)
                if asked is not None and isinstance(asked.message, Post) and message.code == ErrorCode.BUSY:
                    self.busy.append((asked.message.mailbox, asked.time, trio.current_time()))
                sending = self._sendings.pop((session, message.id), None)
                if sending is not None and sending.had:
                    self._complain(f"{sending.mark} is answered with an error, and was sent")
            case _:
                pass

    def _ended(self, session: ServerSession) -> None:
        crashed = session.engine.ended not in (None, ResetReason.CLOSED)
        for box in self._boxes.values():
            box.line.pop(session, None)
            hold = box.hold
            if hold is not None and hold.session is session:
                first = next(iter(hold.open), None)
                if crashed and first is not None and hold.ordinals[first] <= session.engine.outbox.delivered_messages:
                    self._fail(box, first)  # MBX-9
                box.hold = None
        self._deaf(session)
        self._idle(session)  # what it has sent before its goodbye is carried out for all that, and not answered (EXP-2)

    # ------------------------------------------------------------ mailboxes

    def _held(self, session: ServerSession, message: Held) -> None:
        box = self._boxes[message.mailbox]
        asked = None if message.id is None else self._asked.pop((session, message.id))
        if asked is not None and isinstance(asked.message, Hold):
            self._wants[session, message.mailbox] = asked.message.letters, asked.message.bytes
        hold, heard = box.hold, 0 if asked is None else asked.order
        mine = hold is not None and hold.session is session
        waited = box.line.get(session)
        if message.state == HoldState.HOLDING:
            if hold is not None and not mine:
                self._complain(f"two hold {message.mailbox}")
            since = heard if waited is None else waited.heard
            others = [one for other, one in box.line.items() if other is not session and other.node is session.node]
            if any(one.told < since for one in others):
                self._complain(f"somebody holds {message.mailbox} before those who came earlier")
            box.line.pop(session, None)
            if hold is None or not mine:
                hold = box.hold = _Hold(session)
            hold.letters, hold.bytes = self._wants[session, message.mailbox]
        elif message.state == HoldState.WAITING:
            if mine:
                self._complain(f"who holds {message.mailbox} is told to wait")
            if waited is None:
                box.line[session] = _Waiting(heard, self._count)
        else:
            box.line.pop(session, None)
            if mine:
                box.hold = None

    def _settle(self, session: ServerSession, message: Settle) -> None:
        box = self._boxes[message.mailbox]
        hold = box.hold
        if hold is None or hold.session is not session or message.epoch != box.epoch:
            return
        for offset in message.letters:
            if hold.open.pop(offset, None) is None:
                continue
            if message.failed:
                self._fail(box, offset)
                hold.again.add(offset)
            else:
                box.settled[offset] = trio.current_time()

    def _fail(self, box: _Box, offset: int) -> None:
        box.failures[offset] += 1
        box.sure[offset] += 1

    def _letter(self, session: ServerSession, letter: Letter) -> None:
        box, name, offset = self._boxes[letter.mailbox], letter.mailbox, letter.offset
        hold, where = box.hold, f"letter {letter.offset} of {letter.mailbox}"
        if hold is None or hold.session is not session:
            self._complain(f"{where} is given to who does not hold it")
            return
        if box.epoch not in (None, letter.epoch):
            self._complain(f"{name} has another epoch")
        box.epoch = letter.epoch
        self.letters.setdefault(life_of(session), []).append((name, offset))
        if offset in box.settled and offset not in box.perhaps:
            self._complain(f"{where} is given again, and was settled")
        box.settled.pop(offset, None)
        box.perhaps.discard(offset)
        if offset in hold.open:
            self._complain(f"{where} is given again, and is not settled yet")
        again = offset in hold.again
        hold.again.discard(offset)
        if offset <= hold.top and not again:
            self._complain(f"{where} is given after {hold.top}")
        for missed in range(hold.top + 1, offset):
            if missed not in box.settled:
                self.passed[name, missed] = trio.current_time()
        hold.top = max(hold.top, offset)
        limits = min(hold.letters, self._letters_in_hand), hold.bytes
        if hold.open and (len(hold.open) >= limits[0] or sum(hold.open.values()) + len(letter.data) > limits[1]):
            self._complain(f"{where} is one more than may be in hand: {len(hold.open)} of {limits}")
        hold.open[offset] = len(letter.data)
        hold.ordinals[offset] = session.engine.outbox.accepted + 1
        self._check_same(box, where, letter)
        if self._ledger.lasts_seconds(name, mark_of(letter.data)) + READ_SECONDS < (
            trio.current_time() - letter.time_ms / 1_000
        ):
            self._complain(f"{where} is given, and its time is over")

    def _check_same(self, box: _Box, where: str, letter: Letter) -> None:
        """It is unchanged (MBX-8), and has failed as often as it says (MBX-9)."""
        first = box.seen.setdefault(letter.offset, letter)
        if attrs.evolve(letter, tries=first.tries) != first:
            self._complain(f"{where} is another one than before")
        if not box.sure[letter.offset] <= letter.tries <= box.failures[letter.offset]:
            self._complain(f"{where} says that it failed {letter.tries} times, not {box.failures[letter.offset]}")
        if letter.tries >= self._ledger.boxes[letter.mailbox].tries:
            self._complain(f"{where} is given after {letter.tries} failures, and should be dead")
        box.failures[letter.offset] = letter.tries
        box.sure[letter.offset] = letter.tries
        box.seen[letter.offset] = letter

    def _acknowledge(
        self, session: ServerSession, mailbox: str, position: Position, mark: Mark, asked: float, *, duplicate: bool
    ) -> None:
        place = mailbox, position.offset
        if duplicate:
            self.duplicates.append((place, mark))
            return
        if self.stored.setdefault(place, mark) != mark:
            self._complain(f"{mark} and {self.stored[place]} are both letter {place}")
        if self._newest.get((session, mailbox), 0) >= position.offset:
            self._complain(f"{mark} is letter {place}, and was asked for after {self._newest[session, mailbox]}")
        self._newest[session, mailbox] = position.offset
        self._kept.add((mailbox, *mark[:2]))
        self.times[place] = asked, trio.current_time()

    # ------------------------------------------------------------ what is sent

    def _listening(self, session: ServerSession, message: Listening) -> None:
        listen = self._asked.pop((session, message.id)).message
        assert isinstance(listen, Listen)
        self._names[session] = message.session
        if not (listen.items or listen.bytes):
            self._deaf(session)
            return
        ear = self._ears.setdefault(session, _Ear(0, 0))
        ear.items += listen.items
        ear.bytes += listen.bytes
        for sending in self._sendings.values():
            sending.listened.add(session)

    def _deaf(self, session: ServerSession) -> None:
        self._ears.pop(session, None)
        for sending in self._sendings.values():
            sending.steady.discard(session)
            sending.loyal.discard(session)

    def _idle(self, session: ServerSession) -> None:
        """It offers no agent any more."""
        self._working.discard(session)
        for sending in self._sendings.values():
            sending.workers.discard(session)

    def _direct(self, session: ServerSession, direct: Direct) -> None:
        mark = mark_of(direct.data)
        sending = next((one for one in self._sendings.values() if one.mark == mark), None)
        ear, where = self._ears.get(session), f"{mark} to {life_of(session)}"
        if sending is None:
            self._complain(f"{where} is sent, and nobody waits for that")
            return
        self.directs.setdefault(life_of(session), []).append(Given(session, self._names[session], mark, direct))
        if direct.to not in sending.message.targets or not self._means(direct.to, session):
            self._complain(f"{where} is sent for {direct.to}, which it is not")
        if sending.is_spared(session):
            self._complain(f"{where} is sent, and was to be spared")
        if session in sending.had:
            self._complain(f"{where} is sent twice")
        if (_mailbox_of(direct.to), *mark[:2]) in sending.kept:
            self._complain(f"{where} is sent for {direct.to}, whose mailbox has it under its key")
        sending.had[session] = direct.to
        sender = sending.session
        if direct.user != sender.handle.principal.id or direct.session != sender.handle.id:
            self._complain(f"{where} is said to be from {direct.user}, {direct.session}")
        if self._ordered.get((session, sender), 0) >= sending.order:
            self._complain(f"{where} overtakes what was sent before")
        self._ordered[session, sender] = sending.order
        if ear is None or not ear.room:
            self._complain(f"{where} is sent without credit")
            return
        ear.items -= 1
        ear.bytes -= len(direct.data)
        if not ear.room:
            for one in self._sendings.values():
                one.steady.discard(session)

    def _means(self, target: Target, session: ServerSession) -> bool:
        principal = session.handle.principal
        match target.kind:
            case TargetKind.EVERYBODY:
                return True
            case TargetKind.USER:
                return principal.id == target.name
            case TargetKind.SESSION:
                return self._names.get(session) == target.name
            case TargetKind.AGENT:
                return principal.attributes.get("agent") == target.name
            case _:
                return False

    def _sent(self, session: ServerSession, message: Sent) -> None:
        sending = self._sendings.pop((session, message.id))
        for place, (target, outcome) in enumerate(zip(sending.message.targets, message.outcomes, strict=True)):
            self.statuses[SendStatus(outcome.status).name] += 1
            if target.kind == TargetKind.CHANNEL:
                self._check_published(sending, target, outcome)
            else:
                self._check_outcome(sending, place, outcome)

    def _check_published(self, sending: _Sending, target: Target, outcome: SendOutcome) -> None:
        if outcome.position is not None and outcome.status == SendStatus.PUBLISHED:
            place = target.name or "", outcome.position.offset
            if self.published.setdefault(place, sending.mark) != sending.mark:
                self._complain(f"{sending.mark} is published where another one is")
        elif outcome.status != SendStatus.DUPLICATE and not sending.message.options:
            self._complain(f"{sending.mark} to {target} is {outcome}")

    def _check_outcome(self, sending: _Sending, place: int, outcome: SendOutcome) -> None:
        targets, target = sending.message.targets, sending.message.targets[place]
        status, where = outcome.status, f"{sending.mark} to {target} is {outcome}"
        agent = target.kind == TargetKind.AGENT
        before = targets[: place + 1]  # what a later one gave it is not counted here
        comes_again = target in targets[place + 1 :]  # and may find room for whom there was none
        having = [one for one, to in sending.had.items() if to in before and self._means(target, one)]
        there = self._of(target, sending, sending.loyal)
        with_room = self._of(target, sending, sending.steady)
        if status == SendStatus.DELIVERED:
            certain = [
                one for one in having if one in sending.loyal and not (comes_again and sending.had[one] == target)
            ]
            low, high = (1, min(1, len(having))) if agent else (len(certain), len(having))
            if not max(1, low) <= outcome.reached <= high or outcome.away > outcome.reached:
                self._complain(f"{where}, and {high} were given it")
        elif targets.count(target) == 1 and any(to == target for to in sending.had.values()):
            self._complain(f"{where}, and it was sent")
        if status in KEPT or status == SendStatus.REFUSED:
            pass
        elif with_room and (status != SendStatus.DELIVERED if agent else not set(with_room) <= sending.had.keys()):
            self._complain(f"{where}, and {[life_of(one) for one in with_room]} had room for it")
        if status == SendStatus.NOBODY and there:
            self._complain(f"{where}, and {[life_of(one) for one in there]} listened")
        if status == SendStatus.QUEUED and with_room:
            self._complain(f"{where}, and {[life_of(one) for one in with_room]} had room for it")
        if status == SendStatus.FULL and not (
            1 <= outcome.full <= len([one for one in sending.listened if self._means(target, one)])
        ):
            self._complain(f"{where}, and there are not so many")
        self._check_kept(sending, target, outcome, where)

    def _check_kept(self, sending: _Sending, target: Target, outcome: SendOutcome, where: str) -> None:
        """What nobody takes is kept where there is a mailbox (ADR-10)."""
        mailbox, options = _mailbox_of(target), sending.message.options
        kept = mailbox in self._boxes
        volatile = options is not None and options.volatile is True
        spared = options is not None and options.except_me is True
        status = outcome.status
        if status in KEPT:
            if not kept or outcome.position is None or (volatile and status == SendStatus.QUEUED):
                self._complain(f"{where}, and there is no mailbox for it")
                return
            duplicate = status == SendStatus.DUPLICATE
            if spared and not duplicate and self._means(target, sending.session):
                self._complain(f"{where}, and its sender might get it")
            if duplicate or self.stored.get((mailbox, outcome.position.offset)) != sending.mark:
                said = sending.session, mailbox, outcome.position, sending.mark, sending.time
                self._acknowledge(*said, duplicate=duplicate)
        elif status == SendStatus.REFUSED and outcome.reason == "BUSY":
            self.busy.append((mailbox, sending.time, trio.current_time()))
        elif status in (SendStatus.NOBODY, SendStatus.FULL) and kept and not volatile and not spared:
            self._complain(f"{where}, and it has a mailbox")

    def _of(self, target: Target, sending: _Sending, sessions: Iterable[ServerSession]) -> list[ServerSession]:
        if target.kind == TargetKind.AGENT:
            sessions = [one for one in sessions if one in sending.workers]
        return [one for one in sessions if self._means(target, one) and not sending.is_spared(one)]


def _mailbox_of(target: Target) -> str:
    """The name that the mailbox of a target has, if it has any."""
    owner = {TargetKind.USER: "user:", TargetKind.AGENT: "agent:"}.get(TargetKind(target.kind))
    return f"{owner}{target.name}" if owner else ""


def life_of(session: ServerSession) -> str:
    """Which life of which client a session is of."""
    life: str = session.handle.principal.attributes["life"]
    return life
