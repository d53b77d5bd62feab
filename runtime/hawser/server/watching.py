"""One channel that sessions of this node watch: what the store has reported of it, and to whom it is told."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Protocol

import trio

from hawser_engine.channels.roll import Manner, Roll, Watcher

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser_engine.channels.attendance import Writing
    from hawser_engine.presence import Member

    from .sessions import ServerSession


class Desk(Protocol):
    """Who sees that it is told."""

    def arm(self, watched: Watched, /) -> None:
        """See that the next step of a channel is told when it is time."""

    def tell(self, watched: Watched, /) -> None:
        """There is something for those who watch a channel."""


class Watched:
    """One channel that sessions of this node watch."""

    def __init__(self, desk: Desk, channel: str, manner: Manner) -> None:
        self.armed = inf
        self.roll: Roll = Roll(channel, manner)
        self.watchers: dict[ServerSession, Watcher] = {}
        self.lock: trio.Lock = trio.Lock()
        self.pins: int = 0
        """Those who are about to watch, or to stop."""
        self.open: bool = False
        """Whether the store may report: it is asked to stop before it is asked again."""
        self.telling: bool = False
        self._desk = desk
        self._early: list[Writing] | None = []  # reported before the list was there

    @property
    def ready(self) -> bool:
        """Whether the roll has what the store has reported."""
        return self._early is None

    def deserted(self) -> bool:
        """Whether nobody needs it."""
        return not self.pins and not self.watchers

    def report(self, channel: str, changes: Sequence[Writing]) -> None:
        """What the store calls for all that changes."""
        if self._early is not None:
            self._early += changes
            return
        for change in changes:
            if change.entry is None:
                self.roll.leave(change.member)
            else:
                self.roll.enter(change.entry)
        self._desk.arm(self)

    def begin(self) -> None:
        """The store is about to report, and then to say who is there."""
        self._early, self.open = [], True

    def begun(self, members: Sequence[Member]) -> None:
        """These are there, but for what was reported meanwhile."""
        early, self._early = self._early or [], None
        self.roll.replace(members)
        self.report(self.roll.channel, early)

    def end(self) -> None:
        """What the store reports from now on is of no use: who wants to know begins anew."""
        self._early = []

    def handle_timeout(self, now: float) -> None:
        """See `hawser.timekeeper.Timed`."""
        if self.roll.step(now):
            self._desk.tell(self)
        self._desk.arm(self)
