"""A whole system by seed: a server that restarts, clients of every temper, links that break in every way.

Some servers hold up whatever is asked for and ask back first; some clients do not wait for their server.

In a third of the worlds the readers share the sessions of a pool, and leave them at any moment; in another third the
clients have two carriages, and move between them. Windows and queues are tiny, histories short, readers slow. What
holds all the same: each reader sees rising offsets,
every hole is announced by exactly the gap that covers it, what it reads was published there, every request ends once,
and in the end the server holds nothing of anybody.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import attrs
import trio

from hawser import (
    App,
    Client,
    ClientPool,
    Gap,
    Position,
    Proceed,
    Request,
    RequestLost,
    Session,
)
from hawser.brokers import MemoryBroker
from hawser.client.states import Connected
from hawser.testing import FaultyNetwork, seeded_bytes
from tests.runtime import frame
from tests.runtime.frame import HASTY, PATIENCE_SECONDS, STORM_SECONDS, live_through, tell
from tests.runtime.reading import Broken, Reader
from tests.runtime.roads import Roads

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser import PooledClient, SharedSubscription, Subscription
    from hawser_transports import Transport

LINES: Final = 20
"""Few, for what happens to a line depends on when the links break, and of those worlds there are many."""
TALKERS: Final = 2
CALL_EVERY: Final = 5
QUIET_SECONDS: Final = 10
"""Silence after which a reader believes that it has everything."""
POOL_MAX: Final = 3
"""Less than there are principals: so a session that idles has to make room."""


Temper: TypeAlias = "Callable[[Client | PooledClient, Reader], Awaitable[None]]"
"""How a reader goes about it, for a while."""


@attrs.frozen
class Outcome(frame.Outcome):
    """What became of one seed."""

    resumes: int
    resets: int
    items: int
    """Messages that were read."""
    gaps: int
    calls: int
    moves: int
    """How often a session went on over another carriage."""
    shared: int
    """How often somebody came to a session of the pool that others used."""

    @property
    def eventful(self) -> bool:
        """See `frame.Outcome.eventful`; everybody may be gone before the first link breaks."""
        return bool(self.faults or self.resumes or self.resets)


class World(frame.World):
    """One seed's system and what was seen in it."""

    MODULE = "tests.runtime.world"
    URL = "memory://world"
    NAMES = 8

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        self.pooled = seed % 3 == 1
        """Whether the readers share sessions."""
        self.roams = seed % 3 == 2
        """Whether the clients have two carriages."""
        self.total = LINES * TALKERS
        pick = self.random.choice
        self.history = pick([0, 5, 50, 1_000])
        self.config = attrs.evolve(
            HASTY,
            window_messages=pick([2, 7, 50, 1_000]),
            window_bytes=pick([3_000, 20_000, 262_144]),
            operations=pick([1, 5, 256]),
            queue_messages=pick([2, 20, 1_000]),
            subscription_messages=pick([2, 10, 1_000]),
            subscription_bytes=10_000_000 if self.pooled else 262_144,
            messages_per_second=pick([50, 500]),
            upgrade_probe_seconds=1,
            upgrade_pause_seconds=2,
            upgrade_pause_cap_seconds=2,
        )
        self.hurries = self.pooled and self.config.subscription_messages < self.total
        """Whether a reader that does not keep up is left behind, for others read the same subscription."""
        self.app = App(broker=MemoryBroker(random_bytes=self.bytes()))
        self.app.channel("room", history=self.history, open=True)
        self.app.procedure("rest")(self._rest)
        if pick([True, False]):
            self.app.middleware(self._hold)
        self.readers: list[Reader] = []
        self.published: dict[Position, object] = {}
        self.read: list[tuple[Position, object]] = []
        self.ended = 0
        """Publications with an answer."""
        self.answered = 0
        """Calls that have ended."""
        self.gaps = self.resumes = self.resets = self.moves = self.shared = 0
        self._users: dict[str, int] = {}  # of the pool, by principal
        self._transport: Transport

    # ------------------------------------------------------------ who is there

    async def run(self) -> int:
        """Let it all happen, then calm, until everything has ended; returns the number of faults."""
        low, high = self.random.choice([(0.0, 0.0), (0.0, 0.05), (0.02, 0.5)])
        seed = self.random.getrandbits(32)
        network: FaultyNetwork | Roads
        if self.roams:
            network = Roads(seed, better_seconds=low, sure_seconds=low, jitter_seconds=high - low)
            self._transport = network.better
        else:
            network = self._transport = FaultyNetwork(seed=seed, delay_seconds=(low, high))
        async with network:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve_twice)
                async with self._pool() as pool, trio.open_nursery() as clients:
                    for number, temper in enumerate((self._steady, self._restless, self._impatient)):
                        clients.start_soon(self._listen, pool, f"reader {number}", temper)
                    for number in range(TALKERS):
                        clients.start_soon(self._talk, f"talker {number}")
                    clients.start_soon(self.weather, network, [0.1, 0.5, 3])
                    await trio.sleep(self.random.uniform(0, 2 * STORM_SECONDS))
                    await self.serve_again()
                # Whose goodbye was lost is given up when its resume period is over.
                await trio.sleep(self.config.resume_period_seconds + 10)
                self.check_left()
                self.serve_no_more()
            return network.cuts

    async def serve(self, up: trio.Event, until: trio.Event) -> None:
        """See `frame.World.serve`."""
        await super().serve(up, until)
        self.resumes += self.node.resumes

    def _pool(self) -> ClientPool:
        return ClientPool(
            max=POOL_MAX,
            idle_seconds=(0.0, 0.5, 60.0)[self.seed // 3 % 3],
            wait_seconds=PATIENCE_SECONDS,
            config=self.config,
            transport=self._transport,
            random_bytes=seeded_bytes(self.seed),
        )

    def _connect(self) -> Any:
        wait = self.random.choice([True, False])
        return self.connect(self._transport, procedures={"here": self._here}, wait=wait)

    async def _watch(self, client: Client | PooledClient, name: str) -> None:
        carriage: str | None = None
        async for state in client.states:
            kind = type(state).__name__
            self.note(name, kind)
            self.resets += kind == "Reset"
            if isinstance(state, Connected):
                self.moves += carriage not in (None, state.carriage)
                carriage = state.carriage

    # ------------------------------------------------------------ talkers

    async def _talk(self, name: str) -> None:
        async with self._connect() as client, trio.open_nursery() as watching:
            watching.start_soon(self._watch, client, name)
            async with trio.open_nursery() as nursery:
                for count in range(LINES):
                    nursery.start_soon(self._publish, client, name, count)
                    if count % CALL_EVERY == 0:
                        nursery.start_soon(self._call, client, name)
                    await trio.sleep(self.random.random() * 0.6)
            watching.cancel_scope.cancel()

    async def _publish(self, client: Client, name: str, count: int) -> None:
        data = [name, count, bytes(self.random.choice([1, 500, 90_000]))]
        key: bytes | None = None
        while True:
            try:
                receipt = await client.submit("room", data, key=key)
                key = receipt.key
                position = (await receipt.wait()).position
            except RequestLost as error:
                self.note(name, f"{type(error).__name__} {count}")
                continue
            self.note(name, f"published {count} at {position.offset}")
            if self.published.setdefault(position, data) != data:
                raise Broken(f"two publications at {position.offset}")
            self.ended += 1
            return

    async def _call(self, client: Client, name: str) -> None:
        """Call, and sometimes give up; either way it ends."""
        with trio.move_on_after(self.random.choice([0.2, 1_000])) as patience:
            try:
                assert await client.call("rest", self.random.random()) == "rested"
            except RequestLost as error:
                self.note(name, type(error).__name__)
        self.note(name, "gave up" if patience.cancelled_caught else "called")
        self.answered += 1

    async def _hold(self, request: Request, proceed: Proceed) -> Any:
        """Middleware that takes its time, and sometimes asks the very client that waits for it, but no pool."""
        await trio.sleep(self.random.choice([0.0, 0.2]))
        if not self.pooled and self.random.random() < 0.3 and await request.session.call("here") != "here":
            raise Broken("a client answered something else")
        return await proceed()

    async def _here(self) -> str:
        return "here"

    async def _rest(self, session: Session, seconds: float) -> str:
        await trio.sleep(seconds)
        return "rested"

    # ------------------------------------------------------------ readers

    async def _listen(self, pool: ClientPool, name: str, temper: Temper) -> None:
        reader = Reader(self, name)
        self.readers.append(reader)
        if self.pooled:
            while not self._complete(reader):
                await self._visit(pool, reader, name, temper)
            return
        async with self._connect() as client, trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, client, name)
            while not self._complete(reader):
                self._begin(reader)
                await temper(client, reader)
            nursery.cancel_scope.cancel()

    async def _visit(self, pool: ClientPool, reader: Reader, name: str, temper: Temper) -> None:
        """Use a session of the pool, with others or alone, and leave it for some reason or at any moment."""
        principal = self.random.choice(["", "", name])
        self._begin(reader)
        patience = inf if reader.here is None else self.random.choice([inf, 5.0, 0.5])
        with trio.move_on_after(patience):
            async with pool.client(self.URL, principal=principal) as client, trio.open_nursery() as nursery:
                if pool.sessions > POOL_MAX:
                    raise Broken(f"the pool has {pool.sessions} sessions")
                users = self._users[principal] = self._users.get(principal, 0) + 1
                self.shared += users > 1
                try:
                    nursery.start_soon(self._watch, client, name)
                    await temper(client, reader)
                    nursery.cancel_scope.cancel()
                finally:
                    self._users[principal] -= 1

    def _begin(self, reader: Reader) -> None:
        """Have one that the storm has kept away begin in the past: it may be too late for anything new."""
        if reader.here is None and self.published:
            reader.here = Position(next(iter(self.published)).epoch, 0)

    def _complete(self, reader: Reader) -> bool:
        """Whether nothing is to come any more: only the calm after the last publication tells."""
        everything = self.ended == self.total
        return everything and (reader.here is not None and reader.here.offset == self.total)

    async def _steady(self, client: Client | PooledClient, reader: Reader) -> None:
        """Stays, and takes its time."""
        pause = self.random.choice([0.0, 0.3, 1.5])
        async with client.subscribe("room", since=reader.here) as messages:
            while await self._take(messages, reader, QUIET_SECONDS):
                await trio.sleep(pause)

    async def _restless(self, client: Client | PooledClient, reader: Reader) -> None:
        """Leaves and comes back to where it was."""
        async with client.subscribe("room", since=reader.here) as messages:
            for _ in range(self.random.randrange(12)):
                if not await self._take(messages, reader, QUIET_SECONDS):
                    return
        await trio.sleep(self.random.choice([0.0, 0.3, 2.0]))

    async def _impatient(self, client: Client | PooledClient, reader: Reader) -> None:
        """Cancels whatever it waits for, at any moment."""
        async with client.subscribe("room", since=reader.here) as messages:
            quiet = 0.0
            while quiet < QUIET_SECONDS:
                patience = self.random.choice([0.0, 0.05, 1.0])
                quiet = 0.0 if await self._take(messages, reader, patience) else quiet + patience
                await trio.sleep(0.01)

    async def _take(self, messages: Subscription | SharedSubscription, reader: Reader, seconds: float) -> bool:
        """Take what comes in time; False if nothing does."""
        with trio.move_on_after(seconds) as patience:
            try:
                reader.see(await messages.receive())
            except Gap as gap:
                reader.see(gap)
        return not patience.cancelled_caught

    # ------------------------------------------------------------ the end

    def standing(self) -> object:
        """See `frame.World.standing`."""
        return self.ended, [one.told for one in self.readers]

    def check(self) -> None:
        """See `frame.World.check`."""
        total = self.total
        if self.ended != total or self.answered != total // CALL_EVERY:
            raise Broken(f"{self.ended} publications and {self.answered} calls have ended")
        if sorted(position.offset for position in self.published) != list(range(1, total + 1)):
            raise Broken("the offsets are not those of the publications, each once")
        for position, data in self.read:
            if self.published[position] != data:
                raise Broken(f"{position.offset} was read as something else")


def run_world(seed: int) -> Outcome:
    """Run one seed.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again.
    """
    world = World(seed)
    faults = live_through(world)
    return Outcome(
        seed,
        world.lines,
        faults,
        world.resumes,
        world.resets,
        len(world.read),
        world.gaps,
        world.answered,
        world.moves,
        world.shared,
        seconds=world.seconds,
    )


if __name__ == "__main__":
    tell(run_world)
