"""The demo's own honesty: what it counts under virtual time, and that it sees whatever is wrong."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import trio

import hawser
from hawser.cli import CommandFailed, main
from hawser.cli.demo import Demo, Figures, Settings, run_demo, specification
from hawser.cli.view import PlainView
from hawser.payloads import encode_payload

if TYPE_CHECKING:
    from pathlib import Path

    from trio.testing import MockClock


@pytest.mark.slow
@pytest.mark.parametrize("cut_every", [0, 0.2])
async def test_the_demo_delivers_every_line_to_everyone(autojump_clock: MockClock, cut_every: float) -> None:
    lines = [b"line %d" % number for number in range(300)]
    figures = Figures("test", len(lines), 3)
    await Demo(lines, Settings(20, cut_every, 3, 1), figures).run()
    assert figures.perfect
    assert (figures.accepted, figures.delivered) == (300, 900)
    assert (figures.lost, figures.doubled, figures.reordered, figures.changed, figures.resets) == (0, 0, 0, 0, 0)
    assert (figures.cuts > 0) == bool(cut_every)
    assert (figures.resumes > 0) == bool(cut_every)
    assert (figures.replayed > 0) == bool(cut_every)
    assert figures.line().startswith("accepted 300, delivered 900 of 900, cuts ")


async def test_a_short_storm_costs_nothing_either(autojump_clock: MockClock) -> None:
    lines = [b"line %d" % number for number in range(30)]
    figures = Figures("test", len(lines), 1)
    await Demo(lines, Settings(3, 0.2, 1, 1), figures).run()
    assert figures.perfect
    assert figures.cuts > 0
    assert (figures.connected, figures.polling, figures.moves) == (0, 0, 0)


class Script:
    """A subscription that says what it is told to."""

    def __init__(self, items: list[Any]) -> None:
        self.items = items

    async def receive(self) -> Any:
        await trio.lowlevel.checkpoint()
        item = self.items.pop(0)
        if isinstance(item, Exception):
            raise item
        return item


def arrival(offset: int, data: bytes | None) -> hawser.Message | hawser.Gap:
    """A message, or a gap up to the offset."""
    if data is None:
        return hawser.Gap("demo:lines", None, hawser.Position(b"12345678", offset), 1)
    return hawser.Message("demo:lines", b"12345678", offset, encode_payload(data))


@pytest.mark.parametrize(
    ("arrivals", "expected"),
    [
        ([(1, b"a"), (2, b"b"), (3, b"c")], {"delivered": 3}),
        ([(1, b"a"), (1, b"a"), (2, b"b"), (3, b"c")], {"delivered": 3, "doubled": 1}),
        ([(1, b"a"), (3, b"c")], {"delivered": 2, "reordered": 1}),
        ([(1, b"a"), (2, b"x"), (3, b"c")], {"delivered": 2, "changed": 1}),
        ([(1, b"a"), (2, None), (3, b"c")], {"delivered": 2, "lost": 1}),
        ([(3, None)], {"lost": 3}),
    ],
    ids=["perfect", "doubled", "skipped", "changed", "gap", "all lost"],
)
async def test_the_demo_sees_whatever_is_wrong(
    arrivals: list[tuple[int, bytes | None]], expected: dict[str, int]
) -> None:
    figures = Figures("test", 3, 1, accepted=3)
    demo = Demo([b"a", b"b", b"c"], Settings(1, 0, 1, 0), figures)
    script: Any = Script([arrival(offset, data) for offset, data in arrivals])
    await demo._compare(script)  # pyright: ignore[reportPrivateUsage]
    counts = {name: getattr(figures, name) for name in ("delivered", "lost", "doubled", "reordered", "changed")}
    assert {name: count for name, count in counts.items() if count} == expected
    assert figures.perfect == (expected == {"delivered": 3})


async def test_a_refusal_ends_the_demo_with_its_reason(
    autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = hawser.App.channel

    def closed(self: hawser.App, pattern: str, **options: Any) -> Any:
        return original(self, pattern)

    monkeypatch.setattr(hawser.App, "channel", closed)
    figures = Figures("test", 1, 2)
    demo = Demo([b"line"], Settings(1, 0, 2, 0), figures)
    await demo.run()
    assert "DENIED" in demo.why
    assert figures.lost == 2
    assert not figures.perfect


def test_an_imperfect_demo_fails_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    async def lose(self: Demo) -> None:
        self.figures.lost = 2
        self.why = ": subscriber 1: gone"
        await trio.lowlevel.checkpoint()

    monkeypatch.setattr(Demo, "run", lose)
    poem = tmp_path / "poem.txt"
    poem.write_bytes(b"line\n")
    with pytest.raises(CommandFailed, match=r"what arrived is not what is in poem\.txt: subscriber 1: gone"):
        run_demo(poem, Settings(1, 0, 1, 0), plain=True)
    assert "lost 2" in capsys.readouterr().out


async def test_the_plain_view_prints_a_line_a_second(
    autojump_clock: MockClock, capsys: pytest.CaptureFixture[str]
) -> None:
    figures = Figures("test", 3, 1)
    with trio.move_on_after(3.5):
        await PlainView().run(figures)
    assert capsys.readouterr().out.splitlines() == [figures.line()] * 3


def test_the_specification_is_found_where_it_is_installed_or_a_file_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def installed(package: str) -> Path:
        return tmp_path

    assert specification().read_text(encoding="utf-8").startswith("# The Hawser protocol")
    monkeypatch.setattr("hawser_conformance.places.resources.files", installed)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "SPEC.md").write_text("# installed")
    assert specification() == tmp_path / "data" / "SPEC.md"
    (tmp_path / "data" / "SPEC.md").unlink()
    monkeypatch.setattr("hawser_conformance.places.__file__", str(tmp_path / "a" / "b" / "places.py"))
    with pytest.raises(CommandFailed, match="name a file: hawser demo FILE") as caught:
        specification()
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyboardInterrupt(), 130),
        (BaseExceptionGroup("", [BaseExceptionGroup("", [KeyboardInterrupt()])]), 130),
        (CommandFailed("no luck"), 1),
    ],
)
def test_what_ends_a_command_becomes_an_exit_code(
    error: BaseException, code: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(arguments: object) -> int:
        raise error

    monkeypatch.setattr("hawser.cli.commands.run", run)
    assert main(["demo"]) == code
    assert capsys.readouterr().err == ("hawser: no luck\n" if code == 1 else "")


@pytest.mark.parametrize("error", [ExceptionGroup("", [ValueError("a fault")]), ModuleNotFoundError(name="trio")])
def test_a_fault_of_the_command_itself_is_shown_whole(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(arguments: object) -> int:
        raise error

    monkeypatch.setattr("hawser.cli.commands.run", run)
    with pytest.raises(type(error)) as caught:
        main(["demo"])
    assert caught.value is error
