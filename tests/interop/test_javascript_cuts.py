"""The JavaScript client against a real server, both ways, through links that keep breaking."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from tests.faults.exchange import Weather, check_exact, exchange, serving
from tests.faults.processes import hawser

JAVASCRIPT = Path(__file__).parent / "javascript"


@pytest.mark.slow
async def test_it_survives_twenty_cuts_on_each_side_with_exact_delivery(node: str, tmp_path: Path) -> None:
    messages, cuts = 2_000, 20

    def publish(url: str, channel: str) -> tuple[str, ...]:
        return (node, "speak.js", url, "pub", channel)

    def subscribe(url: str, channel: str) -> tuple[str, ...]:
        return (node, "speak.js", url, "sub", channel, str(messages))

    weather = Weather(seed=20, cuts=cuts)
    with trio.fail_after(240):
        async with (
            serving(tmp_path) as (_, port),
            exchange(port, weather, publish, subscribe, cwd=JAVASCRIPT) as running,
        ):
            await running.run(messages)
            assert await running.subscriber.wait() == 0
            assert await running.publisher.wait() == 0
    check_exact(running.subscriber.out.texts, messages)
    answers = [json.loads(line) for line in running.publisher.out.texts]
    assert answers == [{"offset": number + 1, "duplicate": False} for number in range(messages)]
    for proxy, program in zip(running.proxies, (running.publisher, running.subscriber), strict=True):
        assert len(proxy.broken) >= cuts
        # One session each, from the first byte to the goodbye: cuts are resumed, never reset.
        assert program.err.texts.count("opened") == 1
        assert sum(line.startswith("resumed") for line in program.err.texts) >= cuts // 2
        assert [line for line in program.err.texts if line.startswith(("reset", "gap"))] == program.err.texts[-1:]


@pytest.mark.slow
@pytest.mark.parametrize("speaker", ["JavaScript", "Python"])
async def test_it_and_the_command_line_understand_each_other_through_cuts(
    speaker: str, node: str, tmp_path: Path
) -> None:
    messages = 300

    def publish(url: str, channel: str) -> tuple[str, ...]:
        return (node, "speak.js", url, "pub", channel) if speaker == "JavaScript" else hawser("pub", url, channel)

    def subscribe(url: str, channel: str) -> tuple[str, ...]:
        if speaker == "JavaScript":
            return hawser("sub", url, channel, "--count", str(messages))
        return (node, "speak.js", url, "sub", channel, str(messages))

    with trio.fail_after(240):
        async with (
            serving(tmp_path) as (_, port),
            exchange(port, Weather(seed=5, cuts=5), publish, subscribe, cwd=JAVASCRIPT) as running,
        ):
            await running.run(messages)
            assert await running.subscriber.wait() == 0
            assert await running.publisher.wait() == 0
    check_exact(running.subscriber.out.texts, messages)
