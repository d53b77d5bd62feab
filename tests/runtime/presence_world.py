"""Presence by seed: members that come, go, are cut, hide and die, nodes that are killed or lose their store, watchers.

Two nodes share a store that takes its time. What holds all the same: whoever watches is told of nothing but what was
so, in the order in which it was so, by lists and steps that follow each other; nobody leaves who was cut for less than
the grace; some time after the last trouble everybody is told of exactly those who are there, and each of them once; and
in the end nothing is left of anybody.
"""

from __future__ import annotations

from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any, Final
from unittest.mock import patch

import attrs
import trio

from hawser import App, Principal, RequestFailed
from hawser.brokers import MemoryBroker
from hawser.members import decode_member
from hawser.testing import CutKind
from hawser_engine.channels import roll
from tests.runtime import frame
from tests.runtime.frame import HASTY, STORM_SECONDS, live_through, tell
from tests.runtime.hearing import Ear, Past
from tests.runtime.presence_ledger import Ledger, Reach
from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from hawser import Client, Member, Presence
    from hawser.testing import FaultyNetwork
    from hawser_engine.channels.attendance import Writing

NODES: Final = 2
MEMBERS: Final = 4
WATCHERS: Final = 3
CHANNELS: Final = ("room:a", "room:b")
NOTICED_SECONDS: Final = 5
"""In which a client whose link is cut has another one, if it can: it notices, backs off once, and attaches."""
REST_SECONDS: Final = 8
"""In which everybody has a link again, and has heard of everything that needs no lease or grace to run out."""


@attrs.frozen
class Outcome(frame.Outcome):
    """What became of one seed."""

    deeds: Counter[str]
    """What members and nodes have done, and what was done to them."""
    states: int
    """Of the two channels."""


@attrs.define(eq=False)
class Life:
    """One run of a member's program."""

    name: str
    number: int
    channel: str
    excused: bool = False
    """Whether it may be taken out just now: it has left, hides, or was without a link for long."""
    said: int = 0

    def say(self) -> list[str | int]:
        """What it says of itself from now on."""
        self.said += 1
        return self.saying

    @property
    def saying(self) -> list[str | int]:
        """What it says of itself."""
        return [self.name, self.number, self.said]


