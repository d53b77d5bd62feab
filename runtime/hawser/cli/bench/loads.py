"""The four loads. Each brings its clients up, calls `Meter.start`, and runs until the meter says that it is enough."""

from __future__ import annotations

from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs
import trio

from hawser import Config, Gap, states
from hawser.cli import CommandFailed
from hawser.cli.running import Dial
from hawser_transports import Transport

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser import Client
    from hawser.cli.arguments import Place
    from hawser.client import Receipt
    from hawser_transports import Link, Listener

    from .meter import Meter

AT_ONCE: Final = 64
"""Attaches under way at a time while a load sets up: more would only wait for each other, within their deadline."""
NUMBER_BYTES: Final = 8
RETURN_SECONDS: Final = 0.5
"""Over how long cut clients come back unless it is said; what `connect` does by itself after a link that worked."""


@attrs.frozen
class Echo:
    """Calls of a procedure that returns its argument; each client waits for a number of them at a time."""

    clients: int
    in_flight: int
    size: int
    procedure: str
    unit: str = "echoes"

    async def run(self, place: Place, meter: Meter) -> None:
        """Bring load on a server until the meter has enough; what was begun is done on return."""
        await with_clients(place, self.clients, partial(self._call_all, meter))

    async def _call_all(self, meter: Meter, clients: list[Client]) -> None:
        meter.start()
        async with trio.open_nursery() as nursery:
            for client in clients:
                for _ in range(self.in_flight):
                    nursery.start_soon(self._call, client, bytes(self.size), meter)
        meter.stop()

    async def _call(self, client: Client, data: bytes, meter: Meter) -> None:
        while meter.goes_on():
            began = trio.current_time()
            await client.call(self.procedure, data)
            meter.add(trio.current_time() - began)


@attrs.define(eq=False)
class _Flight:
    """A publication that not everybody has yet."""

    began: float
    missing: int


@attrs.frozen
class Fanout:
    """Publications to one channel with many subscribers; the next one leaves when enough have reached everybody."""

    clients: int
    in_flight: int
    size: int
    channel: str
    unit: str = "deliveries"

    async def run(self, place: Place, meter: Meter) -> None:
        """Bring load on a server until the meter has enough; what was begun is done on return."""
        await with_clients(place, self.clients + 1, partial(self._publish_all, meter))

    async def _publish_all(self, meter: Meter, clients: list[Client]) -> None:
        publisher, *subscribers = clients
        room = trio.Semaphore(self.in_flight)
        flights: dict[bytes, _Flight] = {}
        async with trio.open_nursery() as nursery:
            for subscriber in subscribers:
                await nursery.start(self._subscribe, subscriber, flights, room, meter)
            meter.start()
            meter.notes["publications"] = 0
            for number in count(1):
                await room.acquire()
                if not meter.goes_on():
                    break
                name = number.to_bytes(NUMBER_BYTES)
                flights[name] = _Flight(trio.current_time(), self.clients)
                receipt = await publisher.submit(self.channel, bytes(self.size - NUMBER_BYTES) + name)
                nursery.start_soon(_accepted, receipt)
                meter.notes["publications"] = number
            for _ in range(self.in_flight - 1):  # with the room in hand, all of them: everything has landed
                await room.acquire()
            meter.stop()
            nursery.cancel_scope.cancel(reason="everything has arrived")

    async def _subscribe(
        self,
        client: Client,
        flights: dict[bytes, _Flight],
        room: trio.Semaphore,
        meter: Meter,
        *,
        task_status: trio.TaskStatus[None],
    ) -> None:
        async with client.subscribe(self.channel) as messages:
            task_status.started()
            while True:
                try:
                    message = await messages.receive()
                except Gap as gap:
                    raise CommandFailed(f"a subscriber has lost something: {gap}") from None
                name = message.raw[-NUMBER_BYTES:]  # of the payload too: it ends with the bytes that it holds
                flight = flights.get(name)
                if flight is None:
                    raise CommandFailed(f"somebody else publishes to {self.channel!r} too; choose another --channel")
                meter.add(trio.current_time() - flight.began)
                flight.missing -= 1
                if not flight.missing:
                    del flights[name]
                    room.release()


async def _accepted(receipt: Receipt) -> None:
    await receipt.wait()


