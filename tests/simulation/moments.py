"""Bad moments that would come too seldom by themselves: amid a run, amid a shared batch, at the end of a deadline.

Each is a fault like the others: it says whether it made sense, and what it plans for later it plans only for as long as
there are faults at all.
"""

from typing import TYPE_CHECKING, Final

from hawser_engine.codes import ResetReason

from .collisions import cut_late
from .ends import Actor

if TYPE_CHECKING:
    from .clients import ClientActor
    from .world import World

__all__ = ["break_a_batch", "break_a_run", "sleep_past_death", "sleep_past_expiry"]

_SHORT_MESSAGE: Final = 60
"""Bytes of a message of a batch that shall pass most windows."""
_PATIENCE: Final = 9.0
"""Longest resume period of which somebody waits for the end."""
_SLEEP: Final = 2.1
"""A little more than what makes a pass late (SPEC LIV-5)."""


def break_a_run(world: "World", client: "ClientActor") -> bool:
    """Let both sides send a message of several parts, and end something before the last is taken."""
    pair, server = client.pair, world.server
    kept = None if pair is None else pair.server
    if not world.plan.giant or pair is None or kept is None or _asleep(world, client):
        return False
    client.application.send_run(client.session, client.up, client.host.now)
    client.drain()
    server.command(kept, server.application.send_run)
    world.at(world.time + 3.0 * world.plan.delay[1] * world.draw(), _end_something, world, client)
    return True


def _end_something(world: "World", client: "ClientActor") -> None:
    if world.quiet or _asleep(world, client) or world.time < world.server.down_until:
        return
    choice = world.draw()
    if choice < 0.3:
        world.server.restart(kept=True)
    elif choice < 0.6:
        client.move()
    elif choice < 0.75:
        client.connect()
    elif client.newest is not None and choice < 0.9:
        cut_late(world, client.newest.wire)
    elif client.pair is not None and client.pair.server is not None:
        client.pair.causes.add("REVOKED")
        world.server.engine.end(client.pair.server, ResetReason.REVOKED, world.server.host.now)
        world.server.drain_server()


def break_a_batch(world: "World") -> bool:
    """Send a shared batch to everybody, and cut links while it is under way; False if it could leave on none."""
    server = world.server
    if server.host.asleep_until > world.time:
        return False
    reached = server.broadcast(2 + int(3 * world.draw()), _SHORT_MESSAGE)
    cut = False
    for client in world.clients:
        end, pair = client.newest, client.pair
        if end is None or pair is None or end.wire.was_cut or end.wire.whole or client.host.asleep_until > world.time:
            continue
        if any(session is pair.server for session in reached):
            cut_late(world, end.wire)
            cut = True
    return cut


def sleep_past_death(world: "World", client: "ClientActor") -> bool:
    """Let nothing pass a link until one side has overslept the moment at which it would hold the other dead."""
    end, pair, plan, server = client.newest, client.pair, world.plan, world.server
    if end is None or pair is None or pair.server is None or end.wire.was_cut or _asleep(world, client):
        return False
    actor: Actor = server if world.draw() < 0.3 else client
    pong_wait = (plan.server if actor is server else plan.client).pong_wait_seconds
    silence = plan.server.ping_interval_seconds + plan.server.pong_wait_seconds
    falls_asleep = world.time + (silence - 1.5 * pong_wait * world.draw()) * (1.0 if world.draw() < 0.7 else 0.4)
    seconds = _SLEEP + 1.5 * pong_wait * world.draw()
    until = falls_asleep + seconds + 1.3 * pong_wait * world.draw()
    end.wire.hold_up(until)
    if world.draw() < 0.5:
        server.command(pair.server, server.application.send_some)
    world.at(falls_asleep, _sleep, world, actor, seconds)
    if world.draw() < 0.4:  # and once more, before anything can have come
        world.at(falls_asleep + seconds + 0.3 * pong_wait * world.draw(), _sleep, world, actor, _SLEEP + world.draw())
    return True


def sleep_past_expiry(world: "World", client: "ClientActor") -> bool:
    """Keep a client away until the server has overslept the end of its session, once or twice."""
    pair = client.pair
    if pair is None or pair.server is None or _asleep(world, client) or pair.server.resume_period > _PATIENCE:
        return False
    pong_wait = world.plan.server.pong_wait_seconds
    learns = world.time + 0.1
    for end in client.ends:
        end.wire.cut((learns, learns))
    over = learns + pair.server.resume_period
    falls_asleep = over - 0.5 * pong_wait * world.draw()
    seconds = _SLEEP + pong_wait * world.draw()
    world.at(falls_asleep, _sleep, world, world.server, seconds)
    if world.draw() < 0.5:
        world.at(falls_asleep + seconds + 0.5 * pong_wait * world.draw(), _sleep, world, world.server, _SLEEP)
    client.refused_until = falls_asleep + seconds + 2.0 * pong_wait * world.draw()
    return True


def _sleep(world: "World", actor: Actor, seconds: float) -> None:
    if not world.quiet:
        world.faults.suspend(actor, seconds, stops=False)


def _asleep(world: "World", client: "ClientActor") -> bool:
    return max(client.host.asleep_until, world.server.host.asleep_until) > world.time
