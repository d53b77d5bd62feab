"""What is sent to who is not there, or does not keep up, and waits in a mailbox (SPEC ADR-10, ADR-13, ADR-14)."""

from __future__ import annotations

from contextlib import AsyncExitStack, asynccontextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import (
    EVERYONE,
    NOBODY,
    App,
    Config,
    ErrorCode,
    OutcomeUnknown,
    PostRequest,
    Principal,
    Proceed,
    Request,
    RequestFailed,
    SendRequest,
    Session,
    connect,
    to,
)
from hawser.brokers import BrokerUnavailable, MemoryBroker, MemoryMailboxes, Posting, Published
from hawser.brokers.sqlite import SqliteBroker
from hawser_engine.calls import ErrorReply
from hawser_engine.mailboxes import Post
from hawser_engine.messages import ADDRESSING, MAILBOXES, Send, Target
from hawser_engine.messages import Sent as SentMessage
from tests.runtime.helpers import PATIENCE, URL, RawClient, serving
from tests.runtime.over_brokers import each_broker, its_own, unserved
from tests.runtime.test_resets import Restarts
from tests.runtime.test_sqlite_broker import killed

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping
    from pathlib import Path

    from trio.testing import MockClock

    from hawser import Client, Outcome
    from hawser.brokers import Broker
    from hawser_engine.messages import Position

pytestmark = each_broker

BOX = "user:bob"


def post_app(broker: Broker | None = None, **declared: Any) -> App:
    """Everybody is who the token says, and may do everything."""
    app = App(broker=broker)
    app.channel("*", history=100, open=True)
    app.channel("pad", history=100, volatile=True, open=True)
    app.agent("*", open=True)
    app.user("*", open=True)
    app.mailbox("user:*", open=True, **declared)
    app.mailbox("agent:*", open=True)
    app.mailbox("user:closed", post=NOBODY)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"], credentials)

    return app


@asynccontextmanager
async def served(app: App, *names: str, config: Config | None = None) -> AsyncGenerator[list[Client]]:
    """Clients of a server, each under its name."""
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app, config=config))
        yield [await stack.enter_async_context(connect(URL, token=name)) for name in names]


async def waiting(app: App, mailbox: str = BOX) -> list[bytes]:
    """Data of the letters in a mailbox, in order."""
    letters = await app.broker.mailboxes.read(mailbox, 0, limit=100, limit_bytes=10**6)
    return [letter.data for letter in letters]


async def status(client: Client | App, target: to.Target, data: object, **named: Any) -> str:
    return (await client.send(target, data, **named)).outcome.status


def code(outcome: Outcome) -> tuple[str, int, bool]:
    assert outcome.error is not None
    return outcome.status, outcome.error.code, outcome.error.temporary


# ---------------------------------------------------------------- what is queued


async def check_that_it_waits(app: App) -> None:
    async with served(app, "ada") as (ada,):
        sent = [(await ada.send(to.user("bob"), number)).outcome for number in range(2)]
        assert [(one.status, one.reached, one.full) for one in sent] == [("queued", 0, 0)] * 2
        stored = [one.published.position for one in sent if one.published is not None]
        async with connect(URL, token="bob") as bob, bob.mailbox() as letters, bob.directs():
            with trio.fail_after(PATIENCE):
                for number, position in enumerate(stored):
                    letter = await letters.receive()
                    assert (letter.data, letter.sender, letter.position) == (number, "ada", position)
                assert await status(ada, to.user("bob"), "now") == "delivered"
        assert await status(app, to.user("bob"), "of the service") == "queued"
        async with connect(URL, token="bob") as bob, bob.mailbox() as letters:
            with trio.fail_after(PATIENCE):
                assert (await letters.receive()).data == 1  # it was not acknowledged
                letter = await letters.receive()
                assert (letter.data, letter.sender) == ("of the service", None)


async def test_what_nobody_takes_waits_in_the_mailbox(autojump_clock: MockClock) -> None:
    await check_that_it_waits(post_app())


@its_own
async def test_it_does_in_a_store_as_well(tmp_path: Path) -> None:
    await check_that_it_waits(post_app(SqliteBroker(tmp_path / "store.db")))


