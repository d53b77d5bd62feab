"""Channels of every kind by seed: filters, patterns, policies, what is volatile and what leaves its publisher out.

Three clients publish to all channels and read some of them, one plainly, one by a filter, one by a pattern beside a
channel of it that it comes to and leaves. A fourth one reads what the server subscribes it to. Links break, the server
is started again, the broker is in no hurry and in a third of the worlds loses reports. What each of them read is looked
at when all is over and everything that was published is known: see `tests.runtime.accounts`.

In a quarter of the worlds the channels are in a file, see `tests.runtime.inline_store`, and the server ends in mid
traffic, in peace or killed. Then nothing but the file is left of it, and the channels go on with the next one as if
nothing had been. To run a seed again: ``python -m tests.runtime.channels_world 17``.
"""

from __future__ import annotations

import random
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Final

import attrs
import trio

from hawser import EVERYONE, App, Client, Gap, HawserError, Message, RequestLost, Session, SubscriptionLost
from tests.runtime import frame
from tests.runtime.accounts import Account, AssignedAccount, Line, PatternAccount, Published
from tests.runtime.frame import HASTY, STORM_SECONDS, live_through, tell
from tests.runtime.inline_store import InlineStore, inline_store
from tests.runtime.losing import LosingBroker
from tests.runtime.reading import Broken

if TYPE_CHECKING:
    from hawser import Subscription
    from hawser.brokers import Broker, History
    from hawser.rules import ChannelRule
    from hawser.testing import FaultyNetwork

LINES: Final = 25
"""Published by each client."""
CHANNELS: Final = ("log:1", "log:2", "tail:1", "board:1")
ALONE: Final = "log:3"
"""A channel that only the pattern brings."""
KEYS: Final = ("red", "green", "blue")
FILTER: Final = 'even == "1"'
PATTERN: Final = "log:*"
FILE: Final = 2
"""The remainder, by 4, of seeds whose channels are in a file."""
TRAFFIC_SECONDS: Final = (1, 8)
"""When these are restarted: as long as there is something to lose."""
END: Final = "end"
"""What is published when all else was: who has it has had everything before it."""
ENDS: Final = 20
END_SECONDS: Final = 5
"""Whoever does not have it after so many of them, so far apart, or one and so long a time, will never have it."""


@attrs.frozen
class Outcome(frame.Outcome):
    """What became of one seed."""

    items: int
    """Messages and gaps that were read."""
    gaps: int
    volatile: int
    """Volatile ones among the messages."""
    kept: int
    """Publications that were in the file, in the end."""
    kills: int
    """Servers that were killed."""

    @property
    def eventful(self) -> bool:
        """See `frame.Outcome.eventful`."""
        return self.faults > 0 and self.items > 0


