"""Publications that spare the session which makes them, however it is served (SPEC ADR-8)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Config, connect
from hawser.testing import FaultyNetwork
from hawser_engine.messages import Publish, PublishOptions
from tests.runtime.helpers import PATIENCE, URL, RawClient, serving
from tests.runtime.over_brokers import each_broker

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Client, Subscription

pytestmark = each_broker


def open_app(history: int) -> App:
    app = App()
    app.channel("*", history=history, open=True, about=["tags", "time"])
    return app


async def read(messages: Subscription, last: int) -> list[Any]:
    """Everything up to a number; a gap would be raised."""
    seen: list[Any] = []
    with trio.fail_after(PATIENCE):
        while not seen or seen[-1] != last:
            seen.append((await messages.receive()).data)
    return seen


async def publish(client: Client, numbers: range) -> None:
    """Those that are no multiple of three are for others only."""
    for number in numbers:
        await client.publish("room", number, except_me=bool(number % 3), tags={"even": str(number % 2 == 0)})


@pytest.mark.parametrize("history", [0, 100])
@pytest.mark.parametrize("filter", [None, 'even in ("True", "False")'], ids=["all", "filtered"])
async def test_a_publisher_misses_its_own_and_nothing_else(
    history: int, filter: str | None, autojump_clock: MockClock
) -> None:
    async with (
        serving(open_app(history)),
        connect(URL) as ada,
        connect(URL) as bob,
        ada.subscribe("room", filter=filter) as mine,
        bob.subscribe("room", filter=filter) as all_of_them,
    ):
        await publish(ada, range(1, 20))
        await bob.publish("room", 99)
        await bob.publish("room", 100, tags={"even": "True"})
        end = 100
        expected = [*range(1, 20), *([99] if filter is None else []), 100]
        assert await read(all_of_them, end) == expected
        assert await read(mine, end) == [one for one in expected if one >= 99 or one % 3 == 0]
        assert mine.position == all_of_them.position


@pytest.mark.parametrize("filter", [None, 'even in ("True", "False")'], ids=["all", "filtered"])
async def test_a_publisher_that_does_not_keep_up_is_fed_without_its_own(
    filter: str | None, autojump_clock: MockClock
) -> None:
    config = Config(subscription_messages=4)
    async with (
        serving(open_app(1_000)),
        connect(URL, config=config) as ada,
        ada.subscribe("room", filter=filter) as mine,
    ):
        for first in range(1, 300, 50):
            await publish(ada, range(first, first + 50))
            await trio.sleep(1)
            if first % 100 == 1:
                assert (await mine.receive()).data % 3 == 0
        await ada.publish("room", 333, tags={"even": "False"})
        seen = await read(mine, 333)
        assert seen == [*range(seen[0], 301, 3), 333]


async def test_a_publisher_reads_history_without_its_own_and_others_read_all(autojump_clock: MockClock) -> None:
    async with serving(open_app(100)), connect(URL) as ada, connect(URL) as bob:
        await publish(ada, range(1, 31))
        async with ada.subscribe("room", rewind=100) as mine, bob.subscribe("room", rewind=100) as theirs:
            await bob.publish("room", 333)
            assert await read(mine, 333) == [*range(3, 31, 3), 333]
            assert await read(theirs, 333) == [*range(1, 31), 333]


async def test_without_the_feature_nobody_is_spared(autojump_clock: MockClock) -> None:
    """SPEC VER-6, MSG-9."""
    async with serving(open_app(100)), RawClient().connected() as raw, connect(URL) as ada:
        await raw.opened.wait()
        async with ada.subscribe("room") as messages:
            raw.say(Publish(1, "room", b"\x01", None, PublishOptions(except_me=True)))
            assert (await messages.receive()).data == 1
        await raw.hear()


@pytest.mark.parametrize("filter", [None, 'even in ("True", "False")'], ids=["all", "filtered"])
@pytest.mark.slow
@pytest.mark.parametrize("window", [1, 3])
async def test_links_that_break_and_windows_that_are_full_change_nothing(
    window: int, filter: str | None, autojump_clock: MockClock
) -> None:
    config = Config(window_messages=window, subscription_messages=3, backoff_cap_seconds=1)
    async with (
        serving(open_app(1_000)),
        FaultyNetwork(seed=7, delay_seconds=(0.0, 0.05)) as network,
        connect(URL, config=config, transport=network) as ada,
        ada.subscribe("room", filter=filter) as mine,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(partial(network.storm, every_seconds=0.5))
        nursery.start_soon(publish, ada, range(1, 76))
        assert await read(mine, 75) == list(range(3, 76, 3))
        nursery.cancel_scope.cancel()
