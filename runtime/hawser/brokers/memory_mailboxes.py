"""Letters in this process alone.

Everything happens in one step, but for what is published of dead letters, which is not cancelled: so a cancelled call
has done everything or nothing.
"""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from itertools import islice
from typing import TYPE_CHECKING, Final

import attrs
import trio

from hawser.amounts import check_amounts
from hawser_engine.messages import Position

from .base import Published
from .mailboxes import Letter, LetterTooLarge, MailboxFull, MailboxStore, News, dead_letter
from .memory_keys import MemoryKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from .base import Broker
    from .mailboxes import Keeping, MailSink, Posting, Why

SOME: Final = 64
"""What is looked for at once."""
LETTERS_BYTES_MAX: Final = 512 * 1024 * 1024
"""As much as channels have for history, see `hawser.brokers.memory_history`."""
LETTER_BYTES: Final = 512
"""What a letter takes beside its payload: 360 to 410 bytes were measured."""


def _charge(data: bytes) -> int:
    return LETTER_BYTES + len(data)


@attrs.define(eq=False)
class _Kept:
    """One letter."""

    letter: Letter
    expires: float
    """When its time is over, in ms since 1970."""


class _Mailbox:
    """One mailbox."""

    __slots__ = ("bytes", "epoch", "holder", "kept", "name", "top", "waiting")

    def __init__(self, name: str, epoch: bytes) -> None:
        self.name = name
        self.epoch = epoch
        self.top = 0
        self.kept: dict[int, _Kept] = {}
        self.bytes = 0
        self.holder: MailSink | None = None
        self.waiting: dict[MailSink, None] = {}

    @property
    def idle(self) -> bool:
        """Whether nothing is lost with it."""
        return not (self.kept or self.holder or self.waiting)

    def take(self, position: Position) -> _Kept | None:
        """Take a letter out, if it is there."""
        kept = self.kept.get(position.offset)
        if kept is None or kept.letter.position != position:
            return None
        del self.kept[position.offset]
        self.bytes -= len(kept.letter.data)
        return kept

    def put_back(self, kept: _Kept) -> None:
        """Put a letter where it was."""
        self.kept[kept.letter.position.offset] = kept
        self.kept = dict(sorted(self.kept.items()))
        self.bytes += len(kept.letter.data)

    def tell(self) -> None:
        """There is something to be given."""
        if self.holder is not None:
            self.holder(self.name, News.POSTED)


