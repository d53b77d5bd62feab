"""A network that breaks on purpose: any transport, with links that are cut, stalled, half-open and slow.

Every link is led through a relay of two tasks. What a fault does is decided by a seeded source, so under an
autojump clock the same seed breaks the same things at the same moments.
"""

from __future__ import annotations

import random
from enum import Enum
from typing import TYPE_CHECKING, Final

import trio

from hawser.background import Background
from hawser_transports import Link, Listener, MemoryLink, MemoryTransport, Transport, memory_pair

if TYPE_CHECKING:
    from types import TracebackType

GONE: Final = (trio.BrokenResourceError, trio.ClosedResourceError, trio.EndOfChannel)


class CutKind(Enum):
    """How a link breaks, in the order of how much is noticed."""

    BOTH = "both"
    """Both ends find out at once; what is under way is lost."""
    CLIENT = "client"
    """Only the connecting end finds out; the other one keeps a link on which nothing comes any more."""
    SERVER = "server"
    """Only the accepting end finds out."""
    SILENT = "silent"
    """Half-open: nobody finds out, and whatever is sent is swallowed."""


class Wire:
    """One link of a faulty network."""

    def __init__(self, network: FaultyNetwork, near: MemoryLink, far: Link) -> None:
        self._network = network
        self._near = near
        self.far: Link = far
        """The link of the inner transport, at its connecting end."""
        self._flowing = trio.Event()
        self._flowing.set()
        self._scope = trio.CancelScope()
        self.alive: bool = True

    async def cut(self, kind: CutKind = CutKind.BOTH) -> None:
        """Break it. What is in the relay is lost."""
        if not self.alive:
            return
        self._dies()
        if kind in (CutKind.SILENT, CutKind.CLIENT):
            self._network.keep(self.far)
        if kind is CutKind.SILENT:
            self._flowing.set()
            return
        self._scope.cancel(reason=f"cut ({kind.value})")
        if kind is not CutKind.SERVER:
            self._near.cut()
        if kind is not CutKind.CLIENT:
            await break_link(self.far)

    def stall(self) -> None:
        """Hold everything back until `flow`."""
        self._flowing = trio.Event()

    def flow(self) -> None:
        """Let what was held back go on, in order."""
        self._flowing.set()

    async def carry(self) -> None:
        """Relay both directions until an end closes or a cut comes."""
        with self._scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._relay, self._near, self.far)
                nursery.start_soon(self._relay, self.far, self._near)
        self._dies()

    async def _relay(self, source: Link, target: Link) -> None:
        try:
            while True:
                batches = await source.receive_batches()
                if delay := self._network.delay():
                    await trio.sleep(delay)
                if not self._flowing.is_set():
                    await self._flowing.wait()
                # A cut loses what is under way here.
                if self.alive and (taken := target.send_nowait(batches)) < len(batches):
                    await target.send_batches(batches[taken:])
        except GONE:
            # An end is gone. What came before has been passed on, so the other one may see the end too; but after a
            # cut only those find out whom it concerns.
            if self.alive:
                await trio.aclose_forcefully(target)

    def _dies(self) -> None:
        if self.alive:
            self.alive = False
            self._network.wires.remove(self)


class FaultyNetwork(Transport):
    """A transport whose links break. Use it as an async context manager.

    Args:
        inner: What carries the links; memory if not given.
        seed: Decides delays and everything that `storm` does.
        delay_seconds: The least and the most time that a batch spends under way.
    """

    def __init__(
        self, inner: Transport | None = None, *, seed: int = 0, delay_seconds: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self._inner = MemoryTransport() if inner is None else inner
        self._random = random.Random(seed)
        self._delay_seconds = delay_seconds
        self._background = Background()
        self._nursery: trio.Nursery | None = None
        self._refusing = False
        self._kept: list[Link] = []
        self.wires: list[Wire] = []
        """The links that are alive, oldest first."""
        self.cuts: int = 0
        """How many links were broken on purpose."""

    async def __aenter__(self) -> FaultyNetwork:
        self._nursery = await self._background.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._nursery = None
        try:
            await self._background.__aexit__(kind, error, traceback)
        finally:
            with trio.CancelScope(shield=True):
                for wire in self.wires:
                    self.keep(wire.far)
                for link in self._kept:
                    await trio.aclose_forcefully(link)

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`; listeners are those of the inner transport."""
        return await self._inner.listen(url)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`.

        Raises:
            RuntimeError: The network was not entered.
            ConnectionRefusedError: It refuses links just now.
        """
        if self._nursery is None:
            raise RuntimeError("use the network as an async context manager: async with FaultyNetwork() as network")
        if self._refusing:
            await trio.lowlevel.checkpoint()
            raise ConnectionRefusedError(f"{url}: the network refuses links just now")
        far = await self._inner.connect(url)
        front, near = memory_pair(far.description)
        front.carriage = far.carriage
        wire = Wire(self, near, far)
        self.wires.append(wire)
        self._nursery.start_soon(wire.carry)
        return front

    def refuse(self, refusing: bool = True) -> None:
        """Refuse new links from now on, or no longer."""
        self._refusing = refusing

    def keep(self, link: Link) -> None:
        """Leave a link open that its other end believes in, until the network ends."""
        if not isinstance(link, MemoryLink):  # what is in memory holds nothing of the system
            self._kept.append(link)

    def delay(self) -> float:
        """How long the next batch is under way, in seconds."""
        low, high = self._delay_seconds
        return self._random.uniform(low, high) if high else 0.0

    async def cut(self, kind: CutKind = CutKind.BOTH) -> int:
        """Break all links.

        Returns:
            How many there were.
        """
        wires = list(self.wires)
        for wire in wires:
            await wire.cut(kind)
        self.cuts += len(wires)
        return len(wires)

    async def cut_one(self, kind: CutKind = CutKind.BOTH) -> bool:
        """Break one link, chosen by the seed.

        Returns:
            Whether there was one.
        """
        if not self.wires:
            return False
        await self._random.choice(self.wires).cut(kind)
        self.cuts += 1
        return True

    async def storm(self, *, every_seconds: float, kinds: tuple[CutKind, ...] = (CutKind.BOTH,)) -> None:
        """Break a link now and then until cancelled.

        Args:
            every_seconds: The average pause; each is U(0.5, 1.5) times it.
            kinds: Each link breaks in one of these ways; name one twice to see it twice as often.
        """
        while True:
            await trio.sleep(every_seconds * self._random.uniform(0.5, 1.5))
            await self.cut_one(self._random.choice(kinds))


async def break_link(link: Link) -> None:
    """End a link as a broken network would, as far as its transport allows."""
    if isinstance(link, MemoryLink):
        link.cut()
    else:
        await trio.aclose_forcefully(link)
