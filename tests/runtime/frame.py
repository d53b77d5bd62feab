"""What all worlds of the second tier have in common: one source of chance, a story, a server that is started again.

A world is everything that happens by one seed; see `World`. To run one again: ``python -m tests.runtime.world 17``.
"""

from __future__ import annotations

import hashlib
import random
from abc import ABC, abstractmethod
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, Final

import attrs
import trio

from hawser import App, Config, Server, serve
from hawser.testing import CutKind, run_seeded, seeded_bytes
from tests.runtime.reading import Broken, leaf

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from hawser.testing import FaultyNetwork
    from tests.runtime.roads import Roads

STORM_SECONDS: Final = 15
PATIENCE_SECONDS: Final = 2_000

HASTY: Final = Config(
    messages_per_second=500,
    resumes_per_minute=100_000,
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

    @property
    def digest(self) -> str:
        """The same for the same story."""
        return hashlib.sha256("\n".join(self.lines).encode()).hexdigest()


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

    def bytes(self) -> Callable[[int], bytes]:
        """A source of random bytes of its own for one part of the system."""
        return seeded_bytes(self.random.getrandbits(32))

    @property
    def node(self) -> Any:
        """What the server holds, to be looked at."""
        return self.node_of("server")

    def node_of(self, name: str) -> Any:
        """The same for one of several."""
        return self.servers[name]._node  # pyright: ignore[reportPrivateUsage]

    async def weather(self, network: FaultyNetwork | Roads, pauses: Sequence[float]) -> None:
        """Break links for a while, after one of these pauses on average."""
        with trio.move_on_after(STORM_SECONDS):
            await network.storm(every_seconds=self.random.choice(pauses), kinds=tuple(CutKind))

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
            await until.wait()
            self.note(name, "stops")
            nursery.cancel_scope.cancel()

    async def serve_twice(self, restart: trio.Event, restarted: trio.Event, over: trio.Event) -> None:
        """Run a server, and if it is not all over then, another one."""
        await self.serve(trio.Event(), restart)
        if not over.is_set():
            await self.serve(restarted, over)


def live_through(world: World) -> int:
    """Run a world, and check it; returns the number of faults.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again.
    """

    async def live() -> int:
        with trio.move_on_after(PATIENCE_SECONDS):
            return await world.run()
        raise Broken(f"it did not come to an end: {world.standing()}")

    try:
        faults = run_seeded(live, seed=world.seed)
        world.check()
    except Exception as error:
        cause = leaf(error)
        what = cause if isinstance(cause, Broken) else repr(cause)
        raise Broken(f"{what}\nreplay: python -m {world.MODULE} {world.seed}") from error
    return faults
