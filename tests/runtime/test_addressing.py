"""Sending to sessions, users, agents, lists and everybody, as programs use it (SPEC ADR-1 to ADR-11)."""

from __future__ import annotations

from contextlib import AsyncExitStack
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    EVERYONE,
    NOBODY,
    App,
    Client,
    ClientPool,
    Config,
    Direct,
    Directs,
    ErrorCode,
    Outbox,
    PayloadError,
    Principal,
    Proceed,
    PublishRequest,
    Question,
    Request,
    RequestFailed,
    Session,
    SessionClosed,
    connect,
    to,
)
from hawser.brokers import BrokerUnavailable, MemoryBroker
from hawser.payloads import encode_payload
from hawser.testing import CutKind, FaultyNetwork
from hawser_engine import EngineConfig
from hawser_engine.messages import ADDRESSING, Listen, Listening, PublishOptions, Send, Target, encode_body
from hawser_engine.messages import Direct as DirectMessage
from hawser_engine.messages import Sent as SentMessage
from hawser_transports.cancelling import cancel_at_checkpoint
from tests.runtime.helpers import PATIENCE, URL, RawClient, only_session, serving
from tests.runtime.test_resets import Restarts, next_reset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from trio.testing import MockClock


def open_app() -> App:
    """Everybody is who the token says, and may do everything."""
    app = App()
    app.channel("*", history=100, open=True)
    app.agent("*", open=True)
    app.user("*", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"], credentials)

    return app


async def heard(directs: Directs, count: int) -> list[Any]:
    with trio.fail_after(PATIENCE):
        return [(await directs.receive()).data for _ in range(count)]


async def outcome(client: Client, target: to.Target, data: object) -> tuple[str, int, int, int]:
    one = (await client.send(target, data)).outcome
    return one.status, one.reached, one.away, one.full


async def test_a_user_is_reached_on_all_devices_and_can_answer(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as phone,
        connect(URL, token="bob") as desk,
        ada.directs() as answers,
        phone.directs() as first,
        desk.directs() as second,
    ):
        assert await outcome(ada, to.user("bob"), "hello") == ("delivered", 2, 0, 0)
        assert answers.session is not None
        for directs in (first, second):
            assert await directs.receive() == Direct(to.user("bob"), "ada", answers.session, encode_payload("hello"))
        assert await outcome(phone, to.session(answers.session), "hi") == ("delivered", 1, 0, 0)
        assert await heard(answers, 1) == ["hi"]
        assert await outcome(phone, to.everybody, "all") == ("delivered", 3, 0, 0)


# ---------------------------------------------------------------- what the sender is told


async def test_who_is_not_there_or_does_not_listen_is_nobody(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL, token="ada") as ada, connect(URL, token="bob") as bob:
        for target in (to.user("eve"), to.user("bob"), to.session("ab" * 8), to.agent("clerk"), to.everybody):
            assert await outcome(ada, target, 1) == ("nobody", 0, 0, 0)
        async with bob.directs() as directs:
            assert await outcome(ada, to.user("bob"), 1) == ("delivered", 1, 0, 0)
            assert await heard(directs, 1) == [1]
        await trio.sleep(1)
        assert await outcome(ada, to.user("bob"), 2) == ("nobody", 0, 0, 0)
        async with bob.directs() as directs:
            assert await outcome(ada, to.user("bob"), 3) == ("delivered", 1, 0, 0)
            assert await heard(directs, 1) == [3]


@pytest.mark.parametrize(
    ("config", "taken"),
    [(Config(direct_messages=4), 4), (Config(direct_bytes=25), 3)],
    ids=["messages", "bytes"],
)
async def test_who_does_not_keep_up_is_full_and_loses_nothing_that_was_accepted(
    config: Config, taken: int, autojump_clock: MockClock
) -> None:
    """Credit goes out by halves, so there is not always all of it."""
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob", config=config) as bob,
        bob.directs() as directs,
    ):
        for number in range(taken):
            assert await outcome(ada, to.user("bob"), [number, b"12345678"]) == ("delivered", 1, 0, 0)
        for _ in range(3):
            assert await outcome(ada, to.user("bob"), "lost") == ("full", 0, 0, 1)
        assert await heard(directs, taken) == [[number, b"12345678"] for number in range(taken)]
        await trio.sleep(1)
        again = 0
        while (await ada.send(to.user("bob"), [again, b"12345678"])).outcome.status == "delivered":
            again += 1
        assert again >= 2
        assert await heard(directs, again) == [[number, b"12345678"] for number in range(again)]