async def test_what_those_who_listen_have_no_room_for_is_queued(autojump_clock: MockClock) -> None:
    app = post_app()
    async with (
        served(app, "ada") as (ada,),
        connect(URL, token="bob", config=Config(direct_messages=1)) as bob,
        bob.directs() as directs,
    ):
        assert await status(ada, to.user("bob"), "taken") == "delivered"
        outcome = (await ada.send(to.user("bob"), "kept")).outcome
        assert (outcome.status, outcome.reached, outcome.full) == ("queued", 0, 1)
        assert (await directs.receive()).data == "taken"
        assert await waiting(app) == [b"\x64kept"]


async def test_an_agent_without_a_worker_who_listens_has_its_mailbox(autojump_clock: MockClock) -> None:
    async def work() -> None: ...

    app = post_app()
    async with served(app, "ada", "w") as (ada, worker):
        assert await status(ada, to.agent("clerk"), 1) == "queued"
        async with worker.offer("clerk", work):
            assert await status(ada, to.agent("clerk"), 2) == "queued"
            async with worker.directs():
                assert await status(ada, to.agent("clerk"), 3) == "delivered"
        assert await waiting(app, "agent:clerk") == [b"\x01", b"\x02"]


async def test_each_target_is_for_itself_and_a_mailbox_gets_one_letter(autojump_clock: MockClock) -> None:
    app = post_app()
    async with served(app, "ada", "eve") as (ada, eve), eve.directs():
        targets = [
            to.user("bob"),
            to.user("eve"),
            to.agent("clerk"),
            to.user("bob"),
            to.user("closed"),
            to.session("00" * 8),
            to.channel("room"),
            to.everybody,
        ]
        outcomes = (await ada.send(targets, "x")).outcomes
        told = [(one.status, one.reached, one.published and one.published.position.offset) for one in outcomes]
        assert told == [
            ("queued", 0, 1),
            ("delivered", 1, None),
            ("queued", 0, 1),
            ("queued", 0, 1),
            ("nobody", 0, None),
            ("nobody", 0, None),
            ("published", 0, 1),
            ("delivered", 1, None),
        ]
        assert outcomes[0].published == outcomes[3].published
        assert [len(await waiting(app, box)) for box in (BOX, "agent:clerk", "user:closed", "user:eve")] == [1, 1, 0, 0]


async def test_who_begins_to_listen_meanwhile_does_not_get_it_twice(autojump_clock: MockClock) -> None:
    """SPEC ADR-14: the right to send to the target between is asked for that long."""
    app = post_app()
    rule = app.user("slow")
    asked = trio.Event()

    @rule.authorize
    async def may(session: Session, action: str, user: str) -> bool:
        asked.set()
        await trio.sleep(5)
        return True

    async with served(app, "ada", "bob") as (ada, bob), trio.open_nursery() as nursery:

        async def send() -> None:
            outcomes = (await ada.send([to.user("bob"), to.user("slow"), to.user("bob")], "x")).outcomes
            assert [one.status for one in outcomes] == ["queued"] * 3
            assert outcomes[0].published == outcomes[2].published

        nursery.start_soon(send)
        await asked.wait()
        async with bob.directs():
            await trio.sleep(10)
        assert await waiting(app) == [b"\x61x"]


@unserved
async def test_letters_stand_in_the_order_in_which_they_were_sent_and_posted(autojump_clock: MockClock) -> None:
    app = post_app()
    async with served(app, "ada") as (ada,), trio.open_nursery() as nursery:
        for number in range(0, 40, 2):
            nursery.start_soon(ada.send, to.user("bob"), number)
            await wait_all_tasks_blocked()
            nursery.start_soon(ada.post, BOX, number + 1)
            await wait_all_tasks_blocked()
    assert [data[-1] for data in await waiting(app)] == [*range(40)]


# ---------------------------------------------------------------- what is not


