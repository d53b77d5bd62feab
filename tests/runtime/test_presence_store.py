"""Where presence is kept: the contract suite, and that it catches wrong stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser.brokers import MemoryBroker, MemoryPresence, PresenceSink
from hawser.brokers.check import BrokerContractError, check_broker
from hawser_engine.channels.attendance import Writing

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from hawser_engine.presence import Member


async def check(store: MemoryPresence) -> None:
    broker = MemoryBroker()
    broker.presence = store
    await check_broker(broker, lease_seconds=60)


async def test_the_store_of_one_process_keeps_the_contract(autojump_clock: MockClock) -> None:
    await check(MemoryPresence())


class Wrong(MemoryPresence):
    """A right store; subclasses spoil one thing each."""


class NeverExpires(Wrong):
    async def begin(self, seconds: float) -> bytes:
        return await super().begin(seconds * 1_000)


class ExpiresWhenAskedOnly(Wrong):
    async def run(self) -> None:
        await trio.sleep_forever()


class RenewsWhatIsGone(Wrong):
    async def renew(self, lease: bytes, seconds: float) -> bool:
        await super().renew(lease, seconds)
        return True


class KeepsWhatWasGivenUp(Wrong):
    async def end(self, lease: bytes) -> None:
        await trio.lowlevel.checkpoint()


class ForgetsInfo(Wrong):
    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        empty = [
            Writing(one.channel, one.member, None if one.entry is None else attrs.evolve(one.entry, info=b""))
            for one in writings
        ]
        return await super().write(lease, empty)


class WritesOneByOne(Wrong):
    async def write(self, lease: bytes, writings: Sequence[Writing]) -> bool:
        return all([await super(WritesOneByOne, self).write(lease, [one]) for one in writings])


class ReportsTwice(Wrong):
    async def watch(self, channel: str, sink: PresenceSink) -> tuple[Member, ...]:
        await super().watch(channel, sink)
        return await super().watch(channel, sink)


class ReportsForEver(Wrong):
    async def unwatch(self, channel: str, sink: PresenceSink) -> None:
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", Wrong.__subclasses__())
async def test_every_wrong_store_is_caught(autojump_clock: MockClock, kind: type[MemoryPresence]) -> None:
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check(kind())
