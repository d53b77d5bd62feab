"""Mailboxes that a client holds: an iteration over letters, each of which is acknowledged when it moves on.

Rule: a letter is settled when the application has dealt with it, never before (SPEC MBX-15). So one that was settled in
a session that was lost may be given again: then it is settled again, and not yielded twice by the same `Mailbox`.
"""

from __future__ import annotations

import logging
from collections import deque
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser.entering import not_entered
from hawser.errors import RequestFailed
from hawser.mailboxes import USER
from hawser.payloads import decode_payload
from hawser_engine.codes import CloseCode, ErrorCode, HoldState
from hawser_engine.errors import HawserError, RemoteProtocolError
from hawser_engine.mailboxes import Held, Hold, Settle
from hawser_engine.mailboxes import Letter as LetterMessage
from hawser_engine.messages import MAILBOXES, Position, encode_body

from .operations import Kind, Pending, request_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from types import TracebackType

    from .dialogue import Dialogue

log: Final = logging.getLogger("hawser")

PASSES: Final = 3
"""Of the event loop, in which a carriage writes what it could not at once: one for long-poll as a rule, two for TLS."""


@attrs.frozen
class Letter:
    """A letter, as a mailbox yields it."""

    mailbox: str
    """Whose it is: ``user:`` and the id of a principal, or ``agent:`` and a name."""
    position: Position
    """Names it among all letters of the mailbox, however often it is delivered."""
    sender: str | None
    """The id of the principal that posted it; None: the application itself."""
    time: float
    """When it was stored, by the server: seconds since the beginning of 1970 (UTC)."""
    tries: int
    """How often it has failed before."""
    raw: bytes = attrs.field(repr=lambda raw: f"<{len(raw)} bytes>")
    """The payload as it travelled."""

    @property
    def id(self) -> str:
        """Names it, as text: what to remember to do nothing twice."""
        return f"{self.position.epoch.hex()}:{self.position.offset}"

    @property
    def data(self) -> Any:
        """The payload as a value, decoded at each access.

        Raises:
            PayloadError: The sender posted something else than a payload of Hawser.
        """
        return decode_payload(self.raw)


