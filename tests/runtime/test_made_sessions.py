"""Handlers as plain functions: a session that is made for a test is enough for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hawser import ANONYMOUS, App, CallError, ErrorCode, PayloadError, Principal, Session
from hawser.testing import make_session
from tests.runtime.contract.shop import Item, Placed, Receipt, orders, place

if TYPE_CHECKING:
    from trio.testing import MockClock

app = App()
rooms = app.channel("room:*")


@rooms.authorize
async def authorize(session: Session, action: str, channel: str) -> bool:
    return channel.endswith(session.principal.id)


@app.procedure("sign")
async def sign(session: Session, text: str) -> str:
    session.data["signed"] = session.data.get("signed", 0) + 1
    return (
        f"{text}: {await session.call('seal', text, by=None) if text == 'wrong' else await session.call('seal', text)}"
    )


async def test_a_handler_is_called_with_a_session_and_plain_arguments(autojump_clock: MockClock) -> None:
    async def seal(text: str) -> tuple[str, int]:
        return text, len(text)

    session = make_session(Principal("ada"), procedures={"seal": seal}, number=3)
    assert await authorize(session, "publish", "room:ada")
    assert not await authorize(session, "publish", "room:bob")
    assert await sign(session, "hello") == "hello: ['hello', 5]"  # a list: it has travelled
    assert (session.data, session.number) == ({"signed": 1}, 3)
    with pytest.raises(TypeError, match="positional or named"):
        await sign(session, "wrong")


async def test_a_typed_handler_takes_instances_and_returns_some(autojump_clock: MockClock) -> None:
    order = Placed("77", [Item("rope", 3), Item("hook", 4)])
    assert await place(make_session(), order, express=True) == Receipt("77", 12)
    assert orders.events is not None


async def test_a_client_that_is_not_there_answers_as_one_that_is(autojump_clock: MockClock) -> None:
    async def price(item: Item) -> int:
        return item.price

    async def fail() -> None:
        raise ZeroDivisionError

    async def boat() -> None:
        raise CallError(100, "no such boat")

    session = make_session(procedures={"price": price, "fail": fail, "boat": boat})
    assert session.principal == ANONYMOUS
    assert await session.call("price", {"name": "rope", "price": 3}) == 3
    with pytest.raises(CallError) as caught:
        await session.call("price", {"name": "rope"})
    data: Any = caught.value.data
    assert data["problems"][0]["path"] == "$[0].price"
    with pytest.raises(CallError) as caught:
        await session.call("nothing")
    assert caught.value.code == ErrorCode.NOT_FOUND
    with pytest.raises(CallError, match="no such boat"):
        await session.call("boat")
    with pytest.raises(ZeroDivisionError):
        await session.call("fail")
    with pytest.raises(PayloadError):
        await session.call("price", object())
    with pytest.raises(CallError, match="this client knows no streams"):
        session.stream("price")
    assert session.directory() == []


async def test_a_made_session_says_what_it_was_subscribed_to() -> None:
    async def welcome(session: Session) -> None:
        await session.subscribe("news")
        await session.subscribe("lobby", rewind=10)
        await session.unsubscribe("news")

    channels = {"own"}
    session = make_session(channels=channels)
    await welcome(session)
    assert channels == {"own", "lobby"}
    with pytest.raises(ValueError, match="channel name"):
        await session.subscribe("")
    with pytest.raises(ValueError, match="only clients can subscribe"):
        await session.subscribe("news:*")
    await make_session().subscribe("news")
