"""Middleware around presence: it sees who wants to watch or to be there, refuses, and changes what members say."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, ErrorCode, PayloadError, PresenceRequest, Request, RequestFailed, connect
from hawser_engine.messages import PRESENCE
from hawser_engine.presence import Members, Presence, Present
from tests.runtime.helpers import URL, RawClient, serving

if TYPE_CHECKING:
    from trio.testing import MockClock

    from hawser import Proceed

ROOM = "room:lobby"


def presence_app() -> App:
    app = App()
    app.channel("room:*", presence=True, open=True)
    return app


async def test_it_sees_what_is_wanted_and_not_what_is_given_up(autojump_clock: MockClock) -> None:
    app = presence_app()
    seen: list[Any] = []

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, PresenceRequest)
        seen.append((request.channel, request.watch, request.member, request.info))
        return await proceed()

    async with serving(app), connect(URL) as client:
        async with client.presence(ROOM) as presence:
            await presence.update({"name": "ada"})
        async with client.presence(ROOM, info=1, watch=False):
            pass
    assert seen == [
        (ROOM, True, False, None),
        (ROOM, True, True, {"name": "ada"}),
        (ROOM, False, True, 1),
    ]


async def test_it_refuses_and_changes_what_members_say(autojump_clock: MockClock) -> None:
    app = presence_app()

    @app.middleware
    async def check(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, PresenceRequest)
        if not request.member:
            with pytest.raises(ValueError, match="nobody"):
                request.with_info("ada")
            return await proceed()
        if not isinstance(request.info, str):
            raise RequestFailed(120, "say who you are")
        with pytest.raises(ValueError, match="none"):
            request.with_info(None)
        with pytest.raises(PayloadError):
            request.with_info("x" * 2_000)
        return await proceed(request.with_info({"name": request.info.strip(), "at": request.session.number}))

    async with serving(app), connect(URL) as client, client.presence(ROOM) as presence:
        with pytest.raises(RequestFailed) as caught:
            await presence.update(7)
        assert (caught.value.code, caught.value.message) == (120, "say who you are")
        await presence.update(" ada ")
        await trio.sleep(2)
        assert [member.info for member in presence.members] == [{"name": "ada", "at": 1}]


@pytest.mark.parametrize("what", ["nothing", "else"])
async def test_what_does_neither_and_another_request_are_incidents(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    app = presence_app()

    @app.middleware
    async def forget(request: Request, proceed: Proceed) -> Any:
        if what == "nothing":
            return None
        return await proceed(PresenceRequest(request.session, "room:other", True, True, b"\x01"))

    async with serving(app), connect(URL) as client:
        with pytest.raises(RequestFailed) as caught:
            await client.presence(ROOM, info=1).__aenter__()
        assert caught.value.code == ErrorCode.INTERNAL
        assert await app.members(ROOM) == []
    assert len(caplog.records) == 1


async def test_an_info_that_is_no_value_is_refused_only_where_it_is_looked_at(autojump_clock: MockClock) -> None:
    app = presence_app()

    @app.middleware
    async def look(request: Request, proceed: Proceed) -> Any:
        assert isinstance(request, PresenceRequest)
        return await proceed(request.with_info(request.info) if request.watch and request.member else None)

    async with serving(app):
        client = RawClient(features=(PRESENCE,))
        async with client.connected():
            client.say(Presence(1, ROOM, 0, b"\xff"))
            assert isinstance(await client.hear(), Present)
            client.say(Presence(2, ROOM, 1, b"\xff"))
            answer: Any = await client.hear()
            assert answer.code == ErrorCode.BAD_REQUEST
            client.say(Presence(3, ROOM, 1, None))
            heard = [await client.hear(), await client.hear()]
            assert [type(message) for message in heard] == [Present, Members]
