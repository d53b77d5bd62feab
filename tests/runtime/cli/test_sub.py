"""``hawser sub``: what is printed, from where on, how it ends, and what a reset looks like."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, Config, HawserError, connect
from hawser.cli import CommandFailed, leaves
from hawser.cli.arguments import Since
from hawser.cli.settings import read_settings
from hawser.cli.subscribing import Printer, Wanted
from hawser.testing import CutKind, FaultyNetwork
from tests.runtime.cli.helpers import PATIENCE, URL, Written, replaceable

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

UNLIMITED = read_settings(None).limits


async def printed(app: App, wanted: Wanted, *, tell: Callable[[str], None] = print) -> list[tuple[str, int, object]]:
    """What is printed of a served app: channel, offset and data of each line."""
    output = Written()
    async with replaceable(app), connect(URL) as client:
        with trio.fail_after(PATIENCE):
            await Printer(client, wanted, output, tell).run()
    return [(line["channel"], line["offset"], line["data"]) for line in map(json.loads, output.lines)]


async def filled(count: int, *, history: int = 10_000, channel: str = "c") -> App:
    """An app whose channel has had so many publications, from 1 on."""
    app = App()
    app.channel("*", history=history, open=True)
    for number in range(1, count + 1):
        await app.publish(channel, number)
    return app


async def test_a_line_says_channel_epoch_offset_and_data(autojump_clock: MockClock) -> None:
    app = await filled(1)
    output, told = Written(), list[str]()
    async with replaceable(app), connect(URL) as client:
        await Printer(client, Wanted(["c"], Since(0), 1), output, told.append).run()
    epoch = (await app.broker.history("c", 0, limit=1, limit_bytes=1)).top.epoch.hex()
    assert output.lines == [f'{{"channel":"c","epoch":"{epoch}","offset":1,"data":1}}']
    assert told == ["subscribed c"]


async def test_since_an_offset_begins_behind_it_in_the_present_epoch(autojump_clock: MockClock) -> None:
    assert await printed(await filled(5), Wanted(["c"], Since(3), 2)) == [("c", 4, 4), ("c", 5, 5)]


async def test_since_an_epoch_begins_behind_that_place(autojump_clock: MockClock) -> None:
    app = await filled(5)
    epoch = (await app.broker.history("c", 0, limit=1, limit_bytes=1)).top.epoch
    assert await printed(app, Wanted(["c"], Since(4, epoch), 1)) == [("c", 5, 5)]


async def test_what_history_has_lost_is_told_before_the_rest(autojump_clock: MockClock) -> None:
    told: list[str] = []
    app = await filled(10, history=3)
    assert await printed(app, Wanted(["c"], Since(2), 3), tell=told.append) == [("c", n, n) for n in (8, 9, 10)]
    [gap] = [line for line in told if line.startswith("gap c: ")]
    assert "from offset 2" in gap
    assert "to offset 7" in gap
    assert gap.endswith("HISTORY_TOO_SHORT")


async def test_another_epoch_is_a_gap(autojump_clock: MockClock) -> None:
    told: list[str] = []
    app = await filled(2)
    assert await printed(app, Wanted(["c"], Since(7, b"another!"), 2), tell=told.append) == [("c", 1, 1), ("c", 2, 2)]
    assert told[-1].endswith("EPOCH_CHANGED")


async def test_without_since_only_what_is_new_is_printed(autojump_clock: MockClock) -> None:
    app, output = await filled(3), Written()
    async with replaceable(app), connect(URL) as client, trio.open_nursery() as nursery:
        subscribed = trio.Event()
        printer = Printer(client, Wanted(["c"], None, 2), output, lambda _: subscribed.set())
        nursery.start_soon(printer.run)
        await subscribed.wait()
        for data in "ab":
            await app.publish("c", data)
    assert [json.loads(line)["data"] for line in output.lines] == ["a", "b"]


async def test_count_is_over_all_channels_and_exact(autojump_clock: MockClock) -> None:
    app = await filled(50, channel="a")
    for number in range(50):
        await app.publish("b", number)
    lines = await printed(app, Wanted(["a", "b"], Since(0), 60))
    assert len(lines) == 60
    for channel in "ab":
        offsets = [offset for name, offset, _ in lines if name == channel]
        assert offsets == list(range(1, len(offsets) + 1))


async def test_a_pattern_is_printed_by_its_channels_and_has_no_since(autojump_clock: MockClock) -> None:
    app, output, told = await filled(0), Written(), list[str]()
    async with replaceable(app), connect(URL) as client, trio.open_nursery() as nursery:
        nursery.start_soon(Printer(client, Wanted(["room:*"], None, 2), output, told.append).run)
        while not told:
            await trio.sleep(1)
        await app.publish("room:1", "a")
        await trio.sleep(1)
        await app.publish("room:2", "b")
    assert told == ["subscribed room:*"]
    assert [json.loads(line)["channel"] for line in output.lines] == ["room:1", "room:2"]
    with pytest.RaisesGroup(CommandFailed, flatten_subgroups=True, allow_unwrapped=True):
        await printed(app, Wanted(["room:*"], Since(1), 2))


async def test_a_refused_channel_ends_it(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("closed")
    for channel, said in (("closed", "DENIED: subscribe 'closed'"), ("unknown", "NOT_FOUND: no channel 'unknown'")):
        with pytest.raises(BaseExceptionGroup) as caught:
            await printed(app, Wanted([channel], None, None))
        [error] = leaves(caught.value)
        assert isinstance(error, HawserError)
        assert str(error) == said


@pytest.mark.parametrize("count", [None, 2])
async def test_a_session_that_ends_well_ends_it(autojump_clock: MockClock, count: int | None) -> None:
    app, output = await filled(1), Written()
    async with replaceable(app), connect(URL) as client, trio.open_nursery() as nursery:

        async def close() -> None:
            await output.until(1)
            await client.aclose()

        nursery.start_soon(close)
        printer = Printer(client, Wanted(["c"], Since(0), count), output, print)
        if count is None:
            await printer.run()
        else:
            with pytest.raises(CommandFailed, match="ended the subscription after 1 of 2"):
                await printer.run()


async def test_broken_links_change_nothing(autojump_clock: MockClock) -> None:
    app = await filled(0)
    output, told = Written(), list[str]()
    async with (
        replaceable(app, config=UNLIMITED),
        FaultyNetwork(seed=5, delay_seconds=(0.0, 0.02)) as network,
        connect(URL, transport=network, config=Config(backoff_cap_seconds=1)) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Printer(client, Wanted(["c"], None, 500), output, told.append).run)
        while not told:
            await trio.sleep(0.01)
        nursery.start_soon(lambda: network.storm(every_seconds=0.3, kinds=(CutKind.BOTH, CutKind.CLIENT)))
        for number in range(500):
            await app.publish("c", number)
            await trio.sleep(0.01)
        await output.until(500)
        assert network.cuts > 0
        nursery.cancel_scope.cancel()
    assert [json.loads(line)["data"] for line in output.lines] == list(range(500))
    assert not [line for line in told if line.startswith(("reset", "gap"))]


async def test_a_new_server_is_one_reset_line_and_the_new_epoch(autojump_clock: MockClock) -> None:
    app, output, told = await filled(3), Written(), list[str]()
    async with replaceable(app) as server, connect(URL) as client, trio.open_nursery() as nursery:
        nursery.start_soon(Printer(client, Wanted(["c"], Since(0), 5), output, told.append).run)
        await output.until(3)
        await server.kill()
        server.app = await filled(2)
        await trio.sleep(60)
        await server.start()
    lines = [json.loads(line) for line in output.lines]
    assert [(line["offset"], line["data"]) for line in lines] == [(1, 1), (2, 2), (3, 3), (1, 1), (2, 2)]
    assert len({line["epoch"] for line in lines}) == 2
    assert [line.split(":")[0] for line in told] == [
        "subscribed c",
        "no link to the server; still trying",
        "reset RESTARTED",
        "linked to the server again",
        "gap c",
    ]
