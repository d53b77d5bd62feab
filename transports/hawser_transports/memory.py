"""The memory transport: links inside one process and one Trio run (SPEC CAR-2).

``memory://name`` is an address of its own in each `trio.run`; ``memory://`` picks a free name, as port 0 does.
A link is two bounded pipes. Taking and putting are synchronous, and every wait ends before them, so a
cancelled call has taken nothing.
"""

from __future__ import annotations

import errno
import os
from collections import deque
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import trio
from trio.lowlevel import ParkingLot, RunVar, cancel_shielded_checkpoint, checkpoint_if_cancelled

from .contract import BATCH_BYTES_MAX, UNREAD_BYTES_MIN, Link, Listener, Transport, check_batches

if TYPE_CHECKING:
    from collections.abc import Sequence

PIPE_BYTES: Final = 2 * BATCH_BYTES_MAX
"""What one direction holds unread. Comparable to what a kernel swallows for one socket (about 150 KB)."""

BACKLOG: Final = 1_024
"""Links that may wait for `accept`; the next one is refused, as a full listen queue does."""


class Pipe:
    """One direction of a memory link."""

    __slots__ = ("batches", "bytes_held", "bytes_max", "ended", "lost", "readers", "receiving", "sending", "writers")

    def __init__(self, bytes_max: int) -> None:
        if bytes_max < UNREAD_BYTES_MIN:
            raise ValueError(f"pipe_bytes is {bytes_max}; a link holds at least {UNREAD_BYTES_MIN} bytes")
        self.batches: deque[bytes] = deque()
        self.bytes_held: int = 0
        self.bytes_max: int = bytes_max
        self.ended: bool = False  # the writing end is closed: what is held can still be read
        self.lost: bool = False  # the pipe is broken: nothing can be read or written any more
        self.receiving: bool = False
        self.sending: bool = False
        self.readers: ParkingLot = ParkingLot()
        self.writers: ParkingLot = ParkingLot()

    def put(self, batches: Sequence[bytes]) -> int:
        """Take what fits; a batch always fits into an empty pipe."""
        taken = 0
        for batch in batches:
            if self.batches and self.bytes_held + len(batch) > self.bytes_max:
                break
            self.batches.append(bytes(batch))
            self.bytes_held += len(batch)
            taken += 1
        if taken and self.readers:
            self.readers.unpark_all()
        return taken

    def take(self) -> list[bytes]:
        """Give out everything that is held."""
        batches = list(self.batches)
        self.batches.clear()
        self.bytes_held = 0
        if self.writers:  # hardly ever
            self.writers.unpark_all()
        return batches

    def end(self) -> None:
        """Close the writing end: what is held can still be taken."""
        self.ended = True
        self.wake()

    def lose(self) -> None:
        """Break the pipe, with what is held in it."""
        self.lost = True
        self.batches.clear()
        self.bytes_held = 0
        self.wake()

    def wake(self) -> None:
        """Let both sides look again."""
        self.readers.unpark_all()
        self.writers.unpark_all()


