"""The directory of a node: who offers what, and who of them is there (SPEC AGT-10 to AGT-13).

The list is this server's own, and always what is so. Changes are published in a channel that all servers of a service
share, each under its own name: as `Bulletin` says, and by one task, which lives as long as there are any. While the
broker cannot take them nothing queues: what is told then is what has changed in all.
"""

from __future__ import annotations

from functools import cached_property
from math import inf
from typing import TYPE_CHECKING, Any, Final

import trio

from hawser.agents import DIRECTORY
from hawser.brokers import BrokerUnavailable
from hawser.payloads import encode_payload
from hawser_engine.channels.roll import PIECE_BYTES, PIECE_ENTRIES

from .bulletin import Bulletin, state_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from .agents import Agents, Offering
    from .bulletin import Change
    from .node import Node
    from .sessions import ServerSession

SERVER_BYTES: Final = 8

RETRY_SECONDS: Final = 1.0
"""How long changes wait that the broker could not take."""


class Directory:
    """What clients see of the agents of a node, if the application lets them."""

    def __init__(self, node: Node, agents: Agents[ServerSession]) -> None:
        self.armed = inf
        self._node = node
        self._agents = agents
        self._bulletin: Bulletin[ServerSession] = Bulletin(
            step_seconds=node.config.presence_step_seconds, grace_seconds=node.config.leave_grace_seconds
        )
        self._version = 0
        self._publishing = False

    @cached_property
    def _server(self) -> bytes:
        """By which its lists and changes are known."""
        return self._node.random_bytes(SERVER_BYTES)

    @property
    def _followed(self) -> bool:
        """Whether anybody may be told."""
        return DIRECTORY in self._node.app.procedures

    def snapshot(self) -> list[Any]:
        """Server and version, and an entry for each offer: what changes after the version tells the rest."""
        offerings = self._agents.offerings()
        if self._followed:
            for one in offerings:
                self._bulletin.listed(one)
        return [[self._server, self._version], *([*_known(one, state_of(one)), *_described(one)] for one in offerings)]

    def changed(self, offering: Offering[ServerSession]) -> None:
        """An offer was made, or its session came or went, or it has ended."""
        if self._followed:
            self._bulletin.changed(offering, trio.current_time())
            self._arm()

    def handle_timeout(self, now: float) -> None:
        """See `hawser.timekeeper.Timed`: it is time for a step."""
        if changes := self._bulletin.step(now):
            pieces = list(_pieces(changes))
            first = self._version + 1
            self._version += len(pieces)
            self._publishing = True
            self._node.start_service(self._publish, first, pieces)
        self._arm()

    def _arm(self) -> None:
        if not self._publishing:
            self._node.timekeeper.arm(self, self._bulletin.next_step())

    async def _publish(self, first: int, pieces: list[list[Any]]) -> None:
        try:
            for version, piece in enumerate(pieces, first):
                await self._publish_piece([self._server, version, piece])
        finally:
            self._publishing = False
        self._arm()

    async def _publish_piece(self, data: list[Any]) -> None:
        while True:
            try:
                await self._node.app.publish(DIRECTORY, data)
            except Exception as error:
                if not isinstance(error, BrokerUnavailable):  # which says in the log what there is to say
                    self._node.incident("the directory of agents", error)
                await trio.sleep(RETRY_SECONDS)
            else:
                return


def _pieces(changes: Iterable[Change[ServerSession]]) -> Iterator[list[Any]]:
    """What is told in one publication each, as it travels."""
    piece: list[Any] = []
    size = 0
    for change in changes:
        entry = [*_known(change.offering, change.state), *(_described(change.offering) if change.new else [])]
        more = len(encode_payload(entry))
        if len(piece) == PIECE_ENTRIES or (piece and size + more > PIECE_BYTES):
            yield piece
            piece, size = [], 0
        piece.append(entry)
        size += more
    yield piece


def _known(offering: Offering[ServerSession], state: int) -> list[Any]:
    return [offering.number, offering.agent, state]


def _described(offering: Offering[ServerSession]) -> list[Any]:
    procedures = [[name, description] for name, description in offering.procedures.items()]
    return [offering.name, offering.description, procedures, offering.worker.handle.principal.id]
