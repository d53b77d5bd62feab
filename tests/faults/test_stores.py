"""Stores that are killed, cut short and full, in real processes: nothing acknowledged is lost or numbered twice."""

from __future__ import annotations

import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import ErrorCode, Gap, Outbox, Position, RequestFailed, RequestLost, connect, to
from hawser.brokers import Keeping, Posting
from hawser.brokers.sqlite import SqliteBroker, StoreInUse
from hawser.payloads import decode_payload
from hawser_engine import GapReason
from tests.faults import processes
from tests.faults.exchange import check_exact, lines
from tests.faults.processes import PATIENCE, hawser, running
from tests.faults.storing import ALL, CHANNELS, EVERY, channel_of, mailbox_of

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from hawser import Client, Subscription
    from tests.faults.processes import Program

pytestmark = pytest.mark.slow

CHANNEL = "room:store"
MAILBOX = "user:anonymous"
LONG = pytest.mark.verify


# ---------------------------------------------------------------- kill -9


async def killed(server: Program) -> None:
    """End it without a word."""
    server.kill()
    await server.wait()


async def kill_a_writer(program: Program, first: int, after: int) -> list[list[str]]:
    """Let a process publish, kill it, and return what it had said was acknowledged."""
    start = len(program.out.texts)
    await program.write(f"{first}\n")
    pid = int((await program.out.until(r"^process (\d+)$", start=start))[1])
    await program.out.count(start + 1 + after)
    os.kill(pid, signal.SIGKILL)
    await program.out.until("^gone$", start=start)
    assert program.err.texts == []
    return [line.split() for line in program.out.texts[start:]]


async def check_everything(path: Path, synchronous: Any, acknowledged: dict[int, tuple[str, int]]) -> int:
    """Open the store and look for all that was acknowledged; returns how many publications it has."""
    held = 0
    async with trio.open_nursery() as nursery:
        broker = SqliteBroker(path, synchronous=synchronous)
        await nursery.start(broker.run)
        assert broker.report is not None
        assert not broker.report.lost
        for channel in (channel_of(number) for number in range(CHANNELS)):
            page = await broker.history(channel, 0, limit=10**6, limit_bytes=10**9)
            numbers = [int(entry.data) for entry in page.entries]
            assert [entry.offset for entry in page.entries] == list(range(1, page.top.offset + 1))
            assert len(set(numbers)) == len(numbers)
            places = {number: (page.top.epoch.hex(), offset) for offset, number in enumerate(numbers, 1)}
            mine = {number: place for number, place in acknowledged.items() if channel_of(number) == channel}
            assert {number: places.get(number) for number in mine} == mine
            held += len(numbers)
        for number, (epoch, offset) in [*acknowledged.items()][-20:]:
            text = b"%d" % number
            again = await broker.publish(channel_of(number), text, retention=ALL, key=text)
            assert (again.duplicate, again.position.epoch.hex(), again.position.offset) == (True, epoch, offset)
        nursery.cancel_scope.cancel()
    return held


@pytest.mark.parametrize("synchronous", ["normal", "full"])
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=LONG)])
async def test_a_writer_that_is_killed_again_and_again_loses_nothing(
    tmp_path: Path, kills: int, synchronous: str
) -> None:
    path, dice = tmp_path / "store.db", random.Random(kills)
    acknowledged: dict[int, tuple[str, int]] = {}
    offsets: set[tuple[str, str, int]] = set()
    first = 0
    command = (sys.executable, "-m", "tests.faults.storing", str(path), synchronous, "channels")
    with trio.fail_after(60 + 10 * kills):
        async with running(*command) as program:
            for kill in range(kills):
                said = await kill_a_writer(program, first, dice.choice([0, 1, 2, 3, 20, 200]))
                for number, channel, epoch, offset in (words for words in said if len(words) == 4):
                    acknowledged[int(number)] = epoch, int(offset)
                    place = channel, epoch, int(offset)
                    assert place not in offsets
                    offsets.add(place)
                first += 100_000  # what it had published beside that may be there, or not
                if dice.random() < 0.5 or kill == kills - 1:  # else the next one finds what the last one left
                    held = await check_everything(path, synchronous, acknowledged)
                    assert held >= len(acknowledged)
    assert acknowledged


async def check_letters(path: Path, synchronous: Any, acknowledged: dict[int, str], removing: set[int]) -> set[int]:
    """Open the store and look for all letters that were acknowledged and not taken; returns those that are there."""
    held: dict[int, str] = {}
    async with trio.open_nursery() as nursery:
        broker = SqliteBroker(path, synchronous=synchronous)
        await nursery.start(broker.run)
        assert broker.report is not None
        assert not broker.report.lost
        for mailbox in (mailbox_of(number) for number in range(CHANNELS)):
            letters = await broker.mailboxes.read(mailbox, 0, limit=10**6, limit_bytes=10**9)
            numbers = [int(letter.data) for letter in letters]
            assert len(set(numbers)) == len(numbers)
            held |= {int(one.data): f"{mailbox} {one.position.epoch.hex()} {one.position.offset}" for one in letters}
        assert broker.report.letters == len(held)
        left = {number: place for number, place in acknowledged.items() if number not in removing}
        assert {number: held.get(number) for number in left} == left
        for number, place in [*acknowledged.items()][-20:]:
            text = b"%d" % number
            again = await broker.mailboxes.post(Posting(mailbox_of(number), text, EVERY, key=text))
            stands = f"{mailbox_of(number)} {again.position.epoch.hex()} {again.position.offset}"
            assert (again.duplicate, stands) == (True, place)
        nursery.cancel_scope.cancel()
    return set(held)


