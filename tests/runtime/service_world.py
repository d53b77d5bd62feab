"""Several servers that are one service, by seed: what is sent, and what members are asked, from each of them to all.

Three servers share where their sessions are, each by a way of its own that takes its time and is cut now and then.
Clients at each of them listen, answer in a room, send and ask. Links break, clients and servers are killed and come
again. What holds all the same: a client has what is sent to it once, and what one client sends in its order; whoever
answers is asked once by a question, and told with what it said; whoever was in reach all the time is passed over by
nothing that was sent, and by no question without a word; in calm everybody reaches everybody; and in the end nothing
is left of anybody. To run a seed again: ``python -m tests.runtime.service_world 17``.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser import EVERYONE, App, CallError, Collected, ErrorCode, Principal, RequestFailed, RequestLost, to
from hawser.brokers import BrokerUnavailable, MemoryBroker, MemorySessions, NoAnswer
from hawser.testing import CutKind
from tests.runtime import frame
from tests.runtime.frame import HASTY, STORM_SECONDS, live_through, tell
from tests.runtime.reading import Broken
from tests.runtime.slow_sessions import Cable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hawser import Client, Directs, Question
    from hawser.addressing import Outcome as SendOutcome
    from hawser.testing import FaultyNetwork

NODES: Final = 3
MEMBERS: Final = 5
ROOM: Final = "room"
REST_SECONDS: Final = 10
"""In which everybody has a link again, and has what was under way."""
CALM_SECONDS: Final = 6.0
"""For answers when nothing is in the way."""


@attrs.frozen
class Outcome(frame.Outcome):
    """What became of one seed."""

    sent: Counter[str]
    """Statuses of what was sent."""
    heard: int
    """Things that were sent, by those who had them."""
    answers: Counter[str]
    """Statuses of those who were asked."""
    deeds: Counter[str]
    """What became of clients and servers."""

    @property
    def eventful(self) -> bool:
        """See `frame.Outcome.eventful`."""
        return self.faults > 0 and self.heard > 0 and self.answers["answered"] > 0


@attrs.define(eq=False)
class Run:
    """One run of a server."""

    number: int
    """Which server."""
    cable: Cable
    """Its way to where the sessions are."""
    fine: bool = True
    """Whether nothing has happened to it, so that all others find its sessions."""


@attrs.define(eq=False)
class Life:
    """One run of a client's program."""

    name: str
    number: int
    client: Client | None = None
    run: Run | None = None
    """The run of the server at which it is in reach since it said so; None: nobody knows."""
    session: str | None = None
    """By which it can be sent to."""
    over: bool = False
    """Whether it goes, and has not to have anything any more."""
    said: int = 0
    """How much it has sent and asked."""
    heard: list[tuple[str, int, int]] = attrs.field(factory=list["tuple[str, int, int]"])
    """What it had, by the name and number of the life that sent it, and that one's count."""
    due: set[tuple[str, int, int]] = attrs.field(factory=set["tuple[str, int, int]"])
    """What it has to have, unless it goes before."""
    asked: set[tuple[str, int, int]] = attrs.field(factory=set["tuple[str, int, int]"])

    @property
    def in_reach(self) -> bool:
        """Whether everybody finds it."""
        return self.run is not None and self.run.fine and not self.over

    def mark(self) -> tuple[str, int, int]:
        """Names the next thing that it says."""
        self.said += 1
        return self.name, self.number, self.said


