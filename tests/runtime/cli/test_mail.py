"""``hawser post`` and ``hawser mailbox``: letters from lines, lines from letters, and what is settled when."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import App, RequestFailed, connect
from hawser.brokers import Keeping, MemoryBroker, MemoryMailboxes, Posting, Published
from hawser.cli import CommandFailed, leaves
from hawser.cli.arguments import Place
from hawser.cli.holding import Holder
from hawser.cli.posting import Poster
from hawser.cli.running import Dial
from hawser.cli.serving import development_app
from hawser.cli.streams import BadInput
from tests.runtime.cli.helpers import PATIENCE, URL, Lines, Written, replaceable
from tests.runtime.helpers import serving
from tests.runtime.roads import Roads

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trio.testing import MockClock

    from hawser import Client

BOX = "agent:clerk"


async def letters(app: App) -> list[bytes]:
    return [one.data for one in await app.broker.mailboxes.read(BOX, 0, limit=100, limit_bytes=10**6)]


async def tries(app: App) -> list[int]:
    return [one.tries for one in await app.broker.mailboxes.read(BOX, 0, limit=100, limit_bytes=10**6)]


async def post(app: App, texts: Iterable[str], **said: float | bool) -> int | CommandFailed:
    """Post lines; how many were stored, or what ended it."""
    async with replaceable(app), connect(URL) as client:
        poster = Poster(client, BOX, text=bool(said.get("text")), tell=print, ttl=said.get("ttl"))
        try:
            with trio.fail_after(PATIENCE):
                await poster.run(Lines(texts))
        except (CommandFailed, ExceptionGroup) as error:
            [failure] = leaves(error)
            assert isinstance(failure, CommandFailed)
            return failure
        return poster.stored


async def hold(client: Client, output: Written, count: int | None, told: list[str]) -> None:
    with trio.fail_after(PATIENCE):
        await Holder(client, BOX, count, output, told.append).run()


# ---------------------------------------------------------------- post


async def test_each_line_is_a_letter_and_blank_ones_are_none(autojump_clock: MockClock) -> None:
    app = development_app()
    assert await post(app, ["1", " ", '"b"']) == 2
    assert await post(app, ["", "no json"], text=True, ttl=60) == 2
    assert await letters(app) == [b"\x01", b"\x61b", b"\x60", b"\x67no json"]


async def test_what_stands_before_a_bad_line_is_stored_and_nothing_behind_it(autojump_clock: MockClock) -> None:
    app = development_app()
    failure = await post(app, ["1", "two", "3"])
    assert isinstance(failure, BadInput)
    assert (failure.exit_code, str(failure).partition(":")[0]) == (2, "line 2")
    assert await letters(app) == [b"\x01"]


async def test_a_letter_that_is_refused_is_named(autojump_clock: MockClock) -> None:
    app = App()
    app.mailbox("agent:*", letters=1, open=True)
    failure = await post(app, ["1", "2", "3"])
    why = f"BUSY: mailbox {BOX!r} is full (trying again later may help)"
    assert str(failure) == f"line 2: refused: {why}; 1 stored before"
    assert isinstance(failure, CommandFailed)
    assert failure.exit_code == 1


async def test_after_a_reset_a_letter_is_posted_again_under_its_key(autojump_clock: MockClock) -> None:
    stored, told = trio.Event(), list[str]()

    class AnswersLate(MemoryMailboxes):
        async def post(self, posting: Posting) -> Published:
            published = await super().post(posting)
            if not stored.is_set():
                stored.set()
                await trio.sleep_forever()
            return published

    broker = MemoryBroker()
    broker.mailboxes = AnswersLate(broker)
    app = App(broker=broker)
    app.mailbox("agent:*", open=True)
    async with replaceable(app) as server, connect(URL) as client, trio.open_nursery() as nursery:
        poster = Poster(client, BOX, text=False, tell=told.append)
        nursery.start_soon(poster.run, Lines(["1", "2"]))
        await stored.wait()
        await server.kill()
        await server.start()
    assert poster.stored == 2
    assert await letters(app) == [b"\x01", b"\x02"]
    assert "posting line 1 again under the same key" in told


async def test_an_interrupted_one_says_how_far_it_came(autojump_clock: MockClock) -> None:
    told: list[str] = []
    async with replaceable(development_app()), connect(URL) as client:
        with trio.move_on_after(25):
            await Poster(client, BOX, text=False, tell=told.append).run(Lines(["1", "2", "3"], pause=10))
    assert told == ["interrupted: 2 stored"]


# ---------------------------------------------------------------- mailbox


async def test_a_letter_is_printed_and_then_removed(autojump_clock: MockClock) -> None:
    app, output, told = development_app(), Written(), list[str]()
    async with replaceable(app), connect(URL) as client:
        positions = [(await client.post(BOX, {"n": number})).position for number in range(3)]
        await hold(client, output, 2, told)
        await trio.sleep(1)
        assert await letters(app) == [b"\xa1\x61n\x02"]
    lines = [json.loads(line) for line in output.lines]
    assert [list(line) for line in lines] == [["mailbox", "id", "sender", "time", "tries", "data"]] * 2
    assert [(line["mailbox"], line["sender"], line["tries"], line["data"]) for line in lines] == [
        (BOX, "anonymous", 0, {"n": 0}),
        (BOX, "anonymous", 0, {"n": 1}),
    ]
    assert [line["id"] for line in lines] == [f"{one.epoch.hex()}:{one.offset}" for one in positions[:2]]
    assert lines[0]["time"] > 1_600_000_000
    assert told == [f"holding {BOX}"]


async def test_in_the_development_app_everybody_may_read_what_everybody_may_post(autojump_clock: MockClock) -> None:
    """Nobody has a name there, and examples have."""
    app, output = development_app(), Written()
    async with replaceable(app), connect(URL) as client:
        await Poster(client, "user:ada", text=True, tell=print).run(Lines(["the boat is ready"]))
        with trio.fail_after(PATIENCE):
            await Holder(client, "user:ada", 1, output, print).run()
    assert json.loads(output.lines[0])["data"] == "the boat is ready"


async def test_what_is_no_payload_is_printed_as_it_travelled(autojump_clock: MockClock) -> None:
    app, output = development_app(), Written()
    async with replaceable(app), connect(URL) as client:
        await app.broker.mailboxes.post(Posting(BOX, b"\xff", Keeping()))
        await hold(client, output, 1, [])
    assert json.loads(output.lines[0])["raw"] == "_w"


async def test_who_comes_second_waits_and_says_when_it_has_it(autojump_clock: MockClock) -> None:
    app, first, second = development_app(), Written(), Written()
    told: list[str] = []
    async with replaceable(app), connect(URL) as one, connect(URL) as other, trio.open_nursery() as nursery:
        nursery.start_soon(hold, one, first, 1, list[str]())
        await trio.sleep(1)
        nursery.start_soon(hold, other, second, 1, told)
        await trio.sleep(1)
        assert told == [f"waiting for {BOX}, which another session holds"]
        for number in range(2):
            await app.post(BOX, number)
    assert [json.loads(output.lines[0])["data"] for output in (first, second)] == [0, 1]
    assert told[1:] == [f"holding {BOX}"]


class Broken(Written):
    """Whoever read it has gone, after so many lines."""

    def __init__(self, after: int, error: Exception) -> None:
        super().__init__()
        self._after = after
        self._error = error

    async def write(self, line: str) -> None:
        if len(self.lines) == self._after:
            raise self._error
        await super().write(line)


@pytest.mark.parametrize("error", [BrokenPipeError(), CommandFailed("cannot write standard output")])
async def test_what_cannot_be_written_has_not_failed(autojump_clock: MockClock, error: Exception) -> None:
    app, output = development_app(), Broken(1, error)
    async with replaceable(app), connect(URL) as client:
        for number in range(3):
            await app.post(BOX, number)
        with pytest.RaisesGroup(type(error), allow_unwrapped=True, flatten_subgroups=True):
            await hold(client, output, None, [])
        await trio.sleep(1)
        assert await letters(app) == [b"\x01", b"\x02"]
        assert await tries(app) == [0, 0]


async def test_an_interruption_leaves_the_rest_to_the_next_one(autojump_clock: MockClock) -> None:
    app, output = development_app(), Written()
    async with replaceable(app), connect(URL) as client:
        await app.post(BOX, 0)
        with trio.move_on_after(10):
            await hold(client, output, None, [])
        assert len(output.lines) == 1
        await app.post(BOX, 1)
        assert (await letters(app), await tries(app)) == ([b"\x01"], [0])


async def test_what_ends_it_early_is_a_failure(autojump_clock: MockClock) -> None:
    app = App()
    app.mailbox("agent:*", open=True)
    async with replaceable(app), connect(URL) as client:
        with pytest.RaisesGroup(RequestFailed, allow_unwrapped=True, flatten_subgroups=True):
            await Holder(client, "room:x", None, Written(), print).run()
        async with trio.open_nursery() as nursery:

            async def held() -> None:
                with pytest.RaisesGroup(CommandFailed, allow_unwrapped=True, flatten_subgroups=True):
                    await hold(client, Written(), None, [])

            nursery.start_soon(held)
            await trio.sleep(1)
            await client.aclose()


@pytest.mark.parametrize("seconds", [0.0, 0.8, 1.2, 1.6])
async def test_what_was_done_with_does_not_come_again_after_ctrl_c(autojump_clock: MockClock, seconds: float) -> None:
    """SPEC EXP-7: also while the session is on its way to another carriage."""
    app = development_app()
    async with Roads(better_seconds=0.5, sure_seconds=0.1) as roads, serving(app, url=URL) as server:
        await app.post(BOX, 1)
        roads.better.dial_seconds = 0.5
        with trio.CancelScope() as interrupted:
            async with Dial(Place(URL), transport=roads.better) as client, client.mailbox(BOX) as mailbox:
                await mailbox.receive()
                await trio.sleep(seconds)
                mailbox.done()
                interrupted.cancel()
        await trio.sleep(5)
        assert (await letters(app), server.sessions) == ([], 0)
