"""Requests that wait for their answer, and the limit on how many may (SPEC OPS-1, OPS-2).

Rule: wait first, then hand over in one synchronous step. A request that was cancelled while it waited for room was
never made; one that was cancelled while it waited for its answer was made, and its answer is dropped when it comes.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import trio

from hawser.errors import NotSent, OutcomeUnknown, RequestLost
from hawser_engine.agents import Offered
from hawser_engine.calls import ErrorReply, Reply
from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError
from hawser_engine.mailboxes import Held
from hawser_engine.messages import Listening, Page, Sent, Subscribed, Unsubscribed
from hawser_engine.messages import Published as PublishedMessage
from hawser_engine.presence import Present

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from hawser.brokers import Published
    from hawser.pages import Asked
    from hawser.streams import CallerFlow
    from hawser.to import Target

    from .directs import Directs
    from .mailboxes import Mailbox
    from .offering import Offering
    from .presence import Presence
    from .reopening import Again
    from .subscription import Subscription


HEAD_BYTES: Final = 64
"""What a request has beside its names and its payload, at most, unless it is a publication or the like."""


def request_bytes(name: str | None) -> int:
    """How long a request about something of this name is, at most: on the wire, where the server counts."""
    return HEAD_BYTES + len((name or "").encode())


class Kind(Enum):
    """What was asked for."""

    PUBLISH = "publication"
    CALL = "call"
    SUBSCRIBE = "subscription"
    UNSUBSCRIBE = "end of a subscription"
    PRESENCE = "presence"
    POST = "letter"
    HOLD = "mailbox"
    OFFER = "offer"
    WITHDRAW = "end of an offer"
    SEND = "message"
    LISTEN = "listening"
    READ = "page of history"


Answer: TypeAlias = (
    PublishedMessage
    | Reply
    | Subscribed
    | Unsubscribed
    | Present
    | Held
    | Offered
    | Sent
    | Listening
    | Page
    | ErrorReply
)

ANSWERS: Final[Mapping[Kind, type[Answer]]] = {
    Kind.PUBLISH: PublishedMessage,
    Kind.CALL: Reply,
    Kind.SUBSCRIBE: Subscribed,
    Kind.UNSUBSCRIBE: Unsubscribed,
    Kind.PRESENCE: Present,
    Kind.POST: PublishedMessage,
    Kind.HOLD: Held,
    Kind.OFFER: Offered,
    Kind.WITHDRAW: Offered,
    Kind.SEND: Sent,
    Kind.LISTEN: Listening,
    Kind.READ: Page,
}
"""What belongs to each, beside ERROR (SPEC MSG-2)."""


class Pending:
    """One request without an answer."""

    __slots__ = (
        "_error",
        "_event",
        "_value",
        "after",
        "again",
        "answered",
        "detail",
        "directs",
        "flow",
        "key",
        "kind",
        "mailbox",
        "offering",
        "ordinal",
        "page",
        "presence",
        "reopens",
        "size",
        "subscriptions",
        "targets",
    )

    def __init__(self, kind: Kind, detail: str, size: int, key: bytes | None = None) -> None:
        self.kind: Kind = kind
        self.detail: str = detail
        self.size: int = size
        self.key: bytes | None = key
        self.ordinal: int = 0
        self.answered: bool = False
        self.subscriptions: list[Subscription] = []
        """What a SUBSCRIBE asked for, in its order."""
        self.flow: CallerFlow | None = None
        """The items of a STREAM."""
        self.offering: Offering | None = None
        """What an OFFER offers."""
        self.presence: Presence | None = None
        """What a PRESENCE is for, to be told if it is refused."""
        self.mailbox: Mailbox | None = None
        """What a HOLD is for, to be told the answer."""
        self.directs: Directs | None = None
        """What a LISTEN is for, to be told if it is refused."""
        self.targets: tuple[Target, ...] = ()
        """To whom a SEND goes, in its order."""
        self.page: Asked | None = None
        """What a READ asks for."""
        self.again: Again | None = None
        """What asks for the same once more, if this is asked for again after a reset …"""
        self.reopens: int = 0
        """… and how often that was refused for now."""
        self.after: Pending | None = None
        """What must not have been lost when this is handed over."""
        self._value: Any = None
        self._error: Exception | None = None
        self._event: trio.Event | None = None

    def fits(self, answer: Answer) -> bool:
        """Whether it may be the answer to this (SPEC MSG-2)."""
        match answer:
            case ErrorReply():
                return True
            case Subscribed():
                asked = [subscription.channel for subscription in self.subscriptions]
                return self.kind is Kind.SUBSCRIBE and [outcome.channel for outcome in answer.channels] == asked
            case Sent():
                return self.kind is Kind.SEND and len(answer.outcomes) == len(self.targets)
            case _:
                return isinstance(answer, ANSWERS[self.kind])

    def check_order(self) -> None:
        """Refuse to be handed over where what it comes after was lost.

        Raises:
            NotSent: That was lost.
        """
        before = None if self.after is None else self.after._error
        if isinstance(before, RequestLost):
            raise NotSent(f"{self.kind.value} {self.detail!r}", self.key, before.reason)

    def succeed(self, value: Any) -> None:
        """The answer has come."""
        self._value = value
        self._finish()

    def fail(self, error: Exception) -> None:
        """An error has come instead, or nothing will."""
        self._error = error
        self._finish()

    def _finish(self) -> None:
        self.answered = True
        if self.flow is not None:
            self.flow.end()
        if self._event is not None:
            self._event.set()

    async def wait(self) -> Any:
        """Wait for the answer; always a checkpoint."""
        if self.answered:
            await trio.lowlevel.checkpoint()
        else:
            if self._event is None:
                self._event = trio.Event()
            await self._event.wait()
        return self.outcome()

    def outcome(self) -> Any:
        """The answer that has come.

        Raises:
            Exception: An error came instead, or nothing will.
        """
        if self._error is not None:
            raise self._error
        return self._value


class Receipt:
    """A publication that was handed over and whose outcome can be waited for; `Client.submit` makes it."""

    __slots__ = ("key", "pending")

    def __init__(self, pending: Pending, key: bytes | None) -> None:
        self.pending: Pending = pending
        """The request itself; for the client."""
        self.key: bytes | None = key
        """Its idempotency key: publish again with it if the outcome is unknown. None if it is volatile."""

    async def wait(self) -> Published:
        """Wait until the server has accepted the publication. May be called again, and by several tasks.

        Raises:
            RequestFailed: The server answered with an error.
            OutcomeUnknown: The session was reset; it may have been published. Publish again with `key`.
            NotSent: The session was reset before it left. Publish again.
        """
        published: Published = await self.pending.wait()
        return published


class Operations:
    """All requests of one client that are open, by id."""

    def __init__(self) -> None:
        self._open: dict[int, Pending] = {}
        self._last_id = 0
        self._counted = 0
        self._bytes = 0
        self._turn = trio.StrictFIFOLock()
        self._vacancy = trio.Event()

    @property
    def unanswered(self) -> int:
        """How many requests have no answer yet."""
        return len(self._open)

    def has_room(self, size: int, count_max: int, bytes_max: int) -> bool:
        """Whether one more operation may be made now."""
        return not self._counted or (self._counted < count_max and self._bytes + size <= bytes_max)

    async def in_turn(self, ready: Callable[[], bool], make: Callable[[], None]) -> None:
        """Wait for one's turn and until ``ready()``, then call ``make()``: one after the other, in order of asking.

        Raising Cancelled means that ``make`` was not called.
        """
        async with self._turn:
            while not ready():
                await self._vacancy.wait()
            make()

    async def change(self) -> None:
        """Wait until something has changed on which room may depend."""
        await self._vacancy.wait()

    def changed(self) -> None:
        """Something has changed on which ``ready`` may depend."""
        self._vacancy.set()
        self._vacancy = trio.Event()

    def add(self, pending: Pending) -> int:
        """Give a request its id."""
        pending.after = None  # or each request would keep all those before it alive
        self._last_id += 1
        self._open[self._last_id] = pending
        if pending.kind is not Kind.CALL:
            self._counted += 1
            self._bytes += pending.size
        return self._last_id

    def flow(self, id: int) -> CallerFlow | None:
        """The items of an open call; None if there is no such call, or it has none."""
        pending = self._open.get(id)
        return None if pending is None else pending.flow

    def answered(self, answer: Answer) -> Pending | None:
        """The request that an answer names, which is then no longer open; None if none is, or it names none (MSG-6).

        Raises:
            RemoteProtocolError: It is no answer to that, which stays open (SPEC MSG-2).
        """
        if answer.id is None or (pending := self._open.get(answer.id)) is None:
            return None
        if not pending.fits(answer):
            detail = f"saw {answer.NAME} as the answer to a {pending.kind.value}, and it is none"
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "MSG-2", detail, "message")
        self.drop(answer.id)
        return pending

    def drop(self, id: int) -> None:
        """A request is no longer open."""
        pending = self._open.pop(id)
        if pending.kind is not Kind.CALL:
            self._counted -= 1
            self._bytes -= pending.size
            self.changed()

    def lose(self, numbered: int, reason: int) -> None:
        """The session is over: every request ends, by whether it had a number (SPEC RST-9). Ids begin again at 1.

        Args:
            numbered: The ordinal of the last message of the session that had one.
            reason: Why the session ended.
        """
        for pending in self._take_all():
            kind: type[RequestLost] = OutcomeUnknown if pending.ordinal <= numbered else NotSent
            pending.fail(kind(f"{pending.kind.value} {pending.detail!r}", pending.key, reason))
        self._last_id = 0

    def end(self, error: Exception) -> None:
        """The client is over: every request ends with the same error."""
        for pending in self._take_all():
            pending.fail(error)

    def _take_all(self) -> list[Pending]:
        everything = list(self._open.values())
        self._open.clear()
        self._counted = self._bytes = 0
        self.changed()
        return everything
