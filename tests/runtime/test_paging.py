"""Pages of history: what a client, and the application, reads without a subscription (SPEC PGE-1 to PGE-5)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.lowlevel

from hawser import App, ClientPool, Config, Gap, Page, Position, RequestFailed, claims, connect
from hawser.brokers import MemoryBroker
from hawser.middleware import ReadRequest
from hawser.testing import FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.codes import ErrorCode, GapReason
from hawser_engine.messages import (
    HISTORY,
    PositionNotice,
    Publication,
    Read,
    decode_message,
    encode_body,
)
from hawser_engine.messages import Page as PageMessage
from tests.runtime.helpers import FAST, URL, RawClient, only_session, serving
from tests.runtime.test_late_brokers import LateBroker
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from hawser.middleware import Proceed, Request


def archive(history: int = 100, *, broker: MemoryBroker | None = None, **declared: Any) -> App:
    app = App(broker=broker)
    app.channel("room:*", history=history, open=True, **declared)
    return app


async def fill(app: App, count: int, channel: str = "room:a", first: int = 1) -> None:
    for number in range(first, first + count):
        await app.publish(channel, number)


def data(page: Page) -> list[Any]:
    return [message.data for message in page.messages]


async def all_pages(client: Any, step: int, **where: Any) -> list[list[Any]]:
    """Read page after page, as a program would."""
    forward = "since" in where
    pages: list[list[Any]] = []
    while True:
        page = await client.history("room:a", limit=step, **where)
        pages.append(data(page))
        if page.next is None:
            return pages
        where = {"since" if forward else "before": page.next}


@pytest.mark.parametrize("broker", [MemoryBroker, partial(LateBroker, 1)], ids=["memory", "late"])
async def test_it_is_read_back_and_on(autojump_clock: MockClock, broker: Callable[[], MemoryBroker]) -> None:
    """PGE-2, PGE-3: by a client without a subscription, in pages that have nothing twice."""
    app = archive(broker=broker())
    async with serving(app), connect(URL) as client:
        await fill(app, 7)
        page = await client.history("room:a", limit=3)
        assert (data(page), page.position.offset, page.gap) == ([5, 6, 7], 7, None)
        assert page.next == page.messages[0].position
        assert await all_pages(client, 3) == [[5, 6, 7], [2, 3, 4], [1]]
        beginning = Position(page.position.epoch, 0)
        assert await all_pages(client, 3, since=beginning) == [[1, 2, 3], [4, 5, 6], [7]]
        assert await all_pages(app, 4) == [[4, 5, 6, 7], [1, 2, 3]]
        between = await client.history("room:a", since=attrs.evolve(beginning, offset=2), before=page.next)
        assert (data(between), between.next) == ([3, 4], None)
        empty = await client.history("room:b")
        assert (empty.messages, empty.position.offset, empty.next) == ((), 0, None)


async def test_a_subscription_goes_on_where_a_page_ends(autojump_clock: MockClock) -> None:
    """PGE-3: a state that the application gives is joined without a hole."""
    app = archive()

    @app.procedure("state")
    async def state(session: object) -> dict[str, Any]:
        page = await app.history("room:a", limit=0)
        await app.publish("room:a", "meanwhile")
        return {"epoch": page.position.epoch, "offset": page.position.offset}

    async with serving(app), connect(URL) as client:
        await fill(app, 3)
        told = await client.call("state")
        async with client.subscribe("room:a", since=Position(**told)) as messages:
            await app.publish("room:a", "after")
            assert [(await messages.receive()).data for _ in range(2)] == ["meanwhile", "after"]


async def test_what_was_lost_is_said(autojump_clock: MockClock) -> None:
    """PGE-3, SUB-4."""
    app = archive(3, broker=MemoryBroker(channels_max=1))
    async with serving(app), connect(URL) as client:
        await fill(app, 5)
        epoch = (await client.history("room:a", limit=0)).position.epoch
        for since, lost in ((1, True), (2, False)):
            page = await client.history("room:a", since=Position(epoch, since))
            assert data(page) == [3, 4, 5]
            assert (page.gap is not None) == lost
            if page.gap is not None:
                told = page.gap.since, page.gap.position, page.gap.reason
                assert told == (Position(epoch, 1), Position(epoch, 2), GapReason.HISTORY_TOO_SHORT)
        await fill(app, 1, "room:b")  # there is room for one channel, and the other begins anew
        await fill(app, 2)
        page = await client.history("room:a", since=Position(epoch, 5))
        assert isinstance(page.gap, Gap)
        assert (data(page), page.gap.reason) == ([1, 2], GapReason.EPOCH_CHANGED)
        page = await client.history("room:a", before=Position(epoch, 5))
        assert (data(page), page.next, page.gap) == ([], None, None)
        page = await client.history("room:a", since=Position(page.position.epoch, 9))
        assert isinstance(page.gap, Gap)
        assert data(page) == [1, 2]
        page = await client.history("room:a", since=Position(page.position.epoch, 0), before=Position(epoch, 2))
        assert (data(page), page.next) == ([], None)


async def test_it_has_what_subscribers_get_and_nothing_volatile(autojump_clock: MockClock) -> None:
    """PGE-4, PGE-5: what it carries, also to whom a subscription leaves out, and whatever a filter says."""
    app = archive(about=["publisher", "tags", "time"], volatile=True)
    async with serving(app), connect(URL) as client, client.subscribe("room:a", filter="mine") as messages:
        await client.publish("room:a", 1, tags={"mine": ""}, except_me=True)
        await client.publish("room:a", 2, volatile=True)
        await client.publish("room:a", 3)
        await client.publish("room:a", 4, tags={"mine": ""})
        seen = await messages.receive()
        page = await client.history("room:a")
        assert data(page) == [1, 3, 4]
        assert page.messages[-1] == seen
        assert page == await app.history("room:a")


async def test_of_the_latest_by_key_it_has_what_is_kept(autojump_clock: MockClock) -> None:
    app = archive(overflow="keep-latest")
    async with serving(app), connect(URL) as client:
        for number, key in enumerate("abcabb", 1):
            await client.publish("room:a", number, latest_key=key)
        assert await all_pages(client, 2) == [[4, 6], [3], []]  # the first one was replaced, and is not missing
        epoch = (await client.history("room:a", limit=0)).position.epoch
        page = await client.history("room:a", since=Position(epoch, 0), limit=2)
        assert (data(page), page.gap) == ([3, 4], None)
        assert await all_pages(client, 2, since=Position(epoch, 3)) == [[4, 6]]


@pytest.mark.parametrize("longest", [1_000, 1_000_000])
async def test_a_page_is_as_long_as_a_message(autojump_clock: MockClock, longest: int) -> None:
    """PGE-4: as many as fit, and of one that never fits its place."""
    raw = RawClient(EngineConfig(message_bytes=longest), features=(HISTORY,))
    app = archive(1_000)
    async with serving(app, config=attrs.evolve(FAST, message_bytes=100_000)), raw.connected() as client:
        await client.opened.wait()
        await app.publish("room:a", bytes(90_000))
        for _ in range(300):
            await app.publish("room:a", bytes(20))
        before: Position | None = None
        offsets: list[int] = []
        found: list[Publication | PositionNotice] = []
        for number in range(1, 500):
            client.say(Read(number, "room:a", None, before, 999))
            page = await client.hear()
            assert isinstance(page, PageMessage)
            assert len(encode_body(page)) <= longest
            bodies = [decode_message(body) for body in page.publications]
            assert 1 <= len(bodies) <= 128
            if longest > 1_000 and page.more:
                assert len(bodies) >= 128 or number > 1
            found = [each for each in bodies if isinstance(each, (Publication, PositionNotice))]
            offsets[:0] = [each.offset for each in found]
            if not page.more:
                break
            before = Position(page.position.epoch, found[0].offset)
        assert offsets == list(range(1, 302))
        assert isinstance(found[0], PositionNotice if longest == 1_000 else Publication)


async def test_a_client_is_told_what_has_no_place(autojump_clock: MockClock) -> None:
    app = archive()
    async with serving(app), connect(URL, config=Config(message_bytes=2_000)) as client:
        await app.publish("room:a", bytes(3_000))
        await app.publish("room:a", 2)
        page = await client.history("room:a")
        assert (data(page), page.left_out) == ([2], ())
        assert page.next is not None
        page = await client.history("room:a", before=page.next)
        assert (data(page), page.left_out, page.next) == ([], (1,), None)


async def test_who_may_not_subscribe_or_not_read_is_refused(autojump_clock: MockClock) -> None:
    """PGE-1."""
    app = App()
    app.channel("closed", history=10, subscribe=claims("never"), read_history=claims("not never"))
    app.channel("fresh", history=10, subscribe=claims("not never"), read_history=claims("never"))
    async with serving(app), connect(URL) as client:
        for channel, code in (
            ("closed", ErrorCode.DENIED),
            ("fresh", ErrorCode.DENIED),
            ("nowhere", ErrorCode.NOT_FOUND),
            ("room:*", ErrorCode.BAD_REQUEST),
        ):
            with pytest.raises(RequestFailed) as caught:
                await client.history(channel)
            assert caught.value.code == code
        with pytest.raises(LookupError):
            await app.history("nowhere")
        assert (await app.history("closed")).position.offset == 0


@pytest.mark.parametrize("refuse", [True, False, None])
async def test_middleware_sees_it(autojump_clock: MockClock, refuse: bool | None) -> None:
    app = archive()
    seen: list[ReadRequest] = []

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, ReadRequest):
            seen.append(request)
            if refuse:
                raise RequestFailed(ErrorCode.DENIED, "not today")
            if refuse is None:
                return None
        return await proceed()

    async with serving(app), connect(URL) as client:
        await fill(app, 2)
        if refuse is False:
            assert data(await client.history("room:a", limit=7)) == [1, 2]
        else:
            with pytest.raises(RequestFailed) as caught:
                await client.history("room:a", limit=7)
            assert caught.value.code == (ErrorCode.DENIED if refuse else ErrorCode.INTERNAL)
        assert [(one.channel, one.since, one.before, one.limit) for one in seen] == [("room:a", None, None, 7)]


async def test_it_is_read_again_after_a_reset(autojump_clock: MockClock) -> None:
    broker = MemoryBroker()
    async with trio.open_nursery() as nursery, FaultyNetwork() as network:
        restarts = Restarts(nursery)
        await restarts.start(archive(broker=broker))
        async with connect(URL, transport=network) as client:
            await fill(app := archive(broker=broker), 2)
            assert data(await client.history("room:a")) == [1, 2]
            network.refuse()
            await network.cut()
            pages: list[Page] = []

            async def read() -> None:
                pages.append(await client.history("room:a"))

            nursery.start_soon(read)
            await trio.lowlevel.checkpoint()
            await restarts.end()
            await fill(app, 1, first=3)
            await restarts.start(archive(broker=broker))
            network.refuse(False)
            while not pages:
                await trio.sleep(1)
            assert data(pages[0]) == [1, 2, 3]
        await restarts.end()


async def test_a_server_without_pages_is_told_apart(autojump_clock: MockClock) -> None:
    async with serving(archive()) as server, connect(URL) as client:
        await client.history("room:a")
        session = await only_session(server)
        assert HISTORY in session.engine.features
        client._dialogue.line.engine.session.features = ()  # pyright: ignore[reportPrivateUsage]
        with pytest.raises(RequestFailed, match="gives no pages"):
            await client.history("room:a")


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"limit": -1}, ValueError),
        ({"limit": 1.5}, ValueError),
        ({"before": 3}, TypeError),
        ({"since": (b"", 3)}, TypeError),
    ],
)
async def test_what_cannot_be_asked_is_refused_where_it_is_given(
    autojump_clock: MockClock, wrong: dict[str, Any], error: type[Exception]
) -> None:
    app = archive()
    async with serving(app), connect(URL) as client:
        for reader in (client, app):
            with pytest.raises(error):
                await reader.history("room:a", **wrong)
        with pytest.raises(ValueError, match="1 to 255"):
            await client.history("")


async def test_a_pool_reads_it_too(autojump_clock: MockClock) -> None:
    app = archive()
    async with serving(app), ClientPool() as pool, pool.client(URL) as client:
        await fill(app, 2)
        assert data(await client.history("room:a", limit=1)) == [2]


async def test_reading_is_as_fast_as_joining(autojump_clock: MockClock) -> None:
    """PGE-1, LIM-1: above the rate it is slower, and no error."""
    app = archive()
    config = attrs.evolve(FAST, joins_burst=2, joins_per_second=10)
    async with serving(app, config=config), connect(URL) as client:
        began = trio.current_time()
        for _ in range(12):
            await client.history("room:a")
        assert 0.9 <= trio.current_time() - began <= 1.5


async def test_a_page_of_something_else_ends_the_connection_and_nothing_more(autojump_clock: MockClock) -> None:
    """MSG-4: the client goes on, and is answered by the next page."""
    app = archive()
    async with serving(app) as server, FaultyNetwork() as network, connect(URL, transport=network) as client:
        await fill(app, 1)
        session = await only_session(server)
        wrong = PageMessage(1, Position(bytes(8), 1), 1, False, (encode_body(Read(1, "x", None, None, 1)),))
        session.put(encode_body(wrong))
        await trio.sleep(1)
        assert data(await client.history("room:a")) == [1]
