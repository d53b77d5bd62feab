"""What is done for many in turns: members are served, and filters look at tags, so much in a pass of the loop."""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest
import trio
from trio.abc import Instrument

from hawser import EVERYONE, App, connect
from hawser.server import flushing
from hawser.server.flushing import FLUSH_LOOKS, Turns, looking
from hawser_engine.channels.filters import MAX_LOOKS, Tags, parse_filter
from tests.runtime.helpers import URL, collect, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Server
    from hawser.server.node import Node

SOCKETS = 200
LOOKS = 2 * SOCKETS * FLUSH_LOOKS
"""So many in a pass, and as many again where several tasks take turns and the last pass left some over."""
FILTERS = 40
PUBLICATIONS = 60
"""Fewer than a chunk, so that nothing is delivered before the last of them is published."""


class Passes(Instrument):
    """Counts the passes of the loop."""

    count = 0

    def before_io_wait(self, timeout: float) -> None:
        """See `Instrument.before_io_wait`."""
        self.count += 1


def node_of(server: Server) -> Node:
    return server._node  # pyright: ignore[reportPrivateUsage]


def filter_of(number: int) -> str:
    """A filter of its own for each number, which looks at a tag as often as it may before it says yes."""
    return " and ".join([f"n > -{number}", *["n >= 0"] * (MAX_LOOKS - 1)])


async def test_a_pass_of_the_loop_has_so_much_for_all_who_take_turns(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They go on one by one where it is too much for all of them at once, and nobody waits where it is not."""
    monkeypatch.setattr(flushing, "FLUSH_SOCKETS", SOCKETS)
    turns, passes = Turns(), Passes()
    filter, worked = parse_filter(filter_of(1)), Counter[int]()

    async def work() -> None:
        for _ in range(5):
            await turns.take(looking(16, filter))
            worked[passes.count] += 16 * MAX_LOOKS

    trio.lowlevel.add_instrument(passes)
    async with trio.open_nursery() as nursery:
        for _ in range(100):
            nursery.start_soon(work)
    assert worked.total() == 500 * 16 * MAX_LOOKS
    assert max(worked.values()) <= LOOKS
    assert min(worked.values()) > 0
    before = passes.count
    await turns.take(looking(10_000, None))
    await Turns().take(looking(10_000, filter))  # more than fits into a pass has one of its own
    assert passes.count == before


@pytest.mark.parametrize("way", ["live", "pattern", "volatile", "volatile pattern", "history"])
async def test_filters_look_at_so_many_tags_in_a_pass_of_the_loop(
    way: str, autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes filters that cost much delays others by no more than that, however many they are."""
    app, passes, looks = App(), Passes(), Counter[int]()
    app.channel("room:*", history=1_000, about=["tags"], volatile=True, wildcard=EVERYONE, open=True)
    number = Tags.number

    def counting(tags: Tags, tag: str) -> float | None:
        looks[passes.count] += 1
        return number(tags, tag)

    async def publish() -> None:
        tags = {"n": "81"}
        for _ in range(PUBLICATIONS):
            await app.publish("room:1", 0, tags=tags, volatile=way.startswith("volatile"))

    async def listen(each: int, task_status: trio.TaskStatus[None]) -> None:
        name = "room:*" if way.endswith("pattern") else "room:1"
        async with connect(URL) as client:
            subscription = client.subscribe(name, filter=filter_of(each))
            async with subscription as messages:
                task_status.started()
                await collect(messages, PUBLICATIONS)

    trio.lowlevel.add_instrument(passes)
    monkeypatch.setattr(Tags, "number", counting)
    monkeypatch.setattr(flushing, "FLUSH_SOCKETS", SOCKETS)
    async with serving(app) as server, trio.open_nursery() as nursery:
        async with trio.open_nursery() as starting:
            for each in range(FILTERS):
                starting.start_soon(nursery.start, listen, each)
        await publish()
        if way == "history":
            [channel] = node_of(server).hub.joined_channels()
            for group in channel.groups.values():
                for member in group.members.values():
                    member.fall_behind()
    assert looks.total() >= FILTERS * PUBLICATIONS * MAX_LOOKS
    assert max(looks.values()) <= LOOKS


async def test_patterns_may_be_left_while_others_are_served(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a publication is given to is settled before anybody else has a turn."""
    monkeypatch.setattr(flushing, "FLUSH_SOCKETS", 1)
    app = App()
    app.channel("*", wildcard=EVERYONE, open=True)
    async with serving(app) as server, AsyncExitStack() as stack:
        enter = stack.enter_async_context
        clients = [await enter(connect(URL)) for _ in range(21)]
        many = [await enter(client.subscribe("room:*")) for client in clients[1:]]
        async with clients[0].subscribe("*:1"):
            await app.publish("room:1", "hello")
            hub = node_of(server).hub
            watches = hub.wildcards.watches
            [group], [other] = (watches[pattern].groups.values() for pattern in ("room:*", "*:1"))
            while not any(member.given for member in group.members.values()):
                await trio.lowlevel.checkpoint()
            [session] = other.members
            hub.remove(session, "*:1")
        for messages in many:
            assert await collect(messages, 1) == ["hello"]
