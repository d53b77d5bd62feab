"""A whole system by seed: a server that restarts, clients of every temper, links that break in every way.

Some servers hold up whatever is asked for and ask back first; some clients do not wait for their server.

Windows and queues are tiny, histories short, readers slow. What holds all the same: each reader sees rising offsets,
every hole is announced by exactly the gap that covers it, what it reads was published there, every request ends once,
and in the end the server holds nothing of anybody.
"""

from __future__ import annotations

import hashlib
import random
import sys
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

import attrs
import trio

from hawser import (
    App,
    Client,
    Config,
    Gap,
    Message,
    Position,
    Proceed,
    Request,
    RequestLost,
    Server,
    Session,
    connect,
    serve,
)
from hawser.brokers import MemoryBroker
from hawser.testing import CutKind, FaultyNetwork, run_seeded, seeded_bytes

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from hawser import Subscription

URL: Final = "memory://world"
LINES: Final = 20
"""Few, for what happens to a line depends on when the links break, and of those worlds there are many."""
TALKERS: Final = 2
CALL_EVERY: Final = 5
STORM_SECONDS: Final = 15
QUIET_SECONDS: Final = 30
"""Silence after which a reader believes that it has everything."""
PATIENCE_SECONDS: Final = 2_000


class Broken(AssertionError):
    """Something that is promised does not hold."""


