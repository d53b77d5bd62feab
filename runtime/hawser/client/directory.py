"""Who offers what on a server, and who of them is there (SPEC AGT-10 to AGT-12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

import attrs

from hawser.agents import DIRECTORY
from hawser.entering import not_entered
from hawser.errors import Gap, PayloadError, RequestLost
from hawser.payloads import decode_payload

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from .client import Client
    from .subscription import Subscription

LIVE: Final = 1
GONE: Final = 0
ALL: Final = 0


@attrs.frozen
class AgentWorker:
    """One client that offers the procedures of an agent."""

    agent: str
    """The agent."""
    id: int
    """Names the offer, as long as the server runs."""
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


class Directory:
    """The agents of a server, as they come and go; `Client.watch_agents` makes it.

    Enter it with ``async with``. Iterating gives the list of all workers, first the present one and then a new one
    after each change. It lives through broken links and resets like the subscription that it is made of.

    Raises (on entering):
        RequestFailed: The server has no directory, or does not let this client see it.
        SessionClosed: The client is closed.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._subscription: Subscription = client.subscribe(DIRECTORY)
        self._version = 0
        self._workers: dict[int, AgentWorker] = {}
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
            try:
                self._take(await self._subscription.__anext__())
            except Gap:
                await self._load()
                self._fresh = True
        self._fresh = False
        return self.workers

    def _take(self, message: Any) -> None:
        version, *entry = cast("list[Any]", message.data)
        if entry[0] == ALL:  # another server begins, with versions of its own
            self._version = version
            self._fresh = bool(self._workers)
            self._workers.clear()
            return
        if version <= self._version:
            return  # it was in the list already
        self._version = version
        id, _, state, *described = entry
        known = self._workers.get(id)
        if state == GONE:
            self._fresh = self._workers.pop(id, None) is not None
        elif described:
            self._fresh = True
            self._workers[id] = read_worker(entry)
        elif known is not None and known.live != (state == LIVE):
            self._fresh = True
            self._workers[id] = attrs.evolve(known, live=state == LIVE)

    async def _load(self) -> None:
        """Begin anew with the present list; what changes meanwhile comes behind it."""
        while True:
            try:
                self._version, workers = await load_workers(self._client)
            except RequestLost:
                continue  # the session was reset meanwhile
            self._workers = {one.id: one for one in workers}
            return


async def load_workers(client: Client) -> tuple[int, list[AgentWorker]]:
    """Ask for the present list, and the version that it is of.

    Raises:
        CallError: The server has no directory, or does not let this client see it.
    """
    async with client.stream(DIRECTORY) as items:
        version: int = await items.receive()
        return version, [read_worker(entry) async for entry in items]


def read_worker(entry: list[Any]) -> AgentWorker:
    """Read an entry; what is no description is left out, for it is another client's and nobody has looked at it."""
    id, agent, state, name, description, procedures = entry
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
    )


def _read(description: bytes) -> Mapping[str, Any]:
    try:
        value = decode_payload(description)
    except PayloadError:
        return {}
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}
