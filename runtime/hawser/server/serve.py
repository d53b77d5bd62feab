"""Bringing an application to life."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

import trio

from hawser.background import Background
from hawser.config import Config
from hawser_transports import find_transport

from .draining import drain
from .node import Node

if TYPE_CHECKING:
    from collections.abc import Callable

    from hawser.app import App
    from hawser_transports import Listener, Transport


class Server:
    """A server that is listening; `serve` hands it to ``nursery.start``."""

    def __init__(self, url: str, node: Node) -> None:
        self.url = url
        """Where clients reach it; what the given URL left open (a port, a name) is filled in."""
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

    async def drain(self) -> None:
        """Begin to end in peace: returns at once, and `serve` returns when it is done.

        Nobody new is let in. What clients ask for from now on is not begun; what is running is finished and answered.
        Then every client is sent away, to come back somewhere else in a while; all of it within
        ``config.drain_seconds``. Idempotent.

        Spec: CLS-9.
        """
        self._node.drain_asked.set()
        await trio.lowlevel.checkpoint()


async def serve(
    app: App,
    url: str,
    *,
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
        config: Limits and times; the defaults if not given.
        transport: Used instead of the one that the scheme names.
        random_bytes: Where secrets, epochs and jitter come from; replace it only in tests.
        task_status: Told the `Server` when it listens.

    Raises:
        UnknownSchemeError: No transport serves the URL's scheme.
        ValueError: The URL does not fit the transport.
        OSError: The place to listen is taken.
    """
    config = Config() if config is None else config
    listener = await (find_transport(url) if transport is None else transport).listen(url)
    async with listener, Background() as services, Background() as sessions, Background() as connections:
        for prefix, handler in app.mounts.items():
            listener.mount(prefix, handler)
        node = Node(app, config, random_bytes, connections, sessions, services)
        node.start_service(app.broker.run)
        services.start_soon(node.timekeeper.run)
        services.start_soon(node.hub.flush)
        task_status.started(Server(listener.url, node))
        try:
            async with Background() as accepting:
                gone = trio.Event()
                accepting.start_soon(_accept, listener, node, gone)
                await node.drain_asked.wait()
                await listener.drain()
                await drain(node, gone)
        finally:
            await node.shut_down()


async def _accept(listener: Listener, node: Node, gone: trio.Event) -> None:
    """Take links until the listener lets nobody in, and look after them until the last is gone."""
    await listener.serve(node.attach)
    gone.set()
