"""A string where a list of names is taken: no letter of it is one, and the error says what to write."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from hawser import App, Client, connect, to
from tests.runtime.helpers import URL, serving

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from trio.testing import MockClock


def open_app() -> App:
    app = App()
    app.channel("*", open=True)
    app.agent("*", open=True)
    return app


async def search(text: str) -> None: ...


async def publish_to(app: App, client: Client, given: Any) -> object:
    return await client.publish_to(given, 1)


async def offer(app: App, client: Client, given: Any) -> object:
    return client.offer("a", search, capabilities=given)


async def describe(app: App, client: Client, given: Any) -> object:
    return client.offer("a", search, doc=given)


async def declare(app: App, client: Client, given: Any) -> object:
    return app.channel("a", about=given)


async def bury(app: App, client: Client, given: Any) -> object:
    return app.mailbox("user:*", dead_letters=given)


async def follow(app: App, client: Client, given: Any) -> object:
    return connect(URL, hosts=given)


async def send(app: App, client: Client, given: Any) -> object:
    return await app.send(to.everybody, 1, but=given)


async def collect(app: App, client: Client, given: Any) -> object:
    return await app.collect("a", 1, but=given)


USES: list[tuple[Any, object, str]] = [
    (publish_to, "news:de", "channels is a list of names, not a string; write ['news:de']"),
    (offer, "web", "capabilities is a list of names, not a string; write ['web']"),
    (offer, [3], "a capability is a text, not int"),
    (describe, 3, "doc is a text, not int"),
    (declare, "tags", "about is a list of names, not a string; write ['tags']"),
    (bury, ["dead"], "the channel of dead letters is a string, not list"),
    (follow, "b.example", "hosts is a list of names, not a string; write ['b.example']"),
    (send, "ada", "but is a list of sessions, such as [session], not str"),
    (send, object(), "but is a list of sessions, such as [session], not object"),
    (collect, object(), "but is a list of sessions, such as [session], not object"),
]


@pytest.mark.parametrize(
    ("use", "given", "message"), USES, ids=[f"{use.__name__}-{type(given).__name__}" for use, given, _ in USES]
)
async def test_it_is_refused_at_the_call(
    use: Callable[[App, Client, Any], Awaitable[object]], given: object, message: str, autojump_clock: MockClock
) -> None:
    app = open_app()
    async with serving(app), connect(URL) as client:
        with pytest.raises(TypeError) as caught:
            await use(app, client, given)
    assert str(caught.value) == message
