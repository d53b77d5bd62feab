"""Credit for items, at the side that sends them and at the side that takes them (SPEC STR-2)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import trio

from hawser_engine.codes import CloseCode
from hawser_engine.errors import RemoteProtocolError

if TYPE_CHECKING:
    from collections.abc import Callable


class Credit:
    """How much may be sent.

    Args:
        items: How many items.
        bytes: Of how many bytes.
    """

    __slots__ = ("_bytes", "_changed", "_closed", "_items")

    def __init__(self, items: int = 0, bytes: int = 0) -> None:
        self._items = items
        self._bytes = bytes
        self._closed = False
        self._changed = trio.Event()

    def add(self, items: int, bytes: int) -> None:
        """There is more."""
        self._items += items
        self._bytes += bytes
        self._wake()

    def close(self) -> None:
        """There will be none any more."""
        self._closed = True
        self._wake()

    async def some(self) -> None:
        """Wait until something may be sent.

        Raises:
            trio.BrokenResourceError: Nothing may be sent any more.
        """
        while not self._closed and (self._items <= 0 or self._bytes <= 0):
            await self._changed.wait()
        if self._closed:
            raise trio.BrokenResourceError("nobody takes items any more: the call has its answer")

    async def take(self, length: int) -> None:
        """Wait for credit and use it; there is no checkpoint in between.

        Args:
            length: Of the item, in bytes; it may be longer than what is left.

        Raises:
            trio.BrokenResourceError: Nothing may be sent any more.
        """
        await self.some()
        self._items -= 1
        self._bytes -= length

    def _wake(self) -> None:
        self._changed.set()
        self._changed = trio.Event()


class Inflow:
    """Items that have come and are not taken yet. Credit goes out as they are taken, half of it at a time.

    Args:
        grant: Tells the other side that it may send so many more items, of so many more bytes.
        items: How many may be here or on their way.
        size: Of how many bytes.
        opened: Whether the other side knows of the first credit already; else it gets it when somebody wants an item.
    """

    __slots__ = ("_arrival", "_credit", "_grant", "_over", "_queue", "_taken", "_window")

    def __init__(self, grant: Callable[[int, int], None], items: int, size: int, *, opened: bool) -> None:
        self._grant = grant
        self._window = (items, size)
        nothing = (0, 0)
        self._credit = self._window if opened else nothing
        self._taken = nothing if opened else self._window  # and not granted again
        self._queue: deque[bytes] = deque()
        self._over = False
        self._arrival = trio.Event()

    def put(self, data: bytes) -> None:
        """An item has come.

        Raises:
            RemoteProtocolError: There was no credit for it.
        """
        if self._over:
            return
        items, length = self._credit
        if items <= 0 or length <= 0:
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, "STR-2", "saw an item beyond the credit of its stream", "ITEM"
            )
        self._credit = items - 1, length - len(data)
        self._queue.append(data)
        self._wake()

    def end(self) -> None:
        """There will be no more items."""
        self._over = True
        self._wake()

    async def take(self) -> bytes:
        """Wait for the next item.

        Raises:
            trio.EndOfChannel: There are no more.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        if self._queue or self._over:
            await trio.lowlevel.cancel_shielded_checkpoint()
        while not self._queue:
            if self._over:
                raise trio.EndOfChannel
            self._give_back()
            await self._arrival.wait()
        data = self._queue.popleft()
        items, length = self._taken
        self._taken = items + 1, length + len(data)
        self._give_back()
        return data

    def _give_back(self) -> None:
        items, length = self._taken
        if not self._over and (2 * items >= self._window[0] or 2 * length >= self._window[1]):
            self._taken = 0, 0
            self._credit = self._credit[0] + items, self._credit[1] + length
            self._grant(items, length)

    def _wake(self) -> None:
        self._arrival.set()
        self._arrival = trio.Event()
