"""Programs that stop without knowing, and go on: SIGSTOP in the middle of traffic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import trio

from tests.faults.exchange import QUICK, check_exact, lines, serving, url
from tests.faults.processes import Program, hawser, running

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CHANNEL = "room:sleep"
PADDING = "x" * 2_000


def no_session_was_lost(*programs: Program) -> None:
    for program in programs:
        assert not [line for line in program.err.texts if line.startswith(("reset", "gap"))], program.err.texts


async def sleep_through(folder: Path, who: str, seconds: float, config: str) -> None:
    """Freeze one of server, publisher and subscriber while lines are under way; every line arrives."""
    half, messages = 300, 600
    with trio.fail_after(seconds + 240):
        async with (
            serving(folder, config=config) as (server, port),
            running(*hawser("sub", url(port), CHANNEL, "--count", str(messages))) as sub,
            running(*hawser("pub", url(port), CHANNEL)) as pub,
        ):
            await sub.err.until("^subscribed")
            await pub.write(lines(0, half))
            await sub.out.count(half // 2)
            sleeper = {"server": server, "publisher": pub, "subscriber": sub}[who]
            sleeper.freeze()
            await pub.write(lines(half, messages))
            await pub.end_input()
            await trio.sleep(seconds)
            sleeper.thaw()
            assert await sub.wait(patience=180) == 0
            assert await pub.wait(patience=180) == 0
        check_exact(sub.out.texts, messages)
        no_session_was_lost(pub, sub)


@pytest.mark.parametrize("who", ["server", "publisher", "subscriber"])
async def test_who_sleeps_longer_than_the_pong_wait_keeps_its_session(who: str, tmp_path: Path) -> None:
    await sleep_through(tmp_path, who, 4.0, QUICK)


@pytest.mark.verify
@pytest.mark.parametrize("who", ["server", "publisher", "subscriber"])
async def test_a_minute_of_sleep_with_every_default_keeps_the_session(who: str, tmp_path: Path) -> None:
    await sleep_through(tmp_path, who, 60.0, "")


async def test_a_reader_that_stopped_changes_nothing_for_the_others(tmp_path: Path) -> None:
    messages, padding = 400, "x" * 20_000  # 8 MB: more than the sockets of a stopped reader hold
    with trio.fail_after(240):
        async with (
            serving(tmp_path) as (_, port),
            running(*hawser("sub", url(port), CHANNEL, "--count", str(messages))) as stopped,
            running(*hawser("sub", url(port), CHANNEL, "--count", str(messages))) as other,
            running(*hawser("pub", url(port), CHANNEL)) as pub,
        ):
            for reader in (stopped, other):
                await reader.err.until("^subscribed")
            await pub.write(lines(0, 10, padding))
            await stopped.out.count(10)
            stopped.freeze()
            await pub.write(lines(10, messages, padding))
            await pub.end_input()
            assert await pub.wait(patience=180) == 0
            assert await other.wait(patience=180) == 0
            assert len(stopped.out.texts) < messages
            stopped.thaw()  # and it has missed nothing itself, for the channel keeps history
            assert await stopped.wait(patience=180) == 0
    for reader in (stopped, other):
        printed = [json.loads(line) for line in reader.out.texts]
        assert [line["data"]["n"] for line in printed] == list(range(messages))
        assert [line["offset"] for line in printed] == list(range(1, messages + 1))
    no_session_was_lost(stopped, other, pub)
