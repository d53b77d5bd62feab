"""Questions to the members of a channel, and what comes of them (SPEC ASK-1 to ASK-4, ASK-6)."""

from __future__ import annotations

from functools import partial
from math import inf, nan
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    EVERYONE,
    NOBODY,
    Answer,
    App,
    CallError,
    Collected,
    Config,
    ErrorCode,
    PayloadError,
    Principal,
    Proceed,
    Question,
    Request,
    RequestFailed,
    Session,
    Subscription,
    connect,
)
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.calls import Call, ErrorReply
from hawser_engine.messages import ADDRESSING, ChannelRequest, Subscribe, Subscribed, SubscribeOptions
from tests.runtime.helpers import PATIENCE, URL, RawClient, serving
from tests.runtime.test_resets import Restarts, next_reset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trio.testing import MockClock


def open_app() -> App:
    app = App()
    app.channel("room", ask=EVERYONE, history=10, open=True)
    app.channel("quiet", ask=NOBODY, open=True)
    app.channel("plain", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"], credentials)

    return app


async def double(question: Question) -> object:
    return [question.user, 2 * question.data]


async def refuse(question: Question) -> object:
    raise CallError(100, "not now")


async def never(question: Question) -> object:
    await trio.sleep_forever()


async def fail(question: Question) -> object:
    raise ValueError("secret")


async def long(question: Question) -> object:
    return bytes(20_000)


class Members:
    """Clients that subscribe, each with an answer of its own."""

    def __init__(self, nursery: trio.Nursery, channel: str = "room") -> None:
        self.nursery = nursery
        self.channel = channel

    async def add(
        self, name: str, answers: Callable[[Question], Awaitable[object]] | None, **options: Any
    ) -> trio.CancelScope:
        scope: trio.CancelScope = await self.nursery.start(partial(self._run, name, answers, options))
        return scope

    async def _run(
        self, name: str, answers: Any, options: dict[str, Any], *, task_status: trio.TaskStatus[trio.CancelScope]
    ) -> None:
        with trio.CancelScope() as scope:
            async with connect(URL, token=name, **options) as client:
                async with client.subscribe(self.channel, answers=answers):
                    task_status.started(scope)
                    await trio.sleep_forever()


def by_user(collected: Collected) -> dict[str, str]:
    return {one.user: one.status for one in collected.answers}


async def test_answers_come_until_the_end_and_each_says_what_it_is(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with serving(open_app()), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
        members = Members(nursery)
        handlers = {"bob": double, "eve": refuse, "mute": never, "ill": fail, "long": long, "deaf": None}
        for name, handler in handlers.items():
            await members.add(name, handler)
        before = trio.current_time()
        async with ada.subscribe("room", answers=double):
            collected = await ada.collect("room", 21, seconds=3)
        assert 2.9 < trio.current_time() - before < 4
        expected = {"bob": "answered", "eve": "refused", "mute": "silent", "ill": "refused", "long": "refused"}
        assert by_user(collected) == expected
        assert collected.data == [["ada", 42]]
        assert collected.unasked == 1
        assert not collected.complete
        assert {one.user: one.error.code for one in collected.missing if one.error} == {
            "eve": 100,
            "ill": ErrorCode.INTERNAL,
            "long": ErrorCode.TOO_LARGE,
        }
        assert next(one for one in collected.answers if one.user == "mute").data is None
        nursery.cancel_scope.cancel()
    assert "secret" in caplog.text


async def test_who_subscribes_and_answers_nothing_is_counted_and_no_asker_is(autojump_clock: MockClock) -> None:
    """SPEC ASK-6: what came is not all that there could have been, and the asker is told."""
    app = open_app()
    app.channel("room:*", ask=EVERYONE, wildcard=EVERYONE, about=["tags"], open=True)
    sessions: dict[str, Session] = {}

    @app.on_connect
    async def come(session: Session) -> None:
        sessions[session.principal.id] = session

    async def read(messages: Subscription) -> None:
        await trio.sleep_forever()

    async with serving(app), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
        members = Members(nursery, "room:1")
        await members.add("bob", double)
        await members.add("deaf", None)
        filtering = connect(URL, token="picky", assigned=read)
        async with filtering as picky, picky.subscribe("room:*") as every, ada.subscribe("room:1"):
            assert await told(ada.collect("room:1", 1)) == ({"bob": "answered"}, 1, False)
            await every.__aexit__(None, None, None)
            async with picky.subscribe("room:1", filter='a == "b"'):
                assert await told(ada.collect("room:1", 1)) == ({"bob": "answered"}, 2, False)
            await sessions["picky"].subscribe("room:1")
            assert await told(app.collect("room:1", 1)) == ({"bob": "answered"}, 3, False)
            others = [sessions[name] for name in ("ada", "picky", "deaf")]
            assert await told(app.collect("room:1", 1, but=others)) == ({"bob": "answered"}, 0, True)
            assert await told(app.collect("room:1", 1, but=[*others, sessions["bob"]])) == ({}, 0, True)
        nursery.cancel_scope.cancel()


async def told(collecting: Awaitable[Collected]) -> tuple[dict[str, str], int | None, bool]:
    collected = await collecting
    return by_user(collected), collected.unasked, collected.complete


async def test_middleware_lets_the_count_pass(autojump_clock: MockClock) -> None:
    app = open_app()

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> object:
        return await proceed(request)

    async with serving(app), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
        await Members(nursery).add("deaf", None)
        assert await told(ada.collect("room", 1)) == ({}, 1, False)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize(
    ("seconds", "kind", "message"),
    [
        (inf, ValueError, "seconds is inf; it must be above 0, and finite"),
        (nan, ValueError, "seconds is nan; it must be above 0, and finite"),
        (-1, ValueError, "seconds is -1; it must be above 0, and finite"),
        (0, ValueError, "seconds is 0; it must be above 0, and finite"),
        ("3", TypeError, "seconds is a number of seconds, not str"),
    ],
)
async def test_a_time_that_is_none_is_refused_at_the_call(
    seconds: Any, kind: type[Exception], message: str, autojump_clock: MockClock
) -> None:
    app = open_app()
    async with serving(app), connect(URL, token="ada") as ada:
        collects: list[Callable[..., Awaitable[Collected]]] = [ada.collect, app.collect]
        for collect in collects:
            with pytest.raises(kind) as caught:
                await collect("room", 1, seconds=seconds)
            assert str(caught.value) == message


async def test_the_application_asks_in_channels_that_there_are(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app):
        with pytest.raises(LookupError, match=r"no channel 'unknown' is declared; declare it with App\.channel"):
            await app.collect("unknown", 1)
        with pytest.raises(TypeError, match="a channel name is a string"):
            await app.collect(None, 1)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_it_ends_early_when_everybody_has_answered(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
        nobody = await ada.collect("room", 1)
        assert (nobody, nobody.complete) == (Collected((), 0), True)
        members = Members(nursery)
        scopes = [await members.add(name, double) for name in ("bob", "eve")]
        before = trio.current_time()
        collected = await ada.collect("room", 1, seconds=50)
        assert collected.complete
        assert trio.current_time() - before < 5
        assert (await app.collect("room", 2)).data == [[None, 4], [None, 4]]
        scopes[0].cancel()
        await trio.sleep(1)
        assert by_user(await ada.collect("room", 1)) == {"eve": "answered"}
        nursery.cancel_scope.cancel()


async def test_who_goes_meanwhile_is_gone_and_who_comes_back_answers(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), FaultyNetwork(seed=3) as network, trio.open_nursery() as nursery:
        members = Members(nursery)
        leaving = await members.add("bob", never)
        await members.add("eve", double, transport=network)
        network.refuse()
        await network.cut(CutKind.BOTH)
        await trio.sleep(1)
        collected: list[Collected] = []

        async def ask() -> None:
            collected.append(await app.collect("room", 1, seconds=30))

        nursery.start_soon(ask)
        await trio.sleep(1)
        leaving.cancel()
        await trio.sleep(1)
        network.refuse(False)
        with trio.fail_after(PATIENCE):
            while not collected:
                await trio.sleep(1)
        assert by_user(collected[0]) == {"bob": "gone", "eve": "answered"}
        nursery.cancel_scope.cancel()


async def test_leaving_early_tells_the_members_to_cancel(autojump_clock: MockClock) -> None:
    cancelled = trio.Event()

    async def wait(question: Question) -> object:
        try:
            await trio.sleep_forever()
        finally:
            cancelled.set()

    async with serving(open_app()), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
        await Members(nursery).add("bob", wait)
        with trio.move_on_after(2):
            await ada.collect("room", 1, seconds=50)
        with trio.fail_after(PATIENCE):
            await cancelled.wait()
        nursery.cancel_scope.cancel()


async def test_who_may_not_ask_or_asks_too_much_is_refused(autojump_clock: MockClock) -> None:
    app = open_app()
    config = Config(asked_at_once=1, asking_seconds=10)
    async with serving(app, config=config), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:

        async def code(channel: str, **options: Any) -> int:
            with pytest.raises(CallError) as caught:
                await ada.collect(channel, 1, **options)
            return caught.value.code

        assert await code("quiet") == ErrorCode.DENIED
        assert await code("plain") == ErrorCode.DENIED
        assert await code("unknown") == ErrorCode.DENIED
        for long in (11, 1e300):
            assert await code("room", seconds=long) == ErrorCode.LIMIT
        with pytest.raises(PayloadError):
            await ada.collect("room", {1})
        for wrong in (["room"], ["room", -1, b""], ["room", 1, "x"]):
            with pytest.raises(CallError, match="BAD_REQUEST"):
                async with ada.stream("$collect", *wrong) as items:
                    await items.receive()
        members = Members(nursery)
        for name in ("bob", "eve"):
            await members.add(name, double)
        assert await code("room") == ErrorCode.LIMIT
        with pytest.raises(ValueError, match="2 members"):
            await app.collect("room", 1)
        nursery.cancel_scope.cancel()
    plain = App()
    plain.channel("room", open=True)
    async with serving(plain), connect(URL) as ada:
        with pytest.raises(CallError, match=r"NOT_FOUND: this service lets no client ask; App\.channel\(…, ask=…\)"):
            await ada.collect("room", 1)
        with pytest.raises(TypeError, match="async"):
            ada.subscribe("room", answers=len)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_member_that_has_a_limit_refuses_and_one_that_sees_the_deadline_first_is_silent(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    async with serving(app), connect(URL, token="ada") as ada:
        small = RawClient(EngineConfig(message_bytes=200), {"token": "small"}, (ADDRESSING,))
        early = RawClient(None, {"token": "early"}, (ADDRESSING,))
        async with small.connected(), early.connected(), trio.open_nursery() as nursery:
            for raw in (small, early):
                await raw.opened.wait()
                raw.say(Subscribe(1, (ChannelRequest("room", None, SubscribeOptions(answers=True)),)))
                assert isinstance(await raw.hear(), Subscribed)

            async def refuse_late() -> None:
                asked = await early.hear()
                assert isinstance(asked, Call)
                early.say(ErrorReply(asked.id, ErrorCode.DEADLINE, "", False, None))

            nursery.start_soon(refuse_late)
            collected = await ada.collect("room", bytes(300), seconds=5)
            assert by_user(collected) == {"small": "refused", "early": "silent"}
            assert [one.error and one.error.code for one in collected.answers if one.user == "small"] == [
                ErrorCode.TOO_LARGE
            ]


async def test_two_questions_of_one_client_share_its_limit(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app(), config=Config(asked_at_once=2)),
        connect(URL, token="ada") as ada,
        trio.open_nursery() as nursery,
    ):
        members = Members(nursery)
        await members.add("bob", never)
        async with trio.open_nursery() as asking:
            asking.start_soon(partial(ada.collect, "room", 1, seconds=5))
            asking.start_soon(partial(ada.collect, "room", 1, seconds=9))
            await trio.sleep(2)
            with pytest.raises(CallError, match="LIMIT"):
                await ada.collect("room", 1, seconds=1)
            await trio.sleep(4)
            assert by_user(await ada.collect("room", 1, seconds=1)) == {"bob": "silent"}
        nursery.cancel_scope.cancel()


async def test_answers_go_on_after_a_reset(autojump_clock: MockClock) -> None:
    app = open_app()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, token="bob") as bob, bob.subscribe("room", answers=double):
            assert (await app.collect("room", 1)).data == [[None, 2]]
            await restarts.end()
            await restarts.start(app)
            await next_reset(bob)
            await trio.sleep(20)
            assert (await app.collect("room", 2)).data == [[None, 4]]
        await restarts.end()


async def test_a_server_without_questions_refuses_whoever_wants_to_answer(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawser.server.node.FEATURES", ())
    async with serving(open_app()), connect(URL, token="bob") as bob:
        with pytest.raises(RequestFailed, match="addressing"):
            async with bob.subscribe("room", answers=double):
                raise AssertionError
        async with bob.subscribe("room") as messages:
            await bob.publish("room", 1)
            assert (await messages.receive()).data == 1


def test_what_is_no_answer_is_refused_and_an_unknown_status_is_silence() -> None:
    with pytest.raises(PayloadError):
        Answer.read([0, "bob"])
    assert Answer.read([9, "bob", "ab", None, 0, "", "more"]) == Answer("silent", "bob", "ab")


def test_a_server_that_does_not_say_who_was_not_asked_leaves_it_open() -> None:
    """SPEC ASK-6: any other REPLY says nothing, and further items are for later."""
    answers = [Answer("answered", "bob", "ab", b"\x01")]
    assert Collected.read(answers, [0, "more"]) == Collected(tuple(answers), 0)
    for other in (None, [], ["0"], 7):
        collected = Collected.read(answers, other)
        assert (collected.unasked, collected.complete, collected.missing) == (None, False, ())
