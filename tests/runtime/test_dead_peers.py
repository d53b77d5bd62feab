"""How soon either side notices that the other is gone without a word, with all defaults (SPEC LIV-1, CAR-26).

Both sides are whole: client, server, and the links of the carriage with their HTTP and frames. What lies between them
is a cable of memory streams on a virtual clock; once it is dead it takes bytes and brings none, and nobody hears of it.
"""

from __future__ import annotations

import secrets
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
import trio
from attrs import frozen
from trio.testing import MemoryReceiveStream, MemorySendStream, memory_stream_pair, memory_stream_pump

from hawser import connect, states
from hawser_engine.bindings.head import HeadGate, HeadLimits
from hawser_engine.bindings.websocket import ClientHandshake, FrameLimits, MaskedFrames, WebSocket
from hawser_transports import Listener, ListenerSettings, PollSettings, Transport
from hawser_transports.door import Attendance, Door
from hawser_transports.longpoll import Asking, PollClientLink, PollRoute
from hawser_transports.urls import parse_url
from hawser_transports.visits import Visit
from hawser_transports.web import upgrade_handler
from hawser_transports.websocket import WebSocketLink
from hawser_transports.wires import StreamWire, Wire, WireSettings
from tests.runtime.helpers import open_app, serving

if TYPE_CHECKING:
    from collections.abc import Callable

    from trio.testing import MockClock

    from hawser import Client
    from hawser_transports import Link, Receiver
    from hawser_transports.visits import Handler

URL: Final = "http://server.example/"
BOUNDS: Final = {"websocket": 35.0, "longpoll": 55.0}
"""Seconds: ping interval and pong wait; hold and grace."""
ROUNDING_SECONDS: Final = 1e-6
"""Sums of floats; a client to which the last byte came just before waits the whole bound."""


@frozen
class Noting:
    """A receiver whose end is noted."""

    receiver: Receiver
    note: Callable[[], None]

    def received(self, batches: list[bytes]) -> None:
        self.receiver.received(batches)

    def ended(self, error: Exception | None) -> None:
        self.note()
        self.receiver.ended(error)


class Cable(Transport, Listener):
    """A server's place and the only way there."""

    def __init__(self, carriage: str, nursery: trio.Nursery) -> None:
        self._carriage = carriage
        self._nursery = nursery
        self._handler: Handler = upgrade_handler() if carriage == "websocket" else PollRoute((), PollSettings())
        self._arrive, self._arrived = trio.open_memory_channel["Link"](10)
        self._door = Door(Attendance(ListenerSettings()))
        self.dead: bool = False
        self.server_noticed: float | None = None

    @property
    def url(self) -> str:
        return URL

    async def listen(self, url: str) -> Listener:
        return self

    async def accept(self) -> Link:
        return await self._arrived.receive()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()

    async def serve(self, attach: Callable[[Link], Receiver]) -> None:
        await super().serve(lambda link: Noting(attach(link), self._note))

    async def connect(self, url: str) -> Link:
        if self._carriage == "longpoll":
            asking = Asking(parse_url(URL, ("http",)), self._dial)
            await asking.open()
            return PollClientLink(asking, "client", PollSettings(), secrets.token_bytes)
        wire = await self._dial()
        shaking = ClientHandshake("server.example", "/", random_bytes=secrets.token_bytes, limits=HeadLimits())
        wire.write(shaking.request)
        early = None
        while early is None:
            early = shaking.receive_data(await wire.receive())
        return WebSocketLink(wire, WebSocket(MaskedFrames(secrets.token_bytes), FrameLimits()), early)

    async def _dial(self) -> Wire:
        if self.dead:
            await trio.sleep_forever()
        near, far = memory_stream_pair()
        for sends, receives in ((near, far), (far, near)):
            carry = partial(self._carry, sends.send_stream, receives.receive_stream)
            sends.send_stream.send_all_hook = carry
            sends.send_stream.close_hook = partial(self._carry_now, sends.send_stream, receives.receive_stream)
        self._nursery.start_soon(self._serve, StreamWire(far, "server", WireSettings()))
        return StreamWire(near, "client", WireSettings())

    async def _carry(self, source: MemorySendStream, target: MemoryReceiveStream) -> None:
        self._carry_now(source, target)

    def _carry_now(self, source: MemorySendStream, target: MemoryReceiveStream) -> None:
        if not self.dead:
            memory_stream_pump(source, target)

    async def _serve(self, wire: Wire) -> None:
        """Answer requests like the listener does, which needs sockets."""
        rest: bytes | None = b""
        while rest is not None:
            gate = HeadGate(request=True, limits=HeadLimits())
            head = gate.receive_data(rest)
            while head is None:
                data = await wire.receive()
                if not data:
                    wire.close()
                    return
                head = gate.receive_data(data)
            rest = await self._handler(head, wire, Visit("192.0.2.1", self._door, "192.0.2.1", self._arrive.send))

    def _note(self) -> None:
        if self.server_noticed is None:
            self.server_noticed = trio.current_time()


async def disconnected(client: Client) -> float:
    async for state in client.states:
        if not isinstance(state, states.Connected):
            break
    return trio.current_time()


@pytest.mark.parametrize("quiet_seconds", [0.0, 3.0, 19.9, 26.0, 100.0])
@pytest.mark.parametrize("carriage", BOUNDS)
async def test_both_sides_notice_within_the_bound(
    autojump_clock: MockClock, carriage: str, quiet_seconds: float
) -> None:
    async with trio.open_nursery() as nursery:
        cable = Cable(carriage, nursery)
        async with serving(open_app(), transport=cable, url=URL), connect(URL, transport=cable) as client:
            await client.publish("room", "something was said")
            await trio.sleep(quiet_seconds)
            assert isinstance(client.state, states.Connected)
            assert cable.server_noticed is None
            cable.dead = True
            died = trio.current_time()
            with trio.fail_after(200):
                client_noticed = await disconnected(client)
                while cable.server_noticed is None:
                    await trio.sleep(0.1)
            bound = BOUNDS[carriage] + ROUNDING_SECONDS
            assert 0 < client_noticed - died <= bound
            assert 0 < cable.server_noticed - died <= bound
            nursery.cancel_scope.cancel()
