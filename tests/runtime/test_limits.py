"""Bounds, and what is answered beyond them (SPEC OPS-1, CAL-6, SUB-5, PUB-5, CHN-12, MSG-4, MSG-5, LIM-4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, CallError, CloseCode, Config, ErrorCode, RequestFailed, Session, connect
from hawser.payloads import encode_payload
from hawser_engine import EngineConfig, ResetReason
from hawser_engine.calls import Call, Cancel, ErrorReply, Reply
from hawser_engine.messages import (
    AnyMessage,
    ChannelRequest,
    Continue,
    GapNotice,
    Pause,
    Position,
    PositionNotice,
    Publication,
    Publish,
    Published,
    Subscribe,
    Subscribed,
    Unsubscribe,
    Unsubscribed,
    encode_body,
)
from tests.runtime.helpers import URL, RawClient, only_session, open_app, serving, told

if TYPE_CHECKING:
    from trio.testing import MockClock

NOTHING = encode_payload(None)
EPOCH = b"12345678"


def stuck_app() -> tuple[App, trio.Event]:
    """An app whose authorizer waits until it is told."""
    app, go = App(), trio.Event()
    rule = app.channel("*", history=100)

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        await go.wait()
        return True

    return app, go


async def test_operations_beyond_the_limit_are_answered_busy_and_nothing_of_them_is_done(
    autojump_clock: MockClock,
) -> None:
    app, go = stuck_app()
    async with serving(app), RawClient().connected() as client:
        await client.opened.wait()
        client.say(*(Publish(id, "room", NOTHING, None) for id in range(1, 261)))
        busy = [await client.hear() for _ in range(4)]
        assert [(one.id, one.code, one.temporary) for one in busy if isinstance(one, ErrorReply)] == [
            (id, ErrorCode.BUSY, True) for id in range(257, 261)
        ]
        go.set()
        answers = [await client.hear() for _ in range(256)]
        assert [one.id for one in answers if isinstance(one, Published)] == list(range(1, 257))
        client.say(Publish(261, "room", NOTHING, None))
        last = await client.hear()
        assert isinstance(last, Published)
        assert last.position.offset == 257


async def test_operations_are_bounded_by_their_bytes_too_and_one_is_always_admitted(autojump_clock: MockClock) -> None:
    app, go = stuck_app()
    config = Config(operation_bytes=1_000)
    async with serving(app, config=config), RawClient().connected() as client:
        await client.opened.wait()
        client.say(Publish(1, "room", bytes(5_000), None), Publish(2, "room", NOTHING, None))
        answer = await client.hear()
        assert isinstance(answer, ErrorReply)
        assert (answer.id, answer.code) == (2, ErrorCode.BUSY)
        go.set()
        assert isinstance(await client.hear(), Published)


@pytest.mark.slow
async def test_the_client_library_waits_at_the_limit_and_is_never_told_busy(autojump_clock: MockClock) -> None:
    app, go = stuck_app()
    async with serving(app), connect(URL) as client, trio.open_nursery() as nursery:
        offsets: list[int] = []

        async def publish(number: int) -> None:
            offsets.append((await client.publish("room", number)).position.offset)

        for number in range(1_000):
            nursery.start_soon(publish, number)
        await trio.sleep(10)
        assert offsets == []
        go.set()
        await trio.sleep(60)
        assert sorted(offsets) == list(range(1, 1_001))


async def test_the_client_library_waits_at_the_limit_of_bytes(autojump_clock: MockClock) -> None:
    app, go = stuck_app()
    async with serving(app), connect(URL) as client, trio.open_nursery() as nursery:
        handed_over: list[int] = []

        async def publish() -> None:
            for number in range(10):
                await client.submit("room", bytes(200_000))
                handed_over.append(number)

        nursery.start_soon(publish)
        await trio.sleep(10)
        assert handed_over == list(range(5))
        go.set()
        await trio.sleep(60)
        assert handed_over == list(range(10))


async def test_calls_beyond_sixty_four_are_answered_busy_without_being_started(autojump_clock: MockClock) -> None:
    app, go = App(), trio.Event()
    started: list[int] = []

    @app.procedure("wait")
    async def wait(session: Session, number: int) -> int:
        started.append(number)
        await go.wait()
        return number

    async with serving(app), connect(URL) as client, connect(URL) as other, trio.open_nursery() as nursery:
        results: list[Any] = []

        async def call(number: int) -> None:
            try:
                results.append(await client.call("wait", number))
            except CallError as error:
                assert error.temporary
                results.append(ErrorCode(error.code).name)

        for number in range(70):
            nursery.start_soon(call, number)
        await trio.sleep(1)
        assert results == ["BUSY"] * 6
        assert len(started) == 64
        nursery.start_soon(other.call, "wait", 1_000)  # the bound is each session's own
        await trio.sleep(1)
        assert started[-1] == 1_000
        go.set()
        await trio.sleep(1)
        assert sorted(results[6:]) == sorted(started[:64])


async def test_what_the_server_decodes_itself_is_short(autojump_clock: MockClock) -> None:
    """SPEC MSG-8; what it only relays may be longer."""
    app = open_app()
    taken: list[int] = []

    @app.procedure("take")
    async def take(session: Session, data: bytes) -> None:
        taken.append(len(data))

    async with serving(app), connect(URL) as client:
        head = len(encode_payload([bytes(65_000)])) - 65_000
        await client.call("take", bytes(65_536 - head))
        with pytest.raises(CallError, match="TOO_LARGE: arguments have at most 65536 bytes"):
            await client.call("take", bytes(65_537 - head))
        assert taken == [65_536 - head]
        await client.publish("room", bytes(1_000_000))


@pytest.mark.parametrize(
    ("config", "kept"), [(Config(ring_messages=3), 3), (Config(ring_bytes=250), 2), (Config(ring_bytes=5), 1)]
)
async def test_a_channel_without_history_keeps_little_for_who_is_behind(
    autojump_clock: MockClock, config: Config, kept: int
) -> None:
    """SPEC CHN-7."""
    async with serving(open_app(history=0), config=config), RawClient().connected() as client, connect(URL) as talker:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        answer = await client.hear()
        assert isinstance(answer, Subscribed)
        position = answer.channels[0].position
        assert position is not None
        client.say(Pause("room", position.epoch, 0))
        await trio.sleep(1)
        for _ in range(10):
            await talker.publish("room", bytes(100))
        client.say(Continue("room", position.epoch, 0))
        await client.until(lambda: len(told(client)) > kept + 1)
        assert told(client)[1:] == [(0, 10 - kept, 3), *range(11 - kept, 11)]


async def test_a_finished_call_keeps_its_place_until_its_reply_has_room(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("big")
    async def big(session: Session) -> bytes:
        return bytes(100_000)

    config = Config(calls_per_session=4, queue_bytes=100_100)
    async with serving(app, config=config), RawClient().connected() as client:
        await client.opened.wait()
        client.deliver = False
        arguments = encode_payload([])
        client.say(*(Call(id, "big", arguments, None) for id in range(1, 5)))
        await trio.sleep(5)
        client.say(Call(5, "big", arguments, None))
        await trio.sleep(5)
        client.say(*(Call(id, "big", arguments, None) for id in range(6, 10)))
        await trio.sleep(5)
        client.deliver = True
        client.engine.session.delivered(client.engine.session.inbox.received, trio.current_time())
        client.flush()
        await client.until(lambda: len(client.messages) == 9)
        answered = sorted(one.id for one in client.messages if isinstance(one, (Reply, ErrorReply)))
        assert answered == list(range(1, 10))
        refused = [(one.id, one.code) for one in client.messages if isinstance(one, ErrorReply)]
        assert refused == [(9, ErrorCode.BUSY)]


async def test_channels_are_refused_one_by_one(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("open:*", open=True)
    app.channel("closed")
    config = Config(channels_per_session=3)
    async with serving(app, config=config), RawClient().connected() as client:
        await client.opened.wait()
        names = ["open:1", "closed", "nowhere", "open:2", "open:1", "open:3", "open:4"]
        client.say(Subscribe(1, tuple(ChannelRequest(name, None) for name in names)))
        answer = await client.hear()
        assert isinstance(answer, Subscribed)
        assert [one.channel for one in answer.channels] == names
        assert [one.reason for one in answer.channels] == [
            "", "DENIED", "NOT_FOUND", "", "BAD_REQUEST", "", "LIMIT",
        ]  # fmt: skip
        assert [one.position is None for one in answer.channels] == [bool(one.reason) for one in answer.channels]
        client.say(Unsubscribe(2, ("open:2", "never subscribed")))
        gone = await client.hear()
        assert gone == Unsubscribed(2, ("open:2", "never subscribed"), 0, "")
        client.say(Subscribe(3, (ChannelRequest("open:4", None),)))
        again = await client.hear()
        assert isinstance(again, Subscribed)
        assert again.channels[0].status == 0


async def test_publications_beyond_the_message_limit_are_refused(autojump_clock: MockClock) -> None:
    config = Config(message_bytes=10_000)
    async with serving(open_app(), config=config), RawClient().connected() as client:
        await client.opened.wait()
        client.say(Publish(1, "room", bytes(9_985), None), Publish(2, "room", bytes(9_970), None))
        first, second = await client.hear(), await client.hear()
        assert isinstance(first, ErrorReply)
        assert first.code == ErrorCode.TOO_LARGE
        assert isinstance(second, Published)


async def test_a_publication_too_long_for_one_subscriber_is_left_out_for_it_with_a_gap(
    autojump_clock: MockClock,
) -> None:
    small = EngineConfig(message_bytes=1_000)
    async with serving(open_app()), RawClient(small).connected() as client, connect(URL) as talker:
        await client.opened.wait()
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        await client.hear()
        for size in (10, 5_000, 10):
            await talker.publish("room", bytes(size))
        first, gap, last = await client.hear(), await client.hear(), await client.hear()
        assert isinstance(first, Publication)
        assert isinstance(gap, GapNotice)
        assert gap.since is not None
        assert (gap.since.offset, gap.position.offset, gap.reason) == (1, 2, 3)
        assert isinstance(last, Publication)
        assert last.offset == 3


@pytest.mark.parametrize(
    "message",
    [
        b"\xff",
        b"\x80",
        b"\x81\x18\x64",
        encode_body(Published(1, Position(EPOCH, 1), False)),
        encode_body(Publication("room", EPOCH, 1, b"")),
        encode_body(GapNotice("room", None, Position(EPOCH, 1), 1)),
        encode_body(PositionNotice("room", EPOCH, 1)),
        encode_body(Unsubscribed(None, ("room",), 0, "")),
        encode_body(Publish(7, "room", NOTHING, None)),
    ],
    ids=["no CBOR", "no kind", "unknown critical", "PUBLISHED", "PUBLICATION", "GAP", "POSITION", "UNSUBSCRIBED", "id"],
)
async def test_a_malformed_message_ends_the_connection_and_not_the_session(
    autojump_clock: MockClock, message: bytes
) -> None:
    raw = RawClient()
    async with serving(open_app()) as server:
        async with raw.connected() as client:
            await client.opened.wait()
            client.say(Publish(7, "room", NOTHING, None), message, Publish(8, "room", NOTHING, None))
            await client.until(lambda: bool(client.terminations))
            [end] = client.terminations
            assert (end.code, end.reconnect, end.resume) == (CloseCode.PROTOCOL_ERROR, True, True)
        async with raw.connected() as client:
            await client.resumed.wait()
            answers = [await client.hear(), await client.hear()]
            assert [one.position.offset for one in answers if isinstance(one, Published)] == [1, 2]
            assert server.sessions == 1


async def test_what_may_be_ignored_is_ignored(autojump_clock: MockClock) -> None:
    async with serving(open_app()), RawClient().connected() as client:
        await client.opened.wait()
        client.say(
            b"\x82\x18\x80\x01",
            Reply(3, b""),
            ErrorReply(4, 1, "", False, None),
            Cancel(9),
            Pause("room", EPOCH, 1),
            Continue("room", EPOCH, 1),
            Publish(1, "room", NOTHING, None),
        )
        assert isinstance(await client.hear(), Published)


async def test_a_session_whose_reserve_is_used_up_is_reset(autojump_clock: MockClock) -> None:
    """It asks on and on and takes no answer: BUSY has to wait, and its room is bounded (SPEC LIM-4)."""
    app, _ = stuck_app()
    config = Config(operations=1, queue_bytes=100, reserve_bytes=1_000, messages_per_second=1e6, messages_burst=100_000)
    tiny = EngineConfig(window_messages=4)
    async with serving(app, config=config) as server, RawClient(tiny).connected() as client:
        await client.opened.wait()
        client.deliver = False
        for id in range(1, 200):
            client.say(Publish(id, "room", NOTHING, None))
            await trio.sleep(1.1)
            if client.resets:
                break
        assert [reset.reason for reset in client.resets] == [ResetReason.OVERFLOW]
        await trio.sleep(1)
        assert (await only_session(server)).handle.number == 2


async def test_an_error_text_is_cut_to_what_travels(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("talk")
    async def talk(session: Session) -> None:
        raise CallError(100, "ü" * 5_000)

    async with serving(app), connect(URL) as client:
        with pytest.raises(CallError) as caught:
            await client.call("talk")
        assert caught.value.message == "ü" * 512


async def test_a_server_that_calls_a_client_is_told_that_there_is_nothing_to_call(autojump_clock: MockClock) -> None:
    """A request is answered, whatever it asks for (SPEC MSG-2)."""
    app = App()
    async with serving(app) as server, connect(URL) as client:
        session = await only_session(server)
        session.tell(encode_body(Call(1, "anything", b"", None)))
        session.tell(encode_body(Cancel(1)))
        session.tell(b"\x82\x18\x80\x01")
        await trio.sleep(1)
        with pytest.raises(CallError, match="NOT_FOUND"):
            await client.call("still there?")


WRONG_FOR_A_CLIENT: list[AnyMessage] = [
    Publish(1, "room", b"", None),
    Subscribe(1, (ChannelRequest("room", None),)),
    Unsubscribe(1, ("room",)),
    Pause("room", EPOCH, 1),
    Continue("room", EPOCH, 1),
]


@pytest.mark.parametrize("message", WRONG_FOR_A_CLIENT, ids=lambda message: message.NAME)
async def test_a_server_that_sends_what_only_clients_send_loses_the_connection(
    autojump_clock: MockClock, message: AnyMessage
) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        session = await only_session(server)
        session.tell(encode_body(message))
        await trio.sleep(10)
        assert server.resumes == 1
        assert (await client.publish("room", 1)).position.offset == 1


async def test_answers_to_nothing_are_ignored(autojump_clock: MockClock) -> None:
    async with serving(open_app()) as server, connect(URL) as client:
        session = await only_session(server)
        for message in (
            Published(77, Position(EPOCH, 1), False),
            Reply(77, b""),
            ErrorReply(77, 1, "", False, None),
            Unsubscribed(77, ("room",), 0, ""),
            Unsubscribed(None, ("room",), 2, ""),
            Publication("room", EPOCH, 1, b""),
            GapNotice("room", None, Position(EPOCH, 1), 1),
            PositionNotice("room", EPOCH, 1),
        ):
            session.tell(encode_body(message))
        await trio.sleep(1)
        assert (await client.publish("room", 1)).position.offset == 1
        assert server.resumes == 0


async def test_a_refusal_of_another_code_and_encoding_is_shown_as_it_is(autojump_clock: MockClock) -> None:
    app = App()
    go = trio.Event()

    @app.procedure("wait")
    async def wait(session: Session) -> None:
        await go.wait()

    async with serving(app) as server, connect(URL) as client, trio.open_nursery() as nursery:

        async def call() -> None:
            with pytest.raises(CallError) as caught:
                await client.call("wait")
            assert (caught.value.code, caught.value.data) == (77, b"\xff")

        nursery.start_soon(call)
        await trio.sleep(1)
        session = await only_session(server)
        session.tell(encode_body(ErrorReply(1, 77, "odd", False, b"\xff")))
        await trio.sleep(1)
        go.set()


async def test_a_request_refused_as_a_whole_refuses_its_subscription(autojump_clock: MockClock) -> None:
    app, _ = stuck_app()
    async with serving(app) as server, connect(URL) as client, trio.open_nursery() as nursery:

        async def subscribe() -> None:
            with pytest.raises(RequestFailed, match="BUSY"):
                await client.subscribe("room").__aenter__()

        nursery.start_soon(subscribe)
        await trio.sleep(1)
        session = await only_session(server)
        session.tell(encode_body(ErrorReply(1, ErrorCode.BUSY, "", True, None)))


async def test_a_client_that_takes_no_message_gets_no_answer_and_harms_only_itself(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = open_app()

    @app.procedure("echo")
    async def echo(session: Session, value: Any) -> Any:
        return value

    tiny = EngineConfig(message_bytes=1)
    async with serving(app), RawClient(tiny).connected() as client, connect(URL) as other:
        await client.opened.wait()
        client.say(
            Publish(1, "room", NOTHING, None),
            Subscribe(2, (ChannelRequest("room", None),)),
            Call(3, "echo", encode_payload([1]), None),
            *(Call(id, "nothing", encode_payload([]), None) for id in range(4, 80)),
            *(Publish(id, "room", NOTHING, None) for id in range(80, 400)),
        )
        await trio.sleep(10)
        assert not client.messages
        assert not client.terminations
        assert caplog.records == []
        assert (await other.publish("room", 1)).position.offset > 1
