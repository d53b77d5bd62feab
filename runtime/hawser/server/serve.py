"""Bringing an application to life."""

from __future__ import annotations

import secrets
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import attrs
import trio

from hawser.background import Background
from hawser.config import Config
from hawser.mailboxes import settle_dead_letters
from hawser_transports import find_transport

from .comparing import Comparing
from .draining import check_place, drain
from .node import Node

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence

    from hawser.app import App
    from hawser.mailboxes import DeadLetterCounts
    from hawser_engine.channels.overflow import OverflowCounts
    from hawser_transports import Listener, Transport


class Server:
    """A server that is listening; `serve` hands it to ``nursery.start``."""

    def __init__(self, urls: Sequence[str], node: Node) -> None:
        self.url: str = urls[0]
        """Where clients reach it; what the given URL left open (a port, a name) is filled in."""
        self.urls: tuple[str, ...] = tuple(urls)
        """The same for all places where it listens."""
        self._node = node

    @property
    def sessions(self) -> int:
        """How many sessions are alive, attached or not."""
        return len(self._node.sessions)

    @property
    def resumes(self) -> int:
        """How many times a session went on over a new connection."""
        return self._node.resumes

    @property
    def replayed(self) -> int:
        """How many message parts were sent again at resumes."""
        return self._node.replayed

    @property
    def keys_forgotten(self) -> int:
        """How many idempotency keys the app's broker has forgotten before their time (SPEC PUB-3, MBX-3).

        While it rises, what is published again under an older key may be stored twice: give the broker more `keys_max`.
        """
        return self._node.app.broker.keys_forgotten

    @property
    def history_cut(self) -> int:
        """How many publications have left history before their time, for all channels together had too much of it.

        While it rises, whoever is far behind, or comes back, may be told a gap: give the broker more `bytes_max`.

        Spec: CHN-14.
        """
        return self._node.app.broker.history_cut

    @property
    def overflow(self) -> dict[str, OverflowCounts]:
        """What subscribers could not take and what became of it, by the pattern of their channels (SPEC OVF-2)."""
        return {pattern: attrs.evolve(counts) for pattern, counts in self._node.hub.counts.items()}

    @property
    def dead_letters(self) -> dict[str, DeadLetterCounts]:
        """What this server has taken out of mailboxes as dead, by their pattern; ``""``: of no declared one any more.

        Spec: MBX-9.
        """
        return {pattern: attrs.evolve(counts) for pattern, counts in self._node.mailboxes.dead.items()}

    async def drain(self, *, url: str | None = None) -> None:
        """Begin to end in peace: returns at once, and `serve` returns when it is done.

        Nobody new is let in. What clients ask for from now on is not begun; what is running is finished and answered.
        Then every client is sent away, to come back in a while; all of it within ``config.drain_seconds``. Idempotent.

        Args:
            url: Where clients are to go instead. They follow it to hosts that they trust (SPEC CLS-8), and take it for
                the place where they are from then on. None: where they came from, and whom a balancer leads elsewhere.
                Of several calls the last one that names a place before clients are sent away holds.

        Raises:
            ValueError: No client would follow the URL; nothing has begun.

        Spec: CLS-1, CLS-9.
        """
        if url is not None:
            self._node.successor = check_place(url)
        self._node.drain_asked.set()
        await trio.lowlevel.checkpoint()


async def serve(
    app: App,
    url: str,
    *others: str,
    config: Config | None = None,
    transport: Transport | None = None,
    random_bytes: Callable[[int], bytes] = secrets.token_bytes,
    task_status: trio.TaskStatus[Server] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve an application until cancelled, or until `Server.drain` has come to its end.

    ``server = await nursery.start(serve, app, url)`` returns when it listens; ``trio.run(serve, app, url)`` is a whole
    program. When it is cancelled, handlers are cancelled and `App.on_disconnect` handlers have five seconds.

    Args:
        app: What to serve.
        url: Where; its scheme chooses the transport, for example ``memory://lobby``.
        others: More places to listen for the same clients: another address, or a port of its own for each of several
            load balancers. A client may come back through any of them.
        config: Limits and times; the defaults if not given.
        transport: Used instead of those that the schemes name.
        random_bytes: Where secrets, epochs and jitter come from; replace it only in tests.
        task_status: Told the `Server` when it listens.

    Raises:
        UnknownSchemeError: No transport serves a URL's scheme.
        ValueError: A URL does not fit its transport; or the app's dead letters could not be found where they go.
        OSError: A place to listen is taken.
        BrokerUnavailable: The app's broker cannot be had.
    """
    config = Config() if config is None else config
    settle_dead_letters(app.mailbox_rules, app.rules)
    async with (
        _listening((url, *others), transport) as listeners,
        Background() as services,
        Background() as sessions,
        Background() as connections,
    ):
        for prefix, handler in app.mounts.items():
            for listener in listeners:
                listener.mount(prefix, handler)
        node = Node(app, config, random_bytes, connections, sessions, services)
        await services.start(app.broker.run)
        node.start_service(app.broker.presence.run)
        services.start_soon(node.presence.run)
        node.start_service(app.broker.sessions.run)
        services.start_soon(node.peers.run)
        node.start_service(app.broker.mailboxes.run)
        services.start_soon(node.mailboxes.run)
        services.start_soon(node.timekeeper.run)
        services.start_soon(node.hub.flusher.run)
        app.nodes.append(node)
        services.start_soon(Comparing(node, node.hub).run)
        task_status.started(Server([listener.url for listener in listeners], node))
        try:
            async with Background() as accepting:
                gone = [trio.Event() for _ in listeners]
                for listener, last in zip(listeners, gone, strict=True):
                    accepting.start_soon(_accept, listener, node, last)
                await node.drain_asked.wait()
                for listener in listeners:
                    await listener.drain()
                await drain(node, gone)
        finally:
            app.nodes.remove(node)
            await node.shut_down()


@asynccontextmanager
async def _listening(urls: Sequence[str], transport: Transport | None) -> AsyncGenerator[list[Listener]]:
    """Listen at all of the places, or at none; those of one scheme share a transport, and so what it knows of links."""
    transports: dict[str, Transport] = {}
    async with AsyncExitStack() as stack:
        listeners: list[Listener] = []
        for url in urls:
            scheme = url.partition(":")[0]
            if scheme not in transports:
                transports[scheme] = find_transport(url) if transport is None else transport
            listeners.append(await stack.enter_async_context(await transports[scheme].listen(url)))
        yield listeners


async def _accept(listener: Listener, node: Node, gone: trio.Event) -> None:
    """Take links until the listener lets nobody in, and look after them until the last is gone."""
    await listener.serve(node.attach)
    gone.set()