@pytest.mark.parametrize("synchronous", ["normal", "full"])
@pytest.mark.parametrize("kills", [10, pytest.param(100, marks=LONG)])
async def test_a_store_that_is_killed_again_and_again_loses_no_letter_and_brings_none_back(
    tmp_path: Path, kills: int, synchronous: str
) -> None:
    path, dice = tmp_path / "store.db", random.Random(kills)
    acknowledged: dict[int, str] = {}
    removing: set[int] = set()
    removed: set[int] = set()
    command = (sys.executable, "-m", "tests.faults.storing", str(path), synchronous, "letters")
    with trio.fail_after(60 + 10 * kills):
        async with running(*command) as program:
            for kill in range(kills):
                for words in await kill_a_writer(program, 100_000 * kill, dice.choice([0, 1, 2, 3, 20, 200])):
                    if len(words) == 4:
                        place = " ".join(words[1:])
                        assert place not in acknowledged.values()
                        acknowledged[int(words[0])] = place
                    elif words[0] == "removing":
                        removing.add(int(words[1]))
                    elif words[0] == "removed":
                        removed.add(int(words[1]))
                if dice.random() < 0.5 or kill == kills - 1:
                    assert not removed & await check_letters(path, synchronous, acknowledged, removing)
    assert acknowledged


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=LONG)])
async def test_a_server_may_be_killed_and_every_letter_is_taken_once_and_in_order(tmp_path: Path, kills: int) -> None:
    """Keys make it safe to post or send again, and ids tell what comes again: nothing is missing, nothing there twice.

    Of two letters one is posted, the other is sent to whom nobody listens for.
    """
    store, count = str(tmp_path / "store.db"), 60 * (kills + 1)
    taken: list[int] = []
    some = trio.Event()

    async def post(client: Client) -> None:
        for number in range(count):
            key: bytes | None = b"%d" % number
            while True:
                try:
                    if number % 2:
                        outcome = (await client.send(to.user("anonymous"), number, key=key)).outcome
                        assert outcome.status in ("queued", "duplicate")
                    else:
                        await client.post(MAILBOX, number, key=key)
                except RequestLost:
                    continue
                break

    async def take(client: Client, done: trio.CancelScope) -> None:
        nonlocal some
        async with client.mailbox(MAILBOX) as letters:
            async for letter in letters:
                taken.append(letter.data)
                some.set()
                some = trio.Event()
                if len(taken) == count:
                    break
        done.cancel()

    async def until(number: int) -> None:
        while len(taken) < number:
            await some.wait()

    with trio.fail_after(60 + 20 * kills):
        async with processes.serving("--store", store, url="ws://127.0.0.1:0") as (server, url):
            async with connect(url) as bob, connect(url) as ada, trio.open_nursery() as nursery:
                nursery.start_soon(post, bob)
                nursery.start_soon(take, ada, nursery.cancel_scope)
                await until(20)
                await killed(server)
                for kill in range(1, kills + 1):
                    async with processes.serving("--store", store, url=url) as (server, _):
                        await until(min(len(taken) + 40, count - 20) if kill < kills else count)
                        await killed(server)
    assert taken == list(range(count))


@LONG
async def test_a_server_with_a_store_may_be_killed_and_every_line_arrives_once(tmp_path: Path) -> None:
    """Keys make it safe to publish again; epoch and offsets go on, so the subscriber misses nothing and sees no gap."""
    kills = 20
    messages = 400 * (kills + 1)
    store = str(tmp_path / "store.db")
    with trio.fail_after(60 + 20 * kills):
        async with processes.serving("--store", store, url="ws://127.0.0.1:0") as (server, url):
            async with (
                running(*hawser("sub", url, CHANNEL, "--count", str(messages))) as sub,
                running(*hawser("pub", url, CHANNEL)) as pub,
                trio.open_nursery() as nursery,
            ):
                await sub.err.until("^subscribed")
                nursery.start_soon(pub.write, lines(0, messages))
                await sub.out.count(200)
                await killed(server)
                for kill in range(1, kills + 1):
                    async with processes.serving("--store", store, url=url) as (server, _):
                        if kill < kills:
                            await sub.out.count(min(len(sub.out.texts) + 100, messages - 1))
                            await killed(server)
                            continue
                        await pub.end_input()
                        assert await pub.wait() == 0
                        assert await sub.wait() == 0
    check_exact(sub.out.texts, messages)
    assert [line for line in sub.err.texts if line.startswith("gap")] == []
    # At the end there may be fewer lines left than kills, and a server is killed before the subscriber has found it.
    assert 1 <= sum(line.startswith("reset RESTARTED") for line in sub.err.texts) <= kills


