"""Sending to sessions, users, agents, lists and everybody, as programs use it (SPEC ADR-1 to ADR-11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from hawser import App, Client, Direct, Directs, Principal, connect, to
from hawser.payloads import encode_payload
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock


def open_app() -> App:
    """Everybody is who the token says, and may do everything."""
    app = App()
    app.channel("*", history=100, open=True)
    app.agent("*", open=True)
    app.user("*", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"], credentials)

    return app


async def heard(directs: Directs, count: int) -> list[Any]:
    with trio.fail_after(PATIENCE):
        return [(await directs.receive()).data for _ in range(count)]


async def outcome(client: Client, target: to.Target, data: object) -> tuple[str, int, int, int]:
    one = (await client.send(target, data)).outcome
    return one.status, one.reached, one.away, one.full


async def test_a_user_is_reached_on_all_devices_and_can_answer(autojump_clock: MockClock) -> None:
    async with (
        serving(open_app()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as phone,
        connect(URL, token="bob") as desk,
        ada.directs() as answers,
        phone.directs() as first,
        desk.directs() as second,
    ):
        assert await outcome(ada, to.user("bob"), "hello") == ("delivered", 2, 0, 0)
        assert answers.session is not None
        for directs in (first, second):
            assert await directs.receive() == Direct(to.user("bob"), "ada", answers.session, encode_payload("hello"))
        assert await outcome(phone, to.session(answers.session), "hi") == ("delivered", 1, 0, 0)
        assert await heard(answers, 1) == ["hi"]
        assert await outcome(phone, to.everybody, "all") == ("delivered", 3, 0, 0)
