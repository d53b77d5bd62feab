"""``hawser demo``: a file through links that keep breaking, counted at the other end.

Everything is the public API: an `App` under `serve`, clients under `connect`; between them a relay that breaks
connections, or where nothing leaves the process a `FaultyNetwork`. The figures come from comparing what each subscriber
received with the file, not from what the library says of itself; only cuts, resumes, moves and replays are taken from
the network, the clients and the server.
"""

from __future__ import annotations

import signal
from functools import partial
from math import inf
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, TypeAlias
from urllib.parse import urlsplit

import attrs
import trio

from hawser import App, Client, Config, Gap, HawserError, connect, serve
from hawser.client import states
from hawser.testing import CutKind, FaultyNetwork
from hawser_conformance.findings import CannotRun
from hawser_conformance.places import carried
from hawser_transports import ListenerSettings, LongPollTransport, PollSettings, WebSocketTransport

from . import DONE, INTERRUPTED, WRONG_USAGE, CommandFailed
from .relay import HOST, Relay
from .view import choose_view

if TYPE_CHECKING:
    from hawser import Subscription
    from hawser.client import Connect, Receipt
    from hawser.server import Server
    from hawser_transports import Transport

    from .view import View

Carriage: TypeAlias = Literal["auto", "ws", "poll", "memory"]
"""How the clients reach the server."""

MEMORY_URL: Final = "memory://demo"
SOCKETS_URL: Final = f"http://{HOST}:0"
CHANNEL: Final = "demo:lines"
LINE_BYTES_MAX: Final = 1_000_000
PIPELINE: Final = 64
SETTLE_SECONDS: Final = 30.0
"""How long to wait, once everything is published, for what has not arrived yet; then it is lost."""

# In some kinds of cut only silence tells that a link is dead: by default that takes 35 s, or 10 s at an attach.
HEARTBEAT_SECONDS: Final = 1.0
HANDSHAKE_SECONDS: Final = 2.0
BACKOFF_SECONDS: Final = 1.0
"""The longest pause between attempts: by default it grows to 30 s, which is kind to servers and dull to watch."""
UPGRADE_SECONDS: Final = 2.0
"""A client goes without WebSocket so long once too many of them have died; by default half a minute, then longer."""
RESUMES_PER_MINUTE: Final = 10_000
"""A server takes a client for mad that resumes so often without having anything to say; here its links are to blame."""
DELAY_SECONDS: Final = (0.0, 0.02)
"""How long a batch is under way."""
POLLS: Final = PollSettings(
    post_seconds=HEARTBEAT_SECONDS,
    get_seconds=2.5 * HEARTBEAT_SECONDS,
    patience_seconds=3 * HEARTBEAT_SECONDS,
    retry_seconds=BACKOFF_SECONDS,
)


@attrs.frozen
class Settings:
    """What the user chose."""

    seconds: float
    """Over how long the lines are spread."""
    cut_every_seconds: float
    """How often a link breaks, on average; 0 never."""
    subscribers: int
    seed: int
    transport: Carriage = "memory"


@attrs.define
class Figures:
    """What has happened so far."""

    title: str
    lines: int
    subscribers: int
    accepted: int = 0
    """Publications whose reply has arrived at the publisher."""
    delivered: int = 0
    """Lines that have arrived at a subscriber, once, in order and unchanged."""
    lost: int = 0
    doubled: int = 0
    reordered: int = 0
    changed: int = 0
    cuts: int = 0
    resumes: int = 0
    moves: int = 0
    """Sessions that went on over another carriage than before."""
    replayed: int = 0
    resets: int = 0
    connected: int = 0
    polling: int = 0
    """Those among them that poll."""

    @property
    def expected(self) -> int:
        """How many deliveries make it complete."""
        return self.lines * self.subscribers

    @property
    def perfect(self) -> bool:
        """Whether every subscriber has every line, once and in order."""
        wrong = self.lost + self.doubled + self.reordered + self.changed
        return self.accepted == self.lines and self.delivered == self.expected and not wrong

    def line(self) -> str:
        """All figures in one line."""
        text = (
            f"accepted {self.accepted}, delivered {self.delivered} of {self.expected}, cuts {self.cuts}, "
            f"resumes {self.resumes}{f' ({self.moves} to another carriage)' if self.moves else ''}, "
            f"replayed {self.replayed}, lost {self.lost}, duplicated {self.doubled}"
        )
        extra = (("reordered", self.reordered), ("changed", self.changed), ("resets", self.resets))
        return text + "".join(f", {name} {count}" for name, count in extra if count)


