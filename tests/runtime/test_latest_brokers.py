"""Brokers that keep the latest by key wrongly, or what is volatile: each is caught by the contract."""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser.brokers import History, MemoryBroker, Published, Retention
from hawser.brokers.check import BrokerContractError, check_broker
from hawser_engine.messages import About

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Position


class Wrong(MemoryBroker):
    """A right broker; subclasses spoil one thing each."""


class KeepsAll(Wrong):
    async def publish(self, channel: str, data: bytes, *, retention: Retention, **options: Any) -> Published:
        keep = attrs.evolve(retention, latest=False)
        return await super().publish(channel, data, retention=keep, **options)


class ReplacesWhatHasNoKey(Wrong):
    async def publish(
        self, channel: str, data: bytes, *, retention: Retention, about: About | None = None, **options: Any
    ) -> Published:
        if retention.latest and about is None:
            about = About(latest_key=".")
        return await super().publish(channel, data, retention=retention, about=about, **options)


class MissesWhatWasReplaced(Wrong):
    async def history(self, channel: str, after: int, *, limit: int, limit_bytes: int, seconds: float = inf) -> History:
        everything = await super().history(channel, 0, limit=1_000, limit_bytes=1_000_000)
        page = await super().history(channel, after, limit=limit, limit_bytes=limit_bytes, seconds=seconds)
        lowest = everything.entries[0].offset if everything.entries else page.first
        return attrs.evolve(page, first=lowest)


class NumbersWhatIsVolatile(Wrong):
    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        return (await self.publish(channel, data, retention=Retention(), about=about)).position


class KeepsWhatIsVolatileToItself(Wrong):
    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        await trio.lowlevel.checkpoint()
        return self._stream(channel).position()


class LosesWhatTheVolatileCarries(Wrong):
    async def publish_volatile(self, channel: str, data: bytes, *, about: About | None = None) -> Position:
        return await super().publish_volatile(channel, data)


@pytest.mark.parametrize("kind", Wrong.__subclasses__())
async def test_every_wrong_broker_is_caught(autojump_clock: MockClock, kind: type[MemoryBroker]) -> None:
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check_broker(kind(clock=trio.current_time))


async def test_an_age_that_is_forgotten_is_caught(autojump_clock: MockClock) -> None:
    class KeepsTheLatestForEver(MemoryBroker):
        async def publish(self, channel: str, data: bytes, *, retention: Retention, **options: Any) -> Published:
            keep = attrs.evolve(retention, seconds=inf if retention.latest else retention.seconds)
            return await super().publish(channel, data, retention=keep, **options)

    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check_broker(KeepsTheLatestForEver(clock=trio.current_time), age_seconds=10)
