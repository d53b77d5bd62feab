"""Answers that are none to what was asked: the connection ends, and what was asked is answered on the next one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
import trio

from hawser import App, Client, Request, Session, connect, states, to
from hawser_engine.agents import Offered
from hawser_engine.calls import Reply
from hawser_engine.mailboxes import Held
from hawser_engine.messages import (
    ChannelOutcome,
    Listening,
    Position,
    SendOutcome,
    Subscribed,
    Unsubscribed,
    encode_body,
)
from hawser_engine.messages import Page as PageMessage
from hawser_engine.messages import Published as PublishedMessage
from hawser_engine.messages import Sent as SentMessage
from hawser_engine.presence import Present
from tests.runtime.helpers import URL, only_session, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock

    from hawser import Proceed

PLACE: Final = Position(b"an epoch", 1)
HERE: Final = ChannelOutcome("room", 0, PLACE, "")
ELSEWHERE: Final = ChannelOutcome("hall", 0, PLACE, "")
REACHED: Final = SendOutcome(1, 1, 0, 0, None, "")

PUBLISHED: Final = PublishedMessage(1, PLACE, False)
REPLY: Final = Reply(1, b"")
SUBSCRIBED: Final = Subscribed(1, (HERE,))
SENT: Final = SentMessage(1, (REACHED,))
OTHERS: Final = (
    Unsubscribed(1, ("room",), 0, ""),
    Present(1, "room", None, 0, ""),
    Held(1, "user:ada", 2, 0, ""),
    Offered(1, "clerk", 0, ""),
    Listening(1, "somebody"),
    PageMessage(1, PLACE, 1, False, ()),
)


async def subscribe(client: Client) -> str:
    async with client.subscribe("room") as messages:
        return messages.channel


async def publish(client: Client) -> int:
    return (await client.publish("room", 1)).position.offset


async def call(client: Client) -> Any:
    return await client.call("add", 1, 2)


async def send(client: Client) -> list[str]:
    return [outcome.status for outcome in (await client.send([to.everybody], 1)).outcomes]


ASKED: Final[tuple[tuple[Callable[[Client], Awaitable[object]], object, tuple[object, ...]], ...]] = (
    (publish, 1, (REPLY, SUBSCRIBED, SENT, *OTHERS)),
    (call, 3, (PUBLISHED, SUBSCRIBED, SENT, *OTHERS)),
    (subscribe, "room", (REPLY, Subscribed(1, (ELSEWHERE,)), Subscribed(1, (HERE, ELSEWHERE)), *OTHERS)),
    (send, ["refused"], (PUBLISHED, SentMessage(1, (REACHED, REACHED)), *OTHERS)),
)


@pytest.mark.parametrize(
    ("ask", "expected", "wrong"),
    [(ask, expected, wrong) for ask, expected, answers in ASKED for wrong in answers],
    ids=[f"{ask.__name__}-{number}" for ask, _, answers in ASKED for number in range(len(answers))],
)
async def test_what_is_answered_with_something_else_is_answered_on_the_next_connection(
    autojump_clock: MockClock, ask: Callable[[Client], Awaitable[object]], expected: object, wrong: Any
) -> None:
    """SPEC MSG-2, MSG-4."""
    app, answered = App(), trio.Event()
    app.channel("room", open=True)

    @app.procedure("add")
    async def add(_: Session, one: int, other: int) -> int:
        return one + other

    @app.middleware
    async def wait(request: Request, proceed: Proceed) -> Any:
        await answered.wait()
        return await proceed()

    results = list[object]()

    async def run(client: Client) -> None:
        results.append(await ask(client))

    async with serving(app) as server, trio.open_nursery() as nursery, connect(URL) as client:
        stream = client.states
        nursery.start_soon(run, client)
        session = await only_session(server)
        await trio.sleep(1)
        session.put(encode_body(wrong))
        await trio.sleep(30)
        assert not results
        answered.set()
        await trio.sleep(1)
        assert results == [expected]
    assert [type(state) async for state in stream].count(states.Connected) == 2