@attrs.frozen
class Outcome:
    """What became of one seed."""

    seed: int
    lines: list[str]
    """Everything that happened, in order."""
    faults: int
    resumes: int
    resets: int
    gaps: int

    @property
    def digest(self) -> str:
        """The same for the same story."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


class Reader:
    """What one reader has seen, checked as it comes."""

    def __init__(self, world: World, name: str) -> None:
        self.here: Position | None = None
        """Behind the last thing it was told."""
        self.told = 0
        self._world = world
        self._name = name

    def see(self, item: Message | Gap) -> None:
        """Take the next item."""
        self.told += 1
        here, world = self.here, self._world
        world.note(self._name, f"{type(item).__name__} {item.position.offset}")
        if here is not None and here.epoch != item.position.epoch:
            raise Broken(f"{self._name}: another epoch, and the broker has only one")
        if isinstance(item, Gap):
            world.gaps += 1
            self._check_gap(item)
        else:
            if here is not None and item.offset != here.offset + 1:
                raise Broken(f"{self._name}: {item.offset} follows {here.offset}, and nobody said so")
            world.read.append((item.position, item.data))
        self.here = item.position

    def _check_gap(self, gap: Gap) -> None:
        here = self.here
        if self._world.history >= LINES * TALKERS:
            raise Broken(f"{self._name}: {gap}, though history reaches everything")
        if here is not None and (gap.since != here or gap.position.offset <= here.offset):
            raise Broken(f"{self._name}: {gap}, but it stands at {here.offset}")


class World:
    """One seed's system and what was seen in it."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        pick = self.random.choice
        self.history = pick([0, 5, 50, 1_000])
        self.config = Config(
            window_messages=pick([2, 7, 50, 1_000]),
            window_bytes=pick([3_000, 20_000, 262_144]),
            operations=pick([1, 5, 256]),
            queue_messages=pick([2, 20, 1_000]),
            subscription_messages=pick([2, 10, 1_000]),
            messages_per_second=pick([50, 500]),
            resumes_per_minute=100_000,
            ping_interval_seconds=1,
            pong_wait_seconds=1,
            handshake_seconds=2,
            backoff_cap_seconds=1,
            connect_seconds=100,
        )
        self.app = App(broker=MemoryBroker(random_bytes=self._bytes()))
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
        self.gaps = self.resumes = self.resets = 0
        self.lines: list[str] = []
        self._server: Server | None = None

    def _bytes(self) -> Callable[[int], bytes]:
        return seeded_bytes(self.random.getrandbits(32))

    def note(self, who: str, what: str) -> None:
        """Write down what happened."""
        self.lines.append(f"{trio.current_time():9.3f}  {who:<8} {what}")

    # ------------------------------------------------------------ who is there

    async def run(self) -> int:
        """Let it all happen, then calm, until everything has ended; returns the number of faults."""
        bounds = self.random.choice([(0.0, 0.0), (0.0, 0.05), (0.02, 0.5)])
        async with FaultyNetwork(seed=self.random.getrandbits(32), delay_seconds=bounds) as network:
            restart, restarted, over = trio.Event(), trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._serve_twice, restart, restarted, over)
                async with trio.open_nursery() as clients:
                    for number, temper in enumerate((self._steady, self._restless, self._impatient)):
                        clients.start_soon(self._listen, network, f"reader {number}", temper)
                    for number in range(TALKERS):
                        clients.start_soon(self._talk, network, f"talker {number}")
                    clients.start_soon(self._weather, network)
                    await trio.sleep(self.random.uniform(0, 2 * STORM_SECONDS))
                    restart.set()
                    await restarted.wait()
                # Whose goodbye was lost is given up when its resume period is over.
                await trio.sleep(self.config.resume_period_seconds + 10)
                self._check_left()
                over.set()
            return network.cuts

    async def _weather(self, network: FaultyNetwork) -> None:
        with trio.move_on_after(STORM_SECONDS):
            await network.storm(every_seconds=self.random.choice([0.1, 0.5, 3]), kinds=tuple(CutKind))

    async def _serve(self, server: trio.Event, until: trio.Event) -> None:
        async with trio.open_nursery() as nursery:
            served: Server = await nursery.start(
                partial(serve, self.app, URL, config=self.config, random_bytes=self._bytes())
            )
            self.note("server", "starts")
            self._server = served
            server.set()
            await until.wait()
            self.resumes += served.resumes
            self.note("server", "stops")
            nursery.cancel_scope.cancel()

    async def _serve_twice(self, restart: trio.Event, restarted: trio.Event, over: trio.Event) -> None:
        await self._serve(trio.Event(), restart)
        await self._serve(restarted, over)

    def _check_left(self) -> None:
        """Everybody has said goodbye, or is given up."""
        assert self._server is not None
        node: Any = self._server._node  # pyright: ignore[reportPrivateUsage]
        left = (dict(node.sessions), node.hub._channels, node.hub._locks, node.hub._pins, node._drivers)
        if any(left):
            raise Broken(f"the server still holds {left}")

    def _connect(self, network: FaultyNetwork) -> Any:
        return connect(
            URL,
            transport=network,
            config=self.config,
            procedures={"here": self._here},
            wait=self.random.choice([True, False]),
            random_bytes=self._bytes(),
        )

    async def _watch(self, client: Client, name: str) -> None:
        async for state in client.states:
            kind = type(state).__name__
            self.note(name, kind)
            self.resets += kind == "Reset"

    # ------------------------------------------------------------ talkers

    async def _talk(self, network: FaultyNetwork, name: str) -> None:
        async with self._connect(network) as client, trio.open_nursery() as watching:
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
        """Middleware that takes its time, and sometimes asks the very client that waits for it."""
        await trio.sleep(self.random.choice([0.0, 0.2]))
        if self.random.random() < 0.3 and await request.session.call("here") != "here":
            raise Broken("a client answered something else")
        return await proceed()

    async def _here(self) -> str:
        return "here"

    async def _rest(self, session: Session, seconds: float) -> str:
        await trio.sleep(seconds)
        return "rested"

    # ------------------------------------------------------------ readers

    async def _listen(
        self, network: FaultyNetwork, name: str, temper: Callable[[Client, Reader], Awaitable[None]]
    ) -> None:
        reader = Reader(self, name)
        self.readers.append(reader)
        async with self._connect(network) as client, trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, client, name)
            while not self._complete(reader):
                await temper(client, reader)
            nursery.cancel_scope.cancel()

    def _complete(self, reader: Reader) -> bool:
        """Whether nothing is to come any more: only the calm after the last publication tells."""
        everything = self.ended == LINES * TALKERS
        return everything and (reader.here is not None and reader.here.offset == LINES * TALKERS)

    async def _steady(self, client: Client, reader: Reader) -> None:
        """Stays, and takes its time."""
        pause = self.random.choice([0.0, 0.3, 1.5])
        async with client.subscribe("room", since=reader.here) as messages:
            while await self._take(messages, reader, QUIET_SECONDS):
                await trio.sleep(pause)

    async def _restless(self, client: Client, reader: Reader) -> None:
        """Leaves and comes back to where it was."""
        async with client.subscribe("room", since=reader.here) as messages:
            for _ in range(self.random.randrange(12)):
                if not await self._take(messages, reader, QUIET_SECONDS):
                    return
        await trio.sleep(self.random.choice([0.0, 0.3, 2.0]))

    async def _impatient(self, client: Client, reader: Reader) -> None:
        """Cancels whatever it waits for, at any moment."""
        async with client.subscribe("room", since=reader.here) as messages:
            quiet = 0.0
            while quiet < QUIET_SECONDS:
                patience = self.random.choice([0.0, 0.05, 1.0])
                quiet = 0.0 if await self._take(messages, reader, patience) else quiet + patience
                await trio.sleep(0.01)

    async def _take(self, messages: Subscription, reader: Reader, seconds: float) -> bool:
        """Take what comes in time; False if nothing does."""
        with trio.move_on_after(seconds) as patience:
            try:
                reader.see(await messages.receive())
            except Gap as gap:
                reader.see(gap)
        return not patience.cancelled_caught

    # ------------------------------------------------------------ the end

    def check(self) -> None:
        """What must hold when all is over."""
        total = LINES * TALKERS
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

    async def live() -> int:
        with trio.move_on_after(PATIENCE_SECONDS) as patience:
            return await world.run()
        assert patience.cancelled_caught
        raise Broken(f"it did not come to an end: {world.ended} publications, {[one.told for one in world.readers]}")

    try:
        faults = run_seeded(live, seed=seed)
        world.check()
    except Exception as error:
        raise Broken(f"{leaf(error)}\nreplay: python -m tests.runtime.world {seed}") from error
    return Outcome(seed, world.lines, faults, world.resumes, world.resets, world.gaps)


def leaf(error: BaseException) -> BaseException:
    """The first real cause in what nurseries make of it."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return leaf(cast("BaseExceptionGroup[BaseException]", error).exceptions[0])


if __name__ == "__main__":
    told = run_world(int(sys.argv[1]))
    print("\n".join(told.lines))
    print(f"{told.faults} faults, {told.resumes} resumes, {told.resets} resets, {told.gaps} gaps: {told.digest[:16]}")
