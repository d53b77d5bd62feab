"""One server that listens at several places: its clients come through any of them, and go on through another."""

from __future__ import annotations

from functools import partial
from itertools import cycle
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import connect, serve, states
from hawser_transports import LongPollTransport, MemoryTransport, PollSettings, WebSocketTransport
from hawser_transports.dialing import dial
from hawser_transports.longpoll import Asking, PollClientLink
from hawser_transports.urls import parse_url
from tests.runtime.helpers import FAST, PATIENCE, open_app
from tests.runtime.test_over_websocket import SETTINGS

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Server
    from hawser_transports import Link
    from hawser_transports.memory import MemoryLink
    from hawser_transports.wires import Wire

PLACES = ("memory://bow", "memory://stern")


class Alternating(MemoryTransport):
    """Connects to each of the places in turn, as through a balancer."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[MemoryLink] = []

    async def connect(self, url: str) -> MemoryLink:
        """See `Transport.connect`."""
        self.links.append(await super().connect(PLACES[len(self.links) % 2]))
        return self.links[-1]


async def test_a_session_goes_on_through_another_place(autojump_clock: MockClock) -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve, open_app(), *PLACES)
            assert (server.url, server.urls) == (PLACES[0], PLACES)
            transport = Alternating()
            async with (
                connect(PLACES[0]) as bow,
                connect("memory://", transport=transport) as both,
                both.subscribe("room") as messages,
            ):
                for number in range(4):
                    await trio.aclose_forcefully(transport.links[-1])
                    await bow.publish("room", number)
                    assert (await messages.receive()).data == number
                assert len(transport.links) == 5
                assert (server.sessions, server.resumes) == (2, 4)
            nursery.cancel_scope.cancel()


async def test_a_server_that_drains_leaves_every_place(autojump_clock: MockClock) -> None:
    with trio.fail_after(PATIENCE):
        async with trio.open_nursery() as nursery:
            server: Server = await nursery.start(serve, open_app(), *PLACES)
            async with connect(PLACES[0]) as bow, connect(PLACES[1]) as stern:
                changes = (bow.states, stern.states)
                await server.drain()
                for seen in changes:
                    async for state in seen:
                        if isinstance(state, states.Waiting):
                            assert state.why == "the server is drained"
                            break
        for place in PLACES:
            with pytest.raises(OSError, match="nobody listens"):
                await MemoryTransport().connect(place)


async def test_a_server_that_cannot_have_each_place_takes_none(autojump_clock: MockClock) -> None:
    async with await MemoryTransport().listen(PLACES[1]):
        with pytest.raises(OSError, match="stern"):
            await serve(open_app(), *PLACES)
        async with await MemoryTransport().listen(PLACES[0]):
            pass


async def test_requests_of_one_link_reach_it_through_any_place() -> None:
    """SPEC CAR-12: a link is named by what its requests carry, not by where they arrive."""
    transport = WebSocketTransport(settings=SETTINGS)
    dialled: list[int] = []

    class Spread(LongPollTransport):
        """Opens each connection to the next of the places."""

        async def connect(self, url: str) -> Link:
            """See `Transport.connect`."""
            place = parse_url(url, ["http"])

            async def dial_next() -> Wire:
                dialled.append(next(ports).port)
                return await dial(parse_url(f"http://127.0.0.1:{dialled[-1]}/", ["http"]), None, SETTINGS.wire)

            asking = Asking(place, dial_next)
            await asking.open()
            return PollClientLink(asking, str(place), PollSettings(), bytes)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            serving = partial(serve, open_app(), transport=transport, config=FAST)
            server: Server = await nursery.start(serving, "http://127.0.0.1:0", "http://127.0.0.1:0")
            ports = cycle([parse_url(url, ["http"]) for url in server.urls])
            async with connect(server.url, transport=Spread()) as client, client.subscribe("room") as messages:
                for number in range(10):
                    await client.publish("room", number)
                    assert (await messages.receive()).data == number
            assert len(set(dialled)) == 2
            assert server.resumes == 0
            nursery.cancel_scope.cancel()
