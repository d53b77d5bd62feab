"""A second holder of one session, as when a browser tab is cloned (SPEC ATT-9).

A copy goes on from a client's record beside the client itself, which knows nothing of it. Whoever of the two comes
later has the session; the other is told so, and opens another one. From the moment in which the server takes the
copy's RESUME, two sides say what comes from "the client": the books of that session hold no longer, its rules do.
"""

from random import Random
from typing import TYPE_CHECKING, Final

import cbor2

from hawser_engine.client import Client
from hawser_engine.codes import ResetReason
from hawser_engine.events import Event, MessageReceived, SessionReset
from hawser_engine.states import State

from .books import Pair
from .ends import Actor, End, Host
from .invariants import check_cause, check_codes, check_superseded
from .wires import Wire

if TYPE_CHECKING:
    from .clients import ClientActor
    from .world import World

__all__ = ["Copies", "Copy"]

_MOST: Final = 2
"""Copies that go on at once."""
_ATTEMPTS: Final = 6
_CAUSES: Final = (ResetReason.TAKEN_OVER, ResetReason.DRIFT, ResetReason.UNKNOWN_SESSION)
"""Why either of two holders may lose the session: the other has it, is ahead of it, or has replaced its secret."""


class Copies:
    """All copies of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._random = Random(f"copies of seed {world.seed}")
        self._living: list[Copy] = []

    def make(self, client: "ClientActor", *, held_seconds: float = 0.0) -> bool:
        """Copy a client and let the copy go on; False if there is nothing to copy now.

        Args:
            client: Of whom.
            held_seconds: The copy comes at once, and for so long it hears no answer; 0 leaves both to chance.
        """
        pair = client.pair
        self._living = [copy for copy in self._living if not copy.over]
        if pair is None or pair.server is None or pair.hostile or len(self._living) >= _MOST:
            return False
        if any(copy.pair is pair for copy in self._living):
            return False
        self._living.append(Copy(self._world, Random(self._random.getrandbits(64)), client, pair, held_seconds))
        return True


class Copy(Actor):
    """One copy."""

    def __init__(self, world: "World", random: Random, client: "ClientActor", pair: Pair, held_seconds: float) -> None:
        self.world = world
        self.label = f"{client.label}'"
        self.host = Host(world, self.label, offset=client.host.offset)
        self.ends: list[End] = []
        self.pair = pair
        self.over = False
        self._random = random
        self._attempts = 0
        self._leaving = False
        self._reads = random.random() < 0.5  # else nothing is trimmed for it, and the client may go on without a gap
        pair.causes |= {reason.name for reason in _CAUSES}
        now = self.host.now
        self.client = Client(world.plan.client, now, credentials={"who": client.principal})
        self.client.restore(cbor2.loads(cbor2.dumps(client.client.export(now))), now)
        if held_seconds or random.random() < 0.6:
            self._connect(held_seconds)
        else:  # the client has moved on by then
            world.at(world.time + 1.5 * random.random(), self._connect)

    def taken(self, pair: Pair) -> None:
        """Note that the server takes a RESUME of this copy."""
        if pair is self.pair:
            pair.hostile = True

    def _connect(self, held_seconds: float = 0.0) -> None:
        """Attach; after some attempts, leave it."""
        world = self.world
        if self._leaving or self._attempts >= _ATTEMPTS:
            self.over = True
            return
        self._attempts += 1
        wire = Wire(world, f"{self.label}/{self._attempts}", random=self._random)
        wire.copy = self
        if held_seconds:
            wire.hold_up(world.time + held_seconds, (1,))
        end = End(self, wire, 0, self.client.connect(self.host.now))
        world.at(world.time + world.plan.delay[1], world.server.accept, wire)
        end.drain()

    def _leave(self, end: End) -> None:
        """Say goodbye, or vanish."""
        self._leaving = True
        if end.closed:
            self.over = True
        elif self._random.random() < 0.5:
            self.pair.causes.add(ResetReason.CLOSED.name)
            self.client.close(self.host.now, "bye")
            end.drain()
        else:
            end.wire.cut((self.world.time, self.world.time + 5.0 * self._random.random()))

    # The driver

    def event(self, end: End, event: Event) -> None:
        if isinstance(event, MessageReceived) and self._reads:
            self.client.session.delivered(event.number, self.host.now)
        elif isinstance(event, SessionReset) and event.session.session_id == self.pair.session_id:
            check_cause(event.reason, self.pair, server=False)

    def drained(self, end: End) -> None:
        check_codes(end)
        check_superseded(end, self.client.session)
        if end.connection.state is State.ATTACHED and not self._leaving:
            self._leaving = True
            self.world.at(self.world.time + 3.0 * self._random.random(), self._leave, end)

    def gone(self, end: End) -> None:
        self.world.at(self.world.time + self._random.random(), self._connect)

    def is_retired(self, end: End) -> bool:
        return end.connection is not self.client.connection
