"""Middleware around who somebody is: at every attach and renewal, with a say in the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import trio

from hawser import (
    ANONYMOUS,
    App,
    CloseCode,
    Config,
    ConnectFailed,
    ConnectRequest,
    Principal,
    RequestFailed,
    Session,
    SessionClosed,
    connect,
)
from hawser.testing import CutKind, FaultyNetwork
from tests.runtime.helpers import PATIENCE, URL, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser import Proceed


def app_with_tokens() -> App:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        token = credentials.get("token")
        return None if token is None else Principal(str(token))

    @app.procedure("me")
    async def me(session: Session) -> list[Any]:
        return [session.principal.id, dict(session.principal.attributes)]

    return app


async def refusal(token: str | None = "ada") -> tuple[int | None, str]:
    """How a client that wants in is told no."""
    with trio.fail_after(PATIENCE), pytest.raises(ConnectFailed) as caught:
        async with connect(URL, token=token):
            pass
    return caught.value.code, str(caught.value)


async def test_it_is_around_every_attach_and_renewal_the_first_outermost(autojump_clock: MockClock) -> None:
    app = app_with_tokens()
    diary: list[Any] = []

    @app.connect_middleware
    async def outer(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        diary.append(("outer", request.kind, request.user))
        principal: Principal | None = await proceed()
        diary.append(principal and principal.id)
        return principal

    @app.connect_middleware
    async def inner(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        diary.append(("inner", dict(request.credentials)))
        result: Principal | None = await proceed(request)
        return result

    async with serving(app), FaultyNetwork() as network:
        async with connect(URL, token="ada", transport=network) as client:
            assert await client.call("me") == ["ada", {}]
            await network.cut(CutKind.BOTH)
            assert await client.call("me") == ["ada", {}]
            await client.authenticate(token="ada")
    new = [("outer", "connect", None), ("inner", {"token": "ada"}), "ada"]
    again = [("outer", "connect", "ada"), ("inner", {"token": "ada"}), "ada"]
    assert diary == [*new, *again, *again]


async def test_it_changes_credentials_and_principals(autojump_clock: MockClock) -> None:
    app = app_with_tokens()

    @app.connect_middleware
    async def change(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        token = request.credentials["token"].removeprefix("Bearer ")
        principal: Principal = await proceed(request.with_credentials({"token": token}))
        return attrs.evolve(principal, attributes={"checked": True})

    async with serving(app), connect(URL, token="Bearer ada") as client:
        assert await client.call("me") == ["ada", {"checked": True}]


async def test_without_authenticate_it_decides_alone(autojump_clock: MockClock) -> None:
    app = open_app()

    @app.connect_middleware
    async def door(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        assert await proceed() == ANONYMOUS
        return Principal("guest") if request.credentials else None

    async with serving(app):
        async with connect(URL, token="any") as client:
            await client.publish("room", 1)
        code, text = await refusal(token=None)
        assert code == CloseCode.UNAUTHORIZED
        assert "credentials refused" in text


async def test_a_refusal_says_why(autojump_clock: MockClock) -> None:
    app = app_with_tokens()

    @app.connect_middleware
    async def banned(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        raise RequestFailed(120, "banned until tomorrow")

    async with serving(app):
        code, text = await refusal()
        assert code == CloseCode.UNAUTHORIZED
        assert "banned until tomorrow" in text


async def test_authenticate_says_why_in_the_same_way(autojump_clock: MockClock) -> None:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        raise RequestFailed(120, "the token is of another service")

    async with serving(app):
        code, text = await refusal()
        assert code == CloseCode.UNAUTHORIZED
        assert "the token is of another service" in text


@pytest.mark.parametrize(
    "failure", [RequestFailed(4, "too many at once", temporary=True), ValueError("secret"), "hangs", 5]
)
async def test_what_cannot_be_said_now_is_asked_again(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, failure: Any
) -> None:
    app = app_with_tokens()
    attempts: list[float] = []

    @app.connect_middleware
    async def moody(request: ConnectRequest, proceed: Proceed) -> Any:
        attempts.append(trio.current_time())
        if len(attempts) == 1:
            if isinstance(failure, Exception):
                raise failure
            if failure == "hangs":
                await trio.sleep_forever()
            return failure  # no principal at all
        return await proceed()

    async with serving(app, config=Config(handshake_seconds=3)):
        with trio.fail_after(PATIENCE):
            async with connect(URL, token="ada") as client:
                assert await client.call("me") == ["ada", {}]
    assert len(attempts) == 2
    incidents = [record.getMessage() for record in caplog.records if record.name == "hawser"]
    assert len(incidents) == (isinstance(failure, ValueError | int))


async def test_a_session_that_is_refused_at_a_renewal_goes(autojump_clock: MockClock) -> None:
    app = app_with_tokens()
    banned = False

    @app.connect_middleware
    async def watch(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        principal: Principal | None = await proceed()
        return None if banned and request.user == "ada" else principal

    async with serving(app), connect(URL, token="ada") as client:
        await client.call("me")
        banned = True

        async def renew() -> None:
            await client.authenticate(token="ada")
            await client.call("me")

        with trio.fail_after(PATIENCE), pytest.raises(SessionClosed) as caught:
            await renew()
        assert caught.value.code == CloseCode.UNAUTHORIZED


async def test_another_request_than_was_made_is_not_judged(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = app_with_tokens()
    others = [ConnectRequest({}, "bob")]

    @app.connect_middleware
    async def confuse(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        result: Principal | None = await (proceed(others.pop()) if others else proceed())
        return result

    async with serving(app), connect(URL, token="ada"):
        assert "only data, info, arguments and credentials can be changed" in caplog.text
    assert "token" not in caplog.text
