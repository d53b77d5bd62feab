"""The whole of it, in good weather: connect, publish, subscribe, call, close."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    CallError,
    Config,
    ConnectFailed,
    ErrorCode,
    PayloadError,
    Principal,
    RequestFailed,
    Session,
    SessionClosed,
    connect,
    serve,
    states,
)
from hawser_transports import UnknownSchemeError
from tests.runtime.helpers import URL, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock


async def test_the_program_of_the_readme_runs(autojump_clock: MockClock) -> None:
    app = App()
    rooms = app.channel("room:*", history=1_000)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal("ada") if credentials.get("token") == "open sesame" else None

    @rooms.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        return session.principal.id == "ada" and action in ("publish", "subscribe") and channel == "room:lobby"

    @app.procedure("math.add")
    async def add(session: Session, a: int, b: int) -> int:
        return a + b

    async with trio.open_nursery() as nursery:
        server = await nursery.start(serve, app, "memory://")
        async with connect(server.url, token="open sesame") as client:
            async with client.subscribe("room:lobby") as messages:
                published = await client.publish("room:lobby", {"text": "hello"})
                async for message in messages:
                    assert message.data == {"text": "hello"}
                    assert message.position == published.position
                    assert message.channel == "room:lobby"
                    break
            assert await client.call("math.add", 2, 3) == 5
            assert await client.call("math.add", a=4, b=5) == 9
        nursery.cancel_scope.cancel()


async def test_every_subscriber_gets_every_publication_in_the_same_order(autojump_clock: MockClock) -> None:
    async with serving(open_app()), trio.open_nursery() as nursery:
        seen: list[list[tuple[int, Any]]] = [[] for _ in range(5)]
        ready = [trio.Event() for _ in seen]

        async def listen(number: int) -> None:
            async with connect(URL) as client, client.subscribe("room") as messages:
                ready[number].set()
                async for message in messages:
                    seen[number].append((message.offset, message.data))
                    if len(seen[number]) == 60:
                        return

        for number in range(5):
            nursery.start_soon(listen, number)
        for event in ready:
            await event.wait()

        async def talk(name: str) -> None:
            async with connect(URL) as client:
                for number in range(20):
                    await client.publish("room", [name, number])

        for name in ("ada", "bob", "eve"):
            nursery.start_soon(talk, name)
    assert all(one == seen[0] for one in seen)
    assert [offset for offset, _ in seen[0]] == list(range(1, 61))
    for name in ("ada", "bob", "eve"):
        assert [number for _, (who, number) in seen[0] if who == name] == list(range(20))


async def test_submissions_are_handled_in_the_order_in_which_they_are_made(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client:
        receipts = [await client.submit("room", number) for number in range(1_000)]
        offsets = [(await receipt.wait()).position.offset for receipt in receipts]
        assert offsets == list(range(1, 1_001))
        assert len({receipt.key for receipt in receipts}) == 1_000
        assert (await receipts[0].wait()).position.offset == 1


async def test_the_same_key_publishes_once_and_is_answered_the_same(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client, client.subscribe("room") as messages:
        first = await client.publish("room", "one", key=b"k")
        again = await client.publish("room", "one", key=b"k")
        await client.publish("room", "two")
        assert (first.duplicate, again.duplicate) == (False, True)
        assert first.position == again.position
        assert [(await messages.receive()).data for _ in range(2)] == ["one", "two"]


async def test_the_key_of_one_user_means_nothing_for_another(autojump_clock: MockClock) -> None:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"])

    async with serving(app), connect(URL, token="ada") as ada, connect(URL, token="bob") as bob:
        assert not (await ada.publish("room", "one", key=b"k")).duplicate
        assert not (await bob.publish("room", "two", key=b"k")).duplicate


async def test_no_choice_of_keys_and_names_makes_two_users_meet(autojump_clock: MockClock) -> None:
    """SPEC PUB-3, where a name and a key of one user end and begin as those of another do."""
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"])

    async with serving(app):
        for name in ("a", "a\0b", "\0"):
            async with connect(URL, token=name) as client:
                for key in (b"\0b\0k", b"b\0k", b"k", b"\0k"):
                    assert not (await client.publish("room", "one", key=key)).duplicate
        for key in (b"b\0k", b"\0\0k", b"\0k", b"k"):
            assert not (await app.publish("room", "two", key=key)).duplicate


@pytest.mark.parametrize("size", [0, 1, 60_000, 65_536, 200_000, 1_000_000])
async def test_messages_of_every_size_pass_whatever_the_window(autojump_clock: MockClock, size: int) -> None:
    data = bytes(range(256)) * (size // 256) + bytes(size % 256)
    async with serving(open_app()), connect(URL) as client, client.subscribe("room") as messages:
        for _ in range(3):
            await client.publish("room", data)
        for offset in range(1, 4):
            message = await messages.receive()
            assert message.offset == offset
            assert message.data == data


async def test_what_cannot_travel_is_refused_before_anything_is_sent(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client:
        for data in ({1: 2}, object(), 2**60, "\ud800", bytes(1_048_577), bytes(1_048_560)):
            with pytest.raises(PayloadError):
                await client.publish("room", data)
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            await client.publish("", 1)
        with pytest.raises(ValueError, match="1 to 64 bytes"):
            await client.publish("room", 1, key=b"")
        with pytest.raises(ValueError, match="1 to 255 bytes"):
            client.subscribe("x" * 256)
        assert (await client.publish("room", 1)).position.offset == 1


async def test_foreign_payloads_reach_those_who_want_the_bytes(autojump_clock: MockClock) -> None:
    app = open_app()
    async with serving(app), connect(URL) as client, client.subscribe("room") as messages:
        await app.broker.publish("room", b"\xff no CBOR", retention=app.rules[0].retention)
        message = await messages.receive()
        assert message.raw == b"\xff no CBOR"
        with pytest.raises(PayloadError):
            print(message.data)


async def test_the_application_publishes_itself(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("news", history=5, open=True)

    @app.procedure("announce")
    async def announce(session: Session, text: str) -> int:
        return (await app.publish("news", text, key=b"once")).position.offset

    async with serving(app), connect(URL) as client, client.subscribe("news") as messages:
        assert await client.call("announce", "hello") == 1
        assert await client.call("announce", "hello") == 1
        assert (await messages.receive()).data == "hello"
    with pytest.raises(LookupError, match="'olds' is declared"):
        await app.publish("olds", 1)
    with pytest.raises(PayloadError):
        await app.publish("news", object())


async def test_a_call_answers_with_what_the_procedure_says(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("echo")
    async def echo(session: Session, *values: Any) -> Any:
        return list(values)

    @app.procedure("who")
    async def who(session: Session) -> Any:
        session.data["calls"] = session.data.get("calls", 0) + 1
        return [session.principal.id, session.number, session.data["calls"]]

    @app.procedure("refuse")
    async def refuse(session: Session) -> Any:
        raise CallError(107, "no such boat", temporary=True, data={"boat": 7})

    async with serving(app) as server, connect(URL) as client:
        values: list[Any] = [None, True, -1, 2.5, "ü", b"\x00", [1, {"a": []}]]
        assert await client.call("echo", *values) == values
        assert await client.call("who") == ["anonymous", 1, 1]
        assert await client.call("who") == ["anonymous", 1, 2]
        with pytest.raises(CallError, match="107: no such boat") as caught:
            await client.call("refuse")
        error = caught.value
        assert (error.code, error.message, error.temporary, error.data) == (107, "no such boat", True, {"boat": 7})
        assert server.sessions == 1


@pytest.mark.parametrize(
    ("procedure", "arguments", "named", "code", "message"),
    [
        ("nothing", [], {}, ErrorCode.NOT_FOUND, "no procedure 'nothing'"),
        ("add", [1], {}, ErrorCode.BAD_REQUEST, "missing a required argument: 'b'"),
        ("add", [1, 2, 3], {}, ErrorCode.BAD_REQUEST, "too many positional arguments"),
        ("add", [], {"a": 1, "c": 2}, ErrorCode.BAD_REQUEST, "missing a required argument: 'b'"),
        ("add", ["x" * 70_000, 1], {}, ErrorCode.TOO_LARGE, "at most 65536 bytes"),
        ("huge", [], {}, ErrorCode.TOO_LARGE, "expected at most"),
    ],
)
async def test_a_call_that_cannot_be_carried_out_says_why(
    autojump_clock: MockClock,
    procedure: str,
    arguments: list[Any],
    named: dict[str, Any],
    code: ErrorCode,
    message: str,
) -> None:
    app = App()

    @app.procedure("add")
    async def add(session: Session, a: int, b: int) -> int:
        return a + b

    @app.procedure("huge")
    async def huge(session: Session) -> bytes:
        return bytes(1_048_570)

    async with serving(app), connect(URL) as client:
        with pytest.raises(CallError, match=message) as caught:
            await client.call(procedure, *arguments, **named)
        assert caught.value.code == code


async def test_positional_and_named_arguments_do_not_mix(autojump_clock: MockClock) -> None:
    async with serving(App()), connect(URL) as client:
        with pytest.raises(TypeError, match="not both"):
            await client.call("x", 1, a=2)


async def test_calls_run_side_by_side_and_are_answered_as_they_finish(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("wait")
    async def wait(session: Session, seconds: float) -> float:
        await trio.sleep(seconds)
        return seconds

    finished: list[float] = []
    async with serving(app), connect(URL) as client, trio.open_nursery() as nursery:

        async def call(seconds: float) -> None:
            finished.append(await client.call("wait", seconds))

        began = trio.current_time()
        for seconds in (3.0, 1.0, 2.0):
            nursery.start_soon(call, seconds)
        await trio.sleep(5)
        assert finished == [1.0, 2.0, 3.0]
        assert trio.current_time() - began < 6


async def test_a_channel_is_subscribed_once_at_a_time_and_again_after_leaving(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client:
        async with client.subscribe("room") as messages:
            with pytest.raises(RuntimeError, match="subscribed to 'room' already"):
                await client.subscribe("room").__aenter__()
            with pytest.raises(RuntimeError, match="entered only once"):
                await messages.__aenter__()
            await client.publish("room", 1)
            assert (await messages.receive()).data == 1
        for number in range(2, 20):  # at once, while the UNSUBSCRIBE is still under way
            async with client.subscribe("room") as messages:
                await client.publish("room", number)
                assert (await messages.receive()).data == number
        await client.publish("room", "to nobody")


async def test_leaving_ends_the_iteration_quietly(autojump_clock: MockClock) -> None:
    async with serving(open_app()), connect(URL) as client:
        async with client.subscribe("room") as messages:
            await client.publish("room", 1)
            await client.publish("room", 2)
            await trio.sleep(1)
        assert [message.data async for message in messages] == [1, 2]
        with pytest.raises(trio.EndOfChannel):
            await messages.receive()


async def test_closing_ends_everything_quietly_and_for_good(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        stream = client.states
        async with client.subscribe("room") as messages:
            await client.aclose()
            await client.aclose()
            assert [message async for message in messages] == []
        assert [state async for state in stream] == [
            states.Connected(False, 0, "memory"),
            states.Closed(300, "closed by this side"),
        ]
        assert client.state == states.Closed(300, "closed by this side")
        for request in (client.publish("room", 1), client.call("x")):
            with pytest.raises(SessionClosed, match="NORMAL"):
                await request
        with pytest.raises(SessionClosed):
            await client.subscribe("room").__aenter__()
        await trio.testing.wait_all_tasks_blocked()
        assert server.sessions == 0


async def test_connecting_where_nobody_serves_gives_up_after_a_while(autojump_clock: MockClock) -> None:
    began = trio.current_time()
    with pytest.raises(ConnectFailed, match=r"no session after 10 s; last: .*nobody listens") as caught:
        await connect("memory://nowhere").__aenter__()
    assert trio.current_time() - began == pytest.approx(10)
    assert caught.value.attempts is not None
    assert all(isinstance(error, ConnectionRefusedError) for error in caught.value.attempts.exceptions)
    assert 2 <= len(caught.value.attempts.exceptions) <= 16


async def test_a_server_that_comes_up_meanwhile_is_found(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:

        async def later() -> None:
            await trio.sleep(3)
            await serve(open_app(), URL)

        nursery.start_soon(later)
        # Jitter may place the attempt after 3 s beyond the 10 s that connecting takes at most.
        async with connect(URL, config=Config(connect_seconds=60)) as client:
            assert (await client.publish("room", 1)).position.offset == 1
        nursery.cancel_scope.cancel()


async def test_wrong_use_of_connect_is_refused_at_once(autojump_clock: MockClock) -> None:
    with pytest.raises(ValueError, match="not both"):
        connect(URL, token="x", credentials={"token": "y"})
    with pytest.raises(UnknownSchemeError, match="'pigeon'"):
        connect("pigeon://roof")
    with pytest.raises(ValueError, match="one looks like memory://name"):
        await connect("memory://name/path").__aenter__()
    async with serving(App()):
        connection = connect(URL)
        async with connection:
            with pytest.raises(RuntimeError, match="entered only once"):
                await connection.__aenter__()


async def test_wrong_use_of_serve_is_refused_at_once(autojump_clock: MockClock) -> None:
    with pytest.raises(UnknownSchemeError, match="'pigeon'"):
        await serve(App(), "pigeon://roof")
    async with serving(App()):
        with pytest.raises(OSError, match="is taken"):
            await serve(App(), URL)


async def test_what_the_body_raises_comes_out_as_it_was_raised(autojump_clock: MockClock) -> None:
    error = LookupError("mine")
    async with serving(open_app()):
        with pytest.raises(LookupError) as caught:
            async with connect(URL) as client, client.subscribe("room"):
                raise error
        assert caught.value is error
        with pytest.raises(RequestFailed):
            async with connect(URL) as client:
                await client.call("nothing")


async def test_cancelling_the_body_leaves_cleanly(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server:
        with trio.move_on_after(1) as scope:
            async with connect(URL) as client, client.subscribe("room") as messages:
                await messages.receive()
        assert scope.cancelled_caught
        await trio.sleep(1)
        assert server.sessions == 0