async def test_without_a_mailbox_or_the_right_to_post_nothing_is_queued(autojump_clock: MockClock) -> None:
    app = post_app()
    rule = app.mailbox("user:asked:*")

    @rule.authorize
    async def may(session: Session, action: str, mailbox: str) -> bool:
        if mailbox.endswith("broken"):
            raise ValueError("oops")
        return mailbox.endswith("yes")

    async with (
        served(app, "ada") as (ada,),
        connect(URL, token="closed", config=Config(direct_messages=1)) as closed,
        closed.directs(),
    ):
        long = "n" * 251
        assert await status(ada, to.user("asked:yes"), 1) == "queued"
        assert await status(ada, to.user("asked:no"), 1) == "nobody"
        assert await status(app, to.user("asked:no"), 1) == "queued"
        broken = (await ada.send([to.user("asked:broken"), to.user("bob")], 1)).outcomes
        assert code(broken[0]) == ("refused", ErrorCode.INTERNAL, False)
        assert broken[1].status == "queued"
        assert [await status(who, to.user(long), 1) for who in (ada, app)] == ["nobody"] * 2
        assert await status(ada, to.user(long[1:]), 1) == "queued"
        assert [await status(ada, to.user("closed"), 1) for _ in range(2)] == ["delivered", "full"]
    bare = App()
    bare.user("*", open=True)
    async with serving(bare), connect(URL) as client:
        assert [await status(who, to.user("bob"), 1) for who in (client, bare)] == ["nobody"] * 2


async def test_the_right_to_post_is_none_to_send(autojump_clock: MockClock) -> None:
    app = post_app()
    app.user("shut", send=NOBODY)
    app.mailbox("user:shut", post=EVERYONE)
    async with served(app, "ada") as (ada,):
        assert code((await ada.send(to.user("shut"), 1)).outcome)[:2] == ("refused", ErrorCode.DENIED)
        assert await waiting(app, "user:shut") == []


async def test_who_spares_itself_is_not_written_to(autojump_clock: MockClock) -> None:
    async def work() -> None: ...

    app = post_app()
    handles: list[Session] = []

    @app.on_connect
    async def arrived(session: Session) -> None:
        handles.append(session)

    async with served(app, "ada") as (ada,), ada.offer("clerk", work):
        targets = [to.user("ada"), to.agent("clerk"), to.user("bob"), to.agent("guard")]
        spared = (await ada.send(targets, 1, except_me=True)).outcomes
        assert [one.status for one in spared] == ["nobody", "nobody", "queued", "queued"]
        assert [one.status for one in (await ada.send(targets, 2)).outcomes] == ["queued"] * 4
        mine = [handle for handle in handles if handle.principal.id == "ada"]
        left = (await app.send(targets, 3, but=mine)).outcomes
        assert [one.status for one in left] == ["nobody", "nobody", "queued", "queued"]


async def test_what_is_volatile_is_kept_nowhere(autojump_clock: MockClock) -> None:
    app = post_app()
    async with served(app, "ada", "eve") as (ada, eve), eve.directs() as directs, eve.subscribe("pad") as messages:
        targets = [to.user("bob"), to.user("eve"), to.channel("pad"), to.channel("room")]
        outcomes = (await ada.send(targets, "now", volatile=True)).outcomes
        assert [one.status for one in outcomes] == ["nobody", "delivered", "published", "refused"]
        assert (outcomes[3].error and outcomes[3].error.code) == ErrorCode.BAD_REQUEST
        assert ((await directs.receive()).data, (await messages.receive()).volatile) == ("now", True)
        outcomes = (await app.send(targets[:3], "now", volatile=True)).outcomes
        assert [one.status for one in outcomes] == ["nobody", "delivered", "published"]
        assert (await messages.receive()).volatile
        assert await waiting(app) == []
        assert (await app.broker.history("pad", 0, limit=9, limit_bytes=9)).entries == ()
        for who in (ada, app):
            with pytest.raises(ValueError, match="idempotency key"):
                await who.send(to.user("bob"), 1, key=b"k", volatile=True)


# ---------------------------------------------------------------- keys


