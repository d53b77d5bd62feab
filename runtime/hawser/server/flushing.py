"""Delivering what was reported: one task of a node, which gives each chunk to everybody in its channel.

A publication never waits for a subscriber (CHN-6): whoever cannot take a chunk becomes behind, and is fed later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import trio

from hawser_engine.channels.chunks import CHUNK_MESSAGES, Fleeting
from hawser_engine.messages import Position

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hawser_engine.channels.channel import Channel
    from hawser_engine.channels.chunks import Chunk
    from hawser_engine.channels.filters import Filter

    from .addressing import Addressing
    from .wildcards import Wildcards

MemberT = TypeVar("MemberT")

FLUSH_SOCKETS: Final = 500
"""Members served in one pass of the loop."""
FLUSH_LOOKS: Final = 16
"""So many looks of filters at tags, each of some tenths of a microsecond, cost what it does to serve one member."""


class Turns:
    """Gives everything else a turn now and then while tasks serve many: in a pass of the loop, all of them so many."""

    def __init__(self) -> None:
        self._served = 0
        self._over = trio.StrictFIFOLock()  # of the tasks that wait for a later pass, one goes on in each

    async def take(self, count: int) -> None:
        """Before so many are served: a checkpoint, unless few were since the last one."""
        if self._served and self._served + count > FLUSH_SOCKETS:
            async with self._over:  # a checkpoint, and while another task waits here for its own, more of them
                self._served = 0
        self._served += count


def looking(messages: int, filter: Filter | None) -> int:
    """How many members could be served while a filter looks at so many publications, and what passes is prepared."""
    return 0 if filter is None else 1 + messages * (filter.looks + 1) // FLUSH_LOOKS


def in_batches(members: Iterable[MemberT]) -> Iterable[Sequence[MemberT]]:
    """Those who are there now, in pieces between which there may be a checkpoint."""
    everybody = list(members)
    return [everybody[first : first + FLUSH_SOCKETS] for first in range(0, len(everybody), FLUSH_SOCKETS)]


class Flusher:
    """Delivers what waits in the channels of a node.

    Args:
        addressing: Knows the sessions by their names.
        wildcards: Who has a pattern of a channel.
        flushed: Told of a channel of which nothing waits any more.
    """

    def __init__(self, addressing: Addressing, wildcards: Wildcards, flushed: Callable[[Channel], object]) -> None:
        self._addressing = addressing
        self._wildcards = wildcards
        self._flushed = flushed
        self._dirty: dict[Channel, None] = {}
        self._flushing: dict[Channel, None] = {}
        self._reported = 0  # publications, so that it is seen whether there are more
        self._wake = trio.Event()
        self._turns = Turns()

    def mark(self, channel: Channel, reported: int = 0) -> None:
        """Something waits in a channel, so many publications among it."""
        self._reported += reported
        self._dirty[channel] = None
        self._wake.set()

    def forget(self, channel: Channel) -> None:
        """Nobody is there any more for what waits in a channel."""
        self._dirty.pop(channel, None)

    def unflushed(self) -> Iterable[Channel]:
        """The channels of which something waits."""
        return [channel for channel in (*self._flushing, *self._dirty) if channel.dirty]

    async def run(self) -> None:
        """Deliver what is reported until cancelled."""
        while True:
            await self._wake.wait()
            self._wake = trio.Event()
            while self._dirty:
                await self._gather()
                self._flushing, self._dirty = self._dirty, {}
                for channel in self._flushing:
                    await self._flush_channel(channel)
                self._flushing = {}

    async def _gather(self) -> None:
        """Wait as long as each pass of the loop brings more publications, at most until there is a chunk of them.

        What arrived together is carried out one after the other, a pass of the loop for each; flushed one by one it
        would cost every member a system call for each. Two passes from look to look, for Trio draws lots over who
        runs first in a pass: whoever publishes has surely had a turn in between.
        """
        before, first = -1, self._reported
        while before < self._reported < first + CHUNK_MESSAGES:
            before = self._reported
            await trio.lowlevel.checkpoint()
            await trio.lowlevel.checkpoint()

    async def _flush_channel(self, channel: Channel) -> None:
        channel.seal()
        while channel.chunks:
            chunk = channel.chunks[0]
            if isinstance(chunk, Fleeting):
                await self._flush_volatile(channel, chunk)
            else:
                await self._flush_chunk(channel, chunk)
            channel.delivered()
        self._flushed(channel)

    async def _flush_chunk(self, channel: Channel, chunk: Chunk) -> None:
        if chunk.spared:
            self._spare(channel, chunk, trio.current_time())
        for some in in_batches(channel.members):
            await self._turns.take(len(some))
            channel.deliver(some, chunk, trio.current_time())
        if channel.groups:
            await self._flush_groups(channel, chunk)
        if self._wildcards:
            await self._wildcards.flush(channel, chunk, self._turns)

    def _spare(self, channel: Channel, chunk: Chunk, now: float) -> None:
        """Set apart those who do not get a publication, before all others are served (ADR-8)."""
        for name in chunk.spared:
            session = self._addressing.named(name)
            member = None if session is None else session.memberships.get(channel.name)
            if member is not None:
                channel.spare(member, chunk, now)

    async def _flush_volatile(self, channel: Channel, fleeting: Fleeting) -> None:
        """Give something volatile to all whose filter it passes, but to those it spares (ADR-8)."""
        members = list(channel.members)
        for group in list(channel.groups.values()):
            await self._turns.take(looking(1, group.filter))
            if group.filter.matches(fleeting.tags):
                members += group.members.values()
        if fleeting.spared:
            left_out = [self._addressing.named(name) for name in fleeting.spared]
            members = [member for member in members if member.outlet not in left_out]
        for some in in_batches(members):
            await self._turns.take(len(some))
            channel.deliver_volatile(some, fleeting, trio.current_time())
        if self._wildcards:
            await self._wildcards.flush_volatile(channel, fleeting, self._turns)

    async def _flush_groups(self, channel: Channel, chunk: Chunk) -> None:
        """Give a chunk to those with filters: what passes is prepared once for all who share one (FLT-5)."""
        for group in list(channel.groups.values()):
            await self._turns.take(looking(len(chunk.tags), group.filter))
            passing = chunk.passing(group.filter)
            for some in in_batches(group.members.values()):
                await self._turns.take(len(some))
                if passing is None:
                    group.pass_over(some, chunk, trio.current_time())
                else:
                    channel.deliver(some, passing, trio.current_time())
            if passing is not None:
                group.matched = Position(chunk.epoch, passing.last_body)