async def test_who_reads_gets_any_number_in_order(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob", config=Config(direct_messages=3)) as bob,
        bob.directs() as directs,
        trio.open_nursery() as nursery,
    ):

        async def read() -> None:
            assert await heard(directs, 200) == list(range(200))

        nursery.start_soon(read)
        for number in range(200):
            while (await ada.send(to.user("bob"), number)).outcome.status == "full":
                await trio.sleep(0.1)


async def test_a_session_without_a_link_takes_it_and_has_it_when_it_is_back(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, FaultyNetwork(seed=1) as network, connect(URL, token="ada") as ada:
        config = Config(backoff_base_seconds=20, backoff_cap_seconds=20)
        async with connect(URL, token="bob", transport=network, config=config) as bob, bob.directs() as directs:
            session = next(one for one in server._node.sessions.values() if one.handle.principal.id == "bob")  # pyright: ignore[reportPrivateUsage]
            network.refuse()
            await network.cut(CutKind.BOTH)
            while session.attached:
                await trio.sleep(0.01)
            sent = (await ada.send(to.user("bob"), "later")).outcome
            assert (sent.status, sent.reached, sent.away) == ("delivered", 1, 1)
            network.refuse(False)
            assert await heard(directs, 1) == ["later"]


async def test_a_queue_that_is_full_takes_nothing_more(autojump_clock: MockClock) -> None:
    raw_client = RawClient(EngineConfig(window_messages=2), {"token": "bob"}, (ADDRESSING,))
    async with serving(open_app(), config=Config(queue_messages=2)), connect(URL, token="ada") as ada:
        async with raw_client.connected() as raw:
            raw.deliver = False
            await raw.opened.wait()
            raw.say(Listen(1, 100, 100_000))
            assert isinstance(await raw.hear(), Listening)
            statuses = [(await ada.send(to.user("bob"), number)).outcome.status for number in range(6)]
            assert statuses == ["delivered"] * 3 + ["full"] * 3


async def test_what_is_too_long_is_refused_or_full(autojump_clock: MockClock) -> None:
    small = Config(message_bytes=2_000)
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob", config=small) as bob,
        bob.directs() as directs,
    ):
        assert await outcome(ada, to.user("bob"), bytes(3_000)) == ("full", 0, 0, 1)
        assert await outcome(ada, to.user("bob"), bytes(1_000)) == ("delivered", 1, 0, 0)
        assert await heard(directs, 1) == [bytes(1_000)]
    async with serving(open_app(), config=small), connect(URL, token="a" * 255) as ada:
        refused = (await ada.send(to.user("bob"), bytes(1_800))).outcome
        assert (refused.status, refused.error and refused.error.code) == ("refused", ErrorCode.TOO_LARGE)


# ---------------------------------------------------------------- to whom


async def test_an_agent_is_one_worker_in_turn_that_listens_and_has_room(autojump_clock: MockClock) -> None:
    async def work() -> None: ...

    config = Config(direct_messages=2)
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="one", config=config) as one,
        connect(URL, token="two", config=config) as two,
        connect(URL, token="deaf") as deaf,
        one.offer("clerk", work),
        two.offer("clerk", work),
        deaf.offer("clerk", work),
        one.directs() as first,
        two.directs() as second,
    ):
        for number in range(4):
            assert await outcome(ada, to.agent("clerk"), number) == ("delivered", 1, 0, 0)
        assert await outcome(ada, to.agent("clerk"), 4) == ("full", 0, 0, 2)
        assert sorted([*await heard(first, 2), *await heard(second, 2)]) == [0, 1, 2, 3]


async def test_each_session_of_a_list_gets_it_once(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
        bob.directs() as directs,
        bob.subscribe("room") as messages,
    ):
        assert directs.session is not None
        targets = [to.user("eve"), to.session(directs.session), to.user("bob"), to.channel("room"), to.everybody]
        sent = await ada.send(targets, "x")
        assert [(one.status, one.reached) for one in sent.outcomes] == [
            ("nobody", 0),
            ("delivered", 1),
            ("delivered", 1),
            ("published", 0),
            ("delivered", 1),
        ]
        assert sent.outcomes[3].published is not None
        assert (await messages.receive()).position == sent.outcomes[3].published.position
        assert (await directs.receive()).to == to.session(directs.session)
        await ada.send(to.user("bob"), "y")
        assert await heard(directs, 1) == ["y"]
        with pytest.raises(ValueError, match="5 outcomes"):
            _ = sent.outcome


