"""What publications carry beside their payload, from publisher to subscriber."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import (
    App,
    ClientPool,
    Config,
    ErrorCode,
    Message,
    Principal,
    Proceed,
    PublishRequest,
    RequestFailed,
    connect,
)
from hawser_engine.messages import ChannelRequest, Publication, PublishOptions, Subscribe, Subscribed
from tests.runtime.helpers import URL, RawClient, serving
from tests.runtime.over_brokers import each_broker, its_own

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock

pytestmark = each_broker

ALL = ("publisher", "time", "tags", "latest_key")
TAGS = {"kind": "news", "from": "é"}


def app_that_carries(*about: Any) -> App:
    app = App()
    app.channel("*", history=100, about=about, open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["name"])

    return app


async def test_a_message_tells_who_when_what_about_and_of_what(autojump_clock: MockClock) -> None:
    """SPEC CHN-13, PUB-7: live, from history, and from the application itself."""
    app = app_that_carries(*ALL)
    seen: list[Message] = []
    async with (
        serving(app),
        connect(URL, credentials={"name": "ada"}) as ada,
        connect(URL, credentials={"name": "bob"}) as bob,
    ):
        async with bob.subscribe("room") as messages:
            start = messages.position
            await trio.sleep(5)
            await ada.publish("room", "1", tags=TAGS, latest_key="x")
            await trio.sleep(5)
            await app.publish("room", "2", tags={"by": "the application"})
            await ada.publish("room", "3", tags={})
            seen += [await messages.receive() for _ in range(3)]
        async with bob.subscribe("room", since=start) as messages:
            again = [await messages.receive() for _ in range(3)]
    assert again == seen
    assert [message.about for message in again] == [message.about for message in seen]
    assert [message.data for message in seen] == ["1", "2", "3"]
    assert [message.publisher for message in seen] == ["ada", None, "ada"]
    assert [message.tags for message in seen] == [TAGS, {"by": "the application"}, {}]
    assert list(seen[0].tags) == list(TAGS)
    assert [message.latest_key for message in seen] == ["x", None, None]
    assert seen[0].time is not None
    assert seen[1].time is not None
    assert 5 <= seen[1].time - seen[0].time < 6
    assert 1_700_000_005 <= seen[0].time < 1_700_000_100


async def test_by_default_nothing_is_carried_and_the_bytes_are_as_ever(autojump_clock: MockClock) -> None:
    app = app_that_carries()
    client = RawClient(credentials={"name": "raw"})
    async with serving(app), client.connected():
        client.say(Subscribe(1, (ChannelRequest("room", None),)))
        assert isinstance(await client.hear(), Subscribed)
        await app.publish("room", 1)
        heard = await client.hear()
    assert isinstance(heard, Publication)
    assert heard.about is None
    message = Message("room", heard.epoch, heard.offset, heard.data)
    assert (message.publisher, message.time, message.tags, message.latest_key) == (None, None, {}, None)


@pytest.mark.parametrize(("carried", "left"), [(["tags"], {"latest_key": "x"}), (["latest_key"], {"tags": TAGS})])
async def test_what_a_channel_does_not_carry_is_refused(
    autojump_clock: MockClock, carried: list[str], left: dict[str, Any]
) -> None:
    """SPEC PUB-8."""
    app = app_that_carries(*carried)
    async with serving(app), connect(URL, credentials={"name": "ada"}) as ada:
        with pytest.raises(RequestFailed, match="carry no") as caught:
            await ada.publish("room", 1, **left)
        assert caught.value.code == ErrorCode.BAD_REQUEST
        with pytest.raises(ValueError, match="carry no"):
            await app.publish("room", 1, **left)
        assert (await ada.publish("room", 1)).position.offset == 1


@pytest.mark.parametrize(
    "wrong",
    [
        {"tags": {"": "x"}},
        {"tags": {"x" * 33: "x"}},
        {"tags": {"x": "x" * 65}},
        {"tags": {str(number): "x" for number in range(9)}},
        {"latest_key": ""},
        {"latest_key": "é" * 33},
    ],
)
async def test_what_cannot_travel_is_refused_where_it_is_said(autojump_clock: MockClock, wrong: Any) -> None:
    app = app_that_carries(*ALL)
    async with serving(app), connect(URL, credentials={"name": "ada"}) as ada:
        with pytest.raises(ValueError, match="expected"):
            await ada.publish("room", 1, **wrong)
        with pytest.raises(ValueError, match="expected"):
            await app.publish("room", 1, **wrong)


@its_own
def test_a_channel_declares_only_what_can_be_carried() -> None:
    app = App()
    wrong: Any = ["tags", "colour"]
    with pytest.raises(ValueError, match="publications carry publisher, time, tags, latest_key"):
        app.channel("*", about=wrong)


async def test_what_is_carried_counts_for_the_length_of_a_publication(autojump_clock: MockClock) -> None:
    """SPEC PUB-5: all of it, however it will be dated, though what was asked for is not too long."""
    app, config = app_that_carries(*ALL), Config(message_bytes=1_500)
    tags = {str(number) * 32: "v" * 64 for number in range(8)}
    async with serving(app, config=config), connect(URL, credentials={"name": "ada"}) as ada:
        assert (await ada.publish("room", bytes(500), tags=tags)).position.offset == 1
        size = 600
        for size in range(600, 1_500):
            try:
                await ada.publish("room", bytes(size), tags=tags)
            except RequestFailed as error:
                assert error.code == ErrorCode.TOO_LARGE
                break
        assert (await ada.publish("room", bytes(size))).position.offset > 1


async def test_middleware_sees_what_is_said_and_users_of_a_pool_may_say_it(autojump_clock: MockClock) -> None:
    app = app_that_carries(*ALL)
    seen: list[PublishOptions | None] = []

    @app.middleware
    async def watch(request: Any, proceed: Proceed) -> Any:
        if isinstance(request, PublishRequest):
            seen.append(request.options)
        return await proceed()

    async with serving(app), ClientPool() as pool, pool.client(URL, credentials={"name": "ada"}) as ada:
        async with ada.subscribe("room") as messages:
            await ada.publish("room", 1, tags=TAGS)
            await (await ada.submit("room", 2, latest_key="x")).wait()
            heard = [await messages.receive() for _ in range(2)]
    assert seen == [PublishOptions(TAGS), PublishOptions(None, "x")]
    assert [message.tags for message in heard] == [TAGS, {}]
    assert [message.publisher for message in heard] == ["ada", "ada"]
