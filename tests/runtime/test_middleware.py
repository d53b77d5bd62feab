"""Middleware: around every call, publication and subscription of a client, in the place where that is carried out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    CallError,
    CallRequest,
    Config,
    ErrorCode,
    OfferRequest,
    Position,
    Published,
    PublishRequest,
    Request,
    RequestFailed,
    Session,
    SubscribeRequest,
    connect,
)
from hawser_engine.calls import Call, ErrorReply, Reply
from hawser_engine.codes import SubscribeStatus
from hawser_engine.messages import ChannelRequest, Publish, Subscribe, Subscribed
from hawser_engine.messages import Published as PublishedMessage
from tests.runtime.helpers import PATIENCE, URL, RawClient, collect, open_app, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Client, Proceed

KINDS = ("call", "publish", "subscribe")


def app_with_echo() -> App:
    app = open_app()

    @app.procedure("echo")
    async def echo(session: Session, *arguments: Any, **named: Any) -> list[Any]:
        return [*arguments, named]

    return app


async def ask(client: Client, kind: str) -> Any:
    """Ask for one thing of a kind."""
    match kind:
        case "call":
            return await client.call("echo", 1)
        case "publish":
            return await client.publish("room", 1)
        case _:
            async with client.subscribe("room"):
                return None


def incidents(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.name == "hawser"]


# ---------------------------------------------------------------- what it sees


async def test_the_first_that_is_registered_is_outermost_around_everything_that_is_asked_for(
    autojump_clock: MockClock,
) -> None:
    app = app_with_echo()
    diary: list[str] = []

    @app.middleware
    async def outer(request: Request, proceed: Proceed) -> Any:
        diary.append(f"outer {request.kind}")
        result = await proceed()
        diary.append(f"outer {result}" if request.kind == "call" else "outer done")
        return result

    @app.middleware
    async def inner(request: Request, proceed: Proceed) -> Any:
        diary.append(f"inner {request.kind}")
        try:
            return await proceed(request)
        finally:
            diary.append("inner done")

    async with serving(app), connect(URL) as client:
        for kind in KINDS:
            await ask(client, kind)
    assert diary == [
        *("outer call", "inner call", "inner done", "outer [1, {}]"),
        *("outer publish", "inner publish", "inner done", "outer done"),
        *("outer subscribe", "inner subscribe", "inner done", "outer done"),
    ]


async def test_it_sees_who_asks_for_what(autojump_clock: MockClock) -> None:
    app = app_with_echo()
    requests: list[Request] = []
    results: list[Any] = []
    sessions: list[Session] = []

    @app.on_connect
    async def arrived(session: Session) -> None:
        sessions.append(session)

    @app.middleware
    async def note(request: Request, proceed: Proceed) -> Any:
        requests.append(request)
        results.append(await proceed())
        return results[-1]

    async with serving(app), connect(URL) as client:
        await client.call("echo", 1, "two")
        await client.call("echo", three=3)
        published = await client.publish("room", {"text": "hello"}, key=b"once")
        async with client.subscribe("room"):
            pass
        async with client.subscribe("room", since=published.position):
            pass
    assert [request.session for request in requests] == sessions * 5
    call, named_call, publication, subscription, later = requests
    assert isinstance(call, CallRequest)
    assert (call.procedure, call.arguments, call.named) == ("echo", (1, "two"), {})
    assert isinstance(named_call, CallRequest)
    assert (named_call.arguments, named_call.named) == ((), {"three": 3})
    assert isinstance(publication, PublishRequest)
    assert (publication.channel, publication.data, publication.key) == ("room", {"text": "hello"}, b"once")
    assert isinstance(subscription, SubscribeRequest)
    assert (subscription.channel, subscription.since) == ("room", None)
    assert isinstance(later, SubscribeRequest)
    assert later.since == published.position
    assert results == [[1, "two", {}], [{"three": 3}], published, None, None]


async def test_what_the_application_publishes_itself_and_a_second_look_at_rights_do_not_pass_it(
    autojump_clock: MockClock,
) -> None:
    app = app_with_echo()
    seen: list[str] = []

    @app.middleware
    async def note(request: Request, proceed: Proceed) -> Any:
        seen.append(request.kind)
        return await proceed()

    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        await app.publish("room", 1)
        assert (await messages.receive()).data == 1
        await client.authenticate(token="another")
        await client.publish("room", 2)
    assert seen == ["subscribe", "publish"]


# ---------------------------------------------------------------- what it changes


async def test_it_changes_data_arguments_and_results(autojump_clock: MockClock) -> None:
    app = app_with_echo()

    @app.middleware
    async def change(request: Request, proceed: Proceed) -> Any:
        match request:
            case PublishRequest():
                return await proceed(request.with_data({**request.data, "by": request.session.number}))
            case CallRequest():
                result = await proceed(request.with_arguments(*request.arguments, again=True))
                return ["changed", *result]
            case _:
                return await proceed()

    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        await client.publish("room", {"text": "hello"})
        assert (await messages.receive()).data == {"text": "hello", "by": 1}
        assert await client.call("echo", 1) == ["changed", 1, {"again": True}]


async def test_a_call_may_be_answered_without_proceeding_and_carried_out_twice(autojump_clock: MockClock) -> None:
    app = app_with_echo()

    @app.middleware
    async def cached(request: Request, proceed: Proceed) -> Any:
        if request.kind == "call" and request.arguments == (1,):
            return "cached"
        first = await proceed()
        return [first, await proceed()] if request.kind == "call" else first

    async with serving(app), connect(URL) as client:
        assert await client.call("echo", 1) == "cached"
        assert await client.call("echo", 2) == [[2, {}], [2, {}]]


@pytest.mark.parametrize("kind", KINDS)
async def test_another_request_than_was_made_is_not_carried_out(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    """The client waits for the answer to its own."""
    app = app_with_echo()

    @app.middleware
    async def confuse(request: Request, proceed: Proceed) -> Any:
        others: dict[str, Request] = {
            "call": CallRequest(request.session, "other", (1,), {}),
            "publish": PublishRequest(request.session, "other", None, raw=b"\x01"),
            "subscribe": SubscribeRequest(request.session, "room", Position(bytes(8), 7)),
        }
        return await proceed(others[kind])

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed, match="INTERNAL"):
            await ask(client, kind)
    assert len(incidents(caplog)) == 1


# ---------------------------------------------------------------- what it refuses


async def test_it_refuses_by_raising_the_error_that_the_client_gets(autojump_clock: MockClock) -> None:
    app = app_with_echo()

    @app.middleware
    async def refuse(request: Request, proceed: Proceed) -> Any:
        raise RequestFailed(120, f"no {request.kind}", temporary=True, data=[request.kind])

    async with serving(app), connect(URL) as client:
        for kind, error in (("call", CallError), ("publish", RequestFailed)):
            with pytest.raises(error) as caught:
                await ask(client, kind)
            refused = caught.value
            told = (refused.code, refused.message, refused.temporary, refused.data)
            assert told == (120, f"no {kind}", True, [kind])


@pytest.mark.parametrize(
    ("code", "arrives"), [(ErrorCode.BUSY, ErrorCode.BUSY), (120, ErrorCode.DENIED), (50, ErrorCode.DENIED)]
)
async def test_a_refused_subscription_arrives_by_its_name_or_as_denied(
    autojump_clock: MockClock, code: int, arrives: ErrorCode
) -> None:
    """SUBSCRIBED carries the names of error codes, and of nothing else."""
    app = app_with_echo()

    @app.middleware
    async def refuse(request: Request, proceed: Proceed) -> Any:
        raise RequestFailed(code, "no")

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed) as caught:
            await client.subscribe("room").__aenter__()
        assert caught.value.code == arrives


async def test_a_channel_that_is_refused_or_fails_touches_no_other_of_the_same_request(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """SPEC SUB-5."""
    app = open_app()

    @app.middleware
    async def moody(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, SubscribeRequest)
        if request.channel == "denied":
            raise RequestFailed(ErrorCode.DENIED)
        if request.channel == "failing":
            raise ValueError("secret")
        if request.channel == "forgotten":
            return None
        return await proceed()

    names = ("denied", "failing", "one", "forgotten", "two")
    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        client.say(Subscribe(1, tuple(ChannelRequest(name, None) for name in names)))
        answer = await client.hear()
        assert isinstance(answer, Subscribed)
        outcomes = [(outcome.channel, outcome.status, outcome.reason) for outcome in answer.channels]
        assert outcomes == [
            ("denied", SubscribeStatus.REFUSED, "DENIED"),
            ("failing", SubscribeStatus.REFUSED, "INTERNAL"),
            ("one", SubscribeStatus.LIVE, ""),
            ("forgotten", SubscribeStatus.REFUSED, "INTERNAL"),
            ("two", SubscribeStatus.LIVE, ""),
        ]
    assert len(incidents(caplog)) == 2


async def test_it_sees_every_refusal_and_may_answer_otherwise(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("closed")
    seen: list[Any] = []

    @app.procedure("find")
    async def find(session: Session, name: str) -> str:
        raise KeyError(name)

    @app.middleware
    async def watch(request: Request, proceed: Proceed) -> Any:
        try:
            return await proceed()
        except KeyError as error:
            raise RequestFailed(100, f"nobody knows {error}") from None
        except RequestFailed as error:
            seen.append((request.kind, error.code))
            raise

    async with serving(app), connect(URL) as client:
        with pytest.raises(CallError, match="100: nobody knows 'ada'"):
            await client.call("find", "ada")
        with pytest.raises(CallError, match="NOT_FOUND"):
            await client.call("nothing")
        with pytest.raises(CallError, match="BAD_REQUEST: find: "):
            await client.call("find")
        with pytest.raises(RequestFailed, match="DENIED"):
            await client.publish("closed", 1)
        with pytest.raises(RequestFailed, match="NOT_FOUND"):
            await client.subscribe("nowhere").__aenter__()
    assert seen == [
        ("call", ErrorCode.NOT_FOUND),
        ("call", ErrorCode.BAD_REQUEST),
        ("publish", ErrorCode.DENIED),
        ("subscribe", ErrorCode.NOT_FOUND),
    ]


async def test_only_data_that_is_looked_at_has_to_be_readable(autojump_clock: MockClock) -> None:
    """SPEC MSG-8: what a server decodes itself has at most 64 KiB; what it relays is opaque."""
    app = open_app()

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest) and request.channel == "read":
            assert request.data
        return await proceed()

    long = b"\x5a\x00\x01\x00\x00" + bytes(65_536)
    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        for id, (channel, data) in enumerate([("read", b"\xff"), ("read", long), ("sealed", b"\xff")], 1):
            client.say(Publish(id, channel, data, None))
        answers = [await client.hear() for _ in range(3)]
        codes = [answer.code for answer in answers if isinstance(answer, ErrorReply)]
        assert codes == [ErrorCode.BAD_REQUEST, ErrorCode.TOO_LARGE]
        assert isinstance(answers[2], PublishedMessage)


# ---------------------------------------------------------------- what goes wrong in it


@pytest.mark.parametrize("kind", KINDS)
async def test_middleware_whose_nursery_has_three_failing_children_harms_nobody_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, kind: str
) -> None:
    app = app_with_echo()

    @app.middleware
    async def explode(request: Request, proceed: Proceed) -> Any:
        async def fail() -> None:
            raise ValueError("secret")

        if request.kind == kind and request.session.number == 1:
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(fail)
        return await proceed()

    async with serving(app) as server, connect(URL) as client, connect(URL) as other:
        with pytest.raises(RequestFailed) as caught:
            await ask(client, kind)
        assert caught.value.code == ErrorCode.INTERNAL
        assert "secret" not in str(caught.value)
        [incident] = incidents(caplog)
        if kind != "subscribe":  # SUBSCRIBED has no room for its number
            assert caught.value.message.removeprefix("incident ") in incident
        for each in KINDS:
            await ask(other, each)
            if each != kind:
                await ask(client, each)
        assert server.sessions == 2


@pytest.mark.parametrize("answer", [None, "published", Position(bytes(8), 1)], ids=repr)
async def test_a_publication_is_answered_with_what_proceed_returned_or_not_at_all(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, answer: object
) -> None:
    """Middleware that forgets to return is found out by its first publication."""
    app = open_app()

    @app.middleware
    async def forget(request: Request, proceed: Proceed) -> Any:
        await proceed()
        return answer

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed, match="INTERNAL"):
            await client.publish("room", 1)
    assert len(incidents(caplog)) == 1


async def test_an_error_whose_data_cannot_travel_is_an_incident(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with_echo()

    @app.middleware
    async def refuse(request: Request, proceed: Proceed) -> Any:
        raise RequestFailed(100, data=object())

    async with serving(app), connect(URL) as client:
        for kind in ("call", "publish"):
            with pytest.raises(RequestFailed, match="INTERNAL: incident"):
                await ask(client, kind)
    assert len(incidents(caplog)) == 2


# ---------------------------------------------------------------- where it runs


async def test_publications_keep_their_order_however_long_each_of_them_is_held(autojump_clock: MockClock) -> None:
    app = app_with_echo()
    running = [0]

    @app.middleware
    async def hold(request: Request, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest):
            running[0] += 1
            assert running == [1]
            await trio.sleep(request.data % 7 / 10)
            running[0] -= 1
        return await proceed()

    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        receipts = [await client.submit("room", number) for number in range(300)]
        with trio.fail_after(0.5):  # a call does not wait for them
            assert await client.call("echo") == [{}]
        offsets = [(await receipt.wait()).position.offset for receipt in receipts]
        assert offsets == list(range(1, 301))
        assert await collect(messages, 300) == list(range(300))


async def test_calls_pass_it_side_by_side_and_within_their_bound(autojump_clock: MockClock) -> None:
    app = app_with_echo()

    @app.middleware
    async def hold(request: Request, proceed: Proceed) -> Any:
        await trio.sleep(1)
        return await proceed()

    async with serving(app, config=Config(calls_per_session=2)), RawClient().connected() as client:
        await client.opened.wait()
        began = trio.current_time()
        client.say(*[Call(id, "echo", b"\x80", None) for id in range(1, 4)])
        answers = [await client.hear() for _ in range(3)]
        busy = answers[0]
        assert isinstance(busy, ErrorReply)
        assert (busy.id, busy.code) == (3, ErrorCode.BUSY)
        assert {answer.id for answer in answers if isinstance(answer, Reply)} == {1, 2}
        assert trio.current_time() - began < 2


async def test_it_is_cancelled_with_the_call_and_with_the_session(autojump_clock: MockClock) -> None:
    app = app_with_echo()
    diary: list[str] = []

    @app.middleware
    async def hold(request: Request, proceed: Proceed) -> Any:
        try:
            await trio.sleep_forever()
        finally:
            diary.append(f"{request.kind} cancelled")

    async with serving(app):
        async with connect(URL) as client:
            with trio.move_on_after(5):
                await client.call("echo")
            await trio.sleep(1)
            assert diary == ["call cancelled"]
            await client.submit("room", 1)
            await client.submit("room", 2)
            await trio.sleep(1)
        await trio.sleep(1)
        # The second was never begun.
        assert diary == ["call cancelled", "publish cancelled"]


async def test_a_duplicate_passes_it_again_and_is_published_once(autojump_clock: MockClock) -> None:
    app = open_app()
    results: list[Published] = []

    @app.middleware
    async def note(request: Request, proceed: Proceed) -> Any:
        results.append(await proceed())
        return results[-1]

    async with serving(app), connect(URL) as client:
        with trio.fail_after(PATIENCE):
            for _ in range(2):
                await client.publish("room", 1, key=b"once")
    assert [(result.position.offset, result.duplicate) for result in results] == [(1, False), (1, True)]


# ---------------------------------------------------------------- offers


async def test_it_is_around_offers_of_agents(autojump_clock: MockClock, caplog: pytest.LogCaptureFixture) -> None:
    app = App()
    app.agent("open", open=True)
    app.agent("closed")
    seen: list[Any] = []

    @app.middleware
    async def watch(request: Request, proceed: Proceed) -> Any:
        if not isinstance(request, OfferRequest):
            return await proceed()
        seen.append((request.agent, request.worker, request.procedures, request.session.number))
        if request.worker == "banned":
            raise RequestFailed(120, "not this one", data=[1])
        return None if request.worker == "forgotten" else await proceed()

    async def work() -> str:
        return "done"

    async def refused(client: Client, agent: str, worker: str | None = None) -> RequestFailed:
        with pytest.raises(RequestFailed) as caught:
            await client.offer(agent, work, worker=worker).__aenter__()
        return caught.value

    async with serving(app), connect(URL, agent=True) as client:
        async with client.offer("open", work):
            assert await client.call("open.work") == "done"
        banned = await refused(client, "open", "banned")
        assert (banned.code, banned.message, banned.data) == (120, "not this one", [1])
        assert (await refused(client, "closed")).code == ErrorCode.DENIED
        assert (await refused(client, "open", "forgotten")).code == ErrorCode.INTERNAL
    assert seen == [
        ("open", None, ("work",), 1),
        ("open", "banned", ("work",), 1),
        ("closed", None, ("work",), 1),
        ("open", "forgotten", ("work",), 1),
    ]
    assert len(incidents(caplog)) == 1
