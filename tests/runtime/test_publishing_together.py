"""Publications that wait for one commit: handed to the broker together, each answered for itself."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from hawser import App, Config, ErrorCode
from hawser.brokers import BrokerUnavailable, MemoryBroker, Published
from hawser_engine import EngineConfig
from hawser_engine.calls import ErrorReply
from hawser_engine.messages import (
    AnyMessage,
    ChannelRequest,
    Publish,
    PublishOptions,
    Subscribe,
    Subscribed,
)
from hawser_engine.messages import Published as PublishedMessage
from tests.runtime.helpers import RawClient, serving

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trio.testing import MockClock

    from hawser import Proceed, Session
    from hawser.brokers import Submission


class Committing(MemoryBroker):
    """Takes a while for a commit, whatever is in it: until it is told to go on."""

    at_once = 4

    def __init__(self) -> None:
        super().__init__()
        self.commits: list[list[bytes]] = []
        """What each was asked to publish."""
        self.full: set[bytes] = set()
        self.fault: Exception | None = None
        self._go = trio.Event()

    async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
        self.commits.append([data])
        await self._go.wait()
        return await super().publish(channel, data, **options)

    async def publish_all(self, submissions: Sequence[Submission]) -> list[Published | BrokerUnavailable]:
        self.commits.append([one.data for one in submissions])
        await self._go.wait()
        if self.fault is not None:
            raise self.fault
        outcomes: list[Published | BrokerUnavailable] = []
        for one in submissions:
            if one.data in self.full:
                outcomes.append(BrokerUnavailable("full"))
            else:
                outcomes.append(
                    await super().publish(one.channel, one.data, retention=one.retention, key=one.key, about=one.about)
                )
        return outcomes

    async def go_on(self) -> None:
        """Let it commit, and wait until nothing is left to do."""
        self._go.set()
        await wait_all_tasks_blocked()


@attrs.frozen
class Harbour:
    """An app whose broker takes several at once, and a client that sends what it likes."""

    app: App = attrs.field(factory=App)
    broker: Committing = attrs.field(factory=Committing)

    async def outcomes(self, *messages: AnyMessage, takes: int = 1_048_576) -> list[tuple[int | None, Any]]:
        """Send messages at once: the id of each answer, with what it says, when everything is committed."""
        self.app.broker = self.broker
        client = RawClient(EngineConfig(message_bytes=takes))
        async with serving(self.app), client.connected():
            await client.opened.wait()
            client.say(*messages)
            await wait_all_tasks_blocked()
            await self.broker.go_on()
            return [_outcome(message) for message in client.messages]


@pytest.fixture
def harbour(autojump_clock: MockClock) -> Harbour:
    harbour = Harbour()
    harbour.app.channel("room*", history=100, open=True)
    return harbour


def _outcome(message: AnyMessage | None) -> tuple[int | None, Any]:
    match message:
        case PublishedMessage():
            return message.id, (message.position.offset, message.duplicate)
        case ErrorReply():
            return message.id, message.code
        case Subscribed():
            return message.id, "subscribed"
        case _:
            raise AssertionError(f"not an answer: {message}")


def publish(id: int, channel: str = "room", *, key: bytes | None = None, tags: bool = False) -> Publish:
    """One whose data is its id."""
    return Publish(id, channel, b"%d" % id, key, PublishOptions({"a": "b"}) if tags else None)


async def test_what_waits_is_handed_over_together_and_within_bounds(harbour: Harbour) -> None:
    outcomes = await harbour.outcomes(*(publish(id) for id in range(1, 7)))
    assert outcomes == [(id, (id, False)) for id in range(1, 7)]
    assert harbour.broker.commits == [[b"1", b"2", b"3", b"4"], [b"5", b"6"]]


async def test_keys_and_channels_count_as_if_each_were_alone(harbour: Harbour) -> None:
    outcomes = await harbour.outcomes(publish(1, key=b"k"), publish(2, "room:2", key=b"k"), publish(3, key=b"k"))
    assert outcomes == [(1, (1, False)), (2, (1, False)), (3, (1, True))]
    assert harbour.broker.commits == [[b"1", b"2", b"3"]]


async def test_whatever_else_is_asked_for_keeps_its_turn(harbour: Harbour) -> None:
    elsewhere = (ChannelRequest("room:else", None),)
    asked = publish(1), Subscribe(2, elsewhere), publish(3), publish(4), Subscribe(5, elsewhere)
    outcomes = await harbour.outcomes(*asked)
    assert outcomes == [(1, (1, False)), (2, "subscribed"), (3, (2, False)), (4, (3, False)), (5, "subscribed")]
    assert harbour.broker.commits == [[b"1"], [b"3", b"4"]]


async def test_what_is_refused_is_answered_in_its_turn_and_nobody_else_suffers(harbour: Harbour) -> None:
    outcomes = await harbour.outcomes(publish(1), publish(2, "nowhere"), publish(3, tags=True), publish(4))
    assert outcomes == [(1, (1, False)), (2, ErrorCode.NOT_FOUND), (3, ErrorCode.BAD_REQUEST), (4, (2, False))]
    assert harbour.broker.commits == [[b"1", b"4"]]


async def test_the_broker_is_not_asked_for_nothing(harbour: Harbour) -> None:
    outcomes = await harbour.outcomes(publish(1, "nowhere"), publish(2, "nowhere"))
    assert outcomes == [(1, ErrorCode.NOT_FOUND), (2, ErrorCode.NOT_FOUND)]
    assert harbour.broker.commits == []


async def test_nothing_that_is_checked_waits_for_a_handler(harbour: Harbour) -> None:
    rule = harbour.app.channel("asked")
    asked: list[list[list[bytes]]] = []

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        asked.append([*harbour.broker.commits])
        return len(asked) < 3

    outcomes = await harbour.outcomes(
        publish(1), publish(2, "asked"), publish(3), publish(4, "asked"), publish(5, "asked")
    )
    assert outcomes == [(1, (1, False)), (2, (1, False)), (3, (2, False)), (4, (2, False)), (5, ErrorCode.DENIED)]
    assert harbour.broker.commits == [[b"1"], [b"2", b"3"], [b"4"]]
    assert asked == [[[b"1"]], [[b"1"], [b"2", b"3"]], [[b"1"], [b"2", b"3"], [b"4"]]]


async def test_middleware_sees_each_from_its_beginning_to_its_end(harbour: Harbour) -> None:
    @harbour.app.middleware
    async def observe(request: object, proceed: Proceed) -> object:
        return await proceed()

    outcomes = await harbour.outcomes(publish(1), publish(2))
    assert outcomes == [(1, (1, False)), (2, (2, False))]
    assert harbour.broker.commits == [[b"1"], [b"2"]]


async def test_one_that_the_broker_cannot_take_keeps_nobody_back(harbour: Harbour) -> None:
    harbour.broker.full.add(b"2")
    assert await harbour.outcomes(publish(1), publish(2), publish(3)) == [
        (1, (1, False)), (2, ErrorCode.UNAVAILABLE), (3, (2, False)),
    ]  # fmt: skip


async def test_a_broker_that_is_not_there_is_no_incident_and_a_fault_is_one(
    harbour: Harbour, caplog: pytest.LogCaptureFixture
) -> None:
    harbour.broker.fault = BrokerUnavailable("closed")
    assert await harbour.outcomes(publish(1), publish(2)) == [(1, ErrorCode.UNAVAILABLE), (2, ErrorCode.UNAVAILABLE)]
    assert caplog.records == []
    harbour.broker.fault = RuntimeError("a bug")
    assert await harbour.outcomes(publish(1), publish(2)) == [(1, ErrorCode.INTERNAL), (2, ErrorCode.INTERNAL)]
    assert len(caplog.records) == 1


async def test_a_client_that_takes_no_answer_gets_none(harbour: Harbour) -> None:
    assert await harbour.outcomes(publish(1), publish(2), takes=1) == []
    assert harbour.broker.commits == [[b"1", b"2"]]


async def test_one_that_is_answered_counts_no_more_though_others_wait_for_room(
    harbour: Harbour, autojump_clock: MockClock
) -> None:
    """SPEC OPS-1: an answer that has left, or is about to, leaves its place to another operation at once."""
    harbour.app.broker = harbour.broker
    client = RawClient(EngineConfig(window_messages=1))
    client.deliver = False
    async with serving(harbour.app, config=Config(operations=4, queue_messages=1)), client.connected():
        await client.opened.wait()
        client.say(*(publish(id) for id in range(1, 5)))
        await trio.sleep(5)  # the window lets through one at a time
        await harbour.broker.go_on()
        assert harbour.broker.commits == [[b"1"], [b"2", b"3", b"4"]]
        client.engine.session.delivered(1, trio.current_time())
        client.flush()
        await trio.sleep(5)
        assert [_outcome(message) for message in client.messages] == [(id, (id, False)) for id in (1, 2)]
        client.say(publish(5), publish(6))  # as there may be four without an answer
        await trio.sleep(5)
        client.deliver = True
        client.engine.session.delivered(2, trio.current_time())
        client.flush()
        await client.until(lambda: len(client.messages) == 6)
        assert [_outcome(message) for message in client.messages] == [(id, (id, False)) for id in range(1, 7)]
