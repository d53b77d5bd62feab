"""Where presence is kept: the contract suite, and that it catches wrong stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs
import pytest
import trio

from hawser.brokers import MemoryBroker, MemoryPresence, PresenceSink, PresenceStore
from hawser.brokers.check import BrokerContractError, check_broker
from hawser_engine.channels.attendance import Writing
from hawser_engine.presence import Member
from tests.runtime.slow_presence import SlowPresence

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock


async def check(store: PresenceStore) -> None:
    broker = MemoryBroker()
    broker.presence = store
    await check_broker(broker, lease_seconds=60)


async def test_the_store_of_one_process_keeps_the_contract(autojump_clock: MockClock) -> None:
    await check(MemoryPresence())


@pytest.mark.parametrize("seed", range(3))
async def test_a_store_in_no_hurry_keeps_the_contract(autojump_clock: MockClock, seed: int) -> None:
    await check(SlowPresence(MemoryPresence(), seed))


async def test_leases_expire_whoever_else_looked_after_them(autojump_clock: MockClock) -> None:
    store = MemoryPresence()
    told: list[bool] = []
    for_a_while = [trio.CancelScope(), trio.CancelScope()]
    scopes = iter(for_a_while)

    async def look_after_them_too() -> None:
        with next(scopes):
            await store.run()

    async with trio.open_nursery() as nursery:
        for run in (look_after_them_too, store.run, look_after_them_too):
            nursery.start_soon(run)
        await trio.sleep(1)
        await store.begin(1_000)
        await trio.sleep(1)
        lease = await store.begin(60)
        await trio.sleep(1)
        for scope in for_a_while:
            scope.cancel()
        await store.watch("room", lambda channel, changes: told.append(changes[0].entry is None))
        await store.write(lease, [Writing("room", b"1", Member(b"1", "ada", b""))])
        await trio.sleep(100)
        assert told == [False, True]
        nursery.cancel_scope.cancel()


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