async def check_keys(app: App) -> None:
    async with served(app, "ada", "eve", "bob") as (ada, eve, bob):
        for who in (ada, eve, app):
            first = (await who.send(to.user("bob"), "x", key=b"k")).outcome
            again = (await who.send(to.user("bob"), "other", key=b"k")).outcome
            assert (first.status, again.status) == ("queued", "duplicate")
            assert first.published is not None
            assert again.published is not None
            assert again.published.duplicate
            assert again.published.position == first.published.position
        assert await waiting(app) == [b"\x61x"] * 3
        async with bob.directs() as directs:  # also to who listens by now
            twice = (await ada.send([to.user("bob"), to.agent("clerk")], "y", key=b"k")).outcomes
            assert [one.status for one in twice] == ["duplicate", "queued"]
            for _ in range(2):  # what sessions have taken is not remembered
                assert await status(ada, to.user("bob"), "z", key=b"l") == "delivered"
            with trio.fail_after(PATIENCE):
                assert [(await directs.receive()).data for _ in range(2)] == ["z", "z"]
        async with bob.mailbox() as letters:
            with trio.fail_after(PATIENCE):
                for _ in range(3):
                    await letters.receive()
                    letters.done()
                while await waiting(app):
                    await trio.sleep(0.01)
        assert await status(ada, to.user("bob"), "x", key=b"k") == "duplicate"  # also when it is settled
        assert (await ada.post(BOX, "x", key=b"k")).duplicate
        assert not (await ada.post(BOX, "x", key=b"p")).duplicate
        assert await status(ada, to.user("bob"), "x", key=b"p") == "duplicate"


async def test_a_key_makes_one_letter_and_keeps_it_from_sessions(autojump_clock: MockClock) -> None:
    await check_keys(post_app())


@its_own
async def test_it_does_so_with_a_store(tmp_path: Path) -> None:
    await check_keys(post_app(SqliteBroker(tmp_path / "store.db")))


async def test_without_a_key_each_is_a_letter(autojump_clock: MockClock) -> None:
    app = post_app()
    raw_client = RawClient(credentials={"token": "ada"}, features=(ADDRESSING,))
    async with serving(app), raw_client.connected() as raw:
        await raw.opened.wait()
        for id in (1, 2):
            raw.say(Send(id, (Target(1, "bob"),), b"x", None))
            answer = await raw.hear()
            assert isinstance(answer, SentMessage)
            assert answer.outcomes[0].position is not None
            assert answer.outcomes[0].position.offset == id
        assert await waiting(app) == [b"x", b"x"]


@its_own
async def test_who_is_asked_twice_at_once_stores_one_letter(autojump_clock: MockClock) -> None:
    """The same user on two devices: neither knows of the letter of the other yet."""

    class Slow(MemoryMailboxes):
        async def post(self, posting: Posting) -> Published:
            await trio.sleep(1)
            return await super().post(posting)

    broker = MemoryBroker()
    broker.mailboxes = Slow(broker)
    app, told = post_app(broker), list[str]()
    async with served(app, "ada", "ada") as clients, trio.open_nursery() as nursery:

        async def send(client: Client) -> None:
            told.append(await status(client, to.user("bob"), 1, key=b"k"))

        for client in clients:
            nursery.start_soon(send, client)
    assert sorted(told) == ["duplicate", "queued"]
    assert await waiting(app) == [b"\x01"]


@its_own
async def test_an_answer_that_was_lost_is_asked_for_again_under_its_key(autojump_clock: MockClock) -> None:
    """The letter is stored, and the server is gone before it says so: also to who listens by then it is not sent."""
    stored = trio.Event()

    class NeverAnswers(MemoryMailboxes):
        async def post(self, posting: Posting) -> Published:
            published = await super().post(posting)
            stored.set()
            await trio.sleep_forever()
            return published

    broker = MemoryBroker()
    broker.mailboxes = NeverAnswers(broker)
    app, lost = post_app(broker), list[OutcomeUnknown]()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, token="ada") as ada, connect(URL, token="bob") as bob, trio.open_nursery() as sending:

            async def send() -> None:
                with pytest.raises(OutcomeUnknown) as caught:
                    await ada.send(to.user("bob"), "once")
                lost.append(caught.value)

            sending.start_soon(send)
            await stored.wait()
            await restarts.end()
            await restarts.start(app)
            await trio.sleep(60)  # until both are back
            async with bob.directs():
                assert await status(ada, to.user("bob"), "else") == "delivered"
                assert await status(ada, to.user("bob"), "once", key=lost[0].key) == "duplicate"
        await restarts.end()
    assert await waiting(app) == [b"\x64once"]


