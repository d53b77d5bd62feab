"""Stores that are killed, filled up and damaged, in real processes: nothing acknowledged is lost or numbered twice."""

from __future__ import annotations

import json
import os
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser.brokers.sqlite import SqliteBroker
from tests.faults import processes
from tests.faults.exchange import check_exact, lines
from tests.faults.processes import PATIENCE, completed, hawser, running
from tests.faults.storing import ALL, CHANNELS, channel_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.faults.processes import Program

pytestmark = pytest.mark.slow

CHANNEL = "room:store"
LONG = pytest.mark.verify


# ---------------------------------------------------------------- kill -9


async def kill_a_writer(program: Program, first: int, after: int) -> list[list[str]]:
    """Let a process publish, kill it, and return what it had said was acknowledged."""
    start = len(program.out.texts)
    await program.write(f"{first}\n")
    pid = int((await program.out.until(r"^process (\d+)$", start=start))[1])
    await program.out.count(start + 1 + after)
    os.kill(pid, signal.SIGKILL)
    await program.out.until("^gone$", start=start)
    assert program.err.texts == []
    return [words for line in program.out.texts[start:] if len(words := line.split()) == 4]


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
    command = (sys.executable, "-m", "tests.faults.storing", str(path), synchronous)
    with trio.fail_after(60 + 10 * kills):
        async with running(*command) as program:
            for kill in range(kills):
                said = await kill_a_writer(program, first, dice.choice([0, 1, 2, 3, 20, 200]))
                for number, channel, epoch, offset in said:
                    acknowledged[int(number)] = epoch, int(offset)
                    place = channel, epoch, int(offset)
                    assert place not in offsets
                    offsets.add(place)
                first += 100_000  # what it had published beside that may be there, or not
                if dice.random() < 0.5 or kill == kills - 1:  # else the next one finds what the last one left
                    held = await check_everything(path, synchronous, acknowledged)
                    assert held >= len(acknowledged)
    assert acknowledged


@pytest.mark.parametrize("kills", [2, pytest.param(20, marks=LONG)])
async def test_a_server_with_a_store_may_be_killed_and_every_line_arrives_once(tmp_path: Path, kills: int) -> None:
    """Keys make it safe to publish again; epoch and offsets go on, so the subscriber misses nothing and sees no gap."""
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
                server.kill()
                await server.wait()
                for kill in range(1, kills + 1):
                    async with processes.serving("--store", store, url=url) as (server, _):
                        if kill < kills:
                            await sub.out.count(min(len(sub.out.texts) + 100, messages - 1))
                            server.kill()
                            await server.wait()
                            continue
                        await pub.end_input()
                        assert await pub.wait() == 0
                        assert await sub.wait() == 0
    check_exact(sub.out.texts, messages)
    assert [line for line in sub.err.texts if line.startswith("gap")] == []
    # At the end there may be fewer lines left than kills, and a server is killed before the subscriber has found it.
    assert 1 <= sum(line.startswith("reset RESTARTED") for line in sub.err.texts) <= kills


async def test_a_subscriber_that_was_away_during_a_restart_goes_on_by_offset(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    async with processes.serving("--store", store) as (server, url):
        assert await completed("pub", url, CHANNEL, stdin=lines(0, 10)) == (0, "", "")
        _, out, _ = await completed("sub", url, CHANNEL, "--since", "0", "--count", "4")
        last = json.loads(out.splitlines()[-1])
        server.kill()
        await server.wait()
    async with processes.serving("--store", store, url=url) as (server, url):
        since = f"{last['epoch']}:{last['offset']}"
        code, out, err = await completed("sub", url, CHANNEL, "--since", since, "--count", "6")
        assert (code, err) == (0, f"subscribed {CHANNEL}\n")
        assert [json.loads(line)["offset"] for line in out.splitlines()] == list(range(5, 11))
        said = await server.err.until(r"^store .*: 1 channel; what is acknowledged survives kill -9")
        assert said.string.endswith("(synchronous = normal)")


# ---------------------------------------------------------------- full, taken, damaged


async def test_a_server_whose_disk_is_full_refuses_and_loses_nothing(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    limited = (
        sys.executable,
        "-c",
        "import resource, sys; from hawser.cli import main;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, 400_000));"
        f"sys.exit(main(['serve', '--listen', 'http://127.0.0.1:0', '--store', {store!r}]))",
    )
    with trio.fail_after(PATIENCE):
        async with running(*limited) as server:
            url = (await server.out.until("^listening on (.+)$"))[1]
            code, out, err = await completed("pub", url, CHANNEL, stdin=lines(0, 1_000, "x" * 5_000))
            assert (code, out) == (1, "")
            refused = err.splitlines()[-1]
            assert refused.startswith("hawser: line ")
            assert "refused: UNAVAILABLE: what keeps the channels does not answer" in refused
            stored = int(refused.split(":")[1].split()[1]) - 1
            assert stored > 10
            await server.err.until("ERROR hawser: store .*; nothing is published until it can be written again")
            _, out, _ = await completed("sub", url, CHANNEL, "--since", "0", "--count", str(stored))
            check_exact(out.splitlines(), stored, "x" * 5_000)
            server.kill()
            await server.wait()
            assert not [line for line in server.err.texts if "Traceback" in line]
        async with processes.serving("--store", store) as (_, url):  # with room again
            assert await completed("pub", url, CHANNEL, stdin=lines(stored, stored + 5, "x" * 5_000)) == (0, "", "")
            _, out, _ = await completed("sub", url, CHANNEL, "--since", "0", "--count", str(stored + 5))
            printed = [json.loads(line)["data"]["n"] for line in out.splitlines()]
            assert printed == list(range(stored + 5))


async def test_two_servers_never_share_a_store(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    async with processes.serving("--store", store) as (server, _):
        code, out, err = await completed("serve", "--listen", "http://127.0.0.1:0", "--store", store)
        assert (code, out) == (1, "")
        assert err == (
            f"hawser: store {store}: process {server.pid} has it already; give each server a file of its own\n"
        )


async def test_a_damaged_store_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    store = tmp_path / "store.db"
    async with processes.serving("--store", str(store)) as (server, url):
        await completed("pub", url, CHANNEL, stdin=lines(0, 50, "x" * 5_000))
        server.send(signal.SIGTERM)
        assert await server.wait() == 0
    os.truncate(store, 100_000)
    code, out, err = await completed("serve", "--listen", "http://127.0.0.1:0", "--store", str(store))
    assert (code, out) == (1, "")
    assert err.startswith(f"hawser: store {store}: it is damaged; put a copy in its place, or begin with another file")
    assert err.count("\n") == 1


async def test_a_log_that_was_cut_short_is_told_and_begins_new_epochs(tmp_path: Path) -> None:
    store = str(tmp_path / "store.db")
    async with processes.serving("--store", store) as (server, url):
        await completed("pub", url, CHANNEL, stdin=lines(0, 50))
        _, out, _ = await completed("sub", url, CHANNEL, "--since", "0", "--count", "50")
        last = json.loads(out.splitlines()[-1])
        server.kill()
        await server.wait()
    os.truncate(f"{store}-wal", 50_000)
    async with processes.serving("--store", store, url=url) as (server, _):
        await server.err.until("^store .* has lost its last commits, to a power cut or to whoever put an older copy")
        since = f"{last['epoch']}:{last['offset']}"
        code, out, err = await completed("sub", url, CHANNEL, "--since", since, "--count", "1")
        assert code == 0
        assert "EPOCH_CHANGED" in err
        assert json.loads(out)["epoch"] != last["epoch"]
