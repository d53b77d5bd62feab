"""Where a subscription begins that has had nothing, and history that becomes old."""

from __future__ import annotations

from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Proceed, SubscribeRequest, connect
from hawser.brokers import Retention
from hawser_engine.codes import GapReason
from hawser_engine.messages import SubscribeOptions
from tests.runtime.helpers import URL, collect, serving
from tests.runtime.over_brokers import each_broker, its_own
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from trio.testing import MockClock

pytestmark = each_broker


def aging_app() -> App:
    app = App()
    app.channel("*", history=100, history_seconds=60, open=True)
    app.channel("last:*", last_value=True, open=True)
    app.channel("none", open=True)
    return app


async def filled(app: App, channel: str = "room") -> None:
    """Five publications, ten seconds apart; the last one is as old."""
    for number in range(1, 6):
        await app.publish(channel, number)
        await trio.sleep(10)


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ({}, []),
        ({"rewind": 0}, []),
        ({"rewind": 2}, [4, 5]),
        ({"rewind": 99}, [1, 2, 3, 4, 5]),
        ({"rewind_seconds": 25.0}, [4, 5]),
        ({"rewind_seconds": 5.0}, []),
        ({"rewind_seconds": 3_600.0}, [1, 2, 3, 4, 5]),
        ({"rewind": 1, "rewind_seconds": 25.0}, [5]),
        ({"rewind": 3, "rewind_seconds": 25.0}, [4, 5]),
    ],
)
async def test_a_subscription_begins_as_far_back_as_it_asks(
    autojump_clock: MockClock, how: dict[str, Any], expected: list[int]
) -> None:
    """SPEC SUB-10: and goes on without a hole."""
    app = aging_app()
    async with serving(app), connect(URL) as client:
        await filled(app)
        async with client.subscribe("room", **how) as messages:
            await app.publish("room", "new")
            assert await collect(messages, len(expected) + 1) == [*expected, "new"]


async def test_what_is_too_old_is_lost_to_whoever_has_not_had_it(autojump_clock: MockClock) -> None:
    """SPEC CHN-14, SUB-4: by age, as by number."""
    app = aging_app()
    async with serving(app), connect(URL) as client:
        async with client.subscribe("room") as messages:
            start = messages.position
        await filled(app)
        await trio.sleep(25)
        async with client.subscribe("room", since=start) as messages:
            assert await collect(messages, 4) == [(0, 2, GapReason.HISTORY_TOO_SHORT), 3, 4, 5]
        async with client.subscribe("room", rewind=4) as messages:
            assert await collect(messages, 3) == [3, 4, 5]


async def test_the_last_value_comes_to_whoever_joins_and_not_again_to_who_had_it(autojump_clock: MockClock) -> None:
    """SPEC SUB-11."""
    app = aging_app()
    async with serving(app), connect(URL) as client:
        async with client.subscribe("last:x") as messages:
            await app.publish("last:x", "old")
            await app.publish("last:x", "newest")
            assert await collect(messages, 2) == ["old", "newest"]
            position = messages.position
        async with client.subscribe("last:x") as messages:
            assert await collect(messages, 1) == ["newest"]
        async with client.subscribe("last:x", since=position) as messages:
            await app.publish("last:x", "now")
            assert await collect(messages, 1) == ["now"]
        async with client.subscribe("last:x", rewind=0) as messages:
            await app.publish("last:x", "later")
            assert await collect(messages, 1) == ["later"]
        async with client.subscribe("last:y") as messages, client.subscribe("none", rewind=5) as nothing:
            await app.publish("last:y", "first")
            await app.publish("none", "first")
            assert await collect(messages, 1) == await collect(nothing, 1) == ["first"]


async def test_after_a_reset_a_subscription_goes_on_and_does_not_rewind_again(autojump_clock: MockClock) -> None:
    """SPEC RST-10, SUB-10."""
    app = aging_app()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        await filled(app)
        async with connect(URL) as client, client.subscribe("room", rewind=2) as messages:
            assert await collect(messages, 2) == [4, 5]
            await restarts.end()
            await restarts.start(app)
            await app.publish("room", "after")
            assert await collect(messages, 1) == ["after"]
        await restarts.end()


async def test_middleware_sees_how_a_subscription_wants_to_begin(autojump_clock: MockClock) -> None:
    app = aging_app()
    seen: list[SubscribeOptions | None] = []

    @app.middleware
    async def watch(request: Any, proceed: Proceed) -> Any:
        if isinstance(request, SubscribeRequest):
            seen.append(request.options)
        return await proceed()

    async with serving(app), connect(URL) as client:
        async with client.subscribe("room", rewind=2, rewind_seconds=0.5):
            pass
        async with client.subscribe("room"):
            pass
        wrongs: list[dict[str, Any]] = [{"rewind": -1}, *({"rewind_seconds": each} for each in (-1.0, inf, nan))]
        for wrong in wrongs:
            with pytest.raises(ValueError, match="rewind"):
                client.subscribe("room", **wrong)
    assert seen == [SubscribeOptions(2, 500), None]


@its_own
def test_what_a_channel_keeps_is_checked() -> None:
    app = App()
    assert app.channel("a", history=5, history_seconds=3, last_value=True).retention == Retention(5, seconds=3)
    assert app.channel("b", last_value=True).retention == Retention(1)
    for seconds in (0, -1, nan):
        with pytest.raises(ValueError, match="history_seconds"):
            app.channel("c", history_seconds=seconds)