@unserved
async def test_the_application_queues_only_what_no_server_of_its_own_can_give(autojump_clock: MockClock) -> None:
    app, other = post_app(), "memory://other"
    async with served(app), serving(app, url=other), connect(other, token="bob") as bob:
        async with bob.directs() as directs:
            assert await status(app, to.user("bob"), 1) == "delivered"
            assert (await directs.receive()).data == 1
        await trio.sleep(1)
        assert await status(app, to.user("bob"), 2) == "queued"
    assert await waiting(app) == [b"\x02"]


# ---------------------------------------------------------------- what cannot be stored


async def test_a_mailbox_without_room_refuses_and_touches_nobody_else(autojump_clock: MockClock) -> None:
    app = post_app(letters=2)
    async with served(app, "ada", "eve", config=Config(message_bytes=2_000)) as (ada, eve), eve.directs():
        for who in (ada, app):
            outcomes = (await who.send([to.user("bob"), to.user("eve"), to.user("max")], "x")).outcomes
            assert [one.status for one in outcomes] == ["queued", "delivered", "queued"]
        for who in (ada, app):
            outcomes = (await who.send([to.user("bob"), to.user("eve"), to.agent("clerk")], "x")).outcomes
            assert code(outcomes[0]) == ("refused", ErrorCode.BUSY, True)
            assert [one.status for one in outcomes[1:]] == ["delivered", "queued"]
        assert await waiting(app) == [b"\x61x"] * 2
        # A LETTER is longer than a DIRECT of the same data: the one would do, the other not.
        outcome = (await ada.send(to.user("max"), bytes(1_955))).outcome
        assert code(outcome)[:2] == ("refused", ErrorCode.TOO_LARGE)
        assert await status(ada, to.user("eve"), bytes(1_955)) == "delivered"


class Moody(MemoryMailboxes):
    """A store that fails as it is told to."""

    failing: Exception | None = None
    asked: int = 0

    async def post(self, posting: Posting) -> Published:
        if self.failing is not None and posting.mailbox == BOX:
            raise self.failing
        return await super().post(posting)

    async def known(self, mailbox: str, key: bytes) -> Position | None:
        self.asked += 1
        if isinstance(self.failing, BrokerUnavailable) and mailbox == "user:eve":
            raise self.failing
        return await super().known(mailbox, key)


