"""What middleware is for: a rate, traces and a log, each once and for everything that clients ask for."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, ErrorCode, Principal, RequestFailed, connect
from tests.runtime.helpers import URL, open_app, serving

if TYPE_CHECKING:
    from collections.abc import Generator, Mapping

    from trio.testing import MockClock

    from hawser import Client, ConnectRequest, Proceed, Request, Session


def app_with_users() -> App:
    app = open_app()

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(str(credentials["token"]))

    @app.procedure("echo")
    async def echo(session: Session, value: int) -> int:
        return value

    return app


async def ask_for_everything(client: Client) -> None:
    await client.call("echo", 1)
    await client.publish("room", 1)
    async with client.subscribe("room"):
        pass


async def test_a_rate_for_each_user_over_all_sessions(autojump_clock: MockClock) -> None:
    app = app_with_users()
    free_at: dict[str, float] = {}

    @app.middleware
    async def rate(request: Request, proceed: Proceed) -> Any:
        user, now = request.session.principal.id, trio.current_time()
        if free_at.get(user, 0) > now + 2:
            raise RequestFailed(ErrorCode.BUSY, "three requests a second", temporary=True)
        free_at[user] = max(free_at.get(user, 0), now) + 1
        return await proceed()

    async with serving(app), connect(URL, token="ada") as one, connect(URL, token="ada") as other:
        await ask_for_everything(one)
        for client in (one, other):
            with pytest.raises(RequestFailed) as caught:
                await client.publish("room", 2)
            assert (caught.value.code, caught.value.temporary) == (ErrorCode.BUSY, True)
        async with connect(URL, token="bob") as bob:
            await ask_for_everything(bob)
        await trio.sleep(3)
        await ask_for_everything(other)


async def test_a_trace_that_handlers_go_on_with(autojump_clock: MockClock) -> None:
    app = app_with_users()
    current: ContextVar[tuple[str, ...]] = ContextVar("current", default=())
    spans: list[tuple[str, ...]] = []

    @contextmanager
    def span(name: str) -> Generator[None]:
        token = current.set((*current.get(), name))
        try:
            yield
        finally:
            spans.append(current.get())
            current.reset(token)

    @app.connect_middleware
    async def trace_connections(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        with span(request.kind):
            principal: Principal | None = await proceed()
            return principal

    @app.middleware
    async def trace(request: Request, proceed: Proceed) -> Any:
        with span(request.kind):
            return await proceed()

    @app.procedure("store")
    async def store(session: Session) -> None:
        with span("database"):
            await trio.sleep(1)

    async with serving(app), connect(URL, token="ada") as client, trio.open_nursery() as nursery:
        for _ in range(2):
            nursery.start_soon(client.call, "store")
        await ask_for_everything(client)
    assert Counter(spans) == {
        ("connect",): 1, ("call",): 3, ("call", "database"): 2, ("publish",): 1, ("subscribe",): 1,
    }  # fmt: skip


async def test_a_log_of_who_asked_for_what_and_how_it_ended(autojump_clock: MockClock) -> None:
    app = app_with_users()
    log: list[tuple[Any, ...]] = []

    async def note(who: str, request: Request | ConnectRequest, proceed: Proceed) -> Any:
        began = trio.current_time()
        end = "cancelled"
        try:
            result = await proceed()
            end = "done"
            return result
        except RequestFailed as error:
            end = ErrorCode(error.code).name
            raise
        finally:
            log.append((who, request.kind, end, trio.current_time() - began))

    @app.connect_middleware
    async def log_connections(request: ConnectRequest, proceed: Proceed) -> Principal | None:
        principal: Principal | None = await note("somebody", request, proceed)
        return principal

    @app.middleware
    async def log_requests(request: Request, proceed: Proceed) -> Any:
        return await note(request.session.principal.id, request, proceed)

    @app.procedure("wait")
    async def wait(session: Session) -> None:
        await trio.sleep_forever()

    async with serving(app), connect(URL, token="ada") as client:
        await client.publish("room", 1)
        with pytest.raises(RequestFailed, match="NOT_FOUND"):
            await client.call("nothing")
        with trio.move_on_after(3):
            await client.call("wait")
    assert log == [
        ("somebody", "connect", "done", 0),
        ("ada", "publish", "done", 0),
        ("ada", "call", "NOT_FOUND", 0),
        ("ada", "call", "cancelled", pytest.approx(3)),
    ]
