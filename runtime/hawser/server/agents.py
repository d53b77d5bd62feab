"""Who offers which procedures under which name, and whose turn it is: pure state (SPEC AGT-2 to AGT-8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import attrs

from hawser.calls import Refused
from hawser_engine.codes import ErrorCode

if TYPE_CHECKING:
    from collections.abc import Mapping


class Worker(Protocol):
    """A session, as far as it matters here."""

    @property
    def attached(self) -> bool:
        """Whether there is a link to it."""
        ...

    @property
    def open_calls(self) -> int:
        """How many calls it has not answered yet."""
        ...


WorkerT = TypeVar("WorkerT", bound=Worker)


@attrs.define(eq=False)
class Offering(Generic[WorkerT]):
    """What one session offers under the name of one agent."""

    agent: str
    worker: WorkerT
    principal: str
    """Whose session it is."""
    name: str | None
    """What it calls itself among the workers of the agent."""
    description: bytes
    procedures: Mapping[str, bytes]
    """Their descriptions, by name."""
    ended: bool = False
    number: int = 0
    """Counts the offers of the node; given by `Agents`."""

    def stands(self) -> bool:
        """Whether calls may go there."""
        return not self.ended


class Agents(Generic[WorkerT]):
    """All agents of a node.

    Args:
        agents_per_session: How many one session offers.
        workers_per_agent: How many sessions offer one.
        calls_per_worker: So many open calls, and a worker gets no more.
    """

    def __init__(self, *, agents_per_session: int, workers_per_agent: int, calls_per_worker: int) -> None:
        self._agents_per_session = agents_per_session
        self._workers_per_agent = workers_per_agent
        self._calls_per_worker = calls_per_worker
        self._workers: dict[str, dict[WorkerT, Offering[WorkerT]]] = {}  # by agent; whose turn is next comes first
        self._count = 0
        self._offered: dict[WorkerT, dict[str, Offering[WorkerT]]] = {}

    def offerings(self) -> list[Offering[WorkerT]]:
        """All offers."""
        return [offering for workers in self._workers.values() for offering in workers.values()]

    def offered_by(self, worker: WorkerT) -> list[Offering[WorkerT]]:
        """The offers of one session."""
        return list(self._offered.get(worker, {}).values())

    def offer(self, offering: Offering[WorkerT]) -> list[Offering[WorkerT]]:
        """Add an offer, in the place of what its session offered under this name.

        Returns:
            The offers that have ended by it: its session's own, or another session's that it takes over (AGT-7).

        Raises:
            Refused: There is no room for it.
        """
        workers = self._workers.get(offering.agent, {})
        own = self._offered.get(offering.worker, {})
        before = self._taken_over(workers, offering)
        if offering.worker not in workers:
            if len(own) >= self._agents_per_session:
                raise Refused(ErrorCode.LIMIT, f"a session offers at most {self._agents_per_session} agents")
            if before is None and len(workers) >= self._workers_per_agent:
                raise Refused(ErrorCode.LIMIT, f"an agent has at most {self._workers_per_agent} workers")
        ended = [one for one in (workers.get(offering.worker), before) if one is not None]
        for one in ended:
            self.withdraw(one.worker, one.agent)
        self._count += 1
        offering.number = self._count
        self._workers.setdefault(offering.agent, {})[offering.worker] = offering
        self._offered.setdefault(offering.worker, {})[offering.agent] = offering
        return ended

    def withdraw(self, worker: WorkerT, agent: str) -> Offering[WorkerT] | None:
        """End an offer, if there is one."""
        own = self._offered.get(worker, {})
        offering = own.pop(agent, None)
        if offering is None:
            return None
        offering.ended = True
        if not own:
            del self._offered[worker]
        del self._workers[agent][worker]
        if not self._workers[agent]:
            del self._workers[agent]
        return offering

    def leave(self, worker: WorkerT) -> list[Offering[WorkerT]]:
        """End all offers of a session."""
        ended = self.offered_by(worker)
        for offering in ended:
            self.withdraw(worker, offering.agent)
        return ended

    def workers(self, agent: str) -> list[WorkerT]:
        """Who offers an agent; whose turn is next comes first."""
        return list(self._workers.get(agent, ()))

    def had_turn(self, agent: str, worker: WorkerT) -> None:
        """A worker of an agent was given something: its next turn comes after those of all others."""
        workers = self._workers[agent]
        workers[worker] = workers.pop(worker)

    def choose(self, agent: str, procedure: str, *, least: bool) -> Offering[WorkerT] | None:
        """Say who gets a call (AGT-4); None if nobody offers the procedure.

        Args:
            agent: The agent.
            procedure: The procedure, without the name of the agent.
            least: Prefer the one with the fewest open calls.

        Raises:
            Refused: All who do have as many calls as they may.
        """
        workers = self._workers.get(agent, {})
        able = [one for one in workers.values() if procedure in one.procedures]
        if not able:
            return None
        free = [one for one in able if one.worker.open_calls < self._calls_per_worker]
        if not free:
            raise Refused(ErrorCode.BUSY, f"every worker of {agent!r} has as many calls as it may", temporary=True)
        free = [one for one in free if one.worker.attached] or free
        # The first of equals is the one whose turn it is.
        chosen = min(free, key=lambda one: one.worker.open_calls) if least else free[0]
        self.had_turn(agent, chosen.worker)
        return chosen

    @staticmethod
    def _taken_over(workers: Mapping[WorkerT, Offering[WorkerT]], new: Offering[WorkerT]) -> Offering[WorkerT] | None:
        """The offer of the same named worker in another session (AGT-7)."""
        if new.name is None:
            return None
        for one in workers.values():
            if one.name == new.name and one.principal == new.principal and one.worker is not new.worker:
                return one
        return None