def run_demo(file: Path | None, settings: Settings, *, plain: bool) -> int:
    """Run the demo and print the outcome.

    Raises:
        CommandFailed: The file cannot be used.
    """
    path = specification() if file is None else file
    lines = read_lines(path)
    figures = Figures(
        f"{path.name}, {len(lines)} lines to {settings.subscribers} subscribers", len(lines), settings.subscribers
    )
    started = trio.run(_run, lines, settings, figures, choose_view(plain=plain))
    print(f"{figures.line()} in {started.seconds:.1f} s")
    if started.interrupted:
        return INTERRUPTED
    if not figures.perfect:
        raise CommandFailed(f"what arrived is not what is in {path.name}{started.why}")
    return DONE


def specification() -> Path:
    """The protocol specification, as it is installed or as it lies in the source tree.

    Raises:
        CommandFailed: It is in neither place.
    """
    try:
        return Path(str(carried() / "SPEC.md"))
    except CannotRun:
        message = "this installation came without the specification; name a file: hawser demo FILE"
        raise CommandFailed(message, WRONG_USAGE) from None


def read_lines(path: Path) -> list[bytes]:
    """The lines of a file, without their ends, as bytes.

    Raises:
        CommandFailed: There is no such file, it cannot be read, has no line, or has one that no message can hold.
    """
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise CommandFailed(f"cannot read {path}: {error.strerror or error}", WRONG_USAGE) from None
    if not lines:
        raise CommandFailed(f"{path} has no lines to publish", WRONG_USAGE)
    for number, line in enumerate(lines, 1):
        if len(line) > LINE_BYTES_MAX:
            raise CommandFailed(
                f"{path}: line {number} has {len(line)} bytes; a message carries {LINE_BYTES_MAX}", WRONG_USAGE
            )
    return lines


@attrs.frozen
class _Outcome:
    seconds: float
    interrupted: bool
    why: str


async def _run(lines: list[bytes], settings: Settings, figures: Figures, view: View) -> _Outcome:
    began = trio.current_time()
    demo = Demo(lines, settings, figures)
    interrupted = False
    async with trio.open_nursery() as nursery:

        async def until_interrupted() -> None:
            nonlocal interrupted
            with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
                async for _ in signals:
                    interrupted = True
                    nursery.cancel_scope.cancel(reason="interrupted")

        nursery.start_soon(until_interrupted)
        nursery.start_soon(view.run, figures)
        await demo.run()
        nursery.cancel_scope.cancel(reason="done")
    return _Outcome(trio.current_time() - began, interrupted, demo.why)


class Weather(Protocol):
    """Breaks what it carries."""

    cuts: int
    """How often it did."""

    async def storm(self, *, every_seconds: float, kinds: tuple[CutKind, ...]) -> None:
        """See `FaultyNetwork.storm`."""