class MemoryMailboxes(MailboxStore):
    """Keeps letters in this process.

    Args:
        broker: Where dead letters are published.
        random_bytes: Where epochs come from.
        clock: Seconds since the beginning of 1970 (UTC): what letters are dated and expire by.
        mailboxes_max: Mailboxes kept at once; beyond, the one unused for longest that is empty and that nobody holds
            makes room.
        keys: Where the keys of letters are remembered, beside those of publications; None: for themselves.
        bytes_max: So much all mailboxes have together, in payloads and 512 bytes for each letter; beyond, letters are
            refused.

    Raises:
        ValueError: An amount is below 1.
    """

    def __init__(
        self,
        broker: Broker,
        *,
        random_bytes: Callable[[int], bytes] = secrets.token_bytes,
        clock: Callable[[], float] = time.time,
        mailboxes_max: int = 100_000,
        keys: MemoryKeys | None = None,
        bytes_max: int = LETTERS_BYTES_MAX,
    ) -> None:
        check_amounts(1, mailboxes_max=mailboxes_max, bytes_max=bytes_max)
        self.bytes_max: int = bytes_max
        """May be changed at any time."""
        self._charged = 0
        self._broker = broker
        self._random_bytes = random_bytes
        self._clock = clock
        self._mailboxes_max = mailboxes_max
        self._mailboxes: dict[str, _Mailbox] = {}
        self._idle: OrderedDict[str, None] = OrderedDict()  # those that could make room, unused for longest first
        self._keys = MemoryKeys() if keys is None else keys

    # ------------------------------------------------------------ letters

    async def post(self, posting: Posting) -> Published:
        """See `MailboxStore.post`."""
        await trio.lowlevel.checkpoint()
        now = trio.current_time()
        known = self._keys.known(posting.mailbox.encode(), posting.key, now)
        if known is not None:
            return Published(known, True)
        before = self._mailboxes.get(posting.mailbox)
        posting.check_room(*((0, 0) if before is None else (len(before.kept), before.bytes)))
        self._check_room(_charge(posting.data))
        mailbox = self._mailbox(posting.mailbox)
        mailbox.top += 1
        position, now_ms = Position(mailbox.epoch, mailbox.top), self._now_ms()
        letter = Letter(position, posting.data, posting.sender, int(now_ms))
        mailbox.kept[mailbox.top] = _Kept(letter, now_ms + posting.seconds * 1_000)
        mailbox.bytes += len(posting.data)
        self._charged += _charge(posting.data)
        self._keys.remember(posting.mailbox.encode(), posting.key, position, now)
        self._touch(mailbox)
        mailbox.tell()
        return Published(position, False)

    async def known(self, mailbox: str, key: bytes) -> Position | None:
        """See `MailboxStore.known`."""
        await trio.lowlevel.checkpoint()
        return self._keys.known(mailbox.encode(), key, trio.current_time())

    async def read(self, mailbox: str, after: int, *, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        """See `MailboxStore.read`."""
        await trio.lowlevel.checkpoint()
        box, now_ms = self._mailboxes.get(mailbox), self._now_ms()
        found: list[Letter] = []
        size = 0
        for offset, kept in () if box is None else box.kept.items():
            if offset > after and kept.expires > now_ms:
                size += len(kept.letter.data)
                if len(found) == limit or (found and size > limit_bytes):
                    break
                found.append(kept.letter)
        return tuple(found)

    async def remove(self, mailbox: str, sink: MailSink, letters: Collection[Position]) -> bool:
        """See `MailboxStore.remove`."""
        await trio.lowlevel.checkpoint()
        box = self._held(mailbox, sink)
        if box is None:
            return False
        for position in letters:
            self._take(box, position)
        return True

    async def fail(self, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping) -> int | None:
        """See `MailboxStore.fail`."""
        await trio.lowlevel.checkpoint()
        box = self._held(mailbox, sink)
        if box is None:
            return None
        dead: list[_Kept] = []
        for position in letters:
            kept = box.kept.get(position.offset)
            if kept is not None and kept.letter.position == position:
                kept.letter = attrs.evolve(kept.letter, tries=kept.letter.tries + 1)
                if kept.letter.tries >= keeping.tries:
                    dead.append(kept)
        buried = await self._bury(box, dead, "FAILED", keeping)
        box.tell()
        return buried

    async def overdue(self) -> Sequence[str]:
        """See `MailboxStore.overdue`."""
        await trio.lowlevel.checkpoint()
        now_ms = self._now_ms()
        due = (
            name for name, box in self._mailboxes.items() if any(kept.expires <= now_ms for kept in box.kept.values())
        )
        return tuple(islice(due, SOME))

    async def bury(self, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()) -> int:
        """See `MailboxStore.bury`."""
        await trio.lowlevel.checkpoint()
        box, now_ms = self._mailboxes.get(mailbox), self._now_ms()
        if box is None:
            return 0
        due = (kept for kept in box.kept.values() if kept.expires <= now_ms)
        dead = list(islice((kept for kept in due if kept.letter.position not in sparing), SOME))
        return await self._bury(box, dead, "EXPIRED", keeping)

    # ------------------------------------------------------------ holders

    async def hold(self, mailbox: str, sink: MailSink) -> bool:
        """See `MailboxStore.hold`."""
        await trio.lowlevel.checkpoint()
        box = self._mailbox(mailbox)
        if box.holder is not None and box.holder != sink:
            box.waiting[sink] = None
            return False
        box.waiting.pop(sink, None)
        box.holder = sink
        self._touch(box)
        return True

    async def release(self, mailbox: str, sink: MailSink) -> None:
        """See `MailboxStore.release`."""
        await trio.lowlevel.checkpoint()
        box = self._mailboxes.get(mailbox)
        if box is None:
            return
        box.waiting.pop(sink, None)
        if box.holder == sink:
            box.holder = None
            waiting, box.waiting = box.waiting, {}
            for other in waiting:
                other(mailbox, News.FREED)
        self._touch(box)

    # ------------------------------------------------------------ below it

    def _now_ms(self) -> float:
        return self._clock() * 1_000

    def _held(self, mailbox: str, sink: MailSink) -> _Mailbox | None:
        box = self._mailboxes.get(mailbox)
        return box if box is not None and box.holder == sink else None

    def _mailbox(self, name: str) -> _Mailbox:
        box = self._mailboxes.get(name)
        if box is None:
            if len(self._mailboxes) >= self._mailboxes_max:
                oldest = next(iter(self._idle), None)
                if oldest is None:
                    raise MailboxFull(f"there are {len(self._mailboxes)} mailboxes, and none of them is empty")
                del self._idle[oldest], self._mailboxes[oldest]
            box = self._mailboxes[name] = _Mailbox(name, self._random_bytes(8))
        return box

    def _check_room(self, size: int) -> None:
        if size > self.bytes_max:
            raise LetterTooLarge(f"all mailboxes have at most {self.bytes_max} bytes, and the letter counts for {size}")
        if self._charged + size > self.bytes_max:
            raise MailboxFull(f"all mailboxes have {self._charged} bytes of letters, and at most {self.bytes_max}")

    def _take(self, box: _Mailbox, position: Position) -> _Kept | None:
        kept = box.take(position)
        if kept is not None:
            self._charged -= _charge(kept.letter.data)
        return kept

    def _put_back(self, box: _Mailbox, kept: _Kept) -> None:
        box.put_back(kept)
        self._charged += _charge(kept.letter.data)

    def _touch(self, box: _Mailbox) -> None:
        self._idle.pop(box.name, None)
        if box.idle:
            self._idle[box.name] = None

    async def _bury(self, box: _Mailbox, dead: Sequence[_Kept], why: Why, keeping: Keeping) -> int:
        """Take letters away and publish them; where that cannot be done they stay. Returns how many."""
        taken = [kept for kept in dead if self._take(box, kept.letter.position)]
        count = len(taken)
        while taken:
            if keeping.dead is not None:
                letter = taken[0].letter
                try:
                    with trio.CancelScope(shield=True):
                        await self._broker.publish(
                            keeping.dead.channel,
                            dead_letter(box.name, letter, why),
                            retention=keeping.dead.retention,
                        )
                except BaseException:
                    for kept in taken:
                        self._put_back(box, kept)
                    raise
            del taken[0]
        self._touch(box)
        return count
