"""One world: a virtual clock, a server, clients, whatever goes wrong, and the end in which nothing does.

Everything happens in events of one heap, ordered by time and then by the order in which they were planned, so that a
seed tells the whole story.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from random import Random
from typing import TYPE_CHECKING, Any, Final

from .books import Pair, Violation
from .clients import ClientActor
from .copies import Copies
from .crossings import Crossings
from .deadlines import AUDIT_SECONDS, audit
from .faults import Faults
from .hostile import HostileActor
from .migrations import Migrations
from .plan import draw_plan
from .polling import Polling
from .servers import ServerActor
from .transcript import Transcript

if TYPE_CHECKING:
    from .coverage import Cells

__all__ = ["World"]

_LONGEST: Final = 900.0
"""Virtual seconds in which the goal has to be reached."""
_FAULTS: Final = 10
"""Faults that every seed has to have."""
_SELDOM: Final = 0.9
"""Share of the bursts that a direction leaves out once it has its messages."""
_SENT_AWAY: Final = 70.0
"""Seconds for which a client with too many resumes is sent away at most (SPEC LIM-5), and a bit."""
_ATTEMPTS: Final = 60
"""Attempts that a client may need in the quiet phase; each link it still believes in costs it one."""


class World:
    """The world of one seed."""

    def __init__(self, seed: int, *, transcript: bool = False) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.draw = self.random.random
        self.plan = draw_plan(self.random)
        self.transcript = Transcript(transcript)
        self.time = 0.0
        self.steps = 0
        self.serial = 0
        self.resets = 0
        self.sending = True
        self.quiet = False
        self.taken = [0, 0]  # messages that applications have taken: up, down
        self.cells: Cells = {}
        self.pairs: dict[bytes, Pair] = {}
        self._heap: list[tuple[float, int, Callable[..., None], tuple[Any, ...]]] = []
        self._order = 0
        self.polling = Polling(self)
        self.server = ServerActor(self)
        self.clients = [ClientActor(self, number) for number in range(self.plan.clients)]
        self.hostile = HostileActor(self)
        self.copies = Copies(self)
        self.migrations = Migrations(self)
        self.crossings = Crossings(self)
        self.faults = Faults(self)

    def random_bytes(self, count: int) -> bytes:
        """Return bytes for secrets and ids."""
        return self.random.getrandbits(8 * count).to_bytes(count, "big")

    def at(self, when: float, call: Callable[..., None], *args: Any) -> None:
        """Plan a call."""
        self._order += 1
        heappush(self._heap, (when, self._order, call, args))

    # Running

    def run(self) -> None:
        """Run to the end.

        Raises:
            Violation: An invariant does not hold.
        """
        for client in self.clients:
            client.connect()
            self.at(self.draw(), client.tick)
        self.at(self.draw(), self.server.tick)
        self.at(AUDIT_SECONDS, self._audit)
        self.faults.plan_next()
        self.hostile.plan_liar()
        self.migrations.plan_next()
        self.crossings.plan_next()
        self._run_until(_LONGEST, self._goal_reached)
        if not self._goal_reached():
            raise Violation("plan", f"{self.taken} messages and {self.faults.count} faults in {_LONGEST:g} s")
        self._be_quiet()

    def is_ahead(self, side: int) -> bool:
        """Say whether a direction has its messages; then it sends seldom until the other has them too."""
        return self.taken[side] >= self.plan.goal and self.draw() < _SELDOM

    def _goal_reached(self) -> bool:
        up, down = self.taken
        return up >= self.plan.goal and down >= self.plan.goal and self.faults.count >= _FAULTS

    def _run_until(self, end: float, done: Callable[[], bool]) -> None:
        heap = self._heap
        while heap and not done():
            if heap[0][0] > end:
                self.time = end
                return
            self.time, _, call, args = heappop(heap)
            self.steps += 1
            call(*args)

    def _audit(self) -> None:
        self.at(self.time + AUDIT_SECONDS, self._audit)
        audit(self)

    # Quiet phase

    def _be_quiet(self) -> None:
        """Stop sending and breaking; everything has to arrive in time (L1, L3)."""
        self.faults.stop()
        self.sending = False
        self.quiet = True
        plan = self.plan
        backlog = sum(
            len(out.accepted) - out.taken
            for client in self.clients
            for out in (client.up, client.pair.down if client.pair is not None else None)
            if out is not None
        )
        awake = max(actor.host.asleep_until for actor in (self.server, *self.clients))
        named = max(client.not_before for client in self.clients)
        # With a window of one, every message takes a round trip, the reader's lag and the delay of its ACK.
        per_message = 1.0 + plan.lag + 4.0 * plan.delay[1] + 1.0 / plan.server.messages_per_second
        bound = (
            max(plan.server.convergence_seconds, plan.client.convergence_seconds)
            + max(0.0, awake - self.time, named - self.time)
            + backlog * per_message
            + _SENT_AWAY
            + self.polling.plan.settling_seconds
        )
        self._run_until(self.time + bound, self.converged)
        if not self.converged():
            raise Violation("L1", f"no convergence within {bound:.1f} s: {self.what_is_left()}")
        for client in self.clients:
            if client.attempts_quiet > _ATTEMPTS:
                raise Violation("L3", f"{client.label} needed {client.attempts_quiet} attempts")

    def converged(self) -> bool:
        """Say whether every client is attached and both sides have everything."""
        return not any(self._lacks(client) for client in self.clients)

    def what_is_left(self) -> str:
        """Return why the world has not converged."""
        return "; ".join(text for client in self.clients if (text := self._lacks(client)))

    def _lacks(self, client: ClientActor) -> str:
        session = client.session
        pair = client.pair
        if pair is None or pair.server is None or session.carrier is None or pair.server.carrier is None:
            return f"{client.label} is not attached"
        for name, out, box in (("up", pair.up, session.outbox), ("down", pair.down, pair.server.outbox)):
            assert out is not None
            if out.taken + len(out.dropped) != len(out.accepted) and not pair.hostile:
                return (
                    f"{client.label} {name}: {out.taken} of {len(out.accepted)} delivered, {len(out.dropped)} dropped"
                )
            if box.replay or box.queue:
                return f"{client.label} {name}: {box.sent - box.delivered} parts kept, {len(box.queue or ())} wait"
        return ""
