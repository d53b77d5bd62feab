"""Mailboxes as programs use them: letters that wait, one holder, what is settled and what is not."""

from __future__ import annotations

from contextlib import AsyncExitStack, suppress
from functools import partial
from itertools import pairwise
from math import inf, nan
from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
import trio.testing

from hawser import (
    ASK,
    EVERYONE,
    NOBODY,
    App,
    Config,
    DeadLetterCounts,
    ErrorCode,
    Letter,
    LetterTooLarge,
    Mailbox,
    MailboxFull,
    Principal,
    RequestFailed,
    Session,
    SessionClosed,
    connect,
    to,
)
from hawser.brokers import BrokerUnavailable, DeadLetters, MemoryBroker, MemoryMailboxes, News
from hawser.brokers import Letter as StoredLetter
from hawser_engine import EngineConfig
from hawser_engine.calls import ErrorReply
from hawser_engine.codes import HoldState
from hawser_engine.mailboxes import Held, Hold, Settle
from hawser_engine.mailboxes import Letter as LetterMessage
from hawser_engine.messages import MAILBOXES
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import PATIENCE, URL, RawClient, only_session, serving
from tests.runtime.over_brokers import each_broker, its_own
from tests.runtime.test_resets import Restarts

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from trio.testing import MockClock

    from hawser.brokers import Broker, MailSink, Posting, Published
    from hawser_engine.messages import Position

pytestmark = each_broker

BOX = "user:ada"