class MemoryLink(Link):
    """One end of a memory link; `memory_pair` and `MemoryTransport` make them."""

    carriage = "memory"
    __slots__ = ("_description", "closed", "incoming", "outgoing")

    def __init__(self, description: str, incoming: Pipe, outgoing: Pipe) -> None:
        self._description = description
        self.incoming: Pipe = incoming
        self.outgoing: Pipe = outgoing
        self.closed: bool = False

    @property
    def description(self) -> str:
        """The address and the end."""
        return self._description

    def send_nowait(self, batches: Sequence[bytes]) -> int:
        """See `Link.send_nowait`."""
        self._check_sending()
        check_batches(batches)
        return self.outgoing.put(batches)

    async def send_batches(self, batches: Sequence[bytes]) -> None:
        """See `Link.send_batches`."""
        await checkpoint_if_cancelled()
        self._check_sending()
        check_batches(batches)
        pipe = self.outgoing
        rest = list(batches)
        taken = pipe.put(rest)
        waited = False
        pipe.sending = True
        try:
            while taken < len(rest):
                waited = True
                await pipe.writers.park()
                self._check_alive()
                taken += pipe.put(rest[taken:])
        except trio.Cancelled:
            # CAR-1: what lies half-way cannot be told from what left, so nobody may write after it.
            if taken:
                self.cut()
            raise
        finally:
            pipe.sending = False
        if not waited:
            await cancel_shielded_checkpoint()

    async def receive_batches(self) -> list[bytes]:
        """See `Link.receive_batches`."""
        await checkpoint_if_cancelled()
        pipe = self.incoming
        if pipe.receiving:
            raise trio.BusyResourceError("another task is receiving from this link")
        waited = False
        pipe.receiving = True
        try:
            while True:
                if self.closed:
                    raise trio.ClosedResourceError("this end of the link is closed")
                if pipe.lost:
                    raise trio.BrokenResourceError("the link was cut")
                if pipe.batches or pipe.ended:
                    break
                waited = True
                await pipe.readers.park()
        finally:
            pipe.receiving = False
        if not waited:
            await cancel_shielded_checkpoint()
            if self.closed:
                raise trio.ClosedResourceError("this end of the link is closed")
            if pipe.lost:
                raise trio.BrokenResourceError("the link was cut")
        if not pipe.batches:
            raise trio.EndOfChannel
        return pipe.take()

    async def aclose(self) -> None:
        """See `Link.aclose`."""
        self.close()
        await trio.lowlevel.checkpoint()

    def close(self) -> None:
        """Close this end without waiting. Idempotent."""
        if self.closed:
            return
        self.closed = True
        self.outgoing.end()
        # Nobody will read what comes in: its writer must not wait for that.
        self.incoming.lose()

    def cut(self) -> None:
        """Break the link at once, both ways, with everything that is under way in it."""
        self.incoming.lose()
        self.outgoing.lose()

    def _check_sending(self) -> None:
        if self.outgoing.sending:
            raise trio.BusyResourceError("another task is sending on this link")
        self._check_alive()

    def _check_alive(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError("this end of the link is closed")
        if self.outgoing.lost:
            raise trio.BrokenResourceError("the link was cut or closed by the peer")


def memory_pair(description: str = "memory", *, pipe_bytes: int = PIPE_BYTES) -> tuple[MemoryLink, MemoryLink]:
    """Make two connected ends.

    Args:
        description: What both ends are called in logs.
        pipe_bytes: How many unread bytes each direction holds, 16 KiB or more; one batch always fits into an empty one.
    """
    there, back = Pipe(pipe_bytes), Pipe(pipe_bytes)
    return MemoryLink(f"{description} (client)", back, there), MemoryLink(f"{description} (server)", there, back)


class MemoryListener(Listener):
    """A name in this Trio run under which memory links are accepted."""

    def __init__(self, name: str, names: dict[str, MemoryListener], pipe_bytes: int) -> None:
        self._name = name
        self._names = names
        self._pipe_bytes = pipe_bytes
        self._waiting: deque[MemoryLink] = deque()
        self._acceptors = ParkingLot()
        self._accepting = False
        self.closed: bool = False
        self._links = 0

    @property
    def url(self) -> str:
        """``memory://`` and the name."""
        return f"memory://{self._name}"

    async def accept(self) -> MemoryLink:
        """See `Listener.accept`."""
        await checkpoint_if_cancelled()
        if self._accepting:
            raise trio.BusyResourceError("another task is accepting from this listener")
        self._accepting = True
        waited = False
        try:
            while not self._waiting and not self.closed:
                waited = True
                await self._acceptors.park()
        finally:
            self._accepting = False
        if not waited:
            await cancel_shielded_checkpoint()
        if self.closed:
            raise trio.ClosedResourceError("the listener is closed")
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """See `Listener.aclose`."""
        if not self.closed:
            self.closed = True
            del self._names[self._name]
            self._acceptors.unpark_all()
            for link in self._waiting:
                link.close()
            self._waiting.clear()
        await trio.lowlevel.checkpoint()

    def arrive(self) -> MemoryLink:
        """Add a link to those that wait for `accept`.

        Returns:
            The connecting end.

        Raises:
            ConnectionRefusedError: As many links as may wait do so already.
        """
        if len(self._waiting) >= BACKLOG:
            raise _refused(self.url, f"{BACKLOG} links already wait to be accepted")
        self._links += 1
        near, far = memory_pair(f"{self.url}#{self._links}", pipe_bytes=self._pipe_bytes)
        self._waiting.append(far)
        self._acceptors.unpark()
        return near


class MemoryTransport(Transport):
    """Links inside one process: for tests, for the demo, and for programs that embed both sides.

    Args:
        pipe_bytes: How many unread bytes each direction of a link holds; 16 KiB or more.
    """

    def __init__(self, *, pipe_bytes: int = PIPE_BYTES) -> None:
        self._pipe_bytes = pipe_bytes

    async def listen(self, url: str) -> MemoryListener:
        """See `Transport.listen`; ``memory://`` without a name picks a free one."""
        name = _name(url)
        await trio.lowlevel.checkpoint()
        names = _names()
        if not name:
            number = 1
            while (name := f"memory-{number}") in names:
                number += 1
        if name in names:
            raise OSError(errno.EADDRINUSE, f"memory://{name} is taken: a listener of this Trio run already has it")
        names[name] = MemoryListener(name, names, self._pipe_bytes)
        return names[name]

    async def connect(self, url: str) -> MemoryLink:
        """See `Transport.connect`."""
        name = _name(url)
        await trio.lowlevel.checkpoint()
        listener = _names().get(name)
        if listener is None:
            raise _refused(url, "nobody listens there in this Trio run")
        return listener.arrive()


# One table for each trio.run: links must not cross from one event loop into another.
_NAMES: RunVar[dict[str, MemoryListener]] = RunVar("hawser memory addresses")


def _names() -> dict[str, MemoryListener]:
    try:
        return _NAMES.get()
    except LookupError:
        names: dict[str, MemoryListener] = {}
        _NAMES.set(names)
        return names


def _name(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme != "memory" or parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"{url!r} is no memory address; one looks like memory://name")
    return parts.netloc


def _refused(url: str, why: str) -> OSError:
    return ConnectionRefusedError(errno.ECONNREFUSED, f"{os.strerror(errno.ECONNREFUSED)}: {url}: {why}")
