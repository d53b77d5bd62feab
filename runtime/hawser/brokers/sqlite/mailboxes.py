"""Letters in the file of a store, beside the channels: the same queue, the same commits.

Who holds a mailbox is kept in this process, for it has the store for itself, and those who hold them end with it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.brokers.base import Published
from hawser.brokers.mailboxes import MailboxStore, News

from .letters import Burial, Failure, Removal, Work

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from hawser.brokers.mailboxes import Keeping, Letter, MailSink, Posting
    from hawser_engine.messages import Position

    from .broker import SqliteBroker


class _Hold:
    """Who has one mailbox, and who wants it."""

    def __init__(self, holder: MailSink) -> None:
        self.holder = holder
        self.waiting: dict[MailSink, None] = {}


class SqliteMailboxes(MailboxStore):
    """The mailboxes of a store."""

    def __init__(self, broker: SqliteBroker) -> None:
        self._broker = broker
        self._holds: dict[str, _Hold] = {}

    async def post(self, posting: Posting) -> Published:
        """See `MailboxStore.post`: it returns when the letter is committed.

        Raises:
            StoreError: It is not stored.
            LetterTooLarge: It is not stored, and is larger than the mailbox may become.
            MailboxFull: It is not stored, as there is no room.
        """
        posting.mailbox.encode()  # a name that is no text fails here, and not for everybody who shares the commit
        published = await self._broker.ask(posting, len(posting.data))
        assert isinstance(published, Published)
        return published

    async def known(self, mailbox: str, key: bytes) -> Position | None:
        """See `MailboxStore.known`: nothing of the file is needed to say so.

        Raises:
            StoreClosed: The store is not open.
        """
        await trio.lowlevel.checkpoint()
        return self._broker.known_letter(mailbox, key)

    async def read(self, mailbox: str, after: int, *, limit: int, limit_bytes: int) -> tuple[Letter, ...]:
        """See `MailboxStore.read`.

        Raises:
            StoreError: It cannot be read.
        """
        await trio.lowlevel.checkpoint()
        return await self._broker.read_letters(mailbox, after, limit, limit_bytes)

    async def remove(self, mailbox: str, sink: MailSink, letters: Collection[Position]) -> bool:
        """See `MailboxStore.remove`.

        Raises:
            StoreError: It cannot be written.
        """
        await trio.lowlevel.checkpoint()
        if not self._holds_it(mailbox, sink):
            return False
        await self._broker.ask(Removal(mailbox, letters), 0)
        return True

    async def fail(self, mailbox: str, sink: MailSink, letters: Collection[Position], keeping: Keeping) -> int | None:
        """See `MailboxStore.fail`.

        Raises:
            StoreError: It cannot be written.
        """
        await trio.lowlevel.checkpoint()
        if not self._holds_it(mailbox, sink):
            return None
        return await self._buried(Failure(mailbox, letters, keeping))

    async def overdue(self) -> Sequence[str]:
        """See `MailboxStore.overdue`."""
        await trio.lowlevel.checkpoint()
        return self._broker.overdue()

    async def bury(self, mailbox: str, keeping: Keeping, sparing: Collection[Position] = ()) -> int:
        """See `MailboxStore.bury`.

        Raises:
            StoreError: It cannot be written.
        """
        return await self._buried(Burial(mailbox, keeping, sparing))

    async def _buried(self, request: Failure | Burial) -> int:
        work = await self._broker.ask(request, 0)
        return work.buried if isinstance(work, Work) else 0  # else there is no such mailbox

    async def hold(self, mailbox: str, sink: MailSink) -> bool:
        """See `MailboxStore.hold`."""
        await trio.lowlevel.checkpoint()
        hold = self._holds.get(mailbox)
        if hold is None:
            self._holds[mailbox] = _Hold(sink)
        elif hold.holder != sink:
            hold.waiting[sink] = None
            return False
        return True

    async def release(self, mailbox: str, sink: MailSink) -> None:
        """See `MailboxStore.release`."""
        await trio.lowlevel.checkpoint()
        hold = self._holds.get(mailbox)
        if hold is None:
            return
        hold.waiting.pop(sink, None)
        if hold.holder == sink:
            del self._holds[mailbox]
            for other in hold.waiting:
                other(mailbox, News.FREED)

    def is_held(self, mailbox: str) -> bool:
        """Whether somebody has it."""
        return mailbox in self._holds

    def _holds_it(self, mailbox: str, sink: MailSink) -> bool:
        hold = self._holds.get(mailbox)
        return hold is not None and hold.holder == sink

    def tell(self, mailbox: str) -> None:
        """Something of a mailbox is committed: its holder may look."""
        hold = self._holds.get(mailbox)
        if hold is not None:
            hold.holder(mailbox, News.POSTED)
