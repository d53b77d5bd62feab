"""After a reset a client asks for everything again, and a server may take little at a time (SPEC RST-10, OPS-2)."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    EVERYONE,
    App,
    Client,
    ClientPool,
    Config,
    ErrorCode,
    OfferRequest,
    Outbox,
    OutcomeUnknown,
    PooledClient,
    Principal,
    RequestFailed,
    Session,
    connect,
    states,
    to,
)
from hawser.brokers import BrokerUnavailable, MemoryBroker, MemoryMailboxes, MemoryPresence
from tests.runtime.helpers import PATIENCE, URL, collect, serving
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from trio.testing import MockClock

    from hawser import Position, Proceed, Request
    from hawser.brokers import Broker, MailSink, PresenceSink, Sink
    from hawser_engine.presence import Member

    Anybody = Client | PooledClient

KINDS = ("subscription", "pattern", "presence", "mailbox", "offer")


class Harbour:
    """An application with everything that a client can ask for, in which everybody may do everything."""

    def __init__(self, broker: Broker | None = None) -> None:
        self.app = App(broker=broker)
        self.app.channel("*", history=100, presence=True, open=True)
        self.app.channel("live:*", open=True, wildcard=EVERYONE)
        self.app.mailbox("agent:*", open=True)
        self.app.agent("*", open=True)
        self.app.user("*", open=True)
        self.allowed = trio.Event()
        """Until it is set, whoever asks for something of ``slow`` waits."""
        self.allowed.set()
        self.asked: list[tuple[str, str]] = []
        """For what of ``slow``, in order."""
        slow = self.app.channel("slow:*", history=100, presence=True)

        @self.app.authenticate
        async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
            return Principal(credentials["token"], credentials)

        @slow.authorize
        async def authorize(session: Session, action: str, channel: str) -> bool:
            self.asked.append((action, channel))
            await self.allowed.wait()
            return True

        @self.app.procedure("echo")
        async def echo(session: Session, value: int) -> int:
            return value


class Away(MemoryBroker):
    """Does not answer whoever begins something, as long as it is away; and counts how often that was."""

    def __init__(self) -> None:
        super().__init__()
        self.away = False
        self.asked = 0
        broker = self

        class Mailboxes(MemoryMailboxes):
            async def hold(self, mailbox: str, sink: MailSink) -> bool:
                broker.check()
                return await super().hold(mailbox, sink)

        class Presence(MemoryPresence):
            async def watch(self, channel: str, sink: PresenceSink) -> tuple[Member, ...]:
                broker.check()
                return await super().watch(channel, sink)

        self.mailboxes = Mailboxes(self)
        self.presence = Presence()

    def check(self) -> None:
        if self.away:
            self.asked += 1
            raise BrokerUnavailable("away")

    async def intervene(self, request: Request, proceed: Proceed) -> object:
        """Middleware, for what needs no store."""
        if isinstance(request, OfferRequest) and self.away:
            self.asked += 1
            raise RequestFailed(ErrorCode.UNAVAILABLE, "away", temporary=True)
        return await proceed(request)

    async def join(self, channel: str, sink: Sink) -> Position:
        self.check()
        return await super().join(channel, sink)


def enter(kind: str, client: Any, number: int) -> Any:
    """The thing of this kind and number, to be entered."""

    async def work() -> int:
        return number

    match kind:
        case "subscription":
            return client.subscribe(f"room:{number}")
        case "pattern":
            return client.subscribe(f"live:{number}:*")
        case "presence":
            return client.presence(f"room:{number}", info=number)
        case "mailbox":
            return client.mailbox(f"agent:{number}")
        case "offer":
            return client.offer(f"clerk{number}", work)
        case "directs":
            return client.directs()
        case _:
            raise AssertionError(kind)


async def works(kind: str, app: App, friend: Client, thing: Any, number: int) -> None:
    """Use it, from the other end."""
    with trio.fail_after(PATIENCE):
        match kind:
            case "subscription":
                await friend.publish(f"room:{number}", f"to {number}")
                assert await collect(thing, 1) == [f"to {number}"]
            case "pattern":
                await friend.publish(f"live:{number}:x", f"to {number}")
                assert (await collect(thing, 2))[1] == f"to {number}"  # after the gap that a reset is to a pattern
            case "presence":
                assert [member.info for member in thing.members] == [number]
                assert [member.info for member in await app.members(f"room:{number}")] == [number]
            case "mailbox":
                await friend.post(f"agent:{number}", number)
                assert (await thing.receive()).data == number
            case "offer":
                assert await friend.call(f"clerk{number}.work") == number
            case "directs":
                assert (await friend.send(to.user("ada"), "you")).outcomes[0].reached == 1
                assert (await thing.receive()).data == "you"
            case _:
                raise AssertionError(kind)


async def opened_anew(client: Anybody) -> None:
    """Wait until there is a new session."""
    with trio.fail_after(PATIENCE):
        async for state in client.states:
            if isinstance(state, states.Connected) and not state.resumed:
                break


async def restart(restarts: Restarts, app: App, client: Anybody) -> None:
    """Another server without a memory of anything takes the place of the one that is there."""
    await restarts.end()
    await restarts.start(app)
    await opened_anew(client)
    await trio.sleep(30)


@asynccontextmanager
async def restartable(config: Config, harbour: Harbour) -> AsyncGenerator[Restarts]:
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery, config)
        await restarts.start(harbour.app)
        yield restarts
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    "config",
    [
        Config(operations=1),
        Config(operations=2),
        Config(operation_bytes=1),
        Config(operation_bytes=1_000),
        Config(window_messages=1, queue_messages=1),
        Config(),
    ],
    ids=["one", "two", "one byte", "few bytes", "small window", "as it comes"],
)
@pytest.mark.parametrize(
    "kinds",
    [*[(kind,) for kind in KINDS], ("directs", "offer"), (*KINDS, "directs")],
    ids=lambda kinds: "+".join(kinds),
)
async def test_everything_is_there_again_after_a_reset_however_little_the_server_takes_at_once(
    kinds: tuple[str, ...], config: Config, autojump_clock: MockClock
) -> None:
    """SPEC RST-10, RST-12, OPS-2."""
    harbour = Harbour()
    async with (
        restartable(config, harbour) as restarts,
        connect(URL, token="ada", config=config) as ada,
        AsyncExitStack() as stack,
    ):
        wanted = [(kind, number) for kind in kinds for number in range(1 if kind == "directs" else 4)]
        things = [(kind, await stack.enter_async_context(enter(kind, ada, number)), number) for kind, number in wanted]
        for _ in range(2):
            await restart(restarts, harbour.app, ada)
            async with connect(URL, token="bob") as bob:
                for kind, thing, number in things:
                    await works(kind, harbour.app, bob, thing, number)


@pytest.mark.parametrize("operations", [1, 2])
@pytest.mark.parametrize("kind", ["subscription", "presence", "offer"])
async def test_the_users_of_one_session_have_everything_again_after_a_reset(
    kind: str, operations: int, autojump_clock: MockClock
) -> None:
    harbour = Harbour()
    async with (
        restartable(Config(operations=operations), harbour) as restarts,
        ClientPool() as pool,
        pool.client(URL, principal="ada", token="ada") as one,
        pool.client(URL, principal="ada", token="ada") as two,
        AsyncExitStack() as stack,
    ):
        users = {0: one, 1: two, 2: one, 3: two}
        things = {number: await stack.enter_async_context(enter(kind, users[number], number)) for number in users}
        await restart(restarts, harbour.app, one)
        async with connect(URL, token="bob") as bob:
            for number, thing in things.items():
                await works(kind, harbour.app, bob, thing, number)


@pytest.mark.parametrize("operations", [1, 2])
async def test_more_channels_than_one_request_holds_come_back_one_request_after_the_other(
    operations: int, autojump_clock: MockClock
) -> None:
    harbour, count = Harbour(), 300
    config = Config(operations=operations, channels_per_session=count, joins_per_second=1e6)
    async with restartable(config, harbour) as restarts, connect(URL, token="ada") as ada, AsyncExitStack() as stack:
        subscriptions = [await stack.enter_async_context(ada.subscribe(f"room:{number}")) for number in range(count)]
        await restart(restarts, harbour.app, ada)
        for subscription in subscriptions:
            await ada.publish(subscription.channel, "again")
            assert await collect(subscription, 1) == ["again"]


@pytest.mark.parametrize("kind", ["presence", "mailbox", "offer", "directs"])
async def test_what_is_given_up_meanwhile_is_not_asked_for_again(kind: str, autojump_clock: MockClock) -> None:
    """Something before it keeps the server busy; and it can be had anew at once."""
    harbour = Harbour()
    async with (
        restartable(Config(operations=1), harbour) as restarts,
        connect(URL, token="ada") as ada,
        ada.subscribe("slow:1"),
    ):
        first = enter(kind, ada, 1)
        await first.__aenter__()
        harbour.allowed = trio.Event()
        await restarts.end()
        await restarts.start(harbour.app)
        await opened_anew(ada)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(first.__aexit__, None, None, None)
            await trio.sleep(1)
            spoken = ada._dialogue.operations.unanswered  # pyright: ignore[reportPrivateUsage]
            assert spoken == 1
            harbour.allowed.set()
        async with enter(kind, ada, 1) as thing, connect(URL, token="bob") as bob:
            await works(kind, harbour.app, bob, thing, 1)


async def test_channels_that_are_given_up_meanwhile_are_left_out_of_the_request(autojump_clock: MockClock) -> None:
    """Of the second request of two one is left, and of the third none."""
    harbour = Harbour()
    config = Config(operations=1, channels_per_session=257, joins_per_second=1e6)
    async with restartable(config, harbour) as restarts, connect(URL, token="ada") as ada, AsyncExitStack() as stack:
        await stack.enter_async_context(ada.subscribe("slow:0"))
        for number in range(1, 128):
            await stack.enter_async_context(ada.subscribe(f"room:{number}"))
        kept = await stack.enter_async_context(ada.subscribe("slow:1"))
        others = AsyncExitStack()
        for number in range(2, 130):
            await others.enter_async_context(ada.subscribe(f"slow:{number}"))
        harbour.allowed = trio.Event()
        harbour.asked.clear()
        await restarts.end()
        await restarts.start(harbour.app)
        await opened_anew(ada)
        await others.aclose()
        await trio.sleep(1)
        harbour.allowed.set()
        await trio.sleep(30)
        assert harbour.asked == [("subscribe", "slow:0"), ("subscribe", "slow:1")]
        await ada.publish("slow:1", "still")
        assert await collect(kept, 1) == ["still"]


@pytest.mark.parametrize("kinds", [(*KINDS, "directs")])
async def test_a_further_reset_in_the_middle_begins_with_everything_again(
    kinds: tuple[str, ...], autojump_clock: MockClock
) -> None:
    harbour = Harbour()
    async with (
        restartable(Config(operations=1), harbour) as restarts,
        connect(URL, token="ada") as ada,
        ada.subscribe("slow:1"),
        AsyncExitStack() as stack,
    ):
        things = [(kind, await stack.enter_async_context(enter(kind, ada, 1))) for kind in kinds]
        harbour.allowed = trio.Event()
        for _ in range(2):
            await restarts.end()
            await restarts.start(harbour.app)
            await opened_anew(ada)
            await trio.sleep(5)
        harbour.allowed.set()
        await trio.sleep(30)
        async with connect(URL, token="bob") as bob:
            for kind, thing in things:
                await works(kind, harbour.app, bob, thing, 1)


@pytest.mark.parametrize("outbox", [None, Outbox()], ids=["without", "with"])
@pytest.mark.parametrize("operations", [1, 2, 256])
async def test_nothing_of_the_application_goes_before_what_is_asked_for_again(
    operations: int, outbox: Outbox | None, autojump_clock: MockClock
) -> None:
    """SPEC RST-12; but for calls, which are in no order with it, and need not wait."""
    harbour = Harbour()
    async with (
        restartable(Config(operations=operations), harbour) as restarts,
        connect(URL, token="ada", outbox=outbox) as ada,
        ada.subscribe("slow:1"),
        ada.presence("slow:2", info=1, watch=False),
        ada.presence("slow:3", info=1, watch=False),
        trio.open_nursery() as nursery,
    ):
        harbour.allowed = trio.Event()
        harbour.asked.clear()
        await restarts.end()
        await restarts.start(harbour.app)
        await opened_anew(ada)
        nursery.start_soon(ada.publish, "slow:4", "late")
        with trio.fail_after(PATIENCE):
            assert await ada.call("echo", 1) == 1
        await trio.sleep(1)
        assert harbour.asked == [("subscribe", "slow:1")]
        harbour.allowed.set()
        await trio.sleep(30)
        assert [channel for _, channel in harbour.asked] == ["slow:1", "slow:2", "slow:3", "slow:4"]


async def test_what_has_waited_for_room_since_before_the_reset_goes_behind_it_too(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    async with (
        restartable(Config(operations=1), harbour) as restarts,
        connect(URL, token="ada") as ada,
        ada.subscribe("slow:1"),
        ada.presence("slow:2", info=1, watch=False),
        trio.open_nursery() as nursery,
    ):
        harbour.allowed = trio.Event()
        receipt = await ada.submit("slow:3", "under way")
        nursery.start_soon(ada.publish, "slow:4", "waits")
        await trio.sleep(1)
        harbour.asked.clear()
        await restarts.end()
        await restarts.start(harbour.app)
        with pytest.raises(OutcomeUnknown):
            await receipt.wait()
        await opened_anew(ada)
        harbour.allowed.set()
        await trio.sleep(30)
        assert [channel for _, channel in harbour.asked] == ["slow:1", "slow:2", "slow:4"]


async def test_a_client_that_is_left_in_the_middle_ends_at_once(autojump_clock: MockClock) -> None:
    harbour = Harbour()
    async with restartable(Config(operations=1), harbour) as restarts:
        async with connect(URL, token="ada") as ada, ada.subscribe("slow:1"), ada.presence("room:1") as presence:
            harbour.allowed = trio.Event()
            await restarts.end()
            await restarts.start(harbour.app)
            await opened_anew(ada)
            begun = trio.current_time()
            await ada.aclose()
            assert [change async for change in presence] == []
        assert trio.current_time() - begun < 5


@pytest.mark.parametrize("kind", ["presence", "mailbox", "offer", "subscription"])
async def test_names_count_by_the_bytes_that_they_have_on_the_wire(kind: str, autojump_clock: MockClock) -> None:
    """SPEC OPS-2: else a client takes two for fewer bytes than the server does, and is told BUSY."""
    harbour = Harbour()
    long = "\N{ANCHOR}" * 40  # three bytes each
    async with serving(harbour.app, config=Config(operation_bytes=240)), connect(URL, token="ada") as ada:

        async def work() -> None: ...

        async def use(number: int) -> None:
            things: dict[str, Any] = {
                "presence": ada.presence(f"{long}{number}"),
                "mailbox": ada.mailbox(f"agent:{long}{number}"),
                "offer": ada.offer(f"{long}{number}", work),
                "subscription": ada.subscribe(f"{long}{number}"),
            }
            async with things[kind]:
                pass

        async with trio.open_nursery() as nursery:
            for number in range(4):
                nursery.start_soon(use, number)
        await trio.sleep(1)
        assert ada._dialogue.operations.unanswered == 0  # pyright: ignore[reportPrivateUsage]


LASTING = ["subscription", "presence", "mailbox", "offer"]


async def come_back_away(broker: Away, harbour: Harbour, restarts: Restarts, client: Client) -> None:
    """The server is restarted, and what it needs is not there yet."""
    harbour.app.middleware(broker.intervene)
    broker.away = True
    await restarts.end()
    await restarts.start(harbour.app)
    await opened_anew(client)


@pytest.mark.parametrize("operations", [1, 256])
@pytest.mark.parametrize("kind", LASTING)
async def test_what_is_refused_for_now_comes_again(kind: str, operations: int, autojump_clock: MockClock) -> None:
    """SPEC RST-13: until the server has what it lacked; and less and less often."""
    broker = Away()
    harbour = Harbour(broker)
    async with (
        restartable(Config(operations=operations), harbour) as restarts,
        connect(URL, token="ada") as ada,
        enter(kind, ada, 1) as one,
        enter(kind, ada, 2) as two,
        connect(URL, token="bob") as bob,
    ):
        await come_back_away(broker, harbour, restarts, ada)
        await trio.sleep(600)
        assert 2 * 20 < broker.asked < 2 * 100
        assert (await bob.call("echo", 1), await ada.call("echo", 1)) == (1, 1)
        broker.away = False
        await trio.sleep(60)
        for number, thing in ((1, one), (2, two)):
            await works(kind, harbour.app, bob, thing, number)


@pytest.mark.parametrize("kind", LASTING)
async def test_what_is_given_up_while_it_is_refused_does_not_come_again(kind: str, autojump_clock: MockClock) -> None:
    broker = Away()
    harbour = Harbour(broker)
    async with (
        restartable(Config(), harbour) as restarts,
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
    ):
        async with enter(kind, ada, 1):
            await come_back_away(broker, harbour, restarts, ada)
            await trio.sleep(5)
        asked = broker.asked
        await trio.sleep(60)
        assert broker.asked == asked
        broker.away = False
        async with enter(kind, ada, 1) as thing:
            await works(kind, harbour.app, bob, thing, 1)


@pytest.mark.parametrize("kind", LASTING)
async def test_a_further_reset_forgets_what_was_refused_for_now(kind: str, autojump_clock: MockClock) -> None:
    """It is asked for once in the next session, and not once more because it was refused in this one."""
    broker = Away()
    harbour = Harbour(broker)
    async with (
        restartable(Config(), harbour) as restarts,
        connect(URL, token="ada") as ada,
        enter(kind, ada, 1) as thing,
        connect(URL, token="bob") as bob,
    ):
        await come_back_away(broker, harbour, restarts, ada)
        await trio.sleep(120)  # the pauses are long by now
        broker.away = False
        asked = broker.asked
        await restart(restarts, harbour.app, ada)
        await works(kind, harbour.app, bob, thing, 1)
        assert broker.asked == asked


@pytest.mark.parametrize("kind", LASTING)
async def test_what_is_asked_for_the_first_time_and_refused_is_told_at_once(
    kind: str, autojump_clock: MockClock
) -> None:
    broker = Away()
    harbour = Harbour(broker)
    harbour.app.middleware(broker.intervene)
    async with restartable(Config(), harbour), connect(URL, token="ada") as ada:
        broker.away = True
        with pytest.raises(RequestFailed) as caught:
            await enter(kind, ada, 1).__aenter__()
        assert (caught.value.code, caught.value.temporary) == (ErrorCode.UNAVAILABLE, True)
        assert broker.asked == 1
