"""What a node keeps in a store under a lease: written as it becomes due, and the lease renewed in time.

Rule: what fails is tried again soon, and a lease that has expired is found out by writing or renewing: then everything
is due again, under another one. So nobody notices a store that is out of reach for less than what is left of a lease.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from math import inf
from typing import TYPE_CHECKING, Final

import trio

if TYPE_CHECKING:
    from .node import Node

AGAIN_SECONDS: Final = 1.0
"""After a store has failed."""


class Leased(ABC):
    """One node's part of a store; subclasses say which store, and what is to stand there.

    Args:
        node: The node.
        what: Names the store where its failures are recorded.
    """

    def __init__(self, node: Node, what: str) -> None:
        self.lease: bytes | None = None
        """None: it has none, or does not know it yet."""
        self._node = node
        self._what = what
        self._renew_at = inf
        self._wake = trio.Event()
        self._tried = trio.Event()

    @property
    @abstractmethod
    def due(self) -> bool:
        """Whether something is to be written."""

    @abstractmethod
    async def begin(self, seconds: float) -> bytes:
        """Get a new lease for so long."""

    @abstractmethod
    async def renew(self, lease: bytes, seconds: float) -> bool:
        """Let a lease last for so long from now on; False if it has expired."""

    @abstractmethod
    async def end(self, lease: bytes) -> None:
        """Give a lease up."""

    @abstractmethod
    async def write(self, lease: bytes) -> bool:
        """Write some of what is due, which stays due if this raises; False if the lease has expired."""

    @abstractmethod
    def lost(self) -> None:
        """Nothing is in the store any more, and all of it is due again."""

    def wake(self) -> None:
        """Something is due."""
        self._wake.set()

    async def tried(self) -> None:
        """Wait until what is due now was written, or could not be."""
        self._wake.set()
        await self._tried.wait()

    async def run(self) -> None:
        """Write what is due, and keep the lease, until cancelled."""
        while True:
            with trio.move_on_at(self._renew_at):
                await self._wake.wait()
            self._wake = trio.Event()
            tried, self._tried = self._tried, trio.Event()
            try:
                await self._keep()
            except Exception as error:
                self._node.incident(self._what, error)
                tried.set()
                await trio.sleep(AGAIN_SECONDS)
                self._wake.set()
            else:
                tried.set()

    async def give_up(self) -> None:
        """The node ends: nothing is to stand there until the lease has run out. Never raises for the store's sake."""
        try:
            if self.lease is not None:
                await self.end(self.lease)
        except Exception as error:
            self._node.incident(self._what, error)

    async def _keep(self) -> None:
        now, seconds = trio.current_time(), self._node.config.presence_lease_seconds
        if self.lease is not None and now >= self._renew_at:
            if await self.renew(self.lease, seconds):  # where it raises, again after AGAIN_SECONDS
                self._renew_at = now + seconds / 3
            else:
                self._expired()
        while self.due:
            if self.lease is None:
                now = trio.current_time()
                self.lease = await self.begin(seconds)
                self._renew_at = now + seconds / 3
            if not await self.write(self.lease):
                self._expired()

    def _expired(self) -> None:
        self.lease, self._renew_at = None, inf
        self.lost()
