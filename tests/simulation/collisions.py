"""Moments at which much is under way in both directions, and then a session, a connection or a link ends.

Such moments come up by themselves too, but so seldom that thousands of seeds would not show what they do.
"""

from contextlib import suppress
from typing import TYPE_CHECKING

from hawser_engine.codes import CloseCode, ResetReason
from hawser_engine.errors import LocalProtocolError
from hawser_engine.server_connection import ServerConnection
from hawser_engine.states import State

from .ends import End
from .lines import Line

if TYPE_CHECKING:
    from collections.abc import Callable

    from .clients import ClientActor
    from .world import World

__all__ = ["collide", "cut_late", "trouble"]


def trouble(world: "World", wire: Line) -> None:
    """Perhaps hold a link up, or cut it so that both sides learn it later."""
    choice = world.draw()
    if choice < 0.3:
        until = world.time + 0.6 * world.draw()
        wire.hold_up(until)
    elif choice < 0.5:
        cut_late(world, wire)


def collide(world: "World", client: "ClientActor") -> bool:
    """Fill both directions of a session, then end something; False if nobody is attached."""
    pair, end, server = client.pair, client.newest, world.server
    if pair is None or pair.server is None or end is None or end.connection.session is None:
        return False
    other = end.wire.ends[1]
    if other is None or other.connection.session is not pair.server or _asleep(client, world):
        return False
    session, now = client.session, client.host.now
    end.connection.probe(now)
    client.application.send_some(session, client.up, now)
    session.send_volatile(b"both", now)
    client.authenticate()
    client.drain()
    if other.closed or other.connection.session is not pair.server:
        return True
    now = server.host.now
    now = server.host.now
    other.probe()
    kept = pair.server
    server.application.send_some(kept, pair.down, now)
    kept.send_volatile(b"both", now)
    if isinstance(other.connection, ServerConnection) and other.connection.state is State.ATTACHED:
        other.connection.request_credentials(1.0 + 2.0 * world.draw(), now)
    other.drain()
    choice = world.draw()
    if choice < 0.2:
        client.slow_until = server.slow_until = world.time + 1.0
    elif choice < 0.4:
        client.connect()
    else:
        trouble(world, end.wire)
    endings: tuple[tuple[Callable[..., None], ...], ...] = (
        (_end_at_server,),
        (_end_at_client,),
        (_end_at_server, _end_at_client),
        (_close_at_server,),
        (_close_at_client,),
        (_close_at_server, _close_at_client),
    )
    for ending in endings[int(len(endings) * world.draw())]:
        world.at(world.time + world.plan.delay[1] * world.draw(), ending, client, end, other)
    if world.draw() < 0.4:
        world.at(world.time + 1.5 * world.plan.delay[1] * world.draw(), cut_late, world, end.wire)
    return True


def cut_late(world: "World", wire: Line) -> None:
    """Cut a link; some of what is under way still arrives before both sides learn it."""
    if not wire.was_cut:
        later = world.time + 0.5 + world.draw()
        wire.cut((later, later))


def _asleep(client: "ClientActor", world: "World") -> bool:
    return max(client.host.asleep_until, world.server.host.asleep_until) > world.time


def _end_at_server(client: "ClientActor", end: End, other: End) -> None:
    server = client.world.server
    pair = client.pair
    if not _asleep(client, client.world) and pair is not None and pair.server is not None:
        pair.causes.add("REVOKED")
        server.engine.end(pair.server, ResetReason.REVOKED, server.host.now)
        server.drain_server()


def _end_at_client(client: "ClientActor", end: End, other: End) -> None:
    if not _asleep(client, client.world):
        if client.pair is not None:
            client.pair.causes.add("OVERFLOW")
        client.session.end(ResetReason.OVERFLOW, client.host.now)
        client.drain()


def _close_at_server(client: "ClientActor", end: End, other: End) -> None:
    if not _asleep(client, client.world) and not other.closed:
        other.connection.close(CloseCode.GOING_AWAY, "a collision", client.world.server.host.now)
        other.drain()


def _close_at_client(client: "ClientActor", end: End, other: End) -> None:
    if not _asleep(client, client.world) and not end.closed:
        with suppress(LocalProtocolError):
            end.connection.close(CloseCode.GOING_AWAY, "a collision", client.host.now)
        end.drain()
