"""Who offers what on a server, and who of them is there (SPEC AGT-10 to AGT-14)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from hawser.agents import DIRECTORY
from hawser.entering import not_entered
from hawser.errors import Gap, PayloadError, RequestLost
from hawser.payloads import decode_payload
from hawser_engine.codes import GapReason

from .feed import Feed
from .subscription import Subscription

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from hawser_engine.messages import Position

    from .client import Client
    from .dialogue import Dialogue
    from .feed import Flow

LIVE: Final = 1
GONE: Final = 0


@attrs.frozen
class AgentWorker:
    """One client that offers the procedures of an agent."""

    agent: str
    """The agent."""
    id: int
    """Names the offer among those of its server, as long as that runs."""
    live: bool
    """Whether there is a link to it; what is called meanwhile waits for one."""
    worker: str | None
    """What it calls itself, if anything."""
    doc: str
    """What the agent is."""
    capabilities: tuple[str, ...]
    """What it says that it is able to do."""
    procedures: Mapping[str, Mapping[str, Any]] = attrs.field(repr=lambda procedures: repr(list(procedures)))
    """What each procedure says of itself, by name: ``doc``, ``parameters`` and so on, as far as it is known."""
    user: str
    """The id of its principal: who it is, as the server has recognised it. All else is what it says of itself."""


class Directory:
    """The agents of the server at which the client is, as they come and go; `Client.watch_agents` makes it.

    Enter it with ``async with``. Iterating gives the list of all workers, first the present one and then a new one
    after what has changed within a second; who loses its link is there until it has been away for ten. It lives through
    broken links and resets like the subscription that it is made of, and goes with the client to another server.

    Raises (on entering):
        RequestFailed: The server has no directory, or does not let this client see it.
        SessionClosed: The client is closed.
    """

    def __init__(self, client: Client, dialogue: Dialogue) -> None:
        self._client = client
        config = dialogue.config
        feed = _Feed(DIRECTORY, None, messages_max=config.subscription_messages, bytes_max=config.subscription_bytes)
        self._subscription = Subscription(dialogue, feed)
        self._server = b""
        self._version = 0
        self._workers: dict[int, AgentWorker] = {}
        self._missed = False
        self._fresh = True
        self._entered = False

    @property
    def workers(self) -> list[AgentWorker]:
        """Who is there, as far as the iteration has come: by agent, and in the order in which they came."""
        return sorted(self._workers.values(), key=lambda one: (one.agent, one.id))

    async def __aenter__(self) -> Directory:
        self._entered = True
        await self._subscription.__aenter__()
        try:
            await self._load()
        except BaseException as error:
            await self._subscription.__aexit__(type(error), error, error.__traceback__)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self._subscription.__aexit__(kind, error, traceback)

    def __aiter__(self) -> Directory:
        return self

    async def __anext__(self) -> list[AgentWorker]:
        if not self._entered:
            raise not_entered("a directory")
        while not self._fresh:
            before = dict(self._workers)
            try:
                if self._missed:
                    await self._load()
                else:
                    self._take(await self._subscription.__anext__())
            except Gap:
                self._missed = True  # also for the next iteration, if this one is cancelled
            self._fresh = self._workers != before
        self._fresh = False
        return self.workers

    def _take(self, message: Any) -> None:
        server, version, changes = cast("list[Any]", message.data)
        if server != self._server or version <= self._version:
            return  # it is another server's (AGT-14), or was in the list already
        self._version = version
        for change in changes:
            id, _, state, *described = change
            known = self._workers.get(id)
            if state == GONE:
                self._workers.pop(id, None)
            elif described:
                self._workers[id] = read_worker(change)
            elif known is not None:
                self._workers[id] = attrs.evolve(known, live=state == LIVE)

    async def _load(self) -> None:
        """Begin anew with the present list; what changes meanwhile comes behind it."""
        while True:
            try:
                self._server, self._version, workers = await load_workers(self._client)
            except RequestLost:
                continue  # the session was reset meanwhile
            self._workers = {one.id: one for one in workers}
            self._missed = False
            return


class _Feed(Feed):
    """What arrives for a directory: a session that follows another one may be at another server (AGT-14).

    So what was known is known no more, though nothing of the channel is lost.
    """

    def joined(self, position: Position, gap_reason: int | None) -> Flow:
        """See `Feed.joined`."""
        anew = None if self.start is None else GapReason.EPOCH_CHANGED
        return super().joined(position, anew if gap_reason is None else gap_reason)


async def load_workers(client: Client) -> tuple[bytes, int, list[AgentWorker]]:
    """Ask for the present list, and of which server and version it is.

    Raises:
        CallError: The server has no directory, or does not let this client see it.
    """
    async with client.stream(DIRECTORY) as items:
        server, version = cast("list[Any]", await items.receive())
        return server, version, [read_worker(entry) async for entry in items]


def read_worker(entry: list[Any]) -> AgentWorker:
    """Read an entry; what is no description is left out, for it is another client's and nobody has looked at it."""
    id, agent, state, name, description, procedures, user, *_ = entry
    own = _read(description)
    doc, capabilities = own.get("doc"), own.get("capabilities")
    return AgentWorker(
        agent,
        id,
        state == LIVE,
        name,
        doc if isinstance(doc, str) else "",
        tuple(str(one) for one in cast("list[object]", capabilities)) if isinstance(capabilities, list) else (),
        {procedure: _read(described) for procedure, described in procedures},
        user,
    )


def _read(description: bytes) -> Mapping[str, Any]:
    try:
        value = decode_payload(description)
    except PayloadError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
