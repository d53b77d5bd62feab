"""The command line as a stranger uses it: help, wrong input, a demo that counts, Ctrl-C, a closed pipe."""

from __future__ import annotations

import io
import os
import pty
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from hawser.cli import CommandFailed, main
from hawser.cli.demo import Figures, read_lines, specification
from hawser.cli.view import LiveView, PlainView, choose_view

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock

HAWSER = (sys.executable, "-m", "hawser")
QUICK = ("--seconds", "0.5", "--cut-every", "60", "--subscribers", "2", "--plain")
CALM = ("--seconds", "0.05", "--cut-every", "0", "--subscribers", "1", "--plain")


@pytest.fixture
def poem(tmp_path: Path) -> Path:
    path = tmp_path / "poem.txt"
    path.write_text("".join(f"line {number}\n" for number in range(40)), encoding="utf-8")
    return path


def test_help_teaches_what_to_try(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "hawser demo FILE --cut-every 100" in shown
    assert "Exit codes: 0 done" in shown


def test_the_version_is_that_of_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("0.")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["dmo"], "Try: hawser --help"),
        (["demo", "--seconds", "soon"], "Try: hawser --help"),
        (["demo", "--seconds", "0"], "--seconds is above 0"),
        (["demo", "--cut-every", "-1"], "--cut-every from 0"),
        (["demo", "--subscribers", "101"], "--subscribers from 1 to 100"),
        (["demo", "no-such-file"], "cannot read no-such-file: No such file or directory"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("hawser: ")
    assert err.count("\n") == 1
    assert says in err


def test_a_file_that_cannot_be_published_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"")
    with pytest.raises(CommandFailed, match="has no lines to publish"):
        read_lines(path)
    path.write_bytes(b"a\n" + bytes(1_000_001))
    with pytest.raises(CommandFailed, match="line 2 has 1000001 bytes; a message carries 1000000"):
        read_lines(path)


def test_the_default_file_is_the_specification() -> None:
    assert read_lines(specification())[0] == b"# The Hawser protocol, version 1"


@pytest.mark.slow
@pytest.mark.parametrize("transport", ["auto", "ws", "poll", "memory"])
def test_the_demo_delivers_every_line_and_says_so(
    poem: Path, capsys: pytest.CaptureFixture[str], transport: str
) -> None:
    assert main(["demo", str(poem), *QUICK, "--transport", transport]) == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert "accepted 40, delivered 80 of 80" in last
    assert "lost 0, duplicated 0 in" in last


@pytest.mark.parametrize("transport", ["auto", "ws", "poll"])
def test_without_cuts_nothing_is_cut(poem: Path, capsys: pytest.CaptureFixture[str], transport: str) -> None:
    assert main(["demo", str(poem), *CALM, "--transport", transport]) == 0
    assert "cuts 0, resumes 0, replayed 0" in capsys.readouterr().out


def test_what_is_not_perfect_is_shown() -> None:
    figures = Figures("poem", 4, 1, accepted=4, delivered=1, lost=1, doubled=1, reordered=2, changed=1, resets=1)
    assert not figures.perfect
    assert "resumes 0, replayed 0" in figures.line()
    figures.resumes, figures.moves = 5, 2
    assert "resumes 5 (2 to another carriage), replayed 0" in figures.line()
    assert figures.line().endswith("lost 1, duplicated 1, reordered 2, changed 1, resets 1")


@pytest.mark.slow
def test_a_loss_fails_the_demo(poem: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Figures, "perfect", property(lambda _: False))
    assert main(["demo", str(poem), *CALM]) == 1
    assert "hawser: what arrived is not what is in poem.txt" in capsys.readouterr().err


def test_a_missing_library_is_named_with_the_install_command(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "hawser.cli.commands", raising=False)
    monkeypatch.setitem(sys.modules, "cyclopts", None)
    assert main(["--help"]) == 1
    assert "needs 'cyclopts', which is not installed: pip install 'hawser[cli]'" in capsys.readouterr().err


async def test_the_live_view_draws_what_the_figures_say(autojump_clock: MockClock) -> None:
    import trio

    screen = io.StringIO()
    figures = Figures("poem, 4 lines", 4, 1, lost=1)
    with trio.move_on_after(1):
        await LiveView(Console(file=screen, force_terminal=True, width=80)).run(figures)
    assert "poem, 4 lines" in screen.getvalue()
    assert "duplicated" in screen.getvalue()
    assert "polling" not in screen.getvalue()
    LiveView()


async def test_the_live_view_tells_who_polls_once_somebody_does(autojump_clock: MockClock) -> None:
    import trio

    screen = io.StringIO()
    figures = Figures("poem, 4 lines", 4, 1, connected=3, polling=2, moves=7)
    view = LiveView(Console(file=screen, force_terminal=True, width=80))
    with trio.move_on_after(1):
        await view.run(figures)
    assert "of them polling" in screen.getvalue()
    figures.polling = 0
    start = screen.tell()
    with trio.move_on_after(1):
        await view.run(figures)
    assert "of them polling" in screen.getvalue()[start:]


def test_lines_are_printed_where_nobody_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(choose_view(plain=True), PlainView)

    def is_terminal(descriptor: int) -> bool:
        return True

    monkeypatch.setattr(os, "isatty", is_terminal)
    assert isinstance(choose_view(plain=False), LiveView)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_quietly(poem: Path, number: signal.Signals) -> None:
    with subprocess.Popen(
        [*HAWSER, "demo", str(poem), "--seconds", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        assert "accepted" in run.stdout.readline()
        run.send_signal(number)
        _, err = run.communicate(timeout=30)
    assert (run.returncode, err) == (130, "")


@pytest.mark.slow
def test_a_reader_that_has_gone_is_no_failure(poem: Path) -> None:
    with subprocess.Popen(
        [*HAWSER, "demo", str(poem), "--seconds", "4"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.stderr is not None
        err = run.stderr.read()
        run.wait(30)
    assert (run.returncode, err) == (0, "")


@pytest.mark.slow
def test_on_a_terminal_the_demo_draws_a_table(poem: Path) -> None:
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*HAWSER, "demo", str(poem), "--seconds", "0.5"],
        stdout=theirs,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm"},
    ) as run:
        os.close(theirs)
        shown = b""
        while True:
            try:
                shown += os.read(ours, 65_536)
            except OSError:
                break
        run.wait(30)
    os.close(ours)
    assert run.returncode == 0
    assert b"hawser demo" in shown
    assert b"lost 0, duplicated 0 in" in shown