class World(frame.World):
    """One seed's system and what was seen in it."""

    MODULE = "tests.runtime.service_world"
    URL = "memory://service"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        pick = self.random.choice
        self.config = attrs.evolve(
            HASTY,
            window_messages=pick([2, 7, 1_000]),
            window_bytes=pick([3_000, 262_144]),
            operations=pick([3, 256]),
            direct_messages=pick([1, 3, 100]),
            presence_lease_seconds=pick([3, 8]),
            ping_interval_seconds=2,
        )
        self.directory = MemorySessions(random_bytes=self.bytes())
        self.runs: dict[int, Run] = {}
        """The one that there is of each server, or was."""
        self.lives: dict[str, Life] = {}
        """The last one of each client."""
        self.past: list[Life] = []
        """All of them."""
        self.sent: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self.deeds: Counter[str] = Counter()
        self._near: list[list[FaultyNetwork]] = [[] for _ in range(NODES)]
        """The networks of those who are at each server."""
        self._calm = trio.Event()
        self._over = trio.Event()
        """Clients may go."""
        self._closed = trio.Event()
        """And the servers."""

    def expects(self, error: BaseException | None) -> bool:
        """See `frame.World.expects`: where the sessions are may be out of reach."""
        return isinstance(error, (BrokerUnavailable, NoAnswer))

    def done(self, who: str, what: str) -> None:
        """Somebody has done something."""
        self.note(who, what)
        self.deeds[what] += 1

    async def run(self) -> int:
        """See `frame.World.run`."""
        lease = self.config.presence_lease_seconds
        async with trio.open_nursery() as servers:
            for number in range(NODES):
                servers.start_soon(self._keep, number)
            async with trio.open_nursery() as clients:
                for number in range(MEMBERS):
                    clients.start_soon(self._belong, f"member {number}", number % NODES)
                await trio.sleep(2 * STORM_SECONDS)
                self._calm.set()
                await trio.sleep(2 * lease + self.config.resume_period_seconds + REST_SECONDS)
                await self._reach_everybody()
                await trio.sleep(REST_SECONDS)
                self._check_heard()
                self._over.set()
            await trio.sleep(self.config.resume_period_seconds + 3 * REST_SECONDS)
            for number in range(NODES):
                self.check_left(f"server {number}")
            self._closed.set()
        await trio.sleep(lease + 1)
        if left := await self.directory.nodes():
            raise Broken(f"all servers have ended, and there are still {left}")
        return self.cuts

    # ------------------------------------------------------------ servers

    async def _keep(self, number: int) -> None:
        """A server that is stopped, killed, or cut off from where the sessions are, and comes again."""
        name = f"server {number}"
        while not self._closed.is_set():
            run = self.runs[number] = Run(number, Cable(self.directory, self.random.getrandbits(32)))
            up, until = trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve_at, name, self._app(run), f"{self.URL}-{number}", up, until)
                await up.wait()
                await self._run_server(name, run)
                self._lose(run)
                until.set()
            if not self._closed.is_set():
                await trio.sleep(self.random.choice([0.5, 3.0, self.config.presence_lease_seconds + 1]))

    def _app(self, run: Run) -> App:
        app = App(broker=MemoryBroker(random_bytes=self.bytes()))
        app.broker.sessions = run.cable
        app.channel(ROOM, ask=EVERYONE, open=True)
        app.user("*", open=True)
        app.authenticate(self._authenticate)
        return app

    async def _authenticate(self, credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"])

    async def _run_server(self, name: str, run: Run) -> None:
        with trio.move_on_after(self.random.uniform(0, 2 * STORM_SECONDS)):
            await self._calm.wait()
        deeds = ["stays", "is killed", "is killed", "stops", "loses others", "loses others"]
        how = "stays" if self._calm.is_set() else self.random.choice(deeds)
        self.done(name, how)
        if how == "is killed":
            run.fine, run.cable.away = False, True
            for network in self._near[run.number]:
                await network.cut(self.random.choice([CutKind.BOTH, CutKind.SILENT]))
        elif how == "loses others":
            run.fine, run.cable.away = False, True
            await trio.sleep(self.random.choice([1.0, 1.5 * self.config.presence_lease_seconds]))
            run.cable.away = False
        if how.endswith(("stays", "others")):
            await self._closed.wait()

    def _lose(self, run: Run) -> None:
        """A server ends, and with it its sessions, and what was on its way to them."""
        run.fine = False
        for life in self.past:
            if life.run is run:
                life.due.clear()

    # ------------------------------------------------------------ clients

    async def _belong(self, name: str, node: int) -> None:
        network = self.network((0.0, 0.0), (0.0, 0.05), (0.02, 0.2))
        self._near[node].append(network)
        async with network, trio.open_nursery() as nursery:
            nursery.start_soon(self._weather, network)
            await self.live_again(name, network, self._over, partial(self._live, name, node, network))

    async def _weather(self, network: FaultyNetwork) -> None:
        for _ in range(2):
            await self.weather(network, [0.5, 2, 6])

    async def _live(self, name: str, node: int, network: FaultyNetwork, scope: trio.CancelScope) -> None:
        last = self.lives.get(name)
        life = self.lives[name] = Life(name, 1 if last is None else last.number + 1)
        self.past.append(life)
        try:
            await self._take_part(life, node, network, scope)
        finally:
            life.over = True

    async def _take_part(self, life: Life, node: int, network: FaultyNetwork, scope: trio.CancelScope) -> None:
        run = self.runs.get(node)
        async with (
            self.connect(network, url=f"{self.URL}-{node}", token=life.name) as client,
            client.directs() as directs,
            client.subscribe(ROOM, answers=partial(self._answer, life)),
            trio.open_nursery() as nursery,
        ):
            nursery.start_soon(self._hear, life, directs)
            life.client, life.session = client, directs.session
            if run is self.runs[node]:
                life.run = run
            until = trio.current_time() + self.random.uniform(0, 2 * STORM_SECONDS)
            while trio.current_time() < until and not self._calm.is_set():
                await self.random.choice([self._send, self._send, self._ask])(life)
                await trio.sleep(self.random.random())
            if self._calm.is_set():
                await self._over.wait()
            life.over = True
            how = self.random.choice(["leaves", "quits", "dies"])
            self.done(life.name, how)
            if how == "dies":
                await self.die(network, scope)
            if how == "quits":
                await client.aclose()
            nursery.cancel_scope.cancel()

    async def _hear(self, life: Life, directs: Directs) -> None:
        async for direct in directs:
            name, number, count = mark = tuple(direct.data)
            if direct.user != name:
                self.complain(f"{life.name} is told that {name} is {direct.user}")
            before = [said for *who, said in life.heard if who == [name, number]]
            if before and count <= before[-1]:
                self.complain(f"{life.name} hears {mark} after {before[-1]}")
            life.heard.append(mark)
            if not self._calm.is_set():
                await trio.sleep(self.random.choice([0.0, 0.0, 0.1, 0.5, 3.0]))

    async def _answer(self, life: Life, question: Question) -> object:
        mark = tuple(question.data)
        if mark in life.asked:
            self.complain(f"{life.name} is asked {mark} twice")
        life.asked.add(mark)
        if not self._calm.is_set():
            await trio.sleep(self.random.choice([0.0, 0.0, 0.3, 2.0, 20.0]))
            if self.random.random() < 0.2:
                raise CallError(100, "not now")
        return [life.name, life.number, *mark]

    # ------------------------------------------------------------ sending

    async def _send(self, life: Life) -> None:
        """Send to somebody."""
        others = list(self.lives.values())
        other = self.random.choice(others)
        targets = [to.user(other.name), to.user(other.name), to.everybody]
        if other.session is not None:
            targets.append(to.session(other.session))
        target = self.random.choice(targets)
        meant = others if target == to.everybody else [other]
        await self._send_to(life, target, [one for one in meant if one.in_reach])

    async def _send_to(self, life: Life, target: Any, meant: list[Life]) -> SendOutcome | None:
        """Send; whoever was in reach all the time has to have it, if it has room."""
        mark, fine = life.mark(), life.in_reach
        assert life.client is not None
        try:
            outcome = (await life.client.send(target, mark)).outcome
        except (RequestFailed, RequestLost) as error:
            self.note(life.name, f"{mark} to {target.name}: {error!r}")
            return None
        told = outcome.status if outcome.error is None else f"refused {ErrorCode(outcome.error.code).name}"
        self.note(life.name, f"{mark} to {target.name}: {told}, {outcome.reached} and {outcome.full}")
        self.sent[told] += 1
        meant = [one for one in meant if one.in_reach] if fine and life.in_reach else []
        if outcome.status == "nobody" and meant:
            self.complain(f"{mark} reaches nobody, and {meant[0].name} is there")
        if outcome.status == "delivered" and not outcome.full:
            for one in meant:
                one.due.add(mark)
        return outcome

    # ------------------------------------------------------------ asking

    async def _ask(self, life: Life) -> None:
        """Ask everybody."""
        meant = [one for one in self.lives.values() if one.in_reach and one is not life]
        fine = life.in_reach
        collected = await self._collect(life, self.random.choice([1.0, 3.0, 6.0]))
        if collected is None or any(one.status == "unreached" for one in collected.answers):
            return
        told = {one.user for one in collected.answers}
        for one in meant if fine and life.in_reach else ():
            if one.in_reach and one.name not in told:
                self.complain(f"{life.name} is told of {told}, and {one.name} is there")

    async def _collect(self, life: Life, seconds: float) -> Collected | None:
        mark = life.mark()
        assert life.client is not None
        try:
            collected = await life.client.collect(ROOM, mark, seconds=seconds)
        except (CallError, RequestFailed, RequestLost) as error:
            self.note(life.name, f"asks {mark}: {error!r}")
            return None
        said = [f"{one.user} {one.status}" for one in collected.answers]
        self.note(life.name, f"asks {mark}: {', '.join(said) or 'nobody is there'}")
        sessions = [one.session for one in collected.answers if one.session]
        if len(set(sessions)) < len(sessions):
            self.complain(f"{mark} is answered twice by somebody: {said}")
        for one in collected.answers:
            self.answers[one.status] += 1
            if one.status == "answered":
                name, _, *asked = one.data
                if (name, *asked) != (one.user, *mark):
                    self.complain(f"{mark} is answered {one.data} by {one.user}")
        return collected

    # ------------------------------------------------------------ the end

    async def _reach_everybody(self) -> None:
        """In calm everybody reaches everybody, one after the other: so there is room soon."""
        for life in self.lives.values():
            await self._reach_from(life)

    async def _reach_from(self, life: Life) -> None:
        names = sorted(self.lives)
        for target, count in [*((to.user(name), 1) for name in names), (to.everybody, len(names))]:
            outcome = None
            for _ in range(100):  # there may be no room for a moment
                outcome = await self._send_to(life, target, [])
                if outcome is not None and outcome.reached and not outcome.full:
                    break
                await trio.sleep(0.1)
            if outcome is None or (outcome.status, outcome.reached) != ("delivered", count):
                self.complain(f"in calm, {life.name} sends to {target}, and it is {outcome}")
            for one in self.lives.values():
                if target in (to.everybody, to.user(one.name)):
                    one.due.add((life.name, life.number, life.said))
        collected = await self._collect(life, CALM_SECONDS)
        told = sorted((one.user, one.status) for one in collected.answers) if collected else []
        if told != [(name, "answered") for name in names if name != life.name]:
            self.complain(f"in calm, {life.name} is told {told}")
        if collected and not collected.complete:
            self.complain(f"in calm, {life.name} is told that {collected.unasked} answer nothing")

    def _check_heard(self) -> None:
        """Whoever is still there has what it has to have."""
        self.check_complaints()
        for life in self.lives.values():
            if missing := sorted(life.due - set(life.heard)):
                raise Broken(f"{life.name} has not had {missing[0]}, which was delivered")

    def standing(self) -> object:
        """See `frame.World.standing`."""
        return dict(self.deeds), self.lines[-1]

    def check(self) -> None:
        """See `frame.World.check`: nothing but what was noticed on the way."""


def run_world(seed: int) -> Outcome:
    """Run one seed.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again.
    """
    world = World(seed)
    faults = live_through(world)
    heard = sum(len(life.heard) for life in world.past)
    return Outcome(seed, world.lines, faults, world.sent, heard, world.answers, world.deeds, seconds=world.seconds)


if __name__ == "__main__":
    tell(run_world)
