"""What goes wrong, and when."""

from typing import TYPE_CHECKING, Final

from hawser_engine.gaps import Gap

from .books import Violation
from .collisions import collide
from .ends import Actor
from .moments import break_a_batch, break_a_run, sleep_past_death, sleep_past_expiry
from .plan import FAULTS

if TYPE_CHECKING:
    from .clients import ClientActor
    from .world import World

__all__ = ["Faults"]

_DAY: Final = 86_400.0
_TROUBLE_SECONDS: Final = 3.0
_RETRIES: Final = 4
_MANY: Final = 20.0
"""From about so many faults on they become rarer."""


class Faults:
    """Draws a fault now and then, and does it."""

    def __init__(self, world: "World") -> None:
        self._world = world
        self.count = 0
        self._stopped = False
        total = sum(world.plan.weights)
        bounds: list[float] = []
        reached = 0.0
        for weight in world.plan.weights:
            reached += weight / total
            bounds.append(reached)
        self._bounds = bounds

    def plan_next(self) -> None:
        """Plan the next fault; they become rarer, or some worlds would never get anywhere."""
        world = self._world
        every = world.plan.fault_every * (1.0 + (self.count / _MANY) ** 2)
        world.at(world.time + 2.0 * every * world.draw(), self._strike)

    def stop(self) -> None:
        """Let no more faults happen, and end those that last."""
        self._stopped = True
        world = self._world
        for client in world.clients:
            client.refused_until = 0.0
            client.session.paused = False
        for session in world.server.engine.sessions.values():
            session.paused = False
        world.server.auth_out_until = world.server.auth_slow_until = 0.0
        for client in world.clients:
            if client.host.asleep_until <= world.time:
                client.drain()
            for end in client.ends:
                end.wire.calm_down()
        if world.server.host.asleep_until <= world.time:
            for end in list(world.server.ends):
                end.drain()

    def _strike(self) -> None:
        if self._stopped:
            return
        world = self._world
        self.plan_next()
        for _ in range(_RETRIES):
            choice = world.draw()
            name = FAULTS[next((i for i, bound in enumerate(self._bounds) if choice < bound), 0)]
            client = world.clients[int(world.draw() * len(world.clients))]
            if self._do(name, client):
                self.count += 1
                if world.transcript.wanted:
                    world.transcript.add(world.time, "fault", f"{name} ({client.label})")
                return

    def _do(self, name: str, client: "ClientActor") -> bool:
        """Do one fault; False if it makes no sense now."""
        world = self._world
        draw = world.draw
        server = world.server
        match name:
            case "cut" | "half-open" | "stall" | "slow-link":
                return self._harm_link(name, client)
            case "give-up":
                if client.host.asleep_until > world.time:
                    return False
                client.connect(hold_seconds=4.0 * draw() if draw() < 0.5 else 0.0)
            case "suspend" | "suspend-clockless":
                actor: Actor = server if draw() < 0.3 else client
                return self.suspend(actor, 0.3 + 12.0 * draw() * draw(), stops=name == "suspend-clockless")
            case "wall-step":
                self._step(server if draw() < 0.4 else client, _DAY * (2.0 * draw() - 1.0))
            case "restart-kept" | "restart-lost":
                if world.time < server.down_until or server.host.asleep_until > world.time:
                    return False
                server.restart(kept=name == "restart-kept")
            case "refuse":
                client.refused_until = world.time + 2.0 * draw()
            case "auth-outage":
                server.auth_out_until = world.time + 2.0 * draw()
            case "auth-slow":
                server.auth_slow_until = world.time + 2.0 * draw()
            case "pause":
                return self._pause(client)
            case "broken-run":
                return break_a_run(world, client)
            case "broken-batch":
                return break_a_batch(world)
            case "sleep-past-death":
                return sleep_past_death(world, client)
            case "sleep-past-expiry":
                return sleep_past_expiry(world, client)
            case "hostile-client":
                return world.hostile.attack(client)
            case "hostile-server":
                world.hostile.deceive()
            case _:
                return self._act(name, client)
        return True

    def _act(self, name: str, client: "ClientActor") -> bool:
        """Do what a person or an application would do at a bad moment."""
        world = self._world
        if client.host.asleep_until > world.time:
            return False
        match name:
            case "move-client":
                client.move()
            case "clone-client":
                return world.copies.make(client)
            case "collision":
                return collide(world, client)
            case "goodbye":
                client.goodbye()
            case "reauth":
                client.authenticate()
                client.drain()
            case "probe":
                connection = client.client.connection
                if connection is not None:
                    connection.probe(client.host.now)
                    client.drain()
            case "wrong-principal":
                if not client.session.opened:
                    return False
                if client.pair is not None:
                    client.pair.causes.add("UNKNOWN_SESSION")
                client.client.credentials = {"who": "nobody" if world.draw() < 0.5 else "mallory"}
                client.connect()
                client.client.credentials = {"who": client.principal}
            case "server-ends" | "server-closes":
                if world.server.host.asleep_until > world.time:
                    return False
                if name == "server-ends":
                    world.server.end_some()
                else:
                    world.server.close_some()
            case _:
                return False
        return True

    # Links

    def _harm_link(self, name: str, client: "ClientActor") -> bool:
        world = self._world
        draw = world.draw
        if not client.ends:
            return False
        wire = client.ends[-1 - int(draw() * draw() * len(client.ends))].wire
        now = world.time
        match name:
            case "cut":
                if wire.was_cut:
                    return False
                wire.cut((now + 0.5 * draw(), now + 0.5 * draw()))
            case "half-open":
                if wire.was_cut:
                    return False
                later = now + 20.0 * draw() if draw() < 0.6 else None
                sooner = now + 0.3 * draw() if draw() < 0.8 else None
                wire.cut((sooner, later) if draw() < 0.5 else (later, sooner))
            case "stall":
                until = now + 5.0 * draw() * draw()
                wire.hold_up(until, (0, 1) if draw() < 0.5 else (int(2 * draw()),))
            case _:
                wire.slow_down(1.5)
                wire.faulty_until = max(wire.faulty_until, now + 2.0)
        return True

    # Clocks

    def _step(self, actor: Actor, seconds: float) -> None:
        """Move the wall clock: nothing may come of it but a probe (I15)."""
        host = actor.host
        host.wall += seconds
        host.clock_trouble = self._world.time + _TROUBLE_SECONDS
        if host.asleep_until > self._world.time:
            return
        sessions = self._world.server.engine.sessions
        before = [(end, end.connection.state) for end in actor.ends], [s.expires_at for s in sessions.values()]
        if host.gaps.check(host.now, self._world.time + host.wall, None) is Gap.CLOCK_STEP:
            self._probe(actor)
        after = [(end, end.connection.state) for end in actor.ends], [s.expires_at for s in sessions.values()]
        if before != after:
            raise Violation("I15", f"a step of the wall clock changed {before} to {after}")

    def _probe(self, actor: Actor) -> None:
        for end in list(actor.ends):
            if not end.closed:
                end.probe()
                end.drain()

    def suspend(self, actor: Actor, seconds: float, *, stops: bool) -> bool:
        """Put a machine to sleep; ``stops`` says that its monotonic clock does not go on meanwhile."""
        world = self._world
        host = actor.host
        if host.asleep_until > world.time:
            return False
        host.asleep_until = world.time + seconds
        world.at(host.asleep_until, self._wake, actor, seconds, stops)
        return True

    def _wake(self, actor: Actor, seconds: float, stops: bool) -> None:
        """Let a machine go on: what has arrived first, then the gap, then timeouts (SPEC LIV-5, LIV-6)."""
        world = self._world
        host = actor.host
        if stops:
            host.offset += seconds
        host.woke_at = host.now
        host.clock_trouble = world.time + _TROUBLE_SECONDS
        server = world.server if actor is world.server else None
        dues = [due for end in actor.ends if (due := end.connection.next_timeout()) is not None]
        if server is not None and (due := server.engine.next_timeout()) is not None:
            dues.append(due)
        found = host.gaps.check(host.now, world.time + host.wall, min(dues, default=None))
        for end in list(actor.ends):
            end.wire.read(1 - end.side)
        late = found is Gap.LATE_PASS
        for end in list(actor.ends):
            end.go_on(late=late, moved=found is Gap.CLOCK_STEP)
        if server is not None:
            if late:
                server.handle_gap()
            server.engine.handle_timeout(host.now)
            server.wake = 0.0
            server.drain_server()

    # Slow readers

    def _pause(self, client: "ClientActor") -> bool:
        world = self._world
        seconds = 3.0 * world.draw()
        pair = client.pair
        if world.draw() < 0.5:
            session = client.session
            if session.paused:
                return False
            session.paused = True
            client.slow_until = world.time + seconds
            world.at(world.time + seconds, self._go_on_reading_client, client)
        elif pair is not None and pair.server is not None:
            pair.server.paused = True
            world.server.slow_until = world.time + seconds
            world.at(world.time + seconds, self._go_on_reading_server, client)
        else:
            return False
        return True

    def _go_on_reading_client(self, client: "ClientActor") -> None:
        client.session.paused = False
        if client.host.asleep_until <= self._world.time:
            client.drain()

    def _go_on_reading_server(self, client: "ClientActor") -> None:
        pair = client.pair
        if pair is not None and pair.server is not None:
            pair.server.paused = False
            if self._world.server.host.asleep_until <= self._world.time:
                self._world.server.drain_session(pair.server)
