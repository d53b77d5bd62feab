"""One task reads all plain sockets of a listener: it feeds and ends each link as a task of its own would."""

from __future__ import annotations

import math
import select
import socket
import struct
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
import trio

from hawser_engine import CloseCode
from hawser_engine.codec import encode, encode_message
from hawser_engine.packets import Close
from hawser_transports import (
    Link,
    Listener,
    ListenerSettings,
    LongPollTransport,
    Transport,
    WebSocketTransport,
    WireSettings,
)
from tests.engine.pair import an_open
from tests.transports.test_longpoll import POLLS, opened

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from tests.transports.conftest import Contexts

pytestmark = pytest.mark.skipif(not hasattr(select, "epoll"), reason="this system has no epoll: a task for each link")

SETTINGS = ListenerSettings(
    accepts_per_second=math.inf, connections_per_address=math.inf, wire=WireSettings(close_seconds=0.5)
)


class Ear:
    """Hears one link, and answers at once."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.heard: list[bytes] = []
        self.ends: list[Exception | None] = []
        self._news = trio.Event()

    def received(self, batches: list[bytes]) -> None:
        assert not self.ends
        self.heard += batches
        for batch in batches:
            if batch.startswith(b"echo"):
                self.link.send_nowait([batch])
        self._tell()

    def ended(self, error: Exception | None) -> None:
        self.ends.append(error)
        self._tell()

    async def until_heard(self, count: int) -> None:
        while len(self.heard) < count:
            await self._news.wait()

    async def until_ended(self) -> Exception | None:
        while not self.ends:
            await self._news.wait()
        return self.ends[0]

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()


class Place:
    """A listener that serves, and everything that arrived at it."""

    def __init__(self, transport: Transport, listener: Listener, serving: trio.Nursery) -> None:
        self.ears: list[Ear] = []
        self.listener = listener
        self.serving = serving
        self._transport = transport
        self._come = trio.Event()

    def attach(self, link: Link) -> Ear:
        self.ears.append(Ear(link))
        self._come.set()
        return self.ears[-1]

    async def meet(self) -> tuple[Link, Ear]:
        """Both ends of a new link: what a client has, and who hears it here."""
        self._come = trio.Event()
        near = await self._transport.connect(self.listener.url)
        await self._come.wait()
        return near, self.ears[-1]


@asynccontextmanager
async def place(contexts: Contexts | None = None) -> AsyncGenerator[Place]:
    server = WebSocketTransport(settings=SETTINGS, ssl_context=contexts[0] if contexts else None)
    client = WebSocketTransport(settings=SETTINGS, ssl_context=contexts[1] if contexts else None)
    with trio.fail_after(60):
        async with await server.listen(f"{'wss' if contexts else 'ws'}://127.0.0.1:0") as listener:
            async with trio.open_nursery() as nursery:
                made = Place(client, listener, nursery)
                nursery.start_soon(listener.serve, made.attach)
                yield made
                await listener.aclose()


def socket_of(link: Link) -> socket.socket:
    return cast("socket.socket", cast("Any", link)._wire._socket)  # pyright: ignore[reportPrivateUsage]


async def test_links_take_no_tasks() -> None:
    async with place() as here:
        near, ear = await here.meet()
        before = trio.lowlevel.current_statistics().tasks_living
        met = [(near, ear), *[await here.meet() for _ in range(20)]]
        for number, (near, _) in enumerate(met):
            await near.send_batches([b"echo %d" % number])
        for number, (near, ear) in enumerate(met):
            assert await near.receive_batches() == [b"echo %d" % number]
            assert ear.heard == [b"echo %d" % number]
        assert trio.lowlevel.current_statistics().tasks_living == before
        for near, ear in met:
            await near.aclose()
            assert await ear.until_ended() is None
    assert all(ear.ends == [None] for ear in here.ears)


async def test_more_than_one_read_takes_and_more_links_than_one_pass_reads() -> None:
    """A batch above what one read takes, on as many links as there are, while others go on."""
    async with place() as here:
        met = [await here.meet() for _ in range(30)]
        long = [bytes([number]) * 120_000 for number in range(30)]
        async with trio.open_nursery() as sending:
            for (near, _), batch in zip(met, long, strict=True):
                sending.start_soon(near.send_batches, [batch, batch])
        for (_, ear), batch in zip(met, long, strict=True):
            await ear.until_heard(2)
            assert ear.heard == [batch, batch]
        for near, _ in met:
            await near.aclose()


async def test_every_end_is_told_once_and_harms_nobody_else() -> None:
    async with place() as here:
        (good, witness), (closing, a), (resetting, b), (left, c), (dead, d) = [await here.meet() for _ in range(5)]
        await closing.send_batches([b"last words"])
        await closing.aclose()
        assert await a.until_ended() is None
        assert a.heard == [b"last words"]

        socket_of(resetting).setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        await trio.aclose_forcefully(resetting)
        assert isinstance(await b.until_ended(), (trio.BrokenResourceError, type(None)))

        async with trio.open_nursery() as leaving:
            leaving.start_soon(c.link.aclose)  # gracefully, while the reactor has it
            assert isinstance(await c.until_ended(), trio.ClosedResourceError)
            with pytest.raises(trio.EndOfChannel):
                await left.receive_batches()
            await left.aclose()

        cast("Any", d.link)._wire.abort()  # what a failed write comes to
        assert isinstance(await d.until_ended(), trio.BrokenResourceError)
        with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await dead.receive_batches()
        await dead.aclose()

        await good.send_batches([b"echo"])
        assert await good.receive_batches() == [b"echo"]
        assert witness.ends == []
        await good.aclose()
    assert [len(ear.ends) for ear in here.ears] == [1] * 5


async def test_serving_ends_with_the_last_link() -> None:
    async with place() as here:
        near, ear = await here.meet()
        await here.listener.aclose()
        await near.send_batches([b"echo"])
        assert await near.receive_batches() == [b"echo"]
        assert here.serving.child_tasks
        await near.aclose()
        while here.serving.child_tasks:
            await trio.sleep(0.001)
    assert ear.ends == [None]


async def test_a_cancelled_reactor_ends_every_link_and_closes_it() -> None:
    async with place() as here:
        met = [await here.meet() for _ in range(3)]
        here.serving.cancel_scope.cancel()
    for near, ear in met:
        assert ear.ends == [None]
        with pytest.raises((trio.EndOfChannel, trio.BrokenResourceError)):
            await near.receive_batches()
        await near.aclose()


async def test_what_only_a_task_can_wait_for_gets_one(contexts: Contexts) -> None:
    async with place(contexts) as here:
        near, ear = await here.meet()
        assert ear.link.lend(lambda: None) == -1
        await near.send_batches([b"echo"])
        assert await near.receive_batches() == [b"echo"]
        await near.aclose()
        assert await ear.until_ended() is None


@asynccontextmanager
async def polled() -> AsyncGenerator[tuple[Place, Link, Ear]]:
    """A reactor of long-poll links, and both ends of one that is attached."""
    transport = LongPollTransport(settings=SETTINGS, polls=POLLS)
    with trio.fail_after(60):
        async with await transport.listen("http://127.0.0.1:0") as listener, trio.open_nursery() as nursery:
            here = Place(transport, listener, nursery)
            nursery.start_soon(listener.serve, here.attach)
            near = await transport.connect(listener.url)
            await near.send_batches([encode(an_open())])
            while not here.ears:
                await trio.sleep(0.01)
            (ear,) = here.ears
            await ear.until_heard(1)
            await ear.link.send_batches([encode(opened(1))])
            assert await near.receive_batches()
            yield here, near, ear
            await listener.aclose()


async def test_what_requests_bring_is_heard_at_once_and_takes_no_task() -> None:
    async with polled() as (_, near, ear):
        heard = len(ear.heard)
        for count in range(1, 4):
            await near.send_batches([encode_message(b"%d" % count, more=False)])
            while not any(batch.endswith(b"%d" % count) for batch in ear.heard[heard:]):
                await ear.until_heard(len(ear.heard) + 1)
        await near.send_batches([encode(Close(CloseCode.GOING_AWAY, "", True, True, 0, 0, None, None))])
        assert await ear.until_ended() is None
        assert len(ear.ends) == 1
        await near.aclose()


async def test_a_link_of_requests_that_this_side_closes_is_told_to_its_receiver() -> None:
    async with polled() as (_, near, ear):
        with trio.move_on_after(0):
            await ear.link.aclose()
        assert isinstance(await ear.until_ended(), trio.ClosedResourceError)
        assert len(ear.ends) == 1
        await near.aclose()


async def test_a_cancelled_reactor_ends_links_of_requests_too() -> None:
    async with polled() as (here, near, ear):
        here.serving.cancel_scope.cancel()
    assert ear.ends == [None]
    await near.aclose()
