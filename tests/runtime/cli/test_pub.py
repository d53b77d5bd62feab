"""``hawser pub``: order, acknowledgement, bad lines, refusals, and what a reset leaves without an answer."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, Config, connect
from hawser.cli import CommandFailed, leaves
from hawser.cli.lines import open_lines, read_line
from hawser.cli.publishing import Manner, Publisher, read_tags
from hawser.cli.serving import development_app
from hawser.cli.settings import read_settings
from hawser.cli.streams import BadInput, Line
from hawser.payloads import decode_payload
from hawser.testing import CutKind, FaultyNetwork
from tests.runtime.cli.helpers import PATIENCE, URL, Lines, replaceable, stored
from tests.runtime.contract.shop import Shipped

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from trio.testing import MockClock

UNLIMITED = read_settings(None).limits


async def publish(
    app: App,
    texts: Iterable[str],
    *,
    text: bool = False,
    tell: Callable[[str], None] = print,
    tags: Mapping[str, str] | None = None,
    manner: Manner | None = None,
) -> int | CommandFailed:
    """Publish lines to the channel ``c`` of a served app; how many were acknowledged, or what ended it."""
    async with replaceable(app), connect(URL) as client:
        publisher = Publisher(client, "c", tell=tell, manner=manner or Manner(text=text, tags=tags or {}))
        try:
            with trio.fail_after(PATIENCE):
                await publisher.run(Lines(texts))
        except (CommandFailed, ExceptionGroup) as error:
            [failure] = leaves(error)
            assert isinstance(failure, CommandFailed)
            return failure
        return publisher.acknowledged


async def values(app: App) -> list[object]:
    return [decode_payload(data) for data in await stored(app, "c")]


@pytest.mark.slow
async def test_every_line_is_published_in_order_and_acknowledged(autojump_clock: MockClock) -> None:
    app = development_app()
    assert await publish(app, [str(number) for number in range(2_000)]) == 2_000
    assert await values(app) == list(range(2_000))


async def test_blank_lines_are_no_json_and_are_left_out(autojump_clock: MockClock) -> None:
    app = development_app()
    await publish(app, ["", '{"a": [1, null]}', "  \r", '"b"\r'])
    assert await values(app) == [{"a": [1, None]}, "b"]


async def test_a_text_is_published_as_it_stands(autojump_clock: MockClock) -> None:
    app = development_app()
    await publish(app, ["", "{no json", "  a b "], text=True)
    assert await values(app) == ["", "{no json", "  a b "]


async def test_each_publication_has_the_tags_that_were_given(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("c", history=10, open=True).event("shipped")(Shipped)
    assert await publish(app, ['{"id": "7"}', '{"id": "8"}'], tags={"event": "shipped", "by": "sea"}) == 2
    history = await app.broker.history("c", 0, limit=10, limit_bytes=1_000)
    assert [entry.about and entry.about.tags for entry in history.entries] == [{"event": "shipped", "by": "sea"}] * 2
    failure = await publish(app, ['{"id": "9"}', '{"id": 10}'], tags={"event": "shipped"})
    assert str(failure) == (
        "line 2: refused: BAD_REQUEST: the publication is not as declared: $.id saw a number, expected a text (CTR-3)"
    )


def test_tags_are_names_with_values() -> None:
    assert read_tags(["event=shipped", "sum=1+1=2", "none="]) == {"event": "shipped", "sum": "1+1=2", "none": ""}
    for given in (["event"], ["a=1", "a=2"]):
        with pytest.raises(CommandFailed, match="write NAME=VALUE, each name once"):
            read_tags(given)
    for given in (["=x"], ["a=" + "x" * 65], [f"t{number}=x" for number in range(9)]):
        with pytest.raises(CommandFailed, match="--tag: ") as caught:
            read_tags(given)
        assert caught.value.exit_code == 2


async def test_each_line_is_the_newest_of_its_key(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("c", history=10, overflow="keep-latest", open=True)
    assert await publish(app, ["1", "2"], manner=Manner(latest_key="a")) == 2
    assert await publish(app, ["3"], manner=Manner(latest_key="b")) == 1
    kept = (await app.broker.history("c", 0, limit=10, limit_bytes=1_000)).entries
    assert [(entry.about and entry.about.latest_key, decode_payload(entry.data)) for entry in kept] == [
        ("a", 2),
        ("b", 3),
    ]
    with pytest.raises(CommandFailed, match="--latest-key: ") as caught:
        Manner(latest_key="x" * 65)
    assert caught.value.exit_code == 2


async def test_what_is_volatile_is_acknowledged_and_kept_nowhere(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("c", history=10, volatile=True, open=True)
    assert await publish(app, ["1", "2"], manner=Manner(volatile=True)) == 2
    assert await values(app) == []
    kept = App()
    kept.channel("c", history=10, open=True)
    failure = await publish(kept, ["1"], manner=Manner(volatile=True))
    assert str(failure).startswith("line 1: refused: BAD_REQUEST")


async def test_what_is_volatile_is_not_published_again_after_a_reset(autojump_clock: MockClock) -> None:
    app, asked = App(), count()
    rule = app.channel("c", volatile=True)

    @rule.authorize
    async def authorize(session: object, action: str, channel: str) -> bool:
        if next(asked) == 1:
            await trio.sleep_forever()
        return True

    async with replaceable(app) as server, connect(URL) as client, trio.open_nursery() as nursery:

        async def replace() -> None:
            await trio.sleep(75)  # between the second line and the third
            await server.kill()
            await server.start()

        nursery.start_soon(replace)
        publisher = Publisher(client, "c", tell=print, manner=Manner(volatile=True))
        with (
            trio.fail_after(PATIENCE),
            pytest.raises(CommandFailed, match="1 without an answer; what is volatile is not published again"),
        ):
            await publisher.run(Lines("123", pause=30))
        assert publisher.acknowledged == 2


async def test_what_stands_before_a_bad_line_is_published_and_nothing_behind_it(autojump_clock: MockClock) -> None:
    app = development_app()
    failure = await publish(app, ["1", "2", "three", "4"])
    assert isinstance(failure, BadInput)
    assert failure.exit_code == 2
    assert str(failure) == "line 3: not JSON: Expecting value at character 1; --text takes lines as they are"
    assert await values(app) == [1, 2]


async def test_data_of_the_command_line_is_the_only_line() -> None:
    assert [line async for line in open_lines("[1]", "publishing", text=False)] == [Line(0, "[1]")]
    with pytest.raises(CommandFailed, match="DATA: "):
        open_lines("one", "publishing", text=False)


@pytest.mark.parametrize(("text", "kind"), [(False, "JSON"), (True, "text")])
def test_whoever_types_lines_is_told_what_becomes_of_them(
    text: bool, kind: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def is_terminal(_descriptor: int) -> bool:
        return True

    monkeypatch.setattr(os, "isatty", is_terminal)
    open_lines(None, "posting", text=text)
    assert capfd.readouterr().err == f"posting each line that you type, as {kind}; Ctrl-D ends\n"


def test_data_of_the_command_line_has_no_line_number() -> None:
    with pytest.raises(CommandFailed, match=r"DATA: not JSON: .*; --text takes"):
        read_line(Line(0, "hello"), text=False)
    with pytest.raises(CommandFailed, match="DATA: no payload: "):
        read_line(Line(0, "\ud800"), text=True)


async def test_a_refusal_names_the_line_and_what_is_open(autojump_clock: MockClock) -> None:
    app = App()
    rule = app.channel("c", history=10)
    allowed = count()

    @rule.authorize
    async def authorize(session: object, action: str, channel: str) -> bool:
        await trio.sleep(1)
        return next(allowed) < 2

    failure = await publish(app, list("12345"))
    assert str(failure) == "line 3: refused: DENIED: publish 'c'; lines 4 to 5 without an answer"
    assert await values(app) == [1, 2]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
async def test_after_resets_everything_is_published_once_and_in_order(autojump_clock: MockClock, seed: int) -> None:
    """The broker, and with it the keys, live through the resets; only sessions are lost."""
    app = development_app()
    told: list[str] = []
    lines = Lines((str(number) for number in range(1_500)), pause=0.002)
    async with (
        replaceable(app, config=UNLIMITED) as server,
        FaultyNetwork(seed=seed, delay_seconds=(0.0, 0.02)) as network,
        connect(URL, transport=network, config=Config(backoff_cap_seconds=1)) as client,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(lambda: network.storm(every_seconds=0.2, kinds=(CutKind.BOTH, CutKind.SERVER)))
        publisher = Publisher(client, "c", tell=told.append, manner=Manner())
        done = trio.Event()

        async def publish_all() -> None:
            await publisher.run(lines)
            done.set()

        nursery.start_soon(publish_all)
        for part in range(1, 5):
            while lines.taken < 300 * part:
                await trio.sleep(0.01)
            await server.kill()
            await server.start()
        with trio.fail_after(PATIENCE):
            await done.wait()
        nursery.cancel_scope.cancel()
    assert publisher.acknowledged == 1_500
    assert await values(app) == list(range(1_500))
    again = [line for line in told if line.startswith("publishing ")]
    assert again
    assert all(line.endswith(" again under the same keys") for line in again)
    assert len([line for line in told if line.startswith("reset ")]) == 4


async def test_a_server_that_forgot_its_keys_gets_what_had_no_answer_once_more(autojump_clock: MockClock) -> None:
    """As after ``kill -9`` without a store: nothing is lost, and what comes twice is under another epoch."""
    app, told = development_app(), list[str]()
    lines = Lines((str(number) for number in range(400)), pause=0.001)
    async with replaceable(app) as server, connect(URL) as client, trio.open_nursery() as nursery:
        publisher = Publisher(client, "c", tell=told.append, manner=Manner())
        nursery.start_soon(publisher.run, lines)
        while lines.taken < 200:
            await trio.sleep(0.001)
        await server.kill()
        before = await values(app)
        server.app = development_app()
        await server.start()
    after = await values(server.app)
    assert before == list(range(len(before)))
    assert after == list(range(400 - len(after), 400))
    assert 400 - len(after) <= len(before)
    assert publisher.acknowledged == 400
    assert [line.split(":")[0] for line in told if line.startswith("reset ")] == ["reset RESTARTED"]


async def test_a_closed_session_says_what_has_no_answer(autojump_clock: MockClock) -> None:
    app = App()
    rule = app.channel("c")

    @rule.authorize
    async def authorize(session: object, action: str, channel: str) -> bool:
        await trio.sleep_forever()
        raise AssertionError

    async with replaceable(app), connect(URL) as client, trio.open_nursery() as nursery:

        async def close() -> None:
            await trio.sleep(1)
            await client.aclose()

        nursery.start_soon(close)
        with pytest.raises(BaseExceptionGroup) as caught:
            await Publisher(client, "c", tell=print, manner=Manner()).run(Lines("123"))
    [error] = leaves(caught.value)
    assert "the session is closed: NORMAL" in str(error)
    assert str(error).endswith("; lines 1 to 3 without an answer")


async def test_an_interruption_says_what_has_no_answer(autojump_clock: MockClock) -> None:
    told: list[str] = []
    app = App()
    rule = app.channel("c")

    @rule.authorize
    async def authorize(session: object, action: str, channel: str) -> bool:
        await trio.sleep_forever()
        raise AssertionError

    with trio.move_on_after(5):
        await publish(app, ["1"], tell=told.append)
    assert told == ["interrupted: 0 acknowledged; line 1 without an answer"]
