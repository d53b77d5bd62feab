"""Volatile publications in the queues of clients: in their place, and only where there is room (SPEC VOL-5, MSG-7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Message, Position, connect
from hawser.client.feed import Feed, Flow
from hawser.client.shares import Queue
from hawser_engine.codec import encode_volatile
from hawser_engine.messages import About, GapNotice, PositionNotice, Publication, encode_body
from tests.runtime.helpers import URL, collect, only_session, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

EPOCH, OTHER = b"epoch..1", b"epoch..2"


def feed_at(offset: int, *, filtered: bool = False, messages_max: int = 10, bytes_max: int = 100) -> Feed:
    feed = Feed("room", None, messages_max=messages_max, bytes_max=bytes_max, filtered=filtered)
    feed.joined(Position(EPOCH, offset), None)
    return feed


def taken(feed: Feed) -> list[Any]:
    items: list[Any] = []
    while (item := feed.take()[0]) is not None:
        items.append((item.offset, item.volatile) if isinstance(item, Message) else item)
    return items


@pytest.mark.parametrize(
    ("epoch", "offset", "filtered", "comes"),
    [
        (EPOCH, 5, False, True),
        (EPOCH, 4, False, False),
        (EPOCH, 6, False, False),
        (OTHER, 5, False, False),
        (EPOCH, 5, True, True),
        (EPOCH, 9, True, True),
        (EPOCH, 4, True, False),
    ],
)
def test_it_comes_only_where_the_subscription_stands(epoch: bytes, offset: int, filtered: bool, comes: bool) -> None:
    feed = feed_at(5, filtered=filtered)
    feed.volatile(epoch, offset, b"x", About(publisher="ada"))
    assert feed.position == Position(EPOCH, 5)
    assert taken(feed) == ([(offset, True)] if comes else [])


def test_before_the_answer_and_during_a_pause_it_is_dropped() -> None:
    feed = Feed("room", Position(EPOCH, 5), messages_max=2, bytes_max=100)
    feed.volatile(EPOCH, 5, b"x")
    assert not feed
    feed.joined(Position(EPOCH, 5), None)
    assert [feed.publication(EPOCH, offset, b"x") for offset in (6, 7)] == [Flow.NOTHING, Flow.PAUSE]
    feed.volatile(EPOCH, 7, b"x")
    assert feed.take()[1] is Flow.CONTINUE
    feed.volatile(EPOCH, 7, b"x")  # under way from before the PAUSE, for all that is known
    feed.considered(EPOCH, 7)
    feed.volatile(EPOCH, 7, b"x")  # no room: one that may be lost never takes the last place
    assert taken(feed) == [(7, False)]
    feed.volatile(EPOCH, 7, b"x")
    assert taken(feed) == [(7, True)]


def test_it_never_fills_the_queue() -> None:
    feed = feed_at(5, bytes_max=10)
    feed.volatile(EPOCH, 5, bytes(9))
    feed.volatile(EPOCH, 5, bytes(1))
    assert len(feed) == 1
    assert not feed.paused
    assert taken(feed) == [(5, True)]
    feed.volatile(EPOCH, 5, bytes(9))  # what was taken has given its bytes back
    assert taken(feed) == [(5, True)]


def test_a_shared_queue_takes_it_where_nothing_is_missing() -> None:
    queue = Queue("room", None, messages_max=2, bytes_max=100)
    fleeting = Message("room", EPOCH, 5, b"x", volatile=True)
    queue.message(fleeting)
    queue.message(Message("room", EPOCH, 6, b"x"))
    queue.message(fleeting)  # out of its place
    queue.message(Message("room", EPOCH, 7, b"x"))  # no room: it is missing, and so is what comes behind it
    queue.message(Message("room", EPOCH, 7, b"x", volatile=True))
    first, second = queue.take(), queue.take()
    assert isinstance(first, Message)
    assert isinstance(second, Message)
    assert [(each.offset, each.volatile) for each in (first, second)] == [(5, True), (6, False)]
    assert queue.take() is not None  # the gap
    assert queue.take() is None


async def test_a_client_drops_whatever_else_is_volatile(autojump_clock: MockClock) -> None:
    """SPEC MSG-7: other messages, other channels, and what is none."""
    app = App()
    app.channel("room", volatile=True, open=True)
    async with serving(app) as server, connect(URL) as client, client.subscribe("room") as messages:
        session = await only_session(server)
        position = messages.position
        assert position is not None
        epoch = position.epoch
        for body in (
            encode_body(PositionNotice("room", epoch, 9)),
            encode_body(GapNotice("room", None, Position(epoch, 9), 1)),
            encode_body(Publication("elsewhere", epoch, 0, b"\x01")),
            b"\xff",
            encode_body(Publication("room", epoch, 0, b"\x02")),
        ):
            assert session.deliver_volatile(encode_volatile(body), trio.current_time())
        await app.publish("room", 3)
        assert await collect(messages, 2) == [2, 3]
        assert messages.position == Position(epoch, 1)
