"""What waits to be written, in order and within bounds; whoever finds it full waits for room."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final

import trio

from hawser.brokers.base import PositionMoved, Published
from hawser.brokers.mailboxes import MailboxFull

from .errors import StoreError, again

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from hawser.brokers.base import Submission

    from .book import Answer, Asked
    from .letters import Work

QUEUE_REQUESTS: Final = 1_024
QUEUE_BYTES: Final = 16 * 1_048_576
BATCH_REQUESTS: Final = 256
BATCH_BYTES: Final = 4 * 1_048_576
"""One commit; one request always."""


class Waiting:
    """A request, and who waits for its answer."""

    __slots__ = ("answered", "asked", "outcome", "size", "withdrawn")

    def __init__(self, asked: Asked, size: int) -> None:
        self.asked: Asked = asked
        self.size: int = size
        self.outcome: Answer | StoreError = None
        self.answered: trio.Event = trio.Event()
        self.withdrawn: bool = False

    def answer(self, outcome: Answer | StoreError) -> None:
        """Tell whoever waits."""
        self.outcome = outcome
        self.answered.set()


class WriteQueue:
    """Requests that wait for their commit."""

    def __init__(self) -> None:
        self._waiting: deque[Waiting] = deque()
        self._bytes = 0
        self._lot = trio.lowlevel.ParkingLot()  # who waits for room, first come first
        self._filled = trio.Event()
        self._closed: StoreError | None = None

    async def ask(self, asked: Asked, size: int) -> Published | Work | None:
        """Wait for room, then for the commit.

        A cancellation takes back what is not being written yet; else it is written all the same.

        Args:
            asked: What is to be done.
            size: Bytes of its payload.

        Raises:
            StoreError: It was not done.
            MailboxFull: It was a letter, and there is no room for it, or never will be.
            PositionMoved: It was a publication, and the channel is not where it was to find it.
        """
        waiting = Waiting(asked, size)
        await self._finish([waiting])
        if isinstance(waiting.outcome, StoreError):
            raise again(waiting.outcome)
        if isinstance(waiting.outcome, (MailboxFull, PositionMoved)):
            raise waiting.outcome
        return waiting.outcome

    async def publish(self, submissions: Iterable[Submission]) -> list[Published | StoreError]:
        """Like `ask`, of several: nothing else comes between those for which there is room at once."""
        waiting = [Waiting(one, len(one.data)) for one in submissions]
        await self._finish(waiting)
        outcomes: list[Published | StoreError] = []
        for one in waiting:
            assert isinstance(one.outcome, (Published, StoreError))
            outcomes.append(one.outcome)
        return outcomes

    async def _finish(self, requests: Sequence[Waiting]) -> None:
        """Wait until everything is answered."""
        try:
            for waiting in requests:
                await self._enter(waiting)
            for waiting in requests:
                if not waiting.answered.is_set():
                    await waiting.answered.wait()
        except trio.Cancelled:
            for waiting in requests:
                waiting.withdrawn = True
            raise

    async def _enter(self, waiting: Waiting) -> None:
        if self._lot or not self._has_room(waiting.size):
            await self._lot.park()
            while not self._has_room(waiting.size):
                await self._lot.park()
        if self._closed is not None:
            waiting.answer(self._closed)
            return
        self._waiting.append(waiting)
        self._bytes += waiting.size
        self._filled.set()
        self._admit()

    async def batch(self) -> list[Waiting]:
        """The next requests, as soon as there are any: as many as one commit takes."""
        while True:
            await trio.lowlevel.checkpoint_if_cancelled()  # also where it never has to wait
            while not self._waiting:
                self._filled = trio.Event()
                await self._filled.wait()
            batch: list[Waiting] = []
            size = 0
            while self._waiting and len(batch) < BATCH_REQUESTS:
                size += self._waiting[0].size
                if batch and size > BATCH_BYTES:
                    break
                taken = self._waiting.popleft()
                self._bytes -= taken.size
                if not taken.withdrawn:
                    batch.append(taken)
            self._admit()
            if batch:
                return batch

    def close(self, error: StoreError) -> None:
        """Answer everything that waits, and everything that comes, with an error."""
        self._closed = error
        while self._waiting:
            self._waiting.popleft().answer(error)
        self._bytes = 0
        self._lot.unpark_all()

    def _has_room(self, size: int) -> bool:
        full = len(self._waiting) >= QUEUE_REQUESTS or self._bytes + size > QUEUE_BYTES
        return not full or not self._waiting

    def _admit(self) -> None:
        if len(self._waiting) < QUEUE_REQUESTS and self._bytes < QUEUE_BYTES:
            self._lot.unpark()
