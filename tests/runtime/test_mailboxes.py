"""Mailboxes as programs use them: letters that wait, one holder, what is settled and what is not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import trio

from hawser import App, Mailbox, Principal, connect
from tests.runtime.helpers import PATIENCE, URL, serving

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

    from hawser.brokers import Broker


def mail_app(broker: Broker | None = None, **declared: Any) -> App:
    """Everybody is who the token says; everybody may post."""
    app = App(broker=broker)
    app.channel("dead", history=100, open=True)
    app.mailbox("user:*", open=True, dead_letters="dead", **declared)
    app.mailbox("agent:*", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"], credentials)

    return app


async def take(letters: Mailbox, count: int) -> list[Any]:
    """Data of the next letters; the last one is not acknowledged."""
    with trio.fail_after(PATIENCE):
        return [(await letters.receive()).data for _ in range(count)]


async def test_a_letter_waits_for_whom_it_is_for(autojump_clock: MockClock) -> None:
    async with serving(mail_app()):
        async with connect(URL, token="bob") as bob:
            for text in ("one", "two", {"three": 3}):
                stored = await bob.post("user:ada", text)
                assert not stored.duplicate
        async with connect(URL, token="ada") as ada, ada.mailbox() as letters:
            assert letters.name == "user:ada"
            assert letters.holding
            first = await letters.receive()
            assert (first.data, first.sender, first.mailbox, first.tries) == ("one", "bob", "user:ada", 0)
            assert await take(letters, 2) == ["two", {"three": 3}]
            async with connect(URL, token="bob") as bob:
                stored = await bob.post("user:ada", "four")
            last = await letters.receive()
            assert (last.data, last.position) == ("four", stored.position)
