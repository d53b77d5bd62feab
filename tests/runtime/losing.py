"""A broker in no hurry that loses reports."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from tests.runtime.test_late_brokers import LateBroker

if TYPE_CHECKING:
    from collections.abc import Sequence

    from hawser import Position
    from hawser.brokers import Entry, LossSink, Sink


class LosingBroker(LateBroker):
    """Loses this part of all reports; nodes find that out by themselves.

    Args:
        seed: Of what it does.
        loses: How many of them, between 0 and 1.
    """

    compare_seconds = 2.0

    def __init__(self, seed: int, *, loses: float) -> None:
        super().__init__(seed)
        self._luck = random.Random(seed)
        self._loses = loses
        self._losing: dict[Sink, Sink] = {}

    async def join(self, channel: str, sink: Sink) -> Position:
        return await super().join(channel, self._through(sink))

    async def leave(self, channel: str, sink: Sink) -> None:
        await super().leave(channel, self._through(sink))

    async def watch(self, pattern: str, sink: Sink, lost: LossSink) -> None:
        await super().watch(pattern, self._through(sink), lost)

    async def unwatch(self, pattern: str, sink: Sink) -> None:
        await super().unwatch(pattern, self._through(sink))

    def _through(self, sink: Sink) -> Sink:
        def report(channel: str, epoch: bytes, entries: Sequence[Entry]) -> None:
            if self._luck.random() >= self._loses:
                sink(channel, epoch, entries)

        return self._losing.setdefault(sink, report)
