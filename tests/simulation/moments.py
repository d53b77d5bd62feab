"""Bad moments that would come too seldom by themselves: amid a run, amid a shared batch.

Each is a fault like the others: it says whether it made sense, and what it plans for later it plans only for as long as
there are faults at all.
"""

from typing import TYPE_CHECKING, Final

from hawser_engine.codes import ResetReason

from .collisions import cut_late

if TYPE_CHECKING:
    from .clients import ClientActor
    from .world import World

__all__ = ["break_a_batch", "break_a_run"]

_SHORT_MESSAGE: Final = 60
"""Bytes of a message of a batch that shall pass most windows."""


def break_a_run(world: "World", client: "ClientActor") -> bool:
    """Let both sides send a message of several parts, and end something before the last is taken."""
    pair, server = client.pair, world.server
    kept = None if pair is None else pair.server
    if not world.plan.giant or pair is None or kept is None or _asleep(world, client):
        return False
    client.application.send_run(client.session, client.up, client.host.now)
    client.drain()
    server.application.send_run(kept, pair.down, server.host.now)
    server.drain_session(kept)
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


def _asleep(world: "World", client: "ClientActor") -> bool:
    return max(client.host.asleep_until, world.server.host.asleep_until) > world.time