@attrs.frozen
class Connect:
    """New sessions, a number of them under way at a time; each stays until all are there."""

    clients: int
    in_flight: int
    unit: str = "sessions"

    async def run(self, place: Place, meter: Meter) -> None:
        """Bring load on a server until the meter has enough; what was begun is done on return."""
        meter.start()
        await with_clients(place, self.clients, partial(_stop, meter), at_once=self.in_flight, meter=meter)


async def _stop(meter: Meter, _: list[Client]) -> None:
    await trio.lowlevel.checkpoint()
    meter.stop()


@attrs.frozen
class Resume:
    """Sessions whose links all break at the same instant; an operation is one that is back, counted from the cut."""

    clients: int
    rounds: int
    spread_seconds: float = RETURN_SECONDS
    unit: str = "resumes"

    async def run(self, place: Place, meter: Meter) -> None:
        """Bring load on a server until the meter has enough; what was begun is done on return."""
        network = _Cuttable(place)
        config = Config(backoff_cap_seconds=self.spread_seconds)
        body = partial(self._cut_all, network, meter)
        await with_clients(place, self.clients, body, config=config, transport=network)

    async def _cut_all(self, network: _Cuttable, meter: Meter, clients: list[Client]) -> None:
        meter.start()
        meter.notes |= {"rounds": 0, "resets": 0}
        while meter.goes_on() and meter.notes["rounds"] < self.rounds:
            meter.notes["rounds"] += 1
            cut_at = trio.current_time()
            async with trio.open_nursery() as nursery:
                for client in clients:
                    await nursery.start(_until_back, client, cut_at, meter)
                await network.cut()
        meter.stop()


Load: TypeAlias = Echo | Fanout | Connect | Resume
"""Something to measure; `unit` is what it counts, in the plural."""


async def _until_back(client: Client, cut_at: float, meter: Meter, *, task_status: trio.TaskStatus[None]) -> None:
    """Wait until a client that is attached has been away and is attached again."""
    stream = client.states
    away = False
    task_status.started()
    async for state in stream:
        if isinstance(state, states.Reset):
            meter.notes["resets"] += 1
        elif isinstance(state, states.Connected) and away:
            if state.resumed:
                meter.add(trio.current_time() - cut_at)
            return
        elif isinstance(state, states.Closed):
            raise CommandFailed(f"the server closed a session with code {state.code}: {state.reason}")
        away = away or not isinstance(state, states.Connected)


class _Cuttable(Transport):
    """The transport of a URL, with all its links in one hand."""

    def __init__(self, place: Place) -> None:
        self._transport = place.transport()
        self._links: list[Link] = []

    async def listen(self, url: str) -> Listener:
        """See `Transport.listen`."""
        return await self._transport.listen(url)

    async def connect(self, url: str) -> Link:
        """See `Transport.connect`."""
        link = await self._transport.connect(url)
        self._links.append(link)
        return link

    async def cut(self) -> None:
        """Drop every link, with what is under way in it."""
        links, self._links = self._links, []
        for link in links:
            await trio.aclose_forcefully(link)


async def with_clients(
    place: Place,
    clients: int,
    body: Callable[[list[Client]], Awaitable[None]],
    *,
    at_once: int = AT_ONCE,
    meter: Meter | None = None,
    config: Config | None = None,
    transport: Transport | None = None,
) -> None:
    """Run something with a number of clients, all of them connected.

    Args:
        place: The server.
        clients: How many.
        body: Given the clients; they leave when it returns.
        at_once: How many may be on their way in at a time.
        meter: Told of each that has come; if it has enough, no more are started.
        config: Theirs.
        transport: Theirs.
    """
    transport = place.transport() if transport is None else transport  # looked up once: that is no part of a load
    ready: list[Client] = []
    room = trio.Semaphore(at_once)

    async def stay(*, task_status: trio.TaskStatus[Client]) -> None:
        async with Dial(place, config=config, transport=transport) as client:
            task_status.started(client)
            await trio.sleep_forever()

    async def come() -> None:
        began = trio.current_time()
        ready.append(await staying.start(stay))
        if meter is not None:
            meter.add(trio.current_time() - began)
        room.release()

    async with trio.open_nursery() as staying:
        async with trio.open_nursery() as coming:
            for _ in range(clients):
                await room.acquire()
                if meter is not None and not meter.goes_on():
                    break
                coming.start_soon(come)
        await body(ready)
        staying.cancel_scope.cancel(reason="the run is over")
