"""Numbered messages from a publisher to a subscriber at a steady pace: whether all arrive, how soon, and at what cost.

Both are real programs, ``hawser pub`` and ``hawser sub``, and reach the server through whatever the caller has put in
between. `benchmarks.hostile` records what the tests check.
"""

from __future__ import annotations

from bisect import bisect_right
from itertools import pairwise
from typing import TYPE_CHECKING, Final

import attrs
import trio

from tests.faults.exchange import check_exact, lines
from tests.faults.processes import hawser, running

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.faults.processes import Program

CHANNEL: Final = "room:journey"
PADDING: Final = "x" * 230
"""Makes a message of about 256 bytes."""
PATIENCE: Final = 180.0
"""Seconds that a run may take, however bad the network is."""
APP: Final = """
from hawser import App
app = App()
app.channel("*", history=10_000, open=True)
"""
"""What is served: without an app of its own, a server listens on loopback only."""

_TICK_SECONDS: Final = 0.05
_PAUSE_SECONDS: Final = 0.25
"""A wait for a message that is shorter is none: programs on a busy machine stop so long by themselves."""


@attrs.frozen
class Traffic:
    """What is published, and when."""

    messages: int
    seconds: float
    """From the first to the last."""
    bursts: int | None = None
    """In so many bursts, with nothing in between; None: evenly."""

    def chunks(self) -> Iterator[tuple[float, int, int]]:
        """When each group of lines is handed over, and its first line and the one behind its last.

        The first line has gone ahead of them.
        """
        groups = self.bursts or max(1, round(self.seconds / _TICK_SECONDS))
        ends = [1 + (self.messages - 1) * (each + 1) // groups for each in range(groups)]
        for each, (first, last) in enumerate(pairwise([1, *ends])):
            if last > first:
                yield each * self.seconds / groups, first, last


@attrs.frozen
class Journey:
    """What became of a run in which every message arrived once and in order."""

    messages: int
    seconds: float
    """From the first message to the arrival of the last."""
    recoveries: Sequence[float]
    """Each pause in which messages were waited for, in seconds, less the time in which no network was there at all."""
    delays: Sequence[float]
    """How long each message was under way, in seconds."""
    payload_bytes: int
    """What the publisher published and the subscriber got, as JSON."""


async def travel(
    url: str,
    carriage: str,
    traffic: Traffic,
    *,
    command: Callable[..., tuple[str, ...]] = lambda *words: words,
    begin: Callable[[], None] = lambda: None,
    seconds_down: Callable[[float, float], float] = lambda _start, _end: 0.0,
    round_trip: float = 0.0,
) -> Journey:
    """Let both programs connect, begin with the faults, publish, and check that the subscriber prints it exactly.

    Args:
        url: Where the server is reached.
        carriage: What ``--transport`` says.
        traffic: What to publish.
        command: Makes the command of a program on the host of the clients.
        begin: Called when the first message has arrived; from then on the network may be as bad as it is.
        seconds_down: For how long of a time, in seconds since then, there was no network.
        round_trip: How long that takes at best; a shorter wait for a message is no pause.

    Raises:
        trio.TooSlowError: It took longer than `PATIENCE`.
        AssertionError: What was printed is not exact, or a program has failed, or has told of a loss.
    """
    options = (url, CHANNEL, "--transport", carriage)
    count = str(traffic.messages)
    async with running(*command(*hawser("sub", *options, "--count", count))) as subscriber:
        await subscriber.err.until(f"^subscribed {CHANNEL}", patience=PATIENCE)
        async with running(*command(*hawser("pub", *options))) as publisher:
            await publisher.write(lines(0, 1, PADDING))
            await subscriber.out.count(1, patience=PATIENCE)
            begin()
            run = _Run(publisher, subscriber, traffic)
            with trio.fail_after(PATIENCE):
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(run.publish)
                    await run.watch()
                assert await publisher.wait() == 0, publisher.err.texts
                assert await subscriber.wait() == 0, subscriber.err.texts
    check_exact(subscriber.out.texts, traffic.messages, PADDING)
    for program in (publisher, subscriber):
        assert not [line for line in program.err.texts if line.startswith(("reset", "gap", "Traceback"))]
    return Journey(
        messages=traffic.messages,
        seconds=run.arrived[-1][0],
        recoveries=recoveries(run.published, run.arrived, seconds_down, _PAUSE_SECONDS + round_trip),
        delays=delays(run.published, run.arrived),
        payload_bytes=2 * len(lines(0, traffic.messages, PADDING)),
    )


class _Run:
    """A run, and what is written down of it: times, and how many messages there were in all by then."""

    def __init__(self, publisher: Program, subscriber: Program, traffic: Traffic) -> None:
        self.published: list[tuple[float, int]] = [(0.0, 1)]
        self.arrived: list[tuple[float, int]] = [(0.0, 1)]
        self._publisher = publisher
        self._subscriber = subscriber
        self._traffic = traffic
        self._began = trio.current_time()

    async def publish(self) -> None:
        for when, first, last in self._traffic.chunks():
            await trio.sleep_until(self._began + when)
            self.published.append((trio.current_time() - self._began, last))
            await self._publisher.write(lines(first, last, PADDING))
        await self._publisher.end_input()

    async def watch(self) -> None:
        seen = 1
        while seen < self._traffic.messages:
            seen = len(await self._subscriber.out.count(seen + 1, patience=PATIENCE))
            self.arrived.append((trio.current_time() - self._began, seen))


def delays(published: Sequence[tuple[float, int]], arrived: Sequence[tuple[float, int]]) -> list[float]:
    """How long each message was under way, in their order.

    Args:
        published: When, and how many in all by then; both rise.
        arrived: The same for the other end, of the same messages.
    """
    when_published = _times(published)
    return [there - here for here, there in zip(when_published, _times(arrived), strict=True)]


def recoveries(
    published: Sequence[tuple[float, int]],
    arrived: Sequence[tuple[float, int]],
    seconds_down: Callable[[float, float], float],
    longer_than: float,
) -> list[float]:
    """Each pause in which the subscriber waited for a message that was there, less the time without a network.

    Args:
        published: When, and how many in all by then; both rise.
        arrived: The same for the other end.
        seconds_down: For how long of a time there was no network.
        longer_than: Shorter ones are none.
    """
    totals = [total for _, total in published]
    found: list[float] = []
    for (before, count), (after, _) in pairwise(arrived):
        there = bisect_right(totals, count)  # the first entry that has the next message
        begin = max(before, published[there][0])
        if after - begin > longer_than:
            found.append(after - begin - seconds_down(begin, after))
    return found


def quantile(values: Sequence[float], share: float) -> float:
    """The value that this share of them does not exceed; the greatest where there are few.

    Raises:
        ValueError: There are none.
    """
    if not values:
        raise ValueError("nothing has no quantile")
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def _times(counted: Sequence[tuple[float, int]]) -> list[float]:
    """When each message was counted."""
    times: list[float] = []
    for when, total in counted:
        times += [when] * (total - len(times))
    return times