class Mailbox:
    """The letters of one mailbox; `Client.mailbox` makes it.

    Enter it with ``async with``; it is held when the block begins, or its turn comes when those who hold it before end.
    Each letter is acknowledged, and only then removed, when the iteration moves on; one that the block is left with is
    delivered again, to whoever holds the mailbox next. Leaving it with an exception says that the letter has failed.

    Raises (on entering):
        RequestFailed: The server refused, for example DENIED or NOT_FOUND.
        RuntimeError: The client has this mailbox already, be it asked for as one's own or by its name.
        SessionClosed: The client is closed.
    """

    def __init__(self, dialogue: Dialogue, mailbox: str | None, letters: int, bytes: int) -> None:
        self.asked: str | None = mailbox
        """What was asked for: the name, or None for the mailbox of one's own."""
        self.name: str | None = mailbox
        """The mailbox's name; that of one's own is known inside the block."""
        self.holding: bool = False
        """Whether it is held, and not waited for."""
        self.requested: bool = False
        """Whether the server was asked for it; kept by the client."""
        self.asking: Pending
        """What the server was asked last, if it was asked; kept by the client."""
        self.over: bool = False
        """Whether nothing more will come."""
        self._dialogue = dialogue
        self._letters = letters
        self._bytes = bytes
        self._queue: deque[Letter] = deque()
        self._current: Letter | None = None
        self._settled: deque[Position] = deque(maxlen=letters)  # whose SETTLE may be lost with the session
        self._entered = False
        self._answered = trio.Event()
        self._arrival = trio.Event()
        self._error: Exception | None = None

    async def __aenter__(self) -> Mailbox:
        if self._entered:
            raise RuntimeError("a mailbox is entered only once; make another one")
        self._entered = True
        try:
            await self._dialogue.mailboxes.enter(self)
            await self._answered.wait()
        except BaseException:
            self._dialogue.mailboxes.leave(self)
            raise
        if self._error is not None:
            self._dialogue.mailboxes.leave(self)
            raise self._error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._settle(failed=True)
        self._dialogue.mailboxes.leave(self)
        self.finish(None)
        await trio.lowlevel.checkpoint()

    def __aiter__(self) -> Mailbox:
        return self

    async def __anext__(self) -> Letter:
        try:
            return await self.receive()
        except trio.EndOfChannel:
            raise StopAsyncIteration from None

    async def receive(self) -> Letter:
        """Acknowledge the letter before, and wait for the next one. Only one task at a time.

        Raises:
            trio.EndOfChannel: The client is closed.
            RequestFailed: The server has ended it, for example DENIED when a right was withdrawn.
            RuntimeError: Its block has not begun.
            SessionClosed: The client was closed by the server.
        """
        if not self._entered:
            raise not_entered("a mailbox")
        self.done()
        await trio.lowlevel.checkpoint()
        while not self._queue:
            if self.over:
                raise self._error or trio.EndOfChannel()
            await self._arrival.wait()
            for _ in range(PASSES):  # MBX-17: it may be the end of this program
                await trio.lowlevel.checkpoint()
        self._current = self._queue.popleft()
        return self._current

    async def handle(
        self, handler: Callable[[Letter], Awaitable[object]], *, pause_seconds: tuple[float, float] = (1.0, 60.0)
    ) -> None:
        """Give each letter to a handler, one after the other, until the client is closed.

        A letter is acknowledged when the handler has returned. One for which it raises has failed: that is logged, and
        the letter comes again, until it has failed too often and is dead. Before the next letter there is a pause then:
        what has failed for one may fail for all of them, as where a database is away for some seconds.

        Args:
            handler: ``async def handler(letter)``.
            pause_seconds: The pause after a letter that failed, and the longest. Each failure in a row doubles it; a
                handler that returns makes it the first one again.

        Raises:
            ValueError: The pauses are not above 0, not finite, or the first is longer than the longest.
            RequestFailed: As for `receive`.
            RuntimeError: As for `receive`.
            SessionClosed: As for `receive`.
        """
        first, longest = pause_seconds
        if not 0 < first <= longest < inf:
            raise ValueError(f"pause_seconds are two, above 0 and the longer one last, not {pause_seconds!r}")
        pause = first
        async for letter in self:
            try:
                await handler(letter)
            except Exception:
                log.exception("letter %s of %s has failed; %g s until the next", letter.id, letter.mailbox, pause)
                self._settle(failed=True)
                await self._rest(pause)
                pause = min(2 * pause, longest)
            else:
                self.done()
                pause = first

    async def _rest(self, seconds: float) -> None:
        """Take nothing for so long, or until nothing more will come."""
        with trio.move_on_after(seconds):
            while not self.over:
                await self._arrival.wait()

    def done(self) -> None:
        """Acknowledge the letter that was received last, before the iteration does; harmless if there is none."""
        self._settle(failed=False)

    def _settle(self, *, failed: bool) -> None:
        letter, self._current = self._current, None
        if letter is not None:
            if not failed:
                self._settled.append(letter.position)
            self._say(letter.position, failed=failed)

    def _say(self, position: Position, *, failed: bool) -> None:
        if self.holding and self.name is not None:
            self._dialogue.tell(encode_body(Settle(self.name, position.epoch, (position.offset,), failed)))

    # ------------------------------------------------------------ for the client

    def request(self) -> tuple[Pending, Callable[[int], bytes]]:
        """What to ask the server for."""
        pending = Pending(Kind.HOLD, self.asked or "one's own mailbox", request_bytes(self.asked))
        pending.mailbox = self
        self.asking = pending

        def encode(id: int) -> bytes:
            self.requested = True
            return encode_body(Hold(id, self.asked, self._letters, self._bytes))

        return pending, encode

    def told(self, message: Held) -> None:
        """What the session is to the mailbox."""
        self.holding = message.state == HoldState.HOLDING
        if not self.holding:  # what was not settled is given to somebody else, or again
            self._queue.clear()
        self._answered.set()

    def lost(self) -> None:
        """The session is over: what was not settled comes again, or goes to whoever holds it then."""
        self.holding = False
        self._queue.clear()

    def arrived(self, message: LetterMessage) -> None:
        """A letter was given.

        Raises:
            RemoteProtocolError: It is one more than was asked for.
        """
        position = Position(message.epoch, message.offset)
        if position in self._settled:
            self._say(position, failed=False)
            return
        if self._current is not None and self._current.position == position:
            return  # the application is at it
        if any(letter.position == position for letter in self._queue):
            return
        if len(self._queue) >= self._letters:
            detail = f"saw more than {self._letters} letters, which were all that was asked for"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "MBX-6", detail, "message")
        self._queue.append(
            Letter(message.mailbox, position, message.sender, message.time_ms / 1_000, message.tries, message.data)
        )
        self._wake()

    def _wake(self) -> None:
        self._arrival.set()
        self._arrival = trio.Event()

    def finish(self, error: Exception | None) -> None:
        """Nothing more will come."""
        if not self.over:
            self.over, self._error = True, error
            self.lost()
            self._answered.set()
            self._wake()
            self._dialogue.mailboxes.forget(self)


