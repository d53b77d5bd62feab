"""What the contract says of publications that expect their channel to stand somewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import attrs
import trio

from hawser_engine.channels.entries import Retention

from .base import PositionMoved
from .expecting import BrokerContractError, expect

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser_engine.messages import Position

    from .base import Broker, Published

KEEP: Final = Retention(messages=99)


async def _stands(broker: Broker, channel: str) -> Position:
    return (await broker.history(channel, 0, limit=0, limit_bytes=0)).top


async def _published(
    broker: Broker, channel: str, data: bytes, expected: Position, key: bytes | None = None
) -> Published:
    """Publish something for which the channel stands where it is expected, or that was published before."""
    try:
        return await broker.publish(channel, data, retention=KEEP, key=key, expected=expected)
    except PositionMoved as moved:
        raise BrokerContractError(f"{data!r} expected at {expected!r}: saw {moved!r}") from None


async def _refused(broker: Broker, channel: str, expected: Position, key: bytes | None = None) -> Position:
    """Where a channel is said to stand by whom expects it elsewhere."""
    try:
        published = await broker.publish(channel, b"refused", retention=KEEP, key=key, expected=expected)
    except PositionMoved as moved:
        return moved.position
    raise BrokerContractError(f"a channel that is expected at {expected!r}: saw {published!r}")


async def _check_what_is_expected(broker: Broker) -> None:
    name = "check:expected"
    new = await _stands(broker, name)
    first = (await _published(broker, name, b"1", new)).position
    second = (await _published(broker, name, b"2", first)).position
    expect("offsets of what was expected", (new.offset, first.offset, second.offset), (0, 1, 2))
    elsewhere = bytes(byte ^ 1 for byte in second.epoch)
    for wrong in (new, first, attrs.evolve(second, offset=3), attrs.evolve(second, epoch=elsewhere)):
        expect(f"where it stands, not at {wrong!r}", await _refused(broker, name, wrong), second)
    await broker.publish_volatile(name, b"not in the order of offsets")
    await _published(broker, name, b"3", second)
    page = await broker.history(name, 0, limit=9, limit_bytes=99)
    expect("what was published as expected", [entry.data for entry in page.entries], [b"1", b"2", b"3"])


async def _check_a_channel_that_is_not_known(broker: Broker) -> None:
    other = await _stands(broker, "check:expected elsewhere")
    told = await _refused(broker, "check:expected anew", other)
    expect("offset of a channel that is not known", told.offset, 0)
    published = await _published(broker, "check:expected anew", b"1", told)
    expect("position in the epoch that was told", published.position, attrs.evolve(told, offset=1))


async def _check_conditions_and_keys(broker: Broker) -> None:
    name = "check:expected keys"
    new = await _stands(broker, name)
    first = await _published(broker, name, b"1", new, b"k1")
    again = await _published(broker, name, b"2", new, b"k1")
    expect("again, as its answer was lost", (again.position, again.duplicate), (first.position, True))
    expect("refused with a key", await _refused(broker, name, new, b"k2"), first.position)
    later = await _published(broker, name, b"3", first.position, b"k2")
    expect("a key that was refused before", (later.position.offset, later.duplicate), (2, False))


async def _check_conditions_at_once(broker: Broker) -> None:
    """Each counts one up: publishes the offset that it rests on, and tries again from where it is told."""
    name = "check:expected at once"
    new = await _stands(broker, name)
    tries: list[int] = []

    async def count_up() -> None:
        expected = new
        for number in range(100):
            try:
                await broker.publish(name, b"%d" % expected.offset, retention=KEEP, expected=expected)
            except PositionMoved as moved:
                expected = moved.position
            else:
                tries.append(number)
                return

    async with trio.open_nursery() as nursery:
        for _ in range(20):
            nursery.start_soon(count_up)
    page = await broker.history(name, 0, limit=99, limit_bytes=999)
    expect("what each rested on", [entry.data for entry in page.entries], [b"%d" % one for one in range(20)])
    expect("how many came through at the first try", tries.count(0), 1)


CONDITION_CHECKS: Final[tuple[Callable[[Broker], Awaitable[None]], ...]] = (
    _check_what_is_expected,
    _check_a_channel_that_is_not_known,
    _check_conditions_and_keys,
    _check_conditions_at_once,
)
