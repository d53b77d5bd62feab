"""A session that moves from one link to another while both are there: everything is a resume (SPEC 5).

The older link goes on until the RESUME leaves on the newer one, and what is under way on it arrives whenever it likes.
Links end at every point of such a move. Only worlds in which somebody polls have moves of this kind; what one draws
shifts nobody else's draws.
"""

from random import Random
from typing import TYPE_CHECKING

from hawser_engine.codes import CloseCode
from hawser_engine.states import State

from .chains import Chain
from .collisions import cut_late
from .habits import Carriage

if TYPE_CHECKING:
    from .clients import ClientActor
    from .ends import End
    from .lines import Line
    from .world import World

__all__ = ["Migrations"]


class Migrations:
    """All moves of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._draw = Random(f"moves of seed {world.seed}").random

    def plan_next(self) -> None:
        """Plan the next move, if there are any."""
        world, plan = self._world, self._world.polling.plan
        if plan.used:
            world.at(world.time + 2.0 * plan.migrate_every * self._draw(), self._move)

    def _move(self) -> None:
        world, draw = self._world, self._draw
        if world.quiet:
            return
        self.plan_next()
        client = world.clients[int(draw() * len(world.clients))]
        old = client.newest
        if old is None or old.connection.state is not State.ATTACHED or self._asleep(client):
            return
        if draw() < 0.6:
            self._fill(client)
            if client.newest is not old or old.connection.state is not State.ATTACHED:
                return
        polls = isinstance(old.wire, Chain) == (draw() < 0.25)
        if world.transcript.wanted:
            client.say(f"moves from {old.wire.label}")
        looks = 2.0 * draw() * draw() if draw() < 0.5 else 0.0
        client.connect(carriage=Carriage.POLL if polls else Carriage.STREAM, probe_seconds=looks)
        new = client.ends[-1] if client.ends else old
        if new is not old:
            self._disturb(client, old, new, looks)

    def _asleep(self, client: "ClientActor") -> bool:
        world = self._world
        return max(client.host.asleep_until, world.server.host.asleep_until) > world.time

    def _fill(self, client: "ClientActor") -> None:
        """Put much under way in both directions."""
        pair, server = client.pair, self._world.server
        client.application.send_some(client.session, client.up, client.host.now)
        client.drain()
        if pair is not None and pair.server is not None:
            server.command(pair.server, server.application.send_some)

    def _disturb(self, client: "ClientActor", old: "End", new: "End", looks: float) -> None:
        """Hold something up, or end something, about when the RESUME is under way."""
        world, draw = self._world, self._draw
        soon = world.time + looks + 3.0 * world.plan.delay[1] * draw()
        match int(10 * draw()):
            case 0:
                old.wire.hold_up(soon + 1.5 * draw())
            case 1:
                new.wire.hold_up(soon + 1.5 * draw(), (0,))
            case 2:
                new.wire.hold_up(soon + 1.5 * draw(), (1,))
            case 3:
                world.at(soon, self._cut, old.wire)
            case 4:
                world.at(soon, self._cut, new.wire)
            case 5:
                world.at(soon, self._close_at_server, old)
            case 6:
                world.at(soon, self._close_at_server, new)
            case 7:
                world.at(soon, self._fill_again, client)
            case _:
                pass

    def _cut(self, wire: "Line") -> None:
        if not self._world.quiet:
            cut_late(self._world, wire)

    def _fill_again(self, client: "ClientActor") -> None:
        if not self._world.quiet and not self._asleep(client):
            self._fill(client)

    def _close_at_server(self, end: "End") -> None:
        """Let the server say goodbye to one link, whichever has the session by then."""
        world = self._world
        other = end.wire.ends[1]
        if other is not None and not world.quiet and world.server.host.asleep_until <= world.time:
            other.connection.close(CloseCode.GOING_AWAY, "a move", world.server.host.now)
            other.drain()
