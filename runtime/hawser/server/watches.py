"""The patterns that the broker reports to a node: as long as a session has them, or is about to (SPEC WLD-1)."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import trio

from hawser_engine.channels.segments import is_pattern

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable

    from hawser.brokers import LossSink, Sink
    from hawser_engine.channels.filters import Filter

    from .node import Node
    from .strays import PatternGroup


class Watch:
    """One pattern that sessions of this node have, or are about to."""

    def __init__(self, pattern: str) -> None:
        self.pattern: str = pattern
        self.groups: dict[Filter | None, PatternGroup] = {}
        self.lock: trio.Lock = trio.Lock()
        self.pins: int = 0
        self.open: bool = False
        """Whether the broker reports it."""
        self.began: int = 0
        """When a session entered it while no other had it: which of all patterns entered so it was."""

    @property
    def deserted(self) -> bool:
        """Whether nobody needs it any more."""
        return not (self.pins or self.groups)


class Watches:
    """All of a node.

    Args:
        node: Whose broker reports them.
        sink: Told of what is published.
        lost: Told where some of that may not have been reported.
    """

    def __init__(self, node: Node, sink: Sink, lost: LossSink) -> None:
        self._node = node
        self._sink = sink
        self._lost = lost
        self._watches: dict[str, Watch] = {}

    def groups(self, pattern: str) -> Iterable[PatternGroup]:
        """Who has a pattern, by its filter; nobody, if it is not here."""
        watch = self._watches.get(pattern)
        return () if watch is None else watch.groups.values()

    def __getitem__(self, pattern: str) -> Watch:
        return self._watches[pattern]

    def __len__(self) -> int:
        return len(self._watches)

    @contextmanager
    def pinned(self, names: Iterable[str]) -> Generator[None]:
        """Keep patterns open while somebody is about to enter them."""
        watches = [self._watches.setdefault(name, Watch(name)) for name in names if is_pattern(name)]
        for watch in watches:
            watch.pins += 1
        try:
            yield
        finally:
            for watch in watches:
                watch.pins -= 1
                self.release(watch)

    async def open(self, pattern: str) -> None:
        """Have the broker report a pattern. The caller has pinned it."""
        watch = self._watches[pattern]
        async with watch.lock:
            if not watch.open:
                await self._node.app.broker.watch(pattern, self._sink, self._lost)
                watch.open = True

    def release(self, watch: Watch) -> None:
        """Close a pattern, unless somebody needs it."""
        if watch.deserted:
            if watch.open:
                self._node.start_service(self._close, watch)
            elif not watch.lock.locked():
                self._watches.pop(watch.pattern, None)

    async def _close(self, watch: Watch) -> None:
        async with watch.lock:
            if watch.open and watch.deserted:
                watch.open = False
                await self._node.app.broker.unwatch(watch.pattern, self._sink)
        if watch.deserted and not watch.open:
            self._watches.pop(watch.pattern, None)
