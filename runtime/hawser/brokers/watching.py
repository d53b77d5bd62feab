"""Who is told of the channels of a pattern; for brokers that report in their own process."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hawser_engine.channels.segments import PatternIndex

if TYPE_CHECKING:
    from collections.abc import Sequence

    from .base import Sink


class Watchers:
    """Sinks by pattern."""

    def __init__(self) -> None:
        self._index = PatternIndex()
        self._sinks: dict[str, tuple[Sink, ...]] = {}

    def add(self, pattern: str, sink: Sink) -> None:
        """Tell a sink of all channels of a pattern."""
        self._sinks[pattern] = (*self._sinks.get(pattern, ()), sink)
        self._index.add(pattern)

    def remove(self, pattern: str, sink: Sink) -> None:
        """Tell it no more."""
        left = tuple(other for other in self._sinks.pop(pattern, ()) if other != sink)
        if left:
            self._sinks[pattern] = left
        else:
            self._index.remove(pattern)

    def sinks(self, channel: str, joined: Sequence[Sink]) -> Sequence[Sink]:
        """Who is told of a channel: each once, those who have joined it first."""
        if not self._sinks:
            return joined
        found = list(joined)
        for pattern in self._index.find(channel):
            found += [sink for sink in self._sinks[pattern] if sink not in found]
        return found
