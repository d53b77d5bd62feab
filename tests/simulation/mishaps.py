"""Bad moments of requests that would come too seldom by themselves: something else happens while one is under way.

A tab is cloned whose request is slow, a client looks for another way while an answer comes that it would not like, a
server ends a connection just before a straggler of it arrives. ``moments`` has such moments for links of packets. What
is drawn here shifts nobody else's draws.
"""

from random import Random
from typing import TYPE_CHECKING, Final

from hawser_engine.bindings.http import Reply
from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.states import State

from .clients import ClientActor

if TYPE_CHECKING:
    from .chains import Chain
    from .travels import Travel
    from .world import World

__all__ = ["Mishaps"]

_OVERTAKEN: Final = (0.03, 0.016)
"""Share of the attaches, and of the POSTs, that something else overtakes, as a copy of their client."""
_ELSEWHERE: Final = 0.1
"""Share of the GETs that find another one at the server during which the client takes a newer link."""
_UNKIND: Final = 0.12
"""Share of the answers that cost time or the link during which it does."""
_UNKIND_ATTACH: Final = (0.4, 0.1)
"""Share of those to attaches: of what something between says, and of what the server says."""
_SLOW: Final = 0.3
"""Share of the refusals by something between that come late, as of a gateway that has waited for its server, and of the
answers to GETs that say how a link ends."""
_STRAGGLERS: Final = (0.06, 0.012)
"""Share of the GETs, and of the POSTs, that come again or overtaken and find that the server ends their connection."""
_MORE: Final = 5.0
"""By so much that is more for each other thing that goes on around them."""
_ANSWERED: Final = (200, 204)
_KIND: Final = (*_ANSWERED, 401)


class Mishaps:
    """All of one world."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self._draw = Random(f"mishaps of seed {world.seed}").random

    def leaves(self, travel: "Travel") -> float:
        """Return by how many seconds a request is slower than others, because somebody is to be quicker."""
        world, chain, draw = self._world, travel.chain, self._draw
        if travel.get:
            if chain.answering.parked is not None and draw() < _ELSEWHERE:
                world.at(world.time + world.plan.delay[0] * draw(), self._take_newer, chain)
            return 0.0
        end = chain.ends[0]
        if end is None or draw() >= _OVERTAKEN[not travel.attaches]:
            return 0.0
        slower = 5.0 * world.plan.delay[1] + world.plan.auth_seconds + draw()
        choice = draw()
        if travel.attaches:  # it comes between what the server tells the copy and the proof of that (SPEC SEC-3)
            world.at(world.time, self._clone, chain, 2.0 * slower)
        elif choice < 0.5:
            world.at(world.time, self._clone, chain)
        else:
            world.at(world.time + slower * draw(), self._end if choice < 0.75 else self._restart, chain)
        return slower

    def refusal_is_late(self) -> float:
        """Return how many seconds something between the two takes until it refuses a request."""
        draw = self._draw
        return 3.0 * draw() if draw() < _SLOW else 0.0

    def end_is_late(self, travel: "Travel", reply: Reply) -> float:
        """Return by how many seconds the answer to a GET is slower than others, because it says how its link ends."""
        draw = self._draw
        return 3.0 * draw() if travel.get and reply.status not in _ANSWERED and draw() < _SLOW else 0.0

    def returns(self, travel: "Travel", reply: Reply, arrives: float, *, foreign: bool = False) -> None:
        """Look at an answer that is on its way to the client, until ``arrives``."""
        world, chain, draw = self._world, travel.chain, self._draw
        if foreign or reply.status not in _KIND:
            odds = _UNKIND_ATTACH[not foreign] if travel.attaches else _UNKIND
            if draw() < odds:
                world.at(world.time + (arrives - world.time) * draw(), self._take_newer, chain)

    def arrives(self, travel: "Travel") -> None:
        """Look at a request that the server is about to take."""
        world, chain = self._world, travel.chain
        served, other = chain.served, chain.ends[1]
        if (
            world.quiet
            or travel.attaches
            or served is None
            or other is None
            or other.connection.state is not State.ATTACHED
        ):
            return
        values = dict(travel.request.headers)
        named = values.get("hawser-session"), values.get("hawser-generation")
        if named != (served.session.decode(), str(served.generation)):
            return
        again = chain.answering.is_again(travel, int(values["hawser-number"]))
        if not again and (travel.get or chain.came_last < travel.left):
            return
        odds = _STRAGGLERS[not travel.get]
        end = chain.ends[0]
        for holds in (
            travel.tries > 0 and travel.get,
            chain.retired or end is None or end.actor.is_late(end),
            world.server.fresh_until > world.time,
        ):
            odds *= _MORE if holds else 1.0
        if self._draw() < odds:
            pair = chain.taps[1].pair
            if pair is not None and pair.server is not None and pair.server is other.connection.session:
                world.server.command(pair.server, world.server.application.send_some)
            if not other.closed:
                other.connection.close(CloseCode.GOING_AWAY, "in haste", world.server.host.now)
                other.drain()

    # What happens

    def _client_of(self, chain: "Chain") -> ClientActor | None:
        """Return the client whose newest link this is, if it is awake."""
        end = chain.ends[0]
        if self._world.quiet or end is None or end.closed or not isinstance(end.actor, ClientActor):
            return None
        client = end.actor
        return client if client.newest is end and client.host.asleep_until <= self._world.time else None

    def _take_newer(self, chain: "Chain") -> None:
        client = self._client_of(chain)
        if client is not None:
            client.connect()

    def _end(self, chain: "Chain") -> None:
        client, server = self._client_of(chain), self._world.server
        pair = None if client is None else client.pair
        if pair is not None and pair.server is not None and server.host.asleep_until <= self._world.time:
            pair.causes.add(ResetReason.REVOKED.name)
            server.engine.end(pair.server, ResetReason.REVOKED, server.host.now)
            server.drain_server()

    def _restart(self, chain: "Chain") -> None:
        world = self._world
        if not world.quiet and max(world.server.down_until, world.server.host.asleep_until) <= world.time:
            world.server.restart(kept=True)

    def _clone(self, chain: "Chain", held_seconds: float = 0.0) -> None:
        client = self._client_of(chain)
        if client is not None:
            self._world.copies.make(client, held_seconds=held_seconds)
