"""Whether this node was told of everything: now and then what was reported is compared with what there is (CHN-15).

A broker that reports over a network can lose a report. Whoever was to get it would never know before the next one, so
a channel that is found behind twice in a row, by the same position, is taken as having missed it.
"""

from __future__ import annotations

from contextlib import suppress
from math import inf
from typing import TYPE_CHECKING

import attrs
import trio

from hawser.brokers import BrokerUnavailable

if TYPE_CHECKING:
    from hawser_engine.channels.channel import Channel
    from hawser_engine.messages import Position

    from .hub import Hub
    from .node import Node


@attrs.frozen
class Doubt:
    """A channel was found behind."""

    epoch: bytes
    """In which it was reported by then."""
    top: Position
    """How far it goes, as there is."""


class Comparing:
    """Looks after the channels of a hub."""

    def __init__(self, node: Node, hub: Hub) -> None:
        self._broker = node.app.broker
        self._hub = hub
        self._doubted: dict[Channel, Doubt] = {}

    async def run(self) -> None:
        """Compare until cancelled."""
        while self._broker.compare_seconds < inf:
            await trio.sleep(self._broker.compare_seconds)
            doubted, self._doubted = self._doubted, {}
            for channel in self._hub.joined_channels():
                with suppress(BrokerUnavailable):
                    await self._compare(channel, doubted.get(channel))

    async def _compare(self, channel: Channel, doubt: Doubt | None) -> None:
        # A channel that was reported in another epoch meanwhile does not go back to the one before.
        if doubt is not None and channel.position.epoch == doubt.epoch and not channel.reaches(doubt.top):
            self._hub.missed(channel, doubt.top)
        epoch = channel.position.epoch
        page = await self._broker.history(channel.name, 0, limit=0, limit_bytes=0)
        if channel.position.epoch == epoch and not channel.reaches(page.top):
            self._doubted[channel] = Doubt(epoch, page.top)