async def test_except_me_leaves_out_the_sending_session_alone(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        connect(URL, token="ada") as desk,
        connect(URL, token="ada") as phone,
        desk.directs() as mine,
        phone.directs() as other,
    ):
        for target in (to.user("ada"), to.everybody):
            sent = (await desk.send(target, "x", except_me=True)).outcome
            assert (sent.status, sent.reached) == ("delivered", 1)
        assert (await desk.send(to.session(mine.session or ""), "x", except_me=True)).outcome.status == "nobody"
        assert await heard(other, 2) == ["x", "x"]
        await desk.send(to.everybody, "y")
        assert await heard(mine, 1) == ["y"]


async def test_several_channels_at_once(autojump_clock: MockClock) -> None:
    app = open_app()
    app.channel("closed", publish=NOBODY, open=True)
    async with serving(app), connect(URL, token="ada") as ada:
        done = await ada.publish_to(["a", "closed", "b"], "x", key=b"k")
        assert [one.status for one in done] == ["published", "refused", "published"]
        assert (done[1].error and done[1].error.code) == ErrorCode.DENIED
        again = await ada.publish_to(["b", "c"], "x", key=b"k")
        assert [one.status for one in again] == ["duplicate", "published"]
        assert again[0].published is not None
        assert done[2].published is not None
        assert again[0].published.position == done[2].published.position
        for wrong in ([], ["a"] * 65, [""]):
            with pytest.raises(ValueError, match=r"1 to (64|255)"):
                await ada.publish_to(wrong, "x")
        with pytest.raises(ValueError, match="idempotency key"):
            await ada.publish_to(["a"], "x", key=b"")


async def test_tags_and_what_it_is_the_newest_of_go_into_each_channel(autojump_clock: MockClock) -> None:
    """SPEC ADR-7: as with PUBLISH, so also where the history keeps the latest alone."""
    app = open_app()
    app.channel("board:*", history=10, overflow="keep-latest", about=["tags"], last_value=True, open=True)
    boards, options = ["board:1", "board:2"], dict[str, Any](tags={"a": "b"}, latest_key="k")
    async with (
        serving(app),
        connect(URL, token="ada") as ada,
        ClientPool() as pool,
        pool.client(URL, token="bob") as bob,
    ):
        calls: list[Callable[[object], Awaitable[object]]] = [
            lambda data: ada.publish_to(boards, data, **options),
            lambda data: ada.send([to.channel(name) for name in boards], data, **options),
            lambda data: app.send([to.channel(name) for name in boards], data, **options),
            lambda data: bob.publish_to(boards, data, **options),
            lambda data: bob.send([to.channel(name) for name in boards], data, **options),
        ]
        for number, send in enumerate(calls, 1):
            await send(number)
            for name in boards:
                async with ada.subscribe(name) as messages:
                    message = await messages.receive()
                    seen = message.offset, message.data, message.tags, message.latest_key
                    assert seen == (number, number, {"a": "b"}, "k")
        assert [one.status for one in await ada.publish_to(["a", "board:1"], 1, **options)] == ["refused", "published"]


@pytest.mark.parametrize("options", [{"tags": {"a": "b"}}, {"latest_key": "k"}])
async def test_what_only_channels_carry_is_sent_to_nobody_else(
    options: dict[str, Any], autojump_clock: MockClock
) -> None:
    app = open_app()
    async with serving(app), connect(URL, token="ada") as ada, ada.directs() as directs:
        sends: list[Callable[..., Awaitable[object]]] = [ada.send, app.send]
        for send in sends:
            with pytest.raises(ValueError, match="only channels carry tags"):
                await send([to.user("ada"), to.channel("a")], 1, **options)
        with pytest.raises(ValueError, match="carry no"):
            await app.send([to.channel("a"), to.channel("b")], 1, **options)
        assert (await ada.publish("a", 1)).position.offset == 1
        assert await outcome(ada, to.user("ada"), "first") == ("delivered", 1, 0, 0)
        assert await heard(directs, 1) == ["first"]


