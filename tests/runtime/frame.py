"""What all worlds of the second tier have in common: one source of chance, a story, a server that is started again.

A world is everything that happens by one seed; see `World`. To run one again: ``python -m tests.runtime.world 17``.
"""

from __future__ import annotations

import hashlib
import logging
import random
import sys
import traceback
from abc import ABC, abstractmethod
from collections import Counter
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final, NoReturn, cast

import attrs
import trio

from hawser import App, Config, RequestFailed, Server, connect, serve
from hawser.testing import CutKind, FaultyNetwork, run_seeded, seeded_bytes
from tests.runtime.reading import Broken, leaf
from tests.runtime.remains import remains

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from hawser_transports import Transport
    from tests.runtime.roads import Roads

STORM_SECONDS: Final = 15
PATIENCE_SECONDS: Final = 2_000

HASTY: Final = Config(
    messages_per_second=500,
    resumes_per_minute=100_000,
    resume_period_seconds=15,
    ping_interval_seconds=1,
    pong_wait_seconds=1,
    handshake_seconds=2,
    backoff_cap_seconds=1,
    connect_seconds=100,
)
"""What is lost is noticed soon, and whoever comes back comes soon: a world would else be long and quiet."""


@attrs.frozen
class Outcome:
    """What became of one seed."""

    seed: int
    lines: list[str]
    """Everything that happened, in order."""
    faults: int
    seconds: float = attrs.field(default=0.0, kw_only=True)
    """Virtual ones."""

    @property
    def digest(self) -> str:
        """The same for the same story."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()

    @property
    def eventful(self) -> bool:
        """Whether anything broke, so that it was worth running."""
        return self.faults > 0

    @property
    def counts(self) -> dict[str, int]:
        """All that is counted, by name; of what is counted by kind each kind, too, as ``calls answered``."""
        counts: dict[str, int] = {}
        for field in attrs.fields(type(self)):
            value: object = getattr(self, field.name)
            if isinstance(value, Counter):
                kinds = cast("Counter[str]", value)
                counts[field.name] = kinds.total()
                counts |= {f"{field.name} {kind}": number for kind, number in sorted(kinds.items())}
            elif isinstance(value, int) and field.name != "seed":
                counts[field.name] = value
        return counts


class Leaving(Exception):
    """Somebody leaves what it is in by way of an error."""


class World(ABC):
    """One seed's system and what was seen in it; what is drawn, and in which order, is the seed's story."""

    MODULE: ClassVar[str]
    """What to run to run a seed again."""
    URL: ClassVar[str]
    NAMES: ClassVar[int] = 9
    """So wide are names in the story."""

    app: App
    config: Config

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = random.Random(seed)
        self.lines: list[str] = []
        self.servers: dict[str, Server] = {}
        """The one that runs, or has run last, under each name."""
        self.served = trio.Event()
        """Nobody needs a server any more."""
        self.networks: list[FaultyNetwork] = []
        """Those that `network` has made."""
        self.wrong: list[str] = []
        """What was noticed where an error would be taken for something else."""
        self.seconds = 0.0
        """How long it has taken, by its own clock."""
        self._running: set[str] = set()
        self._ends = trio.Event()
        self._serves_again = trio.Event()

    @abstractmethod
    async def run(self) -> int:
        """Let it all happen, then calm, until everything has ended; returns the number of faults."""

    @abstractmethod
    def check(self) -> None:
        """Raise `Broken` where something does not hold that must when all is over."""

    @abstractmethod
    def standing(self) -> object:
        """Where it stands: what to say of a world that does not come to an end."""

    def note(self, who: str, what: str) -> None:
        """Write down what happened."""
        self.lines.append(f"{trio.current_time():9.3f}  {who:<{self.NAMES}} {what}")

    def complain(self, what: str) -> None:
        """Something does not hold; `check_complaints` raises it."""
        self.note("!", what)
        self.wrong.append(what)

    def check_complaints(self) -> None:
        """Raise the first one, if there are any."""
        if self.wrong:
            raise Broken(self.wrong[0])

    def expects(self, error: BaseException | None) -> bool:
        """Whether this may be logged as an incident: the world itself has seen to it that it happens."""
        return False

    def bytes(self) -> Callable[[int], bytes]:
        """A source of random bytes of its own for one part of the system."""
        return seeded_bytes(self.random.getrandbits(32))

    # ------------------------------------------------------------ networks

    def network(self, *delays_seconds: tuple[float, float]) -> FaultyNetwork:
        """A network that is as slow as one of these says: the least and the most time that a batch is under way."""
        seed = self.random.getrandbits(32)
        network = FaultyNetwork(seed=seed, delay_seconds=self.random.choice(delays_seconds))
        self.networks.append(network)
        return network

    @property
    def cuts(self) -> int:
        """How many links were broken on purpose."""
        return sum(network.cuts for network in self.networks)

    def connect(self, network: Transport, **options: Any) -> Any:
        """A client of this world, as `hawser.connect` makes it; to be entered."""
        options = {"config": self.config, **options, "transport": network, "random_bytes": self.bytes()}
        return connect(options.pop("url", self.URL), **options)

    async def weather(self, network: FaultyNetwork | Roads, pauses: Sequence[float]) -> None:
        """Break links for a while, after one of these pauses on average."""
        with trio.move_on_after(STORM_SECONDS):
            await network.storm(every_seconds=self.random.choice(pauses), kinds=tuple(CutKind))

    # ------------------------------------------------------------ lives

    async def live_again(
        self,
        name: str,
        network: FaultyNetwork,
        over: trio.Event,
        live: Callable[[trio.CancelScope], Awaitable[None]],
    ) -> None:
        """One life after another, each with a scope to `die` in; the last one stays until all is over."""
        while not over.is_set():
            with trio.CancelScope() as life:
                try:
                    await live(life)
                except* (Leaving, RequestFailed) as failed:
                    self.note(name, f"{leaf(failed)!r}")
            network.refuse(False)
            await trio.sleep(self.random.choice([0.0, 0.5, 3.0]))

    async def die(self, network: FaultyNetwork, life: trio.CancelScope) -> NoReturn:
        """End a life without saying goodbye to anybody."""
        network.refuse()
        await network.cut()
        life.cancel()
        await trio.sleep_forever()

    # ------------------------------------------------------------ servers

    def look(self) -> None:
        """Raise `Broken` if a server waits, and has not handed over what it has to say: nobody else will."""
        for name in self._running:
            if any(connection._out for connection in self.node_of(name)._drivers):
                raise Broken(f"the {name} has not written what a client is to get")

    @property
    def node(self) -> Any:
        """What the server holds, to be looked at."""
        return self.node_of("server")

    def node_of(self, name: str) -> Any:
        """The same for one of several."""
        return self.servers[name]._node  # pyright: ignore[reportPrivateUsage]

    def check_left(self, name: str = "server") -> None:
        """Raise `Broken` if a server still keeps anything of anybody: all have said goodbye, or are given up."""
        if left := remains(self.node_of(name)):
            raise Broken(f"the {name} still holds {left}")

    async def serve(self, up: trio.Event, until: trio.Event) -> None:
        """Run a server for a while."""
        await self.serve_at("server", self.app, self.URL, up, until)

    async def serve_at(self, name: str, app: App, url: str, up: trio.Event, until: trio.Event) -> None:
        """Run one of several for a while."""
        async with trio.open_nursery() as nursery:
            self.servers[name] = await nursery.start(
                partial(serve, app, url, config=self.config, random_bytes=self.bytes())
            )
            self.note(name, "starts")
            up.set()
            self._running.add(name)
            try:
                await until.wait()
            finally:
                self._running.remove(name)
            self.note(name, "stops")
            nursery.cancel_scope.cancel()

    async def serve_twice(self) -> None:
        """Run a server, and after `serve_again` another one, until `serve_no_more`."""
        await self.serve(trio.Event(), self._ends)
        if not self.served.is_set():
            await self.serve(self._serves_again, self.served)

    async def serve_again(self) -> None:
        """End the first server, and wait for the other one."""
        self._ends.set()
        await self._serves_again.wait()

    def serve_no_more(self) -> None:
        """End whichever runs."""
        self.served.set()
        self._ends.set()

    async def storm(self, *, restarts: bool) -> None:
        """Wait until `weather` is over, and start the server again at some moment before if it is to be."""
        calm_at = trio.current_time() + STORM_SECONDS
        await trio.sleep(self.random.uniform(0, STORM_SECONDS))
        if restarts:
            await self.serve_again()
        await trio.sleep_until(calm_at)


class _Incidents(logging.Handler):
    """Hears what is logged: what a server contains is a finding all the same."""

    def __init__(self, world: World) -> None:
        super().__init__(logging.ERROR)
        self._world = world

    def emit(self, record: logging.LogRecord) -> None:
        """See `logging.Handler.emit`."""
        error = record.exc_info[1] if record.exc_info else None
        if not self._world.expects(error):
            self._world.complain(f"{record.getMessage()}: {error!r}")


@contextmanager
def overheard(world: World) -> Generator[None]:
    """Let a world hear of incidents, and nobody else: to print a traceback costs more than what it tells of."""
    log, handler = logging.getLogger("hawser"), _Incidents(world)
    log.addHandler(handler)
    propagates, log.propagate = log.propagate, False
    try:
        yield
    finally:
        log.propagate = propagates
        log.removeHandler(handler)


def live_through(world: World) -> int:
    """Run a world, and check it; returns the number of faults.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again, and has its story.
    """

    async def live() -> int:
        with trio.move_on_after(PATIENCE_SECONDS):
            faults = await world.run()
            world.seconds = trio.current_time()
            return faults
        raise Broken(f"it did not come to an end: {world.standing()}")

    try:
        with overheard(world):
            faults = run_seeded(live, seed=world.seed, at_rest=world.look)
        world.check()
        world.check_complaints()
    except Exception as error:
        cause = leaf(error)
        what = cause if isinstance(cause, Broken) else repr(cause)
        raise Broken(f"{what}\nreplay: python -m {world.MODULE} {world.seed}", world.lines) from error
    return faults


def tell(run_world: Callable[[int], Outcome]) -> NoReturn:
    """Run the seeds that the command line names, print their stories, and exit: with 1 if something did not hold."""
    for seed in sys.argv[1:]:
        try:
            told = run_world(int(seed))
        except Broken as broken:
            print("\n".join(broken.story))
            traceback.print_exception(broken.__cause__)
            print(f"VIOLATION {broken}")
            sys.exit(1)
        print("\n".join(told.lines))
        counts = ", ".join(f"{number} {what}" for what, number in told.counts.items())
        print(f"{told.seconds:.0f} virtual seconds, {counts}: {told.digest[:16]}")
    sys.exit(0)
