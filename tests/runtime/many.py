"""Several servers that are one service."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import attrs
import trio

from hawser import EVERYONE, App, Config, Principal, connect
from hawser.brokers import MemoryBroker, Moving, SessionDirectory
from tests.runtime.helpers import serving
from tests.runtime.slow_sessions import Cable

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

LEASE_SECONDS = 60
BOX = "user:bob"


class Service:
    """So many servers, each with an application of its own; they share a broker.

    Args:
        count: How many.
        directory: Where their sessions are.
    """

    def __init__(self, count: int, directory: SessionDirectory | None = None) -> None:
        self.broker = MemoryBroker()
        if directory is not None:
            self.broker.sessions = directory
        self.apps = [self._app() for _ in range(count)]
        self.scopes: list[trio.CancelScope] = []

    def _app(self) -> App:
        app = App(broker=self.broker)
        app.channel("*", ask=EVERYONE, history=100, open=True)
        app.agent("*", open=True)
        app.user("*", open=True)

        @app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal:
            return Principal(credentials["token"], credentials)

        return app

    def with_mailboxes(self) -> Service:
        """Each user has one."""
        for app in self.apps:
            app.mailbox("user:*", open=True)
        return self

    def by_cable(self) -> list[Cable]:
        """Each has a broker of its own, and a cable to where the sessions of all are."""
        cables: list[Cable] = []
        for number, app in enumerate(self.apps):
            cables.append(Cable(self.broker.sessions, number))
            app.broker = MemoryBroker()
            app.broker.sessions = cables[-1]
        return cables

    @asynccontextmanager
    async def up(self, config: Config | None = None) -> AsyncGenerator[Service]:
        """All of them serve for the length of a block."""
        config = attrs.evolve(Config() if config is None else config, presence_lease_seconds=LEASE_SECONDS)
        async with trio.open_nursery() as nursery:
            for number in range(len(self.apps)):
                self.scopes.append(await nursery.start(self._serve, number, config))
            yield self
            nursery.cancel_scope.cancel()

    async def _serve(self, number: int, config: Config, *, task_status: trio.TaskStatus[trio.CancelScope]) -> None:
        with trio.CancelScope() as scope:
            async with serving(self.apps[number], config=config, url=url(number)):
                task_status.started(scope)
                await trio.sleep_forever()

    def connect(self, name: str, at: int, **options: Any) -> Any:
        """A client at one of them: at the only one, if there is no other."""
        return connect(url(at % len(self.apps)), token=name, **options)

    async def letters(self, mailbox: str = BOX) -> list[bytes]:
        """What waits in a mailbox."""
        return [letter.data for letter in await self.broker.mailboxes.read(mailbox, 0, limit=100, limit_bytes=10_000)]


def url(number: int) -> str:
    return f"memory://server-{number}"


class Dead:
    """A server that is asked, and does not answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.heard = trio.Event()

    def __call__(self, question: bytes, answer: Callable[[bytes], None]) -> None:
        self.asked += 1
        self.heard.set()

    async def enter(self, directory: SessionDirectory, *users: str, seconds: float = LEASE_SECONDS) -> bytes:
        """Let it have a session of each user."""
        lease = await directory.enter(seconds, self)
        await directory.write(lease, [Moving(f"dead {user}", user) for user in users])
        return lease