class World(frame.World):
    """One seed's system and what was seen in it."""

    MODULE = "tests.runtime.presence_world"
    URL = "memory://presence"

    def __init__(self, seed: int) -> None:
        super().__init__(seed)
        pick = self.random.choice
        self.config = attrs.evolve(
            HASTY,
            window_messages=pick([2, 7, 1_000]),
            window_bytes=pick([3_000, 262_144]),
            operations=pick([1, 256]),
            resume_period_seconds=30,
            leave_grace_seconds=pick([7, 9]),
            presence_step_seconds=pick([0.0, 0.3, 1.0]),
            presence_listed=pick([2, 1_000, 1_000]),
            presence_lease_seconds=pick([3, 8]),
            ping_interval_seconds=2,
        )
        self.piece = pick([1, 2, 128])
        """Members in one message."""
        self.ledger = Ledger(self.written, self.bytes())
        self.pasts = {channel: Past() for channel in CHANNELS}
        self.lives: dict[tuple[str, int], Life] = {}
        self.last: dict[str, Life] = {}
        """Of each member."""
        self.views: dict[tuple[str, str], Presence] = {}
        """By watcher and channel."""
        self.deeds: Counter[str] = Counter()
        self._near: list[list[FaultyNetwork]] = [[] for _ in range(NODES)]
        """The networks of those who are at each node."""
        self._calm = trio.Event()
        self._over = trio.Event()
        """Members may go."""
        self._gone = trio.Event()
        """Watchers, too."""
        self._closed = trio.Event()
        """And the nodes."""

    # ------------------------------------------------------------ what was seen

    def expects(self, error: BaseException | None) -> bool:
        """See `frame.World.expects`: a store may be out of reach."""
        return isinstance(error, OSError)

    def written(self, writing: Writing, before: Any) -> None:
        """A node writes something."""
        entry = writing.entry or before
        if entry is None:
            return
        member = decode_member(entry)
        name, number, said = member.info
        life = self.lives[name, number]
        if member.user != name:
            self.complain(f"{name} is told to be {member.user}")
        if writing.entry is None and not life.excused:
            self.complain(f"{name} is taken out, and has never left")
        if writing.entry is not None and (said > life.said or (before and decode_member(before).info[2] > said)):
            self.complain(f"{name} is to say {said}, and it was further")
        self.note(name, f"{life.channel} {'out' if writing.entry is None else said}")

    def done(self, who: str, what: str) -> None:
        """Somebody has done something."""
        self.note(who, what)
        self.deeds[what] += 1

    # ------------------------------------------------------------ who is there

    async def run(self) -> int:
        """See `frame.World.run`."""
        config = self.config
        for channel, past in self.pasts.items():
            await self.ledger.watch(channel, past)
        async with trio.open_nursery() as nursery:
            for number in range(NODES):
                nursery.start_soon(self._keep, number)
            async with trio.open_nursery() as watchers:
                for number in range(WATCHERS):
                    watchers.start_soon(self._look, f"watcher {number}", number % NODES)
                async with trio.open_nursery() as members:
                    for number in range(MEMBERS):
                        members.start_soon(self._belong, f"member {number}", number % NODES)
                    await trio.sleep(2 * STORM_SECONDS)
                    self._calm.set()
                    await trio.sleep(config.presence_lease_seconds + config.leave_grace_seconds + REST_SECONDS)
                    self._check_calm()
                    self._over.set()
                await trio.sleep(config.leave_grace_seconds + REST_SECONDS)
                self._check_nobody()
                self._gone.set()
            await trio.sleep(config.resume_period_seconds + REST_SECONDS)
            self._check_left()
            self._closed.set()
        return self.cuts

    # ------------------------------------------------------------ nodes

    async def _keep(self, number: int) -> None:
        """A node that is stopped, killed, or cut off from its store, and comes again."""
        name = f"node {number}"
        while not self._closed.is_set():
            store = Reach(self.ledger, self.random.getrandbits(32), self.complain)
            app = App(broker=MemoryBroker(random_bytes=self.bytes()))
            app.broker.presence = store
            app.channel("room:*", presence=True, open=True)
            app.authenticate(self._authenticate)
            up, until = trio.Event(), trio.Event()
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve_at, name, app, f"{self.URL}-{number}", up, until)
                await up.wait()
                await self._run_node(number, store)
                until.set()
            if not self._closed.is_set():
                await trio.sleep(self.random.choice([0.5, 3.0, self.config.presence_lease_seconds + 3]))

    async def _authenticate(self, credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"])

    async def _run_node(self, number: int, store: Reach) -> None:
        with trio.move_on_after(self.random.uniform(0, 2 * STORM_SECONDS)):
            await self._calm.wait()
        how = (
            "stays"
            if self._calm.is_set()
            else self.random.choice(["is killed", "is killed", "stops", "loses store", "loses store"])
        )
        self.done(f"node {number}", how)
        match how:
            case "is killed":
                await store.vanish()
                for network in self._near[number]:
                    await network.cut(self.random.choice([CutKind.BOTH, CutKind.SILENT]))
            case "stops":
                for life in self.last.values():
                    life.excused = True  # until its next life: its session is ended
                store.failed = True
            case "loses store":
                store.away = store.failed = True
                await trio.sleep(self.random.choice([1.0, 1.5 * self.config.presence_lease_seconds]))
                store.away = False
                await self._closed.wait()
            case _:
                await self._closed.wait()

    # ------------------------------------------------------------ members

    async def _belong(self, name: str, node: int) -> None:
        async with self._network(node) as network:
            await self.live_again(name, network, self._over, partial(self._live, name, node, network))

    def _network(self, node: int) -> FaultyNetwork:
        network = self.network((0.0, 0.0), (0.0, 0.05), (0.02, 0.2))
        self._near[node].append(network)
        return network

    def _connect(self, who: str, node: int, network: FaultyNetwork) -> Any:
        return self.connect(network, url=f"{self.URL}-{node}", token=who)

    def _begin(self, name: str) -> Life:
        last = self.last.get(name)
        life = Life(name, 1 if last is None else last.number + 1, self.random.choice(CHANNELS))
        self.lives[name, life.number] = self.last[name] = life
        return life

    async def _live(self, name: str, node: int, network: FaultyNetwork, scope: trio.CancelScope) -> None:
        life = self._begin(name)
        try:
            await self._take_part(life, node, network, scope)
        finally:
            life.excused = True

    async def _take_part(self, life: Life, node: int, network: FaultyNetwork, scope: trio.CancelScope) -> None:
        deeds = [self._say, self._say, self._hide, self._be_cut, self._be_cut, self._be_away]
        async with self._connect(life.name, node, network) as client, trio.open_nursery() as nursery:
            watch = self.random.choice([True, False])
            Ear(life.name, client, self.pasts, self.complain)
            async with client.presence(life.channel, info=life.say(), watch=watch) as presence:
                self.done(life.name, f"enters {life.channel}")
                nursery.start_soon(self._follow, life.name, presence, presence.members)
                until = trio.current_time() + self.random.uniform(0, 2 * STORM_SECONDS)
                while trio.current_time() < until and not self._calm.is_set():
                    await self.random.choice(deeds)(life, presence, network)
                    await trio.sleep(self.random.random() * 2)
                if self._calm.is_set():
                    await self._over.wait()
                life.excused = True
                how = self.random.choice(["leaves", "quits", "dies"])
                self.done(life.name, how)
                if how == "dies":
                    await self.die(network, scope)
                if how == "quits":
                    await client.aclose()
            await trio.sleep(self.random.random() * 3)
            nursery.cancel_scope.cancel()

    async def _say(self, life: Life, presence: Presence, network: FaultyNetwork) -> None:
        """Say something else of itself, perhaps without having a link."""
        self.deeds["says"] += 1
        if self.random.random() < 0.3:
            await network.cut(self.random.choice(tuple(CutKind)))
        await presence.update(life.say())

    async def _hide(self, life: Life, presence: Presence, network: FaultyNetwork) -> None:
        """Be no member for a while."""
        self.done(life.name, "hides")
        life.excused = True
        await presence.update(None)
        await trio.sleep(self.random.choice([0.0, 0.0, 2.0]))
        await presence.update(life.say())
        life.excused = False

    async def _be_cut(self, life: Life, presence: Presence, network: FaultyNetwork) -> None:
        """Have no link for less than the grace."""
        self.done(life.name, "is cut")
        await network.cut(self.random.choice(tuple(CutKind)))
        await trio.sleep(NOTICED_SECONDS)

    async def _be_away(self, life: Life, presence: Presence, network: FaultyNetwork) -> None:
        """Have no link for longer."""
        self.done(life.name, "is away")
        life.excused = True
        network.refuse()
        await network.cut(self.random.choice(tuple(CutKind)))
        await trio.sleep(self.random.choice([0.9, 1.0, 1.5]) * self.config.leave_grace_seconds)
        network.refuse(False)
        await trio.sleep(2 * NOTICED_SECONDS)
        life.excused = False

    # ------------------------------------------------------------ watchers

    async def _look(self, name: str, node: int) -> None:
        async with self._network(node) as network, self._connect(name, node, network) as client:
            Ear(name, client, self.pasts, self.complain)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._weather, network)
                for channel in CHANNELS:
                    nursery.start_soon(self._watch, name, client, channel)

    async def _weather(self, network: FaultyNetwork) -> None:
        for _ in range(2):
            await self.weather(network, [0.5, 2, 6])

    async def _watch(self, name: str, client: Client, channel: str) -> None:
        """Watch a channel, and come back to it again and again."""
        while not self._gone.is_set():
            try:
                async with client.presence(channel) as presence, trio.open_nursery() as nursery:
                    self.views[name, channel] = presence
                    nursery.start_soon(self._follow, name, presence, presence.members)
                    with trio.move_on_after(self.random.choice([0.1, 5.0, 20.0])):
                        await self._calm.wait()
                    if self._calm.is_set():
                        await self._gone.wait()
                    nursery.cancel_scope.cancel()
            except* RequestFailed as failed:
                self.note(name, f"{failed.exceptions[0]!r}")
                await trio.sleep(1)

    async def _follow(self, who: str, presence: Presence, members: list[Member]) -> None:
        """Look at each change: who adds them up knows who is there."""
        there = {member.id: member for member in members}
        async for change in presence:
            if change.member is None:
                continue
            known = there.pop(change.member.id, None)
            if (known is None) != (change.what == "join"):
                self.complain(f"{who} sees a {change.what} of somebody who was {'not ' * (known is None)}there")
            if change.what != "leave":
                there[change.member.id] = change.member
            if (
                presence.listed
                and not presence.looks[0].behind
                and there != {member.id: member for member in presence.members}
            ):
                self.complain(f"{who} adds up {there}, and there are {presence.members}")
            await trio.sleep(self.random.choice([0.0, 0.0, 0.5]))

    # ------------------------------------------------------------ the end

    def _check_calm(self) -> None:
        """Everybody is told of exactly those who are there."""
        self.check_complaints()
        for channel in CHANNELS:
            there = sorted((life.name, life.saying) for life in self.last.values() if life.channel == channel)
            if (kept := self.ledger.users(channel)) != there:
                raise Broken(f"in {channel} there are {there}, and the store has {kept}")
            for (name, watched), view in self.views.items():
                if watched == channel:
                    self._check_view(name, view, there)

    def _check_view(self, name: str, view: Presence, there: list[Any]) -> None:
        told = sorted((member.user, member.info) for member in view.members)
        if view.total != len(there) or (view.listed and told != there):
            raise Broken(
                f"{name} is told that in {view.channel} there are {told}, {view.total} in all, and not {there}"
            )
        if view.listed != (len(there) <= self.config.presence_listed) and len(there) > self.config.presence_listed:
            raise Broken(f"{name} is told of {len(there)}, one by one")

    def _check_nobody(self) -> None:
        """Nobody is there any more."""
        for channel in CHANNELS:
            if kept := self.ledger.users(channel):
                raise Broken(f"everybody has left {channel}, and the store has {kept}")
        for (name, _), view in self.views.items():
            self._check_view(name, view, [])

    def _check_left(self) -> None:
        """Nobody remembers anybody."""
        for number in range(NODES):
            self.check_left(f"node {number}")
        if self.ledger.sinks != len(CHANNELS):
            raise Broken(f"the store still tells {self.ledger.sinks}")

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
    with patch.object(roll, "PIECE_ENTRIES", world.piece):
        faults = live_through(world)
    states = sum(len(past.states) for past in world.pasts.values())
    return Outcome(seed, world.lines, faults, world.deeds, states, seconds=world.seconds)


if __name__ == "__main__":
    tell(run_world)
