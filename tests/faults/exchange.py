"""Numbered lines from a publisher to a subscriber, both real processes, through links that keep breaking."""

from __future__ import annotations

import json
import random
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeAlias

import attrs
import trio

from hawser_transports.urls import parse_url
from tests.faults import processes
from tests.faults.processes import running
from tests.faults.proxy import Direction, Kind, Plan, Proxy, breaking

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Sequence
    from pathlib import Path

    from tests.faults.processes import Program

    Command: TypeAlias = Callable[[str, str], tuple[str, ...]]
    """The command line of a publisher or a subscriber, for a URL and a channel."""

QUICK = """
[limits]
ping_interval_seconds = 1.0
pong_wait_seconds = 1.0
resume_period_seconds = 120.0
"""
"""A server that finds out in two seconds that a peer is silent, and tells its clients to."""


@asynccontextmanager
async def serving(folder: Path, *, port: int = 0, config: str = QUICK) -> AsyncGenerator[tuple[Program, int]]:
    """A server of the development app, which takes WebSocket and long-poll, and its port."""
    file = folder / "serve.toml"
    file.write_text(config)
    listen = f"http://127.0.0.1:{port}/"
    async with processes.serving("--config", str(file), url=listen) as (server, place):
        yield server, parse_url(place, ["http"]).port


def url(port: int) -> str:
    """That of the server, or of a proxy before it, for a client over WebSocket."""
    return f"ws://127.0.0.1:{port}/"


def lines(first: int, last: int, padding: str = "") -> str:
    """Numbered lines, the last one left out."""
    return "".join(
        json.dumps({"n": number} | ({"pad": padding} if padding else {})) + "\n" for number in range(first, last)
    )


@attrs.frozen
class Weather:
    """How the links of an exchange break, again and again."""

    seed: int
    cuts: int
    """So often at least, on each side."""
    kinds: Sequence[Kind] = (Kind.RESET, Kind.RESET, Kind.TRUNCATE, Kind.HALF_CLOSE)
    latency: tuple[float, float] = (0.0, 0.01)
    """Seconds that each piece waits: the least and the most, drawn for each connection."""

    def plan(self) -> Plan:
        """Beside the cuts on command, half of the connections break by themselves, at any byte."""
        return breaking(self.kinds, after=(0, 20_000), chance=0.5, latency=self.latency)


@attrs.define(eq=False)
class Exchange:
    """A running exchange; `run` is the whole of it."""

    publisher: Program
    subscriber: Program
    proxies: Sequence[Proxy]
    weather: Weather

    async def run(self, messages: int) -> None:
        """Publish lines 0, 1, 2 … in chunks, and cut both sides while each chunk is under way."""
        dice = random.Random(self.weather.seed)
        chunk = max(1, messages // self.weather.cuts)
        for start in range(0, messages, chunk):
            end = min(messages, start + chunk)
            await self.publisher.write(lines(start, end))
            await self.subscriber.out.count(dice.randint(start, end - 1))
            for proxy in self.proxies:
                await cut(proxy, dice.choice(self.weather.kinds), dice.choice(tuple(Direction)))
        await self.publisher.end_input()


async def cut(proxy: Proxy, kind: Kind, direction: Direction) -> None:
    """Break the connection that is up, or the next one that is."""
    while not proxy.strike(kind, direction):
        await trio.sleep(0.005)


@asynccontextmanager
async def exchange(
    port: int, weather: Weather, publish: Command, subscribe: Command, *, cwd: Path | None = None
) -> AsyncGenerator[Exchange]:
    """Start both programs, each behind a proxy of its own; the subscriber is subscribed."""
    channel = "room:exchange"
    async with trio.open_nursery() as nursery:
        proxies = [
            await nursery.start(Proxy(port, plan=weather.plan(), seed=2 * weather.seed + side).run) for side in range(2)
        ]
        near, far = (url(proxy.port) for proxy in proxies)
        async with running(*subscribe(far, channel), cwd=cwd) as subscriber:
            await subscriber.err.until(f"^subscribed {channel}")
            async with running(*publish(near, channel), cwd=cwd) as publisher:
                yield Exchange(publisher, subscriber, proxies, weather)
        nursery.cancel_scope.cancel()


def check_exact(printed_lines: Sequence[str], messages: int, padding: str = "") -> None:
    """Every line once and in order, under rising offsets of one epoch."""
    printed: list[dict[str, Any]] = [json.loads(line) for line in printed_lines]
    assert [line["data"] for line in printed] == [json.loads(line) for line in lines(0, messages, padding).splitlines()]
    assert [line["offset"] for line in printed] == list(range(1, messages + 1))
    assert len({line["epoch"] for line in printed}) == 1
