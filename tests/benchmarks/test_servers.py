"""The benchmarks of whole servers run, count rightly, record, and leave nothing behind; no figure is asserted."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from attrs import frozen

from benchmarks.channels.__main__ import main as channels
from benchmarks.macro.__main__ import main as macro
from benchmarks.macro.loads import LOADS as MACRO_LOADS
from benchmarks.peers.__main__ import as_text
from benchmarks.peers.__main__ import main as peers
from benchmarks.peers.contenders import CONTENDERS, HAWSER, LOADS, TARGETS, TRANSPORT, TRIO_WEBSOCKET
from benchmarks.peers.generator import MARKER
from benchmarks.peers.generator.wire import BINARY, Counter, Frames, masked
from benchmarks.polls.__main__ import main as polls
from benchmarks.polls.contenders import CONTENDERS as POLLED
from benchmarks.processes import Failed, said, serving
from benchmarks.report import Places, Spread, about, record, table
from benchmarks.rounds import interleaved

if TYPE_CHECKING:
    from collections.abc import Callable

SECONDS = 60.0


def places_in(folder: Path, suite: str) -> Places:
    """Places laid out as the repository's are."""
    (folder / "results").mkdir()
    section = f"<!-- {suite}: written by the benchmark -->\nold\n<!-- end of {suite} -->"
    (folder / "README.md").write_text(f"before\n\n{section}\n\nafter\n", encoding="utf-8")
    return Places.of(suite, folder)


# ---------------------------------------------------------------- the whole commands


@pytest.mark.slow
@pytest.mark.parametrize(
    ("suite", "command", "names"),
    [
        pytest.param("macro", macro, [load.name for load in MACRO_LOADS], marks=pytest.mark.verify),  # eight servers
        ("peers", peers, [contender.name for contender in CONTENDERS]),
        pytest.param("polls", polls, [contender.name for contender in POLLED], marks=pytest.mark.verify),
    ],
)
def test_a_tiny_run_measures_everything_and_records_it(
    tmp_path: Path, suite: str, command: Callable[[list[str], Places], int], names: list[str]
) -> None:
    places = places_in(tmp_path, suite)
    assert command(["--quick"], places) == 0
    found = json.loads(places.json.read_text(encoding="utf-8"))
    assert [result["load" if suite == "macro" else "server"] for result in found["results"]] == names
    for result in found["results"]:
        for figures in [result] if suite == "macro" else result["loads"].values():
            assert figures["count"] > 0
            assert 0 < figures["server_cpu_us"]["best"] <= figures["server_cpu_us"]["median"]
    assert places.picture.read_bytes().startswith(b"\x89PNG")
    text = places.readme.read_text(encoding="utf-8")
    assert text.startswith("before\n")
    assert text.endswith("\n\nafter\n")
    assert "\nold\n" not in text
    assert all(f"| {name}" in text for name in names)


@pytest.mark.slow
@pytest.mark.parametrize("suite", ["macro", "peers", "polls", "channels"])
def test_an_interrupt_leaves_no_process_behind(suite: str) -> None:
    command = [sys.executable, "-m", f"benchmarks.{suite}", "--quick"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, process_group=0) as process:
        children: set[int] = set()
        deadline = time.monotonic() + SECONDS
        while not children and time.monotonic() < deadline:
            children = {child for child in children_of(process.pid) if is_a_server(child, process.pid)}
        os.kill(process.pid, signal.SIGINT)
        _, complaint = process.communicate(timeout=SECONDS)
    assert children
    assert process.returncode == 130
    assert complaint.endswith("interrupted; everything that was started has ended\n")
    assert not [child for child in children if Path(f"/proc/{child}").exists()]


def children_of(pid: int) -> set[int]:
    """The processes that one has started."""
    return {int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()}


def is_a_server(child: int, parent: int) -> bool:
    """Whether a process is more than one that is about to run something, or that Python's modules ask the system by."""
    try:
        runs, parents = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in (child, parent))
    except OSError:
        return False  # it is gone
    return runs not in (b"", parents) and b"ldconfig" not in runs


@pytest.mark.slow
def test_a_server_that_does_not_start_and_a_generator_that_fails_are_told_with_what_they_said() -> None:
    with pytest.raises(Failed, match=r"hawser serve --listen=nonsense did not begin to listen .*nonsense"):
        with serving(["hawser", "serve", "--listen=nonsense"]):
            pass
    for suite in ("peers", "polls"):
        with pytest.raises(Failed, match="ended with 1: plain: ConnectionRefusedError"):
            said([f"benchmarks.{suite}.generator", "plain", "1", f"--server-pid={os.getpid()}"], SECONDS)
    with pytest.raises(Failed, match="ended with 1: join: ConnectionRefusedError"):
        said(["benchmarks.channels.generator", "join", "1", f"--server-pid={os.getpid()}"], SECONDS)


