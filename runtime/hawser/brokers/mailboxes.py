"""Letters, kept until whoever holds their mailbox has dealt with them: the contract of what keeps them.

Rule 1: a letter is stored before `MailboxStore.post` returns, and only `MailboxStore.remove` and `MailboxStore.bury`
and its last failure take it away.
Rule 2: one holder at a time, over all nodes. What a holder that is none any more asks for is not done.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from enum import Enum, auto
from math import inf
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias

import attrs
import trio

from hawser_engine.codec import encode_value
from hawser_engine.errors import HawserError

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hawser_engine.channels.entries import Retention
    from hawser_engine.messages import Position

    from .base import Published

Why: TypeAlias = Literal["EXPIRED", "FAILED"]


class MailboxFull(HawserError):
    """A mailbox has no room for one more letter, or there is none for one more mailbox. Nothing was stored."""


class LetterTooLarge(MailboxFull):
    """A mailbox would have no room for a letter if it were empty, or nobody could be given it.

    Nothing was stored, and nothing would be later.
    """


class News(Enum):
    """What the sink of a mailbox is told."""

    POSTED = auto()
    """There is a letter more, or one that failed is to be given again."""
    FREED = auto()
    """Nobody holds it any more: ask again."""
    LOST = auto()
    """This one holds it no more: it was not heard of for too long."""


class MailSink(Protocol):
    """Who holds a mailbox, or wants to. Synchronous, and never raises."""

    def __call__(self, mailbox: str, news: News, /) -> None:
        """Be told of something."""


@attrs.frozen
class DeadLetters:
    """Where letters go that nobody could be given."""

    channel: str
    """The channel in which they are published."""
    retention: Retention
    """How much of it is kept."""


@attrs.frozen
class Keeping:
    """What a mailbox keeps, and for how long."""

    letters: int = 10_000
    """At most so many letters."""
    bytes: int = 64 * 1024 * 1024
    """At most so many bytes of payload."""
    tries: int = 5
    """After so many failures a letter is dead."""
    dead: DeadLetters | None = None
    """Where dead letters are published; None: nowhere."""


@attrs.frozen(eq=False)
class Posting:
    """A letter that has no place yet: what `MailboxStore.post` is told of it."""

    mailbox: str
    """Where it is to be."""
    data: bytes
    """The payload."""
    keeping: Keeping
    """What the mailbox keeps."""
    sender: str | None = None
    """Id of the principal that posted it; None: the application."""
    key: bytes | None = None
    """Its idempotency key; `key_holder` tells whose it is."""
    seconds: float = inf
    """How long it is worth being given to somebody."""

    def check_room(self, letters: int, held: int) -> None:
        """Refuse a letter for which a mailbox has no room.

        Args:
            letters: How many it has.
            held: How many bytes of payload they have together.

        Raises:
            LetterTooLarge: It never will.
            MailboxFull: It may have when something is removed.
        """
        size, keeping = len(self.data), self.keeping
        if size > keeping.bytes:
            what = f"mailbox {self.mailbox!r} has at most {keeping.bytes} bytes, and the letter has {size}"
            raise LetterTooLarge(what)
        if letters >= keeping.letters or held + size > keeping.bytes:
            raise MailboxFull(f"mailbox {self.mailbox!r} is full")


@attrs.frozen
class Letter:
    """A letter as a store keeps it."""

    position: Position
    """Names it; its offset is its place in the mailbox."""
    data: bytes = attrs.field(repr=lambda data: f"<{len(data)} bytes>")
    """The payload, unseen."""
    sender: str | None
    """As it was posted."""
    time_ms: int
    """When it was stored, by the store's clock: milliseconds since the beginning of 1970 (UTC)."""
    tries: int = 0
    """How often it has failed."""


class MailboxStore(ABC):
    """Where letters wait.

    Every method is a checkpoint, raises `BrokerUnavailable` where the store cannot do its work, and if it raises
    `trio.Cancelled` has done either everything or nothing.
    """

    async def run(self) -> None:
        """Do what has to be done in the background until cancelled, such as renewing what this process holds."""
        await trio.sleep_forever()

    @abstractmethod
    async def post(self, posting: Posting) -> Published:
        """Store a letter behind all others of its mailbox.

        Args:
            posting: The letter. A second one with its key to this mailbox within five minutes is not stored, and its
                answer is the first one's, whatever has become of that letter.

        Raises:
            LetterTooLarge: It is not stored, and is larger than the mailbox may become (SPEC MBX-11).
            MailboxFull: It is not stored, as there is no room.
        """

    @abstractmethod
    async def known(self, mailbox: str, key: bytes) -> Position | None:
        """What `post` would answer to a second letter with this key; None if it would store it.

        Args:
            mailbox: The mailbox.
            key: The key.
        """

    @abstractmethod
    async def hold(self, mailbox: str, sink: MailSink) -> bool:
        """Become the one who is given the letters of a mailbox.

        Args:
            mailbox: The mailbox.
            sink: Told what happens to it, until `release`.

        Returns:
            False if somebody else holds it; then the sink is told once it may ask again.
        """

    @abstractmethod
    async def release(self, mailbox: str, sink: MailSink) -> None:
        """Hold it no more, or want to no more. Doing so twice is harmless.

        Args:
            mailbox: The mailbox.
            sink: The one that held it, or wanted to; it is not called any more when this returns.
        """

    @abstractmethod
    async def read(self, mailbox: str, after: int, *, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        """Letters of a mailbox whose time is not over, in order.

        Args:
            mailbox: The mailbox.
            after: Only those behind this offset.
            limit: At most so many.
            limit_bytes: Of at most so many bytes of payload, but always one.
        """

    @abstractmethod
    async def remove(self, mailbox: str, sink: MailSink, letters: Collection[Position]) -> bool:
        """Letters are dealt with: forget them; those that are not there are passed over.

        Args:
            mailbox: The mailbox.
            sink: Who holds it.
            letters: Their places.

        Returns:
            False if the sink does not hold the mailbox; then nothing was done.
        """

    @abstractmethod
    async def fail(self, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping) -> int | None:
        """Letters have failed: they have one try less, and are dead if that was the last.

        Args:
            mailbox: The mailbox.
            sink: Who holds it; it is told when it can be given them again.
            letters: Their places.
            keeping: What the mailbox keeps.

        Returns:
            How many of them are dead; None if the sink does not hold the mailbox, and then nothing was done.
        """

    @abstractmethod
    async def overdue(self) -> Sequence[str]:
        """Mailboxes with letters whose time is over, which nobody holds or this process does; some at a time."""

    @abstractmethod
    async def bury(self, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()) -> int:
        """Take away letters whose time is over, some at a time, and publish them where dead letters go, in one step.

        Args:
            mailbox: The mailbox.
            keeping: What it keeps.
            sparing: Those that somebody is at.

        Returns:
            How many they were.
        """


def dead_letter(mailbox: str, letter: Letter, why: Why) -> bytes:
    """What is published of a dead letter (SPEC MBX-14)."""
    position = letter.position
    said = {
        "mailbox": mailbox,
        "epoch": position.epoch,
        "offset": position.offset,
        "sender": letter.sender,
        "time_ms": letter.time_ms,
        "tries": letter.tries,
        "data": letter.data,
        "why": why,
    }
    return encode_value(said, limit=len(letter.data) + 1_024)