async def publish_all(client: Client, numbers: range) -> None:
    """Publish numbers, one behind the other without waiting for answers; then wait for all of them."""
    receipts = [await client.submit(CHANNEL, number) for number in numbers]
    for receipt in receipts:
        await receipt.wait()


async def read(messages: Subscription, count: int) -> tuple[list[Any], list[Position]]:
    """The next messages: what they say, and where they stand."""
    found = [await messages.receive() for _ in range(count)]
    return [message.data for message in found], [message.position for message in found]


async def test_who_is_subscribed_notices_nothing_of_a_kill_and_is_told_of_a_log_cut_short(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    log = tmp_path / "store.db-wal"
    with trio.fail_after(PATIENCE):
        async with (
            processes.serving("--store", store, url="ws://127.0.0.1:0") as (server, url),
            connect(url, outbox=Outbox()) as client,
            client.subscribe(CHANNEL) as messages,
            trio.open_nursery() as nursery,
        ):
            with pytest.raises(StoreInUse, match=f"process {server.pid} has it already"):
                await SqliteBroker(store).run()
            nursery.start_soon(publish_all, client, range(400))
            before = await read(messages, 100)
            await killed(server)
            async with processes.serving("--store", store, url=url) as (server, _):
                after = await read(messages, 300)
                assert [*before[0], *after[0]] == list(range(400))
                epoch = before[1][0].epoch
                assert [*before[1], *after[1]] == [Position(epoch, offset) for offset in range(1, 401)]
                await server.err.until(r"^store .*: 1 channel; what is acknowledged survives kill -9")
                await publish_all(client, range(400, 405))  # so that there is something to lose
                await read(messages, 5)
                await killed(server)
            os.truncate(log, log.stat().st_size - 1_000)
            async with processes.serving("--store", store, url=url) as (server, _):
                await server.err.until("^store .* has lost its last commits, to a power cut or to whoever put an older")
                with pytest.raises(Gap) as caught:
                    await messages.receive()
                assert caught.value.reason == GapReason.EPOCH_CHANGED
                assert caught.value.position.epoch != epoch


# ---------------------------------------------------------------- full


async def refused(ask: Callable[[], Awaitable[None]]) -> RequestFailed:
    """Ask for something again and again until it is refused."""
    while True:
        try:
            await ask()
        except RequestFailed as error:
            return error


async def test_a_server_whose_disk_is_full_refuses_and_loses_nothing(tmp_path: Path) -> None:
    store, padding = str(tmp_path / "store.db"), "x" * 5_000
    limited = (
        sys.executable,
        "-c",
        "import resource, sys; from hawser.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000));"
        f"sys.exit(main(['serve', '--listen', 'ws://127.0.0.1:0', '--store', {store!r}]))",
    )
    with trio.fail_after(PATIENCE):
        async with running(*limited) as server:
            url = (await server.out.until("^listening on (.+)$"))[1]
            async with connect(url) as client:
                stored: list[Position] = []
                letters: list[Position] = []

                async def publish() -> None:
                    stored.append((await client.publish(CHANNEL, [len(stored), padding])).position)

                async def post() -> None:
                    letters.append((await client.post(MAILBOX, [len(letters), padding])).position)

                for _ in range(10):
                    await publish()
                    await post()
                for fill in (publish, post):
                    caught = await refused(fill)
                    assert (caught.code, caught.temporary) == (ErrorCode.UNAVAILABLE, True)
                await server.err.until(
                    "ERROR hawser: store .*; nothing is published and no letter stored until it can be written again"
                )
                async with client.subscribe(CHANNEL, since=Position(stored[0].epoch, 0)) as messages:
                    found = await read(messages, len(stored))
                async with client.mailbox() as box:
                    assert (await box.receive()).data == [0, padding]
            assert found == ([[number, padding] for number in range(len(stored))], stored)
            await killed(server)
            assert not [line for line in server.err.texts if "Traceback" in line]
        async with trio.open_nursery() as nursery:  # with room again
            broker = SqliteBroker(store)
            await nursery.start(broker.run)
            more = await broker.publish(CHANNEL, bytes(5_000), retention=ALL)
            assert more.position == Position(stored[0].epoch, len(stored) + 1)
            page = await broker.history(CHANNEL, 0, limit=10**6, limit_bytes=10**9)
            assert [entry.offset for entry in page.entries] == list(range(1, len(stored) + 2))
            kept = await broker.mailboxes.read(MAILBOX, 0, limit=10**6, limit_bytes=10**9)
            assert [letter.position for letter in kept] == letters
            assert [decode_payload(letter.data)[0] for letter in kept] == list(range(len(letters)))
            letter = await broker.mailboxes.post(Posting(MAILBOX, bytes(5_000), Keeping()))
            assert letter.position == Position(letters[0].epoch, len(letters) + 1)
            nursery.cancel_scope.cancel()