async def test_the_application_hears_that_a_channel_takes_it_not_before_anybody_has_it(
    autojump_clock: MockClock,
) -> None:
    app = open_app()
    app.channel("now", volatile=True, open=True)
    async with serving(app), connect(URL, token="ada") as ada, ada.directs() as directs:
        with pytest.raises(ValueError, match="no volatile publications"):
            await app.send([to.everybody, to.channel("a")], 1, volatile=True)
        with pytest.raises(PayloadError, match="a volatile publication has at most"):
            await app.send([to.everybody, to.channel("now")], bytes(70_000), volatile=True)
        assert (await app.send(to.everybody, "first")).outcome.reached == 1
        assert await heard(directs, 1) == ["first"]


async def test_middleware_sees_each_publication_of_a_list(autojump_clock: MockClock) -> None:
    app = open_app()
    seen: list[str] = []

    @app.middleware
    async def watch(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, PublishRequest)
        seen.append(request.channel)
        if request.channel == "own":
            raise RequestFailed(100, "no")
        if request.channel == "broken":
            raise ValueError("oops")
        return await proceed()

    async with serving(app), connect(URL, token="ada") as ada:
        done = await ada.publish_to(["a", "own", "broken", "b"], "x")
    assert seen == ["a", "own", "broken", "b"]
    codes = [one.error and one.error.code for one in done]
    assert codes == [None, ErrorCode.DENIED, ErrorCode.INTERNAL, None]


# ---------------------------------------------------------------- who may


