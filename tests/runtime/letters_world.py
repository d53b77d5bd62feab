"""Letters and what is sent to somebody, by seed: past links that break, clients that are killed, a server that ends.

A user with two devices, another with one, and an agent with two workers post letters, send to users, agents, sessions,
channels and everybody, ask again under the same key where they have no answer, listen now and then, hold mailboxes and
leave them with letters settled, failed and neither. There are one or two servers, of which one ends and is started
again, over a store that is kept: in memory, in no hurry, or in a file, see `tests.runtime.inline_store`. In the end one
more client takes out whatever there is; then everything is held against everything: see `tests.runtime.letter_door`
and `tests.runtime.letter_accounts`.

To run a seed again: ``python -m tests.runtime.letters_world 17``.
"""

from __future__ import annotations

from collections import Counter
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from math import inf
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser import (
    EVERYONE,
    App,
    Client,
    NotSent,
    Principal,
    Published,
    RequestFailed,
    RequestLost,
    to,
)
from hawser.brokers import MemoryBroker
from tests.runtime import frame
from tests.runtime.frame import HASTY, STORM_SECONDS, live_through, tell
from tests.runtime.inline_store import inline_store
from tests.runtime.letter_accounts import Accounts
from tests.runtime.letter_door import Door
from tests.runtime.letter_ledger import Ask, Box, Ledger
from tests.runtime.reading import Broken
from tests.runtime.test_late_brokers import LateBroker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from hawser import Directs, Letter, Mailbox
    from hawser.brokers import Broker, Entry
    from hawser.testing import FaultyNetwork
    from tests.runtime.letter_accounts import Hearing, Stint
    from tests.runtime.letter_ledger import Answers, Attempt

CLIENTS: Final = {"phone": "ada", "desk": "ada", "bob": "bob", "first": "first", "second": "second"}
"""Whose each is."""
WORKERS: Final = ("first", "second")
AGENT: Final = "clerk"
NOBODYS: Final = ("user:eve", "user:tiny")
"""Mailboxes that anybody holds now and then."""
HOLDS: Final = {
    "phone": ("user:ada", "user:tiny"),
    "desk": ("user:ada",),
    "bob": ("user:bob", "user:tiny"),
    "first": ("agent:clerk",),
    "second": ("agent:clerk",),
}
ASKS: Final = 14
"""Of each client."""
CHANNEL: Final = "news"
DEAD: Final = "dead"
FILE: Final = 1
"""The remainder, by 3, of seeds whose store is a file."""
QUIET_SECONDS: Final = 5
"""Nothing comes any more where nothing came for so long."""
DELAYS_SECONDS: Final = ((0.0, 0.0), (0.0, 0.05), (0.02, 0.3))
"""How slow the network of a client may be."""
REST_SECONDS: Final = 30
"""In which everybody has a link again, and a store has done what it was asked for."""


@attrs.frozen
class Outcome(frame.Outcome):
    """What became of one seed."""

    letters: int
    """That applications were given, however often."""
    heard: int
    """What else they were sent."""
    dead: int
    statuses: Counter[str]
    """What became of what was sent."""

    @property
    def eventful(self) -> bool:
        """See `frame.Outcome.eventful`."""
        return self.faults > 0 and self.letters > 0 and self.heard > 0


class Spoilt(Exception):
    """A letter that somebody cannot digest."""


