"""What the two kinds of long-poll link share: everything of the contract that HTTP has no part in."""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Protocol

import trio
from trio.lowlevel import (
    ParkingLot,
    cancel_shielded_checkpoint,
    checkpoint_if_cancelled,
    current_trio_token,
    spawn_system_task,
)

from hawser_transports.contract import Link, check_batches
from hawser_transports.wires import ROOM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from .settings import PollSettings


class Poll(Protocol):
    """What a link needs of the engine's binding, of either end."""

    @property
    def held_bytes(self) -> int:
        """Bytes that wait for the peer's word."""
        ...

    @property
    def waiting_bytes(self) -> int:
        """Bytes that have arrived and that ``batches`` has not returned."""
        ...

    def batches(self) -> list[bytes]:
        """Return what has arrived."""
        ...

    def send(self, batches: Sequence[bytes]) -> None:
        """Take what the session sends."""
        ...

    def taken(self) -> None:
        """Note that the session has taken what has arrived."""
        ...

    def unattended(self) -> None:
        """Note that nobody is about to take what has arrived."""
        ...


class PollLink(Link):
    """One end of a long-poll connection."""

    carriage = "long-poll"

    def __init__(self, poll: Poll, description: str, settings: PollSettings) -> None:
        self._poll = poll
        self._description = description
        self._held_bytes = settings.held_bytes
        self._close_seconds = settings.close_seconds
        self._linger_seconds = settings.linger_seconds
        self._closed = False
        self._leaving = False
        self._parted = trio.Event()
        self._receiving = False
        self._sending = False
        self._moved = ParkingLot()  # whoever waits for anything here looks again after every change
        self._received: Callable[[list[bytes]], None] | None = None
        self._back: Callable[[], None] | None = None

    @property
    def description(self) -> str:
        """See `Link.description`."""
        return self._description

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        """See `Link.send_nowait`."""
        self._check_sending()
        check_batches(batches)
        return self._send_some(batches)

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        """See `Link.send_batches`."""
        await checkpoint_if_cancelled()
        self._check_sending()
        check_batches(batches)
        rest = tuple(batches)
        taken = self._send_some(rest)
        if taken == len(rest):
            await cancel_shielded_checkpoint()
            return
        self._sending = True
        try:
            while taken < len(rest):
                await self._moved.park()
                self._check_alive()
                taken += self._send_some(rest[taken:])
        except trio.Cancelled:
            if taken:  # CAR-1: the caller cannot know what left, so nobody may write after it
                self._leave()
            raise
        finally:
            self._sending = False

    async def receive_batches(self) -> list[bytes]:
        """See `Link.receive_batches`; to call it again says that what it returned has been taken."""
        await checkpoint_if_cancelled()
        if self._receiving:
            raise trio.BusyResourceError("another task is receiving from this link")
        self._receiving = True
        waited = False
        try:
            while True:
                if self._closed:
                    raise trio.ClosedResourceError("this end of the link is closed")
                batches = self._poll.batches()
                if batches:
                    # A receiver that keeps up is back before anything else runs. Requests wait for it, but not in vain.
                    current_trio_token().run_sync_soon(self.arrived, idempotent=True)
                    return batches
                self._poll.taken()
                self._flush()
                self._check_ended()
                waited = True
                await self._moved.park()
        finally:
            self._receiving = False
            if not waited:
                await cancel_shielded_checkpoint()

    def feed(self, received: Callable[[list[bytes]], None], back: Callable[[], None]) -> bool:
        """See `Link.feed`."""
        self._received, self._back = received, back
        self.arrived()
        return True

    async def aclose(self) -> None:
        """See `Link.aclose`. What was sent before goes on to the peer for a while, whether somebody waits or not."""
        self._closed = True
        self._leave()
        with trio.move_on_after(self._close_seconds):
            await self._parted.wait()
        await checkpoint_if_cancelled()

    def _leave(self) -> None:
        """Begin to end the link, once: the last words leave in a task of their own."""
        if not self._leaving:
            self._leaving = True
            self._begin_close()
            self._changed()
            spawn_system_task(self._part, name=f"closing {self._description}")

    async def _part(self) -> None:
        try:
            with trio.move_on_after(self._linger_seconds):
                while self._is_leaving():
                    await self._moved.park()
        finally:
            self._break()
            self._parted.set()

    def _send_some(self, batches: Sequence[bytes]) -> int:
        """Hand over batches while there is room; return how many."""
        taken = 0
        for batch in batches:
            if self._poll.held_bytes >= self._held_bytes:
                break
            self._poll.send([batch])
            taken += 1
        self._flush()
        if self._is_over():
            self._wake()
        return taken

    def arrived(self) -> None:
        """Something has arrived, or nobody has come back for more of it."""
        received = self._received
        if received is not None:
            while received is not None and (batches := self._poll.batches()):
                received(batches)
                received = self._received  # what it was given may have made it close this link
            self._poll.taken()
        elif not self._receiving and self._poll.waiting_bytes < ROOM_BYTES:
            self._poll.unattended()
        self._changed()

    def _changed(self) -> None:
        """Let everybody look who waits here."""
        self._flush()
        self._wake()

    def _wake(self) -> None:
        self._moved.unpark_all()
        if self._back is not None and (self._closed or self._leaving or self._is_over()):
            back, self._back, self._received = self._back, None, None
            back()

    @abstractmethod
    def _flush(self) -> None:
        """Bring what the binding has to say to whoever writes it."""

    @abstractmethod
    def _begin_close(self) -> None:
        """Let the binding say its last word."""

    @abstractmethod
    def _is_leaving(self) -> bool:
        """Say whether the peer has still to get something."""

    @abstractmethod
    def _break(self) -> None:
        """End the link so that both ends find out."""

    @abstractmethod
    def _is_over(self) -> bool:
        """Say whether nothing more will arrive but what is there."""

    def _check_ended(self) -> None:
        """Raise if nothing more will arrive."""
        if self._leaving:
            raise trio.BrokenResourceError("the link is lost: a write was cancelled in the middle")
        if self._is_over():
            raise trio.EndOfChannel

    def _check_sending(self) -> None:
        if self._sending:
            raise trio.BusyResourceError("another task is sending on this link")
        self._check_alive()

    def _check_alive(self) -> None:
        if self._closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        if self._leaving or self._is_over():
            raise trio.BrokenResourceError("the link is lost, or was closed by the peer")