class Demo:
    """A server, a publisher and subscribers, and a network between them that breaks."""

    def __init__(self, lines: list[bytes], settings: Settings, figures: Figures) -> None:
        self.lines = lines
        self.settings = settings
        self.figures = figures
        self.why: str = ""
        self._config = Config(
            ping_interval_seconds=HEARTBEAT_SECONDS,
            pong_wait_seconds=HEARTBEAT_SECONDS,
            handshake_seconds=HANDSHAKE_SECONDS,
            backoff_cap_seconds=BACKOFF_SECONDS,
            resumes_per_minute=RESUMES_PER_MINUTE,
            attaches_per_second=inf,
            upgrade_pause_seconds=UPGRADE_SECONDS,
            upgrade_pause_cap_seconds=UPGRADE_SECONDS,
        )
        self._memory = settings.transport == "memory"
        self._url = MEMORY_URL if self._memory else SOCKETS_URL
        self._transport: Transport | None = None  # the clients'
        self._server: Server | None = None
        self._replayed = 0  # by clients; the server counts its own
        self._missing = settings.subscribers
        self._all_arrived = trio.Event()
        self._ready = trio.Event()
        self._waiting_to_start = settings.subscribers

    async def run(self) -> None:
        """Publish everything and wait until it has arrived, or until it will not arrive any more."""
        app = App()
        app.channel(CHANNEL, history=len(self.lines), open=True)
        async with trio.open_nursery() as nursery:
            self._server = await nursery.start(
                partial(serve, app, self._url, config=self._config, transport=self._listening())
            )
            assert self._server is not None
            self._url = self._server.url
            if self._memory:
                async with FaultyNetwork(seed=self.settings.seed, delay_seconds=DELAY_SECONDS) as network:
                    self._transport = network
                    await self._deliver(network)
            else:
                port = urlsplit(self._url).port
                assert port is not None
                relay = Relay(port, seed=self.settings.seed, delay_seconds=DELAY_SECONDS)
                self._go_through(await nursery.start(relay.run))
                await self._deliver(relay)
            nursery.cancel_scope.cancel(reason="done")
        missing = self.figures.expected - self.figures.delivered
        self.figures.lost = max(self.figures.lost, missing)

    def _listening(self) -> Transport | None:
        """What the server listens with; None for memory."""
        # All come from one address, and a storm brings them back faster than strangers may come.
        unlimited = ListenerSettings(accepts_per_second=inf, connections_per_address=inf)
        return None if self._memory else WebSocketTransport(settings=unlimited, polls=POLLS)

    def _go_through(self, port: int) -> None:
        """Let the clients take the way through the relay."""
        chosen = self.settings.transport
        self._transport = LongPollTransport(polls=POLLS) if chosen == "poll" else WebSocketTransport(polls=POLLS)
        self._url = f"{'ws' if chosen == 'ws' else 'http'}://{HOST}:{port}"

    async def _deliver(self, weather: Weather) -> None:
        async with trio.open_nursery() as clients:
            clients.start_soon(self._measure, weather)
            for number in range(self.settings.subscribers):
                clients.start_soon(self._subscribe, number)
            await self._ready.wait()
            await self._publish(weather)
            with trio.move_on_after(SETTLE_SECONDS):
                await self._all_arrived.wait()
            clients.cancel_scope.cancel(reason="everything has arrived, or never will")
            self._update(weather)

    async def _storm(self, weather: Weather) -> None:
        kinds = (CutKind.BOTH,) * 5 + (CutKind.CLIENT, CutKind.SERVER, CutKind.SILENT)
        await weather.storm(every_seconds=self.settings.cut_every_seconds, kinds=kinds)

    def _connect(self) -> Connect:
        return connect(self._url, transport=self._transport, config=self._config)

    async def _publish(self, weather: Weather) -> None:
        pause = self.settings.seconds / len(self.lines)
        try:
            async with self._connect() as client, trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, client)
                if self.settings.cut_every_seconds:
                    nursery.start_soon(self._storm, weather)
                send, receive = trio.open_memory_channel["Receipt"](PIPELINE)
                nursery.start_soon(self._count_accepted, receive, nursery.cancel_scope)
                began = trio.current_time()
                async with send:
                    for number, line in enumerate(self.lines):
                        await trio.sleep_until(began + number * pause)
                        await send.send(await client.submit(CHANNEL, line))
        except* HawserError as errors:
            self.why = f": {errors.exceptions[0]}"

    async def _count_accepted(self, receipts: trio.MemoryReceiveChannel[Receipt], scope: trio.CancelScope) -> None:
        async for receipt in receipts:
            await receipt.wait()
            self.figures.accepted += 1
        scope.cancel(reason="everything is accepted; what is still missing comes in the calm")

    async def _subscribe(self, number: int) -> None:
        try:
            async with self._connect() as client, trio.open_nursery() as nursery:
                nursery.start_soon(self._watch, client)
                async with client.subscribe(CHANNEL) as messages:
                    self._waiting_to_start -= 1
                    if not self._waiting_to_start:
                        self._ready.set()
                    await self._compare(messages)
                nursery.cancel_scope.cancel(reason="this subscriber has everything")
        except* HawserError as errors:
            self.why = f": subscriber {number + 1}: {errors.exceptions[0]}"
            self._ready.set()
        self._missing -= 1
        if not self._missing:
            self._all_arrived.set()

    async def _compare(self, messages: Subscription) -> None:
        """Hold every message against the file until the last line has come."""
        figures, expected = self.figures, 1
        while expected <= len(self.lines):
            try:
                message = await messages.receive()
            except Gap as gap:
                figures.lost += max(0, gap.position.offset - expected + 1)
                expected = max(expected, gap.position.offset + 1)
                continue
            if message.offset < expected:
                figures.doubled += 1
                continue
            figures.reordered += message.offset > expected
            expected = message.offset + 1
            if message.data == self.lines[message.offset - 1]:
                figures.delivered += 1
            else:
                figures.changed += 1

    async def _watch(self, client: Client) -> None:
        carriage: str | None = None  # of the last link that was up
        up = polling = False
        try:
            async for state in client.states:
                self.figures.connected -= up
                self.figures.polling -= polling
                up = isinstance(state, states.Connected)
                polling = isinstance(state, states.Connected) and state.carriage == "long-poll"
                self.figures.connected += up
                self.figures.polling += polling
                match state:
                    case states.Connected():
                        self.figures.resumes += state.resumed
                        self.figures.moves += state.resumed and state.carriage != carriage
                        self._replayed += state.replayed
                        carriage = state.carriage
                    case states.Reset():
                        self.figures.resets += 1
                    case _:
                        pass
        finally:
            self.figures.connected -= up
            self.figures.polling -= polling

    async def _measure(self, weather: Weather) -> None:
        while True:
            self._update(weather)
            await trio.sleep(0.1)

    def _update(self, weather: Weather) -> None:
        self.figures.cuts = weather.cuts
        if self._server is not None:
            self.figures.replayed = self._replayed + self._server.replayed
