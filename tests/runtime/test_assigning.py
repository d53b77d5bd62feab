"""Subscriptions that the application decides: from hooks and procedures, through resumes and resets."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import NOBODY, App, Gap, RequestFailed, Session, Subscription, SubscriptionLost, connect
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine.codes import GapReason
from tests.runtime.helpers import PATIENCE, URL, only_session, serving
from tests.runtime.over_brokers import each_broker, unserved
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from trio.testing import MockClock

pytestmark = each_broker


class Reader:
    """Reads every subscription that it is given, and remembers what it got."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.open = 0
        self.news = trio.Event()

    async def __call__(self, subscription: Subscription) -> None:
        self.note(("begin", subscription.channel))
        self.open += 1
        try:
            while True:
                try:
                    self.note((await subscription.receive()).data)
                except Gap as gap:
                    self.note(("gap", gap.since and gap.since.offset, gap.position.offset, gap.reason))
        except trio.EndOfChannel:
            self.note(("end", subscription.channel))
        except SubscriptionLost as lost:
            self.note(("lost", lost.channel, lost.position and lost.position.offset))
            raise
        finally:
            self.open -= 1

    def note(self, item: Any) -> None:
        self.got.append(item)
        self.news.set()
        self.news = trio.Event()

    async def until(self, *expected: Any) -> None:
        """Wait until just this was got since the last time."""
        with trio.fail_after(PATIENCE):
            while len(self.got) < len(expected):
                await self.news.wait()
        assert tuple(self.got[: len(expected)]) == expected
        del self.got[: len(expected)]


def app_of_inboxes(*, history: int = 100) -> App:
    """Everybody is in a channel of their own, which nobody may subscribe to."""
    app = App()
    app.channel("inbox:*", history=history, subscribe=NOBODY, open=True)
    app.channel("room:*", history=history, open=True)

    @app.on_connect
    async def greet(session: Session) -> None:
        with suppress(RequestFailed):
            await session.subscribe("inbox:1")

    @app.procedure("join")
    async def join(session: Session, channel: str) -> None:
        await session.subscribe(channel)

    @app.procedure("part")
    async def part(session: Session, channel: str) -> None:
        await session.unsubscribe(channel)

    return app


async def test_hooks_and_procedures_decide_what_a_client_is_subscribed_to(autojump_clock: MockClock) -> None:
    """SPEC ASG-1, ASG-3."""
    app, reader = app_of_inboxes(), Reader()
    async with serving(app), connect(URL, assigned=reader) as client:
        await reader.until(("begin", "inbox:1"))
        await app.publish("inbox:1", "hello")
        await reader.until("hello")
        with pytest.raises(RequestFailed, match="DENIED"):
            async with connect(URL) as other, other.subscribe("inbox:1"):
                pass
        await client.call("join", "room:1")
        await client.call("join", "room:1")
        await client.publish("room:1", "here")
        await reader.until(("begin", "room:1"), "here")
        await client.call("part", "room:1")
        await reader.until(("end", "room:1"))
        await client.publish("room:1", "after")
        await client.call("join", "room:1")
        await client.publish("room:1", "again")
        await reader.until(("begin", "room:1"), "again")
        assert reader.open == 2
    assert reader.open == 0


@unserved
async def test_after_a_reset_the_program_is_told_how_far_it_came_and_what_it_missed(autojump_clock: MockClock) -> None:
    """SPEC ASG-4, ASG-5."""
    app, reader = app_of_inboxes(), Reader()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, assigned=reader):
            await reader.until(("begin", "inbox:1"))
            await app.publish("inbox:1", 1)
            await reader.until(1)
            await restarts.end()
            for number in (2, 3):
                await app.publish("inbox:1", number)
            await restarts.start(app)
            await reader.until(
                ("lost", "inbox:1", 1), ("begin", "inbox:1"), ("gap", 1, 3, int(GapReason.HISTORY_TOO_SHORT))
            )
            await app.publish("inbox:1", 4)
            await reader.until(4)
            await restarts.end()
            await restarts.start(app)
            await reader.until(("lost", "inbox:1", 4), ("begin", "inbox:1"))
            await app.publish("inbox:1", 5)
            await reader.until(5)
        await restarts.end()


async def test_it_lives_through_broken_links(autojump_clock: MockClock) -> None:
    """SPEC ASG-4: nothing is lost, and nothing begins anew."""
    app, reader = app_of_inboxes(), Reader()
    async with FaultyNetwork(seed=1) as network, serving(app, transport=network):
        async with connect(URL, transport=network, assigned=reader):
            await reader.until(("begin", "inbox:1"))
            for number in range(5):
                for wire in list(network.wires):
                    await wire.cut(CutKind.BOTH)
                await app.publish("inbox:1", number)
                await trio.sleep(7 * number)
            await reader.until(0, 1, 2, 3, 4)


