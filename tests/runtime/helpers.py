"""What the runtime's tests share: a served app, and a client that says whatever it is told to."""

from __future__ import annotations

from collections import deque
from contextlib import asynccontextmanager
from functools import partial
from math import inf
from secrets import token_bytes
from typing import TYPE_CHECKING, Any

import trio

from hawser import App, Config, Gap, Server, serve
from hawser_engine import (
    Client,
    ConnectionTerminated,
    EngineConfig,
    MessageReceived,
    SessionOpened,
    SessionReset,
    SessionResumed,
    VolatileReceived,
)
from hawser_engine.messages import AnyMessage, GapNotice, Publication, decode_message, encode_body
from hawser_transports import MemoryTransport
from hawser_transports.memory import MemoryLink

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    from hawser.server.sessions import ServerSession
    from hawser_transports import Transport

URL = "memory://server"
PATIENCE = 500
"""Virtual seconds after which what has not happened never will."""

FAST = Config(messages_per_second=1e6, messages_burst=1_000_000, attaches_per_second=inf)


def counting_bytes() -> Callable[[int], bytes]:
    """A source of bytes that never repeats and is the same in every run."""
    state = 0

    def random_bytes(count: int) -> bytes:
        nonlocal state
        state += 1
        return (state * 0x9E3779B97F4A7C15 % 2**64).to_bytes(8, "big").rjust(count, b"\x5a")[-count:]

    return random_bytes


@asynccontextmanager
async def serving(
    app: App,
    *,
    config: Config | None = None,
    transport: Transport | None = None,
    url: str = URL,
    random_bytes: Callable[[int], bytes] = token_bytes,
) -> AsyncGenerator[Server, None]:
    """A server for the length of a block."""
    async with trio.open_nursery() as nursery:
        server: Server = await nursery.start(
            partial(serve, app, url, config=config, transport=transport, random_bytes=random_bytes)
        )
        yield server
        nursery.cancel_scope.cancel()


async def collect(messages: Any, count: int) -> list[Any]:
    """The next items: data of messages, and gaps as (since, position, reason) offsets."""
    items: list[Any] = []
    with trio.fail_after(PATIENCE):
        while len(items) < count:
            try:
                items.append((await messages.receive()).data)
            except Gap as gap:
                items.append((gap.since and gap.since.offset, gap.position.offset, gap.reason))
    return items


def told(client: RawClient) -> list[Any]:
    """What was heard and not taken: offsets of publications, gaps as offsets, everything else as it is."""
    items: list[Any] = []
    for message in client.messages:
        if isinstance(message, Publication):
            items.append(message.offset)
        elif isinstance(message, GapNotice):
            items.append((message.since and message.since.offset, message.position.offset, message.reason))
        else:
            items.append(message)
    return items


def open_app(*, history: int = 1_000) -> App:
    """An app in which everybody may use every channel."""
    app = App()
    app.channel("*", history=history, open=True)
    return app


async def only_session(server: Server) -> ServerSession:
    """What the server's node keeps of the one session that there is."""
    node = server._node  # pyright: ignore[reportPrivateUsage]
    while not node.sessions:
        await trio.sleep(0.01)
    [session] = node.sessions.values()
    return session


class RawClient:
    """A client without the library's manners: it sends what it is told and keeps what it gets."""

    def __init__(
        self,
        config: EngineConfig | None = None,
        credentials: dict[str, Any] | None = None,
        features: tuple[str, ...] = (),
    ) -> None:
        self.engine = Client(
            EngineConfig() if config is None else config,
            trio.current_time(),
            credentials=credentials,
            features=features,
        )
        self.messages: deque[AnyMessage | None] = deque()
        self.volatile: list[AnyMessage | None] = []
        self.brought: list[int] = []  # how many messages each batch did that brought any
        self.terminations: list[ConnectionTerminated] = []
        self.resets: list[SessionReset] = []
        self.opened = trio.Event()
        self.resumed = trio.Event()
        self.deliver = True
        self._news = trio.Event()

    @asynccontextmanager
    async def connected(self, url: str = URL, transport: Transport | None = None) -> AsyncGenerator[RawClient, None]:
        """Attached for the length of a block; the link is dropped without a word at its end."""
        link = await (transport or MemoryTransport()).connect(url)
        assert isinstance(link, MemoryLink)
        self.connection = self.engine.connect(trio.current_time())
        self.link = link
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            nursery.start_soon(self._keep_time)
            self.flush()
            try:
                yield self
            finally:
                link.cut()
                self.connection.receive_eof(trio.current_time())
                nursery.cancel_scope.cancel()

    def say(self, *messages: AnyMessage | bytes) -> None:
        """Send messages, or any bytes in place of one."""
        for message in messages:
            body = message if isinstance(message, bytes) else encode_body(message)
            self.engine.session.send(body, trio.current_time())
        self.flush()

    def take(self, message: AnyMessage | None) -> None:
        """A message has come."""
        self.messages.append(message)

    def take_volatile(self, message: AnyMessage | None) -> None:
        """A message has come that was not counted."""
        self.volatile.append(message)

    async def hear(self) -> AnyMessage | None:
        """Wait for the next message."""
        with trio.fail_after(PATIENCE):
            while not self.messages:
                await self._news.wait()
        return self.messages.popleft()

    async def until(self, ready: Callable[[], bool]) -> None:
        """Wait until something has come about."""
        with trio.fail_after(PATIENCE):
            while not ready():
                await self._news.wait()

    def flush(self) -> None:
        batches = self.connection.data_to_send()
        if batches:
            assert self.link.send_nowait(batches) == len(batches)
            self.connection.written(trio.current_time())

    async def _read(self) -> None:
        try:
            while True:
                for batch in await self.link.receive_batches():
                    before = len(self.messages)
                    self.connection.receive_batch(batch, trio.current_time())
                    self._drain()
                    if len(self.messages) > before:
                        self.brought.append(len(self.messages) - before)
        except (trio.EndOfChannel, trio.BrokenResourceError):
            self.connection.receive_eof(trio.current_time())
            self._drain()

    async def _keep_time(self) -> None:
        while True:
            await trio.sleep(0.25)
            self.connection.handle_timeout(trio.current_time())
            self._drain()

    def _drain(self) -> None:
        while (event := self.connection.next_event()) is not None:
            match event:
                case MessageReceived():
                    self.take(decode_message(event.body))
                    if self.deliver:
                        self.engine.session.delivered(event.number, trio.current_time())
                case VolatileReceived():
                    self.take_volatile(decode_message(event.body))
                case SessionOpened():
                    self.opened.set()
                case SessionResumed():
                    self.resumed.set()
                case SessionReset():
                    self.resets.append(event)
                case ConnectionTerminated():
                    self.terminations.append(event)
                case _:
                    pass
        self.flush()
        self._news.set()
        self._news = trio.Event()
