"""Idempotency keys when there are too many (SPEC PUB-3, MBX-3): whose are forgotten, and who is told."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from hawser import Principal, connect
from hawser.brokers import (
    Broker,
    Keeping,
    MemoryBroker,
    Posting,
    Published,
    Retention,
    Submission,
    key_holder,
)
from hawser.brokers.check import BrokerContractError, check_broker
from hawser.brokers.keys import KeyWindow
from hawser.brokers.sqlite import SqliteBroker
from hawser.brokers.sqlite.book import Change, Head
from hawser.brokers.sqlite.keys import Keys
from hawser.principals import scoped_key
from hawser_engine.messages import Position
from tests.runtime.helpers import URL, open_app, serving
from tests.runtime.test_sqlite_broker import look, running

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
    from pathlib import Path

    from trio.testing import MockClock


ADA, BOB = Principal("ada"), Principal("bob")
BOUND = 100
Use: TypeAlias = "Callable[[Broker, Principal | None, str, range], Awaitable[list[bool]]]"
"""Uses keys with these numbers, and tells which of them were remembered."""


@asynccontextmanager
async def opened(kind: str, path: Path, keys_max: int = BOUND) -> AsyncGenerator[Broker]:
    if kind == "memory":
        yield MemoryBroker(keys_max=keys_max)
    else:
        async with running(SqliteBroker(path / "s.db", keys_max=keys_max)) as broker:
            yield broker


def key(who: Principal | None, number: int) -> bytes:
    scoped = scoped_key(who, b"%d" % number)
    assert scoped is not None
    return scoped


async def publish(broker: Broker, who: Principal | None, where: str, numbers: range) -> list[bool]:
    told = await broker.publish_all(
        [Submission(where, b"x", Retention(messages=9), key(who, number)) for number in numbers]
    )
    assert all(isinstance(one, Published) for one in told)
    return [isinstance(one, Published) and one.duplicate for one in told]


async def post(broker: Broker, who: Principal | None, where: str, numbers: range) -> list[bool]:
    told: dict[int, bool] = {}

    async def one(number: int) -> None:
        told[number] = (
            await broker.mailboxes.post(Posting(f"user:{where}", b"x", Keeping(), key=key(who, number)))
        ).duplicate

    for some in range(numbers.start, numbers.stop, 50):  # of which a store writes each lot at once
        async with trio.open_nursery() as nursery:
            for number in range(some, min(some + 50, numbers.stop)):
                nursery.start_soon(one, number)
    return [told[number] for number in numbers]


KINDS = pytest.mark.parametrize("kind", ["memory", "sqlite"])
USES = pytest.mark.parametrize("use", [publish, post])


@KINDS
async def test_a_broker_with_a_bound_keeps_the_contract(kind: str, tmp_path: Path) -> None:
    broker = MemoryBroker(keys_max=BOUND) if kind == "memory" else SqliteBroker(tmp_path / "s.db", keys_max=BOUND)
    await check_broker(broker, keys_max=BOUND)


class ForgetsTheOldestOfAll(MemoryBroker):
    async def publish(self, channel: str, data: bytes, *, key: bytes | None = None, **options: Any) -> Published:
        own = None if key is None else scoped_key(None, key)
        return await super().publish(channel, data, key=own, **options)


class CountsNothing(MemoryBroker):
    @property
    def keys_forgotten(self) -> int:
        return 0


class ForgetsTheNewest(MemoryBroker):
    async def publish(self, channel: str, data: bytes, *, key: bytes | None = None, **options: Any) -> Published:
        own = None if self.keys_forgotten else key
        return await super().publish(channel, data, key=own, **options)


@pytest.mark.parametrize("kind", [ForgetsTheOldestOfAll, CountsNothing, ForgetsTheNewest])
async def test_every_broker_with_a_wrong_bound_is_caught(kind: type[MemoryBroker]) -> None:
    with pytest.RaisesGroup(BrokerContractError, allow_unwrapped=True, flatten_subgroups=True):
        await check_broker(kind(keys_max=BOUND), keys_max=BOUND)


@KINDS
@USES
async def test_who_floods_pushes_out_only_its_own_keys(kind: str, use: Use, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as broker:
        await use(broker, ADA, "quiet", range(5))
        await use(broker, BOB, "loud", range(250))
        assert await use(broker, ADA, "quiet", range(5)) == [True] * 5
        assert await use(broker, BOB, "loud", range(200, 250)) == [True] * 50
        assert not any(await use(broker, BOB, "loud", range(50)))


@KINDS
@pytest.mark.parametrize(("quiet", "loud"), [(publish, post), (post, publish)])
async def test_letters_and_publications_are_under_one_bound(kind: str, quiet: Use, loud: Use, tmp_path: Path) -> None:
    async with opened(kind, tmp_path) as broker:
        await quiet(broker, ADA, "room", range(5))
        await quiet(broker, BOB, "room", range(5))
        await loud(broker, BOB, "room", range(250))
        assert await quiet(broker, ADA, "room", range(5)) == [True] * 5
        assert await quiet(broker, BOB, "room", range(5)) == [False] * 5
        assert broker.keys_forgotten >= 160


@KINDS
async def test_where_everybody_has_one_the_oldest_goes(kind: str, tmp_path: Path) -> None:
    async with opened(kind, tmp_path, keys_max=3) as broker:
        for name in "abcd":
            await publish(broker, Principal(name), "room", range(1))
        assert [await publish(broker, Principal(name), "room", range(1)) for name in "bcd"] == [[True]] * 3
        assert await publish(broker, Principal("a"), "room", range(1)) == [False]


async def test_the_shares_are_there_again_with_the_file(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path, keys_max=10) as broker:
        await publish(broker, ADA, "room", range(3))
        await publish(broker, BOB, "room", range(7))
    async with opened("sqlite", tmp_path, keys_max=10) as broker:
        await post(broker, None, "box", range(3))
        assert await publish(broker, ADA, "room", range(3)) == [True] * 3
        assert await publish(broker, BOB, "room", range(3, 7)) == [True] * 4
        assert await publish(broker, BOB, "room", range(1)) == [False]
        assert broker.keys_forgotten == 3  # but for the newest, for which room is made by the next
        await publish(broker, BOB, "room", range(1, 2))
    assert broker.keys_forgotten == 4


async def test_a_file_has_not_many_more_keys_than_are_remembered(tmp_path: Path) -> None:
    async with opened("sqlite", tmp_path, keys_max=10) as broker:
        await publish(broker, ADA, "room", range(4))
        for begin in range(0, 600, 100):
            await publish(broker, BOB, "room", range(begin, begin + 100))
    assert look(tmp_path / "s.db", "SELECT count(*) BETWEEN 10 AND 10 + 2 * 100 FROM keys") == [(1,)]
    async with opened("sqlite", tmp_path, keys_max=5) as broker:
        assert await publish(broker, ADA, "room", range(2, 4)) == [True] * 2
        await publish(broker, BOB, "room", range(600, 602))
    assert look(tmp_path / "s.db", "SELECT count(*) <= 5 + 64 + 2 FROM keys") == [(1,)]


def test_what_a_lost_commit_was_to_forget_is_forgotten_by_the_next() -> None:
    keys = Keys([(number, "room", key(BOB, number), b"e" * 8, number, 300_000) for number in range(1, 101)], 10)

    def change() -> Change:
        return Change(1, heads={"room": Head(1, "room", b"e" * 8)})

    keys.forget(0)
    lost, next_one, last = change(), change(), change()
    keys.plan(lost)
    keys.plan(next_one)
    assert lost.dropped == next_one.dropped == list(range(1, 91))
    keys.apply(next_one)
    keys.plan(last)
    assert last.dropped == []


def test_of_a_key_that_is_in_a_file_twice_the_later_one_holds() -> None:
    """It was forgotten, and used again before the earlier one was deleted."""
    mine, other = key(ADA, 1), key(ADA, 2)
    rows = [
        (1, "room", mine, b"e" * 8, 1, 100),
        (2, "room", other, b"e" * 8, 2, 200),
        (3, "room", mine, b"e" * 8, 3, 300),
    ]
    keys = Keys(rows, 10)
    assert [keys.committed("room", mine, now) for now in (0, 150, 250, 300)] == [Position(b"e" * 8, 3)] * 3 + [None]
    keys = Keys(rows, 10)
    assert [keys.committed("room", other, now) for now in (150, 200)] == [Position(b"e" * 8, 2), None]
    assert keys.forgotten == 0


# ---------------------------------------------------------------- who is told


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]


async def test_the_log_says_once_that_it_begins_and_which_setting_to_raise(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker(keys_max=10)
    await publish(broker, ADA, "room", range(10))
    assert (warnings(caplog), broker.keys_forgotten) == ([], 0)
    for begin in (10, 20):
        await publish(broker, ADA, "room", range(begin, begin + 10))
        await trio.sleep(200)  # it has not stopped
    [line] = warnings(caplog)
    assert "keys_max = 10" in line
    assert "[store] keys_max" in line
    assert broker.keys_forgotten == 20
    await trio.sleep(301)
    await publish(broker, ADA, "room", range(30, 41))
    assert len(warnings(caplog)) == 2
    assert broker.keys_forgotten == 21


async def test_keys_whose_time_is_over_are_nothing_to_be_told_of(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    broker = MemoryBroker(keys_max=10)
    for begin in (0, 10, 20):
        await publish(broker, ADA, "room", range(begin, begin + 10))
        await trio.sleep(301)
    assert (warnings(caplog), broker.keys_forgotten) == ([], 0)


async def test_an_application_reads_it_from_its_server(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    app = open_app()
    app.broker = MemoryBroker(keys_max=4)

    @app.authenticate
    async def authenticate(credentials: Mapping[str, Any]) -> Principal | None:
        return Principal(credentials["token"])

    async with (
        serving(app) as server,
        connect(URL, token="ada") as ada,
        connect(URL, token="bob") as bob,
    ):
        first = await ada.publish("room", 1, key=b"mine")
        for number in range(6):
            await bob.publish("room", number, key=b"%d" % number)
        assert server.keys_forgotten == 3
        again = await ada.publish("room", 1, key=b"mine")
        assert (again.duplicate, again.position) == (True, first.position)
    assert len(warnings(caplog)) == 1


async def test_a_bound_that_is_raised_holds_at_once() -> None:
    broker = MemoryBroker(keys_max=1)
    assert broker.keys_max == 1
    broker.keys_max = 3
    await publish(broker, ADA, "room", range(3))
    assert await publish(broker, ADA, "room", range(3)) == [True] * 3
    broker.keys_max = 1
    assert await publish(broker, ADA, "room", range(3, 4)) == [False]
    assert await publish(broker, ADA, "room", range(2, 4)) == [False, False]


@pytest.mark.parametrize("who", [None, Principal("a"), Principal("é" * 127)])
def test_the_holder_of_a_key_can_be_read_from_it(who: Principal | None) -> None:
    assert key_holder(key(who, 1)) == (b"" if who is None else who.id.encode())


@pytest.mark.parametrize("loose", [b"", b"k", b"k1", b"\1a"])
def test_a_key_that_names_no_holder_is_one_of_the_application(loose: bytes) -> None:
    assert key_holder(loose) == b""


# ---------------------------------------------------------------- against a list


Step: TypeAlias = tuple[int, int, int]
"""A holder, a key of it, and how much later."""


@given(st.integers(1, 6), st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9), st.integers(0, 20)), max_size=60))
def test_a_window_is_a_list_of_which_the_one_with_the_most_loses_the_oldest(keys_max: int, steps: list[Step]) -> None:
    window: KeyWindow[int] = KeyWindow(keys_max, 50.0)
    held: list[tuple[str, bytes, int, float]] = []  # holder, key, what, until; oldest first
    now, early = 0.0, 0
    for number, (who, which, later) in enumerate(steps):
        now += later
        name = "abcd"[who]
        scoped = key(Principal(name), which)
        expired = [one for one in held if one[3] <= now]
        held = [one for one in held if one[3] > now]
        assert window.expire(now) == (expired[-1][2] if expired else None)
        known = [what for _, other, what, _ in held if other == scoped]
        assert window.get("room", scoped) == (known[0] if known else None)
        if not known:
            window.add("room", scoped, number, now + 50)
            held.append((name, scoped, number, now + 50))
        for gone in window.shorten(now):
            counts = Counter(one[0] for one in held)
            [loser] = [one for one in held if one[2] == gone]
            assert counts[loser[0]] == max(counts.values())
            assert gone == next(one[2] for one in held if one[0] == loser[0])
            assert gone != number  # what has just come stays
            held.remove(loser)
            early += 1
        assert len(held) == len(window) <= keys_max
    assert window.forgotten == early
    assert [window.get("room", one[1]) for one in held] == [one[2] for one in held]