class World(frame.World):
    """One seed's system and what was seen in it."""

    MODULE = "tests.runtime.channels_world"
    URL = "memory://channels"

    def __init__(self, seed: int, stack: ExitStack) -> None:
        super().__init__(seed)
        pick = self.random.choice
        self.config = attrs.evolve(
            HASTY,
            window_messages=pick([2, 7, 50, 1_000]),
            window_bytes=pick([3_000, 262_144]),
            subscription_messages=pick([2, 10, 1_000]),
            wildcards_behind=pick([1, 128]),
            operations=random.Random(f"operations {seed}").choice([1, 3, 256]),  # of its own, so that stories stay
        )
        self.store = self._make_store(stack) if seed % 4 == FILE else None
        self.app = App(broker=self._make_broker())
        self.ledger = {name: Published(name, whole=whole, latest=latest) for name, whole, latest in self._declare()}
        self.kept: dict[str, History] = {}
        """What of each channel is in the file, in the end."""
        self.accounts: list[Account | AssignedAccount | PatternAccount] = []
        self.gaps = self.items = 0
        self._publishing = 3
        self._over = trio.Event()
        self._assign()

    def _make_store(self, stack: ExitStack) -> InlineStore:
        folder = Path(stack.enter_context(TemporaryDirectory()))
        return stack.enter_context(inline_store(folder, self.seed))

    def _make_broker(self) -> Broker:
        if self.store is not None:
            return self.store.open()
        loses = self.seed % 3 == 2
        return LosingBroker(self.random.getrandbits(32), loses=self.random.choice([0.1, 0.4]) if loses else 0.0)

    def _declare(self) -> list[tuple[str, bool, bool]]:
        """Declare the channels; each with whether it keeps everything, and whether only the latest by key."""
        pick = self.random.choice
        said: dict[str, Any] = {"about": ["tags", "latest_key"], "volatile": True, "open": True}
        log, tail, board = pick([0, 5, 1_000]), pick([5, 1_000]), pick([2, 1_000])
        rules: list[ChannelRule] = [
            self.app.channel("log:*", history=log, wildcard=EVERYONE, **said),
            self.app.channel("tail:*", history=tail, overflow="drop-oldest", **said),
            self.app.channel("board:*", history=board, overflow="keep-latest", last_value=pick([True, False]), **said),
        ]
        wholes = {rules[0]: log == 1_000, rules[1]: False, rules[2]: board == 1_000}
        found = [(name, self.app.rule_for(name)) for name in (*CHANNELS, ALONE)]
        return [(name, rule is not None and wholes[rule], rule is rules[2]) for name, rule in found]

    # ------------------------------------------------------------ who is there

    async def run(self) -> int:
        """Let it all happen, then calm, until everybody has the end; returns the number of faults."""
        async with self.network((0.0, 0.0), (0.0, 0.05), (0.02, 0.5)) as network:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.serve_twice)
                async with trio.open_nursery() as clients:
                    for name, reads in (
                        ("plain", self._plainly),
                        ("filter", self._by_filter),
                        ("pattern", self._by_pattern),
                    ):
                        clients.start_soon(self._live, network, name, reads)
                    clients.start_soon(self._be_assigned, network)
                    clients.start_soon(self.weather, network, [0.1, 0.5, 3])
                    await self._restart()
                await trio.sleep(self.config.resume_period_seconds + 10)
                self.check_left()
                self.serve_no_more()
        if self.store is not None:
            await self._look_into_the_file(self.store.open())
        return self.cuts

    async def _restart(self) -> None:
        if self.store is None:
            await trio.sleep(self.random.uniform(0, 2 * STORM_SECONDS))
            if self.random.random() < 0.5:
                await self.serve_again()
            return
        await trio.sleep(self.random.uniform(*TRAFFIC_SECONDS))
        if self.random.random() < 0.5:
            await self.store.kill()
            self.note("server", "is killed")
        await self.serve_again()

    async def serve_at(self, name: str, app: App, url: str, up: trio.Event, until: trio.Event) -> None:
        """See `frame.World.serve_at`; nothing but the file is left of a store."""
        if self.store is not None:
            app.broker = self.store.open()
        await super().serve_at(name, app, url, up, until)

    async def _look_into_the_file(self, broker: Broker) -> None:
        async with trio.open_nursery() as nursery:
            await nursery.start(broker.run)
            for channel in self.ledger:
                self.kept[channel] = await broker.history(channel, 0, limit=10_000, limit_bytes=2**24)
            nursery.cancel_scope.cancel()

    async def _live(self, network: FaultyNetwork, name: str, reads: Any) -> None:
        """One client: it publishes and reads, until it has read the end of everything."""
        async with self.connect(network) as client, trio.open_nursery() as nursery:
            resets = Resets(client)
            nursery.start_soon(resets.watch)
            async with trio.open_nursery() as readers:
                readers.start_soon(self._talk, client, name)
                await reads(client, resets, name, readers)
            nursery.cancel_scope.cancel()

    # ------------------------------------------------------------ whom the server subscribes

    def _assign(self) -> None:
        """Have the server subscribe whom it is asked to, as applications do."""

        @self.app.procedure("join")
        async def join(session: Session, channel: str) -> None:
            await session.subscribe(channel)

        @self.app.procedure("part")
        async def part(session: Session, channel: str) -> None:
            await session.unsubscribe(channel)

    async def _be_assigned(self, network: FaultyNetwork) -> None:
        """One client that does not subscribe by itself; what it misses while the server has not, is not told to it."""
        accounts: dict[str, AssignedAccount] = {}

        async def read(messages: Subscription) -> None:
            stay = accounts[messages.channel].begin(messages.feed.start)
            try:
                while True:
                    await self._take(messages, stay)
                    await trio.sleep(pick([0.0, 0.1, 0.6]))
            except trio.EndOfChannel:
                stay.over = True
            except SubscriptionLost as lost:
                stay.over, stay.lost = True, lost.position

        pick, name = self.random.choice, "assigned"
        async with self.connect(network, assigned=read) as client, trio.open_nursery() as nursery:
            resets = Resets(client)
            nursery.start_soon(resets.watch)
            accounts |= {channel: AssignedAccount(self.ledger[channel], name, resets=resets) for channel in CHANNELS}
            self.accounts += accounts.values()
            while not self._over.is_set():
                for channel in CHANNELS:
                    with suppress(HawserError), trio.move_on_after(5):
                        await client.call(pick(["join", "join", "part"]), channel)
                await trio.sleep(pick([0.1, 1.0]))
            nursery.cancel_scope.cancel()

    # ------------------------------------------------------------ who publishes

    async def _talk(self, client: Client, name: str) -> None:
        async with trio.open_nursery() as nursery:
            for number in range(LINES):
                nursery.start_soon(self._publish, client, name, number)
                await trio.sleep(self.random.random() * 0.4)
        self._publishing -= 1
        if not self._publishing:
            await self._end(client, name)
            self._over.set()

    async def _end(self, client: Client, name: str) -> None:
        """Publish the end; whoever subscribes to a channel has it without another one, if its report is lost as well.

        Who has a pattern may hear of a channel that nobody subscribes to with the next publication only (WLD-5).
        """
        subscribers = [account for account in self.accounts if isinstance(account, Account)]
        for number in range(ENDS):
            for channel in self.ledger:
                await self._keep(client, channel, Line([name, END], even=True, key=END, but=None))
            for _ in range(ENDS if not number else 1):
                if all(account.complete for account in self.accounts):
                    return
                await trio.sleep(END_SECONDS)
                if number or all(account.complete for account in subscribers):
                    break
            else:
                return

    async def _publish(self, client: Client, name: str, number: int) -> None:
        pick = self.random.choice
        channel, even, key = pick((*CHANNELS, ALONE)), pick([True, False]), pick([None, *KEYS])
        line = Line([name, number, bytes(pick([1, 500]))], even=even, key=key, but=pick([None, None, name]))
        if pick([True, False, False]):
            with trio.move_on_after(20):
                try:
                    await client.publish(channel, line.data, volatile=True, **line.said)
                except RequestLost as error:
                    self.note(name, f"volatile {number}: {type(error).__name__}")
            self.ledger[channel].fleeting(line)
            return
        await self._keep(client, channel, line)

    async def _keep(self, client: Client, channel: str, line: Line) -> None:
        """Publish something that is kept, until its position is known."""
        key: bytes | None = None
        while True:
            try:
                receipt = await client.submit(channel, line.data, key=key, **line.said)
                key = receipt.key
                position = (await receipt.wait()).position
            except RequestLost:
                continue
            self.note(str(line.data[0]), f"published {line.data[1]} as {channel} {position.offset}")
            self.ledger[channel].keep(position, line)
            return

    # ------------------------------------------------------------ who reads

    async def _plainly(self, client: Client, resets: Resets, name: str, readers: trio.Nursery) -> None:
        for channel in CHANNELS:
            account = self._account(Account(self.ledger[channel], name, filtered=False, resets=resets))
            readers.start_soon(self._come_and_go, client, account, None)

    async def _by_filter(self, client: Client, resets: Resets, name: str, readers: trio.Nursery) -> None:
        for channel in CHANNELS:
            account = self._account(Account(self.ledger[channel], name, filtered=True, resets=resets))
            readers.start_soon(self._come_and_go, client, account, FILTER)

    async def _by_pattern(self, client: Client, resets: Resets, name: str, readers: trio.Nursery) -> None:
        filter = self.random.choice([None, FILTER])
        covered = [self.ledger[channel] for channel in ("log:1", "log:2", ALONE)]
        account = PatternAccount(covered, name, filtered=filter is not None, resets=resets)
        self.accounts.append(account)
        readers.start_soon(self._watch_pattern, client, account, filter)
        readers.start_soon(self._visit, client, account, filter)

    def _account(self, account: Account) -> Account:
        self.accounts.append(account)
        return account

    async def _come_and_go(self, client: Client, account: Account, filter: str | None) -> None:
        """Read a channel with pauses; leave it and come back to where it was."""
        pick = self.random.choice
        name = account.published.channel
        how: dict[str, Any] = {}
        if account.published.channel != "board:1" or pick([True, False]):
            how = pick([{}, {"rewind": 3}, {"rewind": 1_000}, {"rewind_seconds": 2.0}])
        while not self._over.is_set():
            since = account.here
            async with client.subscribe(name, since=since, filter=filter, **({} if since else how)) as messages:
                account.begin(messages.feed.start)
                stays = pick([3, 10, 1_000])
                while not self._over.is_set() and stays:
                    stays -= await self._take(messages, account)
                    await trio.sleep(pick([0.0, 0.0, 0.1, 0.6]))
            await trio.sleep(pick([0.0, 0.3, 2.0]))

    async def _watch_pattern(self, client: Client, account: PatternAccount, filter: str | None) -> None:
        pick = self.random.choice
        async with client.subscribe(PATTERN, filter=filter) as messages:
            while not self._over.is_set():
                await self._take(messages, account)
                await trio.sleep(pick([0.0, 0.0, 0.1, 0.6]))

    async def _visit(self, client: Client, account: PatternAccount, filter: str | None) -> None:
        """Come to one of the pattern's channels, and leave it: what is not read there is for the pattern.

        None begins when all is over: who has left the pattern may get again what the server has no report of (WLD-4).
        """
        pick = self.random.choice
        while True:
            await trio.sleep(pick([0.1, 0.5, 2.0]))
            if self._over.is_set():
                return
            if pick([True, False, False]):  # go back in history, to read nothing of it
                account.go_back("log:1")
                with trio.move_on_after(pick([0.05, 0.5, 1.0])):
                    async with client.subscribe("log:1", filter=filter, rewind=3):
                        await trio.sleep_forever()
                continue
            async with client.subscribe("log:1", filter=filter) as messages:
                for _ in range(pick([0, 3, 8])):
                    await self._take(messages, account)
                    await trio.sleep(pick([0.0, 0.1]))

    async def _take(self, messages: Subscription, account: Account | PatternAccount) -> bool:
        """Take what comes in a while; whether anything did."""
        with trio.move_on_after(self.random.choice([0.05, 1.0, 5.0])) as patience:
            try:
                item: Message | Gap = await messages.receive()
            except Gap as gap:
                item = gap
            self.note(account.who, f"{type(item).__name__} {item.channel} {item.position.offset} in {messages.channel}")
            self.items += 1
            self.gaps += isinstance(item, Gap)
            account.see(item, messages.channel)
        return not patience.cancelled_caught

    # ------------------------------------------------------------ the end

    def standing(self) -> object:
        """See `frame.World.standing`."""
        return self._publishing, [(account.who, account.standing) for account in self.accounts if not account.complete]

    def check(self) -> None:
        """See `frame.World.check`."""
        for channel, history in self.kept.items():
            rule = self.app.rule_for(channel)
            assert rule is not None
            self.ledger[channel].check_kept(history, rule.retention.messages)
        for account in self.accounts:
            account.check()
            if not account.complete:
                raise Broken(f"{account.who} has not had the end of {account.standing}")


class Resets:
    """Whether the session of a client was ever another one."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self.count = 0

    async def watch(self) -> None:
        """Count until cancelled."""
        async for state in self._client.states:
            self.count += type(state).__name__ == "Reset"


def run_world(seed: int) -> Outcome:
    """Run one seed.

    Raises:
        Broken: Something that is promised did not hold; it says which seed to run again.
    """
    with ExitStack() as stack:
        world = World(seed, stack)
        faults = live_through(world)
    volatile = sum(account.volatile for account in world.accounts)
    kept = sum(len(history.entries) for history in world.kept.values())
    kills = 0 if world.store is None else world.store.kills
    return Outcome(seed, world.lines, faults, world.items, world.gaps, volatile, kept, kills, seconds=world.seconds)


if __name__ == "__main__":
    tell(run_world)