async def test_clients_send_only_where_a_rule_lets_them(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("*", open=True)
    app.agent("open", open=True)
    app.agent("shut", call=EVERYONE, send=NOBODY)
    app.user("friend", send=EVERYONE)
    rule = app.user("asked:*")

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"], credentials)

    @rule.authorize
    async def may(session: Session, action: str, user: str) -> bool:
        return user == "asked:yes"

    async with (
        serving(app),
        connect(URL, token="ada") as ada,
        connect(URL, token="asked:no") as no,
        no.directs() as directs,
    ):
        targets = [
            to.user("friend"),
            to.user("asked:yes"),
            to.agent("open"),
            to.user("asked:no"),
            to.session(directs.session or ""),
            to.user("stranger"),
            to.agent("shut"),
            to.everybody,
            to.agent("unknown"),
        ]
        codes = [one.error and one.error.code for one in (await ada.send(targets, "x")).outcomes]
        assert codes == [None] * 3 + [ErrorCode.DENIED] * 5 + [ErrorCode.NOT_FOUND]
        assert (await app.send(to.everybody, "app")).outcome.reached == 1
        assert await directs.receive() == Direct(to.everybody, None, None, encode_payload("app"))


# ---------------------------------------------------------------- from the application


async def test_the_application_sends_to_all_but_some(autojump_clock: MockClock) -> None:
    app = open_app()
    app.procedure("others")(others := Others(app))
    async with (
        serving(app),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
        ada.directs() as mine,
        bob.directs() as other,
        ada.subscribe("room") as seen,
    ):
        assert await ada.call("others") == ["delivered", "published", "delivered", "refused"]
        assert others.session is not None
        assert others.session.id == mine.session
        assert await heard(other, 1) == ["to others"]
        await app.send([to.session(others.session.id), to.channel("room")], "to ada")
        assert await heard(mine, 1) == ["to ada"]
        assert (await seen.receive()).data == "to ada"
        with pytest.raises(ValueError, match="at most 64"):
            await app.send(to.everybody, "x", but=[others.session] * 65)
        too_long = (await app.send(to.everybody, bytes(1_048_570))).outcome
        assert (too_long.error and too_long.error.code) == ErrorCode.TOO_LARGE


class Others:
    """A procedure that sends to everybody but its caller."""

    def __init__(self, app: App) -> None:
        self.app = app
        self.session: Session | None = None

    async def __call__(self, session: Session) -> list[str]:
        self.session = session
        targets = [to.everybody, to.channel("room"), to.user("bob")]
        done = (await self.app.send(targets, "to others", but=[session])).outcomes
        rules, self.app.rules = self.app.rules, []
        lost = (await self.app.send(to.channel("room"), "x")).outcomes
        self.app.rules = rules
        return [one.status for one in (*done, *lost)]


# ---------------------------------------------------------------- sessions that begin anew, and servers of another kind


async def test_listening_goes_on_after_a_reset_and_keeps_what_had_come(autojump_clock: MockClock) -> None:
    app = open_app()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        config = Config(direct_messages=2)
        async with connect(URL, token="bob", config=config) as bob, bob.directs() as directs:
            before = directs.session
            for number in range(2):
                assert (await app.send(to.user("bob"), number)).outcome.reached == 1
            await restarts.end()
            await restarts.start(app)
            await next_reset(bob)
            await trio.sleep(20)
            assert directs.session != before
            assert (await app.send(to.user("bob"), 2)).outcome.full == 1
            assert await heard(directs, 2) == [0, 1]
            await trio.sleep(1)
            assert (await app.send(to.user("bob"), 3)).outcome.reached == 1
            assert await heard(directs, 1) == [3]
        assert (await app.send(to.user("bob"), 4)).outcome.status == "nobody"
        await restarts.end()


async def test_a_server_without_addressing_is_told_apart(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = open_app()
    async with trio.open_nursery() as nursery:
        restarts = Restarts(nursery)
        await restarts.start(app)
        async with connect(URL, token="bob") as bob, bob.directs() as directs:
            await restarts.end()
            monkeypatch.setattr("hawser.server.node.FEATURES", ())
            await restarts.start(app)
            with pytest.raises(RequestFailed, match="addressing"):
                await directs.receive()
        async with connect(URL, token="bob") as bob, connect(URL, token="ada", outbox=Outbox()) as ada:
            with pytest.raises(RequestFailed, match="addressing"):
                await bob.send(to.user("ada"), 1)
            with pytest.raises(RequestFailed, match="addressing"):
                async with bob.directs():
                    raise AssertionError
            for client in (ada, bob):
                with pytest.raises(RequestFailed, match="addressing"):
                    await client.publish("room", 1, except_me=True)
            await bob.publish("room", 2)
        await restarts.end()


async def test_wrong_use_is_refused_at_once(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), connect(URL, token="ada") as ada:
        async with ada.directs() as directs:
            with pytest.raises(RuntimeError, match="listens already"):
                async with ada.directs():
                    raise AssertionError
            with pytest.raises(RuntimeError, match="only once"):
                await directs.__aenter__()
        with pytest.raises(ValueError, match="1 to 64 targets"):
            await ada.send([], 1)
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            to.user("")
        wrong: list[tuple[Any, str]] = [
            ("bob", r"such as to\.user\('bob'\); 'bob' is none"),
            ([to.user("ada"), "bob"], r"such as to\.user\('bob'\); 'bob' is none"),
            (7, r"such as to\.user\('ada'\); 7 is none"),
            ([None], r"such as to\.user\('ada'\); None is none"),
        ]
        sends: list[Callable[..., Awaitable[object]]] = [ada.send, app.send]
        for send in sends:
            for given, message in wrong:
                with pytest.raises(TypeError, match=message):
                    await send(given, 1)
        await ada.aclose()
        with pytest.raises(SessionClosed):
            await ada.send(to.everybody, 1)


async def test_iterating_ends_with_the_client(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), connect(URL, token="ada") as ada, ada.directs() as directs:
        await app.send(to.everybody, 1)
        await trio.sleep(1)
        await ada.aclose()
        assert [direct.data async for direct in directs] == [1]


async def test_what_is_sent_beyond_the_credit_ends_the_connection(autojump_clock: MockClock) -> None:
    """SPEC ADR-5, MSG-4; and a target of a kind that is not known is one all the same."""
    async with serving(open_app()) as server, connect(URL, token="ada") as ada:
        session = await only_session(server)
        async with ada.directs() as directs:
            session.put(encode_body(DirectMessage(Target(9, "x"), None, None, encode_payload(1))))
            assert await directs.receive() == Direct(None, None, None, encode_payload(1))
        await trio.sleep(1)
        session.put(encode_body(DirectMessage(Target(1, "x"), None, None, b"")))
        await trio.sleep(5)
        assert server.resumes == 1


async def test_what_is_no_target_and_what_only_channels_carry_is_refused(autojump_clock: MockClock) -> None:
    """SPEC ADR-2, ADR-7."""
    async with serving(open_app()):
        async with RawClient(credentials={"token": "bob"}, features=(ADDRESSING,)).connected() as raw:
            wrong: list[tuple[int, str | None]] = [(1, None), (3, "x"), (4, None), (9, "x"), (0, None), (2, None)]
            raw.say(Send(1, tuple(Target(*one) for one in wrong), b"x", None))
            raw.say(Send(2, (Target(1, "bob"), Target(3, None)), b"x", None, PublishOptions({"a": "b"})))
            for count in (6, 2):
                answer = await raw.hear()
                assert isinstance(answer, SentMessage)
                assert [one.reason for one in answer.outcomes] == ["BAD_REQUEST"] * count


async def test_two_servers_of_one_application_are_reached_by_it(autojump_clock: MockClock) -> None:
    app = open_app()

    async def work() -> None: ...

    async with (
        serving(app),
        serving(app, url="memory://other"),
        connect(URL, token="ada") as ada,
        connect("memory://other", token="ada") as other,
        ada.directs() as first,
        other.directs() as second,
        ada.offer("clerk", work),
        other.offer("clerk", work),
    ):
        assert (await app.send(to.user("ada"), 1)).outcome.reached == 2
        assert (await heard(first, 1), await heard(second, 1)) == ([1], [1])
        assert (await app.send(to.agent("clerk"), 1)).outcome.reached == 1


async def test_a_broker_that_does_not_answer_refuses_the_channel_alone(autojump_clock: MockClock) -> None:
    class Away(MemoryBroker):
        async def publish(self, *arguments: Any, **named: Any) -> Any:
            await trio.lowlevel.checkpoint()
            raise BrokerUnavailable("away")

    app = App(broker=Away())
    app.channel("*", open=True)
    app.user("*", open=True)
    async with serving(app), connect(URL) as ada, ada.directs():
        for sent in (
            await app.send([to.channel("room"), to.everybody], 1),
            await ada.send([to.channel("room"), to.everybody], 1),
        ):
            assert [one.status for one in sent.outcomes] == ["refused", "delivered"]
            error = sent.outcomes[0].error
            assert error is not None
            assert (error.code, error.temporary) == (ErrorCode.UNAVAILABLE, True)


async def test_a_session_has_one_name_in_presence_and_here(autojump_clock: MockClock) -> None:
    """SPEC ADR-2, PRS-3."""
    app = open_app()
    app.channel("here", presence=True, open=True)
    async with (
        serving(app),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
        bob.presence("here", info="bob") as presence,
        bob.directs() as directs,
    ):
        assert presence.me is not None
        assert presence.me.id == directs.session
        assert (await ada.send(to.session(presence.me.id), 1)).outcome.status == "delivered"
        assert await heard(directs, 1) == [1]


async def test_so_many_are_reached_that_others_get_a_turn_in_between(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hawser.server.addressing.SEND_SOCKETS", 2)
    app = open_app()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(serving(app))
        listening: list[Directs] = []
        for _ in range(5):
            client = await stack.enter_async_context(connect(URL, token="ada"))
            listening.append(await stack.enter_async_context(client.directs()))
        assert (await app.send(to.user("ada"), 1)).outcome.reached == 5
        assert [await heard(directs, 1) for directs in listening] == [[1]] * 5


async def test_a_session_that_has_ended_leaves_nothing_behind(autojump_clock: MockClock) -> None:
    """Not even where its last handler asks for its name."""
    app = open_app()
    names: list[str] = []

    @app.on_disconnect
    async def note(session: Session) -> None:
        names.append(session.id)

    async with serving(app) as server:
        async with connect(URL, token="ada") as ada, ada.directs(), ada.subscribe("room", answers=_answer):
            await ada.send(to.everybody, 1)
        await trio.sleep(1)
        node = server._node  # pyright: ignore[reportPrivateUsage]
        kept = {**vars(node.addressing), **vars(node.asking), **vars(node.asking.errands)}
        parts = ("_node", "node", "errands", "_asking")
        held = {name: value for name, value in kept.items() if name not in parts and value}
        assert (len(names), held) == (1, {})


@pytest.mark.parametrize("early", [True, False])
async def test_a_session_has_one_name_also_behind_its_end(autojump_clock: MockClock, early: bool) -> None:
    """SPEC ADR-2: what it has asked for before its goodbye is carried out behind that (EXP-2)."""
    app = open_app()
    names: list[str] = []

    @app.procedure("stay")
    async def stay(session: Session) -> None:
        if early:
            names.append(session.id)
        try:
            await trio.sleep_forever()
        finally:
            names.extend([session.id, session.id])

    async with serving(app):
        async with connect(URL, token="ada") as ada:
            with trio.move_on_after(1):
                await ada.call("stay")
        async with connect(URL, token="ada") as ada, trio.open_nursery() as nursery:
            nursery.start_soon(ada.call, "stay")
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await trio.sleep(1)
    assert [names.count(name) for name in dict.fromkeys(names)] == [2 + early] * 2


async def _answer(question: Question) -> object:
    return question.data


async def test_what_is_unread_when_the_block_ends_is_dropped(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL, token="ada") as ada:
        async with ada.directs() as directs:
            assert [await outcome(ada, to.user("ada"), number) for number in (1, 2)] == [("delivered", 1, 0, 0)] * 2
            assert await heard(directs, 1) == [1]
        async with ada.directs() as directs:
            await outcome(ada, to.user("ada"), 3)
            assert await heard(directs, 1) == [3]


async def test_entering_again_waits_until_the_server_has_forgotten(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        FaultyNetwork(seed=1, delay_seconds=(0.5, 0.5)) as network,
        connect(URL, token="ada", transport=network) as ada,
        connect(URL, token="bob") as bob,
    ):
        async with ada.directs():
            assert (await bob.send(to.user("ada"), "under way")).outcome.status == "delivered"
        async with ada.directs() as directs:
            assert (await bob.send(to.user("ada"), "anew")).outcome.status == "delivered"
            assert await heard(directs, 1) == ["anew"]


async def test_listening_that_is_cancelled_anywhere_leaves_nothing(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL, token="ada") as ada, connect(URL, token="bob") as bob:
        listeners: Any = server._node.addressing._listeners  # pyright: ignore[reportPrivateUsage]
        dialogue: Any = ada._dialogue  # pyright: ignore[reportPrivateUsage]

        async def listen() -> None:
            async with ada.directs() as directs:
                await bob.send(to.user("ada"), 1)
                await directs.receive()

        for number in range(60):
            cancelled = await cancel_at_checkpoint(listen, number)
            await trio.sleep(1)
            assert not listeners
            assert (dialogue.directs._directs, dialogue.directs._credit) == (None, (0, 0))
            assert dialogue.operations.unanswered == 0
            if not cancelled:
                break
        else:
            raise AssertionError("it is always cancelled")
        assert number >= 3


@pytest.mark.slow
async def test_what_was_accepted_arrives_once_and_in_order_however_links_break(autojump_clock: MockClock) -> None:
    config = Config(backoff_cap_seconds=1, direct_messages=5, window_messages=3)
    accepted: list[int] = []
    seen: list[int] = []
    async with (
        serving(open_app()),
        FaultyNetwork(seed=5, delay_seconds=(0.0, 0.1)) as network,
        connect(URL, token="ada", transport=network, config=config) as ada,
        connect(URL, token="bob", transport=network, config=config) as bob,
        bob.directs() as directs,
        trio.open_nursery() as nursery,
    ):

        async def read() -> None:
            async for direct in directs:
                seen.append(direct.data)
                await trio.sleep(0.05)

        nursery.start_soon(partial(network.storm, every_seconds=0.5, kinds=(CutKind.BOTH, CutKind.CLIENT)))
        nursery.start_soon(read)
        accepted += [n for n in range(60) if (await ada.send(to.user("bob"), n)).outcome.status == "delivered"]
        with trio.fail_after(PATIENCE):
            while seen != accepted:
                await trio.sleep(1)
        nursery.cancel_scope.cancel()
    assert accepted


async def test_what_was_accepted_is_lost_only_with_its_session_and_that_is_told(autojump_clock: MockClock) -> None:
    app = open_app()
    async with (
        serving(app),
        FaultyNetwork(seed=1) as network,
        connect(URL, token="bob", transport=network) as bob,
        bob.directs() as directs,
        trio.open_nursery() as nursery,
    ):
        resets: list[object] = []

        async def watch() -> None:
            resets.append(await next_reset(bob))

        nursery.start_soon(watch)
        network.refuse()
        await network.cut(CutKind.BOTH)
        await trio.sleep(1)
        assert (await app.send(to.user("bob"), "lost")).outcome.away == 1
        await trio.sleep(200)
        assert (await app.send(to.user("bob"), "nobody")).outcome.status == "nobody"
        network.refuse(False)
        with trio.fail_after(PATIENCE):
            while not resets or (await app.send(to.user("bob"), "anew")).outcome.status == "nobody":
                await trio.sleep(1)
        assert await heard(directs, 1) == ["anew"]