class World(frame.World):
    """One seed's system and what was seen in it."""

    MODULE = "tests.runtime.letters_world"
    URL = "memory://letters"
    NAMES = 10

    def __init__(self, seed: int, stack: ExitStack) -> None:
        super().__init__(seed)
        pick = self.random.choice
        self.config = attrs.evolve(
            HASTY,
            resume_period_seconds=pick([15, 120]),  # who is killed is given up before it is calm, or after
            window_messages=pick([2, 7, 1_000]),
            window_bytes=pick([3_000, 262_144]),
            operations=pick([1, 3, 256]),
            direct_messages=pick([1, 3, 100]),
            direct_bytes=pick([60, 262_144]),
            mailbox_letters=pick([1, 2, 32]),
            mailbox_bytes=pick([100, 262_144]),
            letters_in_hand=pick([1, 5, 1_000]),
            mailbox_sweep_seconds=pick([1, 5]),
        )
        self.broker = self._make_broker(stack)
        self.app = App(broker=self.broker)
        self.app.channel(CHANNEL, history=1_000, open=True)
        self.app.channel(DEAD, history=1_000, open=True)
        self.app.user("*", open=True)
        self.app.agent("*", open=True)
        self.app.authenticate(self._authenticate)
        self.ledger = Ledger({name: self._declare(name) for name in ("user:ada", "user:bob", "agent:clerk", *NOBODYS)})
        self.urls = pick([(self.URL,), (self.URL, f"{self.URL}-2")]) if self.seed % 3 != FILE else (self.URL,)
        """One server, or two over one store: a file is one's alone."""
        self.door = Door(self.ledger, self.config.letters_in_hand, self.complain)
        self.accounts = Accounts(self.ledger, self.door)
        self.published: dict[str, Sequence[Entry]] = {}
        """What is in channels, in the end."""
        self._names = ["nobody"]
        """Of sessions that there are, or were."""
        self._todo: dict[str, list[Ask]] = {user: [] for user in CLIENTS.values()}
        """What a user has no answer to, and asks for again."""
        self._ideas = dict.fromkeys(CLIENTS, 0)
        self._asking = 0
        self._lives: Counter[str] = Counter()
        self._hearing: dict[str, Hearing] = {}
        self._directs: dict[str, Directs] = {}
        self._calm = trio.Event()
        self._over = trio.Event()

    def _make_broker(self, stack: ExitStack) -> Broker:
        if self.seed % 3 == 0:
            return LateBroker(self.random.getrandbits(32))
        if self.seed % 3 == FILE:
            folder = Path(stack.enter_context(TemporaryDirectory()))
            return stack.enter_context(inline_store(folder, self.random.getrandbits(32))).open()
        return MemoryBroker(random_bytes=self.bytes(), clock=trio.current_time)

    def _declare(self, name: str) -> Box:
        tiny = name == "user:tiny"
        box = Box(3 if tiny else 1_000, self.random.choice([2, 3]), 20.0 if tiny else 1e6)
        self.app.mailbox(
            name,
            hold=EVERYONE,
            open=True,
            letters=box.letters,
            tries=box.tries,
            seconds=box.seconds,
            dead_letters=DEAD,
        )
        return box

    async def _authenticate(self, credentials: Mapping[str, Any]) -> Principal | None:
        name, _, _ = credentials["token"].partition("/")
        claims = {"life": credentials["token"], "agent": AGENT if name in WORKERS else None}
        return Principal(CLIENTS.get(name, name), claims)

    # ------------------------------------------------------------ who is there

    async def run(self) -> int:
        """See `frame.World.run`."""
        async with AsyncExitStack() as stack:
            networks = {name: await stack.enter_async_context(self.network(*DELAYS_SECONDS)) for name in CLIENTS}
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve_twice)
                for url in self.urls[1:]:
                    nursery.start_soon(self.serve_at, "other", self.app, url, trio.Event(), self.served)
                async with trio.open_nursery() as clients:
                    for name, network in networks.items():
                        clients.start_soon(self._be, name, network)
                        clients.start_soon(self.weather, network, [0.3, 1, 5])
                    await self.storm(restarts=self.random.random() < 0.6)
                    self._calm.set()
                await trio.sleep(self.config.resume_period_seconds + REST_SECONDS)
                await self._take_out_everything()
                await trio.sleep(REST_SECONDS)
                await self._look_at_the_end()
                self.serve_no_more()
        return self.cuts

    async def serve_at(self, name: str, app: App, url: str, up: trio.Event, until: trio.Event) -> None:
        """See `frame.World.serve_at`."""
        await super().serve_at(name, app, url, up, until)
        self.door.restarted()

    async def _be(self, name: str, network: FaultyNetwork) -> None:
        """One life after another; the last one stays until everything is asked for, and answered."""
        await self.live_again(name, network, self._over, partial(self._live, name, network))

    async def _live(self, name: str, network: FaultyNetwork, scope: trio.CancelScope) -> None:
        pick = self.random.choice
        self._lives[name] += 1
        life = f"{name}/{self._lives[name]}"
        config = attrs.evolve(self.config, session_seconds=pick([3, 5, None]))
        how, lasts = pick(["quits", "is killed", "stays"]), self.random.uniform(1, STORM_SECONDS)
        one = self.connect(network, url=pick(self.urls), config=config, token=life)
        async with one as client, trio.open_nursery() as nursery:
            self._watch(life, client)
            if name in WORKERS:
                nursery.start_soon(self._work, client)
            for mailbox in HOLDS[name]:
                nursery.start_soon(self._hold, life, client, mailbox)
            nursery.start_soon(self._listen, life, client)
            nursery.start_soon(self._talk, name, life, client)
            with trio.move_on_after(inf if how == "stays" else lasts):
                await self._calm.wait()
            if self._calm.is_set():
                await self._over.wait()
                await trio.sleep(REST_SECONDS)
                if life in self._hearing:
                    self._hearing[life].session = self._directs[life].session
                how = "quits"
            self.note(life, how)
            if how == "is killed":
                await self.die(network, scope)
            nursery.cancel_scope.cancel()

    async def _work(self, client: Client) -> None:
        async def work() -> None:
            """Nobody calls it."""

        async with client.offer(AGENT, work):
            await trio.sleep_forever()

    # ------------------------------------------------------------ who asks

    async def _talk(self, name: str, life: str, client: Client) -> None:
        """Ask for what there is to be asked for."""
        async with trio.open_nursery() as nursery:
            while True:
                ask = self._next(name)
                if ask is not None:
                    nursery.start_soon(self._ask, life, client, ask)
                await trio.sleep(self.random.random() * 0.8)

    def _next(self, name: str) -> Ask | None:
        """Something that has no answer yet, or another idea; None: there is nothing at the moment."""
        todo = self._todo[CLIENTS[name]]
        if todo and (self._ideas[name] == ASKS or self.random.random() < 0.6):
            return todo.pop(0)
        if self._ideas[name] == ASKS:
            idle = not (self._asking or any(self._todo.values())) and all(one == ASKS for one in self._ideas.values())
            if idle and self._calm.is_set():
                self._over.set()
            return None
        self._ideas[name] += 1
        ask = self._idea(name, self._ideas[name])
        self.ledger.add(ask)
        return ask

    def _idea(self, name: str, number: int) -> Ask:
        pick = self.random.choice
        user, size = CLIENTS[name], pick([1, 50, 200])
        # Those of two devices of a user are different ones, and those of two users the same.
        key = pick([None, b"%d" % (2 * number + (name == "desk"))])
        if self.random.random() < 0.4:
            mailbox = pick([*self.ledger.boxes])
            return Ask(name, user, number, mailbox, (), size, key, ttl=pick([None, None, None, 3.0]))
        targets = tuple(self._target() for _ in range(pick([1, 1, 2, 3])))
        volatile = self.random.random() < 0.15
        return Ask(
            name,
            user,
            number,
            None,
            targets,
            size,
            None if volatile else key,
            except_me=self.random.random() < 0.2,
            volatile=volatile,
        )

    def _target(self) -> to.Target:
        pick = self.random.choice
        match pick(["user", "user", "user", "agent", "session", "everybody", "channel"]):
            case "user":
                return to.user(pick(["ada", "ada", "bob", "bob", "eve", "tiny", "ghost"]))
            case "agent":
                return to.agent(pick([AGENT, AGENT, AGENT, "ghost"]))
            case "session":
                return to.session(pick(self._names))
            case "channel":
                return to.channel(CHANNEL)
            case _:
                return to.everybody

    async def _ask(self, life: str, client: Client, ask: Ask) -> None:
        """Ask once; what has no answer is asked for again, by whatever device of the user."""
        attempt = ask.attempt(life)
        self._asking += 1
        again = True
        try:
            self.note(
                life, f"asks {attempt.mark[1:]} {ask.mailbox or [(one.kind.name, one.name) for one in ask.targets]}"
            )
            attempt.outcomes = await self._carry_out(client, ask, attempt)
            again = self.random.random() < 0.15  # out of mere caution
        except NotSent as error:
            attempt.outcomes, ask.key = (), error.key
        except RequestLost as error:
            ask.key = error.key
        except RequestFailed as error:
            attempt.outcomes = (error.code,)
            again = error.temporary and len(ask.attempts) < 4
        finally:
            self._asking -= 1
            self.note(life, f"is told of {attempt.mark[1:]}: {_shown(attempt)}")
            if again and ask.key is not None:
                self._todo[ask.user].append(ask)

    async def _carry_out(self, client: Client, ask: Ask, attempt: Attempt) -> Answers:
        data = ask.data(attempt)
        if ask.mailbox is not None:
            return (await client.post(ask.mailbox, data, key=ask.key, ttl=ask.ttl),)
        sent = await client.send(ask.targets, data, key=ask.key, except_me=ask.except_me, volatile=ask.volatile)
        return sent.outcomes

    # ------------------------------------------------------------ who listens, and who holds

    async def _listen(self, life: str, client: Client) -> None:
        """Listen now and then, and take what comes in no hurry."""
        pick = self.random.choice
        while True:
            async with client.directs() as directs:
                waiting: Any = directs
                self._directs[life] = directs
                self._hearing[life] = self.accounts.listen(life, [direct.raw for direct in waiting._queue])
                self._meet(directs.session)
                with trio.move_on_after(pick([1.0, 4.0, inf])):
                    await self._hear(life, directs)
            del self._hearing[life]
            await trio.sleep(pick([0.0, 1.0]))

    def _watch(self, life: str, client: Client) -> None:
        """Note what comes to it."""
        dialogue: Any = client._dialogue  # pyright: ignore[reportPrivateUsage]
        take = dialogue.directs.take

        def note(message: Any) -> None:
            if life in self._hearing:
                self._hearing[life].arrived.append(message.data)
            take(message)

        dialogue.directs.take = note

    async def _hear(self, life: str, directs: Directs) -> None:
        async for direct in directs:
            self.accounts.hear(self._hearing[life], direct)
            self._meet(direct.session)
            if not self._calm.is_set():
                await trio.sleep(self.random.choice([0.0, 0.0, 0.1, 0.5, 3.0]))

    def _meet(self, session: str | None) -> None:
        if session is not None and session not in self._names:
            self._names.append(session)

    async def _hold(self, life: str, client: Client, mailbox: str) -> None:
        """Hold a mailbox again and again."""
        pick = self.random.choice
        own = mailbox == f"user:{CLIENTS[life.partition('/')[0]]}"
        while True:
            try:
                async with client.mailbox(pick([mailbox, None]) if own else mailbox) as letters:
                    await self._take_some(life, letters, pick([1, 4, 1_000]))
            except Spoilt:
                pass
            except RequestFailed as error:
                self.note(life, f"{mailbox}: {error!r}")
            await trio.sleep(pick([0.0, 0.5, 3.0]))

    async def _take_some(self, life: str, letters: Mailbox, count: int) -> None:
        pick = self.random.choice
        stint = self.accounts.begin(life, letters.name or "")
        settled: Letter | None = None
        for _ in range(count):
            letter: Letter | None = None
            with trio.move_on_after(pick([1.0, 10.0])):
                letter = await self._receive(stint, letters, settled)
            if letter is None:
                return
            self.note(life, f"has {letter.mailbox} {letter.position.offset}, which failed {letter.tries} times")
            await trio.sleep(pick([0.0, 0.0, 0.1, 1.0]))
            luck = self.random.random()
            if luck < 0.08:
                self.note(life, "cannot digest it")
                raise Spoilt
            if luck < 0.14:
                self.note(life, "leaves it")
                return
            settled = letter  # when the iteration moves on, or at once
            if pick([True, False]):
                self.accounts.settle(stint, letter)
                letters.done()

    async def _receive(self, stint: Stint, letters: Mailbox, settled: Letter | None) -> Letter:
        if settled is not None:
            self.accounts.settle(stint, settled)
        letter = await letters.receive()
        wrong = self.accounts.give(stint, letter)
        if wrong is not None:
            self.complain(wrong)
        return letter

    # ------------------------------------------------------------ the end

    async def _take_out_everything(self) -> None:
        """One more client takes what is left in the mailboxes."""
        config = attrs.evolve(self.config, mailbox_letters=32)
        async with (
            self.network((0.0, 0.0)) as network,
            self.connect(network, config=config, token="sexton/1") as client,
        ):
            for mailbox in self.ledger.boxes:
                async with client.mailbox(mailbox) as letters:
                    stint, settled = self.accounts.begin("sexton/1", mailbox), None
                    while True:
                        with trio.move_on_after(QUIET_SECONDS) as patience:
                            settled = await self._receive(stint, letters, settled)
                            self.note("sexton/1", f"has {mailbox} {settled.position.offset}")
                        if patience.cancelled_caught:
                            break

    async def _look_at_the_end(self) -> None:
        """Nothing is left but what is published; everybody has said goodbye, or is given up."""
        self.check_complaints()
        for mailbox in self.ledger.boxes:
            if left := await self.broker.mailboxes.read(mailbox, 0, limit=100, limit_bytes=2**20):
                raise Broken(f"{mailbox} still has {[letter.position.offset for letter in left]}")
        if overdue := await self.broker.mailboxes.overdue():
            raise Broken(f"what is out of date stays in {overdue}")
        for channel in (DEAD, CHANNEL):
            history = await self.broker.history(channel, 0, limit=1_000, limit_bytes=2**24)
            self.published[channel] = history.entries
        for name in self.servers:
            self.check_left(name)
        if any(self.door.left):
            raise Broken(f"the servers have not said that nobody holds or listens: {self.door.left}")

    def standing(self) -> object:
        """See `frame.World.standing`."""
        return self._ideas, self._asking, self._todo, self.lines[-1]

    def check(self) -> None:
        """See `frame.World.check`."""
        self.check_complaints()
        self.accounts.check(self.published[DEAD], {CHANNEL: self.published[CHANNEL]})


def _shown(attempt: Attempt) -> str:
    """What became of an attempt, in short, and without what no seed decides."""
    if attempt.outcomes is None:
        return "nothing"
    said = [
        f"{'the former ' * one.duplicate}letter {one.position.offset}"
        if isinstance(one, Published)
        else str(getattr(one, "status", one))
        for one in attempt.outcomes
    ]
    return ", ".join(said) or "that it was not sent"


def run_world(seed: int) -> Outcome:
    """Run one seed.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again.
    """
    with ExitStack() as stack:
        world = World(seed, stack)
        stack.enter_context(world.door.standing())
        faults = live_through(world)
    accounts, dead = world.accounts, len(world.published[DEAD])
    return Outcome(
        seed, world.lines, faults, accounts.given, accounts.heard, dead, world.door.statuses, seconds=world.seconds
    )


if __name__ == "__main__":
    tell(run_world)
