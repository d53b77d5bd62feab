"""The directory of a node: who offers what, and who of them is there (SPEC AGT-10 to AGT-12).

Changes are published in a channel of their own, by one task that lives as long as there are any. What changes several
times before its turn is told once, as it is then. The list is this server's own; a channel may outlive the server, and
then the first change says that nothing of what was told before holds.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import trio

from hawser.agents import DIRECTORY
from hawser.brokers import BrokerUnavailable

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from .agents import Agents, Offering
    from .node import Node
    from .sessions import ServerSession

GONE: Final = 0
LIVE: Final = 1
AWAY: Final = 2

ALL: Final = 0
"""In place of the number of an offer: all of another server's."""

RETRY_SECONDS: Final = 1.0
"""How long a change waits that the broker could not take."""


class Directory:
    """What clients see of the agents of a node, if the application lets them."""

    def __init__(self, node: Node, agents: Agents[ServerSession]) -> None:
        self._node = node
        self._agents = agents
        self._version = 0
        self._dirty: dict[Offering[ServerSession], None] = {}
        self._new: set[int] = set()
        self._publishing = False

    def snapshot(self) -> list[Any]:
        """The version, and behind it an entry for each offer: what changes after the version tells the rest."""
        return [self._version, *([*_known(one), *_described(one)] for one in self._agents.offerings())]

    def changed(self, offering: Offering[ServerSession], *, new: bool = False) -> None:
        """An offer was made, or its session came or went, or it has ended."""
        if DIRECTORY not in self._node.app.procedures:
            return
        self._dirty[offering] = None
        if new:
            self._new.add(offering.number)
        if not self._publishing:
            self._publishing = True
            self._node.start_service(self._publish)

    def begin(self) -> None:
        """The server begins to serve."""
        if DIRECTORY in self._node.app.procedures:
            self._publishing = True
            self._node.start_service(self._publish, True)

    async def _publish(self, beginning: bool = False) -> None:
        try:
            if beginning:
                await self._until_done(self._begin)
            while self._dirty:
                offering = next(iter(self._dirty))
                del self._dirty[offering]
                await self._tell(offering)
        finally:
            self._publishing = False

    async def _tell(self, offering: Offering[ServerSession]) -> None:
        known = _known(offering)
        new = offering.number in self._new and known[2] != GONE
        self._new.discard(offering.number)
        self._version += 1
        await self._until_done(
            self._node.app.publish, DIRECTORY, [self._version, *known, *(_described(offering) if new else [])]
        )

    async def _begin(self) -> None:
        app = self._node.app
        if (await app.broker.history(DIRECTORY, 0, limit=1, limit_bytes=1)).top.offset:
            self._version = 1
            await app.publish(DIRECTORY, [self._version, ALL, "", GONE])

    async def _until_done(self, function: Callable[..., Awaitable[object]], *arguments: object) -> None:
        while True:
            try:
                await function(*arguments)
            except Exception as error:
                if not isinstance(error, BrokerUnavailable):  # which says in the log what there is to say
                    self._node.incident("the directory of agents", error)
                await trio.sleep(RETRY_SECONDS)
            else:
                return


def _known(offering: Offering[ServerSession]) -> list[Any]:
    state = GONE if offering.ended else LIVE if offering.worker.attached else AWAY
    return [offering.number, offering.agent, state]


def _described(offering: Offering[ServerSession]) -> list[Any]:
    procedures = [[name, description] for name, description in offering.procedures.items()]
    return [offering.name, offering.description, procedures]
