"""Ends that cross each other on a link of packets while its client already has a newer one, or something closes it.

Such moments come up by themselves too, but so seldom that thousands of seeds would not show all of them. Few worlds
have them, and what is drawn here shifts nobody else's draws.
"""

from random import Random
from typing import TYPE_CHECKING, Final

from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.session import ServerSession
from hawser_engine.states import State

from .collisions import cut_late
from .wires import Wire

if TYPE_CHECKING:
    from .clients import ClientActor
    from .ends import End
    from .world import World

__all__ = ["Crossings"]

_WORLDS: Final = 0.03
"""Share of the worlds in which there are such moments."""
_EVERY: Final = 3.0
"""Mean seconds between them there."""


class Crossings:
    """All of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._draw = Random(f"crossings of seed {world.seed}").random
        self._used = self._draw() < _WORLDS

    def plan_next(self) -> None:
        """Plan the next moment, if there are any."""
        if self._used:
            self._world.at(self._world.time + 2.0 * _EVERY * self._draw(), self._cross)

    def _cross(self) -> None:
        world, draw = self._world, self._draw
        if world.quiet:
            return
        self.plan_next()
        client = world.clients[int(draw() * len(world.clients))]
        end = client.newest
        if end is None or not isinstance(end.wire, Wire) or end.wire.was_cut or self._other(client, end) is None:
            return
        if world.transcript.wanted:
            client.say(f"is at a crossing on {end.wire.label}")
        crossings = (
            self._last_words,
            self._close_an_open,
            self._close_an_open,
            self._close_and_cut,
            self._late_pong,
            self._forsake,
        )
        crossings[int(len(crossings) * draw())](client, end)

    def _other(self, client: "ClientActor", end: "End") -> "End | None":
        """Return the server's end of a link, if its client is attached on it and both are awake."""
        world, pair, other = self._world, client.pair, end.wire.ends[1]
        if world.quiet or max(client.host.asleep_until, world.server.host.asleep_until) > world.time:
            return None
        if end.closed or other is None or pair is None or pair.server is None:
            return None
        attached = end.connection.state is State.ATTACHED and other.connection.session is pair.server
        return other if attached else None

    # Both say their last while the client takes a newer link, and the server hears it late

    def _last_words(self, client: "ClientActor", end: "End") -> None:
        world, other = self._world, self._other(client, end)
        assert other is not None
        longest = world.plan.delay[1]
        end.wire.hold_up(world.time + 4.0 * longest, (0,))
        other.probe()  # the answer is held up as well
        other.drain()
        world.at(world.time + 1.5 * longest, self._leave, client, end)

    def _leave(self, client: "ClientActor", end: "End") -> None:
        other, now = self._other(client, end), client.host.now
        if other is None or client.pair is None:
            return
        ended = client.pair.server
        if self._draw() < 0.8:
            client.pair.causes.add(ResetReason.OVERFLOW.name)
            client.session.end(ResetReason.OVERFLOW, now)
        else:
            end.connection.close(CloseCode.GOING_AWAY, "a crossing", now)
        end.drain()
        client.connect(hold_seconds=8.0 * self._world.plan.delay[1], probe_seconds=0.0)
        if ended is not None and ended.ended is None and self._draw() < 0.7:
            self._end_at_server(client, other)

    def _end_at_server(self, client: "ClientActor", other: "End") -> None:
        server, session = self._world.server, other.connection.session
        if isinstance(session, ServerSession):
            self._world.pairs[session.session_id].causes.add(ResetReason.REVOKED.name)
            server.engine.end(session, ResetReason.REVOKED, server.host.now)
            server.drain_server()

    # The server ends a session and closes the link while the client opens another session on it

    def _close_an_open(self, client: "ClientActor", end: "End") -> None:
        world, draw, other = self._world, self._draw, self._other(client, end)
        assert other is not None
        self._end_at_server(client, other)
        soon = world.time + world.plan.delay[0] + 1.5 * world.plan.delay[1] * draw()
        world.at(soon, self._close, client, end, other, draw() < 0.5)

    def _close(self, client: "ClientActor", end: "End", other: "End", moves: bool) -> None:
        world = self._world
        if world.quiet or max(client.host.asleep_until, world.server.host.asleep_until) > world.time:
            return
        if not other.closed and other.connection.state is State.DISCARDING:
            other.connection.close(CloseCode.GOING_AWAY, "a crossing", world.server.host.now)
            other.drain()
        if moves and client.newest is end:
            client.connect()

    # The server ends the session, the client closes the link, and the network cuts it

    def _close_and_cut(self, client: "ClientActor", end: "End") -> None:
        other = self._other(client, end)
        assert other is not None
        end.connection.close(CloseCode.GOING_AWAY, "a crossing", client.host.now)
        end.drain()
        self._end_at_server(client, other)
        cut_late(self._world, end.wire)

    # A link that is only looked at answers late, or is given up and cut

    def _late_pong(self, client: "ClientActor", end: "End") -> None:
        world = self._world
        held = 3.0 * world.plan.delay[1] + 0.3 * self._draw()
        new = self._look(client, end, held + 3.0 * world.plan.delay[1])
        if new is not None:
            new.wire.hold_up(world.time + held, (1,))

    def _forsake(self, client: "ClientActor", end: "End") -> None:
        longest = self._world.plan.delay[1]
        new = self._look(client, end, 5.0 * longest)
        if new is not None:
            self._world.at(self._world.time + 3.0 * longest, self._close_looked_at, client, new)

    def _look(self, client: "ClientActor", end: "End", seconds: float) -> "End | None":
        """Let a client look at a new link for a while; return its end of that."""
        client.connect(probe_seconds=seconds)
        new = client.ends[-1]
        return None if new is end or new.closed else new

    def _close_looked_at(self, client: "ClientActor", new: "End") -> None:
        if not self._world.quiet and not new.closed and client.host.asleep_until <= self._world.time:
            new.connection.close(CloseCode.GOING_AWAY, "a crossing", client.host.now)
            new.drain()
            cut_late(self._world, new.wire)