def mail_app(broker: Broker | None = None, **declared: Any) -> App:
    """Everybody is who the token says; everybody may post."""
    app = App(broker=broker)
    app.channel("dead", history=100, open=True)
    app.mailbox("user:*", open=True, dead_letters="dead", **declared)
    app.mailbox("agent:*", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"], credentials)

    return app


async def take(letters: Mailbox, count: int) -> list[Any]:
    """Data of the next letters; the last one is not acknowledged."""
    with trio.fail_after(PATIENCE):
        return [(await letters.receive()).data for _ in range(count)]


async def dead(app: App) -> list[Any]:
    """Data, failures and causes of dead letters."""
    async with connect(URL, token="sexton") as client, client.subscribe("dead", rewind=100) as messages:
        with trio.fail_after(PATIENCE):
            said = (await messages.receive()).data
        return [said["mailbox"], said["data"], said["tries"], said["why"]]


# ---------------------------------------------------------------- letters


async def test_a_letter_waits_for_whom_it_is_for(autojump_clock: MockClock) -> None:
    async with serving(mail_app()):
        async with connect(URL, token="bob") as bob:
            for text in ("one", "two", {"three": 3}):
                stored = await bob.post(BOX, text)
                assert not stored.duplicate
        async with connect(URL, token="ada") as ada, ada.mailbox() as letters:
            assert letters.name == BOX
            assert letters.holding
            first = await letters.receive()
            assert (first.data, first.sender, first.mailbox, first.tries) == ("one", "bob", BOX, 0)
            assert first.time > 1_600_000_000
            assert await take(letters, 2) == ["two", {"three": 3}]
            async with connect(URL, token="bob") as bob:
                stored = await bob.post(BOX, "four")
            last = await letters.receive()
            assert (last.data, last.position) == ("four", stored.position)
            assert last.id == f"{stored.position.epoch.hex()}:4"


async def test_what_the_iteration_has_not_moved_on_from_comes_again(autojump_clock: MockClock) -> None:
    """SPEC MBX-15."""
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as ada:
        for number in range(4):
            await app.post(BOX, number)
        left: Letter | None = None
        async with ada.mailbox() as letters:
            async for letter in letters:
                left = letter
                if letter.data == 1:
                    break
        assert left is not None
        async with ada.mailbox() as letters:
            again = await letters.receive()
            assert (again.id, again.data, again.tries, again.sender) == (left.id, 1, 0, None)
            assert await take(letters, 1) == [2]
            letters.done()
            letters.done()
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == [3]


async def test_a_letter_whose_handling_failed_too_often_is_dead(autojump_clock: MockClock) -> None:
    app = mail_app(tries=2)
    async with serving(app), connect(URL, token="ada") as ada:
        await ada.post(BOX, "poison")
        await ada.post(BOX, "good")
        for tries in range(2):
            with suppress(ValueError):
                async with ada.mailbox() as letters:
                    letter = await letters.receive()
                    assert (letter.data, letter.tries) == ("poison", tries)
                    raise ValueError("cannot digest it")
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == ["good"]
        assert await dead(app) == [BOX, b"\x66poison", 2, "FAILED"]


async def test_a_handler_is_given_letters_until_it_has_dealt_with_them(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """SPEC MBX-15: a letter is acknowledged when its handler has returned."""
    app = mail_app(tries=3)
    seen: list[tuple[Any, int]] = []

    async def handler(letter: Letter) -> None:
        assert await app.broker.mailboxes.read(BOX, letter.position.offset - 1, limit=1, limit_bytes=9)
        seen.append((letter.data, letter.tries))
        if letter.data == "good" or (letter.data == "moody" and letter.tries):
            return
        raise RuntimeError("no")

    async with serving(app), connect(URL, token="ada") as ada:
        for text in ("poison", "good", "moody"):
            await ada.post(BOX, text)
        async with ada.mailbox() as letters:
            with trio.move_on_after(30):
                await letters.handle(handler)
        assert await dead(app) == [BOX, b"\x66poison", 3, "FAILED"]
        assert await app.broker.mailboxes.read(BOX, 0, limit=9, limit_bytes=9) == ()
        async with ada.mailbox() as letters:
            await ada.aclose()
            await letters.handle(handler)
    assert sorted(seen) == [("good", 0), ("moody", 0), ("moody", 1), ("poison", 0), ("poison", 1), ("poison", 2)]
    assert len(caplog.records) == 4


async def test_a_handler_that_fails_rests_before_the_next_letter_and_longer_each_time(
    autojump_clock: MockClock,
) -> None:
    """Else all that is in a mailbox is dead before a database that was away is back."""
    app = mail_app(tries=2)
    taken: list[tuple[int, float]] = []
    good = {9, 10}

    async def handler(letter: Letter) -> None:
        taken.append((letter.data, trio.current_time()))
        if letter.data not in good:
            raise RuntimeError("the database is away")

    async with serving(app), connect(URL, token="ada") as ada:
        for number in range(12):
            await ada.post(BOX, number)
        async with ada.mailbox() as letters:
            with trio.move_on_after(1_000):
                await letters.handle(handler)
    assert [number for number, _ in taken[:12]] == [*range(12)]
    pauses = [round(after - before) for (_, before), (_, after) in pairwise(taken)]
    assert pauses[:12] == [1, 2, 4, 8, 16, 32, 60, 60, 60, 0, 0, 1]


async def test_a_handler_that_rests_is_done_when_the_client_is(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as ada:
        await app.post(BOX, 1)
        begun = trio.current_time()
        async with ada.mailbox() as letters, trio.open_nursery() as nursery:
            nursery.start_soon(partial(letters.handle, _refuse, pause_seconds=(1_000, 1_000)))
            await trio.sleep(5)
            await app.post(BOX, 2)  # what arrives does not end it
            await trio.sleep(5)
            assert letters.holding
            await ada.aclose()
        assert trio.current_time() - begun < 11


@its_own
@pytest.mark.parametrize("pauses", [(0, 60), (-1, 60), (2, 1), (1, inf), (nan, 60), (1, nan)])
async def test_pauses_that_make_no_sense_are_refused(pauses: tuple[float, float], autojump_clock: MockClock) -> None:
    async with serving(mail_app()), connect(URL, token="ada") as ada, ada.mailbox() as letters:
        with pytest.raises(ValueError, match="pause_seconds are two, above 0 and the longer one last, not"):
            await letters.handle(_refuse, pause_seconds=pauses)


async def test_cancelling_is_no_failure(autojump_clock: MockClock) -> None:
    app = mail_app(tries=1)
    async with serving(app), connect(URL, token="ada") as ada:
        await ada.post(BOX, "slow")
        with trio.move_on_after(1):
            async with ada.mailbox() as letters:
                await letters.receive()
                await trio.sleep(5)
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == ["slow"]


async def test_what_is_dead_is_counted_and_where_it_stands_nowhere_that_is_logged_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = mail_app(MemoryBroker(clock=trio.current_time), tries=1)
    app.mailbox("agent:lossy-*", open=True, tries=1)
    async with serving(app) as server, connect(URL, token="ada") as ada:
        assert server.dead_letters == {}
        for box in (BOX, "agent:lossy-1"):
            for number in range(3):
                await ada.post(box, number, ttl=3_600 if number else 1)
            await trio.sleep(10)
            for _ in range(2):
                with suppress(ValueError):
                    async with ada.mailbox(box) as letters:
                        await letters.receive()
                        raise ValueError("cannot digest it")
            await trio.sleep(1)
        counted = DeadLetterCounts(expired=1, failed=2)
        assert server.dead_letters == {"user:*": counted, "agent:lossy-*": counted}
        assert server.dead_letters["user:*"] is not server.dead_letters["user:*"]
        assert [record.getMessage().partition(";")[0] for record in caplog.records] == [
            f"a letter of 'agent:lossy-1' is dead ({why}) and kept nowhere" for why in ("EXPIRED", "FAILED")
        ]
        assert "as dead_letters of App.mailbox('agent:lossy-*')" in caplog.text
        await ada.post("agent:lossy-2", "late", ttl=1)
        app.mailbox_rules[:] = [rule for rule in app.mailbox_rules if rule.pattern == "user:*"]
        await trio.sleep(10)
        assert server.dead_letters[""] == DeadLetterCounts(expired=1)


async def test_a_letter_whose_time_is_over_is_dead(autojump_clock: MockClock) -> None:
    app = mail_app(MemoryBroker(clock=trio.current_time), seconds=50)
    async with serving(app), connect(URL, token="ada") as ada:
        await ada.post(BOX, "soon", ttl=10)
        await ada.post(BOX, "late", ttl=1_000)
        await app.post(BOX, "later")
        await trio.sleep(20)
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == ["late"]
            assert await dead(app) == [BOX, b"\x64soon", 0, "EXPIRED"]
            await trio.sleep(60)  # what a holder has is left to it
            assert await take(letters, 1) == ["later"]
        await trio.sleep(10)
        async with ada.mailbox() as letters:
            with trio.move_on_after(60):
                await letters.receive()
                raise AssertionError("it has expired")


async def test_what_a_holder_has_is_left_to_it_by_every_server(autojump_clock: MockClock) -> None:
    """SPEC MBX-7: each of two servers of one application looks for what is out of date."""
    app = mail_app(MemoryBroker(clock=trio.current_time))
    async with serving(app), serving(app, url="memory://other"), connect(URL, token="ada") as ada:
        await app.post(BOX, "soon", ttl=10)
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == ["soon"]
            await trio.sleep(60)
            letters.done()
            await trio.sleep(10)
        history = await app.broker.history("dead", 0, limit=9, limit_bytes=999)
        assert history.entries == ()


async def test_what_is_given_is_not_dead_by_then(autojump_clock: MockClock) -> None:
    """SPEC MBX-7, MBX-9: its time is over while it is read for its holder."""

    class Slow(MemoryMailboxes):
        async def read(self, *arguments: Any, **named: Any) -> Any:
            letters = await super().read(*arguments, **named)
            await trio.sleep(20)
            return letters

    broker = MemoryBroker(clock=trio.current_time)
    broker.mailboxes = Slow(broker, clock=trio.current_time)
    app = mail_app(broker)
    async with serving(app), connect(URL, token="ada") as ada:
        await app.post(BOX, "soon", ttl=10)
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == ["soon"]
        history = await app.broker.history("dead", 0, limit=9, limit_bytes=999)
        assert history.entries == ()
        await trio.sleep(10)  # it was left, and is dead now
        assert await dead(app) == [BOX, b"\x64soon", 0, "EXPIRED"]


async def test_a_key_stores_one_letter(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with serving(app), connect(URL, token="bob") as bob, connect(URL, token="ada") as ada:
        first = await bob.post(BOX, 1, key=b"k")
        again = await bob.post(BOX, 2, key=b"k")
        assert (again.position, again.duplicate) == (first.position, True)
        own = [await app.post(BOX, 3, key=b"k") for _ in range(2)]
        assert [one.duplicate for one in own] == [False, True]
        async with ada.mailbox() as letters:
            assert await take(letters, 2) == [1, 3]


# ---------------------------------------------------------------- holders


@its_own
async def test_who_comes_back_while_letters_are_read_is_given_all_of_them_in_order(autojump_clock: MockClock) -> None:
    """SPEC MBX-8: what was read for its hold before is not for this one."""

    class Slow(MemoryMailboxes):
        async def read(self, *arguments: Any, **named: Any) -> Any:
            letters = await super().read(*arguments, **named)
            await trio.sleep(5)
            return letters

    broker = MemoryBroker()
    broker.mailboxes = Slow(broker)
    app = mail_app(broker)
    async with serving(app), connect(URL, token="ada", config=Config(mailbox_letters=2)) as ada:
        for number in range(4):
            await app.post(BOX, number)
        async with ada.mailbox() as letters:
            assert await take(letters, 2) == [0, 1]
            await trio.sleep(1)  # the next one is being read
        async with ada.mailbox() as letters:
            assert await take(letters, 3) == [1, 2, 3]


@its_own
@pytest.mark.parametrize("away", [0.0, 2.0])
@pytest.mark.parametrize("slow", [0.0, 0.2])
async def test_a_server_that_ends_lets_go_of_all_that_it_holds_in_time(
    slow: float, away: float, autojump_clock: MockClock
) -> None:
    """One mailbox does not wait for the others, nor has one that could not be let go of at once to end it for them."""
    ended = trio.Event()

    class Slow(MemoryMailboxes):
        back = inf

        async def release(self, mailbox: str, sink: MailSink) -> None:
            await trio.sleep(slow)
            if ended.is_set() and self.back == inf:
                self.back = trio.current_time() + away
            if trio.current_time() < self.back < inf:
                raise BrokerUnavailable("away")
            await super().release(mailbox, sink)

    broker, count = MemoryBroker(), 60
    broker.mailboxes = Slow(broker)
    app, config = mail_app(broker), Config(mailboxes_per_session=count)
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery, config)
        await restarts.start(app)
        async with connect(URL, token="ada") as ada, AsyncExitStack() as stack:
            for number in range(count):
                await stack.enter_async_context(ada.mailbox(f"agent:{number}"))
            begun = trio.current_time()
            ended.set()
            await restarts.end()
            assert trio.current_time() - begun < config.cleanup_seconds
            async with (
                serving(app, url="memory://other", config=config),
                connect("memory://other", token="ada") as other,
            ):
                for number in range(count):
                    async with other.mailbox(f"agent:{number}") as letters:
                        assert letters.holding


@its_own
async def test_a_server_that_ends_without_its_store_holds_nothing_any_more(autojump_clock: MockClock) -> None:
    class Moody(MemoryMailboxes):
        failing = False

        async def remove(self, *arguments: Any, **named: Any) -> bool:
            if self.failing:
                await trio.lowlevel.checkpoint()
                raise BrokerUnavailable("away")
            return await super().remove(*arguments, **named)

    broker = MemoryBroker()
    broker.mailboxes = store = Moody(broker)
    app = mail_app(broker)
    async with serving(app), connect(URL, token="ada") as ada:
        await app.post(BOX, 1)
        async with ada.mailbox() as letters, ada.mailbox("agent:clerk"):
            assert await take(letters, 1) == [1]
            store.failing = True
            letters.done()
            await trio.sleep(5)
    store.failing = False
    async with serving(app), connect(URL, token="ada") as ada:
        await app.post(BOX, 2)
        async with ada.mailbox() as letters, ada.mailbox("agent:clerk") as other:
            assert (letters.holding, other.holding) == (True, True)
            assert await take(letters, 2) == [1, 2]  # what was settled, and could not be removed, comes again


async def test_others_wait_and_the_next_one_has_it_when_the_first_has_gone(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as phone, connect(URL, token="ada") as laptop:
        await app.post(BOX, 1)
        await app.post(BOX, 2)
        async with laptop.mailbox() as waiting:
            async with phone.mailbox() as letters:
                assert not letters.holding
                assert await take(waiting, 1) == [1]
                with trio.move_on_after(10):
                    await letters.receive()
                    raise AssertionError("the other one holds it")
                waiting.done()
                await laptop.aclose()
                assert await take(letters, 1) == [2]
                assert letters.holding


async def test_a_holder_that_crashed_is_waited_for_and_what_it_was_at_has_failed(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with serving(app, config=Config(resume_period_seconds=200)), connect(URL, token="ada") as ada:
        for number in range(3):
            await app.post(BOX, number)
        crashing = RawClient(credentials={"token": "ada"}, features=(MAILBOXES,))
        async with crashing.connected():
            crashing.say(Hold(1, None, 2, 1_000))
            heard = [await crashing.hear() for _ in range(3)]
            first = heard[1]
            assert isinstance(first, LetterMessage)
            crashing.say(Settle(BOX, first.epoch, (first.offset,), False))
            await crashing.hear()
        async with ada.mailbox() as letters:
            begun = trio.current_time()
            with trio.fail_after(250):
                found = [await letters.receive() for _ in range(2)]
            assert [(letter.data, letter.tries) for letter in found] == [(1, 1), (2, 0)]
            assert trio.current_time() - begun > 190


async def test_what_never_came_to_a_client_has_not_failed_there(autojump_clock: MockClock) -> None:
    """SPEC MBX-9: a letter that is posted while its holder has no link costs it no try when that stays away."""
    app = mail_app(tries=1)
    async with serving(app), connect(URL, token="ada") as ada:
        for number in range(3):
            away = RawClient(credentials={"token": "ada"}, features=(MAILBOXES,))
            async with away.connected():
                away.say(Hold(1, None, 32, 1_000))
                held = await away.hear()
                assert isinstance(held, Held)
                assert held.state == HoldState.HOLDING
            if not number:
                await app.post(BOX, "here")
            await trio.sleep(200)
        async with ada.mailbox() as letters:
            with trio.fail_after(PATIENCE):
                letter = await letters.receive()
            assert (letter.data, letter.tries) == ("here", 0)


@pytest.mark.parametrize("tries", [0, 1])
async def test_of_what_a_holder_has_the_first_that_it_was_given_has_failed_with_it(
    tries: int, autojump_clock: MockClock
) -> None:
    """SPEC MBX-9: one that failed comes again behind what was on its way, and the holder has not come to it yet."""
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as ada:
        for number in range(2):
            await app.post(BOX, number)
        crashing = RawClient(credentials={"token": "ada"}, features=(MAILBOXES,))
        async with crashing.connected():
            crashing.say(Hold(1, None, 2, 1_000))
            first = [await crashing.hear() for _ in range(3)][1]
            assert isinstance(first, LetterMessage)
            crashing.deliver = False
            crashing.say(*[Settle(BOX, first.epoch, (first.offset,), True)] * tries)
            await trio.sleep(5)
        async with ada.mailbox() as letters:
            with trio.fail_after(250):
                found = [await letters.receive() for _ in range(2)]
            assert [(letter.data, letter.tries) for letter in found] == [(0, 1), (1, tries)]


async def test_a_letter_is_stated_to_be_delivered_before_the_application_has_it(autojump_clock: MockClock) -> None:
    """SPEC MBX-17: so it has failed, however soon it ends the program."""
    app = mail_app()
    async with serving(app) as server, connect(URL, token="ada") as ada, ada.mailbox() as letters:
        session = (await only_session(server)).engine
        await app.post(BOX, 1)
        await letters.receive()
        begun = trio.current_time()
        await trio.testing.wait_all_tasks_blocked()
        assert session.outbox.delivered == session.outbox.sent > 0
        assert trio.current_time() == begun


async def test_a_reset_brings_nothing_twice_to_who_is_at_it(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with trio.open_nursery() as nursery:
        server = Restarts(nursery)
        await server.start(app)
        async with connect(URL, token="ada") as ada, ada.mailbox() as letters:
            for number in range(4):
                await app.post(BOX, number)
            assert await take(letters, 2) == [0, 1]
            await server.end()
            letters.done()  # of which the server hears nothing
            await server.start(app)
            assert await take(letters, 1) == [2]
            await server.end()
            await server.start(app)
            await trio.sleep(40)  # it is given again, and not told again
            assert await take(letters, 1) == [3]
            letters.done()
            await trio.sleep(1)
            assert await app.broker.mailboxes.read(BOX, 0, limit=9, limit_bytes=9) == ()
            await server.end()
        nursery.cancel_scope.cancel()


async def test_a_hold_that_the_store_has_lost_is_asked_for_again(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with serving(app) as server, connect(URL, token="ada") as ada:
        await app.post(BOX, 1)
        async with ada.mailbox() as letters:
            assert await take(letters, 1) == [1]
            boxes = (await only_session(server)).node.mailboxes._boxes  # pyright: ignore[reportPrivateUsage]
            [box] = boxes.values()
            other = _deaf
            await app.broker.mailboxes.release(BOX, box.report)
            assert await app.broker.mailboxes.hold(BOX, other)
            box.report(BOX, News.LOST)
            await trio.sleep(1)
            assert not letters.holding
            letters.done()  # too late
            await app.broker.mailboxes.release(BOX, other)
            await trio.sleep(1)
            assert letters.holding
            await app.post(BOX, 2)
            assert await take(letters, 1) == [2]  # the first was settled in the meantime, and is not told again
        await trio.sleep(1)
        assert not boxes


def _deaf(_mailbox: str, _news: News) -> None:
    """A sink."""


async def test_no_more_is_given_than_is_asked_for_and_than_there_is_room_for(autojump_clock: MockClock) -> None:
    app = mail_app()
    small = EngineConfig(window_messages=2, window_bytes=1_000)
    config = Config(queue_messages=2)
    async with serving(app, config=config):
        for number in range(9):
            await app.post(BOX, number)
        slow = RawClient(small, credentials={"token": "ada"}, features=(MAILBOXES,))
        slow.deliver = False
        async with slow.connected():
            slow.say(Hold(1, BOX, 32, 1_000))
            heard = [await slow.hear() for _ in range(2)]
            await trio.sleep(5)
            assert not slow.messages
            slow.deliver = True
            slow.engine.session.delivered(2, trio.current_time())
            slow.flush()
            heard += [await slow.hear() for _ in range(8)]
            offsets = [message.offset for message in heard if isinstance(message, LetterMessage)]
            assert offsets == list(range(1, 10))


async def test_a_letter_that_is_too_long_for_a_holder_waits_for_another_one(autojump_clock: MockClock) -> None:
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as ada:
        await app.post(BOX, bytes(3_000))
        await app.post(BOX, "short")
        small = EngineConfig(message_bytes=2_000)
        async with RawClient(small, credentials={"token": "ada"}, features=(MAILBOXES,)).connected() as client:
            client.say(Hold(1, BOX, 32, 100_000))
            heard = [await client.hear() for _ in range(2)]
            assert [type(message) for message in heard] == [Held, LetterMessage]
            client.say(Hold(2, BOX, 0, 0))
            assert await client.hear() == Held(2, BOX, HoldState.ENDED, 0, "")
        async with ada.mailbox() as letters:
            assert await take(letters, 2) == [bytes(3_000), "short"]


# ---------------------------------------------------------------- one mailbox under two names

NAMES = pytest.mark.parametrize(("first", "second"), [(None, BOX), (BOX, None)])


@NAMES
async def test_one_mailbox_is_not_opened_twice_by_whichever_name(
    first: str | None, second: str | None, autojump_clock: MockClock
) -> None:
    """SPEC MBX-5: for the server it is one, so leaving the second would have ended the first."""
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as ada:
        async with ada.mailbox(first) as letters, ada.mailbox("agent:x"):
            with pytest.raises(RuntimeError, match="this client has the mailbox 'user:ada' already; share that one"):
                async with ada.mailbox(second):
                    raise AssertionError("it has")
            await trio.sleep(1)
            assert letters.holding
            for number in range(3):
                await app.post(BOX, number)
            assert await take(letters, 3) == [0, 1, 2]
            letters.done()
        async with ada.mailbox(second) as letters:  # at once: the first is still being given up
            await trio.sleep(1)
            await app.post(BOX, 4)
            assert await take(letters, 1) == [4]


@NAMES
async def test_of_two_that_come_together_one_has_the_mailbox(
    first: str | None, second: str | None, autojump_clock: MockClock
) -> None:
    app, refused = mail_app(), list[str | None]()
    taken: list[Any] = []

    async def hold(name: str | None) -> None:
        try:
            async with ada.mailbox(name) as letters:
                taken.extend(await take(letters, 2))
        except RuntimeError:
            refused.append(name)

    async with serving(app), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
        nursery.start_soon(hold, first)
        nursery.start_soon(hold, second)
        await trio.sleep(1)
        for number in range(2):
            await app.post(BOX, number)
    assert len(refused) == 1
    assert taken == [0, 1]


@NAMES
async def test_whoever_gives_up_before_it_has_it_takes_nothing_away(
    first: str | None, second: str | None, autojump_clock: MockClock
) -> None:
    app = mail_app()
    async with serving(app), connect(URL, token="ada") as ada:

        async def come_and_go() -> None:
            with suppress(RuntimeError):
                async with ada.mailbox(second):
                    raise AssertionError("it has")

        async with ada.mailbox(first) as letters:
            for number in range(100):
                cancelled = await cancel_at_checkpoint(come_and_go, number)
                await trio.sleep(1)
                await app.post(BOX, number)
                assert await take(letters, 1) == [number]
                if not cancelled:
                    break
            letters.done()
        async with ada.mailbox(second) as letters:
            await app.post(BOX, "then")
            assert await take(letters, 1) == ["then"]


async def test_another_principal_after_a_reset_may_find_the_two_to_be_one(autojump_clock: MockClock) -> None:
    app, who = App(), ["ada"]
    app.mailbox("user:*", hold=EVERYONE, open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(who[-1])

    async with trio.open_nursery() as nursery:
        server = Restarts(nursery)
        await server.start(app)
        async with connect(URL) as client:
            async with client.mailbox() as own, client.mailbox("user:bob") as other:
                assert (own.name, other.name) == (BOX, "user:bob")
                who.append("bob")
                await server.end()
                await server.start(app)
                with pytest.raises(RuntimeError, match="this client has the mailbox 'user:bob' already"):
                    await take(other, 1)
                await app.post("user:bob", 1)
                assert own.name == "user:bob"
                assert await take(own, 1) == [1]
        nursery.cancel_scope.cancel()


# ---------------------------------------------------------------- rights and errors


async def test_who_may_is_declared_or_asked(autojump_clock: MockClock) -> None:
    app = mail_app()
    app.mailbox("user:locked", hold=NOBODY, open=True)
    asked = app.mailbox("user:asked-*", post=ASK)
    dropped = app.mailbox("agent:team", open=False)

    @asked.authorize
    async def authorize(session: Session, action: str, mailbox: str) -> bool:
        return session.principal.id == "ada"

    @dropped.authorize
    async def team(session: Session, action: str, mailbox: str) -> bool:
        return bool(session.principal.attributes.get("team"))

    async with serving(app), connect(URL, token="ada") as ada, connect(URL, token="locked") as locked:
        await ada.post("user:asked-1", 1)
        async with ada.mailbox("user:asked-1") as letters:
            assert await take(letters, 1) == [1]
        for name, client in (("user:asked-1", locked), ("user:locked", locked), ("user:bob", ada), ("agent:team", ada)):
            with pytest.raises(RequestFailed) as caught:
                async with client.mailbox(name):
                    raise AssertionError("it may not")
            assert caught.value.code == ErrorCode.DENIED
        with pytest.raises(RequestFailed, match="hold 'user:bob', which is another user's: one's own is 'user:ada'"):
            await ada.mailbox("user:bob").__aenter__()
        with pytest.raises(RequestFailed, match="no mailbox 'room:x': one is called user:NAME or agent:NAME"):
            await ada.post("room:x", 1)
        async with connect(URL, credentials={"token": "eve", "team": True}) as eve:
            async with eve.mailbox("agent:team") as letters:
                await eve.authenticate(credentials={"token": "eve"})
                with pytest.raises(RequestFailed) as caught:
                    await letters.receive()
                assert caught.value.code == ErrorCode.DENIED


async def test_a_full_mailbox_says_so_and_may_have_room_later(autojump_clock: MockClock) -> None:
    app = mail_app(letters=1)
    async with serving(app), connect(URL, token="ada") as ada:
        await ada.post(BOX, 1)
        with pytest.raises(RequestFailed) as caught:
            await ada.post(BOX, 2)
        assert (caught.value.code, caught.value.temporary) == (ErrorCode.BUSY, True)
        with pytest.raises(MailboxFull, match="mailbox 'user:ada' is full"):
            await app.post(BOX, 2)


async def test_a_letter_that_is_larger_than_its_mailbox_is_refused_for_good(autojump_clock: MockClock) -> None:
    """SPEC MBX-11: whoever tries again when there is room would do so for ever."""
    app = mail_app(bytes=10)
    app.user("*", open=True)
    async with serving(app), connect(URL, token="ada") as ada, connect(URL, token="bob") as bob:
        with pytest.raises(RequestFailed, match="has at most 10 bytes, and the letter has 12") as caught:
            await ada.post(BOX, bytes(11))
        assert (caught.value.code, caught.value.temporary) == (ErrorCode.TOO_LARGE, False)
        with pytest.raises(LetterTooLarge):
            await app.post(BOX, bytes(11))
        for sent in (await bob.send(to.user("ada"), bytes(11)), await app.send(to.user("ada"), bytes(11))):
            assert sent.outcome.error is not None
            assert (sent.outcome.error.code, sent.outcome.error.temporary) == (ErrorCode.TOO_LARGE, False)
        await ada.post(BOX, bytes(8))


async def test_what_is_accepted_is_not_too_long_when_it_is_dead(autojump_clock: MockClock) -> None:
    """SPEC MBX-11, MBX-14: a subscriber that takes as much as the server has every dead letter."""
    app, config = App(), Config(message_bytes=4_000)
    app.channel("dead", history=1_000, about=["time"], open=True)
    app.mailbox("user:*", open=True, hold=EVERYONE, dead_letters="dead", tries=1)
    async with (
        serving(app, config=config),
        connect(URL) as ada,
        connect(URL, config=config) as sexton,
        sexton.subscribe("dead") as messages,
    ):
        accepted: list[int] = []
        for size in range(3_750, 3_950):
            with suppress(RequestFailed):
                await ada.post(BOX, bytes(size))
                accepted.append(size)
        assert accepted == [*range(3_750, accepted[-1] + 1)]
        for size in (accepted[-1] + 50, 3_990):
            with pytest.raises(LetterTooLarge, match="a letter has at most 4000 bytes in all"):
                await app.post(BOX, bytes(size))
        with trio.move_on_after(10):
            async with ada.mailbox(BOX) as letters:
                await letters.handle(_refuse, pause_seconds=(0.001, 0.001))
        found = [(await messages.receive()).data["data"] for _ in accepted]
        assert [len(data) - 3 for data in found] == accepted


async def _refuse(letter: Letter) -> None:
    raise ValueError("no")


@its_own
def test_what_is_declared_makes_sense() -> None:
    app = mail_app()
    for pattern in ("room:*", "user:", "ada"):
        with pytest.raises(ValueError, match="the name of a mailbox begins with"):
            app.mailbox(pattern)
    app.mailbox("us*")
    app.mailbox("user:ada")
    with pytest.raises(LookupError, match="declare it with App"):
        app.mailbox("agent:x", dead_letters="nowhere")


@attrs.frozen
class Placed:
    id: str


async def test_dead_letters_go_where_they_can_be_found(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("void", open=True)
    app.channel("narrow", history=9, history_bytes=0)
    app.channel("dead:*", history=9)
    app.channel("typed", history=9).event("placed")(Placed)
    for channel, why in (
        ("void", r"keeps nothing, .* declare it with App.channel\('void', history=1000\)"),
        ("narrow", "keeps nothing"),
        ("dead:*", "is a pattern"),
        ("typed", "declared events, .* declare a channel for them alone"),
    ):
        with pytest.raises(ValueError, match=why):
            app.mailbox("agent:x", dead_letters=channel)
    with pytest.raises(TypeError, match="the channel of dead letters is a string"):
        app.mailbox("agent:x", dead_letters=app.channel("other"))  # type: ignore[arg-type]  # pyright: ignore


async def test_what_holds_for_the_channel_of_dead_letters_may_be_declared_later(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("*", history=9)
    rule = app.mailbox("agent:*", open=True, dead_letters="dead")
    dead = app.channel("dead", history=2, overflow="keep-latest")
    async with serving(app):
        assert rule.keeping.dead == DeadLetters("dead", dead.retention)
    dead.event("placed")(Placed)
    with pytest.RaisesGroup(ValueError) as caught:
        async with serving(app):
            raise AssertionError("it is not served")
    assert str(caught.value.exceptions[0]).startswith("the mailboxes 'agent:*': dead_letters='dead' is a channel with")


async def test_what_is_asked_makes_sense(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    app = mail_app()
    with pytest.raises(LookupError, match=r"no mailbox 'room:x': one is called user:NAME or agent:NAME$"):
        await app.post("room:x", 1)
    with pytest.raises(LookupError, match=r"no mailbox 'user:ada' is declared; declare it with App\.mailbox"):
        await App().post(BOX, 1)
    async with serving(app):
        async with connect(URL, token="ada") as ada:
            with pytest.raises(ValueError, match="1 to 64 bytes"):
                await ada.post(BOX, 1, key=b"")
            for ttl in (0, inf):
                with pytest.raises(ValueError, match="ttl is"):
                    await ada.post(BOX, 1, ttl=ttl)
            mailbox = ada.mailbox(BOX)
            async with mailbox:
                with pytest.raises(RuntimeError, match="this client has the mailbox 'user:ada' already"):
                    async with ada.mailbox(BOX):
                        raise AssertionError("it has")
                with pytest.raises(RuntimeError, match="entered only once"):
                    await mailbox.__aenter__()
                await ada.aclose()
                assert [letter async for letter in mailbox] == []
            with pytest.raises(SessionClosed):
                await ada.post(BOX, 1)
    monkeypatch.setattr("hawser.server.node.FEATURES", ())
    async with serving(app), connect(URL, token="ada") as ada:
        for ask in (lambda: ada.post(BOX, 1), ada.mailbox().__aenter__):
            with pytest.raises(RequestFailed, match="the server has no mailboxes"):
                await ask()


# ---------------------------------------------------------------- a store that fails


class MoodyMailboxes(MemoryBroker):
    """Does not keep letters while it is away."""

    away: Exception | None = None

    def __init__(self) -> None:
        super().__init__()
        store = self.mailboxes
        post, read, remove = store.post, store.read, store.remove

        def check() -> None:
            if self.away is not None:
                raise self.away

        async def moody_post(posting: Posting) -> Published:
            check()
            return await post(posting)

        async def moody_read(mailbox: str, after: int, *, limit: int, limit_bytes: int) -> tuple[StoredLetter, ...]:
            check()
            return await read(mailbox, after, limit=limit, limit_bytes=limit_bytes)

        async def moody_remove(mailbox: str, sink: MailSink, letters: Collection[Position]) -> bool:
            check()
            return await remove(mailbox, sink, letters)

        async def moody_overdue() -> list[str]:
            check()
            return [BOX]

        store.post, store.read, store.remove = moody_post, moody_read, moody_remove  # type: ignore[method-assign]
        store.overdue = moody_overdue  # type: ignore[method-assign]


@its_own
@pytest.mark.parametrize("error", [BrokerUnavailable("away"), RuntimeError("a bug")])
async def test_a_store_that_is_away_is_asked_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, error: Exception
) -> None:
    broker = MoodyMailboxes()
    app = mail_app(broker)
    async with serving(app), connect(URL, token="ada") as ada, ada.mailbox() as letters:
        await ada.post(BOX, 1)
        await ada.post(BOX, 2)
        assert await take(letters, 1) == [1]
        broker.away = error
        letters.done()
        with pytest.raises(RequestFailed) as caught:
            await ada.post(BOX, 3)
        assert caught.value.code in (ErrorCode.UNAVAILABLE, ErrorCode.INTERNAL)
        await trio.sleep(20)
        broker.away = None
        await trio.sleep(2)
        [left] = await broker.mailboxes.read(BOX, 0, limit=9, limit_bytes=9)
        assert left.data == b"\x02"
        await ada.post(BOX, 3)
        assert await take(letters, 2) == [2, 3]
    assert bool(caplog.records) == isinstance(error, RuntimeError)


@its_own
async def test_dead_letters_of_a_mailbox_that_is_lost_keep_no_others_waiting(autojump_clock: MockClock) -> None:
    class Broken(MemoryMailboxes):
        async def bury(self, mailbox: str, *arguments: Any, **named: Any) -> int:
            if mailbox == BOX:
                raise BrokerUnavailable("damaged")
            return await super().bury(mailbox, *arguments, **named)

    broker = MemoryBroker()
    broker.mailboxes = Broken(broker, clock=trio.current_time)
    app = mail_app(broker)
    async with serving(app):
        await app.post(BOX, 1, ttl=1)
        await app.post("user:eve", 2, ttl=1)
        await trio.sleep(20)
        assert await dead(app) == ["user:eve", b"\x02", 0, "EXPIRED"]


@its_own
async def test_a_hold_is_answered_also_where_the_mailbox_is_lost_meanwhile(autojump_clock: MockClock) -> None:
    class Lost(BrokerUnavailable):
        temporary = False

    class Broken(MemoryMailboxes):
        async def remove(self, *_arguments: Any, **_named: Any) -> bool:
            await trio.sleep(1)
            raise Lost("for good")

    broker = MemoryBroker()
    broker.mailboxes = Broken(broker)
    app = mail_app(broker)
    ada, other = (RawClient(credentials={"token": "ada"}, features=(MAILBOXES,)) for _ in range(2))
    ended = Held(None, BOX, HoldState.ENDED, ErrorCode.UNAVAILABLE, "its letters cannot be read or written")
    async with serving(app), ada.connected(), other.connected():
        position = (await app.post(BOX, 1)).position
        ada.say(Hold(1, BOX, 1, 100))
        assert [type(await ada.hear()) for _ in range(2)] == [Held, LetterMessage]
        ada.say(Settle(BOX, position.epoch, (position.offset,), False))
        await trio.sleep(0.5)  # it is being removed
        ada.say(Hold(2, BOX, 2, 100))
        other.say(Hold(1, BOX, 1, 100))
        assert await ada.hear() == ended
        answer = await ada.hear()
        assert isinstance(answer, ErrorReply)
        assert (answer.id, answer.code, answer.temporary) == (2, ErrorCode.UNAVAILABLE, True)
        assert await other.hear() == Held(1, BOX, HoldState.HOLDING, 0, "")
        assert await other.hear() == ended
