"""``hawser bench``: what it counts on a clock that the test owns, what it refuses, what it prints."""

from __future__ import annotations

import json
import os
import sys
from typing import TYPE_CHECKING, Any

import pytest
import trio

from hawser import App, connect
from hawser.cli import CommandFailed, leaves, main
from hawser.cli.arguments import Place
from hawser.cli.bench.loads import Connect, Echo, Fanout, Load, Resume
from hawser.cli.bench.meter import Bounds, Latencies, Meter, process_cpu_seconds
from hawser.cli.bench.report import check_plot, figures, plot, progress_line, text
from hawser.cli.bench.run import measure, show
from hawser.cli.serving import development_app
from hawser.cli.settings import read_settings
from tests.runtime.cli.helpers import PATIENCE, URL, replaceable

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

UNLIMITED = read_settings(None).limits


async def measured(load: Load, *, count: int = 10**9, seconds: float = 5, app: App | None = None) -> Meter:
    """A run against a served app."""
    meter = Meter(Bounds(seconds, count), os.getpid())
    async with replaceable(development_app() if app is None else app, config=UNLIMITED) as server:
        with trio.fail_after(PATIENCE):
            assert await measure("test", load, Place(URL), meter) == 0
        assert server.server is not None
        while server.server.sessions:
            await trio.sleep(0.1)
    return meter


async def test_echoes_are_counted_up_to_the_count(autojump_clock: MockClock) -> None:
    meter = await measured(Echo(clients=3, in_flight=4, size=64, procedure="echo"), count=500)
    assert 500 <= meter.count < 500 + 12  # what was under way at the end counts too
    assert meter.generator_cpu_seconds > 0
    assert meter.server_cpu_seconds is not None


async def test_time_ends_a_run_too_and_latencies_are_those_of_the_clock(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("slow")
    async def slow(session: object, data: bytes) -> bytes:
        await trio.sleep(0.5)
        return data

    meter = await measured(Echo(clients=2, in_flight=1, size=8, procedure="slow"), app=app, seconds=3)
    assert meter.count == 12
    assert meter.seconds == pytest.approx(3)
    assert meter.per_second == pytest.approx(4)
    assert meter.latencies.quantile(0.5) == pytest.approx(0.5, rel=0.02)
    assert sum(meter.rates()) * meter.slice_seconds == pytest.approx(12, abs=2)


@pytest.mark.parametrize("in_flight", [1, 16])
async def test_a_fanout_counts_each_delivery_at_each_subscriber(autojump_clock: MockClock, in_flight: int) -> None:
    meter = await measured(Fanout(clients=20, in_flight=in_flight, size=64, channel="c"), count=2_000)
    assert meter.count == 20 * meter.notes["publications"]
    assert 2_000 <= meter.count < 2_000 + 20 * (in_flight + 1)


@pytest.mark.slow
async def test_connects_are_the_clients_or_what_there_was_time_for(autojump_clock: MockClock) -> None:
    assert (await measured(Connect(clients=150, in_flight=10))).count == 150
    assert 40 <= (await measured(Connect(clients=150, in_flight=10), count=40)).count <= 50


@pytest.mark.slow
async def test_after_a_cut_everybody_resumes(autojump_clock: MockClock) -> None:
    meter = await measured(Resume(clients=40, rounds=3))
    assert meter.count == 120
    assert (meter.notes["rounds"], meter.notes["resets"]) == (3, 0)
    assert 0 < meter.latencies.longest <= 0.6
    meter = await measured(Resume(clients=1, rounds=20, spread_seconds=0.001))
    assert meter.count == 20
    assert meter.latencies.longest <= 0.002  # no more than the pause: on the virtual clock a resume takes no time


async def test_a_refusal_fails_the_run(autojump_clock: MockClock) -> None:
    app = App()
    app.channel("c")
    for load, says in (
        (Echo(clients=1, in_flight=1, size=8, procedure="none"), "NOT_FOUND"),
        (Fanout(clients=1, in_flight=1, size=8, channel="c"), "DENIED"),
    ):
        with pytest.raises(ExceptionGroup) as caught:
            await measured(load, app=app)
        assert any(says in str(error) for error in leaves(caught.value))


async def test_what_somebody_else_publishes_is_not_counted(autojump_clock: MockClock) -> None:
    app = development_app()

    async def with_interference() -> None:
        async with replaceable(app), connect(URL) as client, trio.open_nursery() as nursery:
            load = Fanout(clients=2, in_flight=1, size=8, channel="c")
            nursery.start_soon(measure, "test", load, Place(URL), Meter(Bounds(5, 10**9)))
            while True:
                await client.publish("c", bytes(8))

    with pytest.raises(ExceptionGroup) as caught:
        await with_interference()
    assert "somebody else publishes to 'c' too; choose another --channel" in str(leaves(caught.value)[0])


async def test_what_never_comes_back_is_given_up(autojump_clock: MockClock) -> None:
    app = App()

    @app.procedure("deaf")
    async def deaf(session: object, data: bytes) -> None:
        await trio.sleep_forever()

    with pytest.raises(ExceptionGroup) as caught:
        await measured(Echo(clients=1, in_flight=1, size=8, procedure="deaf"), app=app)
    assert str(leaves(caught.value)[0]) == "gave up while running, with 0 echoes done: the rest never came"


def test_quantiles_are_exact_to_two_per_cent() -> None:
    latencies = Latencies()
    for number in range(1, 1_001):
        latencies.add(number / 1_000)
    for part in (0.01, 0.5, 0.9, 0.999):
        assert latencies.quantile(part) == pytest.approx(part, rel=0.021)
    assert latencies.quantile(1) == latencies.longest == 1
    assert [below for _, below in latencies.distribution()][-1] == 1_000
    assert Latencies().quantile(0.5) == 0
    latencies.add(0)
    latencies.add(1e9)
    assert latencies.quantile(1) == 1e9
    assert latencies.count == 1_002


def test_cpu_time_is_read_from_the_system() -> None:
    before = process_cpu_seconds(os.getpid())
    sum(range(3_000_000))
    assert 0 < before <= process_cpu_seconds(os.getpid())
    for pid in (4_194_305, 0):
        with pytest.raises(CommandFailed, match=f"--server-pid {pid}: there is no such process on this machine"):
            process_cpu_seconds(pid)


def test_cpu_time_is_told_finer_than_the_system_counts_it_for_people() -> None:
    start = process_cpu_seconds(os.getpid())
    now = start
    while now == start:
        now = process_cpu_seconds(os.getpid())
    assert now - start < 0.01


async def finished() -> tuple[dict[str, Any], Meter]:
    load = Fanout(clients=2, in_flight=1, size=8, channel="c")
    meter = await measured(load, count=100)
    return figures("fanout", {"clients": 2, "unit": load.unit}, meter), meter


async def test_the_outcome_is_plain_data_with_units(autojump_clock: MockClock) -> None:
    found, meter = await finished()
    assert json.loads(json.dumps(found)) == found
    assert (found["benchmark"], found["clients"], found["count"]) == ("fanout", 2, meter.count)
    assert set(found["latency_ms"]) == {"p50", "p90", "p99", "max"}
    assert found["server_cpu_us_each"] >= 0
    said = text(found)
    assert said.startswith(f"fanout: {meter.count} deliveries in ")
    assert f"{meter.notes['publications']} publications" in said
    assert "give --server-pid" in text({**found, "server_cpu_us_each": None})


async def test_progress_is_one_line(autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]) -> None:
    meter = Meter(Bounds(5, 100))
    assert progress_line("echo", "echoes", meter) == "echo: connecting"
    with trio.move_on_after(2.5):
        await show("echo", "echoes", meter)
    meter.start()
    await trio.sleep(2)
    meter.add(0.001)
    assert progress_line("echo", "echoes", meter).startswith("echo: 2.0 of 5 s, 1 echoes, 0 a second, p50 1.0")
    assert capsys.readouterr().err == "echo: connecting\n" * 2


