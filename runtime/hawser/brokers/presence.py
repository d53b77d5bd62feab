"""Who is in the channels, kept for all nodes: the contract, and the store of a single process.

Rule: members stand under the lease of the node that has their sessions. A node renews its lease as long as it lives;
when it has not for too long, all that stands under the lease is gone, for everybody at once. So a node that crashed
leaves nobody behind, and one that was only away for too long finds out when it writes or renews, and enters its
members again. One lease for a node, not one for a member: what a quiet node costs does not grow with its members.
"""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from math import inf
from typing import TYPE_CHECKING, Final, Protocol

import trio

from hawser_engine.channels.attendance import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser_engine.presence import Member

LEASE_BYTES: Final = 16


class PresenceSink(Protocol):
    """Told of what changes. Synchronous, and never raises."""

    def __call__(self, channel: str, changes: Sequence[Writing], /) -> None:
        """Take changes of a channel, in order."""


class PresenceStore(ABC):
    """Where nodes write who is there, and are told who else is.

    Every method is a checkpoint, may raise any exception where the store cannot be reached, and if it raises
    `trio.Cancelled` has done either everything or nothing. What a method that raised has done, nobody knows.
    """

    async def run(self) -> None:
        """Do what has to be done in the background until cancelled. A server runs it while it serves."""
        await trio.sleep_forever()

    @abstractmethod
    async def begin(self, seconds: float) -> bytes:
        """Get a new lease.

        Args:
            seconds: How long it lasts if it is not renewed.
        """

    @abstractmethod
    async def renew(self, lease: bytes, seconds: float) -> bool:
        """Let a lease last longer.

        Args:
            lease: The lease.
            seconds: How long from now on.

        Returns:
            False if it has expired; then nothing stands under it any more, and never will.
        """

    @abstractmethod
    async def end(self, lease: bytes) -> None:
        """Give a lease up, and all that stands under it. Harmless where it has expired."""

    @abstractmethod
    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        """Enter members under a lease, let them say something else, or take them out.

        What stands under another lease is replaced, and then stands under this one. What is so already changes
        nothing, and is not reported.

        Args:
            lease: The node's.
            writings: All of them are done in one step, in their order.

        Returns:
            False if the lease has expired; then nothing was written.
        """

    @abstractmethod
    async def members(self, channel: str) -> tuple[Member, ...]:
        """Who is in a channel now."""

    @abstractmethod
    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Member, ...]:
        """Start to report what changes in a channel.

        Args:
            channel: The channel's name.
            sink: Whom to tell.

        Returns:
            Who is there. The sink is told of every change after that, once, in order; perhaps before this has
            returned. If it raises, the sink may be told all the same, until `unwatch` returns. A store that may have
            missed some, as after a link was lost, reads who is there and tells what is different: nobody else looks.
        """

    @abstractmethod
    async def unwatch(self, channel: str, sink: PresenceSink) -> None:
        """Stop to report; the sink is not called any more when this returns. Doing so twice is harmless.

        Args:
            channel: The channel's name.
            sink: The one that was told.
        """


class _Lease:
    """What stands under one lease."""

    __slots__ = ("places", "until")

    def __init__(self, until: float) -> None:
        self.until = until
        self.places: dict[tuple[str, bytes], None] = {}


class MemoryPresence(PresenceStore):
    """Who is there, in this process alone. Everything happens in one step, so a cancelled call has done nothing."""

    def __init__(self, *, random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._random_bytes = random_bytes
        self._leases: dict[bytes, _Lease] = {}
        self._channels: dict[str, dict[bytes, tuple[Member, bytes]]] = {}
        self._sinks: dict[str, list[PresenceSink]] = {}
        self._wake = trio.Event()

    async def run(self) -> None:
        """See `PresenceStore.run`: let leases expire when their time has come, not when somebody looks."""
        while True:  # in a task of each server that has it
            with trio.move_on_at(min((lease.until for lease in self._leases.values()), default=inf)):
                await self._wake.wait()
            self._expire()

    async def begin(self, seconds: float) -> bytes:
        """See `PresenceStore.begin`."""
        await trio.lowlevel.checkpoint()
        name = self._random_bytes(LEASE_BYTES)
        self._leases[name] = _Lease(trio.current_time() + seconds)
        self._look_again()
        return name

    async def renew(self, lease: bytes, seconds: float) -> bool:
        """See `PresenceStore.renew`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        held = self._leases.get(lease)
        if held is None:
            return False
        held.until = trio.current_time() + seconds
        return True

    async def end(self, lease: bytes) -> None:
        """See `PresenceStore.end`."""
        await trio.lowlevel.checkpoint()
        self._drop(lease)
        self._look_again()  # nothing is waited for that will not come

    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        """See `PresenceStore.write`."""
        await trio.lowlevel.checkpoint()
        self._expire()
        held = self._leases.get(lease)
        if held is None:
            return False
        for writing in writings:
            self._write(lease, held, writing)
        return True

    async def members(self, channel: str) -> tuple[Member, ...]:
        """See `PresenceStore.members`."""
        await trio.lowlevel.checkpoint()
        return self._members(channel)

    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Member, ...]:
        """See `PresenceStore.watch`."""
        await trio.lowlevel.checkpoint()
        members = self._members(channel)
        self._sinks[channel] = [*self._sinks.get(channel, ()), sink]
        return members

    async def unwatch(self, channel: str, sink: PresenceSink) -> None:
        """See `PresenceStore.unwatch`."""
        await trio.lowlevel.checkpoint()
        others = [other for other in self._sinks.get(channel, ()) if other != sink]
        if others:
            self._sinks[channel] = others
        else:
            self._sinks.pop(channel, None)

    def _members(self, channel: str) -> tuple[Member, ...]:
        self._expire()
        return tuple([entry for entry, _ in self._channels.get(channel, {}).values()])

    def _write(self, lease: bytes, held: _Lease, writing: Writing) -> None:
        place = writing.channel, writing.member
        entries = self._channels.setdefault(writing.channel, {})
        before, owner = entries.get(writing.member, (None, lease))
        if owner != lease:
            self._leases[owner].places.pop(place)
        if writing.entry is None:
            entries.pop(writing.member, None)
            held.places.pop(place, None)
        else:
            entries[writing.member] = writing.entry, lease
            held.places[place] = None
        if not entries:
            del self._channels[writing.channel]
        if before != writing.entry:
            for sink in self._sinks.get(writing.channel, ()):
                sink(writing.channel, (writing,))

    def _look_again(self) -> None:
        """Have all who run this see when the next lease expires."""
        self._wake.set()
        self._wake = trio.Event()

    def _expire(self) -> None:
        now = trio.current_time()
        for name in [name for name, lease in self._leases.items() if lease.until <= now]:
            self._drop(name)

    def _drop(self, name: bytes) -> None:
        held = self._leases.get(name)
        if held is not None:
            for channel, member in list(held.places):
                self._write(name, held, Writing(channel, member, None))
            del self._leases[name]
