"""Who offers what, and whose turn it is: the registry alone."""

from __future__ import annotations

import attrs
import pytest

from hawser.calls import Refused
from hawser.server.agents import Agents, Offering
from hawser_engine.codes import ErrorCode


@attrs.define(eq=False)
class FakeWorker:
    attached: bool = True
    open_calls: int = 0


def agents(*, agents_per_session: int = 3, workers_per_agent: int = 3, calls_per_worker: int = 2) -> Agents[FakeWorker]:
    return Agents(
        agents_per_session=agents_per_session, workers_per_agent=workers_per_agent, calls_per_worker=calls_per_worker
    )


def offering(
    worker: FakeWorker, agent: str = "a", *procedures: str, name: str | None = None, principal: str = "p"
) -> Offering[FakeWorker]:
    return Offering(agent, worker, principal, name, b"", dict.fromkeys(procedures or ("search",), b""))


def chosen(registry: Agents[FakeWorker], procedure: str = "search", *, least: bool = False) -> FakeWorker | None:
    offering = registry.choose("a", procedure, least=least)
    return None if offering is None else offering.worker


def test_workers_take_turns() -> None:
    """SPEC AGT-4."""
    registry, workers = agents(), [FakeWorker() for _ in range(3)]
    for worker in workers:
        registry.offer(offering(worker))
    assert [chosen(registry) for _ in range(6)] == workers * 2
    registry.withdraw(workers[0], "a")
    assert [chosen(registry) for _ in range(3)] == [workers[1], workers[2], workers[1]]


def test_the_one_with_the_fewest_calls_may_be_preferred_and_equals_take_turns() -> None:
    """SPEC AGT-4."""
    registry, busy, idle, other = agents(calls_per_worker=5), FakeWorker(open_calls=2), FakeWorker(), FakeWorker()
    for worker in (busy, idle, other):
        registry.offer(offering(worker))
    assert [chosen(registry, least=True) for _ in range(4)] == [idle, other, idle, other]
    busy.open_calls, idle.open_calls, other.open_calls = 1, 3, 2
    assert chosen(registry, least=True) is busy


def test_only_who_offers_the_procedure_is_asked() -> None:
    registry, searcher, finder = agents(), FakeWorker(), FakeWorker()
    registry.offer(offering(searcher, "a", "search"))
    registry.offer(offering(finder, "a", "search", "find"))
    assert [chosen(registry, "find") for _ in range(2)] == [finder, finder]
    assert chosen(registry, "nothing") is None
    assert registry.choose("b", "search", least=False) is None


def test_who_is_there_goes_before_who_is_away_and_who_is_full_gets_nothing() -> None:
    """SPEC AGT-4."""
    registry, away, near = agents(), FakeWorker(attached=False), FakeWorker()
    registry.offer(offering(away))
    registry.offer(offering(near))
    assert [chosen(registry) for _ in range(2)] == [near, near]
    near.open_calls = 2
    assert chosen(registry) is away
    away.open_calls = 2
    with pytest.raises(Refused) as caught:
        chosen(registry)
    assert (caught.value.code, caught.value.temporary) == (ErrorCode.BUSY, True)


def test_a_second_offer_replaces_the_first() -> None:
    """SPEC AGT-2."""
    registry, worker = agents(), FakeWorker()
    first, second = offering(worker, "a", "search"), offering(worker, "a", "find")
    assert registry.offer(first) == []
    assert registry.offer(second) == [first]
    assert (first.stands(), second.stands()) == (False, True)
    assert chosen(registry, "search") is None
    assert chosen(registry, "find") is worker
    assert registry.offered_by(worker) == registry.offerings() == [second]
    assert (first.number, second.number) == (1, 2)


def test_a_named_worker_takes_its_own_place_in_another_session_of_its_principal() -> None:
    """SPEC AGT-7."""
    registry, old, new, stranger = agents(workers_per_agent=2), FakeWorker(), FakeWorker(), FakeWorker()
    first = offering(old, name="one")
    registry.offer(first)
    assert registry.offer(offering(stranger, name="one", principal="q")) == []
    second = offering(new, name="one")
    assert registry.offer(second) == [first]  # though the agent is full: one goes, one comes
    assert not first.stands()
    assert registry.offered_by(old) == []
    assert registry.offer(offering(new, name="one")) == [second]  # its own place, and it has it


def test_there_is_a_limit_to_everything() -> None:
    """SPEC AGT-8."""
    registry, worker = agents(), FakeWorker()
    for agent in "abc":
        registry.offer(offering(worker, agent))
    registry.offer(offering(worker, "a"))
    with pytest.raises(Refused, match="at most 3 agents") as caught:
        registry.offer(offering(worker, "d"))
    assert caught.value.code == ErrorCode.LIMIT
    others = [FakeWorker() for _ in range(3)]
    for other in others[:2]:
        registry.offer(offering(other))
    with pytest.raises(Refused, match="at most 3 workers"):
        registry.offer(offering(others[2]))
    assert registry.offered_by(others[2]) == []


def test_who_leaves_leaves_nothing() -> None:
    registry, worker, other = agents(), FakeWorker(), FakeWorker()
    offers = [offering(worker, agent) for agent in "ab"]
    for each in offers:
        registry.offer(each)
    registry.offer(offering(other))
    assert registry.withdraw(other, "b") is None  # which it does not offer
    assert registry.leave(worker) == offers
    assert [each.stands() for each in offers] == [False, False]
    assert chosen(registry) is other
    registry.leave(other)
    registry.leave(other)
    assert registry._workers == {}  # pyright: ignore[reportPrivateUsage]
    assert registry._offered == {}  # pyright: ignore[reportPrivateUsage]