async def test_on_a_terminal_the_line_changes(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from rich.console import Console

    screen = io.StringIO()

    def console(*, stderr: bool) -> Console:
        assert stderr
        return Console(file=screen, force_terminal=True, width=80)

    monkeypatch.setattr("hawser.cli.bench.run.Console", console)
    with trio.move_on_after(1):
        await show("echo", "echoes", Meter(Bounds(5, 100)))
    assert "echo: connecting" in screen.getvalue()


@pytest.mark.slow  # drawing takes its time, and the other Pythons of `make pythons` have nothing to draw with
async def test_a_plot_is_a_picture(autojump_clock: MockClock, tmp_path: Path) -> None:
    path = tmp_path / "plot.png"
    check_plot(path)
    plot(path, *await finished())
    assert path.read_bytes().startswith(b"\x89PNG")


def test_a_plot_that_cannot_be_drawn_is_refused_before_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for path, says in (("plot.jpg", "a picture is a .png file"), ("none/plot.png", "there is no folder")):
        assert main(["bench", "echo", "memory://x", "--plot", str(tmp_path / path)]) == 2
        assert says in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert main(["bench", "echo", "memory://x", "--plot", str(tmp_path / "plot.png")]) == 1
    assert "--plot needs 'matplotlib', which is not installed: pip install matplotlib" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["echo"], "no URL: write hawser bench echo URL"),
        (["echo", "ws://h", "--clients", "0"], "--clients is 0; it must be from 1 to 10000"),
        (["echo", "ws://h", "--size", "7"], "--size is 7; it must be from 8"),
        (["fanout", "ws://h", "--in-flight", "257"], "--in-flight is 257; it must be from 1 to 256"),
        (["connect", "ws://h", "--seconds", "0"], "--seconds is 0; it must be from 0.1"),
        (["resume", "ws://h", "--rounds", "0"], "--rounds is 0; it must be from 1"),
        (["resume", "ws://h", "--spread", "0"], "--spread is 0; it must be from 0.001"),
        (["echo", "ws://h", "--count", "0"], "--count is 0; it must be from 1"),
        (["echo", "ws://h", "--server-pid", "4194305"], "no such process on this machine"),
        (["ecco", "ws://h"], "Try: hawser --help"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HAWSER_URL", raising=False)
    assert main(["bench", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hawser: ")
    assert err.count("\n") == 1
    assert says in err
