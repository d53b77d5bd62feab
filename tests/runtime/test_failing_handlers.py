"""Wherever the application's code runs, the failure of its nursery stays there (DESIGN: Trio structure)."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Client, Config, Principal, RequestFailed, Session, connect
from hawser.brokers import MemoryBroker, Published
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser.client import Connect


@pytest.mark.parametrize(
    "place", ["authenticate", "on_connect", "authorize", "procedure of the client", "broker", "on_disconnect"]
)
async def test_three_failing_children_of_a_handler_harm_nobody_else(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture, place: str
) -> None:
    """One client's handlers fail, wherever that may be; another one goes on, and so does the first."""
    failing = True

    async def pass_by(here: str, who: Principal) -> None:
        async def fail() -> None:
            raise ValueError("secret")

        if failing and here == place and who.id == "unlucky":
            async with trio.open_nursery() as nursery:
                for _ in range(3):
                    nursery.start_soon(fail)

    class Fragile(MemoryBroker):
        async def publish(self, channel: str, data: bytes, **options: Any) -> Published:
            await pass_by("broker", Principal(channel))
            return await super().publish(channel, data, **options)

    app = App(broker=Fragile())
    rule = app.channel("*", history=10)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        principal = Principal(credentials["token"])
        await pass_by("authenticate", principal)
        return principal

    @app.on_connect
    async def arrived(session: Session) -> None:
        await pass_by("on_connect", session.principal)

    @app.on_disconnect
    async def left(session: Session) -> None:
        await pass_by("on_disconnect", session.principal)

    @rule.authorize
    async def authorize(session: Session, action: str, channel: str) -> bool:
        await pass_by("authorize", session.principal)
        return True

    @app.procedure("back")
    async def back(session: Session) -> Any:
        return await session.call("own")

    def conversation(who: str) -> Connect:
        async def own() -> str:
            await pass_by("procedure of the client", Principal(who))
            return who

        return connect(URL, token=who, procedures={"own": own}, config=Config(connect_seconds=60))

    async def talk(client: Client, who: str) -> None:
        assert (await client.publish(who, 1)).position.offset >= 1
        async with client.subscribe(who):
            assert await client.call("back") == who

    async with serving(app) as server, conversation("lucky") as lucky, trio.open_nursery() as nursery:

        async def get_well() -> None:
            nonlocal failing
            await trio.sleep(3)
            for _ in range(10):
                await talk(lucky, "lucky")
            failing = False

        nursery.start_soon(get_well)
        async with conversation("unlucky") as unlucky:
            with suppress(RequestFailed):
                await talk(unlucky, "unlucky")
            if place != "on_disconnect":
                while failing:
                    await trio.sleep(1)
            if place not in ("on_connect", "on_disconnect"):
                await talk(unlucky, "unlucky")
        await trio.sleep(1)
        assert server.sessions == 1
    failures = [record.exc_info[1] for record in caplog.records if isinstance(record.exc_info, tuple)]
    assert failures
    for failure in failures:
        group: Any = failure
        assert [type(error) for error in group.exceptions] == [ValueError] * 3
