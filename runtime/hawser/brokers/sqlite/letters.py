"""What a store knows of its mailboxes without reading, as pure state; the letters themselves are in the file alone.

What needs no letter is planned on the event loop, as for channels. What does, taking letters out, is done by the thread
that writes the change, on the drafts that are in it: nobody else has them before the commit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeAlias

import attrs

from hawser.brokers.base import Published
from hawser.brokers.mailboxes import Keeping, Letter, MailboxFull, Posting, Why, dead_letter
from hawser_engine.messages import Position

from .errors import Spoiled
from .schema import select

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Collection, Sequence

    from .book import Book, Change, Head

LASTS_MAX_SECONDS: Final = 2.0**40
"""Longer than anything lasts, and a number of milliseconds that the file can hold."""

BURY_LETTERS: Final = 64
"""Letters that are taken out at once because their time is over."""

LetterRow: TypeAlias = tuple[int, int, bytes, str | None, int, int, int | None, bytes]
"""Mailbox, offset, epoch, sender, time, tries, expires, data; see ``schema``."""
BoxRow: TypeAlias = tuple[int, str, bytes, int, int, int, int]
"""Id, name, epoch, top, letters, bytes, used."""


@attrs.define(eq=False)
class Box:
    """One mailbox, without its letters."""

    id: int
    """Its number in the file."""
    name: str
    epoch: bytes
    top: int = 0
    """The newest offset."""
    letters: int = 0
    """How many there are …"""
    bytes: int = 0
    """… and the bytes of their payloads."""
    used: int = 0
    """The commit that changed it last."""
    due: int | None = None
    """No letter expires before this, in ms since 1970; None: none does at all."""

    def row(self) -> BoxRow:
        """As it stands in the file."""
        return self.id, self.name, self.epoch, self.top, self.letters, self.bytes, self.used


@attrs.frozen(eq=False)
class Removal:
    """A request to take letters out because they are dealt with."""

    mailbox: str
    letters: Collection[Position]


@attrs.frozen(eq=False)
class Failure:
    """A request to note that letters have failed."""

    mailbox: str
    letters: Collection[Position]
    keeping: Keeping


@attrs.frozen(eq=False)
class Burial:
    """A request to take letters out whose time is over, but for some."""

    mailbox: str
    keeping: Keeping
    sparing: Collection[Position]


MailRequest: TypeAlias = Posting | Removal | Failure | Burial


@attrs.define(eq=False)
class Work:
    """What the thread that writes does with letters; its own answer, when that is committed."""

    request: Removal | Failure | Burial
    box: Box
    """The draft of the mailbox."""
    dead: Head | None
    """The draft of the channel in which dead letters are published."""
    buried: int = 0
    """How many letters were dead."""


class MailBook:
    """All mailboxes of a store.

    Args:
        book: The channels and keys of the store.
        rows: What the file holds, unused for longest first; and when the first letter of each expires, if any does.
        random_bytes: Where epochs come from.
        mailboxes_max: Mailboxes kept at once; beyond, the one unused for longest that is empty and that nobody holds
            makes room.
        is_held: Whether somebody holds a mailbox.
    """

    def __init__(
        self,
        book: Book,
        rows: Sequence[tuple[BoxRow, int | None]],
        random_bytes: Callable[[int], bytes],
        mailboxes_max: int,
        is_held: Callable[[str], bool],
    ) -> None:
        self._book = book
        self._is_held = is_held
        self._boxes = {row[1]: Box(*row, due=due) for row, due in rows}
        self._random_bytes = random_bytes
        self._mailboxes_max = mailboxes_max
        self._next = 1 + max((row[0] for row, _ in rows), default=0)

    def __len__(self) -> int:
        return sum(box.letters for box in self._boxes.values())

    def box(self, mailbox: str) -> Box | None:
        """A mailbox, or None if there is no such."""
        return self._boxes.get(mailbox)

    def overdue(self, date: int) -> list[str]:
        """Mailboxes with letters that may have expired."""
        return [name for name, box in self._boxes.items() if box.due is not None and box.due <= date]

    def plan(self, change: Change, request: MailRequest, now: int, date: int) -> Published | MailboxFull | Work | None:
        """Have a change do what is asked for; the answer."""
        if isinstance(request, Posting):
            return self._post(change, request, now, date)
        box = self._draft(change, request.mailbox)
        if box is None:
            return None
        dead = None if isinstance(request, Removal) else request.keeping.dead
        work = Work(request, box, None if dead is None else self._book.draft(change, dead.channel))
        change.works.append(work)
        return work

    def _post(self, change: Change, request: Posting, now: int, date: int) -> Published | MailboxFull:
        keys, scope = self._book.keys, request.mailbox.encode()
        known = keys.known(change, scope, request.key)
        if known is not None:
            return Published(known, True)
        before = change.boxes.get(request.mailbox) or self._boxes.get(request.mailbox)
        try:
            request.check_room(*((0, 0) if before is None else (before.letters, before.bytes)))
        except MailboxFull as full:
            return full.with_traceback(None)
        box = self._draft(change, request.mailbox) or self._make(change, request.mailbox)
        if box is None:
            return MailboxFull(f"there are {len(self._boxes)} mailboxes, and none of them is empty")
        box.top += 1
        box.letters += 1
        box.bytes += len(request.data)
        expires = None if request.seconds >= LASTS_MAX_SECONDS else date + round(request.seconds * 1_000)
        if expires is not None:
            box.due = expires if box.due is None else min(box.due, expires)
        change.letters.append((box.id, box.top, box.epoch, request.sender, date, 0, expires, request.data))
        position = Position(box.epoch, box.top)
        keys.remember(change, scope, request.key, position, now)
        return Published(position, False)

    def _draft(self, change: Change, mailbox: str) -> Box | None:
        """A mailbox as this change will leave it; None if there is none."""
        box = change.boxes.get(mailbox)
        if box is None and (known := self._boxes.get(mailbox)) is not None:
            box = change.boxes[mailbox] = attrs.evolve(known)
        return box

    def _make(self, change: Change, mailbox: str) -> Box | None:
        """A new mailbox; None if there is no room for it."""
        new = sum(1 for name in change.boxes if name not in self._boxes)
        if len(self._boxes) + new >= self._mailboxes_max:
            free = (
                name
                for name, box in self._boxes.items()
                if not box.letters and not self._is_held(name) and name not in change.boxes
            )
            oldest = next(free, None)
            if oldest is None:
                return None
            change.emptied[oldest] = self._boxes.pop(oldest)
        box = change.boxes[mailbox] = Box(self._next, mailbox, self._random_bytes(8))
        self._next += 1
        return box

    def apply(self, change: Change) -> None:
        """A change is committed."""
        for name, box in change.boxes.items():
            self._boxes.pop(name, None)
            self._boxes[name] = box

    def revoke(self, change: Change) -> None:
        """A change could not be committed."""
        self._boxes = {**change.emptied, **self._boxes}


# ---------------------------------------------------------------- in the thread that writes


def carry_out(writer: sqlite3.Connection, change: Change, work: Work) -> None:
    """Take letters out, and publish those that are dead."""
    match work.request:
        case Removal(letters=places):
            for place in places:
                _take(writer, work.box, place)
        case Failure(letters=places, keeping=keeping):
            for place in places:
                letter = _find(writer, work.box, place)
                if letter is not None and letter.tries + 1 >= keeping.tries:
                    _bury(writer, change, work, attrs.evolve(letter, tries=letter.tries + 1), "FAILED", keeping)
                elif letter is not None:
                    where = work.box.id, place.offset
                    writer.execute(_TRIED, where)
        case Burial(keeping=keeping, sparing=spared):
            limit = BURY_LETTERS + len(spared)
            which = "WHERE mailbox = ? AND expires <= ? ORDER BY expires LIMIT ?"
            rows = [*select(writer, "letters", which, work.box.id, change.date, limit)]
            for letter in sorted(map(_letter, rows), key=lambda letter: letter.position.offset):
                if letter.position not in spared:
                    _bury(writer, change, work, letter, "EXPIRED", keeping)
            (work.box.due,) = writer.execute(
                "SELECT min(expires) FROM letters WHERE mailbox = ?", (work.box.id,)
            ).fetchone()


_TRIED: Final = (
    "UPDATE letters SET tries = tries + 1,"
    " sum = row_sum(mailbox, offset, epoch, sender, time, tries + 1, expires, data) WHERE mailbox = ? AND offset = ?"
)


def read_letters(
    reader: sqlite3.Connection, mailbox: int, after: int, date: int, limit: int, limit_bytes: int
) -> tuple[tuple[Letter, ...], bool]:
    """Letters behind an offset whose time is not over, and whether there are no more."""
    which = "WHERE mailbox = ? AND offset > ? AND (expires IS NULL OR expires > ?) ORDER BY offset LIMIT ?"
    letters: list[Letter] = []
    size = 0
    for row in select(reader, "letters", which, mailbox, after, date, limit):
        letter = _letter(row)
        if letter.position.offset <= after:
            raise Spoiled("the letters of a mailbox are not in their order")
        after = letter.position.offset
        size += len(letter.data)
        if letters and size > limit_bytes:
            return tuple(letters), False
        letters.append(letter)
    return tuple(letters), len(letters) < limit


def check_letters(reader: sqlite3.Connection, mailbox: int) -> None:
    """Look whether a mailbox has what it should have.

    Raises:
        Spoiled: It has not.
    """
    found = reader.execute(
        "SELECT letters, bytes, (SELECT count(*) FROM letters NOT INDEXED WHERE mailbox = mailboxes.id),"
        " (SELECT coalesce(sum(length(data)), 0) FROM letters NOT INDEXED WHERE mailbox = mailboxes.id)"
        " FROM mailboxes WHERE id = ?",
        (mailbox,),
    ).fetchone()
    if found is not None and found[:2] != found[2:]:
        raise Spoiled(f"a mailbox has {found[2]} letters of {found[0]}, and {found[3]} bytes of {found[1]}")


def _letter(row: LetterRow) -> Letter:
    _, offset, epoch, sender, time, tries, _, data = row
    return Letter(Position(epoch, offset), data, sender, time, tries)


def _find(writer: sqlite3.Connection, box: Box, place: Position) -> Letter | None:
    which = "WHERE mailbox = ? AND offset = ? AND epoch = ?"
    rows = [*select(writer, "letters", which, box.id, place.offset, place.epoch)]
    return _letter(rows[0]) if rows else None


def _take(writer: sqlite3.Connection, box: Box, place: Position) -> None:
    where = box.id, place.offset, place.epoch
    condition = "mailbox = ? AND offset = ? AND epoch = ?"
    found = writer.execute(f"SELECT length(data) FROM letters WHERE {condition}", where).fetchone()
    if found is not None:
        writer.execute(f"DELETE FROM letters WHERE {condition}", where)
        box.letters -= 1
        box.bytes -= found[0]


def _bury(writer: sqlite3.Connection, change: Change, work: Work, letter: Letter, why: Why, keeping: Keeping) -> None:
    _take(writer, work.box, letter.position)
    work.buried += 1
    if work.dead is not None and keeping.dead is not None:
        change.enter(work.dead, dead_letter(work.box.name, letter, why), keeping.dead.retention, change.date)
