"""``hawser presence``: who is printed as being there, what changes, how it ends."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, Config, HawserError, Principal, connect
from hawser.cli import CommandFailed, leaves, main
from hawser.cli.watching import Watched, Watcher, read_info
from tests.runtime.cli.helpers import PATIENCE, URL, Written, replaceable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trio.testing import MockClock


def rooms() -> App:
    app = App()
    app.channel("room:*", presence=True, open=True)
    app.channel("plain", open=True)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal:
        return Principal(credentials["token"])

    return app


def printed(output: Written) -> list[tuple[str, Any, Any]]:
    """What happened, to whom, with what info; or the total."""
    lines = [json.loads(line) for line in output.lines]
    assert {line["channel"] for line in lines} <= {"room:a"}
    return [(line["what"], line.get("user"), line["info"] if "info" in line else line["total"]) for line in lines]


async def test_who_is_there_comes_first_and_then_what_changes(autojump_clock: MockClock) -> None:
    output, told = Written(), list[str]()
    async with (
        replaceable(rooms()),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
        connect(URL, token="eve") as eve,
        ada.presence("room:a", info="Ada"),
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(Watcher(eve, Watched("room:a", None, 4), output, told.append).run)
        await output.until(1)
        async with bob.presence("room:a", info=[1, b"\0"], watch=False) as presence:
            await output.until(2)
            await presence.update({"busy": True})
            await output.until(3)
        with trio.fail_after(PATIENCE):
            await output.until(4)
    assert printed(output) == [
        ("here", "ada", "Ada"),
        ("join", "bob", [1, "AA"]),
        ("update", "bob", {"busy": True}),
        ("leave", "bob", {"busy": True}),
    ]
    ids = [json.loads(line)["id"] for line in output.lines]
    assert ids[0] != ids[1] == ids[2] == ids[3]
    assert told == ["watching room:a: 1 there"]


async def test_whoever_says_something_of_itself_is_a_member_until_the_end(autojump_clock: MockClock) -> None:
    app, output = rooms(), Written()
    async with replaceable(app), connect(URL, token="ada") as ada, connect(URL, token="bob") as bob:
        async with bob.presence("room:a") as presence:
            await Watcher(ada, Watched("room:a", {"name": "Ada"}, 1), output, print).run()
            assert [(await anext(presence)).what for _ in range(2)] == ["join", "leave"]
    assert printed(output) == [("here", "ada", {"name": "Ada"})]


async def test_too_many_are_counted(autojump_clock: MockClock) -> None:
    output = Written()
    config = Config(presence_listed=1)
    async with (
        replaceable(rooms(), config=config),
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
        connect(URL, token="eve") as eve,
        ada.presence("room:a", info=1),
        bob.presence("room:a", info=2),
        trio.open_nursery() as nursery,
    ):
        await trio.sleep(5)  # the step in which they are told is over
        nursery.start_soon(Watcher(eve, Watched("room:a", None, 2), output, print).run)
        await output.until(1)
        async with connect(URL, token="zoe") as zoe, zoe.presence("room:a", info=3):
            await output.until(2)
    assert printed(output) == [("count", None, 2), ("count", None, 3)]


async def test_a_channel_without_presence_ends_it(autojump_clock: MockClock) -> None:
    async with replaceable(rooms()), connect(URL, token="ada") as ada:
        with pytest.raises(BaseExceptionGroup) as caught:
            await Watcher(ada, Watched("plain", None, None), Written(), print).run()
    [error] = leaves(caught.value)
    assert isinstance(error, HawserError)
    assert "BAD_REQUEST" in str(error)


async def test_it_ends_where_the_client_is_closed(autojump_clock: MockClock) -> None:
    output = Written()
    async with replaceable(rooms()), connect(URL, token="ada") as ada, trio.open_nursery() as nursery:

        async def close() -> None:
            await output.until(1)
            await ada.aclose()

        nursery.start_soon(close)
        await Watcher(ada, Watched("room:a", 1, None), output, print).run()
    assert printed(output) == [("here", "ada", 1)]


def test_what_a_member_says_is_json() -> None:
    assert read_info(None) is None
    assert read_info('{"name": "Ada"}') == {"name": "Ada"}
    for text, says in (
        ("Ada", "a text is written"),
        ("null", "leave it out to watch only"),
        (f'"{"x" * 1_100}"', "at most 1,024"),
    ):
        with pytest.raises(CommandFailed, match=says) as caught:
            read_info(text)
        assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "no URL"),
        ((URL,), "0 channels: write hawser presence URL CHANNEL"),
        ((URL, "a", "b"), "2 channels"),
        ((URL, "a", "--count", "0"), "--count is 0"),
        ((URL, "a", "--as", "Ada"), "--as Ada: not JSON"),
    ],
)
def test_wrong_usage_names_the_fix(
    arguments: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWSER_URL", raising=False)
    assert main(["presence", *arguments]) == 2
    assert says in capsys.readouterr().err
