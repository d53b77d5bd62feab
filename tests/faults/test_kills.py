"""Sessions that are lost: by ``kill -9`` of the server, and by a server that gives one up. Nobody is left in doubt."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest
import trio

from hawser import (
    Client,
    Config,
    NotSent,
    OutcomeUnknown,
    Receipt,
    RequestLost,
    ResetReason,
    connect,
    states,
)
from tests.faults import processes
from tests.faults.exchange import check_exact, lines, serving, url
from tests.faults.processes import Program, hawser, running
from tests.faults.proxy import Direction, Kind, Proxy

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.slow

CHANNEL = "room:kill"
CALLS = 5
APP = """
import trio
from hawser import App
app = App()
app.channel("*", history=10_000, open=True)
@app.procedure("never")
async def never(session):
    await trio.sleep_forever()
"""


async def next_reset(changes: states.StateStream) -> states.Reset:
    async for state in changes:
        if isinstance(state, states.Reset):
            return state
    raise AssertionError("the client was closed")


async def fate(receipt: Receipt) -> str:
    try:
        await receipt.wait()
    except RequestLost as error:
        assert error.key == receipt.key
        return type(error).__name__
    return "answered"


async def submit_all(client: Client, receipts: list[Receipt]) -> None:
    """Publish 0, 1, 2 … until the session is lost; `receipts` are those that the client has accepted."""
    with suppress(NotSent):
        while True:
            receipts.append(await client.submit(CHANNEL, len(receipts), after=receipts[-1] if receipts else None))


async def call(client: Client, lost: list[RequestLost]) -> None:
    try:
        await client.call("never")
    except RequestLost as error:
        lost.append(error)


async def test_the_report_of_a_killed_server_is_the_clients_own_count(tmp_path: Path) -> None:
    """Every operation that waits ends in an explicit unknown, less what had not left at all."""
    (tmp_path / "waiting.py").write_text(APP)
    receipts: list[Receipt] = []
    calls: list[RequestLost] = []
    with trio.fail_after(240):
        async with (
            processes.serving("--app", "waiting:app", url=url(0), cwd=tmp_path) as (first, place),
            connect(place, config=Config(backoff_cap_seconds=1)) as client,
            trio.open_nursery() as nursery,
        ):
            changes = client.states
            for _ in range(CALLS):
                nursery.start_soon(call, client, calls)
            nursery.start_soon(submit_all, client, receipts)
            while len(receipts) < 500:
                await trio.sleep(0.005)
            await receipts[200].wait()
            first.kill()
            await first.wait()
            async with processes.serving("--app", "waiting:app", url=place, cwd=tmp_path):
                report = await next_reset(changes)
    fates = [await fate(receipt) for receipt in receipts]
    answered, unknown, not_sent = (fates.count(each) for each in ("answered", "OutcomeUnknown", "NotSent"))
    assert fates == ["answered"] * answered + ["OutcomeUnknown"] * unknown + ["NotSent"] * not_sent
    assert answered > 200
    assert [type(error) for error in calls] == [OutcomeUnknown] * CALLS
    assert report.reason == ResetReason.RESTARTED
    assert report.known_delivered + report.unknown == CALLS + answered + unknown
    assert report.not_sent == not_sent


def reset_counts(program: Program) -> tuple[str, int]:
    """The reason of the one reset that a program has told, and the sum of its three counts."""
    (told,) = [line for line in program.err.texts if line.startswith("reset ")]
    counts = re.fullmatch(r"reset (\w+): (\d+) known delivered, (\d+) unknown, (\d+) not sent; .*", told)
    assert counts is not None, told
    return counts[1], sum(int(counts[each]) for each in (2, 3, 4))


def published_again(program: Program) -> tuple[int, int]:
    """The first and the last line, counted from 1, that a publisher has told to publish again."""
    (told,) = [line for line in program.err.texts if line.startswith("publishing line")]
    again = re.fullmatch(r"publishing lines? (\d+)(?: to (\d+))? again under the same keys", told)
    assert again is not None, told
    return int(again[1]), int(again[2] or again[1])


async def write_until(stop: trio.Event, publisher: Program, first: int) -> int:
    """Hand over numbered lines as fast as they are taken, until told to stop; returns the number after the last."""
    while not stop.is_set():
        await publisher.write(lines(first, first + 100))
        first += 100
    await publisher.end_input()
    return first


async def test_a_server_killed_in_mid_traffic_is_told_and_its_lines_are_published_again(tmp_path: Path) -> None:
    killed = trio.Event()
    messages = 0

    async def write() -> None:
        nonlocal messages
        messages = await write_until(killed, pub, 0)

    with trio.fail_after(240):
        async with (
            serving(tmp_path) as (first, port),
            running(*hawser("sub", url(port), CHANNEL)) as sub,
            running(*hawser("pub", url(port), CHANNEL)) as pub,
        ):
            await sub.err.until("^subscribed")
            async with trio.open_nursery() as nursery:
                nursery.start_soon(write)
                await sub.out.count(1_000)
                first.kill()
                await first.wait()
                killed.set()
                async with serving(tmp_path, port=port):
                    assert await pub.wait(patience=180) == 0
                    await sub.out.until(f'"n":{messages - 1}}}')
    printed = [json.loads(line) for line in sub.out.texts]
    epochs = list(dict.fromkeys(line["epoch"] for line in printed))
    assert len(epochs) == 2
    before, after = ([line for line in printed if line["epoch"] == epoch] for epoch in epochs)
    # What had no answer went out again, from the first such line on, and nothing else: no line is left out. A line may
    # stand in both epochs, for the keys were forgotten with the server, and in each of them only once.
    first_again, last_again = published_again(pub)
    assert [line["data"]["n"] for line in before] == list(range(len(before)))
    assert [line["offset"] for line in before] == list(range(1, len(before) + 1))
    assert [line["data"]["n"] for line in after] == list(range(first_again - 1, messages))
    assert [line["offset"] for line in after] == list(range(1, len(after) + 1))
    # What the publisher had accepted, but for a last line that may have been waiting for room, is in its report.
    reason, accepted = reset_counts(pub)
    assert reason == "RESTARTED"
    assert last_again - 1 <= accepted <= last_again
    # The subscriber says once that its session is over, and once that continuity is.
    assert reset_counts(sub)[0] == "RESTARTED"
    (gap,) = [line for line in sub.err.texts if line.startswith("gap ")]
    assert gap.endswith("EPOCH_CHANGED")


async def test_what_was_stored_and_not_answered_is_stored_once_after_a_reset_without_restart(tmp_path: Path) -> None:
    """The server gives up the session of a publisher that is away, and keeps what it had published, and its keys."""
    messages = 300
    with trio.fail_after(240):
        async with (
            trio.open_nursery() as nursery,
            serving(tmp_path, config="[limits]\nsessions = 2\n") as (_, port),
            running(*hawser("sub", url(port), CHANNEL, "--count", str(messages))) as sub,
        ):
            proxy: Proxy = await nursery.start(Proxy(port).run)
            await sub.err.until("^subscribed")
            async with running(*hawser("pub", url(proxy.port), CHANNEL)) as pub:
                await pub.write(lines(0, 100))
                await sub.out.count(100)
                proxy.refuse()
                proxy.mute(Direction.DOWN)
                await pub.write(lines(100, 200))
                await sub.out.count(200)  # so they are stored, and their answers swallowed
                proxy.strike(Kind.RESET)
                async with connect(url(port)):  # one session too many: the one that is away has to go
                    pass
                proxy.accept()
                await pub.write(lines(200, messages))
                await pub.end_input()
                assert await pub.wait() == 0
            assert await sub.wait() == 0
            nursery.cancel_scope.cancel()
    check_exact(sub.out.texts, messages)
    reason, _ = reset_counts(pub)
    assert reason == "EVICTED"
    first_again, last_again = published_again(pub)
    assert first_again <= 101
    assert last_again >= 200
    assert sub.err.texts == [f"subscribed {CHANNEL}"]