@pytest.mark.parametrize("command", [macro, peers, polls, channels], ids=["macro", "peers", "polls", "channels"])
def test_a_name_that_nothing_has_is_a_wrong_use(
    command: Callable[[list[str]], int], capsys: pytest.CaptureFixture[str]
) -> None:
    assert command(["no such thing"]) == 2
    assert "there are:" in capsys.readouterr().err


# ---------------------------------------------------------------- counting


def test_markers_are_counted_once_however_the_stream_is_split() -> None:
    stream = b"x" + MARKER + b"yy" + MARKER + MARKER + b"~MARKER-" + MARKER
    for size in range(1, len(stream) + 1):
        counter = Counter()
        pieces = [stream[start : start + size] for start in range(0, len(stream), size)]
        assert sum(counter.take(piece) for piece in pieces) == 4


def test_messages_of_a_server_are_found_however_they_are_split() -> None:
    messages = [b"", b"short", bytes(126), bytes(70_000)]
    heads = [b"\x82\x00", b"\x82\x05", b"\x82\x7e\x00\x7e", b"\x82\x7f" + (70_000).to_bytes(8)]
    stream = b"".join(head + message for head, message in zip(heads, messages, strict=True)) + b"\x89\x01p"
    for size in (1, 2, 3, 7, 1_000, len(stream)):
        frames = Frames()
        found = [message for at in range(0, len(stream), size) for message in frames.take(stream[at : at + size])]
        assert found == messages


@pytest.mark.parametrize("size", [0, 1, 125, 126, 5_000])
def test_what_a_client_sends_is_masked(size: int) -> None:
    payload = os.urandom(size)
    frame = masked(BINARY, payload)
    head = 2 if size <= 125 else 4
    assert (frame[0], frame[1] & 0x80, len(frame)) == (BINARY, 0x80, head + 4 + size)
    key = frame[head : head + 4]
    assert bytes(byte ^ key[place % 4] for place, byte in enumerate(frame[head + 4 :])) == payload


# ---------------------------------------------------------------- rounds


@frozen
class Slow:
    """Takes its time, on a clock that is not the system's."""

    name: str


def test_rounds_are_interleaved_and_end_before_their_time_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    ran: list[str] = []
    monkeypatch.setattr("benchmarks.rounds.time.monotonic", lambda: now[0])

    def run(one: Slow) -> None:
        ran.append(one.name)
        now[0] += 10

    several = [Slow("a"), Slow("b"), Slow("c")]
    assert interleaved(several, 9, 100, run) == 3
    assert "".join(ran) == "abc" + "bca" + "cab"
    assert interleaved(several, 2, 100, run) == 2
    assert interleaved(several, 9, 1, run) == 1


# ---------------------------------------------------------------- reporting


def test_only_its_section_of_the_readme_is_written(tmp_path: Path) -> None:
    places = places_in(tmp_path, "peers")
    for text in ("first", "second"):
        record(places, about(3), text)
    written = places.readme.read_text(encoding="utf-8")
    assert written.startswith("before\n\n<!-- peers: written by the benchmark -->\n")
    assert written.endswith("second\n<!-- end of peers -->\n\nafter\n")
    assert "first" not in written
    with pytest.raises(ValueError, match="no section"):
        record(Places.of("macro", tmp_path), about(3), "text")


def test_a_table_is_as_wide_as_its_widest_cell() -> None:
    assert table([("a", "b"), ("long", "c")]) == "| a    | b |\n|------|---|\n| long | c |"


def test_targets_are_met_by_microseconds_or_by_a_ratio() -> None:
    one, loaded = TARGETS
    assert not one.missed(7.5, 8.0)
    assert not one.missed(10.0, 40.0)
    assert one.missed(7.6, 30.0)
    assert not loaded.missed(1.0, 30.0)
    assert loaded.missed(1.1, 30.0)


def test_the_report_tells_the_cost_of_the_session_and_the_targets() -> None:
    def spreads(value: float) -> dict[str, Spread]:
        return {load: Spread.of([value]) for load in LOADS}

    text = as_text({HAWSER.name: spreads(8.0), TRANSPORT.name: spreads(5.5), TRIO_WEBSOCKET.name: spreads(40.0)})
    assert "2.50 µs per delivery" in text
    assert "(5 times)" in text
    assert "fan-out, 1 in flight: 7.5 µs or a 4th of trio-websocket: met" in text
    assert "fan-out, 16 in flight: a 30th of trio-websocket: MISSED" in text
    assert "Target" not in as_text({HAWSER.name: spreads(8.0)})
