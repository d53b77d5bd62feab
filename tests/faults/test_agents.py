"""Agents in processes of their own: killed in mid-stream, and cut off in mid-stream."""

from __future__ import annotations

import signal
import sys
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import CallError, Config, ErrorCode, connect
from tests.faults.exchange import cut, serving, url
from tests.faults.processes import Program, running
from tests.faults.proxy import Direction, Kind, Proxy

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator
    from pathlib import Path

    from hawser import Client, Stream

pytestmark = pytest.mark.slow

ENDLESS = 1_000_000
"""Items of which nobody sees the last."""
WHOLE = 300
AT_MOST = 1_000
"""More than can be under way from one who is killed after `WHOLE`, for want of credit (STR-2)."""
SERVERS_SECONDS = 120
"""How long a session lives without a link, if its client does not say."""


@asynccontextmanager
async def writer(port: int, seconds: float, *name: str) -> AsyncGenerator[Program]:
    """The agent, once it can be called."""
    async with running(sys.executable, "-m", "tests.faults.writing", url(port), str(seconds), *name) as program:
        await program.out.until("^offering$")
        yield program


async def take(items: Stream, had: list[int], count: int) -> None:
    """Take what a stream brings, until there is so much of it."""
    async for item in items:
        had.append(item)
        if len(had) == count:
            return


async def take_whole(client: Client) -> list[int]:
    """A stream from its beginning to its end."""
    async with client.stream("writer.write", WHOLE) as items:
        return [item async for item in items]


@pytest.mark.parametrize(
    ("name", "seconds", "soonest", "latest"),
    [
        pytest.param([], 2.0, 2.0, SERVERS_SECONDS / 2, id="told when its resume period is over"),
        pytest.param(["the only one"], SERVERS_SECONDS, 0.0, SERVERS_SECONDS / 2, id="told when it is there again"),
    ],
)
async def test_a_worker_killed_in_mid_stream_is_told_and_the_next_one_takes_calls(
    name: list[str], seconds: float, soonest: float, latest: float, tmp_path: Path
) -> None:
    """SPEC CAL-5, AGT-7, AGT-9, EXP-1: what it had sent is there, once and in order, and then it is said to be lost."""
    had: list[int] = []
    with trio.fail_after(240):
        async with serving(tmp_path) as (_, port), connect(url(port)) as client:
            async with writer(port, seconds, *name) as first, client.stream("writer.write", ENDLESS) as items:
                await take(items, had, WHOLE)
                killed_at = trio.current_time()
                first.kill()
                assert await first.wait() == -signal.SIGKILL
                async with writer(port, seconds, *name) as second:
                    with pytest.raises(CallError) as caught:
                        await take(items, had, AT_MOST)
                    told_after = trio.current_time() - killed_at
                    assert await take_whole(client) == list(range(WHOLE))
                    assert second.out.texts == ["offering", "writing"]  # what the first had begun ran nowhere twice
    assert first.out.texts == ["offering", "writing"]
    assert (caught.value.code, caught.value.temporary) == (ErrorCode.CALLEE_LOST, False)
    assert soonest <= told_after <= latest
    assert WHOLE <= len(had) < AT_MOST
    assert had == list(range(len(had)))


@pytest.mark.parametrize("which", ["the worker", "the caller", "both"])
async def test_a_stream_goes_on_whole_where_links_are_cut_and_both_ends_live(which: str, tmp_path: Path) -> None:
    """SPEC CAL-7, STR-6."""
    had: list[int] = []
    kinds = (Kind.RESET, Kind.TRUNCATE, Kind.HALF_CLOSE, Kind.RESET)
    with trio.fail_after(240):
        async with serving(tmp_path) as (_, port), trio.open_nursery() as nursery:
            proxies: list[Proxy] = [await nursery.start(Proxy(port).run) for _ in range(2)]
            near, far = (proxy.port for proxy in proxies)
            quick = Config(backoff_base_seconds=0.1, backoff_cap_seconds=1)
            async with (
                writer(far, SERVERS_SECONDS) as program,
                connect(url(near), config=quick) as client,
                client.stream("writer.write", WHOLE * (len(kinds) + 2)) as items,
            ):
                broken = {"the worker": proxies[1:], "the caller": proxies[:1], "both": proxies}[which]
                for number, kind in enumerate(kinds, 1):
                    await take(items, had, number * WHOLE)
                    for proxy in broken:
                        await cut(proxy, kind, tuple(Direction)[number % 2])
                had += [item async for item in items]
                assert program.out.texts == ["offering", "writing"]
            nursery.cancel_scope.cancel()
    assert had == list(range(WHOLE * (len(kinds) + 2)))
    assert all(set(proxy.broken) == set(kinds) and len(proxy.broken) >= len(kinds) for proxy in broken)