@pytest.mark.parametrize("assigned_again", [False, True])
async def test_it_begins_with_what_the_channel_gives_first(autojump_clock: MockClock, *, assigned_again: bool) -> None:
    """SPEC ASG-6, SUB-11, LAT-6: as a subscription of the client itself does."""
    app, reader = app_of_inboxes(), Reader()
    app.channel("state:*", last_value=True, open=True)
    app.channel("board", history=10, overflow="keep-latest", last_value=True, open=True)
    async with serving(app), connect(URL, assigned=reader) as client:
        await reader.until(("begin", "inbox:1"))
        for value in ("older", "old"):
            await app.publish("state:1", value)
        for number, key in ((1, "a"), (2, "b"), (3, "a")):
            await app.publish("board", number, latest_key=key)
        if assigned_again:
            for channel in ("state:1", "board"):
                async with client.subscribe(channel) as messages:
                    await messages.receive()
        await client.call("join", "state:1")
        await reader.until(("begin", "state:1"), "old")
        await client.call("join", "board")
        await reader.until(("begin", "board"), 2, 3)
        await app.publish("state:1", "new")
        await reader.until("new")


@pytest.mark.parametrize(
    ("options", "begins"),
    [
        ({}, ()),
        ({"rewind": 2}, (2, 3)),
        ({"rewind": 0}, ()),
        ({"rewind_seconds": 15}, (2, 3)),
        ({"rewind": 1, "rewind_seconds": 15}, (3,)),
        ({"since": 1}, (2, 3)),
        ({"since": 0}, (("gap", None, 1, int(GapReason.HISTORY_TOO_SHORT)), 2, 3)),
        ({"since": 4}, (("gap", None, 1, int(GapReason.EPOCH_CHANGED)), 2, 3)),
    ],
)
async def test_the_application_says_where_it_begins_and_nobody_is_asked(
    autojump_clock: MockClock, options: dict[str, Any], begins: tuple[Any, ...]
) -> None:
    """SPEC ASG-6: history that the client may not read itself."""
    app, reader = app_of_inboxes(), Reader()
    app.channel("log", history=2, last_value=True, subscribe=NOBODY, read_history=NOBODY, open=True)
    async with serving(app) as server, connect(URL, assigned=reader):
        await reader.until(("begin", "inbox:1"))
        for number in (1, 2):
            await trio.sleep(10)
            await app.publish("log", number)
        await trio.sleep(10)
        last = (await app.publish("log", 3)).position
        if "since" in options:
            options = {"since": attrs.evolve(last, offset=options["since"])}
        session = await only_session(server)
        await session.handle.subscribe("log", **options)
        await reader.until(("begin", "log"), *begins)
        await app.publish("log", "live")
        await reader.until("live")


@unserved
async def test_what_comes_again_after_a_reset_is_no_gap(autojump_clock: MockClock) -> None:
    """SPEC ASG-5, ASG-6."""
    app, reader = App(), Reader()
    app.channel("state", last_value=True, open=True)

    @app.on_connect
    async def greet(session: Session) -> None:
        await session.subscribe("state")

    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, assigned=reader):
            await reader.until(("begin", "state"))
            await app.publish("state", 1)
            await reader.until(1)
            had = 1
            stories: list[tuple[list[int], list[Any]]] = [
                ([], [1]),
                ([2, 3], [("gap", 1, 2, int(GapReason.HISTORY_TOO_SHORT)), 3]),
                ([4], [4]),
            ]
            for values, got in stories:
                await restarts.end()
                for value in values:
                    await app.publish("state", value)
                await restarts.start(app)
                await reader.until(("lost", "state", had), ("begin", "state"), *got)
                had += len(values)
        await restarts.end()


@pytest.mark.parametrize("name", ["a:*", "*", ""])
async def test_a_pattern_is_no_channel_to_be_assigned(autojump_clock: MockClock, name: str) -> None:
    """SPEC WLD-1."""
    app = App()
    app.channel("a:*", open=True)
    async with serving(app) as server, connect(URL, assigned=Reader()):
        session = (await only_session(server)).handle
        with pytest.raises(ValueError, match="is a pattern" if name else "1 to 255"):
            await session.subscribe(name)
        with pytest.raises(LookupError, match="declare it"):
            await session.subscribe("b:1")
