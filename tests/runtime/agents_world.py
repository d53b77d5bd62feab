"""Agents by seed: workers killed and started again, callers that give up, links that break, servers that restart.

Windows are tiny, and so is the credit of streams. What holds all the same: nothing runs twice, what is said not to have
run has not, items come in order without a hole and no further ahead than the credit allows, every call ends once,
whoever watches the directory sees in the end who is there, and nothing is left of anybody.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack
from functools import partial
from math import inf
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser import (
    App,
    CallError,
    Client,
    ErrorCode,
    Inputs,
    NotSent,
    OutcomeUnknown,
    Proceed,
    Request,
    takes_inputs,
)
from hawser.brokers import MemoryBroker
from hawser.testing import seeded_bytes
from tests.runtime import frame
from tests.runtime.frame import HASTY, STORM_SECONDS, Leaving, live_through, tell
from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from hawser.testing import FaultyNetwork

WORKERS: Final = 3
CALLERS: Final = 2
CALLS: Final = 12
"""Of each caller."""
REST_SECONDS: Final = 30
"""In which everybody has a link again, and has heard of everything."""
NOTICED_SECONDS: Final = 5
"""In which everybody who has a link has heard of everything, and a link that is dead is found so."""

NOT_RUN: Final = (ErrorCode.BUSY, ErrorCode.NOT_FOUND)
"""Codes that say that nothing was done, as do others that are temporary."""
ENDED: Final = (ErrorCode.CALLEE_LOST, *NOT_RUN)
"""What may become of a call that nobody gave up."""


@attrs.frozen
class Outcome(frame.Outcome):
    """What became of one seed."""

    calls: Counter[str]
    """How they ended."""
    items: int
    """Of streams."""


class World(frame.World):
    """One seed's system and what was seen in it."""

    MODULE = "tests.runtime.agents_world"
    URL = "memory://agents"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        pick = self.random.choice
        self.config = attrs.evolve(
            HASTY,
            window_messages=pick([2, 7, 1_000]),
            window_bytes=pick([3_000, 262_144]),
            operations=pick([1, 256]),
            calls_per_session=pick([1, 3, 64]),
            stream_items=pick([1, 2, 32]),
            stream_bytes=pick([1, 65_536]),
            resume_period_seconds=pick([15, 60]),  # who is killed is forgotten before it is calm, or after
            leave_grace_seconds=1,
        )
        self.app = App(broker=MemoryBroker(random_bytes=seeded_bytes(seed)))
        self.app.agent("team", open=True, balance=pick(["turns", "least"]))
        self.app.directory()
        if pick([True, False]):
            self.app.middleware(self._hold)
        self.restarts = pick([True, False, False])
        self.ahead = 2 * self.config.stream_items + 3
        """A window at the caller and one at the server, and one item in the hands of each of the three."""
        self.started: Counter[str] = Counter()
        self.running: Counter[str] = Counter()
        self.made: Counter[str] = Counter()
        self.taken: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self._seen: list[str] = []
        self._calm = trio.Event()
        self._over = trio.Event()
        """Workers may go."""
        self._gone = trio.Event()
        """They have gone, or are given up."""

    # ------------------------------------------------------------ who is there

    async def run(self) -> int:
        """Let it all happen, then calm, until everything has ended; returns the number of faults."""
        async with AsyncExitStack() as stack:
            delay = self.random.choice([(0.0, 0.0), (0.0, 0.05), (0.02, 0.3)])
            networks = [await stack.enter_async_context(self.network(delay)) for _ in range(WORKERS + 1)]
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve_twice)
                nursery.start_soon(self._watch, networks[0])
                async with trio.open_nursery() as workers:
                    for number, network in enumerate(networks[1:]):
                        workers.start_soon(self._work, f"worker {number}", network)
                    async with trio.open_nursery() as callers:
                        for number in range(CALLERS):
                            callers.start_soon(self._ask, f"caller {number}", networks[0])
                        for network in networks:
                            callers.start_soon(self.weather, network, [0.3, 1, 5])
                        await self.storm(restarts=self.restarts)
                        self._calm.set()
                    await trio.sleep(NOTICED_SECONDS)
                    self._check_calm()
                    self._over.set()
                await trio.sleep(self.config.resume_period_seconds + NOTICED_SECONDS)
                self._gone.set()
                await trio.sleep(NOTICED_SECONDS)
                self.check_left()
                self.serve_no_more()
        return self.cuts

    async def _hold(self, request: Request, proceed: Proceed) -> Any:
        if request.kind != "offer":  # workers take their own time
            await trio.sleep(self.random.choice([0.0, 0.2]))
        return await proceed()

    # ------------------------------------------------------------ workers

    async def _work(self, name: str, network: FaultyNetwork) -> None:
        own = self.random.choice([name, name, None])
        await self.live_again(name, network, self._over, partial(self._live, name, own, network))

    async def _live(self, name: str, own: str | None, network: FaultyNetwork, life: trio.CancelScope) -> None:
        config = attrs.evolve(self.config, session_seconds=self.random.choice([5, None]))
        agent = self.connect(network, config=config)
        async with agent as client, client.offer("team", self.work, self.count, self.echo, worker=own) as offering:
            self.note(name, "offers")
            with trio.move_on_after(self.random.uniform(0, STORM_SECONDS)):
                await self._calm.wait()
            if self._calm.is_set():
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(offering.wait)
                    await self._over.wait()
                    nursery.cancel_scope.cancel()
                return
            how = self.random.choice(["leaves", "runs away", "is killed"])
            self.note(name, how)
            if how == "runs away":
                raise Leaving
            if how == "is killed":
                await self.die(network, life)

    def _begins(self, key: str) -> None:
        self.started[key] += 1
        self.running[key] += 1
        if self.started[key] > 1:
            self.complain(f"{key} runs twice")

    async def work(self, key: str, seconds: float) -> str:
        """Take some time."""
        self._begins(key)
        try:
            await trio.sleep(seconds)
            return f"did {key}"
        finally:
            self.running[key] -= 1

    async def count(self, key: str, top: int) -> AsyncIterator[int]:
        """Make items as fast as they are let go."""
        self._begins(key)
        try:
            for number in range(top):
                self.made[key] += 1
                if self.made[key] > self.taken[key] + self.ahead:
                    self.complain(f"{key} is at {self.made[key]}, and its caller at {self.taken[key]}")
                yield number
        finally:
            self.running[key] -= 1

    @takes_inputs
    async def echo(self, inputs: Inputs, key: str) -> AsyncIterator[int]:
        """Give back what comes."""
        self._begins(key)
        try:
            expected = 0
            async for item in inputs:
                if item != expected:
                    self.complain(f"{key} is sent {item} in place of {expected}")
                expected += 1
                yield item
        finally:
            self.running[key] -= 1

    # ------------------------------------------------------------ callers

    async def _ask(self, name: str, network: FaultyNetwork) -> None:
        async with self.connect(network) as client, trio.open_nursery() as nursery:
            for number in range(CALLS):
                way = self.random.choice([self._call, self._count, self._echo])
                nursery.start_soon(self._once, way, client, f"{name}/{number}", nursery)
                await trio.sleep(self.random.random() * 3)
            await self._calm.wait()  # without a link nobody would hear of what it gives up
            await trio.sleep(REST_SECONDS)

    async def _once(
        self, way: Callable[[Client, str], Awaitable[None]], client: Client, key: str, nursery: trio.Nursery
    ) -> None:
        """Call, and sometimes give up, at a deadline or out of the blue; judge what is said of it."""
        end, ran = "gave up", (0, 1)
        seconds = self.random.choice([0.3, 3.0, inf])
        with trio.CancelScope() as patience:
            if seconds != inf and self.random.random() < 0.5:
                nursery.start_soon(self._change_its_mind, patience, seconds)
            else:
                patience.deadline = trio.current_time() + seconds
            try:
                await way(client, key)
                end, ran = "answered", (1, 1)
            except NotSent:
                end, ran = "NotSent", (0, 0)
            except OutcomeUnknown:
                end = "OutcomeUnknown"
            except CallError as error:
                code = ErrorCode(error.code)
                end = f"{code.name}, temporary" if error.temporary else code.name
                if code in NOT_RUN or error.temporary:
                    ran = (0, 0)
                if code not in ENDED:
                    raise Broken(f"{key} ends in {error!r}") from None
        assert patience.cancelled_caught == (end == "gave up")
        self.note(key, f"{way.__name__} {end}")
        self.ends[end] += 1
        if not ran[0] <= self.started[key] <= ran[1]:
            raise Broken(f"{key}: {end}, and it ran {self.started[key]} times")

    async def _change_its_mind(self, patience: trio.CancelScope, seconds: float) -> None:
        await trio.sleep(seconds)
        patience.cancel()

    async def _call(self, client: Client, key: str) -> None:
        if await client.call("team.work", key, self.random.choice([0.0, 0.5, 5.0])) != f"did {key}":
            raise Broken(f"{key} has another's answer")

    async def _count(self, client: Client, key: str) -> None:
        top = self.random.choice([0, 3, 100])
        pause = self.random.choice([0.0, 0.1])
        async with client.stream("team.count", key, top) as items:
            async for item in items:
                self._expect(key, item)
                await trio.sleep(pause)
        if self.taken[key] != top:
            raise Broken(f"{key} ends after {self.taken[key]} of {top} items")

    async def _echo(self, client: Client, key: str) -> None:
        top = self.random.choice([0, 3, 40])
        async with client.stream("team.echo", key, inputs=True) as items, trio.open_nursery() as nursery:
            nursery.start_soon(self._send, items, top)
            try:
                async for item in items:
                    self._expect(key, item)
            except (CallError, NotSent, OutcomeUnknown) as error:
                failed: Exception | None = error
            else:
                failed = None
            nursery.cancel_scope.cancel()
        if failed is not None:  # not inside, where it would come out as a group
            raise failed
        if self.taken[key] != top:
            raise Broken(f"{key} ends after {self.taken[key]} of {top} items")

    async def _send(self, items: Any, top: int) -> None:
        try:
            for number in range(top):
                await items.send(number)
            await items.finish()
        except trio.BrokenResourceError:
            return  # the call has its answer

    def _expect(self, key: str, item: object) -> None:
        if item != self.taken[key]:
            raise Broken(f"{key} is given {item!r} in place of {self.taken[key]}")
        self.taken[key] += 1

    # ------------------------------------------------------------ the end

    async def _watch(self, network: FaultyNetwork) -> None:
        watcher = self.connect(network)
        async with watcher as client, client.watch_agents() as directory, trio.open_nursery() as nursery:
            nursery.start_soon(self._follow, directory)
            await self._gone.wait()
            if self._seen:
                raise Broken(f"the directory still tells of {self._seen}")
            nursery.cancel_scope.cancel()

    async def _follow(self, directory: Any) -> None:
        async for workers in directory:
            self._seen = [f"{one.id} {one.worker} {one.live}" for one in workers]

    def _check_calm(self) -> None:
        """Every call has ended, and everybody has a link."""
        self.check_complaints()
        left = +self.running
        if left:
            raise Broken(f"nobody waits for it, and it runs: {left}")
        told = [f"{one[0]} {one[3]} {one[2] == 1}" for one in self.node.router.directory.snapshot()[1:]]
        if sorted(self._seen) != sorted(told):
            raise Broken(f"the directory says {self._seen}, and there is {told}")
        if sum(one.endswith("True") for one in told) != WORKERS:
            raise Broken(f"of {WORKERS} workers there are {told}")

    def standing(self) -> object:
        """See `frame.World.standing`."""
        return dict(self.ends), self.lines[-1]

    def check(self) -> None:
        """See `frame.World.check`."""
        if self.ends.total() != CALLERS * CALLS:
            raise Broken(f"{self.ends} calls have ended")


def run_world(seed: int) -> Outcome:
    """Run one seed.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again.
    """
    world = World(seed)
    faults = live_through(world)
    return Outcome(seed, world.lines, faults, world.ends, world.taken.total(), seconds=world.seconds)


if __name__ == "__main__":
    tell(run_world)