class Mailboxes:
    """All mailboxes that a client holds or waits for.

    Rule: the server has one mailbox under a name, however it was asked for (SPEC MBX-4, MBX-5), so there is one
    `Mailbox` for it here. What one's own is called is known when it is held; until then nothing is asked for, and
    nothing is given up, that may turn out to be the same.
    """

    def __init__(self, dialogue: Dialogue, nursery: trio.Nursery) -> None:
        self._dialogue = dialogue
        self._nursery = nursery
        self._open: dict[str | None, Mailbox] = {}  # by what was asked for, in this order
        self._held: dict[str, Mailbox] = {}  # by the name that the server has told, in the present session
        self._leaving: set[str | None] = set()  # what is being given up, as it was asked for
        self._news = trio.Event()

    async def request(self, pending: Pending, encode: Callable[[int], bytes]) -> None:
        """Hand a request over when it is its turn; only then is it known whether the server has mailboxes.

        Raises:
            PayloadError: The server does not take so long a message.
            SessionClosed: The client is closed.
        """

        def hand_over() -> None:
            if MAILBOXES in self._dialogue.line.features:
                self._dialogue.hand_over(pending, encode)
                return
            error = RequestFailed(ErrorCode.NOT_FOUND, "the server has no mailboxes")
            if pending.mailbox is not None:
                pending.mailbox.finish(error)
            pending.fail(error)

        await self._dialogue.in_turn(pending, hand_over)

    async def enter(self, mailbox: Mailbox) -> None:
        """Ask for it; the answer comes later.

        Raises:
            RuntimeError: The client has it already.
            SessionClosed: The client is closed.
        """
        asked = mailbox.asked
        if asked in self._open or asked in self._held:
            raise _taken(asked)
        self._open[asked] = mailbox
        while self._unclear(mailbox):
            await self._news.wait()
        if asked in self._held:
            raise _taken(asked)
        await self.request(*mailbox.request())

    def _unclear(self, mailbox: Mailbox) -> bool:
        """Whether one that came before may turn out to be the same, or has yet to be given up."""
        if any(_may_be_same(asked, mailbox.asked) for asked in self._leaving):
            return True
        for one in self._open.values():
            if one is mailbox:
                break
            if _may_be_same(one.asked, mailbox.asked) and not (one.over or one in self._held.values()):
                return True
        return False

    def leave(self, mailbox: Mailbox) -> None:
        """Give it up, whatever became of it."""
        asked = mailbox.asked
        if self._open.get(asked) is mailbox:
            del self._open[asked]
            if mailbox.requested and self._dialogue.line.over is None:
                self._leaving.add(asked)
                self._nursery.start_soon(self._leave, mailbox)
            self.forget(mailbox)

    async def _leave(self, mailbox: Mailbox) -> None:
        asked = mailbox.asked
        pending = Pending(Kind.HOLD, asked or "one's own mailbox", request_bytes(asked))
        try:
            if mailbox.name is None:
                await mailbox.asking.wait()  # the answer tells whose it is
            if mailbox.name in self._held:
                return  # it is another one's of this client, which goes on
            await self.request(pending, lambda id: encode_body(Hold(id, asked, 0, 0)))
            await pending.wait()
        except HawserError:
            pass  # the session is over, and with it what it held
        finally:
            self._leaving.discard(asked)
            self._wake()

    def forget(self, mailbox: Mailbox) -> None:
        """It is not held any more, or will not be."""
        if mailbox.name is not None and self._held.get(mailbox.name) is mailbox:
            del self._held[mailbox.name]
        self._wake()

    def _wake(self) -> None:
        self._news.set()
        self._news = trio.Event()

    def opened(self) -> None:
        """A new session: ask for everything again."""
        for mailbox in list(self._open.values()):
            if mailbox.requested and MAILBOXES in self._dialogue.line.features:
                self._dialogue.ask_again(partial(self._again, mailbox))
            elif mailbox.requested:
                mailbox.finish(RequestFailed(ErrorCode.NOT_FOUND, "the server has no mailboxes"))

    def _again(self, mailbox: Mailbox) -> tuple[Pending, Callable[[int], bytes]] | None:
        wanted = mailbox.requested and self._open.get(mailbox.asked) is mailbox
        return mailbox.request() if wanted else None

    def lost(self) -> None:
        """The session is over."""
        self._held.clear()
        for mailbox in self._open.values():
            mailbox.lost()

    def end(self, error: Exception | None) -> None:
        """The client is closed."""
        for mailbox in list(self._open.values()):
            mailbox.finish(error)

    def answered(self, message: Held, pending: Pending | None) -> None:
        """The server tells what the session is to a mailbox, in answer to a request or by itself."""
        mailbox = self._held.get(message.mailbox) if pending is None else pending.mailbox
        if mailbox is None:
            return  # given up
        mailbox.name = message.mailbox
        if self._open.get(mailbox.asked) is not mailbox:
            return  # given up meanwhile
        if message.state == HoldState.ENDED or message.code:
            mailbox.requested = False
            mailbox.finish(RequestFailed(message.code, message.reason))
        elif self._held.setdefault(message.mailbox, mailbox) is not mailbox:
            mailbox.requested = False  # what the other one has is not given up with it
            mailbox.finish(_taken(message.mailbox))
        else:
            mailbox.told(message)
            self._wake()

    def arrived(self, message: LetterMessage) -> None:
        """A letter was given."""
        mailbox = self._held.get(message.mailbox)
        if mailbox is not None:
            mailbox.arrived(message)


def _may_be_same(one: str | None, other: str | None) -> bool:
    """Whether two may be the same mailbox, as they were asked for: one's own is that of some user."""
    return one == other or (None in (one, other) and (one or other or "").startswith(USER))


def _taken(asked: str | None) -> RuntimeError:
    what = "its own mailbox" if asked is None else f"the mailbox {asked!r}"
    return RuntimeError(f"this client has {what} already; share that one")