@its_own
async def test_a_store_that_cannot_be_written_is_told_to_the_sender(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker()
    broker.mailboxes = store = Moody(broker)
    app = post_app(broker)
    async with served(app, "ada", "eve", "max") as (ada, eve, max_), eve.directs() as directs, max_.directs():
        targets = [to.user("bob"), to.user("eve"), to.user("max")]
        store.failing = BrokerUnavailable("away")
        for who in (ada, app):
            outcomes = (await who.send(targets, "lost", key=b"k")).outcomes
            assert [code(one) for one in outcomes[:2]] == [("refused", ErrorCode.UNAVAILABLE, True)] * 2
            assert outcomes[2].status == "delivered"
        assert not caplog.records
        store.failing = ValueError("oops")
        for who in (ada, app):
            outcomes = (await who.send(targets, "kept", key=b"k")).outcomes
            assert code(outcomes[0]) == ("refused", ErrorCode.INTERNAL, False)
            assert [one.status for one in outcomes[1:]] == ["delivered"] * 2
        assert len(caplog.records) == 2
        store.failing = None
        assert await status(ada, to.user("bob"), "kept", key=b"k") == "queued"
        assert [(await directs.receive()).data for _ in range(2)] == ["kept"] * 2
        assert await waiting(app) == [b"\x64kept"]


@its_own
async def test_nobody_is_told_before_it_is_stored(autojump_clock: MockClock) -> None:
    """SPEC MBX-2, ADR-10; and letters of one SEND are stored side by side."""
    gate, begun = trio.Event(), list[str]()

    class Slow(MemoryMailboxes):
        async def post(self, posting: Posting) -> Published:
            begun.append(posting.mailbox)
            await gate.wait()
            return await super().post(posting)

    broker = MemoryBroker()
    broker.mailboxes = Slow(broker)
    app, told = post_app(broker), list[str]()
    async with served(app, "ada") as (ada,), trio.open_nursery() as nursery:

        async def send() -> None:
            sent = await ada.send([to.user("bob"), to.user("eve")], 1)
            told.extend(one.status for one in sent.outcomes)

        nursery.start_soon(send)
        await trio.sleep(100)
        assert (sorted(begun), told) == ([BOX, "user:eve"], [])
        gate.set()
    assert told == ["queued", "queued"]


@its_own
async def test_what_was_told_survives_a_kill_and_a_full_store_says_so(tmp_path: Path) -> None:
    """Every letter of which the sender was told is there after a restart, under its key; of no other is one."""
    path, told = tmp_path / "store.db", list[bytes]()
    refused = 0
    async with served(post_app(SqliteBroker(path, bytes_max=300_000)), "ada") as (ada,):
        for number in range(100):
            key = b"%d" % number
            outcome = (await ada.send(to.user("bob"), bytes(10_000), key=key)).outcome
            if outcome.status == "queued":
                told.append(key)
            else:
                assert code(outcome) == ("refused", ErrorCode.UNAVAILABLE, True)
                refused += 1
        assert len(told) > 5
        assert refused > 5
        image = killed(path, "image")
    again = post_app(SqliteBroker(image))
    async with served(again, "ada", "bob") as (ada, bob), bob.directs():
        assert len(await waiting(again)) == len(told)
        for number in range(100):
            key = b"%d" % number
            outcome = (await ada.send(to.user("bob"), "again", key=key)).outcome
            assert outcome.status == ("duplicate" if key in told else "delivered")


# ---------------------------------------------------------------- middleware


async def test_middleware_sees_what_is_posted_and_what_is_queued(autojump_clock: MockClock) -> None:
    app = post_app()
    seen: list[tuple[str, Any, float, bool]] = []

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, SendRequest):
            return await proceed()
        assert isinstance(request, PostRequest)
        data = request.data
        seen.append((request.mailbox, data, request.ttl, request.key is not None))
        if data == "refused":
            raise RequestFailed(100, "not this")
        if data == "denied":
            raise RequestFailed(ErrorCode.DENIED, "not you")
        if data == "nothing":
            return None
        if data == "other":
            return await proceed(attrs.evolve(request, mailbox="user:eve"))
        stored = await proceed(request.with_data([data]))
        assert isinstance(stored, Published)
        return stored

    async with served(app, "ada", "eve") as (ada, eve), eve.directs():
        await ada.post(BOX, 1, ttl=9)
        assert await status(ada, to.user("bob"), 2) == "queued"
        assert await status(ada, to.user("eve"), 3) == "delivered"
        assert await waiting(app) == [b"\x81\x01", b"\x81\x02"]
        assert seen == [(BOX, 1, 9, True), (BOX, 2, inf, True)]
        for data, error in (("refused", 100), ("nothing", ErrorCode.INTERNAL), ("other", ErrorCode.INTERNAL)):
            with pytest.raises(RequestFailed) as caught:
                await ada.post(BOX, data)
            assert caught.value.code == error
        assert await status(ada, to.user("bob"), "denied") == "nobody"
        refused = (await ada.send([to.user("bob"), to.agent("clerk")], "refused")).outcomes
        assert [one.status for one in refused] == ["refused"] * 2
        assert (await ada.send(to.user("bob"), "nothing")).outcome.status == "refused"
        await app.post(BOX, 4)  # the application is asked nothing
        assert len(await waiting(app)) == 3


async def test_what_a_server_does_not_look_into_is_refused_to_middleware(autojump_clock: MockClock) -> None:
    app = post_app()

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, PostRequest)
        assert request.data
        return await proceed()

    raw_client = RawClient(credentials={"token": "ada"}, features=(MAILBOXES,))
    async with serving(app), raw_client.connected() as raw:
        await raw.opened.wait()
        for id, data, expected in ((1, bytes(65_537), ErrorCode.TOO_LARGE), (2, b"\xff", ErrorCode.BAD_REQUEST)):
            raw.say(Post(id, BOX, data, None, None))
            answer = await raw.hear()
            assert isinstance(answer, ErrorReply)
            assert answer.code == expected
