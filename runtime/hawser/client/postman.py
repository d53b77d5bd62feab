"""Empties the outbox of a client into its session, whenever there is a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

import trio

from hawser.errors import PayloadError, RequestFailed

from .operations import Receipt
from .outbox import Post, Posting

if TYPE_CHECKING:
    from collections.abc import Callable

    from .dialogue import Dialogue
    from .outbox import Outbox


class Postman:
    """Takes publications, and hands them over in order, in turn with the client's other requests (SPEC OPS-2)."""

    def __init__(self, dialogue: Dialogue, outbox: Outbox, nursery: trio.Nursery) -> None:
        self._dialogue = dialogue
        self._nursery = nursery
        self._post = Post(outbox, self._start, self._arm)
        self._busy = False

    def accept(self, channel: str, size: int, key: bytes, encode: Callable[[int], bytes], ttl: float | None) -> Receipt:
        """Take a publication.

        Raises:
            OutboxFull: There is no room.
            SessionClosed: The client is closed.
        """
        self._dialogue.check_open()
        longest = self._post.bounds.seconds
        posting = Posting(self._post, channel, size, key, encode, longest if ttl is None else min(ttl, longest))
        self._post.accept(posting)
        return Receipt(posting, key)

    def end(self, error: Exception) -> None:
        """The client is closed."""
        self._post.end(error)
        self._dialogue.operations.changed()

    def _arm(self, seconds: float) -> None:
        self._dialogue.line.timekeeper.arm(self._post, trio.current_time() + seconds)

    def _start(self) -> None:
        if not self._busy:
            self._busy = True
            self._nursery.start_soon(self._run)

    async def _run(self) -> None:
        while self._busy:
            await self._dialogue.operations.in_turn(self._ready, self._hand_over)

    def _ready(self) -> bool:
        """Whether the first one can leave, or there is none. Without a link all of them wait, and may expire."""
        line, first = self._dialogue.line, self._first()
        if first is None:
            return True
        return line.attached and self._dialogue.has_room(first)

    def _hand_over(self) -> None:
        if self._first() is None:
            self._busy = False
        elif self._ready():  # still: the one that was first a moment ago may have expired
            posting = self._post.leave()
            try:
                self._dialogue.hand_over(posting, posting.encode)
            except (PayloadError, RequestFailed) as error:
                posting.fail(error)

    def _first(self) -> Posting | None:
        line = self._dialogue.line
        return self._post.first(line.late_seconds if line.attached else 0.0)
